"""Where the records of a FileStorage's file are, by oid: ZODB's fsIndex, and its file.

ZODB takes its index on trust. One with a flipped byte hides packages, and has their ids given to
others. So a checksum is put behind it in its file, where ZODB does not look.
"""

from __future__ import annotations

import os
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from BTrees.fsBTree import fsBucket
from ZODB._compat import Unpickler
from ZODB.fsIndex import fsIndex

__all__ = ["Positions", "load_index", "put", "save_index"]


class Positions(fsIndex):
    """Where records are, by oid. Those of a transaction come by the thousand, not one by one."""

    def update(self, mapping: Any) -> None:
        if isinstance(mapping, fsIndex):
            put(self._data, mapping._data)
        else:
            super().update(mapping)


def put(data: Any, places: Any) -> None:
    """Put positions into the ``data`` of an fsIndex: those that another has, or as it has them."""
    for start, some in places.items():
        bucket = data.get(start)
        if bucket is None:
            bucket = data[start] = fsBucket()
        bucket.update(some)


def save_index(path: Path, index: Any, end: int) -> None:
    """Save the ``index`` (ZODB's fsIndex) of the file at ``path``, which ends at ``end``, as
    `OneFile` saves and believes it."""
    draft = Path(f"{path}.index.index_tmp")
    try:
        index.save(end, str(draft))
        _sum_up(draft)
        os.replace(draft, f"{path}.index")  # noqa: PTH105 - so that a kill just here can be tried
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _sum_up(index: Path) -> None:
    checksum = zlib.crc32(index.read_bytes())
    with index.open("ab") as file:
        file.write(checksum.to_bytes(4, "big"))


def load_index(path: Path) -> tuple[fsIndex, int] | None:
    """A saved index, and where the file ended then; None if it is not as it was saved."""
    # As fsIndex.load reads it, but once: what was checked is what is taken. A million objects have
    # megabytes of it.
    found = memoryview(path.read_bytes())
    if zlib.crc32(found[:-4]).to_bytes(4, "big") != found[-4:]:
        return None
    unpickler = Unpickler(BytesIO(found))
    end, index = unpickler.load(), Positions()
    while part := unpickler.load():
        oids, places = part  # the first six bytes of oids, and the places by the last two
        index._data[oids] = fsBucket().fromString(places)
    return index, end
