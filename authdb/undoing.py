"""Undo: the packages that a change touched, put back as they were before, as a new change.

By their values, not by ZODB's undo of records: that one refuses as soon as a tree has been split,
or anything else was written to the same record since, and it knows nothing of the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from authdb.changes import Changes, Edited
from authdb.exceptions import NoSuchMoment
from authdb.generations import KINDS, give_up
from authdb.history import touched_by
from authdb.models import Package
from authdb.past import Past
from authdb.transactions import Session

__all__ = ["Undone", "undo"]


class Undone(NamedTuple):
    """What an undo has done, or would do.

    ``number`` is that of the change undone, ``note`` what it had noted. ``removed``, ``restored``
    (those that it had removed) and ``reverted`` are the names of the packages put back; ``left``
    pairs each name that was left alone with the reason. ``as_of``: whether the day as of which
    the facts hold is put back.
    """

    number: int
    note: str
    removed: list[str]
    restored: list[str]
    reverted: list[str]
    left: list[tuple[str, str]]
    as_of: bool = False

    @property
    def does_anything(self) -> bool:
        """Whether there is anything to put back."""
        return bool(self.removed or self.restored or self.reverted or self.as_of)


class _Plan:
    """What is to become of each package: its state of before, or None where it was not there."""

    def __init__(self) -> None:
        self.back: dict[int, Package | None] = {}
        self.left: list[tuple[str, str]] = []
        self.as_of: Any = ()  # or a tuple of the day as of which the facts held


def undo(
    session: Session,
    change: int | bytes | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    note: str | None = None,
) -> Undone:
    """Put back what a change touched; see `authdb.AuthDB.undo`."""
    session.root  # noqa: B018 - raises where it is closed
    if not dry_run:
        session.writable()
    session.index_edited()
    objects = session.pair.objects
    assert objects is not None
    past = Past(objects)
    position = 0 if change is None else past.find(change)
    number = past.number(past[position])
    if position + 1 == len(past):
        raise NoSuchMoment(
            session.path,
            f"c{number} cannot be undone: "
            + ("what was there before it was packed away" if number else "it made the database"),
        )
    kinds = touched_by(past, position, objects)
    docids = sorted(docid for kind in KINDS for docid in kinds[kind])
    before, after = (objects.state(past[each].tid) for each in (position + 1, position))
    with before as old, after as new:
        plan = _plan(session.root, old, new, docids, force)
    its_note = past[position].note.decode("utf-8", "replace")
    undone = _told(session.root, plan, number, its_note)
    if not dry_run and undone.does_anything:
        with session.change(note or _note(number, its_note)) as changes:
            _put_back(session, plan, changes)
    return undone


def _note(number: int, note: str) -> str:
    # What was undone there is said there; else the notes of undone undoes would grow.
    return f"undo c{number}" + (f": {note}" if note and not note.startswith("undo c") else "")


# -- planning --------------------------------------------------------------------------------


def _plan(root: Any, before: Any, after: Any, docids: Iterable[int], force: bool) -> _Plan:
    plan = _Plan()
    for docid in docids:
        then, made = before["packages"].get(docid), after["packages"].get(docid)
        now = root["packages"].get(docid)
        if _same(now, then) or _same(made, then):
            continue
        if then is not None and not then.is_intact():
            plan.left.append((then.name, "what it was before is damaged: see authdb check"))
        elif force or _same(now, made):
            plan.back[docid] = None if then is None else then.copy()
        else:
            name = (now or then or made).name
            plan.left.append((name, "it was removed since" if now is None else "changed since"))
    _leave_taken_names(root, plan)
    days = [each.get("as_of") for each in (before, after, root)]
    if days[0] not in days[1:] and (force or days[1] == days[2]):
        plan.as_of = (days[0],)
    return plan


def _same(one: Package | None, other: Package | None) -> bool:
    if one is None or other is None:
        return one is other
    return not one.differs_from(other)


def _leave_taken_names(root: Any, plan: _Plan) -> None:
    """Leave alone what would take a name that another package has now, and keeps."""
    docids, taken = root["docids"], True
    while taken:
        taken = False
        for docid, package in list(plan.back.items()):
            if package is None:
                continue
            holder = docids.get(package.name)
            if holder is not None and holder != docid and holder not in plan.back:
                # No matter of force: the other package is no part of the change.
                plan.left.append((package.name, "another package is called so now"))
                del plan.back[docid]
                taken = True


def _told(root: Any, plan: _Plan, number: int, note: str) -> Undone:
    undone = Undone(number, note, [], [], [], plan.left, bool(plan.as_of))
    for docid, package in plan.back.items():
        now = root["packages"].get(docid)
        if package is None:
            undone.removed.append(now.name)
        else:
            (undone.restored if now is None else undone.reverted).append(package.name)
    return undone


# -- doing -----------------------------------------------------------------------------------


def _put_back(session: Session, plan: _Plan, changes: Changes) -> None:
    root, catalog = session.root, session.pair.catalog
    packages, docids = root["packages"], root["docids"]
    # All the names are freed first: packages may have swapped them.
    for docid, then in plan.back.items():
        now = packages.get(docid)
        if now is not None:
            del docids[now.name]
            if then is None or then.name != now.name:
                give_up(root, now.name)
    for docid, then in plan.back.items():
        now = packages.get(docid)
        if then is None:
            catalog.unindex_doc(docid)
            changes.edited.pop(id(now), None)
            del packages[docid]
        else:
            docids[then.name] = docid
            if now is None:
                packages[docid] = now = then
                root._p_jar.add(now)
                changes.added.add(docid)
            else:
                now.become(then)
            catalog.reindex_doc(docid, now)
            changes.edited[id(now)] = Edited(now, dict(vars(now)))
        changes.docids.add(docid)
    if plan.as_of:
        (root["as_of"],) = plan.as_of
        changes.about = True
