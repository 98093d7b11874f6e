"""ZCatalog, Zope's: used as a library, as its own tests do; rows come from its metadata columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from Products.PluginIndexes.FieldIndex.FieldIndex import FieldIndex
from Products.PluginIndexes.KeywordIndex.KeywordIndex import KeywordIndex
from Products.ZCatalog.ZCatalog import ZCatalog
from Products.ZCTextIndex.Lexicon import CaseNormalizer, Splitter, StopWordRemover
from Products.ZCTextIndex.OkapiIndex import OkapiIndex
from Products.ZCTextIndex.ZCTextIndex import PLexicon, ZCTextIndex

from benchmarks import questions as q
from benchmarks.peers.zodb import BEFORE, DATES, SINCE, TEXTS, UNTIL, Entry, ZodbPeer, ordinal

__all__ = ["Peer"]

ANY = {"categories": {"query": list(q.ANY), "operator": "or"}}
ALL = {"categories": {"query": list(q.ALL), "operator": "and"}}


class Peer(ZodbPeer):
    """ZCatalog's own indexes, with the fields of a row as metadata."""

    title = "ZCatalog"
    about = "Products.ZCatalog's Catalog as a library, with metadata columns for the rows"
    package = "Products.ZCatalog"

    def open(self) -> None:
        super().open()
        # Its records are wrapped by what is around the catalog.
        self.catalog = self.catalog._catalog.__of__(self.catalog)

    def new_catalog(self) -> ZCatalog:
        around = ZCatalog("catalog")
        catalog = around._catalog.__of__(around)
        for field in q.ROW:
            catalog.addColumn(field)
        catalog.addIndex("name", FieldIndex("name"))
        catalog.addIndex("license", FieldIndex("license"))
        for field in DATES:
            index = FieldIndex(field, extra={"indexed_attrs": f"{field}_day"})
            catalog.addIndex(field, index)
        catalog.addIndex("categories", KeywordIndex("categories"))
        for field in TEXTS:
            name = f"{field}_lexicon"
            lexicon = PLexicon(name, "", Splitter(), CaseNormalizer(), StopWordRemover())
            setattr(catalog, name, lexicon)
            index = ZCTextIndex(
                field, caller=catalog, index_factory=OkapiIndex, lexicon_id=name, field_name=field
            )
            catalog.addIndex(field, index)
        return around

    def index(self, docid: int, entry: Entry) -> None:
        self.catalog.catalogObject(entry, entry.name)

    reindex = index

    # -- asking ------------------------------------------------------------------------------

    def count(self, query: dict[str, Any]) -> int:
        """How many match."""
        return len(self.catalog.searchResults(query))

    def best(self, query: dict[str, Any], limit: int, sort: str | None = None) -> list[Any]:
        """The first records, the last in the order of an index first; or by relevance."""
        if sort is None:
            return list(self.catalog.searchResults(query)[:limit])
        found = self.catalog.searchResults(
            {**query, "sort_on": sort, "sort_order": "descending", "sort_limit": limit}
        )
        return list(found[:limit])

    def within(self, since: int = SINCE, until: int = UNTIL) -> dict[str, Any]:
        return {"last_update": {"query": (since, until), "range": "min:max"}}

    def before(self) -> dict[str, Any]:
        return {"last_update": {"query": BEFORE - 1, "range": "max"}}

    def lt_count(self) -> int:
        return self.count(self.before())

    def range_count(self) -> int:
        return self.count(self.within())

    def range_any_count(self) -> int:
        return self.count({**self.within(), **ANY})

    def all_count(self) -> int:
        return self.count(ALL)

    def not_any_count(self) -> int:
        return self.count({"categories": {"not": list(q.NOT_ANY)}})

    # There is no "or" between two indexes: or_count is not asked.

    def facets(self) -> dict[str, int]:
        words = self.catalog.uniqueValuesFor("categories")
        return {word: self.count({**self.within(), "categories": word}) for word in words}

    def histogram(self) -> dict[str, int]:
        return {
            str(year): self.count(self.within(ordinal(str(year)), ordinal(str(year + 1)) - 1))
            for year in q.YEARS
        }

    def newest_ids(self) -> list[Any]:
        found = self.best({**self.within(), **ANY}, q.NEWEST, "last_update")
        return [record.getRID() for record in found]

    def newest_rows(self) -> list[Any]:
        return self.rows(self.best({**self.within(), **ANY}, q.NEWEST, "last_update"))

    def other_order_ids(self) -> list[Any]:
        found = self.best({**self.within(), **ALL}, q.NEWEST, "last_release")
        return [record.getRID() for record in found]

    def text_rare(self) -> list[Any]:
        return self.best({"description": q.RARE}, q.BEST)

    def text_frequent(self) -> list[Any]:
        return self.best({"description": q.FREQUENT}, q.BEST)

    def text_and(self) -> list[Any]:
        return self.best({"description": f"{q.RARE} {q.FREQUENT}"}, q.BEST)

    def text_and_count(self) -> int:
        return self.count({"description": f"{q.RARE} {q.FREQUENT}"})

    def phrase_count(self) -> int:
        return self.count({"description": f'"{" ".join(q.PHRASE)}"'})

    def text_filter(self) -> list[Any]:
        return self.best({"description": q.RARE, **self.within(), **ANY}, q.BEST)

    def list_rows(self) -> list[Any]:
        return self.rows(self.catalog.searchResults({**self.before(), "sort_on": "last_update"}))

    def rows(self, docids: Iterable[Any]) -> list[list[Any]]:
        found = []
        for record in docids:
            values = [getattr(record, field) or None for field in q.ROW[:-1]]  # Missing is false
            found.append([*values, ",".join(record.categories)])
        return found

    def plain(self, question: str, answer: Any) -> Any:
        if question in ("newest_ids", "other_order_ids"):
            field = "last_update" if question == "newest_ids" else "last_release"
            found = [self.catalog[rid] for rid in answer]
            return [[record.name, getattr(record, field)] for record in found]
        if question.startswith("text_") and not question.endswith("_count"):
            return [record.name for record in answer]
        return super().plain(question, answer)
