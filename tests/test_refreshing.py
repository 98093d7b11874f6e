"""Refreshing: what is heard is written, all in one transaction, and nothing else is."""

from __future__ import annotations

import base64
import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import indexserver as bad
import pytest
from commandline import environment
from indexserver import IndexServer

from authdb import AuthDB, Package, editions
from authdb.answers import ANSWERS_FILE, Answers
from authdb.exceptions import AuthDBError, DatabaseReadOnly, PackageNotFound
from authdb.fetching import Fetcher, FetchError
from authdb.fields import Vulnerability
from authdb.frameworks import known
from authdb.hearing import ask
from authdb.importing import load_new
from authdb.loaders import Loader
from authdb.refreshing import apply, refresh

TODAY = datetime.now(timezone.utc).date()
HOST = {
    "full_name": "someone/drf-one",
    "html_url": "https://github.com/someone/drf-one",
    "archived": False,
    "pushed_at": "2024-02-03T10:00:00Z",
}


def answer(name: str, *versions: str, **info: Any) -> dict[str, Any]:
    """What an index answers, for a project whose versions came out on the first days of 2024."""
    files = {
        version: [{"upload_time_iso_8601": f"2024-01-{day:02}T23:00:00.5Z", "yanked": False}]
        for day, version in enumerate(versions, 1)
    }
    about = {"name": name, "version": versions[-1], "classifiers": [], "requires_dist": []}
    return {"info": {**about, **info}, "releases": files, "vulnerabilities": []}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """An index of a few projects, which is also the host of their repositories."""
    answers = {
        "drf-one": answer("drf-one", "1.0", "1.1", requires_dist=["Django>=4.2"]),
        "drf-two": answer("DRF_Two", "2.0"),
        "django": answer("Django", "5.2", "6.0"),
        "djangorestframework": answer("djangorestframework", "3.15.0", requires_dist=["django>=5"]),
    }
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "AUTHDB_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with IndexServer(answers) as server:
        monkeypatch.setenv("AUTHDB_GITHUB_URL", server.root)
        monkeypatch.setenv("AUTHDB_GITLAB_URL", server.root)
        yield server


@pytest.fixture
def db(folder: Path) -> Iterator[AuthDB]:
    with AuthDB.create(folder) as db:
        with db.transaction("two packages"):
            db.add(Package("drf-one", "One", categories=["jwt"], last_release="2020"))
            db.add(Package("drf-two", "Two", license="MIT"))
        yield db


def asked(server: IndexServer) -> dict[str, int]:
    """How each project was asked about last: 200, or 304 for "nothing new"."""
    return {r.path.split("/")[2]: r.status for r in server.requests if r.path.startswith("/pypi")}


# -- what is written -------------------------------------------------------------------------


def test_facts_are_written_with_where_and_when_in_one_transaction(
    db: AuthDB, server: IndexServer
) -> None:
    done = refresh(db, index_url=server.url)
    assert str(done) == "2 changed"
    assert [change.after.name for change in done.changes] == ["drf-one", "drf-two"]
    one = db["drf-one"]
    assert (one.version, one.last_release) == ("1.1", date(2024, 1, 2))
    assert [tuple(release) for release in one.releases] == [
        ("1.0", date(2024, 1, 1)),
        ("1.1", date(2024, 1, 2)),
    ]
    assert (one.requires_django, one.requires_drf) == (">=4.2", None)
    # That none is asked for, and none is known, are facts too.
    for field in ("version", "releases", "requires_django", "requires_drf", "vulnerabilities"):
        source = one.source(field)
        assert source is not None, field
        assert source.source == f"{server.url}/drf-one/json"
        assert source.seen == TODAY
    assert (one.title, one.categories) == ("One", ("jwt",))
    newest, before, *_ = db.log()
    assert (newest.note, before.note) == ("refresh: 2 changed", "two packages")
    assert db.check() == []
    assert db.find("last_release > '2023'").names() == ["drf-one", "drf-two"]


