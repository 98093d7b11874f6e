"""The records that can still be found in a damaged file, whatever lies between them.

As long as all is well it is a walk from record to record. Where something is wrong, what comes
next is looked for: so many bytes of a record's header have to be zero, and so many are said
elsewhere again, that it can be told from anything else. So a damaged length loses one record at
most, not those that follow in the same transaction.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterator
from typing import BinaryIO, NamedTuple

from authdb.records import LENGTH, RECORD, TRANSACTION, Record, matches, next_whole

__all__ = ["Gap", "Salvage", "Salvaged"]


class Salvaged(NamedTuple):
    """A record that was found.

    Where it has a back pointer, ``record.data`` is what that leads to; it stays empty where the
    pointer leads nowhere. ``sure`` tells whether the rest of the file agrees with its header; if
    not, its oid may be another's.
    """

    record: Record
    sure: bool


class Gap(NamedTuple):
    """Bytes, from ``start`` up to ``end``, where there may have been records."""

    start: int
    end: int


class _Header(NamedTuple):
    position: int
    oid: bytes
    tid: bytes
    previous: int
    start: int  # of its transaction
    length: int
    end: int


# The three upper bytes of both positions, the two of a version, the three upper ones of a length.
_LIKE_A_RECORD = 16, re.compile(rb"\0\0\0.{5}\0\0\0.{5}\0\0\0\0\0", re.DOTALL)


class Salvage:
    """A walk through ``file`` that goes on behind what is damaged.

    Iterating over it gives each record that is found, as `Salvaged`, in the order of the file. A
    last transaction that was never finished is left out, as ZODB does it.

    Attribute: ``gaps``, which fills up meanwhile. Without any at the end, and with only records
    that are sure, no record was missed.
    """

    def __init__(self, file: BinaryIO) -> None:
        from BTrees.QQBTree import QQBTree  # a sixth of a dict's memory

        self.gaps: list[Gap] = []
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._newest = QQBTree()  # oid -> position of its newest record that is sure
        self._seen = array("Q")  # the positions of those that are sure, ascending

    def __iter__(self) -> Iterator[Salvaged]:
        at = behind = 4
        inside = None  # the position and tid of the transaction
        while at < self._size:
            if inside is None:
                begun = self._begin(at)
                if begun and self._is_unfinished(at):
                    return
                if begun:
                    inside, at = (at, begun[0]), begun[1]
                    behind = at
                    continue
            else:
                header = self._header(at)
                if header and (header.start, header.tid) == inside:
                    yield self._salvaged(header)
                    # Should nothing right follow, its length may be wrong.
                    behind, at = at + RECORD.size, header.end
                    continue
                if self._closes(at, inside[0]):
                    at = behind = at + LENGTH.size
                    inside = None
                    continue
            found = yield from self._search(behind)
            if found is None:
                self.gaps.append(Gap(at, self._size))
                return
            self.gaps.append(Gap(min(at, found.position), found.position))
            inside, at = (found.start, found.tid), found.position
            if self._heads(found) and self._is_unfinished(found.start):
                return
        if inside:  # cut off right behind a record
            self.gaps.append(Gap(at, at))

    def data(self, position: int) -> bytes:
        """The data of a record that was found at ``position``."""
        header = self._header(position)
        return b"" if header is None else self._record(header).data

    # -- finding the way ----------------------------------------------------------------------

    def _read(self, position: int, length: int) -> bytes:
        if position > self._size:
            return b""
        self._file.seek(position)
        return self._file.read(length)

    def _begin(self, position: int) -> tuple[bytes, int] | None:
        """The tid of the transaction that begins there, and where its records do; else None."""
        head = self._read(position, TRANSACTION.size)
        if len(head) < TRANSACTION.size:
            return None
        tid, _, _, *texts = TRANSACTION.unpack(head)
        first = position + TRANSACTION.size + sum(texts)
        header = self._header(first)
        # Its lengths may be wrong, as long as its first record is where they say.
        right = header and (header.start, header.tid) == (position, tid)
        return (tid, first) if right or self._closes(first, position) else None

    def _header(self, position: int) -> _Header | None:
        """The header there, if its numbers can be right."""
        found = self._read(position, RECORD.size)
        if len(found) < RECORD.size:
            return None
        oid, tid, previous, start, version, length = RECORD.unpack(found)
        end = position + RECORD.size + (length or LENGTH.size)
        possible = previous < position and 4 <= start < position and end <= self._size
        if version or not possible or tid == bytes(8):
            return None
        return _Header(position, oid, tid, previous, start, length, end)

    def _closes(self, position: int, start: int) -> bool:
        """Whether the transaction that began at ``start`` ends with its length there."""
        return self._read(position, LENGTH.size) == LENGTH.pack(position - start)

    def _heads(self, header: _Header) -> bool:
        """Whether the transaction to which the record points has its tid."""
        return self._read(header.start, len(header.tid)) == header.tid

    def _is_unfinished(self, start: int) -> bool:
        # One that others follow was finished: its status is a flipped byte.
        unfinished = self._read(start + 16, 1) == b"c"
        return unfinished and next_whole(self._file, start + 1) is None

    def _search(self, position: int) -> Generator[Salvaged, None, _Header | None]:
        """The next header that something confirms; before it, as not sure, what might be ones."""
        for at in matches(self._file, _LIKE_A_RECORD, position, self._size):
            header = self._header(at)
            if header is None:
                continue
            if self._is_confirmed(header):
                return header
            yield Salvaged(self._record(header), False)
        return None

    def _is_confirmed(self, header: _Header) -> bool:
        """Whether what is said to begin, to end or to go on with its transaction does."""
        if self._heads(header) or self._closes(header.end, header.start):
            return True
        following = self._header(header.end)
        return following is not None and (
            (following.start, following.tid) == (header.start, header.tid)
        )

    # -- records -----------------------------------------------------------------------------

    def _salvaged(self, header: _Header) -> Salvaged:
        sure = self._is_sure(header)
        if sure:
            self._newest[int.from_bytes(header.oid, "big")] = header.position
            self._seen.append(header.position)
        return Salvaged(self._record(header), sure)

    def _is_sure(self, header: _Header) -> bool:
        """Whether the record before it can be the one that it names."""
        last, previous = self._newest.get(int.from_bytes(header.oid, "big"), 0), header.previous
        if last == previous:
            return True
        if last >= header.start:  # several undos in one transaction name the one before it
            before = self._header(last)
            return before is not None and before.previous == previous
        if not previous:
            return self._read(header.start + 16, 1) == b"p"  # a pack forgets them
        found = bisect_left(self._seen, previous)
        is_lost = found == len(self._seen) or self._seen[found] != previous
        return is_lost and previous > last

    def _record(self, header: _Header) -> Record:
        oid, back, data = header.oid, 0, b""
        body = self._read(header.position + RECORD.size, header.length or LENGTH.size)
        if header.length:
            data = body
        else:
            (back,) = LENGTH.unpack(body)
            data = self._behind(header.position, oid, back)
        return Record(header.position, oid, header.tid, header.previous, back, data)

    def _behind(self, position: int, oid: bytes, back: int) -> bytes:
        """The data to which a back pointer leads; b"" where it leads nowhere."""
        while 4 <= back < position:  # each leads further back, so it comes to an end
            found = self._header(back)
            if found is None or found.oid != oid:
                break
            body = self._read(back + RECORD.size, found.length or LENGTH.size)
            if found.length:
                return body
            position, back = back, LENGTH.unpack(body)[0]
        return b""
