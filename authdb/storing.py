"""Many packages into a database that has none: everything is written once, as finished records.

A new database is made in a folder aside, and gets its name when it is whole. A database that is
there has its objects written through the two-phase commit of their storage, since an objects file
that holds a transaction is never replaced; its catalog is built aside and takes the place of the
old one. In any case the objects come first: a catalog that is missing or older is built anew by
whoever opens the two.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import Any

from persistent import Persistent
from persistent.mapping import PersistentMapping
from ZODB.utils import u64

from authdb import generations
from authdb.building import Builder, Progress
from authdb.bulk import Ref, Sink, record, tree
from authdb.catalog import CATALOG_FORMAT
from authdb.columns import COLUMNS_FILE
from authdb.columns import MANY as MANY_ROWS
from authdb.drafting import Batch
from authdb.files import CATALOG_FILE, OBJECTS_FILE, make_objects, name_objects
from authdb.models import Package
from authdb.rebuilding import put_catalog
from authdb.sinks import FileSink, StorageSink, verify
from authdb.storage import MyZODB, explain
from authdb.transactions import Session, storable, user

__all__ = ["ASIDE", "fill", "found"]

#: Whether the catalog of a folder is built aside. Else it goes, as in memory, through the storage
#: that is open.
ASIDE = True

#: What a mark is, see `Builder.write`.
Mark = dict[str, Any]


# -- a new database --------------------------------------------------------------------------


def found(
    draft: Path, folder: Path, batch: Batch, note: str, progress: Progress | None = None
) -> None:
    """Make a database of the packages that are added.

    :param draft: a folder of our own within ``folder``, see `authdb.files.aside`
    :raises DatabaseExists: there is one by now
    :raises OSError: it cannot be written
    """
    make_objects(draft / OBJECTS_FILE)
    if batch.builder is not None:
        _found_with_catalog(draft, batch, batch.builder, note, progress)
    elif batch.as_of is not None:
        _objects_in_file(draft, batch, note, progress)
    with _locked(folder / OBJECTS_FILE):
        # That of a database that was here once would mislead whoever opens this one.
        (folder / f"{OBJECTS_FILE}.index").unlink(missing_ok=True)
        name_objects(draft, folder)
        with suppress(OSError):  # it is there now; what lacks yet is made when it is opened
            put_in_place_index(draft, folder)
            if batch.builder is not None:
                put_catalog(draft, folder)


def _found_with_catalog(
    draft: Path, batch: Batch, builder: Builder, note: str, progress: Progress | None
) -> None:
    with FileSink(draft / CATALOG_FILE) as catalog:
        builder.start(catalog)
        mark = _objects_in_file(draft, batch, note, progress)
        _make_columns(mark, draft, builder, progress)
        builder.write(catalog, mark, progress)
    for file in (OBJECTS_FILE, CATALOG_FILE):
        verify(draft / file)


def _objects_in_file(draft: Path, batch: Batch, note: str, progress: Progress | None) -> Mark:
    path = draft / OBJECTS_FILE
    with (
        MyZODB(path, read_only=True) as database,
        FileSink(path, storable(note), storable(user())) as sink,
    ):
        return _write_objects(sink, database.dbroot, batch, progress)


def put_in_place_index(draft: Path, folder: Path) -> None:
    """Give the index of the objects file its place beside it."""
    (draft / f"{OBJECTS_FILE}.index").replace(folder / f"{OBJECTS_FILE}.index")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Inside, nobody opens the file for writing.

    :raises DatabaseLocked: somebody has
    """
    from zc.lockfile import LockError, LockFile

    try:
        lock = LockFile(f"{path}.lock")
    except LockError as error:
        raise explain(error, path) from error
    try:
        yield
    finally:
        lock.close()


# -- a database that is there ----------------------------------------------------------------


