"""The columns: what they say is what the packages are, or they say nothing."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from conftest import SAMPLES
from hypothesis import given
from hypothesis import strategies as st
from oracle import SOME, collections, known, records

from authdb import AuthDB, Package, beside, columns, ranking
from authdb.catalog import new_catalog
from authdb.columns import COLUMNS_FILE, DATES, FIELDS, Columns, Row
from authdb.gathering import ROW_FIELDS, Gathered
from authdb.sections import SectionDamaged, Sections, Writer

MARK = {"uuid": "one", "generation": 7, "token": "abc"}


def gathered(packages: dict[int, Package]) -> Gathered:
    found = Gathered()
    found.add(list(packages), [vars(package) for package in packages.values()])
    return found


def everything(db: AuthDB) -> Gathered:
    return beside._gathered(db.objects, None)


def numbered(packages: list[Package], first: int = 3, step: int = 2) -> dict[int, Package]:
    """Docids that have gaps."""
    return {first + step * place: package for place, package in enumerate(packages)}


def wrong(packages: dict[int, Package], found: Columns) -> list[str]:
    return list(ranking.differences(found, gathered(packages)))


# -- what they say ---------------------------------------------------------------------------


def _value(package: Package, field: str) -> Any:
    value = known(package, field)
    return value.toordinal() if isinstance(value, date) else value


@given(collections())
def test_everything_that_columns_say_is_what_the_packages_are(packages: list[Package]) -> None:
    of_docid = numbered(packages)
    found = ranking.make(None, gathered(of_docid), MARK)
    assert found is not None
    assert wrong(of_docid, found) == []
    assert found.size == len(packages)
    last = date.max.toordinal() + 1
    by_update = sorted(of_docid, key=lambda d: (_value(of_docid[d], "last_update") or last, d))
    assert list(found.docids) == by_update
    for rank, docid in enumerate(by_update):
        assert found.rank(docid) == found.ranks[docid] == rank
        assert found.docid(rank) == docid
        package, row = of_docid[docid], found.row(rank)
        assert [getattr(row, name) for name in ROW_FIELDS] == [
            getattr(package, name) for name in ROW_FIELDS
        ]
        assert row.cells == Row.of(docid, package).cells
        assert row.docid == docid
    assert found.rank(1) is found.rank(10**6) is found.rank(-1) is None
    backwards = found.rows(range(found.size)[::-1], by_update[::-1])
    assert [row.docid for row in backwards] == by_update[::-1]
    assert backwards == [found.row(rank) for rank in range(found.size)][::-1]
    for field in FIELDS:
        has = [docid for docid in of_docid if _value(of_docid[docid], field) is not None]
        has.sort(key=lambda docid: (_value(of_docid[docid], field), docid))
        assert [found.docid(rank) for rank in found.order(field)] == has
        values = sorted({_value(of_docid[docid], field) for docid in has})
        assert list(found.values(field)) == values
        assert found.known(field) == len(has)
        for rank, docid in enumerate(by_update):
            value, place = _value(of_docid[docid], field), found.group(field)[rank]
            assert place == (len(values) if value is None else values.index(value))
    for category in (*SOME, "saml"):
        right = {d for d in of_docid if category in of_docid[d].categories}
        assert {found.docid(rank) for rank in found.bitmap("categories", category)} == right
        assert found.count("categories", category) == len(right)


@given(collections(), st.data())
def test_a_run_is_where_the_values_of_a_range_are(packages: list[Package], data: Any) -> None:
    of_docid = numbered(packages)
    found = ranking.make(None, gathered(of_docid), MARK)
    assert found is not None
    field = data.draw(st.sampled_from(FIELDS))
    some = sorted({_value(p, field) for p in packages} - {None})
    if field in DATES:
        some = [*some, *(day + 1 for day in some), 0]
    bounds = st.sampled_from([None, *some])
    low, high = data.draw(bounds), data.draw(bounds)
    no_low, no_high = data.draw(st.booleans()), data.draw(st.booleans())
    start, stop = found.run(field, low, high, no_low, no_high)
    inside = {
        docid
        for docid, package in of_docid.items()
        if (value := _value(package, field)) is not None
        and (low is None or value > low or (value == low and not no_low))
        and (high is None or value < high or (value == high and not no_high))
    }
    assert start <= stop
    assert {found.docid(rank) for rank in found.order(field)[start:stop]} == inside
    assert {found.docid(rank) for rank in found.run_bitmap(field, start, stop)} == inside


@given(collections())
def test_columns_of_a_catalog_say_the_same_without_rows(packages: list[Package]) -> None:
    of_docid, catalog = numbered(packages), new_catalog()
    for docid, package in of_docid.items():
        catalog.index_doc(docid, package)
    found = ranking.of_catalog(catalog, MARK)
    assert found is not None
    assert not found.has_rows
    assert wrong(of_docid, found) == []


@given(collections(), st.data())
def test_older_columns_and_what_changed_give_what_is_made_of_all(
    packages: list[Package], data: Any
) -> None:
    of_docid = numbered(packages)
    old = ranking.make(None, gathered(of_docid), MARK)
    assert old is not None
    dirty = set(data.draw(st.lists(st.sampled_from([1, 2, *of_docid, 50, 99]), max_size=6)))
    for docid in dirty:
        if data.draw(st.booleans()):
            of_docid.pop(docid, None)
        else:
            of_docid[docid] = Package(**data.draw(records(f"new-{docid}")))
    of_docid = dict(sorted(of_docid.items()))
    changed = gathered({docid: of_docid[docid] for docid in sorted(dirty) if docid in of_docid})
    new = ranking.merged(None, old.with_dirty(dirty), changed, MARK)
    anew = ranking.make(None, gathered(of_docid), MARK)
    assert new is not None
    assert anew is not None
    assert wrong(of_docid, new) == []
    assert new._sections._data == anew._sections._data  # byte by byte


def test_docids_that_are_far_apart_have_no_columns(tmp_path: Path) -> None:
    """A table by docid would be larger than all the rest."""
    far = {1: Package("a", "A"), 1 << 23: Package("b", "B")}
    assert ranking.make(tmp_path / "c", gathered(far), MARK) is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_dirty_has_no_say() -> None:
    of_docid = numbered([Package(**record) for record in SAMPLES])
    found = ranking.make(None, gathered(of_docid), MARK)
    assert found is not None
    assert found.with_dirty([]) is found
    other = found.with_dirty([3, 5, 77])
    assert other.dirty == {3, 5, 77}
    assert {found.docid(rank) for rank in other.masked} == {3, 5}
    assert found.dirty == frozenset()
    assert not found.masked
    del of_docid[3]
    of_docid[5] = Package("other", "Another")
    assert wrong(of_docid, other) == []
    assert wrong(of_docid, found) == ["they are of other packages"]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("last_update", "2001", "last_update"),
        ("last_release", "2001-01-01", "last_release"),
        ("name", "nowhere", "name"),
        ("license", "0BSD", "license"),
        ("categories", ("saml",), "category"),
        ("title", "Other", "rows"),
    ],
)
def test_each_difference_is_found(field: str, value: Any, word: str) -> None:
    of_docid = numbered([Package("a", "A", last_update="2020"), Package("b", "B", license="MIT")])
    found = ranking.make(None, gathered(of_docid), MARK)
    assert found is not None
    assert wrong(of_docid, found) == []
    setattr(of_docid[3], field, value)
    assert any(word in each for each in wrong(of_docid, found))


# -- the file --------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    of_docid = numbered([Package(**record) for record in SAMPLES])
    path = tmp_path / COLUMNS_FILE
    found = ranking.make(path, gathered(of_docid), MARK)
    assert found is not None
    found.close()
    assert [each.name for each in tmp_path.iterdir()] == [COLUMNS_FILE]
    return path


def test_a_file_says_the_same_as_the_columns_in_memory(file: Path) -> None:
    of_docid = numbered([Package(**record) for record in SAMPLES])
    found = Columns.open(file)
    assert (found.uuid, found.mark) == ("one", (7, "abc"))
    assert wrong(of_docid, found) == []
    found.close()


def test_every_flipped_byte_is_found_or_changes_nothing(file: Path) -> None:
    """One byte after the other; what is not noticed was a byte between two sections."""
    of_docid = numbered([Package(**record) for record in SAMPLES])
    whole = file.read_bytes()
    unnoticed = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            found = Columns.open(file)
        except SectionDamaged:
            continue
        try:
            assert wrong(of_docid, found) == []
            unnoticed += 1
        except SectionDamaged:
            pass
        found.close()
    assert unnoticed < len(whole) / 10


@pytest.mark.parametrize("part", ["docids", "name.values", "categories.bitmaps", "rows"])
def test_a_section_is_checked_when_it_is_first_used(file: Path, part: str) -> None:
    """What is damaged elsewhere does not matter to a question that does not read it."""
    sections = Sections(file)
    start, length, _ = sections._places[part]
    sections.close()
    data = bytearray(file.read_bytes())
    data[start + length // 2] ^= 1
    file.write_bytes(data)
    found = Columns.open(file)
    assert found.run("last_update") == (0, 4)
    with pytest.raises(SectionDamaged):
        found.verify()
    found.close()


@pytest.mark.parametrize("keep", [0, 10, 90, -1, -20])
def test_half_a_file_is_none(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SectionDamaged):
        Columns.open(file)


def _retold(file: Path, old: str, new: str) -> None:
    """Write the table of a file anew, with a checksum that is right."""
    data = file.read_bytes()
    start, length, _ = map(int, data[len(b"authdb sections 1") :].split(b"\n")[0].split())
    text = data[start : start + length].replace(old.encode(), new.encode())
    numbers = "".join(f" {number:20d}" for number in (start, len(text), crc32(text)))
    head = b"authdb sections 1" + numbers.encode() + b"\n"
    file.write_bytes(head + data[len(head) : start] + text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (sys.byteorder, "middle"),
        ("format 1", "format 99"),
        ("about size", "about sighs"),
        ("about generation 7", "about generation seven"),
        ("section docids", "section docids many"),
    ],
)
def test_a_file_of_another_kind_is_not_used(file: Path, old: str, new: str) -> None:
    _retold(file, "", "")
    Columns.open(file).close()
    _retold(file, old, new)
    with pytest.raises(SectionDamaged):
        Columns.open(file)


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise OSError("no more")

    (tmp_path / "c").write_bytes(b"as it was")

    def written() -> None:
        with Writer(tmp_path / "c") as out:
            out.add("numbers", array("i", [1]))
            out.add_pieces("pieces", pieces())

    with pytest.raises(OSError, match="no more"):
        written()
    assert [each.name for each in tmp_path.iterdir()] == ["c"]
    assert (tmp_path / "c").read_bytes() == b"as it was"
    (tmp_path / ".new-123-c").write_bytes(b"of one who was killed")
    with Writer(tmp_path / "c") as out:
        out.finish({}).close()
    assert [each.name for each in tmp_path.iterdir()] == ["c"]


# -- beside a catalog ------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns for a handful of packages, made anew when more than two are dirty."""
    monkeypatch.setattr(columns, "MANY", 3)
    monkeypatch.setattr(beside, "few", lambda size: 2)
    monkeypatch.setattr(beside, "COST", 1e-9)


