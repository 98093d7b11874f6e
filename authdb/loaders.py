"""Files -> checked records, lazily. Nothing is stored here, and no database is known.

A `Loader` is one file. Iterating over it gives those records that are right, each with its
place; what is wrong with the others gathers in ``problems``, so that one reading finds every
mistake. NDJSON, CSV and TSV stream and may be of any size. JSON, YAML and TOML are read whole,
and so have a largest size.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from authdb import lines as reading
from authdb.blocks import Block, block_in
from authdb.checks import QUICK, REFUSED
from authdb.dates import PartialDate, parse_date
from authdb.decoding import BOM, DOCUMENT, Malformed, decode, malformed
from authdb.exceptions import AuthDBError, InvalidValue, Problem, nearest, shown
from authdb.lines import Lines, ndjson, no_field, table
from authdb.models import FIELDS

__all__ = [
    "DOCUMENT_BYTES",
    "FORMATS",
    "PROBLEMS",
    "Entry",
    "Loader",
    "format_of",
]

#: The formats, and the endings by which a file's format is known.
FORMATS: Mapping[str, tuple[str, ...]] = {
    "json": (".json",),
    "ndjson": (".ndjson", ".jsonl"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "yaml": (".yaml", ".yml"),
    "toml": (".toml",),
}

#: The most bytes that a file of a format has that is read whole.
DOCUMENT_BYTES = {"json": 64 << 20, "yaml": 8 << 20, "toml": 8 << 20}

#: The most problems that are kept of one file.
PROBLEMS = 1000


class Entry(NamedTuple):
    """A record that is right.

    ``where`` is "line 3" (NDJSON, CSV and TSV: the line on which it begins) or "record 2".
    ``fields`` has each field that the record names, in its stored form; None (and an empty text
    or tuple) says that the field is not known.
    """

    where: str
    fields: dict[str, Any]


class Loader:
    """One file of packages.

    :param source: a path, or a stream of bytes, which is read once and left open
    :param format: one of `FORMATS`; None to go by the ending of the path
    :param name: what messages call the file; None for the path. "-" is standard input
    :raises AuthDBError: no such file, or none of these formats

    Attributes:

    - ``name`` and ``format``
    - ``problems``: a list of `Problem`, the mistakes found so far, at most `PROBLEMS` of them
      and one that says that there are more
    - ``as_of``: the day as of which the facts hold, where the file says so (an edition does),
      else None; known once the first record is
    - ``size``: the file's size in bytes, None for a stream; ``position``: how many bytes have
      been worked through

    Iterating starts at the beginning again, unless the source is a stream. It raises
    `AuthDBError` for a file that cannot be read or is too large, and what
    `authdb.editions.records` raises for an edition.
    """

    def __init__(
        self,
        source: Path | str | BinaryIO,
        format: str | None = None,  # noqa: A002 - it is the word for it
        name: str | None = None,
    ) -> None:
        path = Path(source) if isinstance(source, (str, Path)) else None
        self.name = "standard input" if name == "-" else name or str(path or "a stream")
        self.format = format_of(path, self.name) if format is None else _known(format, self.name)
        self.size = None if path is None else _size(path, self.name)
        self._path = path
        self._stream = None if isinstance(source, (str, Path)) else source
        self._reset()

    def _reset(self) -> None:
        self.problems: list[Problem] = []
        self.as_of: date | None = None
        self.position = 0
        self._seen: dict[str, int | tuple[int, str]] = {}

    @property
    def full(self) -> bool:
        """Whether as many problems were found as are kept: reading stops."""
        return len(self.problems) > PROBLEMS

    def report(self, where: str, field: str | None, reason: str) -> None:
        """Add a problem: of a record that this loader gave, if its user finds one."""
        if len(self.problems) < PROBLEMS:
            self.problems.append(Problem(where, field, reason))
        elif not self.full:
            reason = f"there are more problems than these {PROBLEMS:,}, and reading stopped"
            self.problems.append(Problem(where, None, reason))

    def refuse(self, where: str, error: InvalidValue) -> None:
        """Add the problem that ``error`` tells of."""
        got = "" if error.value is None else f", got {shown(error.value)}"
        self.report(where, error.field, error.reason + got)

    def __iter__(self) -> Iterator[Entry]:
        for number, fields in self.numbered():
            yield Entry(self.place(number), fields)

    def numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """As iterating, but each record with the number of its place only: of a million, no place
        is needed but that of a mistake."""
        return self._told(self._one_by_one)

    def pieces(
        self, as_block: Callable[[Sequence[str]], bool]
    ) -> Iterator[Block | tuple[int, dict[str, Any]]]:
        """As `numbered`, but of NDJSON many records together, as a `Block`: they take a third of
        the time.

        :param as_block: whether records of these names may come together; else they come one by one
        """
        if self.format != "ndjson":
            return self.numbered()
        return self._told(partial(self._blocks, as_block))

    def _told(self, read: Callable[[BinaryIO], Iterator[Any]]) -> Iterator[Any]:
        """What ``read`` gives of the file, until there are too many problems."""
        self._reset()
        try:
            with self._open() as stream:
                for found in read(stream):
                    if self.problems and self.full:
                        return
                    yield found
        except Malformed as error:
            self.report(error.where, None, error.reason)
        except OSError as error:
            raise _unreadable(self.name, error) from None
        finally:
            self._seen = {}  # of a million names that is much

    def _one_by_one(self, stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._right(self._records(stream))

    def _right(self, records: Iterator[tuple[int, object]]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, record in records:
            fields = self._check(number, record)
            if fields is not None:
                yield number, fields
            elif self.full:
                return

    def _blocks(
        self, as_block: Callable[[Sequence[str]], bool], stream: BinaryIO
    ) -> Iterator[Block | tuple[int, dict[str, Any]]]:
        lines = Lines(self, stream)
        while data := lines.block():
            block = None
            if len(data) <= reading.LINE_BYTES:  # so no line is longer
                first = lines.number + 1
                block = block_in(data.removeprefix(BOM) if first == 1 else data, first)
            if block and as_block(block.columns["name"]) and self._are_new(block):
                lines.pass_over(data, len(block.numbers))
                yield block
            else:
                yield from self._right(ndjson(self, lines))
            if self.problems and self.full:
                return

    def _open(self) -> AbstractContextManager[BinaryIO]:
        if self._path is not None:
            return self._path.open("rb")
        assert self._stream is not None
        return nullcontext(self._stream)

    def place(self, number: int) -> str:
        """What a place with that number is called, such as "line 3" (see `Entry`)."""
        return f"{'record' if self.format in DOCUMENT_BYTES else 'line'} {number}"

    def _records(self, stream: BinaryIO) -> Iterator[tuple[int, object]]:
        """Each record as its format gives it, after the number of its place."""
        if self.format in DOCUMENT_BYTES:
            return self._document(stream)
        lines = Lines(self, stream)
        return ndjson(self, lines) if self.format == "ndjson" else table(self, lines)

    # -- one record --------------------------------------------------------------------------

    def _check(self, number: int, record: object) -> dict[str, Any] | None:
        """The record's fields in their stored form; None where there is a problem."""
        try:
            fields = {key: QUICK[key](value) for key, value in record.items()}  # type: ignore[attr-defined]
            name = fields["name"]
        except REFUSED:
            return self._look_closer(number, record)
        # Most names are written as they are stored, and are new.
        if name == record["name"] and name not in self._seen:  # type: ignore[index]
            self._seen[name] = number
            return fields
        return self._look_closer(number, record)

    def _are_new(self, block: Block) -> bool:
        """Whether no two records have the same name; then the names are remembered."""
        names = block.columns["name"]
        if len(set(names)) < len(names) or not self._seen.keys().isdisjoint(names):
            return False
        self._seen.update(zip(names, block.numbers, strict=True))
        if names != block.spelled:
            for name, number, spelling in zip(names, block.numbers, block.spelled, strict=True):
                if name != spelling.strip():
                    self._seen[name] = number, spelling.strip()
        return True

    def _look_closer(self, number: int, record: object) -> dict[str, Any] | None:
        """As `_check`, where there may be a problem."""
        where = self.place(number)
        if not isinstance(record, dict):
            self.report(
                where, None, f"a record with named fields belongs here, got {_kind(record)}"
            )
            return None
        before = len(self.problems)
        fields: dict[str, Any] = {}
        for key, value in record.items():
            field = FIELDS.get(key)
            if field is None:
                self.report(where, None, no_field(key))
                continue
            try:
                fields[key] = field.check(value)
            except InvalidValue as error:
                self.refuse(where, error)
        if "name" not in record:
            self.report(where, "name", "a package needs one")
        elif "name" in fields:
            self._only_one(number, fields["name"], record["name"].strip())
        return fields if len(self.problems) == before else None

    def _only_one(self, number: int, name: str, spelling: str) -> None:
        """Remember a name, or report that it was there before."""
        # Most names are written as they are stored: those cost a text and an int each.
        seen = self._seen.setdefault(name, number if spelling == name else (number, spelling))
        first, before = seen if isinstance(seen, tuple) else (seen, name)
        if first != number:
            same = "is also" if spelling == before else f"is the same package as {before!r}"
            reason = f"{spelling!r} {same} in {self.place(first)}: keep one of the two"
            self.report(self.place(number), "name", reason)

    # -- documents that are read whole -------------------------------------------------------

    def _document(self, stream: BinaryIO) -> Iterator[tuple[int, object]]:
        data = self._read(stream)
        size = len(data)
        found = self._listed(decode(self.format, data))
        del data
        total = len(found)
        # From the end, so that each record can be let go when it has been given.
        found.reverse()
        for number in range(1, total + 1):
            self.position = size * number // total
            yield number, found.pop()
        self.position = size

    def _read(self, stream: BinaryIO) -> bytes:
        limit = DOCUMENT_BYTES[self.format]
        data = stream.read(limit + 1)
        if len(data) > limit:
            raise AuthDBError(
                f"{self.name}: larger than {limit >> 20} MiB, the most that is read of "
                f"{self.format.upper()}: use NDJSON, one record a line, which has no limit"
            )
        return data

    def _listed(self, document: object) -> list[object]:
        """The records of a document: itself, or what it holds as ``packages``."""
        if isinstance(document, list):
            return document
        if self.format == "toml" and isinstance(document, dict):
            from authdb.editions import is_edition

            if is_edition(document):
                return self._edition(document)
        if not isinstance(document, dict) or not isinstance(document.get("packages"), list):
            malformed(DOCUMENT, "a list of records belongs here, or one that is called packages")
        for key in document:
            if key not in ("packages", "title", "as_of"):
                self.report(DOCUMENT, None, f"besides packages there is no {shown(key)}")
        if document.get("as_of") is not None:
            self._set_as_of(document["as_of"])
        return document["packages"]  # type: ignore[no-any-return]

    def _set_as_of(self, value: object) -> None:
        try:
            day = parse_date(value)
        except ValueError as error:
            self.report(DOCUMENT, "as_of", f"{error}, got {shown(value)}")
            return
        if isinstance(day, PartialDate):
            self.report(DOCUMENT, "as_of", f"a whole day belongs here, got {shown(value)}")
        else:
            self.as_of = day

    def _edition(self, document: dict[str, Any]) -> list[object]:
        from authdb.editions import records

        if self._path is None:
            malformed(DOCUMENT, "an edition names files beside it: give its path instead")
        found: list[object] = list(records(self._path))
        self.as_of = document["as_of"]  # records() made sure that it is a day
        return found


