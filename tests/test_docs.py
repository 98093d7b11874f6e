"""The pages: what they show is what happens, and what they link to is there.

In the pages of `EXECUTED` each ``pycon`` block is a doctest and each ``console`` block is run by a
shell; what they print is held to the letter, but for times to the second. A block whose language is
followed by the name of a file is that file. All blocks of a page run in the order of the page, in
one folder of its own, so a page can be read as one story.
"""

from __future__ import annotations

import doctest
import os
import re
import runpy
import subprocess
import sysconfig
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt

import authdb
from authdb import AuthDB, MyZODB, editions, exceptions
from authdb.catalog import INDEXES
from authdb.commands.asking import question
from authdb.fields import kinds
from authdb.importing import ON_CONFLICT, load
from authdb.loaders import Loader
from authdb.models import CATEGORIES, FIELDS
from authdb.parser import build_parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
QUERIES = DOCS / "queries.md"
API = DOCS / "api.md"
HISTORY = DOCS / "history.md"
EXECUTED = [QUERIES, API, HISTORY]
LINKING = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.glob("*.md")),
]

MARKDOWN = MarkdownIt("commonmark").enable("table")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# -- running the blocks ----------------------------------------------------------------------


class Block(NamedTuple):
    """One fenced block: its language, its text, the number of its first line, from 0, and the
    name of the file that it is."""

    language: str
    text: str
    line: int
    file: str


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """The blocks in these languages; without any, all."""
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        language, _, file = token.info.partition(" ")
        if token.type == "fence" and (language in languages or not languages) and token.map:
            yield Block(language, token.content, token.map[0] + 1, file)


class Command(NamedTuple):
    """One command of a console block, and what the page says it prints."""

    command: str
    output: str
    line: int


def commands(block: Block) -> Iterator[Command]:
    """A line that starts with ``$ `` is a command; the lines after it are its output."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"a console block starts with a command, not with {parts[0]!r}"
    line = block.line
    for command, output in zip(parts[1::2], parts[2::2], strict=True):
        yield Command(command, output, line)
        line += 1 + output.count("\n")


def shell(command: str, folder: Path) -> str:
    """What ``command`` prints, on standard output and standard error together."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AUTHDB_")}
    env["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), env["PATH"]])
    env |= {"AUTHDB_PATH": "catalogue", "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"}
    env["LOGNAME"] = "you"  # whom the history names
    # As on a terminal, what is said comes in the order in which it is said.
    env["PYTHONUNBUFFERED"] = "1"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=60,
    ).stdout


