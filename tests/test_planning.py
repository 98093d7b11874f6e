"""Plans: every question, sort, limit and offset, on trees and on ranks, held against the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Node, collections, contents, in_order, questions, records, sorts, store

from authdb import And, AuthDB, Contains, Eq, Gt, InRange, Not, Or, Package
from authdb import columns as columns_module
from authdb import query as q
from authdb.catalog import PackageCatalog
from authdb.columns import Columns
from authdb.exceptions import DatabaseClosed, PackageNotFound, QueryError
from authdb.explaining import explain
from authdb.gathering import ROW_FIELDS
from authdb.planning import Asked
from authdb.ranking import of_catalog
from authdb.sections import SectionDamaged

limits = st.none() | st.integers(0, 12)
changes = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["change", "remove", "add"])))


def columns_of(db: AuthDB) -> Columns:
    """The columns of the state that there is now."""
    mark = {key: db._root[key] for key in ("uuid", "generation", "token")}
    columns = of_catalog(db.catalog, mark)
    assert columns is not None
    return columns


def change(db: AuthDB, some: list[tuple[int, str]], draw: Any) -> set[int]:
    """Change packages here and there.

    :returns: the docids that are dirty then
    """
    dirty = set()
    for number, (place, kind) in enumerate(some):
        docids = list(db.objects)
        if kind == "add" or not docids:
            db.add(Package(**draw(records(f"new-{number}"))))
            dirty.add(max(db.objects))
            continue
        docid = docids[place % len(docids)]
        name = db.objects[docid].name
        dirty.add(docid)
        if kind == "remove":
            db.remove(name)
        else:
            db.replace(Package(**draw(records(name))))
    return dirty


def answer(
    db: AuthDB, columns: Columns | None, question: Any, names: Any = None, **order: Any
) -> tuple[int, list[str]]:
    """The total and the names that a plan gives."""
    found = Asked(lambda: db.catalog, columns, question, names, **order).found()
    return found.total, [db.objects[docid].name for docid in found.docids]


#: What a plan holds to be dear: nothing, as it is, or everything; and among how many ranks more
#: than are likely to have the first few it looks for those. So each way is gone.
costs = st.sampled_from(
    [(0, 0, 0, 64), (8, 2, 2, 1), (10**9, 10**9, 10**9, 1), (0, 10**9, 10**9, 3)]
)


@contextmanager
def reckoned(test: int, sort: int, rank: int, least: int) -> Iterator[None]:
    """Within, plans choose by other costs."""
    with (
        mock.patch("authdb.postings.TEST", test),
        mock.patch("authdb.ordering.SORT", sort),
        mock.patch("authdb.onranks.Ranks.TEST", rank),
        mock.patch.multiple("authdb.rankorder", LEAST=least, SPARE=least // 32, FURTHER=2),
    ):
        yield


askings = st.lists(
    st.tuples(questions, sorts, st.booleans(), limits, st.integers(0, 5), costs),
    min_size=1,
    max_size=5,
)


@given(collections(max_size=12), changes, askings, st.data())
@settings(max_examples=50)
def test_both_engines_answer_every_question_as_a_filter_over_the_packages_does(
    packages: list[Package], some: list[Any], asked: list[Any], data: Any
) -> None:
    with AuthDB.in_memory() as db:
        store(db, packages)
        columns = columns_of(db)
        columns = columns.with_dirty(change(db, some, data.draw))
        for question, sort, reverse, limit, offset, cost in asked:
            matching = [package for package in db if question.matches(package)]
            end = None if limit is None else offset + limit
            expected = len(matching), in_order(matching, sort, reverse)[offset:end]
            order: dict[str, Any] = {
                "sort": sort,
                "reverse": reverse,
                "limit": limit,
                "offset": offset,
            }
            with reckoned(*cost):
                assert answer(db, None, question.query, **order) == expected
                assert answer(db, columns, question.query, **order) == expected


# -- relevance -----------------------------------------------------------------------------------


@given(questions, contents(), st.booleans(), limits, st.integers(0, 5), costs, st.booleans())
@settings(max_examples=50)
def test_relevance_is_the_sum_of_what_zope_index_gives_each_search(
    crowd: AuthDB,
    question: Any,
    text: Any,
    reverse: bool,
    limit: int | None,
    offset: int,
    cost: Any,
    joined: bool,
) -> None:
    node = Node("or" if joined else "and", [question, text])
    assert isinstance(crowd.catalog, PackageCatalog)
    weights = relevance(crowd.catalog, node.query)
    order: dict[str, Any] = {
        "sort": "relevance",
        "reverse": reverse,
        "limit": limit,
        "offset": offset,
    }
    if weights is None:
        with pytest.raises(QueryError, match="relevance needs a text search"):
            crowd.find(node.query, **order)
        return
    columns = columns_of(crowd).with_dirty(list(crowd.objects)[:7])
    matching = [docid for docid, package in crowd.objects.items() if node.matches(package)]
    end = None if limit is None else offset + limit
    for kind in (None, columns):
        with reckoned(*cost):
            found = Asked(lambda: crowd.catalog, kind, node.query, **order).found()
            whole = Asked(lambda: crowd.catalog, kind, node.query, None, "relevance", reverse)
        assert found.total == len(matching)
        docids = whole.found().docids
        assert list(found.docids) == list(docids)[offset:end]
        assert sorted(docids) == matching
        assert_in_order(docids, weights, reverse)


def relevance(catalog: PackageCatalog, query: Any) -> dict[int, float] | None:
    """The sum of the weights of all searches that are not under a negation, by zope.index."""
    if isinstance(query, (q.And, q.Or)):
        parts = [relevance(catalog, part) for part in query.queries]
    elif isinstance(query, (q.Contains, q.Eq, q.Any, q.All)) and query.index_name in TEXTS:
        value = query._value if isinstance(query, (q.Any, q.All)) else [query._value]
        index = catalog[query.index_name]
        parts = [dict(index.applyContains(search).items()) for search in value]
    else:
        return None
    known = [part for part in parts if part is not None]
    weights: dict[int, float] = {}
    for part in known:
        for docid, weight in part.items():
            weights[docid] = weights.get(docid, 0.0) + weight
    return weights if known else None


TEXTS = ("title", "description")


def assert_in_order(docids: Any, weights: dict[int, float], reverse: bool) -> None:
    """The best first, or the worst; those without a weight last; equal ones ascending."""
    known = [docid for docid in docids if docid in weights]
    assert list(docids) == known + sorted(set(docids) - set(known))
    for one, two in pairwise(known):
        higher, lower = (two, one) if reverse else (one, two)
        # zope.index keeps weights in single precision.
        assert weights[higher] >= weights[lower] * (1 - 1e-5)
        if weights[one] == weights[two]:
            assert one < two or weights[one] == pytest.approx(weights[two], rel=1e-5)


# -- through the database ------------------------------------------------------------------------


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[AuthDB]:
    """A database of a few packages that has columns all the same."""
    monkeypatch.setattr("authdb.columns.MANY", 1)
    with AuthDB.create(folder) as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    with AuthDB.open(folder) as db:
        db.find()  # it has waited, so that columns are made
        db._session.waited(1)
        assert db._session.columns() is not None
        yield db


def test_what_a_transaction_has_changed_so_far_is_found(ranked: AuthDB) -> None:
    with suppress(ZeroDivisionError), ranked.transaction():
        ranked.update("hawkrest", license="MIT", last_commit="2025-01-01")
        ranked.add(Package("added", "Added", license="MIT", last_update="2024-12"))
        ranked.remove("django-rest-knox")
        package = ranked["drf-httpsig"]
        package.license = "0BSD"
        columns = ranked._session.columns()
        newest = ranked.find("license == 'MIT'", sort="last_update", reverse=True)
        assert newest.names() == ["hawkrest", "added"]
        assert [row.license for row in newest.rows()] == ["MIT", "MIT"]
        assert ranked.find("license == '0BSD'").names() == ["drf-httpsig"]
        assert len(ranked.find("not (license == 'MIT')")) == 3
        assert columns is not None
        raise ZeroDivisionError
    assert ranked.find("license == 'MIT'").names() == ["django-rest-knox", "drf-httpsig"]


def test_rows_are_what_the_packages_say(ranked: AuthDB) -> None:
    for result in (ranked.find(sort="name"), ranked.find(sort="last_update", limit=3, offset=1)):
        rows, packages = result.rows(), result.all()
        assert len(rows) == len(packages) > 0
        for row, package in zip(rows, packages, strict=True):
            for name in ROW_FIELDS:
                assert getattr(row, name) == getattr(package, name), name
    ranked.update("hawkrest", version="9.9", title="Changed")
    result = ranked.find("name == 'hawkrest'")
    assert (result.rows()[0].version, result.rows()[0].title) == ("9.9", "Changed")
    ranked.remove("hawkrest")
    with pytest.raises(PackageNotFound, match="removed since it was found"):
        result.rows()


def test_a_result_on_columns_was_fixed_when_it_was_asked(ranked: AuthDB) -> None:
    every, mit = ranked.find(), ranked.find("license == 'MIT'", sort="last_release")
    few: dict[str, Any] = {"sort": "last_update", "limit": 1}
    first = ranked.find("last_update > '2000' and license == 'MIT'", **few)
    others = ranked.find("not (license == 'MIT')", **few)
    ranked.update("hawkrest", license="MIT")
    ranked.add(Package("later", "Later", license="MIT"))
    assert len(every) == 5 and list(every.docids) == [1, 2, 3, 4, 5]
    changed = ranked.find("license == 'MIT'", **few)
    ranked.close()
    assert list(mit.docids) == [1, 4]
    assert [len(result) for result in (first, others, changed)] == [2, 3, 4]
    assert [list(result.docids) for result in (first, others, changed)] == [[4], [3], [4]]
    for read in (mit.rows, mit.names, mit.explain):
        with pytest.raises(DatabaseClosed):
            read()


def test_the_only_one_is_told_also_where_it_is_not_shown(ranked: AuthDB) -> None:
    for query in ("name == 'hawkrest'", "'hawk' in title"):
        for limit, offset in ((0, 0), (None, 1), (1, 0), (5, 7)):
            result = ranked.find(query, limit=limit, offset=offset, sort="last_update")
            assert result.one().name == "hawkrest"


@pytest.mark.parametrize(
    "query",
    [
        Gt("name", ["a"]) & Eq("license", "nobody"),
        Or(Eq("license", "MIT"), Not(Eq("nothing", 1))),
        And(Or(), Eq("categories", "no such")),
        And(Eq("name", "nobody"), Contains("title", "a AND")),
    ],
    ids=str,
)
def test_a_mistake_is_told_also_where_the_plan_would_not_look(ranked: AuthDB, query: Any) -> None:
    for columns in (None, ranked._session.columns()):
        with pytest.raises(QueryError):
            Asked(lambda: ranked.catalog, columns, query)


def test_damaged_columns_are_done_without(ranked: AuthDB, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*args: Any) -> Any:
        raise SectionDamaged("columns.bin", "damaged")

    result = ranked.find("license == 'MIT'")
    # On a busy machine a question takes so long that new ones would be made at once.
    monkeypatch.setattr(ranked._session.pair.beside, "_cost", 1e9)
    monkeypatch.setattr(Columns, "run", damaged)
    monkeypatch.setattr(Columns, "bitmap", damaged)
    monkeypatch.setattr(Columns, "rows", damaged)
    assert ranked.find("last_update < '2020'", sort="name").names() == ["drf-httpsig", "hawkrest"]
    assert ranked._session.columns() is None
    assert result.names() == ["django-rest-knox", "drf-httpsig"]
    assert "without columns: they are damaged" in ranked.find("license == 'MIT'").explain()


# -- explanations --------------------------------------------------------------------------------

QUERY = And(
    InRange("last_update", "2018", "2020"),
    q.Any("categories", ["jwt", "token"]),
    Or(Eq("license", "MIT"), Contains("title", "token")),
    Not(Eq("last_release", "2019")),
)
FIGURES = re.compile(r"^( *)(\S.*?) +([\d,]+) +([\d,]+) +[\d.]+ (ms|s)$", re.MULTILINE)


def count(db: AuthDB, *parts: Any) -> int:
    return len(db.find(And(*parts)))


@pytest.mark.parametrize("engine", ["trees", "columns"])
def test_an_explanation_tells_what_is_estimated_and_what_is_found(
    crowd: AuthDB, engine: str
) -> None:
    columns = columns_of(crowd).with_dirty(list(crowd.objects)[:5]) if engine != "trees" else None
    order: dict[str, Any] = {"sort": "last_update", "reverse": True, "limit": 20}
    text = explain(lambda: Asked(lambda: crowd.catalog, columns, QUERY, **order), "few packages")
    total = count(crowd, QUERY)
    lines = text.splitlines()
    assert lines[0] == (
        f"{total} of 300 packages match, {min(total, 20)} are shown, by last_update, the highest "
        "first"
    )
    if columns is None:
        assert lines[1] == "on the trees of the catalog, without columns: few packages"
    else:
        assert lines[1].startswith("on columns; 5 changed since they were made")
    assert max(map(len, lines)) <= 80
    figures = {what: (len(indent), int(found)) for indent, what, _, found, _ in
               FIGURES.findall(text)}  # fmt: skip
    license_, title = Eq("license", "MIT"), Contains("title", "token")
    assert figures == {
        "all of": (0, total),
        "2018-01-01 <= last_update <= 2020-12-31": (2, count(crowd, QUERY.queries[0])),
        "categories: any of jwt, token": (2, count(crowd, QUERY.queries[1])),
        "any of": (2, count(crowd, Or(license_, title))),
        "license == 'MIT'": (4, count(crowd, license_)),
        "title: 'token'": (4, count(crowd, title)),
        "not 2019-01-01 <= last_release <= 2019-12-31": (
            2,
            count(crowd, Eq("last_release", "2019")),
        ),
    }
    assert re.search(r"^order: .* from the highest, stop after \d+$|^order: look up", text, re.M)
    assert re.search(r"^planned in [\d.]+ ms, answered in [\d.]+ ms$", lines[-1])


@given(questions, st.booleans())
@settings(max_examples=30)
def test_every_question_can_be_explained(crowd: AuthDB, question: Any, ranks: bool) -> None:
    columns = columns_of(crowd) if ranks else None
    text = explain(lambda: Asked(lambda: crowd.catalog, columns, question.query), "none")
    matching = sum(map(question.matches, crowd))
    assert text.startswith(f"{matching:,} of 300 packages match")
    assert all(len(line) <= 100 for line in text.splitlines())


def test_each_explanation_says_why_there_are_no_columns(filled: AuthDB) -> None:
    assert "without columns: " in filled.find("license == 'MIT'").explain()
    assert "all packages" in filled.find(limit=2).explain()


# -- mistakes that there were --------------------------------------------------------------------


@pytest.mark.parametrize(
    "question", ["not (name < 'b')", "not (name <= 'aa')", "not ('a' <= name <= 'azz')"]
)
def test_an_estimate_of_none_is_not_taken_for_none(question: str) -> None:
    with AuthDB.in_memory() as db:
        for name in ("aa", "bb"):
            db.add(Package(name, name))
        assert db.find(question).names() == ["bb"]


def test_a_result_that_is_read_after_a_refresh_says_what_is_gone(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        db.add(Package("aa", "A"))
        db.add(Package("bb", "B"))
        with AuthDB.open(tmp_path / "db", read_only=True) as reader:
            found = reader.find(sort="name")
            db.remove("aa")
            assert reader.refresh()
            for read in (found.names, found.all, found.rows):
                with pytest.raises(PackageNotFound, match="removed since"):
                    list(read())


def test_a_package_that_is_gone_does_not_cost_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns_module, "MANY", 1)
    monkeypatch.setattr("authdb.beside.few", lambda size: 1)
    with AuthDB.create(tmp_path / "db") as db, db.transaction():
        for number in range(50):
            db.add(Package(f"p{number:02}", "P"))
    with AuthDB.open(tmp_path / "db", read_only=True) as reader:
        found = reader.find(sort="name", limit=3)
        with AuthDB.open(tmp_path / "db") as db, db.transaction():
            for number in range(10):
                db.remove(f"p{number:02}")
        assert reader.refresh()
        assert reader._session.columns() is not None
        with pytest.raises(PackageNotFound):
            found.names()
        assert reader._session.columns() is not None


@pytest.mark.parametrize(
    "options",
    [{"offset": None}, {"limit": True}, {"limit": -1}, {"query": "name == x", "names": 5}],
)
def test_an_option_of_the_wrong_kind_is_told(options: dict[str, Any]) -> None:
    with AuthDB.in_memory() as db, pytest.raises(QueryError):
        db.find(**options)
