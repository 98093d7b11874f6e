"""The records of trees: leaves and nodes of BTrees, read and written as they are stored.

In what is read here, a reference to another record is its oid, and nothing else is of type bytes.
"""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BufferedReader, BytesIO
from itertools import chain
from operator import itemgetter
from typing import Any

__all__ = [
    "END",
    "flat",
    "head",
    "is_node",
    "last_child",
    "leaf",
    "loaded",
    "loaded_leaf",
    "loaded_node",
    "loaded_plain",
    "loaded_tree",
    "mapping",
    "node",
    "number_of",
    "opened",
    "pickled",
    "plain",
    "reference",
    "reference_of",
    "shape",
    "small",
]

#: That of ZODB's own pickles.
_PROTOCOL = 3

#: How the record of a tree with one leaf ends after its items: with the frames of its state.
END = b"\x85\x85\x85."


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
    if found.endswith(b"\x86."):  # as that of one with several leaves does
        return loaded_node(found, kind)
    try:
        return pickle.loads(found[len(head(kind)) :])
    except pickle.UnpicklingError:  # there are references, which need more of an unpickler
        return loaded(found)


def loaded_leaf(found: bytes, kind: type, values: type | None) -> tuple[Any, bytes | None]:
    """What a leaf holds, and the oid of the one after it.

    Half of the time of `loaded` is for the names of classes, which are known here.

    :param values: the class of those that the values, or some of them, refer to
    """
    start, end = len(head(kind)), len(found) - len(_named(kind)) - 14
    if found[end : end + 2] == b"C\x08" and found.endswith(_named(kind) + b"\x86Q\x86."):
        after: bytes | None = found[end + 2 : end + 10]
    else:
        after, end = None, -2 if found.endswith(b"t\x85.") else 0
    name = None if values is None else _named(values)
    items = _plain_items(found[start:end], name, 1) if end else None
    if items is not None:
        return items, after
    state = loaded(found)
    return state[0], state[1] if len(state) > 1 else None


def last_child(found: bytes, kind: Any) -> bytes | None:
    """The oid of the last child of a node, given its record, of class ``kind``; None where it is
    not as `node` writes it.

    What a batch adds to long posting lists all goes below the last child of some thousand roots,
    and to read one whole would take ten times as long.
    """
    end = len(found) - len(_named(kind._bucket_type)) - 14  # where the first leaf is referred to
    if found[end - 15 : end - 13] != b"C\x08" or found[end - 5 : end - 1] != _AGAIN:
        return None
    is_node = found[end : end + 2] == b"C\x08" and found.endswith(b"\x86Q\x86.")
    return found[end - 13 : end - 5] if is_node and found[end - 1] in b"t\x87" else None


def loaded_node(found: bytes, kind: Any) -> Any:
    """The state of a tree of several leaves, or of a node within one, in a third of the time."""
    leaf = _named(kind._bucket_type)
    end = len(found) - len(leaf) - 14  # where the first leaf is referred to
    if found[end : end + 2] == b"C\x08" and found.endswith(leaf + b"\x86Q\x86."):
        made = found[len(head(kind)) : end]
        name = leaf if leaf + _FIRST in made else _named(kind)
        children = _plain_items(made, name, 0)
        if children is not None:
            return children, found[end + 2 : end + 10]
    return loaded(found)


def _plain_items(made: bytes, name: bytes | None, start: int) -> Any:
    """Items, given their pickle but for its end; None where it can't be told.

    :param name: of the class of those that every second, from ``start`` on, may refer to
    """
    bare = made
    if name is not None:
        # What makes references of oids is left out. In a text it cannot be, which is UTF-8; as a
        # number it is not believed.
        if b"J" + _AGAIN in made:
            return None
        bare = made.replace(_AGAIN, b"").replace(name + _FIRST, b"", 1)
    try:
        items = pickle.loads(bare + b".")
    except Exception:  # there are other references, or something only looked like one
        return None
    if name is not None and len(bare) < len(made):
        count = list(map(type, items[start::2])).count(bytes)
        more = len(_AGAIN) * (count - 1) + len(name) + len(_FIRST)
        if len(made) - len(bare) != more:  # not one for each
            return None
    return items


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
    pickled = plain(name)
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
    return head(kind) + pickled(items, values) + after


