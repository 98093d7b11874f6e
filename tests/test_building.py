"""A catalog built bottom-up is the one that indexing one by one makes, now and after any change."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import BTrees.check
import pytest
from commandline import run
from conftest import SAMPLES
from files import contents, no_room_beyond
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import NAMES, collections, records

from authdb import AuthDB, Package, building, inverting, rebuilding
from authdb.building import Builder, fits
from authdb.catalog import INDEXES, PackageCatalog, new_catalog
from authdb.comparing import dump
from authdb.dates import PartialDate
from authdb.exceptions import AuthDBError, AuthDBWarning, DatabaseDamaged, DatabaseExists
from authdb.gathering import DATES, ROW_FIELDS, Gathered, Some, Values, last_update, row
from authdb.indexes import PackageLexicon
from authdb.sinks import FileSink, StorageSink
from authdb.storage import MyZODB
from authdb.wording import Words, words_of
from authdb.worker import Apart


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three packages are many, and twenty are worth a second process."""
    monkeypatch.setattr(rebuilding, "MANY", 3)
    monkeypatch.setattr(building, "_APART", 20)


def state_of(package: Package) -> dict[str, Any]:
    return dict(vars(package))


def crowd(count: int, seed: int = 0) -> list[Package]:
    """Packages of all kinds, some of them with long texts."""
    chance = random.Random(seed)
    vocabulary = ["the", "İx", "naïve", "snake_case", "x2", *(f"word{n}" for n in range(60))]

    def some_day() -> Any:
        return chance.choice([None, "2019", "2020-02", f"2021-03-{chance.randint(1, 31):02}"])

    def package(number: int) -> Package:
        known = {"last_commit": some_day(), "last_release": some_day()}
        if not any(known.values()):
            known = {"last_update": some_day()}
        return Package(
            f"n{number * 7919 % 100_003}",
            chance.choice(["The", "Ünique", f"Title {number}"]),
            description=" ".join(chance.choices(vocabulary, k=chance.choice([0, 3, 20, 30, 300]))),
            categories=chance.sample(["jwt", "oauth2", "token"], chance.randrange(4)),
            license=chance.choice([None, "MIT", "BSD-3-Clause"]),
            **known,
        )

    return [package(number) for number in range(count)]


def indexed(packages: Mapping[int, Package]) -> PackageCatalog:
    catalog = new_catalog()
    for docid, package in packages.items():
        catalog.index_doc(docid, package)
    return catalog


def in_memory(builder: Builder) -> MyZODB:
    database = MyZODB(None)
    with StorageSink(database) as sink:
        builder.write(sink, {"generation": 1})
    database.connection.transaction_manager.abort()
    return database


def assert_equal(found: Any, expected: Any) -> None:
    """The catalogs hold the same, and BTrees itself finds nothing to object to."""
    assert list(found) == list(expected)
    for name, index in expected.items():
        assert type(found[name]) is type(index)
        there = dump(found[name])
        for part, right in dump(index).items():
            assert there[part] == right, (name, part)
        assert vars(found[name]).keys() == vars(index).keys()
        for tree in trees(found[name]):
            tree._check()
            BTrees.check.check(tree)


def trees(index: Any) -> Iterator[Any]:
    for holder in (index, getattr(index, "index", None), getattr(index, "lexicon", None)):
        for value in vars(holder).values() if holder is not None else ():
            if hasattr(value, "_check"):
                yield value
    postings = index._fwd_index if hasattr(index, "_fwd_index") else index.index._wordinfo
    yield from (posting for posting in postings.values() if hasattr(posting, "_check"))


# -- one by one ------------------------------------------------------------------------------


