"""compare, stale and audit as processes: what they show, and the status that a CI job goes by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from commandline import Terminal, ok, ok_all, run, run_all, told
from indexserver import IndexServer, redirect, status
from oracle import store

from authdb import AuthDB, Package

NOW = datetime.now(timezone.utc).date()
RECENT = NOW - timedelta(days=100)

PACKAGES: tuple[dict[str, Any], ...] = (
    {
        "name": "drf-old",
        "title": "DRF Old",
        "description": "Signs people in, as it did in the days of old. " * 3,
        "categories": ("token",),
        "last_release": "2016-05-01",
        "requires_drf": "<3",
        "replaced_by": "drf-new",
        "license": "MIT",
    },
    {
        "name": "drf-new",
        "title": "DRF New",
        "categories": ("token", "jwt"),
        "last_release": RECENT,
        "requires_drf": ">=3.14",
        "license": "MIT",
    },
    {
        "name": "drf-leaky",
        "title": "DRF Leaky",
        "categories": ("jwt",),
        "last_release": RECENT,
        "project_status": "archived",
        "vulnerabilities": [{"id": "CVE-2024-1", "summary": "Tokens leak into the log"}],
    },
    {"name": "drf-unknown", "title": "DRF Unknown"},
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The option that names a database of these packages."""
    folder = tmp_path_factory.mktemp("watching") / "db"
    with AuthDB.create(folder) as db:
        store(db, [Package(**record) for record in PACKAGES])
    return ["--db", str(folder)]


# -- compare ---------------------------------------------------------------------------------


def test_compare_in_a_pipe(there: list[str]) -> None:
    shown = ok(*there, "compare", "drf-new", "DRF_leaky", "--only-differences").lines
    assert shown == [
        "   fact             drf-new     drf-leaky",
        "-  ---------------  ----------  ------------------------------------",
        "*  title            DRF New     DRF Leaky",
        "*  categories       token, jwt  jwt",
        "*  requires_drf     >=3.14      (unknown)",
        "*  license          MIT         (unknown)",
        "*  project_status   (unknown)   archived",
        "*  vulnerabilities  (unknown)   CVE-2024-1: Tokens leak into the log",
        "* 6 of 8 facts differ",
    ]


def test_compare_for_pages_and_programs(there: list[str]) -> None:
    both = (*there, "compare", "drf-old", "drf-new")
    markdown, found, everything = ok_all(
        [
            [*both, "--format", "markdown"],
            [*both, "--format", "json", "--only-differences"],
            [*both, "--format", "json", "--all"],
        ]
    )
    assert markdown.lines[:2] == ["| Fact | drf-old | drf-new |", "|---|---|---|"]
    assert "| **requires\\_drf** | \\<3 | \\>=3.14 |" in markdown.lines
    assert "| license | MIT | MIT |" in markdown.lines
    assert found.json["packages"] == ["drf-old", "drf-new"]
    assert all(fact["differs"] for fact in found.json["facts"])
    assert "license" not in [fact["fact"] for fact in found.json["facts"]]
    assert len(everything.json["facts"]) > len(found.json["facts"])


@pytest.mark.parametrize("columns", [80, 120])
def test_compare_three_on_a_terminal(there: list[str], columns: int) -> None:
    names = ("drf-old", "drf-new", "drf-leaky")
    with Terminal(*there, "compare", *names, columns=columns) as terminal:
        lines = terminal.read().splitlines()
        assert terminal.end() == 0
    assert lines[0].split() == ["fact", *names]
    assert max(map(len, lines)) <= columns
    assert sum(line.startswith(("*  title", "   title")) for line in lines) == 1
    assert " ".join(lines).count("days") == 3


def test_compare_needs_two_different_names_that_there_are(there: list[str]) -> None:
    told(run(*there, "compare", "drf-old"), 2, "at least two")
    told(run(*there, "compare", "drf-old", "DRF.Old"), 2, "at least two")
    ended = run(*there, "compare", "drf-odl", "drf-new", "nothing")
    assert (ended.out, ended.status) == ("", 1)
    assert [line[:40] for line in ended.err.splitlines()] == [
        "authdb: no package is called 'drf-odl' (",
        "authdb: no package is called 'nothing'",
    ]


