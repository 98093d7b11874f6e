"""repoze.catalog's own way of running a query, over the catalog that authdb built.

It shows what planning is worth where plain repoze.catalog loads too slowly to take part.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from repoze.catalog.catalog import Catalog
from repoze.catalog.query import Query
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from benchmarks import questions as q
from benchmarks.peers import ours, plain

__all__ = ["Peer"]


class Peer(plain.Peer):
    """It opens our files read-only, and asks `Catalog.query`."""

    title = "repoze.catalog over ours"
    about = "Catalog.query as repoze.catalog has it, over the catalog that authdb built"
    largest = 1_000_000

    def open(self) -> None:
        folder = ours.Peer(self.folder).path
        self.objects, self.db = (
            DB(FileStorage(str(folder / name), read_only=True), cache_size=10_000_000)
            for name in ("data.fs", "catalog.fs")
        )
        root = self.objects.open().root()
        self.packages, self.docids = root["packages"], root["docids"]
        self.catalog = self.db.open().root()["catalog"]

    def close(self) -> None:
        self.db.close()
        self.objects.close()

    def value(self, day: int) -> date:
        return date.fromordinal(day)

    def ask(self, query: Query, **options: Any) -> tuple[Any, Any]:
        answer: tuple[Any, Any] = Catalog.query(self.catalog, query, **options)
        return answer

    def rows(self, docids: Iterable[int]) -> list[list[Any]]:
        found = []
        for docid in docids:
            package = self.packages[docid]
            values = [getattr(package, field) for field in q.ROW[:-1]]
            dates = [value and value.isoformat() for value in values[2:5]]
            found.append([*values[:2], *dates, *values[5:], ",".join(package.categories)])
        return found

    def plain(self, question: str, answer: Any) -> Any:
        if question in ("newest_ids", "other_order_ids"):
            answer = super().plain(question, answer)
            return [[name, day.isoformat()] for name, day in answer]
        return super().plain(question, answer)
