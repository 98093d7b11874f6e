"""What was changed: the log of a database and of a package, and what differs between two moments.

Only what the changes in question touched is read: each of them says in its own state of the root
which docids that were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from authdb.exceptions import AuthDBError, DatabaseDamaged, NoSuchMoment, PackageNotFound
from authdb.generations import KINDS
from authdb.models import Package
from authdb.moments import Moment
from authdb.past import Past, before_end_of, time_of
from authdb.storage import MyZODB, Revision

__all__ = ["Change", "Difference", "Edit", "diff", "log", "log_of", "touched_by"]


@dataclass(frozen=True)
class Change:
    """A change of the database: one transaction.

    ``number`` counts them (the generation that it made); ``docids`` has for each of
    ``added``, ``changed`` and ``removed`` the docids, in something with a length.
    """

    number: int
    tid: bytes
    when: datetime
    user: str
    note: str
    docids: Mapping[str, Any]
    _objects: MyZODB = field(repr=False)
    _previous: bytes | None = field(repr=False)

    @property
    def size(self) -> int:
        """How many packages it touched."""
        return sum(map(len, self.docids.values()))

    def names(self, kind: str, limit: int | None = None) -> list[str]:
        """The names of the packages that it ``added``, ``changed`` or ``removed``, as they were
        right after it, and for removed ones right before.

        Where the state before was packed away, the names of removed ones are not known, and left
        out. The database has to be open still.
        """
        tid = self._previous if kind == "removed" else self.tid
        if tid is None or not self.docids[kind]:
            return []
        with self._objects.state(tid) as root:
            packages = root["packages"]
            return [packages[docid].name for docid in islice(self.docids[kind], limit)]


class Edit(NamedTuple):
    """What a change did to one package: ``before`` and ``after`` are its states, None where it
    was not there (or, before the oldest change that is kept, not known: then ``kind`` is
    ``kept``). ``kind``: ``added``, ``changed`` or ``removed``."""

    number: int
    tid: bytes
    when: datetime
    user: str
    note: str
    kind: str
    before: Package | None
    after: Package | None


class Difference(NamedTuple):
    """How one package differs between two moments: its states, None where it was not there."""

    docid: int
    before: Package | None
    after: Package | None

    @property
    def kind(self) -> str:
        """``added``, ``changed`` or ``removed``."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def fields(self) -> list[str]:
        """The names of the fields whose values differ, of a package that is there on both sides."""
        if self.before is None or self.after is None:
            return []
        return self.before.differs_from(self.after)


# -- the log of the database -----------------------------------------------------------------


def log(objects: MyZODB, limit: int | None = None, offset: int = 0) -> Iterator[Change]:
    """The changes up to the state shown, the newest first.

    :param limit: how many at most
    :param offset: how many are left out first
    """
    past = Past(objects, None if limit is None else limit + offset + 1)
    for position in range(len(past))[offset : None if limit is None else offset + limit]:
        revision = past[position]
        previous = past[position + 1].tid if position + 1 < len(past) else None
        yield Change(
            past.number(revision),
            *_when_and_who(revision),
            touched_by(past, position, objects),
            objects,
            previous,
        )


def _when_and_who(revision: Revision) -> tuple[bytes, datetime, str, str]:
    user, note = (text.decode("utf-8", "replace") for text in (revision.user, revision.note))
    return revision.tid, time_of(revision.tid), user, note


def touched_by(past: Past, position: int, objects: MyZODB) -> Mapping[str, Any]:
    """The docids that a change added, changed and removed.

    One that does not say so itself, as before authdb kept that, is told by looking at all the
    packages before and after it.
    """
    said = past.touched(past[position])
    if said is not None:
        return said
    if position + 1 == len(past):
        return dict.fromkeys(KINDS, ())
    with objects.state(past[position + 1].tid) as old, objects.state(past[position].tid) as new:
        before, after = old["packages"], new["packages"]
        return {
            "added": [docid for docid in after if docid not in before],
            "changed": [
                docid
                for docid in after
                if docid in before and before[docid].differs_from(after[docid])
            ],
            "removed": [docid for docid in before if docid not in after],
        }


# -- the log of a package --------------------------------------------------------------------


