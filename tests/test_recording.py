"""Recording: what was heard goes into the recorded facts, and what was recorded of earlier days
stays as it was."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from authdb import editions
from authdb.exceptions import AuthDBError
from authdb.hearing import Asked, Heard
from authdb.hosts import Repository
from authdb.pypi import Project
from authdb.recording import record
from authdb.releases import Dated

LINK = "https://github.com/someone/drf-one"
LIST = f"""
[[packages]]
name = "drf-one"
title = "One"
repository = "{LINK}"
[[packages]]
name = "drf-two"
title = "Two"
"""
EDITION = """title = "Ours"
as_of = 2024-03-01  # the day
curated = "ours.toml"
facts = "facts.json"
members = ["drf-one", "drf-two"]
"""
BEFORE = {
    "commits": {
        "last": [{"by": "2024-02-26", "date": "2023-11-29"}],
        "seen": "2024-03-01",
        "source": "git history",
    },
    "index": {
        "releases": [{"version": "1.0", "date": "2023-11-01"}],
        "requires_django": ">=4",
        "seen": "2024-03-01",
        "source": "an index",
    },
}


@pytest.fixture
def edition(tmp_path: Path) -> Path:
    (tmp_path / "ours.toml").write_text(LIST, "utf-8")
    (tmp_path / "facts.json").write_text(json.dumps({"packages": {"drf-one": BEFORE}}), "utf-8")
    (tmp_path / "list.toml").write_text(EDITION, "utf-8")
    return tmp_path / "list.toml"


def facts(edition: Path) -> Any:
    return json.loads((edition.parent / "facts.json").read_text("utf-8"))["packages"]


def heard(name: str = "drf-one", day: int = 5, **more: Any) -> Heard:
    return Heard(name, "an index", date(2024, 4, day), **more)


def of(*heard: Heard, frameworks: tuple[Heard, ...] = ()) -> Asked:
    return Asked(heard, (), (), (), frameworks)


def one(*versions: str, **more: Any) -> Project:
    releases = tuple(Dated(v, date(2023, 11, day)) for day, v in enumerate(versions, 1))
    return Project("drf-one", releases, versions[-1], releases[-1].date, **more)


HOST = Repository(f"GitHub, {LINK}", "active", date(2024, 4, 3), date(2024, 4, 1))


def test_the_facts_of_the_newest_are_put_in_place_of_older_ones(edition: Path) -> None:
    told = one("1.0", "1.1", described=True, vulnerabilities=())
    assert record(edition, of(heard(project=told))) == 1
    index = facts(edition)["drf-one"]["index"]
    assert [release["version"] for release in index["releases"]] == ["1.0", "1.1"]
    assert "requires_django" not in index  # of 1.1 it is not known
    assert (index["vulnerabilities"], index["seen"]) == ([], "2024-04-05")
    assert "as_of = 2024-04-05  # the day" in edition.read_text("utf-8")


def test_what_is_as_it_was_keeps_its_day_and_the_list_moves_on(edition: Path) -> None:
    told = heard(project=one("1.0", described=True), repository=HOST, link=LINK)
    record(edition, of(told))
    before = (edition.parent / "facts.json").read_bytes()
    assert record(edition, of(told._replace(seen=date(2024, 5, 1)))) == 1
    assert (edition.parent / "facts.json").read_bytes() == before
    assert editions.read(edition).as_of == date(2024, 5, 1)


def test_commits_of_earlier_days_keep_where_they_come_from(edition: Path) -> None:
    record(edition, of(heard(repository=HOST, link=LINK)))
    commits = facts(edition)["drf-one"]["commits"]
    assert commits["source"] == "git history"
    origin = {"seen": "2024-04-05", "source": f"GitHub, {LINK}"}
    assert commits["last"] == [
        {"by": "2024-02-26", "date": "2023-11-29"},
        {"by": "2024-04-05", "date": "2024-04-01", **origin},
    ]
    # As of each day they are told with the source of that day.
    edition.write_text(EDITION.replace("2024-03-01", "2024-04-06"), "utf-8")
    (now, _) = editions.records(edition)
    edition.write_text(EDITION, "utf-8")
    (then, _) = editions.records(edition)
    assert (now["last_commit"], then["last_commit"]) == (date(2024, 4, 1), date(2023, 11, 29))
    sources: Any = [record["sources"] for record in (now, then)]
    assert [each["last_commit"]["source"] for each in sources] == [
        f"GitHub, {LINK}",
        "git history",
    ]
    assert "repository_status" not in then


def test_another_repository_than_that_of_the_list_is_not_recorded(edition: Path) -> None:
    before = facts(edition)
    elsewhere = "https://github.com/fork/drf-one"
    assert record(edition, of(heard(repository=HOST, link=elsewhere))) == 0
    assert facts(edition) == before


def test_of_whom_nothing_was_heard_nothing_is_recorded_and_the_day_stays(edition: Path) -> None:
    before = facts(edition)
    failed = [heard(name, failures=("no answer in time",)) for name in ("drf-one", "drf-two")]
    stranger = heard("drf-stranger", project=one("1.0"))
    assert record(edition, of(*failed, stranger)) == 0
    assert facts(edition) == before
    assert editions.read(edition).as_of == date(2024, 3, 1)


def test_the_frameworks_are_recorded_with_what_they_ask_for(edition: Path) -> None:
    releases = (Dated("5.2", date(2024, 1, 1), ">=3.10"), Dated("6.0a1", date(2024, 2, 1)))
    django = heard("django", project=Project("django", releases, "5.2", date(2024, 1, 1)))
    drf = heard(
        "djangorestframework",
        project=one("3.16.0", requires={"requires_django": ">=4.2"}),
    )
    record(edition, of(frameworks=(django, drf)))
    recorded = json.loads((edition.parent / "facts.json").read_text("utf-8"))["frameworks"]
    assert recorded["django"]["releases"] == [
        {"version": "5.2", "date": "2024-01-01", "requires_python": ">=3.10"}
    ]
    assert recorded["djangorestframework"]["requires_django"] == ">=4.2"


def test_the_list_of_a_day_stays(edition: Path) -> None:
    fixed = edition.with_name("2024-03-01.toml")
    edition.rename(fixed)
    with pytest.raises(AuthDBError, match="does not change any more"):
        record(fixed, of(heard(project=one("1.1"))))
    assert facts(fixed) == {"drf-one": BEFORE}
