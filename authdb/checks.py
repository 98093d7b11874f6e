"""The checks of fields, quick where values are of the ordinary kind.

In a file of a million packages nearly all values are: texts that can be stored as they stand, days
and licenses that were there before. What is seen at a glance to be right is taken, and what was
checked before is remembered. All else, and all that is wrong, is left to the field's own check,
so that there is one place that says what is valid.

A value is checked alone (`QUICK`), or many of them together (`COLUMN`), which takes a fifth of the
time: whether a thousand texts can be printed is one question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from authdb.exceptions import InvalidValue
from authdb.fields import Field, kinds
from authdb.models import FIELDS

__all__ = ["COLUMN", "QUICK", "REFUSED"]

#: So many values of a field are remembered, and none that is longer.
_MOST, _LONGEST = 1 << 15, 40

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LINK = re.compile(r"https?://[a-z0-9.-]+(?:/[A-Za-z0-9._~/?=&#%+-]*)?")
#: For kinds of field the pattern of those values that are stored as they stand, and how long they
#: may be; for kinds of text how long that may be.
_OF_PATTERN = {
    kinds.NAME: (_NAME, 200),
    kinds.OTHER_NAME: (_NAME, 200),
    kinds.URL: (_LINK, 2000),
}
_OF_TEXT = {kinds.TITLE: 200, kinds.PROSE: 10_000}


class _Remembered(dict[Any, Any]):
    """What a field's check made of its values so far. Only texts are asked for and kept, or tuples
    of texts: a number would be found where another kind of number was put."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._field = field

    def __missing__(self, value: Any) -> Any:
        stored = self._field.check(value)
        if value is None or (type(value) in (str, tuple) and len(value) <= _LONGEST):
            if len(self) == _MOST:
                self.clear()
            self[value] = stored
        return stored


#: For each field whose values many packages share, those that were checked.
_KNOWN: Mapping[str, _Remembered] = {
    field.name: _Remembered(field)
    for field in FIELDS.values()
    if not (field.structured or field.kind in (*_OF_TEXT, *_OF_PATTERN))
}
_SEVERAL = (kinds.CATEGORIES, kinds.NUMBERS)


def _quick(field: Field) -> Callable[[Any], Any]:
    """As ``field.check``, of values as decoders give them; it may raise an `AttributeError`, a
    `LookupError` or a `TypeError` as well, of values that have to be checked by that."""
    if field.kind in _OF_PATTERN:
        return _of_pattern(*_OF_PATTERN[field.kind], field.check)
    if field.kind in _OF_TEXT:
        return _of_text(_OF_TEXT[field.kind], field.check)
    if field.structured:
        return field.check
    known = _KNOWN[field.name]
    if field.kind in _SEVERAL:
        return lambda value: known[tuple(value)] if type(value) is list else field.check(value)
    return known.__getitem__


def _of_pattern(
    pattern: re.Pattern[str], longest: int, check: Callable[[object], Any]
) -> Callable[[Any], Any]:
    """Texts of that pattern are stored as they stand."""
    fits = pattern.fullmatch
    return lambda value: value if fits(value) and len(value) <= longest else check(value)


def _of_text(longest: int, check: Callable[[object], Any]) -> Callable[[Any], Any]:
    """Texts without line ends are stored without the blanks around them."""

    def quick(value: Any) -> Any:
        text = value.strip()
        # What Python can print has nothing in it that is refused.
        return text if text.isprintable() and 0 < len(text) <= longest else check(value)

    return quick


#: For each field its check, see `_quick`.
QUICK: Mapping[str, Callable[[Any], Any]] = {name: _quick(field) for name, field in FIELDS.items()}

# -- many together ---------------------------------------------------------------------------


def _column(field: Field) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """As `_quick`, of the values of a field in many records, each of a type that it may have or
    None; what it gives is empty where there is no value."""
    column = _column_of(field)
    return _all_there(column) if field.required else column


def _all_there(column: Callable[[Sequence[Any]], Sequence[Any]]) -> Any:
    def whole(values: Sequence[Any]) -> Sequence[Any]:
        found = column(values)
        if not all(found):
            raise LookupError("a record without a value that it needs")
        return found

    return whole


def _column_of(field: Field) -> Callable[[Sequence[Any]], Sequence[Any]]:
    quick = QUICK[field.name]
    if field.kind in _OF_PATTERN:
        return _column_of_pattern(*_OF_PATTERN[field.kind], quick)
    if field.kind in _OF_TEXT:
        return _column_of_text(_OF_TEXT[field.kind], quick)
    if field.structured:
        return lambda values: [() if value is None else quick(value) for value in values]
    known = _KNOWN[field.name].__getitem__
    if field.kind in _SEVERAL:
        return lambda values: list(map(known, [tuple(value or ()) for value in values]))
    return lambda values: list(map(known, values))


def _column_of_pattern(
    pattern: re.Pattern[str], longest: int, quick: Callable[[Any], Any]
) -> Callable[[Sequence[Any]], Sequence[Any]]:
    fit = re.compile(rf"(?:(?:{pattern.pattern})\n)*").fullmatch

    def column(values: Sequence[Any]) -> Sequence[Any]:
        known = list(filter(None, values))
        lines = "\n".join([*known, ""])
        if (
            fit(lines)
            and lines.count("\n") == len(known)
            and max(map(len, known), default=0) <= longest
        ):
            return values
        return [quick(value) if value else None for value in values]

    return column


def _column_of_text(
    longest: int, quick: Callable[[Any], Any]
) -> Callable[[Sequence[Any]], Sequence[Any]]:
    def column(values: Sequence[Any]) -> Sequence[Any]:
        texts = list(map(str.strip, values if all(values) else [value or "" for value in values]))
        if "".join(texts).isprintable() and max(map(len, texts)) <= longest:
            return texts
        return [quick(value) if value else None for value in values]

    return column


#: For each field the check of many values together, see `_column`. There is one value at least.
COLUMN: Mapping[str, Callable[[Sequence[Any]], Sequence[Any]]] = {
    name: _column(field) for name, field in FIELDS.items()
}
#: What such a check raises of a value that has to be looked at more closely.
REFUSED = (AttributeError, InvalidValue, LookupError, TypeError)
