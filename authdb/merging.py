"""Packages in great number into a catalogue that has more already: merged into its trees.

See `authdb.grafting` and `authdb.reindexing` for how; this is the transaction around that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Protocol

from authdb.grafting import Graft
from authdb.models import Package, Recorder
from authdb.reindexing import State, index_all
from authdb.transactions import Session, Transaction

__all__ = ["Batch", "merge"]


class Batch(Protocol):
    """Packages to be added and changed."""

    #: The day as of which the facts hold from now on; None to leave it.
    as_of: date | None

    def added(self) -> Iterator[tuple[str, Mapping[str, Any], bytes]]:
        """Name, state and finished record of each new package, in the order of the docids that
        they get."""

    def changed(self) -> Iterator[tuple[int, Package, Mapping[str, Any]]]:
        """Docid, the stored package, and the new state of each package that changes. Names stay."""


def merge(session: Session, batch: Batch, note: str | None) -> None:
    """Add and change packages, in a transaction of its own.

    :raises DatabaseError: it could not be written; nothing of it was
    """
    with Transaction(session, note) as changes:
        pair, root = session.pair, session.root
        assert pair.objects is not None and pair.catalogs is not None
        objects, catalogs = Graft(pair.objects), Graft(pair.catalogs)
        first = root["next_docid"]
        with pair.objects.damage_told():
            changed = _changed(objects, batch)
            added = _added(objects, root, batch)
        with pair.catalogs.damage_told():
            index_all(catalogs, pair.catalog, changed | added, first)
        root["next_docid"] = first + len(added)
        if batch.as_of is not None and batch.as_of != root.get("as_of"):
            root["as_of"] = batch.as_of
            changes.about = True
        changes.merged = {"changed": list(changed), "added": range(first, first + len(added))}
        changes.docids.update(changed, added)
        objects.put()
        catalogs.put()


#: Docids, ascending; the state before, None where there was none, and the state after.
Edits = dict[int, "tuple[State | None, State]"]


def _changed(objects: Graft, batch: Batch) -> Edits:
    """The states before and after of the packages that change, whose records are taken in."""
    record = Recorder()
    edits: Edits = {}
    for docid, package, state in sorted(batch.changed(), key=_docid):
        package._p_activate()
        edits[docid] = dict(vars(package)), state
        objects.write(package._p_oid, record(state))
    return edits


def _added(objects: Graft, root: Any, batch: Batch) -> Edits:
    """The states of the packages that are new, whose records are taken in."""
    edits: Edits = {}
    oids: dict[int, bytes] = {}
    names: dict[str, int] = {}
    for docid, (name, state, record) in enumerate(batch.added(), root["next_docid"]):
        edits[docid], oids[docid], names[name] = (None, state), objects.add(record), docid
    packages, docids = root["packages"], root["docids"]
    objects.merge(packages._p_oid, type(packages), oids, values=Package)
    objects.merge(docids._p_oid, type(docids), dict(sorted(names.items())))
    return edits


def _docid(entry: tuple[Any, ...]) -> int:
    return int(entry[0])
