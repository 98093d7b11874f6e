"""Opening the two files of a database: which state of each is shown, and that they go together.

A writer opens the objects first, and both as they are. A reader opens frozen snapshots, and steps
them to states that go together, as far as that can be done without changing anything. What is then
still apart is brought together by `authdb.pairing`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from persistent.TimeStamp import TimeStamp
from transaction import TransactionManager
from ZODB.utils import p64, u64, z64

from authdb import generations
from authdb.beside import Beside
from authdb.catalog import CATALOG_FORMAT, PackageCatalog
from authdb.exceptions import (
    AuthDBWarning,
    CatalogAhead,
    DatabaseDamaged,
    DatabaseMissing,
    FormatError,
)
from authdb.files import CATALOG_FILE, OBJECTS_FILE
from authdb.generations import REBUILD
from authdb.models import FORMAT
from authdb.moments import Moment
from authdb.past import before_end_of
from authdb.storage import MyZODB, TornTail

__all__ = ["Opened"]


def _following(database: MyZODB) -> bytes | None:
    """The transaction id of the root's first change after the state shown; None if that is the
    newest."""
    after_it = p64(u64(database.dbroot._p_serial) + 1)
    found = database.storage.loadBefore(z64, after_it)
    return None if found is None else found[2]


def _tid_of_now() -> bytes:
    now = time.time()
    return bytes(TimeStamp(*time.gmtime(now)[:5], now % 60).raw())


class Opened:
    """The two files of one folder, open; see `authdb.pairing.Pair`."""

    folder: Path | None
    read_only: bool
    as_of: Moment | None
    trust: bool
    ahead: CatalogAhead | None

    def __init__(self) -> None:
        self.manager = TransactionManager()
        self.catalogs: MyZODB | None = None
        self.objects: MyZODB | None = None
        self.beside = Beside(None)
        self._repair = False
        self._unbuilt = False  # whether a catalog in memory is yet to be built

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
        self.beside.close()
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
        self.catalog_root  # noqa: B018 - builds one that is yet to be built
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

    @property
    def _apart(self) -> bool:
        """Whether the objects are opened for themselves, not as what is there now."""
        return self.as_of is not None or not self.trust

    def _open(self, scratch: bool = False) -> None:
        self.catalogs = None
        self.beside = Beside(self.folder if self.trust else None)
        if self.folder is None:
            self.objects = self._database(None, 0)
            generations.new_root(self.root)
            self.catalogs = self._database(None, 1)
            return
        if self._apart:
            self._open_apart(self.folder)
        elif self.read_only:
            # The catalog first. The objects finish first in each change, so those opened after
            # it are never behind it, unless they have lost something.
            began = _tid_of_now()
            self.catalogs = self._snapshot_of_catalog(self.folder / CATALOG_FILE, scratch)
            self.objects = self._database(self.folder / OBJECTS_FILE, 0, read_only=True)
            self._step_back_to(began)
        else:
            self.objects = self._writable_objects(self.folder / OBJECTS_FILE)
        self._check_format()
        if self.catalogs is None:
            self.catalogs = self._writable_catalog(self.folder / CATALOG_FILE)

    def _open_apart(self, folder: Path) -> None:
        """Open the objects for themselves, and whatever catalog goes with them."""
        objects = folder / OBJECTS_FILE if self.trust or folder.is_dir() else folder
        self.objects = self._database(objects, 0, read_only=True, trust=self.trust)
        if self.as_of is not None:
            before = before_end_of(self.as_of, self.objects)
            if before is not None:
                self.objects.show(before)
        self._check_format()
        if self.trust:
            self.catalogs = self._snapshot_of_catalog(folder / CATALOG_FILE, False)
            if self._find_catalog():
                return
            self.catalogs.close()
        self.catalogs, self._unbuilt = self._database(None, 1), True

    def _find_catalog(self) -> bool:
        """Show that state of the catalog that goes with the objects shown, if it is kept."""
        assert self.catalogs is not None and self.objects is not None
        wanted, came = self.root["generation"], 0
        try:
            # Of the same change the catalog's transaction is a little later than the objects';
            # but it comes before the next change.
            following = _following(self.objects)
            if following is not None:
                self.catalogs.show(following)
            while True:
                generation = self.catalog_root.get("generation", -1)
                if generation == wanted:
                    return self._lag() == set()
                step = 1 if generation < wanted else -1
                if came == -step:
                    return False  # there is none between these two
                came = step
                if step < 0:
                    self.catalogs.step_back()
                    continue
                following = _following(self.catalogs)
                if following is None:
                    return False  # this one is the newest
                self.catalogs.show(bytes(p64(u64(following) + 1)))
        except (KeyError, DatabaseDamaged, CatalogAhead):
            return False  # its past was packed away, or it is of another life

    def _writable_objects(self, path: Path) -> MyZODB:
        try:
            return self._database(path, 0, create=False, cut=False)
        except TornTail:
            pass
        # Before anything is cut off: were these changes known to the catalog?
        if not self._repair:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AuthDBWarning)
                probe = type(self)(self.folder, read_only=True)  # type: ignore[call-arg]
            probe.close()
            if probe.ahead is not None:
                raise probe.ahead
        return self._database(path, 0, create=False)

    def _catch_up(self) -> None:
        """Open again what a reader finds apart, so that it can be healed in memory.

        A pack, or many changes, may have come in between the two files: then once more. What is
        still the same after that is left over from a crash.
        """
        seen, lag = None, self._lag_of_reader()
        for _ in range(10):
            if not lag or (seen is not None and lag != REBUILD):
                return
            marks = self.root["token"], self.catalog_root.get("token")
            if marks == seen:
                return
            seen = marks
            self.close()
            self._open(scratch=True)
            lag = self._lag_of_reader()

    def _step_back_to(self, began: bytes) -> None:
        """Undo for this reader what a writer has done to the objects since ``began``, as far as
        the catalog, opened a moment before, does not show it.

        Not what was done before: that was acknowledged, and is to be seen.
        """
        assert self.objects is not None
        newest = self.root._p_serial
        with suppress(KeyError):  # packed in this very moment
            for _ in range(1000):
                if self.root._p_serial <= began or not self._lag_of_reader():
                    break
                self.objects.step_back()
        if self._lag_of_reader():
            # No catalog of these is at hand, or the clock went back and all are "since": then the
            # newest state is shown, and healed in memory.
            self.objects.show(bytes(p64(u64(newest) + 1)))

    def _database(self, path: Path | None, order: int, **options: bool) -> MyZODB:
        # The catalog, which is the second, can be made anew.
        return MyZODB(
            path, transaction_manager=self.manager, order=order, sealed=order == 1, **options
        )

    def _check_format(self) -> None:
        found = self.root.get("format")
        if not isinstance(found, int) or "packages" not in self.root:
            raise FormatError(self.folder, None, FORMAT)
        if found != FORMAT:
            raise FormatError(self.folder, found, FORMAT)
        kinds = generations.KEYS.items()
        wrong = [key for key, kind in kinds if not isinstance(self.root.get(key), kind)]
        if wrong:
            raise DatabaseDamaged(self.folder, f"its root lacks {', '.join(wrong)}")

    def _snapshot_of_catalog(self, path: Path, scratch: bool) -> MyZODB:
        try:
            return self._database(path, 1, read_only=True, scratch=scratch)
        except (DatabaseMissing, DatabaseDamaged, FormatError):
            return self._database(None, 1)

    def _writable_catalog(self, path: Path) -> MyZODB:
        try:
            return self._database(path, 1, create=False)
        except (DatabaseMissing, DatabaseDamaged, FormatError):
            # It is derived: what cannot be read is made anew.
            for file in (path, Path(f"{path}.index")):
                file.unlink(missing_ok=True)
            return self._database(path, 1)

    def _lag(self) -> set[int] | str:
        """What the catalog has to catch up on: docids (perhaps none), or everything.

        :raises CatalogAhead: it has seen what the objects do not have
        """
        seen = self.catalog_root
        if (
            not isinstance(seen.get("catalog"), PackageCatalog)
            or seen.get("format") != CATALOG_FORMAT
        ):
            return REBUILD
        return generations.lag(self.root, seen, self.folder)

    def _lag_of_reader(self) -> set[int] | str:
        try:
            return self._lag()
        except CatalogAhead:
            return REBUILD
