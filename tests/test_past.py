"""Moments of the past, readers that live long, and files from strangers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from strangers import SPOILERS, read_plainly

from authdb import AuthDB, Package
from authdb.exceptions import (
    AuthDBError,
    AuthDBWarning,
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseReadOnly,
    NoSuchMoment,
    UnsafeFile,
)
from authdb.history import _edits
from authdb.past import Past, tid_of, time_of


@pytest.fixture
def made(folder: Path) -> Path:
    """Five changes: a and b are added, a is updated, b removed and c added, a renamed to d."""
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A", last_release="2020-05"))
        db.add(Package("b", "B"))
        db.update("a", license="MIT")
        with db.transaction("exchange"):
            db.remove("b")
            db.add(Package("c", "C"))
        db.update("a", name="d")
    return folder


THEN = [[], ["a"], ["a", "b"], ["a", "b"], ["a", "c"], ["c", "d"]]


def names(db: AuthDB) -> list[str]:
    found = sorted(package.name for package in db)
    assert db.find(sort="name").names() == found, "objects and catalog differ"
    return found


# -- as of a moment ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(6))
def test_right_after_each_change_its_state_is_shown(made: Path, number: int) -> None:
    with AuthDB.open(made) as db:
        (change,) = [each for each in db.log() if each.number == number]
        later = change.when + timedelta(microseconds=50)
    tid = change.tid.hex()
    moments = (f"c{number}", number, tid, f"0x{tid}", bytes.fromhex(tid))
    for moment in (*moments, change.when, str(later), later):
        with AuthDB.open(made, as_of=moment) as db:
            assert (names(db), db.generation, db.check()) == (THEN[number], number, []), moment


def test_a_date_means_its_end_and_what_is_later_than_the_last_change_is_now(made: Path) -> None:
    today = datetime.now(timezone.utc).date()
    for moment in (today, today.isoformat(), str(today.year), "now", "2999", date.max, "9999"):
        with AuthDB.open(made, as_of=moment) as db:
            assert names(db) == THEN[-1]


@pytest.mark.parametrize(
    "moment", ["2001-02-03", "yesterday", "2 weeks ago", "c6", "c77", "0123456789abcdef", "0001"]
)
def test_a_moment_that_is_not_kept_says_which_are(made: Path, moment: str) -> None:
    with pytest.raises(NoSuchMoment) as caught:
        AuthDB.open(made, as_of=moment)
    assert re.search(
        r"^.*/authdb: .*: its history begins with c0 on \d{4}-.* UTC and ends with c5 on .* UTC$",
        str(caught.value),
    )


def test_a_moment_that_is_none_is_an_error_of_ours(made: Path) -> None:
    for moment in ("when it was good", -7, True, b"c1", 2.5, "2024-02-30", "99", ""):
        with pytest.raises(AuthDBError, match=r"^as_of: a moment is written 2024-02-26, "):
            AuthDB.open(made, as_of=moment)


def test_the_past_is_only_read(made: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with AuthDB.open(made, as_of="c3") as db:
        assert db.read_only and db.moment == 3 and not db.refresh()
        for change in (
            lambda: db.add(Package("x", "X")),
            lambda: db.remove("a"),
            db.undo,
            db.reindex,
            db.pack,
            lambda: setattr(db["a"], "title", "T"),
        ):
            with pytest.raises(DatabaseReadOnly):
                change()
        assert [each.number for each in db.log()] == [3, 2, 1, 0]
        assert {each.docid: each.kind for each in db.diff("c1")} == {1: "changed", 2: "added"}
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_history_before_a_pack_is_gone_and_says_so(made: Path) -> None:
    with AuthDB.open(made) as db:
        assert db.pack(dry_run=True).gone == 5
        packed = db.pack()
        assert (packed.gone, packed.first.number) == (5, 5)
        assert packed.after < packed.before
        db.add(Package("e", "E"))
    with AuthDB.open(made, as_of="c5") as db:
        assert names(db) == THEN[5]
    for moment in ("c4", "c0"):
        with pytest.raises(NoSuchMoment, match="its history begins with c5"):
            AuthDB.open(made, as_of=moment)
    with AuthDB.open(made) as db, pytest.raises(NoSuchMoment, match="packed away"):
        db.undo("c5")


def test_a_pack_may_keep_what_is_young_enough(made: Path) -> None:
    with AuthDB.open(made) as db:
        assert db.pack(keep="1h", dry_run=True).gone == 0
        packed = db.pack(keep="1h")
        assert (packed.gone, packed.first.number) == (0, 0)
        db.pack(keep="900y")
        assert len(db.log()) == 6
    for number in range(6):
        with AuthDB.open(made, as_of=f"c{number}") as db:
            assert (names(db), db.check()) == (THEN[number], [])


def test_leftovers_of_crashes_are_removed_by_a_pack_unless_something_whole_is_in_them(
    made: Path,
) -> None:
    with (made / "data.fs").open("ab") as file:
        file.write(b"\x0f" * 8 + (10**6).to_bytes(8, "big") + b"c" + b"half a change")
    whole = (made / "data.fs").read_bytes()[4:-30]
    with AuthDB.open(made) as db:
        (made / "catalog.fs.tr7").write_bytes(whole)
        assert [tail.name for tail in db.pack().tails] == ["data.fs.tr0"]
    assert sorted(path.name for path in made.glob("*.tr*")) == ["catalog.fs.tr7"]


@pytest.mark.parametrize("spoilt", ["removed", "rebuilt", "packed", "of another", "older"])
def test_where_no_catalog_of_then_is_kept_one_is_built(
    made: Path, tmp_path: Path, spoilt: str
) -> None:
    catalog = made / "catalog.fs"
    if spoilt == "removed":
        catalog.unlink()
    elif spoilt == "rebuilt":
        catalog.unlink()
        AuthDB.open(made).close()
    elif spoilt == "packed":
        with AuthDB.open(made) as db:
            assert db._pair.catalogs is not None
            db._pair.catalogs.db.pack()
    elif spoilt == "of another":
        with AuthDB.create(tmp_path / "other") as other:
            for name in "xyz":
                other.add(Package(name, name))
        shutil.copy(tmp_path / "other" / "catalog.fs", catalog)
    else:
        data = catalog.read_bytes()
        catalog.write_bytes(data[: len(data) // 2])
    for number in range(6):
        with AuthDB.open(made, as_of=f"c{number}") as db:
            assert (names(db), db.check(), db.healed) == (THEN[number], [], None)


def test_building_a_large_catalog_of_the_past_is_told_of(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authdb.pairing.MANY", 1)
    (made / "catalog.fs").unlink()
    with AuthDB.open(made, as_of="c2") as db:
        assert len(db) == 2  # for which there need be none
        with pytest.warns(AuthDBWarning, match=r"no catalog of these 2 packages is at hand"):
            assert len(db.find()) == 2
        assert len(db.find()) == 2
    with AuthDB.open(made, as_of="c1") as db:
        assert len(db.find()) == 1


def test_after_a_crash_between_the_finishes_each_state_is_found(made: Path) -> None:
    """The catalog of the last change is in the file only from the healing on, much later."""
    kept = (made / "catalog.fs").read_bytes()
    with AuthDB.open(made) as db:
        db.add(Package("e", "E"))
        moment = datetime.now(timezone.utc)
    (made / "catalog.fs").write_bytes(kept)
    for _ in range(2):
        with AuthDB.open(made, as_of=moment) as db:
            assert names(db) == ["c", "d", "e"]
        with AuthDB.open(made, as_of="c5") as db:
            assert names(db) == ["c", "d"]
        with AuthDB.open(made) as db:  # heals
            db.update("e", title="EE")


def test_a_change_that_says_nothing_of_itself_is_told_and_undone_all_the_same(made: Path) -> None:
    """As those made by an authdb that did not keep what each change touched."""
    with AuthDB.open(made) as db, db.transaction():
        del db._pair.root["touched"]
        db.set_as_of(date(2024, 2, 26))
        db._pair.advance = lambda changes: _advance_of_before(db)  # type: ignore[method-assign]
        db.remove("c")
        db.update("d", title="DD")
        db.add(Package("f", "F"))
    with AuthDB.open(made) as db:
        (change,) = db.log(1)
        assert {kind: change.names(kind) for kind in change.docids} == {
            "added": ["f"],
            "changed": ["d"],
            "removed": ["c"],
        }
        assert {each.kind for each in db.diff("c5")} == {"added", "changed", "removed"}
        done = db.undo()
        assert (done.removed, done.reverted, done.restored) == (["f"], ["d"], ["c"])
        assert names(db) == ["c", "d"] and db["d"].title == "A" and db.as_of is None
        assert db.check() == []


def _advance_of_before(db: AuthDB) -> None:
    root = db._pair.root
    root.update(generation=root["generation"] + 1, token="0" * 16)
    db._pair._mark_catalog()


def test_transaction_ids_and_times_are_each_other() -> None:
    for moment in (
        datetime(1999, 12, 31, 23, 59, 59, 999999, timezone.utc),
        datetime(2024, 2, 29, 12, 30, tzinfo=timezone.utc),
        datetime.now(timezone.utc),
    ):
        assert abs(time_of(tid_of(moment)) - moment) <= timedelta(microseconds=1)
    assert tid_of(datetime.min) < tid_of(datetime(1980, 1, 1)) < tid_of(datetime.max)
    assert tid_of(datetime.max.replace(tzinfo=timezone.utc)) == b"\xff" * 8


# -- what is read of a large database ------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 packages from one import, and a few changes."""
    folder = tmp_path_factory.mktemp("large") / "db"
    with AuthDB.create(folder) as db:
        with db.transaction("import"):
            for number in range(10_000):
                db.add(Package(f"p{number}", f"P {number}", last_release="2020"))
        db.update("p77", license="MIT")
        db.remove("p78")
        db.update("p79", name="q79")
    return folder


