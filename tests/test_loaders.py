"""Loaders: every format, every mistake with its place, and nothing but our errors."""

from __future__ import annotations

import csv
import io
import os
import threading
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from authdb import AuthDBError, editions, lines, loaders
from authdb.exceptions import LoadError, Problem
from authdb.loaders import FORMATS, Entry, Loader
from authdb.models import PartialDate, Release, Source

KNOX = {
    "name": "django-rest-knox",
    "title": "Knox",
    "categories": ("token", "jwt"),
    "last_release": date(2024, 1, 28),
    "last_commit": PartialDate(2024),
    "releases": (Release("1.0", date(2020, 5, 1)),),
    "sources": (Source("version", "PyPI", date(2024, 2, 26)),),
}
HAWK = {"name": "hawkrest", "title": "no", "version": "1.10", "django_versions": ("4.2",)}

TEXTS = {
    "json": """[
        {"name": "Django_REST.Knox", "title": "Knox", "categories": ["token", "jwt"],
         "last_release": "2024-01-28", "last_commit": "2024",
         "releases": [{"version": "1.0", "date": "2020-05-01"}],
         "sources": {"version": {"source": "PyPI", "seen": "2024-02-26"}}},
        {"name": "hawkrest", "title": "no", "version": "1.10", "django_versions": ["4.2"]}
    ]""",
    "ndjson": """\
{"name": "Django_REST.Knox", "title": "Knox", "categories": ["token", "jwt"], \
"last_release": "2024-01-28", "last_commit": 2024, \
"releases": [{"version": "1.0", "date": "2020-05-01"}], \
"sources": {"version": {"source": "PyPI", "seen": "2024-02-26"}}}

{"name": "hawkrest", "title": "no", "version": "1.10", "django_versions": ["4.2"]}""",
    "csv": """\
name,title,categories,last_release,last_commit,releases,sources,version,django_versions
Django_REST.Knox,Knox,"token, jwt",2024-01-28,2024,"[{""version"": ""1.0"", \
""date"": ""2020-05-01""}]","{""version"":
{""source"": ""PyPI"", ""seen"": ""2024-02-26""}}",,
,,,,,,,,
hawkrest,no,,,, ,,1.10,4.2
""",
    "yaml": """\
title: A list
packages:
- name: Django_REST.Knox
  title: Knox
  categories: [token, jwt]
  last_release: 2024-01-28
  last_commit: 2024
  releases:
  - {version: 1.0, date: 2020-05-01}
  sources:
    version: {source: PyPI, seen: 2024-02-26}
- name: hawkrest
  title: no
  version: 1.10
  django_versions: [4.2]
""",
    "toml": """\
title = "A list"
[[packages]]
name = "Django_REST.Knox"
title = "Knox"
categories = ["token", "jwt"]
last_release = 2024-01-28
last_commit = 2024
releases = [{ version = "1.0", date = 2020-05-01 }]
[packages.sources.version]
source = "PyPI"
seen = 2024-02-26
[[packages]]
name = "hawkrest"
title = "no"
version = "1.10"
django_versions = ["4.2"]
""",
}
TEXTS["tsv"] = "\n".join(
    '"' + '"\t"'.join(cell.replace('"', '""') for cell in row) + '"'
    for row in csv.reader(io.StringIO(TEXTS["csv"]))
)
PLACES = {
    "json": ("record 1", "record 2"),
    "ndjson": ("line 1", "line 3"),
    "csv": ("line 2", "line 5"),
    "tsv": ("line 2", "line 5"),
    "yaml": ("record 1", "record 2"),
    "toml": ("record 1", "record 2"),
}
ALL_FORMATS = pytest.mark.parametrize("form", FORMATS)


def reading(form: str, text: str | bytes) -> Loader:
    """A loader of that text, as from standard input."""
    data = text.encode() if isinstance(text, str) else text
    return Loader(io.BytesIO(data), form, "-")


