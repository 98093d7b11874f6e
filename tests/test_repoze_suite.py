"""repoze.catalog's own tests, run against our parser, queries, indexes and catalog.

Its tests import what they test inside of functions, so ours can be put in its place. They run
under unittest, as they do there: pytest would collect one of their mixins by mistake.
"""

from __future__ import annotations

import unittest
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest

from authdb import catalog, expression, indexes, query

NO_QUERY = "what is no query is refused, there it is returned as it is"
NOT_THE_SAME = "'a < 0 or a > 1' is not 'not (0 <= a <= 1)' for a document without an a"
NO_AST = "Python has an ast module today"
PARSER = {
    "Test_parse_query.test_num": NO_QUERY,
    "Test_parse_query.test_str": NO_QUERY,
    "Test_parse_query.test_unicode": NO_QUERY,
    "Test_parse_query.test_list": NO_QUERY,
    "Test_parse_query.test_tuple": NO_QUERY,
    "Test_parse_query.test_dotted_name": NO_QUERY,
    "Test_parse_query.test_dotted_names": NO_QUERY,
    "Test_parse_query.test_no_ast_support": NO_AST,
    "Test_parse_query.test_convert_gtlt_to_not_in_range": NOT_THE_SAME,
    "Test_parse_query.test_convert_ltgt_to_not_in_range": NOT_THE_SAME,
}

OWN_INDEXES = "the test brings indexes that do not check a value before anything is changed"
CATALOG = {
    "TestCatalog.test_index_doc": OWN_INDEXES,
    "TestCatalog.test_reindex_doc": OWN_INDEXES,
    "TestCatalog.test_functional_index_merge_ordered": OWN_INDEXES,
    "TestCatalog.test_functional_index_merge_unordered": OWN_INDEXES,
}

QUERIES = {
    "TestNotAll.test_apply": "it wants the positive answer: an index is asked applyAll for NotAll",
}


# Its tests store numbers. Ours take texts and days only, and say so; what is under test here is
# all the rest of them.


class AnyFieldIndex(indexes.FieldIndex):
    def convert(self, value: Any) -> Any:
        return value

    def bounds(self, value: Any) -> Any:
        return value, value


class AnyKeywordIndex(indexes.KeywordIndex):
    def convert(self, value: Any) -> Any:
        return value or None

    def check(self, keyword: Any) -> Any:
        return keyword


OUR_QUERIES = {
    f"repoze.catalog.query.{name}": getattr(query, name)
    for name in query.__all__
    if isinstance(getattr(query, name), type) and name not in ("Query", "Name")
}
OUR_PARSER = {"repoze.catalog.query.parse_query": expression.parse}
OUR_CATALOG = {"repoze.catalog.catalog.Catalog": catalog.PackageCatalog}
OUR_INDEXES = {
    "repoze.catalog.indexes.field.CatalogFieldIndex": AnyFieldIndex,
    "repoze.catalog.indexes.keyword.CatalogKeywordIndex": AnyKeywordIndex,
    "repoze.catalog.indexes.text.CatalogTextIndex": indexes.TextIndex,
}


def run(suite: str, ours: dict[str, Any]) -> tuple[int, set[str]]:
    """How many tests ``suite`` has, and which of them fail with ours in the place of theirs."""
    result = unittest.TestResult()
    with ExitStack() as stack:
        for path, thing in ours.items():
            stack.enter_context(mock.patch(path, thing))
        unittest.defaultTestLoader.loadTestsFromName(suite).run(result)
    failed = {
        test.id().split(".tests.")[1].split(".", 1)[1]
        for test, _ in [*result.failures, *result.errors]
    }
    return result.testsRun, failed


def test_our_parser_passes_all_its_tests_but_those_that_pin_a_bug() -> None:
    tests, failed = run("repoze.catalog.tests.test_query.Test_parse_query", OUR_PARSER)
    assert tests == 55
    assert failed == set(PARSER)


@pytest.mark.parametrize("ours", [OUR_PARSER, OUR_PARSER | OUR_CATALOG | OUR_INDEXES | OUR_QUERIES])
def test_our_parser_and_catalog_pass_its_functional_tests(ours: dict[str, Any]) -> None:
    assert run("repoze.catalog.tests.test_functional", ours) == (2, set())


def test_our_query_objects_pass_all_its_tests_but_one_that_pins_a_bug() -> None:
    tests, failed = run("repoze.catalog.tests.test_query", OUR_QUERIES | OUR_PARSER)
    assert tests == 139
    assert failed == set(PARSER) | set(QUERIES)


@pytest.mark.parametrize(("name", "tests"), [("field", 94), ("keyword", 23), ("text", 22)])
def test_our_indexes_pass_all_its_tests(name: str, tests: int) -> None:
    assert run(f"repoze.catalog.indexes.tests.test_{name}", OUR_INDEXES) == (tests, set())


def test_our_catalog_passes_its_tests_but_those_with_indexes_of_their_own() -> None:
    tests, failed = run("repoze.catalog.tests.test_catalog", OUR_CATALOG)
    assert tests == 34
    assert failed == set(CATALOG)
