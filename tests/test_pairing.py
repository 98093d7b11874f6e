"""Two files as one: order of commit, healing, losses, readers, and disks that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from conftest import SAMPLES
from files import an_ordinary_user, contents, keep, no_room_beyond, put_back
from ZODB.FileStorage import FileStorage

from authdb import AuthDB, MyZODB, Package
from authdb.checking import dump
from authdb.exceptions import (
    AuthDBError,
    AuthDBWarning,
    CatalogAhead,
    DatabaseDamaged,
    DatabaseError,
    DatabaseLocked,
    DatabaseReadOnly,
    FormatError,
    PackageNotFound,
)
from authdb.filestorage import OneFile
from authdb.generations import JOURNAL_DOCIDS, JOURNAL_GENERATIONS
from authdb.records import RECORD, transactions


@pytest.fixture
def made(folder: Path, open_files: Callable[[], set[str]]) -> Iterator[Path]:
    """The folder of a closed database of five packages. Whatever a test does with it, in the
    end no file is open, so no lock is held."""
    before = open_files()
    with AuthDB.create(folder) as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    yield folder
    assert open_files() <= before


def change(folder: Path, times: int, start: int = 0) -> None:
    """So many changes, one transaction each: packages added, one updated, one removed."""
    with AuthDB.open(folder) as db:
        for number in range(start, start + times):
            if number % 3 == 0:
                db.add(Package(f"new-{number}", f"New {number}", categories=("jwt",)))
            elif number % 3 == 1:
                db.update("hawkrest", title=f"Hawk {number}", last_commit=f"20{number + 10}")
            else:
                db.remove(f"new-{number - 2}")


def is_well(folder: Path, healed: str | None = None) -> None:
    """The database opens, has been ``healed`` as said, and its catalog is as one built anew."""
    with AuthDB.open(folder) as db:
        assert db.healed == healed if healed is None else db.healed and healed in db.healed
        assert db.check() == []
        was = {name: dump(index) for name, index in db.catalog.items()}
        assert [package.name for package in db] == db.find().names()
    with AuthDB.open(folder) as db:
        assert db.healed is None
        db.reindex()
        assert {name: dump(index) for name, index in db.catalog.items()} == was


# -- order ---------------------------------------------------------------------------------------


def test_the_objects_finish_before_the_catalog_and_are_on_disk_before_a_change_is_told(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill cannot show a missing fsync, so the calls are watched."""
    calls: list[tuple[str, str]] = []
    fsync = os.fsync
    names: dict[int, str] = {}

    def watched_fsync(fd: int) -> None:
        fsync(fd)
        calls.append(("synced", names.get(fd, "?")))

    def watch(method: str) -> None:
        original = getattr(FileStorage, method)

        def watched(self: Any, *args: Any) -> Any:
            names[self._file.fileno()] = Path(self.getName()).name
            calls.append((method, Path(self.getName()).name))
            return original(self, *args)

        monkeypatch.setattr(FileStorage, method, watched)

    with AuthDB.open(made) as db:
        watch("tpc_vote")
        watch("tpc_finish")
        module = sys.modules["ZODB.FileStorage.FileStorage"]  # its package hides it
        monkeypatch.setattr(module, "fsync", watched_fsync)
        for act in (
            lambda: db.add(Package("a", "A")),
            lambda: db.update("a", title="B"),
            lambda: db.remove("a"),
        ):
            calls.clear()
            act()
            assert calls == [
                ("tpc_vote", "data.fs"),
                ("tpc_vote", "catalog.fs"),
                ("tpc_finish", "data.fs"),
                ("synced", "data.fs"),
                ("tpc_finish", "catalog.fs"),  # which has a seal in place of a sync
            ]
        monkeypatch.undo()


# -- a catalog that lags -------------------------------------------------------------------------


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("behind", range(1, JOURNAL_GENERATIONS + 3))
def test_a_catalog_that_lags_is_brought_up_to_date(made: Path, behind: int, index: bool) -> None:
    change(made, 2)
    old = keep(made, "catalog.fs")
    change(made, behind, 2)
    put_back(old, made, "catalog.fs", index)
    short = behind < JOURNAL_GENERATIONS
    is_well(made, "the catalog lagged behind: " if short else "the catalog was rebuilt")


