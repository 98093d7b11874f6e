"""Editions: the list as it stood on a day.

An edition is a TOML file that names a day, its members, and two files beside it: the curated
list (what people wrote about each package) and the recorded facts (dates, versions and
releases, each with where it was seen). `records` puts the three together. `data/README.md`
describes all of them.

Nothing is fetched here and nothing is stored: an edition is read into plain records, which a
loader checks like any others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from authdb.exceptions import AuthDBError, LoadError, Problem, nearest, shown
from authdb.releases import Dated, Frameworks, last_by, newest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "OF_REPOSITORIES",
    "OF_THE_NEWEST",
    "Edition",
    "is_edition",
    "path",
    "read",
    "recorded",
    "records",
    "shipped",
    "shipped_frameworks",
]

# What people write about a package. Every other field of a record is a recorded fact.
_CURATED = (
    "name",
    "title",
    "description",
    "categories",
    "repository",
    "homepage",
    "documentation",
    "license",
    "replaced_by",
)
#: The recorded facts that the package index tells of the newest version only, and those that the
#: host of the repository tells: each as it was when it was seen, never as of another day.
OF_THE_NEWEST = (
    "python_versions",
    "requires_django",
    "django_versions",
    "requires_drf",
    "development_status",
    "project_status",
    "vulnerabilities",
)
OF_REPOSITORIES = ("repository_status", "moved_to", "last_push")
_KEYS = ("title", "as_of", "curated", "facts", "members", "categories")


class Edition(NamedTuple):
    """An edition file, read and found sound.

    ``categories`` and ``curated`` are by the names of packages; ``facts`` is the file of the
    recorded facts.
    """

    as_of: date
    members: tuple[str, ...]
    categories: dict[str, list[str]]
    curated: dict[str, dict[str, object]]
    facts: Path


def shipped() -> tuple[str, ...]:
    """The names of the editions that ship with authdb, oldest first and today's last."""
    # Names are ISO days or a word, and digits sort before letters: no file has to be opened.
    return tuple(sorted(file.stem for file in _folder().glob("*.toml")))


def path(name: str) -> Path:
    """The file of a shipped edition.

    :param name: one of `shipped`
    :raises AuthDBError: no such edition ships
    """
    known = shipped()
    if name not in known:
        raise AuthDBError(
            f"no edition is called {shown(name)}: there are {', '.join(known)}, "
            "or give the path of an edition file"
        )
    return _folder() / f"{name}.toml"


def shipped_frameworks() -> Frameworks:
    """What was known of Django and Django REST Framework when the list was last refreshed."""
    facts = recorded(_folder().parent / "facts.json").get("frameworks", {})

    def releases(name: str) -> tuple[Dated, ...]:
        return tuple(_releases(facts.get(name, {}).get("releases", [])))

    days = [date.fromisoformat(one["seen"]) for one in facts.values()]
    requires = facts.get("djangorestframework", {}).get("requires_django")
    seen = min(days, default=None)
    return Frameworks(releases("django"), releases("djangorestframework"), seen, requires)


def is_edition(document: object) -> bool:
    """Whether a decoded TOML document is an edition: a table that names its ``members``."""
    return isinstance(document, Mapping) and "members" in document


def records(file: Path | str) -> list[dict[str, object]]:
    """The members of an edition as records, in the order the file names them.

    A record has those keys that are known: ``name``, ``title``, ``description``,
    ``categories``, ``repository``, ``homepage``, ``documentation``, ``license``,
    ``replaced_by`` (only where its target is a member too), ``last_commit`` and
    ``last_release`` (`datetime.date`), ``releases`` (a list of ``{"version", "date"}``, oldest
    first), ``version``, ``requires_python``, ``django_versions``, and ``sources`` (by the name
    of a recorded fact: ``{"source", "seen"}``). Recorded facts are as of the end of the
    edition's day.

    :param file: an edition, one of ours (see `path`) or anybody's
    :raises AuthDBError: a file that cannot be read
    :raises LoadError: the mistakes of a file, all at once
    """
    edition = read(Path(file))
    facts = _facts(edition.facts)
    found = []
    for name in edition.members:
        record = dict(edition.curated[name])
        if name in edition.categories:
            record["categories"] = edition.categories[name]
        if record.get("replaced_by") not in edition.members:
            record.pop("replaced_by", None)
        try:
            record.update(_as_of(facts.get(name, {}), edition.as_of))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise AuthDBError(
                f"{edition.facts}: the facts of {name!r} do not have the shape that data/README.md "
                f"gives ({type(error).__name__}: {error}): bring back the file that "
                "came with the list"
            ) from None
        found.append(record)
    return found


