"""Kill a writer again and again, and see that nothing is lost.

``python tests/soak.py --kills 1000`` kills a process that changes a database (it also loads files,
undoes, packs, and builds the catalog anew), at random moments and aimed between the steps of a
commit and of a pack. After each kill it opens what is left: that has to heal by itself, hold every
change that was acknowledged (and none in half), check clean, and show the states of the past as
they were. Beside some of the writers there is a reader, which is killed too.

The processes are forked from one that has imported everything, so that a thousand kills take a
few minutes.
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
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import files

from authdb import Any as AnyOf
from authdb import AuthDB, Package
from authdb.exceptions import DatabaseMissing, NoSuchMoment
from authdb.files import CATALOG_FILE, OBJECTS_FILE, pack_cut_short
from authdb.filestorage import OneFile
from authdb.importing import load
from authdb.loaders import Loader
from authdb.models import CATEGORIES
from authdb.transactions import Session

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

#: Moments of a pack: which file is renamed, and before or after that.
PACK_POINTS = {
    f"{moment} of the {what}": (f"{name}{suffix}", when)
    for what, name in (("objects", OBJECTS_FILE), ("catalog", CATALOG_FILE))
    for moment, suffix, when in (
        ("before the first rename", "", "before"),
        ("between the renames", "", "after"),
        ("after the renames", ".pack", "after"),
        ("before the new index", ".index.index_tmp", "before"),
    )
}

#: The endings of files that there may be beside a database that was killed.
KNOWN = ("", ".index", ".index.index_tmp", ".lock", ".tmp", ".old", ".older", ".pack")


# -- the writer ----------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, commit: int) -> None:
    """Make this process kill itself at ``point`` of its commit number ``commit``."""
    name, method, when = POINTS[point]
    original, seen = getattr(OneFile, method), [0]

    def deadly(self: Any, *args: Any) -> Any:
        its = Path(self.getName()).name == name
        seen[0] += its
        if its and seen[0] == commit and when == "before":
            die()
        result = original(self, *args)
        if its and seen[0] == commit and when == "after":
            die()
        return result

    setattr(OneFile, method, deadly)


@contextmanager
def armed(point: str) -> Iterator[None]:
    """Inside, this process kills itself at ``point`` of a pack."""
    name, when = PACK_POINTS[point]
    originals = os.rename, os.replace

    def deadly(original: Any) -> Any:
        def rename(source: Any, target: Any) -> None:
            its = Path(source).name == name
            if its and when == "before":
                die()
            original(source, target)
            if its and when == "after":
                die()

        return rename

    os.rename, os.replace = map(deadly, originals)
    yield
    os.rename, os.replace = originals


class Writer:
    """A process that changes a database until it is killed.

    What is about to be done goes into the log as a line, and another line when it is done.
    """

    def __init__(self, db: AuthDB, log: str, seed: int) -> None:
        self.db, self.seed, self.chance = db, seed, random.Random(seed)
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.file = Path(log).with_suffix(".json")
        self.packages = contents(db)
        self.about: dict[str, Any] = {}

    def tell(self, entry: object) -> None:
        os.write(self.log, (json.dumps(entry) + "\n").encode())

    def watch(self) -> None:
        """See to it that each commit is told before it begins, and when it is done."""
        original = Session.commit

        def told(session: Session, note: str | None) -> None:
            session.index_edited()
            assert session.changes is not None
            if not session.changes.docids:
                original(session, note)
                return
            now, before = contents(self.db), self.packages
            changed = {name: now.get(name) for name in {*now, *before}}
            changed = {k: v for k, v in changed.items() if v != before.get(k)}
            number = self.db.generation + 1
            entry = {"number": number, "time": time.time(), "changed": changed}
            self.tell(entry | self.about)
            original(session, note)
            self.tell("done")
            self.packages = now

        Session.commit = told  # type: ignore[method-assign]

    def write(self, point: str | None) -> None:
        """Change the database for ever; ``point`` is one of `PACK_POINTS` that is aimed at."""
        chance = self.chance
        others: list[tuple[float, Callable[[str], None]]]
        others = [(0.1, self.load), (0.2, self.undo), (0.22, self.reindex), (0.26, self.pack)]
        if point in POINTS:
            others = others[:2]  # each commit is to be one of both files
        for number in count():
            unique, roll = f"{self.seed}-{number}", chance.random()
            self.about = {}
            if point in PACK_POINTS and number > 2:
                with armed(point):
                    self.pack("")
                assert number < 200, f"{point}: no pack comes there"
            for limit, do in others:
                if roll < limit:
                    do(unique)
                    break
            else:
                with self.db.transaction(f"change {unique}"):
                    self.change(unique)

    def fields(self, unique: str) -> dict[str, Any]:
        chance = self.chance
        return {
            "title": f"Title {unique}",
            "categories": chance.sample(list(CATEGORIES), chance.randrange(4)),
            "last_release": chance.choice([None, "2019", "2020-05", "2024-02-26"]),
            "description": " ".join(chance.choices(["token", "web", "jwt", "login"], k=9)),
        }

    def change(self, unique: str) -> None:
        """A few changes."""
        db, chance = self.db, self.chance
        for number in range(chance.choice([1, 1, 2, 5])):
            names = [package.name for package in db]
            kinds = ["add", "update", "edit", "rename", "replace", "remove"]
            kind = chance.choice(kinds if len(names) > 5 else ["add"])
            kind = "remove" if len(names) > 25 else kind
            name = chance.choice(names) if names else ""
            fields = self.fields(f"{unique} {number}")
            new = f"p-{unique}-{number}"
            if kind == "add":
                db.add(Package(new, **fields))
            elif kind == "update":
                db.update(name, **fields)
            elif kind == "edit":
                db[name].title = fields["title"]
            elif kind == "rename":
                db.update(name, name=new)
            elif kind == "replace":
                db.replace(Package(name, **fields))
            else:
                db.remove(name)

    def load(self, unique: str) -> None:
        names = [*self.chance.sample(sorted(self.packages), len(self.packages) // 4)]
        names += [f"l-{unique}-{number}" for number in range(self.chance.randrange(3))]
        records = [{"name": name, **self.fields(unique)} for name in names]
        self.file.write_text(json.dumps(records))
        load(self.db, Loader(self.file), on_conflict=self.chance.choice(["update", "replace"]))

    def undo(self, unique: str) -> None:
        back = self.chance.choice([0, 0, 1, 2, 5, 15])
        number = self.db.generation - back
        self.about = {"undone": number}
        with suppress(NoSuchMoment):  # packed away, or before the first
            self.db.undo(None if not back else max(0, number), force=self.chance.random() < 0.5)

    def reindex(self, unique: str) -> None:
        self.db.reindex()

    def pack(self, unique: str) -> None:
        keep = self.chance.choice([None, "0min", "1min", "1h"]) if unique else None
        self.tell({"pack": keep, "time": time.time()})
        self.db.pack(keep)
        self.tell("done")


def write(folder: str, log: str, seed: int, point: str | None, commit: int) -> None:
    """Change the database for ever."""
    if point in POINTS:
        arm(point, commit)
    with AuthDB.open(folder) as db:
        writer = Writer(db, log, seed)
        writer.watch()
        writer.write(point)


def read(folder: str, log: str) -> None:
    """Look at the database for ever."""
    with AuthDB.open(folder, read_only=True) as db:
        while True:
            Path(log).write_text("it is open")
            db.refresh()
            assert sorted(db.find().names()) == sorted(contents(db))


def serve() -> None:
    """Fork a process for each line of standard input, and say when it has ended."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                job = json.loads(line)
                (write if "seed" in job else read)(**job)
            except BaseException:  # it should have been killed
                traceback.print_exc()
            finally:
                os._exit(1)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


