"""What a package index says of a project: from its JSON to facts. Nothing is fetched here, and
nothing is stored.

The JSON is that of the Python Package Index, at ``BASE/NAME/json``. What is not needed of it is
not decoded; what is, has to have the right types, or the whole answer is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, timezone
from typing import Any

import msgspec

from authdb.exceptions import AuthDBError, InvalidValue
from authdb.fields import PROJECT_STATUS, Source, Vulnerability, kinds, normalize_name
from authdb.metadata import (
    declared,
    development_status,
    license_of,
    line,
    links,
    required,
    specifier,
)
from authdb.releases import Dated, last_by, newest

__all__ = ["Project", "project", "told_by_index"]

#: The Python for which requirements with markers are read, where the project declares none.
PYTHON = "3.13"


class Project(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an index says of a project, yanked releases left out.

    Where all releases are withdrawn, there is no ``version`` and no ``last_release``. ``described``
    says whether the metadata is that of ``version``, the newest release: else nothing is known of
    what follows it here. ``requires`` has the specifiers by their fields; one that is not there is
    not known. None of ``vulnerabilities`` means that the index does not say.
    """

    name: str
    releases: tuple[Dated, ...]
    version: str | None = None
    last_release: date | None = None
    requires_python: str | None = None
    described: bool = False
    requires: dict[str, str | None] = {}
    django_versions: tuple[str, ...] = ()
    python_versions: tuple[str, ...] = ()
    development_status: str | None = None
    license: str | None = None
    links: dict[str, str] = {}
    project_status: str | None = None
    vulnerabilities: tuple[Vulnerability, ...] | None = None

    def facts(self) -> Iterator[tuple[str, Any]]:
        """Each field of a package of which the index speaks, and its value; None or ``()`` where it
        says that there is none."""
        yield "version", self.version
        yield "last_release", self.last_release
        yield "releases", tuple((one.version, one.date) for one in self.releases)
        yield "requires_python", self.requires_python
        if self.described:
            yield "python_versions", self.python_versions
            yield "django_versions", self.django_versions
            yield "development_status", self.development_status
            yield from self.requires.items()
            if self.vulnerabilities is not None:
                yield "vulnerabilities", self.vulnerabilities
        if self.project_status is not None:
            yield "project_status", self.project_status

    def suggestions(self) -> Iterator[tuple[str, str]]:
        """What people may know better: the licence and the links, where the index tells them."""
        if self.license is not None:
            yield "license", self.license
        yield from self.links.items()


# -- what is decoded -------------------------------------------------------------------------


class _File(msgspec.Struct):
    upload_time_iso_8601: str | None = None
    requires_python: str | None = None
    yanked: bool = False


class _Info(msgspec.Struct):
    name: str
    version: str
    summary: str | None = None
    classifiers: list[str] | None = None
    license: str | None = None
    license_expression: str | None = None
    home_page: str | None = None
    project_urls: dict[str, str | None] | None = None
    requires_dist: list[str] | None = None


class _Vulnerability(msgspec.Struct):
    id: str
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    fixed_in: list[str] | None = None
    withdrawn: str | None = None


class _Status(msgspec.Struct):
    status: str | None = None


class _Document(msgspec.Struct):
    info: _Info
    releases: dict[str, list[_File] | None]
    vulnerabilities: list[_Vulnerability] | None = None
    project_status: _Status | None = msgspec.field(default=None, name="project-status")


_decoder = msgspec.json.Decoder(_Document)


def project(body: bytes, name: str) -> Project:
    """Read the answer of an index.

    :param name: the project that was asked for
    :raises AuthDBError: it is not what an index answers, is of another project, or has no release
    """
    try:
        document = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AuthDBError(f"not the JSON of a package index: {line(str(error), 200)}") from None
    if normalize_name(document.info.name) != normalize_name(name):
        raise AuthDBError(f"the index answers with another project, {document.info.name[:60]!r}")
    releases = tuple(_releases(document.releases))
    best, last = newest(releases), last_by(releases)
    if best is None or last is None:
        if not any(document.releases.values()):
            raise AuthDBError("the index has no release of it")
        return Project(normalize_name(name), (), project_status="withdrawn")
    common: dict[str, Any] = {
        "name": normalize_name(name),
        "releases": releases,
        "version": best.version,
        "last_release": last.date,
        "requires_python": best.requires_python,
        "project_status": _status(document),
    }
    if document.info.version != best.version:
        return Project(**common)
    return Project(**common, **_described(document))


