"""What plain repoze.catalog, Hypatia and ZCatalog have in common: objects and catalog in a ZODB.

Objects are stored and indexed one by one, as the documentation of all three shows, in a
FileStorage with a cache that holds everything. Days are indexed as numbers, a month or a year at
its first day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import transaction
from BTrees.IOBTree import IOBTree
from BTrees.OIBTree import OIBTree
from persistent import Persistent
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from benchmarks import questions as q
from benchmarks.peers.base import Base, last_update, records

__all__ = ["Entry", "ZodbPeer", "ordinal"]

DATES = ("last_update", "last_commit", "last_release")
TEXTS = ("title", "description")
#: What is stored of a package besides its name.
FIELDS = (
    *("title", "description", "categories", "last_commit", "last_release", "version"),
    *("license", "requires_python", "repository"),
)


def ordinal(text: str) -> int:
    """The number of the day on which a day, month or year begins."""
    return date.fromisoformat((text + "-01-01")[:10]).toordinal()


SINCE, UNTIL = ordinal(q.SINCE), ordinal(str(int(q.UNTIL) + 1)) - 1
BEFORE = ordinal(q.BEFORE)


class Entry(Persistent):
    """A stored package. What is not known is no attribute, so that no index sees it."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.name = record["name"]
        for field in FIELDS:
            if record.get(field):
                setattr(self, field, record[field])
        self.date()

    def date(self) -> None:
        """Work out the days that are indexed."""
        day = last_update(vars(self))
        if day is not None:
            self.last_update = day
        for field in DATES:
            if hasattr(self, field):
                setattr(self, f"{field}_day", ordinal(getattr(self, field)))

    def row(self) -> list[Any]:
        """Its values of `questions.ROW`."""
        values = [getattr(self, field, None) for field in q.ROW[:-1]]
        return [*values, ",".join(self.categories)]


class ZodbPeer(Base):
    """Everything but the words in which the catalog is asked."""

    largest = 10_000  # it loads fewer than 5,000 a second
    package: str  #: the distribution, for its version

    @classmethod
    def version(cls) -> str:  # type: ignore[override]
        return version(cls.package)

    # -- given by each peer --------------------------------------------------------------------

    def new_catalog(self) -> Any:
        """An empty catalog with all the indexes."""
        raise NotImplementedError

    def index(self, docid: int, entry: Entry) -> None:
        """Index a new package."""
        raise NotImplementedError

    def reindex(self, docid: int, entry: Entry) -> None:
        """Index a package again that was changed."""
        raise NotImplementedError

    # -- loading -----------------------------------------------------------------------------

    def open(self) -> None:
        path = self.folder / "data.fs"
        fresh = not path.exists()
        self.db = DB(FileStorage(str(path)), cache_size=10_000_000)
        self.connection = self.db.open()
        self.root = self.connection.root()
        if fresh:
            self.root["packages"], self.root["docids"] = IOBTree(), OIBTree()
            self.root["catalog"] = self.new_catalog()
            transaction.commit()
        self.packages, self.docids = self.root["packages"], self.root["docids"]
        self.catalog = self.root["catalog"]

    def close(self) -> None:
        transaction.abort()
        self.db.close()

    def load(self, source: Path) -> None:
        self.open()
        self.batch(source)
        self.close()

    def batch(self, source: Path) -> None:
        """Add a file's packages to those that are there."""
        docid = self.packages.maxKey() if self.packages else 0
        for record in records(source):
            docid += 1
            entry = self.packages[docid] = Entry(record)
            self.docids[entry.name] = docid
            self.index(docid, entry)
        transaction.commit()

    # -- changing ----------------------------------------------------------------------------

    def change(self, edits: list[tuple[str, str, str]]) -> None:
        """A new version and the day of its release, of one package or of many; one transaction."""
        for name, new_version, day in edits:
            docid = self.docids[name]
            entry = self.packages[docid]
            entry.version, entry.last_release = new_version, day
            entry.date()
            self.reindex(docid, entry)
        transaction.commit()

    changes = change

    def change_text(self, name: str, description: str) -> None:
        """Another description."""
        docid = self.docids[name]
        entry = self.packages[docid]
        entry.description = description
        self.reindex(docid, entry)
        transaction.commit()

    def pack(self) -> None:
        self.db.pack()

    # -- asking ------------------------------------------------------------------------------

    def by_name(self, names: list[str]) -> list[Any]:
        return [self._loaded(self.docids[name]) for name in names]

    def _loaded(self, docid: int) -> Entry:
        entry: Entry = self.packages[docid]
        entry._p_activate()
        return entry

    def rows(self, docids: Iterable[int]) -> list[list[Any]]:
        return [self.packages[docid].row() for docid in docids]

    def plain(self, question: str, answer: Any) -> Any:
        if question == "by_name":
            return [[entry.name, entry.version, entry.description] for entry in answer]
        if question in ("newest_ids", "other_order_ids"):
            field = "last_update" if question == "newest_ids" else "last_release"
            entries = [self.packages[docid] for docid in answer]
            return [[entry.name, getattr(entry, field)] for entry in entries]
        if question.startswith("text_") and not question.endswith("_count"):
            return [self.packages[docid].name for docid in answer]
        return answer
