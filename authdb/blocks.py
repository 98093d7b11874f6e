"""Many records of NDJSON at a time: decoded together, and checked column by column.

Only where every record of a block is right. Of any other nothing is said here: its lines are read
again one by one, by `authdb.loaders`, which says what is wrong with which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from authdb.checks import COLUMN, REFUSED
from authdb.fields import kinds
from authdb.models import FIELDS, later

__all__ = ["Block", "block_in"]


class Block(NamedTuple):
    """Records that are right.

    ``numbers`` are those of their lines; ``spelled`` is each name as the file has it. ``columns``
    has of each field that one of them has (in place of ``last_update``, ``stated_update``: see
    `authdb.models.state_of`) the values of all, in their stored form; None or an empty one where
    there is none.
    """

    numbers: range
    spelled: Sequence[str]
    columns: Mapping[str, Sequence[Any]]


def block_in(data: bytes, first: int) -> Block | None:
    """The records in ``data``, whole lines of which the first has the number ``first``; None where
    one of them may not be right."""
    from msgspec import DecodeError

    try:
        found = _decoder().decode_lines(data)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    ends = data.count(b"\n")
    # Else the decoder would also take two records on one line, or a record on two.
    if len(found) != ends + (not data.endswith(b"\n")) or not found:
        return None
    between = data.count(b"}\n{") + (data.count(b"}\r\n{") if b"\r" in data else 0)
    if len(found) != 1 + between:
        return None
    given = dict(zip(FIELDS, zip(*map(_values(), found), strict=True), strict=True))
    columns = _checked(given)
    return (
        None if columns is None else Block(range(first, first + len(found)), given["name"], columns)
    )


def _checked(given: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]] | None:
    try:
        columns = {
            name: COLUMN[name](values)
            for name, values in given.items()
            if any(values) or set(map(type, values)) != {type(None)}
        }
    except REFUSED:
        return None
    updates = columns.pop("last_update", None)
    if updates is None:
        return columns
    stated = _stated(updates, columns)
    if stated is None:
        return None
    columns["stated_update"] = stated
    return columns


def _stated(updates: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> list[Any] | None:
    """The days that are stated outright; None where one contradicts the other two dates."""
    nothing = [None] * len(updates)
    known = map(later, columns.get("last_commit", nothing), columns.get("last_release", nothing))
    pairs = list(zip(updates, known, strict=True))
    if any(update and day and update != day for update, day in pairs):
        return None
    return [None if day else update for update, day in pairs]


@cache
def _decoder() -> Any:
    """Decodes records as objects with an attribute for each field."""
    from msgspec import defstruct
    from msgspec.json import Decoder

    fields = [(name, *_type(name)) for name in FIELDS]
    # What it makes refers to nothing that refers back: nobody need look for garbage in it.
    return Decoder(defstruct("Record", fields, forbid_unknown_fields=True, gc=False, kw_only=True))


def _type(name: str) -> tuple[Any, ...]:
    """The type of a field in JSON, and the value of what is not there; where it has another, the
    field's own check says whether that will do."""
    field = FIELDS[name]
    if field.required:
        return (str,)
    if field.structured:
        return Any, None
    if field.kind in (kinds.CATEGORIES, kinds.NUMBERS):
        return list[str] | None, None
    return str | None, None


@cache
def _values() -> Any:
    """All the values of such a record, in the order of `FIELDS`."""
    from msgspec.structs import astuple

    return astuple
