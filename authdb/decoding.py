"""JSON, YAML and TOML -> plain values, bounded, with the place of what is wrong.

The decoders are msgspec's, libyaml's and Python's own. What is ours is the bounds, without which
a file of a few kilobytes takes minutes or gigabytes, and saying on which line a mistake is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from authdb.exceptions import shown

__all__ = ["BOM", "DEPTH", "DOCUMENT", "DOTS", "Malformed", "decode", "json_reason", "malformed"]

#: How deep lists and mappings nest in YAML, where libyaml takes quadratic time to go deeper, and
#: how many dots a key of TOML has, of which tomllib also takes quadratic memory: a key of 200 kB
#: takes gigabytes.
DEPTH = 100
DOTS = 10

#: The mark that some editors put at the beginning of a file.
BOM = b"\xef\xbb\xbf"
#: How a message calls the whole of a file.
DOCUMENT = "the document"

# The tokens of TOML, as far as needed to tell the dots of keys from those of strings and comments.
# No alternative can fail after it has gone far: that would make the time quadratic.
_TOML_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?(?:"{3,5}|\Z)|"(?:[^"\\\n]|\\.)*"?|[\w-]+|[ \t]+'''
    r"""|'''.*?(?:'{3,5}|\Z)|'[^'\n]*'?|(?P<dot>\.)|(?P<end>\#[^\n]*|.)""",
    re.DOTALL,
)


class Malformed(Exception):
    """A document that cannot be read any further: where, and why."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason


def malformed(where: str, reason: str) -> NoReturn:
    """Raise `Malformed`, without the error of the decoder."""
    raise Malformed(where, reason) from None


def decode(form: str, data: bytes) -> object:
    """The value of a document.

    :param form: ``json``, ``yaml`` or ``toml``
    :param data: UTF-8, with or without a mark at its beginning
    :raises Malformed: it is none of that format, or beyond the bounds
    """
    return _DECODERS[form](_utf8(data))


def _utf8(data: bytes) -> str:
    try:
        return data.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        # After a mark that was taken away, offsets are smaller; lines are the same.
        malformed(_line(data, error.start), "not UTF-8: save the file as UTF-8")


def _line(data: bytes, offset: int) -> str:
    return f"line {data.count(bytes([10]), 0, offset) + 1}"


def _json(text: str) -> object:
    from msgspec import DecodeError
    from msgspec.json import decode as from_json

    try:
        return from_json(text)
    except (DecodeError, RecursionError) as error:
        reason, offset = json_reason(error)
        where = DOCUMENT if offset is None else _line(text.encode(), offset)
        malformed(where, reason)


def json_reason(error: Exception) -> tuple[str, int | None]:
    """What is wrong with the JSON, and at which byte where that is known."""
    if isinstance(error, RecursionError):
        return "not JSON that can be read: it is nested too deeply", None
    match = re.fullmatch(r"(.*) \(byte ([0-9]+)\)", str(error), re.DOTALL)
    said = match[1] if match else str(error)
    said = said.removeprefix("JSON is malformed: ").replace(
        "Input data was truncated", "it ends too early"
    )
    return f"not JSON: {said}", int(match[2]) if match else None


def _toml(text: str) -> object:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    _shallow(text)
    try:
        return tomllib.loads(text)
    except RecursionError:
        malformed(DOCUMENT, "not TOML that can be read: it is nested too deeply")
    except ValueError as error:  # also an int of thousands of digits
        said = str(error)
        match = re.fullmatch(r"(.*) \(at (line [0-9]+|end).*\)", said, re.DOTALL)
        if match is None:
            malformed(DOCUMENT, f"not TOML: {said}")
        where = "the end" if match[2] == "end" else match[2]
        malformed(where, f"not TOML: {match[1]}")


def _shallow(text: str) -> None:
    """Refuse TOML with a key of too many dots."""
    if max(line.count(".") for line in text.split("\n")) <= DOTS:
        return  # as in any file but one with long texts
    dots = 0
    for token in _TOML_TOKEN.finditer(text):
        if token.lastgroup == "end":
            dots = 0
        elif token.lastgroup == "dot":
            dots += 1
            if dots > DOTS:
                line = text.count("\n", 0, token.start()) + 1
                malformed(f"line {line}", f"a key has more than {DOTS} dots")


def _yaml(text: str) -> object:
    """The value of a YAML document, in which every scalar but null is text.

    So that a version 1.10 stays one, ``no`` is a word, and a day that the calendar does not have
    is the field's problem. Aliases are refused: a few lines of them stand for gigabytes.
    """
    import yaml
    from yaml.reader import ReaderError

    try:
        return _built(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except ReaderError as error:
        where = _line(text.encode(), error.position)
        malformed(where, f"not YAML: the character U+{error.character:04X} is not allowed")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = DOCUMENT if mark is None else f"line {mark.line + 1}"
        if "nesting depth" in str(error.problem):  # PyYAML has a bound of its own from 6.0.4 on
            malformed(where, f"nested more than {DEPTH} deep")
        malformed(where, f"not YAML: {error.problem or error.context}")


def _built(events: Iterable[Any]) -> object:
    """What a stream of YAML events stands for."""
    import yaml

    # Each collection that is open: the line where it begins, and what is in it so far.
    stack: list[tuple[int, list[Any]]] = [(0, [])]
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            _untagged(event, line)
            null = not event.style and event.value in ("", "~", "null", "Null", "NULL")
            stack[-1][1].append(None if null else event.value)
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            _untagged(event, line)
            if len(stack) > DEPTH:
                malformed(f"line {line}", f"nested more than {DEPTH} deep")
            stack.append((line, []))
        elif isinstance(event, yaml.SequenceEndEvent):
            value: Any = stack.pop()[1]
            stack[-1][1].append(value)
        elif isinstance(event, yaml.MappingEndEvent):
            value = _mapping(*stack.pop())
            stack[-1][1].append(value)
        elif isinstance(event, yaml.AliasEvent):
            malformed(f"line {line}", f"*{event.anchor}: write out what it stands for")
        elif isinstance(event, yaml.DocumentStartEvent) and stack[0][1]:
            malformed(f"line {line}", "a second document begins: a file has one")
    return stack[0][1][0] if stack[0][1] else None


def _untagged(event: Any, line: int) -> None:
    if event.tag is not None:
        malformed(f"line {line}", f"a tag is not read: take {shown(event.tag)} out")


def _mapping(line: int, parts: list[Any]) -> dict[str, Any]:
    """A mapping, from its keys and values in turn."""
    found: dict[str, Any] = {}
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        if not isinstance(key, str):
            malformed(f"line {line}", f"a key is text, got {shown(key)}")
        if key in found:
            malformed(f"line {line}", f"the mapping that begins here has {shown(key)} twice")
        found[key] = value
    return found


_DECODERS: Mapping[str, Callable[[str], object]] = {"json": _json, "yaml": _yaml, "toml": _toml}
