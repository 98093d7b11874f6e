"""Which packages to use for what is needed, and why: `choose`.

The whole rule:

1. What fails a requirement is not offered. A fact that is not known fails none.
2. The others are ordered by the number of reasons for them (``+``) less that of reasons against
   them (``-``). Each reason counts one; what is not known (``?``) and what is only told (``=``)
   counts nothing.
3. Of equal ones that with the newest update comes first, those without a known one last; of
   these, by name.

So there is no score but the reasons, and they are all in the answer. Nothing asks how many people
like or download a package, how large it is, or how often it was released.

"Today" is the day as of which it is told.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from authdb.dates import first_day, last_day, parse_date
from authdb.exceptions import AuthDBError, shown
from authdb.judging import Judge, Reason, Requirements
from authdb.models import Package
from authdb.reading import Reading
from authdb.releases import Frameworks

__all__ = ["Candidate", "Choice", "Reason", "Rejected", "Requirements", "choose"]


class Candidate(NamedTuple):
    """A package that meets all requirements, with its reasons.

    The package is a copy, to be read also when the database is closed.
    """

    package: Package
    reasons: tuple[Reason, ...]

    @property
    def in_favour(self) -> int:
        """How many reasons there are for it."""
        return sum(reason.sign == "+" for reason in self.reasons)

    @property
    def against(self) -> int:
        """How many reasons there are against it."""
        return sum(reason.sign == "-" for reason in self.reasons)

    @property
    def points(self) -> int:
        """`in_favour` less `against`: what it is ordered by."""
        return self.in_favour - self.against


class Rejected(NamedTuple):
    """A package that is not offered: its name and title, and each requirement that it fails, in
    words."""

    name: str
    title: str
    failed: tuple[str, ...]


class Choice(NamedTuple):
    """The answer of `choose`.

    ``offered``: the best first. ``total``: how many meet the requirements, also where fewer are
    offered, out of so many ``packages``. ``rejected``: the others, where that was asked; those
    that have the most of the needed categories first, of these the ones that fail the fewest
    requirements. ``day``: as of which it is told. ``django`` and ``drf``: the newest versions of
    Django and Django REST Framework by that day, or None, as they were ``seen`` on a day, or None.
    ``drf_is_for_others``: that one is not for the Django that is asked for, so that nothing was
    held against it. ``remarks``: what is odd about the question.
    """

    offered: list[Candidate]
    total: int
    packages: int
    rejected: list[Rejected]
    requirements: Requirements
    day: date
    django: str | None
    drf: str | None
    drf_is_for_others: bool
    seen: date | None
    remarks: tuple[str, ...] = ()


def choose(
    db: Reading,
    requirements: Requirements,
    *,
    frameworks: Frameworks,
    day: date | None = None,
    limit: int | None = None,
    explain: bool = False,
) -> Choice:
    """Choose among the packages of a database by the rule that this module begins with.

    :param db: an open `AuthDB`
    :param frameworks: the releases of Django and of Django REST Framework
    :param day: as of which ages are told, and which releases are today's; None for the day that
        ``db`` shows
    :param limit: how many packages are offered at most
    :param explain: say of each package that is not offered why; that looks at all packages
    :raises AuthDBError: as `Requirements.of`, or a limit that is none
    """
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise AuthDBError(f"limit is a number from 0 on, not {shown(limit)}")
    requirements = Requirements.of(**requirements._asdict())
    judge = Judge(requirements, frameworks, db.today if day is None else _day(day))
    rejected: list[tuple[int, int, Rejected]] = []
    total = 0

    def fitting() -> Iterator[Candidate]:
        nonlocal total
        for package in db if explain else db.find(judge.query(db)):
            failed = tuple(judge.failed(package))
            if not failed:
                total += 1
                yield Candidate(package, tuple(judge.reasons(package)))
            elif explain:
                missing = len(set(requirements.needs).difference(package.categories))
                why = Rejected(package.name, package.title, failed)
                rejected.append((missing, len(failed), why))

    if limit is None:
        best = sorted(fitting(), key=_order)
    else:  # no more are kept than are asked for; asked for none, nsmallest would read nothing
        best = heapq.nsmallest(limit or 1, fitting(), key=_order)[:limit]
    return Choice(
        [each._replace(package=each.package.copy()) for each in best],
        total,
        len(db),
        [why for *_, why in sorted(rejected)],
        requirements,
        judge.day,
        judge.newest_django and judge.newest_django.text,
        judge.newest_drf and judge.newest_drf.text,
        judge.newest_drf is not None and judge.drf is None,
        frameworks.seen,
        judge.remarks,
    )


def _day(day: object) -> date:
    try:
        found = parse_date(day)
    except ValueError as error:
        raise AuthDBError(f"day: {error}, not {shown(day)}") from None
    return last_day(found)


def _order(candidate: Candidate) -> tuple[int, int, str]:
    update = candidate.package.last_update
    age = 1 if update is None else -first_day(update).toordinal()
    return -candidate.points, age, candidate.package.name
