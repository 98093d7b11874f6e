"""The records of trees: leaves and nodes of BTrees, read and written as they are stored.

In what is read here, a reference to another record is its oid, and nothing else is of type bytes.
"""

from __future__ import annotations

import pickle
import re
import struct
import threading
from collections.abc import Mapping
from functools import lru_cache
from io import BufferedReader, BytesIO
from itertools import chain
from operator import itemgetter
from typing import Any

__all__ = [
    "flat",
    "head",
    "is_node",
    "leaf",
    "loaded",
    "loaded_plain",
    "loaded_tree",
    "mapping",
    "number_of",
    "opened",
    "plain",
    "reference",
    "reference_of",
    "shape",
    "small",
    "spliced",
]

#: That of ZODB's own pickles.
_PROTOCOL = 3


@lru_cache(maxsize=100)
def shape(kind: Any) -> tuple[int, int, int]:
    """What an item of a tree takes in a leaf's state, how many a leaf has at most, and how many
    children a node."""
    is_set = kind._bucket_type.__name__.endswith("Set")
    return 1 if is_set else 2, kind.max_leaf_size, kind.max_internal_size


def flat(items: Mapping[Any, Any], step: int) -> tuple[Any, ...]:
    """Items as a leaf's state has them."""
    return tuple(items if step == 1 else chain.from_iterable(items.items()))


@lru_cache(maxsize=100)
def head(kind: type) -> bytes:
    """What the record of each object of this class begins with."""
    return pickle.dumps(kind, _PROTOCOL)


# -- reading ----------------------------------------------------------------------------------


class _Unpickler(pickle.Unpickler):
    # Of a reference, its oid. A method of our own would take three times as long.
    persistent_load = itemgetter(0)


def opened(found: bytes) -> BufferedReader:
    """A record as a file for an unpickler. Of one that can be peeked into, that takes all at once;
    from a `BytesIO` it would read byte by byte, which takes five times as long."""
    return BufferedReader(BytesIO(found))


def loaded(found: bytes) -> Any:
    """The state in a record."""
    unpickler = _Unpickler(opened(found))
    unpickler.load()
    return unpickler.load()


def loaded_tree(found: bytes, kind: type) -> Any:
    """As `loaded`; quicker for a tree that is small and has no references in it."""
    try:
        return pickle.loads(found[len(head(kind)) :])
    except pickle.UnpicklingError:  # there are references, which need more of an unpickler
        return loaded(found)


def loaded_plain(found: bytes, kind: type) -> Any:
    """As `loaded`; quicker for an object of this class that refers to no others.

    :raises Exception: it is of another class, or it does, or it is damaged
    """
    for begins in _heads(kind):
        if found.startswith(begins):
            return pickle.loads(memoryview(found)[len(begins) :])
    raise ValueError("an object of another class")


@lru_cache(maxsize=100)
def _heads(kind: type) -> tuple[bytes, bytes]:
    """What its record begins with, whether what wrote it remembers what it has written or not."""
    return head(kind), _plain(kind)


# A leaf has dozens of items, and to make objects of all takes ten times as long as to find one
# among them by what it looks like.


def number_of(found: bytes, name: str) -> int | None:
    """The number that belongs to a text in the record of a leaf; None where that is not clear."""
    pickled = _pickled_text(name)
    at = found.find(pickled) + len(pickled)
    if at < len(pickled):
        return None
    if found[at] in _REMEMBERED:
        at += _REMEMBERED[found[at]]
    size = _NUMBERS.get(found[at])
    return None if size is None else int.from_bytes(found[at + 1 : at + 1 + size], "little")


def reference_of(found: bytes, number: int) -> bytes | None:
    """What a number refers to in the record of a leaf; None where that is not clear. Other bytes
    may look like it."""
    for pickled in (_pickled_number(number), plain(number)):
        at = found.find(pickled + b"C\x08") + len(pickled) + 2
        if at >= len(pickled) + 2:
            return found[at : at + 8]
    return None


#: What may stand after a text, to remember it; and before a number, and the length of that.
_REMEMBERED = {ord("q"): 2, ord("r"): 5}
_NUMBERS = {ord("K"): 1, ord("M"): 2, ord("J"): 4}


