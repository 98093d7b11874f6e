"""Every error that authdb raises on purpose.

::

    AuthDBError
    |-- InvalidValue          (also a ValueError)  a value that a field refuses
    |-- QueryError            (also a ValueError)  a question that makes no sense
    |-- LoadError             the mistakes of a file, all at once
    |-- PackageNotFound       (also a KeyError)
    |-- PackageExists         (also a KeyError)
    |-- NotOne                Result.one() on none or on several
    |-- FetchError            a server that gives no answer
    `-- DatabaseError
        |-- DatabaseMissing
        |-- DatabaseExists
        |-- DatabaseLocked    another process writes
        |-- DatabaseReadOnly  a change where none can be made
        |-- DatabaseClosed
        |-- NoSuchMoment      before the history that is kept begins, or no such change
        |-- UnsafeFile        it would run what authdb never stored
        |-- DatabaseDamaged
        |   |-- BrokenFile    at a byte that is known
        |   `-- CatalogAhead  the objects lost their tail
        `-- FormatError       written by another authdb

    AuthDBWarning             (a UserWarning) answered, but you should know

The text of each is one line: what, where, what to do. What a program needs of it is an
attribute.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "AuthDBError",
    "AuthDBWarning",
    "BrokenFile",
    "CatalogAhead",
    "DatabaseClosed",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseExists",
    "DatabaseLocked",
    "DatabaseMissing",
    "DatabaseReadOnly",
    "FetchError",
    "FormatError",
    "InvalidValue",
    "LoadError",
    "NoSuchMoment",
    "NotOne",
    "PackageExists",
    "PackageNotFound",
    "Problem",
    "QueryError",
    "UnsafeFile",
    "nearest",
    "shown",
]


def shown(value: object, width: int = 60) -> str:
    """``value`` as a message quotes it: its repr, cut to ``width`` characters.

    A repr that itself fails (a number of a million digits) gives the type's name.
    """
    try:
        text = repr(value)
    except Exception as error:  # a foreign __repr__ may raise anything
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return text if len(text) <= width else text[: width - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'jwt'?)`` or, where nothing is near, an empty text."""
    import difflib  # here, because most commands end without a mistake
    from itertools import islice

    known = islice(known, 5000)  # the time that it takes grows with their number

    found = difflib.get_close_matches(str(word).lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


class AuthDBError(Exception):
    """The base of every error here; catch this one to catch them all."""


class AuthDBWarning(UserWarning):
    """An answer was given, but not the usual way."""


class InvalidValue(AuthDBError, ValueError):
    """A field refuses a value.

    Attributes: ``field`` (its name), ``value`` (as given), ``reason``.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"{field}: {reason}, got {shown(value)}")
        self.field = field
        self.value = value
        self.reason = reason


class QueryError(AuthDBError, ValueError):
    """A query that cannot be read or asked.

    Attributes: ``reason``; ``text`` (the query as text, or None) and ``position`` (the offset
    in it, counted in characters from 0, or None).
    """

    def __init__(self, reason: str, text: str | None = None, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text
        self.position = position

    def __str__(self) -> str:
        if self.position is None:
            return self.reason
        if self.text is None:
            return f"{self.reason}, at character {self.position + 1}"
        rest = self.text[self.position : self.position + 24].split("\n")[0]
        where = f" ({rest!r})" if rest else " (the end)"
        return f"{self.reason}, at character {self.position + 1}{where}"


class Problem(NamedTuple):
    """One mistake in a file: ``where`` ("line 3", "record 2"), ``field`` (or None), ``reason``."""

    where: str
    field: str | None
    reason: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.where}: {field}{self.reason}"


class LoadError(AuthDBError):
    """Everything that is wrong with a file; nothing of it was loaded.

    Attributes: ``source`` (the file's name), ``problems`` (a tuple of `Problem`).
    ``str()`` has one line a problem, each starting with the file's name.
    """

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class PackageNotFound(AuthDBError, KeyError):
    """No package of that name. Attribute: ``name``."""

    def __init__(self, name: str, known: Iterable[str] = (), reason: str | None = None) -> None:
        super().__init__(reason or f"no package is called {name!r}{nearest(name, known)}")
        self.name = name

    __str__ = Exception.__str__  # KeyError's would show the message's repr


class PackageExists(AuthDBError, KeyError):
    """There is a package of that name already. Attribute: ``name``."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a package called {name!r} already: update it instead")
        self.name = name

    __str__ = Exception.__str__


class NotOne(AuthDBError):
    """``Result.one()`` where not exactly one package matches. Attribute: ``count``."""

    def __init__(self, count: int) -> None:
        super().__init__(f"exactly one package was asked for, {count} match")
        self.count = count


class FetchError(AuthDBError):
    """There is no answer, or none that can be used.

    Attributes: ``url``; ``reason``; ``unreachable`` (whether the host was not found or let nobody
    in, so that to ask it for more is in vain).
    """

    def __init__(self, url: str, reason: str, unreachable: bool = False) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason
        self.unreachable = unreachable


class DatabaseError(AuthDBError):
    """Something about the database itself. Attribute: ``path`` (text)."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class DatabaseMissing(DatabaseError):
    """There is no database at that path."""


class DatabaseExists(DatabaseError):
    """There is a database at that path already."""


class DatabaseLocked(DatabaseError):
    """Another process has the database open for writing.

    Attribute: ``pid`` (of that process, or None where the lock file does not say).
    """

    def __init__(self, path: object, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(path, f"{who} is writing to it: wait until it ends, or open it read-only")
        self.pid = pid


class DatabaseReadOnly(DatabaseError):
    """A change to a database that was opened for reading, or outside a transaction."""


class DatabaseClosed(DatabaseError):
    """The database was closed before the question was asked."""


class NoSuchMoment(DatabaseError):
    """A moment or a change that the history of the database does not have (any longer)."""


class DatabaseDamaged(DatabaseError):
    """A file that cannot be read as what it should be."""


class BrokenFile(DatabaseDamaged):
    """A file in which one part contradicts another.

    Attribute: ``position`` (of the byte where that part begins, counted from 0).
    """

    def __init__(self, path: object, position: int, reason: str) -> None:
        super().__init__(path, f"it is damaged at byte {position:,}: {reason}")
        self.position = position


class UnsafeFile(DatabaseError):
    """A file that asks for something authdb never stores; reading it could run any code.

    Attribute: ``wanted`` (the class or function that it asks for, such as "os.system"; None
    where it is not that).
    """

    def __init__(self, path: object, reason: str, wanted: str | None = None) -> None:
        super().__init__(path, reason)
        self.wanted = wanted


class CatalogAhead(DatabaseDamaged):
    """The catalog knows changes that the objects have lost.

    Attributes: ``objects_generation`` and ``catalog_generation``.
    """

    def __init__(self, path: object, objects_generation: int, catalog_generation: int) -> None:
        if catalog_generation > objects_generation:
            found = (
                f"the objects file has lost its tail: it ends with change {objects_generation}, "
                f"the catalog has seen change {catalog_generation}"
            )
        else:
            found = (
                "the objects file is not the one that the catalog was made from: change "
                f"{objects_generation} is another in each"
            )
        super().__init__(
            path,
            f"{found}; nothing is written before you bring the right file back from a backup, "
            "or accept the loss with: authdb check --repair",
        )
        self.objects_generation = objects_generation
        self.catalog_generation = catalog_generation


class FormatError(DatabaseError):
    """A database that another version of authdb wrote, or none at all.

    Attributes: ``found`` and ``supported`` (format numbers; ``found`` is None for a database
    that is not authdb's).
    """

    def __init__(self, path: object, found: int | None, supported: int) -> None:
        if found is None:
            reason = (
                "it is not a database of authdb, or has lost its end: look for a backup, or for a "
                "file beside it that ends in .old or .tr0"
            )
        elif found > supported:
            reason = (
                f"it has format {found}, this authdb knows formats up to {supported}: "
                "upgrade authdb"
            )
        else:
            reason = (
                f"it has format {found}, this authdb reads format {supported}: export it with "
                "the version that wrote it, and load what it exported"
            )
        super().__init__(path, reason)
        self.found = found
        self.supported = supported
