"""What a package index says of a project: real answers, odd ones, and ones that are wrong."""

from __future__ import annotations

import copy
import json
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexserver import (
    Answer,
    Behaviour,
    Request,
    content,
    generated,
    html,
    nan,
    nested,
    recorded,
    truncated,
    wrong_charset,
    wrong_shape,
    wrong_types,
)

from authdb.editions import read
from authdb.exceptions import AuthDBError
from authdb.fields import Vulnerability, plain
from authdb.models import FIELDS
from authdb.pypi import Dated, Project, project
from authdb.releases import last_by

DATA = Path(str(resources.files("authdb.data")))
FACTS: dict[str, Any] = json.loads((DATA / "facts.json").read_text("utf-8"))
ANSWERS = recorded()
FRAMEWORKS = ("django", "djangorestframework")


def released(day: str = "2024-02-26", **more: Any) -> list[dict[str, Any]]:
    """The files of a release: one that came that day."""
    return [{"upload_time_iso_8601": f"{day}T12:00:00.000000Z", **more}]


def answer(info: dict[str, Any] | None = None, **more: Any) -> Project:
    """What is read of an answer about the project "a", of which there is 1.0."""
    document = {
        "info": {"name": "a", "version": "1.0", **(info or {})},
        "releases": {"1.0": released()},
        **more,
    }
    return checked(project(json.dumps(document).encode(), "a"))


def of(releases: dict[str, Any], version: str = "1.0") -> Project:
    return answer({"version": version}, releases=releases)


def checked(found: Project) -> Project:
    """It, once each field has taken its facts as they are."""
    for field, value in [*found.facts(), *found.suggestions()]:
        assert FIELDS[field].check(value) == value, field
    return found


def failure(body: bytes, name: str = "a") -> str:
    """Why an answer is refused; that is always one line that can be shown."""
    with pytest.raises(AuthDBError) as raised:
        project(body, name)
    text = str(raised.value)
    assert type(raised.value) is AuthDBError
    assert text.isprintable()
    assert 0 < len(text) < 300
    return text


# -- what was recorded ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(ANSWERS) - set(FRAMEWORKS)))
def test_recorded_answers_give_the_recorded_facts(name: str) -> None:
    found = checked(project(json.dumps(ANSWERS[name]).encode(), name))
    facts = FACTS["packages"][name]["index"]
    for one, release in zip(found.releases, facts["releases"], strict=True):
        assert one.version == release["version"]
        assert one.date.isoformat() == release["date"]
        assert one.requires_python == release.get("requires_python")
    told = {field: plain(value) for field, value in found.facts()}
    for field in set(facts) - {"releases", "seen", "source"}:
        assert told[field] == facts[field], field
    assert told["requires_python"] == facts.get("requires_python")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_recorded_answers_give_the_releases_of_the_frameworks(name: str) -> None:
    found = checked(project(json.dumps(ANSWERS[name]).encode(), name))
    told = {one.version: one.date.isoformat() for one in found.releases}
    for release in FACTS["frameworks"][name]["releases"]:
        if release["date"] >= "2018-01-01":  # the answers begin there
            assert told[release["version"]] == release["date"]


@pytest.mark.parametrize("name", read(DATA / "editions" / "2024-02-26.toml").members)
def test_the_last_release_by_the_day_of_the_list(name: str) -> None:
    """The bar: of every package of the list that this project began with."""
    known = {
        "django-rest-knox": ("4.2.0", "2022-01-31"),
        "django-oauth-toolkit": ("2.3.0", "2023-05-31"),
        "djangorestframework-oauth": ("1.1.0", "2016-02-19"),
        "djangorestframework-simplejwt": ("5.3.1", "2023-12-04"),
        "hawkrest": ("1.0.1", "2018-10-06"),
        "djangorestframework-httpsignature": ("1.0.0", "2015-05-02"),
        "drf-httpsig": ("1.2.0", "2018-03-28"),
        "djoser": ("2.2.2", "2023-11-09"),
        "django-rest-auth": ("0.9.5", "2019-04-01"),
        "dj-rest-auth": ("5.0.2", "2023-11-15"),
        "drf-social-oauth2": ("2.1.3", "2023-06-06"),
        "drfpasswordless": ("1.5.9", "2023-10-11"),
        "django-rest-authemail": ("2.1.7", "2023-03-29"),
        "django-rest-durin": ("1.1.0", "2022-10-31"),
    }
    edition = read(DATA / "editions" / "2024-02-26.toml")
    found = project(json.dumps(ANSWERS[name]).encode(), name)
    last = last_by(found.releases, edition.as_of)
    assert last is not None
    assert (last.version, last.date.isoformat()) == known[name]