@settings(max_examples=30)
@given(packages=collections(), gap=st.integers(1, 3), data=st.data())
def test_what_is_built_is_what_indexing_one_by_one_makes(
    packages: list[Package], gap: int, data: st.DataObject
) -> None:
    by_docid = dict(zip(range(gap, 100, gap), packages, strict=False))
    with Builder(processes=1) as builder:
        builder.add(by_docid, [state_of(package) for package in packages])
        for docid in data.draw(st.lists(st.sampled_from(list(by_docid) or [0]))):
            if docid:  # some are replaced before they are written, and again
                by_docid[docid] = Package(**data.draw(records(by_docid[docid].name)))
                builder.replace(docid, state_of(by_docid[docid]))
        with in_memory(builder) as database:
            catalog = database.dbroot["catalog"]
            assert database.dbroot["generation"] == 1
            assert_equal(catalog, indexed(by_docid))
            # Then as any other catalog.
            for docid in data.draw(st.lists(st.integers(1, 30), max_size=9, unique=True)):
                name = by_docid[docid].name if docid in by_docid else data.draw(
                    st.sampled_from([name for name in NAMES if name not in
                                     {package.name for package in by_docid.values()}]
                                    or [f"drf-more-{docid}"])
                )  # fmt: skip
                by_docid[docid] = Package(**data.draw(records(name)))
                catalog.index_doc(docid, by_docid[docid])
            for docid in data.draw(st.lists(st.sampled_from(list(by_docid) or [0]), unique=True)):
                if docid:
                    catalog.unindex_doc(docid)
                    del by_docid[docid]
            database.connection.transaction_manager.commit()
            database.connection.cacheMinimize()
            assert_equal(catalog, indexed(dict(sorted(by_docid.items()))))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 61, 700])
def test_so_it_is_for_many_and_with_a_second_process(
    tmp_path: Path, count: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_APART", 50)
    packages = dict(enumerate(crowd(count), 5))
    docids = list(packages)
    started: list[object] = []
    monkeypatch.setattr(building, "Apart", lambda folder: started.append(1) or Apart(folder))
    said: list[tuple[str, int, int | None]] = []
    with Builder(processes, tmp_path) as builder:
        for start in range(0, count, 300):
            some = docids[start : start + 300]
            builder.add(some, [state_of(packages[docid]) for docid in some])
        for docid, package in zip(docids[::40], crowd(2000, 1)[1900:], strict=False):
            packages[docid] = package
            builder.replace(docid, state_of(package))
        with FileSink(tmp_path / "x.fs") as sink:
            builder.start(sink)
            builder.write(sink, {}, lambda *said_now: said.append(said_now))
        assert builder.gathered.names == [package.name for package in packages.values()]
    assert bool(started) is (count >= 50 and processes == 2)
    assert {path.name for path in tmp_path.iterdir()} == {"x.fs", "x.fs.index"}
    assert said[0][1:] == (0, 8) and said[-1][1:] == (8, 8)
    with MyZODB(tmp_path / "x.fs") as database:
        catalog = database.dbroot["catalog"]
        assert_equal(catalog, indexed(packages))
        for docid, package in zip(docids[::7], crowd(3000, 2)[2500:], strict=False):
            packages[docid] = package
            catalog.reindex_doc(docid, package)
        for docid in docids[::9]:
            del packages[docid]
            catalog.unindex_doc(docid)
        database.connection.transaction_manager.commit()
        database.db.pack()
    with MyZODB(tmp_path / "x.fs") as database:
        assert_equal(database.dbroot["catalog"], indexed(packages))


def test_the_same_names_do_not_get_in_each_others_way() -> None:
    """As in a damaged database, whose `check` says so."""
    packages = {docid: Package("same", f"T{docid}") for docid in (1, 2)}
    with Builder(processes=1) as builder:
        builder.add(packages, [state_of(package) for package in packages.values()])
        with in_memory(builder) as database:
            assert_equal(database.dbroot["catalog"], indexed(packages))


def test_a_docid_that_was_not_added_is_not_replaced() -> None:
    with Builder(processes=1) as builder, pytest.raises(KeyError):
        builder.replace(3, state_of(Package("a", "A")))


@pytest.mark.parametrize("occurs", [1, 255, 256, 400])
def test_a_word_can_occur_often_in_one_text(occurs: int) -> None:
    packages = {
        docid: Package(f"p{docid}", "T", description="often " * occurs) for docid in range(1, 15)
    }
    with Builder(processes=1) as builder:
        builder.add(packages, [state_of(package) for package in packages.values()])
        with in_memory(builder) as database:
            assert_equal(database.dbroot["catalog"], indexed(packages))


@given(
    st.one_of(
        st.text(),
        st.text("aZ9_-.é İßǅ\x00\n\t the and"),
        st.lists(st.sampled_from(["the", "The", "x", "_", "9"])).map(" ".join),
    )
)
def test_the_words_of_a_text_are_those_of_the_lexicon(text: str) -> None:
    lexicon = PackageLexicon()
    wids = lexicon.sourceToWordIds(text)
    assert words_of(text) == [lexicon.get_word(wid) for wid in wids]


def test_every_index_is_built() -> None:
    assert {"name", *inverting.VALUES, *building.TEXTS} == {*INDEXES}


class Counting:
    """A sink that only counts."""

    count = 0

    def new_oid(self) -> int:
        return 1

    def store(self, oid: int, record: bytes) -> None:
        self.count += 1

    def store_all(self, records: Iterable[bytes]) -> range:
        return range(len([self.store(1, record) for record in records]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3000), st.integers(1, 500), st.integers(1, 300), st.integers(0, 2**32))
def test_no_more_records_are_written_than_were_said(
    count: int, days: int, words: int, seed: int
) -> None:
    """The second process gets so many oids, and no others."""
    chance, values = random.Random(seed), Values()
    licenses = [None, *map(str, range(chance.choice((1, 5, days))))]
    keywords = [str(number) for number in range(chance.choice((1, 15, words)))]
    values.extend(
        Some(
            range(1, count + 1),
            [chance.choice(licenses) for _ in range(count)],
            [tuple(sorted({*chance.choices(keywords, k=3)})) for _ in range(count)],
            [[chance.randrange(days) for _ in range(count)] for _ in DATES],
        )
    )
    sink = Counting()
    inverting.write_values(sink, values)
    assert sink.count <= inverting.most_records(values)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2000), st.integers(1, 300), st.integers(0, 2**32))
