"""Named sections in one file, read through a memory map: a small container.

The file begins with a prelude that says where its table is, and the table says where each section
is, how long, and its CRC-32. So opening a file of any size reads one page and the table. A section
is held against its checksum when it is first used, and what is never used is never read.

A section can also hold many byte strings (`Pieces`). Of those each has a checksum of its own, so
that one of a million can be read without the others.

A file is written aside, put on disk and renamed: under its name it is whole, or not there.
"""

from __future__ import annotations

import mmap
import os
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, islice
from pathlib import Path
from types import TracebackType
from typing import Any
from zlib import crc32

from authdb.exceptions import DatabaseDamaged
from authdb.generations import new_token

__all__ = ["Pieces", "SectionDamaged", "Sections", "Texts", "Writer"]

MAGIC = b"authdb sections 1"
#: The prelude: the magic, then the table's place, length and CRC-32 as decimal digits, a newline.
PRELUDE = len(MAGIC) + 3 * 21 + 1


#: Of each section where it begins, how long it is, and its CRC-32.
_Places = Mapping[str, tuple[int, int, int]]


class SectionDamaged(DatabaseDamaged):
    """A file of sections, or one of them, is not what was written.

    What is kept in such files is derived. So whoever uses one catches this, and does without it.
    """


class Pieces(Sequence[bytes]):
    """Byte strings in one section, in another their ends, and in a third their checksums.

    Neither the ends nor the checksums need one of their own: where a byte of them is not what it
    was, the piece that they lead to does not have the checksum that they say.
    """

    def __init__(self, data: Any, ends: Sequence[int], sums: Sequence[int], where: object) -> None:
        # A slice of a map is a copy, and made in half the time that a slice of a view takes.
        self._data, self._ends, self._sums, self._where = data, ends, sums, where

    def __len__(self) -> int:
        return len(self._sums)

    def __getitem__(self, number: Any) -> Any:
        """
        :raises SectionDamaged: it is not what was written
        """
        if number < 0:
            raise IndexError(number)
        piece = self._data[self._ends[number] : self._ends[number + 1]]
        if crc32(piece) != self._sums[number]:
            raise SectionDamaged(self._where, f"piece {number} has another checksum")
        return piece

    def several(self, numbers: Iterable[int]) -> list[bytes]:
        """The pieces of these numbers, in that order; in half the time of one by one.

        :raises SectionDamaged: one is not what was written
        """
        data, ends, sums = self._data, self._ends, self._sums
        found = []
        for number in numbers:
            piece = data[ends[number] : ends[number + 1]]
            if crc32(piece) != sums[number]:
                raise SectionDamaged(self._where, f"piece {number} has another checksum")
            found.append(piece)
        return found


