"""The recorded facts of an edition, written anew from what was heard.

Which file that is the edition says; `data/README.md` describes it. What people wrote is not
touched, and neither is what was recorded of earlier days.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from authdb import editions
from authdb.exceptions import AuthDBError
from authdb.fields import plain
from authdb.hearing import Asked, Heard
from authdb.output import output
from authdb.releases import Dated, is_final

__all__ = ["check", "record"]

_AS_OF = re.compile(r"^(as_of\s*=\s*)\d{4}-\d\d-\d\d", re.MULTILINE | re.ASCII)


def check(file: Path) -> editions.Edition:
    """See to it that facts can be recorded for an edition.

    :raises AuthDBError: it cannot be read, or is the list as of a day that is over
    """
    edition = editions.read(file)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", file.stem):
        raise AuthDBError(f"{file}: the list of that day does not change any more: name another")
    editions.recorded(edition.facts)
    return edition


def record(file: Path, asked: Asked) -> int:
    """Write what was heard into the recorded facts of an edition, and move its day.

    :param file: the edition
    :returns: of how many of its packages there was something to write
    :raises AuthDBError: as `check`, or a file cannot be written
    """
    edition = check(file)
    document = editions.recorded(edition.facts)
    packages, count = document["packages"], 0
    for heard in (*asked.heard, *asked.skipped):
        if heard.name in edition.members or heard.name in packages:
            facts = packages.get(heard.name, {})
            if _record(facts, heard, edition.curated.get(heard.name, {}).get("repository")):
                packages[heard.name] = facts
                count += 1
    if asked.platform is not None:
        document["frameworks"] = {one.name: _releases_of(one) for one in asked.frameworks}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    with output(str(edition.facts)) as out:
        out.write(text)
    last = max((one.seen for one in asked.heard if count), default=date.min)
    if last > edition.as_of:
        moved = _AS_OF.sub(rf"\g<1>{last.isoformat()}", file.read_text("utf-8"), count=1)
        with output(str(file)) as out:
            out.write(moved)
    return count


def _record(facts: dict[str, Any], heard: Heard, link: object) -> bool:
    """Put what was heard of one package in the place of what it makes out of date; whether there
    was something.

    :param facts: what was recorded; it is changed
    :param link: the repository that the list has
    """
    if heard.project is not None:
        facts["index"] = _unless_the_same(facts.get("index", {}), _index(heard))
    if heard.repository is not None and heard.link == link:
        told, seen = dict(heard.repository.facts()), heard.seen.isoformat()
        origin = {"seen": seen, "source": heard.repository.source}
        commit = told.pop("last_commit", None)
        repository = {field: plain(value) for field, value in told.items()} | origin
        facts["repository"] = _unless_the_same(facts.get("repository", {}), repository)
        commits = facts.setdefault("commits", {"last": [], **origin})
        before = [one for one in commits["last"] if one["by"] < seen]
        day = None if commit is None else plain(commit)
        if day is not None and day not in [one["date"] for one in before[-1:]]:
            # What was recorded of earlier days keeps its source.
            commits["last"] = [*before, {"by": seen, "date": day, **origin}]
    return heard.project is not None or (heard.repository is not None and heard.link == link)


def _unless_the_same(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """``after``; if nothing but the day differs, ``before``, so that it stays known since when."""
    return before if before | {"seen": after["seen"]} == after else after


def _index(heard: Heard) -> dict[str, Any]:
    assert heard.project is not None
    told = dict(heard.project.facts())
    found = {field: plain(told[field]) for field in editions.OF_THE_NEWEST if field in told}
    if told["requires_python"]:
        found["requires_python"] = told["requires_python"]
    found["releases"] = _releases(heard.project.releases)
    return found | {"seen": heard.seen.isoformat(), "source": heard.source}


def _releases_of(heard: Heard) -> dict[str, Any]:
    """The final releases, which are all that packages are held against."""
    assert heard.project is not None
    final = [one for one in heard.project.releases if is_final(one.version)]
    found = {"releases": _releases(final), "seen": heard.seen.isoformat(), "source": heard.source}
    requires = heard.project.requires.get("requires_django")
    return found | {"requires_django": requires} if requires else found


def _releases(releases: Iterable[Dated]) -> list[dict[str, str]]:
    found = []
    for one in releases:
        entry = {"version": one.version, "date": one.date.isoformat()}
        if one.requires_python:
            entry["requires_python"] = one.requires_python
        found.append(entry)
    return found
