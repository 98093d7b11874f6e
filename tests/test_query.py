"""Questions and their answers: what `AuthDB.find` finds, in what order, and what it refuses."""

from __future__ import annotations

import copy
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Leaf, Text, collections, in_order, questions, sorts, store

from authdb import (
    All,
    And,
    AuthDB,
    Contains,
    Eq,
    Ge,
    Gt,
    InRange,
    Le,
    Lt,
    Not,
    NotAll,
    NotAny,
    NotEq,
    NotInRange,
    Or,
    Package,
)
from authdb import (
    Any as AnyOf,
)
from authdb.dates import PartialDate
from authdb.exceptions import DatabaseClosed, NotOne, PackageNotFound, QueryError
from authdb.fields import CATEGORIES
from authdb.query import DoesNotContain, Name
from authdb.results import Result


def agree(db: AuthDB, question: Any, sort: str | None = None, reverse: bool = False) -> None:
    """The answer to ``question`` is that of a filter over all packages: as an object and, where
    it can be written, as text."""
    expected = in_order([p for p in db if question.matches(p)], sort, reverse)
    found = db.find(question.query, sort=sort, reverse=reverse)
    assert found.names() == expected
    assert len(found) == len(expected)
    if question.expressible():
        text = Text()
        written = question.write(text)
        assert db.find(written, names=text.names, sort=sort, reverse=reverse).names() == expected


# -- the law -----------------------------------------------------------------------------------


@given(collections(), st.lists(questions, min_size=1, max_size=4), sorts, st.booleans())
@settings(max_examples=100)
def test_every_query_equals_a_filter_over_the_packages(
    packages: list[Package], some: list[Any], sort: str | None, reverse: bool
) -> None:
    with AuthDB.in_memory() as db:
        store(db, packages)
        for question in some:
            agree(db, question, sort, reverse)


@given(questions, sorts, st.booleans())
@settings(max_examples=60)
def test_every_query_equals_a_filter_over_many_packages_with_a_history(
    crowd: AuthDB, question: Any, sort: str | None, reverse: bool
) -> None:
    agree(crowd, question, sort, reverse)


@given(questions, sorts, st.booleans(), st.integers(0, 400), st.integers(0, 400) | st.none())
@settings(max_examples=30)
def test_a_limit_and_an_offset_cut_the_answer_and_not_its_len(
    crowd: AuthDB, question: Any, sort: str | None, reverse: bool, offset: int, limit: int | None
) -> None:
    whole = crowd.find(question.query, sort=sort, reverse=reverse)
    part = crowd.find(question.query, sort=sort, reverse=reverse, limit=limit, offset=offset)
    assert len(part) == len(whole)
    assert bool(part) is bool(whole)
    end = None if limit is None else offset + limit
    assert part.names() == whole.names()[offset:end]
    assert list(part.docids) == list(whole.docids)[offset:end]


@given(questions)
@settings(max_examples=60)
def test_a_negation_is_the_complement_over_all_packages(crowd: AuthDB, question: Any) -> None:
    found = set(crowd.find(question.query).docids)
    rest = set(crowd.find(Not(question.query)).docids)
    assert not found & rest
    assert found | rest == set(crowd.objects)


@given(questions)
@settings(max_examples=60)
def test_a_query_is_not_changed_by_being_asked(crowd: AuthDB, question: Any) -> None:
    def spell(query: Any) -> Any:
        if isinstance(query, (And, Or)):
            return type(query), [spell(part) for part in query.queries]
        return (Not, spell(query.query)) if isinstance(query, Not) else (type(query), vars(query))

    query = question.query
    before = copy.deepcopy(spell(query))
    crowd.find(query)
    crowd.find(query)
    assert spell(query) == before


STATED = ["2018-12-31", "2019-01-01", "2019-03", "2019-03-31", "2019-12-31", "2020-01-01", None]
IN_2019 = STATED[1:5]


