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

from authdb.bulk import Ref, record, tree
from authdb.nodes import flat, head, is_node, leaf, loaded, loaded_tree, shape, small, spliced
from authdb.storage import MyZODB

__all__ = ["Graft"]

#: So few changes of a leaf are made one by one.
_FEW = 3

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
        self.oid: Callable[[], bytes] = database.connection.new_oid

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

    def part(self, oid: bytes, leaf: type) -> tuple[bool, Any]:
        """Whether a part of a tree is a leaf, of this class; and its state, as it has become."""
        if self._lookup is not None and oid not in self._records:
            return self._lookup.part(oid, leaf)
        found = self.read(oid)
        return found.startswith(head(leaf)), loaded(found)

    # -- trees -------------------------------------------------------------------------------

    def new(self, kind: Any, items: Mapping[Any, Any]) -> bytes:
        """A new tree or TreeSet of ``items`` (without references), ascending; its oid."""
        step, most, _ = shape(kind)
        if len(items) <= most:
            return self.add(small(kind, flat(items, step), None))
        return bytes(p64(tree(self, kind, items if step == 1 else items.items()).oid))

    def append(self, oid: bytes, kind: Any, items: Mapping[Any, Any]) -> None:
        """Put ``items``, ascending, without references, behind all that a tree has."""
        longer = spliced(self.read(oid), kind, items)
        if longer is None:
            self.merge(oid, kind, items)
        else:
            self._records[oid] = longer

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

    def _tree(self, oid: bytes, kind: type) -> Any:
        """The state of a tree, as it has become."""
        lookup = None if oid in self._records else self._lookup
        state = None if lookup is None else lookup.kept(oid)
        if state is None:
            state = loaded_tree(self.read(oid), kind)
            if lookup is not None and state is not None and len(state) == 2:
                lookup.keep(oid, state)
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
        self._step, self._most, self._widest = shape(kind)
        self._emptied = False  # whether a leaf is to go

    def small(self, items: tuple[Any, ...], changes: Mapping[Any, Any]) -> bool:
        """Change a tree of at most one leaf, with these items."""
        new = self._changed(items, changes)
        if new is not items:
            self._write_small(new)
        return bool(new)

    def large(self, state: Any, changes: Mapping[Any, Any]) -> bool:
        """Change a tree of several leaves."""
        graft, oid = self._graft, self._oid
        children, first = state
        level, became = self._below(children, list(changes), changes)
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

    def _changed(self, items: tuple[Any, ...], changes: Mapping[Any, Any]) -> Any:
        """The items of a leaf after ``changes``; the same object where nothing changes."""
        step, combine = self._step, self._combine
        if combine is None and (not items or next(iter(changes)) > items[-step]):
            # All behind what is there, as everything is that belongs to new documents.
            if None in changes.values():
                changes = {key: value for key, value in changes.items() if value is not None}
            return items + flat(changes, step) if changes else items
        if len(changes) <= _FEW:
            return self._slightly(items, changes)
        keys = items[::step]
        found = (
            dict.fromkeys(keys, True) if step == 1 else dict(zip(keys, items[1::2], strict=True))
        )
        last = keys[-1] if keys else None
        is_changed = is_unordered = False
        for key, change in changes.items():
            old = found.get(key)
            new = change if combine is None else combine(key, old, change)
            if new is old:
                continue
            is_changed = True
            if new is None:
                del found[key]
            else:
                if old is None and last is not None and key < last:
                    is_unordered = True
                found[key] = new
        if not is_changed:
            return items
        return flat({key: found[key] for key in sorted(found)} if is_unordered else found, step)

    def _slightly(self, items: tuple[Any, ...], changes: Mapping[Any, Any]) -> Any:
        """As `_changed`: each key is searched for, and the others are left where they are."""
        step, combine = self._step, self._combine
        keys, new = items[::step], list(items)
        is_changed = False
        for key, change in changes.items():
            at = bisect_left(keys, key)
            start, is_in = step * at, keys[at : at + 1] == (key,)
            old = None if not is_in else True if step == 1 else new[start + 1]
            value = change if combine is None else combine(key, old, change)
            if value is old:
                continue
            new[start : start + step * is_in] = () if value is None else (key, value)[:step]
            keys = tuple(new[::step])
            is_changed = True
        return tuple(new) if is_changed else items

    def _pieces(self, items: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The items of a leaf, as those of so many that none is too large."""
        size = len(items) // self._step
        if size <= self._most:
            return [items]
        count = -(-size // (self._most * 3 // 4))
        ends = [self._step * (size * part // count) for part in range(count + 1)]
        return [items[start:end] for start, end in pairwise(ends)]

    def _write_small(self, items: tuple[Any, ...]) -> None:
        """Write a tree that had at most one leaf, within its own record."""
        graft, pieces = self._graft, self._pieces(items)
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
        self, children: tuple[Any, ...], keys: list[Any], changes: Mapping[Any, Any]
    ) -> tuple[Any, tuple[Any, ...]]:
        """Have ``changes`` (those of ``keys``) made below ``children``.

        :returns: the class of the children, and the children after it and the keys between them;
            the same object where they stay
        """
        bounds = children[1::2]
        new: list[Any] = []
        level: Any = None
        done = start = 0  # so many children, and changes, are done
        while start < len(keys):
            at = bisect_right(bounds, keys[start])
            end = len(keys) if at == len(bounds) else bisect_left(keys, bounds[at], start)
            level, became = self._change(children[2 * at], keys[start:end], changes)
            start = end
            if became is not None:
                new += children[2 * done : 2 * at]
                new += became
                new += children[2 * at + 1 : 2 * at + 2]
                done = at + 1
        return level, (*new, *children[2 * done :]) if done else children

    def _change(self, oid: bytes, keys: list[Any], changes: Mapping[Any, Any]) -> tuple[Any, Any]:
        """Change a leaf or a node.

        :returns: its class; and None where it stays, else what comes in its place: it, key, ...
        """
        is_leaf, state = self._graft.part(oid, self._leaf)
        if is_leaf:
            return self._leaf, self._change_leaf(oid, state, {key: changes[key] for key in keys})
        return self._kind, self._change_node(oid, state, keys, changes)

    def _change_leaf(self, oid: bytes, state: Any, changes: Mapping[Any, Any]) -> Any:
        items = state[0]
        new = self._changed(items, changes)
        if new is items:
            return None
        self._emptied |= not new
        pieces = self._pieces(new)
        oids = [oid, *(self._graft.oid() for _ in pieces[1:])]
        self._write_leaves(oids, pieces, state[1] if len(state) > 1 else None)
        return _joined(oids, [piece[0] for piece in pieces[1:]]) if len(pieces) > 1 else None

    def _change_node(
        self, oid: bytes, state: Any, keys: list[Any], changes: Mapping[Any, Any]
    ) -> Any:
        children, first = state
        level, new = self._below(children, keys, changes)
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
        refs = (Ref(u64(each), level) if type(each) is bytes else each for each in children)
        state = tuple(refs), Ref(u64(first), self._leaf)
        self._graft.write(oid, record(self._kind, state))


def _joined(oids: Sequence[bytes], keys: Sequence[Any]) -> tuple[Any, ...]:
    """Children, and the keys between them, as a node holds them."""
    return (oids[0], *chain.from_iterable(zip(keys, oids[1:], strict=True)))