def timeless(text: str) -> str:
    """``text`` with one time in place of all: it is another whenever the page is run."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2024-02-26 14:30:00", text)


def run_console(page: Path, block: Block, folder: Path) -> str:
    """What went otherwise than the block says; empty if nothing did."""
    for command, output, line in commands(block):
        printed = shell(command, folder)
        if timeless(printed) != timeless(output):
            return f"{relative(page)}:{line + 1}: $ {command}\n{printed}-- but the page:\n{output}"
    return ""


def run_python(page: Path, block: Block, names: dict[str, Any]) -> str:
    """The same for a doctest, which reads and sets ``names``."""
    test = doctest.DocTestParser().get_doctest(
        block.text, names, page.name, relative(page), block.line
    )
    reports: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=reports.append, clear_globs=False)
    names.update(test.globs)  # get_doctest has made a copy
    return "".join(reports)


@pytest.mark.parametrize("page", EXECUTED, ids=relative)
def test_what_the_page_shows_happens(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    try:
        for block in blocks(page):
            wrong = ""
            if block.file:
                (tmp_path / block.file).write_text(block.text, "utf-8")
            elif block.language == "console":
                wrong = run_console(page, block, tmp_path)
            elif block.language == "pycon":
                wrong = run_python(page, block, names)
            if wrong:
                pytest.fail(wrong, pytrace=False)
    finally:
        for value in names.values():
            if isinstance(value, (AuthDB, MyZODB)):
                value.close()


# -- what the pages copy from the code -------------------------------------------------------


def table(page: Path, *heads: str) -> list[list[str]]:
    """The rows of the one table with these heads."""
    tables = []
    rows: list[list[str]] = []
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and len(rows[-1]) < len(rows[0]) + (len(rows) == 1):
            rows[-1].append(token.content)
        elif token.type == "table_close":
            tables.append(rows)
            rows = []
    (found,) = [rows[1:] for rows in tables if rows[0] == list(heads)]
    return found


def test_the_vocabulary_is_that_of_the_code() -> None:
    assert table(QUERIES, "category", "means") == [
        [f"`{category}`", about] for category, about in CATEGORIES.items()
    ]


#: What the page calls the kinds of value.
KINDS = {
    kinds.NAME: "name",
    kinds.OTHER_NAME: "name",
    kinds.TITLE: "text",
    kinds.PROSE: "text",
    kinds.URL: "link",
    kinds.VERSION: "version",
    kinds.LICENSE: "licence",
    kinds.SPECIFIER: "specifier",
    kinds.DATE: "date",
    kinds.CATEGORIES: "categories",
    kinds.NUMBERS: "numbers",
    kinds.DEVELOPMENT_STATUS: "development status",
    kinds.PROJECT_STATUS: "project status",
    kinds.REPOSITORY_STATUS: "repository status",
    kinds.VULNERABILITIES: "vulnerabilities",
    kinds.RELEASES: "releases",
    kinds.SOURCES: "sources",
}


def test_the_fields_are_those_of_the_code() -> None:
    assert table(API, "field", "holds", "value") == [
        [f"`{field.name}`", field.about, KINDS[field.kind]] for field in FIELDS.values()
    ]
    assert [value for value, *_ in table(API, "value", "in Python", "takes")] == list(
        dict.fromkeys(KINDS[field.kind] for field in FIELDS.values())
    )


def test_the_indexes_are_those_of_the_code() -> None:
    told = {}
    for names, _, questions in table(QUERIES, "index", "holds", "can be asked"):
        told |= dict.fromkeys(re.findall(r"\w+", names), questions.replace("`", ""))
    assert told == {name: index.ANSWERS for name, index in INDEXES.items()}


def test_the_ways_to_load_are_those_of_the_code() -> None:
    told = dict(table(API, "keyword", "means"))
    assert {name for name in told if "on_conflict" in name} == {
        f'`on_conflict="{how}"`' for how in ON_CONFLICT
    }


def test_the_command_reference_is_what_the_parser_says() -> None:
    reference = runpy.run_path(str(DOCS / "make_commands.py"))["reference"]
    page = (DOCS / "commands.md").read_text("utf-8")
    assert page == reference(), "make docs writes it anew"


@pytest.fixture(scope="module")
def shipped() -> Iterator[AuthDB]:
    """The list that the page about queries asks."""
    with AuthDB.in_memory() as db:
        load(db, Loader(editions.path("2024-02-26")))
        yield db


def test_each_operator_says_the_same_as_text_and_as_object(shipped: AuthDB) -> None:
    names = {name: getattr(authdb, name) for name in authdb.__all__}
    for text, query, count in table(QUERIES, "text", "object", "matches"):
        as_text = shipped.find(text.strip("`"))
        as_object = shipped.find(eval(query.strip("`"), names))
        assert list(as_text.docids) == list(as_object.docids), text
        assert str(len(as_text)) == count, text


def test_each_option_says_the_same_as_its_text(shipped: AuthDB) -> None:
    for option, text in table(QUERIES, "option", "asks"):
        options = build_parser().parse_args(["query", *option.strip("`").split()])
        asked = shipped.find(question(options)[0])
        assert list(asked.docids) == list(shipped.find(text.strip("`")).docids), option
        assert asked, option


def test_each_operator_of_the_package_is_shown() -> None:
    shown = " ".join(query for _, query, _ in table(QUERIES, "text", "object", "matches"))
    operators = set(authdb.__all__) - {"AuthDB", "AuthDBError", "MyZODB", "Package"}
    assert operators == {name for name in operators if re.search(rf"\b{name}\(", shown)}


# -- the tree of errors ----------------------------------------------------------------------


def drawn(tree: str) -> dict[str, str | None]:
    """Each class in the drawing, and the class it hangs from."""
    found: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in filter(str.strip, tree.splitlines()):
        name = re.search(r"\w+", line)
        assert name
        while above and above[-1][0] >= name.start():
            above.pop()
        found[name[0]] = above[-1][1] if above else None
        above.append((name.start(), name[0]))
    return found


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    (block,) = [block for block in blocks(API, "text") if "AuthDBError" in block.text]
    tree = drawn(block.text)
    classes = {
        name: cls
        for name, cls in vars(exceptions).items()
        if isinstance(cls, type) and issubclass(cls, (Exception, Warning))
    }
    assert set(tree) == set(classes)
    for name, parent in tree.items():
        bases = [base.__name__ for base in classes[name].__bases__]
        assert bases[0] == (parent or bases[0]), name
        line = next(line for line in block.text.splitlines() if re.search(rf"\b{name}\b", line))
        # What else it is, the line says too; of the two at the top it says it of one.
        for base in bases[1:]:
            assert base in line, name


def test_the_attributes_of_errors_are_told() -> None:
    for names, attributes in table(API, "error", "attributes"):
        for name in re.findall(r"`(\w+)`", names):
            about = getattr(exceptions, name).__doc__
            for attribute in re.findall(r"``(\w+)``", about.partition("Attribute")[2]):
                assert attribute in attributes, name


# -- the front page --------------------------------------------------------------------------


def readme_sessions() -> list[Block]:
    """The sessions on the front page that show what authdb prints."""
    return [
        block
        for block in blocks(ROOT / "README.md", "console")
        if ">>>" not in block.text
        and any(one.output for one in commands(block))
        and all(one.command.startswith(("authdb ", "cat ")) for one in commands(block))
    ]


def test_the_front_page_is_true(tmp_path: Path) -> None:
    """From its top to its end, as someone who follows it types it."""
    with AuthDB.create(tmp_path / "catalogue") as db:
        load(db, Loader(editions.path("today")))
    for block in readme_sessions():
        for command, output, _ in commands(block):
            if command.startswith("cat "):
                (tmp_path / command.removeprefix("cat ")).write_text(output, "utf-8")
            printed = shell(command, tmp_path)
            if output:  # it need not show everything
                assert timeless(printed) == timeless(output), command


def test_the_script_on_the_front_page_runs(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "auth-packages") as db:
        load(db, Loader(editions.path("today")))
    (script,) = [
        block.text
        for block in blocks(ROOT / "README.md", "python")
        if 'AuthDB.open("~/auth-packages"' in block.text
    ]
    # In a folder of its own: beside it, the folder of the database would be found as a package.
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "script.py").write_text(script, "utf-8")
    printed = shell("HOME=$PWD python scripts/script.py", tmp_path)
    assert "Traceback" not in printed
    assert printed


# -- links and paths -------------------------------------------------------------------------


def links(page: Path) -> Iterator[str]:
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        for child in token.children or ():
            target = child.attrs.get("href", child.attrs.get("src"))
            if target is not None:
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    tokens = MARKDOWN.parse(page.read_text("utf-8"))
    found: set[str] = set()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            text = "".join(child.content for child in token.children or ())
            name = base = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number = 0
            while name in found:
                number += 1
                name = f"{base}-{number}"
            found.add(name)
    return found


@pytest.mark.parametrize("page", LINKING, ids=relative)
def test_each_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT.resolve()), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", LINKING, ids=relative)
def test_no_page_speaks_of_one_machine(page: Path) -> None:
    text = page.read_text("utf-8")
    paths = re.findall(r"(?<![\w.~/-])/(?:home|root|tmp|work|opt|mnt|Users|Volumes)\b\S*", text)
    assert paths + re.findall(r"\b[A-Z]:\\\S*", text) == []
