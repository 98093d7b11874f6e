"""Where the time of writing goes, and what there is no way around.

What the bars ask of loading and of changes is more than Python gives: this measures why. It takes
loads and changes apart, in CPU time, and does beside a load only what the file format asks for:
each line decoded, each package pickled, each record written. Run it with
``python -m benchmarks.limits``; ``--docs FOLDER`` writes limits.md there.
"""

from __future__ import annotations

import argparse
import gc
import os
import pickle
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest import mock

import msgspec
from ZODB.Connection import TransactionMetaData

from authdb import AuthDB, building, drafting, loaders, storing
from authdb.files import CATALOG_FILE, OBJECTS_FILE
from authdb.filestorage import OneFile
from authdb.gathering import Gathered
from authdb.importing import load_new
from authdb.inscribing import Inscriber
from authdb.loaders import Loader
from authdb.nodes import loaded
from authdb.parts import Place, Records
from authdb.records import transactions
from authdb.worker import Here
from benchmarks.data import number, packages_file
from benchmarks.peers.sqlite import Peer as SQLite

#: (object, attribute, what that part of a load is called)
PARTS: tuple[tuple[Any, str, str], ...] = (
    (loaders, "block_in", "decoding and checking the lines"),
    (Inscriber, "__call__", "making the records of packages, with their digests"),
    (Gathered, "add_columns", "keeping what is indexed and listed"),
    (Here, "add", "splitting the texts, and noting which word is in which"),
    (drafting.Batch, "_append", "writing the records aside"),
    (storing, "_write_objects", "writing the objects and the trees that lead to them"),
    (storing, "_make_columns", "making the columns"),
    (building, "write_names", "writing the index of names"),
    (Here, "written", "writing all other indexes"),
    (storing, "verify", "opening both files once, as a reader would"),
)


