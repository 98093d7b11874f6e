"""Records into a database, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from authdb.database import AuthDB
from authdb.dates import PartialDate, first_day
from authdb.exceptions import (
    AuthDBError,
    DatabaseError,
    DatabaseReadOnly,
    InvalidValue,
    LoadError,
    nearest,
    shown,
)
from authdb.loaders import Loader
from authdb.models import Package, Source

__all__ = ["ON_CONFLICT", "Counts", "load"]

#: What can be done with a record whose package is there already.
ON_CONFLICT = {
    "update": "take over the fields that the record names",
    "replace": "take over all fields; those that the record does not name are not known",
    "ignore": "leave the package as it is",
    "error": "refuse the file",
}

# So many records pass between two calls of ``progress``.
_STEP = 200


class Counts(NamedTuple):
    """How many records added a package, changed one, changed nothing, were left out."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    ignored: int = 0

    def __str__(self) -> str:
        counted = zip(self._fields, self, strict=True)
        return ", ".join(f"{count:,} {what}" for what, count in counted if count) or "no records"


class _SeveralFiles(LoadError):
    """The mistakes of several files. Attribute: ``errors``, one `AuthDBError` a file."""

    def __init__(self, errors: list[AuthDBError]) -> None:
        told = [error for error in errors if isinstance(error, LoadError)]
        problems = [problem for error in told for problem in error.problems]
        super().__init__(told[0].source if told else "", problems)
        self.errors = tuple(errors)
        self.args = ("\n".join(map(str, errors)),)  # each line with its own file's name


def load(
    db: AuthDB,
    loaders: Loader | Iterable[Loader],
    *,
    on_conflict: str = "update",
    dry_run: bool = False,
    note: str | None = None,
    progress: Callable[[Loader], object] | None = None,
) -> Counts:
    """Load files into a database, in one transaction.

    Everything is read and checked before anything is written, so a mistake anywhere leaves the
    database as it was. A file that is loaded again changes nothing and adds no transaction.

    Under "update", the sources that a record gives replace those of the same facts. The source
    of a fact whose value changes goes, unless the record gives another: it no longer says where
    the value comes from.

    :param loaders: one file or several, which are applied in order; where several name one
        package, the later meet what the earlier made
    :param on_conflict: what to do with a package that is there already, one of `ON_CONFLICT`
    :param dry_run: count, and write nothing; ``db`` may be open for reading only
    :param note: what the history says; None for the files' names and the counts
    :param progress: called with the loader that is being read, every 200 records and at its end
    :raises LoadError: all mistakes of all files
    :raises AuthDBError: a file that cannot be read, or an ``on_conflict`` that is unknown
    :raises DatabaseError: the database cannot be written
    """
    if on_conflict not in ON_CONFLICT:
        raise AuthDBError(
            f"on_conflict is one of {', '.join(ON_CONFLICT)}, not {shown(on_conflict)}"
            + nearest(str(on_conflict), ON_CONFLICT)
        )
    if db.read_only and not dry_run:  # said before hours of reading, not after
        raise DatabaseReadOnly(db.path, "it was opened for reading only")
    loaders = [loaders] if isinstance(loaders, Loader) else list(loaders)
    plan = _Plan(db, on_conflict)
    errors = [error for loader in loaders for error in plan.read(loader, progress)]
    if errors:
        raise errors[0] if len(errors) == 1 else _SeveralFiles(errors)
    counts = plan.counts()
    if not dry_run:
        plan.carry_out(note or f"load {_listed(loaders)}: {counts}")
    return counts


def _listed(loaders: list[Loader]) -> str:
    """The names of the files, without their folders."""
    names = [Path(loader.name).name for loader in loaders[:10]]
    more = len(loaders) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


class _Plan:
    """What loading will do: the packages as they will be, none of which is stored yet."""

    def __init__(self, db: AuthDB, on_conflict: str) -> None:
        self._db = db
        self._on_conflict = on_conflict
        self._drafts: dict[str, Package] = {}
        self._as_of: date | None = None
        self._tally = dict.fromkeys(Counts._fields, 0)

    def counts(self) -> Counts:
        """What the records come to."""
        return Counts(**self._tally)

    def read(
        self, loader: Loader, progress: Callable[[Loader], object] | None
    ) -> list[AuthDBError]:
        """Take in a file; what is wrong with it, as errors."""
        errors: list[AuthDBError] = []
        try:
            for number, (where, fields) in enumerate(loader, 1):
                try:
                    self._tally[self._take(fields)] += 1
                except InvalidValue as error:
                    loader.refuse(where, error)
                if progress is not None and number % _STEP == 0:
                    progress(loader)
        except DatabaseError:
            raise
        except AuthDBError as error:
            errors.append(error)
        if loader.problems:
            errors.append(LoadError(loader.name, loader.problems))
        if loader.as_of is not None:
            self._as_of = loader.as_of
        if progress is not None:
            progress(loader)
        return errors

    def _take(self, fields: dict[str, Any]) -> str:
        """Plan for one record; which of the `Counts` it belongs to."""
        name = fields["name"]
        known: Package | None = self._drafts.get(name) or self._db.get(name)
        if known is None:
            self._drafts[name] = _made(fields)
            return "added"
        if self._on_conflict == "ignore":
            return "ignored"
        if self._on_conflict == "error":
            raise InvalidValue("name", name, "there is a package of that name already")
        draft = _made(fields) if self._on_conflict == "replace" else _merged(known, fields)
        if not known.differs_from(draft):
            return "unchanged"
        self._drafts[name] = draft
        return "changed"

    def carry_out(self, note: str) -> None:
        """Do it, in one transaction."""
        db = self._db
        with db.transaction(note):
            for name, draft in self._drafts.items():
                if name in db:
                    db.replace(draft)
                else:
                    db.add(draft)
            if self._as_of is not None:
                db.set_as_of(self._as_of)


def _made(fields: Mapping[str, Any]) -> Package:
    """A package of these fields and no others."""
    return Package(**{"title": None, **fields})


def _merged(known: Package, fields: Mapping[str, Any]) -> Package:
    """The package with the fields that a record names."""
    draft = known.copy()
    # Checking a value again costs more than comparing it.
    given = {
        name: value
        for name, value in fields.items()
        if (value or None) != (getattr(known, name) or None)
    }
    if "last_update" in fields:
        day = fields["last_update"]
        # The later of the record's own dates only sums them up: the package may know another.
        if day is None or day != _later(fields):
            given["last_update"] = day  # even if it is so now: the other dates may be about to go
        else:
            given.pop("last_update", None)
    for name in sorted(given, key="last_update".__eq__):  # it is held against the other dates
        if name != "sources":
            setattr(draft, name, given[name])
    if given:
        draft.sources = _sources(known, draft, fields.get("sources", ()))
    return draft


def _sources(
    known: Package, draft: Package, given: tuple[Source, ...] | None
) -> tuple[Source, ...]:
    """The sources of a package that becomes ``draft``, of which a record gives some."""
    if given is None:
        return ()
    changed = known.differs_from(draft)
    kept = {source.field: source for source in known.sources if source.field not in changed}
    return tuple({**kept, **{source.field: source for source in given}}.values())


def _later(fields: Mapping[str, Any]) -> date | PartialDate | None:
    """The date that the two dates of a record make its last update."""
    days = [fields[name] for name in ("last_commit", "last_release") if fields.get(name)]
    return max(days, key=first_day) if days else None
