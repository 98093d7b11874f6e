"""Facets and histograms: each engine counts what a person would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import Terminal, ok, told
from commandline import run as run_authdb
from conftest import SAMPLES
from hypothesis import given
from hypothesis import strategies as st
from oracle import DATES, collections, known, questions, records, store

from authdb import AuthDB, Package, beside, columns, ranking
from authdb.columns import COLUMNS_FILE
from authdb.exceptions import QueryError

KINDS = ["trees", "columns", "dirty columns"]


@pytest.fixture
def small() -> Iterator[None]:
    """Columns from the first package on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "MANY", 1)
        patch.setattr(beside, "few", lambda size: 1000)
        patch.setattr(beside, "COST", 1e-9)
        yield


def filled(packages: list[Package], kind: str, later: list[Package]) -> AuthDB:
    """A database of ``packages``; with dirty columns, some of it was changed since those were made.

    :param later: what takes the place of the first ones
    """
    db = AuthDB.in_memory()
    store(db, packages)
    if kind == "dirty columns":
        db._session.waited(60)
        assert (db._session.columns() is None) == (not packages)
        for old, new in zip(packages, later, strict=False):
            db.remove(old.name)
            if new.name not in db:
                db.add(new)
    if kind != "trees":
        db._session.waited(60)
        assert (db._session.columns() is None) == (not len(db))
    return db


def counted(packages: list[Package], values: Any) -> tuple[dict[str, int], int]:
    """How often each value comes, and how many have none."""
    each = [values(package) for package in packages]
    return dict(Counter(value for some in each for value in some)), each.count([])


def keywords(package: Package, field: str) -> list[str]:
    value = getattr(package, field)
    return ([value] if isinstance(value, str) else list(value)) if value else []


def period(package: Package, field: str, by: str) -> list[str]:
    day = known(package, field)
    return [] if day is None else [day.isoformat()[: 4 if by == "year" else 7]]


def examples(test: Any) -> Any:
    later = st.lists(st.sampled_from(["e-1", "e-2", "e-3"]), unique=True, max_size=3).flatmap(
        lambda names: st.tuples(*(records(name) for name in names))
    )
    return given(collections(), st.sampled_from(KINDS), later, st.none() | questions)(test)


@examples
def test_facets_are_what_is_counted_by_hand(
    small: None, packages: list[Package], kind: str, later: Any, question: Any
) -> None:
    with filled(packages, kind, [Package(**record) for record in later]) as db:
        query = None if question is None else question.query
        matching = [each for each in db if question is None or question.matches(each)]
        for field in ("categories", "license"):
            found = db.facets(field, query)
            by_hand = counted(matching, lambda package: keywords(package, field))  # noqa: B023
            assert (found, found.without) == by_hand
            assert found.total == len(matching)
            assert list(found.items()) == sorted(found.items(), key=lambda i: (-i[1], i[0]))


@examples
def test_histograms_are_what_is_counted_by_hand(
    small: None, packages: list[Package], kind: str, later: Any, question: Any
) -> None:
    with filled(packages, kind, [Package(**record) for record in later]) as db:
        query = None if question is None else question.query
        matching = [each for each in db if question is None or question.matches(each)]
        for field in DATES:
            for by in ("year", "month"):
                found = db.histogram(field, by, query)
                by_hand = counted(matching, lambda each: period(each, field, by))  # noqa: B023
                assert (found, found.without) == by_hand
                assert found.total == len(matching)
                assert list(found) == sorted(found)


