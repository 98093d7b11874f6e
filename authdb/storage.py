"""`MyZODB`: one ZODB database, opened by its path, closed for sure.

What it adds to `ZODB.DB`:

- an order of commit: of two databases in one transaction, the one opened with the lower ``order``
  finishes first (ZODB itself goes by the files' names);
- errors that say which file, and what to do;
- nothing left open when opening fails half-way;
- scratch databases: changes to a file that stay in memory.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from persistent.TimeStamp import TimeStamp
from ZODB._compat import FILESTORAGE_MAGIC
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSError, ReadOnlyError
from ZODB.utils import u64, z64

from authdb.exceptions import (
    AuthDBError,
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseError,
    DatabaseLocked,
    DatabaseMissing,
    FormatError,
)

__all__ = ["MyZODB", "explain"]

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
    :raises DatabaseMissing: no such file, or no folder to make it in
    :raises DatabaseLocked: another process has it open for writing
    :raises DatabaseDamaged: the file is not a FileStorage, or not a whole one
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
    ) -> None:
        self.path = None if path is None else Path(path)
        self.read_only = read_only
        self._closed = False
        if self.path is not None:
            _look(self.path, must_exist=read_only or scratch or not create)
        self.storage: Any = None
        try:
            self.storage = _storage(self.path, read_only, scratch)
            self.db = _ordered(order)(self.storage)
            self.connection: Any = self.db.open(transaction_manager)
            self.dbroot: Any = self.connection.root()
            self.dbroot._p_activate()  # a root that cannot be read is found out here
        except BaseException as error:
            if self.storage is not None:
                self.storage.close()
            if isinstance(error, Exception):
                raise explain(error, self.path) from error
            raise

    def step_back(self) -> None:
        """Show, for reading only, the state before the last change of the root.

        :raises KeyError: there is none (ZODB's POSKeyError), as after a pack
        """
        before = self.dbroot._p_serial
        manager = self.connection.transaction_manager
        self.connection.close()
        self.connection = self.db.open(manager, before=before)
        self.dbroot = self.connection.root()
        self.dbroot._p_activate()

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
        try:
            super().setstate(obj)
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


_databases: dict[int, type[DB]] = {}


def _ordered(order: int) -> type[DB]:
    """The subclass of DB whose connections have that order.

    ``klass`` has to be in the class: DB() itself opens, and pools, a first connection.
    """
    if order not in _databases:
        connection = type("Connection", (_Connection,), {"order": order})
        _databases[order] = type("DB", (DB,), {"klass": connection})
    return _databases[order]


class _FileStorage(FileStorage):
    """A FileStorage that closes what it has opened when its constructor fails, and that knows
    its last transaction after a torn one was cut off."""

    _file: Any = None
    _tfile: Any = None
    _files: Any = None

    def __init__(self, path: str, read_only: bool) -> None:
        try:
            super().__init__(path, read_only=read_only)
            # Its own idea of the last transaction is the torn one: with the zeros that a power
            # failure can leave there, nothing could be read, and with garbage the next one would
            # be dated in any year.
            self._ltid = self._last_whole_transaction()
            self._ts = TimeStamp(self._ltid)
        except BaseException:
            for opened in (self._file, self._tfile, self._files, getattr(self, "_lock_file", None)):
                if opened is not None:
                    opened.close()
            raise

    def close(self) -> None:
        for file in (self._file, self._tfile):
            if file is not None:
                # On a full disk it cannot be flushed: what is left in it was never committed.
                with suppress(OSError):
                    file.close()
        super().close()

    def _last_whole_transaction(self) -> bytes:
        if self._pos <= len(FILESTORAGE_MAGIC):
            return bytes(z64)
        self._file.seek(self._pos - 8)  # each one ends with its length
        self._file.seek(self._pos - 8 - u64(self._file.read(8)))
        return bytes(self._file.read(8))


def _storage(path: Path | None, read_only: bool, scratch: bool) -> Any:
    if path is None:
        from ZODB.MappingStorage import MappingStorage

        return MappingStorage()
    storage = _FileStorage(str(path), read_only or scratch)
    if scratch:
        from ZODB.DemoStorage import DemoStorage

        return DemoStorage(base=storage)
    return storage


def _look(path: Path, must_exist: bool) -> None:
    """Say early and plainly what FileStorage would stumble over."""
    try:
        if must_exist and not path.exists():
            raise DatabaseMissing(path, "there is no such file")
        if not path.parent.is_dir():
            raise DatabaseMissing(path, f"there is no folder {path.parent}")
        if path.is_dir():
            raise DatabaseError(path, "this is a folder, a file belongs here")
    except (OSError, ValueError) as error:
        raise explain(error, path) from error


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
