"""What several commands share: which database, opened, made, and how counts are written."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authdb.database import AuthDB
from authdb.exceptions import AuthDBError, AuthDBWarning
from authdb.files import mend_pack, pack_cut_short
from authdb.progress import say

__all__ = ["confirmed", "folder", "opened", "planned", "plural"]


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
    """The database, open, as of the moment that is asked for; says so if it had to be healed."""
    as_of = getattr(options, "as_of", None)
    with AuthDB.open(folder(options), read_only=read_only, as_of=as_of) as db:
        if db.healed:
            say(f"{db.healed}{', in memory only; see: authdb check' * read_only}")
        yield db


@contextmanager
def planned(options: argparse.Namespace) -> Iterator[AuthDB]:
    """The database, read-only, to plan a change to it: so nobody has to wait while a person makes
    up their mind.

    :raises CatalogAhead: as it would be raised where it is opened for writing
    """
    path = folder(options)
    if pack_cut_short(path):
        mend_pack(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AuthDBWarning)
        db = AuthDB.open(path, read_only=True)
    with db:
        if db.ahead is not None:
            raise db.ahead
        yield db


def confirmed(options: argparse.Namespace, question: str) -> bool:
    """Whether the person agrees. Where there is no terminal, or with --yes, nobody is asked."""
    if options.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"authdb: {question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:  # Ctrl-D leaves the cursor behind the question
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")


def plural(count: int, word: str = "package") -> str:
    """``1 package``, ``2 packages``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