def problems(form: str, text: str | bytes) -> list[Problem]:
    """What is wrong with that text."""
    loader = reading(form, text)
    for _ in loader:
        pass
    return loader.problems


# -- what is right ---------------------------------------------------------------------------


@ALL_FORMATS
def test_each_format_gives_checked_values_with_their_places(form: str) -> None:
    loader = reading(form, TEXTS[form])
    entries = list(loader)
    assert loader.problems == []
    assert entries == [Entry(PLACES[form][0], KNOX), Entry(PLACES[form][1], HAWK)]
    assert loader.position == len(TEXTS[form].encode())


@ALL_FORMATS
def test_a_file_is_known_by_its_ending_and_read_again_from_the_start(
    form: str, tmp_path: Path
) -> None:
    for ending in FORMATS[form]:
        path = tmp_path / f"List{ending.upper()}"
        path.write_bytes(b"\xef\xbb\xbf" + TEXTS[form].replace("\n", "\r\n").encode())
        loader = Loader(str(path))
        assert (loader.name, loader.format) == (str(path), form)
        assert (loader.size, loader.position) == (path.stat().st_size, 0)
        assert [entry.fields for entry in loader] == [KNOX, HAWK]
        assert [entry.fields for entry in loader] == [KNOX, HAWK]
        assert (loader.problems, loader.position) == ([], loader.size)


def test_a_pipe_has_no_size(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.ndjson"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(TEXTS["ndjson"],))
    writer.start()
    loader = Loader(pipe)
    assert [entry.fields for entry in loader] == [KNOX, HAWK]
    assert loader.size is None
    writer.join()


@ALL_FORMATS
def test_a_file_may_hold_nothing(form: str) -> None:
    empty = {"json": "[]", "ndjson": "", "yaml": "packages: []", "toml": "packages = []"}
    loader = reading(form, empty.get(form, "name\ttitle" if form == "tsv" else "title,name\n\n"))
    assert (list(loader), loader.problems, loader.as_of) == ([], [], None)


@pytest.mark.parametrize("form", ["json", "ndjson", "yaml"])
def test_null_says_that_a_field_is_not_known(form: str) -> None:
    [entry] = reading(
        form,
        '{"name": "a", "version": null, "categories": []}\n'
        if form == "ndjson"
        else '[{"name": "a", "version": null, "categories": []}]',
    )
    assert entry.fields == {"name": "a", "version": None, "categories": ()}


def test_an_empty_cell_says_nothing() -> None:
    [entry] = reading("csv", "name,title,version\na, \t,\n")
    assert entry.fields == {"name": "a"}


@pytest.mark.parametrize("word", ["~", "null", "NULL", ""])
def test_yaml_knows_null_and_takes_everything_else_for_text(word: str) -> None:
    [entry] = reading("yaml", f"- name: a\n  version: {word}\n  title: yes\n")
    assert entry.fields == {"name": "a", "version": None, "title": "yes"}
    [entry] = reading("yaml", f"- name: a\n  title: '{word or 1.0}'\n  version: 1_0\n")
    assert entry.fields == {"name": "a", "title": word or "1.0", "version": "1_0"}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{"as_of": "2024-02-26", "title": "x", "packages": []}'),
        ("yaml", "as_of: 2024-02-26\npackages: []"),
        ("toml", "as_of = 2024-02-26\npackages = []"),
    ],
)
def test_a_document_may_say_as_of_when_it_holds(form: str, text: str) -> None:
    loader = reading(form, text)
    assert (list(loader), loader.problems) == ([], [])
    assert loader.as_of == date(2024, 2, 26)


def test_a_long_cell_is_read_and_the_limit_of_others_stays() -> None:
    before = csv.field_size_limit()
    releases = ", ".join(
        f'{{""version"": ""1.{n}"", ""date"": ""2020-05-01""}}' for n in range(5000)
    )
    assert len(releases) > before
    [entry] = reading("csv", f'name,releases\na,"[{releases}]"\n')
    assert len(entry.fields["releases"]) == 5000
    assert csv.field_size_limit() == before