def test_nothing_new_is_one_conditional_request_a_package_and_no_transaction(
    folder: Path, server: IndexServer
) -> None:
    load_new(folder, Loader(editions.path("today")))
    with IndexServer.recorded() as server:
        with AuthDB.open(folder) as db:
            refresh(db, index_url=server.url, repositories=False)
        files = {file: (folder / file).read_bytes() for file in ("data.fs", "catalog.fs")}
        server.clear()
        with AuthDB.open(folder) as db:
            generation = db.generation
            done = refresh(db, index_url=server.url, repositories=False)
            assert str(done) == "20 unchanged"
            assert db.generation == generation
            paths = [f"/pypi/{name}/json" for name in db.names()]
    assert {file: (folder / file).read_bytes() for file in files} == files
    frameworks = ["/pypi/django/json", "/pypi/djangorestframework/json"]
    assert sorted(request.path for request in server.requests) == sorted([*paths, *frameworks])
    for request in server.requests:
        assert request.status == 304
        assert "if-none-match" in request.headers
        assert request.headers["user-agent"].startswith("authdb/")


def test_what_the_index_says_is_what_the_list_has(folder: Path) -> None:
    load_new(folder, Loader(editions.path("today")))
    with IndexServer.recorded() as server, AuthDB.open(folder) as db:
        done = refresh(db, index_url=server.url, repositories=False, dry_run=True)
    fields = {
        field for change in done.changes for field in change.before.differs_from(change.after)
    }
    # The recorded answers are of the day of the list; only links are new, which it has of people.
    assert fields <= {"homepage", "documentation", "license", "sources"}


def test_a_value_that_has_not_changed_keeps_when_it_was_first_seen(
    db: AuthDB, server: IndexServer
) -> None:
    refresh(db, index_url=server.url)
    earlier = {s.field: {"source": s.source, "seen": "2024-05-05"} for s in db["drf-one"].sources}
    db.update("drf-one", sources=earlier)
    server.answers["drf-one"] = answer("drf-one", "1.0", "1.1", "1.2")
    refresh(db, index_url=server.url)
    one = db["drf-one"]
    seen = {source.field: source.seen for source in one.sources}
    assert seen["version"] == seen["releases"] == seen["requires_django"] == TODAY
    assert seen["vulnerabilities"] == seen["requires_drf"] == date(2024, 5, 5)


def test_what_people_say_is_not_overwritten(db: AuthDB, server: IndexServer) -> None:
    links = {"Repository": "https://example.org/new", "Documentation": "https://example.org/d"}
    server.answers["drf-one"] = answer("drf-one", "1.0", license="BSD-3-Clause", project_urls=links)
    db.update("drf-one", license="MIT", repository="https://example.org/ours")
    refresh(db, index_url=server.url)
    one = db["drf-one"]
    assert (one.license, one.repository) == ("MIT", "https://example.org/ours")
    assert one.documentation == "https://example.org/d"  # nobody had said where it is
    links["Documentation"] = "https://example.org/moved"
    server.answers["drf-one"] = answer("drf-one", "1.0", project_urls=links)
    refresh(db, index_url=server.url)
    assert one.documentation == "https://example.org/moved"  # that was the index's to say
    db.update("drf-one", documentation="https://example.org/mine")  # no longer the index's
    assert one.source("documentation") is None and one.source("version") is not None
    refresh(db, index_url=server.url)
    assert one.documentation == "https://example.org/mine"


def test_vulnerabilities_come_and_go(db: AuthDB, server: IndexServer) -> None:
    told = {"id": "PYSEC-2024-1", "aliases": ["CVE-2024-1"], "summary": "It leaks."}
    server.answers["drf-one"] = answer("drf-one", "1.0") | {"vulnerabilities": [told]}
    refresh(db, index_url=server.url)
    assert db["drf-one"].vulnerabilities == (Vulnerability("CVE-2024-1", "It leaks."),)
    server.answers["drf-one"] = answer("drf-one", "1.0", "1.1")
    refresh(db, index_url=server.url)
    assert db["drf-one"].vulnerabilities == ()
    assert db["drf-one"].source("vulnerabilities") is not None


