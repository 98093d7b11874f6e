"""Packages side by side: which facts, which of them differ, and that no face loses any of it."""

from __future__ import annotations

import io
import json
import re

import pytest
from commandline import plain as seen
from conftest import SAMPLES
from markdown_it import MarkdownIt

from authdb import Package
from authdb.contrast import Fact, as_json, as_markdown, contrast
from authdb.models import FIELDS
from authdb.tables import contrast_table

SEEN = {"source": "the index", "seen": "2024-03-01"}


def pair(one: dict[str, object], other: dict[str, object]) -> list[Package]:
    return [Package("drf-one", "The same", **one), Package("drf-other", "The same", **other)]


def facts(one: dict[str, object], other: dict[str, object]) -> dict[str, Fact]:
    return {fact.name: fact for fact in contrast(pair(one, other))}


class OnTerminal(io.StringIO):
    """What a command takes for a terminal."""

    def isatty(self) -> bool:
        return True


def table(packages: list[Package], out: io.StringIO, **options: bool) -> list[str]:
    contrast_table(packages, contrast(packages, **options), out)
    return seen(out.getvalue()).splitlines()


# -- the facts -------------------------------------------------------------------------------


def test_a_fact_that_is_not_known_of_any_is_left_out_unless_asked_for() -> None:
    packages = pair({"license": "MIT"}, {"description": "Signs in."})
    assert [fact.name for fact in contrast(packages)] == ["title", "license", "description"]
    everything = [fact.name for fact in contrast(packages, all=True)]
    assert sorted(everything) == sorted(set(FIELDS) - {"name", "sources"})
    assert everything[-1] == "description"
    assert everything[:-1] == [name for name in FIELDS if name in everything[:-1]]


@pytest.mark.parametrize(
    ("one", "other", "differs", "texts"),
    [
        ({"license": "MIT"}, {"license": "MIT"}, False, ["MIT", "MIT"]),
        ({"license": "MIT"}, {"license": "0BSD"}, True, ["MIT", "0BSD"]),
        ({"license": "MIT"}, {}, True, ["MIT", "(unknown)"]),
        ({"license": "MIT"}, {"sources": {"license": SEEN}}, True, ["MIT", "(none)"]),
        ({}, {"sources": {"license": SEEN}}, True, ["(unknown)", "(none)"]),
        (
            {"sources": {"license": SEEN}},
            {"sources": {"license": {**SEEN, "source": "the archive"}}},
            False,
            ["(none)", "(none)"],
        ),
    ],
)
def test_what_differs(
    one: dict[str, object], other: dict[str, object], differs: bool, texts: list[str]
) -> None:
    fact = facts(one, other)["license"]
    assert (fact.differs, fact.texts) == (differs, texts)


def test_releases_that_only_look_the_same_differ() -> None:
    days = ["2020-01-01", "2021-01-01", "2022-01-01"]
    one = [{"version": f"{number}.0", "date": day} for number, day in enumerate(days, 1)]
    other = [one[0], {"version": "1.5", "date": "2020-06"}, one[2]]
    fact = facts({"releases": one}, {"releases": other})["releases"]
    assert fact.differs
    assert fact.texts == ["3: 1.0 (2020-01-01) to 3.0 (2022-01-01)"] * 2


def test_structured_facts_are_readable() -> None:
    known = {
        "releases": [{"version": "0.9", "date": "2023-11"}],
        "vulnerabilities": [
            {"id": "CVE-2024-1", "summary": "A leak", "fixed_in": ["1.1"]},
            {"id": "CVE-2024-2"},
        ],
    }
    found = facts(known, {"sources": {"vulnerabilities": SEEN}})
    assert found["releases"].texts == ["1: 0.9 (2023-11)", "(unknown)"]
    assert found["vulnerabilities"].texts == [
        "CVE-2024-1: A leak (fixed in 1.1); CVE-2024-2",
        "(none)",
    ]


# -- the table -------------------------------------------------------------------------------


def test_in_a_pipe_a_row_is_a_fact_and_a_mark_says_what_differs() -> None:
    packages = pair({"license": "MIT", "version": "1.0"}, {"license": "MIT"})
    assert table(packages, io.StringIO()) == [
        "   fact     drf-one   drf-other",
        "-  -------  --------  ---------",
        "   title    The same  The same",
        "*  version  1.0       (unknown)",
        "   license  MIT       MIT",
    ]


