"""The records of objects, made without asking about each value in them whether that is an object.

ZODB's ObjectWriter asks so, for it does not know what it may come upon. The leaves of trees have
dozens of values that are none, packages have nothing else, and the roots name a thousand docids: of
those one look at the types is enough. What comes out is read by ZODB as what it writes itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

from persistent import Persistent
from persistent.mapping import PersistentMapping

from authdb.models import STORED, Package, Recorder
from authdb.nodes import leaf, mapping, small

__all__ = ["Writer", "is_plain"]

#: Classes of BTrees, by what follows the two letters for keys and values; and what is no object.
_LEAVES = frozenset(("BTree", "TreeSet", "Bucket", "Set"))
_VALUES = frozenset((int, str, float, bool, date, type(None)))
_MAY_BE_VALUES = _VALUES | {tuple}


class Writer:
    """Makes the records of one connection's objects. It belongs to one thread, as that does."""

    @cached_property
    def _package(self) -> Recorder:
        return Recorder()

    def record(self, obj: Any) -> bytes | None:
        """The record of an object, if it can be made here. Then all objects that it refers to have
        their places."""
        kind = type(obj)
        if kind is Package:
            state = {name: value for name, value in vars(obj).items() if name != "_digest"}
            return self._package(state) if state.keys() <= STORED else None
        if kind is PersistentMapping:
            return _mapping(obj)
        if kind.__module__.startswith("BTrees.") and kind.__name__[2:] in _LEAVES:
            return _leaf(obj, kind)
        return None

    def instead_of(self, writer: Any) -> Any:
        """ZODB's ObjectWriter, for what cannot be written without."""
        return _Asking(self, writer)


class _Asking:
    def __init__(self, first: Writer, writer: Any) -> None:
        self._first, self._writer = first, writer

    def __iter__(self) -> Iterator[Any]:
        return iter(self._writer)

    def serialize(self, obj: Any) -> bytes:
        return self._first.record(obj) or bytes(self._writer.serialize(obj))


def _mapping(obj: Any) -> bytes | None:
    state = obj.__getstate__()
    if state.keys() != {"data"}:
        return None
    values, references = {}, {}
    for key, value in state["data"].items():
        oid: Any = getattr(value, "_p_oid", None)
        its: Any = type(value)
        if type(key) is not str:
            return None
        if oid is not None and value._p_jar is obj._p_jar and is_plain(its):
            references[key] = oid, its
        elif _is_value(value):
            values[key] = value
        else:
            return None
    return mapping(PersistentMapping, "data", values, references)


def _leaf(obj: Any, kind: Any) -> bytes | None:
    state = obj.__getstate__()
    is_tree = kind.__name__.endswith(("BTree", "TreeSet"))
    if state is None or (is_tree and len(state) > 1):
        return None
    items, *following = state[0][0] if is_tree else state
    oid = following[0]._p_oid if following else None
    if not _VALUES.issuperset(map(type, items)) or (following and oid is None):
        return None
    return small(kind, items, None) if is_tree else leaf(kind, items, None, oid)


def _is_value(value: Any) -> bool:
    """Whether there is no object in ``value``."""
    # By levels, not one by one: the journal in a root has two dozen tuples and numbers.
    values = [value]
    while values:
        if not _MAY_BE_VALUES.issuperset(map(type, values)):
            return False
        values = [each for some in values if type(some) is tuple for each in some]
    return True


@lru_cache(maxsize=200)
def is_plain(kind: Any) -> bool:
    """Whether an object of this class is made without arguments, and referred to by that class."""
    ours = getattr(kind, "__module__", "").split(".")[0] in ("BTrees", "authdb")
    known = kind is PersistentMapping or (ours and issubclass(kind, Persistent))
    return known and not hasattr(kind, "__getnewargs__")
