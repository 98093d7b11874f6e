"""`MyZODB`: one ZODB database, opened by its path, closed for sure.

What it adds to `ZODB.DB`:

- an order of commit: of two databases in one transaction, the one opened with the lower ``order``
  finishes first (ZODB itself goes by the files' names);
- errors that say which file, and what to do;
- nothing left open when opening fails half-way;
- past states, shown by the same connection;
- scratch databases: changes to a file that stay in memory;
- files from strangers: scanned first, and held to an allow-list;
- a torn tail is cut off only if nothing whole is in it.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import lt
from pathlib import Path
from types import TracebackType
from typing import Any

from persistent.mapping import PersistentMapping
from transaction import TransactionManager
from ZODB.broken import Broken, find_global
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.POSException import POSError, ReadOnlyError
from ZODB.utils import p64, u64, z64

from authdb.exceptions import (
    AuthDBError,
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseError,
    DatabaseLocked,
    DatabaseMissing,
    FormatError,
)
from authdb.filestorage import OneFile, Replaced, Revision, TornTail

__all__ = ["MyZODB", "Revision", "TornTail", "explain", "is_there"]

# What ZODB logs about a torn tail or a stale index comes as one of our errors, or is mended.
# A program that configures logging still gets it; Python's last resort, standard error, does not.
for _name in ("ZODB", "txn", "zc.lockfile"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class MyZODB:
    """One ZODB database and a connection to it.

    :param path: the file; None keeps everything in memory
    :param read_only: open a frozen snapshot, beside a writer if need be; creates nothing
    :param scratch: as read-only, but it can be changed: what changes is kept in memory
    :param create: whether a file that is missing is made (never when read-only)
    :param transaction_manager: as `ZODB.DB.open` takes it; None is the thread's own, the one
        that ``transaction.commit()`` commits
    :param order: which of several databases finishes a shared transaction first (0 to 9)
    :param cut: whether half a transaction at the end, as a crash leaves it, may be cut off (it
        is kept beside, in a file that ends in .tr0)
    :param trust: whether the file was made by someone who may run code here. Else it is opened
        read-only, without its index, after a scan for all that it would import
    :raises DatabaseMissing: no such file, or no folder to make it in
    :raises DatabaseLocked: another process has it open for writing
    :raises DatabaseDamaged: the file is not a FileStorage, or not a whole one
    :raises TornTail: it ends in half a transaction, and ``cut`` is false
    :raises UnsafeFile: it would run code, and ``trust`` is false
    :raises DatabaseError: no permission, no room, or anything else the system says

    Attributes: ``storage``, ``db``, ``connection``, ``dbroot`` (the root mapping), ``path``
    (a `Path` or None). It is a context manager; leaving the block closes it.

    >>> with MyZODB(None) as zodb:
    ...     zodb.dbroot["answer"] = 42
    ...     zodb.connection.transaction_manager.commit()
    ...     zodb.dbroot["answer"]
    42
    """

    def __init__(
        self,
        path: str | Path | None,
        *,
        read_only: bool = False,
        scratch: bool = False,
        create: bool = True,
        transaction_manager: Any = None,
        order: int = 0,
        cut: bool = True,
        trust: bool = True,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.read_only = read_only = read_only or not trust
        self._closed = False
        if self.path is not None:
            _look(self.path, must_exist=read_only or scratch or not create)
            if not (create or read_only or scratch) and not self.path.stat().st_size:
                raise FormatError(self.path, None, 0)  # ZODB would make it one of its own
        self.storage: Any = None
        try:
            self.storage = _storage(self.path, read_only, scratch, cut, trust)
            if not (create or read_only or scratch) and z64 not in self.storage._index:
                raise FormatError(self.path, None, 0)  # ZODB would write a new root into it
            classes = _class_of if trust else _allowed_class_of(self)
            self.db = _ordered(order)(self.storage, class_factory=classes)
            self.connection: Any = self.db.open(transaction_manager)
            self.dbroot: Any = self.connection.root()
            self.dbroot._p_activate()  # a root that cannot be read is found out here
        except BaseException as error:
            if self.storage is not None:
                self.storage.close()
            if isinstance(error, Exception):
                raise explain(error, self.path) from error
            raise

    def show(self, before: bytes) -> None:
        """Show, for reading only, the state before the transaction id ``before``.

        :raises KeyError: there is none (ZODB's POSKeyError), as before the first change, or the
            last pack
        """
        # ZODB refuses moments that are still to come: they are now.
        now = before > self.storage.lastTransaction()
        manager = self.connection.transaction_manager
        connection = self.db.open(manager, before=None if now else before)
        try:
            root = connection.root()
            root._p_activate()
        except BaseException:
            connection.close()
            raise
        self.connection.close()
        self.connection, self.dbroot = connection, root

    def step_back(self) -> None:
        """Show, for reading only, the state before the last change of the root.

        :raises KeyError: see `show`
        """
        self.show(self.dbroot._p_serial)

    def revisions(self, oid: bytes = z64, size: int | None = None) -> list[Revision]:
        """The revisions of an object (the root if not given) up to the state shown, the newest
        first.

        :param size: how many at most; None for all
        :raises KeyError: there is no such object (ZODB's POSKeyError)
        """
        before = self.connection.before
        # The storage counts from its own newest one.
        most = size if size is not None and before is None else 2**62
        with self._damage_told():
            if isinstance(self.storage, OneFile):
                found = self.storage.revisions(oid, most)
            else:
                found = [
                    Revision(oid, each["tid"], each["user_name"], each["description"])
                    for each in self.storage.history(oid, most)
                ]
        return [each for each in found if before is None or each.tid < before][:size]

    def state_of(self, revision: Revision) -> Any:
        """What the object of a revision had for its state, as its ``__setstate__`` takes it; other
        objects in it are those of the state shown."""
        with self._damage_told():
            if isinstance(self.storage, OneFile):
                data = self.storage.data_of(revision)
            else:
                data = self.storage.loadSerial(revision.oid, revision.tid)
            return self.connection._reader.getState(data)

    @contextmanager
    def state(self, tid: bytes) -> Iterator[Any]:
        """The root as it was right after the transaction ``tid``.

        :raises DatabaseDamaged: nothing is kept of that time, or it cannot be read
        """
        connection = self.db.open(TransactionManager(), before=p64(u64(tid) + 1))
        try:
            with self._damage_told():
                yield connection.root()
        finally:
            connection.close()

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Inside, whatever reading a damaged past raises is one of our errors."""
        try:
            yield
        except (AuthDBError, MemoryError):
            raise
        except Exception as error:
            raise explain(error, self.path or "the database") from error

    def close(self) -> None:
        """Give up what is not committed, and close. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        manager = self.connection.transaction_manager
        if manager is not None:
            manager.abort()
        self.db.close()

    def __enter__(self) -> MyZODB:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed " if self._closed else "read-only " if self.read_only else ""
        return f"<{state}MyZODB {self.path or 'in memory'}>"


class _Connection(Connection):
    """A connection with a place in the commit order, and errors that name the file."""

    order = 0
    #: The class that was asked for last, and is not there. ZODB puts a stand-in in its place.
    unknown: str | None = None
    #: Asked about each object that is about to change; may refuse by raising.
    guard: Callable[[Any], None] | None = None

    def sortKey(self) -> str:
        # ZODB's own key begins with the file's path, so "catalog.fs" would finish before
        # "data.fs", and a crash between the two would leave an index of objects never stored.
        return f"{self.order}:{super().sortKey()}"

    def register(self, obj: Any) -> None:
        if self.guard is not None:
            self.guard(obj)
        super().register(obj)

    def setstate(self, obj: Any) -> None:
        # The one place through which every stored object is read.
        path = self.db().storage.getName() if self.opened else "the database"
        if not self.opened:
            raise DatabaseClosed(path, "it was closed, so nothing more can be read from it")
        self.unknown = None
        try:
            super().setstate(obj)
            if self.unknown is not None and type(obj) is not PersistentMapping:
                obj._p_invalidate()
                raise ValueError(f"there is no class {self.unknown}")
            if not self.order and not _is_ordered(obj):
                # With one key out of order others are not found, and a change may lose them.
                obj._p_invalidate()
                raise ValueError("its keys are out of order")
        except OSError as error:  # the disk's trouble of the moment, not the record's
            raise explain(error, path) from error
        except MemoryError:
            raise
        except Exception as error:
            what = f"the {type(obj).__name__} 0x{int.from_bytes(obj._p_oid, 'big'):x}"
            raise DatabaseDamaged(
                path,
                f"{what} cannot be read ({_words(error.__cause__ or error)}); see: authdb check",
            ) from error


def _is_ordered(node: Any) -> bool:
    """Whether the keys in a node of a tree ascend; true of all other objects."""
    kind = type(node).__name__
    if not kind.endswith(("BTree", "Bucket", "Set")):
        return True
    state = node.__getstate__()
    if kind.endswith(("BTree", "TreeSet")):
        if state is None:
            return True
        if len(state) > 1:  # child, key, child, ..., and the first bucket
            return _ascend(state[0][1::2])
        state = state[0][0]  # the only bucket, within the tree
    return _ascend(state[0] if kind.endswith("Set") else state[0][::2])


def _ascend(keys: tuple[Any, ...]) -> bool:
    return all(map(lt, keys, keys[1:]))


_databases: dict[int, type[DB]] = {}


def _ordered(order: int) -> type[DB]:
    """The subclass of DB whose connections have that order.

    ``klass`` has to be in the class: DB() itself opens, and pools, a first connection.
    """
    if order not in _databases:
        connection = type("Connection", (_Connection,), {"order": order})
        _databases[order] = type("DB", (DB,), {"klass": connection})
    return _databases[order]


def _storage(path: Path | None, read_only: bool, scratch: bool, cut: bool, trust: bool) -> Any:
    if path is None:
        from ZODB.MappingStorage import MappingStorage

        return MappingStorage()
    while True:
        try:
            storage = OneFile(str(path), read_only or scratch, cut, trust)
            break
        except Replaced:
            continue
        except FileNotFoundError:
            if not ((read_only or scratch) and is_there(path)):
                raise
    if not trust:
        _scan(storage, path)
    if scratch:
        from ZODB.DemoStorage import DemoStorage

        return DemoStorage(base=storage)
    return storage


def _scan(storage: Any, path: Path) -> None:
    from authdb.scanning import scan, scan_trees

    try:
        scan(storage._file, path)
        scan_trees(storage, path)
    except BaseException:
        storage.close()
        raise


def _class_of(connection: Any, module: str, name: str) -> Any:
    found = find_global(module, name)
    if isinstance(found, type) and issubclass(found, Broken):
        connection.unknown = f"{module}.{name}"[:80]
    return found


def _allowed_class_of(database: MyZODB) -> Callable[[Any, str, str], Any]:
    """A second line of defence, should a stranger's file be changed after it was scanned."""
    from authdb.scanning import allow_list

    return allow_list(database.path)


def _look(path: Path, must_exist: bool) -> None:
    """Say early and plainly what FileStorage would stumble over."""
    try:
        if must_exist and not is_there(path):
            raise DatabaseMissing(path, "there is no such file")
        if not path.parent.is_dir():
            raise DatabaseMissing(path, f"there is no folder {path.parent}")
        if path.is_dir():
            raise DatabaseError(path, "this is a folder, a file belongs here")
    except (OSError, ValueError) as error:
        raise explain(error, path) from error


def is_there(path: Path) -> bool:
    """Whether there is such a file.

    A pack ends with two renames, and between them, for an instant, there is none of that name:
    that instant is waited out. After a crash just then, a second is.
    """
    for _ in range(100):
        if path.exists():
            return True
        if not all(Path(f"{path}{suffix}").exists() for suffix in (".old", ".pack")):
            return path.exists()  # it may have come since the first look
        time.sleep(0.01)
    return False


def _holder(path: Path) -> int | None:
    """The pid in the lock file; only to be believed while the lock is held."""
    try:
        found = re.search(r"\d+", Path(f"{path}.lock").read_text(errors="replace")[:40])
    except OSError:
        return None
    return int(found[0]) if found else None


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160].rstrip(": ")


# What reading a damaged file ends in.
_OF_DAMAGE = (
    POSError,
    ValueError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    TypeError,
)


def explain(error: Exception, path: object) -> AuthDBError:
    """What went wrong with the file at ``path``, as one of our errors."""
    from zc.lockfile import LockError

    if isinstance(error, AuthDBError):
        return error
    if isinstance(error, LockError):
        return DatabaseLocked(path, _holder(Path(str(path))))
    if isinstance(error, ReadOnlyError):
        return FormatError(path, None, 0)  # a file without a root: nothing was ever stored
    if isinstance(error, OSError):
        if error.errno == errno.ENOENT:
            return DatabaseMissing(path, "there is no such file")
        what = {
            errno.EACCES: "no permission: see who owns the folder and its files",
            errno.EPERM: "no permission: see who owns the folder and its files",
            errno.EROFS: "the file system is read-only",
            errno.ENOSPC: "the disk is full: make room and try again",
            errno.EDQUOT: "the disk quota is used up: make room and try again",
            errno.EFBIG: "the file would be larger than the system allows",
        }.get(error.errno or 0)
        return DatabaseError(path, what or f"the system says: {error.strerror or error}")
    if isinstance(error, _OF_DAMAGE) or (
        type(error).__module__ in ("_pickle", "pickle", "struct", "ZODB.FileStorage.format")
    ):
        return DatabaseDamaged(path, f"it cannot be read as a database ({_words(error)})")
    return DatabaseError(path, _words(error))
