"""What servers answered last, kept beside a database: so that they need only say "unchanged".

It is a cache, in SQLite: the objects do not hold when a server was asked, for that would be a
change where nothing has changed. What is read of an answer is kept, not its bytes, a twentieth of
them. If the file is gone or damaged, all is asked for anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

import msgspec

__all__ = ["ANSWERS_FILE", "FORMAT", "Answers", "Kept"]

#: The name of the file in the folder of a database.
ANSWERS_FILE = "answers.sqlite"
#: The number of the form in which facts are kept: with another one, they are asked for anew.
FORMAT = 1

_TABLE = """
    create table if not exists answers (
        url text primary key, etag text, modified text, checked real, format integer, facts blob
    ) without rowid
"""

# What sqlite3 raises; the other one where it cannot even say what is wrong, because its message
# quotes bytes that are no text.
_DAMAGED = (sqlite3.Error, UnicodeDecodeError)


_T = TypeVar("_T")


class Kept(NamedTuple):
    """An answer: what to ask with for another one, when it was last confirmed (seconds since 1970),
    and what was read of it."""

    url: str
    etag: str | None
    modified: str | None
    checked: float
    facts: bytes

    def read(self, kind: type[_T]) -> _T | None:
        """The facts, as ``kind`` has them; None where they are damaged, or of another kind."""
        try:
            return msgspec.json.decode(self.facts, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def conditions(self) -> dict[str, str]:
        """The headers that ask for another answer only."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in headers.items() if value}


class Answers:
    """The answers of one database; a context manager.

    :param folder: of the database; None keeps them in memory
    :param read_only: nothing is made, and nothing can be kept
    """

    def __init__(self, folder: Path | None, read_only: bool = False) -> None:
        self._path = None if folder is None else folder / ANSWERS_FILE
        self._connection = self._opened(read_only)

    def get(self, url: str) -> Kept | None:
        """The answer from that address, if there is one that can be used."""
        asked = "select url, etag, modified, checked, facts from answers where url=? and format=?"
        try:
            row = self._connection.execute(asked, (url, FORMAT)).fetchone()
            return None if row is None else msgspec.convert(row, Kept)
        except (*_DAMAGED, msgspec.ValidationError):  # no table, or a damaged one
            return None

    def put(self, answers: Iterable[Kept]) -> None:
        """Keep these, in place of older ones from the same addresses.

        What cannot be kept, as on a full disk, will be asked for anew: that is no error.
        """
        rows = [
            (one.url, one.etag, one.modified, one.checked, FORMAT, one.facts) for one in answers
        ]
        with suppress(*_DAMAGED), self._connection:
            self._connection.executemany("replace into answers values (?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self, read_only: bool) -> sqlite3.Connection:
        if self._path is None:
            return _made(sqlite3.connect(":memory:"))
        if read_only:
            with suppress(sqlite3.Error):
                return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            return _made(sqlite3.connect(":memory:"))
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                _made(connection)
                if connection.execute("pragma quick_check(1)").fetchone() != ("ok",):
                    raise sqlite3.DatabaseError
        except sqlite3.OperationalError:  # it is locked, or cannot be opened: nothing is kept
            return _made(sqlite3.connect(":memory:"))
        except _DAMAGED:  # or another kind of file
            with suppress(OSError):
                self._path.unlink()
        try:
            return _made(sqlite3.connect(self._path))
        except _DAMAGED:  # it cannot be written: then nothing is kept
            return _made(sqlite3.connect(":memory:"))


def _made(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("pragma synchronous = off")  # derived: a crash may lose it
        connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection
