"""Answering a question on the trees of a catalog: always possible, always right.

Each leaf of a question becomes a `Part` over the trees of its index. How many it matches is
estimated from few records, counted without making a set where that can be done, and a docid is
tested in the reverse index where a set would be large.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import chain
from typing import Any

import BTrees

from authdb.indexes import NameIndex, Span
from authdb.lengths import Lengths
from authdb.postings import AllOf, AnyOf, Docids, Given, Part, Test, operand
from authdb.questions import Between, Join, Keywords, Listed, Meet, Node, Question, Text
from authdb.searching import Search

__all__ = ["OPEN", "Matching", "Trees", "descending"]

IF = BTrees.family32.IF


class Trees:
    """A catalog's trees, as they are now.

    :param catalog: gives the catalog when it is first needed
    :param lengths: gives the `Lengths` that are kept of a text index; None where none are
    """

    def __init__(
        self,
        catalog: Callable[[], Any],
        lengths: Callable[[str, Any], Lengths | None] | None = None,
    ) -> None:
        self.catalog, self.lengths = catalog, lengths
        self._parts: dict[Node, Part] = {}

    def index(self, name: str) -> Any:
        """The index of that name."""
        return self.catalog()[name]

    # -- questions ---------------------------------------------------------------------------

    def part(self, node: Node) -> Part:
        """What a node matches."""
        part = self._parts.get(node)
        if part is None:
            part = self._parts[node] = _PARTS[type(node)](self, node)
        return part

    def tested(self) -> set[Node]:
        """The nodes of which no set was made, because all that others had left was tested."""
        parts = (part for part in self._parts.values() if isinstance(part, AllOf))
        tested = {id(each) for part in parts for each in part.tested}
        return {node for node, part in self._parts.items() if id(part) in tested}

    def search(self, text: Text) -> Search:
        """A search, which can also weigh."""
        part = self.part(text)
        assert isinstance(part, Search)
        return part

    def matching(self, question: Question) -> Matching:
        """What a question matches, to be counted, tested or made."""
        part = self.part(question.root)
        if not part.countable:
            part = Given(part.docids())
        return Matching(self, part, question.negated)

    def test(self, question: Question) -> Test:
        """Whether a question matches a document that there is, without making a set."""
        return Matching(self, self.part(question.root), question.negated).test()

    # -- all documents -----------------------------------------------------------------------

    # Every index knows of every document. The names are compact; a catalog that is not ours may
    # have none.

    def _first(self) -> Any:
        catalog = self.catalog()
        index = catalog.get("name")
        return next(iter(catalog.values()), None) if index is None else index

    def size(self) -> int:
        """How many documents there are."""
        index = self._first()
        if index is None:
            return 0
        if not hasattr(index, "_rev_index"):
            return len(index.docids())
        return int(index.documentCount()) + len(index._not_indexed)

    def exists(self) -> Test:
        """Whether a document is there, as a function of its docid."""
        index = self._first()
        if not hasattr(index, "_rev_index"):
            return operand(() if index is None else index.docids()).__contains__  # type: ignore[no-any-return]
        indexed, missing = index._rev_index, index._not_indexed
        return lambda docid: docid in indexed or docid in missing

    def every(self, reverse: bool = False) -> Iterator[int]:
        """The docids of all documents, in order."""
        index = self._first()
        if index is None:
            return iter(())
        if not hasattr(index, "_rev_index"):
            docids = index.docids()
            return reversed(list(docids)) if reverse else iter(docids)
        if reverse:
            both = descending(index._rev_index), descending(index._not_indexed)
        else:
            both = iter(index._rev_index), iter(index._not_indexed)
        return merge(*both, reverse=reverse)

    # -- in the order of a field -------------------------------------------------------------

    def walk(self, name: str, span: Span, reverse: bool) -> Iterator[int]:
        """The docids with a value within ``span``, in the order of (value, docid); with
        ``reverse`` the highest value first, but equal ones ascending all the same."""
        tree = self.index(name)._fwd_index
        if not reverse:
            return chain.from_iterable(tree.values(*span))
        return chain.from_iterable(map(tree.__getitem__, descending(tree, span)))

    def without(self, name: str) -> Docids:
        """The docids that have no value in a field."""
        return self.index(name)._not_indexed

    def within(self, name: str, span: Span) -> int:
        """About how many have a value within ``span``."""
        index = self.index(name)
        return int(index.documentCount()) if span == OPEN else _Range(index, (span,)).size


class Matching:
    """What a question matches.

    :param negated: whether all but ``part`` is meant
    """

    __slots__ = ("_negated", "_part", "_trees")

    def __init__(self, trees: Trees, part: Part, negated: bool) -> None:
        self._trees, self._part, self._negated = trees, part, negated

    def count(self) -> int:
        """How many docids."""
        count = self._part.count()
        return self._trees.size() - count if self._negated else count

    def docids(self) -> Docids:
        """The docids; as those of `Part`, to be read at once."""
        docids = self._part.docids()
        if not self._negated:
            return docids
        every = list(self._trees.every())
        return IF.difference(operand(every), operand(docids)) if docids else every

    def test(self) -> Test:
        """Whether a document that there is matches."""
        test = self._part.test()
        return (lambda docid: not test(docid)) if self._negated else test

    @property
    def everything(self) -> bool:
        """Whether all documents match."""
        # The size may be an estimate.
        return self._negated and not self._part.size and not self._part.docids()


OPEN: Span = (None, None, False, False)


def descending(tree: Any, span: Span = OPEN) -> Iterator[Any]:
    """The keys of ``tree`` that are within ``span``, the highest first."""
    low, high, exclude_low, exclude_high = span
    try:
        key = tree.maxKey() if high is None else tree.maxKey(high)
    except ValueError:  # there is none
        return
    if not isinstance(key, int):
        # There is no next lower text to be asked for, and BTrees go forward only.
        yield from reversed(list(tree.keys(*span)))
        return
    if exclude_high and key == high:
        high = key = key - 1
    while True:
        try:
            key = tree.maxKey(key)
        except ValueError:
            return
        if low is not None and (key < low or (exclude_low and key == low)):
            return
        yield key
        key -= 1


# -- leaves --------------------------------------------------------------------------------------


class _Range(Part):
    """Documents with a value in a range, or in one of several, of an index."""

    __slots__ = ("_index", "_spans")

    def __init__(self, index: Any, spans: Any) -> None:
        self._index, self._spans = index, spans
        self.size = sum(map(self._estimate, spans))

    @property
    def countable(self) -> bool:
        return True

    def _estimate(self, span: Span) -> int:
        tree, low = self._index._fwd_index, span[0]
        if low is not None and low == span[1]:
            return len(tree.get(low, ()))
        if isinstance(self._index, NameIndex):
            # To count the names would read every record of them.
            return int(self._index.documentCount()) // 3
        values = len(tree)
        return len(tree.keys(*span)) * int(self._index.documentCount()) // values if values else 0

    def _postings(self) -> Iterator[Any]:
        values = self._index._fwd_index.values
        return chain.from_iterable(values(*span) for span in self._spans)

    def docids(self) -> Docids:
        postings = list(self._postings())
        return postings[0] if len(postings) == 1 else IF.multiunion(postings)

    def count(self) -> int:
        # No document has two values.
        return sum(map(len, self._postings()))

    def test(self) -> Test:
        value = self._index._rev_index.get
        if len(self._spans) == 1:
            return _within(value, self._spans[0])
        lows, highs = [span[0] for span in self._spans], [span[1] for span in self._spans]

        def test(docid: int) -> bool:
            known = value(docid)
            if known is None:
                return False
            place = bisect_right(lows, known) - 1
            return place >= 0 and bool(known <= highs[place])

        return test


def _within(value: Callable[[int], Any], span: Span) -> Test:
    low, high, exclude_low, exclude_high = span

    def test(docid: int) -> bool:
        known = value(docid)
        return (
            known is not None
            and (low is None or (known > low if exclude_low else known >= low))
            and (high is None or (known < high if exclude_high else known <= high))
        )

    return test


def _between(trees: Trees, node: Any) -> Part:
    index = trees.index(node.index)
    if len(node.spans) == 1 and node.spans[0][0] is not None:
        low, high, *_ = node.spans[0]
        if low == high:
            return Given(index._fwd_index.get(low, ()))
    return _Range(index, node.spans)


def _keywords(trees: Trees, node: Any) -> Part:
    postings = trees.index(node.index)._fwd_index
    parts = [Given(postings.get(word, ())) for word in node.words]
    if len(parts) == 1:
        return parts[0]
    return AllOf(parts) if node.every else AnyOf(parts)


def _text(trees: Trees, node: Any) -> Part:
    index = trees.index(node.index)
    kept = None if trees.lengths is None else trees.lengths(node.index, index.index)
    return Search(index, node.tree, kept)


def _meet(trees: Trees, node: Any) -> Part:
    return AllOf(_each(trees, node.wanted), _each(trees, node.unwanted))


def _each(trees: Trees, nodes: Iterable[Node]) -> list[Part]:
    return [trees.part(node) for node in nodes]


_PARTS: dict[type, Callable[[Trees, Any], Part]] = {
    Between: _between,
    Keywords: _keywords,
    Text: _text,
    Listed: lambda trees, node: Given(node.docids),
    Meet: _meet,
    Join: lambda trees, node: AnyOf(_each(trees, node.parts)),
}
