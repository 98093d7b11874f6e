"""Hypatia, repoze.catalog's successor: queries are built by the indexes, and executed."""

from __future__ import annotations

from typing import Any

from hypatia.catalog import Catalog
from hypatia.field import FieldIndex
from hypatia.keyword import KeywordIndex
from hypatia.text import TextIndex

from benchmarks import questions as q
from benchmarks.peers.zodb import BEFORE, DATES, SINCE, TEXTS, UNTIL, Entry, ZodbPeer, ordinal

__all__ = ["Peer"]


def keywords(entry: Entry, default: Any) -> Any:
    """What the keyword index holds."""
    return getattr(entry, "categories", default)


class Peer(ZodbPeer):
    """Hypatia's own indexes."""

    title = "Hypatia"
    about = "one index_doc a package, queries built by its indexes, optimized and executed"
    package = "hypatia"

    def new_catalog(self) -> Catalog:
        catalog = Catalog()
        catalog["name"] = FieldIndex("name")
        catalog["license"] = FieldIndex("license")
        for field in DATES:
            catalog[field] = FieldIndex(f"{field}_day")
        catalog["categories"] = KeywordIndex(keywords)
        for field in TEXTS:
            catalog[field] = TextIndex(field)
        return catalog

    def index(self, docid: int, entry: Entry) -> None:
        self.catalog.index_doc(docid, entry)

    def reindex(self, docid: int, entry: Entry) -> None:
        self.catalog.reindex_doc(docid, entry)

    # -- asking ------------------------------------------------------------------------------

    def count(self, query: Any) -> int:
        """How many match."""
        return len(query.execute())

    def best(self, query: Any, sort: str, limit: int, reverse: bool = False) -> list[int]:
        """The first docids in the order of an index."""
        found = query.execute().sort(
            self.catalog[sort], limit=limit, reverse=reverse, raise_unsortable=False
        )
        return list(found.ids)

    def before(self) -> Any:
        return self.catalog["last_update"].lt(BEFORE)

    def within(self, since: int = SINCE, until: int = UNTIL) -> Any:
        return self.catalog["last_update"].inrange(since, until)

    def any(self) -> Any:
        return self.catalog["categories"].any(list(q.ANY))

    def words(self, text: str) -> Any:
        return self.catalog["description"].contains(text)

    def lt_count(self) -> int:
        return self.count(self.before())

    def range_count(self) -> int:
        return self.count(self.within())

    def range_any_count(self) -> int:
        return self.count(self.within() & self.any())

    def all_count(self) -> int:
        return self.count(self.catalog["categories"].all(list(q.ALL)))

    def not_any_count(self) -> int:
        return self.count(self.catalog["categories"].notany(list(q.NOT_ANY)))

    def or_count(self) -> int:
        return self.count(self.catalog["license"].eq(q.LICENSE) | self.before())

    def facets(self) -> dict[str, int]:
        found = self.within().execute()
        index = self.catalog["categories"]
        return {word: len(found.intersect(index.applyEq(word))) for word in index.unique_values()}

    def histogram(self) -> dict[str, int]:
        return {
            str(year): self.count(self.within(ordinal(str(year)), ordinal(str(year + 1)) - 1))
            for year in q.YEARS
        }

    def newest_ids(self) -> list[int]:
        return self.best(self.within() & self.any(), "last_update", q.NEWEST, reverse=True)

    def newest_rows(self) -> list[Any]:
        return self.rows(self.newest_ids())

    def other_order_ids(self) -> list[int]:
        query = self.within() & self.catalog["categories"].all(list(q.ALL))
        return self.best(query, "last_release", q.NEWEST, reverse=True)

    def text_rare(self) -> list[int]:
        return self.best(self.words(q.RARE), "description", q.BEST)

    def text_frequent(self) -> list[int]:
        return self.best(self.words(q.FREQUENT), "description", q.BEST)

    def text_and(self) -> list[int]:
        return self.best(self.words(f"{q.RARE} {q.FREQUENT}"), "description", q.BEST)

    def text_and_count(self) -> int:
        return self.count(self.words(f"{q.RARE} {q.FREQUENT}"))

    def phrase_count(self) -> int:
        return self.count(self.words(f'"{" ".join(q.PHRASE)}"'))

    def text_filter(self) -> list[int]:
        query = self.words(q.RARE) & self.within() & self.any()
        return self.best(query, "description", q.BEST)

    def list_rows(self) -> list[Any]:
        found = self.before().execute().sort(self.catalog["last_update"])
        return self.rows(found.ids)
