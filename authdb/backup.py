"""Backups of a database, and databases made of them again.

A backup folder has a repository of backups for each of the two files (see `authdb.pieces`), and
says of which database they are.

The catalog is taken before the objects. In each change the objects finish first, so those that are
taken later are never behind it, and opening the two brings the catalog up to date. So the restored
database is that of the moment when the objects were taken, and no lock is needed for that.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple, TypeVar

from transaction import TransactionManager
from zc.lockfile import LockError, LockFile

from authdb.auditing import Progress
from authdb.database import AuthDB
from authdb.exceptions import (
    AuthDBError,
    DatabaseDamaged,
    DatabaseExists,
    DatabaseMissing,
    FormatError,
    NoSuchMoment,
)
from authdb.files import CATALOG_FILE, OBJECTS_FILE, pack_cut_short, refuse_backups, sync_folder
from authdb.generations import lag
from authdb.models import FORMAT
from authdb.pieces import Piece, Repository, in_utc, write_whole
from authdb.storage import MyZODB, explain

__all__ = ["Backup", "Restored", "Verified", "backup", "restore", "verify"]

_Read = TypeVar("_Read")


class Backup(NamedTuple):
    """What a backup did: its ``kind`` ("full", "incremental", or "unchanged" where the last one
    has all there is), ``size`` (the bytes written), ``moment`` (when the backup that has this state
    was begun, in UTC), and the ``generation`` of that state."""

    kind: str
    size: int
    moment: datetime
    generation: int


class Restored(NamedTuple):
    """What a restore made: the ``moment`` when that backup was begun (in UTC), how many
    ``packages``, the ``generation``, and what had to be done to the catalog (``healed``, or None).
    """

    moment: datetime
    packages: int
    generation: int
    healed: str | None


class Verified(NamedTuple):
    """What was verified: how many ``pieces``, their ``size`` in bytes, and what the newest backup
    was ``restored`` to."""

    pieces: int
    size: int
    restored: Restored


# -- backing up ----------------------------------------------------------------------------------


def backup(
    path: str | Path,
    target: str | Path,
    *,
    full: bool = False,
    progress: Progress | None = None,
) -> Backup:
    """Back up the database in the folder ``path`` into the folder ``target``.

    It runs beside a writer if need be. What was acknowledged before it began is in it.

    :param target: for backups of this database only; made if need be
    :param full: copy everything, also where what was added since the last backup would do
    :param progress: called now and then with what is being done, how far that is, and how far it
        goes (see `AuthDB.check`)
    :raises DatabaseMissing: there is no database
    :raises DatabaseError: the database cannot be read
    :raises AuthDBError: ``target`` cannot be used, or cannot be written
    """
    folder, target = _path(path), _path(target)
    uuid, _ = _read(folder / OBJECTS_FILE, _identity)
    try:
        _look_at_target(target, folder)
        with _locked(target / ".lock", f"{target}: another backup into it is going on"):
            _claim(target, uuid)
            return _backup(folder, *_repositories(target, progress), full)
    except OSError as error:
        raise AuthDBError(str(explain(error, error.filename or target))) from error


def _repositories(target: Path, progress: Progress | None = None) -> tuple[Repository, Repository]:
    return Repository(target / "data", progress), Repository(target / "catalog", progress)


def _backup(folder: Path, data: Repository, catalog: Repository, full: bool) -> Backup:
    data.prepare()
    catalog.prepare()
    moment = _moment_after(data.last(), catalog.last())
    size = 0
    # A catalog that cannot be read is not worth keeping: whoever restores builds it anew.
    seen: dict[str, object] = {}

    def take_catalog(catalogs: MyZODB) -> int:
        seen.update({key: catalogs.dbroot.get(key) for key in ("uuid", "generation", "token")})
        return catalog.take(catalogs, moment, full)[1]

    with suppress(DatabaseMissing, DatabaseDamaged, FormatError):
        size = _read(folder / CATALOG_FILE, take_catalog)

    def take(objects: MyZODB) -> tuple[str, int, int]:
        _identity(objects)
        lag(objects.dbroot, seen, folder)  # raises where the objects have lost their tail
        return *data.take(objects, moment, full), _identity(objects)[1]

    kind, its_size, generation = _read(folder / OBJECTS_FILE, take)
    return Backup(kind, size + its_size, data.chain()[-1].moment, generation)


def _read(path: Path, read: Callable[[MyZODB], _Read]) -> _Read:
    """What ``read`` makes of the file, as it is at one moment."""
    try:
        with MyZODB(
            path,
            read_only=True,
            transaction_manager=TransactionManager(),
            sealed=path.name == CATALOG_FILE,
        ) as file:
            return read(file)
    except DatabaseMissing:
        reason = "there is no database here"
        if pack_cut_short(path.parent):
            reason = "a crash cut a pack short; to mend that, open it for writing once"
        raise DatabaseMissing(path.parent, reason) from None


def _identity(objects: MyZODB) -> tuple[str, int]:
    """The uuid and the generation."""
    root = objects.dbroot
    if root.get("format") != FORMAT or "packages" not in root:
        found = root["format"] if "packages" in root else None
        raise FormatError(objects.path, found, FORMAT)
    return str(root["uuid"]), int(root["generation"])


def _look_at_target(target: Path, folder: Path) -> None:
    """Make the folder for the backups, if there is none and it is in a good place."""
    if target.exists() and not target.is_dir():
        raise AuthDBError(f"{target}: this is a file: name a folder for the backups")
    its, ours = target.resolve(), folder.resolve()
    if its.is_relative_to(ours) or ours.is_relative_to(its):
        raise AuthDBError(
            f"{target}: backups inside the folder of the database, or around it, are lost with it: "
            "choose another folder"
        )
    if not target.parent.is_dir():  # making it could hide that a disk is not mounted
        raise AuthDBError(f"{target}: there is no folder {target.parent}: make it first")
    target.mkdir(exist_ok=True)


def _claim(target: Path, uuid: str) -> None:
    """Make sure that the backups in ``target`` are, and stay, those of that database."""
    file = target / "uuid"
    if file.exists():
        if file.read_text("utf-8", "replace").strip() != uuid:
            raise AuthDBError(
                f"{target}: it holds the backups of another database: choose another folder"
            )
    elif any(repository.lists() for repository in _repositories(target)):
        raise AuthDBError(
            f"{target}: the file 'uuid' is gone, which says of which database these backups are: "
            "choose another folder"
        )
    else:
        write_whole(file, f"{uuid}\n")


def _moment_after(*moments: datetime | None) -> datetime:
    """Now, to the second, by which pieces are named; a later one than those."""
    last = max(filter(None, moments), default=None)
    while True:
        now = _now().replace(microsecond=0)
        if last is None or now > last:
            return now
        if last - now > timedelta(seconds=5):
            raise AuthDBError(
                f"the clock says {in_utc(now)}, and there is a backup of {in_utc(last)}: "
                "set the clock, or choose another folder"
            )
        time.sleep(0.02)


def _now() -> datetime:
    return datetime.now(timezone.utc)


# -- verifying -----------------------------------------------------------------------------------


def verify(
    target: str | Path, made: Backup | None = None, *, progress: Progress | None = None
) -> Verified:
    """Prove that the backups in ``target`` are whole, and that the newest gives a sound database.

    Every piece is held against its checksum. The newest backup is restored into a temporary folder
    and checked there (`AuthDB.check`).

    :param made: what `backup` returned: restore that one instead, and compare its generation
    :param progress: see `backup`
    :raises DatabaseMissing: there are no backups
    :raises DatabaseDamaged: a piece is not as it was written, or what is restored is not sound
    :raises DatabaseError: a piece cannot be read, or there is no room for the restored database
    """
    target = _path(target)
    with _told(target):
        _newest(target, None)
        each = map(_verify, _repositories(target, progress))
        count, size = map(sum, zip(*each, strict=True))
    with _told(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="authdb-") as folder:
        path = Path(folder) / "restored"
        restored = restore(target, path, as_of=made and made.moment, progress=progress)
        with AuthDB.open(path, read_only=True) as db:
            findings = db.check(progress=progress)
    if findings:
        raise DatabaseDamaged(target, f"what is restored is not sound: {findings[0]}")
    if made and restored.generation != made.generation:
        found = f"generation {made.generation} was backed up, {restored.generation} is restored"
        raise DatabaseDamaged(target, found)
    return Verified(count, size, restored)


def _verify(repository: Repository) -> tuple[int, int]:
    """Check every piece; how many there are, and their bytes."""
    pieces = [piece for file in repository.lists() for piece in repository.listed(file)]
    repository.join(pieces)
    return len(pieces), sum(piece.end - piece.start for piece in pieces)


# -- restoring -----------------------------------------------------------------------------------


def restore(
    source: str | Path,
    path: str | Path,
    *,
    as_of: datetime | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make a database in the folder ``path`` of a backup in the folder ``source``.

    It is there whole when this returns, and not at all if anything goes wrong. The catalog is
    built anew where its backup is missing or damaged.

    :param path: where there is no database; made if need be
    :param as_of: take the newest backup that was begun by then (a datetime with a time zone);
        None takes the newest of all
    :param progress: see `backup`
    :raises DatabaseExists: there is a database in ``path``; it is never replaced
    :raises DatabaseMissing: there are no backups in ``source``
    :raises NoSuchMoment: none was begun by then
    :raises DatabaseDamaged: a piece is not as it was written
    :raises DatabaseError: no permission, no room
    """
    source, folder = _path(source), _path(path)
    with _told(source):
        pieces = _newest(source, as_of)
    with _told(folder):
        refuse_backups(folder)
        _look_at_place(folder)
        with _place(folder) as draft:
            restored = _restore(source, pieces, draft, progress)
            _put(draft, folder)
    return restored


