"""The seals of a catalog: after a power failure it shows what the objects show.

A power failure is made up: of what was not synced, each page of the disk may have come there, or
not, or only some of the last ones.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import ZODB.FileStorage.FileStorage  # noqa: F401 - the module, which its package hides
from ZODB import DB
from ZODB.FileStorage import FileStorage

from authdb import AuthDB, Package
from authdb.backup import backup, restore
from authdb.files import CATALOG_FILE
from authdb.records import LENGTH, MAGIC, TRANSACTION, Transaction, transactions
from authdb.seals import BLANK, broken_at, seal

MODULE = sys.modules["ZODB.FileStorage.FileStorage"]
PAGE = 512  # what disks write at once, or not


class Disk:
    """What of the file ``path`` is on the disk for good."""

    def __init__(self, path: Path) -> None:
        self.path, self.synced = path, path.read_bytes()

    @contextmanager
    def watched(self) -> Iterator[Disk]:
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            if os.path.samestat(os.fstat(handle), self.path.stat()):
                self.synced = self.path.read_bytes()

        MODULE.fsync = os.fsync = fsync  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            MODULE.fsync = os.fsync = real  # type: ignore[attr-defined]

    def after_power_failure(self, chance: random.Random) -> bytes:
        """What may be there of the file."""
        whole, kept = self.path.read_bytes(), len(self.synced)
        assert whole.startswith(self.synced)
        left, starts = bytearray(whole), range(kept - kept % PAGE, len(whole), PAGE)
        # The fewer are lost, the less of them shows.
        for start in chance.sample(starts, chance.choice((1, 1, 1, 1 + len(starts) // 10))):
            some = slice(max(start, kept), min(start + PAGE, len(whole)))
            left[some] = bytes(some.stop - some.start)
        end = chance.choice((len(whole), len(whole), len(whole), chance.randint(kept, len(whole))))
        return bytes(left[:end])


def change(db: AuthDB, number: int, chance: random.Random) -> None:
    names = [package.name for package in db]
    what = chance.randrange(4)
    if what == 0 or len(names) < 3:
        db.add(Package(f"new-{number}", f"New {number}", categories=("jwt",), license="MIT"))
    elif what == 1:
        db.remove(chance.choice(names))
    else:
        # Some pages long, so that one of them can be lost between others.
        with db.transaction():
            for name in chance.sample(names, min(len(names), 10 * what)):
                words = " ".join(f"word{chance.randint(1, 500)}" for _ in range(30))
                day = f"2024-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}"
                db.update(name, description=words, last_release=day)


@pytest.mark.parametrize("seed", range(12))
def test_after_a_power_failure_the_catalog_shows_what_was_acknowledged(
    folder: Path, tmp_path: Path, seed: int
) -> None:
    chance, after = random.Random(seed), tmp_path / "after"
    healed = set()
    with AuthDB.create(folder) as db, db.transaction():
        for number in range(100, 140):
            db.add(Package(f"old-{number}", f"Old {number}", last_release="2023-01-01"))
    with Disk(folder / CATALOG_FILE).watched() as disk, AuthDB.open(folder) as db:
        for number in range(chance.randint(1, 14)):
            change(db, number, chance)
        model = {package.name: dict(package.values()) for package in db}
        assert disk.synced != disk.path.read_bytes()  # there is something to lose
        for _ in range(6):
            shutil.copytree(folder, after)
            (after / CATALOG_FILE).write_bytes(disk.after_power_failure(chance))
            with AuthDB.open(after, read_only=True) as reader:
                assert {package.name: dict(package.values()) for package in reader} == model
                assert reader.check() == []
            with AuthDB.open(after) as writer:
                assert {package.name: dict(package.values()) for package in writer} == model
                assert writer.check() == []
                healed.add(writer.healed)
            with AuthDB.open(after) as again:
                assert again.healed is None and again.check() == []
            shutil.rmtree(after)
    assert healed - {None}


def sealed_changes(folder: Path) -> bytes:
    """A catalog's file with three sealed changes behind what was synced."""
    with AuthDB.create(folder) as db:
        for name in ("a", "b", "c"):
            db.add(Package(name, name.upper(), description="keys for views"))
        return (folder / CATALOG_FILE).read_bytes()


def sealed(whole: bytes) -> list[Transaction]:
    found = transactions(io.BytesIO(whole))
    return [
        each._replace(records=iter(list(each.records)))
        for each in found
        if len(each.extension) == len(BLANK)
    ]


