"""Dates as precisely as they are known: a day, a month or a year.

A whole day is a `datetime.date`. "2019" and "2019-03" are a `PartialDate`, which stands for
all of its days. Indexes and comparisons work on proleptic Gregorian ordinals
(`datetime.date.toordinal`), plain ints that sort and pickle well.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timezone

__all__ = ["PartialDate", "age", "first_day", "last_day", "parse_date", "period"]

_ISO = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_EXPECTED = "a date is written 2024-02-26, 2024-02 or 2024"


class PartialDate:
    """A year, or a month of a year.

    Immutable, and equal to another of the same year and month. It has no order of its own: where
    dates of all precisions are sorted, `first_day` is the key.

    >>> str(PartialDate(2019)), str(PartialDate(2019, 3))
    ('2019', '2019-03')
    >>> PartialDate(2024, 2).last
    datetime.date(2024, 2, 29)

    :raises ValueError: a year outside 1..9999 or a month outside 1..12
    """

    # Pickled into databases: the class path and the two names stay as they are.
    __slots__ = ("month", "year")
    year: int
    month: int | None

    def __init__(self, year: int, month: int | None = None) -> None:
        date(year, 1 if month is None else month, 1)  # raises the ValueError
        object.__setattr__(self, "year", int(year))
        object.__setattr__(self, "month", None if month is None else int(month))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a PartialDate does not change")

    def __reduce__(self) -> tuple[object, ...]:
        return PartialDate, (self.year, self.month)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.month or 1, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        month = self.month or 12
        return date(self.year, month, monthrange(self.year, month)[1])

    def isoformat(self) -> str:
        """``2019`` or ``2019-03``, as ISO 8601 writes a date of reduced precision."""
        return f"{self.year:04}" if self.month is None else f"{self.year:04}-{self.month:02}"

    __str__ = isoformat

    def __repr__(self) -> str:
        return f"PartialDate({self.isoformat()!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartialDate):
            return NotImplemented
        return (self.year, self.month) == (other.year, other.month)

    def __hash__(self) -> int:
        return hash((self.year, self.month))


def first_day(value: date | PartialDate) -> date:
    """The first day that ``value`` stands for: the earliest it can mean."""
    return value.first if isinstance(value, PartialDate) else value


def last_day(value: date | PartialDate) -> date:
    """The last day that ``value`` stands for: the latest it can mean."""
    return value.last if isinstance(value, PartialDate) else value


def parse_date(value: object) -> date | PartialDate:
    """Read a date as people and files give it.

    :param value: a `date`, a `PartialDate`, a `datetime` (its day in UTC; a naive one means
        UTC), ISO text (``2024-02-26``, ``2024-02``, ``2024``, or with a time of day), or an int
        that is a year
    :raises ValueError: anything else, or a day that the calendar does not have

    >>> parse_date("2024-02-26T23:30:00-05:00")
    datetime.date(2024, 2, 27)
    >>> parse_date("2019")
    PartialDate('2019')
    """
    if isinstance(value, datetime):
        try:
            return (value.astimezone(timezone.utc) if value.tzinfo else value).date()
        except OverflowError:  # an hour before the year 1 or after 9999
            raise ValueError(_EXPECTED) from None
    if isinstance(value, PartialDate):
        return value
    if isinstance(value, date):  # one of a subclass would take that class into the database
        return value if type(value) is date else date(value.year, value.month, value.day)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 9999:
        return PartialDate(value)
    if not isinstance(value, str):
        raise ValueError(_EXPECTED)
    text = value.strip()
    match = _ISO.fullmatch(text)
    try:
        if match is None:
            if len(text) > 10 and _ISO.fullmatch(text[:10]):
                return parse_date(datetime.fromisoformat(text.replace("Z", "+00:00")))
            raise ValueError
        year, month, day = (None if part is None else int(part) for part in match.groups())
        assert year is not None  # the pattern has a year
        if month is None or day is None:
            return PartialDate(year, month)
        return date(year, month, day)
    except (ValueError, OverflowError):
        hint = "" if match is None else f"; the calendar has no {text}"
        raise ValueError(_EXPECTED + hint) from None


def period(value: object) -> tuple[int, int]:
    """The first and the last day that a date in a query stands for, as ordinals.

    :param value: whatever `parse_date` reads
    :raises ValueError: as `parse_date`

    >>> first, last = period("2024-02")
    >>> last - first + 1
    29
    """
    day = parse_date(value)
    if isinstance(day, PartialDate):
        return day.first.toordinal(), day.last.toordinal()
    ordinal = day.toordinal()
    return ordinal, ordinal


def age(since: date | PartialDate, day: date) -> str:
    """How long ``since`` is ago on ``day``, in words.

    >>> age(date(2018, 3, 28), date(2026, 11, 26))
    '8 years 7 months'
    """
    if isinstance(since, PartialDate) and since.month is None:
        years = day.year - since.year
        return f"about {_counted(years, 'year')}" if years > 0 else "less than a year"
    first = first_day(since)
    about = "about " if isinstance(since, PartialDate) else ""
    months = (day.year - first.year) * 12 + day.month - first.month - (day.day < first.day)
    if months < 1:
        return about + _counted(max((day - first).days, 0), "day")
    parts = [(months // 12, "year"), (months % 12, "month")]
    return about + " ".join(_counted(number, word) for number, word in parts if number)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
