"""Damage a database in every way, and see that nobody is told anything wrong.

``python tests/damage.py`` cuts files off, flips bytes, writes zeros and garbage behind or over
their ends, takes files away (also from a process that has them open), makes folders read-only and
disks full. Each time it runs the commands on what is left, and holds what they say against what
was there. Each has to end in an answer or in one clear line. What is not as it was has to be
found by ``authdb check``.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, NamedTuple

import files

import authdb
from authdb import AuthDB, Package
from authdb.cli import main as run_command
from authdb.exceptions import AuthDBError, AuthDBWarning
from authdb.files import CATALOG_FILE, OBJECTS_FILE
from authdb.importing import load
from authdb.loaders import Loader
from authdb.models import CATEGORIES
from authdb.records import transactions

Records = dict[str, dict[str, Any]]

#: So many seconds a case may take; no damage may make a command run for ever.
TOO_LONG = 120


# -- a database, and what it says -----------------------------------------------------------------


class Truth(NamedTuple):
    """The undamaged database, and what there is to know of it.

    ``states`` has every record that a package of that name ever had; ``list`` and ``query`` are
    what the commands print.
    """

    folder: Path
    file: Path
    records: Records
    states: dict[str, list[dict[str, Any]]]
    list: str
    query: str


QUERY = "last_update >= '2020' and ('jwt' in categories or 'token' in categories)"


def fields(chance: random.Random, number: int) -> dict[str, Any]:
    day = f"20{chance.randrange(15, 25)}-0{chance.randrange(1, 10)}-1{chance.randrange(10)}"
    return {
        "title": f"Title {number}",
        "description": " ".join(chance.choices(["token", "web", "jwt", "login"], k=12)),
        "categories": chance.sample(list(CATEGORIES), chance.randrange(4)),
        "last_release": chance.choice([None, day, day, day]),
        "license": chance.choice([None, "MIT", "BSD-3-Clause"]),
        "homepage": f"https://example.org/{number}",
    }


def write_some(file: Path, chance: random.Random, *names: str) -> None:
    """A file of a few packages, to be loaded."""
    file.write_text(json.dumps([{"name": name, **fields(chance, 7)} for name in names]))


def make(folder: Path, chance: random.Random, packed: bool) -> Truth:
    """A database of some forty packages with a history of every kind of change."""
    file, states = folder.with_suffix(".json"), dict[str, list[dict[str, Any]]]()
    names = [f"package-{number}" for number in range(60)]
    write_some(file, chance, "newcomer", *names[:2])

    def note(db: AuthDB) -> None:
        for package in db:
            its = states.setdefault(package.name, [])
            if package.record() not in its:
                its.append(package.record())

    with AuthDB.create(folder) as db:
        with db.transaction("the first ones"):
            for number, name in enumerate(names[:35]):
                db.add(Package(name, **fields(chance, number)))
        note(db)
        for number, name in enumerate(names[35:], 35):
            db.add(Package(name, **fields(chance, number)))
            note(db)
            db.update(chance.choice(names[:30]), **fields(chance, number))
            note(db)
            if number == 50 and packed:
                db.pack()
        for name in chance.sample(names[30:50], 10):
            db.remove(name)
            note(db)
        db.update(names[3], name="renamed")
        note(db)
        db.undo()
        note(db)
        load(db, Loader(file))
        note(db)
        write_some(file, chance, "another", *names[:2])
        records = {package.name: package.record() for package in db}
    ended, told = run("list", "--format", "json", db=folder), run("query", QUERY, db=folder)
    assert not ended.status and not told.status, (ended, told)
    return Truth(folder, file, records, states, ended.out, told.out)


# -- running commands -----------------------------------------------------------------------------


class Ended(NamedTuple):
    """What a command wrote, and its exit status."""

    out: str
    err: str
    status: int

    @property
    def is_clear(self) -> bool:
        """Whether what went wrong was told as it is to be."""
        lines = self.err.splitlines()
        errors = [line for line in lines if not line.startswith("authdb: warning: ")]
        told = all(line.startswith("authdb: ") for line in lines)
        whole = "Traceback" not in self.out + self.err and "a mistake in authdb" not in self.err
        return told and whole and self.status in (0, 1, 2, 3) and (self.status < 2 or bool(errors))


def run(*arguments: str, db: Path) -> Ended:
    """A command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("error", ResourceWarning)
        try:
            status = run_command(["--db", str(db), *arguments])
        except BaseException:
            traceback.print_exc()
            status = -1
        gc.collect()  # a file that was not closed is told of here
    return Ended(out.getvalue(), err.getvalue(), status)