def test_lines_stream_in_bounded_memory() -> None:
    class Endless(io.RawIOBase):
        """A file of 200,000 lines of 1,000 bytes, none of which is kept."""

        def __init__(self) -> None:
            self.number = 0

        def readline(self, size: int | None = -1) -> bytes:
            self.number += 1
            if self.number > 200_000:
                return b""
            return b'{"name":"package-%d","description":"%s"}\n' % (self.number, b"x" * 950)

    loader = Loader(cast(BinaryIO, Endless()), "ndjson", "-")
    count = 0
    try:
        for count, _ in enumerate(loader, 1):
            if count == 150_000:  # what would be kept of the last quarter is 50 MB
                tracemalloc.start()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (count, loader.problems) == (200_000, [])
    assert loader.position > 190_000_000
    assert peak < 30_000_000  # the names, in a dict that grows


# -- editions --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", editions.shipped())
def test_an_edition_is_recognised(name: str) -> None:
    path = editions.path(name)
    loader = Loader(path)
    entries = list(loader)
    assert loader.problems == []
    assert loader.as_of is not None
    named = [record["name"] for record in editions.records(path)]
    assert [entry.fields["name"] for entry in entries] == named
    assert entries[1].where == "record 2"


def test_an_edition_is_checked_like_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text('[[packages]]\nname = "a"\ntitle = "A"\nlicense = "Mine"')
    (tmp_path / "facts.json").write_text('{"packages": {}}')
    edition = tmp_path / "edition.toml"
    text = 'title = "T"\nas_of = 2024-02-26\ncurated = "list.toml"\nfacts = "facts.json"\n'
    edition.write_text(text + 'members = ["a"]')
    loader = Loader(edition)
    assert list(loader) == []
    [problem] = loader.problems
    assert problem[:2] == ("record 1", "license")
    edition.write_text(text + 'members = ["b"]')
    with pytest.raises(LoadError, match=r"not in list\.toml"):
        list(Loader(edition))


def test_an_edition_has_to_be_a_file() -> None:
    [problem] = problems("toml", editions.path("2024-02-26").read_bytes())
    assert problem == Problem(
        "the document", None, "an edition names files beside it: give its path instead"
    )


# -- mistakes and their places ---------------------------------------------------------------

