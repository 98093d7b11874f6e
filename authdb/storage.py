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

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from transaction import TransactionManager
from ZODB.broken import Broken, find_global
from ZODB.utils import p64, u64, z64

from authdb.connections import explain, ordered, words
from authdb.exceptions import (
    AuthDBError,
    DatabaseDamaged,
    DatabaseError,
    DatabaseMissing,
    FormatError,
)
from authdb.filestorage import OneFile, Replaced, Revision, TornTail
from authdb.lookup import Lookup

__all__ = ["MyZODB", "Revision", "TornTail", "explain", "is_there"]

#: So many oids are asked for at a time, by whoever needs thousands; some are never used.
_OIDS = 256

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
    :param sealed: whether the file can be made anew, so that its changes need not be on the disk
        when they are acknowledged: see `authdb.seals`
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
        sealed: bool = False,
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
            self.storage = _storage(self.path, read_only, scratch, cut, trust, sealed)
            if not (create or read_only or scratch) and z64 not in self.storage._index:
                raise FormatError(self.path, None, 0)  # ZODB would write a new root into it
            classes = _class_of if trust else _allowed_class_of(self)
            self.db = ordered(order)(self.storage, class_factory=classes)
            self.connection: Any = self.db.open(transaction_manager)
            may_look = isinstance(self.storage, OneFile) and trust
            self._lookup = Lookup(self.storage) if may_look else None
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
        with self.damage_told():
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
        with self.damage_told():
            if isinstance(self.storage, OneFile):
                data = self.storage.data_of(revision)
            else:
                data = self.storage.loadSerial(revision.oid, revision.tid)
            return self.connection._reader.getState(data)

    @property
    def lookup(self) -> Lookup | None:
        """What looks into the records of trees; None where these are not what is shown."""
        connection = self.connection
        if self._lookup is None or connection.has_changed_trees or not connection.is_newest:
            return None
        return self._lookup

    def newest(self) -> Callable[[bytes], bytes]:
        """What gives the newest record of an object, by its oid: for whoever reads thousands."""
        if isinstance(self.storage, OneFile):
            return self.storage.newest
        return lambda oid: bytes(self.storage.load(oid)[0])

    def new_oids(self) -> Iterator[bytes]:
        """Oids that no object has, without an end: for whoever needs thousands."""
        if isinstance(self.storage, OneFile):
            while True:
                yield from map(p64, self.storage.new_oids(_OIDS))
        while True:
            yield self.connection.new_oid()

    def put(self, records: Mapping[bytes, bytes], since: bytes) -> None:
        """Have finished records written when the open transaction commits, beside the objects that
        are changed by then. What is in memory of the objects of these records is given up after
        that.

        The objects have to be the newest; see `is_newest`. Where others have changed the database
        by then, the commit fails.

        :param records: by oid
        :param since: the last transaction that there was when they were made
        """
        self.connection.put(records, since)

    @property
    def is_changed(self) -> bool:
        """Whether an object was changed in the open transaction."""
        connection = self.connection
        return bool(connection._registered_objects) or connection._savepoint_storage is not None

    @property
    def is_newest(self) -> bool:
        """Whether the objects are those of the newest transaction, but for what was changed since
        in the open one and is in memory: no savepoint, and no change by others."""
        return bool(self.connection.is_newest)

    def keep_index(self) -> None:
        """Save the index of where records are in the file, if that is due."""
        if isinstance(self.storage, OneFile):
            self.storage.keep_index()

    @contextmanager
    def state(self, tid: bytes) -> Iterator[Any]:
        """The root as it was right after the transaction ``tid``.

        :raises DatabaseDamaged: nothing is kept of that time, or it cannot be read
        """
        connection = self.db.open(TransactionManager(), before=p64(u64(tid) + 1))
        try:
            with self.damage_told():
                yield connection.root()
        finally:
            connection.close()

    @contextmanager
    def damage_told(self) -> Iterator[None]:
        """Inside, whatever reading a damaged past raises is one of our errors."""
        try:
            yield
        except (AuthDBError, MemoryError):
            raise
        except Exception as error:
            told = explain(error, self.path or "the database")
            if type(told) is DatabaseDamaged:  # it is open: so most of it can be read
                what = f"a record of it cannot be read ({words(error)}); see: authdb check"
                told = DatabaseDamaged(told.path, what)
            raise told from error

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

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


def _storage(
    path: Path | None, read_only: bool, scratch: bool, cut: bool, trust: bool, sealed: bool
) -> Any:
    if path is None:
        from ZODB.MappingStorage import MappingStorage

        return MappingStorage()
    while True:
        try:
            storage = OneFile(str(path), read_only or scratch, cut, trust, sealed)
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