def test_what_is_healed_is_counted(made: Path) -> None:
    old = keep(made, "catalog.fs")
    change(made, 1)
    new = keep(made, "catalog.fs")
    put_back(old, made, "catalog.fs")
    is_well(made, "the catalog lagged behind: 1 package indexed again")
    with AuthDB.open(made) as db, db.transaction():
        db.update("hawkrest", title="x")
        db.update("drf-httpsig", title="x")
    put_back(new, made, "catalog.fs")
    is_well(made, "2 packages indexed again")


@pytest.mark.parametrize(("many", "healed"), [(1000, "lagged behind: 1000"), (1001, "rebuilt")])
def test_a_change_of_too_many_packages_to_name_is_healed_all_the_same(
    made: Path, many: int, healed: str
) -> None:
    assert JOURNAL_DOCIDS == 1000
    old = keep(made, "catalog.fs")
    with AuthDB.open(made) as db, db.transaction():
        for number in range(many):
            db.add(Package(f"p{number}", "P"))
    put_back(old, made, "catalog.fs")
    is_well(made, healed)


def test_the_journal_stays_short(made: Path) -> None:
    old = keep(made, "catalog.fs")
    with AuthDB.open(made) as db:
        for batch in range(3):
            with db.transaction():
                for number in range(400):
                    db.add(Package(f"p{batch}-{number}", "P"))
        journal = db._pair.root["journal"]
        assert len(journal) <= JOURNAL_GENERATIONS
        assert sum(len(docids) for _, _, docids in journal if docids != "rebuild") <= 1000
        assert [docids == "rebuild" for _, _, docids in journal[-3:]] == [True, False, False]
    put_back(old, made, "catalog.fs")
    is_well(made, "rebuilt")
    change(made, 30)
    with AuthDB.open(made) as db:
        assert len(db._pair.root["journal"]) == JOURNAL_GENERATIONS


@pytest.mark.parametrize("removed", ["catalog.fs", "catalog.fs.index", "data.fs.index"])
def test_nothing_is_lost_with_a_file_that_can_be_made_anew(made: Path, removed: str) -> None:
    (made / removed).unlink()
    is_well(made, "the catalog was rebuilt" if removed == "catalog.fs" else None)