def test_no_more_records_of_texts_are_written_than_were_said(
    count: int, known: int, seed: int
) -> None:
    chance, words, sink = random.Random(seed), Words(), Counting()
    texts = [" ".join(chance.choices([f"w{n}" for n in range(known)], k=5)) for _ in range(count)]
    words.add(range(1, count + 1), texts)
    most = words.most_records()
    words.write(sink)
    assert sink.count <= most


# -- what is gathered ------------------------------------------------------------------------


@settings(max_examples=40)
@given(collections())
def test_what_is_gathered_of_packages_is_what_they_say(packages: list[Package]) -> None:
    gathered = Gathered()
    states = [state_of(package) for package in packages]
    docids = list(range(1, len(packages) + 1))
    gathered.add(docids[:2], states[:2])
    gathered.add(docids[2:], states[2:])
    assert list(gathered.docids) == docids
    for place, package in enumerate(packages):
        assert fits(states[place])
        assert last_update(states[place]) == package.last_update
        cells = dict(zip(ROW_FIELDS, gathered.rows[place].decode().split("\x1f"), strict=True))
        for field in ROW_FIELDS[:-1]:
            value = getattr(package, field)
            assert cells[field] == ("" if value is None else str(value))
        assert cells["categories"] == ",".join(package.categories)
        assert gathered.rows[place] == row(states[place])
        assert gathered.names[place] == package.name
        assert gathered.licenses[place] == package.license
        assert gathered.categories[place] == tuple(sorted(package.categories))
        for field, days in gathered.dates.items():
            assert (days[place] or None) == INDEXES[field](field).value(package)
    assert len(gathered.rows) == len(gathered) == len(packages)
    assert [gathered.names[place] for place in gathered.by_name()] == sorted(gathered.names)
    if packages:
        gathered.replace(1, state_of(Package("zzz", "Ä")))
        assert gathered.rows[0] == "zzz\x1fÄ\x1f\x1f\x1f\x1f\x1f\x1f".encode()
        assert gathered.by_name()[-1] == 0
        assert gathered.rows[:1] == [gathered.rows[0]] and gathered.rows[-1]


