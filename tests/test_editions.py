"""Editions: members, groups and dates as they stood, and one clear line for each mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from authdb import AuthDB, editions
from authdb.exceptions import AuthDBError, LoadError
from authdb.importing import load
from authdb.loaders import Loader
from authdb.models import Package

FOURTEEN = [
    "django-rest-knox",
    "django-oauth-toolkit",
    "djangorestframework-oauth",
    "djangorestframework-simplejwt",
    "hawkrest",
    "djangorestframework-httpsignature",
    "drf-httpsig",
    "djoser",
    "django-rest-auth",
    "dj-rest-auth",
    "drf-social-oauth2",
    "drfpasswordless",
    "django-rest-authemail",
    "django-rest-durin",
]
SIX_MORE = {
    "drf-auth-kit",
    "django-pyoidc",
    "drf-oidc-auth",
    "djangorestframework-digestauth",
    "djangorestframework-api-key",
    "axioms-drf-py",
}

Record = dict[str, Any]


def read(file: Path | str) -> list[Record]:
    """The records of an edition, with values of any type for the tests to compare."""
    return editions.records(file)


@pytest.fixture(scope="module")
def then() -> dict[str, Record]:
    """The records of the edition of 26 February 2024, by name."""
    return {r["name"]: r for r in read(editions.path("2024-02-26"))}


@pytest.fixture(scope="module")
def today() -> dict[str, Record]:
    """The records of today's edition, by name."""
    return {r["name"]: r for r in read(editions.path("today"))}


# --- the shipped editions ----------------------------------------------------


def test_shipped_names_oldest_first() -> None:
    assert editions.shipped() == ("2024-02-26", "today")


def test_path_is_a_real_file() -> None:
    for name in editions.shipped():
        assert editions.path(name).is_file()


@pytest.mark.parametrize("name", ["tomorrow", "../packages", "today.toml", ""])
def test_path_of_an_unknown_edition_lists_those_there_are(name: str) -> None:
    with pytest.raises(AuthDBError, match="there are 2024-02-26, today"):
        editions.path(name)


def test_members_in_order(then: dict[str, Record], today: dict[str, Record]) -> None:
    assert list(then) == FOURTEEN
    assert set(today) == {*FOURTEEN, *SIX_MORE}
    assert len(today) == 20


def test_groups_of_2024(then: dict[str, Record]) -> None:
    def group(*categories: str) -> set[str]:
        return {name for name, r in then.items() if {*categories} & {*r["categories"]}}

    assert group("social") == {"django-rest-auth", "dj-rest-auth", "drf-social-oauth2"}
    assert group("oauth1", "oauth2") == {
        "django-oauth-toolkit",
        "djangorestframework-oauth",
        "drf-social-oauth2",
    }


def test_categories_are_the_curated_ones_unless_the_edition_says_otherwise(
    then: dict[str, Record], today: dict[str, Record]
) -> None:
    differ = {name for name in then if then[name]["categories"] != today[name]["categories"]}
    assert differ == {"djoser", "dj-rest-auth"}


@pytest.mark.parametrize("name", editions.shipped())
def test_records_make_packages(name: str) -> None:
    for record in read(editions.path(name)):
        package = Package(**record)
        assert package.last_update == max(record["last_commit"], record["last_release"])


@pytest.mark.parametrize("name", editions.shipped())
def test_nothing_is_empty_and_every_fact_has_a_source(name: str) -> None:
    always = {"last_commit", "last_release", "releases", "version", "requires_python"}
    for record in read(editions.path(name)):
        assert "last_update" not in record
        facts = {*always, *editions.OF_THE_NEWEST, *editions.OF_REPOSITORIES}
        assert facts & set(record) == set(record["sources"])
        # Of what is empty it is known that there is none.
        empty = {field for field, value in record.items() if not value}
        assert empty <= facts - always | {"requires_python"}
        for source in record["sources"].values():
            assert set(source) == {"source", "seen"}
            assert isinstance(source["seen"], date)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("djangorestframework-oauth", date(2019, 4, 12)),
        ("hawkrest", date(2018, 10, 6)),
        ("drf-httpsig", date(2018, 3, 28)),
    ],
)
def test_last_update_as_it_stood_in_2024(then: dict[str, Record], name: str, day: date) -> None:
    assert max(then[name]["last_commit"], then[name]["last_release"]) == day