def small(kind: Any, items: tuple[Any, ...], values: type | None) -> bytes:
    """The record of a tree that has one leaf, or none."""
    if not items:
        return head(kind) + _plain(None)
    return head(kind) + pickled(items, values) + END


def mapping(
    kind: type, name: str, values: Mapping[str, Any], references: Mapping[str, tuple[bytes, type]]
) -> bytes:
    """The record of an object whose only attribute is a dict.

    :param values: the items of the dict that refer to nothing
    :param references: the others: oids and classes
    """
    # What is pickled is a dict that has the attribute; the references go into it afterwards.
    more = b"".join(plain(key) + reference(*its) for key, its in references.items())
    return b"%b\x80\x03}%b%b(%bus." % (head(kind), plain(name), plain(values), more)


def plain(value: Any) -> bytes:
    """A value without references, pickled, as a part of a record."""
    return _plain(value)[2:-1]


def reference(oid: bytes, kind: type) -> bytes:
    """A reference, pickled, as a part of a record."""
    return b"C\x08%b%b\x86Q" % (oid, _named(kind))


def pickled(items: tuple[Any, ...], values: type | None) -> bytes:
    """The items of a leaf, pickled, but for the end of the pickle."""
    if values is None or not items:
        return _plain(items)[:-1]
    made = _with_oids(items, 1, _named(values))
    if made is None:
        made = b"\x80\x03(%bt" % b"".join(_piecewise(items, 1, _named(values)))
    return made


def node(kind: Any, level: type, children: tuple[Any, ...], first: bytes) -> bytes:
    """The record of a tree of several leaves, or of a node within one.

    :param level: the class of the children
    :param children: child, key, child, ...
    :param first: the first leaf of all below
    """
    made = _with_oids(children, 0, _named(level))
    if made is None:
        made = b"\x80\x03(%bt" % b"".join(_piecewise(children, 0, _named(level)))
    return b"%b%bC\x08%b%b\x86Q\x86." % (head(kind), made, first, _named(kind._bucket_type))


#: What makes a reference of an oid behind it, where the class was named before; and where it is
#: named, and remembered from then on.
_AGAIN, _FIRST = b"h\0\x86Q", b"q\0\x86Q"


def _with_oids(items: tuple[Any, ...], start: int, name: bytes) -> bytes | None:
    """Items of which every second, from ``start`` on, is an oid where it is of type bytes, pickled;
    None where it can't be told.

    Each oid is pickled together with what makes a reference of it; then its length is put right,
    if there is nothing else that looks like it. So a leaf takes half of the time.
    """
    marked = list(items)
    some = marked[start::2]
    marked[start::2] = [each + _AGAIN if type(each) is bytes else each for each in some]
    oids = [each for each in some if type(each) is bytes]
    made = _plain(tuple(marked))[:-1]
    if made.count(b"C\x0c") != len(oids):
        return None
    made = made.replace(b"C\x0c", b"C\x08")
    return made.replace(oids[0] + _AGAIN, oids[0] + name + _FIRST, 1) if oids else made


def _piecewise(items: tuple[Any, ...], start: int, name: bytes) -> Iterator[bytes]:
    """The same in pieces, whatever is in them."""
    end = name + _FIRST
    for place, each in enumerate(items):
        if type(each) is bytes and place % 2 == start:
            yield b"C\x08%b%b" % (each, end)
            end = _AGAIN
        else:
            yield plain(each)


_packed = struct.Struct("<i").pack


def _pickled_number(number: int) -> bytes:
    return b"J" + _packed(number)
