"""Releases and versions: which is final, which is the newest, which was the last by a day, and
which versions a specifier lets in.

Versions are read as PEP 440 has them. One that it cannot read stands below all others, and counts
as final: it does not say that it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar

from authdb.dates import PartialDate, first_day
from authdb.exceptions import AuthDBError, shown

__all__ = ["Dated", "Frameworks", "Target", "is_final", "last_by", "newest"]


class _Released(Protocol):
    """What has a version and the day on which it came out."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def date(self) -> date | PartialDate:
        """The day."""


_R = TypeVar("_R", bound=_Released)


class Dated(NamedTuple):
    """A release: its version, the day when the first of its files came, the Python it asks for."""

    version: str
    date: date
    requires_python: str | None = None


@lru_cache(maxsize=1 << 14)
def _parsed(version: str) -> Any:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version)
    except InvalidVersion:
        return None


def is_final(version: str) -> bool:
    """Whether a version is neither a pre-release nor a development release."""
    parsed = _parsed(version)
    return parsed is None or not parsed.is_prerelease  # a development release is one of these


def _height(release: _Released) -> tuple[bool, Any]:
    """What releases are sorted by, those whose version cannot be read by their days."""
    parsed = _parsed(release.version)
    return (True, parsed) if parsed is not None else (False, first_day(release.date))


def _finals(releases: Iterable[_R]) -> list[_R]:
    """The final ones, or all where there is none."""
    found = list(releases)
    return [one for one in found if is_final(one.version)] or found


def newest(releases: Iterable[_R]) -> _R | None:
    """The release a person would install: the highest final version, else the highest of all.

    None where there is no release.
    """
    return max(_finals(releases), key=_height, default=None)


def last_by(releases: Iterable[_R], day: date | None = None) -> _R | None:
    """The last final release on ``day`` or before; of several on one day, the highest version.

    A release of which only the month or the year is known counts as of its first day. Pre-releases
    count only where there is nothing else; None where there is no release by then.

    :param day: None for no bound
    """
    by_then = [one for one in releases if day is None or first_day(one.date) <= day]
    return max(_finals(by_then), key=lambda one: (first_day(one.date), _height(one)), default=None)


class Target(NamedTuple):
    """A version of Python, Django or Django REST Framework that a package is to run with.

    :param text: ``5.2`` for any release of that series, ``5.2.3`` for just that one
    :param known: the versions that are known to be released
    """

    text: str
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, known: Iterable[str] = ()) -> Target:
        """Read a version as people write it.

        :raises AuthDBError: it is not a version such as 5.2 or 5.2.3
        """
        # Python refuses to read numbers of thousands of digits.
        parsed = _parsed(text.strip()) if len(text) <= 40 else None
        if parsed is None or parsed.epoch or parsed.local or len(parsed.release) > 3:
            raise AuthDBError(f"a version is written 5.2 or 5.2.3, not {shown(text)}")
        return cls(str(parsed), tuple(known))

    @property
    def series(self) -> str:
        """``5.2`` of ``5.2.3``: what classifiers name."""
        return ".".join(map(str, _parsed(self.text).release[:2]))

    @property
    def versions(self) -> Sequence[str]:
        """The versions it can stand for: those known of its series, or where none is known, such
        as there may be."""
        parsed = _parsed(self.text)
        if len(parsed.release) > 2 or parsed.is_prerelease or parsed.is_postrelease:
            return [self.text]
        start = f"{self.text}."
        found = [one for one in self.known if one == self.text or one.startswith(start)]
        return [one for one in found if is_final(one)] or [
            self.text,
            *(f"{self.text}.{number}" for number in range(1, 40)),
        ]

    def fits(self, specifier: str) -> bool:
        """Whether ``specifier`` lets in one of `versions`.

        >>> Target.of("5.2").fits(">=4.2,<6"), Target.of("5.2").fits("<=1.7")
        (True, False)
        """
        return _fits(specifier, tuple(self.versions))

    def declared(self, versions: Iterable[str]) -> bool:
        """Whether ``versions``, as classifiers name them, have its series; of a 5 alone each 5.x
        is one."""
        return any(one == self.series or one.startswith(f"{self.text}.") for one in versions)


@lru_cache(maxsize=1 << 14)
def _fits(specifier: str, versions: tuple[str, ...]) -> bool:
    from packaging.specifiers import SpecifierSet

    allowed = SpecifierSet(specifier)
    return any(allowed.contains(version, prereleases=True) for version in versions)


class Frameworks(NamedTuple):
    """What there is of Django and of Django REST Framework: their releases, oldest first, and the
    day when they were seen; and which Django the newest Django REST Framework asks for."""

    django: tuple[Dated, ...] = ()
    drf: tuple[Dated, ...] = ()
    seen: date | None = None
    drf_requires: str | None = None

    def current(
        self, day: date | None = None, python: Target | None = None
    ) -> tuple[Target | None, Target | None]:
        """Today's Django and Django REST Framework: the newest final versions as of the end of
        ``day``, of those that ``python`` can have; None where no release is known."""
        return _current(self.django, day, python), _current(self.drf, day, python)

    def fit_together(self, django: Target, drf: Target) -> bool:
        """Whether a Django REST Framework can be installed beside a Django, as far as is known:
        what it asks for is known of the newest only."""
        newest = _current(self.drf, None)
        known = self.drf_requires if newest is not None and newest.text == drf.text else None
        return known is None or django.fits(known)

    def target(self, django: str, python: Target | None = None) -> Target:
        """The Django that ``django`` stands for, among those that are known.

        :raises AuthDBError: it is not a version, or none of its releases is for ``python``
        """
        target = Target.of(django, (one.version for one in self.django))
        versions = set(map(_parsed, target.versions))
        there = [one for one in self.django if _parsed(one.version) in versions]
        if there and python is not None and not any(_is_for(one, python) for one in there):
            raise AuthDBError(
                f"Django {target.text} is not for Python {python.text}: "
                f"it asks for {there[-1].requires_python}"
            )
        return target

    def is_released(self, django: Target) -> bool:
        """Whether a release of that Django is known."""
        versions = set(map(_parsed, django.versions))
        return any(_parsed(one.version) in versions for one in self.django)


def _is_for(release: Dated, python: Target) -> bool:
    return release.requires_python is None or python.fits(release.requires_python)


def _current(
    releases: Iterable[Dated], day: date | None, python: Target | None = None
) -> Target | None:
    known = [
        one
        for one in releases
        if (day is None or one.date <= day)
        and _parsed(one.version) is not None
        and (python is None or _is_for(one, python))
    ]
    one = newest(known)
    return None if one is None else Target(one.version, (one.version,))
