"""A query as text: what is read, where mistakes are, and that nothing gets past the parser."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Node, Text, questions

from authdb import And, AuthDB, Or
from authdb.exceptions import QueryError
from authdb.expression import MAX_LENGTH, parse, simplify
from authdb.query import Eq, Not


def mistake(text: str, names: dict[str, Any] | None = None) -> QueryError:
    with pytest.raises(QueryError) as error:
        parse(text, names)
    return error.value


# -- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("name == 'a'", "name == 'a'"),
        ("  name\t== 'a'\n ", "name == 'a'"),
        ("name == 'a' # a comment", "name == 'a'"),
        ("name == -3", "name == -3"),
        ("name == +3", "name == 3"),
        ("name == 'a' 'b'", "name == 'ab'"),
        ("a.b.c != 'x'", "a.b.c != 'x'"),
        ("1 < a <= 2", "1 < a <= 2"),
        ("not (1 < a <= 2)", "not(1 < a <= 2)"),
        ("'x' in a", "'x' in a"),
        ("'x' not in a", "'x' not in a"),
        ("a in any(['x', 'y'])", "a in any(['x', 'y'])"),
        ("a in any({'x'})", "a in any(['x'])"),
        ("a not in any(('x', 'y'))", "a not in any(('x', 'y'))"),
        ("a not in all([])", "a not in all([])"),
        ("a == x", "a == Name('x')"),
        ("a > 0 and a < 5", "0 < a < 5"),
        ("a == 1 or a == 2", "a in any([1, 2])"),
    ],
)
def test_a_text_is_read_as_repoze_catalog_has_it(text: str, read: str) -> None:
    assert str(parse(text)) == read


def test_a_range_is_not_turned_inside_out() -> None:
    """``a < 1 or a > 2`` is not "outside of 1..2" for a package without an a."""
    assert isinstance(parse("a < 1 or a > 2"), Or)
    assert isinstance(parse("not (a < 1)"), Not)


@given(questions)
@settings(max_examples=100)
def test_simplifying_changes_neither_the_answer_nor_the_query(crowd: AuthDB, question: Any) -> None:
    query = question.query
    before = list(crowd.find(query).docids)
    simpler = simplify(query)
    assert list(crowd.find(simpler).docids) == before == list(crowd.find(query).docids)
    assert list(crowd.find(simplify(simpler)).docids) == before


def test_simplifying_nothing_is_no_error() -> None:
    assert simplify(And()).queries == simplify(Or()).queries == []


# -- long and deep -------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["|", "&", "or", "and"])
def test_five_hundred_terms_can_be_joined(crowd: AuthDB, operator: str) -> None:
    text = f" {operator} ".join(f"(name=='n{number}')" for number in range(495))
    text += f" {operator} (name != 'x')"
    assert len(crowd.find(text)) == (300 if operator in ("|", "or") else 0)


@pytest.mark.parametrize(
    "text",
    [
        "not " * 5000 + "a == 1",
        "not " * 2000 + "a == 1",
        "not " * 110 + "a == 1",
        "(" * 4000 + "a == 1" + ")" * 4000,
        "(" * 150 + "a == 1" + ")" * 150,
        "[" * 4000,
        "a == " + "-" * 9000 + "1",
        "a == " + "~" * 9000 + "1",
        "a" + ".a" * 4900 + " == 1",
        "a == " + "[" * 90 + "]" * 90,
        "a" * 9000,
        "a == 1 or " * 900 + "b",
        "|".join("a" * 4000),
        "a == 1" + " | a" * 2000,
        "a < " * 2000 + "a",
        "a == 1 if " * 900 + "a == 1",
        "lambda: " * 1000 + "a == 1",
        "f'" + "{a}" * 3000 + "'",
        "a" * (MAX_LENGTH + 1),
        "9" * 9999,
        "a == " + "9" * 9000,
        "a == 0x" + "f" * 9000,
        "a == 1e999999",
        "a == -1e999999",
        "last_update == 0x" + "f" * 9000,
        "last_update == -0x" + "f" * 9000,
        "last_update == 1e999",
        "\\\n" * 4000,
        "\n" * 9000 + "a",
        "a ==\0 1",
        "\0",
        "a == '\udc80'",
        "\ud800 == 1",
        "\ufeffa == 1",
        "a == 'x",
        "a == '''x",
        "\x0c",
        "\r\n",
        "#",
        "a == 1;b == 2",
        "a == 1\nb == 2",
        "a := 1",
        "(a := 1) == 2",
        "a == b'x'",
        "a == ...",
        "a == None",
        "a == 1j",
        "a == f'{b}'",
        "a == [b'x']",
        "a == [[1]]",
        "a == {1: 2}",
        "a == [*b]",
        "a == (yield)",
        "a[0] == 1",
        "a().b == 1",
        "'a' == 'a'",
        "a is b",
        "a == 1 == b",
        "1 > a > 0",
        "1 < 'a' < 2",
        "'x' in 'a'",
        "'x' in any",
        "a in some(['x'])",
        "a in any",
        "a in any()",
        "a in any('x')",
        "a in any(5)",
        "a in any(['x'], ['y'])",
        "a in any(x=['x'])",
        "a in any(*['x'])",
        "a in any(['x']) == 1",
        "a.any(['x']) == 1",
        "a + b",
        "a - b",
        "a @ b",
        "-a",
        "~a",
        "(a == 1) ^ (b == 2)",
        "(a == 1) + (b == 2)",
        "a and b",
        "[x for x in a]",
        "import os",
        "__import__('os').system('x')",
        "a == open('x')",
        "a == ().__class__",
        "",
        "   ",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_query_is_a_query_error(crowd: AuthDB, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(QueryError) as error:
            crowd.find(text)
    message = str(error.value)
    assert "\n" not in message and len(message) < 300
    assert error.value.position is None or 0 <= error.value.position <= len(text)
    message.encode()  # it can be printed, whatever was in the text


@pytest.mark.parametrize("text", [None, 5, b"a == 1", ["a == 1"]])
def test_only_text_is_read(text: Any) -> None:
    assert "a query is text" in str(mistake(text))


# -- where -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("name == 'a' and 5", "5"),
        ("   name == 'a' and 5  ", "5"),
        ("name == 'é' and 'ü' in title and 5", "5"),
        ("(name == 'é' and\n 'ü' in title and\n\n   5)", "5"),
        ("(name == 'é'\r\n and\r 'ü' in title and 5)", "5"),
        ("(name == '\u2028\x85\x1c\x0b' and\n 5)", "5"),
        ("('日本語' in title and\n  '日本' == name)", "'日本' =="),
        ("name == 'a' and license == MIT", "MIT"),
        ("(name == 'a' and\n license == MIT)", "MIT"),
        ("name == 'a' and name in any('x')", "'x'"),
        ("name == 'a' and name in some('x')", "some"),
        ("last_update < 2024-10-26", "2024-"),
        ("name == 'a' or (name == 'b' and 1 < 2 < 3)", "2 <"),
        ("'\U0001f511' in title and 5", "5"),
        ("(name == '\U0001f511'\n and 5)", "5"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, at: str) -> None:
    error = mistake(text, {})
    assert error.text == text
    assert error.position is not None
    assert text[error.position :].startswith(at)
    assert f"at character {text.index(at) + 1} (" in str(error)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("name == 'é' and licence == 'MIT'", "licence"),
        ("(name == 'é' and\n   licence == 'MIT')", "licence"),
        ("'x' in title and 'oath2' in categories", "'oath2'"),
        ("name == 'x' and (\n  last_update <\n 'x')", "last_update"),
        ("name == 'x' and not (license == 5)", "license"),
        ("name == 'x' and not (last_update in any(['x']))", "last_update"),
        ("name == 'x' or '2019' < last_update < 'x'", "'2019'"),
        ("name == 'x' or categories < 'x'", "categories"),
        ("name == 'x' or not ('2019' < title < 'x')", "'2019'"),
    ],
)
def test_what_an_index_refuses_is_pointed_at_too(crowd: AuthDB, text: str, at: str) -> None:
    with pytest.raises(QueryError) as error:
        crowd.find(text)
    assert error.value.text == text
    assert error.value.position == text.index(at)


def test_a_syntax_error_is_pointed_at_on_its_line() -> None:
    error = mistake("(name == 'é' and\n license = 'MIT')")
    assert error.position is not None and error.text is not None
    assert error.position >= error.text.index("license")
    error = mistake("name == 'x' and")
    assert str(error).endswith(", at character 16 (the end)")


def test_a_date_without_quotes_gets_a_hint() -> None:
    for text in ("last_update < 2024-02-26", "last_update < 2024-10-26"):
        assert "a date stands in quotes, as in '2024-02-26'" in str(mistake(text))


def test_a_text_without_quotes_gets_a_hint() -> None:
    assert "if it is a text, put it in quotes" in str(mistake("license == MIT", {}))


# -- whatever comes --------------------------------------------------------------------------------

TOKENS = [
    *"()[]{}<>=!&|^~-+*/,.:;#@\\'\"\n\r\t\0 ",
    *["not ", " and ", " or ", " in ", " not in ", "any(", "all(", "==", "!=", "<=", ">="],
    *[
        "last_update",
        "categories",
        "title",
        "'2019'",
        "'jwt'",
        "x",
        "5",
        "1e9",
        "0x",
        "lambda",
        "if",
    ],
    *["é", "\udc80", "\u2028", "'''", "f'{", "True", "None", "**", ":="],
]


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet=st.characters(), max_size=20),
        st.lists(st.sampled_from(TOKENS), max_size=25).map("".join),
        st.tuples(st.sampled_from(TOKENS), st.integers(0, 3000)).map(
            lambda pair: pair[0] * pair[1]
        ),
    )
)
@settings(max_examples=300)
def test_no_text_ends_in_anything_but_an_answer_or_a_query_error(crowd: AuthDB, text: str) -> None:
    try:
        crowd.find(text, names={"x": "2019"})
    except QueryError as error:
        message, position = str(error), error.position
    else:
        return
    message.encode()
    assert "\n" not in message and message
    assert position is None or 0 <= position <= len(text)


@st.composite
def damaged(draw: Any) -> str:
    """The text of a valid query with a few changes: cut, doubled, replaced."""
    text = draw(questions.filter(lambda question: question.expressible())).write(Text())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        put = draw(st.one_of(st.just(""), st.sampled_from(TOKENS), st.just(text[start:end] * 2)))
        text = text[:start] + put + text[end:]
    return text


@given(damaged())
@settings(max_examples=150)
def test_no_damaged_query_ends_in_anything_but_an_answer_or_a_query_error(
    crowd: AuthDB, text: str
) -> None:
    with suppress(QueryError):
        crowd.find(text, names={"value0": "2019", "value1": "MIT"})


def test_a_query_is_read_as_deep_in_the_program_as_at_its_start(crowd: AuthDB) -> None:
    """Python's own limit on recursion is shared with whoever asks."""

    def dive(depth: int) -> None:
        if depth:
            dive(depth - 1)
        else:
            with suppress(QueryError):
                crowd.find("not " * 95 + "(name == 'x')")

    for depth in range(300, 960, 60):
        with suppress(RecursionError):  # only from dive() itself, near the very end
            dive(depth)


def test_names_are_values_and_never_text(crowd: AuthDB) -> None:
    query = parse("license == wanted", {"wanted": "x' or license != 'x"})
    assert isinstance(query, Eq) and query._value == "x' or license != 'x"
    assert len(crowd.find(query)) == 0


def test_the_tree_of_a_question_can_be_written() -> None:
    """What the property tests rely on."""
    question = Node("and", [Node("or", [])])
    assert not question.expressible()
