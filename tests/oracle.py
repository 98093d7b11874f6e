"""A second opinion: what a query means, by asking each package in turn.

Hypothesis draws questions as small trees of `Leaf` and `Node`. Each can be made into a query
object, written as text, and be answered about one package without any index.
"""

from __future__ import annotations

import calendar
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from authdb import AuthDB
from authdb import query as q
from authdb.dates import PartialDate
from authdb.fields import CATEGORIES
from authdb.models import Package

DATES = ("last_update", "last_commit", "last_release")
WORDS = ("token", "jwt", "auth", "authority", "social", "login", "web", "webauthn", "é")
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0")
SOME = ("oauth2", "jwt", "token", "api-key")
NAMES = tuple(f"drf-{first}{second}" for first in "abcd" for second in ("", "x", "-x", "1"))


# -- dates -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class When:
    """A date as it is given to a query, and the days that it stands for."""

    given: Any
    first: date
    last: date


def _year(year: int) -> tuple[date, date]:
    return date(year, 1, 1), date(year, 12, 31)


def _month(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


years = st.integers(2018, 2020)
months = st.integers(1, 12)
# Around the ends of years and months, where mistakes are made, more often than elsewhere.
days = st.one_of(
    st.dates(date(2017, 12, 1), date(2021, 1, 31)),
    st.builds(
        lambda year, month, off: date(year, month, 1) + timedelta(off),
        years,
        st.sampled_from([1, 3, 4]),
        st.integers(-1, 1),
    ),
)
partials = st.one_of(
    st.builds(PartialDate, years), st.builds(PartialDate, years, st.sampled_from([1, 2, 3, 12]))
)


@st.composite
def whens(draw: Callable[..., Any]) -> When:
    precision = draw(st.sampled_from(["year", "month", "day"]))
    if precision == "day":
        day = draw(days)
        moment = datetime(day.year, day.month, day.day, 22, 30, tzinfo=timezone.utc)
        forms = [day, day.isoformat(), f" {day} ", moment, moment.isoformat(), f"{day} 23:59"]
        return When(draw(st.sampled_from(forms)), day, day)
    if precision == "year":
        year = draw(years)
        forms = [year, str(year), PartialDate(year)]
        return When(draw(st.sampled_from(forms)), *_year(year))
    partial = draw(partials.filter(lambda partial: partial.month is not None))
    return When(draw(st.sampled_from([partial, str(partial)])), partial.first, partial.last)


# -- packages --------------------------------------------------------------------------------

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)


vulnerabilities = st.lists(
    st.fixed_dictionaries(
        {"id": texts},
        optional={"summary": texts, "fixed_in": st.lists(st.sampled_from(["1.0", "2"]))},
    ),
    max_size=2,
    unique_by=lambda each: each["id"],
)


@st.composite
def records(draw: Callable[..., Any], name: str) -> dict[str, Any]:
    """A package in which anything but the name and the title may be missing."""
    some_date = st.one_of(st.none(), days, partials)
    record = {
        "name": name,
        "title": draw(texts),
        "description": draw(st.one_of(st.none(), texts.map("{0}!\n{0}".format), texts)),
        "categories": draw(st.lists(st.sampled_from(SOME), max_size=3, unique=True)),
        "license": draw(st.one_of(st.none(), st.sampled_from(LICENSES))),
        "last_commit": draw(some_date),
        "last_release": draw(some_date),
    }
    if draw(st.booleans()):
        record["vulnerabilities"] = draw(vulnerabilities)
    if record["last_commit"] is None and record["last_release"] is None:
        record["last_update"] = draw(some_date)
    return record


