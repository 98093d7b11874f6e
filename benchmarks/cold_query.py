"""One question as a whole process: ``authdb query`` against ``sqlite-utils query``, in turn.

Both hold the shipped list (every field), and answer the same question: which packages about
OAuth 2.0 were last updated before 2020. Printed are the medians of the interleaved runs, and the
median of the ratios, run by run: below 1 authdb is the faster.

``python benchmarks/cold_query.py [--runs N]``; needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from authdb import AuthDB
from authdb.commands.common import plural
from authdb.exporting import write
from authdb.importing import load
from authdb.loaders import Loader

SQL = (
    "select p.name, last_update, version, group_concat(c.category, ', ') as categories from "
    "packages p join categories c on c.name = p.name where last_update < '2020' and p.name in "
    "(select name from categories where category = 'oauth2') group by p.name order by last_update"
)


def main() -> None:
    """Build both databases, hold their answers against each other, and time them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = build(Path(folder))
        assert names(ours) == names(theirs), "the two answer differently"
        times: list[tuple[float, float]] = []
        for turn in range(runs + 2):
            pair = (timed(ours), timed(theirs)) if turn % 2 else (timed(theirs), timed(ours))[::-1]
            times.append(pair)
    times = times[2:]  # the first two warm the disk's cache
    for name, values in zip(
        ("authdb query", "sqlite-utils query"), zip(*times, strict=True), strict=True
    ):
        print(f"{name:20} {median(values) * 1000:6.0f} ms (median of {runs})")
    print(f"{'ratio':20} {median(a / b for a, b in times):6.2f}")


def build(folder: Path) -> tuple[list[str], list[str]]:
    """The two commands, over databases of the same rows."""
    from sqlite_utils import Database

    from authdb import editions

    scripts = Path(sys.executable).parent
    with AuthDB.create(folder / "db") as db:
        counts = load(db, [Loader(editions.path("today"))])
        print(f"both hold {plural(counts.added)}")
        with (folder / "rows.ndjson").open("w") as out:
            write(db, "ndjson", out)
    rows = [json.loads(line) for line in (folder / "rows.ndjson").open()]
    sql = Database(folder / "packages.db")
    for row in rows:
        sql["categories"].insert_all(
            {"name": row["name"], "category": word} for word in row.pop("categories", [])
        )
    sql["packages"].insert_all(rows, pk="name", alter=True)
    sql["packages"].create_index(["last_update"])
    sql["categories"].create_index(["category", "name"])
    sql.conn.close()
    ours = [str(scripts / "authdb"), "--db", str(folder / "db"), "query", "--before", "2020"]
    return (
        [*ours, "--any", "oauth2"],
        [str(scripts / "sqlite-utils"), "query", str(folder / "packages.db"), SQL],
    )


def names(command: list[str]) -> list[str]:
    """The packages that a command answers with."""
    json_flag = ["--format", "json"] if "--db" in command else []
    done = subprocess.run([*command, *json_flag], capture_output=True, text=True, check=True)
    return [row["name"] for row in json.loads(done.stdout)]


def timed(command: list[str]) -> float:
    """How many seconds the whole process takes."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
