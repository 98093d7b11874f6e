"""Where finished records go: into a file that nobody has seen yet, or through any storage's commit.

The first is by far the quicker, and right for what is new or derived: one transaction is written
to a file aside, which gets its name when it is whole. The second is ZODB's public two-phase commit,
for storages of every kind, and for files that hold a history.

Another process can make some of the records: it writes them to a file of its own (a `Part`), with
oids that were set aside for it (``reserve``), and they are taken over at the end (``graft``).
"""

from __future__ import annotations

import os
import struct
import time
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from BTrees.fsBTree import fsBucket
from persistent import Persistent
from persistent.TimeStamp import TimeStamp
from ZODB.Connection import TransactionMetaData
from ZODB.fsIndex import fsIndex
from ZODB.mvccadapter import MVCCAdapterInstance
from ZODB.utils import p64, u64, z64

from authdb.parts import AT_ONCE, HEAD, Contents, Finishing, Place, Records, write_whole
from authdb.positions import save_index
from authdb.records import LENGTH, MAGIC, TRANSACTION, transactions
from authdb.storage import MyZODB

__all__ = ["FileSink", "StorageSink", "verify"]

# -- a file ----------------------------------------------------------------------------------


class FileSink(Finishing):
    """One transaction, the only or the last one, of a FileStorage file that nobody has open.

    :param path: a new file, or one that was closed; then the transaction is put behind the
        others, whose objects it may give new states. As nothing tells others that the file is
        being written, it should be one that nobody else knows of
    :param note: what was done, for the history; at most 65,535 bytes of UTF-8
    :param user: who did it
    :raises OSError: the file cannot be written

    Attributes: ``path``; ``place`` (see `Place`).
    """

    def __init__(self, path: str | Path, note: str = "", user: str = "") -> None:
        self.path = Path(path)
        self._made = not self.path.exists()
        self._file: BinaryIO | None = self.path.open("w+b" if self._made else "r+b", buffering=0)
        try:
            self._begin(note.encode(), user.encode())
        except BaseException:
            self.abort()
            raise

    def _begin(self, note: bytes, user: bytes) -> None:
        assert self._file is not None
        #: oid -> position, of the objects that were there before
        self._known, last = _known(self._file) if not self._made else ({}, z64)
        self._rewritten: dict[int, int] = {}
        start = self._file.seek(0, os.SEEK_END)
        if self._made:
            write_whole(self._file, MAGIC)
            start = len(MAGIC)
        now = time.time()
        stamp = TimeStamp(*time.gmtime(now)[:5], now % 60).laterThan(TimeStamp(last))
        self.place = Place(stamp.raw(), start)
        # "c": not finished. Whoever finds it like that cuts it off.
        self._header = [stamp.raw(), 0, b"c", len(user), len(note), 0]
        begin = TRANSACTION.pack(*self._header) + user + note
        write_whole(self._file, begin)
        self._records = Records(self._file, self.place, start + len(begin))
        self._first = max(self._known, default=0) + 1
        #: The positions of the new objects from `_first` on; 0 of one that is not written.
        self._positions = array("Q")

    def new_oid(self) -> int:
        """An oid that no record has."""
        self._positions.append(0)
        return self._first + len(self._positions) - 1

    def reserve(self, count: int) -> Sequence[int]:
        """So many oids for another process, which need not use them all."""
        start = self._first + len(self._positions)
        self._positions.extend(array("Q", bytes(8 * count)))
        return range(start, start + count)

    def store(self, oid: int, record: bytes) -> None:
        """Write the record of ``oid``, which is new, or was in the file before."""
        position = self._records.position
        if oid >= self._first:
            self._positions[oid - self._first] = position
            self._records.write(oid, record)
        else:
            self._rewritten[oid] = position
            self._records.write(oid, record, self._known.get(oid, 0))

    def store_all(self, records: Iterable[bytes]) -> Sequence[int]:
        """Write records of new objects; their oids, in the same order."""
        first = self._first + len(self._positions)
        self._positions.extend(self._records.write_all(first, records))
        return range(first, self._first + len(self._positions))

    def graft(self, path: Path, contents: Contents) -> None:
        """Take over the records of a `Part` that was made for this `place`."""
        assert self._file is not None
        self._records.flush()
        base, first, positions = self._records.position, self._first, self._positions
        for oid, start in zip(*contents, strict=True):
            positions[oid - first] = base + start
        with path.open("rb", buffering=0) as part:
            while piece := part.read(AT_ONCE):
                write_whole(self._file, piece)
        self._records.position = self._file.tell()

    def finish(self) -> None:
        """Have it on disk, with its ``.index``.

        :raises OSError: it could not be written; nothing is left of a new file
        """
        if self._file is None:
            return
        end, (_, start) = self._records.position, self.place
        self._header[1:3] = end - start, b" "
        self._records.flush()
        write_whole(self._file, LENGTH.pack(end - start))
        self._file.seek(start)
        write_whole(self._file, TRANSACTION.pack(*self._header))
        os.fsync(self._file.fileno())
        save_index(self.path, self._index(), end + LENGTH.size)
        self._file.close()
        self._file = None

    def abort(self) -> None:
        """Give up: the file is as it was before, or gone. What is finished stays."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError, AttributeError):
            file.truncate(self.place.start)
        file.close()
        if self._made:
            for ending in ("", ".index"):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _index(self) -> fsIndex:
        """Where the record of each oid is."""
        index, positions = fsIndex(), self._positions
        start, count = 0, len(positions)
        while start < count:  # by blocks of equal upper bytes, as such an index is kept
            low = (self._first + start) & 0xFFFF
            block = positions[start : start + 0x10000 - low]
            used = [number for number, position in enumerate(block, low) if position]
            there = [position for position in block if position]
            if there:
                wide = struct.pack(f">{len(there)}Q", *there)
                values = [wide[at + 2 : at + 8] for at in range(0, len(wide), 8)]
                keys = struct.pack(f">{len(used)}H", *used)
                bucket = fsBucket().fromString(keys + b"".join(values))
                index._data[p64(self._first + start)[:6]] = bucket
            start += len(block)
        for oid, position in {**self._known, **self._rewritten}.items():
            index[p64(oid)] = position
        return index


def _known(file: BinaryIO) -> tuple[dict[int, int], bytes]:
    """Where the newest record of each oid is, and the last tid; everything is checked."""
    known, last = {}, z64
    for transaction in transactions(file):
        last = transaction.tid
        for record in transaction.records:
            known[u64(record.oid)] = record.position
    return known, last


# -- any storage -----------------------------------------------------------------------------


class StorageSink(Finishing):
    """One transaction of an open database, by its storage's two-phase commit.

    The connections that are open see it as any change of another connection: from their next
    transaction on.

    :param database: whose storage it is
    :param note: what was done, for the history; at most 65,535 bytes of UTF-8
    :param user: who did it
    """

    #: What a `Part` is to say of its transaction: it is not copied, but read.
    place = Place(z64, 0)

    def __init__(self, database: MyZODB, note: str = "", user: str = "") -> None:
        from pyroaring import BitMap64  # not needed by those who only read

        # One of its own, as a connection has it, which is what tells the others.
        self._storage: Any = database.db._mvcc_storage.new_instance()
        self._storage.poll_invalidations()
        # What ZODB puts before a storage keeps the oid of everything that is stored, to tell the
        # other connections. None of them has what is new, and a million oids take 100 MB in each.
        adapted = isinstance(self._storage, MVCCAdapterInstance)
        self._store_new = (self._storage._storage if adapted else self._storage).store
        self._transaction: Any = TransactionMetaData(user.encode(), note.encode())
        #: New oids without a record so far. As a set, a million of them would take a hundred MB.
        self._given = BitMap64()
        self._voted = False
        try:
            self._storage.tpc_begin(self._transaction)
        except BaseException:
            self._storage.release()
            raise

    def new_oid(self) -> int:
        """An oid that no record has."""
        oid = u64(self._storage.new_oid())
        self._given.add(oid)
        return int(oid)

    def reserve(self, count: int) -> Sequence[int]:
        """So many oids for another process, which need not use them all."""
        return array("Q", (self.new_oid() for _ in range(count)))

    def store(self, oid: int, record: bytes) -> None:
        """Write the record of ``oid``, which is new, or known to the storage."""
        key = p64(oid)
        if oid in self._given:
            self._given.remove(oid)
            self._store_new(key, z64, record, "", self._transaction)
        else:
            serial = self._storage.load(key)[1]
            self._storage.store(key, serial, record, "", self._transaction)

    def store_all(self, records: Iterable[bytes]) -> Sequence[int]:
        """Write records of new objects; their oids, in the same order."""
        oids, store, transaction = array("Q"), self._store_new, self._transaction
        new_oid = self._storage.new_oid
        for each in records:
            key = new_oid()
            store(key, z64, each, "", transaction)
            oids.append(u64(key))
        return oids

    def graft(self, path: Path, contents: Contents) -> None:
        """Take over the records of a `Part`."""
        oids, starts = contents
        with path.open("rb") as part:
            ends = chain(islice(starts, 1, None), (path.stat().st_size,))
            for oid, start, end in zip(oids, starts, ends, strict=False):
                self.store(oid, part.read(end - start)[HEAD.size :])

    def vote(self) -> None:
        """The first phase: after it, the finish is not to fail."""
        if not self._voted:
            self._storage.tpc_vote(self._transaction)
            self._voted = True

    def finish(self) -> None:
        """Commit it."""
        if self._transaction is None:
            return
        self.vote()
        self._storage.tpc_finish(self._transaction)
        self._transaction = None
        self._storage.release()

    def abort(self) -> None:
        """Give up: the storage is as it was before. What is finished stays."""
        if self._transaction is None:
            return
        transaction, self._transaction = self._transaction, None
        try:
            self._storage.tpc_abort(transaction)
        finally:
            self._storage.release()


# -- afterwards ------------------------------------------------------------------------------


def verify(path: str | Path) -> None:
    """Open a file as a reader would, and look at the root, at the objects in it, and at both ends
    of each tree.

    That its transactions and its index are whole is found out by opening it. To read each record
    again would take as long as to write them: `AuthDB.check` does it.

    :raises DatabaseDamaged: something of it cannot be read
    """
    with MyZODB(path, read_only=True) as database:
        todo: list[Any] = [database.dbroot]
        seen = set()
        while todo:
            obj = todo.pop()
            if obj._p_oid in seen:
                continue
            seen.add(obj._p_oid)
            obj._p_activate()
            if hasattr(obj, "minKey"):
                if obj:
                    obj.minKey(), obj.maxKey()
                continue
            state = obj.__getstate__()
            values = list(state.values()) if isinstance(state, dict) else []
            values += [
                each for value in values if isinstance(value, dict) for each in value.values()
            ]
            todo += [value for value in values if isinstance(value, Persistent)]
