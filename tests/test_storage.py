"""`MyZODB`: one file, opened and closed for sure, with errors that say what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import transaction
from files import an_ordinary_user, contents, no_room_beyond
from persistent.mapping import PersistentMapping
from persistent.TimeStamp import TimeStamp
from transaction import TransactionManager
from ZODB._compat import FILESTORAGE_MAGIC
from ZODB.POSException import POSKeyError

from authdb import MyZODB, filestorage, positions, records
from authdb.exceptions import (
    AuthDBError,
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseError,
    DatabaseLocked,
    DatabaseMissing,
    FormatError,
)
from authdb.storage import explain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one value in it."""
    path = tmp_path / "x.fs"
    with MyZODB(path) as zodb:
        zodb.dbroot["answer"] = 42
        transaction.commit()
    return path


@pytest.fixture(params=["file", "memory"])
def zodb(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MyZODB]:
    with MyZODB(tmp_path / "x.fs" if request.param == "file" else None) as zodb:
        yield zodb


# -- as one uses it ------------------------------------------------------------------------------


def test_what_is_committed_is_there_and_what_is_not_is_not(tmp_path: Path) -> None:
    for name in ("x.fs", tmp_path / "y.fs"):
        path = tmp_path / name
        with MyZODB(str(path)) as zodb:
            zodb.dbroot["kept"] = PersistentMapping(a=1)
            transaction.commit()
            zodb.dbroot["lost"] = 1
        with MyZODB(path) as zodb:
            assert dict(zodb.dbroot["kept"]) == {"a": 1} and "lost" not in zodb.dbroot
            assert zodb.path == path and not zodb.read_only


def test_it_shows_what_it_is_made_of(zodb: MyZODB) -> None:
    assert zodb.db.storage is zodb.storage
    assert zodb.connection.db() is zodb.db
    assert zodb.connection.root() is not None and zodb.dbroot is zodb.connection.root()
    name = str(zodb.path or "in memory")
    assert repr(zodb) == f"<MyZODB {name}>"
    zodb.close()
    assert repr(zodb) == f"<closed MyZODB {name}>"


def test_closing_again_does_nothing_and_gives_up_changes(zodb: MyZODB) -> None:
    zodb.dbroot["x"] = 1
    zodb.close()
    zodb.close()


def test_a_transaction_manager_of_its_own_is_not_the_threads(tmp_path: Path) -> None:
    manager = TransactionManager()
    with MyZODB(tmp_path / "x.fs", transaction_manager=manager) as zodb:
        zodb.dbroot["x"] = 1
        transaction.commit()
        manager.abort()
        assert "x" not in zodb.dbroot
        zodb.dbroot["x"] = 1
        manager.commit()
    with MyZODB(tmp_path / "x.fs") as zodb:
        assert "x" in zodb.dbroot


def test_a_reader_is_a_frozen_snapshot_beside_a_writer(path: Path) -> None:
    with MyZODB(path) as writer:
        with MyZODB(path, read_only=True) as reader:
            assert repr(reader) == f"<read-only MyZODB {path}>"
            writer.dbroot["answer"] = 43
            transaction.commit()
            reader.connection.sync()
            assert reader.dbroot["answer"] == 42
        with MyZODB(path, read_only=True) as reader:
            assert reader.dbroot["answer"] == 43


def test_a_reader_touches_no_file(path: Path) -> None:
    for extra in (None, ".index", ".lock"):
        if extra:
            Path(f"{path}{extra}").unlink()
        before = contents(path.parent)
        for scratch in (False, True):
            manager = TransactionManager()
            with MyZODB(path, read_only=not scratch, scratch=scratch,
                        transaction_manager=manager) as zodb:  # fmt: skip
                assert zodb.dbroot["answer"] == 42
                if scratch:
                    zodb.dbroot["answer"] = 43
                    zodb.dbroot["more"] = PersistentMapping()
                    manager.commit()
                    assert zodb.dbroot["answer"] == 43
        assert contents(path.parent) == before


