"""Moments of the past and spans of time, as people write them.

A moment of a database's history is a date or a time, or the number of a change. Whatever is
written stands for its end: a day for the whole of it, ``14:30`` for that minute. So what the log
shows can be given back, and includes the change that it was read from. All times are in UTC.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, time, timedelta, timezone
from typing import NamedTuple

from authdb.dates import PartialDate, parse_date
from authdb.exceptions import shown

__all__ = ["Moment", "Span", "parse_change", "parse_moment", "parse_span"]

#: When a moment ends (the first instant that is no longer of it, in UTC), or the number of a
#: change, or a transaction id (8 bytes).
Moment = datetime | int | bytes

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:[.,]\d{1,9})?)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.I | re.A,
)
_SPAN = re.compile(r"(\d{1,6}) ?([a-z]+)", re.I | re.A)
_UNITS: dict[str, timedelta | int] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": 1,
    "year": 12,
}
_SHORT = {
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}

_EXPECTED = (
    "a moment is written 2024-02-26, '2024-02-26 14:30', c12 for a change of the log, "
    "or '2 weeks ago'"
)


class Span(NamedTuple):
    """A length of time: so many months, or else so much time of fixed length."""

    months: int
    time: timedelta

    def before(self, moment: datetime) -> datetime:
        """The moment that lies so long before ``moment``; where the month of then has no such
        day, its last. Never before the year 1."""
        try:
            month = moment.year * 12 + moment.month - 1 - self.months
            year, month = month // 12, month % 12 + 1
            day = min(moment.day, monthrange(year, month)[1])
            return moment.replace(year=year, month=month, day=day) - self.time
        except (ValueError, OverflowError):  # before the year 1
            return datetime.min.replace(tzinfo=moment.tzinfo)


def parse_span(text: str) -> Span:
    """Read a length of time: ``90d``, ``18mo``, ``2y``, ``6 weeks``.

    :raises ValueError: it is none

    >>> parse_span("18mo")
    Span(months=18, time=datetime.timedelta(0))
    """
    match = _SPAN.fullmatch(text.strip())
    unit = match[2].lower() if match else ""
    unit = _SHORT.get(unit) or unit.removesuffix("s")
    if match is None or unit not in _UNITS:
        raise ValueError(
            "a length of time is written 90d, 18mo or '2 years', in min, h, d, w, mo or y"
        )
    number, length = int(match[1]), _UNITS[unit]
    if isinstance(length, int):
        return Span(number * length, timedelta())
    return Span(0, number * length)


def parse_change(text: str) -> int | bytes:
    """Read what names a change: ``c12``, as the log shows it, or a transaction id in sixteen
    hexadecimal digits.

    :returns: its number, or its transaction id
    :raises ValueError: it is neither
    """
    text = text.strip().lower()
    if re.fullmatch(r"c[0-9]{1,15}", text):
        return int(text[1:])
    text = text.removeprefix("0x")
    if re.fullmatch(r"[0-9a-f]{16}", text):
        return bytes.fromhex(text)
    raise ValueError("a change is written as authdb log shows it, such as c12")


def parse_moment(value: object, now: datetime | None = None) -> Moment:
    """Read a moment as people and programs give it.

    :param value: a `date` or `PartialDate` (its end), a `datetime` (that instant; a naive one
        means UTC), the number of a change, a transaction id (8 bytes), or text: a date, a date
        with a time of day, ``now``, ``today``, ``yesterday``, ``2 weeks ago``, or what
        `parse_change` reads
    :param now: what the time is
    :raises ValueError: anything else

    >>> parse_moment("2024-02-26")
    datetime.datetime(2024, 2, 27, 0, 0, tzinfo=datetime.timezone.utc)
    >>> parse_moment("c12")
    12
    """
    now = now or datetime.now(timezone.utc)
    if isinstance(value, datetime):
        instant = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return _later(instant, timedelta(microseconds=1))
    if isinstance(value, (date, PartialDate)):
        return _end_of_day(value)
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, bytes) and len(value) == 8:
        return value
    if not isinstance(value, str):
        raise ValueError(f"{_EXPECTED}, not {shown(value)}")
    text = " ".join(value.split())
    try:
        return parse_change(text)
    except ValueError:
        return _parse_text(text, now)


def _parse_text(text: str, now: datetime) -> datetime:
    word = text.lower()
    if word in ("now", "today"):
        return _later(now, timedelta(microseconds=1))
    if word == "yesterday":
        return datetime.combine(now.astimezone(timezone.utc), time(), timezone.utc)
    match = _TIME.fullmatch(text)
    try:
        if word.endswith(" ago"):
            span = re.sub(r"^an? ", "1 ", word[:-4])
            return _later(parse_span(span).before(now), timedelta(microseconds=1))
        if match is None:
            if len(text) > 10:  # a time of day in a form that is not read here: not the whole day
                raise ValueError
            return _end_of_day(parse_date(text))
        return _end_of_time(match)
    except ValueError as error:
        hint = f"; the calendar has no {text}" if "calendar" in str(error) else ""
        raise ValueError(f"{_EXPECTED}, not {shown(text)}{hint}") from None


def _end_of_time(match: re.Match[str]) -> datetime:
    day, minute, second, zone = match.groups()
    whole, point, digits = (second or ":00").replace(",", ".").partition(".")
    digits = digits[:6]  # a microsecond is the finest that Python knows
    zone = "+00:00" if (zone or "Z").upper() in ("Z", "UTC") else zone.replace(":", "")
    zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:] or '00'}"
    # All of it, since Python 3.10 reads no shorter forms.
    start = datetime.fromisoformat(f"{day}T{minute}{whole}.{digits:0<6}{zone}")
    if point:
        return _later(start, timedelta(seconds=1) / 10 ** len(digits))
    return _later(start, timedelta(seconds=1) if second else timedelta(minutes=1))


def _end_of_day(day: date | PartialDate) -> datetime:
    last = day.last if isinstance(day, PartialDate) else day
    return _later(datetime.combine(last, time(), timezone.utc), timedelta(days=1))


def _later(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment.astimezone(timezone.utc) + by
    except OverflowError:  # the end of the year 9999, or an hour before the year 1
        return (datetime.max if moment.year > 1 else datetime.min).replace(tzinfo=timezone.utc)