def records_of(db: Path) -> Records | str:
    """The packages' records as a program gets them; an error as text."""
    found = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AuthDBWarning)
            with AuthDB.open(db, read_only=True) as opened:
                for docid in list(opened.objects):
                    try:
                        package = opened.objects[docid]
                        found[package.name] = package.record()
                    except Exception as error:  # what a damaged value gets into may raise anything
                        found[f"docid {docid}"] = {"error": str(error)}
    except AuthDBError as error:
        return str(error)
    return found


def in_a_child(do: Callable[[], list[str]], seconds: int = TOO_LONG) -> list[str]:
    """What ``do`` gives, in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            signal.alarm(seconds)
            try:
                told = do()
            except BaseException:
                told = ["traceback: " + traceback.format_exc()]
            with os.fdopen(writing, "w") as pipe:
                json.dump(told, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else [f"traceback: it ended by itself ({status})"]


# -- what the commands have to say ----------------------------------------------------------------

# The outcomes of a case, as the table shows them; "MISSED" and "traceback" must not be.
CLEAR, UNHARMED, FOUND = "clear errors", "answers unharmed", "found by check"
MISSED, TRACEBACK = "MISSED", "tracebacks"


class Case:
    """One damaged copy, and what was said of it. ``told`` collects outcomes and complaints."""

    def __init__(self, truth: Truth, folder: Path, lost: bool = False) -> None:
        self.truth, self.folder, self.lost = truth, folder, lost
        self.told: list[str] = []

    def run(self, *arguments: str, db: Path | None = None) -> Ended:
        ended = run(*arguments, db=db or self.folder)
        if not ended.is_clear:
            self.told.append(f"traceback: {' '.join(arguments)}: {ended}")
        return ended

    def missed(self, what: str) -> None:
        self.told.append(f"missed: {what}")

    def look(self) -> list[str]:
        """Run every command that reads, then those that write, and judge what they say."""
        before = files.contents(self.folder)
        records = records_of(self.folder)
        listed = self.run("list", "--format", "json")
        asked = self.run("query", QUERY)
        checked = self.run("check")
        self.run("log")
        self.run("log", "package-3")
        self.run("diff", "c1")
        self.run("stats")
        self.look_at_recovered()
        if files.contents(self.folder) != before:
            self.missed("a command that reads has changed a file")
        self.judge(records, listed, asked, checked)
        self.look_at_writing(records, checked)
        self.lost = self.lost or tells_of_a_loss(checked.out)
        self.look_at_repaired()
        return self.told

    def judge(self, records: Records | str, listed: Ended, asked: Ended, checked: Ended) -> None:
        """Whether what is not as it was is found."""
        right = listed.out == self.truth.list and records == self.truth.records
        if listed.status > 1:
            self.told.append(CLEAR)
            if not checked.status:
                self.missed(f"list failed, check found nothing: {listed.err}")
        elif right and asked.out == self.truth.query:
            self.told.append(UNHARMED)
            if self.lost and not checked.status:
                self.missed("what was cut off is not missed by check")
        elif not checked.status:
            self.missed(f"{self.differing(records)} not found; {listed.err}, {checked.out}")
        if checked.status:
            self.told.append(FOUND)
            self.look_for_names(records, checked)

    def differing(self, records: Records | str) -> list[str]:
        """The names of those packages that are not as they were."""
        if isinstance(records, str):
            return []
        truth = self.truth.records
        names = {*truth, *(name for name in records if not name.startswith("docid "))}
        return sorted(name for name in names if records.get(name) != truth.get(name))

    def look_for_names(self, records: Records | str, checked: Ended) -> None:
        text = checked.out + checked.err
        if tells_of_a_loss(text):
            return
        unnamed = [name for name in self.differing(records) if not is_named(name, text)]
        if unnamed:
            self.missed(f"check names not {unnamed}: {text}")

    def look_at_writing(self, records: Records | str, checked: Ended) -> None:
        """What is written to a damaged database makes nothing worse, or it is refused."""
        copy = self.folder.with_name("written")
        shutil.copytree(self.folder, copy)
        before = (copy / OBJECTS_FILE).read_bytes() if (copy / OBJECTS_FILE).exists() else b""
        new = copy.with_name("new.json")
        new.write_text(json.dumps([{"name": "late-one", "title": "Late"}]))
        loaded = self.run("load", str(new), db=copy)
        if loaded.status > 1:
            now = (copy / OBJECTS_FILE).read_bytes() if (copy / OBJECTS_FILE).exists() else b""
            if now != before:
                self.missed(f"it was refused, and yet changed: {loaded}")
        elif isinstance(records, dict):
            found = records_of(copy)
            expected = {**records, "late-one": {"name": "late-one", "title": "Late"}}
            if not isinstance(found, dict) or any(
                found.get(name) not in (record, self.truth.records.get(name))
                for name, record in expected.items()
                if not name.startswith("docid ")
            ):
                self.missed(f"after a load there is something else: {self.differing(found)}")
            if not checked.status and self.run("check", db=copy).status:
                self.missed("a load has damaged it")
        shutil.rmtree(copy)

    def look_at_repaired(self) -> None:
        """A repair mends the catalog, and hides nothing."""
        self.run("check", "--repair")
        records = records_of(self.folder)
        listed, again = self.run("list", "--format", "json"), self.run("check")
        if listed.status < 2 and not again.status:
            if not isinstance(records, dict):
                self.missed(f"check is content with what cannot be read: {records}")
            elif records != self.truth.records and not self.lost:
                self.missed(f"after a repair, {self.differing(records)} not found")
            elif len(json.loads(listed.out)) != len(records):
                self.missed("after a repair, the catalog has not all of the packages")

    def look_at_recovered(self) -> None:
        """What is recovered was stored once; what is not as it was is told."""
        target = self.folder.with_name("recovered")
        ended = self.run("recover", str(target))
        if ended.status < 2:
            found, text = records_of(target), ended.out + ended.err
            assert isinstance(found, dict), found
            for name, record in found.items():
                if not any(same(record, state) for state in self.truth.states.get(name, ())):
                    self.missed(f"{name} never was as it was recovered: {record}; {text}")
            truth = self.truth.records
            unnamed = [
                name
                for name in {*truth, *found}
                if found.get(name) != truth.get(name) and not is_named(name, text)
            ]
            if unnamed and not self.lost and "cannot be read" not in text:
                self.missed(f"recover says nothing of {unnamed}: {text}")
        shutil.rmtree(target, ignore_errors=True)


def tells_of_a_loss(text: str) -> bool:
    """Whether the last changes are told to be lost, which a person can accept."""
    return "lost its tail" in text or "the objects file is not the one" in text


def is_named(name: str, text: str) -> bool:
    """Whether the text has the name, and not only that of another package that begins with it."""
    return re.search(rf"{re.escape(name)}(?![\w-])", text) is not None


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records differ at most in the name, by which an undo may have called it."""
    return {**one, "name": ""} == {**other, "name": ""}


