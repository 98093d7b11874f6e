"""``authdb choose``, as people run it."""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from commandline import Ended, on_terminal, run, told

from authdb import AuthDB, Package
from authdb.answers import Answers
from authdb.frameworks import keep
from authdb.releases import Dated, Frameworks

SEEN = date(2100, 1, 1)  # later than what ships
FRAMEWORKS = Frameworks(
    (Dated("5.2.3", date(2020, 1, 1)), Dated("6.0.1", date(2020, 1, 2))),
    (Dated("3.15.2", date(2020, 1, 3)),),
    SEEN,
)
TODAY = datetime.now(timezone.utc).date().isoformat()
PACKAGES: list[dict[str, Any]] = [
    {
        "name": "drf-best",
        "title": "Best",
        "description": "Hands out tokens,\nand checks them; " + "and so on, " * 20,
        "categories": ["oauth2", "jwt"],
        "version": "1.2",
        "last_release": TODAY,
        "django_versions": ["5.2"],
        "requires_drf": ">=3.14",
        "development_status": "5 - Production/Stable",
        "license": "MIT",
        "sources": {"vulnerabilities": {"source": "an index", "seen": TODAY}},
    },
    {
        "name": "drf-risky",
        "title": "Risky",
        "categories": ["oauth2"],
        "last_commit": TODAY,
        "license": "GPL-3.0-only",
        "vulnerabilities": [{"id": "CVE-1", "summary": "Lets in anybody. " * 9}],
    },
    {
        "name": "drf-old",
        "title": "Old",
        "categories": ["oauth2"],
        "replaced_by": "drf-best",
        "requires_drf": "<3",
    },
    {"name": "drf-else", "title": "Else", "categories": ["saml"], "requires_django": "<6"},
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choosing") / "db"
    with AuthDB.create(folder) as db, db.transaction():
        for record in PACKAGES:
            db.add(Package(**record))
    with Answers(folder) as answers:
        keep(answers, FRAMEWORKS, time.time())
    return folder


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The list that ships."""
    folder = tmp_path_factory.mktemp("choosing") / "list"
    assert run("--db", folder, "init", "--with-list").status == 0
    return folder


def choose(folder: Path, *arguments: str) -> Ended:
    return run("--db", folder, "choose", *arguments)


def test_each_package_comes_with_its_reasons_in_words(stored: Path) -> None:
    ended = choose(stored, "--need", "oauth2", "--django", "5.2", "--explain")
    assert (ended.err, ended.status) == ("", 0)
    assert ended.lines == [
        "for oauth2, with Django 5.2 and today's djangorestframework 3.15.2 (seen",
        f"  2100-01-01); as of {TODAY}",
        "",
        f"1. drf-best 1.2, updated {TODAY}, +4 -0",
        "   Best: Hands out tokens, and checks them; and so on, and so on, and so on, ...",
        "   + last release today",
        "   + declares Django 5.2",
        "   = lets in today's djangorestframework 3.15.2 (requires >=3.14)",
        "   + no known vulnerability",
        "   + its authors call it stable",
        "   ? whether it is marked as archived is not known",
        "   = licence MIT",
        "",
        f"2. drf-risky, updated {TODAY}, +1 -1",
        "   Risky",
        "   + last commit today",
        "   ? which Django it runs with is not known",
        "   ? which djangorestframework it asks for is not known",
        "   - 1 known vulnerability: CVE-1: Lets in anybody. Lets in anybody. Lets in",
        "     anybody. Lets in anybody. Lets in anybody. Lets in anybody. Lets in",
        "     anybody. Lets in anybody. Lets in anybody.",
        "   ? how stable its authors call it is not known",
        "   ? whether it is marked as archived is not known",
        "   = licence GPL-3.0-only",
        "",
        "not offered:",
        "   drf-old: replaced by drf-best; requires djangorestframework<3: cannot be",
        "     installed with today's 3.15.2",
        "   drf-else: not listed under oauth2",
        "",
        "2 of 4 packages fit",
    ]


def test_no_more_are_shown_than_are_asked_for(stored: Path) -> None:
    ended = choose(stored, "--need", "oauth2", "--limit", "1")
    assert ended.status == 0
    assert ended.lines[-2:] == ["", "2 of 4 packages fit, 1 shown"]
    assert not [line for line in ended.lines if "drf-risky" in line or "not offered" in line]
    assert ended.lines[0].startswith("for oauth2, with today's Django 6.0.1 and today's")
    every = "with Django 5.2 and today's djangorestframework 3.15.2 (seen 2100-01-01), on Python "
    every += "3.13, updated within 18mo, licence permissive or MPL-2.0; as of "
    options = ("--django", "5.2", "--python", "3.13", "--within", "18mo")
    ended = choose(stored, *options, "--license", "permissive,MPL-2.0", "--limit", "0")
    assert (
        " ".join(ended.out.split()) == f"for anything, {every}{TODAY} 2 of 4 packages fit, 0 shown"
    )


def test_on_a_terminal_lines_are_as_long_as_that_is_wide(stored: Path) -> None:
    commands = [["--db", str(stored), "choose", "--need", "oauth2", "--explain"]]
    for columns in (60, 200):
        (ended,) = on_terminal(commands, columns=columns)
        assert ended.status == 0
        longest = max(map(len, ended.lines))
        assert columns - 30 < longest <= columns


def test_a_program_gets_all_of_it(stored: Path) -> None:
    ended = choose(stored, "--need", "oauth2,jwt", "--within", "1y", "--format", "json")
    assert (ended.err, ended.status) == ("", 0)
    answer = ended.json
    (offered,) = answer.pop("offered")
    assert answer == {
        "asked": {
            "needs": ["oauth2", "jwt"],
            "django": None,
            "python": None,
            "within": "1y",
            "license": None,
        },
        "day": TODAY,
        "today": {
            "django": "6.0.1",
            "djangorestframework": "3.15.2",
            "they_go_together": True,
            "seen": "2100-01-01",
        },
        "remarks": [],
        "packages": 4,
        "total": 1,
        "rejected": None,
    }
    package = offered.pop("package")
    assert Package(**package).record() == Package(**PACKAGES[0]).record()
    kinds = [reason["sign"] for reason in offered.pop("reasons")]
    assert offered == {"name": "drf-best", "points": 3, "for": 3, "against": 0}
    assert (kinds.count("+"), kinds.count("-")) == (3, 0)
    rejected = choose(stored, "--need", "jwt", "--explain", "--format", "json").json["rejected"]
    assert [each["name"] for each in rejected] == ["drf-risky", "drf-else", "drf-old"]
    assert rejected[1] == {
        "name": "drf-else",
        "title": "Else",
        "failed": [
            "not listed under jwt",
            "requires django<6: cannot be installed with today's Django 6.0.1",
        ],
    }


def test_nothing_that_fits_is_an_honest_no(stored: Path, tmp_path: Path) -> None:
    nobody = ("--need", "saml", "--need", "jwt")
    ended = choose(stored, *nobody)
    told(ended, 1, "no package fits, out of 4", "--explain")
    assert len(ended.lines) == 2  # what was asked, of which day
    ended = choose(stored, *nobody, "--explain")
    told(ended, 1, "no package fits, out of 4")
    assert "--explain" not in ended.err
    assert "   drf-best: not listed under saml" in ended.lines
    ended = choose(stored, *nobody, "--format", "json")
    told(ended, 1, "no package fits")
    assert (ended.json["total"], ended.json["offered"]) == (0, [])
    AuthDB.create(tmp_path / "empty").close()
    told(choose(tmp_path / "empty"), 1, "no package to choose from")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--need", "oath2"], ["'oath2'", "'oauth2'"]),
        (["--need", ","], ["category"]),
        (["--django", "five"], ["Django", "'five'", "5.2"]),
        (["--python", "3.x"], ["Python", "'3.x'"]),
        (["--within", "18"], ["--within", "18mo", "'18'"]),
        (["--license", "permisive"], ["'permisive'", "'permissive'"]),
        (["--license", "MIT OR ISC"], ["SPDX"]),
        (["--limit", "-1"], ["--limit"]),
        (["--format", "csv"], ["--format"]),
        (["--as-of", "soon"], ["--as-of"]),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(arguments: list[str], words: list[str]) -> None:
    """Before any database is looked for: the one that is asked for is not there."""
    told(run("choose", *arguments), 2, *words)


def test_without_a_database_there_is_nothing_to_choose_from() -> None:
    told(run("choose"), 3, "/nonexistent/db")


def test_the_past_is_judged_as_of_its_day(stored: Path) -> None:
    told(choose(stored, "--as-of", "c0"), 1, "no package to choose from")
    assert choose(stored, "--as-of", "c1").lines[1].endswith(f"as of {TODAY}")
    told(choose(stored, "--as-of", "2019-12-31"), 1)


def test_the_list_that_ships_is_chosen_from(listed: Path) -> None:
    question = ("--need", "oauth2", "--django", "5.2", "--limit", "99", "--explain")
    answer = choose(listed, *question, "--format", "json").json
    offered, rejected = ({each["name"] for each in answer[key]} for key in ("offered", "rejected"))
    with AuthDB.open(listed, read_only=True) as db:
        assert offered
        assert offered.isdisjoint(rejected)
        assert offered | rejected == set(db.names())
        for name in offered:
            assert "oauth2" in db[name].categories
            assert db[name].replaced_by is None
    ended = choose(listed, *question)
    assert (ended.err, ended.status) == ("", 0)
    ranked = [line.split()[:2] for line in ended.lines if re.match(r"\d+\. ", line)]
    places = [[f"{at}.", each["name"]] for at, each in enumerate(answer["offered"], 1)]
    assert [[rank, name.rstrip(",")] for rank, name in ranked] == places
    assert "replaced by dj-rest-auth" in " ".join(ended.out.split())
    assert max(map(len, ended.lines)) <= 80


def test_the_question_of_the_readme_has_an_answer(listed: Path) -> None:
    options = "--django 5.2 --python 3.13 --within 18mo --license permissive --limit 5"
    ended = choose(listed, "--need", "social", "--need", "jwt", *options.split(), "--as-of", "c1")
    assert ended.status in (0, 1)  # which, is a matter of the day
    assert ended.lines[0].startswith("for social, jwt, with Django 5.2 and today's djangorest")
