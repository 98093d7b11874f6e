"""Records read one by one, and trees walked node by node, without making objects of them.

BTrees' own checks (``_check``, `BTrees.check.check`) load a whole tree into memory, and follow one
whose nodes lead in a circle until the stack is full. Here one leaf is in memory at a time, what is
damaged is said, and the walk goes on behind it. It takes a third of the time that ZODB takes to
load objects.

What is held against what: the keys ascend, and lie between those of the node above; the leaves'
chain, which iterating follows, has the leaves that the nodes, which looking up follows, lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, starmap
from operator import lt
from typing import Any, NamedTuple

from ZODB._compat import Unpickler
from ZODB.broken import Broken

from authdb.nodes import opened

__all__ = ["Leaf", "Reader", "Ref", "ref_to"]

#: More levels than a tree can have.
_DEEPEST = 50

_unknown = object()

#: A reference to an object, as it is pickled: its oid and class.
Ref = tuple[bytes, type]


class Leaf(NamedTuple):
    """What a leaf of a tree holds. For a set, the values are the keys."""

    keys: tuple[Any, ...]
    values: tuple[Any, ...]


class _Node(NamedTuple):
    """A node to be looked at: its keys are from ``low`` on, and below ``high``. ``first`` is the
    leaf that it has to begin with. Each may be `_unknown`."""

    ref: Ref
    low: Any
    high: Any
    first: Any
    depth: int


class _Wrong(Exception):
    """What is not as it should be."""


class Reader:
    """Reads the records of the state that a connection shows."""

    def __init__(self, connection: Any) -> None:
        self._load = connection._storage.load
        self._connection, self._class_of = connection, connection.db().classFactory
        self._classes: dict[tuple[str, str], Any] = {}

    def record(self, ref: Any) -> tuple[Any, bytes]:
        """The state of the object that ``ref`` refers to, and the transaction id of that.

        Whatever is wrong with it, an exception of any kind is raised.
        """
        oid, kind = ref
        data, serial = self._load(oid)
        unpickler = Unpickler(opened(data))
        unpickler.find_class = self._find
        unpickler.persistent_load = _as_it_is
        found = unpickler.load()
        if (found[0] if isinstance(found, tuple) else found) is not kind:
            raise _Wrong(f"the record 0x{oid.hex().lstrip('0')} is of another class")
        return unpickler.load(), serial

    def _find(self, module: str, name: str) -> Any:
        asked = module, name
        if asked not in self._classes:
            found = self._class_of(self._connection, module, name)
            if isinstance(found, type) and issubclass(found, Broken):  # ZODB's stand-in
                raise _Wrong(f"there is no class {module}.{name}"[:80])
            self._classes[asked] = found
        return self._classes[asked]

    def leaves(self, tree: Any, faulty: Callable[[str], object]) -> Iterator[Leaf]:
        """The leaves of a tree or set, in order.

        What cannot be read, and what is below it, is left out; so is a node that lies where it
        should not.

        :param tree: it, or a reference to it
        :param faulty: called with words for each thing that is wrong
        """
        return _Walk(self, faulty).leaves(tree if isinstance(tree, tuple) else ref_to(tree))

    def items(self, tree: Any, faulty: Callable[[str], object]) -> Iterator[tuple[Any, Any]]:
        """The keys and values of a tree, in order; see `leaves`."""
        return chain.from_iterable(starmap(zip, self.leaves(tree, faulty)))


def ref_to(stored: Any) -> Ref:
    """The reference to a stored object."""
    return stored._p_oid, type(stored)


def _as_it_is(reference: Any) -> Any:
    return reference


class _Walk:
    def __init__(self, reader: Reader, faulty: Callable[[str], object]) -> None:
        self.reader, self.faulty = reader, faulty
        #: The leaf that the last one leads to.
        self.next: Any = _unknown
        #: Nodes whose keys are not in order.
        self.astray: set[Ref] = set()

    def leaves(self, tree: Ref) -> Iterator[Leaf]:
        stack = [_Node(tree, _unknown, _unknown, _unknown, 0)]
        while stack:
            node = stack.pop()
            try:
                state, _ = self.reader.record(node.ref)
                if not _is_leaf(node.ref):
                    if state is None and not node.depth:
                        continue  # an empty tree
                    if len(state) == 2:
                        stack += reversed(self._below(node, *state))
                        continue
                    ((state,),) = state  # the only leaf, within the node
                leaf = self._leaf(node, *state)
            except Exception as error:  # what is damaged may raise anything
                self.faulty(" ".join(str(error).split()) or type(error).__name__)
                self.next = _unknown
                continue
            yield leaf
        if self.next is not _unknown and self.next is not None:
            self.faulty("its last leaf leads to another one")

    def _below(self, node: _Node, data: tuple[Any, ...], first: Any) -> list[_Node]:
        """The children of an inner node."""
        children, keys = data[::2], data[1::2]
        if node.depth >= _DEEPEST:
            raise _Wrong(f"it is deeper than {_DEEPEST} levels")
        if len(children) != len(keys) + 1:
            raise _Wrong("a node of it has not one child more than keys")
        bounds = node.low, *keys, node.high
        if not self._are_well(node, keys) or (keys and node.low == keys[0]):
            # Looking up goes astray here. What is below is read all the same, but only once.
            if node.ref in self.astray:
                raise _Wrong("it leads back to itself")
            self.astray.add(node.ref)
            self.faulty("the keys of a node are not those that it can have")
            bounds = (_unknown,) * len(bounds)
        self._look_at_first(node, first)
        firsts = first, *[_unknown] * len(keys)
        return [
            _Node(*each, node.depth + 1)
            for each in zip(children, bounds[:-1], bounds[1:], firsts, strict=True)
        ]

    def _leaf(self, node: _Node, data: tuple[Any, ...], following: Any = None) -> Leaf:
        kind = node.ref[1].__name__
        if kind.endswith("Set"):
            keys = values = data
        else:
            keys, values = data[::2], data[1::2]
            if len(keys) != len(values) or not _are(kind[1], values):
                raise _Wrong("a leaf of it has other values than it can have")
        if not _are(kind[0], keys) or not all(map(lt, keys, keys[1:])):
            raise _Wrong("the keys of a leaf are out of order, or others than it can have")
        if not keys and node.depth:
            raise _Wrong("a leaf of it is empty")
        if _is_leaf(node.ref):
            self._look_at_first(node, node.ref)
            expected, self.next = self.next, following
            if expected is not _unknown and expected != node.ref:
                self.faulty("a leaf of it does not lead to the one after it")
        if not self._are_well(node, keys):
            self.faulty("the keys of a leaf are not those that its node can have")
            well = [pair for pair in zip(keys, values, strict=True) if _lies_in(node, pair[0])]
            return Leaf(*zip(*well, strict=True)) if well else Leaf((), ())
        return Leaf(keys, values)

    def _are_well(self, node: _Node, keys: tuple[Any, ...]) -> bool:
        """Whether the keys of a node ascend, and lie within its bounds."""
        return not keys or (
            all(map(lt, keys, keys[1:])) and _lies_in(node, keys[0]) and _lies_in(node, keys[-1])
        )

    def _look_at_first(self, node: _Node, first: Any) -> None:
        if node.first is not _unknown and node.first != first:
            self.faulty("a node of it does not begin with its first leaf")


def _lies_in(node: _Node, key: Any) -> bool:
    """Whether a key is within the bounds of its node."""
    return (node.low is _unknown or node.low <= key) and (node.high is _unknown or key < node.high)


def _is_leaf(ref: Ref) -> bool:
    return not ref[1].__name__.endswith(("BTree", "TreeSet"))


def _are(letter: str, values: tuple[Any, ...]) -> bool:
    """Whether a tree can hold them whose kind has that letter for its keys, or values."""
    if letter == "I":
        return {int}.issuperset(map(type, values)) and (
            not values or (min(values) >= -(2**31) and max(values) < 2**31)
        )
    return letter != "F" or {int, float}.issuperset(map(type, values))
