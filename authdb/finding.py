"""Asking a session: with columns where there are any that can be used, else without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from authdb.catalog import shapes
from authdb.columns import Columns, Row
from authdb.models import Package
from authdb.planning import Asked, Found
from authdb.sections import SectionDamaged
from authdb.transactions import Session

__all__ = ["Asking", "answer"]

T = TypeVar("T")


def answer(session: Session, ask: Callable[[Columns | None], T]) -> T:
    """What ``ask`` gives, which is given columns, or None where there are none.

    Columns that turn out to be damaged are dropped, and it is asked again.

    :raises DatabaseClosed: the database was closed
    """
    session.root  # noqa: B018 - raises where the database is closed
    if session.changes is not None:
        session.index_edited()
    columns = session.columns()
    if columns is not None:
        try:
            return ask(columns)
        except SectionDamaged:
            session.drop_columns()
    return ask(None)


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

    def found(self) -> Found:
        """The answer.

        :raises DatabaseClosed: the database was closed
        :raises QueryError: see `authdb.planning.Asked`
        """
        began = perf_counter()

        def ask(columns: Columns | None) -> Found:
            found = self._asked(columns).found()
            if columns is None:
                self._session.waited(perf_counter() - began)
            return found

        return answer(self._session, ask)

    def rows(self, docids: Iterable[int]) -> list[Row]:
        """The rows of these docids, as they are now.

        :raises DatabaseClosed: the database was closed
        :raises PackageNotFound: a package was removed meanwhile
        """
        return answer(self._session, partial(self._rows, docids))

    def _rows(self, docids: Iterable[int], columns: Columns | None) -> list[Row]:
        if columns is None or not columns.has_rows:
            return [Row.of(docid, self.load(docid)) for docid in docids]
        dirty = columns.dirty
        if not dirty:
            try:
                ranks = list(map(columns.ranks.__getitem__, docids))
                if min(ranks, default=0) >= 0:  # -1: a package has gone since it was found
                    return columns.rows(ranks, docids)
            except IndexError:  # one was added since these were made
                pass
        return [
            Row.of(docid, self.load(docid))
            if docid in dirty or (rank := columns.rank(docid)) is None
            else columns.row(rank)
            for docid in docids
        ]

    def explain(self) -> str:
        """How the question is answered."""
        from authdb.explaining import explain

        def ask(columns: Columns | None) -> str:
            known = "they know nothing of what is asked"
            why = self._session.no_columns if columns is None else known
            return explain(lambda: self._asked(columns), why)

        return answer(self._session, ask)