# -- the killer ----------------------------------------------------------------------------------


class Server:
    """The process that others are forked from, one at a time."""

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
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
        with self.process:
            self.process.kill()

    def start(self, **job: object) -> int:
        """Start a process; its pid."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def end(self) -> bool:
        """Wait for its end; whether it was killed."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline()) == signal.SIGKILL


def wait_for(log: Path) -> None:
    """Wait until the process that writes to ``log`` has begun."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
        time.sleep(0.001)


class Writers:
    """Where writers, and readers beside them, come from."""

    def __enter__(self) -> Writers:
        self._writers, self._readers = Server().__enter__(), Server().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._writers.__exit__(*error)
        self._readers.__exit__(*error)

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
        pid = self._writers.start(
            folder=str(folder), log=str(log), seed=seed, point=point, commit=commit
        )
        if point is None:
            if wait:
                wait_for(log)
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
        return self._writers.end()

    @contextmanager
    def reader(self, folder: Path, log: Path, seconds: float) -> Iterator[None]:
        """Inside, a reader looks at the database; it is killed so many ``seconds`` later."""
        pid = self._readers.start(folder=str(folder), log=str(log))
        wait_for(log)
        yield
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        assert self._readers.end(), "the reader ended by itself"
        log.unlink()


def told(log: Path) -> tuple[list[Any], Any]:
    """What was acknowledged, and what was begun and was not, if anything."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    entries = [line for line in lines if line != "done"]
    done = lines.count("done")
    assert len(entries) - done in (0, 1)
    return entries[:done], entries[done] if len(entries) > done else None


