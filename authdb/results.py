"""`Result`: the packages that a question found."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from authdb.exceptions import NotOne
from authdb.models import Package

__all__ = ["Result"]


class Result:
    """The answer to `AuthDB.find`; it can be read any number of times.

    Its docids were fixed when the question was asked. Each package is loaded when it is read,
    as it is by then, for as long as the database is open.

    ``len(result)`` counts all that match, whatever the limit; iterating, `names`, `first` and
    `all` give the part between ``offset`` and ``offset + limit``.
    """

    def __init__(
        self,
        docids: array[int],
        load: Callable[[int], Package],
        limit: int | None = None,
        offset: int = 0,
    ) -> None:
        self._docids = docids
        self._load = load
        self._page = slice(offset, None if limit is None else offset + limit)

    @property
    def docids(self) -> array[int]:
        """The docids of the part that is shown, in order."""
        return self._docids[self._page]

    def __len__(self) -> int:
        return len(self._docids)

    def __bool__(self) -> bool:
        return bool(self._docids)

    def __iter__(self) -> Iterator[Package]:
        """
        :raises DatabaseClosed: the database was closed meanwhile
        :raises PackageNotFound: a package was removed meanwhile
        """
        return map(self._load, self.docids)

    def names(self) -> list[str]:
        """The names of the packages."""
        return [package.name for package in self]

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
        if len(self) != 1:
            raise NotOne(len(self))
        return self._load(self._docids[0])

    def __repr__(self) -> str:
        shown, total = len(self.docids), len(self)
        count = str(total) if shown == total else f"{shown} of {total}"
        return f"<Result: {count} package{'s' * (total != 1)}>"
