"""The command that refreshes, as people and jobs use it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import indexserver as bad
import pytest
from commandline import AUTHDB, Terminal, environment, ok, plain, run, told
from indexserver import IndexServer

from authdb import AuthDB, editions
from authdb.loaders import Loader

DATA = Path(editions.path("today")).parent.parent
TODAY = datetime.now(timezone.utc).date().isoformat()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("listed") / "db"
    ok("--db", folder, "init", "--with-list", "2024-02-26")
    return folder


@pytest.fixture
def stored(template: Path, tmp_path: Path) -> Path:
    """A database of the list of 2024, which has fallen behind."""
    return Path(shutil.copytree(template, tmp_path / "db"))


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer.recorded() as server:
        yield server


def refresh(stored: Path, server: IndexServer, *options: str | Path, **more: Any) -> Any:
    where = {"AUTHDB_GITHUB_URL": f"{server.root}/hub"} | more
    return run("--db", stored, "refresh", "--index-url", server.url, *options, **where)


def without_repositories(stored: Path, server: IndexServer, *options: str | Path) -> Any:
    return refresh(stored, server, "--no-repositories", *options)


def test_it_says_how_many_changed_and_which(stored: Path, server: IndexServer) -> None:
    ended = without_repositories(stored, server)
    assert (ended.err, ended.status) == ("", 0)
    assert ended.lines[0] == "14 changed"
    assert ended.lines[1].startswith("changed: django-rest-knox, django-oauth-toolkit, ")
    assert ended.lines[1].endswith(", ...")
    again = without_repositories(stored, server)
    assert (again.out, again.err, again.status) == ("14 unchanged\n", "", 0)
    assert len(ok("--db", stored, "log", "--format", "json").json) == 3
    assert "2.3.5" in ok("--db", stored, "show", "djoser").out


def test_some_only(stored: Path, server: IndexServer) -> None:
    ended = without_repositories(stored, server, "Djoser", "hawkrest", "djoser", "--note", "two")
    assert ended.out == "2 changed\nchanged: djoser, hawkrest\n"
    assert sorted(r.path for r in server.requests) == ["/pypi/djoser/json", "/pypi/hawkrest/json"]
    assert ok("--db", stored, "log", "--format", "json").json[0]["note"] == "two"


def test_a_dry_run_shows_what_would_change(stored: Path, server: IndexServer) -> None:
    ended = without_repositories(stored, server, "djoser", "--dry-run")
    assert ended.status == 0
    assert ["djoser", "version", "2.2.2", "2.3.5"] in [line.split() for line in ended.lines]
    assert ended.lines[-1] == "1 changed (dry run: nothing was written)"
    assert "2.2.2" in ok("--db", stored, "show", "djoser").out
    assert not (stored / "answers.sqlite").exists()


def test_whoever_fails_is_named_with_the_reason_and_the_status_is_1(
    stored: Path, server: IndexServer
) -> None:
    del server.answers["hawkrest"]
    server.misbehave("djoser", bad.status(429, retry_after=9000))
    ended = without_repositories(stored, server)
    assert ended.status == 1
    assert ended.lines[0] == "12 changed, 2 failed"
    assert sorted(ended.err.splitlines()) == [
        (
            "authdb: djoser: the index answers 429 Too Many Requests; it asks to be left alone for "
            "9,000 s"
        ),
        "authdb: hawkrest: the index has no such package",
    ]


def test_a_host_out_of_reach_is_one_line_and_no_failure(stored: Path, server: IndexServer) -> None:
    ended = refresh(stored, server, AUTHDB_GITHUB_URL="http://127.0.0.1:9")
    assert ended.status == 0
    assert ended.lines[0] == "14 changed"
    told(
        ended._replace(status=1),
        1,
        "GitHub cannot be reached (no connection (Connection refused)); 14 repositories were not",
    )


def test_the_index_may_be_named_by_a_variable(stored: Path, server: IndexServer) -> None:
    ended = run(
        *("--db", stored, "refresh", "djoser", "--no-repositories"), AUTHDB_INDEX_URL=server.url
    )
    assert ended.out.startswith("1 changed")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--index-url", "example.org"], "http://"),
        (["--since", "yesterday"], "a length of time"),
        (["--at-once", "0"], "at once"),
        (["--at-once", "-1"], "a number from 0 on"),
        (["--timeout", "0"], "timeout"),
        (["--timeout", "soon"], "--timeout"),
        (["--timeout", "nan"], "timeout"),
        (["--save", "--dry-run"], "--save writes"),
        (["--save", "no-such.toml"], "cannot be read"),
        (["--save", str(DATA / "editions" / "2024-02-26.toml")], "does not change any more"),
        (["--save", str(DATA / "packages.toml")], "not an edition"),
    ],
)
def test_what_makes_no_sense_is_one_line(stored: Path, options: list[str], words: str) -> None:
    told(run("--db", stored, "refresh", *options, AUTHDB_INDEX_URL="http://127.0.0.1:9"), 2, words)


def test_an_index_out_of_reach_is_one_line(stored: Path) -> None:
    ended = run("--db", stored, "refresh", "--index-url", "http://127.0.0.1:9/pypi")
    told(ended, 4, "http://127.0.0.1:9/pypi/", "no connection")


def test_no_database_and_no_such_package(stored: Path, server: IndexServer, tmp_path: Path) -> None:
    told(refresh(tmp_path / "none", server), 3, "authdb init")
    told(refresh(stored, server, "djosr"), 1, "djosr", "did you mean 'djoser'?")
    assert server.requests == []


def test_ctrl_c_ends_it_at_once_and_writes_nothing(stored: Path, server: IndexServer) -> None:
    server.misbehave("djoser", bad.slow(60))
    before = (stored / "data.fs").read_bytes()
    process = subprocess.Popen(
        [*AUTHDB, "--db", stored, "refresh", "--no-repositories", "--index-url", server.url],
        stderr=subprocess.PIPE,
        env=environment(),
        # As at a prompt; a job in the background of a script is not told of Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not any(request.path == "/pypi/djoser/json" for request in server.requests):
        time.sleep(0.01)
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.communicate(timeout=20)[1] == b"authdb: interrupted\n"
    assert process.returncode == 130
    assert time.monotonic() - began < 5  # the server would have been silent for a minute
    assert (stored / "data.fs").read_bytes() == before


def test_on_a_terminal_there_is_a_bar(stored: Path, server: IndexServer) -> None:
    server.latency = 0.1
    with Terminal(
        *("--db", stored, "refresh", "--no-repositories", "--index-url", server.url),
        *("--at-once", "1"),
    ) as terminal:
        text = terminal.read()
        assert terminal.end() == 0
    assert "asking the package index" in plain(text)
    assert " of 16" in plain(text)
    assert "14 changed" in text


# -- recording -------------------------------------------------------------------------------


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A list of one's own, with facts that have fallen behind."""
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns("__pycache__"))
    edition = folder / "editions" / "ours.toml"
    edition.write_text(
        'title = "Ours"\n# The day follows the facts.\nas_of = 2024-03-01  # a day\n'
        'curated = "../packages.toml"\nfacts = "../facts.json"\nmembers = ["djoser", "hawkrest"]\n',
        "utf-8",
    )
    facts = json.loads((folder / "facts.json").read_text("utf-8"))
    del facts["frameworks"]
    for name in facts["packages"]:
        facts["packages"][name]["index"] = {
            "releases": [],
            "seen": "2024-03-01",
            "source": "long ago",
        }
    (folder / "facts.json").write_text(json.dumps(facts), "utf-8")
    return edition


