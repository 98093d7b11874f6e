"""The kinds of value that a package's fields hold: what is valid, and how it is written.

Each kind checks a value as it is set, gives it in its one stored form, and says how it looks in
JSON (``plain``) and in a cell of a table or a CSV file (``cell`` and ``from_cell``). The table of
fields itself is `authdb.models.FIELDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from authdb.dates import PartialDate, first_day, parse_date
from authdb.exceptions import InvalidValue, nearest

__all__ = [
    "CATEGORIES",
    "DEVELOPMENT_STATUS",
    "PROJECT_STATUS",
    "REPOSITORY_STATUS",
    "Field",
    "Release",
    "Source",
    "Vulnerability",
    "kinds",
    "normalize_name",
    "plain",
]

#: What a package does: the vocabulary of the field ``categories``.
CATEGORIES: Mapping[str, str] = {
    "oauth1": "OAuth 1.0a, as a server or a client",
    "oauth2": "OAuth 2.0, as a server or a client",
    "oidc": "OpenID Connect",
    "social": "signing in with an account at a social network or another site",
    "jwt": "JSON Web Tokens",
    "token": "opaque tokens, kept in a database",
    "session": "sessions and cookies",
    "signature": "signed requests: HTTP Signatures, Hawk, HMAC",
    "digest": "HTTP digest authentication",
    "passwordless": "one-time codes or links instead of passwords",
    "registration": "sign-up, e-mail verification, password reset",
    "mfa": "a second factor",
    "webauthn": "passkeys and security keys",
    "saml": "SAML 2.0",
    "ldap": "LDAP and Active Directory",
    "api-key": "keys for machines and services",
}

#: How far its authors say that a package is: the classifiers "Development Status".
DEVELOPMENT_STATUS = (
    "1 - Planning",
    "2 - Pre-Alpha",
    "3 - Alpha",
    "4 - Beta",
    "5 - Production/Stable",
    "6 - Mature",
    "7 - Inactive",
)
#: How a package index marks a project, in the words of PEP 792; and "withdrawn", where all of its
#: releases are ("yanked"), and "gone", where it has left the index.
PROJECT_STATUS = ("active", "archived", "quarantined", "deprecated", "withdrawn", "gone")
#: What a host says of a repository: "archived" is read-only, "gone" is not found any longer.
REPOSITORY_STATUS = ("active", "archived", "gone")

# Control characters (a tab or a line end inside prose apart), lone surrogates, line separators
# and the marks that reorder text: they break tables and terminals, or cannot be encoded.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069\ufeff]")
_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")
_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_NOT_IN_VERSIONS = re.compile(r"[\s,;]")
_NOT_IN_LINKS = re.compile(r"""[\s<>"'`|\\^{}]""")


class Release(NamedTuple):
    """One release: its version, and the day it came out."""

    version: str
    date: date | PartialDate


class Source(NamedTuple):
    """Where the value of ``field`` comes from, and the day it was first seen there."""

    field: str
    source: str
    seen: date | PartialDate


class Vulnerability(NamedTuple):
    """A known vulnerability: its id, such as "CVE-2024-21520", what it is in a line (or None), and
    the versions in which it is mended, if there are any."""

    id: str
    summary: str | None = None
    fixed_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        about = f": {self.summary}" if self.summary else ""
        fixed = f" (fixed in {', '.join(self.fixed_in)})" if self.fixed_in else ""
        return f"{self.id}{about}{fixed}"


class Kind(NamedTuple):
    """How one kind of value is checked, and written as and read from a cell of text."""

    check: Callable[[str, object], Any]
    cell: Callable[[Any], str] = str
    from_cell: Callable[[str], object] = str


class Field(NamedTuple):
    """One row of the table of fields.

    ``check(field name, value)`` gives the stored form or raises `InvalidValue`; it is never
    asked about None, which means "not known" for every field that is not ``required``.
    ``structured`` fields have no short form and stay out of tables unless asked for by name.
    """

    name: str
    kind: Kind
    about: str
    required: bool = False
    structured: bool = False

    def check(self, value: object) -> Any:
        """The stored form of ``value``.

        :raises InvalidValue: with this field's name
        """
        if value is None:
            if self.required:
                raise InvalidValue(self.name, value, "a package needs one")
            return None
        return self.kind.check(self.name, value)

    def cell(self, value: Any) -> str:
        """``value`` (a stored form or None) as the text of a table's or CSV file's cell."""
        return "" if value is None else self.kind.cell(value)


def plain(value: Any) -> Any:
    """A stored value as JSON holds it: dates as ISO text, releases, vulnerabilities and sources as
    objects."""
    if isinstance(value, (date, PartialDate)):
        return value.isoformat()
    if isinstance(value, Release):
        return {"version": value.version, "date": value.date.isoformat()}
    if isinstance(value, Vulnerability):
        known = {"id": value.id, "summary": value.summary, "fixed_in": list(value.fixed_in)}
        return {key: part for key, part in known.items() if part}
    if isinstance(value, tuple):
        if value and isinstance(value[0], Source):
            return {s.field: {"source": s.source, "seen": s.seen.isoformat()} for s in value}
        return [plain(item) for item in value]
    return value