def test_what_the_index_says_no_more_is_not_known_any_more(db: AuthDB, server: IndexServer) -> None:
    urls = {"Homepage": "https://example.org/"}
    about = {"license": "MIT", "project_urls": urls, "requires_dist": ["django<=1.7"]}
    server.answers["drf-one"] = answer("drf-one", "1.0", **about) | {
        "project-status": {"status": "archived"}
    }
    refresh(db, index_url=server.url)
    one = db["drf-one"]
    assert (one.requires_django, one.license, one.project_status) == ("<=1.7", "MIT", "archived")
    # The next version was made by a tool that writes no requirements, and comes back to life.
    server.answers["drf-one"] = answer("drf-one", "1.0", "1.1", requires_dist=None)
    refresh(db, index_url=server.url)
    fields = ("requires_django", "license", "homepage", "project_status")
    assert [getattr(one, field) for field in fields] == [None] * 4
    assert [one.source(field) for field in fields] == [None] * 4
    # Of the newest version nothing is told but when it came: what was said is of another one.
    server.answers["drf-one"] = answer("drf-one", "1.0", **about)
    refresh(db, index_url=server.url)
    newer = answer("drf-one", "1.0", "1.1", **about)
    newer["info"]["version"] = "1.0"
    server.answers["drf-one"] = newer
    refresh(db, index_url=server.url)
    assert (one.version, one.requires_django) == ("1.1", None)
    assert one.source("vulnerabilities") is None
    assert one.homepage == "https://example.org/"
    # What a person said stays.
    db.update("drf-one", requires_django=">=3", project_status="deprecated", license="0BSD")
    refresh(db, index_url=server.url)
    assert [getattr(one, field) for field in fields[:2]] == [">=3", "0BSD"]
    assert one.project_status == "deprecated"


def test_diff_and_undo_work_on_a_refresh_and_the_next_one_brings_it_back(
    db: AuthDB, server: IndexServer
) -> None:
    before = [package.record() for package in db]
    refresh(db, index_url=server.url)
    after = [package.record() for package in db]
    change = db.generation
    assert {d.after.name for d in db.diff(f"c{change - 1}") if d.after} == {"drf-one", "drf-two"}
    db.undo()
    assert [package.record() for package in db] == before
    # The server only says that nothing is new: what it said is kept beside the database.
    server.clear()
    refresh(db, index_url=server.url)
    assert set(asked(server).values()) == {304}
    assert [package.record() for package in db] == after


def test_many_packages_are_one_change(folder: Path) -> None:
    with IndexServer(bad.generated(300)) as server, AuthDB.create(folder) as db:
        with db.transaction():
            for number in range(1, 301):
                db.add(Package(f"package-{number:04}", f"Package {number}"))
        refresh(db, index_url=server.url, at_once=20)
        assert db.generation == 2
        assert len(db.find("last_release > '1990'")) == 300
        assert server.most_at_once <= 20
        assert db.check() == []


# -- what goes wrong -------------------------------------------------------------------------

BAD = {
    "a-404": (bad.status(404), "the index has no such package"),
    "b-410": (bad.status(410), "the index has no such package"),
    "c-403": (bad.status(403), "the index answers 403 Forbidden"),
    "d-429": (bad.status(429, retry_after=4000), "asks to be left alone for 4,000 s"),
    "e-slow": (bad.slow(60), "no answer in time"),
    "f-cut": (bad.cut_off(), "closed before the answer was whole"),
    "g-closed": (bad.closed(), "closed before the answer was whole"),
    "h-html": (bad.html(), "not the JSON of a package index"),
    "i-list": (bad.wrong_shape(), "not the JSON of a package index"),
    "j-types": (bad.wrong_types(), "not the JSON of a package index"),
    "k-cut-json": (bad.truncated(), "not the JSON of a package index"),
    "l-large": (bad.large(), "is too large"),
    "m-loop": (bad.redirect_loop(), "too many redirects"),
    "n-other": (bad.redirect("/pypi/drf-one/json"), "answers with another project, 'drf-one'"),
    "o-deep": (bad.nested(), "not the JSON of a package index"),
    "p-500": (bad.status(500), "the index answers 500 Internal Server Error"),
}