# -- ways to damage a database --------------------------------------------------------------------

#: A way to damage the folder, and whether that takes away what was acknowledged.
Damage = Callable[[Path, random.Random], bool | None]


def edit(file: Path, change: Callable[[bytearray], object]) -> None:
    data = bytearray(file.read_bytes())
    change(data)
    file.write_bytes(data)


def cut(name: str, folder: Path, chance: random.Random) -> bool:
    size = (folder / name).stat().st_size
    os.truncate(folder / name, chance.randrange(size))
    return name == OBJECTS_FILE


def ends_of(folder: Path) -> list[int]:
    """Where transactions of the objects end, without the last one."""
    with (folder / OBJECTS_FILE).open("rb") as file:
        return [transaction.end for transaction in transactions(file)][2:-1]


def cut_after_a_change(folder: Path, chance: random.Random) -> bool:
    os.truncate(folder / OBJECTS_FILE, chance.choice(ends_of(folder)))
    return True


def flip(name: str, folder: Path, chance: random.Random) -> None:
    def change(data: bytearray) -> None:
        data[chance.randrange(len(data))] ^= chance.choice(
            [1, 2, 32, 128, chance.randrange(1, 256)]
        )

    edit(folder / name, change)


def flip_near_the_end(name: str, folder: Path, chance: random.Random) -> None:
    def change(data: bytearray) -> None:
        data[-chance.randrange(1, min(len(data), 3000))] ^= chance.randrange(1, 256)

    edit(folder / name, change)