def test_each_flipped_byte_of_a_sealed_record_breaks_its_seal(folder: Path) -> None:
    whole = sealed_changes(folder)
    assert broken_at(io.BytesIO(whole), len(MAGIC), len(whole)) is None
    last = [each for each in transactions(io.BytesIO(whole)) if len(each.extension) == len(BLANK)][
        -1
    ]
    texts = len(last.user + last.note + last.extension)
    first = last.position + TRANSACTION.size + texts
    for at in range(first - len(BLANK), last.end - LENGTH.size):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1
        found = broken_at(io.BytesIO(bytes(spoiled)), len(MAGIC), len(whole))
        assert found == last.position, at


def test_half_a_seal_is_a_broken_one(folder: Path) -> None:
    whole = sealed_changes(folder)
    last = [each for each in transactions(io.BytesIO(whole)) if len(each.extension) == len(BLANK)][
        -1
    ]
    end = last.position + TRANSACTION.size + len(last.user + last.note + last.extension)
    for kept in range(len(BLANK)):
        spoiled = bytearray(whole)
        spoiled[end - len(BLANK) + kept : end] = bytes(len(BLANK) - kept)
        if bytes(spoiled) == whole:
            continue
        assert broken_at(io.BytesIO(bytes(spoiled)), len(MAGIC), len(whole)) == last.position


def test_a_seal_is_as_long_as_the_room_that_is_left_for_it() -> None:
    assert len(seal(2**40, 2**30, 2**32 - 1)) == len(BLANK)


