"""Tables: laid out for a terminal, plain columns for a pipe; and nothing is lost on the way."""

from __future__ import annotations

import io
import os
from collections import Counter

import pytest
from commandline import plain
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.cells import cell_len

from authdb import AuthDBError, Package
from authdb.models import FIELDS
from authdb.tables import DEFAULT_COLUMNS, columns_of, details, packages_table, table


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def on_screen(heads: list[str], rows: list[list[str]], **options: list[int]) -> str:
    out = Screen()
    table(heads, rows, out, **options)
    return plain(out.getvalue())


def piped(heads: list[str], rows: list[list[str]], **options: list[int]) -> str:
    out = io.StringIO()
    table(heads, rows, out, **options)
    return out.getvalue()


def test_columns() -> None:
    assert columns_of(None, DEFAULT_COLUMNS) == DEFAULT_COLUMNS
    assert columns_of(" title,name , title,", ()) == ["title", "name"]
    assert columns_of(",".join(FIELDS), ()) == list(FIELDS)


@pytest.mark.parametrize("text", ["", ",", " ", "nmae", "name;title", "NAME", "stated_update"])
def test_columns_that_are_none(text: str) -> None:
    with pytest.raises(AuthDBError, match="--columns: ") as caught:
        columns_of(text, ())
    assert "\n" not in str(caught.value)


def test_in_a_pipe() -> None:
    rows = [["drf-a", "7", "one\ttwo\nthree " * 9], ["drf-bcd", "12,345", ""]]
    assert piped(["name", "packages", "what"], rows, right=[1]).splitlines() == [
        "name     packages  what",
        "-------  --------  " + "-" * 125,
        "drf-a           7  " + " ".join(["one two three"] * 9),
        "drf-bcd    12,345",
    ]


def test_on_a_terminal() -> None:
    rows = [["drf-a", "7", "one two three " * 7], ["drf-bcd", "12,345", ""]]
    lines = on_screen(["name", "packages", "what"], rows, right=[1]).splitlines()
    assert [line.rstrip() for line in lines] == [
        "name     packages  what",
        "─" * 80,
        "drf-a           7  one two three one two three one two three one two three one",
        "                   two three one two three one two three",
        "drf-bcd    12,345",
    ]


def test_names_dates_and_versions_stay_whole() -> None:
    package = Package(
        "djangorestframework-api-key",
        "A title",
        version="2026.10.20.post1",
        last_release="2026-10-20",
        categories=("registration", "passwordless", "webauthn", "signature"),
    )
    out = Screen()
    packages_table([package], DEFAULT_COLUMNS, out)
    lines = [line.split() for line in plain(out.getvalue()).splitlines()]
    assert lines[2] == [package.name, "2026-10-20", package.version, "registration,"]
    assert lines[3:] == [["passwordless,"], ["webauthn,", "signature"]]


def test_too_many_columns_make_blocks() -> None:
    rows = [["a" * 30, "b " * 30, "c" * 30, "d " * 30, "e" * 20] for _ in range(2)]
    block = [
        "name         " + "a" * 30,
        "title        " + " ".join(["b"] * 30),
        "last_update  " + "c" * 30,
        "license      " + " ".join(["d"] * 30),
        "version      " + "e" * 20,
    ]
    heads = ["name", "title", "last_update", "license", "version"]
    lines = [line.rstrip() for line in on_screen(heads, rows).splitlines()]
    assert lines == [*block, "", *block]


def test_details() -> None:
    package = Package(
        "djoser",
        "Djoser",
        description="Two\nlines",
        releases=[(f"1.{n}", f"2020-0{n}-01") for n in range(1, 6)],
        version="1.5",
        sources={"version": {"source": "PyPI", "seen": "2024-02-26"}},
    )
    expected = [
        "name         djoser",
        "title        Djoser",
        "description  Two lines",
        "version      1.5  [PyPI, seen 2024-02-26]",
        "releases     5: 1.5 (2020-05-01), 1.4 (2020-04-01), 1.3 (2020-03-01), ...",
    ]
    out = io.StringIO()
    details(package, out)
    assert out.getvalue().splitlines() == expected
    screen = Screen()
    details(package, screen, 1)
    lines = [line.rstrip() for line in plain(screen.getvalue()).splitlines()]
    assert lines == ["", *expected[:2], "description  Two", "             lines", *expected[3:]]


@given(st.data())
def test_nothing_is_lost_or_too_wide(data: st.DataObject) -> None:
    letters = st.characters(categories=("L", "N", "P", "S", "Zs"))
    heads = data.draw(st.lists(st.sampled_from(list(FIELDS)), min_size=1, unique=True))
    cells = st.text(letters, max_size=60) | st.sampled_from(["2024-02-26", "1.0", ""])
    rows = data.draw(
        st.lists(st.lists(cells, min_size=len(heads), max_size=len(heads)), min_size=1, max_size=4)
    )
    width = data.draw(st.integers(24, 120))
    os.environ["COLUMNS"] = str(width)  # put back by the fixture
    text = on_screen(heads, rows)
    assert max(map(cell_len, text.splitlines())) <= width

    def count(*texts: str) -> Counter[str]:
        return Counter("".join("".join(texts).replace("─", "").split()))

    assume(not any("─" in cell for row in rows for cell in row))
    values = count(*(cell for row in rows for cell in row))
    times = {1, len(rows)} if "─" not in text else {1}
    assert any(count(text) == values + count(*heads * n) for n in times)