def is_node(found: bytes) -> bool:
    """Whether a record is that of a tree, or of a node within one: not of a leaf."""
    return hasattr(pickle.loads(found), "_bucket_type")  # what it begins with is its class


# -- writing ----------------------------------------------------------------------------------


class _Plain(threading.local):
    """Pickles values without references, remembering nothing. Each thread has a pickler of its
    own, or what two of them pickle could end up in the record of one."""

    def __init__(self) -> None:
        self._file = BytesIO()
        self._pickler = pickle.Pickler(self._file, _PROTOCOL)
        self._pickler.fast = True

    def __call__(self, value: Any) -> bytes:
        file = self._file
        file.seek(0)
        file.truncate()
        self._pickler.dump(value)
        return file.getvalue()


_plain = _Plain()


@lru_cache(maxsize=100)
def _named(kind: type) -> bytes:
    return f"c{kind.__module__}\n{kind.__qualname__}\n".encode()


def leaf(kind: Any, items: tuple[Any, ...], values: type | None, following: bytes | None) -> bytes:
    """The record of a leaf, before the leaf ``following``."""
    # Put together: for the sake of that one reference a pickler would ask about each of the items.
    after = b"\x85." if following is None else reference(following, kind) + b"\x86."
    return head(kind) + _pickled(items, values) + after


def small(kind: Any, items: tuple[Any, ...], values: type | None) -> bytes:
    """The record of a tree that has one leaf, or none."""
    if not items:
        return head(kind) + _plain(None)
    return head(kind) + _pickled(items, values) + _END


def mapping(kind: type, name: str, items: Mapping[str, bytes]) -> bytes:
    """The record of an object whose only attribute is a dict.

    :param items: what `plain` and `reference` make of its values
    """
    pickled = b"".join(_pickled_text(key) + value for key, value in items.items())
    return b"%b\x80\x03}%b}(%bus." % (head(kind), _pickled_text(name), pickled)


def plain(value: Any) -> bytes:
    """A value without references, pickled, as a part of a record."""
    return _plain(value)[2:-1]


def reference(oid: bytes, kind: type) -> bytes:
    """A reference, pickled, as a part of a record."""
    return b"C\x08%b%b\x86Q" % (oid, _named(kind))


def _pickled(items: tuple[Any, ...], values: type | None) -> bytes:
    """The items of a leaf, pickled, but for the end of the pickle."""
    if values is None or not items:
        return _plain(items)[:-1]
    keys = map(_pickled_text if type(items[0]) is str else _pickled_number, items[::2])
    parts, name = [], _named(values) + b"q\0"
    for key, value in zip(keys, items[1::2], strict=True):
        if type(value) is bytes:
            parts.append(b"%bC\x08%b%b\x86Q" % (key, value, name))
            name = b"h\0"  # as remembered from the first time
        else:
            parts.append(key + plain(value))
    return b"\x80\x03(%bt" % b"".join(parts)


_packed = struct.Struct("<i").pack


def _pickled_text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return b"X%b%b" % (_packed(len(encoded)), encoded)


def _pickled_number(number: int) -> bytes:
    return b"J" + _packed(number)


#: How the record of a tree with one leaf ends after its items: with the frames of its state; and
#: the same as ZODB writes it, which remembers each of them.
_END = b"\x85\x85\x85."
_ZODBS_END = re.compile(rb"tq.\x85q.\x85q.\x85q.\.", re.DOTALL)
_ITS_LENGTH = 13


def spliced(found: bytes, kind: Any, items: Mapping[int, Any]) -> bytes | None:
    """The record of a tree of numbers, with more behind those that it has.

    Most of what a batch changes are short posting lists; to read one, and to write it again, would
    take three times as long.

    :returns: None where that can't be told to be right
    """
    step, most, _ = shape(kind)
    start = len(head(kind)) + 3
    # An item takes two bytes at least for each number. A tuple of less than four has no mark.
    if found[start - 1 : start] != b"(" or (len(found) - start) // (2 * step) + len(items) > most:
        return None
    if found.endswith(b"t" + _END):
        end = len(found) - len(_END) - 1
    elif _ZODBS_END.fullmatch(found, len(found) - _ITS_LENGTH):
        end = len(found) - _ITS_LENGTH
    else:
        return None
    more = b"".join(map(_pickled_number, flat(items, step)))
    return found[:end] + more + found[end:]
