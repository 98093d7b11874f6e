"""The scripts, each as a process of its own on real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from authdb import AuthDB, Package

SCRIPTS = Path(__file__).parent.parent / "scripts"

HAWK = {
    "name": "hawkrest",
    "title": "Hawk",
    "categories": ["signature"],
    "last_commit": "2018-10-06",
    "last_release": "2018-10-06",
}
KNOX = {
    "name": "django-rest-knox",
    "title": "django-rest-knox",
    "description": "Tokens, and no cookies.",
    "categories": ["token"],
    "last_commit": "2024-01-28",
    "last_release": "2022-01-31",
}
SOCIAL = {
    "name": "drf-social-oauth2",
    "title": "drf-social-oauth2",
    "categories": ["oauth2", "social"],
    "last_commit": "2024-02-07",
}
OLD = {"name": "old-hawk", "title": "Old Hawk", "replaced_by": "hawkrest", "last_update": "2010"}
RECORDS = [HAWK, KNOX, SOCIAL, OLD, {"name": "newborn", "title": "Newborn"}]


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", SCRIPTS / script, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def output(script: str, *arguments: str | Path) -> list[str]:
    """The lines that a script prints; it succeeds, without a word on standard error."""
    done = run(script, *arguments)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


def failure(script: str, *arguments: str | Path) -> tuple[int, list[str]]:
    """The status and the lines on standard error of a script that prints nothing else."""
    done = run(script, *arguments)
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of five packages."""
    path = tmp_path_factory.mktemp("scripts") / "list"
    with AuthDB.create(path) as db, db.transaction():
        db.set_as_of(date(2024, 2, 26))
        for record in RECORDS:
            db.add(Package(**record))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda script: script.name)
def test_scripts_are_short_and_explain_themselves(script: Path) -> None:
    lines = script.read_text("utf-8").splitlines()
    assert len(lines) < 40
    assert "authdb._" not in "".join(lines)
    usage = output(script.name, "--help")
    assert usage[0].startswith(f"usage: {script.name}")


# -- load_packages ---------------------------------------------------------------------------


def test_load_makes_the_database_and_fills_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.ndjson"
    first.write_text(json.dumps([HAWK, KNOX]), "utf-8")
    second.write_text(json.dumps(SOCIAL) + "\n" + json.dumps(OLD) + "\n", "utf-8")
    folder = tmp_path / "list"
    assert output("load_packages.py", folder, first, second) == ["4 added"]
    with AuthDB.open(folder, read_only=True) as db:
        assert db["hawkrest"].title == "Hawk"
        assert len(db) == 4
        assert db.check() == []


def test_loading_again_updates(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps([HAWK, KNOX]), "utf-8")
    output("load_packages.py", tmp_path / "list", file)
    file.write_text(json.dumps([HAWK, {**KNOX, "last_release": "2026-07-12"}]), "utf-8")
    assert output("load_packages.py", tmp_path / "list", file) == ["1 changed, 1 unchanged"]
    with AuthDB.open(tmp_path / "list", read_only=True) as db:
        assert db["django-rest-knox"].last_update == date(2026, 7, 12)


def test_one_mistake_and_nothing_is_loaded(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps([HAWK]), "utf-8")
    bad.write_text(
        json.dumps([{**KNOX, "categories": ["tokens"]}, {**SOCIAL, "last_commit": "soon"}]), "utf-8"
    )
    status, lines = failure("load_packages.py", tmp_path / "list", good, bad)
    assert status == 2
    assert len(lines) == 2
    assert all(line.startswith("load_packages: ") and "bad.json" in line for line in lines)
    with AuthDB.open(tmp_path / "list", read_only=True) as db:
        assert len(db) == 0


def test_load_says_when_it_cannot(tmp_path: Path) -> None:
    folder, file = tmp_path / "list", tmp_path / "list.json"
    status, lines = failure("load_packages.py", folder, file)
    assert (status, len(lines)) == (2, 1)
    assert not folder.exists()
    file.write_text(json.dumps([HAWK]), "utf-8")
    with AuthDB.create(folder):
        status, lines = failure("load_packages.py", folder, file)
    assert (status, len(lines)) == (3, 1)
    assert "is writing to it" in lines[0]


# -- query_by_update -------------------------------------------------------------------------


def test_query_by_update(listed: Path) -> None:
    assert output("query_by_update.py", listed, "2010", "2024-02-07") == [
        "2024-02-07  drf-social-oauth2: drf-social-oauth2",
        "2024-01-28  django-rest-knox: django-rest-knox",
        "2018-10-06  hawkrest: Hawk",
        "2010        old-hawk: Old Hawk",
    ]
    assert output("query_by_update.py", listed, "2018-11", "2024-02-06") == [
        "2024-01-28  django-rest-knox: django-rest-knox"
    ]


def test_query_by_update_and_category(listed: Path) -> None:
    assert output("query_by_update.py", listed, "2018", "2024", "signature") == [
        "2018-10-06  hawkrest: Hawk"
    ]
    assert output("query_by_update.py", listed, "2018", "2024", "saml") == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("2024-02-30", "2024"), 2, "2024-02-30"),
        (("2024", "2025", "oauth"), 2, "did you mean 'oauth2'?"),
    ],
)
def test_query_by_update_says_what_is_wrong(
    listed: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    found, lines = failure("query_by_update.py", listed, *arguments)
    assert (found, len(lines)) == (status, 1)
    assert words in lines[0]


# -- explore ---------------------------------------------------------------------------------


def test_explore(listed: Path) -> None:
    lines = output("explore.py", listed)
    assert lines[0] == "5 packages, as of 2024-02-26"
    assert "    1  oauth2: OAuth 2.0, as a server or a client" in lines
    assert "    0  saml: SAML 2.0" in lines
    oldest = lines.index("the five oldest:")
    assert lines[oldest + 1 :] == [
        "  2010        old-hawk",
        "  2018-10-06  hawkrest",
        "  2024-01-28  django-rest-knox",
        "  2024-02-07  drf-social-oauth2",
        "  unknown     newborn",
        "replaced: old-hawk -> hawkrest",
        "updated before 2020: hawkrest, old-hawk",
        "OAuth and updated since 2024: drf-social-oauth2",
        "no release known: drf-social-oauth2, newborn, old-hawk",
        "about cookies: django-rest-knox",
    ]


def test_explore_an_empty_database(tmp_path: Path) -> None:
    AuthDB.create(tmp_path / "empty").close()
    lines = output("explore.py", tmp_path / "empty")
    assert lines[0] == "0 packages, as of no day in particular"
    assert lines[-1] == "about cookies: none"


@pytest.mark.parametrize("script", ["explore.py", "query_by_update.py"])
def test_reading_needs_a_database(tmp_path: Path, script: str) -> None:
    days = ["2020", "2024"] if script == "query_by_update.py" else []
    status, lines = failure(script, tmp_path / "nowhere", *days)
    assert (status, len(lines)) == (3, 1)
    assert "there is no database here" in lines[0]
    assert list(tmp_path.iterdir()) == []