# -- dates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "matching"),
    [
        ("last_update < '2019'", ["2018-12-31"]),
        ("last_update <= '2019'", STATED[:5]),
        ("last_update == '2019-03'", ["2019-03", "2019-03-31"]),
        ("last_update == '2019'", IN_2019),
        ("last_update == 2019", IN_2019),
        ("last_update > '2019'", ["2020-01-01"]),
        ("last_update >= '2019-04'", ["2019-12-31", "2020-01-01"]),
        ("last_update > '2019-03'", ["2019-12-31", "2020-01-01"]),
        ("'2018' <= last_update <= '2019'", STATED[:5]),
        ("'2018' < last_update < '2020'", IN_2019),
        (InRange("last_update", "2018", "2019"), STATED[:5]),
        (InRange("last_update", 2018, 2019, True, True), []),
        (InRange("last_update", None, "2018"), ["2018-12-31"]),
        (InRange("last_update", "2020", None), ["2020-01-01"]),
        (NotInRange("last_update", "2018", "2019"), ["2020-01-01", None]),
        (AnyOf("last_update", ["2018", date(2020, 1, 1)]), ["2018-12-31", "2020-01-01"]),
        (Eq("last_update", PartialDate(2019, 3)), ["2019-03", "2019-03-31"]),
        (Eq("last_update", datetime(2019, 12, 31, 23)), ["2019-12-31"]),
        (
            Eq("last_update", datetime(2019, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))),
            ["2020-01-01"],
        ),
        (NotEq("last_update", "2019"), ["2018-12-31", "2020-01-01", None]),
    ],
    ids=str,
)  # fmt: skip
def test_a_bare_year_or_month_is_the_whole_of_it(
    db: AuthDB, query: Any, matching: list[str | None]
) -> None:
    store(db, [Package(f"p{at}", "P", last_update=day) for at, day in enumerate(STATED)])
    found = [package.last_update for package in db.find(query)]
    assert [day and day.isoformat() for day in found] == matching


# -- missing values ----------------------------------------------------------------------------

COMPARISONS = [
    *(kind("last_update", "2019") for kind in (Lt, Le, Gt, Ge, Eq)),
    *(kind("license", "MIT") for kind in (Lt, Le, Gt, Ge, Eq)),
    InRange("last_update", "0001", "9999"),
    InRange("last_update", None, None),
    InRange("license", "", None),
    AnyOf("last_update", ["2019"]),
    All("last_update", ["2019"]),
    AnyOf("categories", list(CATEGORIES)),
    All("categories", ["jwt"]),
    Eq("categories", "jwt"),
    Contains("categories", "jwt"),
    Contains("description", "token"),
    Eq("last_update", None),
    Lt("last_update", None),
    Ge("license", None),
    AnyOf("license", [None]),
    All("categories", [None]),
    Contains("description", None),
    Contains("categories", None),
]


@pytest.mark.parametrize("query", COMPARISONS, ids=str)
def test_no_comparison_matches_a_missing_value_and_every_negation_does(
    asked: AuthDB, query: Any
) -> None:
    assert "unheard-of" not in asked.find(query).names()
    assert "unheard-of" in asked.find(Not(query)).names()


@pytest.mark.parametrize(
    "query",
    [
        NotEq("license", "MIT"),
        NotEq("last_update", "2019"),
        NotEq("categories", "jwt"),
        NotAny("categories", ["jwt"]),
        NotAll("categories", ["jwt"]),
        NotInRange("last_update", "2019", "2020"),
        DoesNotContain("description", "token"),
        DoesNotContain("categories", "jwt"),
    ],
    ids=str,
)
def test_each_negated_question_matches_a_missing_value(asked: AuthDB, query: Any) -> None:
    assert "unheard-of" in asked.find(query).names()


def test_the_empty_and_is_everything_and_the_empty_or_nothing(asked: AuthDB) -> None:
    assert len(asked.find(And())) == len(asked.find(Not(Or()))) == len(asked.find()) == 5
    assert len(asked.find(Or())) == len(asked.find(Not(And()))) == 0
    assert len(asked.find(And(Or(), And()))) == 0


def test_all_of_no_values_asks_for_nothing_and_any_of_none_cannot_match(asked: AuthDB) -> None:
    assert len(asked.find(All("categories", []))) == len(asked.find(NotAny("name", []))) == 5
    assert len(asked.find(AnyOf("categories", []))) == len(asked.find(NotAll("name", []))) == 0


