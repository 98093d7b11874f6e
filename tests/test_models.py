"""Packages: what each field takes, and what it refuses."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
from datetime import date, datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import days, partials, records

from authdb import AuthDB, Package
from authdb.dates import PartialDate, first_day
from authdb.exceptions import DatabaseReadOnly, InvalidValue, PackageExists, nearest, shown
from authdb.fields import plain
from authdb.models import (
    CATEGORIES,
    FIELDS,
    Recorder,
    Release,
    Source,
    normalize_name,
    package_of,
    state_of,
)


def refusal(field: str, value: Any) -> InvalidValue:
    """The error that setting ``field`` raises; it names the field."""
    package = Package("a", "A")
    with pytest.raises(InvalidValue) as error:
        setattr(package, field, value)
    assert error.value.field == field
    assert str(error.value).startswith(f"{field}: ")
    assert "\n" not in str(error.value)
    assert package.record() == {"name": "a", "title": "A"}  # nothing was set
    with pytest.raises(InvalidValue):
        Package(**{"name": "a", "title": "A"} | {field: value})
    return error.value


FULL = {
    "name": "django-rest-knox",
    "title": "django-rest-knox",
    "description": "Token authentication.\nEach login has a token of its own.",
    "categories": ["token", "session"],
    "last_update": "2024-01-28",
    "last_commit": "2024-01",
    "last_release": "2024-01-28",
    "last_push": "2024-02-01",
    "version": "4.2.0",
    "requires_python": ">=3.6",
    "python_versions": ["3.9", "3.10"],
    "requires_django": ">=3.2",
    "django_versions": ["3.2", "4.2", "10.0"],
    "requires_drf": ">=3.12,<4",
    "development_status": "5 - Production/Stable",
    "license": "MIT",
    "repository": "https://github.com/jazzband/django-rest-knox",
    "homepage": "https://example.org/",
    "documentation": "http://example.org:8080/docs?x=1#top",
    "replaced_by": "something-else",
    "project_status": "archived",
    "repository_status": "gone",
    "moved_to": "https://example.org/elsewhere",
    "vulnerabilities": [
        {"id": "CVE-2024-1", "summary": "It may leak.", "fixed_in": ["4.2.1", "5.0"]},
        {"id": "PYSEC-2024-2"},
    ],
    "releases": [{"version": "4.1", "date": "2023"}, {"version": "4.2.0", "date": "2024-01-28"}],
    "sources": {"version": {"source": "PyPI", "seen": "2024-02-26"}},
}


# -- what fields take --------------------------------------------------------------------------


def test_a_record_has_every_field_and_gives_an_equal_package_back() -> None:
    package = Package(**FULL)  # type: ignore[arg-type]
    assert list(FULL) == list(FIELDS)
    assert package.record() == FULL
    assert list(package.record()) == list(FIELDS)
    assert json.loads(json.dumps(package.record())) == FULL
    assert Package(**package.record()).differs_from(package) == []


@given(st.sampled_from(["a", "b"]).flatmap(records))
def test_any_record_goes_there_and_back(record: dict[str, Any]) -> None:
    package = Package(**record)
    again = Package(**json.loads(json.dumps(package.record())))
    assert again.differs_from(package) == []
    assert again.record() == package.record() == package.copy().record()
    assert package.record().keys() >= {"name", "title"}
    assert None not in package.record().values() and [] not in package.record().values()
    assert list(package.values()) == [
        (name, getattr(package, name)) for name in FIELDS if name in package.record()
    ]


@pytest.mark.parametrize(
    ("field", "given", "stored"),
    [
        ("name", "Django_REST.-Knox", "django-rest-knox"),
        ("name", "x", "x"),
        ("title", "  spaces  ", "spaces"),
        ("title", "Ünïcode 日本", "Ünïcode 日本"),
        ("description", "two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("categories", ["jwt", "oauth2", "jwt"], ("jwt", "oauth2")),
        ("categories", {"token", "jwt"}, ("jwt", "token")),
        ("last_commit", "2024-02", PartialDate(2024, 2)),
        ("last_commit", 2024, PartialDate(2024)),
        ("last_commit", datetime(2024, 2, 26, 12), date(2024, 2, 26)),
        ("version", "1.0rc1+local", "1.0rc1+local"),
        ("requires_python", ">=3.9,<4", ">=3.9,<4"),
        ("django_versions", ["5.2", "10", "4.2", "5.2"], ("4.2", "5.2", "10")),
        ("license", "mit", "MIT"),
        ("license", "apache-2.0 or mit", "Apache-2.0 OR MIT"),
        ("repository", "https://github.com/a/b", "https://github.com/a/b"),
        ("replaced_by", "DJ_Rest.Auth", "dj-rest-auth"),
        ("releases", [("2", "2024"), ("1", "2023-05")], ("1", "2")),
    ],
)
def test_a_value_is_stored_in_one_form(field: str, given: Any, stored: Any) -> None:
    package = Package("a", "A")
    setattr(package, field, given)
    value = getattr(package, field)
    if field == "releases":
        value = tuple(release.version for release in value)
    assert value == stored and type(value) is type(stored)


TEXTS = [name for name, value in FULL.items() if isinstance(value, str) and "last" not in name]
DATES = [name for name in FULL if "last_" in name]
SEVERAL = ["categories", "django_versions", "releases", "sources"]
EMPTY = [
    *((field, value) for field in TEXTS + DATES for value in (None, "", "   ")),
    *((field, value) for field in SEVERAL for value in (None, (), [], set())),
    ("sources", {}),
]


@pytest.mark.parametrize(("field", "empty"), EMPTY)
def test_none_and_the_empty_mean_not_known(field: str, empty: Any) -> None:
    package = Package(**FULL | {"last_commit": None, "last_release": None})  # type: ignore[arg-type]
    if field in ("name", "title"):
        with pytest.raises(InvalidValue, match=f"{field}: a package needs one"):
            setattr(package, field, empty)
        return
    setattr(package, field, empty)
    assert getattr(package, field) in (None, ())
    assert field not in package.record()
    assert field not in package.__dict__  # it takes no room


def test_deleting_a_field_means_not_known_too() -> None:
    package = Package(**FULL)  # type: ignore[arg-type]
    del package.license
    del package.license
    assert package.license is None
    with pytest.raises(InvalidValue, match="title: a package needs one"):
        del package.title
    with pytest.raises(InvalidValue, match="no such field"):
        del package.color


def test_a_field_is_a_slot_of_the_vocabulary() -> None:
    package = Package("a", "A")
    with pytest.raises(InvalidValue, match=r"licence: there is no such field \(did you mean 'lic"):
        package.licence = "MIT"
    with pytest.raises(InvalidValue, match="no such field"):
        package.stated_update = "2019"  # type: ignore[assignment]
    with pytest.raises(InvalidValue, match="no such field"):
        package._digest = "x"
    with pytest.raises(InvalidValue, match="no such field"):
        Package("a", "A", lisence="MIT")
    with pytest.raises(AttributeError):
        assert package.licence


# -- what fields refuse ------------------------------------------------------------------------


@pytest.mark.parametrize("field", TEXTS)
def test_a_comma_at_the_end_of_the_line_is_named(field: str) -> None:
    """``colour = colour,`` makes a tuple, and the field says so."""
    error = refusal(field, ("value",))
    assert "text belongs here, not a tuple (a comma at the end of the line makes a tuple)" in str(
        error
    )


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    "value", [5, 5.0, True, b"x", ["x"], {"x": 1}, ("a", "b"), object(), {"x"}]
)
def test_only_text_belongs_where_text_belongs(field: str, value: Any) -> None:
    assert "text belongs here, not a" in str(refusal(field, value))


@pytest.mark.parametrize("field", DATES)
@pytest.mark.parametrize(
    "value", ["2024-02-30", "soon", 5.0, True, ("2024",), ["2024"], 0, 10_000, "2024-00", b"2024"]
)
def test_only_a_date_belongs_where_a_date_belongs(field: str, value: Any) -> None:
    assert "a date is written" in str(refusal(field, value))


@pytest.mark.parametrize("field", SEVERAL)
@pytest.mark.parametrize("value", ["jwt", 5, b"jwt", object(), date(2024, 1, 1)])
def test_one_value_is_not_several(field: str, value: Any) -> None:
    assert "several values belong here" in str(refusal(field, value))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", "-x", "a name has letters"),
        ("name", "x y", "a name has letters"),
        ("name", "naïve", "a name has letters"),
        ("name", "x" * 201, "201 characters, 200 at most"),
        ("title", "x" * 201, "201 characters, 200 at most"),
        ("title", "a\nb", r"U\+000A cannot be shown"),
        ("title", "a\x1b[31m", r"U\+001B cannot be shown"),
        ("title", "a\u202eb", r"U\+202E cannot be shown"),
        ("title", "a\udc80", r"U\+DC80 cannot be shown"),
        ("description", "a\0", r"U\+0000 cannot be shown"),
        ("description", "x" * 10_001, "10001 characters"),
        ("categories", ["oath2"], r"unknown category \(did you mean 'oauth2'\?\)"),
        ("categories", ["JWT"], r"unknown category \(did you mean 'jwt'\?\)"),
        ("categories", ["jwt", 5], "a category is text"),
        ("categories", ["jwt", ["oauth2"]], "a category is text"),
        ("categories", [None], "a category is text"),
        ("license", "Mit License", "an SPDX expression such as MIT"),
        ("license", "MIT AND", "an SPDX expression"),
        ("repository", "github.com/a/b", "a link begins with http"),
        ("repository", "ftp://example.org", "a link begins with http"),
        ("repository", "javascript:alert(1)", "a link begins with http"),
        ("repository", "https://", "a link begins with http"),
        ("repository", "https://example.org:99999/", "a link begins with http"),
        ("repository", "https://[::1", "a link begins with http"),
        ("repository", "https://example.org/a b", "a link begins with http"),
        ("repository", "https://example.org/<script>", "a link begins with http"),
        ("repository", "https://example.org/" + "x" * 2000, "at most"),
        ("version", "1.0 beta", "no spaces"),
        ("requires_python", "3.9 or later", "a version specifier such as"),
        ("django_versions", ["five"], "text such as '5.2'"),
        ("django_versions", [5.2], "text such as '5.2'"),
        ("django_versions", ["5.2."], "text such as '5.2'"),
        ("django_versions", ["1" * 21], "text such as '5.2'"),
        ("replaced_by", "no name!", "a name has letters"),
        ("development_status", "Stable", "it is one of 1 - Planning, 2 - Pre-Alpha"),
        ("project_status", "dead", "it is one of active, archived, quarantined, deprecated"),
        ("repository_status", 1, "text belongs here"),
        ("vulnerabilities", "CVE-2024-1", "several values belong here"),
        ("vulnerabilities", ["CVE-2024-1"], "a vulnerability has an 'id'"),
        ("vulnerabilities", [{"summary": "x"}], "a vulnerability has an 'id'"),
        ("vulnerabilities", [{"id": "x", "link": "y"}], "a vulnerability has an 'id'"),
        ("vulnerabilities", [{"id": ""}], "a package needs one"),
        ("vulnerabilities", [{"id": "x"}, {"id": "x"}], "each vulnerability has an id of its own"),
        ("vulnerabilities", [{"id": "x", "summary": "a\nb"}], "cannot be shown"),
        ("vulnerabilities", [{"id": "x", "fixed_in": "1.0"}], "several values belong here"),
        ("vulnerabilities", [{"id": "x", "fixed_in": ["1 0"]}], "a version has no spaces"),
        ("releases", [("1.0",)], "a release is a version and a date"),
        ("releases", ["1.0"], "a release is a version and a date"),
        ("releases", [{"version": "1.0"}], "a release is a version and a date"),
        ("releases", [{"version": "1", "date": "2024", "x": 1}], "a release is a version and a"),
        ("releases", [("1.0", None)], "a date is missing"),
        ("releases", [("1.0", "soon")], "a date is written"),
        ("releases", [(None, "2024")], "text belongs here"),
        ("releases", [("", "2024")], "each release has a version of its own"),
        ("releases", [("1", "2024"), ("1", "2023")], "each release has a version of its own"),
        ("sources", [("version", "PyPI")], "each fact has a 'source' and the day"),
        ("sources", {"version": "PyPI"}, "each fact has a 'source' and the day"),
        ("sources", {"version": {"source": "PyPI"}}, "a date is missing"),
        ("sources", {"version": {"seen": "2024"}}, "text belongs here"),
        ("sources", {5: {"source": "x", "seen": "2024"}}, "text belongs here"),
        ("sources", [("v", "a", "2024"), ("v", "b", "2024")], "each fact has one source"),
        ("sources", [("v", "a", ["2024"])], "a date is written"),
    ],
)  # fmt: skip
def test_a_field_says_what_belongs_there(field: str, value: Any, reason: str) -> None:
    assert re.search(reason, str(refusal(field, value)))


NASTY: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.tuples(inner, inner, inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from([*FULL, "color"]), NASTY)
def test_no_value_ends_in_anything_but_itself_or_its_refusal(field: str, value: Any) -> None:
    package = Package("a", "A")
    try:
        setattr(package, field, value)
    except InvalidValue as error:
        message = str(error)
    else:
        json.dumps(package.record())
        assert Package(**package.record()).differs_from(package) == []
        return
    assert message.startswith(f"{field}: ")


def test_categories_are_the_vocabulary() -> None:
    assert {"oauth2", "jwt", "token", "social", "api-key"} <= set(CATEGORIES)
    assert Package("a", "A", categories=list(CATEGORIES)).categories == tuple(CATEGORIES)


def test_messages_quote_briefly_whatever_the_value() -> None:
    assert len(shown("x" * 1000)) == 60 and shown(5) == "5"
    assert shown(10**5000).startswith("<int: ValueError")

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Broken()) == "<Broken: RuntimeError>"
    assert "<Broken" in str(refusal("title", Broken()))
    assert nearest("xyzzy", CATEGORIES) == "" and "'jwt'" in nearest("jtw", CATEGORIES)


# -- the last update -----------------------------------------------------------------------------

some_dates = st.one_of(st.none(), days, partials)


@given(some_dates, some_dates, some_dates)
def test_the_last_update_is_the_later_of_what_is_known(
    commit: Any, release: Any, stated: Any
) -> None:
    package = Package("a", "A", last_commit=commit, last_release=release)
    known = [day for day in (commit, release) if day is not None]
    expected = max(known, key=first_day) if known else None
    assert package.last_update == expected
    if not known:
        package.last_update = stated
        assert package.last_update == stated == package.stated_update
    elif stated is None or stated == expected:
        package.last_update = stated
        assert package.last_update == expected and package.stated_update is None
    else:
        with pytest.raises(InvalidValue, match="follows from last_commit and last_release"):
            package.last_update = stated
        with pytest.raises(InvalidValue, match="last_update: it follows"):
            Package("a", "A", last_update=stated, last_commit=commit, last_release=release)


def test_a_year_alone_can_be_stated() -> None:
    package = Package("a", "A", last_update="2019")
    assert package.last_update == PartialDate(2019)
    assert package.record()["last_update"] == "2019"
    package.last_update = None
    assert package.last_update is None and "last_update" not in package.record()


def test_what_becomes_known_overrides_what_was_stated() -> None:
    package = Package("a", "A", last_update="2019")
    package.last_commit = "2018-05-01"  # type: ignore[assignment]
    assert package.last_update == date(2018, 5, 1) and package.stated_update is None
    package.last_commit = None
    assert package.last_update is None  # what was stated is gone


def test_the_order_of_the_fields_does_not_matter() -> None:
    for fields in (
        {"last_update": "2019-05", "last_commit": "2019-05"},
        {"last_commit": "2019-05", "last_update": "2019-05"},
    ):
        assert Package("a", "A", **fields).last_update == PartialDate(2019, 5)


# -- copies ----------------------------------------------------------------------------------------


def test_a_copy_is_a_package_of_its_own() -> None:
    package = Package(**FULL)  # type: ignore[arg-type]
    twin = package.copy()
    assert twin.record() == FULL and twin.differs_from(package) == []
    twin.title = "Another"
    assert package.title == FULL["title"]
    assert twin.differs_from(package) == ["title"]


def test_to_become_another_takes_all_its_values_and_no_others() -> None:
    package = Package(**FULL)  # type: ignore[arg-type]
    package.become(Package("b", "B", last_update="2019"))
    assert package.record() == {"name": "b", "title": "B", "last_update": "2019"}
    package.become(Package(**FULL))  # type: ignore[arg-type]
    assert package.record() == FULL and package.stated_update is None


def test_values_are_immutable_all_the_way_down() -> None:
    """A list on a persistent object would change without ZODB noticing."""
    package = Package(**FULL)  # type: ignore[arg-type]
    for _, value in package.values():
        hash(value)
    assert type(package.releases[0]) is Release and type(package.sources[0]) is Source


def test_a_source_says_where_a_fact_comes_from() -> None:
    package = Package(**FULL)  # type: ignore[arg-type]
    assert package.source("version") == Source("version", "PyPI", date(2024, 2, 26))
    assert package.source("license") is None


def test_a_package_can_be_copied_and_pickled_as_others_are() -> None:
    package = Package(**FULL)  # type: ignore[arg-type]
    for twin in (copy.copy(package), copy.deepcopy(package), pickle.loads(pickle.dumps(package))):
        assert twin.record() == FULL and twin.is_intact()
    assert repr(package) == "<Package django-rest-knox>"
    assert repr(Package.__new__(Package)) == "<Package ?>"


def test_a_digest_stands_for_every_value() -> None:
    base = {"name": "a", "title": "A"}
    digests = {Package(**base).__getstate__()["_digest"]}
    for field, value in FULL.items():
        digests.add(Package(**base | {field: value}).__getstate__()["_digest"])
    assert len(digests) == len(FULL) + 1
    package = Package(**FULL)  # type: ignore[arg-type]
    state = package.__getstate__()
    for change in ({"title": "other"}, {"license": "BSD"}, {"_digest": "0" * 16}, {"added": 1}):
        twin = Package.__new__(Package)
        twin.__setstate__(state | change)
        assert not twin.is_intact()


def test_plain_values_are_what_json_holds() -> None:
    assert plain(PartialDate(2019)) == "2019" and plain(date(2019, 1, 2)) == "2019-01-02"
    assert plain(("a", "b")) == ["a", "b"] and plain(()) == [] and plain("x") == "x"


@given(st.text(alphabet="aB1-_.", min_size=1).filter(lambda t: t[0].isalnum() and t[-1].isalnum()))
def test_names_are_normalised_as_package_indexes_do(name: str) -> None:
    from packaging.utils import canonicalize_name

    assert normalize_name(name) == canonicalize_name(name) == Package(name, "A").name


# -- stored packages -------------------------------------------------------------------------------


def test_a_stored_package_is_edited_only_inside_a_transaction(filled: AuthDB) -> None:
    package = filled["hawkrest"]
    before = package.record()
    for change in (
        lambda: setattr(package, "title", "Other"),
        lambda: delattr(package, "description"),
        lambda: package.become(Package("hawkrest", "Other")),
    ):
        with pytest.raises(DatabaseReadOnly, match=r"with db\.transaction"):
            change()
        assert package.record() == before
    with pytest.raises(InvalidValue, match="title"):
        package.title = 5  # type: ignore[assignment]
    with filled.transaction():
        package.title = "Hawk indeed"
        package.categories = ("jwt", "signature")
        assert filled.find("'indeed' in title").names() == ["hawkrest"]
    assert filled.find("'indeed' in title and 'jwt' in categories").names() == ["hawkrest"]
    assert filled.check() == []
    with pytest.raises(DatabaseReadOnly):
        package.title = "Late"
    assert filled["hawkrest"].title == "Hawk indeed"


def test_setting_a_value_that_it_has_is_no_change(filled: AuthDB) -> None:
    package, generation = filled["hawkrest"], filled.generation
    package.title = package.title
    package.description = None if package.description is None else package.description
    with filled.transaction():
        package.title = package.title
    filled.update("hawkrest", title=package.title)
    assert filled.generation == generation


def test_a_stored_package_is_renamed_only_through_the_database(filled: AuthDB) -> None:
    package = filled["hawkrest"]
    with filled.transaction(), pytest.raises(InvalidValue, match=r"db\.update\(old, name=new\)"):
        package.name = "hawk"
    package.name = "Hawkrest"  # the name that it has, in another spelling
    docid = filled.find("name == 'hawkrest'").docids[0]
    assert filled.update("hawkrest", name="Hawk_2") is package
    assert package.name == "hawk-2" and "hawkrest" not in filled
    assert filled.find("name == 'hawk-2'").docids[0] == docid
    with pytest.raises(PackageExists):
        filled.update("hawk-2", name="drf.httpsig")
    assert filled.check() == []


def test_members_of_an_enum_are_stored_as_the_text_that_they_are() -> None:
    class Word(str, Enum):
        JWT = "jwt"
        DJANGO = "5.2"

    package = Package("a", "A", categories=[Word.JWT], django_versions=[Word.DJANGO])
    assert package.categories == ("jwt",)
    assert package.django_versions == ("5.2",)
    assert {type(text) for text in (*package.categories, *package.django_versions)} == {str}


def test_text_of_a_subclass_is_stored_as_plain_text() -> None:
    class Markup(str):
        def strip(self, *_: object) -> Markup:
            return self

    package = Package("a", Markup("A"), version=Markup("1.0"))
    assert type(package.title) is str
    assert type(package.version) is str


# -- without the object ------------------------------------------------------------------------

SOURCES = {"version": {"source": "PyPI", "seen": "2024-02-26"}}


@given(
    st.sampled_from(["a", "b"]).flatmap(records),
    st.sampled_from([{}, {"releases": [("1", "2024"), ("2", "2023-05")]}, {"sources": SOURCES}]),
    st.one_of(st.none(), days, partials),
)
def test_a_state_is_what_the_package_would_hold(
    record: dict[str, Any], more: dict[str, Any], update: Any
) -> None:
    fields = {name: FIELDS[name].check(value) for name, value in {**record, **more}.items()}
    if update is not None:
        fields["last_update"] = update
    said = ""
    try:
        package = Package(**fields)
    except InvalidValue as error:
        said = str(error)
    if said:
        with pytest.raises(InvalidValue) as told:
            state_of(fields)
        assert str(told.value) == said
        return
    state = state_of(fields)
    assert state == vars(package)
    assert package_of(state).differs_from(package) == []
    before, made = dict(state), Recorder()(state)
    assert state == before
    written = pickle.Unpickler(io.BytesIO(made))
    assert written.load() is Package
    stored = written.load()
    assert stored == package.__getstate__()
    assert [type(value) for value in map(stored.get, sorted(stored))] == [
        type(value) for value in map(package.__getstate__().get, sorted(stored))
    ]
    again = Package.__new__(Package)
    again.__setstate__(stored)
    assert again.is_intact() and again.record() == package.record()


@pytest.mark.parametrize("missing", ["name", "title"])
def test_a_state_has_a_name_and_a_title(missing: str) -> None:
    fields = {"name": "a", "title": "A", missing: None}
    with pytest.raises(InvalidValue, match=f"{missing}: a package needs one"):
        state_of(fields)
    del fields[missing]
    with pytest.raises(InvalidValue, match=f"{missing}: a package needs one"):
        state_of(fields)


def test_one_recorder_writes_packages_of_all_kinds_in_any_order() -> None:
    """What it remembers of one must not be referred to in another."""
    record = Recorder()
    states = [
        state_of({"name": "a", "title": "A", "last_commit": date(2024, 2, 26)}),
        state_of({"name": "a", "title": "A", "releases": (Release("1", date(2024, 2, 26)),)}),
        state_of({"name": "é", "title": "日本 \u0001", "last_update": PartialDate(2024)}),
    ]
    for first in states:
        for second in states:
            for state in (first, second):
                written = pickle.Unpickler(io.BytesIO(record(state)))
                assert written.load() is Package
                assert written.load() == package_of(state).__getstate__()
