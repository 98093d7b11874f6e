"""The items of posting lists, pickled: put behind those of a leaf as they are.

What a new document adds to a posting list is the same for most of its words: it is pickled once.
And where it comes behind all others, the record of the leaf need not be read.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from authdb.nodes import END, head, shape

__all__ = ["count_in", "docid_in", "item", "items_of", "spliced", "spliced_leaf", "within"]

#: A docid alone; and one with a count, below 256 or not; as pickled.
_ALONE = struct.Struct("<ci")
_FEW = struct.Struct("<cicB")
_MANY = struct.Struct("<cici")


def item(docid: int, count: int | None = None) -> bytes:
    """A docid, as pickled in the leaf of a set; or a docid and a count, in that of a tree."""
    if count is None:
        return _ALONE.pack(b"J", docid)
    # An int is as good as the float that ZODB writes: the tree takes both.
    if count < 256:
        return _FEW.pack(b"J", docid, b"K", count)
    return _MANY.pack(b"J", docid, b"J", count)


def docid_in(pickled: bytes) -> int:
    """The docid of an `item`."""
    return int.from_bytes(pickled[1:5], "little")


def count_in(pickled: bytes) -> int:
    """The count of an `item` that has one."""
    return int.from_bytes(pickled[6:], "little")


def items_of(pickled: Iterable[bytes], step: int) -> dict[int, Any]:
    """What such items say, as a change to a tree has it."""
    found = pickle.loads(b"".join((b"\x80\x03(", *pickled, b"t.")))
    return (
        dict.fromkeys(found, True) if step == 1 else dict(zip(found[::2], found[1::2], strict=True))
    )


def within(kind: Any, more: bytes) -> bytes:
    """The record of a tree that has these items in its only leaf."""
    return b"%b\x80\x03(%bt%b" % (head(kind), more, END)


#: `END` as ZODB writes it, which remembers each of the frames.
_ZODBS_END = re.compile(rb"tq.\x85q.\x85q.\x85q.\.", re.DOTALL)
_ITS_LENGTH = 13
#: That of the last leaf of a tree.
_LAST = b"\x85."
#: How many bytes a number takes at least, from one that begins so on, as docids ascend.
_SIZES = {ord("K"): 2, ord("M"): 3, ord("J"): 5}


@lru_cache(maxsize=100)
def _frame(kind: Any, tree: Any) -> tuple[int, int, int]:
    """Where, in a record of class ``kind``, the items of a leaf of ``tree`` begin; how many bytes
    each takes at least behind its key; how many a leaf has at most."""
    step, most, _ = shape(tree)
    return len(head(kind)) + 3, 2 * (step - 1), most


def spliced(found: bytes, kind: Any, more: bytes, count: int) -> bytes | None:
    """The record of a tree of docids, with ``count`` items behind those that it has.

    Most of what a batch changes are short posting lists; to read one, and to write it again, would
    take three times as long.

    :returns: None where that can't be told to be right
    """
    if found.endswith(b"t" + END):
        end = len(found) - len(END) - 1
    elif _ZODBS_END.fullmatch(found, len(found) - _ITS_LENGTH):
        end = len(found) - _ITS_LENGTH
    else:
        return None
    return _with_more(found, end, _frame(kind, kind), more, count)


def spliced_leaf(found: bytes, kind: Any, more: bytes, count: int) -> bytes | None:
    """The same for the last leaf of such a tree, which is a record of its own."""
    leaf = kind._bucket_type
    if not (found.startswith(head(leaf)) and found.endswith(b"t" + _LAST)):
        return None
    return _with_more(found, len(found) - len(_LAST) - 1, _frame(leaf, kind), more, count)


def _with_more(
    found: bytes, end: int, frame: tuple[int, int, int], more: bytes, count: int
) -> bytes | None:
    start, rest, most = frame
    if found[start - 1] != ord("("):  # as a tuple of less than four has it
        return None
    # There may be room for more items than is certain without counting them.
    if (end - start) // (_SIZES.get(found[start], 2) + rest) + count > most:
        return None
    return found[:end] + more + found[end:]
