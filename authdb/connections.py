"""The connection to a ZODB database, with what ours do beyond ZODB's own.

- they have a place in the order of commit;
- what cannot be read, or written, is an error of ours that names the file;
- an object that is about to change can be refused;
- records that were made without objects are committed with the rest;
- leaves of trees, with dozens of values in them, are read and written in a fraction of the time.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from operator import lt
from pathlib import Path
from types import MappingProxyType
from typing import Any

from persistent.mapping import PersistentMapping
from ZODB._compat import PersistentUnpickler
from ZODB.Connection import Connection
from ZODB.DB import DB
from ZODB.POSException import ConflictError, POSError, ReadOnlyError
from ZODB.serialize import ObjectReader
from ZODB.utils import z64

from authdb.exceptions import (
    AuthDBError,
    DatabaseClosed,
    DatabaseDamaged,
    DatabaseError,
    DatabaseLocked,
    DatabaseMissing,
    FormatError,
)
from authdb.filestorage import OneFile
from authdb.models import Package
from authdb.nodes import loaded_plain, opened
from authdb.writers import Writer, is_plain

__all__ = ["explain", "ordered", "words"]


class _Connection(Connection):
    """A connection with a place in the commit order, and errors that name the file."""

    order = 0
    #: The class that was asked for last, and is not there. ZODB puts a stand-in in its place.
    unknown: str | None = None
    #: Asked about each object that is about to change; may refuse by raising.
    guard: Callable[[Any], None] | None = None

    def __init__(self, db: Any, *args: Any, **kw: Any) -> None:
        super().__init__(db, *args, **kw)
        self._reader = _Reader(self, self._cache, db.classFactory)
        self._writer = Writer()

    #: Finished records, by oid, that the open transaction stores; and what there was before.
    _records: Mapping[bytes, bytes] = MappingProxyType({})
    _since = z64

    def put(self, records: Mapping[bytes, bytes], since: bytes) -> None:
        """See `MyZODB.put`."""
        self._register()  # so that they are given up with the transaction, whatever comes of it
        self._records, self._since = records, since

    def _commit(self, transaction: Any) -> None:
        storage = self.db().storage
        if not isinstance(storage, OneFile) or transaction is None:  # or this is for a savepoint
            super()._commit(transaction)
            self._store_records(storage, transaction)
            return
        # Nobody can commit in between from here on.
        records = self._direct() if self.is_newest else {}
        super()._commit(transaction)
        if self._records:
            self._check_since(storage)
            records.update(self._records)
        if records:
            storage.store_all(records, transaction)
            self._storage._modified.update(records)  # whom the storage tells others of

    def _direct(self) -> dict[bytes, bytes]:
        """The records of changed objects that need neither ZODB to be made nor to be checked for
        changes by others, of which there are none. They count as stored from here on."""
        records = {}
        for obj in self._registered_objects:
            oid = obj._p_oid
            if obj._p_jar is not self or not obj._p_changed or obj._p_serial == z64:
                continue
            record = self._writer.record(obj)
            if record is not None:
                records[oid] = record
                self._modified.append(oid)
                self._noted(obj, record)
                obj._p_changed = False
        return records

    def _noted(self, obj: Any, record: bytes) -> None:
        """Note how large an object is."""
        self._cache.update_object_size_estimation(obj._p_oid, len(record))
        obj._p_estimated_size = len(record)

    def _check_since(self, storage: Any) -> None:
        if storage.lastTransaction() != self._since or not self.is_newest:
            raise ConflictError("others have changed the database meanwhile")

    def _store_records(self, storage: Any, transaction: Any) -> None:
        """Store the records that were made without objects, one by one."""
        if self._records:
            self._check_since(storage)
        for oid, record in self._records.items():
            try:
                serial = storage.getTid(oid)
            except KeyError:
                serial = z64
            self._storage.store(oid, serial, record, "", transaction)

    def _store_objects(self, writer: Any, transaction: Any) -> None:
        super()._store_objects(self._writer.instead_of(writer), transaction)

    #: Called where objects were put back as they were before in the open transaction, or before it.
    taken_back: Callable[[], None] | None = None

    def _abort(self) -> None:
        # Of the whole transaction, or back to a savepoint.
        super()._abort()
        if self.taken_back is not None:
            self.taken_back()

    def _tpc_cleanup(self) -> None:
        # The end of every transaction, whether it was finished or given up.
        super()._tpc_cleanup()
        self.has_changed_trees = False
        if self._records:
            records, self._records = self._records, type(self)._records
            self._cache.invalidate(list(records))

    def sortKey(self) -> str:
        # ZODB's own key begins with the file's path, so "catalog.fs" would finish before
        # "data.fs", and a crash between the two would leave an index of objects never stored.
        return f"{self.order}:{super().sortKey()}"

    def register(self, obj: Any) -> None:
        if self.guard is not None:
            self.guard(obj)
        super().register(obj)
        self.has_changed_trees |= type(obj).__module__.startswith("BTrees.")

    def _set_package(self, obj: Package) -> bool:
        """Read a package in a fifth of the time that ZODB takes, which is prepared for references
        in what it reads, and for changes by others meanwhile.

        :returns: whether that could be done
        """
        storage, its = self.db().storage, self._storage
        if self.before is not None or its is not self._normal_storage:
            return False
        if not (isinstance(storage, OneFile) and storage.trust):
            return False
        record, tid = storage.newest_of(obj._p_oid)
        if tid >= its._start:
            return False
        try:
            obj.__setstate__(loaded_plain(record, Package))
        except Exception:  # ZODB tells what is wrong with it
            return False
        obj._p_serial = tid
        self._load_count += 1
        self._noted(obj, record)
        return True

    #: Whether a part of a tree was changed in the open transaction.
    has_changed_trees = False

    @property
    def is_newest(self) -> bool:
        """Whether what is shown is what the storage has, but for objects that were changed since in
        the open transaction."""
        return (
            self.before is None
            and self._savepoint_storage is None
            and self._storage._start > self.db().storage.lastTransaction()
        )

    def package(self, oid: bytes) -> Any:
        """The object that has this oid, which is likely to be a package.

        :raises DatabaseDamaged: it is none, or cannot be read
        """
        found = self._cache.get(oid)
        if found is None:
            found = Package.__new__(Package)
            self._cache.new_ghost(oid, found)
            try:
                found._p_activate()
            except BaseException:
                del self._cache[oid]  # what leads to it says of which class it is
                raise
        return found

    def setstate(self, obj: Any) -> None:
        # The one place through which every stored object is read.
        path = self.db().storage.getName() if self.opened else "the database"
        if not self.opened:
            raise DatabaseClosed(path, "it was closed, so nothing more can be read from it")
        self.unknown = None
        try:
            if type(obj) is Package and self._set_package(obj):
                return
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
                f"{what} cannot be read ({words(error.__cause__ or error)}); see: authdb check",
            ) from error


class _Reader(ObjectReader):
    """Makes the stand-ins for what an object leads to: a leaf of a tree has dozens of them, and
    they are most of the time that it takes to read one."""

    def _get_unpickler(self, pickle: bytes) -> Any:
        def find_global(module: str, name: str) -> Any:
            return self._factory(self._conn, module, name)

        return PersistentUnpickler(find_global, self._persistent_load, opened(pickle))

    def _persistent_load(self, reference: Any) -> Any:
        if type(reference) is tuple and type(reference[0]) is bytes:
            oid, kind = reference
            found = self._cache.get(oid)
            if found is not None:
                return found
            if is_plain(kind):
                ghost = kind.__new__(kind)
                self._cache.new_ghost(oid, ghost)
                return ghost
        return super()._persistent_load(reference)


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


def ordered(order: int) -> type[DB]:
    """The subclass of DB whose connections have that order.

    ``klass`` has to be in the class: DB() itself opens, and pools, a first connection.
    """
    if order not in _databases:
        connection = type("Connection", (_Connection,), {"order": order})
        _databases[order] = type("DB", (DB,), {"klass": connection})
    return _databases[order]


# -- errors ------------------------------------------------------------------------------------


def _holder(path: Path) -> int | None:
    """The pid in the lock file; only to be believed while the lock is held."""
    try:
        found = re.search(r"\d+", Path(f"{path}.lock").read_text(errors="replace")[:40])
    except OSError:
        return None
    return int(found[0]) if found else None


def words(error: BaseException) -> str:
    """What an error says, as one line."""
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
    if isinstance(error, ConflictError):
        return DatabaseError(
            path, "others have changed it meanwhile: nothing was written; try again"
        )
    if isinstance(error, _OF_DAMAGE) or (
        type(error).__module__ in ("_pickle", "pickle", "struct", "ZODB.FileStorage.format")
    ):
        return DatabaseDamaged(path, f"it cannot be read as a database ({words(error)})")
    return DatabaseError(path, words(error))