def zeros_behind(name: str, folder: Path, chance: random.Random) -> None:
    edit(folder / name, lambda data: data.extend(bytes(chance.choice([1, 7, 8, 23, 512, 5000]))))


def zeros_over(name: str, folder: Path, chance: random.Random) -> bool:
    length = chance.choice([1, 8, 60, 512, 4096, chance.randrange(1, 9000)])

    def change(data: bytearray) -> None:
        data[-length:] = bytes(min(length, len(data)))

    edit(folder / name, change)
    return name == OBJECTS_FILE


def garbage_behind(name: str, folder: Path, chance: random.Random) -> None:
    length = chance.choice([1, 8, 23, 512, 5000])
    edit(folder / name, lambda data: data.extend(chance.randbytes(length)))


def garbage_over(name: str, folder: Path, chance: random.Random) -> bool:
    length = chance.choice([1, 8, 60, 512, chance.randrange(1, 9000)])

    def change(data: bytearray) -> None:
        data[-length:] = chance.randbytes(min(length, len(data)))

    edit(folder / name, change)
    return name == OBJECTS_FILE


def zeros_within(name: str, folder: Path, chance: random.Random) -> None:
    """A block that a disk has lost."""

    def change(data: bytearray) -> None:
        start, length = chance.randrange(len(data)), chance.choice([8, 512])
        data[start : start + length] = bytes(len(data[start : start + length]))

    edit(folder / name, change)


def remove(name: str, folder: Path, chance: random.Random) -> None:
    (folder / name).unlink()


def empty(name: str, folder: Path, chance: random.Random) -> bool:
    (folder / name).write_bytes(b"")
    return name == OBJECTS_FILE


def index_of_before(name: str, folder: Path, chance: random.Random) -> None:
    """The index of an earlier moment, which leads to earlier states."""
    whole = {each: (folder / each).read_bytes() for each in (OBJECTS_FILE, CATALOG_FILE)}
    os.truncate(folder / name, chance.choice(ends_of(folder)[-20:]))
    (folder / f"{name}.index").unlink()
    with AuthDB.open(folder, repair=True):
        pass
    for each, data in whole.items():
        (folder / each).write_bytes(data)