GARBAGE = {
    "text": b"this is no database",
    "long": os.urandom(20_000),
    "empty": b"",
    "magic": b"FS30",
    "zeros": b"\0" * 5000,
    "torn": b"FS30" + b"\0" * 5000,
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("index", [True, False])
def test_a_catalog_that_is_no_catalog_is_made_anew(made: Path, garbage: str, index: bool) -> None:
    (made / "catalog.fs").write_bytes(GARBAGE[garbage])
    if not index:
        (made / "catalog.fs.index").unlink()
    before = contents(made)
    with AuthDB.open(made, read_only=True) as db:
        assert len(db.find()) == 5 and db.check() == []
    assert contents(made) == before
    is_well(made, "the catalog was rebuilt")


@pytest.mark.parametrize("index", [True, False])
def test_an_index_that_is_garbage_is_not_believed(made: Path, index: bool) -> None:
    for name in ("data.fs.index", "catalog.fs.index"):
        (made / name).write_bytes(b"garbage" if index else b"")
    with AuthDB.open(made, read_only=True) as db:
        assert db.check() == []
    is_well(made)


def test_the_catalog_of_another_database_is_made_anew(made: Path, tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "other") as other, other.transaction():
        for name in "abcde":
            other.add(Package(name, name))
    put_back(tmp_path / "other" / "catalog.fs", made, "catalog.fs")
    with AuthDB.open(made, read_only=True) as db:
        assert len(db.find("'hawk' in title")) == 1 and "a" not in db.find().names()
    is_well(made, "the catalog was rebuilt")


@pytest.mark.parametrize(
    "root",
    [
        {"format": 99},
        {"format": None},
        {"generation": "1"},
        {"generation": None},
        {"uuid": None},
        {"catalog": None},
        {"catalog": {}},
    ],
    ids=str,
)
def test_the_catalog_of_another_format_is_made_anew(made: Path, root: dict[str, Any]) -> None:
    with MyZODB(made / "catalog.fs") as zodb:
        zodb.dbroot.update(root)
        zodb.connection.transaction_manager.commit()
    with AuthDB.open(made, read_only=True) as db:
        assert db.check() == [] and db.find("'hawk' in title").names() == ["hawkrest"]
    is_well(made, "the catalog was rebuilt")


def test_the_catalog_of_a_class_that_is_gone_is_made_anew(made: Path) -> None:
    path = made / "catalog.fs"
    path.write_bytes(path.read_bytes().replace(b"PackageCatalog", b"PackageCatalox"))
    with AuthDB.open(made, read_only=True) as db:
        assert db.check() == []
    is_well(made, "the catalog was rebuilt")


def test_a_stray_filestorage_in_the_place_of_the_catalog_is_made_one(made: Path) -> None:
    (made / "catalog.fs").unlink()
    with MyZODB(made / "catalog.fs") as zodb:
        zodb.dbroot["something"] = "else"
        zodb.connection.transaction_manager.commit()
    is_well(made, "the catalog was rebuilt")


def test_healing_that_cannot_be_written_is_an_error_of_ours_and_comes_back(made: Path) -> None:
    old = keep(made, "catalog.fs")
    change(made, 3)
    put_back(old, made, "catalog.fs")
    with (
        no_room_beyond((made / "catalog.fs").stat().st_size),
        pytest.raises(DatabaseError, match="larger than the system allows"),
    ):
        AuthDB.open(made)
    is_well(made, "the catalog lagged behind")


# -- a catalog that is ahead ---------------------------------------------------------------------


def lose_the_tail(made: Path) -> None:
    """Put an older copy of the objects back: three changes are lost."""
    old = keep(made, "data.fs")
    change(made, 3)
    put_back(old, made, "data.fs")


def test_a_writer_refuses_to_write_after_a_loss_until_it_is_accepted(made: Path) -> None:
    lose_the_tail(made)
    before = contents(made)
    with pytest.raises(
        CatalogAhead, match="ends with change 1, the catalog has seen change 4"
    ) as error:
        AuthDB.open(made)
    assert "authdb check --repair" in str(error.value)
    assert (error.value.objects_generation, error.value.catalog_generation) == (1, 4)
    assert {
        name: bytes_ for name, (bytes_, _) in contents(made).items() if name.endswith(".fs")
    } == {name: bytes_ for name, (bytes_, _) in before.items() if name.endswith(".fs")}
    with AuthDB.open(made, repair=True) as db:
        assert db.healed == "the catalog was rebuilt: the objects had lost their tail"
        assert db.check() == [] and len(db) == 5 and db.generation > 4
    is_well(made)


def test_a_reader_is_warned_of_a_loss_and_answered(made: Path) -> None:
    lose_the_tail(made)
    before = contents(made)
    with pytest.warns(AuthDBWarning, match="lost its tail"):
        db = AuthDB.open(made, read_only=True)
    with db:
        assert len(db) == 5 and "new-0" not in db.find().names()
        assert db.find("'hawk' in title").names() == ["hawkrest"]
        (finding,) = db.check()
        assert finding.where == "data.fs" and "lost its tail" in finding.what
        with pytest.raises(DatabaseReadOnly):
            db.check(repair=True)
    assert contents(made) == before


def test_the_right_file_brought_back_ends_the_refusal(made: Path) -> None:
    lost = keep(made, "data.fs")
    change(made, 3)
    right = keep(made, "data.fs")
    put_back(lost, made, "data.fs")
    with pytest.raises(CatalogAhead):
        AuthDB.open(made)
    put_back(right, made, "data.fs")
    is_well(made)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_truncated_objects_file_is_a_loss(made: Path, cut: int) -> None:
    change(made, 1)
    path = made / "data.fs"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.warns(AuthDBWarning), AuthDB.open(made, read_only=True) as db:
        assert len(db) == 5
    with pytest.raises(CatalogAhead):
        AuthDB.open(made)
    AuthDB.open(made, repair=True).close()
    is_well(made)


def test_no_docid_of_what_was_lost_is_given_again(made: Path) -> None:
    lose_the_tail(made)
    with AuthDB.open(made, repair=True) as db:
        db.add(Package("after", "A"))
        first_lost = 6
        assert db.find("name == 'after'").docids[0] >= first_lost
    is_well(made)


def test_a_change_of_the_same_number_in_another_life_is_told_apart(made: Path) -> None:
    """Equal numbers can belong to two lives of a database: one restored, one cut short."""
    old = keep(made, "data.fs")
    change(made, 2)
    catalog = keep(made, "catalog.fs")
    put_back(old, made, "data.fs")
    (made / "catalog.fs").unlink()
    with AuthDB.open(made) as db:
        db.add(Package("other", "life"))
        db.add(Package("another", "life"))
    put_back(catalog, made, "catalog.fs")
    with pytest.raises(CatalogAhead, match="change 3 is another in each"):
        AuthDB.open(made)
    with pytest.warns(AuthDBWarning):
        db = AuthDB.open(made, read_only=True)
    with db:
        assert db.find().names()[-2:] == ["other", "another"]
        assert [finding.where for finding in db.check()] == ["data.fs"]
    AuthDB.open(made, repair=True).close()
    is_well(made)


def test_a_catalog_from_before_an_accepted_loss_is_healed_too(made: Path) -> None:
    """The journal then has a gap: the changes that were lost."""
    change(made, 3)
    early = keep(made, "catalog.fs")
    change(made, 1, 3)
    data = keep(made, "data.fs")
    late = keep(made, "catalog.fs")
    change(made, 4, 4)
    put_back(data, made, "data.fs")
    AuthDB.open(made, repair=True).close()
    for catalog in (early, late):
        put_back(catalog, made, "catalog.fs")
        is_well(made, "the catalog ")


def test_a_catalog_of_another_life_that_lags_is_built_anew(made: Path) -> None:
    old = keep(made, "data.fs")
    change(made, 1)
    catalog = keep(made, "catalog.fs")
    put_back(old, made, "data.fs")
    (made / "catalog.fs").unlink()
    change(made, 3, 1 + 2)
    put_back(catalog, made, "catalog.fs")
    is_well(made, "the catalog was rebuilt")


# -- readers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["well", "lagging", "no catalog", "no index", "torn", "no lock"])
def test_a_reader_writes_nothing_into_the_folder(made: Path, case: str) -> None:
    if case == "lagging":
        old = keep(made, "catalog.fs")
        change(made, 2)
        put_back(old, made, "catalog.fs")
    for name in {
        "no catalog": ["catalog.fs", "catalog.fs.index"],
        "no index": ["catalog.fs.index", "data.fs.index"],
        "no lock": ["catalog.fs.lock", "data.fs.lock", "catalog.fs.tmp", "data.fs.tmp"],
    }.get(case, []):
        (made / name).unlink()
    if case == "torn":
        (made / "catalog.fs").write_bytes((made / "catalog.fs").read_bytes() + b"\0" * 100)
        (made / "data.fs").write_bytes((made / "data.fs").read_bytes() + b"\0" * 100)
    before = contents(made)
    with AuthDB.open(made, read_only=True) as db:
        assert db.check() == [] and db.find(sort="name").names() == sorted(p.name for p in db)
        with pytest.raises(DatabaseReadOnly):
            db.add(Package("x", "X"))
        with pytest.raises(PackageNotFound):
            db["x"]
    assert contents(made) == before


WRITER = """
import sys
from authdb import AuthDB, Package
with AuthDB.open(sys.argv[1]) as db:
    print("open", flush=True)
    for number in range(100_000):
        with db.transaction():
            db.add(Package(f"p-{number}", f"P {number}", categories=("jwt",)))
            db.update("hawkrest", title=f"Number {number}", description="x " * (number % 50))
            if number > 20:
                db.remove(f"p-{number - 20}")
"""


def test_readers_beside_a_writer_see_one_state_of_both_files(made: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(made)], stdout=subprocess.PIPE)
    with writer:
        try:
            assert writer.stdout is not None and writer.stdout.readline() == b"open\n"
            with pytest.raises(
                DatabaseLocked, match=f"process {writer.pid} is writing to it"
            ) as error:
                AuthDB.open(made)
            assert error.value.pid == writer.pid
            seen = []
            for _ in range(40):
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    with AuthDB.open(made, read_only=True) as db:
                        seen.append(db.generation)
                        number = db["hawkrest"].title.split()[-1]
                        names = db.find("'jwt' in categories").names()
                        if number != "Hawk":
                            assert names[-1] == f"p-{number}"
                            assert db.find(f"'{number}' in title").names()[0] == "hawkrest"
                        assert len(names) <= 21 and db.healed is None
                        if len(seen) % 10 == 0:
                            assert db.check() == []
        finally:  # it would write for hours
            writer.kill()
    assert seen == sorted(seen) and seen[-1] > seen[0]
    with AuthDB.open(made) as db:
        assert db.check() == []


