"""Watching: what is a concern, what is not known and therefore none, and which are asked for."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from oracle import store

from authdb import AuthDB, Package
from authdb.dates import first_day
from authdb.exceptions import AuthDBError
from authdb.releases import Dated, Frameworks
from authdb.watching import (
    KINDS,
    LINK_KINDS,
    Concern,
    Concerns,
    Scope,
    audit,
    scope,
    stale,
)

DAY = date(2026, 11, 26)
FRAMEWORKS = Frameworks(
    (
        Dated("5.2", date(2025, 4, 2)),
        Dated("6.0.1", date(2026, 1, 6)),
        Dated("6.1a1", date(2026, 5, 1)),
    ),
    (Dated("3.16.0", date(2025, 3, 28)), Dated("3.18.3", date(2026, 9, 1))),
    date(2026, 11, 20),
)
NOTHING = Frameworks()


def seen(*fields: str) -> dict[str, dict[str, str]]:
    return {field: {"source": "the index", "seen": "2026-11-20"} for field in fields}


def audited(*packages: dict[str, Any], **options: Any) -> Concerns:
    """What is found in a database of these packages, whose names are a, b and so on."""
    with AuthDB.in_memory() as db:
        store(db, [Package("abc"[place], "T", **fields) for place, fields in enumerate(packages)])
        return audit(db, **{"frameworks": FRAMEWORKS, "day": DAY, **options})


# -- each kind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        (
            {"last_update": "2018-03-28"},
            "stale",
            "no update since 2018-03-28, 8 years 7 months ago",
        ),
        ({"replaced_by": "dj-rest-auth"}, "replaced", "replaced by dj-rest-auth"),
        (
            {"project_status": "deprecated"},
            "deprecated",
            "it is marked as deprecated",
        ),
        ({"project_status": "archived"}, "archived", "its package index marks it as archived"),
        ({"repository_status": "archived"}, "archived", "its repository is archived"),
        ({"repository_status": "gone"}, "gone", "its repository is gone"),
        (
            {"project_status": "quarantined"},
            "quarantined",
            "its package index has put it in quarantine",
        ),
        (
            {"vulnerabilities": [{"id": "CVE-2024-1", "summary": "A leak", "fixed_in": ["2.0"]}]},
            "vulnerable",
            "CVE-2024-1: A leak (fixed in 2.0)",
        ),
        (
            {"requires_drf": "<3"},
            "uninstallable",
            "requires djangorestframework<3: today's is 3.18.3",
        ),
        (
            {"requires_django": ">=3.2,<6.0"},
            "uninstallable",
            "requires django>=3.2,<6.0: today's is 6.0.1",
        ),
        ({"project_status": "withdrawn"}, "withdrawn", "all its releases were withdrawn"),
        ({"project_status": "gone"}, "gone", "it has left its package index"),
        ({"development_status": "7 - Inactive"}, "inactive", "its authors say that it is inactive"),
    ],
)
def test_each_kind_is_found_and_told(fields: dict[str, Any], kind: str, text: str) -> None:
    assert audited(fields) == [Concern(kind, "a", text)]


def test_each_kind_is_among_those_that_are_tested() -> None:
    mark = next(
        mark
        for mark in test_each_kind_is_found_and_told.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert {kind for _, kind, _ in mark.args[1]} == set(KINDS)


@pytest.mark.parametrize(
    "fields",
    [
        {"last_update": "2026-01"},
        {"project_status": "active", "repository_status": "active"},
        {"requires_drf": ">=3.14", "requires_django": ">=4.2"},
        {"requires_django": ">=4.2,<6.1"},
        {"development_status": "5 - Production/Stable"},
        {"moved_to": "https://example.org/new"},
    ],
)
def test_what_is_well_is_no_concern(fields: dict[str, Any]) -> None:
    assert audited(fields) == []


def test_several_concerns_about_one_package_and_the_order_of_all() -> None:
    found = audited(
        {"last_update": "2020", "requires_drf": "<3.15", "requires_django": "<5"},
        {"vulnerabilities": [{"id": "X-2"}, {"id": "X-1"}], "replaced_by": "a"},
    )
    assert [(each.name, each.kind) for each in found] == [
        ("a", "stale"),
        ("a", "uninstallable"),
        ("a", "uninstallable"),
        ("b", "replaced"),
        ("b", "vulnerable"),
        ("b", "vulnerable"),
    ]
    assert [each.text for each in found if each.kind == "vulnerable"] == ["X-1", "X-2"]


def test_today_is_the_newest_final_release_by_that_day() -> None:
    fields = {"requires_django": "<6"}
    assert [each.kind for each in audited(fields)] == ["uninstallable"]
    assert audited(fields, day=date(2026, 1, 5)) == []
    assert audited({"requires_django": "<6.1"}) == []  # 6.1a1 is none to install


# -- what is not known -----------------------------------------------------------------------


def test_what_is_not_known_is_no_concern_and_counted_once() -> None:
    found = audited({}, {"project_status": "active"}, {"last_update": "2026"})
    assert found == []
    assert found.packages == 3
    assert found.unknown == {
        "last_update": 2,
        "requires_django": 3,
        "requires_drf": 3,
        "development_status": 3,
        "project_status": 2,
        "repository_status": 3,
        "vulnerabilities": 3,
    }


def test_what_was_asked_for_and_is_not_there_is_known() -> None:
    asked = seen("requires_django", "requires_drf", "vulnerabilities", "development_status")
    asked |= seen("project_status", "repository_status")
    assert audited({"sources": asked, "last_update": "2026"}).unknown == {}


def test_without_known_frameworks_nothing_is_uninstallable() -> None:
    found = audited({"requires_drf": "<3", "requires_django": "<2"}, frameworks=NOTHING)
    assert found == []
    only_drf = FRAMEWORKS._replace(django=())
    found = audited({"requires_drf": "<3", "requires_django": "<2"}, frameworks=only_drf)
    assert [each.text for each in found] == ["requires djangorestframework<3: today's is 3.18.3"]


def test_only_what_is_looked_for_counts_as_unknown() -> None:
    assert audited({}, kinds={"vulnerable"}).unknown == {"vulnerabilities": 1}
    assert audited({}, kinds={"stale"}).unknown == {"last_update": 1}
    assert audited({}, kinds={"replaced"}).unknown == {}


# -- staleness -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("update", "is_stale"),
    [
        ("2024-11-25", True),
        ("2024-11-26", False),
        ("2024-11", True),  # it stands at its first day
        ("2024-12", False),
        ("2024", True),
        ("2025", False),
        (None, False),
    ],
)
def test_where_staleness_begins(update: str | None, is_stale: bool) -> None:
    found = audited({"last_update": update})
    assert [each.kind for each in found] == ["stale"] * is_stale


def test_stale_lists_the_longest_ago_first_and_counts_those_without_a_date(asked: AuthDB) -> None:
    found = stale(asked, "2y", date(2026, 1, 28))
    assert [row.name for row in found.rows] == ["drf-httpsig", "hawkrest"]
    assert (found.cutoff, found.unknown, found.packages) == (date(2024, 1, 28), 1, 5)
    after = stale(asked, "2 years", date(2026, 1, 29))
    assert [row.name for row in after.rows] == ["drf-httpsig", "hawkrest", "django-rest-knox"]


def test_the_catalog_and_a_list_of_packages_give_the_same(crowd: AuthDB) -> None:
    day = date(2021, 6, 1)
    options: Any = {"frameworks": FRAMEWORKS, "older_than": "18mo", "day": day}
    by_catalog = audit(crowd, **options)
    by_hand = audit(crowd, packages=list(crowd), **options)
    assert by_catalog == by_hand
    assert by_catalog.unknown == by_hand.unknown
    expected = {
        package.name
        for package in crowd
        if package.last_update and first_day(package.last_update) < date(2019, 12, 1)
    }
    assert {each.name for each in by_catalog} == expected
    assert 50 < len(expected) < 250


def test_only_the_named_packages_are_looked_at(asked: AuthDB) -> None:
    some = [asked["hawkrest"], asked["unheard-of"]]
    found = audit(asked, frameworks=NOTHING, day=DAY, packages=some, kinds={"stale"})
    assert [each.name for each in found] == ["hawkrest"]
    assert (found.packages, found.unknown) == (2, {"last_update": 1})


def test_a_span_that_is_none_is_told(asked: AuthDB) -> None:
    with pytest.raises(AuthDBError, match=r"older_than: .* not '2 summers'"):
        stale(asked, "2 summers")


# -- which are asked for ---------------------------------------------------------------------

SOME = [
    Concern("stale", "a", "old"),
    Concern("replaced", "a", "by b"),
    Concern("stale", "b-c", "old"),
    Concern("dead", "b-c", "a link"),
]


def chosen(**options: Any) -> tuple[list[tuple[str, str]], int]:
    found = scope(**options).of(Concerns(SOME, 2, {}))
    return [(each.name, each.kind) for each in found], found.accepted


def test_which_concerns_are_asked_for() -> None:
    stale_ones = [("a", "stale"), ("b-c", "stale")]
    assert chosen() == ([("a", "stale"), ("a", "replaced"), ("b-c", "stale")], 0)
    assert chosen(links=True)[0][-1] == ("b-c", "dead")
    assert chosen(only=["stale"]) == (stale_ones, 0)
    assert chosen(ignore=["replaced"]) == (stale_ones, 0)
    assert chosen(only=["stale", "dead"], ignore=["stale"], links=True) == ([("b-c", "dead")], 0)


def test_single_concerns_are_accepted_whatever_the_spelling_of_the_name() -> None:
    assert chosen(ignore=["B_C:stale"]) == ([("a", "stale"), ("a", "replaced")], 1)
    assert chosen(only=["replaced"], ignore=["a:stale"]) == ([("a", "replaced")], 0)
    # What a job accepts of links may stay there when it runs without them.
    assert chosen(ignore=["b-c:dead", "moved"])[1] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": ["stael"]}, "--only: .*'stael'.*'stale'.*inactive"),
        ({"ignore": ["stael"]}, "--ignore: .*'stael'.*'stale'"),
        ({"ignore": ["hawkrest:old"]}, "--ignore: .*'old'"),
        ({"ignore": ["hawkrest:"]}, "--ignore: .*''"),
        ({"only": ["dead"]}, "--links"),
    ],
)
def test_a_kind_that_there_is_not_is_told(options: Any, words: str) -> None:
    with pytest.raises(AuthDBError, match=words):
        scope(**options)


def test_a_scope_without_wishes_has_all_kinds_that_need_no_links() -> None:
    assert Scope() == scope()
    assert scope(links=True).kinds == KINDS.keys() | LINK_KINDS.keys()