@pytest.mark.parametrize(
    ("ask", "most"),
    [
        (lambda db: [c.names(kind, 3) for c in db.log() for kind in c.docids], 150),
        (lambda db: db.diff("c1"), 80),
        (lambda db: db.log_of("q79"), 40),
        (lambda db: db.log_of("p78"), 60),
        (lambda db: db.undo("c2", dry_run=True), 40),
    ],
)
def test_only_what_was_changed_is_read(
    large: Path, ask: Callable[[AuthDB], Any], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of some 10,400 records; counted, not timed."""
    from ZODB.FileStorage import FileStorage

    with AuthDB.open(large, read_only=True) as db:
        loads = []
        original = FileStorage.loadBefore
        monkeypatch.setattr(
            FileStorage, "loadBefore", lambda *args: loads.append(1) or original(*args)
        )
        assert ask(db)
    assert 0 < len(loads) < most


def test_an_import_of_ten_thousand_is_undone_by_one_command(large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(large, copy)
    with AuthDB.open(copy) as db:
        before = db.generation
        done = db.undo("c1")
        assert len(done.removed) == 9_997 and db.generation == before + 1
        assert done.left == [
            ("p77", "changed since"),
            ("q79", "changed since"),
        ]
        assert [package.name for package in db] == ["p77", "q79"]
        db.undo()
        assert len(db) == 9_999
        assert db.check() == []


# -- readers that live long ----------------------------------------------------------------------


def test_a_reader_sees_what_is_new_when_it_refreshes(made: Path) -> None:
    with AuthDB.open(made, read_only=True) as reader, AuthDB.open(made) as writer:
        seen: list[int] = []
        reader.refreshed = lambda: seen.append(len(reader))
        package = reader["d"]
        assert not reader.refresh() and reader["d"] is package
        writer.add(Package("e", "E"))
        assert names(reader) == THEN[5]
        assert reader.refresh() and seen == [3]
        assert names(reader) == ["c", "d", "e"] and not reader.refresh()
        assert not writer.refresh()
        with pytest.raises(DatabaseReadOnly):
            reader.remove("e")
    with pytest.raises(DatabaseClosed):
        reader.refresh()


def test_what_was_not_read_before_a_refresh_can_not_be_read_after_it(made: Path) -> None:
    with AuthDB.open(made, read_only=True) as reader, AuthDB.open(made) as writer:
        found = reader.find(sort="name")
        catalog = reader.catalog
        writer.add(Package("e", "E"))
        assert reader.refresh()
        assert found.names() == ["c", "d"]  # by docid, from what is there now
        with pytest.raises(DatabaseClosed):
            catalog["license"].documentCount()


def test_a_reader_that_cannot_refresh_still_shows_what_it_did(made: Path) -> None:
    with AuthDB.open(made, read_only=True) as reader:
        (made / "data.fs").rename(made / "elsewhere")
        with pytest.raises(AuthDBError):
            reader.refresh()
        assert names(reader) == THEN[5]


def test_a_pack_underneath_is_survived(made: Path) -> None:
    """What the reader had not read yet comes from the file that it opened."""
    with AuthDB.open(made, read_only=True) as reader:
        old = AuthDB.open(made, as_of="c2")
        with AuthDB.open(made) as writer:
            for _ in range(2):
                with writer.transaction():
                    for package in writer:
                        package.title = package.title * 2
                    writer.add(Package(f"n{writer.generation}", "N"))
                writer.pack()
        assert [package.title for package in reader] == ["A", "C"]
        assert names(reader) == THEN[5] and reader.check() == []
        assert [each.number for each in reader.log()] == [5, 4, 3, 2, 1, 0]
        with old:
            assert names(old) == THEN[2] and old.check() == []
        assert reader.refresh() and len(reader) == 4
        assert [package.title for package in reader][:2] == ["AAAA", "CCCC"]


def test_a_reader_waits_out_the_instant_between_the_renames_of_a_pack(made: Path) -> None:
    data = made / "data.fs"
    Path(f"{data}.pack").write_bytes(b"")
    data.rename(f"{data}.old")
    opener = "import sys; from authdb import AuthDB; print(len(AuthDB.open(sys.argv[1], True)))"
    reader = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", opener, str(made)], stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    Path(f"{data}.old").rename(data)
    assert reader.communicate(timeout=30)[0] == "2\n"


# -- torn tails ----------------------------------------------------------------------------------


def test_a_flipped_length_in_the_middle_cuts_nothing_off(made: Path) -> None:
    """ZODB alone would cut off all that follows, and go on without it."""
    data = made / "data.fs"
    Path(f"{data}.index").unlink()
    whole = data.read_bytes()
    with AuthDB.open(made, read_only=True) as db:
        assert db._pair.objects is not None
        third = db._pair.objects.revisions()[3].tid
    position = whole.index(third + b"\0\0\0") + 8 + 3
    data.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    spoilt = data.read_bytes()
    for read_only in (True, False):
        with pytest.raises(AuthDBError, match=r"damaged at byte .* whole changes follow"):
            AuthDB.open(made, read_only=read_only)
    assert data.read_bytes() == spoilt and not list(made.glob("*.tr*"))
    data.write_bytes(whole)
    with AuthDB.open(made) as db:
        assert names(db) == THEN[5]


def test_half_a_change_at_the_end_is_cut_off(made: Path) -> None:
    data = made / "data.fs"
    size = data.stat().st_size
    with AuthDB.open(made) as db:
        db.add(Package("e", "E"))
    torn = data.read_bytes()[:-20]
    torn = torn[: size + 16] + b"c" + torn[size + 17 :]  # not finished
    for end in (torn, torn[: size + 10], torn[:size] + bytes(500)):
        data.write_bytes(end)
        (made / "catalog.fs").unlink(missing_ok=True)
        with AuthDB.open(made) as db:
            assert (names(db), db.check()) == (THEN[5], [])
        assert data.stat().st_size == size


@pytest.mark.parametrize("where", ["length", "status", "end"])
@pytest.mark.parametrize("catalog", [True, False])
def test_a_finished_change_is_never_taken_for_half_of_one(
    made: Path, where: str, catalog: bool
) -> None:
    """One flipped byte, and ZODB would cut it off without a word."""
    data = made / "data.fs"
    whole = data.read_bytes()
    length = int.from_bytes(whole[-8:], "big")
    begin = len(whole) - 8 - length
    at = {"length": begin + 13, "status": begin + 16, "end": len(whole) - 3}[where]
    data.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    spoilt = data.read_bytes()
    Path(f"{data}.index").unlink()
    if not catalog:
        (made / "catalog.fs").unlink()
    for read_only, repair in ((True, False), (False, False), (False, True)):
        with pytest.raises(AuthDBError, match=r"was finished and is damaged: see authdb check"):
            AuthDB.open(made, read_only, repair=repair)
    assert data.read_bytes() == spoilt


# -- files from strangers ------------------------------------------------------------------------


def test_a_strangers_database_is_read_without_anything_but_its_objects(made: Path) -> None:
    (made / "catalog.fs").write_bytes(b"no catalog")
    (made / "data.fs.index").write_bytes(b"no index")
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    for path in (made, made / "data.fs"):
        with AuthDB.open(path, trust=False) as db:
            assert (names(db), db.check(), db.healed) == (THEN[5], [], None)
            assert db.read_only and db["d"].license == "MIT" and len(db.log()) == 6
        with AuthDB.open(path, trust=False, as_of="c2") as db:
            assert names(db) == THEN[2]
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.parametrize("way", [*SPOILERS, "catalog"])
def test_what_plain_zodb_would_run_is_not_run(made: Path, tmp_path: Path, way: str) -> None:
    marker = tmp_path / "it-ran"
    file = made / ("catalog.fs" if way == "catalog" else "data.fs")
    SPOILERS["state" if way == "catalog" else way](file, marker)
    read_plainly(file)
    assert marker.is_dir(), "plain ZODB does not run it"
    marker.rmdir()
    for path in (made, made / "data.fs"):
        if way in ("index", "catalog"):  # which are not looked at
            with AuthDB.open(path, trust=False) as db:
                assert names(db) == THEN[5]
        else:
            with pytest.raises(UnsafeFile, match=r"it would run (os|posix)\.mkdir") as caught:
                AuthDB.open(path, trust=False)
            assert caught.value.wanted in ("os.mkdir", "posix.mkdir")
        assert not marker.exists()


def test_an_unsafe_file_is_closed_again(
    made: Path, tmp_path: Path, open_files: Callable[[], set[str]]
) -> None:
    SPOILERS["state"](made / "data.fs", tmp_path / "it-ran")
    with pytest.raises(UnsafeFile):
        AuthDB.open(made, trust=False)
    assert not open_files()


def test_the_folder_of_a_new_database_is_on_disk_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        fsync(handle)
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    monkeypatch.setattr(os, "fsync", watched)
    AuthDB.create(folder).close()
    assert str(folder) in synced


def spoil_tree(file: Path, kind: str) -> None:
    """Make a tree of the packages that has no end."""
    from ZODB import DB
    from ZODB.Connection import TransactionMetaData
    from ZODB.FileStorage import FileStorage
    from ZODB.serialize import ObjectWriter

    database = DB(FileStorage(str(file)))
    connection = database.open()
    tree = connection.root()["packages"]
    node = tree if kind == "tree" else tree._firstbucket
    state = node.__getstate__()
    if kind == "tree":
        state = ((node, *state[0][1:]), state[1])  # its first child is itself
    else:
        state = (state[0], node)  # the next bucket is itself
    oid, serial, data = node._p_oid, node._p_serial, ObjectWriter(node)._dump(type(node), state)
    connection.close()
    change = TransactionMetaData()
    database.storage.tpc_begin(change)
    database.storage.store(oid, serial, data, "", change)
    database.storage.tpc_vote(change)
    database.storage.tpc_finish(change)
    database.close()


@pytest.mark.parametrize("kind", ["tree", "bucket"])
def test_a_tree_without_an_end_is_not_gone_into(folder: Path, kind: str) -> None:
    """BTrees would fill the stack until the process dies, or go round for ever."""
    with AuthDB.create(folder) as db, db.transaction():
        for number in range(200):
            db.add(Package(f"p{number}", "P"))
    with AuthDB.open(folder, trust=False) as db:
        assert len(db) == 200
    spoil_tree(folder / "data.fs", kind)
    with pytest.raises(UnsafeFile, match="no end"):
        AuthDB.open(folder, trust=False)


# -- what is not brought back --------------------------------------------------------------------


def test_a_damaged_state_of_a_removed_package_is_found_and_not_brought_back(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A", description="Signed with care"))
        db.remove("a")
    data = (folder / "data.fs").read_bytes()
    assert data.count(b"with care") == 1
    (folder / "data.fs").write_bytes(data.replace(b"with care", b"with cars"))
    with AuthDB.open(folder) as db:
        (found,) = db.check()
        assert str(found).startswith("a: its past state of ") and not found.repairable
        for force in (False, True):
            done = db.undo(force=force)
            assert done.left == [("a", "what it was before is damaged: see authdb check")]
            assert len(db) == 0


def test_what_is_damaged_is_not_packed_away(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A", description="Signed with care"))
    data = (folder / "data.fs").read_bytes()
    (folder / "data.fs").write_bytes(data.replace(b"with care", b"with cars"))
    with AuthDB.open(folder) as db, pytest.raises(AuthDBError, match="nothing is packed"):
        db.pack()
    assert not list(folder.glob("*.old"))


def test_what_a_note_holds_is_shown_as_one_line(folder: Path) -> None:
    import io

    from authdb.reports import edits_as_text, log_as_json, log_as_table

    note = "red \x1b[31m\nc9  2020-01-01 00:00:00 UTC: forged\n    removed" + "x" * 70_000
    with AuthDB.create(folder) as db:
        with db.transaction(note):
            db.add(Package("a", "A"))
        out = io.StringIO()
        log_as_table(db.log(1), out)
        edits_as_text(db.log_of("a"), out)
        assert "\x1b" not in out.getvalue() and len(out.getvalue().splitlines()) == 5
        assert max(map(len, out.getvalue().splitlines())) < 320
        log_as_json(db.log(1), out := io.StringIO())
        assert "\x1b" not in out.getvalue() and "forged" in out.getvalue()


def test_a_package_that_is_dated_later_than_all_that_is_known_of_is_damage(
    tmp_path: Path,
) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        package = db.add(Package("djoser", "Djoser"))
        objects = db._objects_file
        with pytest.raises(DatabaseDamaged, match="dated wrongly"):
            list(_edits(objects, Past(objects), package._p_oid, 1, bytes(8)))


def test_the_day_is_that_of_the_moment_that_is_shown(folder: Path) -> None:
    today = datetime.now(timezone.utc).date()
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
        assert db.today in (today, today + timedelta(1))
        made = db.log(1)[0].when.date()
    for moment in ("c1", "now", "9999-12-31", made):
        with AuthDB.open(folder, as_of=moment) as db:
            assert db.today in (made, made + timedelta(1))


def test_a_day_of_the_past_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from authdb.moments import parse_moment

    with AuthDB.in_memory() as db:
        moment = parse_moment("2024-02-26")
        monkeypatch.setattr(AuthDB, "moment", property(lambda self: moment))
        assert db.today == date(2024, 2, 26)