# -- what is no database of ours -----------------------------------------------------------------


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_objects_that_are_no_objects_are_an_error_and_left_alone(
    made: Path, garbage: str, read_only: bool
) -> None:
    (made / "data.fs").write_bytes(GARBAGE[garbage])
    with pytest.raises((DatabaseDamaged, FormatError)) as error:
        AuthDB.open(made, read_only)
    assert str(made) in str(error.value) and "\n" not in str(error.value)
    if garbage in ("text", "long", "zeros") or read_only:
        assert (made / "data.fs").read_bytes() == GARBAGE[garbage]


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("root", "found"),
    [
        ({"something": "else"}, None),
        ({"format": "1"}, None),
        ({"format": 1}, None),
        ({"format": 2, "packages": {}}, 2),
        ({"format": 0, "packages": {}}, 0),
    ],
    ids=str,
)
def test_a_database_of_another_program_or_format_is_left_alone(
    folder: Path, root: dict[str, Any], found: int | None, read_only: bool
) -> None:
    folder.mkdir()
    with MyZODB(folder / "data.fs") as zodb:
        zodb.dbroot.update(root)
        zodb.connection.transaction_manager.commit()
    before = (folder / "data.fs").read_bytes()
    with pytest.raises(FormatError) as error:
        AuthDB.open(folder, read_only)
    assert error.value.found == found and error.value.supported == 1
    words = {None: "it is not a database of authdb", 2: "upgrade authdb", 0: "export it with"}
    assert words[found] in str(error.value)
    assert (folder / "data.fs").read_bytes() == before
    assert not (folder / "catalog.fs").exists()


