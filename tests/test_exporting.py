"""Exporting: what is written is read back as the same, and Markdown shows what was typed."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from authdb import AuthDB, AuthDBError, Package
from authdb.exceptions import InvalidValue
from authdb.exporting import FORMATS, write
from authdb.fields import DEVELOPMENT_STATUS
from authdb.importing import Counts, load
from authdb.loaders import FORMATS as READ
from authdb.loaders import Loader
from authdb.models import CATEGORIES, FIELDS, PartialDate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALL_READ = pytest.mark.parametrize("form", READ)


def text(packages: list[Package], form: str, fields: list[str] | None = None) -> str:
    """What is written."""
    out = io.StringIO()
    write(packages, form, out, fields)
    return out.getvalue()


def read_back(form: str, written: str) -> list[Package]:
    """The packages that a loader finds in it."""
    loader = Loader(io.BytesIO(written.encode()), form, "-")
    packages = [Package(**entry.fields) for entry in loader]
    assert loader.problems == []
    return packages


def same(some: list[Package], others: list[Package]) -> bool:
    """Whether they are the same packages in the same order."""
    return [package.record() for package in some] == [package.record() for package in others]


# -- anything at all -------------------------------------------------------------------------

# Few letters often, so that what means something to a format comes up.
LETTERS = st.one_of(
    st.sampled_from("ab019 -:#'\"\\|,;=+@\t\n[]{}<>&*_`~!%?.$/é\u00a0\U0001f511"),
    st.characters(exclude_categories=["Cs", "Cc"]),
)
TRICKY = st.sampled_from(
    [
        *("no", "null", "~", "2019", "1.0", "1e3", "0x1F", "2024-02-26", "12:30:45", "=1+1"),
        *("- a", "a: b", "# c", "'''", '"""', "x\n---\ny", "a\n\n  b\n c", "[[packages]]"),
        *("*x", "&x", "<<", "a\\", "\\n", "| a | b |", "{}", "[]", "true", ".nan", "a #b"),
        *("%YAML", "\U0001f469\u200d", "<b>&amp;</b>", "<!-- a", "![a](b)", "`a", "www.a.org"),
    ]
)


def fields_of(name: str) -> st.SearchStrategy[Any]:
    """Values of the field ``name``; those that it refuses are left out."""

    def stored(value: Any) -> Any:
        try:
            return FIELDS[name].check(value)
        except InvalidValue:
            return None

    return st.one_of(TRICKY, st.text(LETTERS, max_size=40)).map(stored)


DAYS = st.one_of(
    st.dates(),
    st.builds(PartialDate, st.integers(1, 9999), st.none() | st.integers(1, 12)),
)
VERSIONS = st.from_regex(r"[0-9a-z.+!'\"=\\#-]{1,8}", fullmatch=True)
WORDS = st.text(LETTERS, min_size=1, max_size=20).map(
    lambda word: re.sub(r"[\s\u2028-\u202e\u2066-\u2069\ufeff]", " ", word).strip() or "x"
)


@st.composite
def packages(draw: st.DrawFn) -> Package:
    """A package with any of its fields."""
    name = draw(st.from_regex(r"[A-Za-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?", fullmatch=True))
    package = Package(name, draw(fields_of("title")) or "T")
    choices: dict[str, st.SearchStrategy[Any]] = {
        "description": fields_of("description"),
        "categories": st.lists(st.sampled_from(sorted(CATEGORIES)), max_size=3),
        "last_commit": DAYS,
        "last_release": DAYS,
        "version": VERSIONS,
        "requires_python": st.sampled_from([">=3.9", ">=3.10,<4", "!=3.0.*,~=3.8"]),
        "django_versions": st.lists(st.sampled_from(["1.10", "4.2", "5", "5.2"]), max_size=3),
        "license": st.sampled_from(["MIT", "Apache-2.0 OR BSD-3-Clause"]),
        "repository": st.sampled_from(["https://example.org/a_b?c=d&e=[f]#g,h", "http://x/~*"]),
        "replaced_by": st.sampled_from(["hawkrest", "1", "no"]),
        "development_status": st.sampled_from(DEVELOPMENT_STATUS),
        "vulnerabilities": st.lists(
            st.tuples(WORDS, st.none() | WORDS, st.lists(VERSIONS, max_size=2)),
            max_size=3,
            unique_by=lambda each: each[0],
        ),
        "releases": st.dictionaries(VERSIONS, DAYS, max_size=3).map(lambda found: [*found.items()]),
        "sources": st.dictionaries(WORDS, st.tuples(WORDS, DAYS), max_size=3).map(
            lambda found: [(of, *rest) for of, rest in found.items()]
        ),
    }
    for field in draw(st.sets(st.sampled_from(sorted(choices)))):
        setattr(package, field, draw(choices[field]))
    if package.last_update is None:
        setattr(package, "last_update", draw(st.none() | DAYS))  # noqa: B010 - no plain attribute
    return package