def test_what_was_packed_is_not_judged_by_its_old_seals(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        for number in range(8):
            change(db, number, random.Random(number))
        db.pack()
        db.add(Package("after-it", "After it"))
    (folder / f"{CATALOG_FILE}.index").unlink()  # so that all of it is looked at
    with AuthDB.open(folder) as db:
        assert db.healed is None and db.check() == []


def test_zodb_reads_a_sealed_file_and_writes_on_in_it(folder: Path) -> None:
    sealed_changes(folder)
    storage = FileStorage(str(folder / CATALOG_FILE))
    database = DB(storage)
    try:
        assert {"seal"} in [
            set(each) - {"id", "time", "user_name", "description", "size"}
            for each in storage.undoLog(0, 20)
        ]
        with database.transaction() as connection:
            assert connection.root()["catalog"]["name"].documentCount() == 3
            connection.root()["other"] = 1
    finally:
        database.close()
    with AuthDB.open(folder) as db:
        assert db.healed is None and db.check() == []


def test_a_large_change_is_synced_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authdb.filestorage._LARGEST", 0)
    with AuthDB.create(folder) as db, Disk(folder / CATALOG_FILE).watched() as disk:
        db.add(Package("a", "A"))
        assert disk.synced == disk.path.read_bytes()


def test_who_opens_what_was_left_unsynced_syncs_it(folder: Path, tmp_path: Path) -> None:
    """As after a kill: the seals are whole, but the disk has promised nothing."""
    left = tmp_path / "left"
    sealed_changes(folder)
    with AuthDB.open(folder) as db:
        db.add(Package("d", "D"))
        shutil.copytree(folder, left)
    with Disk(left / CATALOG_FILE).watched() as disk:
        disk.synced = b""
        AuthDB.open(left).close()
        assert disk.synced == disk.path.read_bytes()


class TiredDisk:
    """Inside, a sync of the file ``path`` fails: so many times, then none does."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.left = path, times

    def __enter__(self) -> TiredDisk:
        self.real = os.fsync
        MODULE.fsync = os.fsync = self.fsync  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: object) -> None:
        MODULE.fsync = os.fsync = self.real  # type: ignore[attr-defined]

    def fsync(self, handle: int) -> None:
        if self.left and os.path.samestat(os.fstat(handle), self.path.stat()):
            self.left -= 1
            raise OSError(5, "the disk is tired")
        self.real(handle)


@pytest.mark.parametrize("when", ["as it is closed", "before that"])
def test_after_a_sync_that_failed_the_catalog_is_cut_back_to_what_is_synced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The next sync would say that all is well, though what the first one lost is lost."""
    sealed_changes(folder)
    catalog, index = folder / CATALOG_FILE, folder / f"{CATALOG_FILE}.index"
    before = catalog.read_bytes(), index.read_bytes()
    db = AuthDB.open(folder)
    if when == "before that":
        monkeypatch.setattr("authdb.filestorage._MANY_COMMITS", 0)
        monkeypatch.setattr("authdb.filestorage._SHARE", 1e9)
        with TiredDisk(catalog, 1) as disk:
            db.add(Package("d", "D"))
        assert not disk.left
        db.add(Package("e", "E"))
        db.close()
    else:
        db.add(Package("d", "D"))
        db.add(Package("e", "E"))
        with TiredDisk(catalog, 1) as disk:
            db.close()
        assert not disk.left
    assert (catalog.read_bytes(), index.read_bytes()) == before
    with AuthDB.open(folder) as db:
        assert db.healed == "the catalog lagged behind: 2 packages indexed again"
        assert "d" in db and "e" in db and db.check() == []


def test_a_large_change_of_which_a_part_is_lost_is_found_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power can fail while it is synced: then the objects are on the disk already."""
    monkeypatch.setattr("authdb.filestorage._LARGEST", 0)
    after, chance = tmp_path / "after", random.Random(1)
    with AuthDB.create(folder) as db:
        for number in range(100, 140):
            db.add(Package(f"old-{number}", f"Old {number}", last_release="2023-01-01"))
        begin = (folder / CATALOG_FILE).stat().st_size
        with db.transaction():
            for number in range(100, 140):
                words = " ".join(f"word{chance.randint(1, 500)}" for _ in range(30))
                db.update(f"old-{number}", description=words)
        whole = (folder / CATALOG_FILE).read_bytes()
        for start in range(begin + PAGE, len(whole) - PAGE, PAGE):
            shutil.copytree(folder, after)
            (after / CATALOG_FILE).write_bytes(whole[:start] + bytes(PAGE) + whole[start + PAGE :])
            with AuthDB.open(after) as writer:
                assert writer.healed and writer.check() == []
            shutil.rmtree(after)


def test_a_seal_that_is_broken_before_half_a_change_is_seen(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        for name in ("a", "b", "c"):
            db.add(Package(name, name.upper(), description="keys for views"))
        index = (folder / f"{CATALOG_FILE}.index").read_bytes()
    (folder / f"{CATALOG_FILE}.index").write_bytes(index)  # as it was before them
    whole = bytearray((folder / CATALOG_FILE).read_bytes())
    *_, one, last = sealed(bytes(whole))
    records = list(one.records)
    whole[last.position - LENGTH.size - len(records[-1].data) // 2] ^= 1
    (folder / CATALOG_FILE).write_bytes(whole[: (last.position + last.end) // 2])
    with AuthDB.open(folder) as db:
        assert db.healed == "the catalog lagged behind: 2 packages indexed again"
        assert db.check() == []


def test_what_is_cut_off_does_not_come_back(folder: Path, tmp_path: Path) -> None:
    after = tmp_path / "after"
    with AuthDB.create(folder) as db:
        for name in ("a", "b", "c"):
            db.add(Package(name, name.upper(), description="keys for views"))
        shutil.copytree(folder, after)
    catalog = after / CATALOG_FILE
    whole = bytearray(catalog.read_bytes())
    *_, last = sealed(bytes(whole))
    whole[last.end - 20] ^= 1
    catalog.write_bytes(whole)
    with Disk(catalog).watched() as disk, AuthDB.open(after) as db:
        assert db.healed and disk.synced == bytes(whole[: last.position])


def test_what_the_index_knows_is_not_looked_at_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed_changes(folder)
    starts = []

    def broken(file: BinaryIO, start: int, end: int) -> int | None:
        starts.append(start)
        return broken_at(file, start, end)

    monkeypatch.setattr("authdb.filestorage.broken_at", broken)
    AuthDB.open(folder).close()
    assert starts == [(folder / CATALOG_FILE).stat().st_size]


@pytest.mark.parametrize(
    ("moved", "longer", "broken"), [(0, 0, True), (8, 0, False), (0, 8, False)]
)
def test_a_seal_judges_the_transaction_that_it_was_made_for_and_no_other(
    moved: int, longer: int, broken: bool
) -> None:
    records = b"some records"
    length = TRANSACTION.size + len(BLANK) + len(records)
    made = seal(len(MAGIC) + moved, length + longer, 1)
    head = TRANSACTION.pack(b"the tid.", length, b" ", 0, 0, len(made))
    file = MAGIC + head + made + records + LENGTH.pack(length)
    found = broken_at(io.BytesIO(file), len(MAGIC), len(file))
    assert found == (len(MAGIC) if broken else None)


def test_a_backup_takes_what_is_whole(folder: Path, tmp_path: Path) -> None:
    with AuthDB.create(folder) as db:
        for name in ("a", "b", "c"):
            db.add(Package(name, name.upper()))
        shutil.copytree(folder, tmp_path / "after")
    catalog = tmp_path / "after" / CATALOG_FILE
    whole = bytearray(catalog.read_bytes())
    *_, last = sealed(bytes(whole))
    whole[last.end - 20] ^= 1
    catalog.write_bytes(whole)
    backup(tmp_path / "after", tmp_path / "backup")
    done = restore(tmp_path / "backup", tmp_path / "restored")
    assert done.healed == "the catalog lagged behind: 1 package indexed again"
    with AuthDB.open(tmp_path / "restored") as db:
        assert len(db) == 3 and db.check() == []
