"""Records into a database, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from authdb import bulk
from authdb.blocks import Block
from authdb.building import Builder, Progress, without_collecting
from authdb.database import AuthDB
from authdb.dates import PartialDate, first_day
from authdb.drafting import Batch
from authdb.exceptions import (
    AuthDBError,
    DatabaseError,
    DatabaseReadOnly,
    InvalidValue,
    LoadError,
    nearest,
    shown,
)
from authdb.files import aside, made
from authdb.loaders import Loader
from authdb.models import Package, Source, package_of, state_of
from authdb.probing import Probe
from authdb.storage import explain

__all__ = ["ON_CONFLICT", "Counts", "Progress", "load", "load_new"]

#: What can be done with a record whose package is there already.
ON_CONFLICT = {
    "update": "take over the fields that the record names",
    "replace": "take over all fields; those that the record does not name are not known",
    "ignore": "leave the package as it is",
    "error": "refuse the file",
}

# So many records that come one by one pass between two calls of ``progress``.
_STEP = 200
# So many packages of the database are looked at before those that ZODB keeps in memory are let go.
_LOOKED_AT = 2000

# Files of so many bytes hold some ten thousand packages.
_LARGE = 4 << 20

# From so many packages on a batch is merged into the catalog, if it has any.
_MERGED = 50


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
    progress: Progress | None = None,
    processes: int = 2,
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
    :param progress: called with what is being done (the name of the file that is read, or such as
        "writing the packages"), how much of it is done, and of how much (None if that is not
        known): every few hundred records, at the end of each file, and while all is written
    :param processes: with 2, a second process helps where many packages are loaded into a
        database that has none
    :raises LoadError: all mistakes of all files
    :raises AuthDBError: a file that cannot be read, or an ``on_conflict`` that is unknown
    :raises DatabaseError: the database cannot be written, or was changed while the files were read
    """
    _known_way(on_conflict)
    if db.read_only and not dry_run:  # said before hours of reading, not after
        raise DatabaseReadOnly(db.path, "it was opened for reading only")
    loaders = [loaders] if isinstance(loaders, Loader) else list(loaders)
    session, root = db._session, db._root
    generation = root["generation"]
    folder = None if db.read_only else db.path
    draft: Path | None = None

    def builder() -> Builder:
        nonlocal draft
        draft = None if folder is None else stack.enter_context(aside(folder))
        return Builder(processes, draft, _are_many(loaders))

    empty = not (dry_run or root["packages"])
    with (
        _told(db.path or "the database"),
        without_collecting(),
        ExitStack() as stack,
        Batch(root, folder, builder if empty else None, bulk.MANY) as batch,
    ):
        counts = _Plan(batch, on_conflict, db).read(loaders, progress)
        note = note or f"load {_listed(loaders)}: {counts}"
        if dry_run:
            return counts
        if root["generation"] != generation:  # by ``progress``, or another thread
            raise DatabaseError(
                db.path or "the database",
                "it was changed while the files were read, and nothing of them was written: load "
                "them again",
            )
        if len(batch) < (bulk.MANY if empty else _MERGED):
            _one_by_one(db, batch, note)
        elif batch.builder is not None:
            from authdb.storing import fill

            fill(session, draft, batch, note, progress)
        else:
            from authdb.merging import merge

            merge(session, batch, note)
    return counts


def load_new(
    folder: Path | str,
    loaders: Loader | Iterable[Loader],
    *,
    on_conflict: str = "update",
    note: str | None = None,
    progress: Progress | None = None,
    processes: int = 2,
) -> Counts:
    """Make a database of what is in files: afterwards it is there with all of it, or not at all.

    :param folder: where it will be; made if need be, and other files in it are left alone
    :raises DatabaseExists: there is one
    :raises AuthDBError: as `load`

    The other parameters are those of `load`.
    """
    _known_way(on_conflict)
    folder = Path(folder)
    loaders = [loaders] if isinstance(loaders, Loader) else list(loaders)
    with _told(folder), without_collecting(), made(folder), aside(folder) as draft:
        from authdb.storing import found

        with Batch({}, draft, lambda: Builder(processes, draft, _are_many(loaders))) as batch:
            counts = _Plan(batch, on_conflict).read(loaders, progress)
            found(draft, folder, batch, note or f"load {_listed(loaders)}: {counts}", progress)
    return counts


def _are_many(loaders: list[Loader]) -> bool:
    """Whether so many packages are to be expected that a second process pays."""
    return sum(loader.size or 0 for loader in loaders) >= _LARGE