def test_facts_as_they_stood_in_2024(then: dict[str, Record], today: dict[str, Record]) -> None:
    toolkit = then["django-oauth-toolkit"]
    assert toolkit["version"] == "2.3.0"
    assert toolkit["last_release"] == date(2023, 5, 31)
    assert toolkit["last_commit"] == date(2024, 2, 19)
    assert toolkit["releases"][-1] == {"version": "2.3.0", "date": date(2023, 5, 31)}
    assert today["django-oauth-toolkit"]["last_commit"] == date(2026, 8, 22)
    assert today["django-oauth-toolkit"]["last_release"] > date(2024, 2, 26)
    for record in then.values():
        assert max(release["date"] for release in record["releases"]) <= date(2024, 2, 26)
        assert "django_versions" not in record
    assert today["djoser"]["django_versions"][0] == "3.2"
    assert today["djoser"]["requires_python"] != then["djoser"]["requires_python"]


def test_successors(then: dict[str, Record]) -> None:
    assert then["django-rest-auth"]["replaced_by"] == "dj-rest-auth"
    assert then["djangorestframework-httpsignature"]["replaced_by"] == "drf-httpsig"


# --- anybody's edition -------------------------------------------------------

CURATED = """
[[packages]]
name = "alpha"
title = "Alpha"
categories = ["jwt", "token"]
replaced_by = "beta"

[[packages]]
name = "beta"
title = "Beta"
"""

EDITION = """
title = "Ours"
as_of = 2024-02-26
curated = "../lists/ours.toml"
facts = "../lists/facts.json"
members = ["beta", "alpha"]
"""


def facts_of(*releases: tuple[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"version": version, "date": day} for version, day in releases]
    index = {"source": "an index", "seen": "2024-02-26", "releases": listed, **more}
    return {"index": index}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write an edition with its list and facts, somewhere else; gives the edition's path."""

    def write(
        edition: str = EDITION,
        curated: str = CURATED,
        facts: dict[str, Any] | None = None,
    ) -> Path:
        for folder in ("lists", "editions"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "lists" / "ours.toml").write_text(curated, "utf-8")
        document = {"packages": facts or {}}
        (tmp_path / "lists" / "facts.json").write_text(json.dumps(document), "utf-8")
        file = tmp_path / "editions" / "ours.toml"
        file.write_text(edition, "utf-8")
        return file

    return write


def test_an_edition_from_elsewhere(write: Callable[..., Path]) -> None:
    file = write(facts={"alpha": facts_of(("1.0", "2023-01-01"), ("1.1", "2024-03-01"))})
    origin = {"source": "an index", "seen": date(2024, 2, 26)}
    assert read(str(file)) == [
        {"name": "beta", "title": "Beta"},
        {
            "name": "alpha",
            "title": "Alpha",
            "categories": ["jwt", "token"],
            "replaced_by": "beta",
            "version": "1.0",
            "last_release": date(2023, 1, 1),
            "requires_python": None,
            "releases": [{"version": "1.0", "date": date(2023, 1, 1)}],
            "sources": dict.fromkeys(
                ("version", "last_release", "releases", "requires_python"), origin
            ),
        },
    ]


def test_own_categories_and_a_successor_who_is_no_member(write: Callable[..., Path]) -> None:
    text = EDITION.replace('"beta", ', "") + '[categories]\nalpha = ["oidc"]\n'
    (alpha,) = read(write(text))
    assert alpha == {"name": "alpha", "title": "Alpha", "categories": ["oidc"]}


def test_a_byte_order_mark_does_no_harm(write: Callable[..., Path]) -> None:
    assert len(read(write("\ufeff" + EDITION))) == 2


