"""Importing: all of the files or none, and each way to meet a package that is there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authdb import AuthDB, AuthDBError, Package, bulk, editions
from authdb.exceptions import (
    DatabaseClosed,
    DatabaseReadOnly,
    LoadError,
)
from authdb.importing import ON_CONFLICT, Counts, load
from authdb.loaders import Loader
from authdb.models import PartialDate, Source

Record = dict[str, Any]
Make = Callable[..., Loader]


def reading(*records: Record, name: str = "-") -> Loader:
    """A loader of these records, as of a stream."""
    return Loader(io.BytesIO(json.dumps(records).encode()), "json", name)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that makes a file of records and a loader of it."""

    def make(*records: Record, name: str = "list.json", **top: Any) -> Loader:
        path = tmp_path / name
        path.write_text(json.dumps({**top, "packages": records}), encoding="utf-8")
        return Loader(path)

    return make


@pytest.fixture(params=["one by one", "at once"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything is proved twice: of few records, and of as many as are written at once."""
    if request.param == "at once":
        monkeypatch.setattr(bulk, "MANY", 1)
    return str(request.param)


def state(db: AuthDB) -> list[Record]:
    """All that a database holds, in order."""
    return [package.record() for package in db]


def is_sound(db: AuthDB) -> bool:
    """Whether nothing is wrong with it."""
    return db.check() == []


# -- counting --------------------------------------------------------------------------------


def test_packages_are_added_changed_or_left(filled: AuthDB, make: Make) -> None:
    generation = filled.generation
    loader = make(
        {"name": "new", "title": "New"},
        {"name": "Hawkrest", "license": "mit"},
        {"name": "drf_httpsig", "last_update": 2019},
    )
    counts = load(filled, loader)
    assert counts == Counts(added=1, changed=1, unchanged=1)
    assert str(counts) == "1 added, 1 changed, 1 unchanged"
    assert filled.generation == generation + 1
    assert (filled["new"].title, filled["hawkrest"].license) == ("New", "MIT")
    assert filled["hawkrest"].title == "Hawk"
    assert filled.find("license == 'MIT'").names() == [
        "django-rest-knox",
        "hawkrest",
        "drf-httpsig",
    ]
    assert is_sound(filled)


def test_loading_a_file_again_adds_no_transaction(db: AuthDB) -> None:
    loader = Loader(editions.path("2024-02-26"))
    assert load(db, loader) == Counts(added=14)
    assert (db.generation, db.as_of) == (1, date(2024, 2, 26))
    before = state(db)
    assert load(db, loader) == Counts(unchanged=14)
    assert load(db, loader, on_conflict="replace") == Counts(unchanged=14)
    assert (db.generation, state(db)) == (1, before)
    assert is_sound(db)


def test_an_edition_follows_another(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        load(db, Loader(editions.path("2024-02-26")))
        counts = load(db, Loader(editions.path("today")))
        assert counts.added + counts.changed + counts.unchanged == len(db)
    with AuthDB.open(folder, read_only=True) as db:
        assert db.as_of is not None
        assert db.as_of.year == 2026


def test_no_records_are_no_change(db: AuthDB) -> None:
    counts = load(db, [])
    assert (counts, str(counts), db.generation) == (Counts(), "no records", 0)
    assert load(db, reading()) == Counts()
    assert db.generation == 0


# -- what is there already -------------------------------------------------------------------


def test_update_keeps_what_the_record_does_not_name(filled: AuthDB, make: Make) -> None:
    load(filled, make({"name": "django-rest-knox", "version": "4.2.0", "license": None}))
    assert filled["django-rest-knox"].record() == {
        "name": "django-rest-knox",
        "title": "django-rest-knox",
        "description": "Token authentication; each login has a token of its own",
        "categories": ["token"],
        "last_update": "2024-01-28",
        "last_release": "2024-01-28",
        "version": "4.2.0",
    }


def test_replace_forgets_what_the_record_does_not_name(filled: AuthDB, make: Make) -> None:
    record = {"name": "django-rest-knox", "title": "Knox"}
    assert load(filled, make(record), on_conflict="replace") == Counts(changed=1)
    assert filled["django-rest-knox"].record() == record
    assert is_sound(filled)


def test_ignore_adds_only_what_is_new(filled: AuthDB, make: Make) -> None:
    loader = make({"name": "hawkrest", "title": "Other"}, {"name": "new", "title": "New"})
    assert load(filled, loader, on_conflict="ignore") == Counts(added=1, ignored=1)
    assert filled["hawkrest"].title == "Hawk"


def test_error_refuses_each_name_that_is_there(filled: AuthDB, make: Make) -> None:
    loader = make({"name": "Hawkrest"}, {"name": "new", "title": "N"}, {"name": "unheard.of"})
    before = state(filled)
    with pytest.raises(LoadError) as caught:
        load(filled, loader, on_conflict="error")
    assert str(caught.value).splitlines() == [
        f"{loader.name}: record 1: name: there is a package of that name already, got 'hawkrest'",
        f"{loader.name}: record 3: name: there is a package of that name already, got 'unheard-of'",
    ]
    assert state(filled) == before
    assert load(filled, make({"name": "new", "title": "N"}), on_conflict="error").added == 1


def test_how_to_meet_a_conflict_has_to_be_known(db: AuthDB) -> None:
    with pytest.raises(AuthDBError, match=r"one of update, replace, .*did you mean 'replace'"):
        load(db, reading(), on_conflict="replce")


# -- sources ---------------------------------------------------------------------------------

SEEN = {
    "version": {"source": "PyPI", "seen": "2024-01-01"},
    "license": {"source": "PyPI", "seen": "2024-01-01"},
}
SOURCED = {"name": "a", "title": "A", "version": "1", "license": "MIT", "sources": SEEN}


def sources_after(record: Record, how: str = "update") -> Record:
    """The sources of the package ``SOURCED`` once ``record`` has been loaded."""
    with AuthDB.in_memory() as db:
        load(db, reading(SOURCED))
        load(db, reading({"name": "a", **record}), on_conflict=how)
        assert load(db, reading({"name": "a", **record}), on_conflict=how).unchanged == 1
        sources: Record = db["a"].record().get("sources", {})
        return sources


OTHER = {"source": "the project's page", "seen": "2024-02-02"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        # Nothing changes, so everything is still where it was seen.
        ({"version": "1"}, SEEN),
        ({"description": "what it does"}, SEEN),
        ({"sources": {}}, SEEN),
        # A source replaces that fact's, and adds to the others.
        ({"sources": {"version": OTHER}}, {**SEEN, "version": OTHER}),
        ({"sources": {"title": OTHER}}, {**SEEN, "title": OTHER}),
        # A value that changes leaves its source behind, unless it brings one: even the same.
        ({"version": "2"}, {"license": SEEN["license"]}),
        ({"version": None}, {"license": SEEN["license"]}),
        ({"version": "2", "license": "BSD-3-Clause"}, {}),
        ({"version": "2", "sources": {"version": OTHER}}, {**SEEN, "version": OTHER}),
        ({"version": "2", "sources": SEEN}, SEEN),
        (
            {"version": "2", "sources": {"title": OTHER}},
            {"license": SEEN["license"], "title": OTHER},
        ),
        # Null says that no source is known.
        ({"sources": None}, {}),
    ],
)
def test_sources_follow_their_facts(record: Record, expected: Record) -> None:
    assert sources_after(record) == expected


def test_replace_takes_the_sources_of_the_record_alone() -> None:
    record = {"title": "A", "version": "1", "sources": {"version": OTHER}}
    assert sources_after(record, "replace") == {"version": OTHER}


def test_the_source_of_a_stated_update_goes_when_dates_become_known() -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("a", "A", last_update="2020", sources=[("last_update", "hearsay", "2021")]))
        load(db, reading({"name": "a", "last_update": "2020"}))
        assert db["a"].sources == (Source("last_update", "hearsay", PartialDate(2021)),)
        load(db, reading({"name": "a", "last_commit": "2022-05-05"}))
        assert not db["a"].sources


# -- the last update -------------------------------------------------------------------------


def test_a_last_update_that_sums_up_the_record_does_not_contradict_the_package() -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("a", "A", last_commit="2024-05-05", last_release="2023-01-01"))
        record = {"name": "a", "last_release": "2023-06-06", "last_update": "2023-06-06"}
        assert load(db, reading(record)) == Counts(changed=1)
        assert db["a"].last_update == date(2024, 5, 5)


def test_a_last_update_can_be_stated_and_taken_back() -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("a", "A", last_commit="2020-01-01"))
        load(db, reading({"name": "a", "last_commit": None, "last_update": "2020-01-01"}))
        assert (db["a"].last_commit, db["a"].last_update) == (None, date(2020, 1, 1))
        load(db, reading({"name": "a", "last_update": "2021"}))
        assert db["a"].last_update == PartialDate(2021)
        load(db, reading({"name": "a", "last_update": None}))
        assert db["a"].last_update is None


@pytest.mark.parametrize("how", ["update", "replace"])
def test_a_last_update_that_contradicts_is_told_with_its_place(how: str) -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("a", "A", last_commit="2024-05-05"))
        wrong = {"title": "T", "last_commit": "2024-05-05", "last_update": "2024-05-06"}
        with pytest.raises(LoadError) as caught:
            load(db, reading({"name": "a", **wrong}, {"name": "b", **wrong}), on_conflict=how)
        assert [(p.where, p.field) for p in caught.value.problems] == [
            ("record 1", "last_update"),
            ("record 2", "last_update"),
        ]
        assert "leave it out, got '2024-05-06'" in str(caught.value)
        if how == "update":
            with pytest.raises(LoadError, match="record 1: last_update"):
                load(db, reading({"name": "a", "last_update": "2024-05-06"}))


# -- all or nothing --------------------------------------------------------------------------


def test_a_mistake_anywhere_leaves_everything(filled: AuthDB, make: Make) -> None:
    before, generation = state(filled), filled.generation
    loader = make(
        {"name": "new"},
        {"name": "hawkrest", "title": "Other"},
        {"name": "b", "title": "B", "license": "Mine"},
        as_of="2024-02-26",
    )
    with pytest.raises(LoadError) as caught:
        load(filled, loader)
    assert caught.value.source == loader.name
    assert [(p.where, p.field, p.reason) for p in caught.value.problems][:1] == [
        ("record 1", "title", "a package needs one")
    ]
    assert str(caught.value.problems[1]).startswith("record 3: license: an SPDX expression")
    assert (state(filled), filled.generation, filled.as_of) == (before, generation, None)
    assert is_sound(filled)


def test_several_files_are_one_transaction_in_order(db: AuthDB, make: Make) -> None:
    first = make({"name": "a", "title": "A"}, {"name": "b", "title": "B"}, as_of="2024-01-01")
    second = make({"name": "A", "title": "Other"}, name="more.json", as_of="2024-02-02")
    third = make({"name": "b", "license": "MIT"}, name="last.json")
    assert load(db, [first, second, third]) == Counts(added=2, changed=2)
    assert state(db) == [
        {"name": "a", "title": "Other"},
        {"name": "b", "title": "B", "license": "MIT"},
    ]
    assert (db.generation, db.as_of) == (1, date(2024, 2, 2))
    assert is_sound(db)


def test_the_mistakes_of_several_files_are_told_together(
    db: AuthDB, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in [
        ("a.json", "["),
        ("b.csv", "name,title\na,A\n"),
        ("c.yaml", "- name: '-'\n"),
    ]:
        Path(name).write_text(text)
    Path("d.toml").write_text('members = ["a"]')
    with pytest.raises(LoadError) as caught:
        load(db, map(Loader, ["a.json", "b.csv", "c.yaml", "d.toml"]))
    lines = str(caught.value).splitlines()
    assert lines[0] == "a.json: the document: not JSON: it ends too early"
    assert lines[1].startswith("c.yaml: record 1: name: a name has letters")
    assert len(lines) > 3
    assert all(line.startswith("d.toml: ") for line in lines[2:])
    assert len(caught.value.problems) == len(lines)
    assert caught.value.source == "a.json"
    assert (len(db), db.generation) == (0, 0)


def test_a_file_that_cannot_be_read_is_told_beside_the_others(db: AuthDB, make: Make) -> None:
    gone = make({"name": "a", "title": "A"}, name="gone.json")
    Path(gone.name).unlink()
    with pytest.raises(AuthDBError, match=r"gone\.json: there is no such file$"):
        load(db, gone)
    with pytest.raises(LoadError) as caught:
        load(db, [gone, make({"name": "b"})])
    assert [line.split(": ", 1)[1] for line in str(caught.value).splitlines()] == [
        "there is no such file",
        "record 1: title: a package needs one",
    ]


def test_a_record_that_the_database_refuses_counts_among_the_problems(db: AuthDB) -> None:
    with pytest.raises(LoadError) as caught:
        load(db, reading(*({"name": f"p{n}"} for n in range(3000))))
    assert len(caught.value.problems) == 1001


def test_a_dry_run_counts_and_leaves_no_trace(filled: AuthDB, make: Make) -> None:
    before, generation = state(filled), filled.generation
    loader = make(
        {"name": "new", "title": "N"}, {"name": "hawkrest", "title": "H"}, as_of="2024-01-01"
    )
    assert load(filled, loader, dry_run=True) == Counts(added=1, changed=1)
    assert (state(filled), filled.generation, filled.as_of) == (before, generation, None)
    with pytest.raises(LoadError):
        load(filled, make({"name": "new"}, name="bad.json"), dry_run=True)
    assert load(filled, loader) == Counts(added=1, changed=1)


def test_a_database_that_is_only_read_takes_a_dry_run(folder: Path, make: Make) -> None:
    AuthDB.create(folder).close()
    loader = make({"name": "a", "title": "A"})
    with AuthDB.open(folder, read_only=True) as db:
        assert load(db, loader, dry_run=True) == Counts(added=1)
        with pytest.raises(DatabaseReadOnly):
            load(db, loader)
        assert loader.position > 0


def test_a_closed_database_says_so(make: Make) -> None:
    db = AuthDB.in_memory()
    db.close()
    with pytest.raises(DatabaseClosed):
        load(db, [make({"name": "a", "title": "A"}), make({"name": "b"})])


# -- what is said ----------------------------------------------------------------------------


def notes(folder: Path) -> list[str]:
    """What the history of the objects says, but for the first."""
    from ZODB.FileStorage import FileStorage

    storage = FileStorage(str(next(folder.glob("data.fs"))), read_only=True)
    try:
        return [entry.description.decode() for entry in storage.iterator()][-2:]
    finally:
        storage.close()


def test_the_history_names_the_files_and_the_counts(folder: Path, make: Make) -> None:
    files = [make({"name": f"p{n}", "title": "T"}, name=f"{n}.json") for n in range(12)]
    with AuthDB.create(folder) as db:
        load(db, files)
        load(db, reading({"name": "p1", "license": "MIT"}), note="the nightly list")
    listed = ", ".join(f"{n}.json" for n in range(10))
    assert notes(folder) == [f"load {listed} and 2 more: 12 added", "the nightly list"]


def test_progress_is_told_now_and_then(db: AuthDB, make: Make) -> None:
    loader = make(*({"name": f"p{n}", "title": "T"} for n in range(450)))
    seen: list[tuple[str, int, int | None]] = []
    load(db, loader, progress=lambda *told: seen.append(told))
    of_file = [(done, total) for what, done, total in seen if what == "list.json"]
    assert len(of_file) == 3
    assert of_file == sorted(set(of_file))
    assert of_file[-1] == (loader.size, loader.size)


# -- anything at all -------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "A", "b", "c.d", "c-d", "hawkrest", "-", None, 1])
DATES = st.sampled_from(["2024", "2024-02", "2024-02-26", "2023-01-01", "never", None])
SOURCES = st.dictionaries(
    st.sampled_from(["version", "last_update", "license"]),
    st.just({"source": "PyPI", "seen": "2024-01-01"}),
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "title": st.sampled_from(["T", "Other", "", None]),
            "version": st.sampled_from(["1", "2", "a b", None]),
            "last_commit": DATES,
            "last_release": DATES,
            "last_update": DATES,
            "sources": st.one_of(st.none(), SOURCES),
        },
    ),
    max_size=4,
)


@given(RECORDS, RECORDS, st.sampled_from(sorted(ON_CONFLICT)), st.booleans())
def test_files_are_loaded_as_a_whole_or_not_at_all(
    first: list[Record], second: list[Record], how: str, dry: bool
) -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("hawkrest", "Hawk", version="1", last_update="2020"))
        before = state(db)
        counts, told = None, ""
        try:
            counts = load(db, [reading(*first), reading(*second)], on_conflict=how, dry_run=dry)
        except LoadError as error:
            told = str(error)
        if counts is None:
            assert all(line.startswith("standard input: record ") for line in told.splitlines())
            assert state(db) == before
        else:
            assert sum(counts) == len(first) + len(second)
            assert len(db) == 1 + (0 if dry else counts.added)
            assert state(db) == before or not dry
        assert is_sound(db)


@given(RECORDS)
def test_loading_again_changes_nothing(records: list[Record]) -> None:
    with AuthDB.in_memory() as db:
        try:
            load(db, reading(*records))
        except LoadError:
            return
        before, generation = state(db), db.generation
        assert load(db, reading(*records)) == Counts(unchanged=len(records))
        assert (state(db), db.generation) == (before, generation)