def test_save_records_the_facts_and_moves_the_day(
    stored: Path, server: IndexServer, ours: Path
) -> None:
    server.paths["/hub/repos/sunscrapers/djoser"] = {
        "full_name": "sunscrapers/djoser",
        "html_url": "https://github.com/sunscrapers/djoser",
        "pushed_at": "2026-11-20T10:00:00Z",
    }
    server.paths["/hub/repos/sunscrapers/djoser/commits"] = [
        {"commit": {"committer": {"date": "2026-11-19T10:00:00Z"}}}
    ]
    ended = refresh(stored, server, "--save", ours)
    assert ended.status == 0, ended
    assert ended.lines[-1] == f"recorded the facts of 14 packages beside {ours}"
    text = (ours.parent.parent / "facts.json").read_text("utf-8")
    recorded = json.loads(text)
    assert text == json.dumps(recorded, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    shipped = json.loads((DATA / "facts.json").read_text("utf-8"))
    djoser, before = recorded["packages"]["djoser"], shipped["packages"]["djoser"]
    # It is what was recorded of the same answers, but for the day and the address.
    for facts in (djoser, before):
        facts["index"].pop("seen"), facts["index"].pop("source")
    assert djoser["index"] == before["index"]
    assert djoser["repository"]["last_push"] == "2026-11-20"
    assert djoser["commits"]["last"] == [
        *before["commits"]["last"],
        {
            "by": TODAY,
            "date": "2026-11-19",
            "seen": TODAY,
            "source": "GitHub, https://github.com/sunscrapers/djoser",
        },
    ]
    django = recorded["frameworks"]["djangorestframework"]
    assert (django["requires_django"], django["seen"]) == (">=5.2", TODAY)
    assert ours.read_text("utf-8").splitlines()[:3] == [
        'title = "Ours"',
        "# The day follows the facts.",
        f"as_of = {TODAY}  # a day",
    ]
    (first, _) = Loader(ours)
    assert first.fields["version"] == "2.3.5"
    # What is not in the database was not asked about, and stays as it was.
    assert recorded["packages"]["drf-auth-kit"]["index"]["source"] == "long ago"


def test_what_was_skipped_is_recorded_too(stored: Path, server: IndexServer, ours: Path) -> None:
    without_repositories(stored, server, "djoser")
    ended = without_repositories(stored, server, "djoser", "--since", "1d", "--save", ours)
    assert ended.lines == ["1 skipped", f"recorded the facts of 1 package beside {ours}"]
    recorded = json.loads((ours.parent.parent / "facts.json").read_text("utf-8"))
    assert recorded["packages"]["djoser"]["index"]["seen"] == TODAY


def test_facts_that_cannot_be_written_are_told(
    stored: Path, server: IndexServer, ours: Path
) -> None:
    facts = ours.parent.parent / "facts.json"
    if os.geteuid() == 0:
        facts.write_text("[]", "utf-8")
        told(without_repositories(stored, server, "--save", ours), 2, "no recorded facts")
        assert server.requests == []
    else:
        facts.chmod(0o444)
        told(without_repositories(stored, server, "djoser", "--save", ours), 2, "facts.json")


# -- the releases of a package ---------------------------------------------------------------


def test_the_last_release_by_a_day(template: Path) -> None:
    names = ["django-oauth-toolkit", "drf-httpsig", "hawkrest"]
    asked = ("--db", template, "show", *names, "--released-by")
    assert ok(*asked, "2024-02-26", "--format", "json").json == [
        {"name": "django-oauth-toolkit", "version": "2.3.0", "date": "2023-05-31"},
        {"name": "drf-httpsig", "version": "1.2.0", "date": "2018-03-28"},
        {"name": "hawkrest", "version": "1.0.1", "date": "2018-10-06"},
    ]
    # A month or a year is the whole of it.
    assert [line.split() for line in ok(*asked, "2018-03").lines[3:]] == [
        ["drf-httpsig", "1.2.0", "2018-03-28"],
        ["hawkrest", "1.0.0", "2017-04-05"],
    ]
    ended = run(*asked, "2013", "--format", "json")
    assert ended.status == 1
    assert ended.json[1] == {"name": "drf-httpsig", "version": None, "date": None}
    assert "(none)" in run(*asked, "2013").out


def test_show_lists_the_releases(template: Path) -> None:
    (djoser,) = ok("--db", template, "show", "djoser", "--format", "json").json
    assert djoser["releases"][-1] == {"version": "2.2.2", "date": "2023-11-09"}
    assert len(djoser["releases"]) > 40


@pytest.mark.parametrize("name", ["django-oauth-toolkit", "djoser", "drf-httpsig", "hawkrest"])
def test_the_last_release_of_2024_is_right_from_what_the_index_says_today(
    name: str, stored: Path, server: IndexServer
) -> None:
    with AuthDB.open(stored) as db:
        expected = db[name].last_release
    without_repositories(stored, server, name)
    asked = ("--db", stored, "show", name, "--released-by", "2024-02-26", "--format", "json")
    assert ok(*asked).json[0]["date"] == str(expected)


# -- the real index --------------------------------------------------------------------------


@pytest.mark.live
def test_the_real_index_answers(stored: Path) -> None:
    ended = run("--db", stored, "refresh", "djoser", "hawkrest", "--no-repositories")
    assert (ended.err, ended.status) == ("", 0)
    assert "2 changed" in ended.out
    (hawkrest,) = ok("--db", stored, "show", "hawkrest", "--format", "json").json
    assert hawkrest["releases"][-1]["version"] == "1.0.1"
    assert hawkrest["sources"]["vulnerabilities"]["source"] == "PyPI JSON, /pypi/hawkrest/json"
