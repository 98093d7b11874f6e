"""How long texts are: what their weights in a search depend on, kept in memory for one state."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Lengths", "Texts"]


class Lengths:
    """How many words the documents of one text index have, kept in memory for one state of it.

    From the tree each length costs several times as much, and to take them all from there costs
    as much as some of them one by one. So they are taken once so many have been asked for.

    :param okapi: zope.index's index
    """

    #: They are taken when one in so many has been asked for.
    SHARE = 4
    #: Where there are more than so many docids in use or not for each document, never.
    SPREAD = 8

    def __init__(self, okapi: Any) -> None:
        self._tree, self._count = okapi._docweight, okapi.documentCount()
        self._asked = 0
        self._array: Sequence[int] | None = None

    def of(self, wanted: int) -> Callable[[int], float]:
        """A function from a docid to its length, to be called about ``wanted`` times."""
        if self._array is None:
            self._asked += wanted
            if self._asked * self.SHARE > self._count:
                self._take()
        return (self._tree if self._array is None else self._array).__getitem__

    def _take(self) -> None:
        numbers = self._tree.maxKey() + 1 if self._tree else 0
        if numbers > self.SPREAD * self._count:
            return
        lengths = array("i", bytes(4 * numbers))
        for docid, length in self._tree.items():
            lengths[docid] = int(length)
        self._array = lengths


class Texts:
    """The `Lengths` of all text indexes, for one state at a time."""

    def __init__(self) -> None:
        self._state: object = None
        self._kept: dict[str, Lengths] = {}

    def at(self, state: object, name: str, okapi: Any) -> Lengths:
        """Those of an index (its name, and zope.index's index) in that state."""
        if state != self._state:
            self._state, self._kept = state, {}
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = Lengths(okapi)
        return kept