def ways() -> dict[str, tuple[Damage, int]]:
    """What is done to a database, by what the table calls it, and how often."""
    objects, catalog = OBJECTS_FILE, CATALOG_FILE
    found: dict[str, tuple[Damage, int]] = {
        "data.fs cut off": (partial(cut, objects), 200),
        "data.fs cut off after a change": (cut_after_a_change, 30),
        "catalog.fs cut off": (partial(cut, catalog), 30),
        "data.fs, a byte flipped": (partial(flip, objects), 200),
        "data.fs, a byte of its end": (partial(flip_near_the_end, objects), 60),
        "catalog.fs, a byte flipped": (partial(flip, catalog), 200),
        "data.fs, a lost block": (partial(zeros_within, objects), 40),
        "data.fs.index, a byte flipped": (partial(flip, f"{objects}.index"), 60),
        "catalog.fs.index, a byte flipped": (partial(flip, f"{catalog}.index"), 30),
        "data.fs.index of before": (partial(index_of_before, objects), 10),
    }
    for name in (objects, catalog):
        found[f"{name}, zeros behind it"] = partial(zeros_behind, name), 20
        found[f"{name}, zeros over its end"] = partial(zeros_over, name), 30
        found[f"{name}, garbage behind it"] = partial(garbage_behind, name), 20
        found[f"{name}, garbage over its end"] = partial(garbage_over, name), 30
        for each in (name, f"{name}.index"):
            found[f"{each} removed"] = partial(remove, each), 1
            found[f"{each} emptied"] = partial(empty, each), 1
    return found


def damaged(way: Damage, truth: Truth, seed: int) -> list[str]:
    """What is said of a copy to which that was done; complaints among it."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "db"
        shutil.copytree(truth.folder, folder)
        lost = bool(way(folder, chance))
        return Case(truth, folder, lost).look()


# -- a full disk, and others' files ---------------------------------------------------------------


def full(command: list[str], truth: Truth, seed: int) -> list[str]:
    """What a command does that meets a full disk: all, or nothing."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "db"
        shutil.copytree(truth.folder, folder)
        case = Case(truth, folder)
        sizes = [(folder / each).stat().st_size for each in (OBJECTS_FILE, CATALOG_FILE)]
        size = max(
            99, chance.choice([0, *sizes]) + chance.randrange(-200, 30000)
        )  # room for a lock
        with files.no_room_beyond(size):
            ended = case.run(*(word.format(truth.file) for word in command))
        case.told.append(CLEAR if ended.status > 1 else UNHARMED)
        records = records_of(folder)
        if ended.status > 1 and records != truth.records:
            case.missed(f"it failed, and yet changed {case.differing(records)}: {ended}")
        if not ended.status and command[0] != "pack" and records == truth.records:
            case.missed(f"it was done, and is not there: {ended}")
        with AuthDB.open(folder) as db:  # without hand work
            if {package.name: package.record() for package in db} != records:
                case.missed("a writer sees something else")
            case.told += [f"missed: check says {finding}" for finding in db.check()]
        return case.told


def forbidden(command: list[str], modes: tuple[int, int], truth: Truth, seed: int) -> list[str]:
    """What a command does with files of which not all is allowed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "db"
        shutil.copytree(truth.folder, folder)
        Path(name).chmod(0o755)
        for file in folder.iterdir():
            file.chmod(modes[1])
        folder.chmod(modes[0])
        case = Case(truth, folder)
        with files.an_ordinary_user():
            ended = case.run(*(word.format(truth.file) for word in command))
        case.told.append(CLEAR if ended.status > 1 else UNHARMED)
        if ended.status <= 1 and command[0] == "list" and ended.out != truth.list:
            case.missed(f"the list is another: {ended}")
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.chmod(0o644)
        if records_of(folder) != truth.records:
            case.missed("the packages are not as they were")
        return case.told


# -- files that go while they are open ------------------------------------------------------------


def taken(what: str, read_only: bool, truth: Truth, seed: int) -> list[str]:
    """What a program gets to see whose files are taken away while it has them open."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "db"
        shutil.copytree(truth.folder, folder)
        told, records = [UNHARMED], truth.records

        def read(db: AuthDB) -> None:
            if {package.name: package.record() for package in db} != records:
                told.append("missed: other packages are seen")

        with AuthDB.open(folder, read_only=read_only) as db:
            db.get(chance.choice(list(records)))
            if what == "the folder":
                shutil.rmtree(folder)
            else:
                (folder / what).unlink()
            for do in (
                lambda: read(db),
                lambda: db.find(QUERY).names(),
                lambda: db.check(),
                lambda: db.refresh(),
                lambda: db.log(),
                lambda: read_only or db.update("package-1", title="Late"),
                lambda: read_only or db.undo(),
                lambda: read_only or db.pack(),
                lambda: read_only or db.update("package-2", title="Late"),
            ):
                try:
                    do()
                except AuthDBError as error:
                    told[0] = CLEAR
                    if "\n" in str(error):
                        told.append(f"traceback: {error}")
        return told


