"""Kill a writer again and again, and see that nothing is lost.

``python tests/soak.py --kills 1000`` kills a process that changes a database, at random moments
and aimed between the steps of a commit, and after each kill opens what is left: it has to heal
by itself, hold every change that was acknowledged (and none in half), and check clean.

The writers are forked from one process that has imported everything, so that a thousand kills
take a minute or two.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from ZODB.FileStorage import FileStorage

from authdb import AuthDB, Package
from authdb.models import CATEGORIES
from authdb.pairing import CATALOG_FILE, OBJECTS_FILE

Records = dict[str, dict[str, Any]]

#: Moments of a commit: the file, the method of its storage, and before or after which.
POINTS = {
    "before the objects vote": (OBJECTS_FILE, "tpc_vote", "before"),
    "before the catalog votes": (CATALOG_FILE, "tpc_vote", "before"),
    "before the objects finish": (OBJECTS_FILE, "tpc_finish", "before"),
    "within the finish of the objects": (OBJECTS_FILE, "_finish_finish", "before"),
    "between the two finishes": (CATALOG_FILE, "tpc_finish", "before"),
    "within the finish of the catalog": (CATALOG_FILE, "_finish_finish", "before"),
    "before it is told": (CATALOG_FILE, "tpc_finish", "after"),
}


# -- the writer ----------------------------------------------------------------------------------


def arm(point: str, commit: int) -> None:
    """Make this process kill itself at ``point`` of its commit number ``commit``."""
    name, method, when = POINTS[point]
    original, seen = getattr(FileStorage, method), [0]

    def deadly(self: Any, *args: Any) -> Any:
        its = Path(self.getName()).name == name
        seen[0] += its
        if its and seen[0] == commit and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *args)
        if its and seen[0] == commit and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(FileStorage, method, deadly)


def write(folder: str, log: str, seed: int, point: str | None, commit: int) -> None:
    """Change the database for ever. What is about to be committed goes into the log as a line,
    and another line when the commit has returned."""
    chance = random.Random(seed)
    if point is not None:
        arm(point, commit)
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with AuthDB.open(folder) as db:
        for number in range(10**9):
            with db.transaction(f"change {number} of {seed}"):
                changed = change(db, chance, f"{seed}-{number}")
                os.write(told, (json.dumps(changed) + "\n").encode())
            os.write(told, b"done\n")


def change(db: AuthDB, chance: random.Random, unique: str) -> dict[str, Any]:
    """A few changes; which packages there are afterwards, of those that they touched."""
    changed: dict[str, Any] = {}
    for number in range(chance.choice([1, 1, 2, 5])):
        names = [package.name for package in db]
        kinds = ["add", "update", "edit", "rename", "replace", "remove"]
        kind = chance.choice(kinds if len(names) > 5 else ["add"])
        kind = "remove" if len(names) > 25 else kind
        name = chance.choice(names) if names else ""
        fields: dict[str, Any] = {
            "title": f"Title {unique} {number}",
            "categories": chance.sample(list(CATEGORIES), chance.randrange(4)),
            "last_release": chance.choice([None, "2019", "2020-05", "2024-02-26"]),
            "description": " ".join(chance.choices(["token", "web", "jwt", "login"], k=9)),
        }
        new = f"p-{unique}-{number}"
        if kind == "add":
            db.add(Package(new, **fields))
            name = new
        elif kind == "update":
            db.update(name, **fields)
        elif kind == "edit":
            db[name].title = fields["title"]
        elif kind == "rename":
            db.update(name, name=new)
            changed[name] = None
            name = new
        elif kind == "replace":
            db.replace(Package(name, **fields))
        else:
            db.remove(name)
        changed[name] = None if kind == "remove" else db[name].record()
    return changed


def serve() -> None:
    """Fork a writer for each line of standard input, and say when it has ended."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                write(**json.loads(line))
            finally:
                os._exit(1)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


# -- the killer ----------------------------------------------------------------------------------


class Writers:
    """The process that writers are forked from."""

    def __enter__(self) -> Writers:
        self.server = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.server:
            self.server.kill()

    def run(
        self,
        folder: Path,
        log: Path,
        seed: int,
        point: str | None = None,
        commit: int = 1,
        seconds: float = 0,
        wait: bool = True,
    ) -> bool:
        """Start a writer and see it die: at ``point`` by itself, or by us, so many ``seconds``
        after it has begun its first change, or (do not ``wait``) after it was started.

        :returns: whether it was killed
        """
        assert self.server.stdin is not None and self.server.stdout is not None
        job = {"folder": str(folder), "log": str(log), "seed": seed, "point": point}
        print(json.dumps(job | {"commit": commit}), file=self.server.stdin, flush=True)
        pid = int(self.server.stdout.readline())
        if point is None:
            deadline = time.monotonic() + 30
            while wait and time.monotonic() < deadline:
                if log.exists() and log.stat().st_size:
                    break
                time.sleep(0.001)
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
        return int(self.server.stdout.readline()) == signal.SIGKILL


