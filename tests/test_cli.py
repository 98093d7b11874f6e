"""The command line, run as a process on real files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from commandline import (
    AUTHDB,
    PYTHON,
    Ended,
    Terminal,
    environment,
    names,
    ok,
    ok_all,
    on_terminal,
    run,
    run_all,
    told,
)

from authdb import AuthDB
from authdb.models import FIELDS
from authdb.parser import build_parser

ALPHA = {
    "name": "drf-alpha",
    "title": "Alpha",
    "description": "Token authentication for each device",
    "categories": ["token"],
    "last_release": "2018-05-01",
    "version": "1.0",
    "license": "MIT",
}
BETA = {
    "name": "drf-beta",
    "title": "Beta",
    "categories": ["oauth2", "jwt"],
    "last_commit": "2019-11-30",
    "last_release": "2019-12-31",
}
GAMMA = {
    "name": "drf-gamma",
    "title": "Gamma tokens",
    "categories": ["oauth2"],
    "last_commit": "2020-01-01",
    "license": "BSD-3-Clause",
}
DELTA = {"name": "drf-delta", "title": "Délta · 東京", "categories": ["jwt"], "last_update": "2020"}
EPSILON = {"name": "drf-epsilon", "title": "Nothing is known of it"}
RECORDS = (ALPHA, BETA, GAMMA, DELTA, EPSILON)
NAMES = [record["name"] for record in RECORDS]

READING = (
    ("query", "--before", "2020"),
    ("list",),
    ("show", "drf-alpha"),
    ("check",),
    ("export",),
    ("publish", "markdown"),
    ("stats",),
    ("facets", "--any", "token"),
    ("histogram", "--by", "month"),
    ("shell", "-c", "len(db)"),
)
CHANGING = (
    ("remove", "drf-alpha"),
    ("check", "--repair"),
    ("reindex",),
    ("pack",),
    ("shell", "--write", "-c", "len(db)"),
)


def ndjson(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the five packages, not to be changed."""
    folder = tmp_path_factory.mktemp("template") / "db"
    made = run("--db", folder, "load", "-", "--format", "ndjson", stdin=ndjson(*RECORDS))
    assert made.out == "5 added, 0 changed, 0 unchanged, 0 ignored\n"
    told(made, 0, f"made a new database in {folder}")
    return folder


