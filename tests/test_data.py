"""The data that ships: well-formed, complete, and true where a date is known from elsewhere."""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from authdb.editions import OF_REPOSITORIES, OF_THE_NEWEST, shipped_frameworks
from authdb.fields import plain
from authdb.models import CATEGORIES, FIELDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(str(resources.files("authdb.data")))
CURATED: list[dict[str, Any]] = tomllib.loads((DATA / "packages.toml").read_text("utf-8"))[
    "packages"
]
RECORDED: dict[str, Any] = json.loads((DATA / "facts.json").read_text("utf-8"))
FACTS: dict[str, Any] = RECORDED["packages"]
FRAMEWORKS: dict[str, Any] = RECORDED["frameworks"]
NAMES = [package["name"] for package in CURATED]

each_package = pytest.mark.parametrize("package", CURATED, ids=NAMES)
each_name = pytest.mark.parametrize("name", NAMES)


def test_every_file_is_known() -> None:
    files = {
        file.relative_to(DATA).as_posix()
        for file in DATA.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    editions = {name for name in files if re.fullmatch(r"editions/[\w-]+\.toml", name)}
    assert files - editions == {"__init__.py", "README.md", "packages.toml", "facts.json"}
    assert {"editions/2024-02-26.toml", "editions/today.toml"} <= editions
    for name in editions:
        tomllib.loads((DATA / name).read_text("utf-8"))


def test_there_are_twenty_packages_each_once() -> None:
    assert len(NAMES) == 20
    assert len(set(NAMES)) == 20


@each_package
def test_what_people_write_is_complete_and_valid(package: dict[str, Any]) -> None:
    keys = {"name", "title", "description", "categories", "repository"}
    more = {"homepage", "documentation", "license", "replaced_by"}
    assert keys <= set(package) <= keys | more
    assert package["name"] == canonicalize_name(package["name"])
    for key, value in package.items():
        FIELDS[key].check(value)  # raises InvalidValue
        assert value == ([text.strip() for text in value] if key == "categories" else value.strip())
    assert package["description"].endswith(".")
    assert len(package["description"]) <= 200
    assert package["categories"]
    assert set(package["categories"]) <= set(CATEGORIES)
    assert len(set(package["categories"])) == len(package["categories"])


@each_package
def test_links_are_addresses_of_their_own(package: dict[str, Any]) -> None:
    links = [package.get(key) for key in ("repository", "homepage", "documentation")]
    assert all(re.fullmatch(r"https?://[^/\s]+\S*", link) for link in links if link)
    assert links[0] not in links[1:]


def test_who_is_replaced_is_replaced_by_another_one_here() -> None:
    replaced = {p["name"]: p["replaced_by"] for p in CURATED if "replaced_by" in p}
    assert replaced == {
        "django-rest-auth": "dj-rest-auth",
        "djangorestframework-httpsignature": "drf-httpsig",
    }
    assert set(replaced.values()) <= set(NAMES)


def test_facts_are_of_these_packages_and_no_others() -> None:
    assert sorted(FACTS) == sorted(NAMES)


@each_name
def test_facts_have_their_shape(name: str) -> None:
    facts = FACTS[name]
    assert {"commits", "index"} <= set(facts) <= {"commits", "index", "repository"}
    for part in facts.values():
        assert part["source"]
        date.fromisoformat(part["seen"])
    assert set(facts["commits"]) == {"last", "seen", "source"}
    assert facts["commits"]["last"]
    days = [entry["by"] for entry in facts["commits"]["last"]]
    assert days == sorted(set(days))
    for entry in facts["commits"]["last"]:
        assert {"by", "date"} <= set(entry) <= {"by", "date", "seen", "source"}
        assert date.fromisoformat(entry["date"]) <= date.fromisoformat(entry["by"])
    dates = [entry["date"] for entry in facts["commits"]["last"]]
    assert dates == sorted(dates)


@each_package
def test_commits_were_read_where_the_list_links_to(package: dict[str, Any]) -> None:
    assert FACTS[package["name"]]["commits"]["source"].endswith(package["repository"])


@each_name
def test_releases_are_sound(name: str) -> None:
    index = FACTS[name]["index"]
    assert set(index) <= {"releases", "requires_python", "seen", "source", *OF_THE_NEWEST}
    releases = index["releases"]
    versions = [release["version"] for release in releases]
    assert versions
    assert len(set(versions)) == len(versions)
    order = [(date.fromisoformat(one["date"]), Version(one["version"])) for one in releases]
    assert order == sorted(order)
    assert order[-1][0] <= date.fromisoformat(index["seen"])
    for release in releases:
        assert set(release) <= {"version", "date", "requires_python"}
        SpecifierSet(release.get("requires_python", ""))
    SpecifierSet(index.get("requires_python", ""))


@each_name
def test_what_is_said_of_the_newest_version_is_valid(name: str) -> None:
    index, repository = FACTS[name]["index"], FACTS[name].get("repository", {})
    for facts, fields in ((index, OF_THE_NEWEST), (repository, OF_REPOSITORIES)):
        for field in set(fields) & set(facts):
            value = facts[field]
            assert plain(FIELDS[field].check(value)) == value, field


def test_releases_of_the_frameworks_are_sound() -> None:
    assert set(FRAMEWORKS) == {"django", "djangorestframework"}
    for framework in FRAMEWORKS.values():
        assert {"releases", "seen", "source"} <= set(framework)
        releases = [(date.fromisoformat(r["date"]), r["version"]) for r in framework["releases"]]
        assert [day for day, _ in releases] == sorted(day for day, _ in releases)
        assert not any(Version(version).is_prerelease for _, version in releases)
    known = shipped_frameworks()
    assert known.drf_requires == ">=5.2"
    assert [target and target.text for target in known.current(date(2024, 2, 26))] == [
        "5.0.2",
        "3.14.0",
    ]


def test_facts_are_written_so_that_a_change_reads_well() -> None:
    text = (DATA / "facts.json").read_text("utf-8")
    tidy = json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert text == tidy


@pytest.mark.parametrize(
    ("name", "version", "day"),
    [
        ("django-oauth-toolkit", "2.3.0", "2023-05-31"),
        ("drf-httpsig", "1.2.0", "2018-03-28"),
    ],
)
def test_last_release_by_26_february_2024(name: str, version: str, day: str) -> None:
    by_then = [r for r in FACTS[name]["index"]["releases"] if r["date"] <= "2024-02-26"]
    assert (by_then[-1]["version"], by_then[-1]["date"]) == (version, day)


def test_the_host_of_the_index_is_named_nowhere() -> None:
    host = re.compile(r"pypi\.(?:python\.)?[o]rg|[p]ythonhosted", re.IGNORECASE)
    for file in DATA.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert not host.search(file.read_text("utf-8")), file.name
