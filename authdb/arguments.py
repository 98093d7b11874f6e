"""The kinds of argument on the command line: each reads a text, or says what is wrong with it.

Moments, spans and changes are handed on as they are written, and read again by the database:
what is wrong with them is to be told before one is opened.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["change", "date", "moment", "number", "span", "time"]


def number(text: str) -> int:
    """A number from 0 on."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"a number from 0 on belongs here, not {text[:40]!r}")
    return int(text) if len(text) < 19 else sys.maxsize


def date(text: str) -> Any:
    """A date as precisely as it is known: see `authdb.dates.parse_date`."""
    from authdb.dates import parse_date

    try:
        return parse_date(text)
    except ValueError as error:
        given = "" if "calendar" in str(error) else f", not {text[:40]!r}"
        raise argparse.ArgumentTypeError(f"{error}{given}") from None


def moment(text: str) -> str:
    """The text of a moment, as it is."""
    time(text, any_kind=True)
    return text


def time(text: str, any_kind: bool = False) -> Any:
    """The end of a date or a time, in UTC; or any moment."""
    from datetime import datetime

    from authdb.moments import parse_moment

    try:
        moment = parse_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not (any_kind or isinstance(moment, datetime)):
        raise argparse.ArgumentTypeError(f"a date or a time belongs here, not {text[:40]!r}")
    return moment


def span(text: str) -> str:
    """The text of a length of time, as it is."""
    from authdb.moments import parse_span

    return _as_it_is(text, parse_span)


def change(text: str) -> str:
    """The text that names a change, as it is."""
    from authdb.moments import parse_change

    return _as_it_is(text, parse_change)


def _as_it_is(text: str, parse: Callable[[str], object]) -> str:
    try:
        parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, not {text[:40]!r}") from None
    return text
