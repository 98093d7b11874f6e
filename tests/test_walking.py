"""`authdb.walking`: trees read leaf by leaf, and each kind of damage in them is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from BTrees import family32
from hypothesis import given
from hypothesis import strategies as st

from authdb.storage import MyZODB
from authdb.walking import Reader, ref_to

IF, IO, OI, OO = family32.IF, family32.IO, family32.OI, family32.OO


@pytest.fixture
def zodb() -> Iterator[MyZODB]:
    with MyZODB(None) as zodb:
        yield zodb


def stored(zodb: MyZODB, tree: Any) -> Any:
    zodb.dbroot["tree"] = tree
    zodb.connection.transaction_manager.commit()
    return tree


def read(zodb: MyZODB, tree: Any) -> tuple[list[Any], list[Any], list[str]]:
    """The keys and values of a tree, and what is said of it."""
    keys, values, said = [], [], list[str]()
    for leaf in Reader(zodb.connection).leaves(tree, said.append):
        keys += leaf.keys
        values += leaf.values
    return keys, values, said


KINDS: list[tuple[Any, Callable[[int], Any]]] = [
    (IO.BTree, int),
    (OO.BTree, str),
    (OI.BTree, str),
    (IF.BTree, int),
    (IF.TreeSet, int),
    (IF.Set, int),
    (OO.Set, str),
]


def fill(tree: Any, keys: Iterable[Any]) -> None:
    for key in keys:
        if hasattr(tree, "items"):
            tree[key] = 7
        else:
            tree.insert(key)


@given(
    kind=st.sampled_from(KINDS),
    there=st.sets(st.integers(0, 600)),
    gone=st.sets(st.integers(0, 600)),
)
def test_a_sound_tree_is_read_as_it_is_and_nothing_is_said(
    kind: tuple[Any, Callable[[int], Any]], there: set[int], gone: set[int]
) -> None:
    made, of = kind
    tree = made()
    fill(tree, map(of, range(600 * ("Tree" in made.__name__))))
    fill(tree, map(of, there))
    for key in map(of, gone):
        if key in tree:
            tree.pop(key) if hasattr(tree, "items") else tree.remove(key)
    with MyZODB(None) as zodb:
        keys, values, said = read(zodb, stored(zodb, tree))
        assert keys == list(tree.keys()) and said == []
        if hasattr(tree, "items"):
            assert values == list(tree.values())
            pairs = list(Reader(zodb.connection).items(tree, said.append))
            assert pairs == list(tree.items())
        else:
            assert values == keys


def a_tree(zodb: MyZODB) -> Any:
    tree = IO.BTree({number: str(number) for number in range(200)})
    assert len(children(tree)) > 5
    return stored(zodb, tree)


def children(tree: Any) -> list[Any]:
    return list(tree.__getstate__()[0][::2])


def shape(tree: Any, change: Callable[[list[Any]], object]) -> None:
    """Change the children and keys of the topmost node."""
    data, first = tree.__getstate__()
    changed = list(data)
    change(changed)
    tree.__setstate__((tuple(changed), first))
    tree._p_changed = True


def refill(leaf: Any, change: Callable[[list[Any]], object]) -> None:
    """Change the keys and values of a leaf."""
    data, *following = leaf.__getstate__()
    changed = list(data)
    change(changed)
    leaf.__setstate__((tuple(changed), *following))
    leaf._p_changed = True


def lead(leaf: Any, *following: Any) -> None:
    """Have a leaf lead to another one."""
    leaf.__setstate__((leaf.__getstate__()[0], *following))
    leaf._p_changed = True


def swap(data: list[Any]) -> None:
    data[0], data[2] = data[2], data[0]


DAMAGES: list[tuple[Callable[[Any], object], str]] = [
    (lambda tree: refill(children(tree)[2], swap), "the keys of a leaf are out of order"),
    (lambda tree: refill(children(tree)[2], lambda data: data.clear()), "a leaf of it is empty"),
    (
        lambda tree: refill(children(tree)[2], lambda data: data.__setitem__(0, 1)),
        "the keys of a leaf are not",
    ),
    (
        lambda tree: refill(children(tree)[2], lambda data: data.__setitem__(-2, 190)),
        "the keys of a leaf are not",
    ),
    (lambda tree: lead(children(tree)[2]), "does not lead to the one after it"),
    (lambda tree: lead(children(tree)[2], children(tree)[4]), "does not lead to the one after"),
    (lambda tree: lead(children(tree)[-1], children(tree)[0]), "its last leaf leads to another"),
    (lambda tree: shape(tree, swap), "the keys of a leaf are not"),
    (lambda tree: shape(tree, lambda data: data.__setitem__(1, 199)), "the keys of a node"),
    (lambda tree: shape(tree, lambda data: data.__delitem__(slice(2))), "does not begin with its"),
    (lambda tree: shape(tree, lambda data: data.__delitem__(slice(2, 4))), "does not lead to the"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGES, ids=range(len(DAMAGES)))
def test_what_is_damaged_is_said_and_the_rest_is_read(
    zodb: MyZODB, damage: Callable[[Any], object], what: str
) -> None:
    tree = a_tree(zodb)
    damage(tree)
    zodb.connection.transaction_manager.commit()
    keys, values, said = read(zodb, tree)
    assert what in " ".join(said)
    assert keys == sorted(keys) and len(keys) >= 100
    assert values == [str(key) for key in keys] or "the keys" in what


def test_a_record_that_cannot_be_read_leaves_out_what_it_has(zodb: MyZODB) -> None:
    tree = a_tree(zodb)
    lost = children(tree)[3]
    gone = list(lost.keys())
    del zodb.storage._data[lost._p_oid]
    keys, _, said = read(zodb, tree)
    assert keys == sorted(set(range(200)) - set(gone)) and len(said) == 1


def test_values_and_keys_that_the_kind_cannot_hold_are_damage(zodb: MyZODB) -> None:
    class Storage:
        """Says what a damaged record could."""

        def __init__(self, storage: Any) -> None:
            self.load_whole = storage.load

        def load(self, oid: bytes) -> tuple[bytes, bytes]:
            data, serial = self.load_whole(oid)
            return data.replace(b"K\x07", wrong), serial

    tree = stored(zodb, IO.BTree({7: "one", 9: "two"}))
    whole = zodb.connection._storage
    try:
        for wrong in (b"K\x07", b"N", b"\x88", b"G@\x1c\x00\x00\x00\x00\x00\x00"):
            zodb.connection._storage = Storage(whole)
            keys, _, said = read(zodb, tree)
            well = wrong == b"K\x07"
            assert (keys == [7, 9]) == well
            assert (said == []) == well
    finally:
        zodb.connection._storage = whole


def test_a_tree_that_leads_back_to_itself_comes_to_an_end(zodb: MyZODB) -> None:
    for around in (
        lambda tree: shape(tree, lambda data: data.__setitem__(0, tree)),
        lambda tree: shape(tree, lambda data: data.__setitem__(6, tree)),
        lambda tree: shape(tree, lambda data: data.__setitem__(-1, tree)),
        lambda tree: shape(tree, lambda data: data.__setitem__(slice(None), [tree])),
        lambda tree: shape(tree, lambda data: data.__setitem__(slice(None), [tree, 5, tree])),
    ):
        tree = a_tree(zodb)
        around(tree)
        zodb.connection.transaction_manager.commit()
        keys, _, said = read(zodb, tree)
        assert said and len(keys) < 20_000


def test_a_record_of_another_class_is_not_taken_for_the_tree(zodb: MyZODB) -> None:
    tree = stored(zodb, IO.BTree({1: "one"}))
    oid, _ = ref_to(tree)
    keys, _, said = read(zodb, (oid, OO.BTree))
    assert not keys and "is of another class" in said[0]


def test_nothing_of_what_is_read_stays_in_memory(zodb: MyZODB) -> None:
    tree = stored(zodb, IO.BTree(dict.fromkeys(range(50_000), "value")))
    zodb.connection.cacheMinimize()
    before = len(zodb.connection._cache)
    keys, _, said = read(zodb, tree)
    assert len(keys) == 50_000 and not said
    assert len(zodb.connection._cache) == before
