"""Keys looked up in the records of trees, past the objects.

A leaf of a tree that becomes an object makes a stand-in for each of the dozens of objects that it
leads to, which takes twenty times as long as to find one item in its record. So where packages are
found one after the other all over a file, only these become objects.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from typing import Any

from authdb.filestorage import OneFile
from authdb.nodes import head, loaded, number_of, reference_of

__all__ = ["Lookup"]

#: So many nodes are remembered: a tree of a million packages has some two hundred, and each long
#: posting list has one.
_MOST = 1000


class Lookup:
    """Looks into the trees that are in a storage, as its newest transaction left them.

    A reference to another record is its oid here; see `authdb.nodes`.
    """

    def __init__(self, storage: OneFile) -> None:
        self._storage = storage
        storage.written = self._forget
        #: The states of nodes by oid. Leaves are not among them, for there are a hundred times as
        #: many.
        self._nodes: dict[bytes, Any] = {}
        #: What was asked for last and not remembered, and the newest transaction then.
        self._missed = b"", b""

    def kept(self, oid: bytes) -> Any:
        """The state of a node that is remembered; else None, and whoever reads it then may `keep`
        it."""
        state = self._nodes.get(oid)
        if state is None:
            self._missed = oid, self._storage._ltid
        return state

    def keep(self, oid: bytes, state: Any) -> None:
        """Remember the state of a node of several parts, which was read after `kept` was asked."""
        if len(self._nodes) >= _MOST:
            self._nodes.clear()
        self._nodes[oid] = state
        # What another thread commits from here on is forgotten; but it may have been before.
        if self._missed != (oid, self._storage._ltid):
            self._nodes.pop(oid, None)

    def _forget(self, written: Collection[bytes]) -> None:
        """Called where a transaction has written these records."""
        if len(written) > _MOST:
            self._nodes.clear()
        else:
            for oid in written:
                self._nodes.pop(oid, None)

    def get(self, oid: bytes, kind: Any, key: Any) -> Any:
        """The value of ``key`` in a tree of keys and values, as its ``get`` gives it."""
        record = self._leaf(oid, kind, key)
        state = loaded(record)
        if state is None:
            return None
        items = state[0] if record.startswith(head(kind._bucket_type)) else state[0][0][0]
        at = bisect_left(items[::2], key)
        return items[2 * at + 1] if items[2 * at : 2 * at + 1] == (key,) else None

    def number(self, oid: bytes, kind: Any, name: str) -> int | None:
        """As `get`, of a tree of names and numbers, most of which are passed over."""
        found = number_of(self._leaf(oid, kind, name), name)
        if found is None:
            found = self.get(oid, kind, name)
        return found

    def likely(self, oid: bytes, kind: Any, number: int) -> bytes | None:
        """As `get`, of a tree of numbers and references, most of which are passed over. What looks
        like the item may be a part of others: see whether it is the object that is meant."""
        return reference_of(self._leaf(oid, kind, number), number)

    def _leaf(self, oid: bytes, kind: Any, key: Any) -> bytes:
        """The record of the leaf that has ``key``, if any has; of a small tree, the tree's own."""
        begins = head(kind._bucket_type)
        while True:
            state = self.kept(oid)
            if state is None:
                record = self._storage.newest(oid)
                if record.startswith(begins):
                    return record
                state = loaded(record)
                if state is None or len(state) == 1:
                    return record
                self.keep(oid, state)
            children, first = state
            oid = children[2 * bisect_right(children[1::2], key)]
            if children[0] == first:  # they are leaves, of which none is remembered
                return self._storage.newest(oid)
