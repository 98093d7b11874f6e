"""Pack: give back the room that earlier states take, and say which history goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from authdb.exceptions import DatabaseDamaged
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
    _look_at(pair)
    for database in (pair.objects, pair.catalogs):
        assert database is not None
        if keep is not None and moment.timestamp() < 0:
            continue  # before there were transactions: all of them stay
        try:
            with _old_kept(database.path):
                database.db.pack(None if keep is None else moment.timestamp())
            if database.path is not None:
                sync_folder(database.path.parent)
        except Exception as error:  # what is damaged may raise anything
            raise explain(error, database.path or "the database") from error
    return Packed(gone, first, size, _size(pair), _remove_tails(pair))


def _look_at(pair: Pair) -> None:
    """Refuse to pack what is damaged: what no tree leads to any longer would be removed for good,
    though `authdb.recovering.recover` would find it."""
    where = pair.folder or "the database"
    with pair.reread() as (root, _):
        packages, docids = root["packages"], root["docids"]
        for count, (docid, package) in enumerate(packages.items(), 1):
            if not package.is_intact() or docids.get(package.name) != docid:
                what = f"docid {docid} is not what was stored: nothing is packed; see: authdb check"
                raise DatabaseDamaged(where, what)
            if not count % 1000:
                package._p_jar.cacheGC()
        if len(docids) != len(packages):
            what = "names and packages differ: nothing is packed; see: authdb check"
            raise DatabaseDamaged(where, what)


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
