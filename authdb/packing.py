"""Pack: give back the room that earlier states take, and say which history goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from authdb.files import sync_folder, torn_tails
from authdb.history import Change, log
from authdb.moments import Span
from authdb.pairing import Pair
from authdb.past import tid_of
from authdb.records import next_whole
from authdb.storage import explain

__all__ = ["Packed", "pack"]


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


def pack(pair: Pair, keep: Span | None, dry_run: bool = False) -> Packed:
    """Pack both files; see `authdb.AuthDB.pack`.

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
    for database in (pair.objects, pair.catalogs):
        assert database is not None
        if keep is not None and moment.timestamp() < 0:
            continue  # before there were transactions: all of them stay
        try:
            with _old_kept(database.path):
                database.db.pack(None if keep is None else moment.timestamp())
            if database.path is not None:
                sync_folder(database.path.parent)
        except OSError as error:
            raise explain(error, database.path) from error
    return Packed(gone, first, size, _size(pair), _remove_tails(pair))


def _size(pair: Pair) -> int:
    files = (database.path for database in (pair.objects, pair.catalogs) if database is not None)
    try:
        return sum(file.stat().st_size for file in files if file is not None)
    except OSError as error:
        raise explain(error, error.filename) from error


def _remove_tails(pair: Pair) -> list[Path]:
    """Remove what was cut off the files after crashes: halves of changes that never were."""
    removed = []
    for file in torn_tails(pair.folder) if pair.folder is not None else ():
        with file.open("rb") as tail:
            whole = next_whole(tail, 0, moved=True)
        if whole is None:  # another program may have cut off more than half a change
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
