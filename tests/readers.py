"""Many readers beside one writer: whatever one of them sees is one state of both files.

``python tests/readers.py --seconds 60 --readers 8`` has a process change a database as fast as it
can, and pack it every other second, while others open it anew, refresh what they have open, or
open it as of one of the last changes. The writer keeps books in every change, so each reader can
tell whether objects and catalog are of one state, and of a state that was there to be seen.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any as AnyType

from authdb import Any, AuthDB, Contains, Eq, Package
from authdb.exceptions import NoSuchMoment
from authdb.files import CATALOG_FILE, OBJECTS_FILE
from authdb.models import CATEGORIES

#: The package in which the writer keeps its books.
LEDGER = "ledger"
NAMES = tuple(f"p-{number}" for number in range(40))

Figures = Counter[str]


def day(number: int) -> date:
    """A day that stands for the change of that number."""
    return date.fromordinal(date(1900, 1, 1).toordinal() + number)


# -- the writer ----------------------------------------------------------------------------------


def fields(chance: random.Random, number: int) -> dict[str, AnyType]:
    """Values of a package, as the change of that number makes it: each can be told from another."""
    category = chance.choice(list(CATEGORIES))
    return {
        "title": f"{category} {number}",
        "categories": (category,),
        "last_release": day(number),
        "description": " ".join(chance.choices(["token", "web", "login"], k=chance.randrange(40))),
    }


def keep_books(db: AuthDB, number: int) -> None:
    """Note, in the ledger, the number of the change and how many packages each category has."""
    counted = Counter(category for package in db for category in package.categories)
    values = {
        "title": f"change {number}",
        "description": json.dumps(counted),
        "last_commit": day(number),
    }
    if LEDGER in db:
        db.update(LEDGER, **values)
    else:
        db.add(Package(LEDGER, **values))


def change(db: AuthDB, chance: random.Random) -> None:
    """One change: some packages are added, updated, removed, or an earlier change is undone."""
    number = db.generation + 1
    with db.transaction(f"change {number}"):
        if number > 20 and chance.random() < 0.2:
            which = None if chance.random() < 0.5 else number - chance.randrange(1, 15)
            db.undo(which, force=chance.random() < 0.5)
        else:
            for name in chance.sample(NAMES, chance.choice([1, 1, 2, 5])):
                if name not in db:
                    db.add(Package(name, **fields(chance, number)))
                elif chance.random() < 0.6:
                    db.update(name, **fields(chance, number))
                else:
                    db.remove(name)
        keep_books(db, number)


def linger(chance: random.Random) -> None:
    """Let the two renames that end a pack lie apart, as on a slow disk."""
    rename = os.rename

    def slow(source: AnyType, target: AnyType) -> None:
        rename(source, target)
        if Path(source).name in (OBJECTS_FILE, CATALOG_FILE):
            time.sleep(chance.choice([0, 0.001, 0.01]))

    os.rename = slow  # type: ignore[assignment]


def write(folder: Path, seed: int, seconds: float, acknowledged: AnyType) -> Figures:
    """Change the database, and say in ``acknowledged`` how many changes have been."""
    chance, figures = random.Random(seed), Figures()
    linger(chance)
    end, pack_at = time.monotonic() + seconds, time.monotonic() + seconds / 10
    with AuthDB.open(folder) as db:
        while time.monotonic() < end:
            with suppress(NoSuchMoment):  # what was to be undone has been packed away
                change(db, chance)
                figures["changes written"] += 1
            acknowledged.value = db.generation
            if chance.random() < 0.01:
                db.reindex()
                figures["catalogs built anew"] += 1
            if time.monotonic() > pack_at:
                db.pack(chance.choice([None, None, "1min", "0min"]))
                figures["packs"] += 1
                pack_at = time.monotonic() + min(2, seconds / 10) * 2 * chance.random()
    return figures


# -- a reader ------------------------------------------------------------------------------------


def contradictions(
    db: AuthDB, figures: Figures, chance: random.Random | None = None
) -> Iterator[str]:
    """In what the objects, the catalog and the books of one database do not agree.

    :param chance: asks about a few categories only
    """
    root, seen = db._pair.root, db._pair.catalog_root
    for key in ("uuid", "generation", "token"):
        if root[key] != seen.get(key):
            yield f"the roots differ in their {key}: {root[key]} and {seen.get(key)}"
    ledger, number = db[LEDGER], db.generation
    if ledger.title != f"change {number}":
        yield f"the generation is {number}, the ledger says: {ledger.title}"
    if db.find(Eq("last_commit", day(number))).names() != [LEDGER]:
        yield f"by its date, the change {number} is not found"
    scanned: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    for package in db:
        if package.name != LEDGER:
            category, made = package.title.split()
            scanned[category].append(package.name)
            if (package.categories, package.last_release) != ((category,), day(int(made))):
                yield f"{package.name} is of two states"
    if len(db) != sum(map(len, scanned.values())) + 1:
        yield f"{len(db)} packages are counted, there are others"
    counted = {category: len(names) for category, names in scanned.items() if names}
    if json.loads(ledger.description or "") != counted:
        yield f"the ledger counts {ledger.description}, there are {counted}"
    asked = list(scanned) if chance is None else chance.sample(list(scanned), 3)
    for category in asked:
        names = scanned[category]
        found = db.find(Any("categories", [category])).names()
        if found != names:
            yield f"in {category} there are {names}, found are {found}"
        by_text = db.find(Contains("title", f'"{category}"')).names()
        if by_text != names:
            yield f"by their titles, in {category} there are {names}, found are {by_text}"
    figures["questions asked"] += 2 * len(asked) + 1


class Reader:
    """One of the readers, and what it has seen so far."""

    def __init__(self, folder: Path, seed: int, acknowledged: AnyType) -> None:
        self.folder, self.chance, self.acknowledged = folder, random.Random(seed), acknowledged
        self.figures = Figures()
        self.mistakes: list[str] = []
        self.seen = 0
        self.lasting: AuthDB | None = None

    def read(self, seconds: float) -> None:
        """Look at the database again and again."""
        end = time.monotonic() + seconds
        ways: list[Callable[[], None]] = [self.anew, self.anew, self.refreshed, self.refreshed]
        ways += [self.as_before, self.as_of]
        while time.monotonic() < end:
            try:
                self.chance.choice(ways)()
            except Exception:
                self.figures["errors"] += 1
                self.mistakes.append(traceback.format_exc())
        if self.lasting is not None:
            self.lasting.close()

    def look(self, db: AuthDB, at_least: int) -> None:
        """Hold against each other what is seen in ``db``."""
        wrong = list(contradictions(db, self.figures, self.chance))
        if db.generation < at_least:
            wrong.append(f"the change {at_least} was there before, now it is {db.generation}")
        if db.healed:
            wrong.append(f"nothing was wrong, and yet: {db.healed}")
        if self.chance.random() < 0.03:
            wrong += map(str, db.check())
            self.figures["checks"] += 1
        self.figures["mismatched pairs"] += bool(wrong)
        self.mistakes += wrong

    def anew(self) -> None:
        at_least = max(self.seen, self.acknowledged.value)
        with AuthDB.open(self.folder, read_only=True) as db:
            self.figures["opens"] += 1
            self.look(db, at_least)
            self.seen = max(self.seen, db.generation)

    def refreshed(self) -> None:
        at_least = max(self.seen, self.acknowledged.value)
        if self.lasting is None:
            self.lasting = AuthDB.open(self.folder, read_only=True)
            self.figures["opens"] += 1
        else:
            self.lasting.refresh()
            self.figures["refreshes"] += 1
        self.look(self.lasting, at_least)
        self.seen = max(self.seen, self.lasting.generation)

    def as_before(self) -> None:
        """What has not been refreshed is as it was, whatever was packed since."""
        if self.lasting is not None:
            generation = self.lasting.generation
            self.lasting._pair.objects.connection.cacheMinimize()  # type: ignore[union-attr]
            self.figures["looks at what was open"] += 1
            self.look(self.lasting, generation)
            if self.lasting.generation != generation:
                self.mistakes.append("a snapshot is not frozen")

    def as_of(self) -> None:
        number = self.acknowledged.value - self.chance.choice([0, 1, 2, 5, 20])
        try:
            with AuthDB.open(self.folder, as_of=f"c{max(1, number)}") as db:
                self.figures["opens as of a change"] += 1
                self.look(db, max(1, number))
                if db.generation > max(1, number):
                    self.mistakes.append(f"c{number} is c{db.generation}")
        except NoSuchMoment as error:
            begins = re.search(r"begins with c(\d+)", str(error))
            if begins is None or int(begins[1]) <= number:
                raise
            self.figures["opens as of what was packed away"] += 1


def serve_reader(
    folder: Path, seed: int, seconds: float, acknowledged: AnyType, told: AnyType
) -> None:
    warnings.simplefilter("error")
    os.nice(5)  # the writer is to be quick, however many read
    reader = Reader(folder, seed, acknowledged)
    sys.unraisablehook = lambda hook: reader.mistakes.append(f"unraisable: {hook.exc_value!r}")
    reader.read(seconds)
    told.send((reader.figures, reader.mistakes))


def serve_writer(
    folder: Path, seed: int, seconds: float, acknowledged: AnyType, told: AnyType
) -> None:
    told.send((write(folder, seed, seconds, acknowledged), []))


# -- all together --------------------------------------------------------------------------------


def run(folder: Path, readers: int, seconds: float, seed: int) -> tuple[Figures, list[str]]:
    """Figures and mistakes of so many readers beside one writer."""
    system = multiprocessing.get_context("fork")
    acknowledged = system.Value("Q", 0)
    with AuthDB.create(folder) as db:
        change(db, random.Random(seed))
        acknowledged.value = db.generation
    started = []
    for number in range(readers + 1):
        serve = serve_reader if number else serve_writer
        ours, theirs = system.Pipe(duplex=False)
        process = system.Process(
            target=serve, args=(folder, seed + number, seconds, acknowledged, theirs)
        )
        process.start()
        theirs.close()
        started.append((process, ours))
    figures, mistakes = Figures(), list[str]()
    for process, ours in started:
        try:
            its_figures, its_mistakes = ours.recv()
            figures.update(its_figures)
            mistakes += its_mistakes
        except EOFError:
            mistakes.append(f"{process.name} ended without a word")
        process.join()
    with AuthDB.open(folder) as db:
        mistakes += contradictions(db, figures)
        mistakes += map(str, db.check())
    return figures, mistakes


def main() -> int:
    parser = argparse.ArgumentParser(description="Read a database while it is written.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    folder = Path(tempfile.mkdtemp(prefix="authdb-readers-"))
    print(f"seed {seed}, in {folder}", flush=True)
    figures, mistakes = run(folder / "db", args.readers, args.seconds, seed)
    figures.update(dict.fromkeys(("mismatched pairs", "errors"), 0))
    for what, count in figures.most_common():
        print(f"{what:34} {count}")
    for text, count in Counter(mistakes).most_common(20):
        print(f"\n{count} times: {text}")
    if mistakes:
        print("\nnot all that was seen was of one state")
        return 1
    shutil.rmtree(folder)
    print("whatever was seen was of one state")
    return 0


if __name__ == "__main__":
    sys.exit(main())