@pytest.mark.parametrize(
    ("releases", "version", "day"),
    [
        # A later release of an older line is the last release, but not the version.
        ([("2.0", "2023-01-01"), ("1.9.1", "2023-06-01")], "2.0", date(2023, 6, 1)),
        # 10 comes after 9, whatever the text says.
        ([("9.0", "2022-01-01"), ("10.0", "2023-01-01")], "10.0", date(2023, 1, 1)),
        # A pre-release counts only where there is nothing else.
        ([("1.0", "2023-01-01"), ("2.0rc1", "2023-06-01")], "1.0", date(2023, 1, 1)),
        ([("1.0", "2023-01-01"), ("1.1.dev1", "2023-06-01")], "1.0", date(2023, 1, 1)),
        ([("1.0a1", "2023-01-01"), ("1.0b1", "2023-06-01")], "1.0b1", date(2023, 6, 1)),
        # A post-release is final.
        ([("1.0", "2023-01-01"), ("1.0.post1", "2023-06-01")], "1.0.post1", date(2023, 6, 1)),
        # What PEP 440 cannot read is lower than all it can, and sorts by date among its like.
        ([("0.1", "2022-01-01"), ("final-2", "2023-01-01")], "0.1", date(2023, 1, 1)),
        ([("zulu", "2022-01-01"), ("able", "2023-01-01")], "able", date(2023, 1, 1)),
    ],
)
def test_version_and_last_release(
    write: Callable[..., Path], releases: list[tuple[str, str]], version: str, day: date
) -> None:
    record = read(write(facts={"beta": facts_of(*releases)}))[0]
    assert (record["version"], record["last_release"]) == (version, day)


def test_releases_come_oldest_first_whatever_the_file_does(write: Callable[..., Path]) -> None:
    facts = facts_of(("2.0", "2023-01-01"), ("1.0", "2022-01-01"))
    record = read(write(facts={"beta": facts}))[0]
    assert [release["version"] for release in record["releases"]] == ["1.0", "2.0"]


def test_requires_python_is_that_of_the_version(write: Callable[..., Path]) -> None:
    facts = facts_of(("2.0", "2023-01-01"), ("1.9", "2023-06-01"), requires_python=">=3.99")
    releases = facts["index"]["releases"]
    releases[1]["requires_python"] = ">=2.7"
    assert read(write(facts={"beta": facts}))[0]["requires_python"] is None
    releases[0]["requires_python"] = ">=3.8"
    record = read(write(facts={"beta": facts}))[0]
    assert record["requires_python"] == ">=3.8"


@pytest.mark.parametrize(("seen", "known"), [("2024-02-26", True), ("2024-02-27", False)])
def test_django_versions_only_from_the_day_they_were_seen(
    write: Callable[..., Path], seen: str, known: bool
) -> None:
    facts = facts_of(("1.0", "2023-01-01"), seen=seen, django_versions=["4.2", "5.0"])
    record = read(write(facts={"beta": facts}))[0]
    assert record.get("django_versions") == (["4.2", "5.0"] if known else None)


def test_that_there_is_none_is_known_where_it_was_seen(write: Callable[..., Path]) -> None:
    more = {"vulnerabilities": [], "requires_drf": None, "requires_django": "<=1.7"}
    facts = facts_of(("1.0", "2023-01-01"), **more)
    host = {"source": "a host", "seen": "2024-02-27"}
    facts["repository"] = {**host, "repository_status": "archived", "moved_to": None}
    record = read(write(facts={"beta": facts}))[0]
    assert record["requires_django"] == "<=1.7"
    assert (record["vulnerabilities"], record["requires_drf"]) == ([], None)
    assert "repository_status" not in record
    assert {"vulnerabilities", "requires_drf", "requires_django"} <= set(record["sources"])
    assert "repository_status" not in record["sources"]
    later = read(write(EDITION.replace("2024-02-26", "2024-02-27"), facts={"beta": facts}))[0]
    assert later["repository_status"] == "archived"
    assert later["sources"]["moved_to"] == {"source": "a host", "seen": date(2024, 2, 27)}


@pytest.mark.parametrize(
    ("day", "commit"),
    [
        ("2022-12-31", None),
        ("2023-01-01", date(2022, 5, 5)),
        ("2023-12-31", date(2022, 5, 5)),
        ("2024-01-01", date(2023, 5, 5)),
        ("2030-01-01", date(2023, 5, 5)),
    ],
)
def test_last_commit_is_that_of_the_latest_record_until_the_day(
    write: Callable[..., Path], day: str, commit: date | None
) -> None:
    last = [
        {"by": "2024-01-01", "date": "2023-05-05"},
        {"by": "2023-01-01", "date": "2022-05-05"},
    ]
    facts = {"commits": {"source": "git history", "seen": "2024-01-01", "last": last}}
    file = write(EDITION.replace("2024-02-26", day), facts={"beta": facts})
    record = read(file)[0]
    assert record.get("last_commit") == commit
    assert ("sources" in record) == (commit is not None)