def test_of_two_in_one_transaction_the_lower_order_finishes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZODB itself goes by the names of the files."""
    from ZODB.FileStorage import FileStorage

    for orders, expected in (((0, 1), ["z.fs", "a.fs"]), ((1, 0), ["a.fs", "z.fs"])):
        finished: list[str] = []
        finish = FileStorage.tpc_finish

        def watched(self: Any, *args: Any, finish: Any = finish, finished: Any = finished) -> Any:
            finished.append(Path(self.getName()).name)
            return finish(self, *args)

        manager = TransactionManager()
        with (
            MyZODB(tmp_path / "z.fs", order=orders[0], transaction_manager=manager) as one,
            MyZODB(tmp_path / "a.fs", order=orders[1], transaction_manager=manager) as two,
        ):
            two.dbroot["x"] = one.dbroot["x"] = os.urandom(4)
            with monkeypatch.context() as patch:
                patch.setattr(FileStorage, "tpc_finish", watched)
                manager.commit()
        assert finished == expected


# -- what cannot be opened -----------------------------------------------------------------------


def test_a_missing_file_is_made_only_by_a_writer_that_may(tmp_path: Path) -> None:
    path = tmp_path / "x.fs"
    for options in ({"read_only": True}, {"scratch": True}, {"create": False}):
        with pytest.raises(DatabaseMissing, match="there is no such file") as error:
            MyZODB(path, **options)
        assert error.value.path == str(path)
    with pytest.raises(DatabaseMissing, match="there is no folder"):
        MyZODB(tmp_path / "nowhere" / "x.fs")
    assert list(tmp_path.iterdir()) == []
    MyZODB(path).close()
    assert path.exists()


def test_a_folder_is_no_file_and_a_file_no_folder(path: Path) -> None:
    with pytest.raises(DatabaseError, match="this is a folder, a file belongs here"):
        MyZODB(path.parent)
    for options in ({}, {"read_only": True}):
        with pytest.raises(DatabaseMissing, match="there is no"):
            MyZODB(path / "x.fs", **options)


OPTIONS = [{}, {"read_only": True}, {"scratch": True}]


@pytest.mark.parametrize("garbage", [b"not a database", b"x" * 10_000, b"FS21", b"PK\3\4"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_no_filestorage_is_left_alone(
    tmp_path: Path, garbage: bytes, options: dict[str, bool], open_files: Callable[[], set[str]]
) -> None:
    path = tmp_path / "x.fs"
    path.write_bytes(garbage)
    before = open_files()
    with pytest.raises(DatabaseDamaged, match="cannot be read as a database") as error:
        MyZODB(path, **options)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert path.read_bytes() == garbage
    assert open_files() <= before
    path.unlink()
    MyZODB(path).close()  # the lock was given back


@pytest.mark.parametrize("tail", [None, b"", b"\0" * 4, b"\0" * 500, b"x" * 500])
def test_a_file_without_a_whole_transaction_has_nothing_to_read(
    tmp_path: Path, tail: bytes | None
) -> None:
    """What a crash leaves that comes before the first commit is complete."""
    path, there = tmp_path / "x.fs", b"" if tail is None else FILESTORAGE_MAGIC + tail
    path.write_bytes(there)
    with pytest.raises(FormatError):
        MyZODB(path, read_only=True)
    with MyZODB(path, scratch=True, transaction_manager=TransactionManager()) as zodb:
        assert not zodb.dbroot
    assert path.read_bytes() == there
    with MyZODB(path) as zodb:
        assert not zodb.dbroot


def test_a_torn_tail_is_cut_off_by_a_writer_and_overlooked_by_a_reader(path: Path) -> None:
    whole = path.read_bytes()
    with MyZODB(path) as zodb:
        zodb.dbroot["more"] = "x" * 1000
        transaction.commit()
    longer = path.read_bytes()
    tails = (b"\0" * 5000, b"\0" * 50, b"\x7f" * 23, b"\7")
    for torn in (*(whole + tail for tail in tails), longer[:-1], longer[: len(whole) + 23]):
        path.write_bytes(torn)
        with MyZODB(path, read_only=True) as zodb:
            assert dict(zodb.dbroot) == {"answer": 42}
        assert path.read_bytes() == torn
        with MyZODB(path) as zodb:
            assert dict(zodb.dbroot) == {"answer": 42}
            zodb.dbroot["x"] = 1
            transaction.commit()
            assert abs(TimeStamp(zodb.dbroot._p_serial).timeTime() - time.time()) < 60
        with MyZODB(path) as zodb:
            assert dict(zodb.dbroot) == {"answer": 42, "x": 1}


def test_an_object_that_cannot_be_read_is_named(path: Path) -> None:
    with MyZODB(path) as zodb:
        zodb.dbroot["mapping"] = PersistentMapping(inside="something to find")
        transaction.commit()
    damaged = path.read_bytes().replace(b"something to find", b"\xff\xfe\xfd no text here!")
    path.write_bytes(damaged)
    with pytest.raises(AuthDBError) as error, MyZODB(path, read_only=True) as zodb:
        dict(zodb.dbroot["mapping"])
    assert str(path) in str(error.value)


def test_an_object_of_a_closed_file_says_so(path: Path) -> None:
    with MyZODB(path) as zodb:
        zodb.dbroot["mapping"] = PersistentMapping(a=1)
        transaction.commit()
    with MyZODB(path) as zodb:
        mapping = zodb.dbroot["mapping"]
    with pytest.raises(DatabaseClosed, match="it was closed, so nothing more can be read"):
        mapping["a"]


# -- two at a time -------------------------------------------------------------------------------

HOLD = """
import sys
from authdb import MyZODB
with MyZODB(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_told_who_writes(path: Path, open_files: Callable[[], set[str]]) -> None:
    before = open_files()
    with MyZODB(path) as zodb, pytest.raises(DatabaseLocked) as error:
        MyZODB(path)
    assert error.value.pid == os.getpid()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseLocked, match=f"process {holder.pid} is writing to it") as error:
            MyZODB(path)
        assert error.value.pid == holder.pid
        with MyZODB(path, read_only=True) as zodb:
            assert zodb.dbroot["answer"] == 42
        holder.communicate()
    assert holder.returncode == 0
    assert open_files() <= before
    MyZODB(path).close()


