"""Putting ranks in order: what `authdb.ordering` does on trees, on columns.

Ranks are in the order of (last_update, docid) themselves. In the order of another field either its
ranks are walked, and each is looked up in the bitmap of those that match, until there are enough;
or those that match are sorted by the number of their value. What is dirty is put in between.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from authdb.columns import Columns
from authdb.onranks import Window
from authdb.ordering import by_value, walks

if TYPE_CHECKING:
    from pyroaring import BitMap

__all__ = ["RankOrder", "merged"]

#: The first few of many are looked for among SPARE times as many ranks as are likely to have them,
#: and LEAST more; then among FURTHER times as many, until there are enough.
SPARE, LEAST, FURTHER = 2, 64, 8


class RankOrder:
    """An order of ranks.

    What it needs of the columns it takes at once, so that what is read later is what there was.

    :param field: one of `authdb.columns.FIELDS`; None for the order of docids
    :param reverse: the highest value first
    """

    def __init__(self, columns: Columns, field: str | None, reverse: bool) -> None:
        self._field, self._reverse, self._docids = field, reverse, columns.docids
        self._size = columns.size
        if field is None:
            self._ranks = columns.ranks
            return
        self._group, self._starts = columns.group(field), columns.starts(field)
        self._known = self._starts[-1]
        if field != "last_update":
            self._order = columns.order(field)

    def first(self, found: BitMap | range | Window, count: int | None) -> tuple[list[int], str]:
        """The docids of the first ``count`` of the ranks ``found`` (None for all), and how they
        were got."""
        end = "highest" if self._reverse else "lowest"
        if self._field == "last_update":
            if not isinstance(found, (range, Window)):
                found = Window(found, 0, self._size)
            count = len(found) if count is None else count
            if self._reverse:
                ranks = self._newest(found, count)
            else:  # those without a date come last anyway
                ranks = _lowest(found, found.start, count)
            return self._named(ranks), f"ranks from the {end}, stop after {len(ranks):,}"
        total = len(found)
        count = total if count is None else min(count, total)
        if isinstance(found, Window):
            found = found.made()
        if self._field is None:
            return self._by_docid(found, count, total)
        if walks(count, self._known, total):
            ranks = list(islice((rank for rank in self._walk() if rank in found), count))
            how = f"walk {self._field} from the {end}, stop after {count:,}"
        else:
            ranks = self._sorted(found)[:count]
            how = f"sort {total:,} by {self._field}"
        shown = self._named(ranks)
        if len(shown) < count:
            shown += self._without(found)[: count - len(shown)]
        return shown, how

    def _named(self, ranks: Iterable[int]) -> list[int]:
        return list(map(self._docids.__getitem__, ranks))

    def _by_docid(self, found: BitMap | range, count: int, total: int) -> tuple[list[int], str]:
        ranks = self._ranks
        if walks(count, len(ranks), total):
            docids = range(len(ranks))
            if self._reverse:
                docids = docids[::-1]
            walk = (docid for docid in docids if (rank := ranks[docid]) >= 0 and rank in found)
            return list(islice(walk, count)), f"walk all docids, stop after {count:,}"
        shown = sorted(map(self._docids.__getitem__, found), reverse=self._reverse)
        return shown[:count], f"sort {total:,} docids"

    def _newest(self, found: range | Window, count: int) -> Sequence[int]:
        """From the highest date on, those of one date ascending; then those without."""
        known = min(found.stop, self._known)
        ranks = self._latest(found, known, count) if found.start < known else []
        if len(ranks) < count and known < found.stop:
            ranks += _lowest(found, max(found.start, known), count - len(ranks))
        return ranks

    def _latest(self, found: range | Window, known: int, count: int) -> list[int]:
        """As `_newest`, of those before ``known``, which have a date."""
        there = self._last(found, known, count)
        lower: Sequence[int] = ()
        if count < len(there):  # of the lowest date that is shown the first ones are
            day = self._group[there[-count]]
            end = bisect_left(there, self._starts[day + 1])
            begin = bisect_left(there, self._starts[day], 0, end)
            lower, there = there[begin:end], there[end:]
        ranks = sorted(there, key=self._group.__getitem__, reverse=True)
        ranks += lower[: count - len(ranks)]
        return ranks

    def _last(self, found: range | Window, known: int, count: int) -> Sequence[int]:
        """The last of ``found`` before ``known``, ascending: all of some dates, and at least
        ``count`` where there are so many."""
        start, ranks = found.start, _reach(found, count)
        while True:
            # From the first rank of a date on.
            first = max(start, self._starts[self._group[max(start, known - ranks)]])
            if isinstance(found, range):
                return range(first, known)
            there = found.near(first, known)
            if len(there) >= count or first == start:
                return there
            ranks *= FURTHER

    def _walk(self) -> Iterator[int]:
        order, starts = self._order, self._starts
        if not self._reverse:
            return iter(order)
        if isinstance(starts, range):  # each value is that of one package
            return iter(order[::-1])
        groups = range(len(starts) - 1, 0, -1)
        return chain.from_iterable(order[starts[group - 1] : starts[group]] for group in groups)

    def _sorted(self, found: BitMap | range) -> list[int]:
        """Those with a value, by that and their docids."""
        group, missing = self._group, len(self._starts) - 1
        ranks = [rank for rank in found if group[rank] != missing]
        ranks.sort(key=self._docids.__getitem__)
        ranks.sort(key=group.__getitem__, reverse=self._reverse)
        return ranks

    def _without(self, found: BitMap | range) -> list[int]:
        """The docids of those without a value."""
        group, missing = self._group, len(self._starts) - 1
        return sorted(self._docids[rank] for rank in found if group[rank] == missing)


def _lowest(found: range | Window, start: int, count: int) -> Sequence[int]:
    """The first ``count`` of ``found``, from ``start`` on."""
    if isinstance(found, range):
        return range(start, found.stop)[:count]
    ranks = _reach(found, count)
    while True:
        stop = min(start + ranks, found.stop)
        there = found.near(start, stop)
        if len(there) >= count or stop == found.stop:
            return there[:count]
        ranks *= FURTHER


def _reach(found: range | Window, count: int) -> int:
    """Among how many ranks ``count`` of ``found`` are looked for first."""
    return count if isinstance(found, range) else SPARE * found.reach(count) + LEAST


def merged(
    docids: list[int], others: list[int], value: Callable[[int], Any] | None, reverse: bool
) -> list[int]:
    """Two lists of docids as one, in order.

    :param docids: the long one, in order
    :param others: the short one, ascending by docid
    :param value: the value that a docid has in the order, None where it has none; no function
        for the order of docids
    """
    if not others:
        return docids
    if value is None:
        return sorted(docids + others, reverse=reverse)
    places = array("i")
    others = by_value(others, value, reverse, None)
    low = 0
    for other in others:
        low = _place(docids, other, value, reverse, low)
        places.append(low)
    parts: list[Iterable[int]] = []
    before = 0
    for place, other in zip(places, others, strict=True):
        parts += docids[before:place], (other,)
        before = place
    return list(chain(*parts, docids[before:]))


def _place(
    docids: list[int], other: int, value: Callable[[int], Any], reverse: bool, low: int
) -> int:
    """Where in ``docids``, from ``low`` on, ``other`` belongs."""
    wanted, high = value(other), len(docids)
    while low < high:
        middle = (low + high) // 2
        known = value(docids[middle])
        if known == wanted:
            before = docids[middle] < other
        elif known is None or wanted is None:
            before = wanted is None
        else:
            before = (known > wanted) if reverse else (known < wanted)
        low, high = (middle + 1, high) if before else (low, middle)
    return low
