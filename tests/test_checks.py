"""Quick checks: they take what the fields' own checks give, and refuse nothing more than these."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authdb import checks
from authdb.checks import QUICK, REFUSED
from authdb.exceptions import InvalidValue
from authdb.loaders import Loader
from authdb.models import FIELDS

ORDINARY: dict[str, list[Any]] = {
    "name": ["drf-x", "a", "a1-b2-c3"],
    "title": ["DRF X", "é", " around "],
    "description": ["What it does.", "two\nlines", "two\r\nlines\tand a tab"],
    "categories": [["jwt"], ["oauth2", "jwt", "oauth2"], []],
    "last_update": ["2024-02-26"],
    "last_commit": ["2024-02-26", "2024-02", "2024", 2024, " 2024 ", "2024-02-26T23:30:00-05:00"],
    "last_release": ["2024-02-26", "1999-12"],
    "last_push": ["2024-02-26", "2024"],
    "version": ["1.0", "v2", "1.0+local"],
    "requires_python": [">=3.9", ">=3.9,<4", ""],
    "django_versions": [["4.2", "10", "5.2", "4.2"], ["04.2", "4.2"]],
    "python_versions": [["3.10", "3.9"], ["3"]],
    "requires_django": [">=4.2", "<=1.7"],
    "requires_drf": [">=3.14", "<4,>=3"],
    "development_status": ["4 - Beta", "7 - Inactive"],
    "project_status": ["archived", "active"],
    "repository_status": ["archived", "gone"],
    "moved_to": ["https://example.org/new"],
    "vulnerabilities": [[{"id": "CVE-2024-1", "fixed_in": ["1.1"]}, {"id": "A"}], []],
    "license": ["MIT", "mit", "apache-2.0 or mit"],
    "repository": ["https://github.com/a/b", "http://a.b"],
    "homepage": ["https://example.org/", "https://example.org:8080/x?y=1#z"],
    "documentation": ["https://x.readthedocs.io/en/latest/", "https://[::1]/"],
    "replaced_by": ["other", "An.Other"],
    "releases": [[{"version": "1", "date": "2024"}], [["1", "2024"]], []],
    "sources": [{"version": {"source": "PyPI", "seen": "2024-02-26"}}, {}],
}
ODD = [
    *(None, "", " ", "-", "a--b", "A", "a\0b", "a\nb", "\ud800", "a\u2028b", "\ufeffa", "a b", "é"),
    *("x" * 201, "x" * 2001, "1" * 101, "2024-02-30", "soon", "Mine", "jwt", "http://", "ftp://a"),
    *("https://a/" + "x" * 2000, "https://a b", "https://", "https://-/", "https://a:0/", "a,b"),
    *(0, 1, 1.0, 2024.0, True, False, 10**30, [], {}, ["jwt", 1], ["jwt", None], [["jwt"]]),
    *({"jwt": 1}, ["nope"], ["4.2", 5], ["jwt"] * 50, [{}], ["4.2"] * 30, ["1" * 21], "4.2"),
]
VALUES = {
    field: st.one_of(
        st.sampled_from(ORDINARY[field]),
        st.sampled_from(ORDINARY[field]),
        st.sampled_from(ODD),
        st.text(max_size=5),
    )
    for field in FIELDS
}


def checked(record: Any, quick: bool) -> tuple[Any, list[str]]:
    """What a loader makes of a record, and what it says of it."""
    loader = Loader(io.BytesIO(), "ndjson", "-")
    fields = loader._check(3, record) if quick else loader._look_closer(3, record)
    return fields, [str(problem) for problem in loader.problems]


def is_the_same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of the same types all through."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(is_the_same(one[key], other[key]) for key in one)
    return not isinstance(one, tuple) or all(map(is_the_same, one, other))


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_a_record_is_checked_as_by_its_fields(record: dict[str, Any]) -> None:
    for _ in range(2):  # the second time much is remembered
        quick, slow = checked(record, True), checked(record, False)
        assert is_the_same(quick[0], slow[0])
        assert quick[1] == slow[1]


@given(st.sampled_from(sorted(FIELDS)), st.one_of(st.sampled_from(ODD), st.text()))
def test_a_value_is_taken_in_its_stored_form_or_left_to_the_field(field: str, value: Any) -> None:
    for known in ([], ORDINARY[field]):  # whatever was seen before
        for each in known:
            QUICK[field](each)
        try:
            taken = QUICK[field](value)
        except REFUSED:
            continue  # the field says what is wrong, or takes it
        assert is_the_same(taken, FIELDS[field].check(value))


@pytest.mark.parametrize(
    "record", [None, 7, "x", [], ["name"], {"nmae": 1}, {1: 2}, {"title": "T"}]
)
def test_what_is_no_record_is_told_as_before(record: Any) -> None:
    assert checked(record, True) == checked(record, False)


def test_a_number_is_not_taken_for_the_text_that_was_there_before() -> None:
    assert QUICK["last_commit"]("2024") == QUICK["last_commit"](2024)
    for value in (2024.0, True, 1):
        if value != 1 or isinstance(value, bool):
            with pytest.raises(InvalidValue):
                QUICK["last_commit"](value)


def test_only_so_many_values_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_MOST", 10)
    known = checks._Remembered(FIELDS["version"])
    for number in range(100):
        assert known[f"1.{number}"] == f"1.{number}"
        assert len(known) <= 10
    assert known["1" * 100] == "1" * 100
    assert "1" * 100 not in known


def test_equal_values_are_one_object() -> None:
    """Of a million packages' categories and days, few are kept."""
    assert QUICK["categories"](["jwt", "token"]) is QUICK["categories"](["jwt", "token"])
    assert QUICK["last_commit"]("2024-02-26") is QUICK["last_commit"]("2024-02-26")
