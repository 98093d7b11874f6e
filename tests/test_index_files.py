"""The saved index of where records are: kept up by whoever writes, and never in the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from files import contents, no_room_beyond
from ZODB.fsIndex import fsIndex

from authdb import AuthDB, Package, filestorage

FILES = ("data.fs", "catalog.fs")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the disk, saving the index takes but little of the time."""
    monkeypatch.setattr(filestorage, "_SHARE", 1e9)


def behind(folder: Path, file: str) -> int:
    """How many bytes of a file are behind its saved index."""
    saved = fsIndex.load(str(folder / f"{file}.index"))["pos"]
    return (folder / file).stat().st_size - int(saved)


def change(db: AuthDB, times: int) -> None:
    """So many small changes."""
    for number in range(times):
        db.update("knox", title=f"title {db.generation} {number}")


def test_saved_now_and_then(folder: Path) -> None:
    """After many commits the index is saved, so a reader beside the writer finds it; not after
    each of them, and not by the reader."""
    with AuthDB.create(folder) as db:
        db.add(Package("knox", "knox"))
        change(db, 1)
        early = [behind(folder, file) for file in FILES]
        change(db, filestorage._MANY_COMMITS)
        assert all(behind(folder, file) < size for file, size in zip(FILES, early, strict=True))
        change(db, 2)
        assert all(behind(folder, file) for file in FILES)
        before = contents(folder)
        with AuthDB.open(folder, read_only=True) as reader:
            assert reader["knox"].title == db["knox"].title
            assert reader.check() == []
        assert contents(folder) == before
        # As it is after a kill.
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy)
    for place in (folder, copy):
        with AuthDB.open(place) as db:
            assert db.check() == []
        assert [behind(place, file) for file in FILES] == [0, 0]


def test_saved_after_many_records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One large change is enough."""
    monkeypatch.setattr(filestorage, "_MANY_RECORDS", 300)
    with AuthDB.create(folder) as db:
        with db.transaction():
            for number in range(200):
                db.add(Package(f"package-{number}", f"word{number}"))
        assert behind(folder, "catalog.fs") == 0


def test_seldom_where_it_is_dear(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it would take much of the time of the commits it waits."""
    monkeypatch.setattr(filestorage, "_SHARE", 1e-9)
    with AuthDB.create(folder) as db:
        db.add(Package("knox", "knox"))
        change(db, 3 * filestorage._MANY_COMMITS)
        assert all(behind(folder, file) for file in FILES)
    assert [behind(folder, file) for file in FILES] == [0, 0]


def test_no_room_for_it(folder: Path) -> None:
    """Where it can't be saved nothing else suffers, and nothing is left over."""
    with AuthDB.create(folder) as db:
        with db.transaction():
            for number in range(400):
                db.add(Package(f"package-{number}", f"word{number}"))
        db.add(Package("knox", "knox"))
    for file in FILES:
        (folder / f"{file}.index").unlink()
    with AuthDB.open(folder) as db:
        change(db, filestorage._MANY_COMMITS)
        for database in (db._session.pair.objects, db._session.pair.catalogs):
            assert database is not None
            with no_room_beyond(1000):
                database.storage._commits = 1000
                database.keep_index()
        change(db, 1)
        assert db.check() == []
    assert not list(folder.glob("*.index*tmp"))
    with AuthDB.open(folder) as db:
        assert db.check() == []
