"""A batch merged into a catalogue: what indexing its packages one by one would have given."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from files import no_room_beyond
from hypothesis import given, settings
from hypothesis import strategies as st

from authdb import AuthDB, Package, drafting, importing
from authdb.checking import dump
from authdb.exceptions import AuthDBError, DatabaseError
from authdb.generations import touched_in
from authdb.importing import load
from authdb.loaders import Loader
from authdb.merging import merge
from authdb.models import Recorder

WORDS = [f"word{number}" for number in range(400)] + ["The", "été", "naïve", "of"]
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", None)


class Given:
    """A batch, as `authdb.merging.Batch` has it."""

    def __init__(self, added: list[Package], changed: dict[int, tuple[Package, Package]]) -> None:
        self._added, self._changed = added, changed
        self.as_of: date | None = None

    def __len__(self) -> int:
        return len(self._added) + len(self._changed)

    def added(self) -> Iterator[tuple[str, Mapping[str, Any], bytes]]:
        record = Recorder()
        for package in self._added:
            yield package.name, dict(vars(package)), record(dict(vars(package)))

    def changed(self) -> Iterator[tuple[int, Package, Mapping[str, Any]]]:
        for docid, (old, new) in self._changed.items():
            yield docid, old, dict(vars(new))


def drawn(chance: random.Random, name: str) -> Package:
    """A package of that name, in which anything may be missing."""
    some: dict[str, Any] = {
        "description": " ".join(chance.choices(WORDS, k=chance.randint(0, 30))),
        "categories": chance.sample(("jwt", "oauth2", "token", "saml"), chance.randint(0, 3)),
        "last_release": f"20{chance.randint(10, 25)}-{chance.randint(1, 12):02}",
        "last_commit": f"20{chance.randint(10, 25)}-01-{chance.randint(1, 28):02}",
        "license": chance.choice(LICENSES),
        "version": "1.0",
    }
    known = {field: value for field, value in some.items() if chance.random() < 0.8}
    return Package(name, " ".join(chance.choices(WORDS, k=3)), **known)


def batch(db: AuthDB, chance: random.Random, adds: int, changes: int) -> Given:
    """Packages to be added, in no order, and packages of ``db`` to be changed."""
    names = [f"package-{number}" for number in chance.sample(range(100_000), adds)]
    known = chance.sample(list(db.objects.items()), min(changes, len(db)))
    return Given(
        [drawn(chance, name) for name in names if name not in db],
        {docid: (package, drawn(chance, package.name)) for docid, package in known},
    )


def one_by_one(db: AuthDB, given: Given) -> None:
    """What the batch does, by the ordinary methods."""
    with db.transaction("one by one"):
        for _, (_, new) in given._changed.items():
            db.replace(new)
        for package in given._added:
            db.add(package)
        if given.as_of is not None:
            db.set_as_of(given.as_of)


def everything(db: AuthDB) -> dict[str, Any]:
    """What a database holds, as plain values."""
    found: dict[str, Any] = {name: dump(index) for name, index in db.catalog.items()}
    found["packages"] = {docid: package.record() for docid, package in db.objects.items()}
    found["docids"] = dict(db._root["docids"].items())
    found["root"] = [db._root[key] for key in ("next_docid", "generation")]
    found["about"] = db.as_of
    if db.generation:
        touched = touched_in(db._root["touched"])
        found["touched"] = {kind: list(docids) for kind, docids in touched.items()}
    return found


def test_like_one_by_one(db: AuthDB) -> None:
    """Batch after batch, of every mixture of additions and changes, and ordinary changes after."""
    chance = random.Random(7)
    with AuthDB.in_memory() as other:
        for adds, changes in ((200, 0), (0, 150), (400, 100), (1, 0), (0, 1), (30, 700), (0, 0)):
            given = batch(db, chance, adds, changes)
            if adds == 30:
                given.as_of = date(2026, 1, 2)
            merge(db._session, given, "a batch")
            one_by_one(other, given)
            assert everything(db) == everything(other)
        assert db.check() == []
        for each in (db, other):
            for number, package in enumerate(list(each)[::5]):
                if number % 3:
                    each.update(package.name, description="word1 token", license="MIT")
                else:
                    each.remove(package.name)
        assert everything(db) == everything(other)
        assert db.check() == []


def test_frequent_words(db: AuthDB) -> None:
    """Posting lists of several leaves, which grow at their end; each word several times a text; and
    changes of the same words among them."""
    chance = random.Random(11)
    with AuthDB.in_memory() as other:
        for number in range(4):
            given = batch(db, chance, 0, 20 * number)
            added = []
            for place in range(130):
                words = chance.choices(WORDS[:4], k=chance.choice((0, 1, 5, 40)))
                name = f"package-{number}-{place}"
                added.append(Package(name, "Word0 word1", description=" ".join(words)))
            given._added = added
            merge(db._session, given, "a batch")
            one_by_one(other, given)
            assert everything(db) == everything(other)
        assert db.check() == []
        for each in (db, other):
            for package in list(each)[::3]:
                each.remove(package.name)
            each.add(Package("last", "Word0", description="word0 word3"))
        assert everything(db) == everything(other)
        assert db.check() == []


@pytest.mark.parametrize("kept", [2**20, 100])
def test_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Files of which the second changes what the first adds, and what was there: as one by one,
    whether what they hold is kept in memory or read again."""
    chance = random.Random(12)
    monkeypatch.setattr(drafting, "_IN_MEMORY", kept)
    monkeypatch.setattr(drafting, "_CHUNK", 50)
    old = [drawn(chance, f"old-{number}") for number in range(100)]
    new = [drawn(chance, f"new-{number}") for number in range(180)]
    later = [drawn(chance, package.name) for package in [*old[::3], *new[::2]]]
    paths = [tmp_path / "first.ndjson", tmp_path / "second.ndjson"]
    for path, packages in zip(paths, (new, later), strict=True):
        path.write_text("".join(f"{json.dumps(package.record())}\n" for package in packages))
    with AuthDB.create(folder) as db, AuthDB.in_memory() as other:
        for each in (db, other):
            one_by_one(each, Given([package.copy() for package in old], {}))
        counts = load(db, [Loader(path) for path in paths], on_conflict="replace")
        assert (counts.added, counts.changed) == (180, 124)
        monkeypatch.setattr(importing, "_MERGED", 1000)
        load(other, [Loader(path) for path in paths], on_conflict="replace")
        assert everything(db) == everything(other)
        assert db.check() == []


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 80), min_size=2, max_size=5))
def test_any_batches(seed: int, sizes: list[int]) -> None:
    """Batches of any sizes, in memory."""
    chance = random.Random(seed)
    with AuthDB.in_memory() as db, AuthDB.in_memory() as other:
        for adds, changes in pairwise(sizes):
            given = batch(db, chance, adds, changes)
            merge(db._session, given, None)
            one_by_one(other, given)
        assert {**everything(db), "root": 0} == {**everything(other), "root": 0}
        assert db.check() == []


