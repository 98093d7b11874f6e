"""`OneFile`: ZODB's FileStorage, which trusts less what it finds in its files."""

from __future__ import annotations

import errno
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from persistent.TimeStamp import TimeStamp
from ZODB._compat import FILESTORAGE_MAGIC
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import _truncate
from ZODB.FileStorage.format import CorruptedDataError
from ZODB.POSException import StorageTransactionError
from ZODB.utils import p64, u64, z64

from authdb.exceptions import DatabaseDamaged
from authdb.positions import Positions, load_index, put, save_index
from authdb.records import LENGTH, RECORD, TRANSACTION, next_whole, torn_at
from authdb.seals import BLANK, broken_at, checksum, seal

__all__ = ["OneFile", "Replaced", "Revision", "TornTail"]

# So much is read of a record at first: most are shorter, and more would take longer.
_AT_ONCE = 1536
_HEAD = RECORD.size

# So much is written at a time.
_WRITTEN = 1 << 20

# The index is saved where there are so many records, or transactions, behind it, unless that would
# take more than this share of the time of the commits. Of 3,000,000 records it takes 0.1 s.
_MANY_RECORDS = 10_000
_MANY_COMMITS = 64
_SHARE = 0.04
_COST = 4e-8  # seconds a record, as a first guess

# Of a sealed file a change of more bytes is synced at once: that takes little of its time.
_LARGEST = 1 << 20


class Revision(NamedTuple):
    """One state of one object in a storage: its transaction id, who made it, with which note, and
    where it is in the file, if there is one."""

    oid: bytes
    tid: bytes
    user: bytes
    note: bytes
    position: int = 0


class TornTail(DatabaseDamaged):
    """The file ends in half a transaction, which opening it for writing would cut off."""


class Replaced(Exception):
    """A pack put another file in the place of this one while it was being opened."""