def after(packages: Records, entry: dict[str, Any] | None) -> Records:
    """``packages`` after a change."""
    result = packages | (entry or {}).get("changed", {})
    return {name: record for name, record in result.items() if record is not None}


def contents(db: AuthDB) -> Records:
    return {package.name: package.record() for package in db}


class Soak:
    """One database, killed again and again.

    ``figures`` counts the kills, the acknowledged changes, how often there was something to
    heal, how often a change survived whose acknowledgement did not, and states of the past.
    """

    def __init__(self, folder: Path, writers: Writers, seed: int) -> None:
        self.folder, self.writers, self.chance = folder, writers, random.Random(seed)
        self.log = folder.with_suffix(".log")
        self.figures: Counter[str] = Counter()
        AuthDB.create(folder).close()
        self.number = 0
        #: The packages after each change, and when it was made.
        self.states: dict[int, tuple[Records, float]] = {0: ({}, 0)}
        #: The first change whose state no pack can have taken away.
        self.kept = 0
        self.next_docid = 0

    @property
    def packages(self) -> Records:
        return self.states[self.number][0]

    def kill(self, point: str | None = None) -> str | None:
        """Kill a writer, then open what is left; how it was healed."""
        chance = self.chance
        job: tuple[Any, ...] = (
            self.folder,
            self.log,
            chance.randrange(10**9),
            point,
            chance.choice([1, 2, 5]),
            chance.random() * chance.choice([0.005, 0.05, 0.3]),
            chance.random() < 0.7,
        )
        if chance.random() < 0.1:
            with self.reader(chance.random() * 0.02):
                killed = self.writers.run(*job)
            self.figures["readers killed beside a writer"] += 1
        else:
            killed = self.writers.run(*job)
        assert killed, "the writer ended by itself"
        self.figures["kills"] += 1
        self.figures[point or "at random"] += 1
        return self.look()

    def reader(self, seconds: float) -> Any:
        return self.writers.reader(self.folder, self.log.with_suffix(".read"), seconds)

    def look(self) -> str | None:
        """Hold what is left against what was acknowledged; how it was healed."""
        done, open_end = told(self.log)
        for entry in done:
            self.take(entry)
        if open_end is not None and "pack" in open_end:
            self.forget(open_end)  # perhaps
        if self.chance.random() < 0.2:  # a reader comes first, and changes nothing
            self.look_as_reader(open_end)
        with AuthDB.open(self.folder) as db:
            healed = db.healed
            if open_end is not None and db.generation == open_end.get("number"):
                self.figures["kept, but not acknowledged"] += 1
                self.take(open_end)
            assert db.generation == self.number, "an acknowledged change was lost"
            assert contents(db) == self.packages, "a change was not kept as it was made"
            assert db.check() == []
            assert sorted(db.find().names()) == sorted(self.packages)
            next_docid = db._pair.root["next_docid"]
            assert next_docid >= self.next_docid, "a docid will be given twice"
            self.next_docid = next_docid
            changes = {change.number for change in db.log()}
        self.look_at_past(changes)
        self.look_at_files()
        if healed:
            self.figures["rebuilt" if "rebuilt" in healed else "healed from the journal"] += 1
        return healed

    def take(self, entry: dict[str, Any]) -> None:
        """Note what was done."""
        if "pack" in entry:
            self.forget(entry)
            self.figures["packs"] += 1
            return
        self.figures["acknowledged changes"] += 1
        self.figures["undone"] += "undone" in entry
        packages = after(self.packages, entry)
        assert entry["number"] == self.number + 1
        self.number += 1
        self.states[self.number] = packages, entry["time"]
        if entry.get("undone") == self.number - 1 and self.number - 2 in self.states:
            assert packages == self.states[self.number - 2][0], "the newest was not undone"

    def forget(self, pack: dict[str, Any]) -> None:
        """Note that a pack may have taken the states from before it."""
        seconds = {None: 0, "0min": 0, "1min": 60, "1h": 3600}[pack["pack"]] - 1
        since = [n for n, (_, made) in self.states.items() if made >= pack["time"] - seconds]
        self.kept = max(self.kept, min(since, default=self.number))
        for number in [n for n in self.states if n < self.kept - 50]:
            del self.states[number]

    def look_as_reader(self, open_end: dict[str, Any] | None) -> None:
        before = files.contents(self.folder)
        possible = [self.packages, after(self.packages, open_end)]
        try:
            with AuthDB.open(self.folder, read_only=True) as db:
                assert contents(db) in possible
                assert db.check() == []
            with self.reader(self.chance.random() * 0.01):
                pass
            self.figures["readers killed"] += 1
        except DatabaseMissing:
            assert pack_cut_short(self.folder)
        assert files.contents(self.folder) == before, "a reader has left something behind"

    def look_at_past(self, changes: set[int]) -> None:
        """The states of the past that are kept are as they were."""
        for number in range(self.kept, self.number + 1):
            assert number in changes, f"c{number} is no longer in the history"
        known = [number for number in self.states if number in changes]
        for number in self.chance.sample(known, min(3, len(known))):
            with AuthDB.open(self.folder, as_of=f"c{number}") as db:
                found = contents(db)
                assert (db.generation, found) == (number, self.states[number][0])
                for category in self.chance.sample(list(CATEGORIES), 4):
                    names = [
                        n for n, record in found.items() if category in record.get("categories", ())
                    ]
                    assert db.find(AnyOf("categories", [category])).names() == names
            self.figures["states of the past"] += 1

    def look_at_files(self) -> None:
        known = {f"{name}{ending}" for name in (OBJECTS_FILE, CATALOG_FILE) for ending in KNOWN}
        for file in self.folder.iterdir():
            assert file.name in known or file.suffix.startswith(".tr"), file

    def run(self, kills: int) -> None:
        """Kill so many times: at random, aimed, and while healing or building anew."""
        for _ in range(kills):
            roll = self.chance.random()
            if roll < 0.4:
                self.kill()
            elif roll < 0.7:
                self.kill(self.chance.choice(list(POINTS)))
            elif roll < 0.85:
                self.kill(self.chance.choice(list(PACK_POINTS)))
            else:
                self.kill_again(rebuild=roll > 0.92)

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
    print(f"{'seconds':40} {time.monotonic() - start:.0f}")
    for what, number in soak.figures.most_common():
        print(f"{what:40} {number}")
    print("nothing that was acknowledged was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
