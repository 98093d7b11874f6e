"""Keys looked up in records: what the trees themselves would say."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import transaction
from BTrees.IOBTree import IOBTree
from BTrees.OIBTree import OIBTree
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

from authdb import AuthDB, Package
from authdb.exceptions import DatabaseDamaged, DatabaseError
from authdb.generations import Docids
from authdb.lookup import Lookup
from authdb.storage import MyZODB


def packages(count: int) -> list[Package]:
    return [Package(f"package-{number}", "title") for number in range(count)]


@pytest.mark.parametrize("start", [0, 65_000, 2**31 - 6002])
@pytest.mark.parametrize("size", [0, 1, 5, 30, 200, 3000])
def test_a_lookup_finds_what_the_tree_has(tmp_path: Path, size: int, start: int) -> None:
    """Whatever its size, and that of its numbers; also after it has changed, when remembered nodes
    are old."""
    with MyZODB(tmp_path / "test.fs") as zodb:
        numbers, names = IOBTree(), OOBTree()
        zodb.dbroot["numbers"], zodb.dbroot["names"] = numbers, names
        for first in (0, 1):
            for number in range(start + first, start + 2 * size, 2):
                numbers[number] = PersistentMapping()
                names[f"name {number}"] = number
            transaction.commit()
            lookup = zodb.lookup
            assert lookup is not None
            for number in range(start - 1, start + 2 * size + 1):
                oid = numbers[number]._p_oid if number in numbers else None
                assert lookup.get(numbers._p_oid, IOBTree, number) == oid
                if oid is not None:
                    assert lookup.likely(numbers._p_oid, IOBTree, number) == oid
                name, found = f"name {number}", names.get(f"name {number}")
                assert lookup.get(names._p_oid, OOBTree, name) == found
                assert lookup.number(names._p_oid, OOBTree, name) == found


def test_what_only_looks_like_an_item(folder: Path) -> None:
    """In a leaf of larger docids the bytes of one can look like another, which is not there."""
    with AuthDB.create(folder) as db:
        package = Package("large", "Large")
        small = Package("small", "Small")
        with db.transaction():
            # Pickled as M, K and 5, of which the end is 5 as it is pickled.
            for docid, each in ((0x054B, package), (0x70000, small)):
                db._root["packages"][docid] = each
                db._root["docids"][each.name] = docid
                db._root._p_jar.add(each)
                db._pair.catalog.index_doc(docid, each)
                db._session.changes.docids.add(docid)  # type: ignore[union-attr]
        lookup = db._pair.objects.lookup  # type: ignore[union-attr]
        packages = db._root["packages"]
        assert lookup is not None
        assert lookup.likely(packages._p_oid, type(packages), 5) == package._p_oid
        with db.transaction():
            db._root["docids"]["missing"] = 5
        with pytest.raises(KeyError):
            db.update("missing", version="1")
        assert db.update("large", version="1") is package
        assert db.update("small", version="1") is small


def test_a_lookup_after_a_pack(tmp_path: Path) -> None:
    """The places of records in the packed file may be those of others in the old one."""
    with MyZODB(tmp_path / "test.fs") as zodb:
        tree = zodb.dbroot["tree"] = OOBTree()
        for turn in range(3):
            tree.update({f"{number:04}": (turn, number) for number in range(2000)})
            transaction.commit()
            assert zodb.lookup is not None
            assert zodb.lookup.get(tree._p_oid, OOBTree, "1234") == (turn, 1234)
            zodb.db.pack()
            assert zodb.lookup.get(tree._p_oid, OOBTree, "1234") == (turn, 1234)


def test_a_node_is_remembered_until_it_is_written(tmp_path: Path) -> None:
    """Also if that was by another, between when it was asked for and when it was read."""
    with MyZODB(tmp_path / "test.fs") as zodb:
        root = zodb.dbroot
        root["tree"] = OOBTree({number: number for number in range(100)})
        root["other"] = 1
        transaction.commit()
        oid, lookup = root["tree"]._p_oid, zodb.lookup
        assert lookup is not None
        assert lookup.get(oid, OOBTree, 5) == 5
        assert lookup.kept(oid) is not None
        root["other"] = 2
        transaction.commit()
        assert lookup.kept(oid) is not None
        root["tree"].update({number: -number for number in range(1000)})
        transaction.commit()
        assert lookup.kept(oid) is None
        old = "what was read before"
        root["other"] = 3
        transaction.commit()
        lookup.keep(oid, old)
        assert lookup.kept(oid) is None
        assert lookup.get(oid, OOBTree, 5) == -5
        root["many"] = [PersistentMapping() for _ in range(2000)]
        transaction.commit()
        assert lookup.kept(oid) is None


def test_there_is_no_lookup_where_objects_may_know_better(tmp_path: Path) -> None:
    """A changed tree, a savepoint, a change by another connection, a past state, memory."""
    with MyZODB(tmp_path / "test.fs") as zodb:
        tree = zodb.dbroot["tree"] = OOBTree({"a": 1})
        transaction.commit()
        zodb.dbroot["other"] = 1
        assert zodb.lookup is not None
        tree["b"] = 2
        assert zodb.lookup is None
        transaction.abort()
        assert zodb.lookup is not None
        tree["b"] = 3
        transaction.savepoint()
        assert zodb.lookup is None
        transaction.commit()
        assert zodb.lookup is not None
        manager = transaction.TransactionManager()
        other = zodb.db.open(manager)
        other.root()["tree"]["a"] = 4
        manager.commit()
        assert zodb.lookup is None
        assert tree["a"] == 1
        transaction.begin()
        assert zodb.lookup is not None
        zodb.step_back()
        assert zodb.lookup is None
    with MyZODB(None) as zodb:
        assert zodb.lookup is None


# -- within AuthDB ---------------------------------------------------------------------------


def test_an_update_finds_the_package_that_is_held(db: AuthDB) -> None:
    """Not a second object for the same package, whichever of the two was first."""
    with db.transaction():
        for package in packages(300):
            db.add(package)
    db._pair.forget()
    held = db["package-7"]
    assert db.update("Package_7", version="1") is held
    found = db.update("package-200", version="1")
    assert db["package-200"] is found
    assert found.version == "1"
    assert db.check() == []


def test_updates_see_what_the_transaction_did_before(db: AuthDB) -> None:
    """Packages that are new, renamed, removed or put in the trees by hand."""
    with db.transaction():
        for package in packages(300):
            db.add(package)
    with db.transaction("all sorts"):
        db.update("package-1", version="1")
        db.update("package-1", name="renamed")
        db.update("renamed", version="2")
        assert "package-1" not in db
        db.add(Package("new", "New"))
        db.update("new", version="3")
        db.update("package-2", version="2")
        db.remove("package-2")
        db["package-3"].version = "4"
        db.update("package-4", version="5")
        changed = db.update("package-5", version="6")
        docid = db.objects.minKey() + 5
        assert db.objects[docid] is changed
        del db.objects[docid]
        del db._root["docids"]["package-5"]
        db.catalog.unindex_doc(docid)
    assert db["renamed"].version == "2"
    assert [db[name].version for name in ("new", "package-3", "package-4")] == ["3", "4", "5"]
    said = db._root["touched"]
    assert [len(Docids(said[kind])) for kind in ("added", "changed", "removed")] == [1, 3, 2]
    assert db.check() == []


def test_what_is_no_package_is_not_taken_for_one(folder: Path) -> None:
    """Not then, and not later, when what leads to it is read."""
    with AuthDB.create(folder) as db, db.transaction():
        for package in packages(300):
            db.add(package)
    with AuthDB.open(folder) as db:
        connection = db._pair.objects.connection  # type: ignore[union-attr]
        leaf = db._root["packages"].__getstate__()[1]._p_oid
        connection.cacheMinimize()
        for oid in (leaf, b"\xff" * 8):
            assert connection._cache.get(oid) is None
            with pytest.raises(DatabaseDamaged):
                connection.package(oid)
            assert connection._cache.get(oid) is None
        assert len(list(db)) == 300


@pytest.mark.parametrize("count", [1, 50])
def test_what_another_connection_changed_meanwhile_is_not_lost(db: AuthDB, count: int) -> None:
    """A program with a connection of its own edits packages, and says nothing in the roots."""
    with db.transaction():
        for package in packages(100):
            db.add(package)
    manager = transaction.TransactionManager()
    other: Any = db._pair.objects.db.open(manager)  # type: ignore[union-attr]

    def edit(number: int, title: str) -> None:
        manager.begin()
        other.root()["packages"][number].title = title
        manager.commit()

    def change() -> None:
        with db.transaction():
            for number in range(count):
                db.update(f"package-{number}", version="1")
            edit(1, "theirs")  # that of package-0

    with pytest.raises(DatabaseError, match=r"others have changed it meanwhile.*try again"):
        change()
    assert (db["package-0"].title, db["package-0"].version) == ("theirs", None)
    with db.transaction():
        for number in range(count):
            db.update(f"package-{number}", version="2")
        edit(100, "theirs as well")
    assert (db["package-0"].version, db["package-99"].title) == ("2", "theirs as well")
    other.close()


def test_many_updates_around_a_savepoint(db: AuthDB) -> None:
    """What a savepoint has put aside is not in the storage yet, where records are read."""
    with db.transaction():
        for package in packages(300):
            db.add(package)
    with db.transaction():
        for number in range(50):
            db.update(f"package-{number}", license="MIT")
        assert len(db.find("license == 'MIT'")) == 50
        db._pair.manager.savepoint()
        for number in range(100):
            db.update(f"package-{number}", license="ISC", last_release="2024-01-02")
    assert (len(db.find("license == 'MIT'")), len(db.find("license == 'ISC'"))) == (0, 100)
    assert db.check() == []


@pytest.fixture
def licensed(db: AuthDB) -> AuthDB:
    """A database of 300 packages, all under one licence."""
    with db.transaction():
        for package in packages(300):
            package.license = "MIT"
            db.add(package)
    return db


def licenses(db: AuthDB) -> tuple[int, int]:
    """How many packages are found under the licence of all, and under another."""
    return len(db.find("license == 'MIT'")), len(db.find("license == 'ISC'"))


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("many", [1, 50])
def test_an_edited_package_that_zodb_lets_go_of_stays_in_the_catalog(
    licensed: AuthDB, many: int, asked: bool
) -> None:
    """What is put aside at a savepoint counts as unchanged, and may leave the memory."""
    db = licensed
    with db.transaction():
        for number in range(many):
            db.update(f"package-{number}", license="ISC")
        if asked:
            assert licenses(db) == (300 - many, many)
        db._pair.manager.savepoint()
        db._pair.objects.connection.cacheMinimize()  # type: ignore[union-attr]
        assert licenses(db) == (300 - many, many) or not asked
    assert licenses(db) == (300 - many, many)
    assert db.check() == []


def test_an_edit_that_is_taken_back_object_by_object(licensed: AuthDB) -> None:
    db = licensed
    with db.transaction():
        db.update("package-1", license="ISC")
        db["package-1"]._p_invalidate()
    assert licenses(db) == (300, 0)
    assert db.check() == []


def rolled_back(db: AuthDB, before: Any, after: Any) -> None:
    """A transaction of which what comes ``after`` a savepoint is taken back."""
    with db.transaction():
        before()
        savepoint = db._pair.manager.savepoint()
        after()
        savepoint.rollback()


def test_a_savepoint_takes_back_what_was_indexed_since(licensed: AuthDB) -> None:
    """Whatever a question has indexed, or a removal has unindexed, between the two."""
    db = licensed
    rolled_back(db, lambda: db.update("package-1", license="ISC"), lambda: licenses(db))
    assert licenses(db) == (299, 1) and db.check() == []
    rolled_back(db, lambda: db.update("package-2", license="ISC"), lambda: db.remove("package-2"))
    assert licenses(db) == (298, 2) and db.check() == []
    rolled_back(
        db, lambda: licenses(db), lambda: db.update("package-3", license="ISC", name="other")
    )
    assert licenses(db) == (298, 2) and db.check() == [] and "package-3" in db
    rolled_back(db, lambda: db.remove("package-4"), lambda: db.add(packages(5)[4]))
    assert licenses(db) == (297, 2) and db.check() == [] and "package-4" not in db


def test_a_change_that_a_savepoint_took_back_is_not_told_of(licensed: AuthDB) -> None:
    db = licensed
    rolled_back(db, lambda: None, lambda: db.add(Package("new", "New")))
    assert "new" not in db and db.check() == []
    rolled_back(
        db, lambda: db.update("package-1", title="Other"), lambda: db.add(Package("new", "New"))
    )
    db.undo()
    assert db["package-1"].title != "Other" and db.check() == []


def test_a_node_that_is_rewritten_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    """Another thread may commit between the look at where a node is and the reading of it."""
    with MyZODB(tmp_path / "x.fs") as database:
        tree = database.dbroot["tree"] = OIBTree({f"{n:06}": n for n in range(4000)})
        database.connection.transaction_manager.commit()
        lookup, kind, oid = Lookup(database.storage), OIBTree, tree._p_oid
        read = database.storage.newest

        def late(of: bytes) -> bytes:
            found = bytes(read(of))
            if of == oid and len(tree) == 4000:
                tree.update({f"{n:06}": n for n in range(4000, 40_000)})
                database.connection.transaction_manager.commit()
            return found

        with mock.patch.object(database.storage, "newest", late):
            lookup.number(oid, kind, "000000")
        assert lookup.number(oid, kind, "030000") == 30_000


def test_a_package_of_a_past_state_and_a_damaged_one(folder: Path) -> None:
    """What is read past ZODB is what it would have read, and its errors are the same."""
    with AuthDB.create(folder) as db:
        db.add(Package("one", "One", version="1"))
        with AuthDB.open(folder, read_only=True) as reader:
            db.update("one", version="2")
            assert reader["one"].version == "1"
            assert reader.refresh()
            assert reader["one"].version == "2"
        with AuthDB.open(folder, as_of="c1") as then:
            assert then["one"].version == "1"
        manager = transaction.TransactionManager()
        other: Any = db._pair.objects.db.open(manager)  # type: ignore[union-attr]
        manager.begin()
        db.update("one", version="3")
        package = other.root()["packages"][1]
        assert package.version == "2"
        db["one"]._p_activate()
        assert package._p_serial < db["one"]._p_serial
        other.close()
    file = folder / "data.fs"
    found = file.read_bytes()
    at = found.rindex(b"title")
    file.write_bytes(found[:at] + b"tilte" + found[at + 5 :])
    with AuthDB.open(folder) as db, pytest.raises(DatabaseDamaged, match="without a name"):
        db["one"].version  # noqa: B018


def test_a_package_that_is_read_knows_what_zodb_knows_of_it(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("one", "One", version="1"))
    with AuthDB.open(folder) as db:
        package = db["one"]
        package._p_activate()
        twin: Any = db._pair.objects.db.open(transaction.TransactionManager())  # type: ignore[union-attr]
        record, tid = twin._storage.load(package._p_oid)
        assert package._p_serial == tid
        assert package._p_estimated_size in range(len(record) - 64, len(record) + 64)
        assert vars(package) == twin._reader.getState(record)
        twin.close()


def test_a_package_of_a_change_that_was_kept_after_all_can_be_read(folder: Path) -> None:
    """The catalog could not be synced: the files are opened again, and the objects are new ones."""
    real, calls = os.fsync, 0

    def sync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first is that of the objects
            raise OSError(errno.EIO, "the disk is tired")
        real(handle)

    with AuthDB.create(folder) as db:
        db.add(Package("one", "One"))
        with (
            mock.patch.object(sys.modules["ZODB.FileStorage.FileStorage"], "fsync", sync),
            mock.patch("authdb.filestorage._LARGEST", 0),  # else it would not be synced at once
        ):
            package = db.update("one", title="Other")
        assert calls >= 2
        assert package.title == "Other" and package is db["one"]
        assert db.check() == []
