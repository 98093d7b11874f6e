"""`Package`, the persistent object that the catalogue is made of.

`FIELDS` is the one table of its fields: checking, columns, file formats and export all read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from persistent import Persistent

from authdb.dates import PartialDate, first_day
from authdb.exceptions import InvalidValue, nearest
from authdb.fields import (
    CATEGORIES,
    Field,
    Release,
    Source,
    Vulnerability,
    kinds,
    normalize_name,
    plain,
)

__all__ = [
    "CATEGORIES",
    "FIELDS",
    "FORMAT",
    "STORED",
    "Field",
    "Package",
    "PartialDate",
    "Recorder",
    "Release",
    "Source",
    "Vulnerability",
    "as_json",
    "later",
    "normalize_name",
    "package_of",
    "state_of",
]

#: The number of the file format, kept in the root of the objects. It goes up with any change
#: after which an older authdb would misread what this one writes.
FORMAT = 1

#: Every field, in the order in which they are shown and written.
FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field("name", kinds.NAME, "the name of the distribution, as PEP 503 normalises it", True),
        Field("title", kinds.TITLE, "what the package calls itself", True),
        Field("description", kinds.PROSE, "what it does, in a sentence or two"),
        Field("categories", kinds.CATEGORIES, "what it does, in words of the vocabulary"),
        Field("last_update", kinds.DATE, "the later of last_commit and last_release"),
        Field("last_commit", kinds.DATE, "the last commit to the default branch"),
        Field("last_release", kinds.DATE, "the last final release"),
        Field("last_push", kinds.DATE, "the last push to its repository, to whichever branch"),
        Field("version", kinds.VERSION, "the latest version"),
        Field("requires_python", kinds.SPECIFIER, "the Python versions that it asks for"),
        Field("python_versions", kinds.NUMBERS, "the Python versions that it declares"),
        Field("requires_django", kinds.SPECIFIER, "the Django versions that it asks for"),
        Field("django_versions", kinds.NUMBERS, "the Django versions that it declares"),
        Field("requires_drf", kinds.SPECIFIER, "the djangorestframework versions it asks for"),
        Field("development_status", kinds.DEVELOPMENT_STATUS, "how far its authors say it is"),
        Field("license", kinds.LICENSE, "an SPDX expression"),
        Field("repository", kinds.URL, "where its source is"),
        Field("homepage", kinds.URL, "its home page, where that is not the repository"),
        Field("documentation", kinds.URL, "its documentation"),
        Field("replaced_by", kinds.OTHER_NAME, "the name of the package that follows it"),
        Field("project_status", kinds.PROJECT_STATUS, "how its package index marks it"),
        Field("repository_status", kinds.REPOSITORY_STATUS, "what the host says of its repository"),
        Field("moved_to", kinds.URL, "where its repository has moved"),
        Field(
            "vulnerabilities",
            kinds.VULNERABILITIES,
            "the known vulnerabilities of the latest version",
            structured=True,
        ),
        Field("releases", kinds.RELEASES, "each release's version and date", structured=True),
        Field("sources", kinds.SOURCES, "for each fact its source, and when seen", structured=True),
    )
}

# `last_update` is worked out from the dates that are known; only one stated outright is stored.
_STATED = "stated_update"
_DAYS = ("last_commit", "last_release", "last_push", _STATED)
#: The names under which a package's fields are stored.
STORED = frozenset(FIELDS) - {"last_update"} | {_STATED}
# What JSON holds as objects.
_STRUCTURED = tuple(field.name for field in FIELDS.values() if field.structured)


class Package(Persistent):
    """One package of the catalogue.

    :param name: the distribution's name; stored as PEP 503 normalises it
    :param title: what people call it
    :param fields: any of `FIELDS`; what is not given is not known
    :raises InvalidValue: for the first field that refuses its value

    A field is checked when it is set. None (or an empty text or tuple) means "not known", and
    takes no room. The value of a field is immutable, so that no change can slip past ZODB.

    >>> package = Package("Django_REST.Knox", "django-rest-knox", last_release="2024-01-28")
    >>> package.name, package.last_update, package.license
    ('django-rest-knox', datetime.date(2024, 1, 28), None)
    >>> package.categories = "jwt"
    Traceback (most recent call last):
        ...
    authdb.exceptions.InvalidValue: categories: several values belong here, such as \
