"""Choosing: what is required, what counts, and that the catalog finds what asking each would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import NAMES, SOME, records, store
from packaging.specifiers import SpecifierSet
from test_licenses import licenses

from authdb import AuthDB, Package, beside, columns
from authdb.dates import PartialDate
from authdb.exceptions import AuthDBError
from authdb.fields import DEVELOPMENT_STATUS, PROJECT_STATUS, REPOSITORY_STATUS
from authdb.releases import Dated, Frameworks
from authdb.selection import Choice, Requirements, choose

DAY = date(2021, 3, 15)
DJANGO = ("4.2", "4.2.16", "5.1.3", "5.2", "5.2.3", "6.0.1")
FRAMEWORKS = Frameworks(
    tuple(Dated(version, date(2020, 1, at + 1)) for at, version in enumerate(DJANGO)),
    (Dated("2.4.0", date(2019, 1, 1)), Dated("3.15.2", date(2021, 3, 15))),
    date(2021, 3, 16),
)
ASKED = ("vulnerabilities", "requires_django", "requires_drf", "requires_python")
ASKED = (*ASKED, "django_versions", "python_versions", "development_status", "project_status")


def asked(*fields: str) -> dict[str, Any]:
    """That these facts were looked for, whatever was found."""
    return {of: {"source": "the index", "seen": "2021-03-14"} for of in fields}


def chosen(packages: list[Package], *needs: str, **options: Any) -> Choice:
    """What is chosen among packages, all the others explained."""
    required = ("django", "python", "within", "license")
    requirements = Requirements.of(
        needs, **{key: options.pop(key) for key in required if key in options}
    )
    options = {"frameworks": FRAMEWORKS, "day": DAY, "explain": True} | options
    with AuthDB.in_memory() as db:
        store(db, [package.copy() for package in packages])
        return choose(db, requirements, **options)


def names(choice: Choice) -> list[str]:
    return [each.package.name for each in choice.offered]


def why_not(*needs: str, fields: dict[str, Any], **options: Any) -> tuple[str, ...]:
    """The requirements that the package of these fields fails."""
    rejected = chosen([Package("a-package", "A", **fields)], *needs, **options).rejected
    return rejected[0].failed if rejected else ()


def reasons(fields: dict[str, Any], **options: Any) -> list[str]:
    """The reasons for and against the package of these fields."""
    (offered,) = chosen([Package("a-package", "A", **fields)], **options).offered
    return list(map(str, offered.reasons))


# -- what is required ------------------------------------------------------------------------


def test_requirements_are_read_as_people_write_them() -> None:
    assert Requirements.of() == ((), None, None, None, None)
    assert Requirements.of("jwt, social").needs == ("jwt", "social")
    assert Requirements.of(["jwt,social", "jwt"]).needs == ("jwt", "social")
    read = Requirements.of(django=" 5.2 ", python="3.13", within=" 18mo", license="Permissive, mit")
    assert read == ((), "5.2", "3.13", "18mo", "permissive,MIT")
    assert Requirements.of(**read._asdict()) == read
    # What people call them.
    assert Requirements.of("JWT, passkeys, OpenID,2FA").needs == ("jwt", "webauthn", "oidc", "mfa")
    assert Requirements.of(license="mpl,bsd,gpl-3.0,GPL-2.0+").license == "MPL,BSD,GPL-3.0,GPL-2.0+"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"needs": "oath2"}, "did you mean 'oauth2'"),
        ({"needs": ["jwt", "zzzzz"]}, "there are: oauth1, oauth2"),
        ({"needs": [7]}, "not 7"),
        ({"needs": " , "}, "such as oauth2"),
        ({"django": "new"}, "Django: a version is written 5.2 or 5.2.3, not 'new'"),
        ({"django": "1.2.3.4"}, "Django"),
        ({"python": ""}, "Python"),
        ({"python": 3.13}, "Python"),
        ({"python": "9" * 5000}, "Python"),
        ({"within": "18"}, "within: a length of time"),
        ({"within": 18}, "within: "),
        ({"license": "permisive"}, "did you mean 'permissive'"),
        ({"license": "BSDish"}, "'BSDish'"),
        ({"license": "MIT OR ISC"}, "'MIT OR ISC'"),
        ({"license": "(MIT)"}, "MIT"),
        ({"license": "MIT,"}, "''"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(given: dict[str, Any], words: str) -> None:
    with pytest.raises(AuthDBError) as told:
        Requirements.of(**given)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


def test_requirements_that_were_not_read_are_read_before_anything_is_chosen() -> None:
    with AuthDB.in_memory() as db, pytest.raises(AuthDBError, match="oath2"):
        choose(db, Requirements(("oath2",)), frameworks=FRAMEWORKS)


@pytest.mark.parametrize("options", [{"limit": -1}, {"limit": "5"}, {"day": "soon"}])
def test_a_limit_and_a_day_that_are_none_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(AuthDBError, match=next(iter(options))):
        chosen([], **options)


# -- who is not offered, and why -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "options", "failed"),
    [
        ({"replaced_by": "nobody-here"}, {}, ["replaced by nobody-here"]),
        (
            {"project_status": "quarantined"},
            {},
            ["quarantined by its package index: cannot be installed"],
        ),
        ({"project_status": "archived", "repository_status": "gone"}, {}, []),
        (
            {"requires_drf": "<3"},
            {},
            ["requires djangorestframework<3: cannot be installed with today's 3.15.2"],
        ),
        ({"requires_drf": "<3"}, {"day": date(2020, 6, 1)}, []),
        (
            {"requires_django": "<6"},
            {},
            ["requires django<6: cannot be installed with today's Django 6.0.1"],
        ),
        ({"requires_django": "<6"}, {"django": "5.2"}, []),
        ({"requires_django": "==5.2.3"}, {"django": "5.2"}, []),
        (
            {"requires_django": "==5.2.3"},
            {"django": "5.2.1"},
            ["requires django==5.2.3: cannot be installed with Django 5.2.1"],
        ),
        # Never released, as far as is known.
        (
            {"requires_django": ">=5.2.4,<5.3"},
            {"django": "5.2"},
            ["requires django>=5.2.4,<5.3: cannot be installed with Django 5.2"],
        ),
        (
            {"requires_python": ">=3.14"},
            {"python": "3.13"},
            ["requires python>=3.14: cannot be installed with Python 3.13"],
        ),
        ({"requires_python": ">=3.14"}, {}, []),
        (
            {"license": "MPL-2.0"},
            {"license": "permissive"},
            ["its licence MPL-2.0 is not permissive"],
        ),
        (
            {"license": "MPL-2.0"},
            {"license": "permissive,isc,GPL-3.0-only"},
            ["its licence MPL-2.0 is not permissive, ISC or GPL-3.0-only"],
        ),
        ({"license": "MPL-2.0"}, {"license": "copyleft"}, []),
        ({"license": "MPL-2.0"}, {"license": "MPL-2.0"}, []),
        (
            {"last_commit": "2019-09-14"},
            {"within": "18mo"},
            ["no update within 18mo: the last was on 2019-09-14"],
        ),
        ({"last_commit": "2019-09-15"}, {"within": "18mo"}, []),
        (
            {"last_commit": "2019-08"},
            {"within": "18mo"},
            ["no update within 18mo: the last was in 2019-08"],
        ),
        # It may have been at the end of that month, or year.
        ({"last_commit": "2019-09"}, {"within": "18mo"}, []),
        ({"last_commit": "2019"}, {"within": "18mo"}, []),
        ({}, {"within": "1d", "license": "MIT", "python": "2.7", "django": "1.8"}, []),
    ],
)
def test_a_requirement_that_is_failed_is_named(
    fields: dict[str, Any], options: dict[str, Any], failed: list[str]
) -> None:
    assert list(why_not(fields=fields, **options)) == failed


def test_each_requirement_that_is_failed_is_named() -> None:
    fields = {"categories": ["jwt"], "replaced_by": "djoser", "requires_drf": "<3"}
    assert why_not("social", "jwt", "saml", fields=fields) == (
        "not listed under social",
        "not listed under saml",
        "replaced by djoser",
        "requires djangorestframework<3: cannot be installed with today's 3.15.2",
    )


def test_the_nearest_misses_come_first() -> None:
    packages = [
        Package("far", "F"),
        Package("near", "N", categories=["jwt"], replaced_by="best", requires_drf="<3"),
        Package("a-near", "N", categories=["jwt"], replaced_by="best", requires_drf="<3"),
        Package("nearest", "N", categories=["jwt"], replaced_by="best"),
        Package("best", "B", categories=["jwt"]),
    ]
    choice = chosen(packages, "jwt")
    assert names(choice) == ["best"]
    assert [each.name for each in choice.rejected] == ["nearest", "a-near", "near", "far"]
    assert (choice.total, choice.packages) == (1, 5)
    assert chosen(packages, "jwt", explain=False).rejected == []


def test_where_no_release_is_known_nothing_is_held_against_anybody() -> None:
    fields = {"requires_drf": "<3", "requires_django": "<2"}
    told = reasons(fields, frameworks=Frameworks())
    assert "? which djangorestframework is today's is not known" in told
    assert "? which Django is today's is not known" in told
    choice = chosen([], frameworks=Frameworks())
    assert (choice.django, choice.drf, choice.seen) == (None, None, None)
    # Which are asked for is known all the same.
    assert why_not(fields=fields, frameworks=Frameworks(), django="4.2") == (
        "requires django<2: cannot be installed with Django 4.2",
    )


# -- reasons ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"last_release": "2021-03-15"}, "+ last release today"),
        ({"last_release": "2021-03-14"}, "+ last release 1 day ago"),
        ({"last_release": "2021-02-16"}, "+ last release 27 days ago"),
        ({"last_release": "2021-02-15"}, "+ last release 1 month ago"),
        ({"last_commit": "2020-11-03"}, "+ last commit 4 months ago"),
        (
            {"last_commit": "2020-11-03", "last_release": "2020-11-03"},
            "+ last release 4 months ago",
        ),
        (
            {"last_commit": "2020-11-03", "last_release": "2018-11-03"},
            "+ last commit 4 months ago, last release 2 years 4 months ago",
        ),
        ({"last_update": "2020-11-03"}, "+ last update 4 months ago"),
        ({"last_update": "2021-03-16"}, "+ last update on 2021-03-16"),
        ({"last_release": "2020-03-15"}, "+ last release 1 year ago"),
        ({"last_release": "2020-03-14"}, "= last release 1 year ago"),
        ({"last_release": "2019-03-15"}, "= last release 2 years ago"),
        ({"last_release": "2019-03-14"}, "- no update for 2 years: last release on 2019-03-14"),
        ({"last_commit": "2014-06"}, "- no update for 6 years 8 months: last commit in 2014-06"),
        # Neither surely within two years nor surely before them.
        ({"last_release": "2019-03"}, "= last release in 2019-03"),
        ({"last_release": "2019"}, "= last release in 2019"),
        ({"last_release": "2020"}, "= last release in 2020"),
        ({"last_release": "2021"}, "+ last release in 2021"),
        ({}, "? when it was last updated is not known"),
    ],
)
def test_the_last_update(fields: dict[str, Any], reason: str) -> None:
    assert reasons(fields)[0] == reason


def test_whether_a_month_or_a_year_is_within_may_not_be_known() -> None:
    doubt = "? whether that is within 18mo is not known"
    assert doubt in reasons({"last_release": "2019"}, within="18mo")
    assert doubt in reasons({"last_release": "2019-09"}, within="18mo")
    assert doubt not in reasons({"last_release": "2019-10"}, within="18mo")
    assert doubt not in reasons({"last_release": "2019"})


@pytest.mark.parametrize(
    ("fields", "django", "reason"),
    [
        ({"django_versions": ["4.2", "5.2"]}, "5.2", "+ declares Django 5.2"),
        ({"django_versions": ["4.2", "5.2"]}, "5.2.3", "+ declares Django 5.2"),
        ({"django_versions": ["4.2", "5.2"]}, "5", "+ declares Django 5"),
        ({"django_versions": ["4.2", "6.0"]}, None, "+ declares Django 6.0"),
        ({"django_versions": ["5.2"], "requires_django": ">=4"}, "5.2", "+ declares Django 5.2"),
        (
            {"requires_django": ">=4.2", "sources": asked("django_versions")},
            "5.2",
            "= its metadata (django>=4.2) lets in Django 5.2, but does not declare it",
        ),
        (
            {"requires_django": ">=4.2", "django_versions": ["4.2", "5.0", "5.1"]},
            "5.2",
            "= its metadata (django>=4.2) lets in Django 5.2, but declares 4.2 to 5.1 only",
        ),
        (
            {"requires_django": ">4"},
            None,
            "= its metadata (django>4) lets in Django 6.0.1; whether it declares it is not known",
        ),
        (
            {"sources": asked("django_versions", "requires_django")},
            "5.2",
            (
                "= its metadata sets no bounds on Django, and so lets in Django 5.2, but does not "
                "declare it"
            ),
        ),
        (
            {"django_versions": ["5.1"]},
            "5.2",
            "? declares Django 5.1: whether it runs with 5.2 is not known",
        ),
        ({}, "5.2", "? which Django it runs with is not known"),
    ],
)
def test_django(fields: dict[str, Any], django: str | None, reason: str) -> None:
    assert reasons(fields, django=django)[1] == reason


def test_where_todays_framework_is_for_other_djangos_nothing_is_held_against_it() -> None:
    frameworks = FRAMEWORKS._replace(drf_requires=">=5.2")
    strict = [Package("a-package", "A", requires_drf="<3")]
    choice = chosen(strict, django="4.2", frameworks=frameworks)
    assert names(choice) == ["a-package"] and choice.drf_is_for_others
    doubt = "? which djangorestframework goes with Django 4.2 is not known"
    assert doubt in map(str, choice.offered[0].reasons)
    choice = chosen(strict, django="5.2", frameworks=frameworks)
    assert names(choice) == [] and not choice.drf_is_for_others
    # By that day there was another Django REST Framework, of which it is not known.
    early = chosen(strict, django="4.2", frameworks=frameworks, day=date(2020, 6, 1))
    assert not early.drf_is_for_others and early.drf == "2.4.0"


def test_todays_frameworks_are_those_that_the_python_can_have() -> None:
    frameworks = Frameworks(
        (
            Dated("5.2", date(2020, 1, 1), ">=3.10"),
            Dated("6.0", date(2020, 6, 1), ">=3.12"),
        ),
        (
            Dated("3.15.0", date(2020, 1, 1)),
            Dated("3.16.0", date(2020, 6, 1), ">=3.10"),
        ),
    )
    old = [Package("a-package", "A", requires_django="<6", requires_drf="<3.16")]
    choice = chosen(old, frameworks=frameworks)
    assert (names(choice), choice.django, choice.drf) == ([], "6.0", "3.16.0")
    choice = chosen(old, frameworks=frameworks, python="3.9")
    assert (names(choice), choice.django, choice.drf) == (["a-package"], None, "3.15.0")
    choice = chosen(old, frameworks=frameworks, python="3.11")
    assert (choice.django, choice.drf) == ("5.2", "3.16.0")
    with pytest.raises(
        AuthDBError, match=r"Django 6\.0 is not for Python 3\.11: it asks for >=3\.12"
    ):
        chosen(old, frameworks=frameworks, python="3.11", django="6.0")


def test_a_django_that_nobody_has_released_is_remarked_on() -> None:
    choice = chosen([Package("a-package", "A")], django="99")
    assert choice.remarks == ("no release of Django 99 is known here; the newest is 6.0.1",)
    assert chosen([], django="5.2").remarks == chosen([], django="5.2.0").remarks == ()


def test_whichever_version_is_no_bound() -> None:
    fields = {"requires_django": ">=0", "requires_drf": ">=0"}
    assert reasons(fields, django="5.2")[1].startswith("= its metadata sets no bounds on Django")
    assert reasons(fields)[2].startswith("= sets no bounds on djangorestframework")


def test_python_is_told_only_where_it_is_asked() -> None:
    fields = {"python_versions": ["3.12", "3.13"], "requires_python": ">=3.9"}
    assert reasons(fields, python="3.13")[2] == "+ declares Python 3.13"
    assert reasons(fields, python="3.11")[2] == (
        "= its metadata (python>=3.9) lets in Python 3.11, but declares 3.12 to 3.13 only"
    )
    assert reasons({}, python="3.11")[2] == "? which Python it runs with is not known"
    assert not [reason for reason in reasons(fields) if "Python" in reason]


def test_that_it_goes_with_the_framework_is_told_and_does_not_count() -> None:
    today = "today's djangorestframework 3.15.2"
    assert reasons({"requires_drf": ">=3"})[2] == f"= lets in {today} (requires >=3)"
    assert reasons({"sources": asked("requires_drf")})[2] == (
        f"= sets no bounds on djangorestframework, and so lets in {today}"
    )
    assert reasons({})[2] == "? which djangorestframework it asks for is not known"


def _vulnerabilities(count: int, **more: Any) -> dict[str, Any]:
    return {"vulnerabilities": [{"id": f"CVE-{at}", **more} for at in range(count)]}


def test_vulnerabilities_count_once_however_many_there_are() -> None:
    found = reasons(_vulnerabilities(1, summary="Anybody gets in", fixed_in=["2"]))
    assert found[3] == "- 1 known vulnerability: CVE-0: Anybody gets in (fixed in 2)"
    assert reasons(_vulnerabilities(2))[3] == "- 2 known vulnerabilities: CVE-0; CVE-1"
    many = reasons(_vulnerabilities(5, summary="very " * 100))
    assert many[3].startswith("- 5 known vulnerabilities: CVE-0: very very")
    assert many[3].endswith("...; and 2 more")
    assert len(many[3]) < 600
    assert [reason[0] for reason in many].count("-") == 1
    assert reasons({"sources": asked("vulnerabilities")})[3] == "+ no known vulnerability"
    assert reasons({})[3] == "? whether there is a known vulnerability is not known"


@pytest.mark.parametrize(
    ("status", "reason"),
    list(
        zip(
            DEVELOPMENT_STATUS,
            ["- planned", "- pre-alpha", "= alpha", "= beta", "+ stable", "+ mature", "- inactive"],
            strict=True,
        )
    ),
)
def test_what_its_authors_call_it(status: str, reason: str) -> None:
    sign, word = reason.split()
    assert reasons({"development_status": status})[4] == f"{sign} its authors call it {word}"


def test_what_is_said_of_the_project_and_its_repository() -> None:
    assert reasons({})[4:6] == [
        "? how stable its authors call it is not known",
        "? whether it is marked as archived is not known",
    ]
    found = {"sources": asked("development_status", "project_status")}
    told = reasons({**found, "repository_status": "active"})
    assert told[4:] == ["? its authors do not say how stable it is", "? its licence is not known"]
    told = reasons({"project_status": "deprecated", "repository_status": "archived"})
    assert "- marked as deprecated" in told
    assert "- its repository is archived" in told
    told = reasons({"project_status": "active", "repository_status": "gone"})
    assert "- its repository is gone" in told
    assert not [reason for reason in told if "marked" in reason]
    told = reasons({"repository_status": "active"})
    assert "? whether it is marked as archived by its package index is not known" in told
    told = reasons({"project_status": "active"})
    assert "? whether its repository is marked as archived is not known" in told
    moved = reasons({"moved_to": "https://example.org/new", "license": "MIT"})
    assert moved[-2:] == ["= its repository has moved to https://example.org/new", "= licence MIT"]


# -- order -----------------------------------------------------------------------------------


def test_reasons_come_before_dates_and_dates_before_names() -> None:
    stable = {"development_status": "5 - Production/Stable"}
    packages = [
        Package("unknown-b", "U"),
        Package("unknown-a", "U"),
        Package("older", "O", last_release="2021-01-01"),
        Package("newer", "N", last_release="2021-02-01"),
        Package("stale-and-stable", "S", last_release="2001-01-01", **stable),
        Package("stale", "S", last_release="2001-01-01"),
        Package("best", "B", last_release="2020-09-01", **stable),
    ]
    order = ["best", "newer", "older", "stale-and-stable", "unknown-a", "unknown-b", "stale"]
    choice = chosen(packages)
    assert names(choice) == order
    best = choice.offered[0]
    assert (best.in_favour, best.against, best.points) == (2, 0, 2)
    assert [each.points for each in choice.offered] == [2, 1, 1, 0, 0, 0, -1]
    for limit in range(9):
        some = chosen(packages, limit=limit)
        assert (names(some), some.total) == (order[:limit], 7)


def test_a_small_and_finished_package_is_no_worse_for_few_releases() -> None:
    known = {"last_release": "2021-01-01", "license": "MIT"}
    many = [{"version": f"{at}", "date": "2021-01-01"} for at in range(50)]
    small, large = (reasons({**known, "releases": releases}) for releases in (many[:1], many))
    assert small == large


def test_what_is_offered_can_be_read_when_the_database_is_closed() -> None:
    choice = chosen([Package("djoser", "Djoser", license="MIT")])
    assert choice.offered[0].package.record() == {
        "name": "djoser",
        "title": "Djoser",
        "license": "MIT",
    }
    assert (choice.django, choice.drf, choice.day) == ("6.0.1", "3.15.2", DAY)
    assert choice.seen == date(2021, 3, 16)


# -- each package in turn --------------------------------------------------------------------

SPECIFIERS = ("<3", ">=2.4", ">=4.2", "<=1.7", "==5.2.*", "!=6.0.1", ">=3.9,<3.13", "~=3.15")
VERSIONS = ("3.13", "4.2", "5.2", "6.0")
SPANS = {"1d": 1, "400d": 400, "120 weeks": 840}


#: What the expressions that were drawn mean.
MEANINGS: dict[str, Callable[[Any], bool]] = {}


def _noted(drawn: tuple[str, Callable[[Any], bool], str]) -> str:
    MEANINGS[drawn[0]] = drawn[1]
    return drawn[0]


@st.composite
def facts(draw: Callable[..., Any], name: str) -> dict[str, Any]:
    """A package of which anything may be known, unknown, or looked for and not found."""
    maybe: dict[str, Any] = {
        "license": licenses().map(_noted),
        "replaced_by": st.just("drf-other"),
        "requires_django": st.sampled_from(SPECIFIERS),
        "requires_python": st.sampled_from(SPECIFIERS),
        "requires_drf": st.sampled_from(SPECIFIERS),
        "django_versions": st.lists(st.sampled_from(VERSIONS)),
        "python_versions": st.lists(st.sampled_from(VERSIONS)),
        "development_status": st.sampled_from(DEVELOPMENT_STATUS),
        "project_status": st.sampled_from(PROJECT_STATUS),
        "repository_status": st.sampled_from(REPOSITORY_STATUS),
    }
    record = draw(records(name))
    # Seldom, or nobody would be left.
    for field in draw(st.sets(st.sampled_from(sorted(maybe)), max_size=4)):
        record[field] = draw(maybe[field])
    return {**record, "sources": asked(*draw(st.sets(st.sampled_from(ASKED), max_size=4)))}


@st.composite
def catalogues(draw: Callable[..., Any]) -> list[Package]:
    some = draw(st.lists(st.sampled_from(NAMES), max_size=7, unique=True))
    return [Package(**draw(facts(name))) for name in some]


requirements = st.builds(
    Requirements.of,
    st.lists(st.sampled_from(SOME), max_size=2),
    django=st.sampled_from([None, "4.2", "5.2", "5.2.3", "1.7"]),
    python=st.sampled_from([None, "3.9", "3.13"]),
    within=st.sampled_from([None, *SPANS]),
    license=st.sampled_from([None, "permissive", "copyleft", "ISC,MPL-2.0"]),
)
days = st.dates(date(2018, 1, 1), date(2023, 1, 1))


def lets_in(specifier: str | None, versions: list[str]) -> bool:
    return specifier is None or any(SpecifierSet(specifier).contains(each) for each in versions)


def is_met(terms: str | None, wanted: str | None) -> bool:
    if terms is None or wanted is None:
        return True
    accepted = {
        "permissive": ["MIT", "ISC", "BSD-3-Clause", "Apache-2.0"],
        "copyleft": ["GPL-3.0-only", "MPL-2.0"],
    }
    ids = [each for part in wanted.split(",") for each in accepted.get(part, [part])]
    return MEANINGS[terms](ids) if terms in MEANINGS else terms in ids


def ends(value: date | PartialDate | None) -> tuple[date, date] | None:
    if value is None:
        return None
    return (value.first, value.last) if isinstance(value, PartialDate) else (value, value)


def fits(package: Package, asked: Requirements, day: date) -> bool:
    """Whether a package meets the requirements, looked at alone and plainly."""
    there = [each for each in DJANGO if FRAMEWORKS.django[DJANGO.index(each)].date <= day]
    django = there[-1:]
    if asked.django:
        django = [each for each in DJANGO if f"{each}.".startswith(f"{asked.django}.")]
        django = django or [asked.django]
    drf = ["3.15.2"] if day >= DAY else ["2.4.0"] if day >= date(2019, 1, 1) else []
    python = [f"{asked.python}.{number}" for number in range(30)]
    update = ends(package.last_update)
    return (
        set(asked.needs) <= set(package.categories)
        and package.replaced_by is None
        and package.project_status not in ("quarantined", "withdrawn", "gone")
        and (not django or lets_in(package.requires_django, django))
        and (not drf or lets_in(package.requires_drf, drf))
        and (not asked.python or lets_in(package.requires_python, python))
        and is_met(package.license, asked.license)
        and (
            not asked.within
            or update is None
            or update[1] >= day - timedelta(days=SPANS[asked.within])
        )
    )


def years_before(day: date, years: int) -> date:
    last = 28 if (day.month, day.day) == (2, 29) else day.day
    return day.replace(year=day.year - years, day=last)


def points(package: Package, asked: Requirements, day: date) -> int:
    """The reasons for a package less those against it, counted plainly."""
    update, status = ends(package.last_update), package.development_status or "-"
    newest = [each.version for each in FRAMEWORKS.django if each.date <= day][-1:]
    django = ".".join((asked.django or "".join(newest) or "none").split(".")[:2])
    checked = "vulnerabilities" in [source.field for source in package.sources]
    return sum(
        [
            update is not None and update[0] >= years_before(day, 1),
            django in package.django_versions,
            asked.python is not None and asked.python in package.python_versions,
            checked and not package.vulnerabilities,
            status[0] in "56",
        ]
    ) - sum(
        [
            update is not None and update[1] < years_before(day, 2),
            bool(package.vulnerabilities),
            status[0] in "127",
            package.project_status in ("archived", "deprecated"),
            package.repository_status in ("archived", "gone"),
        ]
    )


@pytest.fixture(params=["trees", "columns"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which of the two answers; columns stand there from the first package on."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "columns":
            patch.setattr(columns, "MANY", 1)
            patch.setattr(beside, "few", lambda size: 1000)
            patch.setattr(beside, "COST", 1e-9)
        yield request.param


@given(catalogues(), requirements, days)
def test_the_catalog_finds_whom_asking_each_would_find(
    engine: str, packages: list[Package], asked: Requirements, day: date
) -> None:
    with AuthDB.in_memory() as db:
        store(db, packages)
        if engine == "columns":
            db._session.waited(60)
            assert (db._session.columns() is None) == (not packages)
        choice = choose(db, asked, frameworks=FRAMEWORKS, day=day)
        explained = choose(db, asked, frameworks=FRAMEWORKS, day=day, explain=True)
    expected = [package for package in packages if fits(package, asked, day)]
    # Of a month, or a year, and its first day, neither is newer; unknown ones are the oldest.
    first = {package.name: (ends(package.last_update) or [date.min])[0] for package in packages}
    expected.sort(key=lambda p: (-points(p, asked, day), -first[p.name].toordinal(), p.name))
    assert names(choice) == [package.name for package in expected]
    assert [each.points for each in choice.offered] == [points(p, asked, day) for p in expected]
    assert (choice.total, choice.packages) == (len(expected), len(packages))
    assert choice._replace(offered=[]) == explained._replace(offered=[], rejected=[])
    assert names(explained) == names(choice)
    assert all(each.failed for each in explained.rejected)
    assert sorted(names(explained) + [each.name for each in explained.rejected]) == sorted(first)


def test_the_catalog_leaves_out_what_it_can_so_that_it_is_not_even_read() -> None:
    packages = [
        Package("fits", "F", categories=["jwt", "saml"], license="MIT", last_release="2021-01-01"),
        Package("unknown", "U", categories=["jwt", "saml"]),
        Package("a-year", "Y", categories=["jwt", "saml"], last_release="2020"),
        Package("other", "O", categories=["jwt"]),
        Package("old", "O", categories=["jwt", "saml"], last_release="2020-03-14"),
        Package("old-month", "O", categories=["jwt", "saml"], last_release="2020-02"),
        Package("strict", "S", categories=["jwt", "saml"], license="GPL-3.0-only AND MIT"),
        Package("replaced", "R", categories=["jwt", "saml"], replaced_by="fits"),
    ]
    found = []

    class Watched(AuthDB):
        def find(self, *query: Any, **options: Any) -> Any:
            result = super().find(*query, **options)
            found.extend(result.names())
            return result

    with Watched.in_memory() as db:
        store(db, packages)
        asked = Requirements.of("jwt,saml", within="1y", license="permissive")
        choice = choose(db, asked, frameworks=FRAMEWORKS, day=DAY)
    assert found == ["fits", "unknown", "a-year", "replaced"]  # of that there is no index
    assert names(choice) == ["fits", "a-year", "unknown"]


@given(facts("drf-a"), requirements, st.data())
def test_what_is_forgotten_fails_nothing_and_counts_nothing(
    record: dict[str, Any], asked: Requirements, data: st.DataObject
) -> None:
    fields = sorted(record.keys() - {"name", "title", "categories", "sources"})
    field = data.draw(st.sampled_from(fields))
    sources = {of: source for of, source in record["sources"].items() if of != field}
    forgetful = {key: value for key, value in record.items() if key != field}
    forgetful["sources"] = sources
    before, after = (
        chosen([Package(**each)], *asked.needs, **_options(asked)) for each in (record, forgetful)
    )
    failed = [set(each.rejected[0].failed) if each.rejected else set() for each in (before, after)]
    if not field.startswith("last_"):  # an older date may come to light
        assert failed[1] <= failed[0]
    if before.offered and after.offered:
        signs = [
            {reason.text for reason in each.offered[0].reasons if reason.sign in "+-"}
            for each in (before, after)
        ]
        if not field.startswith("last_"):
            assert signs[1] <= signs[0]


@given(requirements)
def test_of_whom_nothing_is_known_nothing_counts(asked: Requirements) -> None:
    package = Package("drf-a", "A", categories=asked.needs)
    (offered,) = chosen([package], *asked.needs, **_options(asked)).offered
    assert {reason.sign for reason in offered.reasons} == {"?"}
    assert offered.points == 0


def _options(asked: Requirements) -> dict[str, Any]:
    return {key: value for key, value in asked._asdict().items() if key != "needs"}
