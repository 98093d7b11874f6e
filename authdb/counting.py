"""Counting what matches: by keyword (facets), and by year or month (a histogram).

Columns answer by the sizes of intersections of bitmaps, without looking at any package; what is
dirty in them is counted one by one. Where there are no columns the trees of the catalog answer.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import BTrees

from authdb.columns import DATES, KEYWORDS, Columns
from authdb.exceptions import QueryError, nearest
from authdb.planning import Asked
from authdb.postings import operand

if TYPE_CHECKING:
    from pyroaring import BitMap

__all__ = [
    "By",
    "Counts",
    "Matched",
    "check_facets",
    "check_histogram",
    "docids_of",
    "facets",
    "histogram",
    "matched",
]

IF = BTrees.family32.IF

By = Literal["year", "month"]
#: A year or month in which there is any, and where in the field's order it begins and ends.
Period = tuple[str, int, int]


class Counts(dict[str, int]):
    """How many packages there are of each kind; those that have none of it are counted apart.

    A package with several categories counts in each of them.

    Attributes: ``total``, of all packages that were asked about; ``without``, of those among them
    that have no value.
    """

    def __init__(self, counts: Iterable[tuple[str, int]], total: int, without: int) -> None:
        super().__init__(counts)
        self.total, self.without = total, without

    def __repr__(self) -> str:
        return f"<Counts of {self.total} packages: {dict(self)}, {self.without} without>"


class Matched(NamedTuple):
    """The packages to count, as columns have them: the ``ranks`` (None for all of them), without
    any that is dirty; and the docids of the ``dirty`` ones among them."""

    ranks: BitMap | None
    dirty: Collection[int]


def matched(
    catalog: Callable[[], Any], columns: Columns, query: Any, names: Mapping[str, Any] | None
) -> Matched:
    """What ``query`` (see `authdb.planning.Asked`) matches in columns.

    :raises QueryError: see there
    """
    if query is None:
        there = catalog()["name"]._rev_index if columns.dirty else ()
        return Matched(None, [docid for docid in columns.dirty if docid in there])
    asked = Asked(catalog, columns, query, names)
    question, ranks = asked.question, asked.ranks
    if ranks is not None:
        return Matched(ranks.matching(question), ranks.dirty(question))
    docids = array("i", asked.trees.matching(question).docids())
    dirty = [docid for docid in docids if docid in columns.dirty]
    return Matched(columns.ranks_of(docids) - columns.masked, dirty)


def docids_of(catalog: Callable[[], Any], query: Any, names: Mapping[str, Any] | None) -> Any:
    """The set of the docids that ``query`` matches, on the trees of the catalog.

    :raises QueryError: see `matched`
    """
    asked = Asked(catalog, None, query, names)
    return operand(asked.trees.matching(asked.question).docids())


def check_facets(field: object) -> str:
    """``field``, if packages can be counted by it.

    :raises QueryError: they cannot
    """
    if field in KEYWORDS:
        return str(field)
    hint = "; histogram counts by dates" if field in DATES else nearest(str(field), KEYWORDS)
    raise QueryError(f"packages are counted by {' or '.join(KEYWORDS)}, not by {field!r}{hint}")


def check_histogram(field: object, by: object) -> tuple[str, By]:
    """``field`` and ``by``, if there is a histogram of them.

    :raises QueryError: there is none
    """
    if field not in DATES:
        raise QueryError(
            f"a histogram is of {', '.join(DATES)}, not of {field!r}{nearest(str(field), DATES)}"
        )
    if by not in ("year", "month"):
        raise QueryError(f"a histogram is by year or by month, not by {by!r}")
    return str(field), "year" if by == "year" else "month"


def facets(field: str, catalog: Callable[[], Any], found: Any, columns: Columns | None) -> Counts:
    """How many packages have each keyword; the most frequent first, equal ones by the alphabet.

    :param field: see `check_facets`
    :param catalog: gives the catalog; it is not asked where columns know all
    :param found: the packages to count: `Matched`, of ``columns``; else a set of docids, or None
        for all
    """
    if columns is None:
        counts, total, without = _facets_of_trees(field, catalog(), found)
    else:
        counts, total, without = _facets_of_columns(field, found, columns)
        for docid in found.dirty:
            keywords = _keywords(catalog(), field, docid)
            counts.update(keywords)
            without += not keywords
        total += len(found.dirty)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Counts(((key, count) for key, count in ordered if count), total, without)


def _keywords(catalog: Any, field: str, docid: int) -> Iterable[str]:
    value = catalog[field]._rev_index.get(docid, ())
    return (value,) if isinstance(value, str) else tuple(value)


def _facets_of_trees(field: str, catalog: Any, found: Any) -> tuple[Counter[str], int, int]:
    index = catalog[field]
    postings = index._fwd_index.items()
    if found is None:
        without = len(index._not_indexed)
        counts = Counter({key: len(posting) for key, posting in postings})
        return counts, catalog["name"].documentCount(), without
    without = len(IF.intersection(found, index._not_indexed))
    counts = Counter({key: len(IF.intersection(found, posting)) for key, posting in postings})
    return counts, len(found), without


def _facets_of_columns(
    field: str, found: Matched, columns: Columns
) -> tuple[Counter[str], int, int]:
    ranks, keywords = found.ranks, columns.keywords(field)
    if ranks is None and not columns.dirty:
        counts = Counter({key: columns.count(field, key) for key in keywords})
        return counts, columns.size, len(columns.none_of(field))
    if ranks is None:
        ranks = columns.every() - columns.masked
    size = ranks.intersection_cardinality
    counts = Counter({key: size(columns.bitmap(field, key)) for key in keywords})
    return counts, len(ranks), size(columns.none_of(field))


def histogram(
    field: str, by: By, catalog: Callable[[], Any], found: Any, columns: Columns | None
) -> Counts:
    """How many packages have their date in each year, or month; in the order of time, and only
    those periods in which there is any.

    :param field: see `check_histogram`
    :param catalog: see `facets`
    :param found: see `facets`
    """
    if columns is None:
        counts: dict[str, int] = {}
        days, total = _days_of_trees(catalog()[field], found, catalog())
        without = days.pop(None, 0)
    else:
        counts, total = _periods_of_columns(field, by, found, columns)
        without = total - sum(counts.values())
        if not found.dirty:
            return Counts(counts.items(), total, without)
        days = Counter(catalog()[field].key(docid) for docid in found.dirty)
        total += len(found.dirty)
        without += days.pop(None, 0)
    for day, count in days.items():
        period = _period(day, by)
        counts[period] = counts.get(period, 0) + count
    return Counts(sorted(counts.items()), total, without)


def _days_of_trees(index: Any, found: Any, catalog: Any) -> tuple[Counter[Any], int]:
    if found is None:
        days = Counter({day: len(posting) for day, posting in index._fwd_index.items()})
        days[None] = len(index._not_indexed)
        return days, catalog["name"].documentCount()
    return Counter(map(index._rev_index.get, found)), len(found)


def _period(day: int, by: By) -> str:
    first = date.fromordinal(day)
    return f"{first.year:04}" if by == "year" else f"{first.year:04}-{first.month:02}"


def _following(day: int, by: By) -> int:
    """The first day after the period of a day."""
    first = date.fromordinal(day)
    if by == "year" or first.month == 12:
        return date(first.year + 1, 1, 1).toordinal() if first.year < 9999 else day + 400
    return date(first.year, first.month + 1, 1).toordinal()


def _periods(field: str, by: By, columns: Columns) -> Sequence[Period]:
    """The periods of a field, in the order of time. They follow from what the columns are of, so
    each is looked for once in the life of these, and what is counted in it each time."""

    def find() -> list[Period]:
        values, starts = columns.values(field), columns.starts(field)
        found, place = [], 0
        while place < len(values):
            end = bisect_left(values, _following(values[place], by), place)
            found.append((_period(values[place], by), starts[place], starts[end]))
            place = end
        return found

    return columns.keep((field, by, "periods"), find)  # type: ignore[no-any-return]


def _periods_of_columns(
    field: str, by: By, found: Matched, columns: Columns
) -> tuple[dict[str, int], int]:
    ranks, periods = found.ranks, _periods(field, by, columns)
    if ranks is None and not columns.dirty:
        return {period: stop - start for period, start, stop in periods}, columns.size
    if ranks is None:
        ranks = columns.every() - columns.masked
    if field == "last_update":  # its order is that of the ranks
        within = ranks.range_cardinality
        counts = {period: within(start, stop) for period, start, stop in periods}
    else:
        size = ranks.intersection_cardinality
        bitmaps = columns.keep((field, by), lambda: _bitmaps(field, by, columns))
        counts = {period: size(bitmap) for period, bitmap in bitmaps.items()}
    return {period: count for period, count in counts.items() if count}, len(ranks)


def _bitmaps(field: str, by: By, columns: Columns) -> dict[str, BitMap]:
    return {
        period: columns.run_bitmap(field, start, stop)
        for period, start, stop in _periods(field, by, columns)
    }