@pytest.mark.parametrize(
    ("name", "licence", "links"),
    [
        ("djoser", "MIT", {"repository", "documentation"}),
        ("hawkrest", "MPL-2.0", {"repository"}),
        ("django-oauth-toolkit", "BSD-2-Clause-Views", {"repository", "homepage"}),
        ("djangorestframework-httpsignature", "MIT", {"repository"}),  # "LICENSE.txt", it says
        ("djangorestframework-oauth", None, {"repository"}),  # "BSD"
        ("drf-auth-kit", None, {"repository", "documentation"}),  # it contradicts itself
        ("django-pyoidc", "GPL-3.0-only", {"repository"}),
    ],
)
def test_what_people_may_know_better(name: str, licence: str | None, links: set[str]) -> None:
    found = dict(project(json.dumps(ANSWERS[name]).encode(), name).suggestions())
    assert found.pop("license", None) == licence
    assert set(found) == links


@pytest.mark.parametrize("name", ANSWERS)
def test_what_was_read_can_be_kept(name: str) -> None:
    found = project(json.dumps(ANSWERS[name]).encode(), name)
    kept = msgspec.json.encode(found)
    assert msgspec.json.decode(kept, type=Project) == found
    assert len(kept) < len(json.dumps(ANSWERS[name]))


def test_made_up_answers_are_read() -> None:
    for name, document in generated(50).items():
        found = checked(project(json.dumps(document).encode(), name))
        assert found.described
        assert found.requires["requires_django"] is not None
        assert found.license in ("MIT", "BSD-3-Clause")
        assert len(found.releases) == len(document["releases"]) - (
            "true" in json.dumps(document["releases"])
        )


# -- releases ------------------------------------------------------------------------------------


def test_the_day_of_a_release_is_that_of_its_first_file() -> None:
    files = [*released("2024-02-26", requires_python=">=3.9"), *released("2024-01-01")]
    assert of({"1.0": files}).releases == (Dated("1.0", date(2024, 1, 1), None),)


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2024-02-26T23:59:59.999999Z", date(2024, 2, 26)),
        ("2024-02-26T23:59:59Z", date(2024, 2, 26)),
        ("2024-02-26T23:30:00-02:00", date(2024, 2, 27)),
        ("2024-02-26T01:00:00+02:00", date(2024, 2, 25)),
        ("2024-02-26T01:00:00", date(2024, 2, 26)),
        ("2024-02-26", date(2024, 2, 26)),
    ],
)
def test_days_are_days_in_utc(time: str, day: date) -> None:
    assert of({"1.0": [{"upload_time_iso_8601": time}]}).last_release == day