@pytest.fixture
def db(template: Path, tmp_path: Path) -> Path:
    """A database of the five packages."""
    return Path(shutil.copytree(template, tmp_path / "db"))


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the curated list, not to be changed."""
    folder = tmp_path_factory.mktemp("edition") / "db"
    made = ok("init", "--with-list", "2024-02-26", "--db", folder)
    assert made.lines == [
        f"made an empty database in {folder}",
        "loaded 14 packages of the curated list (2024-02-26)",
    ]
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """What is in the files that make a database."""
    return {file.name: file.read_bytes() for file in folder.glob("*.fs")}


# -- where the database is -------------------------------------------------------------------


def test_the_database_is_named_in_three_ways(db: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    ok("init", "--db", elsewhere)
    own = shutil.copytree(db, tmp_path / "share" / "authdb")
    stats = ("stats", "--format", "json")
    commands = [("--db", db, *stats), (*stats, "--db", db), ("--db", elsewhere, *stats, "--db", db)]
    for ended in ok_all(commands, AUTHDB_PATH=str(elsewhere)):
        assert ended.json["packages"] == 5
    assert ok(*stats, AUTHDB_PATH="~/db", HOME=str(tmp_path)).json["packages"] == 5
    for unset in (None, ""):
        found = ok(*stats, XDG_DATA_HOME=str(own.parent), AUTHDB_PATH=unset)
        assert found.json["packages"] == 5


def test_without_a_database_nothing_is_made(tmp_path: Path) -> None:
    missing = tmp_path / "db"
    for ended in run_all([*READING, *CHANGING], AUTHDB_PATH=str(missing), cwd=tmp_path):
        told(ended, 3, str(missing), "no database here; make one with: authdb init")
        assert ended.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nobody_can_name(tmp_path: Path) -> None:
    told(run("--db", "", "list"), 2, "--db: it names no folder")
    told(run("--db", "~nosuchuser/db", "list"), 2, "~nosuchuser/db", "--db or AUTHDB_PATH")
    code = (
        "import os, pwd; pwd.getpwuid = {}.__getitem__\n"  # a user that the system does not know
        "from authdb.cli import main; raise SystemExit(main(['init']))"
    )
    homeless = run("-c", code, command=PYTHON, HOME=None, AUTHDB_PATH=None, cwd=tmp_path)
    told(homeless, 2, "home folder", "--db or AUTHDB_PATH")
    assert list(tmp_path.iterdir()) == []


# -- init ------------------------------------------------------------------------------------


def test_init_makes_an_empty_database(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    assert ok("--db", folder, "init").out == f"made an empty database in {folder}\n"
    assert ok("--db", folder, "list").out == "0 packages\n"
    assert ok("--db", folder, "check").out == "0 packages: all is well\n"
    before = content(folder)
    told(run("--db", folder, "init", "--with-list"), 2, "there is a database already")
    assert content(folder) == before


def test_init_with_the_list(edition: Path, tmp_path: Path) -> None:
    assert len(ok("--db", edition, "list", "--format", "ndjson").lines) == 14
    today = ok("--db", tmp_path / "db", "init", "--with-list")
    assert "of the curated list (today)" in today.out
    wrong = run("--db", tmp_path / "none", "init", "--with-list", "yesterday")
    told(wrong, 2, "'yesterday'", "2024-02-26", "today")
    assert not (tmp_path / "none").exists()


# -- load ------------------------------------------------------------------------------------


def test_load_tells_every_mistake_of_every_file_and_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(
        "name,title,categories,last_update\n"
        "drf-one,One,oath2,2024-13-01\n"
        "drf-two,Two,jwt,2024-01-01\n"
        ",Three,jwt,\n"
    )
    (tmp_path / "two.json").write_text('[{"name": "drf-four", "titel": "Four"}, 5]')
    (tmp_path / "good.json").write_text('[{"name": "drf-good", "title": "Good"}]')
    (tmp_path / "three.ndjson").write_text('{"name": "drf-five", "title": "Five"}\n{"name": \n')
    files = ("one.csv", "two.json", "good.json", "three.ndjson")
    ended = run("--db", "db", "load", *files, cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    mistakes = [line.removeprefix("authdb: ") for line in ended.err.splitlines()]
    assert [" ".join(mistake.split()[:3]) for mistake in mistakes] == [
        "one.csv: line 2:",
        "one.csv: line 2:",
        "one.csv: line 4:",
        "two.json: record 1:",
        "two.json: record 2:",
        "three.ndjson: line 2:",
    ]
    for mistake, words in zip(
        mistakes,
        (
            ("categories", "'oath2'", "'oauth2'"),
            ("last_update", "'2024-13-01'"),
            ("name: a package needs one",),
            ("'titel'", "'title'"),
            ("5",),
            ("JSON",),
        ),
        strict=True,
    ):
        for word in words:
            assert word in mistake
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(files)


def test_what_stands_in_the_folder_stays_when_a_load_fails(tmp_path: Path) -> None:
    for name in ("data.fs.bak", "notes.txt"):
        (tmp_path / name).write_text("mine")
    ended = run("--db", tmp_path, "load", "-", "--format", "ndjson", stdin="{}")
    told(ended, 2, "standard input: line 1: name: a package needs one")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.fs.bak", "notes.txt"]


def test_load_changes_all_or_nothing(db: Path) -> None:
    before = content(db)
    stdin = ndjson({"name": "drf-new", "title": "New"}, {"name": "drf-alpha", "license": "mine"})
    told(
        run("--db", db, "load", "-", "--format", "ndjson", stdin=stdin),
        2,
        "standard input: line 2: license: an SPDX expression",
        "'mine'",
    )
    assert content(db) == before


def test_load_says_what_it_did(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.jsonl"
    file.write_text(
        ndjson(ALPHA, {"name": "DRF.beta", "version": "2.0"}, {"name": "n", "title": "N"})
    )
    counts = "1 added, 1 changed, 1 unchanged, 0 ignored"
    before = content(db)
    dry = ok("--db", db, "load", file, "--dry-run")
    assert dry.out == f"{counts} (dry run: nothing was written)\n"
    assert content(db) == before
    assert ok("--db", db, "load", file, "--note", "from the newsletter").out == f"{counts}\n"
    after = content(db)
    assert b"from the newsletter" in after["data.fs"]
    again = ok("--db", db, "load", file, "--dry-run", "--no-dry-run")
    assert again.out == "0 added, 0 changed, 3 unchanged, 0 ignored\n"
    assert content(db) == after  # what changes nothing writes nothing
    (beta,) = ok("--db", db, "show", "drf-beta", "--format", "json").json
    assert beta == {**BETA, "version": "2.0", "last_update": "2019-12-31"}


def test_a_dry_run_makes_no_database_and_needs_no_lock(db: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    load = ("load", "-", "--format", "ndjson", "--dry-run")
    counts = ok("--db", missing, *load, stdin=ndjson(*RECORDS)).out
    assert counts == "5 added, 0 changed, 0 unchanged, 0 ignored (dry run: nothing was written)\n"
    assert not missing.exists()
    with AuthDB.open(db):
        assert ok("--db", db, *load, stdin=ndjson(ALPHA)).out.startswith("0 added, 0 changed, 1 un")


@pytest.mark.parametrize(
    ("how", "counts", "beta"),
    [
        ("update", "1 added, 1 changed, 0 unchanged, 0 ignored", ("Better", "2019-12-31")),
        ("replace", "1 added, 1 changed, 0 unchanged, 0 ignored", ("Better", None)),
        ("ignore", "1 added, 0 changed, 0 unchanged, 1 ignored", ("Beta", "2019-12-31")),
        ("error", None, ("Beta", "2019-12-31")),
    ],
)
def test_what_load_does_with_packages_that_are_there(
    db: Path, tmp_path: Path, how: str, counts: str | None, beta: tuple[str, str | None]
) -> None:
    file = tmp_path / "more.ndjson"
    file.write_text(
        ndjson({"name": "new", "title": "New"}, {"name": "drf-beta", "title": "Better"})
    )
    loaded, after = run_all(
        [("--db", db, "load", file, "--on-conflict", how), ("--db", db, "export")]
    )
    if counts is None:
        told(loaded, 2, "line 2: name", "'drf-beta'")
    else:
        assert loaded == Ended(f"{counts}\n", "", 0)
    rows = {row["name"]: row for row in after.json}
    assert (rows["drf-beta"]["title"], rows["drf-beta"].get("last_release")) == beta
    assert len(rows) == (5 if counts is None else 6)


def test_load_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "no-ending").write_text("[]")
    (tmp_path / "file.txt").write_text("[]")
    (tmp_path / "folder.json").mkdir()
    cases: dict[tuple[str | bytes, ...], str] = {
        ("nowhere.json",): "nowhere.json: there is no such file",
        ("no-ending",): "--format",
        ("file.txt",): ".txt is no ending of ours",
        ("folder.json",): "it is a folder",
        ("-",): "standard input: it has no ending",
        ("-", "-", "--format", "csv"): "standard input (-) can be read once only",
        ("-", "--format", "xml"): "xml",
        (b"caf\xe9.json",): "there is no such file",
        ("",): "",
    }
    load = [("--db", "db", "load", *case) for case in cases]
    for words, ended in zip(cases.values(), run_all(load, cwd=tmp_path), strict=True):
        told(ended, 2, words)
    assert not (tmp_path / "db").exists()


# -- query and list --------------------------------------------------------------------------


def test_the_options_of_query(template: Path) -> None:
    a, b, g, d, e = NAMES
    cases: dict[tuple[str, ...], list[str]] = {
        (): [a, b, g, d, e],
        ("--before", "2020"): [a, b],
        ("--until", "2019-12-31"): [a, b],
        ("--until", "2020"): [a, b, g, d],
        ("--since", "2019-12-31"): [b, g, d],
        ("--after", "2019-12-31"): [g, d],
        ("--after", "2020"): [],
        ("--between", "2018", "2019"): [a, b],
        ("--between", "2019-12", "2020-01-01"): [b, g, d],
        ("--before", "2020", "--date", "last_commit"): [b],
        ("--since", "0001", "--date", "last_release"): [a, b],
        ("--any", "oauth2,token"): [a, b, g],
        ("--any", "oauth2", "--any", "token"): [a, b, g],
        ("--all", "oauth2,jwt"): [b],
        ("--all", "oauth2", "--all", "jwt"): [b],
        ("--any", "jwt", "--since", "2020"): [d],
        ("--search", "token*"): [g, a],
        ("--search", "device", "--sort", "name"): [a],
        ("license == 'MIT'",): [a],
        ("not (license == 'MIT')", "--before", "2020"): [b],
        ("last_update < day", "--name", "day=2019"): [a],
        ("name == wanted", "--name", "wanted=drf-beta' or 'x' == 'x"): [],
        ("--sort", "name"): sorted(NAMES),
        ("--sort", "name", "--reverse"): sorted(NAMES, reverse=True),
        ("--sort", "name", "--reverse", "--no-reverse"): sorted(NAMES),
        ("--sort", "last_update", "--reverse"): [g, d, b, a, e],
        ("--sort", "license"): [g, a, b, d, e],
        ("--limit", "2"): [a, b],
        ("--limit", "0"): [],
        ("--limit", "9" * 5000, "--offset", "3"): [d, e],
        ("--offset", "9" * 30): [],
        ("--limit", "2", "--offset", "1"): [b, g],
    }
    queries = [("--db", template, "query", "--format", "json", *case) for case in cases]
    for (case, expected), ended in zip(cases.items(), run_all(queries), strict=True):
        assert ended.status == 0, (case, ended)
        assert names(ended) == expected, case


def test_query_refuses_in_one_line(template: Path) -> None:
    cases: dict[tuple[str | bytes, ...], str] = {
        ("last_update < ",): "at character",
        ("",): "the query is empty",
        (b"title == '\xff'",): "",
        ("a" * 20_000,): "10000 at most",
        ("(" * 9000,): "",
        ("nonsense == 'x'",): "'nonsense'",
        ("last_update < day",): "day",
        ("__import__('os').system('true')",): "",
        ("--name", "day"): "NAME=VALUE",
        ("--before", "yesterday"): "--before: a date is written 2024-02-26, 2024-02 or 2024",
        ("--before", ""): "--before",
        ("--before", "2024-02-30"): "2024-02-30",
        ("--between", "2020", "2019"): "2020 is later than 2019",
        ("--between", "2020"): "--between",
        ("--date", "birthday"): "--date",
        ("--any", "oath2"): "'oauth2'",
        ("--any", ""): "--any and --all take categories",
        ("--any", " , "): "--any and --all take categories",
        ("--any", b"\xff"): "unknown category",
        ("--search", ""): "",
        ("--search", b"\xff"): "",
        ("--sort", "size"): "'size'",
        ("--sort", "relevance"): "relevance",
        ("--sort", ""): "",
        ("--limit", "-1"): "a number from 0 on belongs here, not '-1'",
        ("--limit", "1.5"): "'1.5'",
        ("--limit", "٣"): "a number from 0 on",
        ("--limit", ""): "--limit",
        ("--columns", ""): "--columns: name at least one field",
        ("--columns", ","): "--columns: name at least one field",
        ("--columns", "name,titel"): "'titel' (did you mean 'title'?)",
        ("--columns", b"\xff"): "there is no field",
        ("--columns", "x" * 30_000): "there is no field",
        ("--format", "xml"): "--format",
        ("--lim", "3"): "--lim",
        ("--no-such-option",): "--no-such-option",
        ("name == 'a'", "name == 'b'"): "unrecognized",
        ("name == 'a'", "two\nlines"): "unrecognized",
    }
    queries = [("--db", template, "query", *case) for case in cases]
    for (case, words), ended in zip(cases.items(), run_all(queries), strict=True):
        assert (ended.out, ended.status) == ("", 2), (case, ended)
        told(ended, 2, words)


def test_rows_of_json_have_every_field(template: Path) -> None:
    rows = ok("--db", template, "query", "--format", "json", "--sort", "name").json
    assert all(list(row) == list(FIELDS) for row in rows)
    alpha, beta, delta, epsilon, _ = rows
    assert {field: value for field, value in alpha.items() if field in ALPHA} == ALPHA
    assert (alpha["last_update"], beta["last_update"]) == ("2018-05-01", "2019-12-31")
    assert (delta["title"], delta["last_update"]) == (DELTA["title"], "2020")
    assert epsilon == dict.fromkeys(FIELDS) | EPSILON | {
        "categories": [],
        "python_versions": [],
        "django_versions": [],
        "vulnerabilities": [],
        "releases": [],
        "sources": {},
    }


def test_the_formats_of_an_answer(template: Path) -> None:
    lists = ("--db", template, "list", "--columns", "name, title ,last_update", "--format")
    json_, ndjson_, csv_, tsv, markdown, table = run_all(
        [(*lists, form) for form in ("json", "ndjson", "csv", "tsv", "markdown", "table")]
    )
    expected = [
        {"name": r["name"], "title": r["title"], "last_update": r.get("last_update")}
        for r in sorted(RECORDS, key=lambda r: str(r["name"]))
    ]
    days = {"drf-alpha": "2018-05-01", "drf-beta": "2019-12-31", "drf-gamma": "2020-01-01"}
    for row in expected:
        row["last_update"] = row["last_update"] or days.get(str(row["name"]))
    assert json_.json == expected
    assert [json.loads(line) for line in ndjson_.lines] == expected
    cells = [["" if cell is None else cell for cell in row.values()] for row in expected]
    assert list(csv.reader(io.StringIO(csv_.out)))[1:] == cells
    assert [line.split("\t") for line in tsv.lines][1:] == cells
    assert markdown.lines[0] == r"| name | title | last\_update |"
    assert markdown.lines[3] == "| drf-beta | Beta | 2019-12-31 |"
    assert table.lines[0].split() == ["name", "title", "last_update"]
    assert table.lines[1].replace(" ", "") == "-" * len(table.lines[1].replace(" ", ""))
    assert [line.split()[0] for line in table.lines[2:-1]] == [row["name"] for row in expected]
    assert table.lines[-1] == "5 packages"
    assert all(ended.err == "" for ended in (json_, ndjson_, csv_, tsv, markdown, table))


def test_a_part_of_the_answer_says_so(template: Path) -> None:
    table = ok("--db", template, "list", "--limit", "2", "--columns", "name,name")
    assert table.lines == ["name", "---------", "drf-alpha", "drf-beta", "2 of 5 packages"]
    part = run("--db", template, "list", "--limit", "2", "--format", "json")
    assert len(part.json) == 2
    told(part, 0, "2 of 5 packages")


def test_fail_empty(template: Path) -> None:
    query = ("--db", template, "query", "--fail-empty")
    nothing, none, some, limited = run_all(
        [
            (*query, "--before", "1990"),
            (*query, "--before", "1990", "--format", "json"),
            (*query, "--before", "2020"),
            (*query, "--before", "2020", "--limit", "0"),
        ]
    )
    assert nothing == Ended("0 packages\n", "", 1)
    assert none == Ended("[]\n", "", 1)
    assert (some.status, limited.status) == (0, 0)


# -- show, remove, stats, publish ------------------------------------------------------------


def test_show(template: Path, edition: Path) -> None:
    show = ("--db", template, "show")
    assert ok(*show, "DRF_Epsilon", "drf-alpha", "drf-alpha").out == (
        "name   drf-epsilon\n"
        "title  Nothing is known of it\n"
        "\n"
        "name          drf-alpha\n"
        "title         Alpha\n"
        "description   Token authentication for each device\n"
        "categories    token\n"
        "last_update   2018-05-01\n"
        "last_release  2018-05-01\n"
        "version       1.0\n"
        "license       MIT\n"
    )
    both = ok(*show, "drf-epsilon", "drf-delta", "--format", "json").json
    assert both == [EPSILON, DELTA]
    text = ok("--db", edition, "show", "djoser").out
    assert "  [PyPI JSON, /pypi/djoser/json, seen 20" in text
    assert ", ...  [" in text  # the latest of its releases


def test_names_that_no_package_has(db: Path) -> None:
    before = content(db)
    for command in ("show", "remove"):
        ended = run("--db", db, command, "drf-alpha", "drf-bta", "", b"\xff")
        assert (ended.out, ended.status) == ("", 1)
        assert ended.err.splitlines() == [
            "authdb: no package is called 'drf-bta' (did you mean 'drf-beta'?)",
            "authdb: no package is called ''",
            r"authdb: no package is called '\udcff'",
        ]
    assert content(db) == before


def test_remove(db: Path) -> None:
    removed = ok("--db", db, "remove", "drf-beta", "DRF-Beta", "drf-alpha", "--note", "why not")
    assert removed.out == "removed drf-beta, drf-alpha\n"
    assert names(ok("--db", db, "list", "--format", "json")) == sorted(NAMES[2:])
    assert ok("--db", db, "check").out == "3 packages: all is well\n"
    assert b"why not" in content(db)["data.fs"]


def test_stats(template: Path) -> None:
    assert ok("--db", template, "stats", "--format", "json").json == {
        "packages": 5,
        "generation": 1,
        "category": {"jwt": 2, "oauth2": 2, "(none)": 1, "token": 1},
        "year": {"2020": 2, "2019": 1, "2018": 1, "(unknown)": 1},
        "license": {"(unknown)": 3, "BSD-3-Clause": 1, "MIT": 1},
    }
    text = ok("--db", template, "stats").lines
    assert text[0] == f"5 packages, 1 change, in {template}"
    assert "2020                   2" in text


def test_publish(edition: Path, tmp_path: Path) -> None:
    page = ok("--db", edition, "publish", "markdown").out
    assert page.startswith("# ")
    assert "26 February 2024" in page
    file = tmp_path / "page.md"
    assert ok("--db", edition, "publish", "markdown", "-o", file).out == ""
    assert file.read_text("utf-8") == page


# -- export ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "ndjson", "yaml", "toml", "csv", "tsv"])
def test_what_export_writes_load_reads(edition: Path, tmp_path: Path, form: str) -> None:
    file, copy = tmp_path / f"all.{form}", tmp_path / "copy"
    exported, _, loaded, again, written = ok_all(
        [
            ("--db", edition, "export", "-o", file),
            ("--db", copy, "init"),
            ("--db", copy, "load", file),
            ("--db", copy, "load", file, "--on-conflict", "replace"),
            ("--db", copy, "export", "--format", form),
        ]
    )
    assert exported.out == ""
    assert loaded.out == "14 added, 0 changed, 0 unchanged, 0 ignored\n"
    assert again.out == "0 added, 0 changed, 14 unchanged, 0 ignored\n"
    assert written.out == file.read_text("utf-8")
    with AuthDB.open(edition, read_only=True) as old, AuthDB.open(copy, read_only=True) as new:
        assert {p.name: p.record() for p in old} == {p.name: p.record() for p in new}


def test_export_goes_by_the_ending_or_says_what_it_needs(template: Path, tmp_path: Path) -> None:
    export = ("--db", template, "export")
    assert len(ok(*export).json) == len(ok(*export, "-o", "-").json) == 5
    told(run(*export, "-o", tmp_path / "all.txt"), 2, ".txt is no ending of ours", "--format")
    assert ok(*export, "--format", "yaml", "-o", tmp_path / "all.txt").out == ""
    assert (tmp_path / "all.txt").read_text("utf-8").startswith("- name: drf-alpha\n")


def test_a_file_that_cannot_be_written(db: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder.json"
    folder.mkdir()
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    before = content(db)
    cases = {
        tmp_path / "no" / "folder" / "all.json": "there is no folder",
        folder: "",
        "": "",
        "x" * 300 + ".json": "",
        "/dev/full": "the disk is full",
        db / "data.fs": "choose another name",
    }
    exports = [("--db", db, "export", "--format", "json", "-o", case) for case in cases]
    for words, ended in zip(cases.values(), run_all(exports, cwd=tmp_path), strict=True):
        assert ended.out == ""
        told(ended, 2, words)
    assert content(db) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["db", "folder.json", "loop.json"]


def test_a_file_that_is_replaced_keeps_its_permissions(template: Path, tmp_path: Path) -> None:
    secret, link, fresh = tmp_path / "secret.json", tmp_path / "link.json", tmp_path / "fresh.json"
    secret.write_text("old")
    secret.chmod(0o640)
    link.symlink_to(secret)
    ok("--db", template, "export", "-o", link)
    assert link.is_symlink()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o640
    assert len(json.loads(secret.read_text("utf-8"))) == 5
    assert shell('umask 027; "$@"', "--db", template, "export", "-o", fresh) == Ended("", "", 0)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o640
    assert len(list(tmp_path.iterdir())) == 3


def test_devices_and_pipes_are_written_to_and_stay(template: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    export = ("--db", template, "export", "--format", "ndjson", "-o")
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as cat:
        ok(*export, fifo)
        assert len(cat.communicate()[0].splitlines()) == 5
    assert fifo.is_fifo()
    ok(*export, "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert len(ok(*export, "/dev/stdout").lines) == 5


def test_an_export_that_is_cut_short_leaves_the_old_file(edition: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    file.write_text("old")

    def small() -> None:  # the system lets files grow to 10,000 bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [*AUTHDB, "--db", edition, "export", "-o", file],
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=small,
    )
    told(Ended(done.stdout, done.stderr, done.returncode), 2, str(file), "larger than the system")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    for delay in (0.15, 0.2, 0.25):  # killed before, while, or after it is written
        process = subprocess.Popen(
            [*AUTHDB, "--db", edition, "export", "-o", file], env=environment()
        )
        time.sleep(delay)
        process.kill()
        process.wait()
        text = file.read_text("utf-8")
        assert text == "old" or len(json.loads(text)) == 14


# -- check, reindex, pack --------------------------------------------------------------------


@contextmanager
def catalog_root(db: Path) -> Iterator[Any]:
    """The root of the catalog's file, opened with ZODB alone; what is changed is stored."""
    import transaction
    import ZODB
    from ZODB.FileStorage import FileStorage

    database = ZODB.DB(FileStorage(str(db / "catalog.fs")))
    try:
        with transaction.manager, database.transaction() as connection:
            yield connection.root()
    finally:
        database.close()


