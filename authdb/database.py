"""`AuthDB`: the packages and their catalog as one thing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from authdb.changes import Edited
from authdb.exceptions import (
    AuthDBError,
    DatabaseError,
    DatabaseMissing,
    PackageExists,
    PackageNotFound,
    shown,
)
from authdb.files import CATALOG_FILE, OBJECTS_FILE, create_objects, mend_pack, pack_cut_short
from authdb.generations import give_up
from authdb.models import Package
from authdb.moments import parse_change, parse_span
from authdb.pairing import Pair
from authdb.reading import Reading, as_moment, normal
from authdb.storage import explain, is_there
from authdb.transactions import Session, Transaction

if TYPE_CHECKING:
    from authdb.auditing import Progress
    from authdb.checking import Finding
    from authdb.packing import Packed
    from authdb.undoing import Undone

__all__ = ["AuthDB"]


class AuthDB(Reading):
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
        self._session = Session(pair)
        #: Called after a `refresh` that showed anything new.
        self.refreshed: Callable[[], object] | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        read_only: bool = False,
        *,
        repair: bool = False,
        as_of: object = None,
        trust: bool = True,
    ) -> AuthDB:
        """Open the database in the folder ``path``.

        :param read_only: open a frozen snapshot, beside a writer if need be; touches no file
        :param repair: accept that the objects file has lost its last changes
        :param as_of: show, read-only, what was there at that moment of the past: whatever
            `authdb.moments.parse_moment` reads, such as ``"2024-02-26"`` (the end of that day,
            UTC), ``"2 weeks ago"`` or ``"c12"`` (right after that change). A moment later than
            the last change is now
        :param trust: whether the files were made by someone who may run code here. Else the
            objects are scanned before anything is read of them, and opened read-only, and no
            other file beside them is looked at. ``path`` may then be the objects file itself
        :raises DatabaseMissing: there is none; see `create`
        :raises DatabaseLocked: another process is writing to it
        :raises CatalogAhead: the objects file has lost its last changes
        :raises NoSuchMoment: the history that is kept does not reach back to ``as_of``
        :raises UnsafeFile: the objects file would run code, and ``trust`` is false
        :raises DatabaseError: its other kinds, see `authdb.exceptions`
        """
        folder = _folder(path)
        moment = as_moment(as_of)
        if not trust or moment is not None:
            read_only = True
        try:
            if not (trust or folder.is_dir()):
                return cls(Pair(folder, trust=False, as_of=moment))
            if not read_only and pack_cut_short(folder):
                mend_pack(folder)
            if not is_there(folder / OBJECTS_FILE):
                raise DatabaseMissing(folder, _missing(folder))
            return cls(Pair(folder, read_only=read_only, repair=repair, as_of=moment, trust=trust))
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

    # -- as a whole --------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Show what others have changed since this reader was opened or refreshed.

        What is open for writing, or as of a moment of the past, has nothing to catch up on.

        :returns: whether there was anything new. If so, packages read before stay as they were,
            and what of them was not read yet can't be read any more: ask for them again
        :raises DatabaseError: what is there now cannot be opened; the old state is still shown
        """
        self._root  # noqa: B018 - raises where the database is closed
        old = self._pair
        if not self.read_only or self.moment is not None or self.path is None:
            return False
        with AuthDB.open(self.path, read_only=True, trust=old.trust) as fresh:
            new = fresh._pair
            if all(new.root[key] == old.root[key] for key in ("uuid", "generation", "token")):
                return False
            fresh._session = Session(old)  # which is closed in its stead
            self._session.take(new)
        if self.refreshed is not None:
            self.refreshed()
        return True

    def set_as_of(self, day: date | None) -> None:
        """Say as of which day the facts hold.

        :raises AuthDBError: it is neither a `date` nor None
        """
        if day is not None and type(day) is not date:
            raise AuthDBError(f"as_of is a date, not {type(day).__name__}")
        if day != self.as_of:
            with self._session.change(f"the facts hold as of {day}") as changes:
                self._root["as_of"] = day
                changes.about = True

    # -- changing ----------------------------------------------------------------------------

    def transaction(self, note: str | None = None) -> AbstractContextManager[object]:
        """Make the changes inside the ``with`` block one: all of them last, or none.

        They are on disk when the block is left; an exception undoes them. Inside, fields of
        packages may also be set directly.

        :param note: what is done, for the history; cut to 60,000 bytes of UTF-8
        :raises DatabaseReadOnly: the database was opened for reading
        :raises DatabaseError: what was changed could not be written; nothing of it was
        """
        return Transaction(self._session, note)

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
        with self._session.change(f"add {package.name}") as changes:
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
            changes.added.add(docid)
        return package

    def update(self, name: str, /, **fields: Any) -> Package:
        """Set some fields of a package; ``name=`` among them renames it.

        The source of a fact whose value changes goes, unless ``sources`` are set too: it no longer
        says where the value comes from.

        :returns: the package; nothing is written where no value differs
        :raises PackageNotFound: there is none called ``name``
        :raises PackageExists: there is another of the new name
        :raises InvalidValue: for the first field that refuses its value
        """
        docid, package = self._located(name)
        draft = package.copy()
        for field in sorted(fields, key="last_update".__eq__):  # it is held against the others
            setattr(draft, field, fields[field])
        if draft.sources and "sources" not in fields:
            changed = package.differs_from(draft)
            draft.sources = tuple(one for one in draft.sources if one.field not in changed)
        return self._become(docid, package, draft, "update")

    def replace(self, package: Package) -> Package:
        """Give the package of that name the values of this one, and no others.

        :returns: the stored package
        :raises PackageNotFound: there is none of that name
        """
        return self._become(*self._located(package.name), package, "replace")

    def _located(self, name: str) -> tuple[int, Package]:
        found = self._session.locate(normal(name))
        if found is None:
            raise PackageNotFound(name, self._root["docids"])
        return found

    def _become(self, docid: int, package: Package, draft: Package, verb: str) -> Package:
        changed = package.differs_from(draft)
        if not changed:
            self._session.writable()
            return package
        with self._session.change(f"{verb} {package.name}") as changes:
            docids = self._root["docids"]
            if "name" in changed:
                if draft.name in docids:
                    raise PackageExists(draft.name)
                del docids[package.name]
                docids[draft.name] = docid
                give_up(self._root, package.name)
            # It is indexed at the next question, or at the end: perhaps it is changed once more.
            edited = Edited(package, dict(vars(package)), docid)
            changes.edited.setdefault(id(package), edited)
            package.become(draft)
            changes.docids.add(docid)
        # It is another object where the files had to be opened again to find out whether the change
        # was kept.
        return package if package._p_jar is self._root._p_jar else self.objects[docid]

    def remove(self, name: str) -> None:
        """Remove a package. Its docid is not given to another.

        :raises PackageNotFound: there is none
        """
        with self._session.change(f"remove {name}") as changes:
            root = self._root
            docid = self._docid(name)
            # It is not read, so that one that cannot be read can be removed too.
            changes.edited.pop(id(root["packages"][docid]), None)
            self._pair.catalog.unindex_doc(docid)
            del root["packages"][docid]
            del root["docids"][normal(name)]
            give_up(root, normal(name))
            changes.docids.add(docid)

    # -- the past ----------------------------------------------------------------------------

    def undo(
        self,
        change: str | int | None = None,
        *,
        force: bool = False,
        dry_run: bool = False,
        note: str | None = None,
    ) -> Undone:
        """Put the packages that one change touched back as they were before it, as a new change.

        :param change: its number, or text such as ``"c12"``; None for the newest, so that
            undoing twice restores
        :param force: also put back packages that were changed since; else they are left alone
        :param dry_run: only say what would be done
        :param note: for the history
        :raises NoSuchMoment: there is no such change, or what was there before it is not kept
        """
        from authdb.undoing import undo

        try:
            which = parse_change(change) if isinstance(change, str) else change
            if not (which is None or isinstance(which, bytes)) and (
                type(which) is not int or which < 0
            ):
                raise ValueError("a change is given by its number, or as text such as 'c12'")
        except ValueError as error:
            raise AuthDBError(f"{error}, not {shown(change)}") from None
        return undo(self._session, which, force=force, dry_run=dry_run, note=note)

    # -- keeping well ------------------------------------------------------------------------

    def check(self, *, repair: bool = False, progress: Progress | None = None) -> list[Finding]:
        """Hold everything against everything.

        Each package against its digest, its past states too; names against packages, every
        index against the packages in both directions, the trees in themselves; and each record
        of both files against all that the rest of the file says of it.

        A million packages take some minutes, some hundred megabytes of memory, and meanwhile room
        on the disk for another catalog.

        :param repair: make the catalog anew where it is not as it should be. What is wrong with
            the objects cannot be mended here
        :param progress: called now and then with what is being done, how far that is, and how far
            it goes (None where that is not known)
        :returns: what was found; empty when all is well
        """
        from authdb.checking import Finding, examine_pair  # only this method needs it

        if self._session.changes is not None:
            raise AuthDBError("check looks at what is stored: end the transaction first")
        self._root  # noqa: B018 - raises where the database is closed
        pair = self._pair
        findings, of_files = examine_pair(pair, progress)
        if self.read_only and self.ahead:
            findings.insert(0, Finding(OBJECTS_FILE, str(self.ahead), True))
            rest = pair.objects.path.stat().st_size - pair.objects.storage.getSize()  # type: ignore[union-attr]
            if rest:
                what = f"its last {rest:,} bytes are no whole change, but may hold packages"
                findings.append(Finding(OBJECTS_FILE, what, False))
        if repair and any(finding.repairable for finding in of_files):
            self._session.renew()
        elif repair and any(finding.repairable for finding in findings):
            self.reindex()
        return [*findings, *of_files]

    def reindex(self, *, progress: Progress | None = None) -> None:
        """Build the catalog anew from the objects.

        :param progress: called with what is being done, how much of it is done, and of how much
            (None if that is not known)
        """
        self._session.rebuild(progress)

    def pack(
        self, keep: str | None = None, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Packed:
        """Give back the room that earlier states take, in both files.

        The states before are gone afterwards, except from ``data.fs.old`` and
        ``catalog.fs.old``, which are what the files were before.

        :param keep: the history of how long back is kept, such as ``"90d"``; None for none
        :param dry_run: only say which changes can be looked at and undone no longer
        :param progress: see `check`. While records are copied, another thread calls it
        :raises DatabaseDamaged: a package is not as it should be: nothing is packed
        :raises DatabaseError: the disk is too full for the new files; the old ones are as before
        """
        from authdb.packing import pack

        if dry_run:
            self._root  # noqa: B018 - raises where the database is closed
        else:
            self._session.writable()
        try:
            span = None if keep is None else parse_span(str(keep))
        except ValueError as error:
            raise AuthDBError(f"keep: {error}, not {shown(keep)}") from None
        return pack(self._pair, span, dry_run, progress)

    def copy(self, target: str | Path, *, progress: Progress | None = None) -> int:
        """Make a new database of the packages as they are shown here, without their history.

        :param target: the folder of the new one; other files in it are left alone
        :param progress: as for `reindex`
        :returns: how many packages it has
        :raises DatabaseExists: there is a database in ``target``
        :raises DatabaseDamaged: a package is not what was stored; there is no new database then
        :raises DatabaseError: the new one cannot be written
        """
        from authdb.copying import copy

        if self._session.changes is not None:
            raise AuthDBError("what is stored is copied: end the transaction first")
        return copy(self._root, _folder(target), self.path or "memory", progress)

    def close(self) -> None:
        """Close it, giving up an open transaction. Closing again does nothing."""
        self._session.close()

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
        if self._session.closed:
            return f"<closed AuthDB {where}>"
        state = ", of the past" if self.moment is not None else ", read-only" * self.read_only
        return f"<AuthDB {where}: {len(self)} packages{state}>"

    # -- within ------------------------------------------------------------------------------


def _folder(path: str | Path) -> Path:
    try:
        folder = Path(path).expanduser()
    except RuntimeError as error:
        raise DatabaseError(path, f"there is no such home folder ({error})") from None
    if "\0" in str(folder):
        raise DatabaseError(repr(str(path)), "a path has no NUL character")
    return folder


def _missing(folder: Path) -> str:
    if folder.exists() and not folder.is_dir():
        return "this is a file: name the folder of a database"
    if pack_cut_short(folder):
        return "a crash cut a pack short; to mend that, open it for writing once"
    if (folder / CATALOG_FILE).exists() or (folder / f"{OBJECTS_FILE}.old").exists():
        return f"{OBJECTS_FILE} is gone, though other files of a database are here: bring it back"
    return "there is no database here; make one with: authdb init"