MISTAKES: list[tuple[str, str | bytes, list[tuple[str, str | None, str]]]] = [
    # One bad field hides no other, one bad record hides no other.
    (
        "ndjson",
        (
            '{"name": "a", "licence": "MIT", "license": "Mine", "last_commit": "2024-02-30"}\n'
            '{"name": "b"}\n{"name": "-c", "version": 1.1}'
        ),
        [
            ("line 1", None, "there is no field 'licence' (did you mean 'license'?)"),
            ("line 1", "license", "an SPDX expression"),
            ("line 1", "last_commit", "the calendar has no 2024-02-30, got '2024-02-30'"),
            ("line 3", "name", "a name has letters"),
            ("line 3", "version", "text belongs here, not a float, got 1.1"),
        ],
    ),
    (
        "json",
        '[{"name": "a", "title": null}, 7, null, [1, 2], {"title": "T"}, {"name": " "}, {}]',
        [
            ("record 1", "title", "a package needs one"),
            ("record 2", None, "a record with named fields belongs here, got 7"),
            ("record 3", None, "a record with named fields belongs here, got null"),
            ("record 4", None, "a record with named fields belongs here, got a list of 2"),
            ("record 5", "name", "a package needs one"),
            ("record 6", "name", "a package needs one, got ' '"),
            ("record 7", "name", "a package needs one"),
        ],
    ),
    (
        "json",
        '[{"name": "Drf.Knox"}, {"name": "drf_knox"}, {"name": "b"}, {"name": "b"}]',
        [
            (
                "record 2",
                "name",
                "'drf_knox' is the same package as 'Drf.Knox' in record 1: keep one of the two",
            ),
            ("record 4", "name", "'b' is also in record 3: keep one of the two"),
        ],
    ),
    (
        "csv",
        "name,version\na,1 2\n\nA,\n",
        [
            ("line 2", "version", "a version has no spaces"),
            ("line 4", "name", "'A' is the same package as 'a' in line 2"),
        ],
    ),
    # JSON
    ("json", "", [("the document", None, "not JSON: it ends too early")]),
    ("json", '[\n{"name": "a"},\n{"name" "b"}]', [("line 3", None, "not JSON: expected ':'")]),
    ("json", "[1] 2", [("line 1", None, "not JSON: trailing characters")]),
    ("json", '[{"name": NaN}]', [("line 1", None, "not JSON: invalid character")]),
    ("json", "[" * 100_000, [("the document", None, "nested too deeply")]),
    ("json", b'[\n"\xff"]', [("line 2", None, "not UTF-8: save the file as UTF-8")]),
    ("json", '["\\udc00\\ud800"]', [("line 1", None, "invalid utf-16 surrogate pair")]),
    ("json", "7", [("the document", None, "a list of records belongs here, or one that")]),
    ("json", '{"packages": {}}', [("the document", None, "a list of records belongs here")]),
    (
        "json",
        '{"packages": [7], "package": [], "as_of": "2024-02"}',
        [
            ("the document", None, "besides packages there is no 'package'"),
            ("the document", "as_of", "a whole day belongs here, got '2024-02'"),
            ("record 1", None, "a record with named fields belongs here"),
        ],
    ),
    (
        "json",
        '{"packages": [], "as_of": true}',
        [("the document", "as_of", "a date is written 2024-02-26, 2024-02 or 2024, got True")],
    ),
    (
        "json",
        '[{"name": "a", "title": "\\u0000"}, {"name": "b", "version": %s}]' % ("9" * 400),
        [
            ("record 1", "title", "the character U+0000 cannot be shown"),
            ("record 2", "version", "text belongs here, not an int"),
        ],
    ),
    ("json", "[%s]" % ("9" * 5000), [("the document", None, "not JSON: Integer value out of")]),
    # NDJSON
    (
        "ndjson",
        b'\xef\xbb\xbf{"name": "a"}\n{"name": "b"\n\n{"name": "\xff"}\n[\r\n'
        + b"[" * 100_000
        + b'\n{"name": "c", "title": 1}',
        [
            ("line 2", None, "not JSON: it ends too early"),
            ("line 4", None, "not UTF-8 at byte 11 of the line: save the file as UTF-8"),
            ("line 5", None, "not JSON: it ends too early"),
            ("line 6", None, "nested too deeply"),
            ("line 7", "title", "text belongs here, not an int, got 1"),
        ],
    ),
    ("ndjson", '{"name": "a"}\n"\\ud800"', [("line 2", None, "not JSON")]),
    # CSV and TSV
    ("csv", "", [("line 1", None, "the first row has to name the columns, with a comma between")]),
    (
        "csv",
        "nmae;title\na;b",
        [
            ("line 1", None, "there is no field 'nmae;title'"),
            ("line 1", None, "the first row has to name the columns, with a comma between them"),
        ],
    ),
    (
        "tsv",
        "name,title\na,b",
        [
            ("line 1", None, "there is no field 'name,title'"),
            ("line 1", None, "the first row has to name the columns, with a tab between them"),
        ],
    ),
    (
        "csv",
        "name,titel,version,version\na,b,c,d\n",
        [
            ("line 1", None, "there is no field 'titel' (did you mean 'title'?)"),
            ("line 1", "version", "two columns are called so"),
        ],
    ),
    (
        "csv",
        '\n name ,description\na\nb,c,d\ne,"two\nlines"\nf,"a" b\ng,\nh,i,\n',
        [
            ("line 3", None, "there are 1 cells, and 2 columns in the first row"),
            ("line 4", None, "there are 3 cells, and 2 columns in the first row"),
            ("line 7", None, 'write "" for a quote'),
            ("line 9", None, "there are 3 cells, and 2 columns in the first row"),
        ],
    ),
    (
        "csv",
        'name,title\na,"b\nc,d\n',
        [("line 2", None, 'a cell begins with " and the file ends before')],
    ),
    (
        "csv",
        b"name,title\na,b\n\xff,c\nd,\xff\n,e\n",
        [
            ("line 3", None, "not UTF-8 at byte 1 of the line"),
            ("line 4", None, "not UTF-8 at byte 3 of the line"),
            ("line 5", "name", "a package needs one"),
        ],
    ),
    ("csv", b"\xff\xfename,title\na,b\n", [("line 1", None, "not UTF-8 at byte 1 of the line")]),
    ("csv", "name,title\ra,b\r", [("line 1", None, "a line ends with a carriage return alone")]),
    (
        "csv",
        (
            "name,sources,releases\n"
            'a,PyPI,"[{""version"": 1}]"\n'
            f"b,{'[' * 100_000},\n"
            'c,"{""version"": {""source"": ""\\ud800"", ""seen"": 2024}}",'
        ),
        [
            ("line 2", "sources", "several values belong here"),
            ("line 2", "releases", "a release is a version and a date"),
            ("line 3", "sources", "several values belong here"),
            ("line 4", "sources", "the character U+D800 cannot be shown"),
        ],
    ),
    # YAML
    ("yaml", "", [("the document", None, "a list of records belongs here")]),
    ("yaml", "- name: a\n- name: b: c\n", [("line 2", None, "not YAML: mapping values are not")]),
    ("yaml", "- name: a\n  name: b\n", [("line 1", None, "that begins here has 'name' twice")]),
    ("yaml", "- ? [a]\n  : b\n", [("line 1", None, "a key is text, got ['a']")]),
    ("yaml", "- &x {name: a}\n- *x\n", [("line 2", None, "*x: write out what it stands for")]),
    ("yaml", "- name: !!int 5\n", [("line 1", None, "a tag is not read: take 'tag:yaml.org")]),
    ("yaml", "- !!python/tuple []\n", [("line 1", None, "a tag is not read")]),
    ("yaml", "- name: a\n---\n- name: b\n", [("line 2", None, "a second document begins")]),
    ("yaml", "- [\n" + "[" * 200_000, [("line 2", None, "nested more than 100 deep")]),
    ("yaml", "- name: a\n  title: \0", [("line 2", None, "the character U+0000 is not allowed")]),
    ("yaml", b"- name: a\n- name: \xff", [("line 2", None, "not UTF-8")]),
    ("yaml", '- name: "\\ud800"', [("line 1", None, "invalid Unicode character escape code")]),
    ("yaml", '- name: "a', [("line 1", None, "not YAML: found unexpected end of stream")]),
    ("yaml", "packages: []\nas_of: 2024\n", [("the document", "as_of", "a whole day belongs")]),
    (
        "yaml",
        "- name: a\n  last_commit: 2024-02-30\n  last_update: .nan\n- last_commit: 2024-13\n",
        [
            ("record 1", "last_commit", "the calendar has no 2024-02-30"),
            ("record 1", "last_update", "a date is written 2024-02-26"),
            ("record 2", "last_commit", "the calendar has no 2024-13"),
            ("record 2", "name", "a package needs one"),
        ],
    ),
    # TOML
    ("toml", "", [("the document", None, "a list of records belongs here")]),
    ("toml", 'packages = 1\n"', [("the end", None, "not TOML: Unterminated string")]),
    ("toml", "\n\nname = a", [("line 3", None, "not TOML: Invalid value")]),
    ("toml", "a = 1\na = 2\n", [("line 2", None, "not TOML: Cannot overwrite a value")]),
    ("toml", "a = " + "[" * 100_000, [("the document", None, "nested too deeply")]),
    ("toml", "\n[" + "a." * 100_000 + "a]", [("line 2", None, "a key has more than 10 dots")]),
    ("toml", "a=[\n{" + '\'a\' . "\\"" .' * 6 + "a = 1}]", [("line 2", None, "a key has more")]),
    ("toml", f"a='x{'.' * 11}'#{'.' * 11}\nb = {'a.' * 11}", [("line 2", None, "a key has more")]),
    ("toml", 'a={b="""c"""", ' + "a." * 11, [("line 1", None, "a key has more")]),
    ("toml", f"packages=[]\ntitle='{'a.' * 99}'", []),
    ("toml", f'packages=[] # {"a." * 99}\ntitle="""{"a." * 99}\'\n{"a." * 99}"""', []),
    ("toml", "a = " + "9" * 5000, [("the document", None, "not TOML")]),
    ("toml", b'a = 1\nb = "\xff"', [("line 2", None, "not UTF-8")]),
    (
        "toml",
        (
            '[[packages]]\nname = "a"\nversion = 1.10\nlast_commit = 10:00:00\n'
            'last_update = nan\n[[packages]]\ntitle = ""\n[package]\n'
        ),
        [
            ("the document", None, "besides packages there is no 'package'"),
            ("record 1", "version", "text belongs here, not a float, got 1.1"),
            ("record 1", "last_commit", "a date is written 2024-02-26"),
            ("record 1", "last_update", "a date is written 2024-02-26"),
            ("record 2", "title", "a package needs one"),
            ("record 2", "name", "a package needs one"),
        ],
    ),
]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    MISTAKES,
    ids=[f"{form}-{number}" for number, (form, _, _) in enumerate(MISTAKES, 1)],
)
def test_each_mistake_is_told_with_its_place(
    form: str, text: str | bytes, expected: list[tuple[str, str | None, str]]
) -> None:
    found = problems(form, text)
    assert [(problem.where, problem.field) for problem in found] == [e[:2] for e in expected]
    for problem, (_, _, reason) in zip(found, expected, strict=True):
        assert reason in problem.reason
        assert "\n" not in str(problem)


