"""Answering a question on columns: sets of ranks as bitmaps, ranges as runs.

What `authdb.ontrees` does in time that grows with what matches, this does in a few steps for each
65,536 packages. The packages that were changed since the columns were made are masked out here,
and judged one by one on the trees.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from authdb.columns import KEYWORDS, Columns
from authdb.indexes import Span
from authdb.ontrees import Trees
from authdb.questions import Between, Join, Keywords, Listed, Meet, Node, Question, Text

if TYPE_CHECKING:
    from pyroaring import BitMap

__all__ = ["RANKED", "Ranks", "Unmade", "Window"]

#: The order of ranks.
RANKED = "last_update"


class Window:
    """The ranks of a bitmap from ``start`` to before ``stop``: two bounds are kept in a shorter
    time than a bitmap of what is between them is made."""

    __slots__ = ("_made", "start", "stop")

    def __init__(self, made: BitMap | None, start: int, stop: int) -> None:
        self._made, self.start, self.stop = made, start, stop

    @property
    def bitmap(self) -> BitMap:
        """The bitmap; not to be changed."""
        assert self._made is not None
        return self._made

    def __len__(self) -> int:
        return self.bitmap.range_cardinality(self.start, self.stop)

    def made(self) -> BitMap:
        """They, as a bitmap of their own."""
        return self.bitmap & _run(self.start, self.stop)

    def near(self, start: int, stop: int) -> array[int]:
        """Those from ``start`` to before ``stop``, ascending; both are within the window."""
        return (self.bitmap & _run(start, stop)).to_array()

    def reach(self, count: int) -> int:
        """In about how many ranks there are so many; it may be wrong."""
        return count * (self.stop - self.start) // (len(self) or 1)


class Unmade(Window):
    """A window on the bitmap of a question, which is made when it is first needed.

    As long as only a few of one end are shown, and nobody counts all, what is `near` that end will
    do: it takes no longer of a million packages than of ten thousand. All that it needs of the
    columns it has, so that both tell what there was when the question was put.
    """

    __slots__ = ("_question", "_ranks")

    def __init__(self, ranks: Ranks, question: Question, start: int, stop: int) -> None:
        self._made, self.start, self.stop = None, start, stop
        self._ranks, self._question = ranks, question

    @property
    def bitmap(self) -> BitMap:
        if self._made is None:
            self._made = self._ranks.matching(self._question)
        return self._made

    def near(self, start: int, stop: int) -> array[int]:
        if self._made is not None:
            return super().near(start, stop)
        return self._ranks.stretch(start, stop).matching(self._question).to_array()

    def reach(self, count: int) -> int:
        size, ranks = self._ranks.size(self._question.root), self._ranks.columns.size
        return count * ranks // max(1, ranks - size if self._question.negated else size)


class Ranks:
    """Columns, and the trees for what these do not know.

    Attributes: ``columns``, ``trees``; ``tested``, the nodes whose bitmap was not made, because
    all that others had left was tested.
    """

    __slots__ = ("_bitmaps", "_only", "_words", "columns", "tested", "trees")

    def __init__(self, columns: Columns, trees: Trees) -> None:
        self.columns, self.trees = columns, trees
        self.tested: set[Node] = set()
        self._bitmaps: dict[Node, BitMap] = {}
        self._words: dict[Node, list[BitMap]] = {}  # see `_bitmaps_of`
        self._only: BitMap | None = None  # see `stretch`

    def stretch(self, start: int, stop: int) -> Ranks:
        """The same, as if there were no ranks but those from ``start`` to before ``stop``."""
        other = Ranks(self.columns, self.trees)
        other._only, other._words = _run(start, stop), self._words
        return other

    def matching(self, question: Question) -> BitMap:
        """The ranks that a question matches, without those of dirty packages."""
        found = self.bitmap(question.root)
        if question.negated:
            every = self._only
            found = found.flip(0, self.columns.size) if every is None else every - found
        return found - self.columns.masked if self.columns.dirty else found

    def found(self, question: Question) -> BitMap | range | Window:
        """As `matching`, in the form that is had soonest."""
        root, columns = question.root, self.columns
        if question.negated:
            everything = isinstance(root, Join) and not root.parts and not columns.dirty
            return range(columns.size) if everything else self.matching(question)
        run, others = _parted(root)
        if run is None or any(map(self.dear, others)):
            return self.matching(question)
        start, stop = columns.run(RANKED, *run)
        if others:
            return Window(self.matching(_rest(root, others)), start, stop)
        if isinstance(root, Meet) or columns.dirty:
            return self.matching(question)
        return range(start, stop)

    def window(self, question: Question) -> Unmade | None:
        """As `found`, of a question of which only a few will be shown, in the order of ranks; None
        where `found` is as soon there."""
        root, start, stop = question.root, 0, self.columns.size
        if not question.negated:
            run, others = _parted(root)
            if run is not None:
                if not others:
                    return None
                start, stop = self.columns.run(RANKED, *run)
                question = _rest(root, others)
        if not self._hold(question.root):
            return None
        if self.columns.dirty:
            self.columns.masked  # noqa: B018 - is made now
        return Unmade(self, question, start, stop)

    def _hold(self, node: Node) -> bool:
        """Take out of the columns what a node will be answered from, so that they may be closed
        before; False where more is needed than bitmaps that there are."""
        if isinstance(node, Meet):
            return all(map(self._hold, node.wanted)) and all(map(self._hold, node.unwanted))
        if isinstance(node, Join):
            return bool(node.parts) and all(map(self._hold, node.parts))
        if isinstance(node, Keywords) or (isinstance(node, Between) and _points(node)):
            self._bitmaps_of(node)
            return True
        return False

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
            if node in self._words:
                counts = [len(bitmap) for bitmap in self._words[node]]
            else:
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
        if _points(node):
            return self._any(self._bitmaps_of(node))
        found = []
        for start, stop in self.runs(node):
            if node.index == RANKED:
                found.append(_run(start, stop))
            elif start < stop:
                found.append(self.columns.run_bitmap(node.index, start, stop))
        return self._any(found)

    def _any(self, bitmaps: list[BitMap]) -> BitMap:
        only = self._only
        return _union(bitmaps if only is None else [bitmap & only for bitmap in bitmaps])

    def _keywords(self, node: Keywords) -> BitMap:
        bitmaps = self._bitmaps_of(node)
        if not node.every:
            return self._any(bitmaps)
        return _intersection(bitmaps if self._only is None else [self._only, *bitmaps])

    def _bitmaps_of(self, node: Keywords | Between) -> list[BitMap]:
        """What the columns have for each word of a node, of all ranks."""
        found = self._words.get(node)
        if found is None:
            bitmap = self.columns.bitmap
            words = node.words if isinstance(node, Keywords) else [low for low, *_ in node.spans]
            found = self._words[node] = [bitmap(node.index, word) for word in words]
        return found

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
            return node.index != RANKED and not _points(node)
        return isinstance(node, (Text, Listed))

    #: A rank is tested in about the time in which so many are put into a bitmap.
    TEST = 2

    def _both(self, found: BitMap, node: Node) -> BitMap:
        """What of ``found`` a dear node matches."""
        if node in self._bitmaps or self.size(node) < self.TEST * len(found):
            return found & self.bitmap(node)
        self.tested.add(node)
        if not isinstance(node, Between):
            test, docids = self.trees.part(node).test(), self.columns.docids
            return _bitmap()([rank for rank in found if test(docids[rank])])
        group, kept = self.columns.group(node.index), []
        order = self.columns.order(node.index)
        for start, stop in self.runs(node):
            if start < stop:
                low, high = group[order[start]], group[order[stop - 1]]
                kept.append(_bitmap()([rank for rank in found if low <= group[rank] <= high]))
        return _union(kept)


_BITMAPS: dict[type, Callable[[Ranks, Any], BitMap]] = {
    Between: Ranks._between,
    Keywords: Ranks._keywords,
    Text: Ranks._text,
    Listed: Ranks._text,
    Meet: Ranks._meet,
    Join: Ranks._join,
}


def _parted(root: Node) -> tuple[Span | None, list[Node]]:
    """What a question wants of the order of ranks, if it is one range, and what else it wants."""
    run: Span | None = None
    others: list[Node] = []
    for part in root.wanted if isinstance(root, Meet) else (root,):
        # There is one at most: see `questions`.
        if isinstance(part, Between) and part.index == RANKED and len(part.spans) == 1:
            run = part.spans[0]
        else:
            others.append(part)
    return run, others


def _rest(root: Node, others: list[Node]) -> Question:
    """A question for ``others``, and for nothing that it does not want."""
    unwanted = root.unwanted if isinstance(root, Meet) else ()
    return Question(Meet(others, unwanted) if len(others) > 1 or unwanted else others[0])


def _points(node: Between) -> bool:
    """Whether it asks for values of which there are bitmaps."""
    return node.index in KEYWORDS and all(
        low is not None and low == high for low, high, *_ in node.spans
    )


@cache
def _bitmap() -> type[BitMap]:
    """The class, imported only where there are columns to be asked, and only once."""
    from pyroaring import BitMap

    return BitMap


def _run(start: int, stop: int) -> BitMap:
    return _bitmap()(range(start, stop))


def _union(bitmaps: list[BitMap]) -> BitMap:
    if len(bitmaps) == 2:
        return bitmaps[0] | bitmaps[1]
    if len(bitmaps) == 1:
        return bitmaps[0]
    return _bitmap().union(*bitmaps) if bitmaps else _bitmap()()


def _intersection(bitmaps: list[BitMap]) -> BitMap:
    bitmaps.sort(key=len)
    found = bitmaps[0]
    for bitmap in bitmaps[1:]:
        found = found & bitmap
    return found
