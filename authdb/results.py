"""`Result`: the packages that a question found."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Protocol

from authdb.columns import Row
from authdb.exceptions import NotOne
from authdb.models import Package
from authdb.planning import Found

__all__ = ["Result", "Source"]


class Source(Protocol):
    """Where a result gets what it shows: the open database."""

    def load(self, docid: int) -> Package:
        """The package of a docid.

        :raises DatabaseClosed: the database was closed meanwhile
        :raises PackageNotFound: the package was removed meanwhile
        """

    def rows(self, docids: Iterable[int]) -> list[Row]:
        """The rows of these docids; raises as `load` does."""

    def explain(self) -> str:
        """How the question is answered."""


class Result:
    """The answer to `AuthDB.find`; it can be read any number of times.

    Its docids were fixed when the question was asked. Each package is loaded when it is read,
    as it is by then, for as long as the database is open.

    ``len(result)`` counts all that match, whatever the limit; iterating, `rows`, `names`, `first`
    and `all` give the part between ``offset`` and ``offset + limit``.
    """

    def __init__(self, found: Found, source: Source) -> None:
        self._found = found
        self._source = source

    @property
    def docids(self) -> array[int]:
        """The docids of the part that is shown, in order."""
        return self._found.docids[:]

    def __len__(self) -> int:
        return self._found.total

    def __bool__(self) -> bool:
        return self._found.total > 0

    def __iter__(self) -> Iterator[Package]:
        """
        :raises DatabaseClosed: the database was closed meanwhile
        :raises PackageNotFound: a package was removed meanwhile
        """
        return map(self._source.load, self._found.docids)

    def rows(self) -> list[Row]:
        """What a list shows of each package, as it is now: ``name``, ``title``, ``last_update``,
        ``last_commit``, ``last_release``, ``version``, ``license`` and ``categories``.

        Of many packages that is much faster than to load each; see `authdb.columns.Row`.
        """
        return self._source.rows(self._found.docids)

    def names(self) -> list[str]:
        """The names of the packages."""
        return [row.name for row in self.rows()]

    def all(self) -> list[Package]:
        """The packages, in a list."""
        return list(self)

    def first(self) -> Package | None:
        """The first of them; None where there is none."""
        return next(iter(self), None)

    def one(self) -> Package:
        """The only one.

        :raises NotOne: none matches, or several do
        """
        if self._found.only is None:
            raise NotOne(len(self))
        return self._source.load(self._found.only)

    def explain(self) -> str:
        """How the question is answered, step by step: what is estimated, what is found, and how
        long it takes. It is asked once more for that, and measured.

        :raises DatabaseClosed: the database was closed meanwhile
        """
        return self._source.explain()

    def __repr__(self) -> str:
        shown, total = len(self._found.docids), len(self)
        count = str(total) if shown == total else f"{shown} of {total}"
        return f"<Result: {count} package{'s' * (total != 1)}>"