def test_a_record_with_a_mistake_is_not_given() -> None:
    loader = reading("json", '[{"name": "a", "x": 1}, {"name": "b"}, {"name": "B"}]')
    assert list(loader) == [Entry("record 2", {"name": "b"})]


def test_yaml_is_read_without_libyaml_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    test_each_format_gives_checked_values_with_their_places("yaml")
    for form, text, expected in MISTAKES:
        # Half a surrogate pair is the parser's mistake with libyaml, the field's without.
        if form == "yaml" and "ud800" not in str(text):
            assert [problem[:2] for problem in problems(form, text)] == [e[:2] for e in expected]


def test_aliases_cannot_blow_up() -> None:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    [problem] = problems("yaml", laughs)
    assert problem == Problem("line 2", None, "*a: write out what it stands for")


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_problems_are_bounded(form: str) -> None:
    rows = ['{"name": 1}'] * 3000
    text = {
        "json": f"[{','.join(rows)}]",
        "ndjson": "\n".join(rows),
        "csv": "name\n" + "-\n" * 3000,
    }[form]
    found = problems(form, text)
    assert len(found) == 1001
    assert found[-1].reason == "there are more problems than these 1,000, and reading stopped"
    assert len(problems("ndjson", "\n".join(rows[:1000]))) == 1000
    assert len(problems("ndjson", "{\n" * 5000)) == 1001


