"""Records made without ZODB's ObjectWriter: read as what that makes, and stored as safely."""

from __future__ import annotations

import pickle
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import transaction
from BTrees.IFBTree import IFTreeSet
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from ZODB.POSException import ConflictError
from ZODB.serialize import ObjectWriter

from authdb import AuthDB, Package
from authdb.fields import Release
from authdb.nodes import plain
from authdb.storage import MyZODB
from authdb.writers import Writer

record_of = Writer().record

VALUES: dict[str, Any] = {
    "nothing": None,
    "numbers": (0, -1, 255, 65536, 2**31, 2**70, 1.5, True),
    "texts": ("", "é", "x" * 300),
    "a day": date(2024, 2, 26),
    "journal": ((1, "token", (3, 4, 5)), (2, "token", "rebuild"), (3, "token", ())),
    "many": tuple(range(5000)),
    "é": "not ascii",
}


@pytest.fixture
def root(tmp_path: Path) -> Any:
    with MyZODB(tmp_path / "test.fs") as zodb:
        zodb.dbroot.update(tree=OOBTree(), set=IFTreeSet([1]), mapping=PersistentMapping())
        transaction.commit()
        yield zodb.dbroot


def test_a_mapping_as_zodb_writes_it(root: Any) -> None:
    """Values of every kind that roots have, and references."""
    reader = root._p_jar._reader
    for data in ({}, VALUES, {**root, **VALUES}):
        mapping = PersistentMapping(data)
        root["mapping"] = mapping
        transaction.savepoint()
        record = record_of(mapping)
        assert record is not None
        state = reader.getState(record)
        assert state == reader.getState(ObjectWriter(mapping).serialize(mapping))
        assert all(state["data"][key] is root[key] for key in ("tree", "set") if key in data)
        assert reader.getClassName(record) == "persistent.mapping.PersistentMapping"


@pytest.mark.parametrize(
    "value", [[1], {"a": 1}, {1}, b"bytes", (1, [2]), Release("1", date(2024, 1, 1)), OOBTree()]
)
def test_what_may_have_objects_in_it_is_left_to_zodb(root: Any, value: Any) -> None:
    """Among them an object that is new, and so has no place yet."""
    root["value"] = value
    assert record_of(root) is None
    transaction.commit()
    root._p_jar.cacheMinimize()
    assert type(root["value"]) is type(value)
    assert root["value"] == value or not value
    root["value"] = 1
    root[2] = "a key that is no text"
    assert record_of(root) is None
    transaction.abort()


def test_another_change_meanwhile(root: Any) -> None:
    """Whoever comes second is refused, and then shown what the first has written."""
    manager = transaction.TransactionManager()
    other = root._p_jar.db().open(manager)
    other.root()["first"] = True
    root["second"] = True
    manager.commit()
    with pytest.raises(ConflictError):
        transaction.commit()
    transaction.abort()
    assert root["first"] is True
    assert "second" not in root
    root["third"] = True
    transaction.commit()
    manager.begin()
    assert other.root()["third"] is True
    other.close()


def test_what_fails_is_given_up(root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory too; and the next change is as if nothing had been."""

    def fails(*args: Any) -> None:
        raise OSError("no room")

    storage = root._p_jar.db().storage
    root["set"].add(2)
    root["value"] = 1
    with monkeypatch.context() as patch:
        patch.setattr(root._p_jar._storage, "tpc_vote", fails)
        with pytest.raises(OSError, match="no room"):
            transaction.commit()
    transaction.abort()
    assert "value" not in root
    assert list(root["set"]) == [1]
    serial = root._p_serial
    root["value"] = 2
    root["set"].add(3)
    transaction.commit()
    assert root._p_serial == root["set"]._p_serial == storage.lastTransaction() > serial
    assert not root._p_changed
    root._p_jar.cacheMinimize()
    assert (root["value"], list(root["set"])) == (2, [1, 3])


def test_a_package_as_zodb_writes_it(root: Any) -> None:
    """With its digest; also one with text of all kinds, and with what JSON holds as objects."""
    reader = root._p_jar._reader
    for package in (
        Package("plain", "Plain", last_release="2024-01-02", license="MIT"),
        Package("e", "é", description="\u2028 and 🔑", categories=("jwt", "token")),
        Package("r", "R", releases=[("1.0", "2024-01-02"), ("1.1", "2024")], last_push="2024-02"),
    ):
        record = record_of(package)
        assert record is not None
        assert reader.getState(record) == package.__getstate__()
        assert reader.getClassName(record) == "authdb.models.Package"
    package.__dict__["of a later version"] = OOBTree()
    assert record_of(package) is None


def test_a_package_stays_in_memory_after_its_change(folder: Path) -> None:
    """It can be looked at when the database is closed; what it was before is not what it shows."""
    with AuthDB.create(folder) as db:
        with db.transaction():
            added = db.add(Package("a", "A", version="1"))
            for number in range(50):
                db.add(Package(f"b-{number}", "B"))
        changed = db.update("b-1", version="2")
        with db.transaction():
            for number in range(2, 50):
                last = db.update(f"b-{number}", version="3")
        assert last._p_serial > changed._p_serial > added._p_serial
    assert (added.version, changed.version, last.version) == ("1", "2", "3")


def test_threads_do_not_write_into_each_others_records() -> None:
    """Each with a database of its own, as in a server."""
    wrong = []

    def write(first: int) -> None:
        value = tuple(range(first, first + 50))
        for _ in range(20_000):
            if pickle.loads(b"\x80\x03" + plain(value) + b".") != value:
                wrong.append(first)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write, args=(1000 * number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