def test_a_row_has_its_fields_even_if_no_check_has_seen_the_package() -> None:
    found = row({"name": "a", "title": "a\x1fb", "version": "1"}).decode()
    assert found.split("\x1f") == ["a", "a b", "", "", "", "1", "", ""]
    gathered = Gathered()
    gathered.add([1, 2], [{"name": "a", "title": "a\x1fb"}, {"name": "b", "title": "B"}])
    assert gathered.rows[:] == [b"a\x1fa b" + b"\x1f" * 6, b"b\x1fB" + b"\x1f" * 6]


@pytest.mark.parametrize(
    "other",
    [
        {"name": None},
        {"title": 3},
        {"license": b"MIT"},
        {"last_commit": "2019"},
        {"stated_update": 2019},
        {"categories": ["jwt"]},
        {"categories": ("jwt", 1)},
    ],
)
def test_what_no_package_is_stored_as_does_not_fit(other: dict[str, Any]) -> None:
    state = {"name": "a", "title": "A", "last_commit": PartialDate(2019), "last_release": date.max}
    assert fits(state)
    assert not fits({**state, **other})


# -- the second process ----------------------------------------------------------------------


def fed(builder: Builder, count: int = 100) -> None:
    builder.add(range(1, count + 1), [state_of(package) for package in crowd(count)])


def written(folder: Path, count: int) -> None:
    with Builder(2, folder) as builder:
        fed(builder, count)
        with FileSink(folder / "x.fs") as sink:
            builder.write(sink, {})


