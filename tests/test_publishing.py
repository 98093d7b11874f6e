"""The page: the author's groups, shared rows, dates, and text that tries to break out."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from authdb import AuthDB, Package, editions
from authdb.dates import PartialDate
from authdb.publishing import listing
from authdb.publishing.markdown import page

NAME_AND_UPDATE = ["Name", "Last update"]
NAME_TO_UPDATE = ["Name", "Description", "Last update"]
SOCIAL = "Packages providing support for social identities"
OAUTH = "Packages providing OAuth capability"
DAY = date(2024, 2, 26)


def render(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


class Page:
    """A page as a reader of the rendered text sees it."""

    def __init__(self, text: str) -> None:
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: dict[str, list[str]] = {}
        self.links: dict[str, str] = {}
        self.kinds: set[str] = set()
        heading = ""
        inside = ""
        for token in render(text):
            inside = token.type if token.type.endswith("_open") else inside
            if token.type == "tr_open":
                self.tables.setdefault(heading, []).append([])
            if token.type != "inline":
                continue
            self.kinds.update(child.type for child in token.children or ())
            shown = self._read(token)
            if inside == "heading_open":
                heading = shown
            elif inside in ("th_open", "td_open"):
                self.tables[heading][-1].append(shown)
            else:
                self.texts.setdefault(heading, []).append(shown)

    def _read(self, token: Token) -> str:
        address, label, shown = "", "", ""
        for child in token.children or ():
            if child.type == "link_open":
                address, label = str(child.attrs["href"]), ""
            elif child.type == "link_close":
                self.links[label] = address
            label += child.content
            shown += child.content
        return shown

    def names(self, heading: str) -> list[str]:
        return [row[0] for row in self.tables.get(heading, [[]])[1:]]

    def description(self, name: str) -> str:
        return dict(row[:2] for row in self.tables["Packages"])[name]

    def note(self) -> str:
        return self.texts["Authentication packages for Django REST Framework"][1]

    def terms(self) -> str:
        return self.texts["Where this comes from"][0]


def shown(*packages: Package, as_of: date | None = None) -> Page:
    return Page(page(packages, as_of))


def edition(name: str) -> list[Package]:
    records: list[Any] = editions.records(editions.path(name))
    return [Package(**record) for record in records]


@pytest.fixture(scope="module")
def authors() -> Page:
    """The page of the edition of 26 February 2024."""
    return Page(page(edition("2024-02-26"), DAY))


# -- the author's page -----------------------------------------------------------------------


def test_the_groups_are_the_authors(authors: Page) -> None:
    assert authors.names(SOCIAL) == ["django-rest-auth / dj-rest-auth", "drf-social-oauth2"]
    assert authors.names(OAUTH) == [
        "Django OAuth Toolkit",
        "Django REST framework OAuth",
        "drf-social-oauth2",
    ]


def test_the_years_are_the_authors(authors: Page) -> None:
    years = [heading for heading in authors.tables if heading.isdecimal()]
    assert years == ["2024", "2023", "2019", "2018"]
    assert authors.names("2024") == [
        "Django OAuth Toolkit",
        "drf-social-oauth2",
        "Simple JWT",
        "django-rest-knox",
    ]
    assert authors.names("2023") == [
        "Djoser",
        "django-rest-auth / dj-rest-auth",
        "drfpasswordless",
        "Django-Rest-Durin",
        "django-rest-authemail",
    ]
    assert authors.names("2019") == ["Django REST framework OAuth"]
    assert authors.names("2018") == ["Hawk", "HTTP Signature"]


def test_the_main_table(authors: Page) -> None:
    assert authors.tables["Packages"][0] == NAME_TO_UPDATE
    assert authors.names("Packages") == [
        "Django OAuth Toolkit",
        "Django REST framework OAuth",
        "django-rest-auth / dj-rest-auth",
        "django-rest-authemail",
        "Django-Rest-Durin",
        "django-rest-knox",
        "Djoser",
        "drf-social-oauth2",
        "drfpasswordless",
        "Hawk",
        "HTTP Signature",
        "Simple JWT",
    ]
    last = {row[0]: row[2] for row in authors.tables["Packages"]}
    assert last["django-rest-auth / dj-rest-auth"] == "2023-11-25"
    assert last["HTTP Signature"] == "2018-03-28"
    assert "djangorestframework-httpsignature" in authors.description("HTTP Signature")
    assert authors.links["HTTP Signature"] == "https://github.com/ahknight/drf-httpsig"
    assert authors.links["django-rest-auth"] == "https://github.com/Tivix/django-rest-auth"
    assert authors.links["dj-rest-auth"] == "https://github.com/iMerica/dj-rest-auth"


def test_it_says_of_which_day_and_from_where(authors: Page) -> None:
    assert "as of 26 February 2024" in authors.note()
    assert "BSD-3-Clause" in authors.terms()
    assert "PyPI JSON; git history of each repository" in authors.terms()
    # Of today's list are the newest of them: it is as of the day when they were seen.
    seen = editions.read(editions.path("today")).as_of
    assert f"{seen.day} {seen:%B %Y}" in authors.terms()
    assert "github.com" not in authors.terms()


def test_the_page_does_not_depend_on_the_order() -> None:
    packages = edition("today")
    text = page(packages, DAY)
    random.Random(4).shuffle(packages)
    assert page(iter(packages), DAY) == text


def test_a_database_can_be_published() -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("hawkrest", "Hawk", last_commit="2018-10-06"))
        db.set_as_of(DAY)
        assert page(db, db.as_of) == page(db.find(), DAY) == page([db["hawkrest"]], DAY)


# -- shared rows -----------------------------------------------------------------------------


def test_a_chain_shares_one_row() -> None:
    a = Package("a", "Zeta", replaced_by="b", categories=["social"], last_release="2010")
    b = Package("b", "Mu", replaced_by="c")
    c = Package("c", "Alpha", description="The last.", last_release="2020-02-01")
    found = shown(b, c, a)
    assert found.names("Packages") == found.names(SOCIAL) == ["Zeta / Mu / Alpha"]
    assert found.tables["Packages"][1][1:] == ["The last.", "2020-02-01"]
    assert found.names("2020") == ["Zeta / Mu / Alpha"]


def test_two_that_were_replaced_by_the_same() -> None:
    one, two = Package("one", "One", replaced_by="new"), Package("two", "B", replaced_by="new")
    assert shown(one, two, Package("new", "New")).names("Packages") == ["B / One / New"]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_circle_does_not_loop(size: int) -> None:
    circle = [Package(f"p{i}", f"P{i}", replaced_by=f"p{(i + 1) % size}") for i in range(size)]
    before = Package("before", "Before", replaced_by="p0")
    (found,) = listing.rows([before, *circle])
    assert len(found.members) == size + 1
    assert found.members[0] is before
    assert found.gone_to is None
    assert page([before, *circle]) == page([*reversed(circle), before])


def test_of_a_circle_the_liveliest_is_current() -> None:
    old = Package("old", "Old", replaced_by="new", last_release="2011")
    new = Package("new", "New", replaced_by="old", last_release="2022")
    assert shown(new, old).names("2022") == ["Old / New"]


def test_a_successor_that_is_not_listed_is_named() -> None:
    package = Package("a", "A", description="Does a.", replaced_by="b_b")
    assert shown(package).description("A") == "Does a. It was replaced by b-b."


@pytest.mark.parametrize(
    ("before", "after", "label"),
    [
        ("Sign", "Sign", "Sign"),
        ("Sign (the old one)", "Sign", "Sign"),
        ("Sign", "sign (drf-sign)", "Sign"),
        ("Sign", "Sign Kit", "Sign / Sign Kit"),  # a name of its own
    ],
)
def test_titles_that_say_the_same_are_shown_once(before: str, after: str, label: str) -> None:
    old = Package("old", before, replaced_by="new", repository="https://example.com/old")
    new = Package("new", after, repository="https://example.com/new")
    found = shown(old, new)
    assert found.names("Packages") == [label]
    if " / " not in label:
        assert found.links == {
            "Django REST Framework": "https://www.django-rest-framework.org/",
            label: "https://example.com/new",
            "old": "https://example.com/old",
        }
        assert found.description(label) == "It replaced old."


def test_a_predecessor_that_the_description_names_is_not_named_twice() -> None:
    old = Package("old", "Sign", replaced_by="new")
    new = Package("new", "Sign", description="A fork of Old, made new.")
    assert shown(old, new).description("Sign") == "A fork of Old, made new."
    new.description = "Made of gold-old and oldest."
    assert shown(old, new).description("Sign").endswith("It replaced old.")


# -- dates -----------------------------------------------------------------------------------


def test_dates_are_as_precise_as_they_are_known() -> None:
    found = shown(
        Package("a", "a", last_release="2019"),
        Package("b", "b", last_release="2019-03"),
        Package("c", "c", last_release="2019-03-02"),
        Package("d", "d"),
        Package("e", "e", last_release="0001-01-01"),
    )
    assert [row[2] for row in found.tables["Packages"][1:]] == [
        "2019",
        "2019-03",
        "2019-03-02",
        "unknown",
        "0001-01-01",
    ]
    assert found.names("2019") == ["c", "b", "a"]
    assert list(found.tables)[-3:] == ["2019", "1", "Unknown"]
    assert found.names("Unknown") == ["d"]


def with_source(seen: str, **fields: Any) -> Package:
    return Package("a", "a", sources={"version": {"source": "a file", "seen": seen}}, **fields)


@pytest.mark.parametrize(
    ("package", "as_of", "words"),
    [
        (with_source("2026-11-22", last_release="2024-02-26"), DAY, "26 February 2024"),
        (with_source("2026-11-22", last_release="2024-02-27"), DAY, "22 November 2026"),
        (with_source("2020-11", last_release="2024-02-27"), DAY, "27 February 2024"),
        (with_source("2020-11", last_release="2024"), DAY, "26 February 2024"),
        (with_source("2020-11", last_release="2025"), DAY, "2025"),
        (with_source("2020-11"), DAY, "26 February 2024"),
        (with_source("2020-11"), None, "November 2020"),
        (Package("a", "a", last_release="2020-01-01"), None, "1 January 2020"),
    ],
)
def test_the_day_as_of_which_the_facts_hold(package: Package, as_of: date, words: str) -> None:
    assert f"The facts hold as of {words}." in shown(package, as_of=as_of).note()


def test_a_day_wins_over_the_year_that_begins_with_it() -> None:
    assert listing.newest([PartialDate(2020), date(2020, 1, 1)]) == date(2020, 1, 1)


def test_nothing_known_is_said_plainly() -> None:
    assert shown(Package("a", "a")).note().startswith("No dates are known")
    assert shown().note() == "There are no packages on the list."
    assert shown(as_of=DAY).note().endswith("That holds as of 26 February 2024.")
    empty = shown()
    assert empty.tables == {}
    for heading in ("Packages", SOCIAL, OAUTH, "Packages by date of last update"):
        assert empty.texts[heading] == ["None."]
    assert "the packages name no source" in empty.terms()


# -- sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("PyPI JSON, /pypi/djoser/json", "PyPI JSON"),
        ("git history of https://example.com/djoser", "git history of each repository"),
        ("a letter from the author", "a letter from the author"),
        ("https://example.com/list?page=1", "example.com"),
        ("either/or", "either/or"),
        ("https://[", "https://["),
    ],
)
def test_sources_are_named_by_their_kind(source: str, kind: str) -> None:
    package = Package("a", "a", sources={"version": {"source": source, "seen": "2024"}})
    assert listing.origins([package]) == [kind]
    assert f": {kind}. Newest seen on 2024." in shown(package).terms()


def test_many_sources_are_counted() -> None:
    sources = {f"fact {i}": {"source": f"source {i}", "seen": "2024"} for i in range(8)}
    sources["more"] = {"source": "source 7", "seen": "2024"}
    terms = shown(Package("a", "a", sources=sources)).terms()
    assert "source 7; source 0; source 1; source 2; source 3; and 3 more." in terms


def test_descriptions_from_elsewhere_are_not_claimed() -> None:
    sources = {"description": {"source": "the author", "seen": "2024"}}
    package = Package("a", "a", description="Does a.", sources=sources)
    assert "but for the descriptions that name another source" in shown(package).terms()


# -- hostile text ----------------------------------------------------------------------------

HOSTILE = (
    "a | b",
    "a \\| b \\",
    "\\",
    "a\n\n| b | c |\n| --- | --- |\n# d",
    "# heading",
    "- item",
    "`code` and ``",
    "*a* _b_ **c** ~~d~~ $e$",
    "[a](javascript:alert(1)) ![b](https://example.com/c.png)",
    "](https://example.com/) [a]: https://example.com/",
    "<script>alert(1)</script> <https://example.com/> &lt; &amp; &#124; &copy;",
    "https://example.com/ and www.example.com",
    "---",
    "a    \n    b\t| c",
)
prose = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=200
)
markup = st.text(alphabet="|\\`*_[]<>&#!()~$:/. \n-aw", min_size=1, max_size=200)


@given(title=prose | markup, description=prose | markup)
@example(title="|", description="|")
@example(title=HOSTILE[2], description=HOSTILE[2])
def test_text_stays_text(title: str, description: str) -> None:
    """Whatever it is, it is read as it was written, in a cell of its own."""
    title = " ".join(title.split()) or "none"
    package = Package("a", title, description=description, repository="https://example.com/a")
    found = shown(package, Package("b", "b", replaced_by="a", description="B"))
    for rows in found.tables.values():
        assert {len(row) for row in rows} in ({2}, {3})
        assert len({len(row) for row in rows}) == 1
    listed = list(found.tables["Packages"][1:])
    assert len(listed) == 1
    label, text, _ = listed[0]
    one_title = title.casefold() == "b" or title.casefold().startswith("b (")
    assert label == ("b" if one_title else f"b / {title}")
    assert text.removesuffix("It replaced b.").rstrip() == " ".join(description.split())
    assert found.kinds <= {"text", "text_special", "link_open", "link_close"}
    assert set(found.links.values()) <= {
        "https://example.com/a",
        "https://www.django-rest-framework.org/",
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_the_known_tricks(text: str) -> None:
    title = " ".join(text.split())
    package = Package("a", title, description=text, replaced_by="b")
    found = shown(package, Package("c", title, last_release="2020"))
    assert found.names("Packages") == [title, title]
    assert found.description(title) in (title + " It was replaced by b.", "")
    assert found.kinds <= {"text", "text_special", "link_open", "link_close"}
    assert list(found.links) == ["Django REST Framework"]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_known_tricks_in_a_source(text: str) -> None:
    source = " ".join(text.split())
    package = Package("a", "a", sources={"version": {"source": source, "seen": "2024"}})
    found = shown(package)
    assert listing.origins([package])[0] in found.terms()
    assert list(found.links) == ["Django REST Framework"]


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("https://example.com/a_(b)", "https://example.com/a_%28b%29"),
        ("https://example.com/*a*", "https://example.com/%2Aa%2A"),
        ("https://example.com/?a=1&lt;=2&copy;#b", "https://example.com/?a=1&lt;=2&copy;#b"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("HTTPS://example.com/%20", "HTTPS://example.com/%20"),
    ],
)
def test_links_are_encoded(address: str, written: str) -> None:
    found = shown(Package("a", "Auth", homepage=address))
    assert found.links["Auth"].replace("%5B", "[").replace("%5D", "]") == written


def test_the_repository_goes_before_the_homepage() -> None:
    package = Package("a", "Auth", homepage="https://example.com/", repository="https://x.org/")
    assert shown(package).links["Auth"] == "https://x.org/"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//example.com"])
def test_only_web_addresses_become_links(address: str) -> None:
    package = Package("a", "Auth")
    package.__dict__["repository"] = address  # as a file written by another program may hold it
    assert "Auth" not in shown(package).links
    package.__dict__["repository"] = 'https://example.com/ "x") | <b> \n'
    assert shown(package).links["Auth"] == "https://example.com/%20%22x%22%29%20%7C%20%3Cb%3E%20%0A"