@pytest.fixture
def stored(folder: Path, small: None) -> Path:
    with AuthDB.create(folder) as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    assert (folder / COLUMNS_FILE).exists()
    return folder


def of(db: AuthDB) -> Columns | None:
    """The columns of a database, held against its packages."""
    found = db._session.columns()
    if found is not None:
        assert list(ranking.differences(found, everything(db))) == []
    return found


def test_a_writer_that_changed_much_leaves_columns(stored: Path) -> None:
    for read_only in (True, False):
        with AuthDB.open(stored, read_only=read_only) as db:
            found = of(db)
            assert found is not None
            assert found.has_rows
            assert not found.dirty


def test_what_was_changed_since_is_dirty(stored: Path) -> None:
    before = (stored / COLUMNS_FILE).read_bytes()
    with AuthDB.open(stored) as db:
        db.update("hawkrest", license="MIT")
        found = of(db)
        assert found is not None
        assert found.dirty == {3}
    with AuthDB.open(stored) as db:
        db.remove("unheard-of")
        found = of(db)
        assert found is not None
        assert found.dirty == {3, 5}
    assert (stored / COLUMNS_FILE).read_bytes() == before
    with AuthDB.open(stored, read_only=True) as reader:
        found = of(reader)
        assert found is not None
        assert found.dirty == {3, 5}
        with AuthDB.open(stored) as db:
            db.add(Package("new", "New"))
            assert of(db) is None  # three are too many
        assert (stored / COLUMNS_FILE).read_bytes() != before
        assert of(reader) is found  # it keeps the file that it has opened
        assert reader.refresh()
        found = of(reader)
        assert found is not None
        assert not found.dirty


