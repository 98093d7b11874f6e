"""Facts anew: what was heard of packages, written in one transaction.

Asking (`authdb.hearing`) and writing are two steps, so that nobody is kept from the database while
servers are slow. What people say of a package is not overwritten: its title, description and
categories are not touched, and its licence and links only where nobody gave them. All else is for
the index to know.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from authdb import frameworks, hosts
from authdb.answers import Answers
from authdb.database import AuthDB
from authdb.editions import OF_REPOSITORIES, OF_THE_NEWEST
from authdb.exceptions import DatabaseReadOnly
from authdb.fields import Source
from authdb.hearing import AT_ONCE, TIMEOUT, Asked, Heard, Progress, ask
from authdb.models import Package
from authdb.pypi import told_by_index

__all__ = ["Change", "Refreshed", "apply", "keep", "plan", "refresh"]

#: What people may know better: it is filled in where nobody has said it.
SUGGESTED = ("license", "repository", "homepage", "documentation")
#: What the host of a repository says.
OF_HOSTS = (*OF_REPOSITORIES, "last_commit")


class Change(NamedTuple):
    """A package before and after."""

    before: Package
    after: Package


class Refreshed(NamedTuple):
    """What a refresh came to.

    ``failed`` has the name of each package of which not all could be heard, and why; ``skipped``
    are those that were asked about a short while ago; ``remarks`` concern no single package.
    ``state`` is that of the database for which it was worked out.
    """

    changes: tuple[Change, ...]
    unchanged: int
    skipped: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    state: tuple[int, bytes]

    def __str__(self) -> str:
        counts = (
            (len(self.changes), "changed"),
            (self.unchanged, "unchanged"),
            (len({name for name, _ in self.failed}), "failed"),
            (len(self.skipped), "skipped"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "no packages"


def refresh(
    db: AuthDB,
    names: Iterable[str] | None = None,
    *,
    index_url: str | None = None,
    since: str | None = None,
    repositories: bool = True,
    dry_run: bool = False,
    note: str | None = None,
    at_once: int = AT_ONCE,
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
) -> Refreshed:
    """Ask for the facts of packages, and write those that changed, in one transaction.

    Where nothing changed, nothing is written.

    :param dry_run: write nothing; ``db`` may be open for reading only
    :param note: for the history; None for the counts

    The other parameters, and what else is raised, are those of `authdb.hearing.ask`.

    :raises DatabaseReadOnly: ``db`` was opened for reading
    """
    if db.read_only and not dry_run:
        raise DatabaseReadOnly(db.path, "it was opened for reading only")
    asked = ask(
        db,
        names,
        index_url=index_url,
        since=since,
        repositories=repositories,
        at_once=at_once,
        timeout=timeout,
        progress=progress,
    )
    done = plan(db, asked)
    if dry_run:
        return done
    keep(db.path, asked)
    return apply(db, asked, done, note=note)


def plan(db: AuthDB, asked: Asked) -> Refreshed:
    """What is to be written of what was heard; the second step of `refresh`, which writes nothing.

    Packages that were removed meanwhile are left out.
    """
    changes, failed, unchanged = [], [], 0
    for heard in asked.heard:
        package = db.get(heard.name)
        if package is None:
            continue
        failed += [(heard.name, reason) for reason in heard.failures]
        draft = _draft(package, heard)
        if package.differs_from(draft):
            changes.append(Change(package.copy(), draft))
        elif not heard.failures:
            unchanged += 1
    skipped = tuple(one.name for one in asked.skipped)
    return Refreshed(tuple(changes), unchanged, skipped, tuple(failed), asked.remarks, _state(db))


def apply(
    db: AuthDB, asked: Asked, planned: Refreshed | None = None, *, note: str | None = None
) -> Refreshed:
    """Write what was heard, in one transaction; the last step of `refresh`.

    :param planned: what `plan` gave. If the database has changed since, it is planned anew
    :returns: what was written
    """
    done = planned
    if done is None or done.state != _state(db):
        done = plan(db, asked)
    if done.changes:
        with db.transaction(note or f"refresh: {done}"):
            for change in done.changes:
                db.replace(change.after)
    return done


def _state(db: AuthDB) -> tuple[int, bytes]:
    return db.generation, db._root["token"]


def keep(folder: Path | None, asked: Asked) -> None:
    """Keep the answers for the next time.

    What they say may still have to be written, and may not be, as if another process holds the
    database: a "nothing new" will write it then.
    """
    with Answers(folder) as answers:
        answers.put(asked.kept)
        if asked.platform is not None:
            frameworks.keep(answers, asked.platform, time.time())


def _draft(package: Package, heard: Heard) -> Package:
    """The package as it becomes."""
    draft = package.copy()
    sources = {source.field: source for source in package.sources}

    def put(field: str, value: Any, source: str) -> None:
        was = getattr(draft, field)
        setattr(draft, field, value)
        # Of a value that has not changed it stays known when it was first seen.
        if getattr(draft, field) != was or field not in sources:
            sources[field] = Source(field, source, heard.seen)

    def forget(field: str) -> None:
        setattr(draft, field, None)
        del sources[field]

    def is_of_an_index(field: str) -> bool:
        return told_by_index(sources.get(field), heard.name)

    if heard.project is not None:
        told, suggested = dict(heard.project.facts()), dict(heard.project.suggestions())
        for field in suggested:
            if getattr(draft, field) is None or is_of_an_index(field):
                told[field] = suggested[field]
        for field, value in told.items():
            put(field, value, heard.source)
        # What an index said of an earlier version, and says no more, is not known of this one.
        silent = {*OF_THE_NEWEST, *(SUGGESTED if heard.project.described else ())} - told.keys()
        for field in filter(is_of_an_index, silent):
            forget(field)
    elif heard.missing and "version" in sources and sources["version"].source == heard.source:
        # That index had it once.
        put("project_status", "gone", heard.source)
    here = hosts.address(draft.repository)
    if heard.repository is not None and hosts.address(heard.link) == here:
        for field, value in heard.repository.facts():
            put(field, value, heard.repository.source)
    for field in OF_HOSTS:  # what was said of a repository that it has no longer
        there = hosts.told_of(sources.get(field))
        if there is not None and hosts.address(there) != here:
            forget(field)
    if draft.last_update != package.last_update:  # it follows from the others
        sources.pop("last_update", None)
    draft.sources = tuple(sources.values())
    return draft
