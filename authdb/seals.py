"""Seals: by which is told, after a power failure, whether all of a change has come to the disk.

What was written and not synced may be on the disk in part, in any order, with zeros between. So
ZODB syncs each change before it is acknowledged. Of a file that can be made anew, as a catalog can,
it is enough to know afterwards which changes are whole: each gets a seal, the checksum of its
records, and a small one is not synced. (The frames of SQLite's write-ahead log have checksums to
the same end. To build such a file anew after each unclean end was the alternative: of a million
packages that takes half a minute.)

The seal is kept in the transaction's extension, for which ZODB has a pickled dict: who knows of no
seals reads past it. It says as well where the transaction begins and how long it is: one that a
pack wrote anew, and synced, is another, and not judged by it.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from typing import BinaryIO

from authdb.records import LENGTH, TRANSACTION

__all__ = ["BLANK", "broken_at", "checksum", "seal"]

_PIECE = 1 << 20

#: Where the transaction begins, its length, and the checksum of its records; and that of the seal
#: itself, which may have come to the disk in part.
_SEAL, _OWN = struct.Struct(">QQI"), struct.Struct(">I")
_SIZE = _SEAL.size + _OWN.size

_BEFORE, _AFTER = pickle.dumps({"seal": b"\xff" * _SIZE}, 3).split(b"\xff" * _SIZE)


def checksum(file: BinaryIO, size: int) -> int:
    """The checksum of the next ``size`` bytes of ``file``, or of those that are there."""
    summed = 0
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        summed = zlib.crc32(piece, summed)
        size -= len(piece)
    return summed


def seal(position: int, length: int, summed: int) -> bytes:
    """The extension of a transaction that begins at ``position``, of that ``length`` (as its header
    has it), whose records have that `checksum`. All are of one length."""
    made = _SEAL.pack(position, length, summed)
    return _BEFORE + made + _OWN.pack(zlib.crc32(made)) + _AFTER


#: Stands in a transaction as long as its seal cannot be made.
BLANK = seal(0, 0, 0)


def broken_at(file: BinaryIO, start: int, end: int) -> int | None:
    """Where the first transaction begins whose seal is broken; None if there is none.

    :param start: where a transaction begins
    :param end: where one ends: up to there all have been found to be whole by their lengths
    """
    position = start
    while position < end:
        file.seek(position)
        head = TRANSACTION.unpack(file.read(TRANSACTION.size))
        length, lengths = head[1], head[3:]
        if lengths[-1] == len(BLANK) and _is_broken(file, position, length, sum(lengths)):
            return position
        position += length + LENGTH.size
    return None


def _is_broken(file: BinaryIO, position: int, length: int, texts: int) -> bool:
    """
    :param texts: how long the user, the note and the extension are together
    """
    first = position + TRANSACTION.size + texts
    file.seek(first - len(BLANK))
    found = file.read(len(BLANK))
    made = found[len(_BEFORE) : -len(_AFTER)]
    its_own = _OWN.pack(zlib.crc32(made[: _SEAL.size]))
    if found != _BEFORE + made[: _SEAL.size] + its_own + _AFTER:
        return True
    at, its_length, summed = _SEAL.unpack(made[: _SEAL.size])
    if (at, its_length) != (position, length):
        return False
    return bool(checksum(file, position + length - first) != summed)