def test_before_the_first_release_there_is_none(write: Callable[..., Path]) -> None:
    record = read(write(facts={"beta": facts_of(("1.0", "2024-03-01"))}))[0]
    assert record == {"name": "beta", "title": "Beta"}


def test_is_edition() -> None:
    assert editions.is_edition({"members": []})
    assert not editions.is_edition({"packages": []})
    assert not editions.is_edition(["members"])
    assert not editions.is_edition("members")


# --- mistakes ----------------------------------------------------------------


def mistake(file: Path | str) -> str:
    """The message about ``file``, which has to be one line."""
    with pytest.raises(AuthDBError) as caught:
        read(file)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    assert mistake(file).startswith(f"{file}: cannot be read (")


def test_a_folder_and_an_impossible_path(tmp_path: Path) -> None:
    assert ": cannot be read (" in mistake(tmp_path)
    assert ": cannot be read (" in mistake("a\0b.toml")


@pytest.mark.parametrize("text", ["members = [", "as_of = 2024-02-30", "a" + "[" * 5000])
def test_wrong_toml(write: Callable[..., Path], text: str) -> None:
    file = write(text)
    assert mistake(file).startswith(f"{file}: not TOML: ")


def test_deep_toml(write: Callable[..., Path]) -> None:
    file = write("members = " + "[" * 100_000)
    assert mistake(file).startswith(f"{file}: not TOML: ")


def test_not_utf_8(write: Callable[..., Path]) -> None:
    file = write()
    file.write_bytes(b'title = "caf\xe9"')
    assert mistake(file) == f"{file}: not UTF-8 at byte 12: save it as UTF-8 text"


def test_not_an_edition(write: Callable[..., Path]) -> None:
    file = write(CURATED)
    assert mistake(file) == f"{file}: not an edition: it has to name its members, as a list"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"beta", ',
            '"betta", "gamma", ',
            (
                r"members: not in ../lists/ours.toml: 'betta' "
                r"(did you mean 'beta'?), 'gamma': add them there, or take them out here"
            ),
        ),
        ('"beta", ', '"beta", "beta", ', "members: 'beta' is there more than once: keep one"),
        ('["beta", "alpha"]', '"beta"', "members: write a list of package names, got 'beta'"),
        ('["beta", "alpha"]', "[1]", "members: write a list of package names, got [1]"),
        ('["beta", "alpha"]', "[]", "members: write a list of package names, got []"),
        (
            "2024-02-26",
            '"2024-02-26"',
            "as_of: write a day without quotes, as 2024-02-26, got '2024-02-26'",
        ),
        ("2024-02-26", "2024-02-26T12:00:00Z", "as_of: write a day without quotes, "),
        ("2024-02-26", "2024", "as_of: write a day without quotes, as 2024-02-26, got 2024"),
        ('title = "Ours"', "", "title: write one line of text, got None"),
        ('"Ours"', r'"a\nb"', "title: write one line of text, got 'a\\nb'"),
        ("title", "titel", "keys: an edition has no 'titel' (did you mean 'title'?): take it out"),
        (
            'curated = "../lists/ours.toml"',
            "",
            "curated: name the file, by its path from this one, got None",
        ),
        (
            "../lists/facts.json",
            "https://example.org/facts.json",
            (
                "facts: write a path relative "
                "to this file, no address and no root, got 'https://example.org/facts.json'"
            ),
        ),
        ("../lists/facts.json", "/lists/facts.json", "facts: write a path relative"),
        ("../lists/ours.toml", r"C:\\lists\\ours.toml", "curated: write a path relative"),
        ("../lists/ours.toml", r"\\\\host\\lists\\ours.toml", "curated: write a path relative"),
    ],
)
def test_each_mistake_of_an_edition(
    write: Callable[..., Path], old: str, new: str, said: str
) -> None:
    assert old in EDITION
    file = write(EDITION.replace(old, new))
    with pytest.raises(LoadError) as caught:
        read(file)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert any(line.startswith(f"{file}: {said}") for line in lines)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            '[categories]\ngamma = ["jwt"]',
            "'gamma' is not a member: take the line out, or name it there",
        ),
        ('[categories]\nbeta = "jwt"', "'beta' needs a list of category names, got 'jwt'"),
        ('categories = ["jwt"]', "write a table, one line a member, got ['jwt']"),
    ],
)
def test_categories_that_make_no_sense(write: Callable[..., Path], table: str, said: str) -> None:
    file = write(f"{EDITION}\n{table}\n")
    assert mistake(file) == f"{file}: categories: {said}"


