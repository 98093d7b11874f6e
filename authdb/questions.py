"""A query, read and checked as a whole before any of it is answered.

A plan may never look at some part of a query; but a mistake in it is a mistake all the same. So
each comparison is taken to its index first, which says what of its values is meant. What comes out
is a small tree of its own:

- the leaves are positive: `Between`, `Keywords`, `Text`, `Listed`
- a `Meet` is what all of some parts match, less what any of others match; a `Join` is what any
  part matches. Both are flat: no Meet directly in a Meet
- so a negation is left only at the very top, and the set of all docids is seldom needed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any as AnyType
from typing import NamedTuple

from repoze.catalog.query import Comparator

from authdb.exceptions import QueryError
from authdb.expression import MAX_DEPTH
from authdb.indexes import FieldIndex, KeywordIndex, Span, TextIndex
from authdb.query import (
    QUESTIONS,
    All,
    And,
    Any,
    Contains,
    Eq,
    InRange,
    Not,
    NotInRange,
    Or,
    value_of,
)
from authdb.searching import parse

__all__ = ["Between", "Join", "Keywords", "Listed", "Meet", "Node", "Question", "Text", "read"]


class Node:
    """A part of a question. Each is equal to itself only."""

    __slots__ = ()


class Between(Node):
    """A value of the index in one of ``spans``; they are ascending and do not overlap."""

    __slots__ = ("index", "spans")

    def __init__(self, index: str, spans: Sequence[Span]) -> None:
        self.index, self.spans = index, spans


class Keywords(Node):
    """At least one of ``words``, or every one of them; there is at least one."""

    __slots__ = ("every", "index", "words")

    def __init__(self, index: str, words: Sequence[AnyType], every: bool) -> None:
        self.index, self.words, self.every = index, words, every


class Text(Node):
    """A search. ``value`` is how it was written, ``tree`` what `searching.parse` made of it."""

    __slots__ = ("index", "tree", "value")

    def __init__(self, index: str, value: AnyType, tree: AnyType) -> None:
        self.index, self.value, self.tree = index, value, tree


class Listed(Node):
    """Docids that an index of a kind that is not ours has answered with."""

    __slots__ = ("docids", "index")

    def __init__(self, index: str, docids: AnyType) -> None:
        self.index, self.docids = index, docids


class Meet(Node):
    """What all of ``wanted`` match, of which there is at least one, and none of ``unwanted``."""

    __slots__ = ("unwanted", "wanted")

    def __init__(self, wanted: Sequence[Node], unwanted: Sequence[Node]) -> None:
        self.wanted, self.unwanted = wanted, unwanted


class Join(Node):
    """What any of ``parts`` matches; of none of them, nothing."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Node]) -> None:
        self.parts = parts


class Question(NamedTuple):
    """What is asked: ``root``, or if ``negated`` all but that. ``searches`` are those that give a
    document its relevance: all that are not under a negation."""

    root: Node
    negated: bool = False
    searches: Sequence[Text] = ()


#: A node, and whether it is negated.
_Read = tuple[Node, bool]

Names = Mapping[str, AnyType]
Lookup = Callable[[AnyType], AnyType]


def read(query: AnyType, names: Names | None, index: Lookup) -> Question:
    """Read a query.

    :param query: a query object; None asks for everything
    :param names: values for the `Name` objects in it
    :param index: gives the index of a name; see `authdb.query.index_of`
    :raises QueryError: an unknown index, a question that the index cannot answer, a value that
        makes no sense to it, a name without a value, a tree nested too deeply
    """
    if query is None:
        return Question(Join(()), True, ())
    reader = _Reader(names or {}, index)
    return Question(*reader.read(query, 0, True), reader.searches)


class _Reader:
    def __init__(self, names: Names, index: Lookup) -> None:
        self._names, self._index = names, index
        self.searches: list[Text] = []

    def read(self, query: AnyType, depth: int, weighed: bool) -> _Read:
        """
        :param weighed: whether searches count for the relevance here
        """
        if depth > MAX_DEPTH:
            raise QueryError(f"the query is nested more than {MAX_DEPTH} deep")
        if isinstance(query, Comparator):
            return self._compared(query, weighed)
        if isinstance(query, And):
            return _meet([self.read(part, depth + 1, weighed) for part in query.queries])
        if isinstance(query, Or):
            # a or b == not (not a and not b)
            parts = [self.read(part, depth + 1, weighed) for part in query.queries]
            node, negated = _meet([(node, not negated) for node, negated in parts])
            return node, not negated
        if isinstance(query, Not):
            node, negated = self.read(query.query, depth + 1, False)
            return node, not negated
        raise QueryError(f"a query is text or a query object, not {type(query).__name__}")

    def _compared(self, query: AnyType, weighed: bool) -> _Read:
        try:
            index = self._index(query.index_name)
            question = QUESTIONS.get(type(query))
            if question is None:
                raise QueryError(f"unknown kind of query: {type(query).__name__}")
            asked, opposite = question
            if isinstance(query, (InRange, NotInRange)):
                start, end = value_of(query._start, self._names), value_of(query._end, self._names)
                values: AnyType = start, end, query.start_exclusive, query.end_exclusive
            else:
                values = (value_of(query._value, self._names),)
            weighed = weighed and isinstance(query, (Contains, Eq, Any, All))
            node, negated = self._asked(query.index_name, index, asked, values, weighed)
        except QueryError as error:
            if error.position is None:
                # Where in the text the comparison was read, if it was.
                origin = getattr(query, "origin", (None, None))
                raise QueryError(error.reason, *origin) from None
            raise
        return node, negated is not opposite

    def _asked(
        self, name: str, index: AnyType, asked: str, values: AnyType, weighed: bool
    ) -> _Read:
        if isinstance(index, FieldIndex) and asked in _OF_FIELDS:
            return _between(name, index, asked, values)
        if isinstance(index, KeywordIndex) and asked in _OF_KEYWORDS:
            return _keywords(name, index, asked, values[0])
        if isinstance(index, TextIndex) and asked in _OF_KEYWORDS:
            return self._text(name, index, asked, values[0], weighed)
        docids = getattr(index, f"apply{asked}")(*values)
        # Another kind of text index answers with weights; as a set of docids that is its keys.
        return Listed(name, list(docids.keys()) if hasattr(docids, "items") else docids), False

    def _text(self, name: str, index: AnyType, asked: str, value: AnyType, weighed: bool) -> _Read:
        several = index.each(value) if asked in ("Any", "All") else [value]
        searches = [Text(name, search, parse(index, search)) for search in several]
        if weighed:
            self.searches += searches
        if asked == "All":
            return _meet([(search, False) for search in searches])
        return _join(searches), False


