"""Dates as precisely as they are known."""

from __future__ import annotations

import copy
import pickle
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authdb.dates import PartialDate, age, first_day, parse_date, period


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2024-02-26", date(2024, 2, 26)),
        (" 2024-02-26\n", date(2024, 2, 26)),
        ("2024-02-29", date(2024, 2, 29)),
        ("0001-01-01", date(1, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
        ("2024-02", PartialDate(2024, 2)),
        ("2024", PartialDate(2024)),
        (2024, PartialDate(2024)),
        (1, PartialDate(1)),
        (date(2024, 2, 26), date(2024, 2, 26)),
        (PartialDate(2024, 2), PartialDate(2024, 2)),
        (datetime(2024, 2, 26, 23, 59), date(2024, 2, 26)),
        (datetime(2024, 2, 26, 23, tzinfo=timezone(timedelta(hours=-5))), date(2024, 2, 27)),
        ("2024-02-26T23:30:00", date(2024, 2, 26)),
        ("2024-02-26 23:30", date(2024, 2, 26)),
        ("2024-02-26T23:30:00Z", date(2024, 2, 26)),
        ("2024-02-26T23:30:00-05:00", date(2024, 2, 27)),
        ("2024-02-26T00:30:00+05:00", date(2024, 2, 25)),
    ],
)
def test_a_date_is_read_as_people_and_files_give_it(given: Any, read: Any) -> None:
    assert parse_date(given) == read
    assert type(parse_date(given)) is type(read)


@pytest.mark.parametrize(
    "given",
    [
        "2024-02-30",
        "2023-02-29",
        "2024-13",
        "2024-00",
        "2024-00-05",
        "2024-01-00",
        "2024-01-32",
        "0000",
        "0000-01",
        "2024-2",
        "2024-2-6",
        "24",
        "20240226",
        "12024-01-01",
        "2024-02-26T25:00",
        "2024-02-26x",
        "2024-02-26T",
        "２０２４",  # noqa: RUF001 - digits, but not ours
        "yesterday",
        "",
        "-2024",
        0,
        -1,
        10_000,
        10**4000,
        2024.0,
        True,
        None,
        b"2024",
        ["2024"],
        (2024, 2),
        timedelta(1),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:00:00-05:00",
    ],
    ids=lambda value: None,
)
def test_what_is_no_date_is_a_value_error_that_says_how_dates_are_written(given: Any) -> None:
    with pytest.raises(ValueError, match="a date is written 2024-02-26, 2024-02 or 2024"):
        parse_date(given)


def test_a_day_that_the_calendar_does_not_have_is_named() -> None:
    for text in ("2023-02-29", "2024-13", "2024-00", "2024-00-05"):
        with pytest.raises(ValueError, match=f"the calendar has no {text}"):
            parse_date(text)


def test_a_kind_of_date_from_elsewhere_is_stored_as_a_plain_one() -> None:
    """Its class would go into the database, and the database could not be read without it."""

    class Day(date):
        pass

    assert type(parse_date(Day(2024, 2, 26))) is date
    assert type(parse_date(datetime(2024, 2, 26))) is date


@pytest.mark.parametrize("year", [0, 10_000, -1])
def test_a_partial_date_has_a_year_of_the_calendar(year: int) -> None:
    with pytest.raises(ValueError, match="year"):
        PartialDate(year)


@pytest.mark.parametrize("month", [0, 13, -1])
def test_a_partial_date_has_a_month_of_the_calendar(month: int) -> None:
    with pytest.raises(ValueError, match="month"):
        PartialDate(2024, month)


partials = st.builds(PartialDate, st.integers(1, 9999), st.one_of(st.none(), st.integers(1, 12)))


@given(partials)
def test_a_partial_date_stands_for_its_first_to_its_last_day(partial: PartialDate) -> None:
    assert partial.first.day == 1
    assert partial.first.month == (partial.month or 1)
    assert partial.last.month == (partial.month or 12)
    if partial.last < date.max:
        after = partial.last + timedelta(1)
        assert after.day == 1 and (partial.month or after.month == 1)
    assert first_day(partial) == partial.first
    assert period(partial) == (partial.first.toordinal(), partial.last.toordinal())


@given(partials | st.dates())
def test_a_date_is_read_back_from_its_text_its_pickle_and_its_copy(value: Any) -> None:
    assert parse_date(value.isoformat()) == parse_date(str(value)) == value
    assert pickle.loads(pickle.dumps(value, 3)) == value
    assert copy.deepcopy(value) == value
    assert hash(copy.copy(value)) == hash(value)


@given(st.dates())
def test_a_day_is_a_period_of_one_day(day: date) -> None:
    assert period(day) == period(day.isoformat()) == (day.toordinal(), day.toordinal())
    assert first_day(day) == day


def test_a_partial_date_does_not_change_and_has_no_order() -> None:
    partial = PartialDate(2024, 2)
    with pytest.raises(AttributeError):
        partial.year = 2025
    with pytest.raises(AttributeError):
        partial.day = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        assert partial < PartialDate(2025)  # type: ignore[operator]
    assert partial != date(2024, 2, 1) and partial != "2024-02" and partial != PartialDate(2024)
    assert len({partial, PartialDate(2024, 2), PartialDate(2024)}) == 2
    assert repr(partial) == "PartialDate('2024-02')" and str(PartialDate(7)) == "0007"


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (date(2026, 11, 26), "0 days"),
        (date(2026, 11, 25), "1 day"),
        (date(2026, 10, 27), "30 days"),
        (date(2026, 10, 26), "1 month"),
        (date(2025, 11, 27), "11 months"),
        (date(2025, 11, 26), "1 year"),
        (date(2018, 3, 28), "8 years 7 months"),
        (PartialDate(2018, 3), "about 8 years 8 months"),
        (PartialDate(2018), "about 8 years"),
        (PartialDate(2025), "about 1 year"),
        (PartialDate(2026), "less than a year"),
        (date(2027, 1, 1), "0 days"),
    ],
)
def test_ages_in_words(since: date | PartialDate, words: str) -> None:
    assert age(since, date(2026, 11, 26)) == words