def test_what_others_see(folder: Path) -> None:
    """A reader beside the writer keeps its state; a new one sees the batch, which is one change
    with its note; it can be looked back from, and undone."""
    chance = random.Random(8)
    with AuthDB.create(folder) as db:
        one_by_one(db, batch(db, chance, 300, 0))
        before = everything(db)
        held = next(iter(db))
        held.title  # noqa: B018 - in memory from here on
        with AuthDB.open(folder, read_only=True) as reader:
            new = held.copy()
            new.title = "another title"
            given = batch(db, chance, 250, 0)
            given._changed = {1: (held, new)}
            merge(db._session, given, "a batch")
            assert held.title == "another title"
            assert db.find("'another' in title").names() == [held.name]
            assert everything(reader) == before
            assert reader.refresh()
            assert everything(reader) == everything(db)
        assert [change.note for change in db.log(1)] == ["a batch"]
        assert db.log_of(held.name)[0].note == "a batch"
        undone = db.undo()
        assert (len(undone.removed), undone.reverted) == (len(given._added), [held.name])
        left = everything(db)
        assert all(left[name] == before[name] for name in db.catalog)
        assert db.check() == []


def test_refused(folder: Path) -> None:
    """In a transaction that is open, and for reading only: nothing is done."""
    chance = random.Random(9)
    with AuthDB.create(folder) as db:
        given = batch(db, chance, 10, 0)
        with db.transaction(), pytest.raises(AuthDBError, match="a transaction is open"):
            merge(db._session, given, None)
    with AuthDB.open(folder, read_only=True) as db, pytest.raises(DatabaseError, match="reading"):
        merge(db._session, given, None)


def test_nothing_of_a_failure(folder: Path) -> None:
    """What cannot be written, or is broken off, leaves nothing, neither in memory nor on disk."""
    chance = random.Random(10)
    with AuthDB.create(folder) as db:
        one_by_one(db, batch(db, chance, 300, 0))
        before = everything(db)
        given = batch(db, chance, 600, 100)
        with (
            no_room_beyond((folder / "catalog.fs").stat().st_size + 20_000),
            pytest.raises(DatabaseError, match=r"larger than|full"),
        ):
            merge(db._session, given, None)
        assert everything(db) == before

        class BrokenOff(Given):
            def added(self) -> Iterator[tuple[str, Mapping[str, Any], bytes]]:
                yield from Given(self._added[:100], {}).added()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            merge(db._session, BrokenOff(given._added, given._changed), None)
        assert everything(db) == before
        merge(db._session, given, None)
        assert db.check() == []
    with AuthDB.open(folder) as db:
        assert db.check() == []
        assert db.healed is None