def test_a_second_process_that_was_killed_is_one_clear_error(
    tmp_path: Path, few_are_many: None
) -> None:
    with Builder(2, tmp_path) as builder:
        fed(builder)
        process = builder._worker._process  # type: ignore[union-attr]
        process.kill()
        process.wait()
        with (
            pytest.raises(AuthDBError, match=r"second process.*status -9.*try again") as told,
            FileSink(tmp_path / "x.fs") as sink,
        ):
            builder.write(sink, {})
        assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_a_second_process_that_fails_says_why(
    tmp_path: Path, few_are_many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authdb.worker._CODE", "raise SystemExit('the reason')")
    with pytest.raises(AuthDBError, match=r"has ended \(the reason\)"):
        written(tmp_path, 100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("executable", ["/nonexistent/python", "/usr/sbin/a-web-server", "", None])
def test_where_no_process_can_be_started_one_does_it(
    tmp_path: Path, few_are_many: None, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with Builder(2, tmp_path) as builder:
        fed(builder)
        with in_memory(builder) as database:
            assert_equal(database.dbroot["catalog"], indexed(dict(enumerate(crowd(100), 1))))


def test_a_full_disk_of_the_second_process_is_one_of_ours(
    tmp_path: Path, few_are_many: None
) -> None:
    with no_room_beyond(10_000), pytest.raises(OSError, match="large"):  # it inherits that limit
        written(tmp_path, 500)
    assert not list(tmp_path.iterdir())


def test_it_needs_neither_the_working_folder_nor_what_was_printed(
    tmp_path: Path, few_are_many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authdb.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "sitecustomize.py").write_text("print('noise', flush=True)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    written(Path(), 100)


# -- a database ------------------------------------------------------------------------------


@pytest.fixture
def made(folder: Path) -> Path:
    """A database with a history."""
    with AuthDB.create(folder) as db:
        with db.transaction():
            for package in crowd(40):
                db.add(package)
        db.update(crowd(1)[0].name, title="Renewed")
    return folder


def asked(db: AuthDB) -> list[list[str]]:
    questions = [
        "last_update < '2020-06'",
        "'jwt' in categories and not license == 'MIT'",
        "'word3 word4' in description or 'renewed' in title",
        "last_commit >= 2020",
    ]
    return [db.find(query, sort="last_update").names() for query in questions]


def test_reindex_builds_what_answers_as_before(made: Path, few_are_many: None) -> None:
    with AuthDB.open(made) as db, AuthDB.open(made, read_only=True) as reader:
        before, said = asked(db), set()
        held = db["n0"]
        db.reindex(progress=lambda what, done, total: said.add(what))
        assert said == {"reading the packages", "building the catalog"}
        assert asked(db) == before == asked(reader)
        assert not reader.refresh() and asked(reader) == before
        assert db.check() == [] and db["n0"] is held
        db.update("n0", title="Once more", license="MIT")
        assert "n0" in db.find("'once' in title").names()
        assert reader.refresh() and "n0" in reader.find("'once' in title").names()
        assert db.check() == []
        db.reindex()
        db.pack()
        assert db.check() == []
    assert not [path for path in made.iterdir() if path.name.startswith(".")]
    with AuthDB.open(made) as db:
        assert db.healed is None and db.check() == []
        (made / "catalog.fs.index").unlink()
    with AuthDB.open(made) as db:
        assert db.healed is None and db.check() == []
        db.remove("n0")
        assert db.check() == []


@pytest.mark.parametrize("how", ["writer", "reader", "past", "stranger"])
def test_a_missing_catalog_is_built_in_each_way_of_opening(
    made: Path, few_are_many: None, how: str
) -> None:
    with AuthDB.open(made) as db:
        before = asked(db)
    (made / "catalog.fs").unlink()
    options: dict[str, Any] = {
        "writer": {},
        "reader": {"read_only": True},
        "past": {"as_of": "c1"},
        "stranger": {"trust": False},
    }[how]
    with AuthDB.open(made, **options) as db:
        assert bool(db.find("'renewed' in title").names()) is (how != "past")
        assert how == "past" or asked(db) == before
        assert db.check() == []
    assert (made / "catalog.fs").exists() is (how == "writer")


def test_one_in_memory_is_built_too(few_are_many: None) -> None:
    with AuthDB.in_memory() as db:
        with db.transaction():
            for package in crowd(40):
                db.add(package)
        before = asked(db)
        db.reindex()
        assert asked(db) == before and db.check() == []
        db.update("n0", title="Once more")
        assert db.find("'once' in title").names() == ["n0"] and db.check() == []


@pytest.mark.filterwarnings("ignore::authdb.exceptions.AuthDBWarning")
def test_an_accepted_loss_is_rebuilt(made: Path, few_are_many: None) -> None:
    shutil.copy(made / "data.fs", made.parent / "kept")
    with AuthDB.open(made) as db:
        db.add(Package("lost", "Lost"))
    shutil.copy(made.parent / "kept", made / "data.fs")
    (made / "data.fs.index").unlink()
    with AuthDB.open(made, repair=True) as db:
        assert db.check() == [] and "lost" not in db
        assert db.find("name == 'lost'").names() == []
        docid = db._root["next_docid"]
    with AuthDB.open(made) as db:
        assert db.healed is None and db._root["next_docid"] == docid == 42


def test_a_package_that_cannot_be_read_is_left_out(made: Path, few_are_many: None) -> None:
    with MyZODB(made / "data.fs") as objects:
        packages, storage = objects.dbroot["packages"], objects.storage
        positions = {docid: storage._index[packages[docid]._p_oid] for docid in (3, 5)}
    damaged = bytearray((made / "data.fs").read_bytes())
    damaged[positions[3] + 42 + 40] ^= 0xFF
    where = damaged.index(b"title", positions[5])
    damaged[where : where + 5] = b"tItle"
    (made / "data.fs").write_bytes(damaged)
    (made / "catalog.fs").unlink()
    with pytest.warns(AuthDBWarning) as told, AuthDB.open(made) as db:
        assert len(db.find()) == 38
    assert {re.split("[:(]", str(each.message))[0] for each in told} == {
        "docid 3 is left out of the catalog",
        "docid 5 is left out of the catalog",
    }


def test_a_package_of_other_types_is_indexed_if_the_indexes_take_it(
    made: Path, few_are_many: None
) -> None:
    with MyZODB(made / "data.fs") as objects:
        package = objects.dbroot["packages"][3]
        vars(package).update(last_commit="2019-04-05", categories=["jwt", "oauth2"])
        package._p_changed = True
        objects.connection.transaction_manager.commit()
        expected = indexed(dict(objects.dbroot["packages"].items()))
    with AuthDB.open(made) as db:
        db.reindex()
        assert_equal(db.catalog, expected)


def test_a_full_disk_while_reindexing_is_one_line_and_changes_nothing(
    made: Path, few_are_many: None
) -> None:
    with AuthDB.open(made) as db:
        before = asked(db)
        with no_room_beyond(3000), pytest.raises(AuthDBError, match="larger than"):
            db.reindex()
        assert asked(db) == before and db.check() == []
        db.update("n0", title="Once more")
    assert not [path for path in made.iterdir() if path.name.startswith(".")]
    with AuthDB.open(made) as db:
        assert db.healed is None and db.check() == []


def test_without_a_second_process_it_is_built_all_the_same(
    made: Path, few_are_many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AuthDB.open(made) as db:
        before = asked(db)
        with monkeypatch.context() as patched:
            patched.setattr("authdb.worker._CODE", "raise SystemExit('the reason')")
            db.reindex()
        assert asked(db) == before and db.check() == []
    assert not [path for path in made.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("indexes", [0, 1, 8])
def test_an_interrupt_while_reindexing_changes_nothing(
    made: Path, few_are_many: None, indexes: int
) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(what: str, done: int, total: int | None) -> None:
        if what == "building the catalog" and done == indexes:
            raise Interrupt

    with AuthDB.open(made) as db:
        before = asked(db)
        with pytest.raises(Interrupt):
            db.reindex(progress=interrupt)
        assert asked(db) == before and db.check() == []
        db.update("n0", title="Once more")
        assert db.check() == []
    assert not [path for path in made.iterdir() if path.name.startswith(".")]


REINDEX = """
import sys
from authdb import AuthDB, building, rebuilding
rebuilding.MANY, building._APART = 3, 20
with AuthDB.open(sys.argv[1]) as db:
    print("open", flush=True)
    while True:
        db.reindex()
"""


def test_a_kill_at_any_moment_leaves_the_old_catalog_or_the_new_one(
    made: Path, few_are_many: None
) -> None:
    with AuthDB.open(made, read_only=True) as db:
        before = asked(db)
    chance = random.Random()
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", REINDEX, made], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == "open\n"
            time.sleep(chance.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
        with AuthDB.open(made, read_only=True) as db:
            assert db.healed is None and asked(db) == before
            assert db.check() == []
        with AuthDB.open(made) as db:
            assert db.healed is None and asked(db) == before
            db.reindex()
            assert db.check() == []
        assert not [path for path in made.iterdir() if path.name.startswith(".new")]


def test_readers_come_while_it_is_replaced(made: Path, few_are_many: None) -> None:
    with AuthDB.open(made, read_only=True) as db:
        before = asked(db)
    with subprocess.Popen(
        [sys.executable, "-c", REINDEX, made], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        for _ in range(20):
            with AuthDB.open(made, read_only=True) as db:
                assert asked(db) == before and db.healed is None
        process.kill()


ORDINARY = """
import sys
from repoze.catalog.catalog import ConnectionManager, FileStorageCatalogFactory
from repoze.catalog.query import Any, Lt
factory = FileStorageCatalogFactory(sys.argv[1], "catalog")
manager = ConnectionManager()
catalog = factory(manager)
print(*catalog.query(Lt("last_update", "2020-06"))[1])
class Thing:
    name, title, categories = "n0", "By another program", ("jwt",)
catalog.reindex_doc(1, Thing())
catalog.unindex_doc(2)
manager.commit()
print(*catalog.query("'program' in title")[1], *catalog.query("name == 'n0'")[1])
manager.close()
factory.db.close()
"""


def test_an_ordinary_program_of_repoze_catalog_uses_it(made: Path, few_are_many: None) -> None:
    with AuthDB.open(made) as db:
        db.reindex()
        expected = " ".join(map(str, db.find("last_update < '2020-06'").docids))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ORDINARY, made / "catalog.fs"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == [expected, "1 1"]
    with AuthDB.open(made) as db:
        assert {finding.repairable for finding in db.check(repair=True)} == {True}
        assert db.check() == []


# -- copies ----------------------------------------------------------------------------------


def shown(db: AuthDB) -> list[dict[str, Any]]:
    return [package.record() for package in db]


@pytest.mark.parametrize("how", ["writer", "reader", "past", "stranger", "memory"])
def test_a_copy_has_what_is_shown_and_no_history(made: Path, tmp_path: Path, how: str) -> None:
    target = tmp_path / "some" / "where"
    options: dict[str, Any] = {
        "writer": {},
        "reader": {"read_only": True},
        "past": {"as_of": "c1"},
        "stranger": {"trust": False},
        "memory": {},
    }[how]
    with AuthDB.in_memory() if how == "memory" else AuthDB.open(made, **options) as db:
        if how == "memory":
            for record in SAMPLES:
                db.add(Package(**record))
        elif how == "writer":
            db.set_as_of(date(2024, 2, 26))
            db.remove("n0")
        assert db.copy(target) == len(db)
        expected, names = shown(db), db.find("last_update < '2020-06'", sort="name").names()
        with AuthDB.open(target) as copied:
            assert shown(copied) == expected and copied.as_of == db.as_of
            assert copied.find("last_update < '2020-06'", sort="name").names() == names
            assert [change.number for change in copied.log()] == [1, 0]
            assert copied.log()[0].note.startswith(f"copy {len(expected)} packages from ")
            assert copied._root["uuid"] != db._root["uuid"]
            assert copied.check() == []
            copied.add(Package("one-more", "One more"))
            assert copied.check() == []
    endings = ("", ".index", ".lock", ".tmp")
    files = {f"{file}.fs{ending}" for file in ("data", "catalog") for ending in endings}
    assert {path.name for path in target.iterdir()} <= files


def test_a_copy_of_nothing_is_a_database(folder: Path, tmp_path: Path) -> None:
    with AuthDB.create(folder) as db:
        assert db.copy(tmp_path / "new") == 0
    with AuthDB.open(tmp_path / "new") as copied:
        assert len(copied) == 0 and copied.check() == []


def test_a_copy_never_replaces_a_database(made: Path, tmp_path: Path) -> None:
    with AuthDB.open(made) as db:
        for taken in (made, tmp_path / "other"):
            if not taken.exists():
                AuthDB.create(taken).close()
            before = contents(taken)
            with pytest.raises(DatabaseExists):
                db.copy(taken)
            assert contents(taken) == before
        with db.transaction():
            db.update("n0", title="Not yet")
            with pytest.raises(AuthDBError, match="end the transaction"):
                db.copy(tmp_path / "new")
        with no_room_beyond(2000), pytest.raises(AuthDBError, match="larger than"):
            db.copy(tmp_path / "new")
        (tmp_path / "file").write_text("")
        with pytest.raises(AuthDBError):
            db.copy(tmp_path / "file")
    assert not (tmp_path / "new").exists()


def test_what_is_damaged_is_not_copied(made: Path, tmp_path: Path) -> None:
    data = (made / "data.fs").read_bytes()
    (made / "data.fs").write_bytes(data.replace(b"Renewed", b"Reneved"))
    with (
        AuthDB.open(made, read_only=True) as db,
        pytest.raises(DatabaseDamaged, match=r"docid 1 is not what was stored.*authdb recover NEW"),
    ):
        db.copy(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_copies(made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    ended = run("--db", made, "copy", new)
    assert (ended.out, ended.err, ended.status) == (f"copied 40 packages into {new}\n", "", 0)
    again = run("--db", made, "copy", new)
    assert again.err == f"authdb: {new}: there is a database already\n" and again.status == 2
    assert run("--db", new, "check").out == "40 packages: all is well\n"
