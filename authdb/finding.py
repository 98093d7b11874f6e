"""Asking a session: with columns where there are any that can be used, else without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any

from authdb.catalog import shapes
from authdb.columns import Columns, Row
from authdb.models import Package
from authdb.planning import Asked, Found
from authdb.sections import SectionDamaged
from authdb.transactions import Session

__all__ = ["Asking"]


class Asking:
    """A question to a database, and where its answer is read from (see `authdb.results.Source`).

    :param session: the open database
    :param load: gives the package of a docid
    :param what: query, names, sort, reverse, limit, offset (see `authdb.planning.Asked`)
    """

    __slots__ = ("_session", "_what", "load")

    def __init__(
        self, session: Session, load: Callable[[int], Package], what: tuple[Any, ...]
    ) -> None:
        self._session, self.load, self._what = session, load, what

    def _asked(self, columns: Columns | None) -> Asked:
        return Asked(
            self._catalog, columns, *self._what, shapes=shapes(), lengths=self._session.lengths
        )

    def _catalog(self) -> Any:
        return self._session.pair.catalog

    def _columns(self) -> Columns | None:
        session = self._session
        session.root  # noqa: B018 - raises where the database is closed
        session.index_edited()
        return session.columns()

    def found(self) -> Found:
        """The answer.

        :raises DatabaseClosed: the database was closed
        :raises QueryError: see `authdb.planning.Asked`
        """
        columns = self._columns()
        if columns is not None:
            try:
                return self._asked(columns).found()
            except SectionDamaged:
                self._session.drop_columns()
        began = perf_counter()
        found = self._asked(None).found()
        self._session.waited(perf_counter() - began)
        return found

    def rows(self, docids: Iterable[int]) -> list[Row]:
        """The rows of these docids, as they are now.

        :raises DatabaseClosed: the database was closed
        :raises PackageNotFound: a package was removed meanwhile
        """
        columns = self._columns()
        if columns is not None and columns.has_rows:
            try:
                return self._rows(docids, columns)
            except SectionDamaged:
                self._session.drop_columns()
        return [Row.of(docid, self.load(docid)) for docid in docids]

    def _rows(self, docids: Iterable[int], columns: Columns) -> list[Row]:
        dirty = columns.dirty
        if not dirty:
            with suppress(IndexError):  # one was added since these were made
                ranks = [*map(columns.ranks.__getitem__, docids)]
                if min(ranks, default=0) >= 0:  # -1: a package has gone since it was found
                    return list(columns.rows(ranks))
        return [
            Row.of(docid, self.load(docid))
            if docid in dirty or (rank := columns.rank(docid)) is None
            else columns.row(rank)
            for docid in docids
        ]

    def explain(self) -> str:
        """How the question is answered."""
        from authdb.explaining import explain

        columns = self._columns()
        if columns is not None:
            try:
                why = "they know nothing of what is asked"
                return explain(lambda: self._asked(columns), why)
            except SectionDamaged:
                self._session.drop_columns()
        return explain(lambda: self._asked(None), self._session.no_columns)
