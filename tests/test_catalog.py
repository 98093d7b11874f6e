"""The catalog as repoze.catalog's programs know it, and that they can read ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES
from oracle import in_order, known
from repoze.catalog.catalog import Catalog

from authdb import AuthDB, Contains, Eq, Ge, InRange, MyZODB, NotAll, Package
from authdb.catalog import INDEXES, PackageCatalog, new_catalog
from authdb.checking import dump
from authdb.exceptions import QueryError
from authdb.models import FIELDS


def test_it_is_repoze_catalogs_own_kind(filled: AuthDB) -> None:
    assert isinstance(filled.catalog, Catalog) and isinstance(filled.catalog, PackageCatalog)
    assert set(filled.catalog) == set(INDEXES) <= set(FIELDS)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sort", ["last_update", "last_commit", "last_release", "name", "license"])
def test_it_is_asked_as_repoze_catalog_is(filled: AuthDB, sort: str, reverse: bool) -> None:
    query = "last_update >= '2019' or license == 'MIT' or name == 'unheard-of'"
    matching = [p for p in filled if known(p, "last_update") or p.license or p.name == "unheard-of"]
    count, docids = filled.catalog.query(query, sort_index=sort, reverse=reverse)
    assert (count, count.total) == (5, 5)
    assert [filled.objects[docid].name for docid in docids] == in_order(matching, sort, reverse)
    count, docids = filled.catalog.query(query, sort_index=sort, reverse=reverse, limit=2)
    assert (count, count.total, len(docids)) == (2, 5, 2)
    assert isinstance(count, int) and repr(count) == "ResultSetSize(2, 5)"


def test_it_takes_objects_texts_names_and_ignores_how_to_sort(filled: AuthDB) -> None:
    catalog = filled.catalog
    assert list(catalog.query(Eq("license", "MIT"))[1]) == [1, 4]
    assert list(catalog.query("license == wanted", names={"wanted": "MIT"})[1]) == [1, 4]
    assert list(catalog.query(Ge("last_update", "2024"), sort_index="name", sort_type="nbest")[1])
    assert list(catalog.query(Contains("title", "hawk"), sort_index="title")[1]) == [3]
    with pytest.raises(QueryError, match="no index 'licence'"):
        catalog.query("licence == 'MIT'")
    with pytest.raises(QueryError, match="it cannot be sorted by 'nmae'"):
        catalog.query("license == 'MIT'", sort_index="nmae")


def test_some_indexes_can_be_brought_up_to_date_by_themselves(filled: AuthDB) -> None:
    catalog = filled.catalog
    changed = Package("hawkrest", "Changed", license="MIT")
    with filled.transaction():
        before = dump(catalog["title"])
        catalog.reindex_doc(3, changed, only=["license", "version", "nothing"])
        assert list(catalog.query("license == 'MIT'")[1]) == [1, 3, 4]
        assert dump(catalog["title"]) == before
        catalog.reindex_doc(3, changed)
        assert list(catalog.query("'changed' in title")[1]) == [3]
        catalog.reindex_doc(3, filled["hawkrest"])
    assert filled.check() == []


def test_a_new_catalog_is_empty_and_clears() -> None:
    catalog = new_catalog()
    assert list(catalog.docids()) == [] and list(catalog.query("name == 'x'")[1]) == []
    catalog.index_doc(1, Package("a", "A"))
    assert list(catalog.docids()) == [1]
    catalog.unindex_doc(1)
    catalog.unindex_doc(1)
    assert [dump(index) for index in catalog.values()] == [
        dump(index) for index in new_catalog().values()
    ]
    catalog.index_doc(1, Package("a", "A"))
    catalog.clear()
    assert catalog["name"].documentCount() == 0


ORDINARY = """
import sys
from repoze.catalog.catalog import ConnectionManager, FileStorageCatalogFactory
from repoze.catalog.query import All, And, Contains, Eq, Gt, InRange, Lt, Not, NotAll

factory = FileStorageCatalogFactory(sys.argv[1], "catalog")
manager = ConnectionManager()
catalog = factory(manager)
for query in (
    "last_update < '2020'",
    "'signature' in categories and not (license == 'MIT')",
    "license == 'MIT' or last_commit == 2019",
    "'hawk' in title",
    Lt("last_update", "2020"),
    And(Contains("categories", "signature"), Not(Eq("license", "MIT"))),
    All("categories", ["oauth2", "oidc"]),
    NotAll("categories", ["oauth2", "oidc"]),
    Contains("title", "hawk"),
):
    count, docids = catalog.query(query, sort_index="name")
    print(int(count), *docids)
print(*catalog.query(Gt("last_update", "1999"), sort_index="last_update", reverse=True, limit=2)[1])
if len(sys.argv) > 2:
    class Thing:
        name = "added-there"
        title = "By another program"
        categories = ("jwt",)
    catalog.index_doc(77, Thing())
    manager.commit()
    print(*catalog.query("name == 'added-there'")[1])
manager.close()
factory.db.close()
"""


@pytest.mark.parametrize("write", [False, True])
def test_an_ordinary_program_of_repoze_catalog_opens_and_asks_it(folder: Path, write: bool) -> None:
    with AuthDB.create(folder) as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    # It names nothing of authdb; the classes in the file bring it along.
    args = [sys.executable, "-W", "ignore", "-c", ORDINARY, str(folder / "catalog.fs")]
    answer = subprocess.run(
        [*args, "write"] if write else args, capture_output=True, text=True, check=True
    )
    expected = ["2 4 3", "1 3", "3 1 4 3", "1 3"]
    expected += ["2 4 3", "1 3", "1 2", "4 1 4 3 5", "1 3", "2 1"]
    assert answer.stdout.splitlines() == expected + (["77"] if write else [])
    with AuthDB.open(folder) as db:
        findings = db.check(repair=True)
        assert bool(findings) is write  # what another program has put there is found
        assert db.check() == []


def test_the_catalog_alone_can_be_asked_through_a_zodb_of_ours(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A", last_update="2019"))
    with MyZODB(folder / "catalog.fs", read_only=True) as zodb:
        catalog: Any = zodb.dbroot["catalog"]
        assert list(catalog.query(InRange("last_update", 2018, 2019))[1]) == [1]
        assert list(catalog.query(NotAll("categories", ["jwt"]))[1]) == [1]
