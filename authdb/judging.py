"""One package after the other, held against what is required, with the reasons for and against it.

Which they are, and what counts, is told in docs/choosing.md.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, Literal, NamedTuple

from authdb.dates import PartialDate, age, first_day, last_day
from authdb.exceptions import AuthDBError, nearest, shown
from authdb.licenses import license_fits, read_licenses, spdx_ids
from authdb.models import CATEGORIES, Package, Vulnerability
from authdb.moments import Span, parse_span
from authdb.query import All, And, Lt, Not
from authdb.query import Any as AnyOf
from authdb.reading import Reading
from authdb.releases import Frameworks, Target

__all__ = ["Judge", "Reason", "Requirements"]

#: An update that is no longer ago than the first counts for a package, one that is longer ago
#: than the second against it.
_FRESH, _STALE = parse_span("1y"), parse_span("2y")

#: How many vulnerabilities a reason names, and in how many characters each.
_NAMED, _WIDTH = 3, 160

#: The specifier of those that ask for whichever version.
ANY = ">=0"

_STABILITY: dict[str, tuple[Literal["+", "-", "="], str]] = {
    "1": ("-", "planned"),
    "2": ("-", "pre-alpha"),
    "3": ("=", "alpha"),
    "4": ("=", "beta"),
    "5": ("+", "stable"),
    "6": ("+", "mature"),
    "7": ("-", "inactive"),
}


# -- what is required ------------------------------------------------------------------------


class Requirements(NamedTuple):
    """What a package has to meet. Make them with `of`, which checks what people write.

    :param needs: categories, all of which it has to have
    :param django: the Django that it has to run with, such as 5.2; None for today's
    :param python: the Python that it has to run with; None for any
    :param within: how long ago its last update may be, such as 18mo; None for any time
    :param license: names of `LICENSES` and SPDX ids, with commas; None for any licence
    """

    needs: tuple[str, ...] = ()
    django: str | None = None
    python: str | None = None
    within: str | None = None
    license: str | None = None

    @classmethod
    def of(
        cls,
        needs: str | Iterable[str] = (),
        *,
        django: str | None = None,
        python: str | None = None,
        within: str | None = None,
        license: str | None = None,  # noqa: A002 - so the field is called
    ) -> Requirements:
        """The requirements as people write them.

        :param needs: also a text, or texts, in which several stand with commas
        :raises AuthDBError: a category or a licence that there is not, a wrong version or span

        >>> Requirements.of("social,jwt", django="5.2", within="18mo").needs
        ('social', 'jwt')
        """
        return cls(
            _categories(needs),
            _version("Django", django),
            _version("Python", python),
            None if within is None else _span(within),
            None if license is None else read_licenses(license),
        )


#: What people call some of the categories.
_SYNONYMS: Mapping[str, str] = {
    "2fa": "mfa",
    "apikey": "api-key",
    "hmac": "signature",
    "magic-link": "passwordless",
    "oauth": "oauth2",
    "openid": "oidc",
    "openid-connect": "oidc",
    "otp": "mfa",
    "passkey": "webauthn",
    "passkeys": "webauthn",
    "totp": "mfa",
}


def _categories(needs: str | Iterable[str]) -> tuple[str, ...]:
    given = [needs] if isinstance(needs, str) else list(needs)
    for each in given:
        if not isinstance(each, str):
            raise AuthDBError(f"a category is text, not {shown(each)}")
    found = [word for text in given for word in text.replace(",", " ").split()]
    found = [_SYNONYMS.get(word.lower(), word.lower()) for word in found]
    for word in found:
        if word not in CATEGORIES:
            hint = nearest(word[:60], CATEGORIES) or f"; there are: {', '.join(CATEGORIES)}"
            raise AuthDBError(f"there is no category {shown(word)}{hint}")
    if given and not found:
        raise AuthDBError("a need is a category, such as oauth2")
    return tuple(dict.fromkeys(found))


def _version(of: str, text: str | None) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise AuthDBError(f"{of}: a version is text such as '5.2', not {shown(text)}")
    try:
        return Target.of(text).text
    except AuthDBError as error:
        raise AuthDBError(f"{of}: {error}") from None


def _span(text: str) -> str:
    try:
        parse_span(text)
    except (ValueError, AttributeError) as error:
        raise AuthDBError(f"within: {error}, not {shown(text)}") from None
    return text.strip()


# -- the judge -------------------------------------------------------------------------------


class Reason(NamedTuple):
    """A reason for (``+``) or against (``-``) a package; or what is not known of it (``?``), or
    what is only told (``=``), neither of which counts."""

    sign: Literal["+", "-", "?", "="]
    text: str

    def __str__(self) -> str:
        return f"{self.sign} {self.text}"


class Judge:
    """Holds one package after the other against the requirements."""

    def __init__(self, requirements: Requirements, frameworks: Frameworks, day: date) -> None:
        self.day, self._needs = day, requirements.needs
        self._python = Target.of(requirements.python) if requirements.python else None
        self.newest_django, self.newest_drf = frameworks.current(day, self._python)
        self._django, self._django_is = self.newest_django, "today's Django"
        if requirements.django is not None:
            self._django = frameworks.target(requirements.django, self._python)
            self._django_is = "Django"
        #: What is to be said of the question.
        self.remarks = tuple(self._odd(frameworks))
        #: Today's Django REST Framework; None if that is not known, or if it is for other Djangos.
        self.drf = self.newest_drf
        if self._django and self.drf and not frameworks.fit_together(self._django, self.drf):
            self.drf = None
        self._within = requirements.within
        self._cutoff = _before(day, parse_span(self._within)) if self._within else None
        self._license = requirements.license
        self._ids = None if self._license is None else spdx_ids(self._license)

    def _odd(self, frameworks: Frameworks) -> Iterator[str]:
        if self._django and frameworks.django and not frameworks.is_released(self._django):
            newest = frameworks.current()[0]
            yield (
                f"no release of Django {self._django.text} is known here; the newest is "
                f"{newest.text if newest else 'not known either'}"
            )

    def query(self, db: Reading) -> Any:
        """What the catalog can say of the requirements: it finds each package that meets them, and
        of the others as few as it can. None for all packages."""
        parts: list[Any] = [All("categories", list(self._needs))] if self._needs else []
        if self._cutoff is not None:
            # A month or a year stands at its first day, and may still reach up to the cutoff.
            starts = [self._cutoff.replace(day=1), self._cutoff.replace(month=1, day=1)]
            before = Lt("last_update", self._cutoff)
            parts.append(Not(And(before, Not(AnyOf("last_update", starts)))))
        if self._ids is not None:
            there = db.facets("license", _all_of(parts))
            failing = [each for each in there if not license_fits(each, self._ids)]
            if failing:
                parts.append(Not(AnyOf("license", failing)))
        return _all_of(parts)

    def failed(self, package: Package) -> Iterator[str]:
        """Each requirement that a package fails, in words."""
        for need in self._needs:
            if need not in package.categories:
                yield f"not listed under {need}"
        if package.replaced_by is not None:
            yield f"replaced by {package.replaced_by}"
        if package.project_status == "quarantined":
            yield "quarantined by its package index: cannot be installed"
        if package.project_status == "withdrawn":
            yield "all its releases were withdrawn"
        if package.project_status == "gone":
            yield "no longer on its package index"
        for distribution, specifier, target, called in (
            ("django", package.requires_django, self._django, f"{self._django_is} "),
            ("python", package.requires_python, self._python, "Python "),
            ("djangorestframework", package.requires_drf, self.drf, "today's "),
        ):
            if specifier and target and not target.fits(specifier):
                yield (
                    f"requires {distribution}{specifier}: cannot be installed with "
                    f"{called}{target.text}"
                )
        update, terms = package.last_update, package.license
        if self._cutoff and update is not None and last_day(update) < self._cutoff:
            yield f"no update within {self._within}: the last was {_on(update)}"
        if self._ids is not None and terms and not license_fits(terms, self._ids):
            yield f"its licence {terms} is not {_either(self._license or '')}"

    def reasons(self, package: Package) -> Iterator[Reason]:
        """The reasons for and against a package that meets the requirements, always in the same
        order."""
        yield from self._updated(package)
        yield _runs_with(package, "Django", self._django, "django_versions", "requires_django")
        if self._python is not None:
            yield _runs_with(package, "Python", self._python, "python_versions", "requires_python")
        yield self._beside_drf(package)
        yield _vulnerable(package)
        yield _stability(package)
        yield from _statuses(package)
        if package.license is None:
            yield Reason("?", "its licence is not known")
        else:
            yield Reason("=", f"licence {package.license}")

    def _updated(self, package: Package) -> Iterator[Reason]:
        update = package.last_update
        if update is None:
            yield Reason("?", "when it was last updated is not known")
            return
        # Of a month or a year each of its days can be meant: a reason has to hold for all of them.
        first, last = first_day(update), last_day(update)
        if last < _before(self.day, _STALE):
            told = f"no update for {age(last, self.day)}"
            yield Reason("-", f"{told}: last {_what(package)} {_on(update)}")
        else:
            fresh = first >= _before(self.day, _FRESH)
            yield Reason("+" if fresh else "=", self._last_words(package))
        if self._cutoff is not None and first < self._cutoff:
            yield Reason("?", f"whether that is within {self._within} is not known")

    def _last_words(self, package: Package) -> str:
        """What the last update was and how long ago, and the last release where it is another."""
        update, release = package.last_update, package.last_release
        assert update is not None
        text, what = _ago(update, self.day), _what(package)
        before = "" if what != "commit" or release is None else _ago(release, self.day)
        return f"last {what} {text}" + (
            f", last release {before}" if before not in ("", text) else ""
        )

    def _beside_drf(self, package: Package) -> Reason:
        # That it can be installed is required: those that say so are no better than those that
        # set no bounds, so it is told and does not count.
        if self.newest_drf is None:
            return Reason("?", "which djangorestframework is today's is not known")
        if self.drf is None:
            asked = f"{self._django_is} {self._django.text if self._django else ''}"
            return Reason("?", f"which djangorestframework goes with {asked} is not known")
        today = f"today's djangorestframework {self.drf.text}"
        if package.requires_drf and package.requires_drf != ANY:
            return Reason("=", f"lets in {today} (requires {package.requires_drf})")
        if package.is_known("requires_drf"):
            return Reason("=", f"sets no bounds on djangorestframework, and so lets in {today}")
        return Reason("?", "which djangorestframework it asks for is not known")


def _all_of(parts: list[Any]) -> Any:
    return None if not parts else parts[0] if len(parts) == 1 else And(*parts)


# -- reasons ---------------------------------------------------------------------------------


def _runs_with(
    package: Package, name: str, target: Target | None, declares: str, requires: str
) -> Reason:
    """What a package says of a version of Django or Python, one that it can be installed with.

    :param declares: the field of the versions that it declares
    :param requires: that of the specifier
    """
    if target is None:
        return Reason("?", f"which {name} is today's is not known")
    declared: tuple[str, ...] = getattr(package, declares)
    if target.declared(declared):
        return Reason("+", f"declares {name} {target.series}")
    specifier, wanted = getattr(package, requires), f"{name} {target.text}"
    # A bare 3 beside 3.12 says only which major it is.
    series = [one for one in declared if "." in one] or list(declared)
    listed = " to ".join(dict.fromkeys((*series[:1], *series[-1:])))
    if specifier and specifier != ANY:
        text = f"its metadata ({name.lower()}{specifier}) lets in {wanted}"
    elif package.is_known(requires):
        text = f"its metadata sets no bounds on {name}, and so lets in {wanted}"
    elif declared:
        return Reason(
            "?", f"declares {name} {listed}: whether it runs with {target.text} is not known"
        )
    else:
        return Reason("?", f"which {name} it runs with is not known")
    if declared:
        return Reason("=", f"{text}, but declares {listed} only")
    if package.is_known(declares):
        return Reason("=", f"{text}, but does not declare it")
    return Reason("=", f"{text}; whether it declares it is not known")


def _vulnerable(package: Package) -> Reason:
    known = package.vulnerabilities
    if known:
        words = "vulnerability" if len(known) == 1 else "vulnerabilities"
        named = "; ".join(map(_brief, known[:_NAMED]))
        more = f"; and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        return Reason("-", f"{len(known)} known {words}: {named}{more}")
    if package.is_known("vulnerabilities"):
        return Reason("+", "no known vulnerability")
    return Reason("?", "whether there is a known vulnerability is not known")


def _brief(vulnerability: Vulnerability) -> str:
    return textwrap.shorten(str(vulnerability), _WIDTH, placeholder=" ...")


def _stability(package: Package) -> Reason:
    status = package.development_status
    if status is not None:
        sign, word = _STABILITY[status[0]]
        return Reason(sign, f"its authors call it {word}")
    if package.is_known("development_status"):
        return Reason("?", "its authors do not say how stable it is")
    return Reason("?", "how stable its authors call it is not known")


def _statuses(package: Package) -> Iterator[Reason]:
    """What its index and the host of its repository say of it, where that is anything."""
    marked, repository = package.project_status, package.repository_status
    if marked not in (None, "active"):
        yield Reason("-", f"marked as {marked}")
    if repository not in (None, "active"):
        yield Reason("-", f"its repository is {repository}")
    unknown = [not package.is_known(of) for of in ("project_status", "repository_status")]
    if any(unknown):
        subject = "it" if all(unknown) else "it" if unknown[0] else "its repository"
        by = "" if all(unknown) or not unknown[0] else " by its package index"
        yield Reason("?", f"whether {subject} is marked as archived{by} is not known")
    if package.moved_to is not None:
        yield Reason("=", f"its repository has moved to {package.moved_to}")


# -- words -----------------------------------------------------------------------------------


def _either(licenses: str) -> str:
    words = licenses.split(",")
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _what(package: Package) -> str:
    """What the last update was; a release that came out on the day of the last commit is one."""
    update = package.last_update
    if update == package.last_release:
        return "release"
    return "commit" if update == package.last_commit else "update"


def _on(day: date | PartialDate) -> str:
    return f"{'in' if isinstance(day, PartialDate) else 'on'} {day.isoformat()}"


def _ago(then: date | PartialDate, day: date) -> str:
    """``4 months ago``; of a day that is yet to come, and of a month or a year, which it is."""
    if isinstance(then, PartialDate) or then > day:
        return _on(then)
    return "today" if then == day else f"{age(then, day)} ago"


def _before(day: date, span: Span) -> date:
    return span.before(datetime.combine(day, time())).date()
