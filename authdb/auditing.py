"""A file read from end to end: each record, and each past state of a package against its digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from persistent.TimeStamp import TimeStamp
from ZODB._compat import Unpickler
from ZODB.utils import u64

from authdb.exceptions import BrokenFile
from authdb.models import Package
from authdb.nodes import opened
from authdb.records import Record, Walk
from authdb.scanning import allow_list

__all__ = ["Finding", "Progress", "audit"]

#: What is called now and then with what is being done, how far that is, and how far it goes
#: (None where that is not known).
Progress = Callable[[str, int, "int | None"], object]


class Finding(NamedTuple):
    """One thing that is wrong: where, what, and whether a new catalog mends it."""

    where: str
    what: str
    repairable: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


#: So many records are read between two calls of ``progress``.
_STEP = 4096


def audit(
    storage: Any, present: Mapping[int, int] | None = None, progress: Progress | None = None
) -> Iterator[Finding]:
    """Everything that is wrong in the file of a FileStorage, up to where it was whole when it was
    opened.

    :param present: if it is the file of the objects, the oid and tid of each package that there
        is now, as it can be read: those were looked at, and are known by their names. Else the
        file is that of the catalog, which can be mended
    """
    path, end = Path(storage.getName()), storage.getSize()
    of_objects = present is not None
    class_of = partial(allow_list(path), None)
    with storage._files.get() as file:  # the file that was opened, also if a pack replaced it
        walk = Walk(file, path.name)
        try:
            for number, record in enumerate(_records(walk, end)):
                if present is not None and present.get(u64(record.oid)) != u64(record.tid):
                    yield from _past_state(record, class_of)
                if progress is not None and not number % _STEP:
                    progress(f"reading {path.name}", record.position, end)
        except BrokenFile as broken:
            if broken.position < end:  # beyond, a writer may be at work
                yield Finding(path.name, broken.reason, not of_objects)
            return
    if not _same(walk.newest, storage._index):
        where = f"{path.name}.index"
        yield Finding(where, "it leads to other places than the file itself", True)


def _records(walk: Walk, end: int) -> Iterator[Record]:
    for transaction in walk.transactions():
        yield from transaction.records
        if transaction.end >= end:
            break


def _same(newest: Mapping[int, int], index: Any) -> bool:
    """Whether an index of ZODB's has the same positions; neither is copied."""
    return len(newest) == len(index) and all(
        newest.get(u64(oid)) == position for oid, position in index.iteritems()
    )


def _past_state(record: Record, class_of: Callable[[str, str], Any]) -> Iterator[Finding]:
    """A past state of an object: can it be read, and is a package what was stored?"""
    if not record.data:
        return
    when = f"its past state of {str(TimeStamp(record.tid))[:19]} UTC"
    where = f"the object 0x{int.from_bytes(record.oid, 'big'):x}"
    try:
        unpickler = Unpickler(opened(record.data))
        unpickler.find_class = class_of
        unpickler.persistent_load = lambda reference: None
        kind, state = unpickler.load(), unpickler.load()
        if kind is not Package:
            return
        package = Package.__new__(Package)
        package.__setstate__(state)
        where = f"{package.name}"
        if package.is_intact():
            return
    except Exception as error:  # what is damaged may raise anything
        words = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        yield Finding(where, f"{when} cannot be read ({words})", False)
        return
    yield Finding(where, f"{when} is not what was stored", False)
