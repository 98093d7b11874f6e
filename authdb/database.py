"""`AuthDB`: the packages and their catalog as one thing."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from authdb.exceptions import (
    AuthDBError,
    DatabaseClosed,
    DatabaseError,
    DatabaseMissing,
    DatabaseReadOnly,
    InvalidValue,
    PackageExists,
    PackageNotFound,
    QueryError,
)
from authdb.models import Package, normalize_name
from authdb.pairing import OBJECTS_FILE, Pair, create_objects, mend_pack, pack_cut_short
from authdb.results import Result
from authdb.storage import explain

if TYPE_CHECKING:
    from authdb.checking import Finding

__all__ = ["AuthDB"]


class _Changes:
    """What the open transaction has done so far."""

    def __init__(self) -> None:
        self.docids: set[int] = set()
        self.broken = False  # whether a change failed half-way
        self.about = False  # whether what is said of the whole was changed
        #: Packages whose fields were set, by their id(), with the values that are indexed. ZODB
        #: says only once in a transaction that an object changes, so each has to be looked at.
        self.edited: dict[int, tuple[Package, dict[str, Any] | None]] = {}


class AuthDB:
    """A catalogue of packages: a folder with the objects and, derived from them, the catalog.

    It is made by `open`, `create` or `in_memory`, and is a context manager. It belongs to the
    thread that opened it. One process at a time writes; any number read beside it, each what was
    there when it opened.

    >>> with AuthDB.in_memory() as db:
    ...     package = db.add(Package("djoser", "Djoser", categories=("registration",)))
    ...     package = db.update("djoser", last_release="2023-11-09")
    ...     db.find("'registration' in categories and last_release < '2024'").names()
    ['djoser']
    """

    def __init__(self, pair: Pair) -> None:
        if not isinstance(pair, Pair):
            raise AuthDBError("use AuthDB.open(path), or AuthDB.create(path) for a new database")
        self._pair = pair
        self._changes: _Changes | None = None
        self._refused: list[Any] = []
        self._closed = False
        self._attach()

    @classmethod
    def open(cls, path: str | Path, read_only: bool = False, *, repair: bool = False) -> AuthDB:
        """Open the database in the folder ``path``.

        :param read_only: open a frozen snapshot, beside a writer if need be; touches no file
        :param repair: accept that the objects file has lost its last changes
        :raises DatabaseMissing: there is none; see `create`
        :raises DatabaseLocked: another process is writing to it
        :raises CatalogAhead: the objects file has lost its last changes
        :raises DatabaseError: its other kinds, see `authdb.exceptions`
        """
        folder = _folder(path)
        try:
            if pack_cut_short(folder):
                if read_only:
                    raise DatabaseMissing(
                        folder, "a crash cut a pack short; to mend that, open it for writing once"
                    )
                mend_pack(folder)
            if not (folder / OBJECTS_FILE).exists():
                raise DatabaseMissing(
                    folder, "there is no database here; make one with: authdb init"
                )
            return cls(Pair(folder, read_only=read_only, repair=repair))
        except Exception as error:  # what is damaged may raise anything
            raise explain(error, folder) from error

    @classmethod
    def create(cls, path: str | Path) -> AuthDB:
        """Make a new, empty database in the folder ``path``, and open it.

        The folder is made if need be; other files in it are left alone.

        :raises DatabaseExists: there is one
        """
        folder = _folder(path)
        create_objects(folder)
        return cls.open(folder)

    @classmethod
    def in_memory(cls) -> AuthDB:
        """A new, empty database that is gone when it is closed."""
        return cls(Pair(None))

    # -- reading -----------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        """The folder; None in memory."""
        return self._pair.folder

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._pair.read_only

    @property
    def healed(self) -> str | None:
        """What had to be done to the catalog on opening, in words; None as a rule."""
        return self._pair.healed

    @property
    def generation(self) -> int:
        """How many changes there have been."""
        return int(self._root["generation"])

    @property
    def as_of(self) -> date | None:
        """The day as of which the facts hold, where the edition that was loaded says so."""
        day: date | None = self._root.get("as_of")
        return day

    def set_as_of(self, day: date | None) -> None:
        """Say as of which day the facts hold.

        :raises AuthDBError: it is neither a `date` nor None
        """
        if day is not None and type(day) is not date:
            raise AuthDBError(f"as_of is a date, not {type(day).__name__}")
        if day != self.as_of:
            with self._change(f"the facts hold as of {day}") as changes:
                self._root["as_of"] = day
                changes.about = True

    @property
    def catalog(self) -> Any:
        """The `PackageCatalog` (repoze.catalog's Catalog)."""
        self._root  # noqa: B018 - raises where the database is closed
        return self._pair.catalog

    @property
    def objects(self) -> Any:
        """A mapping, docid -> `Package`, in the order of docids."""
        return self._root["packages"]

    def get(self, name: str, default: Any = None) -> Any:
        """The package called ``name``, in whatever spelling; ``default`` where there is none."""
        docid = self._root["docids"].get(_normal(name))
        return default if docid is None else self.objects[docid]

    def __getitem__(self, name: str) -> Package:
        """As `get`.

        :raises PackageNotFound: there is none
        """
        return self.objects[self._docid(name)]  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _normal(name) in self._root["docids"]

    def __len__(self) -> int:
        return int(self.catalog["name"].documentCount())

    def __bool__(self) -> bool:
        return True  # an empty database is one all the same

    def __iter__(self) -> Iterator[Package]:
        """The packages, in the order in which they were added.

        Those that there were when it began: packages may be changed and removed meanwhile.
        """
        objects = self.objects
        for docid in array("i", objects.keys()):
            if docid in objects:
                yield objects[docid]

    def find(
        self,
        query: Any = None,
        *,
        names: Mapping[str, Any] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> Result:
        """Ask which packages match.

        :param query: a query object, the same as text (see `authdb.query.parse_query`), or None
            for all packages
        :param names: values for the bare names in the query: the safe way for what comes from
            outside
        :param sort: ``last_update``, ``last_release``, ``last_commit``, ``name``, ``license``,
            or ``relevance`` of the text searches in the query; None for the order in which the
            packages were added. Those without the value come last either way
        :param reverse: the other way round
        :param limit: how many packages the result shows at most; its ``len`` is unlimited
        :param offset: how many it leaves out first
        :raises QueryError: with the position of the mistake, if the query is text
        """
        for option, value in (("limit", limit), ("offset", offset)):
            if value is not None and (not isinstance(value, int) or value < 0):
                raise QueryError(f"{option} is a number from 0 on, not {value!r}")
        catalog = self.catalog
        self._index_edited()
        docids = catalog.find(query, names, sort, reverse)
        return Result(docids, self._load, limit, offset)

    def _load(self, docid: int) -> Package:
        try:
            return self.objects[docid]  # type: ignore[no-any-return]
        except KeyError:
            raise PackageNotFound(
                str(docid), reason=f"the package of docid {docid} was removed since it was found"
            ) from None

    # -- changing ----------------------------------------------------------------------------

    @contextmanager
    def transaction(self, note: str | None = None) -> Iterator[None]:
        """Make the changes inside the ``with`` block one: all of them last, or none.

        They are on disk when the block is left; an exception undoes them. Inside, fields of
        packages may also be set directly.

        :param note: what is done, for the history; cut to 60,000 bytes of UTF-8
        :raises DatabaseReadOnly: the database was opened for reading
        :raises DatabaseError: what was changed could not be written; nothing of it was
        """
        self._writable()
        if self._changes is not None:
            raise AuthDBError("a transaction is open already; changes go into that one")
        self._changes = _Changes()
        try:
            yield
            self._commit(note)
        except BaseException:
            if not self._closed:
                self._pair.forget()
            raise
        finally:
            self._changes = None
            if not self._closed:
                self._pair.manager.abort()

    @contextmanager
    def _change(self, note: str) -> Iterator[_Changes]:
        """The open transaction, or else one for this change alone."""
        self._writable()
        if self._changes is not None:
            try:
                yield self._changes
            except (PackageExists, PackageNotFound, InvalidValue):
                raise  # nothing was touched yet
            except BaseException:
                self._changes.broken = True
                raise
        else:
            with self.transaction(note):
                assert self._changes is not None
                yield self._changes

    def add(self, package: Package) -> Package:
        """Add a package.

        :returns: ``package``, stored
        :raises PackageExists: there is one of that name
        """
        if type(package) is not Package:  # a subclass's path would be pickled
            raise AuthDBError(f"a Package is added, not {type(package).__name__}")
        if package._p_jar is not None:
            raise AuthDBError(
                f"{package.name} is stored already; add a package made of its record()"
            )
        with self._change(f"add {package.name}") as changes:
            root = self._root
            if package.name in root["docids"]:
                raise PackageExists(package.name)
            docid = root["next_docid"]
            root["next_docid"] = docid + 1
            root["packages"][docid] = package
            root["docids"][package.name] = docid
            # Stored from here on, not only from the commit: so edits of it are seen.
            root._p_jar.add(package)
            self._pair.catalog.index_doc(docid, package)
            changes.docids.add(docid)
        return package

    def update(self, name: str, /, **fields: Any) -> Package:
        """Set some fields of a package; ``name=`` among them renames it.

        :returns: the package; nothing is written where no value differs
        :raises PackageNotFound: there is none called ``name``
        :raises PackageExists: there is another of the new name
        :raises InvalidValue: for the first field that refuses its value
        """
        draft = self[name].copy()
        for field in sorted(fields, key="last_update".__eq__):  # it is held against the others
            setattr(draft, field, fields[field])
        return self._become(name, draft, "update")

    def replace(self, package: Package) -> Package:
        """Give the package of that name the values of this one, and no others.

        :returns: the stored package
        :raises PackageNotFound: there is none of that name
        """
        return self._become(package.name, package, "replace")

    def _become(self, name: str, draft: Package, verb: str) -> Package:
        docid = self._docid(name)
        package: Package = self.objects[docid]
        changed = package.differs_from(draft)
        if not changed:
            self._writable()
            return package
        with self._change(f"{verb} {package.name}") as changes:
            docids = self._root["docids"]
            if "name" in changed:
                if draft.name in docids:
                    raise PackageExists(draft.name)
                del docids[package.name]
                docids[draft.name] = docid
            was_edited = changes.edited.get(id(package), (package, vars(package)))[1] != vars(
                package
            )
            package.become(draft)
            only = None if was_edited else changed
            self._pair.catalog.reindex_doc(docid, package, only=only)
            changes.edited[id(package)] = package, dict(vars(package))
            changes.docids.add(docid)
        return package

    def remove(self, name: str) -> None:
        """Remove a package. Its docid is not given to another.

        :raises PackageNotFound: there is none
        """
        with self._change(f"remove {name}") as changes:
            root = self._root
            docid = self._docid(name)
            # It is not read, so that one that cannot be read can be removed too.
            changes.edited.pop(id(root["packages"][docid]), None)
            self._pair.catalog.unindex_doc(docid)
            del root["packages"][docid]
            del root["docids"][_normal(name)]
            changes.docids.add(docid)

    # -- keeping well ------------------------------------------------------------------------

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Hold everything against everything.

        Each package against its digest, names against packages, every index against the
        packages in both directions, the trees in themselves.

        :param repair: build the catalog anew where it is not as it should be. What is wrong with
            the objects cannot be mended here
        :returns: what was found; empty when all is well
        """
        from authdb.checking import Finding, examine  # only this method needs it

        if self._changes is not None:
            raise AuthDBError("check looks at what is stored: end the transaction first")
        self._root  # noqa: B018 - raises where the database is closed
        with self._pair.reread() as (root, catalog_root):
            findings = examine(root, catalog_root)
        if self._pair.loss:
            findings.insert(0, Finding(OBJECTS_FILE, self._pair.loss, True))
        if repair and any(finding.repairable for finding in findings):
            self.reindex()
        return findings

    def reindex(self) -> None:
        """Build the catalog anew from the objects."""
        self._writable()
        with self.transaction():
            self._pair.rebuild()
            self._pair.manager.get().note("rebuilt the catalog")
            self._finish(None)

    def pack(self) -> None:
        """Give back the room that earlier states take, in both files.

        The states up to now are gone afterwards, except from ``data.fs.old`` and
        ``catalog.fs.old``, which are what the files were before.
        """
        self._writable()
        for database in (self._pair.objects, self._pair.catalogs):
            assert database is not None
            try:
                with _old_kept(database.path):
                    database.db.pack()
            except OSError as error:
                raise explain(error, database.path) from error

    def close(self) -> None:
        """Close it, giving up an open transaction. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._pair.close()

    def __enter__(self) -> AuthDB:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.path or "in memory"
        if self._closed:
            return f"<closed AuthDB {where}>"
        return f"<AuthDB {where}: {len(self)} packages{', read-only' * self.read_only}>"

    # -- within ------------------------------------------------------------------------------

    @property
    def _root(self) -> Any:
        if self._closed:
            raise DatabaseClosed(self.path or "the database", "it was closed; open it again")
        while self._refused:
            self._refused.pop()._p_invalidate()
        return self._pair.root

    def _docid(self, name: str) -> int:
        docids = self._root["docids"]
        docid = docids.get(_normal(name))
        if docid is None:
            raise PackageNotFound(name, docids)
        return int(docid)

    def _writable(self) -> None:
        self._root  # noqa: B018 - raises where the database is closed
        if self.read_only:
            raise DatabaseReadOnly(self.path, "it was opened for reading only")

    def _attach(self) -> None:
        for database in (self._pair.objects, self._pair.catalogs):
            assert database is not None
            database.connection.guard = self._guard

    def _guard(self, obj: Any) -> None:
        """Called by ZODB when a stored object changes."""
        if self._changes is None:
            # BTrees say so when they have changed in memory: that is undone before the next use.
            self._refused.append(obj)
            raise DatabaseReadOnly(
                self.path or "the database",
                "changes are made with add, update, remove, or inside `with db.transaction():`"
                if not self.read_only
                else "it was opened for reading only",
            )
        if isinstance(obj, Package):
            self._changes.edited.setdefault(id(obj), (obj, None))

    def _index_edited(self) -> None:
        """Index the packages whose fields were set directly."""
        if self._changes is None:
            return
        docids = self._root["docids"]
        for key, (package, indexed) in list(self._changes.edited.items()):
            if vars(package) == indexed:
                continue
            docid = docids.get(package.name)
            if docid is not None and self.objects[docid] is package:
                self._pair.catalog.reindex_doc(docid, package)
                self._changes.docids.add(docid)
            self._changes.edited[key] = package, dict(vars(package))

    def _commit(self, note: str | None) -> None:
        assert self._changes is not None
        if self._changes.broken:
            raise AuthDBError("a change failed half-way: nothing of this transaction is written")
        self._index_edited()
        if not self._changes.docids and not self._changes.about:
            return
        pair = self._pair
        pair.advance(self._changes.docids)
        transaction = pair.manager.get()
        transaction.note(_storable(note or "changed by a program"))
        transaction.user = _storable(_user())
        self._finish((pair.root["generation"], pair.root["token"]))

    def _finish(self, mark: tuple[int, str] | None) -> None:
        """Commit the state ``mark``, or a new catalog of the same one; if that fails half-way,
        find out how far it got."""
        pair = self._pair
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

    def _was_kept(self, mark: tuple[int, str] | None, before: bytes) -> bool:
        """Whether the change that failed to commit is on disk all the same."""
        objects, catalogs = self._pair.objects, self._pair.catalogs
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
        return finished and (self._root["generation"], self._root["token"]) == mark

    def _reopen(self) -> None:
        self._pair.close()
        try:
            self._pair = Pair(self.path)
        except BaseException as error:
            self._closed = True
            if isinstance(error, Exception):
                raise DatabaseError(
                    self.path,
                    "the change could not be written to both files, and the database is closed; "
                    "the next open heals it if it can: " + str(explain(error, self.path)),
                ) from error
            raise
        self._attach()


@contextmanager
def _old_kept(path: Path | None) -> Iterator[None]:
    """Keep ``path``.old unless there is a new one.

    A pack that finds nothing to give back removes the one of the pack before, and makes none.
    """
    old, aside = Path(f"{path}.old"), Path(f"{path}.older")
    if path is None or not old.exists():
        yield
        return
    old.replace(aside)
    try:
        yield
    finally:
        if old.exists():
            aside.unlink()
        else:
            aside.replace(old)


def _normal(name: str) -> str:
    if not isinstance(name, str):
        raise AuthDBError(f"the name of a package is text, not {type(name).__name__}")
    return normalize_name(name)


def _folder(path: str | Path) -> Path:
    try:
        folder = Path(path).expanduser()
    except RuntimeError as error:
        raise DatabaseError(path, f"there is no such home folder ({error})") from None
    if "\0" in str(folder):
        raise DatabaseError(repr(str(path)), "a path has no NUL character")
    return folder


def _storable(text: str) -> str:
    """``text`` as ZODB stores it beside a transaction: UTF-8, of at most 65,535 bytes."""
    return text.encode("utf-8", "replace")[:60_000].decode("utf-8", "ignore")


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user, as in some containers
        return "unknown"