@contextmanager
def _told(path: object) -> Iterator[None]:
    """Inside, what the system refuses is one of our errors."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def _known_way(on_conflict: str) -> None:
    if on_conflict not in ON_CONFLICT:
        raise AuthDBError(
            f"on_conflict is one of {', '.join(ON_CONFLICT)}, not {shown(on_conflict)}"
            + nearest(str(on_conflict), ON_CONFLICT)
        )


def _listed(loaders: list[Loader]) -> str:
    """The names of the files, without their folders."""
    names = [Path(loader.name).name for loader in loaders[:10]]
    more = len(loaders) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _one_by_one(db: AuthDB, batch: Batch, note: str) -> None:
    """Do what is planned, in one transaction."""
    with db.transaction(note):
        for _, package, state in batch.changed():
            db.replace(package_of({**state, "name": package.name}))
        for _, state, _ in batch.added():
            db.add(package_of(state))
        if batch.as_of is not None:
            db.set_as_of(batch.as_of)


class _Plan:
    """What loading will do.

    :param batch: what is given to it
    :param db: None for a database that is not there yet
    """

    def __init__(self, batch: Batch, on_conflict: str, db: AuthDB | None = None) -> None:
        self._batch, self._on_conflict, self._db = batch, on_conflict, db
        self._looked_at = 0
        # That of an empty one need not be asked about each name.
        self._ask = db is not None and bool(db._root["packages"])
        # What was changed in an open transaction is not in the records yet.
        is_stored = self._ask and not db.read_only and db._session.changes is None  # type: ignore[union-attr]
        self._probe = Probe(db._pair.objects, db._root["docids"]) if is_stored else None  # type: ignore[union-attr,arg-type]
        self._tally = dict.fromkeys(Counts._fields, 0)

    def read(self, loaders: list[Loader], progress: Progress | None) -> Counts:
        """Take in files; what their records come to.

        :raises AuthDBError: all that is wrong with them
        """
        errors = [error for loader in loaders for error in self._read(loader, progress)]
        if errors:
            raise errors[0] if len(errors) == 1 else _SeveralFiles(errors)
        self._batch.close_off()
        return Counts(**{**self._tally, "added": len(self._batch)})

    def _read(self, loader: Loader, progress: Progress | None) -> list[AuthDBError]:
        """Take in a file; what is wrong with it, as errors."""
        errors: list[AuthDBError] = []
        name = Path(loader.name).name
        # Where there is nothing to meet, and a file names no package twice, all are new.
        take = self._take if self._ask or self._batch.names else self._take_new
        try:
            for count, piece in enumerate(loader.pieces(self._are_new), 1):
                if isinstance(piece, Block):
                    self._batch.add_columns(piece.columns)
                else:
                    self._take_one(loader, take, *piece)
                if progress is not None and (count % _STEP == 0 or isinstance(piece, Block)):
                    progress(name, loader.position, loader.size)
        except DatabaseError:
            raise
        except AuthDBError as error:
            errors.append(error)
        if loader.problems:
            errors.append(LoadError(loader.name, loader.problems))
        if loader.as_of is not None:
            self._batch.as_of = loader.as_of
        self._batch.settle()
        if progress is not None:
            progress(name, loader.position, loader.size)
        return errors

    def _are_new(self, names: Sequence[str]) -> bool:
        """Whether no package of these names is there, nor came in a file before."""
        if self._batch.meets(names):
            return False
        if not self._ask or self._db is None:
            return True
        docids = self._db._root["docids"]
        return not any(self._may_have(name) and name in docids for name in names)

    @staticmethod
    def _take_one(
        loader: Loader, take: Callable[[dict[str, Any]], None], number: int, fields: dict[str, Any]
    ) -> None:
        try:
            take(fields)
        except InvalidValue as error:
            loader.refuse(loader.place(number), error)

    def _take_new(self, fields: dict[str, Any]) -> None:
        """Plan for a record of a package that is not there."""
        self._batch.add(state_of(fields))

    def _take(self, fields: dict[str, Any]) -> None:
        """Plan for one record."""
        self._tally[self._met(fields)] += 1

    def _met(self, fields: dict[str, Any]) -> str:
        """Plan for one record; which of the `Counts` it belongs to."""
        batch, name = self._batch, fields["name"]
        state = batch.find(name)
        if state is not None:
            known: Package | None = package_of(state)
        else:
            known = self._stored(name) if self._ask else None
        if known is None:
            batch.add(state_of(fields))
            return "added"
        if self._on_conflict == "ignore":
            return "ignored"
        if self._on_conflict == "error":
            raise InvalidValue("name", name, "there is a package of that name already")
        replaced = self._on_conflict == "replace"
        draft = package_of(state_of(fields)) if replaced else _merged(known, fields)
        if not known.differs_from(draft):
            return "unchanged"
        batch.change(dict(vars(draft)))
        return "changed"

    def _stored(self, name: str) -> Package | None:
        """The package of the database that has that name, if there is one."""
        assert self._db is not None
        if not self._may_have(name):
            return None
        package: Package | None = self._db.get(name)
        if package is not None:
            self._looked_at += 1
            if self._looked_at % _LOOKED_AT == 0:
                self._db._pair.objects.connection.cacheGC()  # type: ignore[union-attr]
        return package

    def _may_have(self, name: str) -> bool:
        """Whether the database may have a package of that name: seldom where it has not."""
        if self._probe is None:
            return True
        try:
            return self._probe.may_have(name)
        except Exception:  # what is damaged is told by whoever reads it next
            return True


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
    for source in given:
        before = kept.get(source.field)
        # Of a value that has not changed, nor its source, it stays known when it was first seen.
        if before is None or before.source != source.source or _is_earlier(source, before):
            kept[source.field] = source
    return tuple(kept.values())


def _is_earlier(source: Source, other: Source) -> bool:
    return first_day(source.seen) < first_day(other.seen)


def _later(fields: Mapping[str, Any]) -> date | PartialDate | None:
    """The date that the two dates of a record make its last update."""
    days = [fields[name] for name in ("last_commit", "last_release") if fields.get(name)]
    return max(days, key=first_day) if days else None