LISTS = st.lists(packages(), max_size=3, unique_by=lambda package: package.name)


@given(LISTS, st.sampled_from(sorted(READ)))
@settings(max_examples=200)
def test_what_is_written_is_read_back(written: list[Package], form: str) -> None:
    assert same(read_back(form, text(written, form)), written)


@given(LISTS, st.sampled_from(sorted(READ)))
@settings(max_examples=60)
def test_a_database_is_rebuilt_from_its_export(written: list[Package], form: str) -> None:
    with AuthDB.in_memory() as db, AuthDB.in_memory() as other:
        for package in written:
            db.add(package)
        exported = text(list(db), form).encode()

        def loader() -> Loader:
            return Loader(io.BytesIO(exported), form)

        assert load(other, loader()) == Counts(added=len(written))
        assert same(list(other), list(db))
        assert load(db, loader()) == Counts(unchanged=len(written))


# -- files -----------------------------------------------------------------------------------


@pytest.fixture
def few() -> list[Package]:
    """Three packages: one with all fields, one with text of every kind, one with nothing."""
    return [
        Package(
            "dj-rest-auth",
            "dj-rest-auth",
            description="Sign-up\nand sign-in",
            categories=("registration", "jwt"),
            last_commit="2024-02",
            last_release="2024-01-28",
            last_push="2024-02-20",
            version="5.0",
            requires_python=">=3.8",
            python_versions=("3.9", "3.10"),
            requires_django=">=4.2",
            django_versions=("4.2", "5.0"),
            requires_drf=">=3.13",
            development_status="4 - Beta",
            license="MIT",
            repository="https://example.org/dj_rest_auth",
            homepage="https://example.org/",
            documentation="https://example.org/docs",
            replaced_by="other",
            project_status="deprecated",
            repository_status="archived",
            moved_to="https://example.org/moved",
            vulnerabilities=[("CVE-2024-1", 'A "leak", \\ or two', ["5.1"]), ("A", None, None)],
            releases=[("4.0", "2023"), ("5.0", "2024-01-28")],
            sources=[("version", "PyPI", "2024-02-26"), ("a b", 'the "page"', "2024")],
        ),
        Package("odd", "=no|`*_<\\", description="a\ttab, \"quotes\"\n\n'ça' \U0001f511"),
        Package("bare", "2019"),
    ]


@ALL_READ
def test_a_file_is_read_back(form: str, few: list[Package], tmp_path: Path) -> None:
    path = tmp_path / f"list.{form}"
    with path.open("w", encoding="utf-8", newline="") as out:
        write(iter(few), form, out)
    assert path.read_text(encoding="utf-8").endswith("\n")
    assert same([Package(**entry.fields) for entry in Loader(path)], few)


@ALL_READ
def test_no_packages_are_a_file_too(form: str) -> None:
    assert read_back(form, text([], form)) == []


def decoded(form: str, written: str) -> list[Any]:
    """The records as another program would read them."""
    if form == "json":
        return list(json.loads(written))
    if form == "ndjson":
        return [json.loads(line) for line in written.split("\n")[:-1]]
    if form == "yaml":
        return list(yaml.safe_load(written))
    return list(tomllib.loads(written)["packages"])


@pytest.mark.parametrize("form", ["json", "ndjson", "yaml", "toml"])
def test_objects_have_what_is_known(form: str, few: list[Package]) -> None:
    def plain(value: Any) -> Any:
        return json.loads(json.dumps(value, default=date.isoformat))

    records = decoded(form, text(few, form))
    assert [plain(record) for record in records] == [package.record() for package in few]
    assert list(records[0]) == list(FIELDS)


@pytest.mark.parametrize("form", ["json", "ndjson", "yaml"])
def test_objects_have_just_the_fields_asked_for(form: str, few: list[Package]) -> None:
    fields = ["version", "name", "categories"]
    records = decoded(form, text(few, form, fields))
    assert [list(record) for record in records] == [fields] * 3
    assert [list(record.values()) for record in records] == [
        ["5.0", "dj-rest-auth", ["registration", "jwt"]],
        [None, "odd", []],
        [None, "bare", []],
    ]


def test_toml_leaves_out_what_is_not_known(few: list[Package]) -> None:
    written = text(few[:2], "toml", ["version", "name", "last_release"])
    assert written == (
        '[[packages]]\nversion = "5.0"\nname = "dj-rest-auth"\nlast_release = 2024-01-28\n'
        '\n[[packages]]\nname = "odd"\n'
    )


