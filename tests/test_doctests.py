"""Every example in a docstring is true."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import pytest
from test_structure import MODULES

import authdb

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests: list[doctest.DocTest] = []
    for name in ["authdb", *MODULES]:
        module = authdb if name == "authdb" else importlib.import_module(name)
        tests += [test for test in finder.find(module, name) if test.examples]
    return tests


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_true(example: doctest.DocTest) -> None:
    said: list[Any] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    results = runner.run(example, out=said.append)
    assert results.failed == 0, "".join(said)
    assert results.attempted > 0


def test_there_are_examples_of_what_matters() -> None:
    names = {example.name for example in EXAMPLES}
    assert {
        "authdb",
        "authdb.database.AuthDB",
        "authdb.models.Package",
        "authdb.expression.parse",
        "authdb.storage.MyZODB",
        "authdb.dates.PartialDate",
        "authdb.fields.normalize_name",
    } <= names
