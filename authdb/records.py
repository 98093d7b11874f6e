"""A FileStorage's file read raw: transactions and their records, nothing unpickled.

ZODB reads its own file with trust: it runs the pickles that it meets, cuts off what it does not
understand, and follows each pointer wherever it leads. Here each length, pointer and id is held
against everything else that the file says about it, and nothing is trusted or changed. So a
damaged file can be told from a torn one, and a file from a stranger be looked into.

A transaction is a header (its tid, length, status, user, note and extension), its data records,
and its length once more. A record is a header (the oid, the tid again, the position of the oid's
previous record, that of the transaction, and a length) and two pickles, the class and the
state. One of length 0 holds in their place the position of an earlier record of the oid, whose
data an undo brought back, or 0 for an object that is no more.
"""

from __future__ import annotations

import os
import re
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, TypeVar

from authdb.exceptions import BrokenFile

__all__ = [
    "LENGTH",
    "MAGIC",
    "RECORD",
    "TRANSACTION",
    "Record",
    "Transaction",
    "Walk",
    "matches",
    "next_whole",
    "torn_at",
    "transactions",
]

# As in ZODB.FileStorage.format, which would import all of ZODB; a test holds them together.
MAGIC = b"FS30"
#: tid, length without these 8 bytes, status, and the lengths of user, note and extension.
TRANSACTION = struct.Struct(">8sQcHHH")
#: oid, tid, previous, position of the transaction, 0, and length of the data.
RECORD = struct.Struct(">8s8sQQHQ")
LENGTH = struct.Struct(">Q")

#: Finished, and finished and packed since. "c" is one that has not been finished.
_FINISHED = (b" ", b"p")

_CHUNK = 1 << 20


_T = TypeVar("_T")


class Record(NamedTuple):
    """One state of one object.

    ``previous`` is the position of the oid's record before this one, 0 for none. ``data`` is the
    class pickle and the state pickle; where it is empty, ``back`` is the position of the record
    that has the data, or 0 for an object that is no more. Positions count bytes from the start
    of the file.
    """

    position: int
    oid: bytes
    tid: bytes
    previous: int
    back: int
    data: bytes


class Transaction(NamedTuple):
    """What one commit wrote, from ``position`` up to ``end``.

    ``records`` reads them one at a time, as it is asked, while the file is open and the next
    transaction has not been asked for.
    """

    position: int
    end: int
    tid: bytes
    status: bytes
    user: bytes
    note: bytes
    extension: bytes
    records: Iterator[Record]


class _Head(NamedTuple):
    """A transaction's header; ``first`` is where its records begin, ``last`` where they end."""

    tid: bytes
    status: bytes
    lengths: tuple[int, int, int]
    first: int
    last: int


