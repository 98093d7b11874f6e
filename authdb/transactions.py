"""How an open pair is changed: guarded, indexed, and then committed to both files, or forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from authdb import beside
from authdb.changes import Changes, Edited
from authdb.columns import Columns
from authdb.exceptions import (
    AuthDBError,
    DatabaseClosed,
    DatabaseError,
    DatabaseReadOnly,
    InvalidValue,
    PackageExists,
    PackageNotFound,
)
from authdb.files import CATALOG_FILE, OBJECTS_FILE
from authdb.lengths import Lengths, Texts
from authdb.models import Package, package_of
from authdb.pairing import Pair
from authdb.storage import explain

if TYPE_CHECKING:
    from authdb.building import Progress

__all__ = ["Session", "Transaction", "storable", "user"]


class Session:
    """An open `Pair`, and the transaction that is open in it, if any.

    Attributes: ``pair``; ``changes`` (the open transaction's, or None); ``closed``.
    """

    def __init__(self, pair: Pair) -> None:
        self.changes: Changes | None = None
        self.closed = False
        self._refused: list[Any] = []
        self.take(pair)

    def take(self, pair: Pair) -> None:
        """Work on ``pair`` from now on."""
        self.pair = pair
        self._refused.clear()
        self._columns: tuple[Changes, int, Columns | None, Columns | None] | None = None
        self._texts = Texts()
        for database in (pair.objects, pair.catalogs):
            assert database is not None
            database.connection.guard = self._guard
            database.connection.taken_back = self._taken_back

    @property
    def path(self) -> Path | None:
        """The folder; None in memory."""
        return self.pair.folder

    @property
    def root(self) -> Any:
        """The objects' root mapping.

        :raises DatabaseClosed: it was closed
        """
        if self.closed:
            raise DatabaseClosed(self.path or "the database", "it was closed; open it again")
        while self._refused:
            self._refused.pop()._p_invalidate()
        return self.pair.root

    def writable(self) -> None:
        """
        :raises DatabaseReadOnly: it was opened for reading
        """
        self.root  # noqa: B018 - raises where it is closed
        if self.pair.read_only:
            raise DatabaseReadOnly(self.path, "it was opened for reading only")

    def close(self) -> None:
        """Close both files, giving up an open transaction. Closing again does nothing."""
        if not self.closed:
            self.closed = True
            try:
                if not (self.pair.read_only or self.changes):
                    self.pair.renew_columns()
            finally:
                self.pair.close()

    # -- columns -----------------------------------------------------------------------------

    def columns(self) -> Columns | None:
        """The columns, in which all that the open transaction has touched is dirty too; None where
        there are none, and the trees have to answer."""
        changes = self.changes
        found = self.pair.columns(may_make=changes is None)
        if found is None or changes is None or not changes.docids:
            return found
        count = len(changes.docids)
        kept = self._columns
        if kept is None or kept[0] is not changes or kept[1] != count or kept[2] is not found:
            dirty = found.dirty | changes.docids
            mixed = found.with_dirty(dirty) if len(dirty) <= beside.few(found.size) else None
            kept = self._columns = changes, count, found, mixed
        return kept[3]

    @property
    def no_columns(self) -> str:
        """Why there are no columns, in words."""
        return self.pair.beside.why or "too much was changed in this transaction"

    def lengths(self, name: str, okapi: Any) -> Lengths | None:
        """The lengths of texts that are kept of an index; None in a transaction, which may change
        them at any time."""
        if self.changes is not None:
            return None
        root = self.pair.root
        return self._texts.at((root["generation"], root["token"]), name, okapi)

    def drop_columns(self) -> None:
        """Do without the columns that there are: they were found to be damaged."""
        self.pair.beside.drop()

    def waited(self, seconds: float) -> None:
        """Note that a question took so long because there were no columns."""
        self.pair.beside.waited(seconds)

    # -- changing ----------------------------------------------------------------------------

    def locate(self, name: str) -> tuple[int, Package] | None:
        """The docid of the package called ``name``, and the package; None where there is none."""
        root = self.root
        docids, packages = root["docids"], root["packages"]
        objects: Any = self.pair.objects
        lookup = objects.lookup
        if lookup is not None:
            with suppress(Exception):  # whatever is wrong is told by the trees themselves
                docid = lookup.number(docids._p_oid, type(docids), name)
                oid = lookup.likely(packages._p_oid, type(packages), docid)
                package = objects.connection.package(oid)
                if type(package) is Package and package.name == name:
                    return docid, package
        found = docids.get(name)
        return None if found is None else (int(found), packages[found])

    @contextmanager
    def change(self, note: str) -> Iterator[Changes]:
        """The open transaction, or else one for this change alone."""
        self.writable()
        if self.changes is None:
            with Transaction(self, note) as changes:
                yield changes
            return
        changes = self.changes
        try:
            yield changes
        except (PackageExists, PackageNotFound, InvalidValue):
            raise  # nothing was touched yet
        except BaseException:
            changes.broken = True
            raise

    def _guard(self, obj: Any) -> None:
        """Called by ZODB when a stored object changes."""
        if self.changes is None:
            # BTrees say so when they have changed in memory: that is undone before the next use.
            self._refused.append(obj)
            raise DatabaseReadOnly(
                self.path or "the database",
                "changes are made with add, update, remove, or inside `with db.transaction():`"
                if not self.pair.read_only
                else "it was opened for reading only",
            )
        if isinstance(obj, Package):
            self.changes.edited.setdefault(id(obj), Edited(obj))

    def _taken_back(self) -> None:
        """Called by ZODB when objects were put back as they were."""
        if self.changes is not None:
            self.changes.take_back()

    def index_edited(self) -> None:
        """Index the packages whose fields were set in the open transaction."""
        for docid, package, indexed in self._edits():
            only = None if indexed is None else _changed_fields(indexed, package)
            self.pair.catalog.reindex_doc(docid, package, only=only)

    def _edits(self) -> list[tuple[int, Package, dict[str, Any] | None]]:
        """The packages that are to be indexed anew, with their docids and what is indexed of them
        now; from here on they count as indexed."""
        found: list[tuple[int, Package, dict[str, Any] | None]] = []
        if self.changes is None or not (self.changes.edited or self.changes.unsure):
            return found
        moved = self._has_moved or self.changes.taken_back
        for key, (package, indexed, docid) in list(self.changes.edited.items()):
            package._p_activate()  # after a savepoint ZODB may have let go of what it holds
            if vars(package) == indexed:
                continue
            if docid is None or moved:
                docid = self._docid_of(package)
            if docid is not None:
                self.changes.docids.add(docid)
                found.append((docid, package, indexed))
            self.changes.edited[key] = Edited(package, dict(vars(package)), docid)
        return found + self._unsure({docid for docid, _, _ in found})

    def _unsure(self, known: set[int]) -> list[tuple[int, Package, None]]:
        """Of the packages that were put back those that are there and not ``known``, to be indexed
        whatever is indexed of them; of those that are not there any longer, nothing is left."""
        assert self.changes is not None
        unsure, self.changes.unsure = self.changes.unsure, set()
        packages, end = self.root["packages"], self.root["next_docid"] if unsure else 0
        self.changes.docids -= {docid for docid in unsure if docid >= end}
        there = [docid for docid in sorted(unsure - known) if docid < end and docid in packages]
        for docid in there:
            package = packages[docid]
            package._p_activate()
            self.changes.edited[id(package)] = Edited(package, dict(vars(package)), docid)
        return [(docid, packages[docid], None) for docid in there]

    @property
    def _has_moved(self) -> bool:
        """Whether packages may have come or gone in the open transaction."""
        assert self.pair.objects is not None
        moved: bool = self.pair.objects.connection.has_changed_trees
        return moved

    def _docid_of(self, package: Package) -> int | None:
        """The docid of a package; None where it is not, or no longer, one of the catalogue."""
        located = self.locate(package.name)
        return located[0] if located is not None and located[1] is package else None

    def _index_at_last(self) -> None:
        """As `index_edited`, right before the commit, past the objects of the trees."""
        pair = self.pair
        assert pair.objects is not None and pair.catalogs is not None
        # Where trees were changed in memory, what they have become is not in their records. And
        # what others have changed meanwhile is for ZODB to see, object by object.
        if pair.catalogs.is_changed or not pair.catalogs.is_newest:
            self.index_edited()
            return
        edits = {docid: (package, indexed) for docid, package, indexed in self._edits()}
        if not edits:
            return
        from authdb.grafting import Graft  # not needed by those who only read
        from authdb.reindexing import index_all

        states = {docid: (old, vars(package)) for docid, (package, old) in sorted(edits.items())}
        catalogs = Graft(pair.catalogs)
        with pair.catalogs.damage_told():
            index_all(catalogs, pair.catalog, states)
        catalogs.put()

    # -- committing --------------------------------------------------------------------------

    def commit(self, note: str | None) -> bool:
        """Write what the open transaction has done.

        :returns: whether it has done anything; if so, it has ended
        """
        assert self.changes is not None
        self.root  # noqa: B018 - raises where it was closed meanwhile
        if self.changes.broken:
            raise AuthDBError("a change failed half-way: nothing of this transaction is written")
        if self.changes.merged is None:
            self._index_at_last()
        if not self.changes.docids and not self.changes.about:
            return False
        pair = self.pair
        pair.advance(self.changes.kinds(pair.root["packages"], self._has_moved))
        transaction = pair.manager.get()
        transaction.note(storable(note or "changed by a program"))
        transaction.user = storable(user())
        self._finish((pair.root["generation"], pair.root["token"]))
        return True

    def rebuild(self, progress: Progress | None = None) -> None:
        """Put a new catalog in place of the old one, and write it.

        :param progress: called where it can take a while
        """
        with Transaction(self, None):
            try:
                self.pair.rebuild(progress=progress)
            except BaseException:
                if self.pair.catalogs is not None and self.pair.catalogs.closed:
                    self._reopen()  # the old one was given up, and no new one opened
                raise
            self.take(self.pair)  # it may have another catalog now
            self.pair.manager.get().note("rebuilt the catalog")
            self._finish(None)

    def renew(self) -> None:
        """Make the file of the catalog anew, and do without the indexes that ZODB keeps of where
        records are: all of these follow from the objects."""
        self.writable()
        assert self.path is not None
        self.pair.close()
        for file in (f"{OBJECTS_FILE}.index", CATALOG_FILE, f"{CATALOG_FILE}.index"):
            (self.path / file).unlink(missing_ok=True)
        self._reopen()

    @contextmanager
    def past_the_connections(self) -> Iterator[None]:
        """Inside, the storage of the objects gets one change at most, by its own two-phase commit,
        and the catalog that goes with it. If that fails half-way, find out how far it got."""
        self.writable()
        if self.changes is not None:
            raise AuthDBError("a transaction is open already, and this is to be one of its own")
        generation, storage = self.root["generation"], self.pair.objects.storage  # type: ignore[union-attr]
        before = storage.lastTransaction()
        try:
            yield
        except BaseException as error:
            finished = storage.lastTransaction() != before
            if self.path is None:
                self.pair.forget()
                if finished:
                    self.rebuild()
            elif finished or storage._file.closed:
                self._reopen()  # which heals the catalog
            else:
                self.pair.forget()
            kept = finished and self.root["generation"] == generation + 1
            if not (kept and isinstance(error, Exception)):
                raise
        self.pair.manager.abort()  # from here on the connections show it
        self.take(self.pair)

    def _finish(self, mark: tuple[int, str] | None) -> None:
        """Commit the state ``mark``, or a new catalog of the same one; if that fails half-way,
        find out how far it got."""
        pair = self.pair
        before = pair.objects.storage.lastTransaction()  # type: ignore[union-attr]
        try:
            pair.manager.commit()
        except BaseException as error:
            pair.manager.abort()
            kept = self._was_kept(mark, before)
            if not isinstance(error, Exception):
                raise  # Ctrl-C, whether the change was kept or not
            if not kept:
                raise explain(error, self.path or "the database") from error
        else:
            for database in (pair.objects, pair.catalogs):
                database.keep_index()  # type: ignore[union-attr]

    def _was_kept(self, mark: tuple[int, str] | None, before: bytes) -> bool:
        """Whether the change that failed to commit is on disk all the same."""
        objects, catalogs = self.pair.objects, self.pair.catalogs
        assert objects is not None and catalogs is not None
        if self.path is None:
            return False
        finished: bool = objects.storage.lastTransaction() != before
        # A FileStorage closes itself when its finish fails; then it cannot tell.
        if not (finished or objects.storage._file.closed or catalogs.storage._file.closed):
            return False
        # The second phase failed: the files may be apart, as after a crash. Do as then.
        self._reopen()
        # If not finished, they may show the change, but the disk has not promised to keep it.
        return finished and (self.root["generation"], self.root["token"]) == mark

    def _reopen(self) -> None:
        self.pair.close()
        try:
            pair = Pair(self.path)
        except BaseException as error:
            self.closed = True
            if isinstance(error, Exception):
                raise DatabaseError(
                    self.path,
                    "it could not be opened again, and is closed; the next open heals it if it "
                    "can: " + str(explain(error, self.path)),
                ) from error
            raise
        self.take(pair)


class Transaction:
    """The block of a ``with`` whose changes are written together when it is left, or not at all.

    A class, not a generator function with `contextlib.contextmanager`: an interrupt between the
    calls within that one's exit would leave the transaction open for good.
    """

    def __init__(self, session: Session, note: str | None) -> None:
        self._session, self._note = session, note

    def __enter__(self) -> Changes:
        session = self._session
        session.writable()
        if session.changes is not None:
            raise AuthDBError("a transaction is open already; changes go into that one")
        changes = session.changes = Changes()
        return changes

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session, failed, written = self._session, True, False
        try:
            if kind is None:
                written = session.commit(self._note)
                failed = False
        finally:
            session.changes = None
            if not (written or session.closed):
                end = session.pair.forget if failed else session.pair.manager.abort
                end()


def _changed_fields(indexed: dict[str, Any], package: Package) -> list[str]:
    return package_of(indexed).differs_from(package)


def storable(text: str) -> str:
    """``text`` as ZODB stores it beside a transaction: UTF-8, of at most 65,535 bytes."""
    return text.encode("utf-8", "replace")[:60_000].decode("utf-8", "ignore")


def user() -> str:
    """Who makes the changes."""
    said = os.environ.get("LOGNAME") or os.environ.get("USER")
    return said or _user_of(getattr(os, "getuid", os.getpid)())


@lru_cache(maxsize=1)
def _user_of(_: int) -> str:
    # It reads the password database each time.
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user, as in some containers
        return "unknown"