def lose_an_entry(db: Path) -> None:
    with catalog_root(db) as root:
        index = root["catalog"]["categories"]
        index._fwd_index.pop("jwt")


def swap_values(db: Path) -> None:
    with catalog_root(db) as root:
        documents = root["catalog"]["name"]._rev_index
        documents[1], documents[2] = documents[2], documents[1]


def drop_an_index(db: Path) -> None:
    with catalog_root(db) as root:
        del root["catalog"]["license"]


def go_back(db: Path) -> None:
    """An older catalog.fs is copied back, that is not just a change or two behind."""
    shutil.copy(db / "catalog.fs", db / "older")
    with AuthDB.open(db) as writer:
        for number in range(12):
            writer.update("drf-alpha", version=str(number))
    shutil.move(db / "older", db / "catalog.fs")


def take_another(db: Path) -> None:
    """The catalog.fs of another database is copied here."""
    other = db.parent / "other"
    ok("--db", other, "init")
    shutil.copy(other / "catalog.fs", db / "catalog.fs")


def lose_the_file(db: Path) -> None:
    (db / "catalog.fs").unlink()


def spoil_the_file(db: Path) -> None:
    (db / "catalog.fs").write_bytes(b"\0garbage" * 1000)


def cut_the_file(db: Path) -> None:
    os.truncate(db / "catalog.fs", 3000)


