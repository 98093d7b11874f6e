"""Trees made bottom-up, and the sinks they go to: what ZODB would have written itself."""

from __future__ import annotations

import os
import pickle
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import BTrees.check
import pytest
from BTrees import family32
from BTrees.IOBTree import IOBTree
from BTrees.OIBTree import OIBTree
from BTrees.OOBTree import OOBTree
from files import no_room_beyond
from hypothesis import given
from hypothesis import strategies as st
from persistent.mapping import PersistentMapping
from ZODB.serialize import ObjectWriter

from authdb.bulk import Ref, Shell, record, tree, tree_of_pickles
from authdb.exceptions import DatabaseDamaged, FormatError
from authdb.filestorage import OneFile
from authdb.parts import Part
from authdb.records import transactions
from authdb.sinks import FileSink, StorageSink, verify
from authdb.storage import MyZODB

IF, IO, OO = family32.IF, family32.IO, family32.OO


@contextmanager
def written(place: str, path: Path, write: Callable[[Any, Shell], Any]) -> Iterator[MyZODB]:
    """A database into which ``write`` has written its root through a sink of that kind."""
    if place == "new file":
        with FileSink(path, "why", "who") as sink:
            shell = Shell(sink)
            shell.write(write(sink, shell), 0)
        verify(path)
        with MyZODB(path) as database:
            yield database
        return
    if place == "after another":
        with MyZODB(path) as database:
            database.dbroot["before"] = PersistentMapping(a=1)
            database.connection.transaction_manager.commit()
        with FileSink(path, "why", "who") as sink:
            shell = Shell(sink)
            shell.write(write(sink, shell), 0)
        with MyZODB(path) as database:
            yield database
        return
    with MyZODB(None if place == "memory" else path) as database:
        assert not database.dbroot  # it is seen by who has looked already
        with StorageSink(database, "why", "who") as sink:
            shell = Shell(sink)
            shell.write(write(sink, shell), 0)
        database.connection.transaction_manager.abort()
        yield database


PLACES = ["new file", "after another", "storage", "memory"]
everywhere = pytest.mark.parametrize("place", PLACES)


def well(found: Any) -> None:
    """Whether BTrees itself finds nothing to object to."""
    if hasattr(found, "_check"):
        found._check()
        BTrees.check.check(found)


# -- trees -----------------------------------------------------------------------------------

#: Around where a leaf, and the first node above leaves, is full.
SIZES = [0, 1, 2, 29, 30, 31, 60, 61, 119, 120, 121, 900, 4000]
KINDS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "docids": (IF.TreeSet, lambda n: n * 3),
    "counts": (IF.BTree, lambda n: (n * 3, n % 5)),
    "texts": (IO.BTree, lambda n: (n - 7, f"text {n}" * (n % 3))),
    "names": (OO.BTree, lambda n: (f"n{n:06}", ("a", n))),
    "numbers": (OIBTree, lambda n: (f"é{n:06}", n)),
    "words": (OO.TreeSet, lambda n: f"w{n:06}"),
    "few": (OO.Set, lambda n: f"w{n:06}"),
    "few docids": (IF.Set, lambda n: n),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", KINDS)