def test_whoever_fails_is_named_with_why_and_keeps_nobody_from_it(
    db: AuthDB, server: IndexServer
) -> None:
    for name, (behaviour, _) in BAD.items():
        db.add(Package(name, "Bad", last_release="2019"))
        server.answers[name] = answer(name, "1.0")
        server.misbehave(name, behaviour)
    for name in ("q-429-then", "r-500-then", "s-cut-then"):
        db.add(Package(name, "Better"))
        server.answers[name] = answer(name, "1.0")
    server.misbehave("q-429-then", [bad.status(429, retry_after=1)], then_well=True)
    server.misbehave("r-500-then", [bad.status(500)], then_well=True)
    server.misbehave("s-cut-then", [bad.cut_off()], then_well=True)
    before = {name: db[name].record() for name in BAD}
    generation = db.generation
    done = refresh(db, index_url=server.url, timeout=1, at_once=20)
    told = dict(done.failed)
    assert sorted(told) == sorted(BAD)
    for name, (_, reason) in BAD.items():
        assert reason in told[name], (name, told[name])
        assert "\n" not in told[name]
        assert len(told[name]) < 300
    assert {name: db[name].record() for name in BAD} == before
    better = {change.after.name for change in done.changes}
    assert better == {"drf-one", "drf-two", "q-429-then", "r-500-then", "s-cut-then"}
    assert db.generation == generation + 1
    assert str(done) == f"5 changed, {len(BAD)} failed"


def test_an_index_out_of_reach_is_one_error_and_changes_nothing(db: AuthDB) -> None:
    generation = db.generation
    with pytest.raises(FetchError, match="Connection refused"):
        refresh(db, index_url="http://127.0.0.1:9/pypi")
    assert db.generation == generation


