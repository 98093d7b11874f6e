"""Releases and versions: which is final, newest, the last by a day; what a specifier lets in."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from authdb.dates import PartialDate, first_day
from authdb.exceptions import AuthDBError
from authdb.fields import Release
from authdb.releases import Frameworks, Target, is_final, last_by, newest


def releases(*given: str) -> list[Release]:
    """Of texts such as "1.0 2024-02-26" or "1.0 2024"."""
    found = []
    for text in given:
        version, day = text.split()
        parts = [int(part) for part in day.split("-")]
        found.append(Release(version, date(*parts) if len(parts) == 3 else PartialDate(*parts)))
    return found


# -- final ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "final"),
    [
        ("1.0", True),
        ("1.0.post1", True),
        ("1!1.0", True),
        ("1.0+local", True),
        ("v1.0", True),
        ("1.0a1", False),
        ("1.0b2", False),
        ("1.0rc1", False),
        ("1.0-beta", False),
        ("1.0.dev1", False),
        ("1.0.post1.dev1", False),
        ("1.0a1+local", False),
        ("0.1-beta-final", True),  # it can't be read: it does not say that it is none
        ("2004d", True),
        ("", True),
    ],
)
def test_is_final(version: str, final: bool) -> None:
    assert is_final(version) == final


# -- newest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ([], None),
        (["1.0 2020-01-01"], "1.0"),
        (["1.9 2020-01-01", "1.10 2020-01-02", "1.2 2020-01-03"], "1.10"),
        (["2.0 2020-01-01", "1.9.1 2024-01-01"], "2.0"),  # a mended older one is not newer
        (["1.0 2020-01-01", "2.0rc1 2021-01-01", "2.0.dev3 2022-01-01"], "1.0"),
        (["2.0a1 2020-01-01", "2.0b1 2019-01-01", "2.0.dev5 2021-01-01"], "2.0b1"),
        (["1.0 2020-01-01", "1.0.post1 2019-01-01"], "1.0.post1"),
        (["1!0.1 2020-01-01", "9.0 2021-01-01"], "1!0.1"),
        (["2004d 2024-01-01", "0.1 2020-01-01"], "0.1"),
        (["2004d 2019-01-01", "0.1a1 2020-01-01"], "2004d"),
        (["2004d 2004-01-01", "2005x 2005-01-01", "2003y 2003-01-01"], "2005x"),
        (["2004d 2004", "2003y 2004-05"], "2003y"),
    ],
)
def test_newest(given: list[str], version: str | None) -> None:
    for several in given, given[::-1]:
        found = newest(releases(*several))
        assert (found and found.version) == version


# -- the last by a day ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "day", "version"),
    [
        ([], None, None),
        (["1.0 2020-01-01"], date(2019, 12, 31), None),
        (["1.0 2020-01-01"], date(2020, 1, 1), "1.0"),
        (["2.0 2020-01-01", "1.9.1 2024-01-01"], None, "1.9.1"),
        (["2.0 2020-01-01", "1.9.1 2024-01-01"], date(2023, 1, 1), "2.0"),
        (["1.9.1 2024-01-01", "2.0.1 2024-01-01"], None, "2.0.1"),  # both of one day
        (["1.0 2020-01-01", "2.0rc1 2021-01-01"], None, "1.0"),
        (["1.0a1 2020-01-01", "1.0 2021-01-01"], date(2020, 6, 1), "1.0a1"),
        (["1.0a1 2020-01-01", "1.0.dev1 2020-02-01"], None, "1.0.dev1"),
        (["1.0 2020", "1.1 2020-01-02"], None, "1.1"),
        (["1.0 2020-03", "1.1 2020-01-02"], date(2020, 3, 1), "1.0"),
        (["1.0 2020-03", "1.1 2020-01-02"], date(2020, 2, 29), "1.1"),
        (["2004d 2020-01-01", "0.1 2020-01-01"], None, "0.1"),
        (["2004d 2020-01-02", "0.1 2020-01-01"], None, "2004d"),
    ],
)
def test_last_by(given: list[str], day: date | None, version: str | None) -> None:
    for several in given, given[::-1]:
        found = last_by(releases(*several), day)
        assert (found and found.version) == version


VERSIONS = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}(a1|rc2|\.dev1|\.post1|x)?", fullmatch=True)
DAYS = st.dates(date(2020, 1, 1), date(2020, 1, 9)) | st.builds(
    PartialDate, st.integers(2019, 2021)
)


@given(st.lists(st.builds(Release, VERSIONS, DAYS)), st.dates(date(2019, 1, 1), date(2021, 2, 1)))
def test_any_releases(given: list[Release], day: date) -> None:
    """In whatever order they are given; the last one is found in a plainer way too."""
    for choose in newest, last_by:
        found, other = choose(given), choose(given[::-1])
        assert (found in given) if given else (found is None)
        if found and other and "x" not in found.version:
            assert Version(found.version) == Version(other.version)
    last = last_by(given, day)
    first = {one: first_day(one.date) for one in given}
    by_then = [one for one in given if first[one] <= day]
    finals = [one for one in by_then if is_final(one.version)] or by_then
    assert (last in finals) if finals else (last is None)
    assert last is None or first[last] == max(first[one] for one in finals)


# -- targets -------------------------------------------------------------------------------------

KNOWN = ("4.2", "4.2.1", "5.2rc1", "5.2", "5.2.1", "5.2.10", "5.20", "6.0a1")


@pytest.mark.parametrize(
    ("text", "series", "versions"),
    [
        ("5.2", "5.2", ["5.2", "5.2.1", "5.2.10"]),
        (" 5.2 ", "5.2", ["5.2", "5.2.1", "5.2.10"]),
        ("v5.2", "5.2", ["5.2", "5.2.1", "5.2.10"]),
        ("5.2.1", "5.2", ["5.2.1"]),
        ("5.2.7", "5.2", ["5.2.7"]),  # nobody knows it, but that is what was asked for
        ("5.2rc1", "5.2", ["5.2rc1"]),
        ("5.2-RC1", "5.2", ["5.2rc1"]),
        ("5.2.dev1", "5.2", ["5.2.dev1"]),
        ("5.2.post1", "5.2", ["5.2.post1"]),
        ("5.2.0", "5.2", ["5.2.0"]),
        ("5", "5", ["5.2", "5.2.1", "5.2.10", "5.20"]),
    ],
)
def test_what_a_target_stands_for(text: str, series: str, versions: list[str]) -> None:
    target = Target.of(text, KNOWN)
    assert (target.series, list(target.versions)) == (series, versions)
    assert Target.of(target.text, KNOWN) == target


@pytest.mark.parametrize("text", ["6.0", "7.1", "3"])
def test_of_a_series_that_nobody_knows_there_may_be_any(text: str) -> None:
    versions = Target.of(text, KNOWN).versions
    assert versions[:3] == [text, f"{text}.1", f"{text}.2"]
    assert len(versions) > 20


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "5.x", "5.*", ">=5.2", "5,2", "5.2 6", "5.2.3.4", "1!5.2", "5.2+local", "-1",
     "\u0665.2", "5.2\x00", "9" * 5000 + "x"],
)  # fmt: skip
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(AuthDBError, match=r"^a version is written 5\.2 or 5\.2\.3, not '") as told:
        Target.of(text)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 150


@pytest.mark.parametrize(
    ("text", "specifier", "fits"),
    [
        ("5.2", ">=4.2", True),
        ("5.2", "<=1.7", False),
        ("5.2", ">=4.2,<6", True),
        ("5.2", "<5.2", False),
        ("5.2", "==5.2.*", True),
        ("5.2", "==5.*", True),
        ("5.2", "~=5.0", True),
        ("5.2", "~=5.2.1", True),  # some of the series
        ("5.2", ">=5.2.10", True),
        ("5.2", ">=5.2.11", False),  # none that there is
        ("5.2", "==5.2.5", False),
        ("5.2", "!=5.2", True),
        ("5.2", "!=5.2.*", False),
        ("5.2", ">5.2", True),
        ("5.2", ">=0", True),
        ("5.2", "", True),
        ("5.2.1", ">5.2.1", False),
        ("5.2.1", "==5.2.1", True),
        ("5.2.1", "<=5.2.1", True),
        ("5.20", "==5.2.*", False),
        ("5.2rc1", ">=5.2rc1", True),
        ("5.2rc1", ">=5.2", False),
        ("5.2rc1", ">=4", True),  # it is what was asked for
        ("6.0", ">=6.0.5", True),  # there may be one
        ("6.0", ">=6.1", False),
        ("5.2.post1", ">=5.2", True),
        ("4.2", ">=4.2a1", True),
    ],
)
def test_fits(text: str, specifier: str, fits: bool) -> None:
    assert Target.of(text, KNOWN).fits(specifier) == fits


@given(VERSIONS.filter(is_final).filter(lambda text: "x" not in text), VERSIONS)
def test_one_version_fits_what_packaging_says(version: str, bound: str) -> None:
    if "x" in bound or len(Version(version).release) < 3:
        return
    for sign in ">=", "<", "==", "!=":
        specifier = f"{sign}{bound}"
        expected = SpecifierSet(specifier).contains(version, prereleases=True)
        assert Target.of(version).fits(specifier) == expected


@pytest.mark.parametrize(
    ("text", "versions", "declared"),
    [
        ("5.2", ("4.2", "5.2"), True),
        ("5.2.3", ("4.2", "5.2"), True),
        ("5.2rc1", ("5.2",), True),
        ("5.2", ("5.20", "5"), False),
        ("5", ("5",), True),
        ("5.2", (), False),
    ],
)
def test_declared(text: str, versions: tuple[str, ...], declared: bool) -> None:
    assert Target.of(text).declared(versions) == declared


# -- frameworks ----------------------------------------------------------------------------------


def test_the_frameworks_of_a_day() -> None:
    known = Frameworks(
        tuple(releases("4.2 2023-04-03", "5.0 2023-12-04", "4.2.8 2023-12-05", "5.1a1 2024-01-01")),
        tuple(releases("3.14.0 2022-09-22", "3.15.0 2024-03-15")),
        date(2024, 4, 1),
    )

    def current(day: date | None) -> list[str | None]:
        return [target and target.text for target in known.current(day)]

    assert current(None) == ["5.0", "3.15.0"]
    assert current(date(2024, 2, 26)) == ["5.0", "3.14.0"]
    assert current(date(2023, 12, 4)) == ["5.0", "3.14.0"]
    assert current(date(2023, 12, 3)) == ["4.2", "3.14.0"]
    assert current(date(2022, 9, 22)) == [None, "3.14.0"]
    assert current(date(2000, 1, 1)) == [None, None]
    assert Frameworks().current() == (None, None)


def test_a_django_is_one_of_those_that_are_known() -> None:
    known = Frameworks(tuple(releases("5.2 2025-04-02", "5.2.1 2025-05-07")))
    assert known.target("5.2").versions == ["5.2", "5.2.1"]
    assert not known.target("5.2").fits(">=5.2.2")
    assert known.target("5.2.2").fits(">=5.2.2")
    with pytest.raises(AuthDBError):
        known.target("latest")
