"""The catalog: which indexes there are over packages, and how it is asked.

`PackageCatalog` is repoze.catalog's Catalog with sound answers. It is asked as that is, also by
programs that know nothing of authdb but can import it::

    factory = FileStorageCatalogFactory("catalog.fs", "catalog")
    count, docids = factory(manager).query("last_update < '2020'", sort_index="name")
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from repoze.catalog.catalog import Catalog, ResultSetSize, assertint

from authdb.exceptions import QueryError
from authdb.indexes import (
    CategoryIndex,
    DateIndex,
    FieldIndex,
    NameIndex,
    TextIndex,
)
from authdb.planning import Asked

__all__ = ["CATALOG_FORMAT", "INDEXES", "PackageCatalog", "new_catalog", "shapes"]

#: The number of the catalog's format. A catalog of another one is rebuilt when it is opened.
CATALOG_FORMAT = 1

#: The indexes over packages: name (also that of the attribute indexed) and class.
INDEXES: Mapping[str, Any] = {
    "name": NameIndex,
    "title": TextIndex,
    "description": TextIndex,
    "categories": CategoryIndex,
    "last_update": DateIndex,
    "last_release": DateIndex,
    "last_commit": DateIndex,
    "license": FieldIndex,
}


class PackageCatalog(Catalog):
    """repoze.catalog's Catalog, whose documents are indexed all or not at all, and whose queries
    are answered by a plan (see `authdb.planning`)."""

    def index_doc(self, docid: int, document: Any) -> None:
        """Index ``document`` under ``docid`` in every index, in place of what was there.

        :raises ValueError: an index refuses the document's value; nothing was changed
        """
        self.reindex_doc(docid, document)

    def reindex_doc(self, docid: int, document: Any, only: Iterable[str] | None = None) -> None:
        """As `index_doc`; with ``only``, in just the indexes of those names that there are."""
        assertint(docid)
        names = self if only is None else [name for name in only if name in self]
        # All the values first: a failure half-way would leave the document half indexed.
        values = [(self[name], self[name].value(document)) for name in names]
        for index, value in values:
            index.put(docid, value)

    def docids(self) -> Any:
        """The set of all documents."""
        for index in self.values():
            return index.docids()
        return self.family.IF.Set()

    def query(
        self,
        queryobject: Any,
        sort_index: str | None = None,
        limit: int | None = None,
        sort_type: str | None = None,
        reverse: bool = False,
        names: Mapping[str, Any] | None = None,
    ) -> tuple[Any, array[int]]:
        """Ask a question, as repoze.catalog does.

        :param queryobject: a query object, or one as text
        :param sort_index: the index to sort by; a text index sorts by relevance
        :param sort_type: ignored; it names algorithms of repoze.catalog's indexes
        :returns: the number of docids (an int with an attribute ``total``, of all that match),
            and the docids
        :raises QueryError: see `authdb.planning.Asked`
        """
        asked = Asked(lambda: self, None, queryobject, names, sort_index, reverse, limit)
        if limit is not None and limit < 0:
            raise QueryError(f"limit is a number from 0 on, not {limit}")
        found = asked.found()
        return ResultSetSize(len(found.docids), found.total), found.docids

    def find(
        self,
        query: Any = None,
        names: Mapping[str, Any] | None = None,
        sort: str | None = None,
        reverse: bool = False,
    ) -> array[int]:
        """The docids that ``query`` (an object, text, or None for all) matches, in order.

        :param sort: an index of dates or texts; ``relevance``, or a text index for the relevance
            of the searches of that index; None for docids, the order in which packages were added
        :param reverse: the other way round; those that have no value stay last all the same, and
            equal ones stay in the order of docids
        :raises QueryError: see `authdb.planning.Asked`; for a text with the position in it
        """
        return Asked(lambda: self, None, query, names, sort, reverse).found().docids


def new_catalog() -> PackageCatalog:
    """An empty catalog with all of `INDEXES`."""
    catalog = PackageCatalog()
    for name, index in INDEXES.items():
        catalog[name] = index(name)
    return catalog


@cache
def shapes() -> Mapping[str, Any]:
    """An empty index of each of `INDEXES`: questions can be read with them before a catalog is
    open."""
    return {name: index(name) for name, index in INDEXES.items()}