class _Wrong(Exception):
    """What is not as it should be, and where."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


def transactions(file: BinaryIO, start: int = 4, path: object = None) -> Iterator[Transaction]:
    """Every transaction of ``file``, oldest first.

    All that there is to check is checked on the way, so whoever reaches the end knows that the
    file is whole: each byte of it belongs to a transaction that was finished. What cannot be
    found out here: a flipped byte in a user, note, extension or in data, and in the oid of a
    record that nothing else in the file refers to.

    It needs some 40 bytes of memory for each record, and room for the largest.

    :param start: where a transaction begins; those before are left out, and not checked
    :param path: what an error calls the file; by default its name
    :raises BrokenFile: at the first thing that is not as it should be
    """
    walk = Walk(file, getattr(file, "name", "the file") if path is None else path)
    return walk.transactions(start)


def torn_at(file: BinaryIO, start: int = 4) -> int | None:
    """Where the part of ``file`` begins that is not a whole transaction; None if all of it is.

    For each transaction it looks at the two lengths, the status and the first record, so it is
    done in a blink: 100,000 transactions take about half a second.

    :param start: where a transaction begins
    """
    size = file.seek(0, os.SEEK_END)  # which also forgets what is buffered: it may have changed
    position = start
    while position < size:
        try:
            position = _whole(file, position, size).last + LENGTH.size
        except _Wrong:
            return position
    return None if position == size or not size else size


def next_whole(file: BinaryIO, position: int, moved: bool = False) -> int | None:
    """Where the first whole transaction at or after ``position`` begins; None if there is none.

    After a torn tail there is none; after damage in the middle of a file there is. It reads a
    megabyte at a time, 100 MB in about a second.

    :param moved: whether the file is a piece cut out of another, so that its records point to
        where they were in that one
    """
    size, look = file.seek(0, os.SEEK_END), _head if moved else _whole
    for found in matches(file, _LIKE_A_TRANSACTION, position, size):
        try:
            look(file, found, size)
        except _Wrong:
            continue
        return found
    return None


# A length below 2**40 bytes (a terabyte), then a status. It begins with what is literal, since
# that is what `re` can look for fast; the tid before it may be anything.
_LIKE_A_TRANSACTION = 8, re.compile(rb"\0\0\0.{5}[ p]", re.DOTALL)


def matches(
    file: BinaryIO, like: tuple[int, re.Pattern[bytes]], position: int, size: int
) -> Iterator[int]:
    """Each position from ``position`` on where a header may begin.

    :param like: a pattern for at most 64 bytes, and how far into the header it begins
    """
    offset, pattern = like
    at = position + offset  # the absolute position from which matches are looked for
    while at < size:
        file.seek(at)
        # What begins in this chunk may end in the next.
        chunk = file.read(_CHUNK + 64)
        if not chunk.strip(b"\0"):  # what a power failure leaves
            at += _CHUNK
            continue
        found = pattern.search(chunk)
        while found and found.start() < _CHUNK:
            yield at + found.start() - offset
            found = pattern.search(chunk, found.start() + 1)
        at += _CHUNK


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    found = file.read(length)
    if len(found) < length:
        raise _Wrong(position, "the file ends in the middle of it")
    return found


def _head(file: BinaryIO, position: int, size: int) -> _Head:
    """The header at ``position``, of a transaction whose two lengths agree and was finished."""
    found = _read(file, position, TRANSACTION.size)
    tid, length, status, user, note, extension = TRANSACTION.unpack(found)
    first = position + TRANSACTION.size + user + note + extension
    last = position + length
    if status == b"c":
        raise _Wrong(position, "a change that was never finished")
    if status not in _FINISHED:
        raise _Wrong(position, f"a transaction has the unknown status {status!r}")
    if tid == bytes(8):
        raise _Wrong(position, "a transaction has no id")
    if last < first:
        raise _Wrong(position, "a transaction is shorter than its own header")
    if last + LENGTH.size > size:
        raise _Wrong(position, "a transaction is longer than the file")
    if LENGTH.unpack(_read(file, last, LENGTH.size))[0] != length:
        raise _Wrong(last, "a transaction has two lengths that differ")
    return _Head(tid, status, (user, note, extension), first, last)


def _whole(file: BinaryIO, position: int, size: int) -> _Head:
    """As `_head`, and its first record belongs to it."""
    head = _head(file, position, size)
    if head.first < head.last:
        _record_head(file, head.first, head, position)
    return head


def _record_head(file: BinaryIO, at: int, head: _Head, start: int) -> tuple[bytes, int, int]:
    """The oid, previous position and length of the record there, of the transaction at start."""
    if at + RECORD.size >= head.last:
        raise _Wrong(at, "the records do not fill their transaction")
    oid, tid, previous, transaction, version, length = RECORD.unpack(_read(file, at, RECORD.size))
    if tid != head.tid:
        raise _Wrong(at, "a record has another id than its transaction")
    if transaction != start:
        raise _Wrong(at, "a record points to another transaction than its own")
    if version:
        raise _Wrong(at, "a record is of a version, which ZODB has none of any more")
    if at + RECORD.size + (length or LENGTH.size) > head.last:
        raise _Wrong(at, "a record is longer than its transaction")
    return oid, previous, length


class Walk:
    """A walk through all the records of a file, and what it has seen.

    Attributes: ``newest``, a mapping of each oid seen so far, as an int, to the position of its
    newest record.

    :param path: what an error calls the file
    """

    def __init__(self, file: BinaryIO, path: object) -> None:
        from BTrees.QQBTree import QQBTree  # a sixth of a dict's memory

        self.file, self.path = file, path
        self.size = file.seek(0, os.SEEK_END)
        self.newest = QQBTree()
        #: The positions of all records, ascending.
        self.seen = array("Q")

    def transactions(self, start: int = 4) -> Iterator[Transaction]:
        """See `transactions`."""
        return self.told(self._transactions(start))

    def told(self, walk: Iterator[_T]) -> Iterator[_T]:
        """``walk``, with what goes wrong in it as the error for others."""
        try:
            yield from walk
        except _Wrong as wrong:
            raise BrokenFile(self.path, wrong.position, wrong.reason) from None

    def _transactions(self, start: int) -> Iterator[Transaction]:
        if _read(self.file, 0, len(MAGIC)) != MAGIC:
            raise _Wrong(0, "it does not begin as a ZODB file does")
        self.start = position = start
        tid = bytes(8)
        while position < self.size:
            head = _head(self.file, position, self.size)
            if head.tid <= tid:
                raise _Wrong(position, "a transaction is older than the one before it")
            transaction = self._transaction(position, head)
            yield transaction
            for _ in transaction.records:
                pass  # whoever asked did not, and they are checked all the same
            position, tid = transaction.end, head.tid

    def _transaction(self, position: int, head: _Head) -> Transaction:
        texts, begin = [], position + TRANSACTION.size
        for length in head.lengths:
            texts.append(_read(self.file, begin, length))
            begin += length
        user, note, extension = texts
        end, records = head.last + LENGTH.size, self.told(self._records(position, head))
        return Transaction(position, end, head.tid, head.status, user, note, extension, records)

    def _records(self, start: int, head: _Head) -> Iterator[Record]:
        file, newest, add = self.file, self.newest, self.seen.append
        at = head.first
        while at < head.last:
            oid, previous, length = _record_head(file, at, head, start)
            size = length or LENGTH.size
            body = file.read(size)  # right behind the header
            if len(body) < size:
                raise _Wrong(at, "the file ends in the middle of it")
            number = int.from_bytes(oid, "big")
            last = newest.get(number, 0)
            if last != previous or last >= start:
                self._check_previous(at, oid, last, previous, start, head.status)
            back = 0
            if not length:
                back = self._back(at, oid, LENGTH.unpack(body)[0])
                body = b""
            newest[number] = at
            add(at)
            yield Record(at, oid, head.tid, previous, back, body)
            at += RECORD.size + size

    def _check_previous(
        self, at: int, oid: bytes, last: int, previous: int, start: int, status: bytes
    ) -> None:
        """
        :param last: the position of the object's record before this one
        """
        if last >= start:  # several undos in one transaction: each names the one before it all
            last = self._header(last)[1]
        if last == previous or (status == b"p" and not previous):  # a pack forgets them
            return
        if 4 <= previous < self.start and not last and self._header(previous)[0] == oid:
            return  # from before where the walk began
        raise _Wrong(at, "a record does not point to the one before it of its object")

    def _back(self, at: int, oid: bytes, back: int) -> int:
        # To a record that was seen: a pointer into the middle of some data would bring up
        # pickles that were never looked at.
        found = bisect_left(self.seen, back)
        known = found < len(self.seen) and self.seen[found] == back
        if back and not known and not 4 <= back < self.start:
            raise _Wrong(at, "a record points back to where no record is")
        if back and self._header(back)[0] != oid:
            raise _Wrong(at, "a record points back to one of another object")
        return back

    def _header(self, position: int) -> tuple[bytes, int]:
        """The oid of the record there, and the position of the one before it."""
        oid, _, previous, *_ = RECORD.unpack(_read(self.file, position, RECORD.size))
        return oid, previous
