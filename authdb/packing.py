"""Pack: give back the room that earlier states take, and say which history goes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import Any, NamedTuple

from authdb.auditing import Progress
from authdb.checking import examine_objects
from authdb.exceptions import DatabaseDamaged
from authdb.files import sync_folder, torn_tails
from authdb.history import Change, log
from authdb.moments import Span
from authdb.pairing import Pair
from authdb.past import tid_of
from authdb.records import LENGTH, MAGIC, TRANSACTION, next_whole
from authdb.storage import MyZODB, explain

__all__ = ["Packed", "pack"]

#: So many records are looked at between two calls of ``progress``, and so many seconds pass while
#: they are copied.
_STEP = 1000
_PERIOD = 0.2


class Packed(NamedTuple):
    """What a pack has done, or would do.

    ``gone`` is the number of states that cannot be looked at any longer; ``first`` the change
    whose state is the oldest that can. ``before`` and ``after`` are the sizes of both files
    together, in bytes; ``tails`` the leftovers of crashes that were removed.
    """

    gone: int
    first: Change
    before: int
    after: int
    tails: list[Path]


def pack(
    pair: Pair, keep: Span | None, dry_run: bool = False, progress: Progress | None = None
) -> Packed:
    """Pack both files; see `authdb.AuthDB.pack`.

    The catalog could be built anew in place of its pack. At 100,000 packages both take the same
    time; but its past would be gone, by which the past is looked at, also where some is kept.

    :param keep: how much of the history stays; None for nothing but the present
    """
    assert pair.objects is not None
    now = datetime.now(timezone.utc)
    moment = now if keep is None else keep.before(now)
    changes = list(log(pair.objects))
    limit = tid_of(moment)
    # The newest state before that moment is the oldest that stays.
    gone = len(changes) - 1 if keep is None else sum(each.tid < limit for each in changes) - 1
    gone = max(0, gone)
    first = changes[~gone]
    size = _size(pair)
    if dry_run:
        return Packed(gone, first, size, size, [])
    _look_at(pair, progress)
    for database in (pair.objects, pair.catalogs):
        assert database is not None
        if keep is not None and moment.timestamp() < 0:
            continue  # before there were transactions: all of them stay
        try:
            if database.path is not None and _is_one_change(database.path):
                continue  # as a catalog that was built anew: a pack would read it all for nothing
            with _old_kept(database.path):
                _pack(database, time() if keep is None else moment.timestamp(), progress)
            if database.path is not None:
                sync_folder(database.path.parent)
        except Exception as error:  # what is damaged may raise anything
            raise explain(error, database.path or "the database") from error
    return Packed(gone, first, size, _size(pair), _remove_tails(pair))


def _is_one_change(path: Path) -> bool:
    """Whether there is one transaction in a file, and so nothing earlier."""
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        begin = file.read(TRANSACTION.size)
    if len(begin) < TRANSACTION.size:
        return False
    _, length, *_ = TRANSACTION.unpack(begin)
    return len(MAGIC) + int(length) + LENGTH.size == path.stat().st_size


def _look_at(pair: Pair, progress: Progress | None) -> None:
    """Refuse to pack what is damaged: what no tree leads to any longer would be removed for good,
    though `authdb.recovering.recover` would find it."""
    with pair.reread() as (root, _):
        findings = examine_objects(root, progress)
    if findings:
        what = f"{findings[0]}: nothing is packed; see: authdb check"
        raise DatabaseDamaged(pair.folder or "the database", what)


def _pack(database: MyZODB, until: float, progress: Progress | None) -> None:
    """Pack one file, up to so many seconds since the epoch."""
    if progress is None or database.path is None:
        database.db.pack(until)
        return
    from ZODB.serialize import referencesf

    name = database.path.name
    seen, total = count(1), len(database.storage)

    def references(record: bytes, *found: Any) -> Any:
        # ZODB follows what each record refers to, and copies after that what it has found.
        number = next(seen)
        if not number % _STEP:
            progress(f"packing {name}: what is in use", number, total)
        return referencesf(record, *found)

    with _watched(database.path, partial(progress, f"packing {name}: bytes written")):
        database.storage.pack(until, references)


@contextmanager
def _watched(path: Path, progress: Callable[[int, None], object]) -> Iterator[None]:
    """Meanwhile, tell how much of the packed file is written; ZODB does not say it."""
    done = Event()

    def watch() -> None:
        while not done.wait(_PERIOD):
            with suppress(OSError):  # it is not there yet, or has taken its place
                progress(Path(f"{path}.pack").stat().st_size, None)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _size(pair: Pair) -> int:
    files = (database.path for database in (pair.objects, pair.catalogs) if database is not None)
    try:
        return sum(file.stat().st_size for file in files if file is not None)
    except OSError as error:
        raise explain(error, error.filename) from error


def _is_half_a_change(file: Path) -> bool:
    """Whether a leftover is what a crash leaves: the begin of one change that was never finished.

    A file that lost its end can have been cut off as well: then packages may be in it yet.
    """
    with file.open("rb") as tail:
        head = tail.read(17)
        never_finished = head[16:] in (b"", b"c") or not any(head)
        return never_finished and next_whole(tail, 0, moved=True) is None


def _remove_tails(pair: Pair) -> list[Path]:
    """Remove what was cut off the files after crashes: halves of changes that never were."""
    removed = []
    for file in torn_tails(pair.folder) if pair.folder is not None else ():
        if _is_half_a_change(file):
            file.unlink()
            removed.append(file)
    return removed


@contextmanager
def _old_kept(path: Path | None) -> Iterator[None]:
    """Keep ``path``.old unless there is a new one.

    A pack that finds nothing to give back removes the one of the pack before, and makes none.
    """
    old, aside = Path(f"{path}.old"), Path(f"{path}.older")
    if path is None or not old.exists():
        yield
        return
    old.replace(aside)
    try:
        yield
    finally:
        if old.exists():
            aside.unlink()
        else:
            aside.replace(old)