def normalize_name(name: str) -> str:
    """The name as package indexes write it, by the rule of PEP 503.

    >>> normalize_name("Django_OAuth.Toolkit")
    'django-oauth-toolkit'
    """
    # packaging.utils.canonicalize_name is the same line; importing it costs each command 25 ms.
    return _SEPARATORS.sub("-", name).lower()


# -- text ------------------------------------------------------------------------------------


def _text(field: str, value: object, limit: int = 400, lines: bool = False) -> str | None:
    if type(value) is str:
        text = value.strip()
        # What Python can print has none of `_UNPRINTABLE`, and no line ends either.
        if text.isprintable() and len(text) <= limit:
            return text or None
    if not isinstance(value, str):
        slip = ""
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str):
            slip = " (a comma at the end of the line makes a tuple)"
        article = "an" if type(value).__name__[0] in "aeiou" else "a"
        raise InvalidValue(
            field, value, f"text belongs here, not {article} {type(value).__name__}{slip}"
        )
    text = str.strip(value)  # plain text, also of a subclass, whose path would be pickled
    if lines:
        text = text.replace("\r\n", "\n")
    bad = _UNPRINTABLE.search(text.replace("\n", "").replace("\t", "") if lines else text)
    if bad:
        raise InvalidValue(field, value, f"the character U+{ord(bad[0]):04X} cannot be shown")
    if len(text) > limit:
        raise InvalidValue(field, value, f"{len(text)} characters, {limit} at most")
    return text or None


def _required(field: str, value: object, limit: int = 400) -> str:
    text = _text(field, value, limit)
    if text is None:
        raise InvalidValue(field, value, "a package needs one")
    return text


def _name(field: str, value: object) -> str | None:
    text = _text(field, value, 200)
    if text is None:
        return None
    if not _NAME.fullmatch(text):
        raise InvalidValue(
            field,
            value,
            "a name has letters, digits, '.', '-' and '_', and begins and ends with one of the "
            "first two",
        )
    return normalize_name(text)


def _own_name(field: str, value: object) -> str:
    name = _name(field, value)
    if name is None:
        raise InvalidValue(field, value, "a package needs one")
    return name


def _url(field: str, value: object) -> str | None:
    from urllib.parse import urlsplit

    text = _text(field, value, 2000)
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        good = False
    if not good or _NOT_IN_LINKS.search(text):
        raise InvalidValue(field, value, "a link begins with http:// or https:// and a host")
    return text


def _version(field: str, value: object) -> str | None:
    text = _text(field, value, 100)
    if text is not None and _NOT_IN_VERSIONS.search(text):
        raise InvalidValue(field, value, "a version has no spaces, ',' or ';'")
    return text


@lru_cache(maxsize=1024)
def _known_license(text: str) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None


def _license(field: str, value: object) -> str | None:
    text = _text(field, value)
    known = None if text is None else _known_license(text)
    if text is not None and known is None:
        raise InvalidValue(
            field, value, "an SPDX expression such as MIT, BSD-3-Clause or Apache-2.0 belongs here"
        )
    return known


@lru_cache(maxsize=1024)
def _is_specifier(text: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def _specifier(field: str, value: object) -> str | None:
    text = _text(field, value)
    if text is not None and not _is_specifier(text):
        raise InvalidValue(field, value, "a version specifier such as >=3.9 belongs here")
    return text


def _one_of(words: tuple[str, ...]) -> Callable[[str, object], str | None]:
    """The check of a kind that is one of ``words``."""

    def check(field: str, value: object) -> str | None:
        text = _text(field, value)
        if text is not None and text not in words:
            raise InvalidValue(
                field, value, f"it is one of {', '.join(words)}{nearest(text, words)}"
            )
        return text

    return check


# -- several values --------------------------------------------------------------------------


def _several(field: str, value: object, *, hint: str) -> tuple[object, ...]:
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value, key=str))
    if not isinstance(value, (list, tuple)):
        raise InvalidValue(field, value, f"several values belong here, such as {hint}")
    return tuple(value)


def _categories(field: str, value: object) -> tuple[str, ...]:
    if type(value) is tuple and set(map(type, value)) == {str}:
        words = set(value)
        if len(words) == len(value) and words <= CATEGORIES.keys():
            return value  # it is as it is stored: of a file of many packages, nearly all are
    given = _several(field, value, hint="('oauth2', 'jwt')")
    for category in given:
        if not isinstance(category, str):
            raise InvalidValue(field, category, "a category is text")
        if category not in CATEGORIES:
            raise InvalidValue(field, category, "unknown category" + nearest(category, CATEGORIES))
    # str.__str__: a member of an Enum that is text as well would say its name, not its value.
    return tuple(dict.fromkeys(str.__str__(category) for category in given))


def _numbers(field: str, value: object) -> tuple[str, ...]:
    given = _several(field, value, hint="('4.2', '5.2')")
    for version in given:
        if not isinstance(version, str) or not _NUMBERS.fullmatch(version) or len(version) > 20:
            raise InvalidValue(field, version, "a version is text such as '5.2'")
    versions = {str.__str__(version) for version in given}
    # By the text too: 4.2 and 04.2 would else come in any order.
    return tuple(sorted(versions, key=lambda text: ([int(n) for n in text.split(".")], text)))


