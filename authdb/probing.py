"""Whether a tree has a text among its keys, told from its records, without making objects of them.

A file that is loaded into a catalogue names thousands of packages, and most are new. To find that
out of the objects each leaf is loaded, with a stand-in for everything that it leads to. But a key
is in the record of its leaf as UTF-8, whatever wrote it: if that is not there, the key is not.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import lt
from typing import Any

from authdb.nodes import head, loaded
from authdb.storage import MyZODB

__all__ = ["Probe"]

#: So many bytes of leaves are kept in memory.
_KEPT = 8 << 20


class Probe:
    """Looks for keys in a tree of texts, as it is stored.

    :param tree: nothing of it may have been changed in the open transaction
    """

    def __init__(self, database: MyZODB, tree: Any) -> None:
        self._newest = database.newest()
        self._oid, self._leaf = tree._p_oid, head(type(tree)._bucket_type)
        #: oid -> the keys between the children of a node, and these
        self._nodes: dict[bytes, tuple[tuple[str, ...], tuple[bytes, ...]]] = {}
        self._leaves: dict[bytes, bytes] = {}
        self._room = _KEPT

    def may_have(self, key: str) -> bool:
        """Whether the tree may have ``key``; where it may, it most likely has.

        :raises KeyError: a record is missing (ZODB's POSKeyError)
        :raises ValueError: a node is damaged
        """
        oid = self._oid
        while True:
            node = self._nodes.get(oid)
            if node is None:
                found = self._leaves.get(oid) or self._read(oid)
                if found is not None:
                    return key.encode("utf-8", "surrogatepass") in found
                node = self._nodes[oid]
            keys, children = node
            oid = children[bisect_right(keys, key)]

    def _read(self, oid: bytes) -> bytes | None:
        """The record of a leaf; None if it is that of a node, which is known then."""
        found = self._newest(oid)
        if not found.startswith(self._leaf):
            state = loaded(found)
            if state is not None and len(state) > 1:
                children, keys = state[0][::2], state[0][1::2]
                if not all(map(lt, keys, keys[1:])):  # behind one out of order none is found
                    raise ValueError("its keys are out of order")
                self._nodes[oid] = keys, children
                return None
        self._room -= len(found)
        if self._room < 0:
            self._leaves.clear()
            self._room = _KEPT
        self._leaves[oid] = found
        return found