# -- order -------------------------------------------------------------------------------------


def test_sorting_loses_nobody_and_puts_the_missing_last_either_way(asked: AuthDB) -> None:
    assert asked.find(sort="last_update").names() == [
        "drf-httpsig",  # known to the year: it counts as the year's first day
        "hawkrest",
        "django-rest-knox",
        "django-oauth-toolkit",
        "unheard-of",
    ]
    assert asked.find(sort="last_update", reverse=True).names() == [
        "django-oauth-toolkit",
        "django-rest-knox",
        "hawkrest",
        "drf-httpsig",
        "unheard-of",
    ]
    assert asked.find(sort="last_commit", limit=2, offset=1).names() == [
        "django-oauth-toolkit",
        "django-rest-knox",
    ]


def test_ties_are_in_the_order_of_docids_either_way(asked: AuthDB) -> None:
    assert asked.find("license == 'MIT'", sort="license").names() == [
        "django-rest-knox",
        "drf-httpsig",
    ]
    assert asked.find("license == 'MIT'", sort="license", reverse=True).names() == [
        "django-rest-knox",
        "drf-httpsig",
    ]


def test_sorting_packages_that_all_lack_the_value_is_no_error(asked: AuthDB) -> None:
    assert asked.find(Eq("name", "unheard-of"), sort="license", limit=1).names() == ["unheard-of"]


def test_without_a_sort_packages_come_as_they_were_added(asked: AuthDB) -> None:
    assert asked.find().names() == [package.name for package in asked]
    assert asked.find(reverse=True).names() == [package.name for package in asked][::-1]


def test_by_relevance_the_best_match_comes_first(db: AuthDB) -> None:
    store(
        db,
        [
            Package("long", "L", description="token " + "and a lot of other words " * 20),
            Package("short", "S", description="token"),
            Package("other", "token", description="nothing"),
            Package("twice", "T", description="token token login"),
        ],
    )
    by_relevance = db.find("'token' in description", sort="relevance").names()
    assert by_relevance[-1] == "long" and set(by_relevance) == {"short", "twice", "long"}
    assert (
        db.find("'token' in description", sort="relevance", reverse=True).names()
        == (by_relevance[::-1])
    )
    both = "'token' in description or 'token' in title or name == 'other'"
    assert db.find(both, sort="relevance").names()[-1] == "long"
    assert db.find(both, sort="description").names()[-1] == "other"  # no weight there: last
    assert db.find(both, sort="description", reverse=True).names()[-1] == "other"
    # However a search is written, it has weights.
    for query in (
        "description == 'token'",
        "description in any(['token'])",
        "description == 'token' or description == 'xyz'",
        And(Contains("description", "token"), Contains("description", "token")),
    ):
        assert db.find(query, sort="relevance").names() == by_relevance


@pytest.mark.parametrize("query", [None, "license == 'MIT'", "not ('token' in description)"])
def test_relevance_needs_a_search(asked: AuthDB, query: str | None) -> None:
    with pytest.raises(QueryError, match="relevance needs a text search"):
        asked.find(query, sort="relevance")


@pytest.mark.parametrize("sort", ["nmae", "categories", "", 5, ["name"], {}, ("name",)])
def test_what_cannot_be_sorted_by_is_refused_with_what_can(asked: AuthDB, sort: Any) -> None:
    with pytest.raises(QueryError, match=r"cannot be sorted by .*last_update, license, name"):
        asked.find(sort=sort)


def test_a_wrong_sort_suggests_the_nearest(asked: AuthDB) -> None:
    with pytest.raises(QueryError, match="did you mean 'last_update'"):
        asked.find(sort="last_updated")


# -- results -----------------------------------------------------------------------------------


