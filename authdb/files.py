"""The files of a database: which there are, how they are made, and a pack that was cut short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from authdb.exceptions import DatabaseDamaged, DatabaseError, DatabaseExists
from authdb.generations import new_root, new_token
from authdb.storage import MyZODB, explain

__all__ = [
    "CATALOG_FILE",
    "COLUMNS_FILE",
    "OBJECTS_FILE",
    "aside",
    "create_objects",
    "made",
    "make_objects",
    "mend_pack",
    "name_objects",
    "pack_cut_short",
    "refuse_backups",
    "refuse_to_make",
    "remove_new",
    "sync_folder",
    "torn_tails",
]

OBJECTS_FILE = "data.fs"
CATALOG_FILE = "catalog.fs"
COLUMNS_FILE = "columns.bin"


def create_objects(folder: Path) -> None:
    """Make the objects file of a new database; the catalog is made when it is opened.

    :raises DatabaseExists: there is one
    """
    try:
        refuse_to_make(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Made under another name, then given its own: a database is there whole, or not at all.
        with aside(folder) as draft:
            make_objects(draft / OBJECTS_FILE)
            name_objects(draft, folder)
    except OSError as error:
        raise explain(error, folder) from error


def refuse_to_make(folder: Path) -> None:
    """
    :raises DatabaseError: no database can be made in ``folder``: there is one, or what is left of
        one, or something else would be lost
    """
    if (folder / OBJECTS_FILE).exists() or pack_cut_short(folder):
        raise DatabaseExists(folder, _THERE)
    for left in (CATALOG_FILE, f"{OBJECTS_FILE}.old"):
        if (folder / left).exists():
            raise DatabaseDamaged(
                folder,
                f"{OBJECTS_FILE} is gone, though {left} is there: bring it back from a backup, "
                "or move what is left elsewhere to begin anew",
            )
    refuse_backups(folder)


_THERE = "there is a database already"


def make_objects(path: Path) -> None:
    """Make the objects file of a database without packages: its first transaction."""
    with MyZODB(path) as objects:
        new_root(objects.dbroot)
        manager = objects.connection.transaction_manager
        manager.get().note("a new database")
        manager.commit()


def name_objects(draft: Path, folder: Path) -> None:
    """Give the objects file in the folder ``draft`` its place in ``folder``.

    :raises DatabaseExists: there is one
    """
    target = folder / OBJECTS_FILE
    try:
        target.hardlink_to(draft / OBJECTS_FILE)  # a rename would replace one made in the meantime
    except FileExistsError:
        raise DatabaseExists(folder, _THERE) from None
    except OSError:  # a file system without such links: an empty file holds the name instead
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            raise DatabaseExists(folder, _THERE) from None
        (draft / OBJECTS_FILE).replace(target)
    sync_folder(folder)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Inside, there is a folder for a new database; afterwards too, unless making that fails.

    :raises DatabaseError: see `refuse_to_make`
    """
    was_there = folder.is_dir()
    refuse_to_make(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(folder.parent)
    try:
        yield
    except BaseException:
        if not was_there:
            with suppress(OSError):  # something else is in it
                folder.rmdir()
        raise


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """A folder of our own within ``folder``, for what is to be whole before it is seen. What is
    still in it is removed at the end.

    It is locked, so that what is left of processes that were killed is known, and removed too.

    :raises OSError: it cannot be made
    """
    from shutil import rmtree

    for left in folder.glob(f"{_ASIDE}*"):
        with suppress(OSError):  # another's, in which we may not write
            lock = _locked(left) if left.is_dir() else None
            if lock is not None:
                rmtree(left, ignore_errors=True)
                lock.close()
    draft, lock = _new_draft(folder)
    try:
        yield draft
    finally:
        lock.close()
        rmtree(draft, ignore_errors=True)


#: What the names of such folders begin with.
_ASIDE = ".new-"


def _new_draft(folder: Path) -> tuple[Path, Any]:
    """A folder for `aside`, and its lock."""
    while True:
        draft = folder / f"{_ASIDE}{new_token()}"
        draft.mkdir()
        # Before it is locked another process may take it for a leftover, and remove it.
        with suppress(FileNotFoundError):
            lock = _locked(draft)
            if lock is not None:
                if (draft / "lock").exists():
                    return draft, lock
                lock.close()


def _locked(draft: Path) -> Any:
    """The lock of a folder made by `aside`; None where another process holds it."""
    from zc.lockfile import LockError, SimpleLockFile

    try:
        return SimpleLockFile(f"{draft / 'lock'}")
    except LockError:
        return None


def remove_new(folder: Path, was_there: bool) -> None:
    """Remove a database that was only just made, by the names of its files: others may have put
    files of their own beside them.

    :param was_there: whether the folder was there before; it then stays
    """
    for file in (OBJECTS_FILE, CATALOG_FILE):
        for ending in ("", ".index", ".lock", ".tmp"):
            (folder / f"{file}{ending}").unlink(missing_ok=True)
    (folder / COLUMNS_FILE).unlink(missing_ok=True)
    if not was_there:
        with suppress(OSError):  # other things are in it
            folder.rmdir()


def refuse_backups(folder: Path) -> None:
    """
    :raises DatabaseError: ``folder`` is one of backups (see `authdb.backup`), where a database
        would be lost with them
    """
    if (folder / "uuid").is_file() and (folder / "data").is_dir():
        raise DatabaseError(folder, "this is a folder of backups: choose another for a database")


def sync_folder(folder: Path) -> None:
    """See to it that the names in ``folder`` are on disk, as fsync does for what is in a file."""
    with suppress(PermissionError):  # where folders cannot be opened, names are kept otherwise
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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


def torn_tails(folder: Path) -> list[Path]:
    """What ZODB cut off the two files when they were opened after a crash: half a change each."""
    return sorted(
        file
        for name in (OBJECTS_FILE, CATALOG_FILE)
        for file in folder.glob(f"{name}.tr*")
        if file.name.removeprefix(f"{name}.tr").isdigit()
    )