def test_what_an_open_transaction_changed_is_dirty(stored: Path) -> None:
    with AuthDB.open(stored) as db:
        with suppress(ZeroDivisionError), db.transaction():
            db["hawkrest"].license = "MIT"
            db.add(Package("new", "New"))
            db._session.index_edited()
            found = db._session.columns()
            assert found is not None
            assert found.dirty == {3, 6}
            assert db._session.columns() is found
            db.update("unheard-of", title="U")
            assert db._session.columns() is None
            assert "transaction" in db._session.no_columns
            raise ZeroDivisionError
        found = of(db)
        assert found is not None
        assert not found.dirty


def test_a_change_that_touches_no_package_leaves_them_true(stored: Path) -> None:
    with AuthDB.open(stored) as db:
        db.set_as_of(date(2024, 1, 1))
        assert of(db) is not None
    with AuthDB.open(stored, read_only=True) as db:
        assert of(db) is not None


def test_the_past_has_the_columns_of_its_time_or_none(stored: Path) -> None:
    with AuthDB.open(stored) as db:
        first = db.generation
        db.update("hawkrest", license="MIT")
    for change, dirty in ((first, frozenset()), (first + 1, {3})):
        with AuthDB.open(stored, as_of=f"c{change}") as db:
            found = of(db)
            assert found is not None
            assert found.dirty == dirty
    with AuthDB.open(stored) as db, db.transaction():
        for name in ("hawkrest", "drf-httpsig", "unheard-of"):
            db.update(name, license="0BSD")
    with AuthDB.open(stored, as_of=f"c{first}") as db:
        assert of(db) is None
    with AuthDB.open(stored, as_of=f"c{first + 2}") as db:
        assert of(db) is not None


