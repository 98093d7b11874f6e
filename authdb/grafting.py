"""Changes grafted upon trees that are in a storage already, record by record.

A BTree that is changed through its objects has each leaf loaded with a stand-in for everything that
it leads to, and written by a pickler that asks about each of its values whether it is an object:
some 100 us a leaf, most of them for nothing. Where thousands of leaves change at once they are
taken as the records that they are: read, changed, and put back by the commit of the connection
(see `authdb.storage.MyZODB.put`). What comes out is what BTrees would have made of it.

A reference to another record is its oid here; see `authdb.nodes`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from ZODB.utils import p64, u64

from authdb.bulk import Ref, tree, tree_of_pickles
from authdb.nodes import (
    flat,
    head,
    is_node,
    last_child,
    leaf,
    loaded,
    loaded_leaf,
    loaded_node,
    loaded_tree,
    node,
    shape,
    small,
)
from authdb.splicing import docid_in, items_of, spliced, spliced_leaf, within
from authdb.storage import MyZODB

__all__ = ["Graft"]

#: What becomes of an item: given its key, its value so far (None where there is none; True for the
#: member of a set) and the change to it, the value that it gets; None to have none.
Combine = Callable[[Any, Any, Any], Any]


class Graft:
    """Changes to the records of one database, kept until they are `put` into its open transaction.

    The trees must not have been changed in this transaction: what is in memory only is not seen.

    It is a `authdb.bulk.Sink`, so that new trees can be written to it.
    """

    def __init__(self, database: MyZODB) -> None:
        self._database = database
        self._newest = database.newest()
        self._lookup = database.lookup  # which remembers the nodes of trees
        self._since = database.storage.lastTransaction()
        self._records: dict[bytes, bytes] = {}
        #: An oid that no record has, as ZODB has them.
        self.oid: Callable[[], bytes] = database.new_oids().__next__

    def put(self) -> None:
        """Have all of it written when the open transaction commits."""
        self._database.put(self._records, self._since)

    # -- records -----------------------------------------------------------------------------

    def new_oid(self) -> int:
        """An oid that no record has, as a number."""
        return int(u64(self.oid()))

    def store(self, oid: int, record: bytes) -> None:
        """Take a finished record."""
        self._records[p64(oid)] = record

    def store_all(self, records: Iterable[bytes]) -> Sequence[int]:
        """Take finished records of new objects; their oids, in the same order."""
        return [u64(self.add(record)) for record in records]

    def add(self, record: bytes) -> bytes:
        """Take the finished record of a new object; its oid."""
        oid = self.oid()
        self._records[oid] = record
        return oid

    def write(self, oid: bytes, record: bytes) -> None:
        """Take the finished record of an object that there is."""
        self._records[oid] = record

    def read(self, oid: bytes) -> bytes:
        """The record of an object, as it has become."""
        return self._records.get(oid) or self._newest(oid)

    def state(self, oid: bytes) -> Any:
        """The state of an object, as it has become."""
        return loaded(self.read(oid))

    def kept(self, oid: bytes) -> Any:
        """The state of a node, if it is remembered, and is what it has become; else None."""
        is_stored = self._lookup is not None and oid not in self._records
        return self._lookup.kept(oid) if is_stored else None  # type: ignore[union-attr]

    def keep(self, oid: bytes, state: Any) -> None:
        """Remember the state of a node of several parts, which was just read."""
        if self._lookup is not None and oid not in self._records:
            self._lookup.keep(oid, state)

    # -- trees -------------------------------------------------------------------------------

    def new(self, kind: Any, items: Sequence[bytes]) -> bytes:
        """A new tree or TreeSet of docids.

        :param items: at least one, ascending, each as `authdb.splicing.item` gives it
        :returns: its oid
        """
        if len(items) <= kind.max_leaf_size:
            return self.add(within(kind, b"".join(items)))
        return bytes(p64(tree_of_pickles(self, kind, items, docid_in).oid))

    def append(self, oid: bytes, kind: Any, items: Sequence[bytes]) -> None:
        """Put ``items``, as `new` takes them, behind all that a tree has."""
        more, count = b"".join(items), len(items)
        found = self.read(oid)
        at, longer = oid, spliced(found, kind, more, count)
        if longer is None:
            at, found = self._last_leaf(oid, found, kind)
            longer = spliced_leaf(found, kind, more, count)
        if longer is None:
            self.merge(oid, kind, items_of(items, shape(kind)[0]))
        else:
            self._records[at] = longer

    def _last_leaf(self, oid: bytes, found: bytes, kind: Any) -> tuple[bytes, bytes]:
        """The oid and the record of the last leaf of a tree, given those of the tree; these again
        where that has at most one, within."""
        leaf = head(kind._bucket_type)
        while not found.startswith(leaf):
            child = last_child(found, kind)
            if child is None:
                state = loaded_tree(found, kind)
                if state is None or len(state) == 1:
                    break
                child = state[0][-1]
            oid = child
            found = self.read(oid)
        return oid, found

    def merge(
        self,
        oid: bytes,
        kind: Any,
        changes: Mapping[Any, Any],
        combine: Combine | None = None,
        values: type | None = None,
    ) -> bool:
        """Change the items of a tree or TreeSet.

        :param changes: keys, ascending, and what is to become of them
        :param combine: None where each change is the new value itself
        :param values: the class of those that the values, or some of them, refer to
        :returns: whether anything is left in it
        """
        state = self._tree(oid, kind)
        if not changes:
            return state is not None
        merge = _Merge(self, oid, kind, combine, values)
        if state is None or len(state) == 1:
            return merge.small(() if state is None else state[0][0][0], changes)
        return merge.large(state, changes)

    def found(self, oid: bytes, kind: Any, keys: list[Any]) -> dict[Any, Any]:
        """The items of a tree, without references, that have one of these ``keys``, ascending."""
        record = self.read(oid)
        if record.startswith(head(kind._bucket_type)):
            items = loaded_leaf(record, kind._bucket_type, None)[0]
        else:
            state = loaded_tree(record, kind)
            if state is not None and len(state) > 1:
                found: dict[Any, Any] = {}
                for at, some in _parted(state[0], keys):
                    found |= self.found(state[0][2 * at], kind, some)
                return found
            items = () if state is None else state[0][0][0]
        there = dict(zip(items[::2], items[1::2], strict=True))
        return {key: there[key] for key in keys if key in there}

    def _tree(self, oid: bytes, kind: type) -> Any:
        """The state of a tree, as it has become."""
        state = self.kept(oid)
        if state is None:
            state = loaded_tree(self.read(oid), kind)
            if state is not None and len(state) == 2:
                self.keep(oid, state)
        return state

    def leaves(self, oid: bytes, forget: bool = False) -> Iterator[tuple[Any, ...]]:
        """What the leaves of a tree, or of a part of one, hold, flat as in their states, in order.

        :param forget: whether these records, of which nothing is needed any more, are given up
        """
        found = self.read(oid)
        state = loaded(found)
        if forget:
            self._records.pop(oid, None)
        if is_node(found):
            for child in state[0][::2]:
                yield from self.leaves(child, forget)
        else:
            yield state[0]


class _Merge:
    """One `Graft.merge`."""

    def __init__(
        self, graft: Graft, oid: bytes, kind: Any, combine: Combine | None, values: type | None
    ) -> None:
        self._graft, self._oid, self._kind = graft, oid, kind
        self._combine, self._values = combine, values
        self._leaf: Any = kind._bucket_type
        self._head = head(self._leaf)
        self._step, self._most, self._widest = shape(kind)
        self._emptied = False  # whether a leaf is to go

    def small(self, items: tuple[Any, ...], changes: Mapping[Any, Any]) -> bool:
        """Change a tree of at most one leaf, with these items."""
        keys = list(changes)
        new = self._changed(items, keys, changes)
        if new is not items:
            self._write_small(new, self._is_behind(items, keys))
        return bool(new)

    def large(self, state: Any, changes: Mapping[Any, Any]) -> bool:
        """Change a tree of several leaves."""
        graft, oid = self._graft, self._oid
        children, first = state
        level, became = self._below(children, first, list(changes), changes)
        if self._emptied:
            return self._write_anew(became)
        if became is not children:
            parts, keys = self._parts(became)
            if keys:  # the root grows: what it held is one level deeper now
                oids = [graft.oid() for _ in parts]
                self._write_nodes(oids, parts, level, first)
                became, level = _joined(oids, keys), self._kind
            self._write_node(oid, became, level, first)
        return True

    def _write_anew(self, children: tuple[Any, ...]) -> bool:
        """Write the tree from the bottom up, without the leaves that are empty now.

        To take a leaf out, the one before it would have to be changed too, and the nodes above
        both: that is not worth it, as seldom as it comes.
        """
        graft = self._graft
        leaves = [graft.leaves(child, forget=True) for child in children[::2]]
        held = list(chain.from_iterable(chain.from_iterable(leaves)))
        items: Iterable[Any] = held
        if self._step == 2:
            values = (
                Ref(u64(value), self._values) if type(value) is bytes else value  # type: ignore[arg-type]
                for value in held[1::2]
            )
            items = zip(held[::2], values, strict=True)
        tree(graft, self._kind, items, u64(self._oid), references=self._values is not None)
        return bool(held)

    # -- leaves ------------------------------------------------------------------------------

    def _changed(self, items: tuple[Any, ...], keys: Sequence[Any], changes: Any) -> Any:
        """The items of a leaf after the changes of ``keys``; the same object where nothing
        changes."""
        step, combine = self._step, self._combine
        if combine is None and self._is_behind(items, keys):
            come = {key: changes[key] for key in keys if changes[key] is not None}
            return items + flat(come, step) if come else items
        held, there = list(items), list(items[::step])
        is_changed, at = False, 0
        for key in keys:
            at = bisect_left(there, key, at)
            is_there = at < len(there) and there[at] == key
            old = (held[2 * at + 1] if step == 2 else True) if is_there else None
            new = changes[key] if combine is None else combine(key, old, changes[key])
            if new is old:
                continue
            is_changed = True
            if is_there:
                del there[at]
                del held[step * at : step * (at + 1)]
            if new is not None:
                there.insert(at, key)
                held[step * at : step * at] = (key, new)[:step]
        return tuple(held) if is_changed else items

    def _is_behind(self, items: tuple[Any, ...], keys: Sequence[Any]) -> bool:
        """Whether all the keys come behind those that are there, as everything does that belongs
        to new documents."""
        return not items or keys[0] > items[-self._step]

    def _pieces(self, items: tuple[Any, ...], is_end: bool) -> list[tuple[Any, ...]]:
        """The items of a leaf, as those of so many that none is too large.

        :param is_end: whether they end the tree, and it grows there: leaves are full then, since
            nothing will come between
        """
        size, most = len(items) // self._step, self._most
        if size <= most:
            return [items]
        if is_end:
            width = self._step * most
            return [items[start : start + width] for start in range(0, len(items), width)]
        count = -(-size // (most * 3 // 4))
        ends = [self._step * (size * part // count) for part in range(count + 1)]
        return [items[start:end] for start, end in pairwise(ends)]

    def _write_small(self, items: tuple[Any, ...], is_end: bool) -> None:
        """Write a tree that had at most one leaf, within its own record."""
        graft, pieces = self._graft, self._pieces(items, is_end)
        if len(pieces) == 1:
            graft.write(self._oid, small(self._kind, items, self._values))
            return
        oids = [graft.oid() for _ in pieces]
        self._write_leaves(oids, pieces, None)
        children = _joined(oids, [piece[0] for piece in pieces[1:]])
        self._write_node(self._oid, children, self._leaf, oids[0])

    def _write_leaves(
        self, oids: list[bytes], pieces: list[tuple[Any, ...]], following: bytes | None
    ) -> None:
        for oid, items, after in zip(oids, pieces, [*oids[1:], following], strict=True):
            self._graft.write(oid, leaf(self._leaf, items, self._values, after))

    # -- nodes -------------------------------------------------------------------------------

    def _below(
        self, children: tuple[Any, ...], first: bytes, keys: list[Any], changes: Mapping[Any, Any]
    ) -> tuple[Any, tuple[Any, ...]]:
        """Have ``changes`` (those of ``keys``) made below ``children``.

        :param first: the first leaf of all below
        :returns: the class of the children, and the children after it and the keys between them;
            the same object where they stay
        """
        new: list[Any] = []
        level: Any = None
        done = 0  # so many children are done
        are_leaves = children[0] == first
        for at, some in _parted(children, keys):
            level, became = self._change(children[2 * at], are_leaves, some, changes)
            if became is not None:
                new += children[2 * done : 2 * at]
                new += became
                new += children[2 * at + 1 : 2 * at + 2]
                done = at + 1
        return level, (*new, *children[2 * done :]) if done else children

    def _change(
        self, oid: bytes, is_leaf: bool, keys: list[Any], changes: Mapping[Any, Any]
    ) -> tuple[Any, Any]:
        """Change a leaf or a node.

        :param is_leaf: whether it is known to be a leaf, of which none is remembered
        :returns: its class; and None where it stays, else what comes in its place: it, key, ...
        """
        graft = self._graft
        state = None if is_leaf else graft.kept(oid)
        if state is None:
            found = graft.read(oid)
            if found.startswith(self._head):
                items, following = loaded_leaf(found, self._leaf, self._values)
                return self._leaf, self._change_leaf(oid, items, following, keys, changes)
            state = loaded_node(found, self._kind)
            graft.keep(oid, state)
        return self._kind, self._change_node(oid, state, keys, changes)

    def _change_leaf(
        self, oid: bytes, items: Any, following: bytes | None, keys: list[Any], changes: Any
    ) -> Any:
        new = self._changed(items, keys, changes)
        if new is items:
            return None
        self._emptied |= not new
        if len(new) <= self._step * self._most:
            self._graft.write(oid, leaf(self._leaf, new, self._values, following))
            return None
        pieces = self._pieces(new, following is None and self._is_behind(items, keys))
        oids = [oid, *(self._graft.oid() for _ in pieces[1:])]
        self._write_leaves(oids, pieces, following)
        return _joined(oids, [piece[0] for piece in pieces[1:]])

    def _change_node(
        self, oid: bytes, state: Any, keys: list[Any], changes: Mapping[Any, Any]
    ) -> Any:
        children, first = state
        level, new = self._below(children, first, keys, changes)
        if new is children:
            return None
        parts, between = self._parts(new)
        oids = [oid, *(self._graft.oid() for _ in parts[1:])]
        self._write_nodes(oids, parts, level, first)
        return _joined(oids, between) if between else None

    def _parts(self, children: tuple[Any, ...]) -> tuple[list[tuple[Any, ...]], list[Any]]:
        """The children of a node, as those of so many that none is too wide; the keys between."""
        size = (len(children) + 1) // 2
        count = 1 if size <= self._widest else -(-size // (self._widest * 3 // 4))
        ends = [2 * (size * part // count) for part in range(count)]
        ends.append(len(children) + 1)
        parts = [children[start : end - 1] for start, end in pairwise(ends)]
        return parts, [children[end - 1] for end in ends[1:-1]]

    def _write_nodes(
        self, oids: list[bytes], parts: list[tuple[Any, ...]], level: Any, first: bytes
    ) -> None:
        """Write nodes, each of which has to know the first leaf below it, ``first`` that of all."""
        for oid, part in zip(oids, parts, strict=True):
            if part is not parts[0]:
                first = part[0] if level is self._leaf else self._graft.state(part[0])[1]
            self._write_node(oid, part, level, first)

    def _write_node(self, oid: bytes, children: tuple[Any, ...], level: Any, first: bytes) -> None:
        self._graft.write(oid, node(self._kind, level, children, first))


def _parted(children: tuple[Any, ...], keys: list[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Which of the children of a node some of the ``keys``, ascending, lead to, and which do."""
    bounds, start = children[1::2], 0
    while start < len(keys):
        at = bisect_right(bounds, keys[start])
        end = len(keys) if at == len(bounds) else bisect_left(keys, bounds[at], start)
        yield at, keys[start:end]
        start = end


def _joined(oids: Sequence[bytes], keys: Sequence[Any]) -> tuple[Any, ...]:
    """Children, and the keys between them, as a node holds them."""
    return (oids[0], *chain.from_iterable(zip(keys, oids[1:], strict=True)))
