"""Records one behind the other, as a FileStorage has them: written, and taken over from another
process, which writes them to a file of its own (`Part`)."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

__all__ = [
    "AT_ONCE",
    "HEAD",
    "Contents",
    "Finishing",
    "Part",
    "Place",
    "Records",
    "write_whole",
]

#: As `records.RECORD`, with the oid as a number.
HEAD = struct.Struct(">Q8sQQHQ")
#: So many bytes are written at a time.
AT_ONCE = 4 << 20


class Place(NamedTuple):
    """What a record says of its transaction: the tid, and where it begins."""

    tid: bytes
    start: int


class Finishing(ABC):
    """What all kinds of sinks share. Leaving the block of a ``with`` finishes it, or aborts it
    where an error leaves it."""

    @abstractmethod
    def finish(self) -> None:
        """Have all of it on disk, for good."""

    @abstractmethod
    def abort(self) -> None:
        """Give up: nothing is left of it. Of what is finished, or given up, nothing is undone."""

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.abort()


def write_whole(file: BinaryIO, data: bytes) -> None:
    """Write all of ``data`` to a file without a buffer, which may take it in parts: on a disk that
    is almost full, what still fits."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


class Records:
    """Records written one behind the other, as a FileStorage has them.

    :param file: without a buffer, at the end of what it has
    :param position: where the first of them will be

    Attribute: ``position``, where the next one will be.
    """

    def __init__(self, file: BinaryIO, place: Place, position: int) -> None:
        self._file, self._place, self.position = file, place, position
        self._waiting: list[bytes] = []
        self._flush_at = position + AT_ONCE

    def write(self, oid: int, record: bytes, previous: int = 0) -> None:
        """Write the record of an oid, whose previous one is at that position (0 for none)."""
        size, (tid, start) = len(record), self._place
        self._waiting += HEAD.pack(oid, tid, previous, start, 0, size), record
        self.position += HEAD.size + size
        if self.position > self._flush_at:
            self.flush()

    def write_all(self, first: int, records: Iterable[bytes]) -> Iterator[int]:
        """Write records of successive oids; where each is."""
        pack, (tid, start) = HEAD.pack, self._place
        for oid, record in enumerate(records, first):
            yield self.position
            size = len(record)
            self._waiting += pack(oid, tid, 0, start, 0, size), record
            self.position += HEAD.size + size
            if self.position > self._flush_at:
                self.flush()

    def flush(self) -> None:
        """Have in the file what waits to be written together."""
        write_whole(self._file, b"".join(self._waiting))
        self._waiting.clear()
        self._flush_at = self.position + AT_ONCE


class Contents(NamedTuple):
    """What is in a `Part`: the oid of each record, and where it begins in the file."""

    oids: array[int]
    starts: array[int]


class Part(Finishing):
    """A file of records alone, which another sink takes over.

    :param path: of a new file
    :param place: that of the sink
    :param oids: those that the sink has reserved

    Attribute: ``contents``, what was written so far.
    """

    def __init__(self, path: str | Path, place: Place, oids: Iterable[int]) -> None:
        self._oids = iter(oids)
        self._file = Path(path).open("xb", buffering=0)  # noqa: SIM115 - `abort` closes it
        self._records = Records(self._file, place, 0)
        self.contents = Contents(array("Q"), array("Q"))

    def new_oid(self) -> int:
        """An oid that no record has."""
        return next(self._oids)

    def store(self, oid: int, record: bytes) -> None:
        """Write the record of ``oid``."""
        self.contents.oids.append(oid)
        self.contents.starts.append(self._records.position)
        self._records.write(oid, record)

    def store_all(self, records: Iterable[bytes]) -> Sequence[int]:
        """Write records of new objects; their oids, in the same order."""
        oids = array("Q")
        for each in records:
            oids.append(next(self._oids))
            self.store(oids[-1], each)
        return oids

    def finish(self) -> None:
        """Have all in the file, though not on disk for good: the other sink sees to that."""
        self._records.flush()

    def abort(self) -> None:
        """Close the file."""
        self._file.close()