def _releases(releases: Mapping[str, list[_File] | None]) -> Iterable[Dated]:
    """Those that can be installed, the oldest first; those of one day by their versions."""
    found: dict[str, Dated] = {}
    for version, files in releases.items():
        dated = [
            (day, file)
            for file in files or ()
            if not file.yanked and (day := _day(file)) is not None
        ]
        try:
            good = kinds.VERSION.check("version", version)
        except InvalidValue:  # from the time before versions had rules
            continue
        if dated and good:
            day, file = min(dated, key=lambda each: each[0])
            found.setdefault(good, Dated(good, day, specifier(file.requires_python)))
    by_version = sorted(found.values(), key=_height)
    return sorted(by_version, key=lambda one: one.date)


def _height(release: Dated) -> tuple[bool, Any]:
    from packaging.version import InvalidVersion, Version

    try:
        return True, Version(release.version)
    except InvalidVersion:
        return False, release.version


def _day(file: _File) -> date | None:
    text = file.upload_time_iso_8601 or ""
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
        # `datetime.fromisoformat` does not read all of RFC 3339 before Python 3.11.
        moment = msgspec.convert(text, datetime)
        return (moment.astimezone(timezone.utc) if moment.tzinfo else moment).date()
    except (msgspec.ValidationError, ValueError, OverflowError):
        return None


def _described(document: _Document) -> dict[str, Any]:
    """What the metadata of the newest release tells."""
    info = document.info
    classifiers = info.classifiers or []
    pythons = declared(classifiers, "Programming Language :: Python")
    python = next((one for one in reversed(pythons) if "." in one), PYTHON)
    found: dict[str, Any] = {
        "described": True,
        "python_versions": pythons,
        "django_versions": declared(classifiers, "Framework :: Django"),
        "development_status": development_status(classifiers),
        "license": license_of(info.license_expression, info.license, classifiers),
        "links": links(info.project_urls or {}, info.home_page),
    }
    if info.requires_dist is not None:
        found["requires"] = dict(_requirements(info.requires_dist, python))
    if document.vulnerabilities is not None:
        found["vulnerabilities"] = tuple(_vulnerabilities(document.vulnerabilities))
    return found


def _requirements(requires_dist: list[str], python: str) -> Iterator[tuple[str, str | None]]:
    """The specifiers that can be read, by their fields."""
    for field, name in (("requires_django", "django"), ("requires_drf", "djangorestframework")):
        with suppress(ValueError):
            yield field, required(requires_dist, name, python)


def _vulnerabilities(entries: Iterable[_Vulnerability]) -> Iterator[Vulnerability]:
    """Those that still stand, each once, by the names that most people know."""
    known = set()
    for entry in entries:
        cves = sorted(alias for alias in entry.aliases or () if alias.startswith("CVE-"))
        name = line(cves[0] if cves else entry.id, 100)
        if name is None or name in known or entry.withdrawn is not None:
            continue
        known.add(name)
        # Details are Markdown, as a rule: without the marks of a heading they begin with.
        about = line(entry.summary, 200) or line((entry.details or "").lstrip("# \n"), 200)
        fixed = tuple(text for version in entry.fixed_in or () if (text := _version(version)))
        yield Vulnerability(name, about, fixed)


def _version(text: str) -> str | None:
    try:
        checked: str | None = kinds.VERSION.check("version", text)
    except InvalidValue:
        return None
    return checked


def told_by_index(source: Source | None, name: str) -> bool:
    """Whether a fact of a project has an index's answer on it as its source."""
    return source is not None and source.source.endswith(f"/{name}/json")


def _status(document: _Document) -> str | None:
    """How the index marks the project (PEP 792), or its authors do in its summary."""
    marked = document.project_status.status if document.project_status else None
    if marked in PROJECT_STATUS and marked != "active":
        return marked
    summary = (document.info.summary or "").lstrip(" [(*!-")
    if summary.lower().startswith("deprecated"):
        return "deprecated"
    return marked if marked == "active" else None