def log_of(objects: MyZODB, name: str) -> list[Edit]:
    """What was done to the package called ``name``, and to those called so before; the newest
    first. A package that was renamed is followed under each of its names.

    :raises PackageNotFound: none is called so, and none was
    """
    past = Past(objects)
    root: Any = objects.dbroot
    edits: dict[tuple[bytes, int], Edit] = {}
    until, earlier = past[0].tid, past.number(past[0]) + 1
    with ExitStack() as states:
        while True:
            docid = root["docids"].get(name)
            if docid is not None:
                for edit in _edits(objects, past, root["packages"][docid]._p_oid, docid, until):
                    edits.setdefault((edit.tid, docid), edit)
            given_up = (root.get("former") or {}).get(name)
            if given_up is None or given_up >= earlier:  # in a crafted file it may go in circles
                break
            earlier = given_up
            try:
                position = past.find(given_up)
            except NoSuchMoment:
                break  # packed away
            if position + 1 == len(past):
                break
            root, until = (
                states.enter_context(objects.state(past[position + 1].tid)),
                past[position].tid,
            )
            _note_the_end(objects, past, position, root, name, edits)
    if not edits:
        root = objects.dbroot
        raise PackageNotFound(name, [*root["docids"], *(root.get("former") or ())])
    return [edits[key] for key in sorted(edits, reverse=True)]


def _note_the_end(
    objects: MyZODB, past: Past, position: int, before: Any, name: str, edits: dict[Any, Edit]
) -> None:
    """Note the change by which a package gave up its ``name``, where it removed the package.

    :param before: the root as it was before that change
    """
    revision, docid = past[position], before["docids"].get(name)
    with objects.state(revision.tid) as after:
        if docid is None or docid in after["packages"]:
            return
    package = before["packages"][docid].copy()
    edits[revision.tid, docid] = Edit(
        past.number(revision), *_when_and_who(revision), "removed", package, None
    )


def _edits(objects: MyZODB, past: Past, oid: bytes, docid: int, until: bytes) -> Iterator[Edit]:
    """The changes to the package that is the object ``oid``, up to the transaction ``until``."""
    changes = {change.tid: change for change in past}
    its = [each for each in objects.revisions(oid) if each.tid <= until]
    if not its:  # what is there now is dated later than all that is known of
        raise DatabaseDamaged(
            objects.path or "the database", "a package is dated wrongly; see: authdb check"
        )
    states = [_package(objects, revision) for revision in its]
    for revision, after, before in zip(its, states, [*states[1:], None], strict=True):
        change = changes.get(revision.tid)
        if change is None:
            # A pack has kept the package as it was then, but no state of the whole of that time.
            about = past.number(past[-1]), past[-1].tid, time_of(past[-1].tid), "", ""
            yield Edit(*about, "kept", None, after)
            return
        kind = "changed"
        if before is None:
            kind = "added" if docid in (past.touched(change) or {}).get("added", ()) else "kept"
        yield Edit(past.number(change), *_when_and_who(change), kind, before, after)


def _package(objects: MyZODB, revision: Revision) -> Package:
    package = Package.__new__(Package)
    package.__setstate__(objects.state_of(revision))
    return package


# -- between two moments ---------------------------------------------------------------------


def diff(objects: MyZODB, start: Moment, end: Moment | None = None) -> Iterator[Difference]:
    """The packages that differ between two moments, in the order of docids.

    :param end: None for the state shown
    :raises NoSuchMoment: the history does not reach back so far
    :raises AuthDBError: ``end`` is before ``start``
    """
    past = Past(objects)
    old = _shown_at(past, start, objects)
    new = 0 if end is None else _shown_at(past, end, objects)
    if old < new:
        raise AuthDBError("the first moment is later than the second: the earlier comes first")
    docids: set[int] = set()
    for position in range(new, old):
        kinds = touched_by(past, position, objects)
        docids.update(*(kinds[kind] for kind in KINDS))
    with objects.state(past[old].tid) as before, objects.state(past[new].tid) as after:
        for docid in sorted(docids):
            packages = before["packages"].get(docid), after["packages"].get(docid)
            one, other = (None if p is None else p.copy() for p in packages)
            if (one is None) != (other is None) or (one and other and one.differs_from(other)):
                yield Difference(docid, one, other)


def _shown_at(past: Past, moment: Moment, objects: MyZODB) -> int:
    """The position of the change whose state is that of a moment."""
    before = before_end_of(moment, objects, past)
    return next(i for i, change in enumerate(past) if before is None or change.tid < before)
