"""Trees made from the bottom up, of items that are sorted already, as finished records.

To insert a million keys one by one, a BTree is searched, split and written a million times. Where
all is known beforehand, each leaf is written once, full, and then the nodes above: that is what
files of sorted tables do when they are filled. What comes out is an ordinary tree.

A finished record is what ZODB's ObjectWriter gives: the pickle of a class, and that of a state, in
which references to other records stand in place of objects.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import chain, islice, pairwise
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from ZODB.serialize import ObjectWriter
from ZODB.utils import p64, u64

from authdb.nodes import head, node, pickled, reference

__all__ = ["MANY", "Ref", "Shell", "Sink", "record", "tree", "tree_of_pickles"]

#: From so many packages on it is quicker to build a catalog than to index one by one.
MANY = 3000

#: That of ZODB's own pickles.
_PROTOCOL = 3


class Ref(NamedTuple):
    """A reference to a record, whose object is not in memory: its oid, and its class."""

    oid: int
    kind: type


class Sink(Protocol):
    """Where finished records go: see `authdb.sinks`."""

    def new_oid(self) -> int:
        """An oid that no record has."""

    def store(self, oid: int, record: bytes) -> None:
        """Write the record of ``oid``, which is new, or known to the storage."""

    def store_all(self, records: Iterable[bytes]) -> Sequence[int]:
        """Write records of new objects; their oids, in the same order."""


# -- records ---------------------------------------------------------------------------------


class _Plain(pickle.Pickler):
    """A pickler of values without references. It remembers nothing, which for keys that are all
    different would only take time and room."""

    def reducer_override(self, value: Any) -> Any:  # not asked about numbers and texts
        if type(value) is Ref:
            raise TypeError("a reference among values that were said to have none")
        return NotImplemented


def _plain(value: Any) -> bytes:
    file = BytesIO()
    pickler = _Plain(file, _PROTOCOL)
    pickler.fast = True
    pickler.dump(value)
    return file.getvalue()


class _Referring(pickle.Pickler):
    """A pickler that makes a reference of each `Ref`."""

    def persistent_id(self, value: Any) -> Any:
        return (p64(value.oid), value.kind) if type(value) is Ref else None


def _with_references(value: Any) -> bytes:
    file = BytesIO()
    _Referring(file, _PROTOCOL).dump(value)
    return file.getvalue()


def _referring(flat: tuple[Any, ...]) -> bytes:
    """As `_with_references`, of a leaf's keys and values; in half the time, and in less room, where
    all references are to objects of one class: without a pickler that asks about everything."""
    values = flat[1::2]
    kinds = {each.kind for each in values if type(each) is Ref}
    if len(kinds) != 1 or bytes in map(type, values):  # which oids are taken for to be
        return _with_references(flat)
    bare = list(flat)
    bare[1::2] = [p64(each.oid) if type(each) is Ref else each for each in values]
    return pickled(tuple(bare), kinds.pop()) + b"."


def record(kind: type, state: Any) -> bytes:
    """The record of an object.

    :param state: what its ``__getstate__`` would give; a `Ref` in it becomes a reference
    """
    return head(kind) + _with_references(state)


# -- trees -----------------------------------------------------------------------------------


def tree(
    sink: Sink,
    kind: Any,
    items: Iterable[Any],
    oid: int | None = None,
    *,
    references: bool | None = None,
) -> Ref:
    """Write a tree, or a set.

    The leaves are full, since most of these grow at their end, if at all, and a full leaf is
    split like any other. Above them there are as few levels as there can be, with the children
    spread evenly over them: who looks for one key then reads small nodes only.

    :param kind: a BTree, TreeSet or Set, of any of the modules of BTrees
    :param items: ascending, each once: keys, or for a BTree pairs of key and value. They are
        taken a leaf at a time
    :param oid: that of the tree itself; None for a new one
    :param references: whether there may be a `Ref` among the values; None if either all are or
        none is
    """
    leaf = getattr(kind, "_bucket_type", kind)
    several = 1 if leaf.__name__.endswith("Set") else 2  # what an item takes in a leaf's state
    flat = iter(items if several == 1 else chain.from_iterable(items))
    if leaf is kind:
        return _store(sink, kind, head(kind) + _plain(tuple(flat))[:-1] + b"\x85.", oid)
    slices = _slices(flat, several * kind.max_leaf_size)
    first = next(slices, ())
    dump: Callable[[Any], bytes] = _referring if references else _plain
    if references is None and several == 2 and first and type(first[1]) is Ref:
        dump = _referring
    return _grow(sink, kind, chain((first,), slices), dump, itemgetter(0), oid)


def tree_of_pickles(
    sink: Sink, kind: Any, items: Sequence[bytes], key: Callable[[bytes], Any]
) -> Ref:
    """As `tree`, of items that are pickled already: those that are the same in many trees are then
    pickled once.

    :param kind: a BTree, TreeSet or Set, of any of the modules of BTrees
    :param items: what a pickle of protocol 3 has of a key, and of its value, and nothing else
    :param key: gives the key of an item
    """
    size = kind.max_leaf_size
    slices = (items[start : start + size] for start in range(0, len(items), size))
    return _grow(sink, kind, slices, _joined, lambda some: key(some[0]), None)


def _joined(items: Sequence[bytes]) -> bytes:
    return b"\x80\x03(%bt." % b"".join(items)


def _grow(
    sink: Sink,
    kind: Any,
    slices: Iterator[Sequence[Any]],
    dump: Callable[[Any], bytes],
    key: Callable[[Any], Any],
    oid: int | None,
) -> Ref:
    """Write a tree, given what belongs into each leaf.

    :param dump: gives the pickle of the tuple that such a slice stands for
    :param key: gives the lowest key in it
    """
    first = next(slices, ())
    if not first:
        return _store(sink, kind, record(kind, None), oid)
    second = next(slices, ())
    if not second:  # a tree of one leaf has it within
        return _store(sink, kind, head(kind) + dump(first)[:-1] + b"\x85\x85\x85.", oid)
    keys: list[Any] = []
    leaves = list(_leaves(sink, kind, chain((first, second), slices), dump, key, keys))
    return _above(sink, kind, keys, leaves, oid)


def _slices(flat: Iterator[Any], size: int) -> Iterator[tuple[Any, ...]]:
    while items := tuple(islice(flat, size)):
        yield items


def _leaves(
    sink: Sink,
    kind: Any,
    slices: Iterator[Sequence[Any]],
    dump: Callable[[Any], bytes],
    key: Callable[[Any], Any],
    keys: list[Any],
) -> Iterator[Ref]:
    """Write the leaves, each of which leads to the next; ``keys`` gets the first key of each."""
    leaf = kind._bucket_type
    begin, store, new_oid = head(leaf), sink.store, sink.new_oid
    oid, items = new_oid(), next(slices)
    for following in slices:
        keys.append(key(items))
        after_it = new_oid()
        # The pickle of (items, next leaf), put together: for the sake of that one reference a
        # pickler would have to ask about each of the items.
        store(oid, begin + dump(items)[:-1] + reference(p64(after_it), leaf) + b"\x86.")
        yield Ref(oid, leaf)
        oid, items = after_it, following
    keys.append(key(items))
    store(oid, begin + dump(items)[:-1] + b"\x85.")
    yield Ref(oid, leaf)


def _above(sink: Sink, kind: Any, keys: list[Any], children: list[Ref], oid: int | None) -> Ref:
    """Write the nodes above ``children``; the topmost is the tree itself.

    :param keys: the lowest key of each child
    """
    most, levels = kind.max_internal_size, 1
    while most**levels < len(children):
        levels += 1
    fan = next(fan for fan in range(2, most + 1) if fan**levels >= len(children))
    firsts = children  # the first leaf below each child
    while len(children) > 1:
        nodes = -(-len(children) // fan)
        ends = [number * len(children) // nodes for number in range(nodes + 1)]
        oids = [p64(child.oid) for child in children]
        above = []
        for start, end in pairwise(ends):
            inner = chain.from_iterable(zip(keys[start:end], oids[start:end], strict=True))
            some = tuple(islice(inner, 1, None))  # the lowest key is not needed
            made = node(kind, children[start].kind, some, p64(firsts[start].oid))
            above.append(_store(sink, kind, made, oid if nodes == 1 else None))
        keys, firsts = [keys[start] for start in ends[:-1]], [firsts[start] for start in ends[:-1]]
        children = above
    return children[0]


def _store(sink: Sink, kind: type, record: bytes, oid: int | None) -> Ref:
    ref = Ref(sink.new_oid() if oid is None else oid, kind)
    sink.store(ref.oid, record)
    return ref


# -- everything else -------------------------------------------------------------------------


class Shell:
    """Real objects around trees that are written already, serialised by ZODB itself: so nothing
    is forgotten that their classes have or will have. They refer to the trees by what `ghost`
    gives."""

    #: What ObjectWriter asks of the database of a jar.
    xrefs = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def ghost(self, ref: Ref) -> Any:
        """An object that stands for the record ``ref``: only for others to refer to."""
        kind: Any = ref.kind
        ghost = kind.__new__(kind)
        ghost._p_oid = p64(ref.oid)
        ghost._p_jar = self
        return ghost

    def write(self, obj: Any, oid: int | None = None) -> Ref:
        """Write ``obj``, and all new objects that can be reached from it.

        :param oid: that of ``obj``, 0 for a root; None for a new one
        """
        obj._p_oid = p64(self._sink.new_oid() if oid is None else oid)
        obj._p_jar = self
        writer = ObjectWriter(obj)
        for each in writer:
            self._sink.store(u64(each._p_oid), writer.serialize(each))
        return Ref(u64(obj._p_oid), type(obj))

    def new_oid(self) -> bytes:
        """As ObjectWriter asks a connection for it."""
        return bytes(p64(self._sink.new_oid()))

    def db(self) -> Shell:
        """As ObjectWriter asks a connection for it."""
        return self