def told(log: Path) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The changes that were acknowledged, and the one that was not, if any."""
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    changes = [json.loads(line) for line in lines if line != "done"]
    done = lines.count("done")
    assert len(changes) - done in (0, 1)
    return changes[:done], changes[done] if len(changes) > done else None


def after(packages: Records, change: dict[str, Any] | None) -> Records:
    """``packages`` after a change."""
    result = packages | (change or {})
    return {name: record for name, record in result.items() if record is not None}


def contents(db: AuthDB) -> Records:
    return {package.name: package.record() for package in db}


class Soak:
    """One database, killed again and again.

    ``figures`` counts the kills, the acknowledged changes, how often there was something to
    heal, and how often a change survived whose acknowledgement did not.
    """

    def __init__(self, folder: Path, writers: Writers, seed: int) -> None:
        self.folder, self.writers, self.chance = folder, writers, random.Random(seed)
        self.log = folder.with_suffix(".log")
        self.figures: Counter[str] = Counter()
        AuthDB.create(folder).close()
        self.packages: Records = {}
        self.docids: dict[str, int] = {}
        self.highest = 0

    def kill(self, point: str | None = None) -> str | None:
        """Kill a writer, then open what is left; how it was healed."""
        chance = self.chance
        killed = self.writers.run(
            self.folder,
            self.log,
            chance.randrange(10**9),
            point,
            chance.choice([1, 2, 5]),
            chance.random() * chance.choice([0.002, 0.02, 0.1]),
            chance.random() < 0.7,
        )
        assert killed, "the writer ended by itself"
        self.figures["kills"] += 1
        self.figures[point or "at random"] += 1
        return self.look()

    def look(self) -> str | None:
        """Hold what is left against what was acknowledged; how it was healed."""
        changes, open_end = told(self.log)
        self.figures["acknowledged changes"] += len(changes)
        for change in changes:
            self.packages = after(self.packages, change)
        possible = [self.packages, after(self.packages, open_end)]
        if self.chance.random() < 0.2:  # a reader comes first, and changes nothing
            with AuthDB.open(self.folder, read_only=True) as db:
                assert contents(db) in possible
                assert db.check() == []
        with AuthDB.open(self.folder) as db:
            healed = db.healed
            found = contents(db)
            assert found in possible, "an acknowledged change was lost"
            assert db.check() == []
            assert sorted(db.find().names()) == sorted(found)
            docids = {package.name: docid for docid, package in db.objects.items()}
        for docid in {docids[name] for name in docids} - set(self.docids.values()):
            assert docid > self.highest, "a docid was given twice"
        self.highest = max(self.highest, *docids.values(), *self.docids.values(), 0)
        if open_end is not None and found == possible[1] != possible[0]:
            self.figures["kept, but not acknowledged"] += 1
        if healed:
            self.figures["rebuilt" if "rebuilt" in healed else "healed from the journal"] += 1
        self.packages, self.docids = found, docids
        return healed

    def run(self, kills: int) -> None:
        """Kill so many times: at random, aimed, and while healing or building anew."""
        for number in range(kills):
            roll = self.chance.random()
            if roll < 0.4:
                self.kill()
            elif roll < 0.8:
                self.kill(self.chance.choice(list(POINTS)))
            else:
                self.kill_again(rebuild=roll > 0.9)
            if (number + 1) % 100 == 0:
                with AuthDB.open(self.folder) as db:
                    db.pack()

    def kill_again(self, rebuild: bool) -> None:
        """Kill between the finishes (or take the catalog away), and again while that is healed."""
        if rebuild:
            (self.folder / CATALOG_FILE).unlink()
        else:
            seed = self.chance.randrange(10**9)
            self.writers.run(self.folder, self.log, seed, "between the two finishes")
        aimed = [point for point, (name, *_) in POINTS.items() if name == CATALOG_FILE]
        seed, point = self.chance.randrange(10**9), self.chance.choice(aimed)
        assert self.writers.run(self.folder, self.log, seed, point)
        self.figures["kills"] += 1
        self.figures["while healing"] += 1
        self.look()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a writer again and again.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve()
        return 0
    seed = random.randrange(10**6) if args.seed is None else args.seed
    folder, start = Path(tempfile.mkdtemp(prefix="authdb-soak-")), time.monotonic()
    print(f"seed {seed}, in {folder}")
    with Writers() as writers:
        soak = Soak(folder / "db", writers, seed)
        for done in range(0, args.kills, 100):
            soak.run(min(100, args.kills - done))
            print(f"{soak.figures['kills']} kills", flush=True)
    shutil.rmtree(folder)
    print(f"{'seconds':30} {time.monotonic() - start:.0f}")
    for what, count in soak.figures.most_common():
        print(f"{what:30} {count}")
    print("nothing that was acknowledged was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
