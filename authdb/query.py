"""Questions about packages: the query objects, their textual form, and how they are answered.

The query objects are repoze.catalog's own (`NotAll` mended). Its way of running them is not used:
there a negation misses packages without a value, or gives the positive answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any as AnyType

import BTrees
from repoze.catalog.query import (
    All,
    And,
    Any,
    Comparator,
    Contains,
    DoesNotContain,
    Eq,
    Ge,
    Gt,
    InRange,
    Le,
    Lt,
    Name,
    Not,
    NotAny,
    NotEq,
    NotInRange,
    Or,
    Query,
)
from repoze.catalog.query import NotAll as _UnmendedNotAll

from authdb.exceptions import QueryError, nearest
from authdb.expression import MAX_DEPTH, NotAll
from authdb.expression import parse as parse_query

__all__ = [
    "All",
    "And",
    "Any",
    "Contains",
    "DoesNotContain",
    "Eq",
    "Ge",
    "Gt",
    "InRange",
    "Le",
    "Lt",
    "Name",
    "Not",
    "NotAll",
    "NotAny",
    "NotEq",
    "NotInRange",
    "Or",
    "Query",
    "matching",
    "parse_query",
    "relevance",
]

IF = BTrees.family32.IF

# Each comparison: the index's method for the positive question, and whether it is negated.
_QUESTIONS: dict[type, tuple[str, bool]] = {
    Eq: ("applyEq", False),
    NotEq: ("applyEq", True),
    Lt: ("applyLt", False),
    Le: ("applyLe", False),
    Gt: ("applyGt", False),
    Ge: ("applyGe", False),
    Any: ("applyAny", False),
    NotAny: ("applyAny", True),
    All: ("applyAll", False),
    NotAll: ("applyAll", True),
    _UnmendedNotAll: ("applyAll", True),
    Contains: ("applyContains", False),
    DoesNotContain: ("applyContains", True),
    InRange: ("applyInRange", False),
    NotInRange: ("applyInRange", True),
}

Names = Mapping[str, AnyType]


def matching(catalog: AnyType, query: AnyType, names: Names | None = None) -> AnyType:
    """The docids that ``query`` matches.

    :param catalog: a mapping of index names to indexes, with a method ``docids()``
    :param query: a query object
    :param names: values for the `Name` objects in it
    :returns: a set of docids (of the family 32, IF); it may be a live one of an index, so it is
        to be read at once and not to be changed
    :raises QueryError: an unknown index, a question that the index cannot answer, a value that
        makes no sense to it, a name without a value, a tree nested too deeply
    """
    docids, complement = _answer(catalog, query, names or {}, 0)
    return IF.difference(catalog.docids(), docids) if complement else docids


# An answer is a set and whether its complement is meant, so that the set of all docids is not
# made unless the whole query turns out to be a negation.
_Answer = tuple[AnyType, bool]


def _answer(catalog: AnyType, query: AnyType, names: Names, depth: int) -> _Answer:
    if depth > MAX_DEPTH:
        raise QueryError(f"the query is nested more than {MAX_DEPTH} deep")
    if isinstance(query, Not):
        docids, complement = _answer(catalog, query.query, names, depth + 1)
        return docids, not complement
    if isinstance(query, And):
        return _all_of(_answer(catalog, part, names, depth + 1) for part in query.queries)
    if isinstance(query, Or):
        # a or b == not (not a and not b)
        opposites = (
            (docids, not complement)
            for docids, complement in (
                _answer(catalog, part, names, depth + 1) for part in query.queries
            )
        )
        docids, complement = _all_of(opposites)
        return docids, not complement
    if isinstance(query, Comparator):
        return _compare(catalog, query, names)
    raise QueryError(f"a query is text or a query object, not {type(query).__name__}")


def _all_of(answers: Iterable[_Answer]) -> _Answer:
    """The intersection; of nothing at all, everything."""
    wanted: list[AnyType] = []
    unwanted: list[AnyType] = []
    for docids, complement in answers:
        (unwanted if complement else wanted).append(docids)
    if not wanted:
        return IF.multiunion(unwanted), True
    wanted.sort(key=len)
    found = wanted[0]
    for docids in wanted[1:]:
        found = IF.intersection(found, docids)
    for docids in unwanted:
        if not found:
            break
        found = IF.difference(found, docids)
    return found, False


def _compare(catalog: AnyType, query: AnyType, names: Names) -> _Answer:
    try:
        index = _index(catalog, query.index_name)
        question = _QUESTIONS.get(type(query))
        if question is None:
            raise QueryError(f"unknown kind of query: {type(query).__name__}")
        method, negated = question
        if isinstance(query, (InRange, NotInRange)):
            docids = index.applyInRange(
                _value(query._start, names),
                _value(query._end, names),
                query.start_exclusive,
                query.end_exclusive,
            )
        else:
            docids = getattr(index, method)(_value(query._value, names))
    except QueryError as error:
        if error.position is None:
            # Where in the text the comparison was read, if it was.
            raise QueryError(error.reason, *getattr(query, "origin", (None, None))) from None
        raise
    # A text index answers with weights; as a set of docids that is its keys.
    return IF.multiunion([docids]) if hasattr(docids, "items") else docids, negated


def _index(catalog: AnyType, name: str) -> AnyType:
    try:
        return catalog[name]
    except (KeyError, TypeError):
        known = ", ".join(sorted(catalog))
        raise QueryError(
            f"there is no index {name!r}{nearest(name, catalog)}; there are: {known}"
        ) from None


def _value(value: AnyType, names: Names) -> AnyType:
    """``value`` with each `Name` in it replaced by what the name stands for."""
    if isinstance(value, Name):
        if value.name not in names:
            raise QueryError(
                f"no value was given for {value.name}; pass it with names=, or, if it is a "
                "text, put it in quotes"
            )
        return names[value.name]
    if isinstance(value, (list, tuple)):
        values = [_value(item, names) for item in value]
        return tuple(values) if isinstance(value, tuple) else values
    return value


def relevance(
    catalog: AnyType, query: AnyType, names: Names | None = None, of: str | None = None
) -> dict[int, float] | None:
    """How well documents match the text searches in ``query``.

    :param of: count the searches of this index only
    :returns: docid -> weight, the sum of the Okapi BM25 weights of all searches that are not
        negated; None where the query has no such search
    """
    weights: dict[int, float] | None = None
    pending = [query]
    while pending:
        part = pending.pop()
        if isinstance(part, (And, Or)):
            pending.extend(part.queries)
        elif isinstance(part, (Contains, Eq, Any, All)) and of in (None, part.index_name):
            index, value = _index(catalog, part.index_name), _value(part._value, names or {})
            for search in value if isinstance(part, (Any, All)) else [value]:
                found = index.applyEq(search)
                if hasattr(found, "items"):  # a text index's, with weights
                    weights = {} if weights is None else weights
                    for docid, weight in found.items():
                        weights[docid] = weights.get(docid, 0.0) + weight
    return weights
