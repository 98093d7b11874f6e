"""Two databases as one: the objects, and the catalog that is derived from them.

Each change is one transaction over both files, and the objects finish first. Since a crash can
fall between the two finishes, both roots carry a generation (see `authdb.generations`). Whoever
opens the pair compares the two, and brings a catalog that lags behind up to date from the
journal, or builds it anew, before anything else happens.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authdb import generations
from authdb.beside import Beside, forget
from authdb.catalog import CATALOG_FORMAT, PackageCatalog, new_catalog
from authdb.columns import Columns
from authdb.exceptions import (
    AuthDBWarning,
    CatalogAhead,
    DatabaseDamaged,
)
from authdb.files import CATALOG_FILE, aside
from authdb.generations import REBUILD
from authdb.moments import Moment
from authdb.opening import Opened
from authdb.storage import explain

if TYPE_CHECKING:
    from authdb.building import Progress

__all__ = ["Pair"]

#: From how many packages on it is told that a catalog of the past is built.
MANY = 2000


class Pair(Opened):
    """The objects and the catalog of one folder, open, and of the same generation.

    :param folder: where the two files are; None for a new pair in memory
    :param read_only: open frozen snapshots. Then no file is touched: where the catalog's file
        lags behind, it is brought up to date in memory only
    :param repair: accept that the objects lost their tail
    :param as_of: show, read-only, the state at that moment
    :param trust: whether the files come from someone who may run code here. Else only the
        objects are opened, read-only and after a scan, and the catalog is built in memory
    :raises NoSuchMoment: the history does not reach back to ``as_of``
    :raises UnsafeFile: the objects file would run code, and ``trust`` is false
    :raises CatalogAhead: the catalog has seen changes that the objects do not have (a reader is
        only warned)
    :raises FormatError: another version of authdb wrote the objects
    :raises DatabaseError: see `MyZODB`

    Attributes: ``objects`` and ``catalogs`` (each a `MyZODB`), ``root`` and ``catalog_root``
    (their roots), ``manager`` (the transaction manager that both follow), ``healed`` (what had
    to be done to the catalog, in words, or None), ``ahead`` (the `CatalogAhead` that a reader met,
    or that was accepted, or None).
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        read_only: bool = False,
        repair: bool = False,
        as_of: Moment | None = None,
        trust: bool = True,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.read_only = read_only or as_of is not None or not trust
        self.as_of, self.trust, self._repair = as_of, trust, repair
        self.healed: str | None = None
        self.ahead: CatalogAhead | None = None
        try:
            self._open()
            if self.read_only and not self._apart:
                self._catch_up()
            if not self._unbuilt:
                self._heal()
        except BaseException:
            self.close()
            raise

    @property
    def catalog_root(self) -> Any:
        """The catalog's root mapping."""
        assert self.catalogs is not None
        if self._unbuilt:
            self._build_apart(self.catalogs.connection)
        return self.catalogs.dbroot

    def size(self) -> int:
        """How many packages there are."""
        if self._unbuilt:
            return len(self.root["docids"])
        return int(self.catalog["name"].documentCount())

    def columns(self, may_make: bool = True) -> Columns | None:
        """The columns of the state that was committed last; None where there are none.

        :param may_make: whether nothing was changed since, so that they may be made of the catalog
        """
        if self._unbuilt:
            return None
        return self.beside.shown(self.root, lambda: self.catalog_root, may_make)

    def renew_columns(self) -> None:
        """Make the file of the columns anew if too much has changed. Nothing may be open."""
        self.beside.renew(self.root, self.catalog_root)

    def replace_catalog(self, put: Callable[[], object]) -> None:
        """Have another catalog from here on, with its columns, whose files ``put`` puts in the
        place of the ones there are. The objects stay open, and locked."""
        assert self.folder is not None and self.catalogs is not None
        self.beside.close()
        # The old one is open until the new one is there: as long as it is, it is locked.
        self.catalogs.storage.supersede()
        put()
        self.catalogs.close()
        self.catalogs = self._writable_catalog(self.folder / CATALOG_FILE)
        self.beside = Beside(self.folder)

    # -- generations -------------------------------------------------------------------------

    def advance(self, changes: Mapping[str, Iterable[int]]) -> None:
        """Raise the generation of both, for the changes (see `generations.advance`) that are
        about to commit."""
        generations.advance(self.root, changes)
        self._mark_catalog(chain.from_iterable(changes.values()))

    def _mark_catalog(self, touched: Iterable[int] | None = None) -> None:
        """Say that the catalog shows the state of the objects.

        :param touched: the docids touched since the state that it showed before; None if nobody
            knows them
        """
        if touched is None:
            forget(self.catalog_root)
        else:
            self.beside.touch(self.root, self.catalog_root, touched)
        generations.mark(self.root, self.catalog_root)
        self.catalog_root["format"] = CATALOG_FORMAT

    def _heal(self) -> None:
        try:
            lag = self._lag()
        except CatalogAhead as loss:
            self.ahead = loss
            if self.read_only:
                warnings.warn(AuthDBWarning(str(loss)), stacklevel=5)
            elif not self._repair:
                raise
            given = self._docids_in_catalog()
            if not self.read_only:
                # Past both, so that this life can't be taken for the lost one, and no docid of
                # it is given again. Before there is a catalog that goes with it.
                self.root["generation"] = max(loss.catalog_generation, loss.objects_generation)
                self.root["next_docid"] = max(self.root["next_docid"], *(d + 1 for d in given))
                generations.advance(self.root, {})
                self._commit("accepted that the objects lost their tail")
            self.rebuild("the objects had lost their tail")
            self._commit("rebuilt the catalog")
            return
        if lag == REBUILD:
            ordinary = self._apart or not self.root["generation"]
            self.rebuild(None if ordinary else "it was missing, or of another state")
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
            self._mark_catalog(lag)
            self._commit("indexed again what a crash had left out")

    def _build_apart(self, connection: Any) -> None:
        """Build the catalog in memory; only now, for much can be asked without one."""
        guard, connection.guard, self._unbuilt = connection.guard, None, False
        try:
            count = len(self.root["docids"])
            if count > MANY:
                warnings.warn(
                    AuthDBWarning(
                        f"no catalog of these {count:,} packages is at hand: one is built in "
                        "memory, which can take a while"
                    ),
                    stacklevel=5,
                )
            self._heal()
        except BaseException:
            self._unbuilt = True
            raise
        finally:
            connection.guard = guard

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

    def rebuild(self, why: str | None = None, progress: Progress | None = None) -> None:
        """Put a new catalog of all the packages in place of the old one; the caller commits.

        :param why: for `healed`; None if nobody is to be told
        :param progress: called where it can take a while
        """
        from authdb.rebuilding import are_many  # with all that it imports, for the few who rebuild

        if are_many(self.root["packages"]):
            self._build(progress)
        else:
            self.catalog_root["catalog"] = self._indexed()
            self._mark_catalog(None)
        self.healed = None if why is None else f"the catalog was rebuilt: {why}"

    def _build(self, progress: Progress | None) -> None:
        from authdb.rebuilding import build_aside, build_into, put_catalog

        assert self.catalogs is not None
        if self.folder is None or self.read_only:  # in memory, or changed only there
            build_into(self.catalogs, self.root, self._left_out, progress)
            self.manager.abort()  # from here on it is seen
            return
        folder = self.folder
        try:
            with aside(folder) as draft:
                build_aside(draft, self.root, self._left_out, progress)
                self.replace_catalog(lambda: put_catalog(draft, folder))
        except OSError as error:
            raise explain(error, folder / CATALOG_FILE) from error

    def _indexed(self) -> PackageCatalog:
        catalog = new_catalog()
        for docid, package in self.root["packages"].items():
            try:
                self._index(catalog, docid, package)
            except DatabaseDamaged as error:
                self._left_out(docid, error)
        return catalog

    def _left_out(self, docid: int, error: Exception) -> None:
        # One lost package must not keep the others from being found.
        warnings.warn(
            AuthDBWarning(f"docid {docid} is left out of the catalog: {error}"), stacklevel=3
        )

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
