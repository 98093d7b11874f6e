"""What an open transaction has done so far to the packages of a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from authdb.models import Package

__all__ = ["Changes", "Edited"]


class Edited(NamedTuple):
    """A package whose fields were set; what is indexed of it, None where that is not known; and its
    docid, None where that has to be found out."""

    package: Package
    indexed: dict[str, Any] | None = None
    docid: int | None = None


class Changes:
    """What the open transaction has done so far."""

    def __init__(self) -> None:
        self.docids: set[int] = set()
        self.added: set[int] = set()  # of these
        self.broken = False  # whether a change failed half-way
        self.about = False  # whether what is said of the whole was changed
        #: What became of the docids, where they were changed past the objects in memory.
        self.merged: Mapping[str, Iterable[int]] | None = None
        #: Packages whose fields were set, by their id(). ZODB says only once in a transaction that
        #: an object changes, so each has to be looked at.
        self.edited: dict[int, Edited] = {}
        #: Those of which it is not known what is indexed, nor whether they are still there, since
        #: objects were put back as they were at a savepoint.
        self.unsure: set[int] = set()
        self.taken_back = False  # whether that was ever so

    def take_back(self) -> None:
        """Note that objects were put back."""
        self.taken_back = True
        self.unsure |= self.docids
        self.edited = {key: Edited(edit.package) for key, edit in self.edited.items()}

    def kinds(self, packages: Any, moved: bool) -> Mapping[str, Iterable[int]]:
        """The docids by what became of them (see `authdb.generations.KINDS`).

        :param packages: those that there are now
        :param moved: whether any may have come or gone
        """
        if self.merged is not None:
            return self.merged
        if not (moved or self.taken_back):
            return {"changed": self.docids}
        left = {docid for docid in self.docids if docid in packages}
        return {
            "added": left & self.added,
            "changed": left - self.added,
            "removed": self.docids - left - self.added,
        }