def test_what_is_counted_and_how_is_the_default(asked: AuthDB) -> None:
    facets = asked.facets()
    assert facets == {"signature": 2, "oauth2": 1, "oidc": 1, "token": 1}
    assert (facets.total, facets.without) == (5, 1)
    assert repr(facets).startswith("<Counts of 5 packages: {'signature': 2,")
    histogram = asked.histogram()
    assert histogram == {"2019": 2, "2024": 2}
    assert (histogram.total, histogram.without) == (5, 1)
    assert asked.histogram(by="month") == {"2019-01": 1, "2019-03": 1, "2024-01": 1, "2024-02": 1}
    some = asked.facets("license", "last_update > day", names={"day": "2019"})
    assert some == {"BSD-2-Clause": 1, "MIT": 1}
    assert asked.histogram("last_release", "year", "name == 'unheard-of'") == {}


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda db: db.facets("licence"), "license"),
        (lambda db: db.facets("last_update"), "histogram"),
        (lambda db: db.facets(["license"]), "license"),
        (lambda db: db.histogram("name"), "last_update"),
        (lambda db: db.histogram("last_updat"), "last_update"),
        (lambda db: db.histogram(by="week"), "month"),
        (lambda db: db.facets(query="nothing == 1"), "nothing"),
        (lambda db: db.facets(query="last_update < today"), "today"),
        (lambda db: db.histogram(query=7), "query"),
    ],
)
def test_what_makes_no_sense_is_told(asked: AuthDB, ask: Any, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        ask(asked)


def test_days_at_both_ends_of_the_calendar(db: AuthDB, small: None) -> None:
    db.add(Package("first", "First", last_update="0001-01-01"))
    db.add(Package("last", "Last", last_update="9999-12-31"))
    for _ in range(2):
        assert db.histogram() == {"0001": 1, "9999": 1}
        assert db.histogram(by="month") == {"0001-01": 1, "9999-12": 1}
        db._session.waited(60)
    assert db._session.columns() is not None


def test_in_an_open_transaction_what_was_changed_counts(filled: AuthDB, small: None) -> None:
    filled._session.waited(60)
    assert filled._session.columns() is not None
    with filled.transaction():
        filled["hawkrest"].categories = ("jwt",)
        filled.add(Package("new", "New", categories=("jwt",), last_update="2020"))
        assert filled.facets()["jwt"] == 2
        assert filled.facets(query="name == 'new'") == {"jwt": 1}
        assert filled.histogram()["2020"] == 1
        filled.remove("unheard-of")
        assert filled.histogram().total == 5


def test_periods_are_those_of_the_columns_that_are_asked(
    filled: AuthDB, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked for once, and again in columns that take the place of those."""
    filled._session.waited(60)
    before = filled._session.columns()
    assert filled.histogram() == filled.histogram() == {"2019": 2, "2024": 2}
    filled.histogram().clear()  # what is handed out is the asker's own
    filled.update("hawkrest", last_release="2025-01-01")
    assert filled.histogram() == {"2019": 1, "2024": 2, "2025": 1}
    monkeypatch.setattr(beside, "few", lambda size: 0)
    filled.add(Package("new", "New", last_update="2026"))
    filled._session.waited(60)
    after = filled._session.columns()
    assert before is not None and after is not None and not after.dirty
    assert after._sections is not before._sections
    assert filled.histogram() == {"2019": 1, "2024": 2, "2025": 1, "2026": 1}


def test_damaged_columns_are_done_without(folder: Path, small: None) -> None:
    with AuthDB.create(folder) as db:
        store(db, [Package(**record) for record in SAMPLES])
        right = db.facets(query="last_release > '2000'"), db.histogram("last_release", "month")
        found = ranking.make(folder / COLUMNS_FILE, beside._gathered(db.objects, None), db._root)
        assert found is not None
        places = found._sections._places
        found.close()
    data = bytearray((folder / COLUMNS_FILE).read_bytes())
    for name in ("last_release.order", "last_release.values", "categories.counts"):
        data[places[name][0]] ^= 1
    for name in ("categories.bitmaps",):
        data[places[name][0] + 8] ^= 1
    (folder / COLUMNS_FILE).write_bytes(data)
    with AuthDB.open(folder) as db:
        assert db._session.columns() is not None
        assert (
            db.facets(query="last_release > '2000'"),
            db.histogram("last_release", "month"),
        ) == (right)
        instead = db._session.columns()
        assert instead is None or not instead.has_rows


# -- on the command line ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counting") / "db"
    with AuthDB.create(folder) as db:
        store(db, [Package(**record) for record in SAMPLES])
    return folder


def test_the_commands_write_plain_columns_into_a_pipe(stored: Path) -> None:
    assert ok("--db", stored, "facets").lines == [
        "categories  packages",
        "----------  --------",
        "signature          2",
        "oauth2             1",
        "oidc               1",
        "token              1",
        "(none)             1",
        "5 packages",
    ]
    assert ok("--db", stored, "histogram", "--since", "2024").lines == [
        "last_update  packages",
        "-----------  --------",
        "2024                2",
        "2 packages",
    ]
    shown = ok("--db", stored, "histogram").lines
    assert [line.split() for line in shown[2:]] == [
        ["2019", "2"],
        *([str(year), "0"] for year in range(2020, 2024)),
        ["2024", "2"],
        ["(unknown)", "1"],
        ["5", "packages"],
    ]
    assert ok("--db", stored, "facets", "name == 'nobody'").lines == ["0 packages"]


def test_the_commands_write_for_programs(stored: Path) -> None:
    assert ok("--db", stored, "facets", "license", "--format", "json").json == {
        "field": "license",
        "packages": 5,
        "without": 2,
        "counts": {"MIT": 2, "BSD-2-Clause": 1},
    }
    by_month = ("histogram", "last_release", "--by", "month")
    assert ok("--db", stored, *by_month, "--format", "csv").lines == [
        "last_release,packages",
        "2023-05,1",
        "2024-01,1",
        ",3",
    ]
    asked = ("license", "last_update > day", "--name", "day=2019", "--any", "oauth2")
    assert ok("--db", stored, "facets", *asked, "--format", "csv").lines == [
        "license,packages",
        "BSD-2-Clause,1",
    ]
    assert ok("--db", stored, "facets", "--as-of", "c0", "--format", "json").json["packages"] == 0


def test_a_query_can_stand_where_no_field_is_named(stored: Path) -> None:
    some = ok("--db", stored, "facets", "last_update > '2019'", "--format", "json").json
    assert (some["field"], some["packages"]) == ("categories", 2)
    told(run_authdb("--db", stored, "facets", "licence"), 2, "'licence'", "'license'")
    told(run_authdb("--db", stored, "histogram", "name"), 2, "last_update, last_release")
    told(run_authdb("--db", stored, "facets", "license", "last_update <"), 2, "character")
    told(run_authdb("--db", stored, "histogram", "--by", "week"), 2, "'week'")


@pytest.mark.parametrize(("width", "bar"), [("80", 57), ("40", 17), ("20", 8)])
def test_on_a_terminal_there_are_bars(stored: Path, width: str, bar: int) -> None:
    with Terminal("--db", stored, "facets", COLUMNS=width) as terminal:
        lines = terminal.read().splitlines()
        assert terminal.end() == 0
    assert lines[0] == "categories  packages"
    assert lines[1] == f"signature          2  {'█' * bar}".rstrip()
    assert lines[2] == f"oauth2             1  {'█' * (bar // 2)}{'▌' * (bar % 2)}"
    assert lines[5] == f"(none)             1  {'░' * -(-bar // 2)}"
    assert lines[6] == "5 packages"
    assert max(map(len, lines)) <= max(int(width), 30)


def test_a_terminal_that_knows_no_blocks_gets_signs(stored: Path) -> None:
    with Terminal("--db", stored, "facets", COLUMNS="60", PYTHONIOENCODING="ascii") as terminal:
        lines = terminal.read().splitlines()
        assert terminal.end() == 0
    assert lines[1].endswith("2  " + "#" * 37)
    assert lines[5].endswith("1  " + ":" * 19)


def test_dates_mean_the_field_that_is_drawn(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        db.add(Package("old-release", "O", last_release="2019-04-01", last_commit="2024-05-01"))
        db.add(Package("new-release", "N", last_release="2024-02-01"))
    there = ["--db", str(tmp_path / "db"), "histogram"]
    for arguments in (
        ["last_release", "--since", "2022"],
        ["--date", "last_release", "--since", "2022"],
        ["last_release", "--date", "last_release", "--since", "2022"],
    ):
        assert ok(*there, *arguments, "--format", "csv").out == "last_release,packages\n2024,1\n"
    both = ok(*there, "last_release", "--date", "last_update", "--since", "2022", "--format", "csv")
    assert both.out == "last_release,packages\n2019,1\n2024,1\n"
    assert ok(*there, "--since", "2022", "--format", "csv").out == "last_update,packages\n2024,2\n"


def test_a_plan_takes_no_columns_and_no_format(tmp_path: Path) -> None:
    AuthDB.create(tmp_path / "db").close()
    for option in (["--columns", "name"], ["--format", "json"]):
        ended = run_authdb("--db", str(tmp_path / "db"), "query", "--explain", *option)
        told(ended, 2, "--explain")