def test_all_mistakes_at_once(write: Callable[..., Path]) -> None:
    text = EDITION.replace('"beta"', '"alpha", "gamma"').replace("2024-02-26", "true")
    with pytest.raises(LoadError) as caught:
        read(write(text + '[categories]\ndelta = ["jwt"]\n'))
    assert [problem.where for problem in caught.value.problems] == [
        "as_of",
        "members",
        "categories",
        "members",
    ]


def test_a_missing_list(write: Callable[..., Path], tmp_path: Path) -> None:
    file = write(EDITION.replace("ours.toml", "none.toml"))
    assert re.match(rf"{re.escape(str(tmp_path))}.+none\.toml: cannot be read \(", mistake(file))


@pytest.mark.parametrize(
    ("curated", "said"),
    [
        ("packages = 1", "not a curated list: write a [[packages]] table per package"),
        ("packages = [1]", "not a curated list: write a [[packages]] table per package"),
        ("title = 'x'", "not a curated list: write a [[packages]] table per package"),
        ("[[packages]]", "package 1: name: write the package's name, got None"),
        (
            CURATED + CURATED[: CURATED.index("title")],
            "package 3: name: 'alpha' is there already: keep one",
        ),
        (
            CURATED + 'licence = "MIT"\n',
            (
                "package 2: beta: a package has no 'licence' here "
                "(did you mean 'license'?): take it out"
            ),
        ),
    ],
)
def test_mistakes_of_a_list(write: Callable[..., Path], curated: str, said: str) -> None:
    assert mistake(write(curated=curated)).endswith(f"ours.toml: {said}")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", '{"packages": []}'])
def test_facts_that_are_none(write: Callable[..., Path], tmp_path: Path, text: str) -> None:
    file = write()
    (tmp_path / "lists" / "facts.json").write_text(text, "utf-8")
    assert mistake(file).endswith("the file that came with the list")


@pytest.mark.parametrize(
    "facts",
    [
        [],
        {"index": ["1.0"]},
        {"index": {"source": "an index", "seen": "2024-02-26"}},
        {"index": {"source": "an index", "seen": "yesterday", "releases": []}},
        facts_of(("1.0", "2023-02-30")),
        {"commits": {"source": "git history", "seen": "2024-01-01", "last": [1]}},
    ],
)
def test_facts_of_another_shape(write: Callable[..., Path], facts: Any) -> None:
    said = mistake(write(facts={"beta": facts}))
    assert "facts.json: the facts of 'beta' do not have the shape that data/README.md gives" in said


def test_what_is_known_not_to_be_takes_the_place_of_what_was_known(
    write: Callable[..., Path],
) -> None:
    told = {"vulnerabilities": [{"id": "CVE-2024-1"}], "requires_drf": "<3"}
    with AuthDB.in_memory() as db:
        load(db, Loader(write(facts={"beta": facts_of(("1.0", "2023-01-01"), **told)})))
        assert db["beta"].vulnerabilities and db["beta"].requires_drf == "<3"
        none = {"vulnerabilities": [], "requires_drf": None}
        newer = write(facts={"beta": facts_of(("1.0", "2023-01-01"), **none)})
        assert load(db, Loader(newer)).changed == 1
        assert (db["beta"].vulnerabilities, db["beta"].requires_drf) == ((), None)
        assert db["beta"].is_known("vulnerabilities")
        assert load(db, Loader(newer)).changed == 0