def _date(field: str, value: object) -> date | PartialDate | None:
    try:
        if type(value) is str and len(value) <= 10:
            return _known_day(value)
        if isinstance(value, str) and not value.strip():
            return None
        return parse_date(value)
    except ValueError as error:
        raise InvalidValue(field, value, str(error)) from None


@lru_cache(maxsize=1 << 15)  # the days of ninety years
def _known_day(text: str) -> date | PartialDate | None:
    return parse_date(text) if text.strip() else None


def _known_date(field: str, value: object) -> date | PartialDate:
    day = None if value is None else _date(field, value)
    if day is None:
        raise InvalidValue(field, value, "a date is missing")
    return day


def _releases(field: str, value: object) -> tuple[Release, ...]:
    releases: dict[str, Release] = {}
    for item in _several(field, value, hint="[{'version': '1.0', 'date': '2024-02-26'}]"):
        if isinstance(item, Mapping) and set(item) == {"version", "date"}:
            item = (item["version"], item["date"])
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            raise InvalidValue(field, item, "a release is a version and a date")
        version = _version(field, item[0])
        if version is None or version in releases:
            raise InvalidValue(field, item, "each release has a version of its own")
        releases[version] = Release(version, _known_date(field, item[1]))
    # Oldest first; what came out on one day keeps the order given.
    return tuple(sorted(releases.values(), key=lambda release: first_day(release.date)))


def _vulnerabilities(field: str, value: object) -> tuple[Vulnerability, ...]:
    found: dict[str, Vulnerability] = {}
    for item in _several(field, value, hint="[{'id': 'CVE-2024-21520', 'fixed_in': ['3.15.2']}]"):
        if isinstance(item, Mapping) and {"id"} <= set(item) <= {"id", "summary", "fixed_in"}:
            item = (item["id"], item.get("summary"), item.get("fixed_in"))
        if not isinstance(item, (list, tuple)) or len(item) != 3:
            raise InvalidValue(
                field, item, "a vulnerability has an 'id', and may have a 'summary' and 'fixed_in'"
            )
        known = _required(field, item[0], 100)
        if known in found:
            raise InvalidValue(field, item, "each vulnerability has an id of its own")
        summary = None if item[1] is None else _text(field, item[1], 1000)
        versions = () if item[2] is None else _several(field, item[2], hint="['3.15.2']")
        fixed_in = tuple(filter(None, (_version(field, version) for version in versions)))
        found[known] = Vulnerability(known, summary, fixed_in)
    return tuple(found[known] for known in sorted(found))


def _sources(field: str, value: object) -> tuple[Source, ...]:
    if isinstance(value, Mapping):
        value = [
            (of, s.get("source"), s.get("seen")) if isinstance(s, Mapping) else (of, s)
            for of, s in value.items()
        ]
    sources: dict[str, Source] = {}
    for item in _several(field, value, hint="{'version': {'source': ..., 'seen': '2024-02-26'}}"):
        if not isinstance(item, (list, tuple)) or len(item) != 3:
            raise InvalidValue(field, item, "each fact has a 'source' and the day it was 'seen'")
        of = _required(field, item[0])
        if of in sources:
            raise InvalidValue(field, item, "each fact has one source")
        sources[of] = Source(of, _required(field, item[1]), _known_date(field, item[2]))
    return tuple(sources[of] for of in sorted(sources))


# -- cells -----------------------------------------------------------------------------------


def _join(values: Iterable[str]) -> str:
    return ", ".join(values)


def _split(cell: str) -> object:
    return [part for part in re.split(r"[\s,;|]+", cell) if part]


def _to_json(value: Any) -> str:
    import json

    return json.dumps(plain(value), ensure_ascii=False)


def _from_json(cell: str) -> object:
    import json

    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell  # the check names the field and says what belongs there


class kinds:
    """The kinds there are."""

    NAME = Kind(_own_name)
    OTHER_NAME = Kind(_name)
    TITLE = Kind(lambda field, value: _required(field, value, 200))
    PROSE = Kind(lambda field, value: _text(field, value, 10_000, True))
    URL = Kind(_url)
    VERSION = Kind(_version)
    LICENSE = Kind(_license)
    SPECIFIER = Kind(_specifier)
    DATE = Kind(_date)
    CATEGORIES = Kind(_categories, _join, _split)
    NUMBERS = Kind(_numbers, _join, _split)
    DEVELOPMENT_STATUS = Kind(_one_of(DEVELOPMENT_STATUS))
    PROJECT_STATUS = Kind(_one_of(PROJECT_STATUS))
    REPOSITORY_STATUS = Kind(_one_of(REPOSITORY_STATUS))
    VULNERABILITIES = Kind(_vulnerabilities, _to_json, _from_json)
    RELEASES = Kind(_releases, _to_json, _from_json)
    SOURCES = Kind(_sources, _to_json, _from_json)
