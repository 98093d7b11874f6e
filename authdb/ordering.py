"""Putting what was found in order, on the trees of a catalog, as far as it is shown.

Of the newest twenty of many there are two ways. Either the values of all that match are looked up
and sorted, or the index that is sorted by is walked from its end, and each docid that comes is held
against the question, until there are enough. The second stops early where much matches, and goes
on for long where little does, so what each would cost is estimated first.

Everywhere those without a value come last, and equal ones in the order of docids, also in reverse.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest, nsmallest
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

from authdb.exceptions import QueryError, nearest
from authdb.indexes import FieldIndex, Span, TextIndex
from authdb.ontrees import OPEN, Matching, Trees
from authdb.questions import Between, Meet, Node, Question, Text
from authdb.searching import sum_of_any

__all__ = ["Order", "by_value", "by_weight", "order_of", "page_of", "span_of", "walks"]


class Order(NamedTuple):
    """In which order, and what part of it.

    ``field``: the index of values to sort by; None for docids. ``searches``: those by whose weight
    it is sorted instead; None where it is not. ``start`` and ``stop``: which are shown, counted
    from 0; ``stop`` is None for all the rest.
    """

    field: str | None
    searches: Sequence[Text] | None
    reverse: bool
    start: int
    stop: int | None

    def clip(self, total: int) -> tuple[int, int]:
        """Which of ``total`` are shown."""
        stop = total if self.stop is None else min(self.stop, total)
        return min(self.start, stop), stop


def order_of(
    sort: Any, reverse: bool, limit: int | None, offset: int, question: Question, index: Any
) -> Order:
    """The order that is asked for.

    :param sort: the name of an index of dates or texts; ``relevance``, or a text index for the
        relevance of the searches of that index; None for docids
    :param index: a mapping of names to indexes
    :raises QueryError: it cannot be sorted by that
    """
    stop = None if limit is None else offset + limit
    reverse = bool(reverse)
    if sort is None:
        return Order(None, None, reverse, offset, stop)
    found = index.get(sort) if isinstance(sort, str) else None
    if isinstance(found, FieldIndex):
        return Order(sort, None, reverse, offset, stop)
    if sort == "relevance" or isinstance(found, TextIndex):
        searches = [each for each in question.searches if sort in ("relevance", each.index)]
        if not searches:
            raise QueryError("relevance needs a text search, such as 'token' in description")
        return Order(None, searches, reverse, offset, stop)
    known = [name for name, each in index.items() if isinstance(each, FieldIndex)]
    raise QueryError(
        f"it cannot be sorted by {sort!r}{nearest(sort, known)}; by relevance it can, or by "
        + ", ".join(sorted(known))
    )


#: To look up a value and sort it costs about as much as to walk to so many docids and test each.
SORT = 2


def walks(wanted: int, domain: int, total: int) -> bool:
    """Whether it is cheaper to walk the order than to sort all that match.

    :param wanted: how many are to be found
    :param domain: how many the order has
    :param total: how many match
    """
    return wanted * domain < SORT * total * total


def span_of(question: Question, field: str) -> Span:
    """The range of values that whatever matches has in a field, as far as the question says so."""
    root = question.root
    parts: Iterable[Node] = root.wanted if isinstance(root, Meet) else (root,)
    if not question.negated:
        for part in parts:
            if isinstance(part, Between) and part.index == field and len(part.spans) == 1:
                return part.spans[0]
    return OPEN


def page_of(trees: Trees, question: Question, order: Order) -> tuple[int, array[int], str]:
    """How many a question matches; the docids that are shown, in order; and how they were found."""
    if order.searches is not None:
        return _by_relevance(trees, question, order, order.searches)
    matching = trees.matching(question)
    total = matching.count()
    start, stop = order.clip(total)
    if start == stop:
        return total, array("i"), "none is shown"
    if order.field is None:
        return total, *_by_docid(trees, matching, order.reverse, start, stop)
    span = span_of(question, order.field)
    if walks(stop, trees.within(order.field, span), total):
        walk = trees.walk(order.field, span, order.reverse)
        without = trees.without(order.field)
        shown = islice(filter(matching.test(), chain(walk, without)), start, stop)
        return total, array("i", shown), f"{_end(order)}, stop after {stop:,}"
    value = trees.index(order.field).key
    first = by_value(matching.docids(), value, order.reverse, stop)
    return total, array("i", first[start:stop]), f"look up {order.field} of {total:,}, sort"


def _end(order: Order) -> str:
    return f"walk {order.field} from the {'highest' if order.reverse else 'lowest'}"


def _by_docid(
    trees: Trees, matching: Matching, reverse: bool, start: int, stop: int
) -> tuple[array[int], str]:
    if matching.everything:
        shown = islice(trees.every(reverse), start, stop)
        return array("i", shown), f"walk all docids, stop after {stop:,}"
    docids = matching.docids()
    if not reverse:
        return array("i", islice(docids, start, stop)), "they are in order"
    ascending = array("i", docids)
    ascending.reverse()
    return ascending[start:stop], "they are in order"


def by_value(
    docids: Iterable[int], value: Callable[[int], Any], reverse: bool, count: int | None
) -> list[int]:
    """The first ``count`` of ``docids``, by the values that they have."""
    known: list[tuple[Any, int]] = []
    without: list[int] = []
    for docid in docids:
        key = value(docid)
        if key is None:
            without.append(docid)
        else:
            known.append((key, docid))
    # Both keep equal ones in the order in which they come, which is that of docids.
    if count is not None and count * 4 < len(known):
        first = (nlargest if reverse else nsmallest)(count, known, key=_key)
    else:
        known.sort(key=_key, reverse=reverse)
        first = known
    return [docid for _, docid in first] + without


_key = itemgetter(0)


def _by_relevance(
    trees: Trees, question: Question, order: Order, texts: Sequence[Text]
) -> tuple[int, array[int], str]:
    if [question.root] == texts and not (question.negated or order.reverse):
        best = trees.search(texts[0]).best(sys.maxsize if order.stop is None else order.stop)
        if best is not None:
            total, docids = best
            return total, array("i", docids[order.start :]), f"{total:,} weighed by their kinds"
    found = list(trees.matching(question).docids())
    return len(found), *by_weight(trees, question, found, order)


def by_weight(
    trees: Trees, question: Question, docids: list[int], order: Order
) -> tuple[array[int], str]:
    """Those of ``docids``, which are all that a question matches, that are shown in the order of
    relevance; and how they were found."""
    assert order.searches is not None
    start, stop = order.clip(len(docids))
    searches = [trees.search(each) for each in order.searches]
    root = question.root
    in_all = isinstance(root, Meet) and order.searches[0] in root.wanted and not question.negated
    if len(searches) == 1 and in_all and not order.reverse:
        best = searches[0].best(stop, docids)
        if best is not None:
            return array("i", best[1][start:]), f"{len(docids):,} weighed by their kinds"
    weigh = sum_of_any([search.weigh(len(docids)) for search in searches])
    # The best first, unless asked otherwise.
    shown = by_value(docids, weigh, not order.reverse, stop)[start:stop]
    return array("i", shown), f"{len(docids):,} weighed"