def test_in_a_pipe_nothing_wraps() -> None:
    link = f"https://example.org/{'path-' * 20}"
    lines = table(pair({"repository": link}, {}), io.StringIO())
    assert lines[-1] == f"*  repository  {link}  (unknown)"


@pytest.mark.parametrize("columns", [80, 100, 60, 40])
def test_on_a_terminal_a_fact_stays_a_row(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    packages = [Package(**record) for record in SAMPLES[:3]]
    lines = table(packages, OnTerminal())
    assert max(map(len, lines)) <= columns
    heads = [line for line in lines if line.split()[:1] == ["fact"]]
    labels = [line.split()[1] for line in lines if line.startswith("* ")]
    # Where three find no room side by side, there are several tables with the same facts.
    assert len(heads) == {80: 1, 100: 1, 60: 2, 40: 3}[columns]
    assert labels == [fact.name for fact in contrast(packages)] * len(heads)
    together = re.sub(r"\s", "", "".join(lines))
    if len(heads) == 3:  # each package has a table of its own, so its texts are in one piece
        for package in packages:
            assert re.sub(r"\s", "", package.description or "") in together


def test_wide_characters_take_two_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", "60")
    wide = "認証" * 20
    lines = table([Package("one", wide), Package("two", "Two")], OnTerminal())
    assert max(map(cell_len, lines)) <= 60
    assert "".join(lines).count("認") == 20


# -- for pages and programs ------------------------------------------------------------------


def test_markdown_shows_what_was_typed_and_differences_in_bold() -> None:
    one = {"license": "MIT", "description": "a|b *c*\nd", "repository": "https://a.org/x_y_z"}
    packages = pair(one, {"license": "MIT"})
    out = io.StringIO()
    as_markdown(packages, contrast(packages), out)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(out.getvalue())
    cells = [
        "".join(child.content or "\n" * (child.type == "html_inline") for child in token.children)
        for token in tokens
        if token.type == "inline" and token.children is not None
    ]
    assert len(cells) == 3 * 5
    rows = [cells[start : start + 3] for start in range(0, 15, 3)]
    assert rows[0] == ["Fact", "drf-one", "drf-other"]
    assert ["repository", "https://a.org/x_y_z", "(unknown)"] in rows
    assert rows[4] == ["description", "a|b *c*<br>d", "(unknown)"]
    assert "| **repository** | <https://a.org/x_y_z> | (unknown) |" in out.getvalue()
    assert "| license | MIT | MIT |" in out.getvalue()


def test_json_tells_none_from_unknown() -> None:
    one = {"version": "1.0", "sources": {"vulnerabilities": SEEN, "replaced_by": SEEN}}
    packages = pair(one, {})
    out = io.StringIO()
    as_json(packages, contrast(packages), out)
    found = json.loads(out.getvalue())
    assert found["packages"] == ["drf-one", "drf-other"]
    by_fact = {fact.pop("fact"): fact for fact in found["facts"]}
    assert by_fact == {
        "title": {
            "differs": False,
            "values": {"drf-one": "The same", "drf-other": "The same"},
            "none": [],
        },
        "version": {
            "differs": True,
            "values": {"drf-one": "1.0", "drf-other": None},
            "none": [],
        },
        "replaced_by": {
            "differs": True,
            "values": {"drf-one": None, "drf-other": None},
            "none": ["drf-one"],
        },
        "vulnerabilities": {
            "differs": True,
            "values": {"drf-one": [], "drf-other": None},
            "none": ["drf-one"],
        },
    }


def test_json_holds_structured_facts_whole() -> None:
    releases = [{"version": f"{n}.0", "date": f"20{n}-01-01"} for n in range(10, 20)]
    packages = pair({"releases": releases}, {})
    out = io.StringIO()
    as_json(packages, contrast(packages), out)
    (fact,) = [f for f in json.loads(out.getvalue())["facts"] if f["fact"] == "releases"]
    assert fact["values"]["drf-one"] == releases
