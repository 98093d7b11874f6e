"""Two databases as one: the objects, and the catalog that is derived from them.

Each change is one transaction over both files, and the objects finish first. Since a crash can
fall between the two finishes, both roots carry a generation (an int that each change raises by
one) with a random token, and the objects' root a short journal of the docids that the last
generations touched. Whoever opens the pair compares the two, and brings a catalog that lags
behind up to date from the journal, or builds it anew, before anything else happens.

Transaction ids cannot serve for this: the two files get different ones, and a torn transaction's
id is still reported after the file was cut back.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import BTrees
from persistent.TimeStamp import TimeStamp
from transaction import TransactionManager

from authdb.catalog import CATALOG_FORMAT, PackageCatalog, new_catalog
from authdb.exceptions import (
    AuthDBWarning,
    CatalogAhead,
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    FormatError,
)
from authdb.models import FORMAT
from authdb.storage import MyZODB, explain

__all__ = [
    "CATALOG_FILE",
    "OBJECTS_FILE",
    "Pair",
    "create_objects",
    "mend_pack",
    "pack_cut_short",
]

OBJECTS_FILE = "data.fs"
CATALOG_FILE = "catalog.fs"

#: The journal reaches back this many generations, and names at most this many docids.
JOURNAL_GENERATIONS = 8
JOURNAL_DOCIDS = 1000
#: In the journal in place of docids: the change touched too many to name.
REBUILD = "rebuild"


#: What the objects' root has to have, beside its format.
_KEYS = ("uuid", "generation", "token", "journal", "packages", "docids", "next_docid")


def _new_token() -> str:
    # As secrets.token_hex(8), whose module costs each command 5 ms.
    return os.urandom(8).hex()


def _tid_of_now() -> bytes:
    now = time.time()
    return bytes(TimeStamp(*time.gmtime(now)[:5], now % 60).raw())


def _new_root(root: Any) -> None:
    """Make the mapping ``root`` that of a catalogue without packages."""
    import uuid

    token = _new_token()
    root.update(
        format=FORMAT,
        uuid=str(uuid.uuid4()),
        generation=0,
        token=token,
        journal=((0, token, ()),),
        packages=BTrees.family32.IO.BTree(),  # docid -> Package
        docids=BTrees.family32.OO.BTree(),  # name -> docid; the authority on names
        next_docid=1,
    )


def create_objects(folder: Path) -> None:
    """Make the objects file of a new database; the catalog is made when it is opened.

    :raises DatabaseExists: there is one
    """
    target = folder / OBJECTS_FILE
    there_is_one = DatabaseExists(folder, "there is a database already")
    try:
        if target.exists() or pack_cut_short(folder):
            raise there_is_one
        for left in (CATALOG_FILE, f"{OBJECTS_FILE}.old"):
            if (folder / left).exists():
                raise DatabaseDamaged(
                    folder,
                    f"{OBJECTS_FILE} is gone, though {left} is there: bring it back from a backup, "
                    "or move what is left elsewhere to begin anew",
                )
        folder.mkdir(parents=True, exist_ok=True)
        # Made under another name, then given its own: a database is there whole, or not at all.
        draft = folder / f".new-{_new_token()}.fs"
        try:
            with MyZODB(draft) as objects:
                _new_root(objects.dbroot)
                objects.connection.transaction_manager.commit()
            try:
                target.hardlink_to(draft)  # a rename would replace one made in the meantime
            except FileExistsError:
                raise there_is_one from None
            except OSError:  # a file system without such links
                draft.rename(target)
        finally:
            for leftover in folder.glob(draft.name + "*"):
                leftover.unlink()
    except OSError as error:
        raise explain(error, folder) from error


def pack_cut_short(folder: Path) -> bool:
    """Whether a crash came between the two renames that end the pack of the objects: then the
    file has its old name no longer, and the packed one not yet."""
    target = folder / OBJECTS_FILE
    return not target.exists() and all(
        Path(f"{target}{suffix}").exists() for suffix in (".old", ".pack")
    )


def mend_pack(folder: Path) -> None:
    """Bring back the file as it was before the pack that was cut short.

    :raises DatabaseLocked: the pack is not cut short, but going on
    """
    from zc.lockfile import LockError, LockFile

    target = folder / OBJECTS_FILE
    try:
        lock = LockFile(f"{target}.lock")
    except LockError as error:
        raise explain(error, target) from error
    try:
        if pack_cut_short(folder):  # still, now that nobody else writes
            Path(f"{target}.old").rename(target)
    finally:
        lock.close()


class Pair:
    """The objects and the catalog of one folder, open, and of the same generation.

    :param folder: where the two files are; None for a new pair in memory
    :param read_only: open frozen snapshots. Then no file is touched: where the catalog's file
        lags behind, it is brought up to date in memory only
    :param repair: accept that the objects lost their tail
    :raises CatalogAhead: the catalog has seen changes that the objects do not have (a reader is
        only warned)
    :raises FormatError: another version of authdb wrote the objects
    :raises DatabaseError: see `MyZODB`

    Attributes: ``objects`` and ``catalogs`` (each a `MyZODB`), ``root`` and ``catalog_root``
    (their roots), ``manager`` (the transaction manager that both follow), ``healed`` (what had
    to be done to the catalog, in words, or None), ``loss`` (for a reader: that the objects lost
    their tail, in words, or None).
    """

    def __init__(
        self, folder: Path | None, *, read_only: bool = False, repair: bool = False
    ) -> None:
        self.folder = folder
        self.read_only = read_only
        self.manager = TransactionManager()
        self.healed: str | None = None
        self.loss: str | None = None
        self.catalogs: MyZODB | None = None
        self.objects: MyZODB | None = None
        try:
            self._open()
            if read_only and self._lag_of_reader():
                # Nobody has done it since this pair is being opened, so it is left over from a
                # crash. It is done in memory, over the read-only file.
                self.close()
                self._open(scratch=True)
            self._heal(repair)
        except BaseException:
            self.close()
            raise

    @property
    def root(self) -> Any:
        """The objects' root mapping."""
        assert self.objects is not None
        return self.objects.dbroot

    @property
    def catalog_root(self) -> Any:
        """The catalog's root mapping."""
        assert self.catalogs is not None
        return self.catalogs.dbroot

    @property
    def catalog(self) -> Any:
        """The `PackageCatalog`."""
        return self.catalog_root["catalog"]

    def close(self) -> None:
        """Close both, giving up what is not committed."""
        self.manager.abort()
        for database in (self.catalogs, self.objects):
            if database is not None:
                database.close()

    def forget(self) -> None:
        """Give up what is not committed, also what ZODB was kept from noticing.

        A tree changes before it says so. Where an interrupt falls between the two, an abort
        knows nothing of the change, and a later commit could write it.
        """
        self.manager.abort()
        for database in (self.objects, self.catalogs):
            if database is not None:
                database.connection.cacheMinimize()

    @contextmanager
    def reread(self) -> Iterator[tuple[Any, Any]]:
        """The two roots as they are in the files, not as they are in memory."""
        assert self.objects is not None and self.catalogs is not None
        with ExitStack() as stack:
            roots = []
            for database in (self.objects, self.catalogs):
                before = database.connection.before  # the state shown, if stepped back
                connection = database.db.open(TransactionManager(), before=before)
                stack.callback(connection.close)
                connection.cacheMinimize()  # it may come from the pool, and have read before
                roots.append(connection.root())
            yield roots[0], roots[1]

    # -- opening -----------------------------------------------------------------------------

    def _open(self, scratch: bool = False) -> None:
        self.catalogs = None
        if self.folder is None:
            self.objects = self._database(None, 0)
            _new_root(self.root)
            self.catalogs = self._database(None, 1)
        elif self.read_only:
            # The catalog first. The objects finish first in each change, so those opened after
            # it are never behind it, unless they have lost something.
            began = _tid_of_now()
            self.catalogs = self._snapshot_of_catalog(self.folder / CATALOG_FILE, scratch)
            self.objects = self._database(self.folder / OBJECTS_FILE, 0, read_only=True)
            self._step_back_to(began)
        else:
            self.objects = self._database(self.folder / OBJECTS_FILE, 0, create=False)
        self._check_format()
        if self.catalogs is None:
            assert self.folder is not None
            self.catalogs = self._writable_catalog(self.folder / CATALOG_FILE)

    def _step_back_to(self, began: bytes) -> None:
        """Undo for this reader what a writer has done to the objects since ``began``, as far as
        the catalog, opened a moment before, does not show it.

        Not what was done before: that was acknowledged, and is to be seen.
        """
        assert self.objects is not None
        with suppress(KeyError):  # packed in this very moment
            while self.root._p_serial > began and self._lag_of_reader():
                self.objects.step_back()

    def _database(self, path: Path | None, order: int, **options: bool) -> MyZODB:
        return MyZODB(path, transaction_manager=self.manager, order=order, **options)

    def _check_format(self) -> None:
        found = self.root.get("format")
        if not isinstance(found, int) or "packages" not in self.root:
            raise FormatError(self.folder, None, FORMAT)
        if found != FORMAT:
            raise FormatError(self.folder, found, FORMAT)
        missing = [key for key in _KEYS if key not in self.root]
        if missing:
            raise DatabaseDamaged(self.folder, f"its root lacks {', '.join(missing)}")

    def _snapshot_of_catalog(self, path: Path, scratch: bool) -> MyZODB:
        try:
            return self._database(path, 1, read_only=True, scratch=scratch)
        except (DatabaseMissing, DatabaseDamaged, FormatError):
            return self._database(None, 1)

    def _writable_catalog(self, path: Path) -> MyZODB:
        try:
            return self._database(path, 1, create=False)
        except (DatabaseMissing, DatabaseDamaged):
            # It is derived: what cannot be read is made anew.
            for file in (path, Path(f"{path}.index")):
                file.unlink(missing_ok=True)
            return self._database(path, 1)

    # -- generations -------------------------------------------------------------------------

    def advance(self, docids: Iterable[int]) -> None:
        """Raise the generation of both, for the change to ``docids`` that is about to commit."""
        root = self.root
        generation, token = root["generation"] + 1, _new_token()
        touched = tuple(sorted(docids))
        journal = [*root["journal"][1 - JOURNAL_GENERATIONS :], (generation, token, touched)]
        room = JOURNAL_DOCIDS
        for position in range(len(journal) - 1, -1, -1):
            number, its_token, its_docids = journal[position]
            room -= 0 if its_docids == REBUILD else len(its_docids)
            if room < 0:
                journal[position] = (number, its_token, REBUILD)
        root.update(generation=generation, token=token, journal=tuple(journal))
        self._mark_catalog()

    def _mark_catalog(self) -> None:
        """Say in the catalog's root which state of the objects it shows."""
        keys = ("uuid", "generation", "token")
        self.catalog_root.update({key: self.root[key] for key in keys}, format=CATALOG_FORMAT)

    def _lag(self) -> set[int] | str:
        """What the catalog has to catch up on: docids (perhaps none), or everything.

        :raises CatalogAhead: it has seen what the objects do not have
        """
        root, seen = self.root, self.catalog_root
        generation = seen.get("generation")
        if (
            not isinstance(seen.get("catalog"), PackageCatalog)
            or seen.get("format") != CATALOG_FORMAT
            or seen.get("uuid") != root["uuid"]
            or not isinstance(generation, int)
        ):
            return REBUILD
        if (generation, seen.get("token")) == (root["generation"], root["token"]):
            return set()
        if generation >= root["generation"]:
            raise CatalogAhead(self.folder, root["generation"], generation)
        journal = {number: (token, docids) for number, token, docids in root["journal"]}
        if journal.get(generation, (None,))[0] != seen.get("token"):
            return REBUILD  # too long ago, or of another life of this database
        lag: set[int] = set()
        for number in range(generation + 1, root["generation"] + 1):
            # An accepted loss leaves a gap in the numbers.
            docids = journal.get(number, (None, REBUILD))[1]
            if docids == REBUILD:
                return REBUILD
            lag.update(docids)
        return lag

    def _lag_of_reader(self) -> bool:
        try:
            return bool(self._lag())
        except CatalogAhead:
            return True

    def _heal(self, repair: bool) -> None:
        try:
            lag = self._lag()
        except CatalogAhead as loss:
            if self.read_only:
                self.loss = str(loss)
                warnings.warn(AuthDBWarning(str(loss)), stacklevel=5)
            elif not repair:
                raise
            given = self._docids_in_catalog()
            self.rebuild("the objects had lost their tail")
            if not self.read_only:
                # Past both, so that this life can't be taken for the lost one, and no docid of
                # it is given again.
                self.root["generation"] = max(loss.catalog_generation, loss.objects_generation)
                self.root["next_docid"] = max(self.root["next_docid"], *(d + 1 for d in given))
                self.advance(())
            self._commit("accepted that the objects lost their tail; rebuilt the catalog")
            return
        if lag == REBUILD:
            self.rebuild("it was missing, or of another state" if self.root["generation"] else None)
            self._commit("rebuilt the catalog")
        elif lag:
            assert isinstance(lag, set)
            try:
                self._replay(lag)
            except DatabaseDamaged:
                self.forget()
                self.rebuild("it lagged behind, and is damaged")
                self._commit("rebuilt the catalog")
                return
            if not self.read_only:  # for a reader beside a writer that is quite ordinary
                count = f"{len(lag)} package{'s' * (len(lag) != 1)}"
                self.healed = f"the catalog lagged behind: {count} indexed again"
            self._mark_catalog()
            self._commit("indexed again what a crash had left out")

    def _replay(self, docids: set[int]) -> None:
        for docid in docids:
            package = self.root["packages"].get(docid)
            if package is None:
                self.catalog.unindex_doc(docid)
            else:
                self._index(self.catalog, docid, package)

    def _docids_in_catalog(self) -> Iterable[int]:
        try:
            return self.catalog["name"].docids()  # type: ignore[no-any-return]
        except DatabaseDamaged:
            return ()

    def rebuild(self, why: str | None = None) -> None:
        """Put a new catalog of all the packages in place of the old one; the caller commits."""
        catalog = new_catalog()
        for docid, package in self.root["packages"].items():
            try:
                self._index(catalog, docid, package)
            except DatabaseDamaged as error:
                # One lost package must not keep the others from being found.
                warnings.warn(
                    AuthDBWarning(f"docid {docid} is left out of the catalog: {error}"),
                    stacklevel=2,
                )
        self.catalog_root["catalog"] = catalog
        self._mark_catalog()
        self.healed = None if why is None else f"the catalog was rebuilt: {why}"

    def _index(self, catalog: Any, docid: int, package: Any) -> None:
        try:
            catalog.index_doc(docid, package)
        except (AttributeError, TypeError, ValueError) as error:
            raise DatabaseDamaged(
                self.folder, f"docid {docid} is no package that can be indexed ({error})"
            ) from error

    def _commit(self, note: str) -> None:
        # For readers too, whose catalog is then a scratch one, or in memory.
        self.manager.get().note(note)
        self.manager.commit()