('oauth2', 'jwt'), got 'jwt'
    """

    # What a stored package does not know, its class knows to be empty: the defaults also serve
    # packages that were stored before a field existed.
    name: str
    title: str
    description: str | None = None
    categories: tuple[str, ...] = ()
    repository: str | None = None
    homepage: str | None = None
    documentation: str | None = None
    license: str | None = None
    version: str | None = None
    requires_python: str | None = None
    python_versions: tuple[str, ...] = ()
    requires_django: str | None = None
    django_versions: tuple[str, ...] = ()
    requires_drf: str | None = None
    development_status: str | None = None
    last_commit: date | PartialDate | None = None
    last_release: date | PartialDate | None = None
    last_push: date | PartialDate | None = None
    project_status: str | None = None
    repository_status: str | None = None
    moved_to: str | None = None
    vulnerabilities: tuple[Vulnerability, ...] = ()
    releases: tuple[Release, ...] = ()
    replaced_by: str | None = None
    sources: tuple[Source, ...] = ()
    stated_update: date | PartialDate | None = None

    def __init__(self, name: str, title: str, **fields: Any) -> None:
        self.name = name
        self.title = title
        # last_update is held against the other two dates, so it comes after them.
        for field in sorted(fields, key="last_update".__eq__):
            setattr(self, field, fields[field])

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith(("_p_", "_v_")):
            super().__setattr__(name, value)
            return
        self._p_activate()  # the __dict__ of a ghost is empty
        field = FIELDS.get(name)
        if field is None:
            raise InvalidValue(name, value, "there is no such field" + nearest(name, FIELDS))
        stored = field.check(value)
        if name == "name" and self._p_jar is not None and stored != self.name:
            raise InvalidValue(
                name, value, "a stored package is renamed with db.update(old, name=new)"
            )
        if name == "last_update":
            self._state_update(stored)
        else:
            self._store(name, stored)
        if name in ("last_commit", "last_release") and stored is not None:
            self._store(_STATED, None)  # what is known overrides what was stated

    def __delattr__(self, name: str) -> None:
        if name.startswith(("_p_", "_v_")):
            super().__delattr__(name)
        else:
            setattr(self, name, None)

    def _store(self, name: str, value: Any) -> None:
        if value is None or value == ():
            if name in self.__dict__:
                super().__delattr__(name)
        elif getattr(self, name, None) != value:
            super().__setattr__(name, value)

    def _state_update(self, value: date | PartialDate | None) -> None:
        known = self._known_update()
        if known is None:
            self._store(_STATED, value)
        elif value is not None and value != known:
            raise _contradicts(value, known)

    def _known_update(self) -> date | PartialDate | None:
        return later(self.last_commit, self.last_release)

    @property
    def last_update(self) -> date | PartialDate | None:
        """The later of `last_commit` and `last_release`; where neither is known, as stated."""
        return self._known_update() or self.stated_update

    def source(self, field: str) -> Source | None:
        """Where the value of ``field`` comes from, and when it was seen; None where not said."""
        return next((source for source in self.sources if source.field == field), None)

    def is_known(self, field: str) -> bool:
        """Whether it is known what ``field`` holds, be it that there is nothing: then it has a
        source and no value."""
        value = getattr(self, field)
        return (value is not None and value != ()) or self.source(field) is not None

    def values(self) -> Iterator[tuple[str, Any]]:
        """Each known field and its value, in the order of `FIELDS`."""
        for name in FIELDS:
            value = getattr(self, name)
            if value is not None and value != ():
                yield name, value

    def record(self) -> dict[str, Any]:
        """The known fields as JSON holds them: what a loader reads back to an equal package."""
        return {name: plain(value) for name, value in self.values()}

    def copy(self) -> Package:
        """A package with the same values, that is not stored."""
        twin = Package.__new__(Package)
        twin.__dict__.update(self._stored())
        return twin

    def differs_from(self, other: Package) -> list[str]:
        """The names of the fields whose values differ."""
        differing = set(_differing(self._stored(), other._stored()))
        if not differing.isdisjoint(_DAYS) and self.last_update != other.last_update:
            differing.add("last_update")
        return [name for name in FIELDS if name in differing]

    def become(self, other: Package) -> None:
        """Take over all the values of ``other``, the name too: `AuthDB` keeps the names true."""
        theirs = other._stored()
        for name in _differing(self._stored(), theirs):
            if name in theirs:
                super().__setattr__(name, theirs[name])
            else:
                super().__delattr__(name)

    def _stored(self) -> dict[str, Any]:
        """What is stored of the known fields, by name."""
        self._p_activate()  # the __dict__ of a ghost is empty
        return {name: value for name, value in self.__dict__.items() if name in STORED and value}

    def __repr__(self) -> str:
        # Also asked of a package that is half made or whose record cannot be read.
        try:
            return f"<Package {self.name}>"
        except Exception:
            return "<Package ?>"

    # A flipped byte in a FileStorage loads without a word: it keeps no checksums. So a package
    # is stored with a digest of its values, worked out when it is pickled, so that no way of
    # changing it can miss it.

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__() or {}
        state.pop("_digest", None)
        state["_digest"] = _digest(state)
        return state

    def __setstate__(self, state: Any) -> None:
        if "name" not in state or "title" not in state:  # damaged: see `_digest`
            raise ValueError("a package without a name or a title")
        super().__setstate__(state)

    def is_intact(self) -> bool:
        """Whether the values, as just loaded from the file, are those that were stored."""
        state: dict[str, Any] = super().__getstate__() or {}
        stored = state.pop("_digest", None)
        try:
            return bool(stored == _digest(state))
        except (TypeError, ValueError):  # a value that no field can hold
            return False


def _differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The names under which two packages have stored different values."""
    if mine == theirs:
        return []
    return [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]


