"""What gives cause for concern: packages that went stale, were given up or withdrawn, have known
vulnerabilities, or cannot be installed beside today's Django.

What is not known is no concern. How many packages could not be judged is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from authdb.columns import Row
from authdb.dates import age, first_day
from authdb.exceptions import AuthDBError, nearest, shown
from authdb.models import FIELDS, Package, normalize_name
from authdb.moments import parse_span
from authdb.query import Lt
from authdb.reading import Reading
from authdb.releases import Frameworks, Target

__all__ = [
    "KINDS",
    "LINK_KINDS",
    "Concern",
    "Concerns",
    "Scope",
    "Stale",
    "audit",
    "scope",
    "stale",
]

#: The kinds of concern that are found without asking anybody.
KINDS: Mapping[str, str] = {
    "stale": "no update for long",
    "replaced": "another package has followed it",
    "deprecated": "it is marked so, on its package index or in its summary",
    "archived": "it is read-only, on its package index or at the host of its repository",
    "gone": "it has left its package index, or its repository is not found any longer",
    "quarantined": "its package index holds it back, as it may do harm",
    "withdrawn": "all its releases were withdrawn",
    "vulnerable": "its latest version has a known vulnerability",
    "uninstallable": "its requirements exclude today's Django, or today's Django REST Framework",
    "inactive": "its authors say so",
}
#: Those for which links have to be asked: see `authdb.links`.
LINK_KINDS: Mapping[str, str] = {
    "dead": "a link leads nowhere",
    "moved": "a link leads elsewhere for good",
}
_ORDER = [*KINDS, *LINK_KINDS]


class Concern(NamedTuple):
    """A reason to look at a package: its kind (see `KINDS`), the name, and the reason in words."""

    kind: str
    name: str
    text: str


class Concerns(list[Concern]):
    """What an audit found, by name and in the order of `KINDS`.

    ``packages`` is how many were looked at, ``unknown`` of how many each fact is not known that is
    needed to judge them, ``accepted`` how many concerns were left out, as they are accepted.
    """

    def __init__(
        self,
        concerns: Iterable[Concern],
        packages: int,
        unknown: Mapping[str, int],
        accepted: int = 0,
    ) -> None:
        super().__init__(sorted(concerns, key=lambda each: (each.name, _ORDER.index(each.kind))))
        self.packages = packages
        self.unknown = dict(unknown)
        self.accepted = accepted


# -- which of them are wished for ------------------------------------------------------------


class Scope(NamedTuple):
    """Which concerns are to be told: those of ``kinds``, without the pairs of name and kind in
    ``accepted``."""

    kinds: frozenset[str] = frozenset(KINDS)
    accepted: frozenset[tuple[str, str]] = frozenset()

    def of(self, concerns: Concerns) -> Concerns:
        """Those of ``concerns`` that are to be told, in their order."""
        wanted = [each for each in concerns if each.kind in self.kinds]
        told = [each for each in wanted if (each.name, each.kind) not in self.accepted]
        accepted = concerns.accepted + len(wanted) - len(told)
        return Concerns(told, concerns.packages, concerns.unknown, accepted)


def scope(only: Iterable[str] = (), ignore: Iterable[str] = (), *, links: bool = False) -> Scope:
    """Read which concerns are to be told.

    :param only: kinds; none for all
    :param ignore: kinds that are accepted, or ``name:kind`` for that of one package
    :param links: whether links are asked too
    :raises AuthDBError: there is no such kind, or links would have to be asked for it
    """
    there = _ORDER if links else [*KINDS]
    kinds, accepted = set(), set()
    for text in ignore:
        name, colon, kind = text.rpartition(":")
        if colon:
            accepted.add((normalize_name(name), _kind(kind, _ORDER, "--ignore")))
        else:
            kinds.add(_kind(kind, _ORDER, "--ignore"))
    wanted = {_kind(kind, there, "--only") for kind in only} or set(there)
    return Scope(frozenset(wanted - kinds), frozenset(accepted))


def _kind(kind: str, there: Sequence[str], option: str) -> str:
    if kind in there:
        return kind
    if kind in LINK_KINDS:
        raise AuthDBError(f"{option}: to find links that are {kind}, give --links too")
    raise AuthDBError(
        f"{option}: there is no kind of concern {shown(kind)}{nearest(kind[:60], there)}; there "
        f"are: {', '.join(there)}"
    )


# -- the audit -------------------------------------------------------------------------------


def audit(
    db: Reading,
    *,
    frameworks: Frameworks,
    older_than: str = "2y",
    day: date | None = None,
    packages: Sequence[Package] | None = None,
    kinds: Collection[str] = KINDS,
) -> Concerns:
    """What gives cause for concern.

    :param frameworks: which releases there are of Django and Django REST Framework; where one of
        them has none, no package is uninstallable with it
    :param older_than: a length of time, as `authdb.moments.parse_span` reads it: without an update
        for so long, a package is stale
    :param day: the day that ages are counted to; None for the one that ``db`` shows
    :param packages: which are looked at; None for all
    :param kinds: which of `KINDS` are looked for
    :raises AuthDBError: ``older_than`` is no length of time
    """
    day = day or db.today
    found: list[Concern] = []
    unknown: Counter[str] = Counter()
    if "stale" in kinds:
        gone_stale, unknown["last_update"] = _gone_stale(db, packages, older_than, day)
        found += (
            Concern(
                "stale", row.name, f"no update since {update.isoformat()}, {age(update, day)} ago"
            )
            for row in gone_stale
            if (update := row.last_update) is not None
        )
    checks = [check for check in _checks(frameworks, day) if check.kind in kinds]
    if checks:
        for package in db if packages is None else packages:
            for check in checks:
                found += (Concern(check.kind, package.name, text) for text in check.of(package))
            unknown.update({check.field for check in checks if not _judged(package, check.field)})
    not_known = {field: unknown[field] for field in FIELDS if unknown[field]}
    return Concerns(found, len(db) if packages is None else len(packages), not_known)


def _gone_stale(
    db: Reading, packages: Sequence[Package] | None, older_than: str, day: date
) -> tuple[Sequence[Row | Package], int]:
    """Those that went stale, and of how many that is not known."""
    if packages is None:
        found = stale(db, older_than, day)
        return found.rows, found.unknown
    cutoff = _cutoff(older_than, day)
    dated = [package for package in packages if package.last_update is not None]
    return (
        [each for each in dated if each.last_update and first_day(each.last_update) < cutoff],
        len(packages) - len(dated),
    )


def _judged(package: Package, field: str) -> bool:
    """Whether it is known what ``field`` is, or that it is nothing."""
    if field == "replaced_by":  # of most packages nobody ever says that none followed them
        return True
    return package.is_known(field)


class _Check(NamedTuple):
    """How packages are held against one of `KINDS`: by which ``field``, and ``of`` a package each
    concern in words."""

    kind: str
    field: str
    of: Callable[[Package], Iterable[str]]


# Kinds that are a word in a field: the kind, the field, the word, and the concern in words.
_WORDS = (
    ("deprecated", "project_status", "deprecated", "it is marked as deprecated"),
    ("archived", "project_status", "archived", "its package index marks it as archived"),
    ("archived", "repository_status", "archived", "its repository is archived"),
    ("gone", "project_status", "gone", "it has left its package index"),
    ("gone", "repository_status", "gone", "its repository is gone"),
    ("quarantined", "project_status", "quarantined", "its package index has put it in quarantine"),
    ("withdrawn", "project_status", "withdrawn", "all its releases were withdrawn"),
    ("inactive", "development_status", "7 - Inactive", "its authors say that it is inactive"),
)


def _checks(frameworks: Frameworks, day: date) -> Iterator[_Check]:
    for kind, field, word, text in _WORDS:
        yield _Check(kind, field, _says(field, word, text))
    yield _Check("replaced", "replaced_by", _replaced)
    yield _Check("vulnerable", "vulnerabilities", lambda package: map(str, package.vulnerabilities))
    django, drf = frameworks.current(day)
    if django is not None:
        yield _Check("uninstallable", "requires_django", _excludes("django", django))
    if drf is not None:
        yield _Check("uninstallable", "requires_drf", _excludes("djangorestframework", drf))


def _replaced(package: Package) -> Iterator[str]:
    if package.replaced_by:
        yield f"replaced by {package.replaced_by}"


def _says(field: str, word: str, text: str) -> Callable[[Package], Iterator[str]]:
    """The check that is a concern, ``text``, where ``field`` says ``word``."""

    def check(package: Package) -> Iterator[str]:
        if getattr(package, field) == word:
            yield text

    return check


def _excludes(name: str, target: Target) -> Callable[[Package], Iterator[str]]:
    """The check that is a concern where what is required of the package called ``name`` keeps
    ``target`` out."""
    field = "requires_django" if name == "django" else "requires_drf"

    def check(package: Package) -> Iterator[str]:
        specifier = getattr(package, field)
        if specifier and not target.fits(specifier):
            yield f"requires {name}{specifier}: today's is {target.text}"

    return check


# -- staleness -------------------------------------------------------------------------------


class Stale(NamedTuple):
    """The packages without an update for long.

    ``rows`` has what a list shows of each, the one updated longest ago first; ``cutoff`` is the
    day since which they have had no update, ``day`` the one that it was counted back from;
    ``unknown`` is how many packages have no date, ``packages`` how many there are.
    """

    rows: Sequence[Row]
    cutoff: date
    day: date
    unknown: int
    packages: int


def stale(db: Reading, older_than: str = "2y", day: date | None = None) -> Stale:
    """Which packages have had no update for so long.

    A date that is known to the month or the year stands at its first day, as everywhere.

    :param older_than: a length of time, as `authdb.moments.parse_span` reads it
    :param day: the day that it is counted back from; None for the one that ``db`` shows
    :raises AuthDBError: ``older_than`` is no length of time
    """
    day = day or db.today
    cutoff = _cutoff(older_than, day)
    found = db.find(Lt("last_update", cutoff), sort="last_update")
    return Stale(found.rows(), cutoff, day, db.histogram("last_update").without, len(db))


def _cutoff(older_than: str, day: date) -> date:
    """The day that lies so long before ``day``."""
    try:
        span = parse_span(older_than)
    except ValueError as error:
        raise AuthDBError(f"older_than: {error}, not {shown(older_than)}") from None
    return span.before(datetime(day.year, day.month, day.day)).date()