class Texts(Sequence[str]):
    """Pieces, read as the texts that they were written from."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return list(map(_text, self._pieces.several(range(*number.indices(len(self))))))
        return _text(self._pieces[number])

    def __iter__(self) -> Iterator[str]:
        return map(_text, self._pieces.several(range(len(self))))


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "surrogatepass")


class Sections:
    """The sections of a file, or of one that was never written (see `Writer`).

    :param path: the file
    :raises SectionDamaged: there is none that can be used

    Attribute: ``about``, what the writer said of the whole.
    """

    def __init__(self, path: Path) -> None:
        self._path: object = path
        self._checked: set[str] = set()
        try:
            with path.open("rb") as file:
                # Another file may take this one's name meanwhile: the map keeps this one.
                self._data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise SectionDamaged(path, f"it cannot be read ({error})") from None
        try:
            self.about, self._places = _read(self._table())
        except ValueError as error:
            self.close()
            raise SectionDamaged(path, f"it is no file of sections ({error})") from None

    def _table(self) -> str:
        prelude = self._data[:PRELUDE]
        if not prelude.startswith(MAGIC):
            raise ValueError("another magic")
        start, length, checksum = map(int, prelude[len(MAGIC) :].split())
        text = self._data[start : start + length]
        if start + length != len(self._data) or crc32(text) != checksum:
            raise ValueError("cut short, or another checksum")
        return str(text, "utf-8")

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def data(self, name: str) -> memoryview:
        """A section as it is.

        :raises SectionDamaged: it is not what was written, or there is none
        """
        view = self._slice(name)
        if name not in self._checked:
            if crc32(view) != self._places[name][2]:
                raise SectionDamaged(self._path, f"{name} has another checksum")
            self._checked.add(name)
        return view

    def numbers(self, name: str) -> memoryview:
        """A section that was written from an ``array("i")``.

        :raises SectionDamaged: see `data`
        """
        return self.data(name).cast("i")

    def texts(self, name: str) -> Texts:
        """The texts of a section.

        :raises SectionDamaged: there is none of that name
        """
        return Texts(self.pieces(name))

    def pieces(self, name: str) -> Pieces:
        """The byte strings of a section; each is checked when it is read.

        :raises SectionDamaged: there is none of that name
        """
        self._place(name)
        ends = self._slice(f"{name}.ends").cast("q")
        sums = self._slice(f"{name}.sums").cast("I")
        return Pieces(self._data, ends, sums, self._path)

    def _slice(self, name: str) -> memoryview:
        start, length, _ = self._place(name)
        return memoryview(self._data)[start : start + length]

    def _place(self, name: str) -> tuple[int, int, int]:
        try:
            return self._places[name]
        except KeyError:
            raise SectionDamaged(self._path, f"it has no section {name}") from None

    def verify(self) -> None:
        """Hold all of it against its checksums.

        :raises SectionDamaged: something is not what was written
        """
        for name in self._places:
            if f"{name}.ends" not in self._places:
                self.data(name)
                continue
            for _ in self.pieces(name):
                pass

    def close(self) -> None:
        """Let go of the file, as soon as nobody holds a view of it any more."""
        with suppress(BufferError, AttributeError):
            self._data.close()


class Writer:
    """Writes sections, one after the other.

    :param path: the file to make, in place of one that is there; None to keep them in memory

    As a context manager it removes what it has written so far if the block fails.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int, int]] = {}
        self._end = PRELUDE
        self._draft = None if path is None else path.with_name(f".new-{new_token()}-{path.name}")
        if path is not None:  # drafts of those who were killed: one process at a time writes here
            for left in path.parent.glob(f".new-*-{path.name}"):
                left.unlink(missing_ok=True)
        self._file: Any = None if self._draft is None else self._draft.open("xb")
        self._memory = bytearray(PRELUDE)
        if self._file is not None:
            self._file.write(bytes(PRELUDE))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            assert self._draft is not None
            self._draft.unlink(missing_ok=True)

    def _write(self, chunk: Any) -> None:
        if self._file is None:
            self._memory += chunk
        else:
            self._file.write(chunk)

    def add(self, name: str, data: Any) -> None:
        """Write a section: bytes, or an array."""
        self._begin()
        view = memoryview(data).cast("B")
        self._write(view)
        self._say(name, len(view), crc32(view))

    def add_pieces(self, name: str, pieces: Iterable[bytes | bytearray]) -> None:
        """Write a section of byte strings; they may come from a generator."""
        self._begin()
        ends, sums = array("q", [self._end]), array("I")
        pieces = iter(pieces)
        while some := list(islice(pieces, 1000)):  # a call a piece would take three times as long
            ends.extend(islice(accumulate(map(len, some), initial=ends[-1]), 1, None))
            sums.extend(map(crc32, some))
            self._write(b"".join(some))
        self._say(name, ends[-1] - self._end, 0)  # each piece has a checksum of its own
        self.add(f"{name}.ends", ends)
        self.add(f"{name}.sums", sums)

    def add_texts(self, name: str, texts: Iterable[str]) -> None:
        """Write a section of texts."""
        self.add_pieces(name, (text.encode("utf-8", "surrogatepass") for text in texts))

    def _begin(self) -> None:
        rest = -self._end % 8  # numbers are read in place, so they begin at whole words
        self._write(bytes(rest))
        self._end += rest

    def _say(self, name: str, length: int, checksum: int) -> None:
        self._places[name] = self._end, length, checksum
        self._end += length

    def finish(self, about: Mapping[str, str]) -> Sections:
        """Write the table, put all on disk, and open it.

        :param about: what is said of the whole: words, without white space
        """
        text = _written(about, self._places).encode("utf-8")
        self._write(text)
        numbers = "".join(f" {number:20d}" for number in (self._end, len(text), crc32(text)))
        prelude = MAGIC + numbers.encode("ascii") + b"\n"
        if self._file is None:
            return _InMemory(bytes(self._memory), about, self._places)
        assert self._path is not None and self._draft is not None
        self._file.seek(0)
        self._file.write(prelude)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.replace(self._path)
        self._file = None
        return Sections(self._path)


class _InMemory(Sections):
    """Sections that are in no file."""

    def __init__(self, data: bytes, about: Mapping[str, str], places: _Places) -> None:
        self._path, self._data = "the sections in memory", data
        self.about, self._places = about, places
        self._checked = set(places)

    def close(self) -> None:
        """Nothing is to be let go of."""


# The table is lines of words, not JSON: the module of that takes longer to import than to read
# all that a short command needs.


def _written(about: Mapping[str, str], places: _Places) -> str:
    lines = [("byteorder", sys.byteorder), *(("about", *item) for item in about.items())]
    lines += [("section", name, *map(str, place)) for name, place in places.items()]
    return "\n".join(map(" ".join, lines))


def _read(table: str) -> tuple[Mapping[str, str], _Places]:
    about, places = {}, {}
    for line in table.split("\n"):
        kind, *words = line.split(" ")
        if kind == "byteorder" and words != [sys.byteorder]:
            raise ValueError("made on a machine of another byte order")
        if kind == "about":
            about[words[0]] = words[1]
        elif kind == "section":
            start, length, checksum = map(int, words[1:])
            places[words[0]] = start, length, checksum
    return about, places
