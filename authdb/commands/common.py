"""What several commands share: which database, opened, made, and how counts are written."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authdb.database import AuthDB
from authdb.exceptions import AuthDBError
from authdb.pairing import CATALOG_FILE, OBJECTS_FILE
from authdb.progress import say

__all__ = ["folder", "made", "opened", "plural"]


def folder(options: argparse.Namespace) -> Path:
    """Where the database is: --db, else AUTHDB_PATH, else the user's own data folder."""
    if options.db == "":  # most likely an empty variable: not a wish for another database
        raise AuthDBError("--db: it names no folder")
    given = options.db or os.environ.get("AUTHDB_PATH")
    with suppress(RuntimeError):  # a ~ for which there is no folder
        if given:
            return Path(given).expanduser()
        from platformdirs import user_data_path

        own = user_data_path("authdb", appauthor=False)
        if own.is_absolute():
            return own
    raise AuthDBError(
        f"{given or 'your data folder'}: nobody knows where that home folder is: name the whole "
        "path of the database, with --db or AUTHDB_PATH"
    )


@contextmanager
def opened(options: argparse.Namespace, read_only: bool = True) -> Iterator[AuthDB]:
    """The database, open; says so if it had to be healed."""
    with AuthDB.open(folder(options), read_only=read_only) as db:
        if db.healed:
            say(f"{db.healed}{', in memory only; see: authdb check' * read_only}")
        yield db


@contextmanager
def made(path: Path) -> Iterator[AuthDB]:
    """A new database in the folder ``path``, which is not there if the block fails."""
    with AuthDB.create(path) as db:
        try:
            yield db
        except BaseException:
            db.close()
            for file in (OBJECTS_FILE, CATALOG_FILE):
                for ending in ("", ".index", ".lock", ".tmp"):
                    (path / f"{file}{ending}").unlink(missing_ok=True)
            with suppress(OSError):  # other things are in the folder
                path.rmdir()
            raise


def plural(count: int, word: str = "package") -> str:
    """``1 package``, ``2 packages``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