def test_a_result_can_be_read_twice_and_counts_all(asked: AuthDB) -> None:
    result = asked.find("'signature' in categories", limit=1)
    assert result.names() == result.names() == ["hawkrest"]
    assert [package.name for package in result] == ["hawkrest"]
    assert list(result) == result.all() == [asked["hawkrest"]]
    assert len(result) == 2 and bool(result)
    assert repr(result) == "<Result: 1 of 2 packages>"
    assert repr(asked.find()) == "<Result: 5 packages>"


def test_first_and_one(asked: AuthDB) -> None:
    first = asked.find(sort="name").first()
    assert first is not None and first.name == "django-oauth-toolkit"
    assert asked.find("name == 'nobody'").first() is None
    assert asked.find("name == 'hawkrest'").one().name == "hawkrest"
    assert asked.find("name == 'hawkrest'", limit=0).one().name == "hawkrest"
    with pytest.raises(NotOne, match="5 match") as several:
        asked.find().one()
    assert several.value.count == 5
    with pytest.raises(NotOne, match="0 match"):
        asked.find("name == 'nobody'").one()


def test_the_docids_of_a_result_were_fixed_when_the_question_was_asked(filled: AuthDB) -> None:
    result = filled.find("'signature' in categories")
    every = filled.find()
    filled.update("hawkrest", categories=("jwt",))
    filled.add(Package("later", "Later", categories=("signature",)))
    assert result.names() == ["hawkrest", "drf-httpsig"]
    assert len(every) == 5 and "later" not in every.names()
    filled.remove("hawkrest")
    assert len(result) == 2
    with pytest.raises(PackageNotFound, match="removed since it was found"):
        result.names()


def test_packages_may_change_while_a_result_is_read(filled: AuthDB) -> None:
    """repoze.catalog may hand out its live posting list, and then skips every second one."""
    with filled.transaction():
        seen = []
        for package in filled.find("'signature' in categories"):
            seen.append(package.name)
            filled.update(package.name, categories=())
    assert seen == ["hawkrest", "drf-httpsig"]


def test_a_result_of_a_closed_database_says_so(filled: AuthDB) -> None:
    result, single = filled.find(), filled.find("name == 'hawkrest'")
    package = result.first()
    filled.close()
    assert len(result) == 5 and list(result.docids) == [1, 2, 3, 4, 5]
    reads = (result.names, result.all, result.first, lambda: list(result), single.one)
    for read in reads:
        with pytest.raises(DatabaseClosed, match="it was closed; open it again"):
            read()
    with pytest.raises(DatabaseClosed, match="closed"):
        filled.find()
    assert package is not None and package.name == "django-rest-knox"  # it was loaded


def test_an_empty_result_is_false(asked: AuthDB) -> None:
    result = asked.find("name == 'nobody'")
    assert not result and isinstance(result, Result)
    assert result.all() == [] == result.names() == list(result.docids)


# -- values from outside -----------------------------------------------------------------------


def test_names_bring_values_from_outside(asked: AuthDB) -> None:
    text = "license == wanted and last_update >= since and categories in any(some)"
    names = {"wanted": "MIT", "since": date(2019, 1, 1), "some": ("token", "signature")}
    assert asked.find(text, names=names).names() == ["django-rest-knox", "drf-httpsig"]
    quoted = "x' or 'MIT' == 'MIT"
    assert asked.find("license == wanted", names={"wanted": quoted}).names() == []


def test_names_also_reach_query_objects(asked: AuthDB) -> None:
    query = And(Eq("license", Name("wanted")), AnyOf("categories", [Name("one"), "token"]))
    names = {"wanted": "MIT", "one": "signature"}
    assert asked.find(query, names=names).names() == ["django-rest-knox", "drf-httpsig"]
    inside = InRange("last_update", Name("start"), Name("end"))
    assert len(asked.find(inside, names={"start": 2019, "end": None})) == 4
    with pytest.raises(QueryError, match="no value was given for wanted"):
        asked.find(query)


@pytest.mark.parametrize("names", [None, {}, {"wnated": "MIT"}])
def test_a_name_without_a_value_is_an_error_at_its_place(asked: AuthDB, names: Any) -> None:
    text = "name != 'x' and license == wanted"
    with pytest.raises(QueryError, match="no value was given for wanted") as error:
        asked.find(text, names=names)
    assert error.value.position in (text.index("license"), text.index("wanted"))
    assert error.value.text == text


