"""Records line by line: NDJSON, CSV and TSV, which stream and may be of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import BinaryIO, Protocol

from authdb.decoding import BOM, json_reason
from authdb.exceptions import Problem, nearest, shown
from authdb.models import FIELDS

__all__ = ["BLOCK_BYTES", "LINE_BYTES", "Lines", "Reporter", "ndjson", "no_field", "table"]

#: The most bytes that a line of NDJSON has, or a record of CSV or TSV.
LINE_BYTES = 10_000_000

#: So many bytes of NDJSON are read together, and the rest of a line: with all that is made of them
#: they stay in the cache of a processor. Of half a megabyte reading takes a quarter longer.
BLOCK_BYTES = 1 << 16


class Reporter(Protocol):
    """Who is told of mistakes, and how far reading is: see `authdb.loaders.Loader`."""

    format: str
    position: int
    problems: list[Problem]

    @property
    def full(self) -> bool:
        """Whether no more mistakes are taken."""

    def report(self, where: str, field: str | None, reason: str) -> None:
        """Take a mistake."""


class Lines:
    """The lines of a stream as text; those that are too long or not UTF-8 are reported."""

    def __init__(self, loader: Reporter, stream: BinaryIO) -> None:
        self._loader = loader
        self._stream = stream
        self._readline: Callable[[int], bytes] = stream.readline
        #: The number of the line that was read last.
        self.number = 0

    def block(self) -> bytes:
        """The next lines, about `BLOCK_BYTES` of them. Either they are passed over then, or
        iterating gives them, and ends with the last of them."""
        data = self._stream.read(BLOCK_BYTES)
        if data and not data.endswith(b"\n"):
            data += self._stream.readline(LINE_BYTES + 1)
        self._readline = _Continued(data, self._stream).readline
        return data

    def pass_over(self, block: bytes, count: int) -> None:
        """Go past the block, which has so many lines."""
        self._loader.position += len(block)
        self.number += count

    def __iter__(self) -> Iterator[str]:
        loader, longest = self._loader, LINE_BYTES
        for line in iter(partial(self._readline, longest + 1), b""):
            self.number += 1
            loader.position += len(line)
            if loader.problems and loader.full:
                return
            if len(line) > longest and not line.endswith(b"\n"):
                loader.report(f"line {self.number}", None, f"longer than {LINE_BYTES:,} bytes")
                self._skip()
                continue
            try:
                yield (line.removeprefix(BOM) if self.number == 1 else line).decode()
            except UnicodeDecodeError as error:
                loader.report(
                    f"line {self.number}",
                    None,
                    f"not UTF-8 at byte {error.start + 1} of the line: save the file as UTF-8",
                )

    def _skip(self) -> None:
        """Go past the rest of a line."""
        while piece := self._readline(1 << 20):
            self._loader.position += len(piece)
            if piece.endswith(b"\n"):
                return


class _Continued:
    """What was read of a stream already, to be read once more; to the end of its last line, of
    which the rest may still be in the stream."""

    def __init__(self, data: bytes, stream: BinaryIO) -> None:
        self._data, self._stream = BytesIO(data), stream
        self._ended = data.endswith(b"\n")

    def readline(self, size: int) -> bytes:
        """As a stream's own."""
        line = self._data.readline(size)
        if self._ended or line.endswith(b"\n") or len(line) == size:
            return line
        line += self._stream.readline(size - len(line))
        self._ended = line.endswith(b"\n")
        return line


def ndjson(loader: Reporter, lines: Lines) -> Iterator[tuple[int, object]]:
    """The value on each line that is not blank, after the line's number."""
    from msgspec import DecodeError
    from msgspec.json import Decoder

    decode = Decoder().decode
    for line in lines:
        if not line or line.isspace():
            continue
        try:
            record = decode(line)
        except (DecodeError, RecursionError) as error:
            loader.report(f"line {lines.number}", None, json_reason(error)[0])
            continue
        yield lines.number, record


def table(loader: Reporter, lines: Lines) -> Iterator[tuple[int, object]]:
    """The rows of CSV or TSV as mappings; an empty cell names nothing."""
    rows = _rows(loader, lines)
    first, header = next(rows, (1, []))
    if loader.problems:  # what was read is not the first row
        return
    columns = _columns(loader, f"line {first}", [cell.strip() for cell in header])
    if columns is None:
        return
    for number, row in rows:
        if len(row) != len(header):
            reason = f"there are {len(row)} cells, and {len(header)} columns in the first row"
            loader.report(f"line {number}", None, reason)
            continue
        cells = zip(columns, row, strict=True)
        yield (
            number,
            {
                name: FIELDS[name].kind.from_cell(cell)
                for name, cell in cells
                if name is not None and cell and not cell.isspace()
            },
        )


def _columns(loader: Reporter, where: str, header: list[str]) -> list[str | None] | None:
    """The field of each column, None for one that was reported; None where names are missing."""
    columns: list[str | None] = []
    for name in header:
        if name not in FIELDS:
            loader.report(where, None, no_field(name))
        elif name in columns:
            loader.report(where, name, "two columns are called so: keep one")
        else:
            columns.append(name)
            continue
        columns.append(None)
    if "name" in columns:
        return columns
    separator = "tab" if loader.format == "tsv" else "comma"
    reason = f"the first row has to name the columns, with a {separator} between them; one is name"
    loader.report(where, None, reason)
    return None


def _rows(loader: Reporter, lines: Lines) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, and the line on which it begins."""
    import csv

    begin = held = 0  # the line where the row begins, and the length of what was read of it

    def bounded() -> Iterator[str]:
        nonlocal begin, held
        for line in lines:
            begin = begin if held else lines.number
            held += len(line)
            if held > LINE_BYTES:
                raise csv.Error(f"longer than {LINE_BYTES:,} characters: a quote is never closed")
            yield line

    reader = csv.reader(bounded(), delimiter="\t" if loader.format == "tsv" else ",", strict=True)
    while not loader.full:
        held = 0
        # The limit is one for the whole process, so it is lifted for one row at a time.
        limit = csv.field_size_limit(LINE_BYTES)
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            loader.report(f"line {begin}", None, _csv_reason(loader.format, str(error)))
            continue
        finally:
            csv.field_size_limit(limit)
        if any(cell and not cell.isspace() for cell in row):
            yield begin, row


def _csv_reason(form: str, said: str) -> str:
    """What the csv module says, for a person."""
    if "unexpected end" in said:
        return 'a cell begins with " and the file ends before another closes it'
    if "expected after" in said:
        return 'a cell goes on after the " that closes it: inside a cell, write "" for a quote'
    if "new-line" in said:
        return "a line ends with a carriage return alone: save the file with other line ends"
    return said if "longer" in said else f"not {form.upper()}: {said}"


def no_field(key: object) -> str:
    """What is said of a field that there is not."""
    word = str(key)[:100]  # the cost of finding the nearest grows with the square of the length
    return f"there is no field {shown(key)}{nearest(word, FIELDS)}"
