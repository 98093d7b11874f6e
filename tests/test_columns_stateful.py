"""Any sequence of changes, with columns beside the catalog: they never say what is not so.

The columns are at times lost, put back to earlier ones, or left behind by an authdb that knows of
none. Whatever they are then, they agree with the packages, or there are none.
"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from test_stateful import Machine, fields, names, spell

from authdb import AuthDB, beside, columns, ranking
from authdb.columns import COLUMNS_FILE
from authdb.exceptions import NoSuchMoment


def agrees(db: AuthDB) -> bool:
    """Whether there are columns; if so they are held against the packages."""
    found = db._session.columns()
    if found is None:
        return False
    assert list(ranking.differences(found, beside._gathered(db.objects, None))) == []
    ours = set(found.docids) | set(db.objects)
    assert set(found.docids) ^ set(db.objects) <= found.dirty <= ours | found.dirty
    return True


class ColumnsMachine(Machine):
    """There are columns from the first package on, made anew when more than three are dirty."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(columns, "MANY", 1)
        self.patch.setattr(beside, "few", lambda size: 3)
        self.patch.setattr(beside, "COST", 1e-9)

    def teardown(self) -> None:
        self.patch.undo()
        super().teardown()

    @property
    def file(self) -> Any:
        return self.folder / COLUMNS_FILE

    @precondition(lambda self: not self.in_memory)
    @rule()
    def make(self) -> None:
        """As a load or a reindex of very many does."""
        gathered = beside._gathered(self.db.objects, None)
        mark = {key: self.db._root[key] for key in ("uuid", "generation", "token")}
        self.db.close()
        made = ranking.make(self.file, gathered, mark)
        assert made is not None
        made.close()
        self.db = AuthDB.open(self.folder)
        assert agrees(self.db)
        assert not self.db._session.columns().dirty  # type: ignore[union-attr]

    @precondition(lambda self: not self.in_memory)
    @rule()
    def keep_the_columns(self) -> None:
        if self.file.exists():
            shutil.copy(self.file, self.home / "columns")

    @precondition(lambda self: (self.home / "columns").exists())
    @rule()
    def put_back_the_columns(self) -> None:
        self.db.close()
        shutil.copy(self.home / "columns", self.file)
        self.db = AuthDB.open(self.folder)

    @precondition(lambda self: not self.in_memory)
    @rule()
    def lose_the_columns(self) -> None:
        self.file.unlink(missing_ok=True)

    @rule(name=names, values=fields)
    def changed_by_an_older_authdb(self, name: str, values: Any) -> None:
        """Which knows of no columns: it neither notes what is dirty nor makes any anew."""
        if spell(name) not in self.packages or self.in_memory:
            return
        self.db.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(beside.Beside, "touch", lambda *args: None)
            patch.setattr(beside.Beside, "renew", lambda *args: None)
            with AuthDB.open(self.folder) as self.db:
                self.change(self.packages, ("update", name, name, values), inside=False)
        self.db = AuthDB.open(self.folder)

    @rule()
    def wait(self) -> None:
        self.db._session.waited(60)

    @precondition(lambda self: not self.in_memory)
    @rule(back=st.integers(0, 9))
    def look_back(self, back: int) -> None:
        try:
            with AuthDB.open(self.folder, as_of=f"c{max(0, self.db.generation - back)}") as db:
                agrees(db)
        except NoSuchMoment:
            pass  # packed away

    @invariant()
    def is_as_it_should_be(self) -> None:
        """Less than there: whether a catalog is right is found out by that machine."""
        assert {package.name: package.record() for package in self.db} == self.packages
        self.highest = max([self.highest, *self.db.objects])
        self.docids = {package.name: docid for docid, package in self.db.objects.items()}

    @invariant()
    def columns_agree(self) -> None:
        agrees(self.db)
        some = Counter(each for p in self.packages.values() for each in p.get("categories", ()))
        assert self.db.facets() == some
        years = Counter(p["last_update"][:4] for p in self.packages.values() if "last_update" in p)
        assert self.db.histogram() == years
        known = [p["name"] for p in self.packages.values() if "last_update" in p]
        assert set(self.db.find("last_update > '0001'", sort="last_update").names()) == set(known)


class MemoryMachine(ColumnsMachine):
    """The same, in memory, where columns are made of the trees."""

    in_memory = True


TestInFiles = ColumnsMachine.TestCase
TestInFiles.settings = settings(max_examples=30, stateful_step_count=20)
TestInMemory = MemoryMachine.TestCase
TestInMemory.settings = settings(max_examples=20, stateful_step_count=15)