def later(
    commit: date | PartialDate | None, release: date | PartialDate | None
) -> date | PartialDate | None:
    """The later of two days; of two with the same first day the first, None if there is none."""
    if commit is None or release is None:
        return commit or release
    return release if first_day(release) > first_day(commit) else commit


def _contradicts(stated: date | PartialDate, known: date | PartialDate) -> InvalidValue:
    return InvalidValue(
        "last_update",
        stated.isoformat(),
        "it follows from last_commit and last_release, whose later is "
        f"{known.isoformat()}; leave it out",
    )


# -- without the object ----------------------------------------------------------------------
#
# Of a million packages that are loaded, none is looked at. So what is stored of them is made
# without an object in between, each attribute of which ZODB would be asked about.


def state_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a `Package` of these fields holds, as `vars` shows it.

    :param fields: checked, in their stored form, as a `authdb.loaders.Loader` gives them
    :raises InvalidValue: the fields do not go together, or the name or the title is missing
    """
    state = {name: value for name, value in fields.items() if value}  # None and () take no room
    for name in ("name", "title"):
        if name not in state:
            raise InvalidValue(name, None, "a package needs one")
    stated = state.pop("last_update", None)
    if stated is not None:
        known = later(state.get("last_commit"), state.get("last_release"))
        if known is None:
            state[_STATED] = stated
        elif stated != known:
            raise _contradicts(stated, known)
    return state


def package_of(state: Mapping[str, Any]) -> Package:
    """The package, not stored, that holds what `state_of` gave."""
    package = Package.__new__(Package)
    package.__setstate__(dict(state))
    return package


class Recorder:
    """Writes the records in which ZODB stores packages, given what they hold.

    >>> record = Recorder()(state_of({"name": "djoser", "title": "Djoser"}))
    """

    # ZODB's ObjectWriter asks about each value in an object whether that is an object of its own,
    # which no value of a package is.

    def __init__(self) -> None:
        from pickle import Pickler

        self._written: list[bytes] = []
        self._pickler = Pickler(_Writer(self._written.append), 3)
        # Of texts that differ nothing has to be remembered, in case that they come again.
        self._quick = Pickler(_Writer(self._written.append), 3)
        self._quick.fast = True
        self._class = self._dumped(Package)

    def __call__(self, state: Mapping[str, Any]) -> bytes:
        """The record of a package that holds ``state``, with its digest."""
        whole = {**state, "_digest": _digest(state)}
        dump = self._dumped if whole.keys().isdisjoint(_STRUCTURED) else self._shared
        return self._class + dump(whole)

    def pickled(self, value: object) -> bytes:
        """The pickle of a class, or of a value that a package holds, in the protocol of records."""
        structured = type(value) is tuple and value and type(value[0]) is not str
        return self._shared(value) if structured else self._dumped(value)

    def _shared(self, value: object) -> bytes:
        # The same days, and kinds of value, come many times.
        self._pickler.clear_memo()
        self._pickler.dump(value)
        return self._written.pop()

    def _dumped(self, value: object) -> bytes:
        self._quick.dump(value)
        return self._written.pop()


class _Writer(NamedTuple):
    """What a pickler writes to."""

    write: Callable[[bytes], object]


# -- the digest ------------------------------------------------------------------------------


def _digest(state: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that stand for all the values of ``state``."""
    import hashlib
    import json

    text = json.dumps(_listed(state), sort_keys=True, default=_day)
    return hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()


def as_json(value: Any) -> str:
    """A stored value as the digest takes it in."""
    import json

    return json.dumps(plain(value), sort_keys=True)


def _listed(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """``state`` with its structured fields as JSON holds them."""
    several = [name for name in _STRUCTURED if name in state]
    return {**state, **{name: plain(state[name]) for name in several}} if several else state


def _day(value: Any) -> str:
    if isinstance(value, (date, PartialDate)):
        return value.isoformat()
    raise TypeError(f"no field holds a {type(value).__name__}")
