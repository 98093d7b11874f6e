"""What the indexes and the lists hold of each package, column by column, in the order of docids.

Whoever builds a catalog bottom-up, or the columns beside it, sorts whole columns. So the packages
are taken apart as they come, and let go of: a million of them are a few hundred megabytes here,
most of it the names and the rows.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import accumulate
from typing import Any, NamedTuple

from authdb.dates import PartialDate, first_day
from authdb.models import later

__all__ = [
    "DATES",
    "GATHERED",
    "ROW_FIELDS",
    "SEPARATOR",
    "Gathered",
    "Rows",
    "Some",
    "Values",
    "columns_of",
    "last_update",
    "row",
]

#: The fields of a `row`, in order.
ROW_FIELDS = (
    *("name", "title", "last_update", "last_commit", "last_release"),
    *("version", "license", "categories"),
)
#: What is taken of a package: its values of these fields, as they are stored.
GATHERED = (
    *("name", "title", "last_commit", "last_release", "stated_update"),
    *("version", "license", "categories"),
)
#: What stands between the fields of a row: the checks of fields refuse control characters.
SEPARATOR = "\x1f"

#: The fields that are indexed as days.
DATES = ("last_update", "last_release", "last_commit")


def last_update(state: Mapping[str, Any]) -> date | PartialDate | None:
    """`Package.last_update`, of a package's state."""
    return later(state.get("last_commit"), state.get("last_release")) or state.get("stated_update")


def columns_of(states: Sequence[Mapping[str, Any]], fields: Iterable[str]) -> dict[str, list[Any]]:
    """What packages are stored as (see `Gathered.add`), by fields: the values of all of them."""
    gets = [state.get for state in states]
    return {field: [get(field) for get in gets] for field in fields}


def row(state: Mapping[str, Any]) -> bytes:
    """What lists show of a package: the `ROW_FIELDS` as UTF-8 text, a `SEPARATOR` between them.

    What is not known is empty. Dates are in ISO form, as precisely as they are known; the
    categories, in their own order, have commas between them.

    :param state: what a package is stored as, see `Gathered.add`
    """
    days = (last_update(state), state.get("last_commit"), state.get("last_release"))
    cells = (
        *(state["name"], state["title"]),
        *("" if day is None else day.isoformat() for day in days),
        *(state.get("version") or "", state.get("license") or ""),
        ",".join(state.get("categories", ())),
    )
    return _line(cells).encode("utf-8", "replace")


def _line(cells: Iterable[str]) -> str:
    cells = tuple(cells)
    line = SEPARATOR.join(cells)
    if line.count(SEPARATOR) != len(ROW_FIELDS) - 1:  # no check has seen this package
        line = SEPARATOR.join(cell.replace(SEPARATOR, " ") for cell in cells)
    return line