@pytest.mark.parametrize(
    "spoil",
    [
        lose_an_entry,
        swap_values,
        drop_an_index,
        go_back,
        take_another,
        lose_the_file,
        spoil_the_file,
        cut_the_file,
    ],
)
def test_check_finds_a_wrong_catalog_and_mends_it(db: Path, spoil: Callable[[Path], None]) -> None:
    spoil(db)
    check = ("--db", db, "check")
    found, mended, well = run_all([check, (*check, "--repair"), check])
    assert (found.status, found.err) == (mended.status, mended.err) == (1, "")
    assert "catalog" in found.lines[0] or "index" in found.lines[0]
    assert found.lines[-1] == "authdb check --repair builds the catalog anew"
    assert mended.lines[-1] == "the catalog was built anew"
    assert well == Ended("5 packages: all is well\n", "", 0)


def test_who_opens_it_says_that_the_catalog_had_to_be_healed(db: Path) -> None:
    lose_the_file(db)
    before = content(db)
    for ended in run_all([("list",), ("stats",)], AUTHDB_PATH=str(db)):
        told(ended, 0, "the catalog was rebuilt", "in memory only; see: authdb check")
    assert run("--db", db, "check").status == 1
    assert content(db) == before  # to look is not to touch
    changed, after = run_all([("remove", "drf-alpha"), ("list",)], AUTHDB_PATH=str(db))
    told(changed, 0, "the catalog was rebuilt")
    assert (after.err, after.lines[-1]) == ("", "4 packages")


