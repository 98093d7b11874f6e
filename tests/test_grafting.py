"""Trees that are changed record by record: the same as BTrees would have made of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import BTrees.check
import pytest
from BTrees.IFBTree import IFBTree, IFTreeSet
from BTrees.IOBTree import IOBTree
from BTrees.OIBTree import OIBTree
from BTrees.OOBTree import OOBTree, OOSet, OOTreeSet
from hypothesis import given
from hypothesis import strategies as st
from ZODB.POSException import ConflictError

from authdb.bulk import record
from authdb.grafting import Graft
from authdb.splicing import item
from authdb.storage import MyZODB

NUMBERS = (IFBTree, IFTreeSet, IOBTree)


@pytest.fixture(params=["file", "memory"])
def zodb(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MyZODB]:
    """A database, once in a file, once in memory."""
    with MyZODB(tmp_path / "test.fs" if request.param == "file" else None) as zodb:
        yield zodb


def stored(zodb: MyZODB, tree: Any) -> Any:
    """``tree``, stored under the root."""
    zodb.dbroot["tree"] = tree
    zodb.connection.transaction_manager.commit()
    return tree


def graft(zodb: MyZODB, tree: Any, changes: Any, **how: Any) -> bool:
    """Graft and commit."""
    graft = Graft(zodb)
    is_left = graft.merge(tree._p_oid, type(tree), changes, **how)
    graft.put()
    zodb.dbroot["changed"] = zodb.dbroot.get("changed", 0) + 1
    zodb.connection.transaction_manager.commit()
    return is_left


def check(tree: Any, model: dict[Any, Any]) -> None:
    """Everything that BTrees can say of a tree: its own structure, and what it finds."""
    if tree:
        tree._check()
        BTrees.check.check(tree)
    assert list(tree) == sorted(model)
    for key in model:
        assert key in tree
    if hasattr(tree, "values"):
        assert dict(tree.items()) == model


def made(kind: Any, keys: Any) -> tuple[Any, dict[Any, Any]]:
    """A tree and what it has; keys and values are those of its kind."""
    is_set = kind.__name__.endswith("Set")
    model = {_key(kind, key): True if is_set else _value(kind, key) for key in keys}
    tree = kind()
    tree.update(model)
    return tree, model


def _key(kind: Any, number: int) -> Any:
    return number if kind in NUMBERS else f"key {number:06} é"


def _value(kind: Any, number: int) -> Any:
    if kind is IFTreeSet or kind is OOTreeSet:
        return True
    return number % 7 + 1 if kind in (IFBTree, OIBTree) else f"value {number}"


KINDS = st.sampled_from([IFBTree, IFTreeSet, IOBTree, OIBTree, OOBTree, OOTreeSet])
RUNS = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 400)), max_size=6)


def numbers(runs: list[tuple[int, int]]) -> set[int]:
    """Runs of successive numbers, so that whole leaves are meant."""
    return {number for first, size in runs for number in range(first, first + size)}


@given(kind=KINDS, before=RUNS, rounds=st.lists(st.tuples(RUNS, RUNS), min_size=1, max_size=3))
def test_any_changes(kind: Any, before: Any, rounds: Any) -> None:
    """Whatever comes and goes: what is left is sound, and ordinary changes go on from there."""
    with MyZODB(None) as zodb:
        tree, model = made(kind, numbers(before))
        stored(zodb, tree)
        for come, go in rounds:
            changes: dict[Any, Any] = {_key(kind, number): None for number in numbers(go)}
            changes |= {_key(kind, n): _value(kind, n + 1) for n in numbers(come)}
            model |= changes
            model = {key: value for key, value in model.items() if value is not None}
            assert graft(zodb, tree, dict(sorted(changes.items()))) == bool(model)
            check(tree, model)
        for number in range(0, 3000, 17):
            key, value = _key(kind, number), _value(kind, number)
            if value is True:
                tree.insert(key)
            else:
                tree[key] = value
            model[key] = value
        for key in list(model)[::3]:
            del model[key]
            tree.remove(key) if hasattr(tree, "remove") else tree.pop(key)
        zodb.connection.transaction_manager.commit()
        zodb.connection.cacheMinimize()
        check(tree, model)


@pytest.mark.parametrize("kind", [OOBTree, OIBTree])
def test_the_root_grows(zodb: MyZODB, kind: Any) -> None:
    """So many come at once that nodes, and the root, are too wide for their children."""
    tree, model = made(kind, range(0, 40_000, 20))
    stored(zodb, tree)
    for start in (3, 10, 40_000):
        changes = {_key(kind, n): _value(kind, n) for n in range(start, start + 36_000, 5)}
        model |= changes
        assert graft(zodb, tree, dict(sorted(changes.items())))
        check(tree, dict(sorted(model.items())))
    assert all(graft(zodb, tree, {key: None}) for key in islice(sorted(model), 40))
    assert not graft(zodb, tree, dict.fromkeys(sorted(model)))
    check(tree, {})
    assert not graft(zodb, tree, {})


@given(
    before=st.integers(0, 600),
    first=st.sampled_from([0, 200, 65_300]),
    rounds=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    step=st.sampled_from([1, 7, 1_000_000]),
    is_set=st.booleans(),
    by_us=st.booleans(),
)
def test_append(
    before: int, first: int, rounds: list[int], step: int, is_set: bool, by_us: bool
) -> None:
    """What comes behind a tree is put into its last record as it is, whether ZODB or we wrote that,
    until that is full; ordinary changes go on from there."""
    kind: Any = IFTreeSet if is_set else IFBTree

    def some(numbers: Any) -> dict[int, Any]:
        return {number: True if is_set else number % 300 for number in numbers}

    def pickled(numbers: Any) -> list[bytes]:
        return [item(number, None if is_set else number % 300) for number in numbers]

    with MyZODB(None) as zodb:
        model = some(range(first, first + before))
        if by_us and before:
            work = Graft(zodb)
            oid = work.new(kind, pickled(model))
            zodb.dbroot["changed"] = True
            work.put()
            zodb.connection.transaction_manager.commit()
            tree = stored(zodb, zodb.connection.get(oid))
        else:
            tree = kind()
            tree.update(model)
            stored(zodb, tree)
        end = first + before
        for size in rounds:
            come = range(end, end + size * step, step)
            work = Graft(zodb)
            work.append(tree._p_oid, kind, pickled(come))
            work.put()
            zodb.dbroot["changed"] = end
            zodb.connection.transaction_manager.commit()
            model |= some(come)
            check(tree, model)
            end = come[-1] + 1
        for number in (3, 70_000):
            tree.update([number] if is_set else {number: 1})
            model[number] = True if is_set else 1
        zodb.connection.transaction_manager.commit()
        zodb.connection.cacheMinimize()
        check(tree, model)


@pytest.mark.parametrize("kind", [IOBTree, IFTreeSet])
@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_a_leaf_that_is_emptied_and_filled_again(zodb: MyZODB, kind: Any, size: int) -> None:
    """By a few changes, which are made one by one."""
    tree, model = made(kind, range(size))
    stored(zodb, tree)
    changes: dict[int, Any] = dict.fromkeys(range(min(size, 2)))
    changes[size] = model.setdefault(size, True)
    for key in range(min(size, 2)):
        del model[key]
    assert graft(zodb, tree, changes)
    zodb.connection.cacheMinimize()
    check(tree, model)


def test_values_that_are_references(zodb: MyZODB) -> None:
    """Values lead to other records, old ones and new ones, among values that do not."""
    tree = OOBTree({f"old {n}": OOSet([n]) if n % 3 else {n: n} for n in range(500)})
    stored(zodb, tree)

    def combine(key: str, old: Any, change: Any) -> Any:
        assert (type(old) is bytes) == (key.startswith("old") and int(key[4:]) % 3 > 0)
        return work.add(record(OOSet, ((change,),))) if change % 2 else {change: key}

    work = Graft(zodb)
    changes = {f"{age} {n}": n for age in ("new", "old") for n in range(0, 500, 4)}
    changes = dict(sorted(changes.items()))
    work.merge(tree._p_oid, OOBTree, changes, combine, OOSet)
    work.put()
    zodb.dbroot["changed"] = True
    zodb.connection.transaction_manager.commit()
    tree._check()
    assert len(tree) == 625
    for key, value in tree.items():
        number = int(key[4:])
        if key in changes:
            assert (list(value) == [number]) if number % 2 else (value == {number: key})
        else:
            assert (list(value) == [number]) if number % 3 else (value == {number: number})
    # Leaves that go are taken out, and what the others refer to stays.
    gone = dict.fromkeys(list(tree)[50:400])
    assert graft(zodb, tree, gone, values=OOSet)
    tree._check()
    assert len(tree) == 275
    assert all(len(value) == 1 for value in tree.values())


@pytest.mark.parametrize("is_changed", [True, False])
def test_what_is_given_up_is_not_written(zodb: MyZODB, is_changed: bool) -> None:
    """An abort forgets the records too, and later transactions do not write them; also where an
    interrupt came before any object was changed."""
    tree, model = made(IFTreeSet, range(100))
    stored(zodb, tree)
    work = Graft(zodb)
    work.merge(tree._p_oid, IFTreeSet, {7: None})
    work.put()
    if is_changed:
        zodb.dbroot["changed"] = True
    zodb.connection.transaction_manager.abort()
    zodb.dbroot["changed"] = True
    zodb.connection.transaction_manager.commit()
    zodb.connection.cacheMinimize()
    check(tree, model)


def test_another_change_meanwhile(zodb: MyZODB) -> None:
    """Records that were made before someone else's change are not written over it."""
    tree, model = made(IFTreeSet, range(100))
    stored(zodb, tree)
    work = Graft(zodb)
    work.merge(tree._p_oid, IFTreeSet, {7: None})
    zodb.dbroot["changed"] = True
    zodb.connection.transaction_manager.commit()
    work.put()
    zodb.dbroot["changed"] = False
    with pytest.raises(ConflictError):
        zodb.connection.transaction_manager.commit()
    zodb.connection.transaction_manager.abort()
    zodb.connection.cacheMinimize()
    check(tree, model)