# --- the three files ---------------------------------------------------------


def _folder() -> Path:
    # Loaded late: few programs ask for the shipped editions, every one would pay for the import.
    from importlib import resources

    return Path(str(resources.files("authdb.data"))) / "editions"


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise AuthDBError(
            f"{file}: not UTF-8 at byte {error.start}: save it as UTF-8 text"
        ) from None
    except (OSError, ValueError) as error:  # a ValueError where the path itself is impossible
        reason = getattr(error, "strerror", None) or str(error)
        raise AuthDBError(f"{file}: cannot be read ({reason}): check the path") from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AuthDBError(f"{file}: not TOML: {error}: correct the file there") from None


def read(file: Path) -> Edition:
    """Read an edition, without the recorded facts.

    :raises AuthDBError: as `records`
    """
    document = _toml(file)
    if not is_edition(document):
        raise AuthDBError(f"{file}: not an edition: it has to name its members, as a list")
    problems: list[Problem] = []

    def wrong(key: str, reason: str) -> None:
        problems.append(Problem(key, None, reason))

    for key in document:
        if key not in _KEYS:
            wrong("keys", f"an edition has no {shown(key)}{nearest(key, _KEYS)}: take it out")
    title = document.get("title")
    if not isinstance(title, str) or len(title.splitlines()) != 1:
        wrong("title", f"write one line of text, got {shown(title)}")
    as_of = document.get("as_of")
    # A datetime is a date to isinstance, and has a time zone to get wrong.
    if not isinstance(as_of, date) or isinstance(as_of, datetime):
        wrong("as_of", f"write a day without quotes, as 2024-02-26, got {shown(as_of)}")
        as_of = date.min
    curated = _beside(file, document, "curated", wrong)
    facts = _beside(file, document, "facts", wrong)
    members = _names(document["members"])
    if not members:
        wrong("members", f"write a list of package names, got {shown(document['members'])}")
        members = []
    for name in _twice(members):
        wrong("members", f"{name!r} is there more than once: keep one")
    categories = _categories(document.get("categories", {}), members, wrong)
    packages: dict[str, dict[str, object]] = {}
    if curated is not None:
        packages = _packages(curated)
        unknown = [name for name in dict.fromkeys(members) if name not in packages]
        if unknown:
            listed = ", ".join(f"{name!r}{nearest(name, packages)}" for name in unknown)
            wrong(
                "members",
                f"not in {document['curated']}: {listed}: add them there, or take them out here",
            )
    if problems or facts is None:
        raise LoadError(str(file), problems)
    return Edition(as_of, tuple(members), categories, packages, facts)


def _categories(
    table: object, members: list[str], wrong: Callable[[str, str], None]
) -> dict[str, list[str]]:
    """The categories that this edition gives to some of its members, by name."""
    found: dict[str, list[str]] = {}
    if not isinstance(table, dict):
        wrong("categories", f"write a table, one line a member, got {shown(table)}")
        return found
    for name, value in table.items():
        names = _names(value)
        if name not in members:
            wrong("categories", f"{name!r} is not a member: take the line out, or name it there")
        elif names is None:
            wrong("categories", f"{name!r} needs a list of category names, got {shown(value)}")
        else:
            found[name] = names
    return found


def _beside(
    file: Path, document: Mapping[str, object], key: str, wrong: Callable[[str, str], None]
) -> Path | None:
    """The file that ``document`` names under ``key``, by its path from ``file``."""
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        wrong(key, f"name the file, by its path from this one, got {shown(value)}")
        return None
    # Windows' rules also know the root of POSIX, so one test refuses both on every system: an
    # edition that is passed on has to find its files where they were put.
    if "://" in value or PureWindowsPath(value).anchor:
        wrong(key, f"write a path relative to this file, no address and no root, got {value!r}")
        return None
    return file.parent / value