def test_a_value_that_is_none_matches_nothing_however_the_range_is_written(
    asked: AuthDB,
) -> None:
    """None leaves an end of a range open, but a comparison with None matches nothing; so two
    comparisons may not become one range."""
    nothing = [
        "last_update > low and last_update < high",
        "last_update < high and last_update > low",
    ]
    names = {"low": None, "high": "2021"}
    for text in nothing:
        assert asked.find(text, names=names).names() == []
    later = asked.catalog.query(nothing[0], names=names)
    assert later[0] == 0
    assert asked.find("low < last_update < high", names=names).names() == [
        "hawkrest",
        "drf-httpsig",
    ]


# -- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "licence == 'MIT'",
            r"no index 'licence' \(did you mean 'license'\?\); there are: .*title",
        ),
        (Eq("catgories", "jwt"), r"did you mean 'categories'"),
        ("'oath2' in categories", r"unknown category 'oath2' \(did you mean 'oauth2'\?\)"),
        (AnyOf("categories", ["jwt", "tokn"]), r"unknown category 'tokn' \(did you mean 'token'"),
        (All("categories", ["jwt", "tokn"]), r"unknown category 'tokn'"),
        ("last_update < 'yesterday'", r"a date is written 2024-02-26.*, not 'yesterday'"),
        ("last_update < '2019-02-30'", r"the calendar has no 2019-02-30"),
        ("last_update < '2019-00'", r"the calendar has no 2019-00"),
        (Lt("last_update", 1.5), r"a date is written"),
        (Lt("last_update", True), r"a date is written"),
        ("license == 5", r"license is compared with text, not 5"),
        (Eq("license", ["MIT"]), r"compared with text"),
        (Eq("categories", ("jwt", "token")), r"compared with text"),
        (AnyOf("license", "MIT"), r"a list of values, not 'MIT'"),
        (AnyOf("license", 5), r"a list of values, not 5"),
        ("categories < 'jwt'", r"Lt cannot be asked of categories; Eq, Any, All, Contains"),
        ("'M' in license", r"Contains cannot be asked of license; Eq, Lt"),
        ("title > 'a'", r"Gt cannot be asked of title; Contains"),
        (InRange("title", "a", "b"), r"InRange cannot be asked of title"),
        (NotInRange("categories", "a", "b"), r"InRange cannot be asked of categories"),
        (Contains("title", 5), r"searched for text, not 5"),
        ("'' in title", r"is searched for words"),
        ("'-token' in title", r"cannot be searched for '-token'"),
        (5, r"a query is text or a query object, not int"),
        (And(Eq("name", "x"), "license == 'MIT'"), r"query object, not str"),
        (Eq, r"not type"),
        (Eq([], "x"), r"no index \[\]"),
        (Eq(None, "x"), r"no index None"),
    ],
    ids=lambda value: None,
)
def test_a_mistake_is_one_clear_line(asked: AuthDB, query: Any, message: str) -> None:
    with pytest.raises(QueryError, match=message) as error:
        asked.find(query)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("option", ["limit", "offset"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", [1]])
def test_limit_and_offset_are_numbers_from_0(asked: AuthDB, option: str, value: Any) -> None:
    with pytest.raises(QueryError, match=f"{option} is a number from 0 on"):
        asked.find(**{option: value})


def test_a_limit_may_be_larger_than_any_machine_word(asked: AuthDB) -> None:
    assert len(asked.find(limit=10**30, offset=2).all()) == 3
    assert asked.find(limit=10**30, offset=10**30).all() == []


def test_query_objects_may_be_wide_but_not_deep(asked: AuthDB) -> None:
    wide = Or(*[Eq("license", f"{number}") for number in range(20_000)], Eq("license", "MIT"))
    assert len(asked.find(wide)) == 2
    deep: Any = Eq("license", "MIT")
    for _ in range(5000):
        deep = Not(deep)
    with pytest.raises(QueryError, match="nested more than 100 deep"):
        asked.find(deep)
    for kind in (And, Or):
        mixed: Any = Eq("license", "MIT")
        for _ in range(3000):
            mixed = kind(Not(mixed), Eq("license", "MIT"))
        with pytest.raises(QueryError, match="nested more than 100 deep"):
            asked.find(mixed)
    assert len(asked.find("(" * 60 + "license == 'MIT'" + ")" * 60)) == 2


# -- searches ----------------------------------------------------------------------------------


def test_a_search_has_bounds(asked: AuthDB) -> None:
    for search, message in (
        ("a" * 1001, "at most 1000 characters"),
        ("to*n* a??? x*", "at most 5 wildcards"),
        ("(" * 900, "nested too deeply"),
        ("NOT " * 240, "cannot be searched"),
    ):
        with pytest.raises(QueryError, match=message):
            asked.find(Contains("description", search))
    assert asked.find(Contains("description", "token " * 160)).names() == ["django-rest-knox"]


def test_wildcards_cannot_run_away(db: AuthDB) -> None:
    """zope.index's own pattern would take minutes on this one word."""
    db.add(Package("long", "a" * 199, description="a" * 9000))
    assert db.find(Contains("description", "a*a*a*a*a*b")).names() == []
    assert db.find(Contains("description", "a*a*a*a*a*a")).names() == ["long"]


PIECES = [
    "token",
    "JWT",
    "(",
    ")",
    '"',
    "-",
    "*",
    "?",
    "OR",
    "AND",
    "NOT",
    " ",
    "é",
    "İ",
    "\0",
    "the",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=30))
@settings(max_examples=300)
def test_no_search_ends_in_anything_but_an_answer_or_a_query_error(
    crowd: AuthDB, search: str
) -> None:
    for question in (Contains("description", search), "title == it", AnyOf("title", [search])):
        with suppress(QueryError):
            assert 0 <= len(crowd.find(question, names={"it": search})) <= 300


ANYTHING: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.sampled_from([object, Name("x"), Name("y"), 10**4000, Package("a", "A")])
    | st.builds(Eq, st.just("a"), st.just(1))
    | st.builds(lambda: 10**5000)  # a number that has no repr
    | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=2) | st.tuples(inner) | st.frozensets(st.text()),
    max_leaves=4,
)


