"""Answering a question on columns: sets of ranks as bitmaps, ranges as runs.

What `authdb.ontrees` does in time that grows with what matches, this does in a few steps for each
65,536 packages. The packages that were changed since the columns were made are masked out here,
and judged one by one on the trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from authdb.columns import KEYWORDS, Columns
from authdb.ontrees import Trees
from authdb.questions import Between, Join, Keywords, Listed, Meet, Node, Question, Text

if TYPE_CHECKING:
    from pyroaring import BitMap

__all__ = ["RANKED", "Ranks", "Window"]

#: The order of ranks.
RANKED = "last_update"


class Window:
    """The ranks of a bitmap from ``start`` to before ``stop``: two bounds are kept in a shorter
    time than a bitmap of what is between them is made."""

    __slots__ = ("_size", "bitmap", "start", "stop")

    def __init__(self, bitmap: BitMap, start: int, stop: int) -> None:
        self.bitmap, self.start, self.stop = bitmap, start, stop
        self._size = bitmap.range_cardinality(start, stop)

    def __len__(self) -> int:
        return self._size

    def between(self, start: int, stop: int) -> Iterator[int]:
        """Those from ``start`` to before ``stop``, ascending; both are within the window."""
        return takewhile(stop.__gt__, self.bitmap.iter_equal_or_larger(start))

    def last(self, stop: int, count: int) -> int | None:
        """The first of the last ``count`` before ``stop``, or of all of them where there are fewer;
        None where there is none."""
        whole = stop == self.stop
        there = self._size if whole else self.bitmap.range_cardinality(self.start, stop)
        if not there:
            return None
        before = self.bitmap.rank(self.start - 1) if self.start else 0
        return self.bitmap[before + there - min(count, there)]

    def made(self) -> BitMap:
        """They, as a bitmap of their own."""
        from pyroaring import BitMap

        return self.bitmap & BitMap(range(self.start, self.stop))


class Ranks:
    """Columns, and the trees for what these do not know.

    Attributes: ``columns``, ``trees``; ``tested``, the nodes whose bitmap was not made, because
    all that others had left was tested.
    """

    def __init__(self, columns: Columns, trees: Trees) -> None:
        self.columns, self.trees = columns, trees
        self._bitmaps: dict[Node, BitMap] = {}
        self.tested: set[Node] = set()

    def matching(self, question: Question) -> BitMap:
        """The ranks that a question matches, without those of dirty packages."""
        found = self.bitmap(question.root)
        if question.negated:
            found = found.flip(0, self.columns.size)
        return found - self.columns.masked if self.columns.dirty else found

    def found(self, question: Question) -> BitMap | range | Window:
        """As `matching`, in the form that is had soonest."""
        root, columns = question.root, self.columns
        if question.negated:
            everything = isinstance(root, Join) and not root.parts and not columns.dirty
            return range(columns.size) if everything else self.matching(question)
        runs: list[Node] = []
        others: list[Node] = []
        for part in root.wanted if isinstance(root, Meet) else (root,):
            dated = isinstance(part, Between) and part.index == RANKED and len(part.spans) == 1
            (runs if dated else others).append(part)
        if not runs or any(map(self.dear, others)):
            return self.matching(question)
        assert isinstance(runs[0], Between)
        start, stop = columns.run(RANKED, *runs[0].spans[0])  # there is one: see `questions`
        if others:
            unwanted = root.unwanted if isinstance(root, Meet) else ()
            rest = Question(Meet(others, unwanted) if len(others) > 1 or unwanted else others[0])
            return Window(self.matching(rest), start, stop)
        if isinstance(root, Meet) or columns.dirty:
            return self.matching(question)
        return range(start, stop)

    def dirty(self, question: Question) -> list[int]:
        """The docids, ascending, of the dirty packages that a question matches."""
        if not self.columns.dirty:
            return []
        there = filter(self.trees.exists(), sorted(self.columns.dirty))
        return list(filter(self.trees.test(question), there))

    # -- bitmaps -----------------------------------------------------------------------------

    def bitmap(self, node: Node) -> BitMap:
        """The ranks that a node matches, dirty ones as they may be; not to be changed."""
        found = self._bitmaps.get(node)
        if found is None:
            found = self._bitmaps[node] = _BITMAPS[type(node)](self, node)
        return found

    def size(self, node: Node) -> int:
        """About how many a node matches."""
        if isinstance(node, Between):
            return sum(stop - start for start, stop in self.runs(node))
        if isinstance(node, Keywords):
            counts = [self.columns.count(node.index, word) for word in node.words]
            return min(counts) if node.every else sum(counts)
        if isinstance(node, Meet):
            return min(map(self.size, node.wanted))
        if isinstance(node, Join):
            return sum(map(self.size, node.parts))
        return self.trees.part(node).size

    def runs(self, node: Between) -> Iterator[tuple[int, int]]:
        """Where in the order of its field the packages of a node begin and end."""
        run = self.columns.run
        return (run(node.index, *span) for span in node.spans)

    def _between(self, node: Between) -> BitMap:
        from pyroaring import BitMap

        found = []
        for span in node.spans:
            if node.index in KEYWORDS and span[0] is not None and span[0] == span[1]:
                found.append(self.columns.bitmap(node.index, span[0]))
                continue
            start, stop = self.columns.run(node.index, *span)
            if node.index == RANKED:
                found.append(BitMap(range(start, stop)))
            elif start < stop:
                found.append(self.columns.run_bitmap(node.index, start, stop))
        return _union(found)

    def _keywords(self, node: Keywords) -> BitMap:
        bitmaps = [self.columns.bitmap(node.index, word) for word in node.words]
        return _intersection(bitmaps) if node.every else _union(bitmaps)

    def _text(self, node: Node) -> BitMap:
        return self.columns.ranks_of(list(self.trees.part(node).docids()))

    def _join(self, node: Join) -> BitMap:
        return _union([self.bitmap(part) for part in node.parts])

    def _meet(self, node: Meet) -> BitMap:
        ready = [self.bitmap(part) for part in node.wanted if not self.dear(part)]
        found = _intersection(ready) if ready else None
        for part in sorted(filter(self.dear, node.wanted), key=self.size):
            found = self.bitmap(part) if found is None else self._both(found, part)
        assert found is not None  # at least one is wanted
        for part in node.unwanted:
            if not found:
                break
            if self.dear(part):
                found = found - self._both(found, part)
            else:
                found = found - self.bitmap(part)
        return found

    def dear(self, node: Node) -> bool:
        """Whether its bitmap has first to be made, rank by rank."""
        if isinstance(node, Between):
            points = node.index in KEYWORDS and all(low == high for low, high, *_ in node.spans)
            return node.index != RANKED and not points
        return isinstance(node, (Text, Listed))

    #: A rank is tested in about the time in which so many are put into a bitmap.
    TEST = 2

    def _both(self, found: BitMap, node: Node) -> BitMap:
        """What of ``found`` a dear node matches."""
        from pyroaring import BitMap

        if node in self._bitmaps or self.size(node) < self.TEST * len(found):
            return found & self.bitmap(node)
        self.tested.add(node)
        if not isinstance(node, Between):
            test, docids = self.trees.part(node).test(), self.columns.docids
            return BitMap([rank for rank in found if test(docids[rank])])
        group, kept = self.columns.group(node.index), []
        order = self.columns.order(node.index)
        for start, stop in self.runs(node):
            if start < stop:
                low, high = group[order[start]], group[order[stop - 1]]
                kept.append(BitMap([rank for rank in found if low <= group[rank] <= high]))
        return _union(kept)


_BITMAPS: dict[type, Callable[[Ranks, Any], BitMap]] = {
    Between: Ranks._between,
    Keywords: Ranks._keywords,
    Text: Ranks._text,
    Listed: Ranks._text,
    Meet: Ranks._meet,
    Join: Ranks._join,
}


def _union(bitmaps: list[BitMap]) -> BitMap:
    from pyroaring import BitMap

    if len(bitmaps) == 1:
        return bitmaps[0]
    if len(bitmaps) == 2:
        return bitmaps[0] | bitmaps[1]
    return BitMap.union(*bitmaps) if bitmaps else BitMap()


def _intersection(bitmaps: list[BitMap]) -> BitMap:
    bitmaps.sort(key=len)
    found = bitmaps[0]
    for bitmap in bitmaps[1:]:
        found = found & bitmap
    return found