def test_a_lock_file_left_behind_locks_nobody_out(path: Path) -> None:
    Path(f"{path}.lock").write_text(" 1\n")
    MyZODB(path).close()


# -- permission and room -------------------------------------------------------------------------


def test_without_permission_it_says_so(open_files: Callable[[], set[str]]) -> None:
    # Not below pytest's folder, which other users cannot even enter.
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "x.fs"
        with MyZODB(path) as zodb:
            zodb.dbroot["answer"] = 42
            transaction.commit()
        before = open_files()
        path.chmod(0o444)
        folder.chmod(0o555)
        with an_ordinary_user():
            with MyZODB(path, read_only=True) as zodb:
                assert zodb.dbroot["answer"] == 42
            for attempt in (path, folder / "new.fs"):
                with pytest.raises(DatabaseError, match="no permission: see who owns") as error:
                    MyZODB(attempt)
                assert str(error.value).startswith(f"{attempt}: ")
        path.chmod(0)
        folder.chmod(0o777)
        with an_ordinary_user():
            for options in ({}, {"read_only": True}):
                with pytest.raises(DatabaseError, match="no permission"):
                    MyZODB(path, **options)
        folder.chmod(0)
        with an_ordinary_user():
            for options in ({}, {"read_only": True}):
                with pytest.raises(DatabaseError, match="no permission"):
                    MyZODB(path, **options)
        folder.chmod(0o777)
        assert open_files() <= before
        with MyZODB(path) as zodb:
            assert zodb.dbroot["answer"] == 42


