"""Any sequence of changes: the database holds what a plain dict holds, and checks clean."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from authdb import AuthDB, Package
from authdb.exceptions import DatabaseReadOnly, InvalidValue, PackageExists, PackageNotFound

Record = dict[str, Any]

names = st.sampled_from(["a", "b", "c", "D_d", "e.e", "f"])
dates = st.sampled_from([None, "2018-05-01", "2019-12-31", "2024-02-26"])
fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["Token auth", "Web login", "JWT", "Token token"]),
        "description": st.sampled_from([None, "token and login", "a web of words", "the"]),
        "categories": st.sampled_from([(), ("jwt",), ("jwt", "token"), ("oauth2",)]),
        "license": st.sampled_from([None, "MIT", "Apache-2.0"]),
        "last_commit": dates,
        "last_release": dates,
    },
)
operations = st.tuples(
    st.sampled_from(["add", "update", "rename", "replace", "remove", "edit", "find"]),
    names,
    names,
    fields,
)


def spell(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def filled_in(record: Record) -> Record:
    """A record as it should come back: only what is known, and the date that follows."""
    known = {key: value for key, value in record.items() if value not in (None, (), [])}
    if "categories" in known:
        known["categories"] = list(known["categories"])
    known.pop("last_update", None)
    days = [known[key] for key in ("last_commit", "last_release") if key in known]
    return known | ({"last_update": max(days)} if days else {})


class Stop(Exception):
    """Raised to end a transaction early."""


class Machine(RuleBasedStateMachine):
    """A database in files, beside a dict. Its catalog is at times put back to an earlier one."""

    in_memory = False

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "db"
        self.packages: dict[str, Record] = {}
        self.docids: dict[str, int] = {}
        self.restored: set[int] = set()  # by an undo: the others are new
        self.highest = 0

    @initialize()
    def create(self) -> None:
        self.db = AuthDB.in_memory() if self.in_memory else AuthDB.create(self.folder)

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.home)

    # -- one change ----------------------------------------------------------------------------

    def change(self, packages: dict[str, Record], operation: Any, inside: bool) -> None:
        """Do ``operation`` to the database and to ``packages``; both refuse alike."""
        kind, given, other, values = operation
        name, new = spell(given), spell(other)
        there = name in packages
        if kind == "add":
            record = {"title": "T"} | values | {"name": name}
            if there:
                with pytest.raises(PackageExists):
                    self.db.add(Package(**record))
            else:
                self.db.add(Package(**record))
                packages[name] = filled_in(record)
        elif kind == "find":
            found = self.db.find("'token' in title", sort="name").names()
            assert found == sorted(n for n, r in packages.items() if "Token" in r["title"])
        elif not there:
            with pytest.raises(PackageNotFound):
                self.act(kind, given, new, values)
        elif kind == "rename" and new != name and new in packages:
            with pytest.raises(PackageExists):
                self.act(kind, given, new, values)
        elif kind == "edit" and not inside:
            changes = filled_in(packages[name] | values) != packages[name]
            if changes:
                with pytest.raises(DatabaseReadOnly):
                    self.act(kind, given, new, values)
        else:
            self.act(kind, given, new, values)
            old = packages.pop(name)
            if kind == "rename":
                packages[new] = filled_in(old | values | {"name": new})
            elif kind == "replace":
                packages[name] = filled_in({"title": "R"} | values | {"name": name})
            elif kind != "remove":
                packages[name] = filled_in(old | values)

    def act(self, kind: str, name: str, new: str, values: Record) -> None:
        if kind == "rename":
            self.db.update(name, name=new, **values)
        elif kind == "update":
            self.db.update(name, **values)
        elif kind == "replace":
            self.db.replace(Package(**{"name": name, "title": "R"} | values))
        elif kind == "remove":
            self.db.remove(name)
        else:
            package = self.db[name]
            for field, value in values.items():
                setattr(package, field, value)

    @rule(operation=operations)
    def alone(self, operation: Any) -> None:
        self.change(self.packages, operation, inside=False)

    @rule(several=st.lists(operations, max_size=6), abort=st.booleans())
    def together(self, several: list[Any], abort: bool) -> None:
        packages = {name: dict(record) for name, record in self.packages.items()}
        with suppress(Stop), self.db.transaction("several"):
            for operation in several:
                self.change(packages, operation, inside=True)
            if abort:
                raise Stop
            self.packages = packages

    @rule(name=names)
    def refuse(self, name: str) -> None:
        if spell(name) in self.packages:
            with pytest.raises(InvalidValue):
                self.db.update(name, title="New", license="none of any kind")

    # -- the files -----------------------------------------------------------------------------

    @precondition(lambda self: not self.in_memory)
    @rule(read_first=st.booleans())
    def reopen(self, read_first: bool) -> None:
        self.db.close()
        if read_first:
            self.db = AuthDB.open(self.folder, read_only=True)
            self.is_as_it_should_be()
            self.db.close()
        self.db = AuthDB.open(self.folder)
        assert self.db.healed is None

    @precondition(lambda self: not self.in_memory)
    @rule()
    def keep_the_catalog(self) -> None:
        self.db.close()
        shutil.copy(self.folder / "catalog.fs", self.home / "kept")
        self.db = AuthDB.open(self.folder)

    @precondition(lambda self: (self.home / "kept").exists())
    @rule()
    def put_back_the_catalog(self) -> None:
        generation = self.db.generation
        self.db.close()
        shutil.copy(self.home / "kept", self.folder / "catalog.fs")
        self.db = AuthDB.open(self.folder)
        assert self.db.generation == generation

    @rule()
    def pack(self) -> None:
        self.db.pack()

    @rule()
    def reindex(self) -> None:
        self.db.reindex()

    # -- what has to hold ----------------------------------------------------------------------

    @invariant()
    def is_as_it_should_be(self) -> None:
        found = {package.name: package.record() for package in self.db}
        assert found == self.packages
        assert len(self.db) == len(self.packages)
        assert self.db.check() == []
        docids = {package.name: docid for docid, package in self.db.objects.items()}
        for docid in set(docids.values()) - set(self.docids.values()) - self.restored:
            assert docid > self.highest, "a docid was given twice"
        self.highest = max([self.highest, *docids.values()])
        self.docids = docids


class MemoryMachine(Machine):
    """The same, in memory."""

    in_memory = True


TestInFiles = Machine.TestCase
TestInFiles.settings = settings(max_examples=30, stateful_step_count=20)
TestInMemory = MemoryMachine.TestCase
TestInMemory.settings = settings(max_examples=30, stateful_step_count=20)
