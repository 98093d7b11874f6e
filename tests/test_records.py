"""A FileStorage read raw: all that ZODB writes is understood, and all that is wrong is noticed."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import transaction as transactions_of_zodb
from persistent.mapping import PersistentMapping
from strangers import EMPTY, MAPPING, ROOT, append
from ZODB._compat import FILESTORAGE_MAGIC
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage import format as zodb_format
from ZODB.serialize import referencesf

from authdb import AuthDB, Package
from authdb.exceptions import BrokenFile, DatabaseDamaged
from authdb.records import MAGIC, RECORD, TRANSACTION, Record, next_whole, torn_at, transactions


def read(data: bytes) -> list[Any]:
    """Everything in a file, as plain values."""
    return [
        (found._replace(records=None), list(found.records))
        for found in transactions(io.BytesIO(data), path="x.fs")
    ]


def as_zodb_reads(path: Path) -> list[Any]:
    """tid, status, user, note and extension; for each record position, oid, tid, data."""
    storage = FileStorage(str(path), read_only=True)
    try:
        return [
            (
                (found.tid, found.status, found.user, found.description, found.extension_bytes),
                [(one.pos, one.oid, one.tid, one.data) for one in found],
            )
            for found in storage.iterator()
        ]
    finally:
        storage.close()


def as_we_read(data: bytes) -> list[Any]:
    by_position = {one.position: one for _, records in read(data) for one in records}

    def whole(record: Record) -> bytes | None:
        while not record.data and record.back:
            record = by_position[record.back]
        return record.data or None

    return [
        (
            (head.tid, head.status.decode(), head.user, head.note, head.extension),
            [(one.position, one.oid, one.tid, whole(one)) for one in records],
        )
        for head, records in read(data)
    ]


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all that a FileStorage can hold: packed and not, undone, undone twice in one
    transaction, an object that an undo removed, notes, users, extensions."""
    path = tmp_path_factory.mktemp("eventful") / "x.fs"
    db = DB(str(path))
    manager = transactions_of_zodb.TransactionManager()
    connection = db.open(manager)
    root = connection.root()

    def commit(note: str) -> None:
        manager.get().note(note)
        manager.commit()

    def newest() -> bytes:
        return db.undoLog(0, 1)[0]["id"]  # type: ignore[no-any-return]

    for number in range(5):
        root[f"key {number}"] = PersistentMapping({"number": number})
        commit(f"add {number}")
    del root["key 0"]
    commit("remove")
    root["key 1"]["number"] = 100
    commit("change")
    changed = newest()
    packed_at = connection.root()._p_mtime
    db.undo(changed, manager.get())
    commit("undo")
    db.pack(packed_at + 0.000001)  # what was undone is needed still
    root["key 2"]["number"] = 200
    manager.get().setUser("somebody")
    manager.get().setExtendedInfo("why", "because")
    commit("Ünïcödé")
    first = newest()
    root["key 2"]["number"] = 300
    commit("again")
    second = newest()
    db.undoMultiple([second, first], manager.get())
    commit("undo two")
    root["new"] = PersistentMapping()
    commit("create")
    db.undo(newest(), manager.get())
    commit("undo the creation")
    connection.close()
    db.close()
    return path


def test_the_constants_are_those_of_zodb() -> None:
    assert MAGIC == FILESTORAGE_MAGIC
    assert (TRANSACTION.format, TRANSACTION.size) == (
        zodb_format.TRANS_HDR,
        zodb_format.TRANS_HDR_LEN,
    )
    assert (RECORD.format, RECORD.size) == (zodb_format.DATA_HDR, zodb_format.DATA_HDR_LEN)


def test_an_eventful_file_is_read_as_zodb_reads_it(eventful: Path) -> None:
    data = eventful.read_bytes()
    assert as_we_read(data) == as_zodb_reads(eventful)
    heads = [head for head, _ in read(data)]
    records = [record for _, records in read(data) for record in records]
    # It is as eventful as it should be.
    assert {head.status for head in heads} == {b"p", b" "}
    assert any(record.back for record in records)
    assert any(not record.back and not record.data for record in records)
    assert any(len({r.oid for r in some}) < len(some) for _, some in read(data))
    assert heads[0].position == 4 and heads[-1].end == len(data)
    assert any(head.extension for head in heads)