class Rows(Sequence[bytes]):
    """The rows, one behind the other in one piece of memory: half of what an object each takes."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        self._replaced: dict[int, bytes] = {}

    def extend(self, rows: Iterable[Iterable[str]]) -> None:
        """Put ``rows``, each as its cells, behind the others."""
        rows = list(rows)
        lines = list(map(SEPARATOR.join, rows))
        text = "".join(lines)
        if text.count(SEPARATOR) != len(lines) * (len(ROW_FIELDS) - 1):
            lines = list(map(_line, rows))
            text = "".join(lines)
        made = text.encode("utf-8", "replace")
        if len(made) == sum(map(len, lines)):  # all is ASCII
            lengths: Iterable[int] = map(len, lines)
        else:
            lengths = (len(line.encode("utf-8", "replace")) for line in lines)
        ends = accumulate(lengths, initial=self._ends.pop())
        self._ends.extend(ends)
        self._text += made

    def replace(self, place: int, row: bytes) -> None:
        """Have ``row`` at ``place`` instead of what is there."""
        self._replaced[place] = row

    def several(self, places: Iterable[int]) -> Iterator[bytes | bytearray]:
        """The rows at ``places``, in that order; in a fifth of the time of one by one."""
        text, ends, replaced = self._text, self._ends, self._replaced
        for place in places:
            if place in replaced:
                yield replaced[place]
            else:
                yield text[ends[place] : ends[place + 1]]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        if place in self._replaced:
            return self._replaced[place]
        return bytes(self._text[self._ends[place] : self._ends[place + 1]])


class Values:
    """The columns of what is indexed by its values, all of one length and in one order.

    Attributes, of which each has an item for each package:

    - ``docids``: ascending, an ``array('i')``;
    - ``licenses``: a list of texts or None;
    - ``categories``: a list of tuples, sorted and without repeats;
    - ``dates``: for each of `DATES` an ``array('i')`` of what `DateIndex` keeps, the ordinal of
      the first day; 0 where there is none.
    """

    def __init__(self) -> None:
        self.docids = array("i")
        self.licenses: list[str | None] = []
        self.categories: list[tuple[str, ...]] = []
        self.dates = {field: array("i") for field in DATES}

    def __len__(self) -> int:
        return len(self.docids)

    def extend(self, more: Some) -> None:
        """Put those of more packages behind them."""
        self.docids.extend(more.docids)
        self.licenses += more.licenses
        self.categories += more.categories
        for column, days in zip(self.dates.values(), more.dates, strict=True):
            column.extend(days)

    def last(self, count: int) -> Some:
        """Those of the last packages."""
        return Some(
            self.docids[-count:],
            self.licenses[-count:],
            self.categories[-count:],
            [column[-count:] for column in self.dates.values()],
        )

    def put(self, docid: int, values: Some) -> int:
        """Have others in place of those of ``docid``; which place that is.

        :raises KeyError: it was not added
        """
        place = bisect_left(self.docids, docid)
        if place == len(self.docids) or self.docids[place] != docid:
            raise KeyError(docid)
        self.licenses[place], self.categories[place] = values.licenses[0], values.categories[0]
        for column, (day,) in zip(self.dates.values(), values.dates, strict=True):
            column[place] = day
        return place


class Some(NamedTuple):
    """The `Values` of some packages; ``dates`` in the order of `DATES`."""

    docids: Sequence[int]
    licenses: list[str | None]
    categories: list[tuple[str, ...]]
    dates: Sequence[Sequence[int]]


class Gathered(Values):
    """The columns of what was added: `Values`, of which equal ones are one object, and

    - ``names``: a list;
    - ``rows``: `Rows`, a `row` each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.rows = Rows()
        self._days = _Days({None: (0, "")})
        self._combinations = _Combinations()
        self._texts = _Texts()
        self._by_name: list[int] | None = None

    def add(self, docids: Iterable[int], states: Sequence[Mapping[str, Any]]) -> None:
        """Take in packages.

        :param docids: ascending, and after all that were added before
        :param states: of each what it is stored as: the values of its known fields, in their
            stored form, and ``stated_update``, as in ``vars(package)``; a ``_digest`` may be there
        """
        self.add_columns(docids, columns_of(states, GATHERED))

    def add_columns(self, docids: Iterable[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """As `add`, of packages whose values are in columns already.

        :param columns: of each of `GATHERED` that any has, the values of all; None or an empty one
            where there is none
        """
        names, days = columns["name"], self._days
        nothing = [None] * len(names)
        commits = [days[day] for day in columns.get("last_commit", nothing)]
        releases = [days[day] for day in columns.get("last_release", nothing)]
        updates = [
            # As in `last_update`: of two with the same first day it is the commit.
            (release if release[0] > commit[0] else commit)
            if release[0] or commit[0]
            else days[stated]
            for commit, release, stated in zip(
                commits, releases, columns.get("stated_update", nothing), strict=True
            )
        ]
        licenses = list(map(self._texts.__getitem__, columns.get("license", nothing)))
        categories = list(map(self._combinations.__getitem__, columns.get("categories", nothing)))
        self.names += names
        days_of = [[ordinal for ordinal, _ in each] for each in (updates, releases, commits)]
        self.extend(Some(array("i", docids), licenses, [each for each, _ in categories], days_of))
        self.rows.extend(
            zip(
                *(names, columns["title"]),
                *([iso for _, iso in column] for column in (updates, commits, releases)),
                [version or "" for version in columns.get("version", nothing)],
                [each or "" for each in licenses],
                [listed for _, listed in categories],
                strict=True,
            )
        )

    def replace(self, docid: int, state: Mapping[str, Any]) -> Some:
        """Have ``state`` in place of that under which ``docid`` was added; its values.

        :raises KeyError: it was not added
        """
        known = {**state, "last_update": last_update(state)}
        values = Some(
            [docid],
            [self._texts[state.get("license")]],
            [self._combinations[state.get("categories")][0]],
            [[self._days[known.get(field)][0]] for field in DATES],
        )
        place = self.put(docid, values)
        self._by_name = None
        self.names[place] = state["name"]
        self.rows.replace(place, row(state))
        return values

    def by_name(self) -> list[int]:
        """The places in the columns, in the order of the names."""
        if self._by_name is None or len(self._by_name) != len(self):
            self._by_name = sorted(range(len(self)), key=self.names.__getitem__)
        return self._by_name


# Of many packages with the same value one remembers what was made of it.


class _Days(dict[Any, tuple[int, str]]):
    """date -> what `DateIndex` keeps of it, and its ISO form."""

    def __missing__(self, day: date | PartialDate) -> tuple[int, str]:
        known = self[day] = first_day(day).toordinal(), day.isoformat()
        return known


class _Combinations(dict[Any, tuple[tuple[str, ...], str]]):
    """categories as they are stored (or None) -> sorted, without repeats, one object for equal
    ones; and in their own order, as a row lists them."""

    def __init__(self) -> None:
        super().__init__()
        self._sorted: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __missing__(self, categories: tuple[str, ...] | None) -> tuple[tuple[str, ...], str]:
        listed = tuple(sorted(set(categories or ())))
        listed = self._sorted.setdefault(listed, listed)
        known = self[categories] = listed, ",".join(categories or ())
        return known


class _Texts(dict[Any, Any]):
    """text -> one object for equal ones."""

    def __missing__(self, text: str) -> str:
        self[text] = text
        return text
