"""What a page lists, in whatever format it is written: rows, years, the day, the sources.

A package and the one that replaced it share a row, as the list's author had it. Nothing here
depends on the order in which the packages are given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from authdb.dates import PartialDate, first_day
from authdb.models import Package

__all__ = ["OAUTH", "SOCIAL", "Row", "by_year", "day", "newest", "origins", "rows"]

#: The categories behind the two groups that have a table of their own.
SOCIAL = frozenset({"social"})
OAUTH = frozenset({"oauth1", "oauth2"})


@dataclass(frozen=True)
class Row:
    """One entry of the page: a package, after those that it replaced.

    Attributes: ``members``, predecessors first; the last is the one in use, whose date,
    description and links the row takes.
    """

    members: tuple[Package, ...]

    @property
    def current(self) -> Package:
        """The member that replaced the others."""
        return self.members[-1]

    @property
    def last_update(self) -> date | PartialDate | None:
        """That of the current member."""
        return self.current.last_update

    @property
    def merged(self) -> tuple[Package, ...]:
        """The predecessors that the label leaves out, as the current member's title is theirs."""
        return tuple(
            member for member in self.members[:-1] if _one_title(member.title, self.current.title)
        )

    @property
    def labels(self) -> tuple[tuple[str, Package], ...]:
        """The titles that name the row, each with the package that it stands for."""
        merged = self.merged
        title = min([member.title for member in (*merged, self.current)], key=len)
        earlier = [(one.title, one) for one in self.members[:-1] if one not in merged]
        return (*earlier, (title, self.current))

    @property
    def title(self) -> str:
        """All its titles, in one text."""
        return " / ".join(title for title, _ in self.labels)

    @property
    def gone_to(self) -> str | None:
        """The name of the package that replaced the current member but is not listed."""
        successor = self.current.replaced_by
        return None if successor in {member.name for member in self.members} else successor

    def has(self, categories: Iterable[str]) -> bool:
        """Whether any member has any of the ``categories``."""
        wanted = set(categories)
        return any(wanted.intersection(member.categories) for member in self.members)


def rows(packages: Iterable[Package]) -> list[Row]:
    """The rows, by title without regard to case.

    Of packages that replace each other in a circle the one updated last is taken as the current.
    """
    by_name = {package.name: package for package in packages}
    families: dict[str, list[tuple[int, Package]]] = {}
    for package in by_name.values():
        current, steps = _current(package, by_name)
        families.setdefault(current.name, []).append((steps, package))
    found = [
        Row(tuple(package for _, package in sorted(family, key=_oldest_first)))
        for family in families.values()
    ]
    return sorted(found, key=_title_key)


def by_year(listed: Iterable[Row]) -> list[tuple[int | None, list[Row]]]:
    """The rows by the year of their last update, newest first; those without a date as None."""
    years: dict[int | None, list[Row]] = {}
    by_title = sorted(listed, key=_title_key)
    for row in sorted(by_title, key=lambda row: _known(row.last_update), reverse=True):
        year = None if row.last_update is None else first_day(row.last_update).year
        years.setdefault(year, []).append(row)
    return list(years.items())


def day(packages: Sequence[Package], as_of: date | None) -> date | PartialDate | None:
    """The day as of which the facts hold; None where nothing says so.

    :param as_of: what the edition says; it counts unless a package was updated after it. Then,
        and without it, it is the newest day on which anything was updated or seen
    """
    updates = [package.last_update for package in packages if package.last_update is not None]
    if as_of is not None and all(first_day(update) <= as_of for update in updates):
        return as_of
    seen = [source.seen for package in packages for source in package.sources]
    return newest([*updates, *seen])


def newest(days: Iterable[date | PartialDate]) -> date | PartialDate | None:
    """The newest of some days; of a day and the year or month that begins with it, the day."""
    return max(days, key=lambda one: (first_day(one), isinstance(one, date)), default=None)


def origins(packages: Iterable[Package]) -> list[str]:
    """The kinds of source that the packages name, such as "PyPI JSON".

    :returns: each once, that of the most facts first
    """
    facts = Counter(_kind(source.source) for package in packages for source in package.sources)
    return sorted(facts, key=lambda name: (-facts[name], name))


def _current(package: Package, by_name: dict[str, Package]) -> tuple[Package, int]:
    """The package at the end of the chain that starts at ``package``, and how far it is."""
    path = [package]
    while (successor := by_name.get(path[-1].replaced_by or "")) is not None:
        if successor in path:
            current = max(path[path.index(successor) :], key=_liveliness)
            return current, path.index(current)
        path.append(successor)
    return path[-1], len(path) - 1


def _liveliness(package: Package) -> tuple[tuple[bool, date], str]:
    return _known(package.last_update), package.name


def _oldest_first(member: tuple[int, Package]) -> tuple[int, str, str]:
    steps, package = member
    return -steps, package.title.casefold(), package.name


def _title_key(row: Row) -> tuple[str, str, str]:
    return row.title.casefold(), row.title, row.current.name


def _known(value: date | PartialDate | None) -> tuple[bool, date]:
    """A key that sorts by the first day, what is not known lowest."""
    return value is not None, date.min if value is None else first_day(value)


def _one_title(one: str, other: str) -> bool:
    """Whether two titles are the same, but for a remark in brackets behind one of them.

    That one merely begins with the other is not enough: "Auth Kit" is not "Auth".
    """
    shorter, longer = sorted((one.casefold(), other.casefold()), key=len)
    return shorter == longer or longer.startswith(f"{shorter} (")


def _kind(source: str) -> str:
    """A source without the address that differs from package to package.

    >>> _kind("PyPI JSON, /pypi/djoser/json")
    'PyPI JSON'
    >>> _kind("git history of https://github.com/sunscrapers/djoser")
    'git history of each repository'
    """
    words = source.split()
    address = next((word for word in words if "/" in word), None)
    if address is None:
        return " ".join(words)
    kind = " ".join(words[: words.index(address)]).rstrip(" ,;:(")
    if re.search(r"\b(of|at|from|in)$", kind):
        return f"{kind} each repository"
    return kind or _host(address)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or address
    except ValueError:  # not an address after all
        return address
