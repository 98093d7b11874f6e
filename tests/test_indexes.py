"""The indexes by themselves: every wrong answer of repoze.catalog's is a right one here."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from repoze.catalog.interfaces import ICatalogIndex
from transaction import TransactionManager
from zope.interface.verify import verifyObject

from authdb import query as q
from authdb.catalog import INDEXES, PackageCatalog, new_catalog
from authdb.checking import dump
from authdb.dates import PartialDate
from authdb.exceptions import QueryError
from authdb.fields import CATEGORIES
from authdb.indexes import (
    CategoryIndex,
    DateIndex,
    FieldIndex,
    KeywordIndex,
    NameIndex,
    PackageLexicon,
    TextIndex,
)
from authdb.storage import MyZODB


def document(**values: Any) -> Any:
    return SimpleNamespace(**values)


@pytest.fixture
def catalog() -> PackageCatalog:
    """Five documents; 4 has nothing at all, 5 has emptiness."""
    catalog = PackageCatalog()
    for name, index in {
        "f": FieldIndex,
        "k": KeywordIndex,
        "t": TextIndex,
        "d": DateIndex,
        "n": NameIndex,
    }.items():
        catalog[name] = index(name)
    for docid, values in {
        1: {"f": "a", "k": ["x", "y"], "t": "one two", "d": date(2019, 1, 1), "n": "aa"},
        2: {"f": "b", "k": ("x",), "t": "two", "d": "2019", "n": "b-b"},
        3: {"f": "b", "k": {"y"}, "t": "three", "d": PartialDate(2020, 2), "n": "c"},
        4: {},
        5: {"f": None, "k": [], "t": "", "d": None, "n": None},
    }.items():
        catalog.index_doc(docid, document(**values))
    return catalog


def found(catalog: PackageCatalog, query: Any, **options: Any) -> list[int]:
    count, docids = catalog.query(query, **options)
    assert count == len(docids)
    return list(docids)


# -- wrong answers, silently ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        q.NotAll("k", ["x", "y"]),
        q.Not(q.All("k", ["x", "y"])),
        "k not in all(['x', 'y'])",
        "not (k in all(['x', 'y']))",
        "not (k == 'x' and k == 'y')",
    ],
)
def test_not_all_is_not_the_positive_answer(catalog: PackageCatalog, query: Any) -> None:
    assert found(catalog, query) == [2, 3, 4, 5]
    if not isinstance(query, str):
        unmended = q._UnmendedNotAll("k", ["x", "y"])
        assert found(catalog, unmended) == [2, 3, 4, 5]


def test_nothing_equals_none_and_none_sorts_nowhere(catalog: PackageCatalog) -> None:
    for name in "fktdn":
        assert found(catalog, q.Eq(name, None)) == []
        assert found(catalog, q.NotEq(name, None)) == [1, 2, 3, 4, 5]
    for kind in (q.Lt, q.Le, q.Gt, q.Ge):
        assert found(catalog, kind("f", None)) == []
    assert found(catalog, q.Lt("f", "zz")) == [1, 2, 3]
    assert found(catalog, q.Lt("d", 2021)) == [1, 2, 3]


def test_a_tuple_is_no_range_and_a_list_no_alternative(catalog: PackageCatalog) -> None:
    for value in (("a", "b"), ["a", "b"]):
        for name in "fktdn":
            with pytest.raises(QueryError):
                catalog.query(q.Eq(name, value))


def test_the_number_of_an_answer_is_that_of_its_documents(catalog: PackageCatalog) -> None:
    for reverse in (False, True):
        count, docids = catalog.query(q.And(), sort_index="f", reverse=reverse)
        assert count == count.total == len(docids) == 5
        assert list(docids) == ([2, 3, 1, 4, 5] if reverse else [1, 2, 3, 4, 5])
        count, docids = catalog.query(q.And(), sort_index="f", limit=2, reverse=reverse)
        assert (count, count.total, len(docids)) == (2, 5, 2)


def test_documents_that_all_lack_the_value_can_be_sorted_with_a_limit(
    catalog: PackageCatalog,
) -> None:
    assert found(catalog, q.NotEq("k", "x") & q.NotEq("k", "y"), sort_index="f", limit=1) == [4]


def test_limit_and_reverse_also_count_without_a_sort(catalog: PackageCatalog) -> None:
    assert found(catalog, q.Any("k", ["x", "y"]), limit=2) == [1, 2]
    assert found(catalog, q.Any("k", ["x", "y"]), reverse=True) == [3, 2, 1]
    assert found(catalog, q.Any("k", ["x", "y"]), limit=2, reverse=True) == [3, 2]


def test_ties_come_in_one_order_with_a_limit_and_without(catalog: PackageCatalog) -> None:
    whole = found(catalog, q.And(), sort_index="f", reverse=True)
    for limit in range(1, 6):
        assert found(catalog, q.And(), sort_index="f", reverse=True, limit=limit) == whole[:limit]


def test_an_answer_is_no_live_posting_list_and_no_one_pass_generator(
    catalog: PackageCatalog,
) -> None:
    for query in (q.Eq("k", "x"), q.All("k", ["x"]), q.Any("k", ["x"]), q.Eq("f", "b")):
        count, docids = catalog.query(query)
        assert list(docids) == list(docids)
        for docid in docids:
            catalog.unindex_doc(docid)
            catalog.index_doc(docid, document(f="b", k=["x"]))
        assert count == len(docids)
    for index, keyword in ((catalog["k"], "x"), (catalog["f"], "b")):
        for ask, value in (("applyEq", keyword), ("applyAny", [keyword]), ("applyAll", [keyword])):
            answer = getattr(index, ask)(value)
            before = list(answer)
            index.unindex_doc(before[0])
            assert list(answer) == before
            index.put(before[0], index.convert([keyword] if index is catalog["k"] else keyword))


def test_a_plain_text_is_not_several_keywords(catalog: PackageCatalog) -> None:
    before = dump(catalog["k"])
    for value in ("xyz", b"xyz", 5, {"x": 1}, iter(["x"]), [5], [None], ["x", 5]):
        with pytest.raises(ValueError, match="k: several keywords are indexed here, not"):
            catalog["k"].index_doc(6, document(k=value))
    assert dump(catalog["k"]) == before


def test_a_document_without_keywords_is_one_of_the_rest(catalog: PackageCatalog) -> None:
    for query in (q.NotEq("k", "x"), q.NotAny("k", ["x"]), q.Not(q.Eq("k", "x"))):
        assert found(catalog, query) == [3, 4, 5]
    catalog.index_doc(1, document(k=[]))
    catalog.index_doc(4, document(k=["x"]))
    assert found(catalog, q.NotEq("k", "x")) == [1, 3, 5]
    assert list(catalog["k"]._not_indexed) == [1, 5]


def test_every_negation_treats_missing_values_alike(catalog: PackageCatalog) -> None:
    assert found(catalog, q.NotEq("f", "a")) == [2, 3, 4, 5]
    assert found(catalog, q.Not(q.Gt("f", "a"))) == [1, 4, 5]
    assert found(catalog, q.Not(q.Le("f", "a"))) == [2, 3, 4, 5]
    assert found(catalog, "f < 'a' or f > 'a'") == [2, 3]  # not NotInRange
    assert found(catalog, q.DoesNotContain("t", "two")) == [3, 4, 5]


@pytest.mark.parametrize(
    "bad", [{"k": "x"}, {"d": "never"}, {"t": 5}, {"f": 5}, {"n": ["x"]}, {"f": "ok", "k": [1]}]
)
def test_a_document_is_indexed_whole_or_not_at_all(
    catalog: PackageCatalog, bad: dict[str, Any]
) -> None:
    good = {"f": "c", "k": ["z"], "t": "four", "d": 2024, "n": "e"}
    before = {name: dump(index) for name, index in catalog.items()}
    for docid in (1, 4, 6):
        with pytest.raises(ValueError, match="not"):
            catalog.index_doc(docid, document(**good | bad))
        assert {name: dump(index) for name, index in catalog.items()} == before


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 1.5, b"2019", [2019], True, object()]
)
def test_no_value_upsets_the_order_of_an_index(catalog: PackageCatalog, value: Any) -> None:
    before = {name: dump(index) for name, index in catalog.items()}
    for name in "fdn":
        with pytest.raises(ValueError, match=f"{name}: "):
            catalog[name].index_doc(9, document(**{name: value}))
        for kind in (q.Eq, q.Lt, q.Ge):
            with pytest.raises(QueryError):
                catalog.query(kind(name, value))
    assert {name: dump(index) for name, index in catalog.items()} == before


def test_dates_of_all_kinds_are_compared_with_each_other(catalog: PackageCatalog) -> None:
    index = catalog["d"]
    kinds = [
        date(2021, 6, 1),
        datetime(2021, 6, 2),
        datetime(2021, 6, 3, tzinfo=timezone.utc),
        "2021-06-04",
        "2021-06-05T10:00:00+02:00",
        "2021-07",
        2022,
    ]
    for docid, value in enumerate(kinds, 10):
        index.index_doc(docid, document(d=value))
    for position, value in enumerate(kinds):
        assert list(index.applyLt(value)) == [1, 2, 3, *range(10, 10 + position)]
        assert list(index.applyGe(value)) == list(range(10 + position, 10 + len(kinds)))
    assert [index.key(docid) for docid in (4, 10)] == [None, date(2021, 6, 1).toordinal()]


def test_a_range_with_one_end_open_and_exclusive_loses_nobody(catalog: PackageCatalog) -> None:
    """BTrees leave out the lowest key when there is no lower end to leave out."""
    for name, high, low in (("f", "z", "0"), ("d", 2030, 2000), ("n", "z", "a")):
        for exclusive in (True, False):
            assert found(catalog, q.InRange(name, None, high, exclusive, exclusive)) == [1, 2, 3]
            assert found(catalog, q.InRange(name, low, None, exclusive, exclusive)) == [1, 2, 3]
            assert found(catalog, q.InRange(name, None, None, exclusive, exclusive)) == [1, 2, 3]


def test_a_range_that_ends_before_it_begins_is_empty(catalog: PackageCatalog) -> None:
    for exclusive in (True, False):
        for name, start, end in (("f", "b", "a"), ("d", 2020, 2019), ("n", "c", "a")):
            assert found(catalog, q.InRange(name, start, end, exclusive, exclusive)) == []
        assert found(catalog, q.InRange("f", "b", "b", exclusive, exclusive)) == (
            [] if exclusive else [2, 3]
        )
        assert found(catalog, q.InRange("d", 2019, 2019, exclusive, exclusive)) == (
            [] if exclusive else [1, 2]
        )


# -- what is kept --------------------------------------------------------------------------------


def test_each_index_is_one_of_repoze_catalogs(catalog: PackageCatalog) -> None:
    for index in [*catalog.values(), *new_catalog().values()]:
        assert verifyObject(ICatalogIndex, index)
    assert set(new_catalog()) == set(INDEXES)
    for name, index in new_catalog().items():
        assert index.discriminator == name  # a function could not be stored


words = st.sampled_from(["a", "b", "ccc", "the", "d-d", "é"])
values = st.fixed_dictionaries(
    {},
    optional={
        "f": st.none() | words,
        "k": st.lists(words, max_size=3),
        "t": st.none() | st.lists(words, max_size=4).map(" ".join),
        "d": st.none() | st.integers(2018, 2020) | st.dates(date(2019, 1, 1), date(2019, 1, 5)),
        "n": st.none() | words.filter(str.isascii),
    },
)


@given(st.lists(st.tuples(st.integers(1, 6), st.none() | values), max_size=25))
@settings(max_examples=100)
def test_whatever_was_indexed_before_an_index_is_as_if_made_anew(changes: list[Any]) -> None:
    kinds = {"f": FieldIndex, "k": KeywordIndex, "t": TextIndex, "d": DateIndex, "n": NameIndex}
    catalog, anew, last = PackageCatalog(), PackageCatalog(), {}
    for name, kind in kinds.items():
        catalog[name], anew[name] = kind(name), kind(name)
    for docid, record in changes:
        if record is None:
            catalog.unindex_doc(docid)
            last.pop(docid, None)
        else:
            catalog.index_doc(docid, document(**record))
            last[docid] = record
    for docid, record in last.items():
        anew.index_doc(docid, document(**record))
    for name in kinds:
        assert dump(catalog[name]) == dump(anew[name])
        assert list(catalog[name].docids()) == sorted(last)
        for docid in range(1, 7):
            value = catalog[name].value(document(**last.get(docid, {})))
            assert (docid in catalog[name]._indexed()) is (value is not None)
            assert (docid in catalog[name]._not_indexed) is (docid in last and value is None)


def test_a_catalog_without_indexes_has_no_documents() -> None:
    empty = PackageCatalog()
    assert list(empty.docids()) == [] and found(empty, q.And()) == []
    with pytest.raises(QueryError, match="there is no index 'x'"):
        empty.query("x == 1")


@pytest.mark.parametrize("docid", ["1", None, 1.0])
def test_a_docid_is_a_number(catalog: PackageCatalog, docid: Any) -> None:
    with pytest.raises(ValueError, match="not an integer"):
        catalog.index_doc(docid, document())


@pytest.mark.parametrize("mended", [True, False])
def test_concurrent_writers_of_one_keyword_lose_nothing(tmp_path: Path, mended: bool) -> None:
    """zope.index swaps the Set of a keyword for a TreeSet at 64 docids, and what another
    connection put into the Set meanwhile is lost; ours begins with a tree."""
    index = KeywordIndex("k")
    if not mended:
        index.tree_threshold = 64
    one, two = TransactionManager(), TransactionManager()
    with MyZODB(tmp_path / "x.fs", transaction_manager=one) as zodb:
        zodb.dbroot["index"] = index
        for docid in range(62):
            index.put(docid, ("x",))
        one.commit()
        with zodb.db.transaction() as connection:  # each has read what the other will change
            other = zodb.db.open(two)
            same = other.root()["index"]
            assert len(same.applyEq("x")) == len(connection.root()["index"].applyEq("x")) == 62
        for docid in (100, 101):
            index.put(docid, ("x",))
        same.put(200, ("x",))
        two.commit()
        one.commit()
        two.begin()
        assert list(same.applyEq("x"))[62:] == ([100, 101, 200] if mended else [100, 101])
        other.close()


def test_documents_without_a_value_are_a_tree_that_is_not_rewritten_whole(tmp_path: Path) -> None:
    manager = TransactionManager()
    with MyZODB(tmp_path / "x.fs", transaction_manager=manager) as zodb:
        index = zodb.dbroot["index"] = DateIndex("d")
        for docid in range(20_000):
            index.put(docid, None)
        manager.commit()
        before = (tmp_path / "x.fs").stat().st_size
        index.put(20_000, None)
        manager.commit()
        assert (tmp_path / "x.fs").stat().st_size - before < 4000


# -- questions that make no sense ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("f", ["Contains", "DoesNotContain"]),
        ("d", ["Contains", "DoesNotContain"]),
        ("k", ["Lt", "Le", "Gt", "Ge", "InRange", "NotInRange"]),
        ("t", ["Lt", "Le", "Gt", "Ge", "InRange", "NotInRange"]),
    ],
)
def test_what_an_index_cannot_answer_it_says_and_what_it_can(
    catalog: PackageCatalog, name: str, refused: list[str]
) -> None:
    for kind in refused:
        args = ("x", "y") if "Range" in kind else ("x",)
        with pytest.raises(QueryError, match=r"cannot be asked of .; .*their negations can"):
            catalog.query(getattr(q, kind)(name, *args))
        with pytest.raises(QueryError, match="cannot be asked"):
            getattr(catalog[name], f"apply{kind}")(*args)


def test_a_category_of_a_query_is_one_of_the_vocabulary() -> None:
    index = CategoryIndex("categories")
    for category in CATEGORIES:
        assert list(index.applyEq(category)) == []
    for ask, value in (("Eq", "oath2"), ("Any", ["jwt", "oath2"]), ("All", ["oath2"]),
                       ("Contains", "oath2"), ("NotAny", ["oath2"])):  # fmt: skip
        with pytest.raises(QueryError, match=r"'oath2' \(did you mean 'oauth2'"):
            getattr(index, f"apply{ask}")(value)


# -- words ---------------------------------------------------------------------------------------


@pytest.fixture
def text() -> TextIndex:
    index = TextIndex("t")
    for docid, words in enumerate(
        ["webauthn for the web", "Web sockets", "cobweb", "é web-site", "the"], 1
    ):
        index.index_doc(docid, document(t=words))
    return index


@pytest.mark.parametrize(
    ("search", "docids"),
    [
        ("web", [1, 2, 4]),
        ("WEB", [1, 2, 4]),
        ("web*", [1, 2, 4]),
        ("w?b", [1, 2, 4]),
        ("w*", [1, 2, 4]),
        ("web?*", [1]),
        ("co*eb", [3]),
        ("co*e", []),
        ("web -sockets", [1, 4]),
        ("web sockets", [2]),
        ("sockets OR cobweb", [2, 3]),
        ("cobweb sockets", []),
        ('"web site"', [4]),
        ("web-site", [4]),
        ("É", [4]),
        ("the web", [1, 2, 4]),
        ("zzz", []),
        ("web AND NOT zzz", [1, 2, 4]),
    ],
)
def test_searches_are_written_as_zope_index_has_them(
    text: TextIndex, search: str, docids: list[int]
) -> None:
    assert sorted(text.applyContains(search)) == docids
    assert sorted(text.applyNotEq(search)) == sorted({1, 2, 3, 4, 5} - set(docids))


def test_a_document_of_common_words_only_is_there_but_not_found(text: TextIndex) -> None:
    assert 5 in text._indexed()
    assert 5 in text.docids()
    with pytest.raises(QueryError, match="too common"):
        text.applyContains("the")


def test_a_wildcard_means_what_it_means_in_a_shell() -> None:
    lexicon = PackageLexicon()
    lexicon.sourceToWordIds("abc abd a_c abcd ab xabc")
    for pattern, words in (
        ("a*", {"abc", "abd", "a_c", "abcd", "ab"}),
        ("ab?", {"abc", "abd"}),
        ("a*c", {"abc", "a_c"}),
        ("*bc", {"abc", "xabc"}),
        ("a?", {"ab"}),
        ("abc", {"abc"}),
        ("b*", set()),
        ("a[b]c", set()),
        ("a.c", set()),
    ):
        assert {lexicon.get_word(wid) for wid in lexicon.globToWordIds(pattern)} == words


@given(st.text(alphabet="ab*?", min_size=1, max_size=7), st.lists(st.text("ab", min_size=1)))
def test_a_wildcard_finds_what_fnmatch_finds(pattern: str, words: list[str]) -> None:
    from fnmatch import fnmatchcase

    lexicon = PackageLexicon()
    lexicon.sourceToWordIds(" ".join(words))
    found = {lexicon.get_word(wid) for wid in lexicon.globToWordIds(pattern)}
    assert found == {word for word in lexicon.words() if fnmatchcase(word, pattern)}


def test_the_thread_has_no_transaction_left_open() -> None:
    assert not transaction.get()._resources