def test_a_tree_has_what_it_was_made_of_and_goes_on_as_any_other(what: str, size: int) -> None:
    kind, item = KINDS[what]
    items = [item(number) for number in range(size)]
    with written(
        "memory",
        Path(),
        lambda sink, shell: PersistentMapping(x=shell.ghost(tree(sink, kind, iter(items)))),
    ) as database:
        found = database.dbroot["x"]
        well(found)
        assert type(found) is kind and len(found) == size
        assert list(found.items() if hasattr(found, "items") else found) == items
        model = dict(items) if hasattr(found, "items") else dict.fromkeys(items)
        for number in range(0, size + 50, 7):  # then as everybody changes it
            extra = item(number + size // 2)
            key, value = extra if hasattr(found, "items") else (extra, None)
            model[key] = value
            if hasattr(found, "items"):
                found[key] = value
            else:
                found.insert(key)
        for key in list(model)[:: max(1, size // 9)]:
            del model[key]
            if hasattr(found, "items"):
                del found[key]
            else:
                found.remove(key)
        well(found)
        database.connection.transaction_manager.commit()
        database.connection.cacheMinimize()
        well(found)
        assert list(found.items() if hasattr(found, "items") else found) == sorted(
            model.items() if hasattr(found, "items") else model
        )


@everywhere
def test_no_leaf_or_node_has_more_than_btrees_would_put_into_it(tmp_path: Path, place: str) -> None:
    def write(sink: Any, shell: Shell) -> Any:
        names = tree(sink, OO.BTree, ((f"{n:08}", n) for n in range(30 * 251)))
        return PersistentMapping(names=shell.ghost(names))

    with written(place, tmp_path / "x.fs", write) as database:
        names = database.dbroot["names"]
        well(names)

        def sizes(node: Any) -> Iterator[int]:
            state = node.__getstate__()
            if not isinstance(node, OOBTree):
                assert len(state[0]) <= 2 * OOBTree.max_leaf_size
                return
            children = state[0][::2]
            yield len(children)
            for child in children:
                yield from sizes(child)

        found = list(sizes(names))
        assert max(found) <= OOBTree.max_internal_size
        assert min(found) > 1 and max(found[1:]) - min(found[1:]) <= 1  # spread evenly


@everywhere
@pytest.mark.parametrize("size", [1, 30, 31, 4000])
def test_values_can_be_references(tmp_path: Path, place: str, size: int) -> None:
    def write(sink: Any, shell: Shell) -> Any:
        oids = sink.store_all(record(IF.TreeSet, ((((n,),),),)) for n in range(size))
        refs = [Ref(oid, IF.TreeSet) for oid in oids]
        all_are = tree(sink, OO.BTree, zip(map("{:05}".format, range(size)), refs, strict=True))
        some = ({n: 1} if n % 3 else ref for n, ref in enumerate(refs))
        some_are = tree(sink, IOBTree, enumerate(some), references=True)
        return PersistentMapping(all=shell.ghost(all_are), some=shell.ghost(some_are))

    with written(place, tmp_path / "x.fs", write) as database:
        every, some = database.dbroot["all"], database.dbroot["some"]
        well(every)
        well(some)
        assert [list(docids) for docids in every.values()] == [[n] for n in range(size)]
        assert [value if n % 3 else list(value) for n, value in some.items()] == [
            {n: 1} if n % 3 else [n] for n in range(size)
        ]


def test_a_reference_among_values_that_were_said_to_have_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a reference"), FileSink(tmp_path / "x.fs") as sink:
        tree(sink, IO.BTree, [(1, "a"), (2, Ref(9, IF.TreeSet))])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_of_items_that_are_pickled_already_is_the_same(size: int) -> None:
    items = [(n * 2, n % 4) for n in range(size)]
    pickles = [b"J%bK%b" % (n.to_bytes(4, "little"), bytes([count])) for n, count in items]

    def key(item: bytes) -> int:
        return int.from_bytes(item[1:5], "little")

    with written(
        "memory",
        Path(),
        lambda sink, shell: PersistentMapping(
            x=shell.ghost(tree_of_pickles(sink, IF.BTree, pickles, key))
        ),
    ) as database:
        well(database.dbroot["x"])
        assert list(database.dbroot["x"].items()) == items


def test_a_record_is_the_one_that_zodb_writes() -> None:
    with MyZODB(None) as database:
        database.dbroot["x"] = IF.TreeSet([5])
        database.dbroot["y"] = PersistentMapping(a=(1, "b"))
        database.connection.transaction_manager.commit()
        for key, state in (("x", ((((5,),),),)), ("y", {"data": {"a": (1, "b")}})):
            obj = database.dbroot[key]
            stored, _ = database.storage.load(obj._p_oid)
            zodbs, made = ObjectWriter(obj).serialize(obj), record(type(obj), state)
            for data in (stored, zodbs, made):
                unpickler = pickle.Unpickler(BytesIO(data))
                assert unpickler.load() is type(obj)
                assert unpickler.load() == state
            assert len(made) <= len(zodbs) + 8


# -- a file ----------------------------------------------------------------------------------


def numbers(count: int) -> Callable[[Any, Shell], Any]:
    return lambda sink, shell: PersistentMapping(
        x=shell.ghost(tree(sink, IO.BTree, ((n, f"text {n}") for n in range(count))))
    )


@pytest.mark.parametrize("place", PLACES[:3])
def test_a_file_is_one_that_zodb_could_have_written(tmp_path: Path, place: str) -> None:
    path = tmp_path / "x.fs"
    with written(place, path, numbers(500)):
        pass
    with path.open("rb") as file:
        found = [(each.user, each.note, len(list(each.records))) for each in transactions(file)]
    assert found[-1] == (b"who", b"why", 500 // 60 + 3)
    assert len(found) == {"new file": 1, "after another": 3, "storage": 2}[place]


@pytest.mark.parametrize("place", PLACES[:2])
def test_the_index_is_believed_and_without_it_all_is_the_same(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, index = tmp_path / "x.fs", tmp_path / "x.fs.index"
    with written(place, path, numbers(70_000)) as database:
        kept = dict(database.storage._index.items())
    taken: list[Any] = []
    restore = OneFile._restore_index
    monkeypatch.setattr(
        OneFile, "_restore_index", lambda self: taken.append(restore(self)) or taken[-1]
    )
    with MyZODB(path, read_only=True):
        assert taken.pop() is not None
    index.unlink()
    with MyZODB(path, read_only=True) as database:
        assert taken.pop() is None
        assert dict(database.storage._index.items()) == kept
        assert len(database.dbroot["x"]) == 70_000


def test_oids_go_on_after_those_that_there_are(tmp_path: Path) -> None:
    with written("after another", tmp_path / "x.fs", numbers(100)) as database:
        database.dbroot["new"] = PersistentMapping()
        database.connection.transaction_manager.commit()
        oids = [int.from_bytes(oid, "big") for oid in database.storage._index]
        assert oids == list(range(len(oids)))
        assert len(database.dbroot["x"]) == 100


def test_what_is_given_up_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.fs"
    with pytest.raises(ZeroDivisionError):
        given_up(FileSink(path))
    assert not list(tmp_path.iterdir())
    with MyZODB(path):
        pass
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        given_up(FileSink(path))
    assert path.read_bytes() == before
    with MyZODB(path):
        pass


def given_up(sink: Any) -> None:
    with sink:
        tree(sink, IF.TreeSet, range(100_000))
        Shell(sink).write(PersistentMapping(), 0)
        sink.store(1 // 0, b"")


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, size: int) -> None:
    def write() -> None:
        with FileSink(tmp_path / "x.fs") as sink:
            tree(sink, IF.TreeSet, range(size))
            Shell(sink).write(PersistentMapping(), 0)

    with no_room_beyond(200), pytest.raises(OSError, match="large"):
        write()
    assert not list(tmp_path.iterdir())


def test_half_a_transaction_is_taken_for_what_it_is(tmp_path: Path) -> None:
    """As a power failure leaves it, should a file not be put in place by a rename."""
    with FileSink(tmp_path / "x.fs") as sink:
        tree(sink, IF.TreeSet, range(1_000_000))
        with pytest.raises(FormatError):  # there is no root in it yet
            verify(tmp_path / "x.fs")
        Shell(sink).write(PersistentMapping(), 0)
    verify(tmp_path / "x.fs")


def test_a_file_with_a_damaged_root_is_not_verified(tmp_path: Path) -> None:
    path = tmp_path / "x.fs"
    with written("new file", path, numbers(5)):
        pass
    path.write_bytes(path.read_bytes().replace(b"IOBTree", b"XOBTree"))
    with pytest.raises(DatabaseDamaged):
        verify(path)


# -- parts -----------------------------------------------------------------------------------


@everywhere
def test_the_records_of_another_process_are_taken_over(tmp_path: Path, place: str) -> None:
    part = tmp_path / "part"

    def write(sink: Any, shell: Shell) -> Any:
        mine = tree(sink, IO.BTree, ((n, "mine") for n in range(200)))
        with Part(part, sink.place, sink.reserve(50)) as other:
            others = tree(other, IO.BTree, ((n, "theirs") for n in range(2000)))
            many = other.store_all(record(IF.TreeSet, ((((n,),),),)) for n in range(3))
        more = tree(sink, IO.BTree, ((n, "more") for n in range(200)))
        sink.graft(part, other.contents)
        sets = [shell.ghost(Ref(oid, IF.TreeSet)) for oid in many]
        trees = {"mine": mine, "others": others, "more": more}
        return PersistentMapping(
            **{name: shell.ghost(ref) for name, ref in trees.items()}, sets=tuple(sets)
        )

    with written(place, tmp_path / "x.fs", write) as database:
        root = database.dbroot
        for name, size in (("mine", 200), ("others", 2000), ("more", 200)):
            well(root[name])
            assert len(root[name]) == size
        assert set(root["others"].values()) == {"theirs"}
        assert [list(each) for each in root["sets"]] == [[0], [1], [2]]
        root["others"][5000] = "new"  # an oid that was reserved and not used is no trouble
        root["new"] = IF.TreeSet(range(1000))
        database.connection.transaction_manager.commit()
        database.connection.cacheMinimize()
        assert len(root["others"]) == 2001 and len(root["new"]) == 1000


def test_an_empty_part_is_taken_over(tmp_path: Path) -> None:
    with FileSink(tmp_path / "x.fs") as sink:
        with Part(tmp_path / "part", sink.place, sink.reserve(3)) as part:
            pass
        sink.graft(tmp_path / "part", part.contents)
        Shell(sink).write(PersistentMapping(a=1), 0)
    with MyZODB(tmp_path / "x.fs") as database:
        assert dict(database.dbroot) == {"a": 1}


# -- any storage -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["storage", "memory"])
def test_a_storage_is_as_before_when_it_is_given_up(tmp_path: Path, place: str) -> None:
    with MyZODB(tmp_path / "x.fs" if place == "storage" else None) as database:
        database.dbroot["a"] = 1
        database.connection.transaction_manager.commit()
        last = database.storage.lastTransaction()
        with pytest.raises(ZeroDivisionError):
            given_up(StorageSink(database))
        assert database.storage.lastTransaction() == last
        database.dbroot["b"] = 2  # and nothing is locked
        database.connection.transaction_manager.commit()
        assert dict(database.dbroot) == {"a": 1, "b": 2}


def test_what_has_no_reader_yet_is_seen_by_all_connections(tmp_path: Path) -> None:
    with MyZODB(tmp_path / "x.fs") as database:
        database.dbroot["x"] = IO.BTree()
        database.connection.transaction_manager.commit()
        old = database.dbroot["x"]
        oid = int.from_bytes(old._p_oid, "big")
        with StorageSink(database, "why", "who") as sink:
            tree(sink, IO.BTree, enumerate(map(str, range(1000))), oid)
            sink.vote()
            assert len(old) == 0  # as long as it is not finished
        assert len(old) == 0  # nor within a transaction
        database.connection.transaction_manager.abort()
        assert len(old) == 1000
        old[7000] = "new"
        database.connection.transaction_manager.commit()
        newest = database.revisions(old._p_oid)[-2]
        assert (newest.user, newest.note) == (b"who", b"why")


@given(st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=400).map(sorted))
def test_any_docids_make_a_set(docids: list[int]) -> None:
    with written(
        "memory",
        Path(os.devnull),
        lambda sink, shell: PersistentMapping(
            x=shell.ghost(tree(sink, IF.TreeSet, array("i", docids)))
        ),
    ) as database:
        well(database.dbroot["x"])
        assert list(database.dbroot["x"]) == docids