def _newest(source: Path, as_of: datetime | None) -> list[Piece]:
    """The pieces of the objects of the newest backup that was begun by then."""
    data = Repository(source / "data")
    if not data.lists():
        raise DatabaseMissing(source, "there are no backups here")
    if as_of is not None and as_of.tzinfo is None:
        raise AuthDBError(f"{as_of}: a moment without a time zone can be any of several")
    pieces = data.chain(as_of)
    if not pieces:
        first, last = in_utc(data.first()), in_utc(data.chain()[-1].moment)
        reason = f"no backup is so old: the first is of {first}, the last of {last}"
        raise NoSuchMoment(source, reason)
    return pieces


def _look_at_place(folder: Path) -> None:
    objects = folder / OBJECTS_FILE
    # One of four bytes holds no transaction: it is what FileStorage makes first.
    if pack_cut_short(folder) or (objects.exists() and objects.stat().st_size > 4):
        raise DatabaseExists(
            folder, "there is a database already: move it away first, or restore to another folder"
        )


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """A folder for drafts in ``folder``, where nobody else makes a database meanwhile."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{OBJECTS_FILE}.lock"
    with _locked(lock):
        try:
            for left in folder.glob(".restore-*"):  # of one that was killed
                shutil.rmtree(left)
            draft = Path(tempfile.mkdtemp(prefix=".restore-", dir=folder))
            try:
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except BaseException:
            if made:
                with suppress(OSError):
                    lock.unlink()
                    folder.rmdir()
            raise


def _restore(source: Path, pieces: list[Piece], draft: Path, progress: Progress | None) -> Restored:
    data, catalog = _repositories(source, progress)
    moment = pieces[-1].moment
    lost: Exception | None = None
    _join(data, pieces, draft / OBJECTS_FILE)
    try:
        # Not a newer one: its objects may never have been taken.
        _join(catalog, catalog.chain(moment), draft / CATALOG_FILE)
    except (DatabaseDamaged, OSError) as error:
        (draft / CATALOG_FILE).unlink(missing_ok=True)
        lost = explain(error, getattr(error, "filename", None) or catalog.folder)
    try:
        try:
            return _healed(draft, moment, lost)
        except AuthDBError:  # of another life of the database, or damaged before it was taken
            (draft / CATALOG_FILE).unlink(missing_ok=True)
            return _healed(draft, moment, lost)
    except (DatabaseDamaged, FormatError) as error:
        reason = f"the backup of {in_utc(moment)} cannot be opened: {error.reason}"
        raise DatabaseDamaged(source, reason) from error


def _join(repository: Repository, pieces: list[Piece], file: Path) -> None:
    if pieces:
        with file.open("xb") as out:
            repository.join(pieces, out)
            out.flush()
            os.fsync(out.fileno())


def _healed(draft: Path, moment: datetime, lost: Exception | None) -> Restored:
    with AuthDB.open(draft) as db:  # this heals its catalog
        healed = f"{db.healed} ({lost})" if lost else db.healed
        return Restored(moment, len(db), db.generation, healed)


def _put(draft: Path, folder: Path) -> None:
    """Give the files their places: the objects last, as a database is there when they are."""
    _look_at_place(folder)
    for name in (f"{CATALOG_FILE}.index", CATALOG_FILE, f"{OBJECTS_FILE}.index"):
        if (draft / name).exists():
            (draft / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    objects = folder / OBJECTS_FILE
    objects.unlink(missing_ok=True)  # an empty one
    try:
        objects.hardlink_to(draft / OBJECTS_FILE)  # a rename would replace one made meanwhile
    except FileExistsError:
        _look_at_place(folder)
        raise
    except OSError:  # a file system without such links
        (draft / OBJECTS_FILE).rename(objects)
    sync_folder(folder)
    sync_folder(folder.parent)


def _path(path: str | Path) -> Path:
    if not str(path) or "\0" in str(path):  # most likely an empty variable
        raise AuthDBError(f"{str(path)!r}: it names no folder")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise AuthDBError(f"{path}: there is no such home folder ({error})") from None


@contextmanager
def _told(path: object) -> Iterator[None]:
    """What the system says, as an error of ours."""
    try:
        yield
    except OSError as error:
        raise explain(error, error.filename or path) from error


@contextmanager
def _locked(file: Path, what: str | None = None) -> Iterator[None]:
    """Hold the lock ``file``, unless someone else does: ``what`` is the error then."""
    try:
        lock = LockFile(str(file))
    except LockError as error:
        if what is not None:
            raise AuthDBError(f"{what}: wait until it ends") from error
        raise explain(error, str(file).removesuffix(".lock")) from error
    try:
        yield
    finally:
        lock.close()