def main() -> int:
    """Measure, and print or write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=number, default=100_000, metavar="N")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="write limits.md there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="authdb-limits-") as folder:
        page = "\n".join(_page(Path(folder), options.size, options.turns)) + "\n"
    if options.docs:
        (options.docs / "limits.md").write_text(page)
    print(page)
    return 0


def _page(folder: Path, size: int, turns: int) -> Iterator[str]:
    source = packages_file(folder, size)
    yield HEAD.format(size=size, python=".".join(map(str, sys.version_info[:3])))
    yield from _loading(folder, source, size, turns)
    yield from _changing(folder, size, turns)


# -- loading ---------------------------------------------------------------------------------


def _loading(folder: Path, source: Path, size: int, turns: int) -> Iterator[str]:
    """The section about loading; the last database stays, as ``db``."""
    spent: dict[str, list[float]] = {title: [] for _, _, title in PARTS}
    whole: list[float] = []
    theirs: list[float] = []
    least: list[float] = []
    for turn in range(turns):
        target = folder / ("db" if turn == turns - 1 else f"db{turn}")
        parts: Counter[str] = Counter()
        with _parts(parts):
            whole.append(_cpu(load_new, target, [Loader(source)], processes=1))
        for title, times in spent.items():
            times.append(parts[title])
        peer = SQLite(folder / f"sqlite{turn}")
        peer.folder.mkdir()
        theirs.append(_cpu(peer.load, source))
        sizes = _record_sizes(target)
        least.append(_cpu(_only_the_format, source, folder / "least", sizes))

    def us(times: list[float]) -> float:
        return median(times) / size * 1e6

    yield "## Loading\n\n| | µs of CPU a package |\n| --- | ---: |"
    for title, times in spent.items():
        yield f"| {title} | {us(times):.1f} |"
    yield f"| all else | {us(whole) - sum(map(us, spent.values())):.1f} |"
    yield f"| **a load, in one process** | **{us(whole):.1f}** |"
    yield f"| the half of it: two processes that never wait | {us(whole) / 2:.1f} |"
    yield f"| **SQLite's load** | **{us(theirs):.1f}** |"
    yield f"| only what the format asks for | {us(least):.1f} |"
    best = us(theirs) / us(whole) * 2
    yield LOADING.format(best=best, records=len(sizes) / size, bytes=sum(sizes) / size)


@contextmanager
def _parts(spent: Counter[str]) -> Iterator[None]:
    """Inside, the CPU time of each of `PARTS` is added up."""
    with ExitStack() as stack:
        for owner, name, title in PARTS:
            stack.enter_context(mock.patch.object(owner, name, _timed(owner, name, title, spent)))
        yield


def _timed(owner: Any, name: str, title: str, spent: Counter[str]) -> Any:
    real = getattr(owner, name)

    def timed(*args: Any, **kw: Any) -> Any:
        begun = time.process_time()
        try:
            return real(*args, **kw)
        finally:
            spent[title] += time.process_time() - begun

    return timed


def _cpu(what: Callable[..., object], *args: Any, **kw: Any) -> float:
    """The seconds of CPU time that it takes."""
    begun = time.process_time()
    what(*args, **kw)
    return time.process_time() - begun


def _record_sizes(folder: Path) -> list[int]:
    """How long each record is, of both files."""
    sizes = []
    for name in (OBJECTS_FILE, CATALOG_FILE):
        with (folder / name).open("rb") as file:
            sizes += [len(r.data) for t in transactions(file) for r in t.records]
    return sizes


def _only_the_format(source: Path, path: Path, sizes: list[int]) -> None:
    """Decode the lines of a file, pickle each record, and write as many records as there are."""
    gc.disable()
    blank = bytes(max(sizes))
    with path.open("wb", buffering=0) as file, source.open("rb") as lines:
        records = Records(file, Place(bytes(8), 0), 0)
        decode, pickler = msgspec.json.Decoder().decode, pickle.dumps
        for line in lines:
            pickler(decode(line), 3)
        for oid, size in enumerate(sizes):
            records.write(oid, blank[:size])
        records.flush()
        os.fsync(file.fileno())
    path.unlink()
    gc.enable()


# -- changing --------------------------------------------------------------------------------


class _Counts(NamedTuple):
    """What changes took: seconds of CPU time, and in ``fsync``; records read, and written; and the
    CPU time of doing no more than read, unpickle and write those."""

    cpu: float
    synced: float
    read: int
    written: int
    least: float


def _changing(folder: Path, size: int, turns: int) -> Iterator[str]:
    """The section about changes of the database ``db``."""
    chance = random.Random(size)
    yield "## Changing\n\n| | one change | 1,000 in one commit |\n| --- | ---: | ---: |"
    found: dict[int, _Counts] = {}
    with AuthDB.open(folder / "db") as db:
        names = [package.name for package in db]
        gc.collect()
        gc.freeze()
        for many, often in ((1, 5 * turns), (1000, turns)):
            some = [_changed(db, chance.sample(names, many), turn) for turn in range(often + 2)]
            found[many] = _Counts(*map(median, zip(*some[2:], strict=True)))
    for title, cells in (
        ("CPU time", [f"{each.cpu * 1e3:.2f} ms" for each in found.values()]),
        ("and waiting for the disk", [f"{e.synced * 1e3:.2f} ms" for e in found.values()]),
        ("records read", [f"{each.read:,.0f}" for each in found.values()]),
        ("records written", [f"{each.written:,.0f}" for each in found.values()]),
        (
            "CPU time of only reading, unpickling and writing them",
            [f"{each.least * 1e3:.2f} ms" for each in found.values()],
        ),
    ):
        yield f"| {title} | {' | '.join(cells)} |"
    yield CHANGING


def _changed(db: AuthDB, names: list[str], turn: int) -> _Counts:
    """Give packages another version and release, in one transaction."""
    counted: Counter[str] = Counter()
    read: list[tuple[OneFile, bytes]] = []
    written: list[tuple[OneFile, list[bytes]]] = []
    real_sync, real_read, real_finish = os.fsync, OneFile.newest_of, OneFile._finish

    def sync(handle: int) -> None:
        begun = time.perf_counter()
        real_sync(handle)
        counted["synced"] += time.perf_counter() - begun  # type: ignore[assignment]

    def newest(storage: OneFile, oid: bytes) -> Any:
        read.append((storage, oid))
        return real_read(storage, oid)

    def finish(storage: OneFile, *args: Any) -> None:
        written.append((storage, list(storage._tindex)))
        real_finish(storage, *args)

    with (
        mock.patch.object(os, "fsync", sync),
        mock.patch.object(sys.modules["ZODB.FileStorage.FileStorage"], "fsync", sync),
        mock.patch.object(OneFile, "newest_of", newest),
        mock.patch.object(OneFile, "_finish", finish),
    ):
        begun = time.process_time()
        with db.transaction("a change"):
            for name in names:
                db.update(name, version=f"9.{turn}", last_release=f"2026-11-{turn % 28 + 1:02}")
        cpu = time.process_time() - begun
    records = sum(len(oids) for _, oids in written)
    least = _cpu(_read_again, read) + sum(_cpu_of_writing(*each) for each in written)
    return _Counts(cpu, counted["synced"], len(read), records, least)


def _read_again(read: list[tuple[OneFile, bytes]]) -> None:
    for storage, oid in read:
        loaded(storage.newest(oid))


def _cpu_of_writing(storage: OneFile, oids: list[bytes]) -> float:
    """The CPU time of storing these records as they are, up to the vote; it is given up then."""
    records = {oid: storage.newest(oid) for oid in oids}
    transaction = TransactionMetaData()

    def write() -> None:
        storage.tpc_begin(transaction)
        storage.store_all(records, transaction)
        storage.tpc_vote(transaction)

    try:
        return _cpu(write)
    finally:
        storage.tpc_abort(transaction)


# -- words -----------------------------------------------------------------------------------

HEAD = """\
# Why writing is not faster

What was aimed at for loading and for changes, before it was built, was SQLite's own speed (see
[the bars](benchmarks.md#bars)). It is not reached. This page takes both apart and shows what stands
in the way; `python -m benchmarks.limits` measures it, here with {size:,} packages on Python
{python}. Times are CPU time, medians of one run on one machine: the shares say more than the
figures.
"""

LOADING = """
Two processes that share this work evenly and never wait would come to {best:.2f} of SQLite's speed:
what is measured is less, by what the two wait and by the memory that they share. More than that
only less work would bring.

A package takes {records:.1f} records of {bytes:,.0f} bytes in all: its own, the set of its docid in
the index of names, and its share of the leaves of some thirty trees and of the posting lists of its
words. The last row is what is left if nothing is done but decode each line, pickle it, and write as
many records of that length: no field checked, no digest made, no text split, nothing sorted, no
column made. All above it is the work of the indexes and of the promises, such as the digest by
which a flipped byte is found. What C code of the library, of msgspec and of BTrees can do for a
whole column at once is done so; what is left is the interpreter's, most of it for the words of the
texts, which FTS5 splits and counts in C.
"""

CHANGING = """
A change of a version and a release touches two files. It is told as done when the objects are on
the disk; the catalog, which must never be ahead of them, is written after that and has a checksum
in place of a sync. A thousand packages that lie all over the file meet
other leaves and posting lists nearly each time, so that little is shared between them. The last row
is what is left if the same records are only read, unpickled, and written as they are: nothing found
in them, nothing changed, nothing pickled, checked or decided, and no transaction around it.
SQLite's pages are changed where they lie in memory, in C.
"""

if __name__ == "__main__":
    sys.exit(main())