def test_an_index_that_goes_away_leaves_what_was_heard(db: AuthDB, server: IndexServer) -> None:
    first = ask(db, ["drf-one"], index_url=server.url, repositories=False)
    assert first.heard[0].project is not None
    done = apply(db, first)
    assert [change.after.name for change in done.changes] == ["drf-one"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index_url": "ftp://example.org"}, "http"),
        ({"index_url": "example.org/pypi"}, "http"),
        ({"since": "soon"}, "a length of time"),
        ({"at_once": 0}, "at once"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_asked(
    db: AuthDB, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(AuthDBError, match=words):
        refresh(db, **options)


def test_names_that_are_none(db: AuthDB, server: IndexServer) -> None:
    with pytest.raises(PackageNotFound, match="drf-one"):
        refresh(db, ["drf-on"], index_url=server.url)
    assert server.requests == []


def test_a_reader_may_only_look(folder: Path, db: AuthDB, server: IndexServer) -> None:
    with AuthDB.open(folder, read_only=True) as reader:
        with pytest.raises(DatabaseReadOnly):
            refresh(reader, index_url=server.url)
        assert len(refresh(reader, index_url=server.url, dry_run=True).changes) == 2


def test_a_dry_run_writes_nothing(folder: Path, db: AuthDB, server: IndexServer) -> None:
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    done = refresh(db, index_url=server.url, dry_run=True)
    assert len(done.changes) == 2
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


def test_what_was_asked_a_short_while_ago_is_skipped(db: AuthDB, server: IndexServer) -> None:
    refresh(db, ["drf-one"], index_url=server.url)
    server.clear()
    done = refresh(db, index_url=server.url, since="1d")
    assert done.skipped == ("drf-one",)
    assert set(asked(server)) == {"drf-two", "django", "djangorestframework"}
    server.clear()
    assert refresh(db, index_url=server.url, since="1d").skipped == ("drf-one", "drf-two")
    assert server.requests == []
    # Of another index it was not asked.
    other = server.url.replace("127.0.0.1", "localhost")
    assert refresh(db, index_url=other, since="1d").skipped == ()


def test_a_package_removed_meanwhile_stays_away(db: AuthDB, server: IndexServer) -> None:
    heard = ask(db, index_url=server.url)
    db.remove("drf-two")
    done = apply(db, heard)
    assert [change.after.name for change in done.changes] == ["drf-one"]
    assert list(db.names()) == ["drf-one"]


def test_a_damaged_cache_is_asked_anew(folder: Path, db: AuthDB, server: IndexServer) -> None:
    refresh(db, index_url=server.url)
    with Answers(folder) as answers:
        kept = answers.get(f"{server.url}/drf-one/json")
        assert kept is not None
        answers.put([kept._replace(facts=b"{}")])
    server.clear()
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"
    assert asked(server)["drf-one"] == 200
    (folder / ANSWERS_FILE).write_bytes(b"rubbish" * 1000)
    server.clear()
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"
    assert set(asked(server).values()) == {200}
    server.clear()
    refresh(db, index_url=server.url)
    assert set(asked(server).values()) == {304}


def test_what_is_kept_and_no_field_can_hold_is_asked_anew(
    folder: Path, db: AuthDB, server: IndexServer
) -> None:
    refresh(db, index_url=server.url)
    with Answers(folder) as answers:
        kept = answers.get(f"{server.url}/drf-one/json")
        assert kept is not None
        answers.put([kept._replace(facts=kept.facts.replace(b'"1.1"', b'"1 1"'))])
    server.clear()
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"
    assert asked(server)["drf-one"] == 200


def test_a_package_that_left_the_index_is_named_and_marked(db: AuthDB, server: IndexServer) -> None:
    db.add(Package("drf-never", "It was never there"))
    refresh(db, index_url=server.url)
    gone = server.answers["drf-one"]
    del server.answers["drf-one"]
    done = refresh(db, index_url=server.url)
    told = "the index has no such package"
    assert done.failed == (("drf-one", told), ("drf-never", told))
    one = db["drf-one"]
    assert (one.project_status, one.version) == ("gone", "1.1")
    assert db["drf-never"].project_status is None
    # Where the index answers about nobody, it may be that it is none.
    for name in ("drf-two", "django", "djangorestframework"):
        del server.answers[name]
    with pytest.raises(AuthDBError, match=r"of 5 packages: is this a package index that answers"):
        refresh(db, index_url=server.url)
    assert db["drf-two"].project_status is None
    # Another index does not know it: that says nothing.
    other = server.url.replace("127.0.0.1", "localhost")
    server.answers["drf-two"] = answer("drf-two", "2.0")
    db.update("drf-one", project_status=None)
    refresh(db, index_url=other)
    assert one.project_status is None
    server.answers["drf-one"] = gone
    refresh(db, index_url=server.url)
    assert one.project_status is None and one.version == "1.1"


def test_where_all_releases_are_withdrawn_that_is_a_fact(db: AuthDB, server: IndexServer) -> None:
    refresh(db, index_url=server.url)
    withdrawn = answer("drf-one", "1.0", "1.1", requires_dist=["django>=4"])
    for files in withdrawn["releases"].values():
        files[0]["yanked"] = True
    server.answers["drf-one"] = withdrawn
    done = refresh(db, index_url=server.url)
    assert done.failed == ()
    one = db["drf-one"]
    assert (one.project_status, one.version, one.releases) == ("withdrawn", None, ())
    assert (one.last_update, one.requires_django) == (None, None)
    assert one.source("vulnerabilities") is None  # of no version is it known
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"


def test_who_asks_is_told_to_the_index_and_to_nobody_else(
    folder: Path, db: AuthDB, server: IndexServer
) -> None:
    url = server.url.replace("http://", "http://some%40one:s3cret@")
    refresh(db, index_url=url)
    token = base64.b64encode(b"some@one:s3cret").decode()
    assert {r.headers.get("authorization") for r in server.requests} == {f"Basic {token}"}
    source = db["drf-one"].source("version")
    assert source is not None and source.source == f"{server.url}/drf-one/json"
    with pytest.raises(FetchError) as error:
        refresh(db, index_url="http://someone:s3cret@127.0.0.1:9/pypi")
    assert "s3cret" not in str(error.value)
    for file in folder.iterdir():
        assert b"s3cret" not in file.read_bytes()


def test_one_moment_without_an_answer_does_not_end_it(
    db: AuthDB, server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, asked_before = Fetcher.ask, []

    def ask(self: Fetcher, method: str, url: str, *more: Any, **options: Any) -> Any:
        asked_before.append(url)
        if len(asked_before) == 2:
            raise FetchError(url, "no connection", unreachable=True)
        return whole(self, method, url, *more, **options)

    monkeypatch.setattr(Fetcher, "ask", ask)
    done = refresh(db, index_url=server.url, at_once=1)
    assert (len(done.changes), done.failed) == (1, (("drf-two", "no connection"),))


def test_a_silent_index_is_not_asked_for_ever(db: AuthDB, server: IndexServer) -> None:
    server.misbehave(None, bad.slow(60))
    for number in range(40):
        db.add(Package(f"package-{number}", "Any"))
    began = time.monotonic()
    with pytest.raises(FetchError, match="no answer in time"):
        refresh(db, index_url=server.url, timeout=0.1, at_once=20)
    assert len({request.path for request in server.requests}) < 43
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "url",
    [
        *(" ", "http://me:SECRET/x@host/pypi", "me:SECRET@host/pypi", "http:me:SECRET@host"),
        *("http:///me:SECRET@host", "http://me:SECRET@", "ftp://me:SECRET@host/pypi"),
        *("http://me:SECRET@127.0.0.1:9/pypi?token=SECRET", "http://127.0.0.1:9/pypi#SECRET"),
    ],
)
def test_an_address_that_is_none_is_told_without_what_may_be_secret(db: AuthDB, url: str) -> None:
    with pytest.raises(AuthDBError) as error:
        refresh(db, index_url=url)
    assert "SECRET" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("identity", ["me:日本", "me:a%40b", "me:"])
def test_any_name_and_password_can_be_told(db: AuthDB, server: IndexServer, identity: str) -> None:
    refresh(db, index_url=server.url.replace("http://", f"http://{identity}@"))
    told = {request.headers["authorization"].split()[1] for request in server.requests}
    assert [base64.b64decode(each).decode() for each in told] == [unquote(identity)]


def test_in_memory_nothing_is_kept(server: IndexServer) -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("drf-one", "One"))
        assert str(refresh(db, index_url=server.url)) == "1 changed"
        assert str(refresh(db, index_url=server.url)) == "1 unchanged"
        assert {r.status for r in server.requests} == {200}


# -- Django and Django REST Framework --------------------------------------------------------


def test_the_frameworks_are_kept_beside_the_database(
    folder: Path, db: AuthDB, server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh(db, ["drf-one"], index_url=server.url)
    assert "django" not in asked(server)
    shipped = known(None)
    assert known(folder) == shipped
    refresh(db, index_url=server.url)
    found = known(folder)
    assert [release.version for release in found.django] == ["5.2", "6.0"]
    assert [release.version for release in found.drf] == ["3.15.0"]
    assert (found.drf_requires, found.seen) == (">=5", TODAY)
    monkeypatch.setattr(
        "authdb.frameworks.shipped_frameworks", lambda: shipped._replace(seen=date(2999, 1, 1))
    )
    assert known(folder).seen == date(2999, 1, 1)  # whichever is newer


def test_without_them_what_was_known_stays(folder: Path, db: AuthDB, server: IndexServer) -> None:
    del server.answers["django"]
    done = refresh(db, index_url=server.url)
    assert done.failed == ()
    assert done.remarks == ("django: the index has no such package: what was known of it is kept",)
    assert known(folder) == known(None)


# -- repositories ----------------------------------------------------------------------------


def commits(day: str) -> list[dict[str, Any]]:
    return [{"sha": "a" * 40, "commit": {"committer": {"date": f"{day}T12:00:00Z"}}}]


def test_the_host_tells_of_the_repository(db: AuthDB, server: IndexServer) -> None:
    db.update("drf-one", repository="https://github.com/someone/drf-one")
    server.paths["/repos/someone/drf-one"] = HOST | {"archived": True}
    server.paths["/repos/someone/drf-one/commits"] = commits("2024-02-01")
    refresh(db, index_url=server.url)
    one = db["drf-one"]
    assert (one.repository_status, one.last_push) == ("archived", date(2024, 2, 3))
    assert (one.last_commit, one.last_update) == (date(2024, 2, 1), date(2024, 2, 1))
    source = one.source("last_commit")
    assert source is not None
    assert source.source == "GitHub, https://github.com/someone/drf-one"
    server.clear()
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"
    (request,) = [r for r in server.requests if r.path.startswith("/repos")]
    assert request.status == 304


def test_a_repository_that_moved_keeps_the_link_that_people_gave(
    db: AuthDB, server: IndexServer
) -> None:
    db.update("drf-one", repository="https://github.com/old/drf-one")
    server.paths["/repos/old/drf-one"] = bad.redirect("/repositories/1", 301)
    server.paths["/repositories/1"] = HOST
    server.paths["/repos/old/drf-one/commits"] = []
    refresh(db, index_url=server.url)
    one = db["drf-one"]
    assert one.repository == "https://github.com/old/drf-one"
    assert one.moved_to == "https://github.com/someone/drf-one"


def test_what_was_said_of_another_repository_is_forgotten(db: AuthDB, server: IndexServer) -> None:
    db.update("drf-one", repository="https://github.com/old/drf-one")
    server.paths["/repos/old/drf-one"] = HOST | {"full_name": "old/drf-one", "archived": True}
    server.paths["/repos/old/drf-one/commits"] = commits("2025-05-05")
    refresh(db, index_url=server.url)
    one = db["drf-one"]
    assert (one.repository_status, one.last_commit) == ("archived", date(2025, 5, 5))
    # The new one was pushed to before the old one: its last commit is asked for all the same.
    db.update("drf-one", repository="https://github.com/someone/drf-one")
    server.paths["/repos/someone/drf-one"] = HOST
    server.paths["/repos/someone/drf-one/commits"] = commits("2024-02-01")
    refresh(db, index_url=server.url)
    assert (one.repository_status, one.last_commit) == ("active", date(2024, 2, 1))
    # Of a host that is not asked nothing is known.
    db.update("drf-one", repository="https://example.org/someone/drf-one")
    refresh(db, index_url=server.url)
    assert (one.repository_status, one.last_commit, one.last_push) == (None, None, None)


def test_what_was_heard_of_a_link_that_was_changed_meanwhile_is_left_out(
    db: AuthDB, server: IndexServer
) -> None:
    db.update("drf-one", repository="https://github.com/someone/drf-one")
    server.paths["/repos/someone/drf-one"] = HOST | {"archived": True}
    server.paths["/repos/someone/drf-one/commits"] = commits("2024-02-01")
    heard = ask(db, index_url=server.url)
    db.update("drf-one", repository="https://github.com/other/drf-one")
    apply(db, heard)
    assert (db["drf-one"].version, db["drf-one"].repository_status) == ("1.1", None)


def test_the_repository_that_the_index_tells_is_asked_about_at_once(
    db: AuthDB, server: IndexServer
) -> None:
    links = {"Source": "https://github.com/someone/drf-one"}
    server.answers["drf-one"] = answer("drf-one", "1.0", project_urls=links)
    server.paths["/repos/someone/drf-one"] = HOST
    server.paths["/repos/someone/drf-one/commits"] = commits("2024-02-01")
    refresh(db, index_url=server.url)
    assert db["drf-one"].last_commit == date(2024, 2, 1)
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"


def test_an_undo_loses_no_commit_that_the_host_told(db: AuthDB, server: IndexServer) -> None:
    db.update("drf-one", repository="https://github.com/someone/drf-one")
    server.paths["/repos/someone/drf-one"] = HOST
    server.paths["/repos/someone/drf-one/commits"] = commits("2024-02-01")
    refresh(db, index_url=server.url)
    change = db.generation
    # Something else than a push gives another ETag: no commit is asked for.
    server.paths["/repos/someone/drf-one"] = HOST | {"stargazers_count": 5}
    assert str(refresh(db, index_url=server.url)) == "2 unchanged"
    db.undo(change)
    assert db["drf-one"].last_commit is None
    refresh(db, index_url=server.url)
    assert db["drf-one"].last_commit == date(2024, 2, 1)


def test_a_date_that_was_stated_loses_its_source_with_its_value(
    db: AuthDB, server: IndexServer
) -> None:
    by_hand = {"last_update": {"source": "by hand", "seen": "2026-06-01"}}
    db.update("drf-two", last_update="2026-06-01", sources=by_hand)
    refresh(db, index_url=server.url)
    two = db["drf-two"]
    assert (two.last_update, two.source("last_update")) == (date(2024, 1, 1), None)


def test_a_host_that_has_had_enough_is_told_once_and_the_index_goes_on(
    db: AuthDB, server: IndexServer
) -> None:
    for name in ("drf-one", "drf-two"):
        db.update(name, repository=f"https://github.com/someone/{name}")
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000000"}
    for name in ("drf-one", "drf-two"):
        server.paths[f"/repos/someone/{name}"] = bad.status(403, headers=limit)
    done = refresh(db, index_url=server.url, at_once=1)
    assert (len(done.changes), done.failed) == (2, ())
    assert done.remarks == (
        (
            "GitHub has answered often enough until 08:00 UTC: with a token in GITHUB_TOKEN it "
            "answers more often; 2 repositories were not asked about"
        ),
    )
    assert len([r for r in server.requests if r.path.startswith("/repos")]) == 1
    assert db["drf-one"].repository_status is None


def test_what_the_host_did_not_say_keeps_nobody_from_what_the_index_said(
    db: AuthDB, server: IndexServer
) -> None:
    db.update("drf-one", repository="https://github.com/someone/drf-one")
    server.paths["/repos/someone/drf-one"] = bad.html()
    done = refresh(db, index_url=server.url)
    ((name, reason),) = done.failed
    assert name == "drf-one" and "not the JSON of its host" in reason
    assert db["drf-one"].version == "1.1"
    assert refresh(db, index_url=server.url, repositories=False).failed == ()


# -- kills -----------------------------------------------------------------------------------


def test_a_kill_at_any_moment_leaves_all_or_nothing(folder: Path) -> None:
    """A refresh killed at random moments, again and again: each time the facts of all packages are
    there or those of none, and in the end all of them."""
    chance = random.Random(5)
    with IndexServer(bad.generated(40), latency=0.01) as server:
        with AuthDB.create(folder) as db, db.transaction():
            for number in range(1, 41):
                db.add(Package(f"package-{number:04}", f"Package {number}"))
        command = [sys.executable, "-m", "authdb", "--db", str(folder), "refresh"]
        command += ["--index-url", server.url, "--at-once", "20"]
        ended = []
        for turn in itertools.count():
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
            )
            deadline = time.monotonic() + chance.uniform(0.1, 0.7)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            ended.append(process.wait())
            with AuthDB.open(folder) as db:
                heard = [package.version is not None for package in db]
                assert all(heard) or not any(heard)
                assert db.generation == 1 + any(heard)
                assert db.check() == []
            if turn >= 12 and any(heard):
                break
            assert turn < 60
        assert -signal.SIGKILL in ended


def test_nobody_is_kept_from_writing_while_servers_are_slow(
    folder: Path, db: AuthDB, server: IndexServer
) -> None:
    db.close()
    server.misbehave("drf-two", [bad.slow(3)], then_well=True)
    command = [sys.executable, "-m", "authdb", "--db", str(folder), "refresh"]
    process = subprocess.Popen(
        [*command, "--index-url", server.url], stdout=subprocess.PIPE, env=environment()
    )
    while not any(request.path == "/pypi/drf-two/json" for request in server.requests):
        time.sleep(0.01)
        assert process.poll() is None
    with AuthDB.open(folder) as db:  # DatabaseLocked, if the command held on to it
        db.update("drf-two", title="Two, newly named")
    assert process.communicate(timeout=30)[0] == b"2 changed\nchanged: drf-one, drf-two\n"
    with AuthDB.open(folder, read_only=True) as db:
        assert (db["drf-two"].title, db["drf-two"].version) == ("Two, newly named", "2.0")