def test_a_folder_in_the_place_of_a_file_is_an_error(made: Path) -> None:
    (made / "catalog.fs").unlink()
    (made / "catalog.fs").mkdir()
    for read_only in (True, False):
        with pytest.raises(DatabaseError, match="this is a folder"):
            AuthDB.open(made, read_only)
    (made / "catalog.fs").rmdir()
    (made / "data.fs").unlink()
    (made / "data.fs").mkdir()
    for read_only in (True, False):
        with pytest.raises(DatabaseError, match="this is a folder"):
            AuthDB.open(made, read_only)


def test_a_catalog_that_another_program_writes_to_locks(made: Path) -> None:
    with MyZODB(made / "catalog.fs"), pytest.raises(DatabaseLocked, match=r"catalog\.fs"):
        AuthDB.open(made)
    is_well(made)


# -- permission and room -------------------------------------------------------------------------


def test_without_permission_a_database_can_be_read_or_says_so() -> None:
    import difflib  # what is imported late has to be there before we give up our rights
    import getpass  # noqa: F401

    assert difflib
    with TemporaryDirectory() as name:
        folder = Path(name) / "db"
        with AuthDB.create(folder) as db:
            db.add(Package("a", "A"))
        AuthDB.open(folder, read_only=True).close()
        Path(name).chmod(0o755)
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        with an_ordinary_user():
            with AuthDB.open(folder, read_only=True) as db:
                assert db.find().names() == ["a"]
            for act in (lambda: AuthDB.open(folder), lambda: AuthDB.create(Path(name) / "db2")):
                with pytest.raises(DatabaseError, match="no permission"):
                    act()
        (folder / "catalog.fs").chmod(0)
        with an_ordinary_user(), pytest.raises(DatabaseError, match=r"catalog\.fs: no permission"):
            AuthDB.open(folder, read_only=True)
        folder.chmod(0)
        with an_ordinary_user():
            for read_only in (True, False):
                with pytest.raises(DatabaseError, match="no permission"):
                    AuthDB.open(folder, read_only)
        folder.chmod(0o777)