def test_the_files_of_authdb_are_read_as_zodb_reads_them(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        for number in range(30):
            db.add(Package(f"package-{number}", "A package"))
            db.update("package-0", description=f"said {number} times")
    for name in ("data.fs", "catalog.fs"):
        path = tmp_path / "db" / name
        assert as_we_read(path.read_bytes()) == as_zodb_reads(path)
        with path.open("rb") as file:
            assert torn_at(file) is None


def test_a_file_that_was_packed_under_a_growing_one_is_whole(tmp_path: Path) -> None:
    db = DB(str(tmp_path / "x.fs"))
    try:
        for number in range(40):
            with db.transaction() as connection:
                root = connection.root()
                root[number % 7] = PersistentMapping({number: number})
                before = root._p_mtime
            if number % 10 == 9:
                db.storage.pack(before, referencesf)  # the last two transactions stay as they are
    finally:
        db.close()
    assert as_we_read((tmp_path / "x.fs").read_bytes()) == as_zodb_reads(tmp_path / "x.fs")


def test_each_record_names_the_one_before_it(eventful: Path) -> None:
    before: dict[bytes, int] = {}
    for head, records in read(eventful.read_bytes()):
        for record in records:
            assert record.previous == before.get(record.oid, 0) or head.status == b"p"
        before |= {record.oid: record.position for record in records}


def test_records_are_read_as_they_are_asked_for(eventful: Path) -> None:
    """A transaction may hold a million; and what is not asked for is checked all the same."""

    class Counting(io.BytesIO):
        furthest = 0

        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            self.furthest = max(self.furthest, self.tell())
            return found

    file = Counting()
    big = Path(str(eventful) + ".big")
    append(big, [(bytes([0] * 6 + [n // 256, n % 256]), MAPPING + EMPTY * 1) for n in range(2000)])
    file = Counting(big.read_bytes())
    [found] = [next(iter(transactions(file)))]
    size = file.seek(0, 2)
    file.furthest = 0
    first = next(found.records)
    assert file.furthest == first.position + RECORD.size + len(first.data) < size / 100
    spoiled = bytearray(file.getvalue())
    spoiled[size // 2 : size // 2 + 60] = bytes(60)
    walk = transactions(io.BytesIO(bytes(spoiled)), path="x.fs")
    next(walk)
    with pytest.raises(BrokenFile):
        next(walk)


def test_the_walk_can_begin_behind_others(eventful: Path) -> None:
    data = eventful.read_bytes()
    everything = read(data)
    for number, (head, _) in enumerate(everything):
        found = [
            (one._replace(records=None), list(one.records))
            for one in transactions(io.BytesIO(data), head.position)
        ]
        assert found == everything[number:]


# -- what is wrong ------------------------------------------------------------------------------


def whole_but_for(data: bytes) -> set[int]:
    """The positions of bytes of which nothing else in the file tells what they should be."""
    free: set[int] = set()
    last: dict[bytes, Record] = {}
    for head, records in read(data):
        length = TRANSACTION.size + len(head.user) + len(head.note) + len(head.extension)
        free |= set(range(head.position + TRANSACTION.size, head.position + length))
        for record in records:
            start = record.position + RECORD.size
            free |= set(range(start, start + len(record.data)))
            if not record.data:
                free |= set(range(start, start + 8))
            last[record.oid] = record
    for record in last.values():
        if not record.previous:
            free |= set(range(record.position, record.position + 8))
    return free


def shape(data: bytes) -> list[Any]:
    """All that is not free text or data."""
    return [
        (
            (head.position, head.end, head.tid, head.status),
            [(*one[:4], len(one.data)) for one in records],
        )
        for head, records in read(data)
    ]


def test_each_byte_of_the_structure_that_is_flipped_is_noticed(eventful: Path) -> None:
    data = eventful.read_bytes()
    free, right = whole_but_for(data), shape(data)
    assert len(free) < 0.6 * len(data)
    for position in range(len(data)):
        for change in (0xFF, 1 << position % 8):
            flipped = bytearray(data)
            flipped[position] ^= change
            if position not in free:
                with pytest.raises(BrokenFile, match=r"^x\.fs: it is damaged at byte [\d,]+: ."):
                    shape(bytes(flipped))
                continue
            with suppress(BrokenFile):  # a back pointer
                found = shape(bytes(flipped))
                # An oid at most is another.
                assert [head for head, _ in found] == [head for head, _ in right]


def test_flips_in_a_larger_file_are_noticed_too(tmp_path: Path) -> None:
    chance = random.Random(5)
    with AuthDB.create(tmp_path / "db") as db, db.transaction():
        for number in range(200):
            db.add(Package(f"package-{number}", "A package"))
    data = (tmp_path / "db" / "data.fs").read_bytes()
    free, right = whole_but_for(data), shape(data)
    for position in chance.sample(sorted(set(range(len(data))) - free), 300):
        flipped = bytearray(data)
        flipped[position] ^= chance.randrange(1, 256)
        with pytest.raises(BrokenFile):
            shape(bytes(flipped))
    for position in chance.sample(sorted(free), 50):
        flipped = bytearray(data)
        flipped[position] ^= chance.randrange(1, 256)
        assert len(shape(bytes(flipped))) == len(right)


def test_a_file_cut_off_anywhere_is_noticed(eventful: Path) -> None:
    data = eventful.read_bytes()
    ends = {4, *(head.end for head, _ in read(data))}
    for length in range(len(data)):
        if length in ends:
            read(data[:length])
        else:
            with pytest.raises(BrokenFile):
                read(data[:length])


def one(reason: str, spoil: Callable[[bytearray], Any]) -> Any:
    return pytest.param(reason, spoil, id=reason)


#: In a file of two transactions with one record each, the second of which begins at 4 + LONG.
HEAD, LONG = 23, 23 + 42 + len(MAPPING + EMPTY) + 8


def put(position: int, value: bytes) -> Callable[[bytearray], None]:
    def spoil(data: bytearray) -> None:
        data[position : position + len(value)] = value

    return spoil


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        one("it does not begin as a ZODB file does", put(0, b"FS21")),
        one("a transaction has no id", put(4, bytes(8))),
        one("a transaction is longer than the file", put(4 + 8, b"\x01")),
        one("a transaction is shorter than its own header", put(4 + 8, bytes(8))),
        one("a change that was never finished", put(4 + 16, b"c")),
        one("a transaction has the unknown status b'u'", put(4 + 16, b"u")),
        one("a transaction has two lengths that differ", put(4 + LONG - 1, b"\0")),
        one("a record has another id than its transaction", put(4 + HEAD + 8, b"\1")),
        one("a record points to another transaction than its own", put(4 + HEAD + 31, b"\1")),
        one("a record is of a version", put(4 + HEAD + 32, b"\1")),
        one("a record is longer than its transaction", put(4 + HEAD + 34, b"\1")),
        one(
            "the records do not fill their transaction",
            put(4 + HEAD + 41, bytes([LONG - HEAD - 42 - 18])),
        ),
        one("does not point to the one before it of its object", put(4 + LONG + HEAD + 23, b"\0")),
        one("a transaction is older than the one before it", put(4, b"\x04" * 8)),
        one("the file ends in the middle of it", lambda data: data.append(0)),
    ],
)
def test_the_error_says_what_is_wrong(
    reason: str, spoil: Callable[[bytearray], Any], tmp_path: Path
) -> None:
    path = tmp_path / "x.fs"
    append(path, [(ROOT, MAPPING + EMPTY)])
    append(path, [(ROOT, MAPPING + EMPTY)])
    data = bytearray(path.read_bytes())
    assert len(data) == 4 + 2 * LONG
    spoil(data)
    if reason.startswith("a transaction is older"):
        data[4 + HEAD + 8 : 4 + HEAD + 16] = b"\x04" * 8
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(DatabaseDamaged) as caught:
        list(transactions(file))
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(path))


# -- tails and gaps -------------------------------------------------------------------------------


def test_the_tail_that_is_not_whole_is_found(eventful: Path) -> None:
    data = eventful.read_bytes()
    heads = [head for head, _ in read(data)]
    for length in range(4, len(data) + 1):
        torn = torn_at(io.BytesIO(data[:length]))
        begun = next((head.position for head in heads if head.end > length), length)
        assert torn == (None if begun == length else begun)
        if torn is not None:
            assert next_whole(io.BytesIO(data[:length]), torn) is None
    assert torn_at(io.BytesIO(data), heads[3].position) is None
    assert torn_at(io.BytesIO(data[: heads[3].position]), heads[3].position) is None
    assert torn_at(io.BytesIO(b"")) is None
    assert torn_at(io.BytesIO(data[:100]), 200) == 100


def test_behind_damage_the_next_whole_transaction_is_found(eventful: Path) -> None:
    data = eventful.read_bytes()
    heads = [head for head, _ in read(data)]
    for number, head in enumerate(heads):
        for position in (head.position + 12, head.position + 16, head.end - 1):
            flipped = bytearray(data)
            flipped[position] ^= 0x55
            file = io.BytesIO(bytes(flipped))
            assert torn_at(file) == head.position
            following = heads[number + 1].position if number + 1 < len(heads) else None
            assert next_whole(file, head.position) == following
        file = io.BytesIO(data)
        assert next_whole(file, head.position) == head.position
        assert next_whole(file, head.position - 3) == head.position


@pytest.mark.parametrize("apart", [5, (1 << 20) - 20, (1 << 20) - 9, 1 << 20, (1 << 20) + 3])
def test_it_is_found_wherever_the_file_is_read_in_pieces(eventful: Path, apart: int) -> None:
    data = eventful.read_bytes()
    [head, *_] = [head for head, _ in read(data)]
    # Records say where they are, so they have to stay in their places, and the search to begin
    # before the start of the file.
    for filler in (b"\0", b"p \0\0"):
        before = filler * (apart // len(filler)) + filler[: apart % len(filler)]
        assert next_whole(_Shifted(before, data), head.position - apart) == head.position


class _Shifted(io.BytesIO):
    """A file, as if so much came before its first byte."""

    def __init__(self, before: bytes, data: bytes) -> None:
        super().__init__(before + data)
        self.shift = len(before)

    def seek(self, offset: int, whence: int = 0) -> int:
        at = super().seek(offset + self.shift if whence == 0 else offset, whence)
        return at - self.shift


def test_noise_holds_no_transaction() -> None:
    chance = random.Random(1)
    likely = b"".join(chance.choices([b"\0" * 5, b"\0" * 9, b" ", b"p", b"\x17", b"ab"], k=200_000))
    for noise in (bytes(1 << 20), chance.randbytes(1 << 20), likely):
        assert next_whole(io.BytesIO(noise), 4) is None
        assert torn_at(io.BytesIO(b"FS30" + noise)) == 4


def test_a_transaction_that_is_just_being_written_is_no_damage(eventful: Path) -> None:
    """A reader may see half of what a writer is about to finish; looking again shows all."""
    data = eventful.read_bytes()
    last = read(data)[-1][0]
    copy = Path(f"{eventful}.growing")
    shutil.copyfile(eventful, copy)
    with copy.open("r+b") as writer, copy.open("rb") as reader:
        writer.seek(last.position + 16)
        writer.write(b"c")
        writer.flush()
        assert torn_at(reader) == last.position
        assert next_whole(reader, last.position) is None
        writer.seek(last.position + 16)
        writer.write(b" ")
        writer.flush()
        assert next_whole(reader, last.position) == last.position
        assert torn_at(reader, last.position) is None


def test_an_empty_transaction_is_one(tmp_path: Path) -> None:
    append(tmp_path / "x.fs", [(ROOT, MAPPING + EMPTY)])
    append(tmp_path / "x.fs", [], note=b"nothing was stored")
    data = (tmp_path / "x.fs").read_bytes()
    assert [len(records) for _, records in read(data)] == [1, 0]
    assert torn_at(io.BytesIO(data)) is None
    assert next_whole(io.BytesIO(data), 5) == read(data)[1][0].position