@pytest.mark.parametrize(
    "time",
    ["", "soon", "2024-02-30T00:00:00Z", "2024", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:00:00-14:00", "2024-02-26T25:00:00Z", "\u0662024-02-26", None],
)  # fmt: skip
def test_a_file_without_a_day_does_not_count(time: str | None) -> None:
    undated = {"upload_time_iso_8601": time}
    assert of({"1.0": [undated, *released("2024-01-01")], "2.0": [undated]}).releases == (
        Dated("1.0", date(2024, 1, 1)),
    )


def test_what_was_yanked_is_left_out() -> None:
    files = [*released("2024-01-01", yanked=True), *released("2024-02-01", yanked=False)]
    found = of({"1.0": files, "2.0": released(yanked=True)})
    assert found.releases == (Dated("1.0", date(2024, 2, 1)),)
    assert (found.version, found.described) == ("1.0", True)


@pytest.mark.parametrize(
    ("releases", "version", "last"),
    [
        ({"1.0": "2024-01-01", "2.0rc1": "2024-02-01"}, "1.0", "2024-01-01"),
        ({"1.0.dev1": "2024-01-01", "1.0a1": "2023-02-01"}, "1.0a1", "2024-01-01"),
        ({"2.0": "2024-01-01", "1.9.1": "2024-02-01"}, "2.0", "2024-02-01"),
        ({"1.10": "2024-01-01", "1.9": "2024-01-01"}, "1.10", "2024-01-01"),
        ({"1.0": "2024-01-01", "2004d": "2024-02-01"}, "1.0", "2024-02-01"),
        ({"2004d": "2024-02-01"}, "2004d", "2024-02-01"),
    ],
)
def test_versions(releases: dict[str, str], version: str, last: str) -> None:
    found = of({one: released(day) for one, day in releases.items()})
    assert (found.version, found.last_release.isoformat()) == (version, last)


def test_releases_are_in_order() -> None:
    days = {"1.10": "2024-01-02", "1.9": "2024-01-02", "odd": "2024-01-02", "2.0": "2024-01-01"}
    found = of({version: released(day) for version, day in days.items()})
    assert [one.version for one in found.releases] == ["2.0", "odd", "1.9", "1.10"]


@pytest.mark.parametrize("version", ["1 2", "1,2", "1;2", "", "1\x00", "1" * 101, "1\u202e2"])
def test_versions_that_can_be_no_versions_are_left_out(version: str) -> None:
    assert [one.version for one in of({"1.0": released(), version: released()}).releases] == ["1.0"]


def test_a_version_that_is_there_twice_is_one() -> None:
    found = of({" 1.0": released("2024-01-01"), "1.0": released("2024-02-01")})
    assert [one.version for one in found.releases] == ["1.0"]


@pytest.mark.parametrize(
    "releases",
    [
        {},
        {"1.0": []},
        {"1.0": None},
    ],
    ids=range(3),
)
def test_a_project_without_a_release(releases: dict[str, Any]) -> None:
    document = {"info": {"name": "a", "version": "1.0"}, "releases": releases}
    text = failure(json.dumps(document).encode())
    assert text == "the index has no release of it"


@pytest.mark.parametrize(
    "releases",
    [{"1.0": released(yanked=True)}, {"1 0": released()}, {"1.0": [{}]}],
    ids=range(3),
)
def test_where_all_releases_are_withdrawn_that_is_a_fact(releases: dict[str, Any]) -> None:
    found = of(releases, "1.0")
    assert dict(found.facts()) == {
        "version": None,
        "last_release": None,
        "releases": (),
        "requires_python": None,
        "project_status": "withdrawn",
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [(">=3.9", ">=3.9"), ("(>=3.6.*)", ">=3.6"), ("all of them", None), ("", None), (None, None)],
)
def test_the_python_of_each_release(asked: str | None, found: str | None) -> None:
    told = of({"1.0": released(requires_python=asked)})
    assert told.releases[0].requires_python == told.requires_python == found


def test_the_python_asked_for_is_that_of_the_newest() -> None:
    days = {"2.0": ("2024-01-01", ">=3.9"), "1.9.1": ("2024-02-01", ">=2.7")}
    told = of({v: released(day, requires_python=asked) for v, (day, asked) in days.items()}, "2.0")
    assert told.requires_python == ">=3.9"


# -- the metadata of the newest ------------------------------------------------------------------


def test_metadata_of_another_version_is_not_that_of_the_newest() -> None:
    """It may be that of a pre-release, or of one that was withdrawn."""
    info = {"classifiers": ["Framework :: Django :: 5.2"], "license": "MIT", "version": "2.0rc1"}
    info["requires_dist"] = ["django>=5"]
    found = answer(info, releases={"1.0": released(), "2.0rc1": released()}, vulnerabilities=[])
    assert (found.version, found.described) == ("1.0", False)
    fields = {field for field, _ in [*found.facts(), *found.suggestions()]}
    assert fields == {"version", "last_release", "releases", "requires_python"}
    assert found.django_versions == ()


def test_what_is_known_not_to_be_is_told() -> None:
    facts = dict(answer({"requires_dist": [], "classifiers": []}, vulnerabilities=[]).facts())
    assert {field: facts[field] for field in list(facts)[3:]} == {
        "requires_python": None,
        "python_versions": (),
        "django_versions": (),
        "development_status": None,
        "requires_django": None,
        "requires_drf": None,
        "vulnerabilities": (),
    }


def test_what_is_not_known_is_not_told() -> None:
    """Old releases have no requirements in their metadata; some indexes no vulnerabilities."""
    for told in answer(), answer({"requires_dist": None}, vulnerabilities=None):
        fields = {field for field, _ in told.facts()}
        assert not fields & {"requires_django", "requires_drf", "vulnerabilities"}
        assert "project_status" not in fields


def test_requirements_are_those_with_the_newest_python_that_is_declared() -> None:
    requires = ["django<2; python_version < '3'", "django>=4; python_version >= '3.6'"]
    old = ["Programming Language :: Python :: 2.6", "Programming Language :: Python :: 2.7"]
    assert answer({"requires_dist": requires}).requires["requires_django"] == ">=4"
    assert (
        answer({"requires_dist": requires, "classifiers": old}).requires["requires_django"] == "<2"
    )
    both = [*old, "Programming Language :: Python :: 3.10", "Programming Language :: Python :: 3"]
    assert (
        answer({"requires_dist": requires, "classifiers": both}).requires["requires_django"]
        == ">=4"
    )


def test_metadata_is_read() -> None:
    info = {
        "name": "A",
        "classifiers": [
            "Development Status :: 4 - Beta",
            "Framework :: Django :: 5.2",
            "Programming Language :: Python :: 3.13",
            "License :: OSI Approved :: MIT License",
        ],
        "requires_dist": ["Django>=4.2", "djangorestframework (>=3.14)", "pytest; extra == 'test'"],
        "home_page": "https://github.com/a/a",
        "project_urls": {"Docs": "https://a.example/docs", "Funding": "https://a.example/money"},
        "summary": "A",
    }
    found = answer(info)
    assert (found.django_versions, found.python_versions) == (("5.2",), ("3.13",))
    assert found.requires == {"requires_django": ">=4.2", "requires_drf": ">=3.14"}
    assert (found.development_status, found.license) == ("4 - Beta", "MIT")
    assert found.links == {
        "repository": "https://github.com/a/a",
        "documentation": "https://a.example/docs",
    }


# -- status --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["active", "archived", "quarantined", "deprecated"])
def test_a_status_by_the_index(status: str) -> None:
    found = answer(**{"project-status": {"status": status}})
    assert found.project_status == status
    assert dict(found.facts())["project_status"] == status


@pytest.mark.parametrize(
    ("marked", "summary", "status"),
    [
        (None, "Deprecated: use b", "deprecated"),
        (None, "[DEPRECATED] use b", "deprecated"),
        (None, "**deprecated**", "deprecated"),
        (None, "(Deprecated) A", "deprecated"),
        (None, "A, deprecated", None),  # who knows what is
        (None, "Undeprecated", None),
        (None, "", None),
        (None, None, None),
        ({"status": "active"}, "Deprecated: use b", "deprecated"),
        ({"status": "archived"}, "Deprecated: use b", "archived"),
        ({"status": "unheard of"}, "A", None),
        ({"status": None}, "A", None),
        ({"status": "archived", "reason": "It is done."}, "A", "archived"),
        ({}, "A", None),
    ],
)
def test_a_status_by_the_authors(marked: Any, summary: str | None, status: str | None) -> None:
    assert answer({"summary": summary}, **{"project-status": marked}).project_status == status


# -- vulnerabilities -----------------------------------------------------------------------------


def vulnerabilities(*entries: dict[str, Any]) -> tuple[Vulnerability, ...]:
    found = answer(vulnerabilities=list(entries)).vulnerabilities
    assert found is not None
    return found


def test_a_vulnerability_is_called_as_most_people_do() -> None:
    entry = {"id": "PYSEC-1", "aliases": ["GHSA-1", "CVE-2024-2", "CVE-2024-1"], "summary": "Bad"}
    assert vulnerabilities(entry) == (Vulnerability("CVE-2024-1", "Bad"),)
    assert vulnerabilities({"id": "GHSA-1", "aliases": []}) == (Vulnerability("GHSA-1"),)
    assert vulnerabilities({"id": "GHSA-1", "aliases": None}) == (Vulnerability("GHSA-1"),)


def test_one_that_is_listed_twice_is_one() -> None:
    first = {"id": "PYSEC-1", "aliases": ["CVE-2024-1"], "fixed_in": ["1.1"]}
    again = {"id": "GHSA-1", "aliases": ["CVE-2024-1"]}
    other = {"id": "GHSA-2"}
    assert vulnerabilities(first, again, other) == (
        Vulnerability("CVE-2024-1", None, ("1.1",)),
        Vulnerability("GHSA-2"),
    )


def test_one_that_was_withdrawn_is_none() -> None:
    gone = {"id": "X-1", "aliases": ["CVE-2024-1"], "withdrawn": "2024-01-01T00:00:00Z"}
    assert vulnerabilities(gone) == ()
    again = {"id": "X-2", "aliases": ["CVE-2024-1"], "withdrawn": None}
    assert vulnerabilities(gone, again) == (Vulnerability("CVE-2024-1"),)


def test_what_it_is_about_is_one_line() -> None:
    details = "## Impact\n\nA \x1b[31mred\u202e one. " + "long " * 1000
    [found] = vulnerabilities({"id": "X-1", "summary": " ", "details": details})
    assert found.summary is not None
    assert found.summary.startswith("Impact A [31mred one. long long")
    assert found.summary.endswith("...")
    assert len(found.summary) <= 200
    assert vulnerabilities({"id": "X-1", "summary": "a", "details": "b"})[0].summary == "a"


def test_versions_in_which_it_is_mended() -> None:
    entry = {"id": "X-1", "fixed_in": ["1.1", "2.0 or so", "", "1.2rc1"]}
    assert vulnerabilities(entry)[0].fixed_in == ("1.1", "1.2rc1")


@pytest.mark.parametrize("name", ["", " ", "\n", "\x00"])
def test_one_without_a_name_is_left_out(name: str) -> None:
    assert vulnerabilities({"id": name}, {"id": "X-1"}) == (Vulnerability("X-1"),)


def test_a_name_that_is_long_is_cut() -> None:
    [found] = vulnerabilities({"id": "X" * 5000})
    assert len(found.id) == 100


# -- what is wrong -------------------------------------------------------------------------------

WRONG = {
    "html": html(),
    "truncated": truncated(),
    "wrong shape": wrong_shape(),
    "wrong types": wrong_types(),
    "nan": nan(),
    "wrong charset": wrong_charset(),
    "nested": nested(),
    "nothing": content(b""),
    "null": content(b"null"),
    "a number": content(b"5"),
    "no info": content(b'{"releases": {}}'),
    "no releases": content(b'{"info": {"name": "djoser", "version": "1"}}'),
    "another encoding": content('{"info": {}}'.encode("utf-16")),
    "a lone surrogate": content(
        b'{"info": {"name": "djoser", "version": "\\ud800"}, "releases": {}}'
    ),
    "an error of another kind": content({"message": "Not Found"}),
    "a key in several lines": content({"info": {"name": "\n" * 500, "version": 1}}),
}


def sent(behaviour: Behaviour, name: str = "djoser") -> bytes:
    """What goes out in place of a recorded answer."""
    request = Request("GET", f"/pypi/{name}/json", {}, 200, 0, "")
    return b"".join(behaviour(request, Answer(ANSWERS[name])).pieces)


@pytest.mark.parametrize("behaviour", WRONG.values(), ids=WRONG)
def test_what_is_no_answer_of_an_index(behaviour: Behaviour) -> None:
    text = failure(sent(behaviour), "djoser")
    assert text.startswith(("not the JSON of a package index: ", "the index has no release"))


@pytest.mark.parametrize(
    ("answered", "asked", "same"),
    [
        ("A.b_C", "a-b-c", True),
        ("a-b-c", "A__B.C", True),
        ("a", "b", False),
        ("", "a", False),
        ("a\n\x1b[31m" + "x" * 500, "a", False),
        ("\u202ea", "a", False),
    ],
)
def test_the_answer_is_about_who_was_asked_about(answered: str, asked: str, same: bool) -> None:
    document = {"info": {"name": answered, "version": "1.0"}, "releases": {"1.0": released()}}
    body = json.dumps(document).encode()
    if same:
        assert project(body, asked).name == "a-b-c"
    else:
        text = failure(body, asked)
        assert text.startswith("the index answers with another project, '")


def test_a_name_that_is_no_name_is_no_other_project() -> None:
    assert failure(b'{"info": {"name": null, "version": "1"}, "releases": {}}').startswith(
        "not the JSON of a package index"
    )


# -- anything ------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["1.0", ">=3", "MIT", "django; python_version ~= 'x'", "https://[", "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["Framework :: Django :: " + "9" * 30, "django" + ",".join(f"!=1.{n}" for n in range(200))]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each list or mapping of a JSON value, with each key of it."""
    keys = range(len(value)) if isinstance(value, list) else value
    if not isinstance(value, (list, dict)):
        return []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


def mangled(data: st.DataObject, document: Any) -> Any:
    """A copy in which some values are left out, or others; most of them of the same type."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        # Releases are most of an answer: half of the changes are elsewhere.
        part = data.draw(st.sampled_from([document, document.get("info", document)]), "in")
        found = places(part)
        if not found:
            continue
        holder, key = found[data.draw(st.integers(0, len(found) - 1), "place")]
        change = data.draw(st.sampled_from(["drop", "text", "any", "key"]), "change")
        if change == "drop":
            del holder[key]
        elif change == "key" and isinstance(holder, dict):
            holder[data.draw(TEXTS, "key")] = holder.pop(key)
        elif change == "text" and isinstance(holder[key], str):
            holder[key] = data.draw(TEXTS, "text")
        else:
            holder[key] = data.draw(JSON, "value")
    return document


def holds(body: bytes, name: str) -> None:
    """There come facts that their fields take, which can be kept; or one error, in one line."""
    try:
        found = project(body, name)
    except AuthDBError:
        failure(body, name)
        return
    checked(found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Project) == found


@settings(max_examples=300)
@given(st.data(), st.sampled_from(["djoser", "hawkrest", "django-oauth-toolkit", "drf-httpsig"]))
def test_whatever_an_index_answers(data: st.DataObject, name: str) -> None:
    holds(json.dumps(mangled(data, ANSWERS[name])).encode(), name)


@given(st.binary(max_size=100), st.integers(0, 3000))
def test_whatever_bytes_are_wrong(data: bytes, at: int) -> None:
    body = bytearray(json.dumps(ANSWERS["hawkrest"]).encode())
    body[at : at + len(data)] = data
    holds(bytes(body), "hawkrest")