@st.composite
def collections(draw: Callable[..., Any], max_size: int = 9) -> list[Package]:
    """Packages, in an order that is not that of their names."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=max_size, unique=True))
    return [Package(**draw(records(name))) for name in names]


def store(db: AuthDB, packages: list[Package]) -> None:
    with db.transaction():
        for package in packages:
            db.add(package)


# -- questions -------------------------------------------------------------------------------


@dataclass
class Text:
    """A question written as text; values that have no literal go into ``names``."""

    names: dict[str, Any] = field(default_factory=dict)

    def value(self, value: Any, by_name: bool = False) -> str:
        if isinstance(value, list):
            return "[" + ", ".join(self.value(item, by_name) for item in value) + "]"
        if isinstance(value, (str, int)) and not by_name:
            return repr(value)
        name = f"value{len(self.names)}"
        self.names[name] = value
        return name


@dataclass
class Leaf:
    query: Any
    matches: Callable[[Package], bool]
    write: Callable[[Text], str]

    def expressible(self) -> bool:
        return True


@dataclass
class Node:
    kind: str  # "and", "or", "not"
    parts: list[Any]
    symbol: bool = False  # & and | in place of the words

    @property
    def query(self) -> Any:
        parts = [part.query for part in self.parts]
        return {"and": q.And, "or": q.Or, "not": q.Not}[self.kind](*parts)

    def matches(self, package: Package) -> bool:
        answers = [part.matches(package) for part in self.parts]
        if self.kind == "not":
            return not answers[0]
        return all(answers) if self.kind == "and" else any(answers)

    def write(self, text: Text) -> str:
        parts = [f"({part.write(text)})" for part in self.parts]
        if self.kind == "not":
            return f"not {parts[0]}"
        word = {"and": "&", "or": "|"}[self.kind] if self.symbol else self.kind
        return f" {word} ".join(parts)

    def expressible(self) -> bool:
        """Whether it can be written: an empty And or Or cannot."""
        return bool(self.parts) and all(part.expressible() for part in self.parts)


def known(package: Package, name: str) -> Any:
    """The value that comparisons see: the first day of a date, a tuple, a text; or None."""
    value = getattr(package, name)
    if isinstance(value, PartialDate):
        return date(value.year, value.month or 1, 1)
    return None if value == () else value


_OPERATORS = {"==": q.Eq, "!=": q.NotEq, "<": q.Lt, "<=": q.Le, ">": q.Gt, ">=": q.Ge}


def _compare(operator: str, value: Any, first: Any, last: Any) -> bool:
    if operator == "!=":
        return not _compare("==", value, first, last)
    if value is None or first is None:  # a missing value, or a comparison with None
        return False
    return {
        "==": first <= value <= last,
        "<": value < first,
        "<=": value <= last,
        ">": value > last,
        ">=": value >= first,
    }[operator]


@dataclass(frozen=True)
class Literal:
    """A value of an index of texts, in the form of `When`."""

    given: str
    first: str
    last: str


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def values(name: str) -> Any:
    """Values to compare the index ``name`` with; None among them."""
    if name in DATES:
        wanted: Any = whens()
    elif name == "name":
        spelled = [*NAMES, "DRF_a", "drf.B-X", "", "zzz", "Drf"]
        wanted = st.sampled_from([Literal(n, _normal(n), _normal(n)) for n in spelled])
    else:
        wanted = st.sampled_from([Literal(n, n, n) for n in [*LICENSES, "", "M", "mit"]])
    return st.one_of(wanted, wanted, wanted, wanted, st.just(When(None, None, None)))  # type: ignore


indexes = st.sampled_from([*DATES, "last_update", "name", "license"])


@st.composite
def comparisons(draw: Callable[..., Any]) -> Leaf:
    name, operator = draw(indexes), draw(st.sampled_from(sorted(_OPERATORS)))
    value, by_name = draw(values(name)), draw(st.booleans())
    return Leaf(
        _OPERATORS[operator](name, value.given),
        lambda package: _compare(operator, known(package, name), value.first, value.last),
        lambda text: f"{name} {operator} {text.value(value.given, by_name)}",
    )


@st.composite
def ranges(draw: Callable[..., Any]) -> Leaf:
    name = draw(indexes)
    start, end = draw(values(name)), draw(values(name))
    open_start, open_end, negated = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    symbols = ["<" if is_open else "<=" for is_open in (open_start, open_end)]

    def matches(package: Package) -> bool:
        value = known(package, name)
        inside = (
            value is not None
            # None, as an end of a range, leaves that side open.
            and (start.given is None or value > start.last or not open_start)
            and (start.given is None or value >= start.first)
            and (end.given is None or value < end.first or not open_end)
            and (end.given is None or value <= end.last)
        )
        return inside is not negated

    def write(text: Text) -> str:
        low, high = text.value(start.given), text.value(end.given)
        chain = f"{low} {symbols[0]} {name} {symbols[1]} {high}"
        return f"not ({chain})" if negated else chain

    kind = q.NotInRange if negated else q.InRange
    return Leaf(kind(name, start.given, end.given, open_start, open_end), matches, write)


_SETS = [("any", q.Any, q.NotAny), ("all", q.All, q.NotAll)]


@st.composite
def sets(draw: Callable[..., Any]) -> Leaf:
    word, kind, opposite = draw(st.sampled_from(_SETS))
    negated, by_name = draw(st.booleans()), draw(st.booleans())
    name = draw(st.one_of(indexes, st.just("categories"), st.just("categories")))
    if name == "categories":
        wanted = draw(st.lists(st.sampled_from(SOME), max_size=3))
        given: list[Any] = list(wanted)

        def each(package: Package) -> list[bool]:
            return [category in package.categories for category in wanted]
    else:
        some = draw(st.lists(values(name), max_size=3))
        given = [value.given for value in some]

        def each(package: Package) -> list[bool]:
            value = known(package, name)
            return [_compare("==", value, one.first, one.last) for one in some]

    def matches(package: Package) -> bool:
        answers = each(package)
        return (any(answers) if word == "any" else all(answers)) is not negated

    def write(text: Text) -> str:
        return f"{name} {'not ' * negated}in {word}({text.value(given, by_name)})"

    return Leaf((opposite if negated else kind)(name, given), matches, write)


@st.composite
def keywords(draw: Callable[..., Any]) -> Leaf:
    category = draw(st.sampled_from([*SOME, "saml"]))
    assert category in CATEGORIES
    kind, form = draw(
        st.sampled_from(
            [
                (q.Contains, "{0} in categories"),
                (q.DoesNotContain, "{0} not in categories"),
                (q.Eq, "categories == {0}"),
                (q.NotEq, "categories != {0}"),
            ]
        )
    )
    return Leaf(
        kind("categories", category),
        lambda package: (category in package.categories) is not ("not" in form or "!" in form),
        lambda text: form.format(text.value(category)),
    )


def words(text: str | None) -> list[str]:
    return re.findall(r"\w+", (text or "").lower())


def has_phrase(text: str | None, phrase: list[str]) -> bool:
    found = words(text)
    return any(found[at : at + len(phrase)] == phrase for at in range(len(found)))


@st.composite
def searches(draw: Callable[..., Any]) -> tuple[str, Callable[[str | None], bool]]:
    """A text search, and what it means."""
    one, two = draw(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)))
    return draw(
        st.sampled_from(
            [
                (one, lambda text: one in words(text)),
                (one.upper(), lambda text: one in words(text)),
                ("nowhere", lambda text: False),
                (f"{one} {two}", lambda text: {one, two} <= set(words(text))),
                (f"{one} AND {two}", lambda text: {one, two} <= set(words(text))),
                (f"{one} OR {two}", lambda text: bool({one, two} & set(words(text)))),
                (f"{one} -{two}", lambda text: one in words(text) and two not in words(text)),
                (f'"{one} {two}"', lambda text: has_phrase(text, [one, two])),
                (f"{one}-{two}", lambda text: has_phrase(text, [one, two])),
                (f"{one[0]}*", lambda text: any(w[0] == one[0] for w in words(text))),
                (
                    f"{one[0]}?*{one[-1]}",
                    lambda text: any(
                        w[0] == one[0] and w[-1] == one[-1] and len(w) > 2 for w in words(text)
                    ),
                ),
            ]
        )
    )


_SEARCHES = [
    (q.Contains, "{0} in {1}"),
    (q.DoesNotContain, "{0} not in {1}"),
    (q.Eq, "{1} == {0}"),
    (q.NotEq, "{1} != {0}"),
    (q.Any, "{1} in any([{0}])"),
    (q.NotAll, "{1} not in all([{0}])"),
]


@st.composite
def contents(draw: Callable[..., Any]) -> Leaf:
    name = draw(st.sampled_from(["title", "description"]))
    (search, means), (kind, form) = draw(searches()), draw(st.sampled_from(_SEARCHES))
    negated = kind in (q.DoesNotContain, q.NotEq, q.NotAll)
    value = [search] if kind in (q.Any, q.NotAll) else search
    return Leaf(
        kind(name, value),
        lambda package: means(getattr(package, name)) is not negated,
        lambda text: form.format(text.value(search), name),
    )


leaves = st.one_of(comparisons(), ranges(), sets(), keywords(), contents())


def _nodes(parts: Any) -> Any:
    several = st.lists(parts, min_size=0, max_size=3)
    return st.one_of(
        st.builds(Node, st.sampled_from(["and", "or"]), several, st.booleans()),
        st.builds(lambda part: Node("not", [part]), parts),
        st.builds(lambda part: Node("not", [Node("not", [part])]), parts),
    )


questions = st.recursive(leaves, _nodes, max_leaves=8)


# -- order -----------------------------------------------------------------------------------


def in_order(packages: list[Package], sort: str | None, reverse: bool) -> list[str]:
    """The names of ``packages`` (in the order of docids), as a sorted answer has them."""
    if sort is None:
        return [package.name for package in (reversed(packages) if reverse else packages)]
    has, has_not = [], []
    for package in packages:
        (has_not if known(package, sort) is None else has).append(package)
    groups = itertools.groupby(
        sorted(has, key=lambda package: known(package, sort)), key=lambda p: known(p, sort)
    )
    each = [[package.name for package in group] for _, group in groups]
    if reverse:
        each.reverse()
    return [*itertools.chain.from_iterable(each), *(package.name for package in has_not)]


sorts = st.one_of(st.none(), st.sampled_from([*DATES, "name", "license"]))
