"""Plain repoze.catalog, as its documentation shows: ``index_doc`` and ``Catalog.query``."""

from __future__ import annotations

from itertools import islice
from typing import Any

from repoze.catalog.catalog import Catalog
from repoze.catalog.document import DocumentMap
from repoze.catalog.indexes.field import CatalogFieldIndex
from repoze.catalog.indexes.keyword import CatalogKeywordIndex
from repoze.catalog.indexes.text import CatalogTextIndex
from repoze.catalog.query import All, Contains, Eq, InRange, Lt, NotAny, Query
from repoze.catalog.query import Any as AnyOf

from benchmarks import questions as q
from benchmarks.peers.zodb import (
    BEFORE,
    DATES,
    SINCE,
    TEXTS,
    UNTIL,
    Entry,
    ZodbPeer,
    ordinal,
)

__all__ = ["Peer"]


def keywords(entry: Entry, default: Any) -> Any:
    """What the keyword index holds."""
    return getattr(entry, "categories", default)


class Peer(ZodbPeer):
    """repoze.catalog's own indexes and document map."""

    title = "repoze.catalog"
    about = "one index_doc a package, Catalog.query, as its documentation shows"
    package = "repoze.catalog"

    def new_catalog(self) -> Catalog:
        self.root["map"] = DocumentMap()
        catalog = Catalog()
        catalog["name"] = CatalogFieldIndex("name")
        catalog["license"] = CatalogFieldIndex("license")
        for field in DATES:
            catalog[field] = CatalogFieldIndex(f"{field}_day")
        catalog["categories"] = CatalogKeywordIndex(keywords)
        for field in TEXTS:
            catalog[field] = CatalogTextIndex(field)
        return catalog

    def index(self, docid: int, entry: Entry) -> None:
        self.root["map"].add(entry.name, docid)
        self.catalog.index_doc(docid, entry)

    def reindex(self, docid: int, entry: Entry) -> None:
        self.catalog.reindex_doc(docid, entry)

    # -- asking ------------------------------------------------------------------------------

    def value(self, day: int) -> Any:
        """A day as the indexes of days are asked about it."""
        return day

    def ask(self, query: Query, **options: Any) -> tuple[Any, Any]:
        """How many match, and their docids."""
        answer: tuple[Any, Any] = self.catalog.query(query, **options)
        return answer

    def count(self, query: Query) -> int:
        """How many match."""
        return int(self.ask(query)[0])

    def best(self, query: Query, sort: str, limit: int, reverse: bool = False) -> list[int]:
        """The first docids in the order of an index."""
        _, docids = self.ask(query, sort_index=sort, limit=limit, reverse=reverse)
        return list(islice(docids, limit))

    def before(self) -> Query:
        return Lt("last_update", self.value(BEFORE))

    def within(self, since: int = SINCE, until: int = UNTIL) -> Query:
        return InRange("last_update", self.value(since), self.value(until))

    def lt_count(self) -> int:
        return self.count(self.before())

    def range_count(self) -> int:
        return self.count(self.within())

    def range_any_count(self) -> int:
        return self.count(self.within() & AnyOf("categories", list(q.ANY)))

    def all_count(self) -> int:
        return self.count(All("categories", list(q.ALL)))

    def not_any_count(self) -> int:
        return self.count(NotAny("categories", list(q.NOT_ANY)))

    def or_count(self) -> int:
        return self.count(Eq("license", q.LICENSE) | self.before())

    def facets(self) -> dict[str, int]:
        found = self.ask(self.within())[1]
        intersection = self.catalog.family.IF.intersection
        index = self.catalog["categories"]
        return {
            word: len(intersection(found, index.applyEq(word)))
            for word in index._fwd_index  # it has no public way to say its words
        }

    def histogram(self) -> dict[str, int]:
        return {
            str(year): self.count(self.within(ordinal(str(year)), ordinal(str(year + 1)) - 1))
            for year in q.YEARS
        }

    def newest_ids(self) -> list[int]:
        query = self.within() & AnyOf("categories", list(q.ANY))
        return self.best(query, "last_update", q.NEWEST, reverse=True)

    def newest_rows(self) -> list[Any]:
        return self.rows(self.newest_ids())

    def other_order_ids(self) -> list[int]:
        query = self.within() & All("categories", list(q.ALL))
        return self.best(query, "last_release", q.NEWEST, reverse=True)

    def text_rare(self) -> list[int]:
        return self.best(Contains("description", q.RARE), "description", q.BEST)

    def text_frequent(self) -> list[int]:
        return self.best(Contains("description", q.FREQUENT), "description", q.BEST)

    def text_and(self) -> list[int]:
        query = Contains("description", f"{q.RARE} {q.FREQUENT}")
        return self.best(query, "description", q.BEST)

    def text_and_count(self) -> int:
        return self.count(Contains("description", f"{q.RARE} {q.FREQUENT}"))

    def phrase_count(self) -> int:
        return self.count(Contains("description", f'"{" ".join(q.PHRASE)}"'))

    def text_filter(self) -> list[int]:
        query = self.within() & AnyOf("categories", list(q.ANY))
        return self.best(Contains("description", q.RARE) & query, "description", q.BEST)

    def list_rows(self) -> list[Any]:
        _, docids = self.ask(self.before(), sort_index="last_update")
        return self.rows(docids)
