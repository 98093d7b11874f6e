"""Sets of docids: made, tested or only counted, whichever is the cheapest.

A `Part` of a plan over the trees of a catalog stands for the docids that one part of a question
matches. It knows about how many they are before any is looked at. So an intersection begins with
the smallest, and where another one is much larger, its set is not made at all: each docid that is
left is held against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import BTrees

__all__ = ["AllOf", "AnyOf", "Docids", "Given", "Part", "Test", "operand", "union"]

IF = BTrees.family32.IF

#: Ascending docids that can be counted and read again: a set or tree of BTrees, a list or tuple.
Docids = Any
Test = Callable[[int], bool]

#: A docid is held against a set in about the time in which a set is made of so many docids.
TEST = 8


class Part(ABC):
    """What a part of a question matches.

    Attribute: ``size``, about how many docids.
    """

    __slots__ = ("size",)

    size: int

    @property
    def countable(self) -> bool:
        """Whether they are counted without making a set."""
        return False

    @abstractmethod
    def docids(self) -> Docids:
        """The docids; a live posting list perhaps, so not to be changed, and to be read at once."""

    @abstractmethod
    def test(self) -> Test:
        """Whether a docid is one of them, as a function; the document is there."""

    def count(self) -> int:
        """How many they are."""
        return len(self.docids())


class Given(Part):
    """Docids that are at hand."""

    __slots__ = ("_docids",)

    def __init__(self, docids: Docids) -> None:
        self._docids, self.size = docids, len(docids)

    @property
    def countable(self) -> bool:
        return True

    def docids(self) -> Docids:
        return self._docids

    def test(self) -> Test:
        return operand(self._docids).__contains__  # type: ignore[no-any-return]


class AnyOf(Part):
    """What at least one of several parts matches."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.size = sum(part.size for part in parts)

    @property
    def countable(self) -> bool:
        return not self._parts

    def docids(self) -> Docids:
        return union([part.docids() for part in self._parts])

    def test(self) -> Test:
        tests = [part.test() for part in self._parts]
        if len(tests) == 2:
            one, two = tests
            return lambda docid: one(docid) or two(docid)
        return lambda docid: any(test(docid) for test in tests)


class AllOf(Part):
    """What all of ``wanted`` match and none of ``unwanted``.

    :param wanted: at least one

    Attribute: ``tested``, the parts whose set was not made, because all that others had left was
    tested.
    """

    __slots__ = ("_unwanted", "_wanted", "tested")

    def __init__(self, wanted: Sequence[Part], unwanted: Sequence[Part] = ()) -> None:
        self._wanted = sorted(wanted, key=lambda part: part.size)
        self._unwanted = sorted(unwanted, key=lambda part: -part.size)
        self.size = self._wanted[0].size
        self.tested: list[Part] = []

    def docids(self) -> Docids:
        found = self._wanted[0].docids()
        for part in self._wanted[1:]:
            if not found:
                return found
            if part.size > TEST * len(found):
                found = list(filter(part.test(), found))
                self.tested.append(part)
            else:
                # Not weightedIntersection: that allocates weights that nobody reads.
                found = IF.intersection(operand(found), operand(part.docids()))
        for part in self._unwanted:
            if not found:
                break
            if part.size > TEST * len(found):
                test = part.test()
                self.tested.append(part)
                found = [docid for docid in found if not test(docid)]
            else:
                found = IF.difference(operand(found), operand(part.docids()))
        return found

    def test(self) -> Test:
        tests = [part.test() for part in self._wanted]
        unwanted = [part.test() for part in self._unwanted]
        if unwanted:
            return lambda docid: (
                all(test(docid) for test in tests) and not any(test(docid) for test in unwanted)
            )
        if len(tests) == 2:
            one, two = tests
            return lambda docid: one(docid) and two(docid)
        return lambda docid: all(test(docid) for test in tests)


def operand(docids: Docids) -> Any:
    """``docids`` as BTrees' operations take them."""
    return IF.Set(docids) if isinstance(docids, (list, tuple)) else docids


def union(several: Iterable[Docids]) -> Docids:
    """The docids of all of these."""
    sets = list(several)
    return sets[0] if len(sets) == 1 else IF.multiunion(sets)