@pytest.mark.parametrize("how", ["an older file is copied back", "the end is cut off"])
def test_check_tells_of_a_lost_tail_and_repair_accepts_it(db: Path, how: str) -> None:
    before = content(db)["data.fs"]
    ok("--db", db, "remove", "drf-alpha")
    after = content(db)["data.fs"]
    left = before if "older" in how else after[:-10]
    (db / "data.fs").write_bytes(left)
    changes = [("remove", "drf-beta"), ("reindex",), ("pack",)]
    listed, found, *refused = run_all([("list",), ("check",), *changes], AUTHDB_PATH=str(db))
    assert (listed.status, listed.lines[-1]) == (0, "5 packages")
    assert "warning" in listed.err
    assert "has lost its tail" in listed.err
    assert (found.status, found.err) == (1, "")
    assert "has lost its tail: it ends with change 1, the catalog has seen change 2" in found.out
    assert "authdb check --repair" in found.out
    for ended in refused:
        told(ended, 3, "has lost its tail", "authdb check --repair")
    assert content(db)["data.fs"] == left  # nothing was cut off
    accept, *after = run_all([("check", "--repair"), ("check",), *changes], AUTHDB_PATH=str(db))
    assert (accept.status, accept.err) == (1, "")
    assert "lost their tail" in accept.out
    assert after[0].out == "5 packages: all is well\n"
    assert {ended.status for ended in after} == {0}