def format_of(path: Path | None, name: str) -> str:
    """The format of a file, by its ending.

    :param path: None where there is none to go by
    :param name: what the message calls the file
    :raises AuthDBError: an ending that is not in `FORMATS`
    """
    ending = "" if path is None else path.suffix.lower()
    for known, endings in FORMATS.items():
        if ending in endings:
            return known
    reason = f"{ending} is no ending of ours" if ending else "it has no ending to go by"
    raise AuthDBError(
        f"{name}: {reason}: say what it is with --format, one of {', '.join(FORMATS)}"
    )


def _known(word: str, name: str) -> str:
    if word not in FORMATS:
        raise AuthDBError(
            f"{name}: no format is called {shown(word)}{nearest(word, FORMATS)}: --format is one "
            f"of {', '.join(FORMATS)}"
        )
    return word


def _size(path: Path, name: str) -> int | None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # a ValueError where the path itself is impossible
        raise _unreadable(name, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise AuthDBError(f"{name}: it is a folder: name the files in it")
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _unreadable(name: str, error: OSError | ValueError) -> AuthDBError:
    """What the system says about a file, in one line."""
    number = getattr(error, "errno", None)
    what = {
        errno.ENOENT: "there is no such file",
        errno.ENOTDIR: "there is no such file",
        errno.EISDIR: "it is a folder: name the files in it",
        errno.EACCES: "no permission to read it: see who owns it and its folder",
        errno.EPERM: "no permission to read it: see who owns it and its folder",
    }.get(number or 0)
    said = getattr(error, "strerror", None) or str(error)
    return AuthDBError(f"{name}: {what or f'it cannot be read: {said}'}")


def _kind(value: object) -> str:
    """What JSON, YAML or TOML call a value that is not a mapping."""
    if value is None:
        return "null"
    return f"a list of {len(value)}" if isinstance(value, list) else shown(value)