def test_json_is_indented_by_two(few: list[Package]) -> None:
    written = text(few[1:], "json")
    assert written == json.dumps(json.loads(written), indent=2, ensure_ascii=False) + "\n"


def test_yaml_quotes_what_others_would_misread() -> None:
    package = Package("a", "no", version="1.0", replaced_by="2019", last_commit="2019")
    assert yaml.safe_load(text([package], "yaml")) == [package.record()]


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_have_every_column_or_those_asked_for(
    form: str, delimiter: str, few: list[Package]
) -> None:
    def rows(written: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(written), delimiter=delimiter, strict=True))

    assert rows(text(few, form))[0] == list(FIELDS)
    assert rows(text(few, form, ["title", "django_versions", "releases"])) == [
        ["title", "django_versions", "releases"],
        [
            "dj-rest-auth",
            "4.2, 5.0",
            '[{"version": "4.0", "date": "2023"}, {"version": "5.0", "date": "2024-01-28"}]',
        ],
        ["=no|`*_<\\", "", ""],
        ["2019", "", ""],
    ]
    assert rows(text(few, form, ["version"])) == [["version"], ["5.0"], [""], [""]]


def test_packages_are_written_as_they_come() -> None:
    out = io.StringIO()
    written: list[int] = []

    def coming() -> Iterator[Package]:
        for number in range(3):
            written.append(out.getvalue().count("title"))
            yield Package(f"p{number}", "T")

    for form in READ:
        out.seek(0)
        out.truncate()
        written.clear()
        write(coming(), form, out, ["title"])
        assert written == ([1, 1, 1] if form in ("csv", "tsv") else [0, 1, 2])


# -- Markdown --------------------------------------------------------------------------------


def cells(written: str) -> list[list[str]]:
    """The cells of a table in Markdown, as a reader of its page sees them."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(written)
    assert page.count("<table>") == 1
    assert page.startswith("<table>")
    assert page.endswith("</table>\n")
    page = re.sub(r'<a href="[^"]*">(.*?)</a>', r"\1", page).replace("<br>", "\n")
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in page.split("</tr>")]
    found = [[unescape(cell) for cell in row] for row in rows if row]
    assert not any("<t" in cell and "<t" not in written for row in found for cell in row)
    return found


def test_markdown_shows_what_was_typed(few: list[Package]) -> None:
    shown = cells(text(few, "markdown"))
    names = [name for name, field in FIELDS.items() if not field.structured]
    assert shown[0] == names
    for row, package in zip(shown[1:], few, strict=True):
        assert row == [FIELDS[name].cell(getattr(package, name)) for name in names]
    written = text(few[:1], "markdown", ["name", "repository"])
    assert written == (
        "| name | repository |\n|---|---|\n| dj-rest-auth | <https://example.org/dj_rest_auth> |\n"
    )


@given(st.one_of(TRICKY, st.text(LETTERS, min_size=1, max_size=40)))
@settings(max_examples=300)
def test_no_text_breaks_a_table(typed: str) -> None:
    try:
        package = Package(
            "a", "T", description=typed + " &amp; www.a_b.org/_c_ https://d_e.org/_f_"
        )
    except InvalidValue:
        return
    written = text([package, Package("b", "T")], "markdown", ["description", "name"])
    assert written.count("\n") == 4
    [_, [description, name], last] = cells(written)
    assert (name, last) == ("a", ["", "b"])
    assert package.description is not None
    assert description.split() == package.description.split()


def test_an_address_in_a_text_is_no_link() -> None:
    package = Package("a", "T", description="see https://a_b.org or www.a_b.org")
    written = text([package], "markdown", ["description"])
    assert r"https\://a\_b.org or www\.a\_b.org" in written


# -- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "fields", "reason"),
    [
        ("jsn", None, "no format is called 'jsn' (did you mean 'json'?): it is one of json, nd"),
        ("json", ["name", "licence"], "no field 'licence' (did you mean 'license'?)"),
        ("csv", ["name", "title", "name"], "the field 'name' is asked for twice"),
        ("yaml", [], "no field is asked for: name at least one"),
    ],
)
def test_what_cannot_be_written_is_told(form: str, fields: list[str] | None, reason: str) -> None:
    out = io.StringIO()
    with pytest.raises(AuthDBError, match=re.escape(reason)):
        write([Package("a", "A")], form, out, fields)
    assert out.getvalue() == ""


def test_every_format_that_is_read_is_written() -> None:
    assert set(FORMATS) == {*READ, "markdown"}
