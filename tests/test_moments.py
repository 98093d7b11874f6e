"""Moments and spans as people write them: what is written stands for its end, and what the log
shows leads back to the change that it was read from."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authdb.dates import PartialDate
from authdb.moments import Moment, Span, parse_change, parse_moment, parse_span
from authdb.past import tid_of, time_of
from authdb.reports import _time

UTC = timezone.utc
NOW = datetime(2024, 3, 31, 12, 30, 15, 500, UTC)
MICROSECOND = timedelta(microseconds=1)
BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
#: Times that databases have changes at.
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
days = st.dates(date(1, 1, 1), date(9999, 12, 30))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


# -- spans -----------------------------------------------------------------------------------

UNITS = {
    timedelta(minutes=1): ("min", "minute", "minutes"),
    timedelta(hours=1): ("h", "hour", "hours"),
    timedelta(days=1): ("d", "day", "days"),
    timedelta(weeks=1): ("w", "week", "weeks"),
    1: ("mo", "month", "months"),
    12: ("y", "year", "years"),
}


@pytest.mark.parametrize(("length", "names"), UNITS.items(), ids=str)
@given(number=st.integers(0, 999_999), space=st.sampled_from(["", " "]))
def test_each_unit_has_its_names(
    length: timedelta | int, names: tuple[str, ...], number: int, space: str
) -> None:
    expected = (
        Span(number * length, timedelta()) if isinstance(length, int) else Span(0, number * length)
    )
    for name in names:
        for written in (name, name.upper(), f"{name} "):
            assert parse_span(f"{number}{space}{written}") == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "90", "d", "-1d", "+1d", "1.5d", "1e3d", "1  d", "1_0d", "d1", "1d2h", "1 d ago",
        "1m", "1mi", "1s", "2 fortnights", "1000000d", "\u0663d", "1\0d", "dd", "1 ds", "1 mos",
    ],
)  # fmt: skip
def test_what_is_no_span_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a length of time is written 90d, 18mo or '2 years'"):
        parse_span(text)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=zones),
    st.integers(0, 1200),
)
def test_months_back_end_on_that_day_or_the_last_of_the_month(now: datetime, months: int) -> None:
    then = Span(months, timedelta()).before(now)
    assert (now.year - then.year) * 12 + now.month - then.month == months
    assert then.day == min(now.day, monthrange(then.year, then.month)[1])
    assert (then.timetz(), then.tzinfo) == (now.timetz(), now.tzinfo)


@given(
    st.datetimes(timezones=st.none() | zones),
    st.builds(Span, st.integers(0, 12 * 999_999), st.timedeltas(timedelta(), timedelta(999_999))),
)
def test_no_span_leads_before_the_year_1(now: datetime, span: Span) -> None:
    then = span.before(now)
    assert then.tzinfo is now.tzinfo
    assert then <= now
    if then.replace(tzinfo=None) > datetime.min and not span.months:
        assert now - then == span.time


@pytest.mark.parametrize(
    ("now", "text", "then"),
    [
        (utc(2024, 3, 31), "1mo", utc(2024, 2, 29)),
        (utc(2023, 3, 31), "1 month", utc(2023, 2, 28)),
        (utc(2024, 2, 29), "1y", utc(2023, 2, 28)),
        (utc(2024, 2, 29), "4 years", utc(2020, 2, 29)),
        (utc(2024, 1, 15), "1mo", utc(2023, 12, 15)),
        (utc(2024, 12, 15), "12mo", utc(2023, 12, 15)),
        (utc(2024, 3, 1), "1d", utc(2024, 2, 29)),
        (utc(2024, 3, 1), "2w", utc(2024, 2, 16)),
        (utc(2024, 3, 1), "90 min", utc(2024, 2, 29, 22, 30)),
        (utc(2024, 3, 1), "0d", utc(2024, 3, 1)),
        (utc(1, 3, 1), "3mo", BEGINNING),
        (utc(2024, 3, 1), "999999y", BEGINNING),
        (utc(2024, 3, 1), "999999w", BEGINNING),
    ],
)
def test_spans_by_the_calendar(now: datetime, text: str, then: datetime) -> None:
    assert parse_span(text).before(now) == then


# -- changes ---------------------------------------------------------------------------------


@given(st.integers(0, 10**15 - 1))
def test_a_change_by_its_number(number: int) -> None:
    for text in (f"c{number}", f"C{number}", f" c{number:015}\n"):
        assert parse_change(text) == number
        assert parse_moment(text) == number


@given(st.binary(min_size=8, max_size=8))
def test_a_change_by_its_transaction_id(tid: bytes) -> None:
    for text in (tid.hex(), tid.hex().upper(), f"0x{tid.hex()}", f" {tid.hex()} "):
        assert parse_change(text) == tid
        assert parse_moment(text) == tid


@pytest.mark.parametrize(
    "text",
    [
        "", "c", "12", "c-1", "c+1", "c 1", "c1.0", "c1e3", "cc1", "c\u0661", "c1,000", "now", "0x",
        "040d3295dd54557", "040d3295dd5455777", "g40d3295dd545577", "2024-02-26", "c" + 16 * "1",
    ],
)  # fmt: skip
def test_what_names_no_change_is_told_what_does(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a change is written as authdb log shows it, "):
        parse_change(text)


# -- moments end when what is written ends ---------------------------------------------------


@given(days)
def test_a_day_is_over_when_the_next_begins(day: date) -> None:
    end = datetime.combine(day + timedelta(1), datetime.min.time(), UTC)
    assert parse_moment(day) == end
    assert parse_moment(day.isoformat()) == end
    assert parse_moment(f"  {day.isoformat()}\n") == end


@given(days)
def test_a_month_and_a_year_end_with_their_last_day(day: date) -> None:
    last = day.replace(day=monthrange(day.year, day.month)[1])
    assume(last < date(9999, 12, 31))
    for month in (PartialDate(day.year, day.month), f"{day.year:04}-{day.month:02}"):
        assert parse_moment(month) == parse_moment(last)
    for year in (PartialDate(day.year), f"{day.year:04}"):
        assert parse_moment(year) == parse_moment(date(day.year, 12, 31))


@given(times, zones)
def test_a_minute_and_a_second_end_when_the_next_begins(moment: datetime, zone: tzinfo) -> None:
    there = moment.astimezone(zone)
    minute, second = there.replace(second=0, microsecond=0), there.replace(microsecond=0)
    for text in (f"{there:%Y-%m-%d %H:%M%z}", f"{there:%Y-%m-%dT%H:%M %z}"):
        assert parse_moment(text) == minute + timedelta(minutes=1)
    for text in (f"{there:%Y-%m-%d %H:%M:%S%z}", second.isoformat()):
        assert parse_moment(text) == second + timedelta(seconds=1)


@given(times, st.integers(1, 6), st.sampled_from(".,"))
def test_a_fraction_of_a_second_is_as_long_as_its_last_digit(
    moment: datetime, digits: int, point: str
) -> None:
    step = 10 ** (6 - digits)
    start = moment.replace(microsecond=moment.microsecond // step * step)
    text = f"{start:%Y-%m-%d %H:%M:%S}{point}{start:%f}"[: 20 + digits]
    assert parse_moment(text) == start + step * MICROSECOND
    assert start <= moment < parse_moment(text)


@given(st.datetimes(timezones=st.none() | zones))
def test_an_instant_of_a_program_is_included(moment: datetime) -> None:
    end = parse_moment(moment)
    assert isinstance(end, datetime)
    assert end.tzinfo is UTC
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    assert end in (BEGINNING, END) or end - aware == MICROSECOND


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2024-02-26", utc(2024, 2, 27)),
        ("2024-02", utc(2024, 3, 1)),
        ("2024", utc(2025, 1, 1)),
        ("2023-12-31", utc(2024, 1, 1)),
        ("2024-02-26 14:30", utc(2024, 2, 26, 14, 31)),
        ("2024-02-26T14:30Z", utc(2024, 2, 26, 14, 31)),
        ("2024-02-26 14:30 utc", utc(2024, 2, 26, 14, 31)),
        ("2024-02-26  14:30\tUTC", utc(2024, 2, 26, 14, 31)),
        ("2024-02-26 23:59", utc(2024, 2, 27)),
        ("2024-02-26 14:30:59", utc(2024, 2, 26, 14, 31)),
        ("2024-02-26 14:30:05.5", utc(2024, 2, 26, 14, 30, 5, 600_000)),
        ("2024-02-26 14:30+02:00", utc(2024, 2, 26, 12, 31)),
        ("2024-02-26 14:30 -0930", utc(2024, 2, 27, 0, 1)),
        ("now", NOW + MICROSECOND),
        ("Today", NOW + MICROSECOND),
        ("yesterday", utc(2024, 3, 31)),
        ("1 day ago", NOW - timedelta(days=1) + MICROSECOND),
        ("2 WEEKS  AGO", NOW - timedelta(weeks=2) + MICROSECOND),
        ("90min ago", NOW - timedelta(minutes=90) + MICROSECOND),
        ("1mo ago", NOW.replace(month=2, day=29) + MICROSECOND),
        ("0d ago", NOW + MICROSECOND),
        ("999999 years ago", BEGINNING + MICROSECOND),
    ],
)
def test_moments_as_people_write_them(text: str, end: datetime) -> None:
    assert parse_moment(text, NOW) == end


def test_yesterday_is_that_of_utc() -> None:
    late = datetime(2024, 3, 31, 22, 0, tzinfo=timezone(timedelta(hours=-5)))  # April in UTC
    assert parse_moment("yesterday", late) == utc(2024, 4, 1)


def test_without_a_now_it_is_now() -> None:
    before = datetime.now(UTC)
    end = parse_moment("now")
    assert isinstance(end, datetime)
    assert before < end <= datetime.now(UTC) + MICROSECOND


@pytest.mark.parametrize(
    "value",
    [
        date.max,
        PartialDate(9999),
        "9999-12-31",
        "9999-12-31 23:59",
        "9999-12-31 23:59:59.999999",
        "9999-12-31 23:59-10:00",
        datetime.max,
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ],
    ids=str,
)
def test_the_end_of_all_days_is_no_error(value: object) -> None:
    assert parse_moment(value) == END


def test_nor_is_their_beginning() -> None:
    early = timezone(timedelta(hours=14))
    assert parse_moment(datetime.min.replace(tzinfo=early)) == BEGINNING
    assert parse_moment("0001-01-01 00:00+14:00") == BEGINNING
    assert parse_moment(date.min) == utc(1, 1, 2)


# -- what is no moment -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "last week", "12", "1 week", "-1 day ago", "two weeks ago", "ago", " ago",
        "26.02.2024", "02/26/2024", "24-02-26", "20240226", "2024-W09", "2024-2-6", "2024-02-26T",
        "2024-02-26 2:30", "2024-02-26 24:01", "2024-02-26 14:60", "2024-02-26 23:59:60", "14:30",
        "2024-02-26 14:30 CET", "2024-02-26 14:30+25:00", "2024-02-26 14:30+0", "0000-01-01",
        "\uff12024-02-26", "c-1", "\0", "\ud800", "x" * 100_000, "2024-02-26 14:30\0",
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_other_text_is_told_how_a_moment_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a moment is written 2024-02-26, ") as caught:
        parse_moment(text)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    message.encode()  # can be shown anywhere


@pytest.mark.parametrize(
    "text",
    ["14", "1430", "143000", "14:30:05+0", "14:30:05.", "14:30:5", "14:3", "T14", "14:30:05:06"],
)
def test_a_time_in_another_form_is_not_taken_for_the_whole_day(text: str) -> None:
    with pytest.raises(ValueError, match="a moment is written"):
        parse_moment(f"2024-02-26 {text}")


@pytest.mark.parametrize("text", ["2024-02-30", "2023-02-29", "2024-13", "2024-00-01"])
def test_a_day_that_the_calendar_does_not_have(text: str) -> None:
    with pytest.raises(ValueError, match=rf"a moment is written .* the calendar has no {text}$"):
        parse_moment(text)
    with pytest.raises(ValueError, match="a moment is written"):
        parse_moment(f"{text} 14:30")


@pytest.mark.parametrize("value", [None, -12, 1.5, True, b"c12", ["c12"], timedelta(1)])
def test_other_values_are_no_moments(value: object) -> None:
    with pytest.raises(ValueError, match="a moment is written"):
        parse_moment(value)


@given(st.text(max_size=40) | st.from_regex(r"[c0-9 :TZ+.,-]{1,30}", fullmatch=True))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    moment: Moment | None
    try:
        moment = parse_moment(text)
    except ValueError as error:
        moment, message = None, str(error)
        assert "\n" not in message
        assert message.startswith("a moment is written")
    if isinstance(moment, datetime):
        assert moment.tzinfo is UTC
    elif moment is not None:
        assert parse_change(text) == moment


# -- what the log shows ----------------------------------------------------------------------


@given(times)
def test_what_the_log_shows_leads_back_to_the_change(moment: datetime) -> None:
    tid = tid_of(moment)
    when = time_of(tid)
    assert abs(when - moment) <= MICROSECOND
    for written, within in (
        (_time(when), timedelta(seconds=1)),  # the table, and the text
        (f"{_time(when)} UTC", timedelta(seconds=1)),  # what messages say
        (when.isoformat(), MICROSECOND if when.microsecond else timedelta(seconds=1)),  # JSON
        (when, MICROSECOND),  # a program
        (f"{when:%Y-%m-%d %H:%M}", timedelta(minutes=1)),
        (f"{when:%Y-%m-%d}", timedelta(days=1)),
    ):
        end = parse_moment(written)
        assert isinstance(end, datetime)
        assert tid < tid_of(end), written
        assert end - when <= within
    assert parse_moment(tid.hex()) == tid


@given(st.integers(0, 2**64 - 1))
@example(0x001FFE0000000000)  # the 31st of November
def test_transaction_ids_that_no_clock_made_have_a_time_too(number: int) -> None:
    when = time_of(number.to_bytes(8, "big"))
    assert when.tzinfo is UTC
    end = parse_moment(when)
    assert isinstance(end, datetime)
    assert tid_of(end) > number.to_bytes(8, "big") or when.year > 9000


@given(times, times)
def test_transaction_ids_are_in_the_order_of_time(one: datetime, other: datetime) -> None:
    first, last = sorted([one, other])
    assert tid_of(first) <= tid_of(last)
    assert (tid_of(first) < tid_of(last)) == (last - first >= MICROSECOND)