def test_an_undo_and_a_pack_keep_them_true(stored: Path) -> None:
    with AuthDB.open(stored) as db:
        db.remove("hawkrest")
        db.undo()
        db.pack()
        found = of(db)
        assert found is not None
        assert found.dirty == {3}
    with AuthDB.open(stored, read_only=True) as db:
        assert of(db) is not None


def test_an_authdb_that_knows_of_no_columns_makes_them_void(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AuthDB.open(stored) as db:
        db.update("hawkrest", license="MIT")
        db.update("hawkrest", license="0BSD")
        assert of(db) is not None
    with monkeypatch.context() as patch, AuthDB.open(stored) as db:
        patch.setattr(beside.Beside, "touch", lambda *args: None)
        db.update("unheard-of", license="MIT")
    with AuthDB.open(stored, read_only=True) as db:
        assert of(db) is None
        assert db._session.no_columns
    with AuthDB.open(stored) as db:
        db.update("unheard-of", license="0BSD")
        assert "columns" not in db._pair.catalog_root
        assert of(db) is None


def test_columns_of_another_database_are_not_used(stored: Path, tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "other") as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    (tmp_path / "other" / COLUMNS_FILE).replace(stored / COLUMNS_FILE)
    with AuthDB.open(stored, read_only=True) as db:
        assert of(db) is None


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "older"])
def test_a_file_that_is_not_the_right_one_is_as_none(stored: Path, damage: str) -> None:
    path = stored / COLUMNS_FILE
    older = path.read_bytes()
    with AuthDB.open(stored) as db, db.transaction():
        for name in ("hawkrest", "drf-httpsig", "unheard-of"):
            db.update(name, license="0BSD")
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "garbage": b"x" * 5000, "older": older}[damage])
    with AuthDB.open(stored) as db:
        assert of(db) is None
        db.update("hawkrest", license="MIT")
        assert of(db) is None
    with AuthDB.open(stored) as db, db.transaction():
        for name in ("hawkrest", "drf-httpsig", "unheard-of"):
            db.update(name, license="ISC")
    with AuthDB.open(stored, read_only=True) as db:
        assert of(db) is not None