class OneFile(FileStorage):
    """A FileStorage that

    - closes what it has opened when its constructor fails;
    - knows its last transaction after a torn one was cut off;
    - reads past no torn one, whatever is in it;
    - believes its index only if that is as it was saved;
    - cuts nothing off that holds whole transactions, as ZODB does after a flipped length;
    - reads on from the file that it has opened when a pack puts another in its place;
    - reads, stores and finds many records in a fraction of the time;
    - has a packed file on disk before that takes the place of the other;
    - if ``sealed``, seals its changes and does not sync small ones (see `authdb.seals`): what of
      them is not on the disk after a power failure is found out, and cut off. For files that can
      be made anew.
    """

    _is_saved = False
    _file: Any = None
    _tfile: Any = None
    _files: Any = None
    _pos = 2**62  # until it is known where the last transaction ends

    def __init__(
        self,
        path: str,
        read_only: bool,
        cut: bool = True,
        trust: bool = True,
        sealed: bool = False,
    ) -> None:
        self._may_cut, self.trust, self._sealed = cut, trust, sealed
        try:
            super().__init__(path, read_only=read_only)
            if isinstance(self._file, _Upto):
                self._file = self._file.whole
            # Its own idea of the last transaction is the torn one: with the zeros that a power
            # failure can leave there, nothing could be read, and with garbage the next one would
            # be dated in any year.
            self._ltid = self._last_whole_transaction()
            self._ts = TimeStamp(self._ltid)
            if read_only:
                self._keep_at_hand(path)
        except BaseException:
            for opened in (self._file, self._tfile, self._files, getattr(self, "_lock_file", None)):
                if opened is not None:
                    opened.close()
            raise

    def _restore_index(self) -> Any:
        # Here the file is open, and nothing of it was cut off yet.
        found = self._saved_index() if self.trust else None
        start = found[1] if found else len(FILESTORAGE_MAGIC)
        torn = self._look_at_seals(start) if self._sealed else self._look_at_tail(start)
        if torn is not None:
            # ZODB would read what is there as a header, and stumble over most of what it may be.
            if self._is_read_only:
                self._file = _Upto(self._file, torn)
            elif self._sealed:  # nothing of it is kept: it can be made anew
                self._file.truncate(torn)
                os.fsync(self._file.fileno())  # or something of it could come back
            else:
                _truncate(self._file, self._file_name, torn)
        self._synced = start
        return found

    def _saved_index(self) -> Any:
        """The saved index, where the file ended then, and its last transaction; None if there is
        none that can be believed."""
        try:
            found = load_index(Path(f"{self._file_name}.index"))
        except Exception:  # what is damaged may raise anything
            return None
        if found is None:
            return None
        tid = self._sane(*found)
        return (*found, tid) if tid else None

    def _save_index(self) -> None:
        if self._is_saved or self._is_read_only:
            return
        # Without it the file is read from end to end the next time.
        with suppress(OSError), self._lock:
            self._sync()  # of what is in the index no seal is looked at any more
            save_index(Path(self._file_name), self._index, self._pos)

    # The index is saved at the end, and now and then before: what is behind it has to be read by
    # everyone who opens the file meanwhile, or after a crash.

    _unsaved = _commits = 0  # what is behind the saved index: records, transactions
    _spent = _begun = 0.0  # the time that these took
    _cost: float | None = None  # the time that it takes to save it, once that is known

    def tpc_begin(self, transaction: Any, *args: Any) -> None:
        super().tpc_begin(transaction, *args)
        self._begun = time.perf_counter()

    def _begin(self, tid: bytes, user: bytes, note: bytes, extension: bytes) -> None:
        if self._sealed:  # as long as the seal, which cannot be made before all is there
            extension = BLANK
            self._ude = user, note, extension
        super()._begin(tid, user, note, extension)

    def _seal(self) -> None:
        """Put a seal on the open transaction."""
        size = self._tfile.tell()
        self._tfile.seek(0)
        made = seal(self._pos, self._thl + size, checksum(self._tfile, size))
        self._ude = *self._ude[:2], made
        self._is_small = size <= _LARGEST

    #: Told the oids of the records that each transaction has written.
    written: Callable[[Any], None] | None = None

    _has_left_over = False  # whether a change that failed may have left something at the end

    def tpc_vote(self, transaction: Any) -> Any:
        try:
            if self._sealed and transaction is self._transaction:
                self._seal()
            return super().tpc_vote(transaction)
        except BaseException:
            self._has_left_over = True  # on a full disk ZODB fails to cut it off as well
            raise

    def _finish(self, *args: Any) -> None:
        self._unsaved += len(self._tindex)
        self._commits += 1
        super()._finish(*args)
        if self.written is not None:
            self.written(self._tindex)
        if self._has_left_over:
            # What its readers have read ahead may be of that, where this change is now.
            self._files.empty()
            # Nor are they to read it behind this change, for the next one comes there.
            with suppress(OSError):
                self._file.truncate(self._pos)
            self._has_left_over = False
        self._spent += time.perf_counter() - self._begun

    def keep_index(self) -> None:
        """Save the index if much is behind it, and if that takes but little of the time."""
        if self._unsaved <= _MANY_RECORDS and self._commits <= _MANY_COMMITS:
            return
        if self._cost is None:
            self._cost = len(self._index) * _COST
        if self._spent * _SHARE < self._cost:
            return
        begun = time.perf_counter()
        self._save_index()
        self._cost = time.perf_counter() - begun
        self._unsaved = self._commits = 0
        self._spent = 0.0

    def supersede(self) -> None:
        """Note that another file takes the place of this one: the index beside it is of that."""
        self._is_saved = True

    def _look_at_tail(self, start: int) -> int | None:
        """Where half a change begins, after which there is nothing; None if all is whole."""
        self._file.seek(0)
        if self._file.read(len(FILESTORAGE_MAGIC)) != FILESTORAGE_MAGIC:
            return None  # no such file at all, which ZODB finds out for itself
        position, seen = torn_at(self._file, start), None
        while position is not None and position != seen:
            whole, seen = next_whole(self._file, position), position
            # A writer may have gone on in the meantime: what was half is whole then.
            position = torn_at(self._file, position)
        if position is None:
            return None
        if whole is not None:
            raise DatabaseDamaged(
                self._file_name,
                f"it is damaged at byte {position:,}, and whole changes follow: nothing is "
                "written to it; see: authdb check",
            )
        if self._was_finished(position):
            if torn_at(self._file, position) != position:  # a writer has, since it was looked at
                return self._look_at_tail(start)
            raise DatabaseDamaged(
                self._file_name,
                f"its last change, which begins at byte {position:,}, was finished and is damaged: "
                "see authdb check",
            )
        if not self._is_read_only and not self._may_cut:
            raise TornTail(self._file_name, f"what begins at byte {position:,} is half a change")
        return position

    def _look_at_seals(self, start: int) -> int | None:
        """Where the part begins that has not come to the disk whole, whatever follows; None if all
        has."""
        self._file.seek(0)
        if self._file.read(len(FILESTORAGE_MAGIC)) != FILESTORAGE_MAGIC:
            return None
        size = self._file.seek(0, os.SEEK_END)
        torn = torn_at(self._file, start)
        broken = broken_at(self._file, start, size if torn is None else torn)
        return torn if broken is None else broken

    def _was_finished(self, position: int) -> bool:
        """Whether what begins there is no half of a change, but a whole one with a wrong length or
        status: it is as long as one of its two lengths says."""
        size = self._file.seek(0, os.SEEK_END)
        if size - position < TRANSACTION.size + LENGTH.size:
            return False
        self._file.seek(position)
        _, first, status, *_ = TRANSACTION.unpack(self._file.read(TRANSACTION.size))
        self._file.seek(size - LENGTH.size)
        (last,) = LENGTH.unpack(self._file.read(LENGTH.size))
        length = size - position - LENGTH.size
        return status != b"c" and length in (first, last)

    def _read_data_header(self, pos: int, *args: Any) -> Any:
        head = super()._read_data_header(pos, *args)
        # Or it would be tried to read so much, and to go round in circles.
        if head.plen > self._pos or head.prev >= pos:
            raise CorruptedDataError(head.oid, "a record with a wrong length or pointer", pos)
        return head

    @staticmethod
    def packer(storage: Any, *args: Any) -> Any:
        packed = FileStorage.packer(storage, *args)
        storage._synced = 0  # it is another file from here on
        if packed is not None:
            # ZODB only renames it: after a power failure it could be empty. Whoever packs holds
            # the commit lock from here on.
            try:
                with Path(f"{storage._file_name}.pack").open("r+b") as file:
                    os.fsync(file.fileno())
            except BaseException:
                storage._commit_lock.release()
                raise
        return packed

    def revisions(self, oid: bytes, size: int) -> list[Revision]:
        """The last ``size`` revisions of an object, the newest first.

        Unlike ``history``, which unpickles what transactions were extended by, and ``loadSerial``,
        which looks for one by going through all that are newer, it needs one pass for them all.
        """
        found: list[Revision] = []
        with self._lock:
            position = self._lookup_pos(oid)
            while position and len(found) < size:
                head = self._read_data_header(position)
                begun = self._read_txn_header(head.tloc)
                found.append(Revision(oid, head.tid, begun.user, begun.descr, position))
                position = head.prev
        return found

    def data_of(self, revision: Revision) -> bytes:
        """The record of a revision."""
        with self._lock:
            head = self._read_data_header(revision.position)
            if head.plen:
                return bytes(self._file.read(head.plen))
        return bytes(self.loadSerial(revision.oid, revision.tid))  # one that ZODB's undo made

    def newest(self, oid: bytes) -> bytes:
        """The newest record of an object, as ``load`` gives it: for whoever reads thousands."""
        return self.newest_of(oid)[0]

    def newest_of(self, oid: bytes) -> tuple[bytes, bytes]:
        """The newest record of an object, and the id of its transaction."""
        # As the index's own ``get``, in half of the time.
        part = self._index._data.get(oid[:6])
        place = None if part is None else part.get(oid[6:])
        if place is not None:
            position, file = int.from_bytes(place, "big"), self._file.fileno()
            found = os.pread(file, _AT_ONCE, position)
            its_oid, tid, *_, size = RECORD.unpack_from(found)
            if 0 < size <= self._pos and its_oid == oid:  # else it is damaged, or made by an undo
                end = _HEAD + size
                if end > len(found):
                    found += os.pread(file, end - len(found), position + len(found))
                return found[_HEAD:end], tid
        record, tid = self.load(oid)
        return bytes(record), bytes(tid)

    def new_oids(self, count: int) -> range:
        """So many oids that no object has, as ``new_oid`` gives one, as numbers."""
        with self._lock:
            first = u64(self.new_oid())
            self._oid = p64(first + count - 1)
        return range(first, first + count)

    def store_all(self, records: Mapping[bytes, bytes], transaction: Any) -> None:
        """Store the records of these objects, as ``store`` does one; nobody may have changed any
        of them since they were read."""
        if transaction is not self._transaction:
            raise StorageTransactionError(self, transaction)
        with self._lock:
            tid, begun = self._tid, self._pos
            position = begun + self._tfile.tell() + self._thl
            # As an fsIndex has positions: by the first six bytes of the oid, and by the last two.
            buckets = dict(self._index._data.items())
            places: dict[bytes, list[tuple[bytes, bytes]]] = defaultdict(list)
            pack, many = RECORD.pack, position + _WRITTEN
            waiting: list[bytes] = []
            for oid, record in records.items():
                start, end = oid[:6], oid[6:]
                bucket, length = buckets.get(start), len(record)
                before = int.from_bytes(bucket.get(end, b""), "big") if bucket else 0
                waiting += pack(oid, tid, before, begun, 0, length), record
                places[start].append((end, position.to_bytes(6, "big")))
                position += _HEAD + length
                if position > many:
                    self._tfile.write(b"".join(waiting))
                    waiting, many = [], position + _WRITTEN
            self._tfile.write(b"".join(waiting))
            put(self._tindex._data, places)
            self.set_max_oid(max(self._oid, *records))

    def _newIndexes(self) -> tuple[Any, Any]:  # noqa: N802 - ZODB calls it so
        # Of the open transaction ZODB would have a dict, which takes ten times the
        # memory where there are millions of records.
        return Positions(), Positions()

    # What of a sealed file is synced, and whether that has failed once. After that the system takes
    # for written what is not: the next sync says that all is well, and the seals are read from
    # memory. So the file is cut back in the end, and catches up as after a crash.

    _synced = 0  # up to here it is
    _has_failed = False
    _is_small = False  # whether the open transaction is not to be synced

    def _finish_finish(self, tid: bytes) -> None:
        try:
            if self._sealed and self._is_small:
                self._finish_unsynced(tid)
            else:
                super()._finish_finish(tid)
                if not self._has_failed:
                    self._synced = self._pos
        except BaseException:
            self._is_saved = True  # the file may have what the index has not: it is not to be kept
            self._has_failed = True
            raise

    def _finish_unsynced(self, tid: bytes) -> None:
        # As ZODB's own _finish_finish, but for the fsync, and for blobs, which are not sealed.
        self._file.flush()
        self._pos = self._nextpos
        self._index.update(self._tindex)
        self._ltid = tid

    def _sync(self) -> None:
        """Have on the disk for good what is committed.

        :raises OSError: it is not known what of it is there
        """
        end = self._pos
        if not self._sealed or self._synced >= end:
            return
        if self._has_failed:
            raise OSError(errno.EIO, "a sync has failed before")
        try:
            os.fsync(self._file.fileno())
        except BaseException:
            self._has_failed = True
            raise
        self._synced = end

    def _keep_at_hand(self, path: str) -> None:
        # ZODB opens the file again, by its name, for its first reader. After a pack that would be
        # another file. As only one thread reads here, one handle is enough for good.
        spare = Path(path).open("rb")  # noqa: SIM115 - the pool closes it
        self._files._files.append(spare)
        if not os.path.sameopenfile(spare.fileno(), self._file.fileno()):
            raise Replaced

    def close(self) -> None:
        # On a full disk a file cannot be flushed, or only in part: what is left in it was never
        # committed. Whoever opens it next would cut it off, and keep it beside on the full disk.
        is_open = self._file is not None and not self._file.closed and not self._is_read_only
        handle = os.dup(self._file.fileno()) if is_open else None
        end = self._pos
        if is_open:
            try:
                self._sync()
            except OSError:
                end, self._is_saved = self._synced, True
        if self._tfile is not None and not self._tfile.closed:
            with suppress(OSError):  # else it stays as large as the largest change was
                self._tfile.truncate(0)
        for file in (self._file, self._tfile):
            if file is not None:
                with suppress(OSError):
                    file.close()
        if handle is not None:
            with suppress(OSError):
                if os.fstat(handle).st_size > end:
                    os.ftruncate(handle, end)
            os.close(handle)
            with suppress(Exception):  # ZODB does it when the lock is another's already
                self._save_index()
        self._is_saved = True
        super().close()

    def _last_whole_transaction(self) -> bytes:
        if self._pos <= len(FILESTORAGE_MAGIC):
            return bytes(z64)
        self._file.seek(self._pos - 8)  # each one ends with its length
        self._file.seek(self._pos - 8 - u64(self._file.read(8)))
        return bytes(self._file.read(8))


class _Upto:
    """A file, as if it ended at ``end``."""

    def __init__(self, whole: Any, end: int) -> None:
        self.whole, self._end = whole, end
        self.tell, self.close = whole.tell, whole.close

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            position, whence = position + self._end, os.SEEK_SET
        return int(self.whole.seek(position, whence))

    def read(self, size: int) -> bytes:
        return bytes(self.whole.read(max(0, min(size, self._end - self.tell()))))