def fill(
    session: Session,
    draft: Path | None,
    batch: Batch,
    note: str,
    progress: Progress | None = None,
) -> None:
    """Put the packages that are added into a database that has none.

    :param draft: a folder of our own within that of the database, if it has one
    :raises DatabaseError: they could not be written; the database is as it was
    """
    try:
        if draft is None or not ASIDE:
            _fill_storages(session, batch, note, progress)
        else:
            _fill_folder(session, draft, batch, note, progress)
    except Exception as error:
        raise explain(error, session.path or "the database") from error


def _fill_storages(session: Session, batch: Batch, note: str, progress: Progress | None) -> None:
    pair, builder = session.pair, batch.builder
    assert pair.objects is not None and pair.catalogs is not None and builder is not None
    with session.past_the_connections(), StorageSink(pair.catalogs) as catalog:
        builder.start(catalog)
        with StorageSink(pair.objects, storable(note), storable(user())) as sink:
            mark = _write_objects(sink, pair.root, batch, progress)
            builder.write(catalog, mark, progress)
            catalog.vote()


def _fill_folder(
    session: Session, draft: Path, batch: Batch, note: str, progress: Progress | None
) -> None:
    pair, builder, folder = session.pair, batch.builder, session.path
    assert pair.objects is not None and builder is not None and folder is not None
    with session.past_the_connections():
        with FileSink(draft / CATALOG_FILE) as catalog:
            builder.start(catalog)
            with StorageSink(pair.objects, storable(note), storable(user())) as sink:
                mark = _write_objects(sink, pair.root, batch, progress)
                sink.vote()
                _make_columns(mark, draft, builder, progress)
                builder.write(catalog, mark, progress)
                catalog.finish()
                verify(draft / CATALOG_FILE)
        pair.replace_catalog(lambda: put_catalog(draft, folder))


# -- what both write -------------------------------------------------------------------------


def _write_objects(
    sink: Sink, root: Mapping[str, Any], batch: Batch, progress: Progress | None
) -> Mark:
    """Write the packages, and the root that leads to them; which state that is, for the catalog.

    :param root: as it was before; it is only read
    """
    first, count = batch.first, len(batch)
    docids = range(first, first + count)
    oids = array("Q")
    for records in batch.records():
        oids.extend(sink.store_all(records))
        if progress is not None:
            progress("writing the packages", len(oids), count)
    _rewrite(sink, root["packages"], zip(docids, map(Ref, oids, repeat(Package)), strict=True))
    order, names = batch.by_name(), batch.names
    _rewrite(sink, root["docids"], ((names[place], first + place) for place in order))
    values, touched = generations.following(root, {"added": docids})
    values["next_docid"] = first + count
    if batch.as_of is not None:
        values["as_of"] = batch.as_of
    values["touched"] = _mapping(sink, root.get("touched"), touched)
    _mapping(sink, root, values)
    mark: Mark = {"format": CATALOG_FORMAT}
    generations.mark({**root, **values}, mark)
    return mark


def _rewrite(sink: Sink, old: Any, items: Iterator[tuple[Any, Any]]) -> None:
    """Write a tree with other items in place of ``old``, which has none."""
    tree(sink, type(old), items, u64(old._p_oid))


def _mapping(sink: Sink, old: Any, values: Mapping[str, Any]) -> Ref:
    """Write a persistent mapping with ``values``, and with what else ``old`` has, if there is
    one, in its place."""
    oid = sink.new_oid() if old is None else u64(old._p_oid)
    data = {**({} if old is None else old), **values}
    referring = {key: _referred(value) for key, value in data.items()}
    sink.store(oid, record(PersistentMapping, {"data": referring}))
    return Ref(oid, PersistentMapping)


def _referred(value: Any) -> Any:
    return Ref(u64(value._p_oid), type(value)) if isinstance(value, Persistent) else value


def _make_columns(mark: Mark, draft: Path, builder: Builder, progress: Progress | None) -> None:
    """Make the file of the columns, if there are enough packages for one."""
    from authdb.ranking import make

    gathered = builder.gathered
    if len(gathered) < MANY_ROWS:
        return
    if progress is not None:
        progress("making the columns", 0, len(gathered))
    made = make(draft / COLUMNS_FILE, gathered, mark)
    if made is not None:
        made.close()