RELEASES = [(f"1.{number}", "2024-02-26") for number in range(3000)]


@pytest.mark.parametrize("which", ["objects", "catalog", "nothing"])
def test_a_full_disk_undoes_the_change_and_the_database_goes_on(made: Path, which: str) -> None:
    generation = 1
    room = {
        "objects": (made / "catalog.fs").stat().st_size + 20_000,  # the releases are not indexed
        "catalog": (made / "catalog.fs").stat().st_size + 200,
        "nothing": 0,
    }[which]
    fields: dict[str, Any] = (
        {"releases": RELEASES} if which == "objects" else {"title": "New words"}
    )
    with AuthDB.open(made) as db:
        for _ in range(2):
            with (
                no_room_beyond(room),
                pytest.raises(DatabaseError, match="larger than the system allows"),
            ):
                db.update("hawkrest", **fields)
            assert db.generation == generation and db["hawkrest"].releases == ()
            assert db["hawkrest"].title == "Hawk"
            assert db.find("'hawk' in title").names() == ["hawkrest"] and db.check() == []
        db.update("hawkrest", license="MIT")
        assert db.check() == []
        with no_room_beyond(room), pytest.raises(DatabaseError):
            db.update("hawkrest", **fields)
    is_well(made)


def test_a_database_can_be_closed_on_a_full_disk(made: Path) -> None:
    with no_room_beyond(10):
        with AuthDB.open(made, read_only=True) as db:
            assert len(db) == 5
        with pytest.raises(DatabaseError), AuthDB.open(made) as db:
            db.update("hawkrest", title="New words")
    is_well(made)


@pytest.mark.parametrize("act", ["create", "reindex", "pack"])
def test_a_full_disk_is_an_error_of_ours_whatever_is_done(
    made: Path, tmp_path: Path, act: str
) -> None:
    with AuthDB.open(made) as db:
        db.pack()
        db.update("hawkrest", title="New words")
        acts = {"create": lambda: AuthDB.create(tmp_path / "other")}
        room = 200 if act == "create" else (made / "data.fs").stat().st_size // 2
        with (
            no_room_beyond(room),
            pytest.raises(DatabaseError, match="larger than the system allows"),
        ):
            acts.get(act, getattr(db, act, None))()
        assert db.check() == []
        db.update("hawkrest", title="Newer words")
    assert not (tmp_path / "other").exists() or list((tmp_path / "other").iterdir()) == []
    is_well(made)


# -- a second phase that fails -------------------------------------------------------------------


def each_finish(patch: pytest.MonkeyPatch, breaks: Any) -> None:
    """Have ``breaks`` called in place of each finish, synced or not, and given that."""

    def broken(finish: Any) -> Any:
        return lambda self, tid: breaks(self, tid, finish)

    for owner, name in ((FileStorage, "_finish_finish"), (OneFile, "_finish_unsynced")):
        patch.setattr(owner, name, broken(getattr(owner, name)))


@pytest.mark.parametrize("failing", ["data.fs", "catalog.fs"])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=str)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_when_a_finish_fails_the_files_are_opened_anew_and_told_apart(
    made: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException, moment: str
) -> None:
    """FileStorage closes itself when its finish fails; what it has done by then, the files tell."""
    armed = [True]

    def breaks(self: Any, tid: bytes, finish: Any) -> None:
        if armed and Path(self.getName()).name == failing:
            armed.clear()
            if moment == "after":
                finish(self, tid)
            raise error
        finish(self, tid)

    with AuthDB.open(made) as db:
        before = db["hawkrest"].record()
        with monkeypatch.context() as patch:
            each_finish(patch, breaks)
            told: BaseException | None = None
            try:
                db.update("hawkrest", title="Changed", categories=("jwt",))
            except (AuthDBError, KeyboardInterrupt) as raised:
                told = raised
        assert not armed
        # It is whole either way, and goes on.
        assert db.check() == []
        assert db["hawkrest"].title in ("Hawk", "Changed")
        if told is None:
            assert db["hawkrest"].title == "Changed"
        if failing == "catalog.fs":  # the objects had promised to keep it
            assert db["hawkrest"].title == "Changed"
            assert told is None or isinstance(told, KeyboardInterrupt)
        elif moment == "before":
            assert told is not None
        if db["hawkrest"].title == "Hawk":
            assert db["hawkrest"].record() == before
        titles = db.find("'changed' in title").names()
        assert titles == (["hawkrest"] if db["hawkrest"].title == "Changed" else [])
        db.update("hawkrest", license="MIT")
        assert db.check() == []
    is_well(made)


