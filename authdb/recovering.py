"""Packages from a damaged objects file, into a new database.

Every state of a package that is found whole (its digest tells) is known by its oid, and the newest
counts. The file's own trees say which packages there are, as far as they can be read. Where they
cannot be trusted, all packages are taken, and those that the trees do not confirm are named: it
is less trouble to remove a package once more than to find out what one was that is missing.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from authdb.database import AuthDB
from authdb.exceptions import DatabaseDamaged, DatabaseMissing, InvalidValue
from authdb.files import OBJECTS_FILE, remove_new
from authdb.models import FIELDS, Package
from authdb.nodes import opened
from authdb.pickles import class_of
from authdb.records import Record
from authdb.salvaging import Gap, Salvage
from authdb.scanning import ALLOWED, CALLED, allow_list
from authdb.storage import explain

__all__ = ["Recovered", "recover"]

_PACKAGE = (Package.__module__, Package.__qualname__)
_ROOT = bytes(8)


class Recovered(NamedTuple):
    """What became of the packages of a damaged file.

    :param packages: how many are in the new database
    :param older: the names of those taken in an earlier state, since the newest is damaged
    :param lost: what there was, and is found whole nowhere: names, or oids such as "0x2a" where
        the name is not known either
    :param uncertain: the names of those that may have been removed, or added again, since their
        state was written
    :param gaps: places in the file where something may be missing that nothing else tells of
    """

    packages: int
    older: tuple[str, ...]
    lost: tuple[str, ...]
    uncertain: tuple[str, ...]
    gaps: tuple[Gap, ...]


class _State(NamedTuple):
    """A whole state of a package: where it is in the file."""

    position: int
    tid: bytes
    oid: bytes
    name: str


def recover(path: str | Path, target: str | Path | None = None) -> Recovered:
    """Make a new database of what is whole in a damaged one.

    The damaged file is only read, and nothing that is stored in it is run. The new database has no
    history: it begins with one change that adds all packages.

    :param path: the objects file (``data.fs``), or the folder in which it is
    :param target: the folder for the new database; None only to find out what would be in it
    :raises DatabaseMissing: there is no such file
    :raises DatabaseExists: there is a database in ``target``
    :raises DatabaseDamaged: nothing in the file can be recovered
    :raises DatabaseError: its other kinds, see `authdb.exceptions`
    """
    path = Path(path)
    try:
        if path.is_dir():
            path /= OBJECTS_FILE
        if not path.exists():
            raise DatabaseMissing(path, "there is no such file")
        with path.open("rb") as file:
            salvage = Salvage(file)
            found = _Found(salvage)
            plan = found.plan()
            if not plan.states and found.root is None:
                raise DatabaseDamaged(path, "nothing in it can be recovered: no package is whole")
            if target is None:
                return _told(plan, salvage)
            packages = (_package(salvage.data(state.position), state.name) for state in plan.states)
            note = f"recover {len(plan.states):,} packages from {path}"
            _write(Path(target), packages, found.as_of, note)
    except Exception as error:  # what is damaged may raise anything
        raise explain(error, path) from error
    return _told(plan, salvage)


def _told(plan: _Plan, salvage: Salvage) -> Recovered:
    gaps = tuple(salvage.gaps)
    return Recovered(len(plan.states), plan.older, plan.lost, plan.uncertain, gaps)


def _write(folder: Path, packages: Iterator[Package], as_of: date | None, note: str) -> None:
    """Make the new database, or leave nothing of it behind."""
    was_there = folder.is_dir()
    db = AuthDB.create(folder)
    try:
        with db, db.transaction(note):
            for package in packages:
                db.add(package)
            db.set_as_of(as_of)
    except BaseException as error:
        remove_new(folder, was_there)
        if isinstance(error, Exception):
            raise explain(error, folder) from error
        raise


# -- what is stored --------------------------------------------------------------------------


class _Unpickler(pickle.Unpickler):
    """Gives out the classes that authdb stores, and oids in the place of other objects."""

    def find_class(self, module: str, name: str) -> Any:
        return _classes(None, module, name)

    def persistent_load(self, reference: Any) -> bytes:
        return bytes(reference[0] if isinstance(reference, tuple) else reference)


_classes = allow_list("the file")


def _load(data: bytes) -> tuple[tuple[str, str], Any]:
    """The class and the state of an object; raises anything where they cannot be read."""
    kind = class_of(data, ALLOWED, CALLED)
    unpickler = _Unpickler(opened(data))
    unpickler.load()
    return kind, unpickler.load()


def _intact(state: Any) -> Package:
    package = Package.__new__(Package)
    package.__setstate__(state)
    if not package.is_intact() or not _is_name(package.name):
        raise ValueError("its digest is another")
    return package


def _is_name(name: object) -> bool:
    try:
        return bool(FIELDS["name"].check(name) == name)
    except InvalidValue:
        return False


def _package(data: bytes, name: str) -> Package:
    """The package as it is stored, under the name that it has now."""
    package = _intact(_load(data)[1])
    if package.name != name:
        package.name = name
    return package.copy()


class _Plan(NamedTuple):
    states: list[_State]
    older: tuple[str, ...]
    lost: tuple[str, ...]
    uncertain: tuple[str, ...]


class _Found:
    """What a walk through the whole file has found."""

    def __init__(self, salvage: Salvage) -> None:
        self.salvage = salvage
        #: oid -> its newest state that is whole
        self.packages: dict[bytes, _State] = {}
        #: States whose oid may be another's.
        self.strays: list[_State] = []
        self.all_sure = True
        #: oid -> position of the newest record that can be read, for the root and the trees
        self.nodes: dict[bytes, int] = {}
        #: The oids whose newest record is not whole.
        self.broken: set[bytes] = set()
        for record, sure in salvage:
            self.all_sure = self.all_sure and sure
            if sure and not record.data and not record.back:  # the object is no more
                self.packages.pop(record.oid, None)
                self.nodes.pop(record.oid, None)
                self.broken.discard(record.oid)
                continue
            try:
                self._take(record, sure)
            except MemoryError:
                raise
            except Exception:  # what is damaged may raise anything
                if sure:
                    self.broken.add(record.oid)
        self.root: dict[str, Any] | None = self._root()

    def _take(self, record: Record, sure: bool) -> None:
        kind, stored = _load(record.data)
        if kind == _PACKAGE:
            state = _State(record.position, record.tid, record.oid, _intact(stored).name)
            if sure:
                self.packages[record.oid] = state
            else:
                self.strays.append(state)
        elif sure:
            self.nodes[record.oid] = record.position
        if sure:
            self.broken.discard(record.oid)

    def _root(self) -> dict[str, Any] | None:
        # An earlier one does as well: the oids of the trees in it never change.
        with suppress(Exception):
            _, state = _load(self.salvage.data(self.nodes[_ROOT]))
            return dict(state["data"])
        return None

    @property
    def as_of(self) -> date | None:
        """The day as of which the facts hold; None where the root does not say."""
        day = (self.root or {}).get("as_of")
        return day if type(day) is date else None

    # -- which packages there are -------------------------------------------------------------

    def plan(self) -> _Plan:
        """What of it to take."""
        listed, all_listed = self._tree("packages", int, bytes)  # docid -> oid
        docids, all_named = self._tree("docids", str, int)  # name -> docid
        names = {docid: name for name, docid in docids.items()}
        if (
            self.all_sure
            and not self.salvage.gaps
            and all_listed
            and all_named
            and len(names) == len(docids)
            and names.keys() == listed.keys()
            and all(self._agrees(oid, names[docid]) for docid, oid in listed.items())
        ):
            return self._plan_of_listed(listed, names)
        return self._plan_of_all(listed, docids)

    def _agrees(self, oid: bytes, name: str) -> bool:
        """Whether the oid is known, as a package of that name where that can be told."""
        if oid in self.broken:
            return oid not in self.nodes and _is_name(name)
        return oid in self.packages and self.packages[oid].name == name

    def _plan_of_listed(self, listed: dict[int, bytes], names: dict[int, str]) -> _Plan:
        """What the trees say, to the letter."""
        states, older, lost = [], [], []
        for docid, oid in sorted(listed.items()):
            name, state = names[docid], self.packages.get(oid)
            if state is None:
                lost.append(name)
                continue
            states.append(state._replace(name=name))  # it may have been called otherwise then
            if oid in self.broken:
                older.append(name)
        return _Plan(states, tuple(older), tuple(lost), ())

    def _plan_of_all(self, listed: dict[int, bytes], docids: dict[str, int]) -> _Plan:
        """Everything that is whole. Of those of one name the newest: it got the name last."""
        newest = {state.name: state for state in sorted(self.packages.values())}
        for stray in self.strays:
            # One with a damaged header may seem to be newer than it is, and so may one that a
            # disk has written where it does not belong; but not in both ways.
            other = newest.get(stray.name)
            if other is None or (stray.position > other.position and stray.tid > other.tid):
                newest[stray.name] = stray
        docid_of = {oid: docid for docid, oid in listed.items()}
        last = max(docid_of.values(), default=0) + 1
        states = sorted(newest.values(), key=lambda one: (docid_of.get(one.oid, last), one))
        known = {one.oid for one in states} | self.nodes.keys() | self.packages.keys()
        nameless = [
            f"0x{int.from_bytes(oid, 'big'):x}"
            for oid in sorted(self.broken - known)
            if oid not in docid_of
        ]
        return _Plan(
            states,
            tuple(one.name for one in states if one.oid in self.broken),
            (*(ascii(name)[1:-1] for name in docids if name not in newest), *nameless),
            tuple(
                one.name
                for one in states
                if docids.get(one.name, last) != docid_of.get(one.oid, -1)
            ),
        )

    def _tree(self, name: str, key_type: type, value_type: type) -> tuple[dict[Any, Any], bool]:
        """What can be read of a tree in the root, and whether that is all of it."""
        found: dict[Any, Any] = {}
        whole = True
        todo, seen = [(self.root or {}).get(name)], set()
        while todo:
            oid = todo.pop()
            whole = whole and oid not in self.broken and oid not in seen
            try:
                children, pairs = self._node(oid)
            except Exception:  # what is damaged may raise anything
                whole = False
                continue
            if oid not in seen:
                seen.add(oid)
                todo += children
            for key, value in pairs:
                if type(key) is key_type and type(value) is value_type:
                    found[key] = value
                else:
                    whole = False
        return found, whole

    def _node(self, oid: Any) -> tuple[list[bytes], list[tuple[Any, Any]]]:
        """The oids of a tree's children, or else its keys and values."""
        (_, kind), state = _load(self.salvage.data(self.nodes[oid]))
        if kind.endswith("Tree"):
            if state is None:
                return [], []
            if len(state) > 1:  # child, key, child, ..., and the first bucket
                return list(state[0][::2]), []
            state = state[0][0]  # the only bucket is in the tree itself
        items = state[0]
        return [], list(zip(items[::2], items[1::2], strict=True))