def test_without_room_it_says_so_and_leaves_nothing_open(
    tmp_path: Path, open_files: Callable[[], set[str]]
) -> None:
    before = open_files()
    with no_room_beyond(16), pytest.raises(DatabaseError, match="larger than the system allows"):
        MyZODB(tmp_path / "x.fs")
    assert open_files() <= before
    MyZODB(tmp_path / "y.fs").close()


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "x"), DatabaseError, "the disk is full: make room and try again"),
        (OSError(errno.EDQUOT, "x"), DatabaseError, "the disk quota is used up"),
        (OSError(errno.EROFS, "x"), DatabaseError, "the file system is read-only"),
        (OSError(errno.EPERM, "x"), DatabaseError, "no permission"),
        (OSError(errno.ENOENT, "x"), DatabaseMissing, "there is no such file"),
        (OSError(errno.EIO, "Input/output error"), DatabaseError, "Input/output error"),
        (OSError("odd"), DatabaseError, "the system says: odd"),
        (POSKeyError(b"\0" * 8), DatabaseDamaged, "cannot be read as a database (POSKeyError"),
        (EOFError(), DatabaseDamaged, "cannot be read as a database (EOFError)"),
        (RuntimeError("two\nlines " + "x" * 500), DatabaseError, "RuntimeError: two lines xxx"),
    ],
)
def test_every_error_becomes_one_line_of_ours(
    error: Exception, kind: type[AuthDBError], words: str
) -> None:
    ours = explain(error, "x.fs")
    assert type(ours) is kind and words in str(ours)
    assert str(ours).startswith("x.fs: ") and "\n" not in str(ours) and len(str(ours)) < 250


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = DatabaseMissing("x", "y")
    assert explain(error, "z") is error


def test_what_a_large_change_took_for_a_while_is_given_back(tmp_path: Path) -> None:
    with MyZODB(tmp_path / "large.fs") as database:
        database.dbroot["large"] = "x" * 1_000_000
        database.connection.transaction_manager.commit()
    assert (tmp_path / "large.fs.tmp").stat().st_size == 0
    with MyZODB(tmp_path / "large.fs") as database:
        assert len(database.dbroot["large"]) == 1_000_000


def test_an_interrupt_before_the_index_knows_all(path: Path) -> None:
    """A transaction is on the disk, and Ctrl-C comes before the index of the file has all of it:
    that index is not saved, and whoever opens the file next finds everything."""
    with MyZODB(path) as zodb:
        zodb.dbroot["more"] = PersistentMapping(first=1)
        zodb.connection.transaction_manager.commit()
    zodb = MyZODB(path)
    for number in range(1000):
        zodb.dbroot["more"][number] = PersistentMapping(number=number)
    manager = zodb.connection.transaction_manager

    put = positions.put

    def interrupted(data: Any, places: Any) -> None:
        # Those that ZODB looks at before it believes an index are there.
        put(
            data,
            {
                start: [
                    pair for pair in some.items() if not 300 < int.from_bytes(pair[0], "big") < 400
                ]
                for start, some in places.items()
            },
        )
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(positions, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            manager.commit()
    manager.abort()
    zodb.close()
    for read_only in (True, False):
        with MyZODB(path, read_only=read_only) as zodb:
            assert [zodb.dbroot["more"][number]["number"] for number in range(1000)] == [
                *range(1000)
            ]


def test_nothing_is_left_behind_the_change_after_one_for_which_there_was_no_room(
    tmp_path: Path,
) -> None:
    """Readers read ahead, and would take it for the change that comes there."""
    path = tmp_path / "test.fs"
    with MyZODB(path) as zodb:
        manager = zodb.connection.transaction_manager
        zodb.dbroot["large"] = PersistentMapping(text="x" * 20_000)
        manager.commit()
        zodb.dbroot["large"]["text"] = "x" * 5000
        with no_room_beyond(path.stat().st_size + 2000), pytest.raises(OSError, match="large"):
            manager.commit()
        manager.abort()
        assert path.stat().st_size > zodb.storage.getSize()
        zodb.dbroot["small"] = 1
        manager.commit()
        assert path.stat().st_size == zodb.storage.getSize()


def test_a_change_that_is_finished_while_it_is_looked_at_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.fs"
    with MyZODB(path) as zodb:
        zodb.dbroot["one"] = 1
        zodb.connection.transaction_manager.commit()
        begin = zodb.storage._pos
        zodb.dbroot["one"] = 2
        zodb.connection.transaction_manager.commit()
    path.with_suffix(".fs.index").unlink()
    looks = []

    def torn_at(file: Any, start: int) -> int | None:
        looks.append(start)
        return begin if len(looks) <= 2 else records.torn_at(file, start)

    monkeypatch.setattr(filestorage, "torn_at", torn_at)
    monkeypatch.setattr(filestorage, "next_whole", lambda file, position: None)
    with MyZODB(path, read_only=True) as zodb:
        assert zodb.dbroot["one"] == 2 and len(looks) > 2
