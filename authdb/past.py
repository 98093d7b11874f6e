"""The past states of the objects: which there are, and how one of them is looked at.

Every change writes the objects' root. So the revisions of the root are the changes, a state of
the root leads to everything as it was right after that change, and the oldest revision is where
the history begins: a pack keeps just the one that was current then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from persistent.TimeStamp import TimeStamp
from ZODB.utils import p64, u64, z64

from authdb.exceptions import DatabaseDamaged, NoSuchMoment
from authdb.generations import Docids, touched_in
from authdb.moments import Moment
from authdb.storage import MyZODB, Revision

__all__ = ["Past", "before_end_of", "tid_of", "time_of"]


def tid_of(moment: datetime) -> bytes:
    """The first transaction id of that moment (in any time zone)."""
    moment = moment.astimezone(timezone.utc) if 1 < moment.year < 9999 else moment
    if moment.year < 1900:  # before the first that there is
        return bytes(z64)
    if moment.year > 9000:  # beyond the last
        return b"\xff" * 8
    seconds = moment.second + moment.microsecond / 1e6
    return bytes(TimeStamp(*moment.timetuple()[:5], seconds).raw())


def time_of(tid: bytes) -> datetime:
    """When the transaction was made, in UTC."""
    stamp = TimeStamp(tid)
    # One that no clock made may be of the 30th of February.
    return datetime(stamp.year(), stamp.month(), 1, tzinfo=timezone.utc) + timedelta(
        days=stamp.day() - 1,
        hours=stamp.hour(),
        minutes=stamp.minute(),
        microseconds=round(stamp.second() * 1e6),
    )


class Past(Sequence[Revision]):
    """The changes up to the state that ``objects`` shows, the newest first; none that was packed
    away.

    :param size: how many at most; None for all

    Each is a revision of the root. Reading what a change says of itself takes no more than a
    record or two of that change.
    """

    def __init__(self, objects: MyZODB, size: int | None = None) -> None:
        self._objects = objects
        self._changes = objects.revisions(size=size)
        if self.number(self._changes[-1]) < 0:
            self._changes.pop()  # ZODB's own first transaction: a root without anything in it
        self._size = size

    def __len__(self) -> int:
        return len(self._changes)

    def __getitem__(self, position: Any) -> Any:
        return self._changes[position]

    def number(self, change: Revision) -> int:
        """The generation that a change made; -1 where it made none."""
        number = self._said(change).get("generation", -1)
        if not isinstance(number, int):
            raise self._damaged()
        return number

    def touched(self, change: Revision) -> dict[str, Docids] | None:
        """For each of `generations.KINDS` the docids of a change; None where it does not say."""
        said = self._said_by.get(change.tid)
        if said is None:
            return None
        try:
            found = touched_in(self._said(said))
        except (KeyError, TypeError, ValueError):
            raise self._damaged() from None
        # A flipped bit makes a run of a billion, which would fill the memory.
        if any(docids.end > self._objects.dbroot["next_docid"] for docids in found.values()):
            raise self._damaged()
        return found

    @cached_property
    def _said_by(self) -> dict[bytes, Revision]:
        """What changes say of themselves, by their transaction ids."""
        said = self._objects.dbroot.get("touched")
        its = [] if said is None else self._objects.revisions(said._p_oid, self._size)
        return {revision.tid: revision for revision in its}

    def _said(self, revision: Revision) -> Mapping[str, Any]:
        """What is in a mapping, in one of its past states."""
        said = self._objects.state_of(revision)
        said = said.get("data") if isinstance(said, dict) else None
        if not isinstance(said, dict):
            raise self._damaged()
        return said

    def _damaged(self) -> DatabaseDamaged:
        path = self._objects.path or "the database"
        return DatabaseDamaged(path, "a past state is not what it was; see: authdb check")

    def find(self, change: int | bytes) -> int:
        """The position of a change, given by its number or its transaction id.

        :raises NoSuchMoment: there is none, or none any longer
        """
        if isinstance(change, bytes):
            for position, revision in enumerate(self._changes):
                if revision.tid == change:
                    return position
            raise self.too_early(f"no change has the transaction id {change.hex()}")
        # The numbers rise with time, though not by ones only: an accepted loss leaves a gap.
        numbers = _Numbers(self)
        found = bisect_left(numbers, change)
        if found == len(numbers) or numbers[found] != change:
            raise self.too_early(f"there is no change c{change}")
        return len(self) - 1 - found

    def too_early(self, what: str) -> NoSuchMoment:
        """The error for a moment that is not kept: ``what``, and which moments are."""
        path = self._objects.path
        folder = "the database" if path is None else path.parent
        if not self._changes:
            return NoSuchMoment(folder, f"{what}: it has no history")
        begin, end = self[-1], self[0]
        return NoSuchMoment(
            folder,
            f"{what}: its history begins with c{self.number(begin)} on "
            f"{_shown(time_of(begin.tid))} and ends with c{self.number(end)} on "
            f"{_shown(time_of(end.tid))}",
        )


class _Numbers(Sequence[int]):
    """The numbers of the changes, ascending; each is read when it is asked for."""

    def __init__(self, past: Past) -> None:
        self._past = past

    def __len__(self) -> int:
        return len(self._past)

    def __getitem__(self, position: Any) -> Any:
        return self._past.number(self._past[len(self) - 1 - position])


def before_end_of(moment: Moment, objects: MyZODB, past: Past | None = None) -> bytes | None:
    """The transaction id before which the state of ``moment`` is found; None where that is the
    newest state.

    :param past: all the changes, if they are at hand
    :raises NoSuchMoment: the history does not reach back so far, or there is no such change
    """
    if isinstance(moment, datetime):
        before = tid_of(moment)
        if before > objects.storage.lastTransaction():
            return None
        past = past or Past(objects)
        if not past or past[-1].tid >= before:
            last = _shown(moment - timedelta(seconds=1)) if moment.year > 1 else "the year 1"
            raise past.too_early(f"nothing is kept of {last}")
        return before
    past = past or Past(objects)
    return bytes(p64(u64(past[past.find(moment)].tid) + 1))


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