def test_check_tells_what_only_a_backup_brings_back(db: Path) -> None:
    data = (db / "data.fs").read_bytes()
    assert data.count(b"Gamma tokens") == 1
    (db / "data.fs").write_bytes(data.replace(b"Gamma tokens", b"Gamma tokeNs"))
    for found in run_all([("check",), ("check", "--repair")], AUTHDB_PATH=str(db)):
        assert found.status == 1
        assert "drf-gamma" in found.out
        assert "digest differs" in found.out
        assert found.lines[-1].endswith("makes a new database of all that is whole")


def test_reindex_and_pack(db: Path) -> None:
    _, reindexed, packed, check = ok_all(
        [("remove", "drf-alpha"), ("reindex",), ("pack",), ("check",)], AUTHDB_PATH=str(db)
    )
    assert reindexed.out == "indexed 4 packages\n"
    told, sizes, kept = packed.lines
    assert told.startswith("2 earlier states will be gone; c2 of ")
    before, after = (int(sizes.split()[n].replace(",", "")) for n in (1, 4))
    assert kept.endswith(".old")
    assert before > after == sum(len(data) for data in content(db).values())
    assert check.out == "4 packages: all is well\n"


# -- a database that is locked or damaged ----------------------------------------------------


def test_a_second_writer_is_told_who_writes(db: Path) -> None:
    load = ("load", "-", "--format", "ndjson")
    with AuthDB.open(db):
        for ended in run_all([*CHANGING, load], AUTHDB_PATH=str(db)):
            told(ended, 3, f"process {os.getpid()} is writing to it")
        for ended in run_all(READING, AUTHDB_PATH=str(db)):
            assert (ended.err, ended.status) == ("", 0)