@pytest.mark.parametrize("failing", ["data.fs", "catalog.fs"])
def test_when_a_vote_fails_nothing_has_happened(
    made: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    original, armed = FileStorage.tpc_vote, [True]

    def breaks(self: Any, *args: Any) -> Any:
        if armed and Path(self.getName()).name == failing:
            raise OSError(28, "No space left on device")
        return original(self, *args)

    with AuthDB.open(made) as db:
        with monkeypatch.context() as patch:
            patch.setattr(FileStorage, "tpc_vote", breaks)
            with pytest.raises(DatabaseError, match="the disk is full: make room and try again"):
                db.update("hawkrest", title="Changed")
            with pytest.raises(DatabaseError, match="disk is full"):
                db.add(Package("x", "X"))
            if failing == "catalog.fs":
                with pytest.raises(DatabaseError, match="disk is full"):
                    db.reindex()
        armed.clear()  # ZODB may have bound the method
        assert db["hawkrest"].title == "Hawk" and "x" not in db and db.check() == []
        db.add(Package("x", "X"))
    is_well(made)


def test_a_rebuilding_that_cannot_finish_is_an_error_of_ours_and_can_be_done_again(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Any, tid: bytes, finish: Any) -> None:
        raise OSError(5, "Input/output error")

    with AuthDB.open(made) as db:
        with monkeypatch.context() as patch:
            each_finish(patch, breaks)
            with pytest.raises(DatabaseError, match="Input/output error"):
                db.reindex()
        assert db.check() == []
        db.reindex()
        db.update("hawkrest", title="Goes on")
        assert db.check() == []
    is_well(made)


def test_ctrl_c_in_the_first_phase_is_ctrl_c(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, armed = FileStorage.tpc_vote, [True]

    def breaks(self: Any, *args: Any) -> Any:
        if armed:
            raise KeyboardInterrupt
        return original(self, *args)

    with AuthDB.open(made) as db:
        with monkeypatch.context() as patch:
            patch.setattr(FileStorage, "tpc_vote", breaks)
            with pytest.raises(KeyboardInterrupt) as error:
                db.update("hawkrest", title="Changed")
        armed.clear()
        assert error.value.__cause__ is None
        assert db["hawkrest"].title == "Hawk" and db.check() == []
    is_well(made)


# -- copies --------------------------------------------------------------------------------------


def test_a_copy_of_the_folder_is_the_database(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    is_well(tmp_path / "copy")
    (tmp_path / "objects-only").mkdir()
    shutil.copy(made / "data.fs", tmp_path / "objects-only")
    is_well(tmp_path / "objects-only", "the catalog was rebuilt")


def test_a_backup_of_the_catalog_first_and_the_objects_then_is_healed(made: Path) -> None:
    catalog = keep(made, "catalog.fs")
    change(made, 2)
    data = keep(made, "data.fs")
    change(made, 3, 2)
    put_back(catalog, made, "catalog.fs")
    put_back(data, made, "data.fs")
    is_well(made, "the catalog lagged behind")


def test_a_change_that_meets_a_damaged_catalog_says_what_helps(made: Path) -> None:
    with AuthDB.open(made) as db:
        names = [package.name for package in db]
    catalog = made / "catalog.fs"
    whole = bytearray(catalog.read_bytes())
    with catalog.open("rb") as file:
        records = [(r.position, r.data) for t in transactions(file) for r in t.records]
    for position, data in records:
        if b"IFTreeSet" in data[:40]:  # the posting lists
            start = position + RECORD.size
            whole[start : start + len(data)] = bytes(len(data))
    catalog.write_bytes(whole)
    with AuthDB.open(made) as db:
        with pytest.raises(DatabaseDamaged, match=r"catalog\.fs: .*; see: authdb check"):
            db.update(names[0], license="0BSD")
        assert db.check(repair=True)
        db.update(names[0], license="0BSD")
        assert db.check() == []