@given(
    st.sampled_from([*[type(query) for query in COMPARISONS], NotEq, NotAny, NotAll, NotInRange]),
    st.sampled_from(["name", "title", "categories", "last_update", "license", "nothing"]),
    ANYTHING,
    ANYTHING,
)
@settings(max_examples=300)
def test_no_value_ends_in_anything_but_an_answer_or_a_query_error(
    crowd: AuthDB, kind: Any, index: str, one: Any, two: Any
) -> None:
    query = kind(index, one, two) if kind in (InRange, NotInRange) else kind(index, one)
    with suppress(QueryError):
        crowd.find(query, names={"x": two})


def test_a_folder_and_memory_are_asked_alike(folder: Path) -> None:
    packages = [Package("b", "B", license="MIT"), Package("a", "A")]
    answers = []
    for db in (AuthDB.create(folder), AuthDB.in_memory()):
        with db:
            store(db, [package.copy() for package in packages])
            answers.append([db.find(sort="name").names(), [p.name for p in db], len(db)])
            assert "B" in db and "b" in db and "c" not in db and None not in db
    assert answers[0] == answers[1] == [["a", "b"], ["b", "a"], 2]


def test_the_oracle_is_asked_about_every_kind_of_question() -> None:
    """Were a kind never drawn, the law above would say nothing about it."""
    seen: set[type] = set()

    @given(questions)
    @settings(max_examples=200, database=None, derandomize=True)
    def draw(question: Any) -> None:
        pending = [question]
        while pending:
            part = pending.pop()
            seen.add(type(part.query))
            pending.extend([] if isinstance(part, Leaf) else part.parts)

    draw()
    assert seen >= {
        Lt, Le, Gt, Ge, Eq, NotEq, InRange, NotInRange, AnyOf, All, NotAny, NotAll, Contains,
        DoesNotContain, And, Or, Not,
    }  # fmt: skip
