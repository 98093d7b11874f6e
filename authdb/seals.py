"""Seals: by which is told, after a power failure, whether all of a change has come to the disk.

What was written and not synced may be on the disk in part, in any order, with zeros between. So
ZODB syncs each change before it is acknowledged. Of a file that can be made anew, as a catalog can,
it is enough to know afterwards which changes are whole: a small one gets a seal, the checksum of
its records, and is not synced. (The frames of SQLite's write-ahead log have checksums to the same
end. To build such a file anew after each unclean end was the alternative: of a million packages
that takes half a minute.)

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

__all__ = ["BLANK", "LARGEST", "broken_at", "seal"]

#: Records of so many bytes are sealed at most: to sync what is more takes little of its time.
LARGEST = 1 << 20

#: Where the transaction begins, its length, and the checksum of its records; and that of the seal
#: itself, which may have come to the disk in part.
_SEAL, _OWN = struct.Struct(">QQI"), struct.Struct(">I")
_SIZE = _SEAL.size + _OWN.size

_BEFORE, _AFTER = pickle.dumps({"seal": b"\xff" * _SIZE}, 3).split(b"\xff" * _SIZE)


def seal(position: int, length: int, records: bytes) -> bytes:
    """The extension of a transaction that begins at ``position``, of that ``length`` (as its header
    has it), with these ``records``. All are of one length."""
    made = _SEAL.pack(position, length, zlib.crc32(records))
    return _BEFORE + made + _OWN.pack(zlib.crc32(made)) + _AFTER


#: The extension of a transaction that is not judged by a seal.
BLANK = seal(0, 0, b"")


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
    at, its_length, checksum = _SEAL.unpack(made[: _SEAL.size])
    if (at, its_length) != (position, length):
        return False
    return bool(zlib.crc32(file.read(position + length - first)) != checksum)