# -- stale -----------------------------------------------------------------------------------


def test_stale_lists_and_its_status_tells(there: list[str]) -> None:
    ended = run(*there, "stale")
    assert (ended.err, ended.status) == ("", 1)
    assert ended.lines[0].split() == ["name", "last_update", "age"]
    assert re.fullmatch(r"drf-old  2016-05-01   \d+ years( \d+ months?)?", ended.lines[2])
    assert re.fullmatch(r"1 of 4 packages without an update since \d{4}-\d\d-\d\d", ended.lines[3])
    assert ended.lines[4:] == ["not known of 1 package: last_update"]
    none = ok(*there, "stale", "--older-than", "500y")
    assert none.lines[0].startswith("0 of 4 packages without an update since 1")


def test_stale_for_programs(there: list[str]) -> None:
    ended = run(*there, "stale", "--older-than", "1w", "--format", "json")
    assert ended.status == 1
    found = ended.json
    assert [each["name"] for each in found["stale"]] == ["drf-old", "drf-new", "drf-leaky"]
    assert found["stale"][1]["last_update"] == RECENT.isoformat()
    assert (found["packages"], found["unknown"], found["older_than"]) == (4, 1, "1w")
    assert found["day"] > found["since"] > RECENT.isoformat()
    told(run(*there, "stale", "--older-than", "2 summers"), 2, "--older-than", "'2 summers'")


def test_stale_as_of_a_moment(there: list[str]) -> None:
    assert ok(*there, "stale", "--as-of", "c0").lines[0].startswith("0 of 0 packages")


# -- audit -----------------------------------------------------------------------------------


def test_audit_writes_a_line_a_concern(there: list[str]) -> None:
    ended = run(*there, "audit", "--ignore", "uninstallable")
    assert (ended.err, ended.status) == ("", 1)
    assert [line.split()[:2] for line in ended.lines[:-2]] == [
        ["name", "kind"],
        ["---------", "----------"],
        ["drf-leaky", "archived"],
        ["drf-leaky", "vulnerable"],
        ["drf-old", "stale"],
        ["drf-old", "replaced"],
    ]
    assert ended.lines[-2] == "4 concerns, about 2 of 4 packages"
    unknown = "last_update of 1, development_status of 4, project_status of 3, "
    unknown += "repository_status of 4, vulnerabilities of 3"
    assert ended.lines[-1] == f"not known, and so not judged: {unknown}"


def test_audit_knows_todays_frameworks(there: list[str]) -> None:
    ended = run(*there, "audit", "--only", "uninstallable")
    assert ended.status == 1
    pattern = r"drf-old +uninstallable +requires djangorestframework<3: today's is 3\.\d+(\.\d+)?"
    assert re.fullmatch(pattern, ended.lines[2])


def test_what_is_accepted_does_not_fail_a_job(there: list[str]) -> None:
    accepted = ("--ignore", "vulnerable,archived", "--ignore", "drf-old:replaced")
    stale_only, nothing = run_all(
        [
            [*there, "audit", "--only", "stale,replaced,vulnerable", *accepted],
            [*there, "audit", "--only", "stale,replaced", *accepted, "--ignore", "DRF_old:stale"],
        ]
    )
    assert (stale_only.status, nothing.status) == (1, 0)
    assert stale_only.lines[3] == "1 concern, about 1 of 4 packages; 1 accepted"
    assert nothing.lines[0] == "no concern about 4 packages; 2 accepted"


def test_audit_of_some_packages(there: list[str]) -> None:
    some = (*there, "audit", "drf-new", "--only", "stale,vulnerable")
    assert ok(*some).lines == [
        "no concern about 1 package",
        "not known, and so not judged: vulnerabilities of 1",
    ]
    told(run(*there, "audit", "drf-newer"), 1, "'drf-newer'", "'drf-new'")