def test_those_that_turn_out_to_be_damaged_are_dropped(stored: Path) -> None:
    path = stored / COLUMNS_FILE
    data = bytearray(path.read_bytes())
    start = Sections(path)._places["docids"][0]
    data[start] ^= 1
    path.write_bytes(data)
    with AuthDB.open(stored) as db:
        found = db._session.columns()
        assert found is not None
        with pytest.raises(SectionDamaged):
            found.docid(0)
        db._session.drop_columns()
        assert db._session.columns() is None
        assert "damaged" in db._session.no_columns
        db.update("hawkrest", license="MIT")
    with AuthDB.open(stored) as db, db.transaction():
        for name in ("hawkrest", "drf-httpsig", "unheard-of"):
            db.update(name, license="0BSD")
    with AuthDB.open(stored) as db:
        assert of(db) is not None


@pytest.mark.parametrize("dirty", [False, True])
def test_what_was_found_is_counted_also_when_their_file_is_closed(
    stored: Path, dirty: bool
) -> None:
    """What is shown of the newest is found without counting all: they are counted when asked."""
    queries = (
        "last_update > '2000' and license == 'MIT'",
        "license == 'MIT' and 'oauth2' not in categories",
        "license == 'MIT' or license == 'BSD-2-Clause'",
        "'signature' not in categories",
    )
    with AuthDB.open(stored) as db:
        if dirty:
            db.update("hawkrest", license="MIT")
        expected = [len(list(db.find(query))) for query in queries]
        columns = db._session.columns()
        assert columns is not None and bool(columns.dirty) is dirty
        found = [
            db.find(query, sort="last_update", reverse=reverse, limit=1)
            for query in queries
            for reverse in (False, True)
        ]
    assert [len(result) for result in found] == [n for n in expected for _ in range(2)]


def test_a_stranger_has_no_say_in_columns(stored: Path) -> None:
    with AuthDB.open(stored, trust=False) as db:
        assert of(db) is None


def test_in_memory_they_are_made_when_they_are_worth_it(db: AuthDB, small: None) -> None:
    for record in SAMPLES:
        db.add(Package(**record))
    assert of(db) is None
    db._session.waited(60)
    found = of(db)
    assert found is not None
    assert not found.has_rows
    db.update("hawkrest", license="MIT")
    db.remove("unheard-of")
    found = of(db)
    assert found is not None
    assert found.dirty == {3, 5}
    db.update("drf-httpsig", license="ISC")
    assert of(db) is None
    db._session.waited(60)
    with suppress(ZeroDivisionError), db.transaction():
        db.update("drf-httpsig", license="0BSD")
        assert db._session.columns() is None  # they would hold what may be given up
        raise ZeroDivisionError
    assert of(db) is not None


def test_few_packages_never_pay(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        with db.transaction():
            for record in SAMPLES:
                db.add(Package(**record))
        db.update("hawkrest", license="MIT")
        db._session.waited(1e9)
        assert of(db) is None
        assert "fewer" in db._session.no_columns
        assert set(db._pair.catalog_root) == {"catalog", "uuid", "generation", "token", "format"}
    assert not (folder / COLUMNS_FILE).exists()