# -- all together ---------------------------------------------------------------------------------


#: What does a case, given what it is done to and a seed.
Do = Callable[[Truth, int], list[str]]


def cases(share: float, chance: random.Random) -> Iterator[tuple[str, Do]]:
    """Every case: what the table calls it, and what does it.

    :param share: of the number of random cases
    """
    for what, (way, number) in ways().items():
        yield from [(what, partial(damaged, way))] * max(1, round(number * share))
    for command in (
        ["load", "{}", "--on-conflict", "replace"],
        ["remove", "package-4"],
        ["undo", "c20", "--force"],
        ["pack", "--yes"],
        ["reindex"],
    ):
        yield from [(f"disk full, {command[0]}", partial(full, command))] * max(
            1, round(40 * share)
        )
    commands = [["list", "--format", "json"], ["query", QUERY], ["check"], ["log"], ["diff", "c1"]]
    commands += [["load", "{}"], ["undo"], ["pack"], ["check", "--repair"], ["reindex"]]
    commands += [["recover", "/nowhere/new"]]
    modes = ((0o555, 0o444), (0o755, 0o000), (0o555, 0o644), (0o000, 0o644))
    both = [(command, mode) for command in commands for mode in modes]
    for command, mode in chance.sample(both, min(len(both), 5 + round(len(both) * share))):
        yield "no permission", partial(forbidden, command, mode)
    for name in (OBJECTS_FILE, CATALOG_FILE, f"{OBJECTS_FILE}.index", "the folder"):
        for read_only in (True, False):
            yield "taken away while open", partial(taken, name, read_only)


def run_all(folder: Path, share: float, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """The table, and every complaint."""
    chance = random.Random(seed)
    figures: dict[str, Counter[str]] = {}
    complaints: list[str] = []
    truths = [make(folder / str(n), chance, packed=bool(n)) for n in (0, 1)]
    folder.chmod(0o755)
    for module in walk_packages(authdb.__path__, "authdb."):  # an ordinary user may not read them
        import_module(module.name)
    todo = list(cases(share, chance))
    for position, (what, do) in enumerate(todo):
        number = chance.randrange(10**9)
        told = in_a_child(partial(do, chance.choice(truths), number))
        row = figures.setdefault(what, Counter())
        row["cases"] += 1
        for outcome in (CLEAR, UNHARMED, FOUND):
            row[outcome] += outcome in told
        row[MISSED] += any(line.startswith("missed: ") for line in told)
        row[TRACEBACK] += any(line.startswith("traceback: ") for line in told)
        complaints += [f"{what}, seed {number}: {line}" for line in told if ": " in line]
        if sys.stderr.isatty():
            print(f"\r{position + 1} of {len(todo)}", end="", file=sys.stderr)
    return figures, complaints


def main() -> int:
    parser = argparse.ArgumentParser(description="Damage databases, and ask them questions.")
    parser.add_argument("--share", type=float, default=1, help="of the random cases, such as 0.1")
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    start = time.monotonic()
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="authdb-damage-") as name:
        figures, complaints = run_all(Path(name), args.share, seed)
    columns = ("cases", CLEAR, UNHARMED, FOUND, MISSED, TRACEBACK)
    print(f"{'':36}" + "".join(f"{column:>18}" for column in columns))
    total: Counter[str] = Counter()
    for what, row in figures.items():
        total.update(row)
        print(f"{what:36}" + "".join(f"{row[column]:18}" for column in columns))
    print(f"{'all':36}" + "".join(f"{total[column]:18}" for column in columns))
    print(f"{time.monotonic() - start:.0f} seconds")
    for line in complaints:
        print(f"\n{line}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