def _between(name: str, index: AnyType, asked: str, values: AnyType) -> _Read:
    if asked not in ("Any", "All"):
        span = index.span(asked, *values)
        return Between(name, () if span is None else (span,)), False
    spans = [index.span("Eq", value) for value in index.each(values[0])]
    if asked == "Any":
        return Between(name, _united([span for span in spans if span is not None])), False
    return _meet([(Between(name, () if span is None else (span,)), False) for span in spans])


def _keywords(name: str, index: AnyType, asked: str, value: AnyType) -> _Read:
    several = index.each(value) if asked in ("Any", "All") else [value]
    words = [None if word is None else index.check(word) for word in several]
    every = asked == "All"
    if every and not words:
        return Join(()), True
    if every and None in words:
        return Join(()), False
    words = [word for word in dict.fromkeys(words) if word is not None]
    return (Keywords(name, words, every) if words else Join(())), False


#: What can be asked of each kind of index.
_OF_FIELDS = ("Eq", "Lt", "Le", "Gt", "Ge", "InRange", "Any", "All")
_OF_KEYWORDS = ("Eq", "Contains", "Any", "All")


def _meet(parts: Sequence[_Read]) -> _Read:
    """What all of these match; of none, everything."""
    wanted: list[Node] = []
    unwanted: list[Node] = []
    for node, negated in parts:
        if negated:
            unwanted.extend(node.parts if type(node) is Join else (node,))
        elif type(node) is Meet:
            wanted.extend(node.wanted)
            unwanted.extend(node.unwanted)
        else:
            wanted.append(node)
    if not wanted:
        return _join(unwanted), True
    if len(wanted) > 1:
        wanted = _narrowed(wanted)
    if len(wanted) == 1 and not unwanted:
        return wanted[0], False
    return Meet(wanted, unwanted), False


def _join(parts: Sequence[Node]) -> Node:
    """What any of these matches."""
    return parts[0] if len(parts) == 1 else Join(_widened(parts))


def _narrowed(wanted: Sequence[Node]) -> list[Node]:
    """As few of these as mean the same: several ranges of one index are one range."""
    ranges: dict[str, Between] = {}
    others: list[Node] = []
    for node in wanted:
        if type(node) is not Between or len(node.spans) > 1:
            others.append(node)
        elif node.index not in ranges:
            ranges[node.index] = node
        else:
            before = ranges[node.index]
            both = before.spans and node.spans and _overlap(before.spans[0], node.spans[0])
            ranges[node.index] = Between(node.index, (both,) if both else ())
    return [*ranges.values(), *others]


def _overlap(one: Span, two: Span) -> Span | None:
    """What is in both; None where nothing is."""
    low, high, exclude_low, exclude_high = one
    if two[0] is not None and (low is None or two[0] >= low):
        exclude_low = two[2] or (exclude_low and two[0] == low)
        low = two[0]
    if two[1] is not None and (high is None or two[1] <= high):
        exclude_high = two[3] or (exclude_high and two[1] == high)
        high = two[1]
    if low is None or high is None or low < high:
        return low, high, exclude_low, exclude_high
    single = low == high and not (exclude_low or exclude_high)
    return (low, high, False, False) if single else None


def _widened(parts: Sequence[Node]) -> list[Node]:
    """As few of these as mean the same: thousands of ``license == ...`` are one part."""
    points: dict[str, list[Span]] = {}
    others: list[Node] = []
    for node in parts:
        if type(node) is Between and all(_closed(span) for span in node.spans):
            points.setdefault(node.index, []).extend(node.spans)
        else:
            others.append(node)
    return [*(Between(index, _united(spans)) for index, spans in points.items()), *others]


def _closed(span: Span) -> bool:
    return span[0] is not None and span[1] is not None and not (span[2] or span[3])


def _united(spans: Sequence[Span]) -> Sequence[Span]:
    """Closed spans, ascending, without overlaps."""
    if len(spans) < 2:
        return spans
    united: list[Span] = []
    for span in sorted(spans, key=lambda span: span[0]):
        if united and span[0] <= united[-1][1]:
            if span[1] > united[-1][1]:
                united[-1] = (united[-1][0], span[1], False, False)
        else:
            united.append(span)
    return united