def _packages(file: Path) -> dict[str, dict[str, object]]:
    """The curated list by name."""
    entries = _toml(file).get("packages")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AuthDBError(f"{file}: not a curated list: write a [[packages]] table per package")
    problems: list[Problem] = []
    found: dict[str, dict[str, object]] = {}
    for number, entry in enumerate(entries, 1):
        where = f"package {number}"
        name = entry.get("name")
        if not isinstance(name, str):
            problems.append(Problem(where, "name", f"write the package's name, got {shown(name)}"))
            continue
        if name in found:
            problems.append(Problem(where, "name", f"{name!r} is there already: keep one"))
        for key in entry:
            if key not in _CURATED:
                reason = f"a package has no {shown(key)} here{nearest(key, _CURATED)}: take it out"
                problems.append(Problem(where, name, reason))
        found[name] = entry
    if problems:
        raise LoadError(str(file), problems)
    return found


def _facts(file: Path) -> dict[str, Any]:
    """The recorded facts by name."""
    return recorded(file)["packages"]  # type: ignore[no-any-return]


def recorded(file: Path) -> dict[str, Any]:
    """All that is in a file of recorded facts.

    :raises AuthDBError: it cannot be read
    """
    try:
        document = json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise AuthDBError(
            f"{file}: not JSON: {error}: bring back the file that came with the list"
        ) from None
    packages = document.get("packages") if isinstance(document, dict) else None
    if not isinstance(packages, dict):
        raise AuthDBError(
            f"{file}: no recorded facts: it has to hold an object called packages; bring "
            "back the file that came with the list"
        )
    assert isinstance(document, dict)
    return document


def _names(value: object) -> list[str] | None:
    """``value`` where it is a list of texts, else None."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return list(value)
    return None


def _twice(names: list[str]) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if names.count(name) > 1)


# --- facts as of a day -------------------------------------------------------


def _as_of(facts: Mapping[str, Any], day: date) -> dict[str, object]:
    """What was known of one package at the end of ``day``, with ``sources``."""
    found: dict[str, object] = {}
    sources: dict[str, object] = {}

    def put(field: str, value: object, origin: Mapping[str, Any], known: bool = False) -> None:
        if value or known:  # that there is none can be known too, and takes the place of a value
            found[field] = value
            sources[field] = {
                "source": str(origin["source"]),
                "seen": date.fromisoformat(origin["seen"]),
            }

    if commits := facts.get("commits"):
        commit = _last_commit(commits["last"], day)
        if commit is not None:
            put("last_commit", date.fromisoformat(commit["date"]), {**commits, **commit})
    if index := facts.get("index"):
        releases = [release for release in _releases(index["releases"]) if release.date <= day]
        best, last = newest(releases), last_by(releases)
        if best and last:
            put("version", best.version, index)
            put("requires_python", best.requires_python, index, known=True)
            put("last_release", last.date, index)
            listed = [{"version": one.version, "date": one.date} for one in releases]
            put("releases", listed, index)
        # Classifiers are those of the newest version on the day the index was read; what an
        # older version said was never recorded.
        if date.fromisoformat(index["seen"]) <= day:
            for field in OF_THE_NEWEST:
                if field in index:
                    put(field, index[field], index, known=True)
    if (repository := facts.get("repository")) and date.fromisoformat(repository["seen"]) <= day:
        for field in OF_REPOSITORIES:
            if field in repository:
                put(field, repository[field], repository, known=True)
    if sources:
        found["sources"] = sources
    return found


def _last_commit(seen: list[dict[str, str]], day: date) -> dict[str, str] | None:
    """What was recorded of the last commit on the latest day that is not after ``day``."""
    until = [entry for entry in seen if date.fromisoformat(entry["by"]) <= day]
    return max(until, key=lambda entry: date.fromisoformat(entry["by"]), default=None)


def _releases(entries: list[dict[str, str]]) -> list[Dated]:
    """Oldest first; the file's order within a day."""
    found = [
        Dated(one["version"], date.fromisoformat(one["date"]), one.get("requires_python"))
        for one in entries
    ]
    return sorted(found, key=lambda release: release.date)