@pytest.mark.parametrize("what", ["garbage", "empty", "folder", "foreign", "file", "newer"])
def test_a_damaged_database_is_one_line(db: Path, what: str) -> None:
    data = db / "data.fs"
    if what == "garbage":
        data.write_bytes(os.urandom(5000))
    elif what == "empty":
        data.write_bytes(b"")
    elif what == "folder":
        data.unlink()
        data.mkdir()
    elif what == "file":
        shutil.rmtree(db)
        db.write_text("not a folder")
    else:
        import transaction
        import ZODB
        from ZODB.FileStorage import FileStorage

        if what == "foreign":
            data.unlink()
        database = ZODB.DB(FileStorage(str(data)))
        with transaction.manager, database.transaction() as connection:
            connection.root()["format"] = 99 if what == "newer" else "mine"
        database.close()
    before = content(db) if db.is_dir() and data.is_file() else None
    for ended in run_all([*READING, *CHANGING[:2]], AUTHDB_PATH=str(db)):
        assert ended.out == ""
        told(ended, 3, str(db))
    if before is not None:
        assert content(db) == before or what == "empty"  # ZODB writes a beginning into that
    else:
        load = run("--db", db, "load", "-", "--format", "ndjson", stdin=ndjson(ALPHA))
        assert load.status == 3, load