def test_what_audit_is_asked_wrongly_is_told(there: list[str]) -> None:
    told(run(*there, "audit", "--only", "stael"), 2, "'stael'", "'stale'")
    told(run(*there, "audit", "--only", "dead"), 2, "--links")
    told(run(*there, "audit", "--only", ""), 2, "--only")
    told(run(*there, "audit", "--ignore", "drf-old:old"), 2, "'old'")
    ended = run(*there, "audit", "--only", "gone", "--ignore", "drf-odl:stale")
    told(ended, 0, "no package is called 'drf-odl'")


def test_audit_for_programs(there: list[str]) -> None:
    ended = run(*there, "audit", "--only", "vulnerable", "--format", "json")
    assert ended.status == 1
    found = ended.json
    assert found["concerns"] == [
        {
            "name": "drf-leaky",
            "kind": "vulnerable",
            "text": "CVE-2024-1: Tokens leak into the log",
        }
    ]
    assert (found["packages"], found["unknown"]) == (4, {"vulnerabilities": 3})
    assert set(found["frameworks"]) == {"django", "djangorestframework", "seen"}
    assert "links" not in found


def test_audit_on_a_terminal_stands_below_the_names(there: list[str]) -> None:
    asked = ("audit", "--only", "stale,replaced,vulnerable")
    with Terminal(*there, *asked, columns=40) as terminal:
        lines = terminal.read().splitlines()
        assert terminal.end() == 1
    assert lines[:3] == [
        "drf-leaky",
        "  vulnerable  CVE-2024-1: Tokens leak",
        "              into the log",
    ]
    assert lines[3] == "drf-old"
    assert max(map(len, lines[: lines.index("")])) <= 40


# -- links -----------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[tuple[IndexServer, list[str]]]:
    """A server, and the option that names a database of packages with links to it."""
    with IndexServer() as server, AuthDB.create(tmp_path / "db") as db:
        server.paths["/well"] = {}
        server.paths["/old"] = redirect("/well", 301)
        server.paths["/busy"] = status(503, retry_after=0)
        paths = {"a": "/well", "b": "/gone", "c": "/old", "d": "/busy", "e": "/well"}
        for name, path in paths.items():
            db.add(Package(name, name, repository=f"{server.root}{path}", last_update=RECENT))
        yield server, ["--db", str(tmp_path / "db")]


def test_audit_asks_links_where_it_is_told_to(linked: tuple[IndexServer, list[str]]) -> None:
    server, there = linked
    ended = run(*there, "audit", "--links", "--only", "dead,moved")
    assert ended.status == 1
    assert ended.lines[2:] == [
        f"b     dead   repository {server.root}/gone: 404 Not Found",
        f"c     moved  repository {server.root}/old has moved to {server.root}/well",
        "2 concerns, about 2 of 5 packages",
    ]
    assert ended.err == (
        f"authdb: 1 link could not be checked: {server.root}/busy (503 Service Unavailable)\n"
    )
    asked = {request.path for request in server.requests}
    assert asked == {"/well", "/gone", "/old", "/busy"}
    server.clear()
    assert run(*there, "audit").err.count("link") == 0
    assert run(*there, "audit", "--links", "--only", "stale").status == 0
    assert server.requests == []


def test_links_for_programs_and_accepted_ones(linked: tuple[IndexServer, list[str]]) -> None:
    server, there = linked
    only = ("--links", "--only", "dead,moved", "--ignore", "b:dead,c:moved")
    ended = run(*there, "audit", *only, "--format", "json")
    assert ended.status == 0
    found = json.loads(ended.out)
    assert (found["concerns"], found["accepted"]) == ([], 2)
    assert (found["links"], found["offline"]) == (4, False)
    assert found["unchecked"] == [
        {"link": f"{server.root}/busy", "reason": "503 Service Unavailable"}
    ]


def test_without_a_network_links_are_not_dead(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        db.add(Package("a", "A", repository="http://127.0.0.1:1/x"))
        db.add(Package("b", "B", repository="http://no-such-host.invalid/"))
    ended = run("--db", tmp_path / "db", "audit", "--links", "--only", "dead,moved")
    told(ended, 0, "no host could be reached: none of 2 links was checked")
    assert ended.lines == ["no concern about 2 packages", "no link could be checked"]
