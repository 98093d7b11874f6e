"""A repository of backups of one file, in the format of ZODB's `repozo`.

In it are pieces: full copies (``.fs``) and what was added since (``.deltafs``), each named by when
it was begun, to the second; and for each full copy a list (``.dat``) of the pieces that go with it,
with their checksums. A piece counts when a list names it, and that comes last, when all of it is
on disk: whatever cuts a backup short, the ones before it are as they were.

repozo can restore, verify and continue such a repository, but is not called to write one. It opens
the file three times by its name, and a pack in between makes one piece of two files; it cannot read
its own lists where the path has a space in it; and a piece that it leaves when it is killed gets
into the next restore. Its indexes (``.index``) are not kept: they have no checksum, and a wrong one
hides objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from hashlib import md5
from pathlib import Path
from typing import BinaryIO, NamedTuple

from authdb.auditing import Progress
from authdb.exceptions import DatabaseDamaged, DatabaseError
from authdb.files import sync_folder
from authdb.storage import MyZODB

__all__ = ["Piece", "Repository", "in_utc", "write_whole"]

_NAME = "%Y-%m-%d-%H-%M-%S"
# repozo writes the whole path. What counts is its last part, so that a repository can be moved.
_LINE = re.compile(r"(?:.*[/\\])?([-0-9]{19}\.(?:delta)?fs) ([0-9]+) ([0-9]+) ([0-9a-f]{32})")
_FILE = re.compile(r"[-0-9]{19}\.(?:(?:delta)?fsz?|dat)")


class Piece(NamedTuple):
    """A part of the file, from byte ``start`` to byte ``end`` (excluded), with its MD5 checksum."""

    path: Path
    start: int
    end: int
    digest: str

    @property
    def moment(self) -> datetime:
        """When the backup was begun that it is of, in UTC."""
        return _moment(self.path)


class Repository:
    """The backups of one file, in ``folder``, which need not be there yet.

    :param progress: called now and then with what is being done, and how many bytes of how many
    """

    def __init__(self, folder: Path, progress: Progress | None = None) -> None:
        self.folder, self._progress = folder, progress

    # -- what there is -------------------------------------------------------------------------

    def lists(self) -> list[Path]:
        """The list of each full copy, the oldest first."""
        return [file for file in self._files() if file.suffix == ".dat"]

    def first(self) -> datetime:
        """When the first backup was begun; there is one."""
        return _moment(self.lists()[0])

    def last(self) -> datetime | None:
        """When the last backup was begun, also one that was cut short; None if there is none."""
        return max(map(_moment, self._files()), default=None)

    def chain(self, as_of: datetime | None = None) -> list[Piece]:
        """The pieces that together are the newest backup; none if there is none.

        :param as_of: the newest that was begun by then
        :raises DatabaseDamaged: their list cannot be read
        """
        for file in reversed(self.lists()):
            if as_of is None or _moment(file) <= as_of:
                return [p for p in self.listed(file) if as_of is None or p.moment <= as_of]
        return []

    def listed(self, file: Path) -> list[Piece]:
        """The pieces that a list names: what it is a list of, without a gap.

        :raises DatabaseDamaged: it is not such a list
        """
        pieces: list[Piece] = []
        for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
            match = _LINE.fullmatch(line)
            follows = match and int(match[2]) == (pieces[-1].end if pieces else 0)
            if match is None or not follows or not _is_ours(Path(match[1])):
                raise DatabaseDamaged(file, f"line {number} is not as it was written")
            pieces.append(Piece(self.folder / match[1], int(match[2]), int(match[3]), match[4]))
        if not pieces or pieces[0].path != file.with_suffix(".fs"):
            raise DatabaseDamaged(file, "it does not name its full copy")
        return pieces

    def join(self, pieces: list[Piece], out: BinaryIO | None = None) -> None:
        """Write the pieces one after the other, or only read them, and check each.

        :raises DatabaseDamaged: for the first that is not as it was written
        """
        what = f"{'restoring' if out else 'reading'} the backup of {self.folder.name}"
        told = self._told(what, sum(piece.end - piece.start for piece in pieces))
        for piece in pieces:
            digest = md5(usedforsecurity=False)
            takers = [digest.update, *told, *([out.write] if out else [])]
            try:
                with piece.path.open("rb") as file:
                    size = _hand_out(file, piece.end - piece.start + 1, *takers)
            except FileNotFoundError:
                raise self._damaged(piece, "it is missing") from None
            if size != piece.end - piece.start:
                raise self._damaged(piece, "it has another size than when it was written")
            if digest.hexdigest() != piece.digest:
                raise self._damaged(piece, "it is not as it was written: its checksum is another")

    def _damaged(self, piece: Piece, reason: str) -> DatabaseDamaged:
        with suppress(DatabaseDamaged, IndexError):
            before = self.chain(piece.moment - timedelta(seconds=1))[-1]
            reason += f"; the newest backup without it is that of {in_utc(before.moment)}"
        return DatabaseDamaged(piece.path, reason)

    # -- backing up ----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the folder if need be, and put away what a backup that was killed has left."""
        if not self.folder.is_dir():
            self.folder.mkdir()
            sync_folder(self.folder.parent)
        for draft in self.folder.glob("*.tmp"):
            draft.unlink()
        try:
            chain = self.chain()
        except DatabaseDamaged:  # then there will be a full copy
            return
        for file in self._files():
            # One that no list names can't be told from one whose list was lost: so it is kept,
            # though under a name by which repozo does not take it for a part of the file.
            if file.suffix != ".dat" and (not chain or _moment(file) > chain[-1].moment):
                file.rename(f"{file}.unlisted")

    def take(self, database: MyZODB, moment: datetime, full: bool) -> tuple[str, int]:
        """Back up what ``database`` shows, opened read-only.

        :param moment: when it was begun, to the second; later than `last`
        :param full: make a full copy, also where what was added since would do
        :returns: "full", "incremental", or "unchanged"; and how many bytes were written
        """
        # One open file from here to the end: after a pack, the name is another file's.
        source, end = database.storage._file, database.storage.getSize()
        chain = [] if full else self._continued(source)
        start = chain[-1].end if chain else 0
        if chain and start == end:
            return "unchanged", 0
        path = self.folder / f"{moment:{_NAME}}{'.deltafs' if chain else '.fs'}"
        try:
            digest = self._copy(source, start, end, path)
            pieces = [*chain, Piece(path, start, end, digest)]
            lines = [f"{p.path.name} {p.start} {p.end} {p.digest}\n" for p in pieces]
            write_whole(pieces[0].path.with_suffix(".dat"), "".join(lines))
        except BaseException:
            self._give_up(path)
            raise
        return "incremental" if chain else "full", end - start

    def _continued(self, source: BinaryIO) -> list[Piece]:
        """The newest backup, if the file still begins with it; else nothing."""
        try:
            chain = self.chain()
            self.join(chain)
        except DatabaseDamaged:
            return []
        told = self._told(f"comparing {self.folder.name}", chain[-1].end if chain else 0)
        for piece in chain:
            digest = md5(usedforsecurity=False)
            source.seek(piece.start)
            _hand_out(source, piece.end - piece.start, digest.update, *told)
            if digest.hexdigest() != piece.digest:
                return []
        return chain

    def _copy(self, source: BinaryIO, start: int, end: int, path: Path) -> str:
        digest = md5(usedforsecurity=False)
        draft = path.with_suffix(".tmp")
        with draft.open("xb") as out:
            source.seek(start)
            told = self._told(f"copying {self.folder.name}", end - start)
            if _hand_out(source, end - start, digest.update, out.write, *told) != end - start:
                raise DatabaseError(source.name, "it lost its end while it was being copied")
            out.flush()
            os.fsync(out.fileno())
        draft.rename(path)
        sync_folder(self.folder)
        return digest.hexdigest()

    def _give_up(self, path: Path) -> None:
        with suppress(OSError, DatabaseDamaged):
            path.with_suffix(".tmp").unlink(missing_ok=True)
            if path not in (piece.path for piece in self.chain()):
                path.unlink(missing_ok=True)

    def _told(self, what: str, total: int) -> list[Callable[[bytes], object]]:
        """What is handed data to count it; nothing if nobody is to be told."""
        progress, done = self._progress, 0
        if progress is None:
            return []

        def count(data: bytes) -> None:
            nonlocal done
            done += len(data)
            progress(what, done, total)

        return [count]

    def _files(self) -> list[Path]:
        """The pieces and the lists, the oldest first."""
        try:
            return sorted(file for file in self.folder.iterdir() if _is_ours(file))
        except FileNotFoundError:
            return []


def in_utc(moment: datetime) -> str:
    """``moment`` as messages show it."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def write_whole(file: Path, text: str) -> None:
    """Put ``text`` into ``file``, which is on disk with all of it, or as it was before."""
    draft = file.with_name(f"{file.name}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def _is_ours(file: Path) -> bool:
    if not _FILE.fullmatch(file.name):
        return False
    with suppress(ValueError):  # no such day
        return bool(_moment(file))
    return False


def _moment(file: Path) -> datetime:
    return datetime.strptime(file.stem, _NAME).replace(tzinfo=timezone.utc)


def _hand_out(source: BinaryIO, size: int, *takers: Callable[[bytes], object]) -> int:
    """Hand each of them the next ``size`` bytes; how many there were."""
    left = size
    while left > 0:
        try:
            data = source.read(min(left, 1 << 20))
        except OSError as error:  # the system does not say of which of the files it speaks
            raise OSError(error.errno, error.strerror, source.name) from error
        if not data:
            break
        for take in takers:
            take(data)
        left -= len(data)
    return size - left
