"""A catalog built anew of all the packages that are stored, when there are many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from authdb import columns, generations
from authdb.building import Builder, Progress, fits, put_in_place
from authdb.bulk import MANY
from authdb.catalog import CATALOG_FORMAT, new_catalog
from authdb.exceptions import DatabaseDamaged
from authdb.files import CATALOG_FILE
from authdb.gathering import DATES
from authdb.models import Package
from authdb.sinks import FileSink, StorageSink, verify
from authdb.storage import MyZODB
from authdb.walking import Reader
from authdb.worker import Ended

__all__ = ["LeftOut", "are_many", "as_indexed", "build_aside", "build_into", "put_catalog"]

#: Called with the docid of a package that cannot be indexed, and why.
LeftOut = Callable[[int, Exception], object]

#: So many packages are taken in at a time.
_AT_ONCE = 1000


def are_many(packages: Any) -> bool:
    """Whether it pays to build their catalog bottom-up."""
    return sum(1 for _ in islice(packages, MANY)) == MANY


def build_aside(
    draft: Path, root: Any, left_out: LeftOut, progress: Progress | None = None
) -> None:
    """Build the catalog of the packages under ``root``, with the columns, in the folder ``draft``
    (see `authdb.files.aside`), from where `put_catalog` takes it.

    :param root: that of the objects, in a connection without changes
    :raises DatabaseDamaged: it cannot be said which packages there are
    :raises OSError: it cannot be written
    """
    from authdb.ranking import make

    mark = _mark(root)
    sink = partial(FileSink, draft / CATALOG_FILE)
    builder = _build(sink, draft, root, left_out, progress)
    verify(draft / CATALOG_FILE)
    if len(builder.gathered) >= columns.MANY:
        if progress is not None:
            progress("making the columns", 0, len(builder.gathered))
        made = make(draft / columns.COLUMNS_FILE, builder.gathered, mark)
        if made is not None:
            made.close()


def put_catalog(draft: Path, folder: Path) -> None:
    """Give the catalog in the folder ``draft``, and the columns if there are any, their place in
    ``folder``. Cut short, it leaves the old catalog or the new one; columns are only believed if
    they are of the state that is shown."""
    put_in_place(draft / CATALOG_FILE, folder / CATALOG_FILE)
    if (draft / columns.COLUMNS_FILE).exists():
        (draft / columns.COLUMNS_FILE).replace(folder / columns.COLUMNS_FILE)


def build_into(
    catalogs: MyZODB, root: Any, left_out: LeftOut, progress: Progress | None = None
) -> None:
    """As `build_aside`, into a database that is open, in memory say."""
    _build(partial(StorageSink, catalogs, "rebuilt the catalog"), None, root, left_out, progress)


def _build(
    sink: Callable[[], Any],
    folder: Path | None,
    root: Any,
    left_out: LeftOut,
    progress: Progress | None,
) -> Builder:
    try:
        return _built_by(2, sink, folder, root, left_out, progress)
    except Ended:  # whatever it died of, the packages are to be found
        return _built_by(1, sink, folder, root, left_out, progress)


def _built_by(
    processes: int,
    sink: Callable[[], Any],
    folder: Path | None,
    root: Any,
    left_out: LeftOut,
    progress: Progress | None,
) -> Builder:
    with Builder(processes, folder) as builder:
        _take_in(builder, root, left_out, progress)
        with sink() as place:
            builder.write(place, _mark(root), progress)
    return builder


def _mark(root: Any) -> dict[str, Any]:
    mark = {"format": CATALOG_FORMAT}
    generations.mark(root, mark)
    return mark


def _take_in(builder: Builder, root: Any, left_out: LeftOut, progress: Progress | None) -> None:
    todo = _states(root, left_out)
    while some := list(islice(todo, _AT_ONCE)):
        builder.add(*zip(*some, strict=True))
        if progress is not None:
            progress("reading the packages", len(builder.gathered), None)


def _states(root: Any, left_out: LeftOut) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each package's docid and state, without making an object of it if all is well."""
    packages, reader, indexes = root["packages"], Reader(root._p_jar), new_catalog()
    path = root._p_jar.db().storage.getName()

    def faulty(what: str) -> None:
        raise DatabaseDamaged(path, f"the packages cannot all be read ({what}); see: authdb check")

    for docid, ref in reader.items(packages, faulty):
        try:
            state, _ = reader.record(ref)
            if not (ref[1] is Package and fits(state)):
                raise ValueError("it is not what packages are stored as")
        except Exception:  # what is damaged may raise anything
            try:
                state = as_indexed(packages[docid], indexes)
            except DatabaseDamaged as error:
                left_out(docid, error)
                continue
            except (AttributeError, TypeError, ValueError, KeyError) as error:
                what = f"docid {docid} is no package that can be indexed ({error})"
                left_out(docid, DatabaseDamaged(path, what))
                continue
        yield docid, state


def as_indexed(package: Any, indexes: Mapping[str, Any]) -> dict[str, Any]:
    """A state as `Builder.add` takes it, which is indexed as the ``package`` is: one whose values
    are of other types than they are stored with, though the indexes take them.

    :param indexes: see `authdb.catalog.new_catalog`
    :raises Exception: they do not
    """
    values = {name: index.value(package) for name, index in indexes.items()}
    state = {name: value for name, value in values.items() if value is not None}
    for field in DATES:
        if field in state:
            state[field] = date.fromordinal(state[field])
    made = {"title": "", "stated_update": state.pop("last_update", None), **state}
    if "name" not in made:
        raise ValueError("it has no name")
    return made