def test_a_line_has_a_largest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 50)
    line = '{"name": "a", "title": "' + "x" * 24 + '"}'
    assert len(line) == 50
    text = f'{line}\n{line}x\n{{"name": "b"}}\n{line}xx'
    loader = reading("ndjson", text)
    assert [entry.where for entry in loader] == ["line 1", "line 3"]
    assert [str(problem) for problem in loader.problems] == [
        "line 2: longer than 50 bytes",
        "line 4: longer than 50 bytes",
    ]
    assert loader.position == len(text)


def test_a_quote_that_is_never_closed_is_not_read_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 500)
    found = problems("csv", 'name,title\na,b\nc,"d\n' + "e,f\n" * 1000)
    assert [str(problem) for problem in found] == [
        "line 3: longer than 500 characters: a quote is never closed"
    ]


@pytest.mark.parametrize("form", ["json", "yaml", "toml"])
def test_a_document_has_a_largest_size(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXTS[form].encode()
    monkeypatch.setitem(loaders.DOCUMENT_BYTES, form, len(text))
    assert problems(form, text) == []
    with pytest.raises(AuthDBError, match=r"^standard input: larger than 0 MiB.*use NDJSON"):
        list(reading(form, text + b" "))


# -- files -----------------------------------------------------------------------------------


def error(*arguments: Any) -> str:
    """What a loader of that says, in one line."""
    with pytest.raises(AuthDBError) as caught:
        list(Loader(*arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "x.json"
    assert error(missing) == f"{missing}: there is no such file"
    assert error(missing / "y.csv") == f"{missing / 'y.csv'}: there is no such file"
    (tmp_path / "d.csv").mkdir()
    assert error(tmp_path / "d.csv").endswith(": it is a folder: name the files in it")
    assert "it cannot be read" in error("a\0b.csv")
    assert "it cannot be read" in error("x" * 5000 + ".csv")


def test_a_file_may_be_refused_by_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("name\na\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root
    assert error(path) == (f"{path}: no permission to read it: see who owns it and its folder")


def test_the_format_has_to_be_known(tmp_path: Path) -> None:
    assert error(tmp_path / "a.xlsx") == (
        f"{tmp_path / 'a.xlsx'}: .xlsx is no ending of ours: say what it is with --format, one "
        "of json, ndjson, csv, tsv, yaml, toml"
    )
    assert "it has no ending to go by" in error(tmp_path / "a")
    assert error(io.BytesIO(), None, "-").startswith("standard input: it has no ending to go by")
    assert "no format is called 'jsn' (did you mean 'json'?)" in error(io.BytesIO(), "jsn")
    path = tmp_path / "a.txt"
    path.write_text("name\na")
    assert [entry.fields for entry in Loader(path, "csv", "the list")] == [{"name": "a"}]


# -- anything at all -------------------------------------------------------------------------

PIECES = [
    *(b'"', b"'", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"[", b"]", b"{", b"}", b","),
    *(b":", b"- ", b"&a ", b"*a", b"!!int ", b"!x ", b"<<: ", b"? ", b"|\n", b"#", b"---\n"),
    *(b"9" * 5000, b"0x" + b"f" * 6000, b"1e999", b"NaN", b"null", b"~", b"\t", b"true"),
    *(b"\\ud800", b"\\u0000", b"(" * 150, b"[" * 3000, b'{"a":' * 3000, b"2024-02-30"),
    *(b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b"[[packages]]\n", b"="),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"%YAML 1.2\n", b"members = []\n"),
]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes]:
    """A format, and a file of it in which something was changed."""
    form = draw(st.sampled_from(sorted(FORMATS)))
    data = bytearray(TEXTS[form].encode())
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = begin + draw(st.sampled_from([0, 0, 1, 5, 60]))
        data[begin:end] = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)))
    return form, bytes(data)


def is_sound(form: str, data: bytes) -> None:
    """Reading it gives records and problems, or our error; and says so in plain lines."""
    loader = reading(form, data)
    try:
        for entry in loader:
            assert entry.fields["name"]
        told = [str(problem) for problem in loader.problems]
    except AuthDBError as failed:
        told = [str(failed)]
    for line in told:
        assert line.isprintable()


@given(spoiled())
@settings(max_examples=300)
def test_spoiled_files_are_told_of_and_nothing_else(case: tuple[str, bytes]) -> None:
    is_sound(*case)


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=200))
def test_any_bytes_at_all(form: str, data: bytes) -> None:
    is_sound(form, data)
