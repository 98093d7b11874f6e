"""TinyDB: one JSON file, read whole, and asked by walking it. It has no indexes, also none of text.

Its cache is on, so that a question reads no file; a change writes the whole file anew, and is
flushed, though TinyDB does not sync it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tinydb
from tinydb import TinyDB, where
from tinydb.middlewares import CachingMiddleware
from tinydb.storages import JSONStorage

from benchmarks import questions as q
from benchmarks.peers.base import Base, last_update, records

__all__ = ["Peer"]

UNTIL = str(int(q.UNTIL) + 1)


class Peer(Base):
    """One table, without a cache of answers: each question is answered."""

    title = "TinyDB"
    largest = 10_000  # each question walks all there is, each change writes it
    about = "one JSON file with its CachingMiddleware, walked for each question"

    @staticmethod
    def version() -> str:
        return tinydb.__version__

    def open(self) -> None:
        self.storage = CachingMiddleware(JSONStorage)
        self.base = TinyDB(self.folder / "packages.json", storage=self.storage)
        self.table = self.base.table("packages", cache_size=0)

    def close(self) -> None:
        self.base.close()

    def load_without_text(self, source: Path) -> None:
        self.open()
        self.batch_without_text(source)
        self.close()

    def batch_without_text(self, source: Path) -> None:
        """Add a file's packages to those that are there."""
        self.table.insert_multiple(
            {**record, "last_update": last_update(record)} for record in records(source)
        )
        self.storage.flush()

    def change(self, edits: list[tuple[str, str, str]]) -> None:
        """A new version and the day of its release, of one package or of many."""
        new = {name: (version, day) for name, version, day in edits}

        def update(document: Any) -> None:
            version, day = new[document["name"]]
            document["version"], document["last_release"] = version, day
            document["last_update"] = last_update(document)

        self.table.update(update, where("name").test(new.__contains__))
        self.storage.flush()

    changes = change

    # -- asking ------------------------------------------------------------------------------

    def before(self) -> Any:
        return where("last_update").test(lambda day: day is not None and day < q.BEFORE)

    def within(self) -> Any:
        return where("last_update").test(lambda day: day is not None and q.SINCE <= day < UNTIL)

    def lt_count(self) -> int:
        return self.table.count(self.before())

    def range_count(self) -> int:
        return self.table.count(self.within())

    def range_any_count(self) -> int:
        return self.table.count(self.within() & where("categories").any(list(q.ANY)))

    def all_count(self) -> int:
        return self.table.count(where("categories").all(list(q.ALL)))

    def not_any_count(self) -> int:
        return self.table.count(~where("categories").any(list(q.NOT_ANY)))

    def or_count(self) -> int:
        return self.table.count((where("license") == q.LICENSE) | self.before())

    def facets(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for document in self.table.search(self.within()):
            for word in document["categories"]:
                counts[word] = counts.get(word, 0) + 1
        return counts

    def histogram(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for document in self.table:
            if document["last_update"]:
                year = document["last_update"][:4]
                counts[year] = counts.get(year, 0) + 1
        return counts

    def newest_ids(self) -> list[Any]:
        return self._newest(self.within() & where("categories").any(list(q.ANY)), "last_update")

    def newest_rows(self) -> list[Any]:
        return [self._row(document) for document in self.newest_ids()]

    def other_order_ids(self) -> list[Any]:
        query = self.within() & where("categories").all(list(q.ALL))
        return self._newest(query, "last_release")

    def _newest(self, query: Any, field: str) -> list[Any]:
        found = self.table.search(query)
        found.sort(key=lambda document: document.get(field) or "", reverse=True)
        return found[: q.NEWEST]

    def list_rows(self) -> list[Any]:
        found = self.table.search(self.before())
        found.sort(key=lambda document: document["last_update"])
        return [self._row(document) for document in found]

    @staticmethod
    def _row(document: Any) -> list[Any]:
        return [*map(document.get, q.ROW[:-1]), ",".join(document["categories"])]

    def by_name(self, names: list[str]) -> list[Any]:
        return [self.table.get(where("name") == name) for name in names]

    def plain(self, question: str, answer: Any) -> Any:
        if question in ("newest_ids", "other_order_ids"):
            field = "last_update" if question == "newest_ids" else "last_release"
            return [[document["name"], document[field]] for document in answer]
        if question == "by_name":
            return [[row["name"], row["version"], row["description"]] for row in answer]
        return answer