# -- streams that end early, are closed or full ----------------------------------------------


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose packages no pipe holds."""
    folder = tmp_path_factory.mktemp("big") / "db"
    stdin = ndjson(
        *({"name": f"drf-{n}", "title": f"{n}", "description": "long " * 99} for n in range(400))
    )
    run("--db", folder, "load", "-", "--format", "ndjson", stdin=stdin)
    return folder


def shell(script: str, *arguments: Any) -> Ended:
    """What a shell does with a script, in which "$@" is authdb with these arguments."""
    return run(*arguments, command=("/bin/sh", "-c", script, "sh", *AUTHDB))


def test_a_reader_that_has_had_enough(big: Path) -> None:
    script = 'status=$({ { "$@"; echo $? >&3; } | head -n 1 >/dev/null; } 3>&1); echo $status'
    for command in ("export", "list --columns=description", "publish markdown"):
        assert shell(script, "--db", big, *command.split()) == Ended("0\n", "", 0)
    bad = big.parent / "bad.ndjson"
    bad.write_text("{}\n" * 999)  # of mistakes, too, one may have had enough
    assert shell('"$@" 2>&1 | true', "--db", big, "load", bad).err == ""


def test_a_closed_or_full_standard_output(template: Path) -> None:
    for command in (("list",), ("export",), ("query", "--help")):
        for script, word in (('"$@" >&-', "Bad file descriptor"), ('"$@" >/dev/full', "full")):
            told(shell(script, "--db", template, *command), 2, "standard output: ", word)


def test_other_closed_streams(db: Path) -> None:
    before = content(db)
    assert shell('"$@" 2>&-', "--db", db, "list", "--columns", "name").lines[-1] == "5 packages"
    assert shell('"$@" 2>&-', "--db", db, "show", "nobody") == Ended("", "", 1)
    assert shell('"$@" 2>&- >&- <&-', "--db", db, "show", "nobody") == Ended("", "", 1)
    assert shell('"$@" 2>/dev/full', "--db", db, "show", "nobody") == Ended("", "", 1)
    load = ("--db", db, "load", "-", "--format", "ndjson")
    told(shell('"$@" <&-', *load), 2, "standard input: it cannot be read")
    # With all three closed, the first files opened would get their numbers.
    assert shell('"$@" <&- 2>&- >&-', *load) == Ended("", "", 2)
    assert content(db) == before
    assert "all is well" in ok("--db", db, "check").out


@pytest.mark.parametrize("there", [True, False])
def test_ctrl_c_while_loading(db: Path, tmp_path: Path, there: bool) -> None:
    folder = db if there else tmp_path / "new"
    before = content(folder)
    process = subprocess.Popen(
        [*AUTHDB, "--db", folder, "load", "-", "--format", "ndjson"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(ndjson(*({"name": f"new-{n}", "title": "New"} for n in range(3000))))
    process.stdin.flush()  # by now it has read nearly all of it, and waits for the rest
    time.sleep(0.2)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    out, err = process.communicate()
    assert (out, err) == ("", "authdb: interrupted\n")
    assert content(folder) == before
    assert folder.exists() == there
    assert run("--db", folder, "load", "-", "--format", "ndjson", stdin=ndjson(ALPHA)).status == 0


# -- locales ---------------------------------------------------------------------------------


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_a_locale_without_the_letters(template: Path, tmp_path: Path) -> None:
    file = tmp_path / "né.ndjson"
    file.write_text(ndjson(DELTA))
    programs = [("export",), ("list", "--format", "csv"), ("show", "drf-delta", "--format", "json")]
    people = [("show", "drf-delta"), ("show", "née")]
    shown, missing, *same = run_all([*people, *programs], AUTHDB_PATH=str(template), **ASCII)
    assert same == ok_all(programs, AUTHDB_PATH=str(template))  # for programs it is UTF-8
    assert r"D\xe9lta \xb7 \u6771\u4eac" in shown.out
    told(missing, 1, "no package is called")
    assert ok("--db", template, "load", file, "--dry-run", **ASCII).out.startswith("0 added")


def test_paths_that_are_not_utf8(tmp_path: Path) -> None:
    folder, file = os.fsencode(tmp_path) + b"/d\xff", os.fsencode(tmp_path) + b"/f\xff.json"
    made, *_, again = run_all(
        ("--db", folder, *command)
        for command in (("init", "--with-list"), ("export", "-o", file), ("load", file), ("init",))
    )
    assert rf"made an empty database in {tmp_path}/d\udcff" in made.out
    told(again, 2, r"d\udcff")
    assert os.path.exists(file)  # noqa: PTH110 - pathlib knows no bytes


# -- on a terminal ---------------------------------------------------------------------------


def test_at_80_columns_nothing_is_lost(edition: Path, template: Path) -> None:
    def letters(text: str) -> str:
        return "".join(sorted(character for character in text if character.isalnum()))

    fits = [
        ("--db", edition, "list"),
        ("--db", edition, "query", "--before", "2020", "--columns", "name,title,description"),
        ("--db", edition, "show", "djoser", "django-oauth-toolkit"),
        ("--db", edition, "stats"),
        ("--db", edition, "check"),
        ("--db", template, "list", "--columns", "title,name"),
    ]
    everything = ("--db", edition, "list", "--columns", ",".join(FIELDS))
    *shown, blocks = on_terminal([*fits, everything])
    *piped, wide = ok_all([*fits, everything])
    for ended in (*shown, blocks):
        assert ended.status == 0
        assert max(map(len, ended.lines)) <= 80, ended.out
        assert "…" not in ended.out
    for ended, same in zip(shown, piped, strict=True):
        assert letters(ended.out) == letters(same.out)
    # Too many columns to stand side by side: each package is a block, and its heads stand there.
    assert letters(blocks.out) == letters(wide.out + 13 * "".join(FIELDS))


def test_long_lines_of_a_pipe_are_not_wrapped(edition: Path) -> None:
    lines = ok("--db", edition, "list", "--columns", "name,description,categories").lines
    assert len(lines) == 14 + 3
    assert max(map(len, lines)) > 100
    assert not any("\x1b" in line for line in lines)


def test_colours_are_for_terminals_that_want_them(template: Path) -> None:
    def codes(**variables: str) -> set[str]:
        with Terminal("--db", template, "show", "drf-alpha", **variables) as terminal:
            assert "Token authentication" in terminal.read()
            assert terminal.end() == 0
            return set(re.findall("\x1b[^m]*m", terminal.text))

    assert "\x1b[1m" in codes()
    assert not [code for code in codes(NO_COLOR="1") if re.search("[349][0-7]", code)]
    assert codes(TERM="dumb") == set()


def test_the_help_of_each_command_fits(tmp_path: Path) -> None:
    (commands,) = (a.choices for a in build_parser()._actions if a.dest == "command" and a.choices)
    assert [*commands][:5] == ["init", "load", "query", "list", "show"]
    assert [*commands][5:8] == ["stats", "facets", "histogram"]
    assert [*commands][8:13] == ["choose", "compare", "stale", "audit", "refresh"]
    assert [*commands][13:20] == ["shell", "export", "publish", "remove", "log", "diff", "undo"]
    assert [*commands][20:25] == ["check", "recover", "reindex", "copy", "pack"]
    assert [*commands][25:] == ["backup", "restore", "inspect"]
    helps = run_all([("--help",), *((name, "--help") for name in commands)], COLUMNS="80")
    for ended in helps:
        assert (ended.err, ended.status) == ("", 0)
        assert max(map(len, ended.lines)) <= 80
        assert "==SUPPRESS==" not in ended.out
    version = ok("--version").out
    assert version.startswith("authdb ")
    told(run(), 2, "COMMAND", "authdb --help")
    told(run("lst"), 2, "'lst'", "list")


def test_the_progress_bar(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "more[1].ndjson"
    file.write_text(ndjson(*({"name": f"new-{n}", "title": "New"} for n in range(500))))
    load = ("--db", db, "load", file, "--dry-run")
    counts = "500 added, 0 changed, 0 unchanged, 0 ignored (dry run: nothing was written)\n"

    def bar(*more: str) -> bool:
        with Terminal(*load, *more, on=["stderr"]) as terminal:
            shown = terminal.read()
            assert terminal.end() == 0
            return "more[1].ndjson" in shown and "━" in shown

    assert bar()
    assert not bar("--no-progress")
    assert not bar("--progress", "--no-progress")
    assert ok(*load) == Ended(counts, "", 0)
    forced = run(*load, "--progress")
    assert (forced.out, forced.status) == (counts, 0)
    assert "━" in forced.err
    with Terminal(*load) as terminal:
        assert terminal.read().endswith(counts)


# -- the process itself ----------------------------------------------------------------------


def test_a_short_command_imports_only_what_it_needs(template: Path) -> None:
    code = (
        "import sys; from authdb.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    heavy = {"rich", "msgspec", "yaml", "IPython", "packaging", "platformdirs", "tomllib", "json"}
    for command in (("query", "--before", "2020", "--any", "oauth2"), ("list",)):
        ended = run("-c", code, "--db", template, *command, command=PYTHON)
        assert ended.status == 0
        assert not heavy & set(ended.err.split()), command


def test_a_mistake_of_ours_is_one_line_too(template: Path) -> None:
    code = (
        "import authdb.commands.asking as c, authdb.cli as cli\n"
        "def broken(options): raise TypeError('two\\nlines')\n"
        "c.do_list = broken\n"
        "raise SystemExit(cli.main(['list']))"
    )
    import sys

    told(run("-c", code, command=[sys.executable]), 3, "TypeError: two lines", "please report")
    assert "Traceback" in run("-c", code, command=PYTHON).err


def test_the_script_is_the_module(template: Path) -> None:
    import sys

    script = Path(sys.executable).with_name("authdb")
    assert ok("--db", template, "list", command=[script]) == ok("--db", template, "list")


def test_the_year_of_today_changes_nothing(template: Path) -> None:
    year = str(date.today().year + 1)
    assert names(ok("--db", template, "query", "--after", year, "--format", "json")) == []
