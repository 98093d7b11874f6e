"""The commands that count: facets, histogram."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from authdb.columns import DATES, KEYWORDS
from authdb.commands.asking import question
from authdb.commands.common import opened, plural
from authdb.counting import Counts
from authdb.exceptions import AuthDBError, nearest
from authdb.output import text_out

__all__ = ["do_facets", "do_histogram"]


def do_facets(options: argparse.Namespace) -> int:
    """Count the packages that match by category or licence."""
    field = _what(options, KEYWORDS, KEYWORDS[0])
    asked, names = question(options)
    with opened(options) as db:
        counts = db.facets(field, asked, names=names)
    _write(counts, field, "(none)" if field == "categories" else "(unknown)", options.format)
    return 0


def do_histogram(options: argparse.Namespace) -> int:
    """Count the packages that match by year or month."""
    field = _what(options, DATES, options.date or DATES[0])
    options.date = options.date or field
    asked, names = question(options)
    with opened(options) as db:
        counts = db.histogram(field, options.by, asked, names=names)
    if options.format == "text":
        counts = Counts(_filled(counts).items(), counts.total, counts.without)
    _write(counts, field, "(unknown)", options.format)
    return 0


def _what(options: argparse.Namespace, fields: tuple[str, ...], default: str) -> str:
    """The field to count by. Where only one text is given it can be the query instead."""
    field: str = options.field or default
    if field in fields:
        return field
    if options.text is None and not field.replace("-", "_").isidentifier():
        options.text = field
        return default
    raise AuthDBError(
        f"{field[:60]!r} is nothing to count by{nearest(field[:60], fields)}; there are: "
        f"{', '.join(fields)}"
    )


def _write(counts: Counts, field: str, nothing: str, form: str) -> None:
    if form == "json":
        import json

        about: dict[str, Any] = {"field": field, "packages": counts.total}
        about |= {"without": counts.without, "counts": counts}
        json.dump(about, sys.stdout, indent=2, ensure_ascii=False)
        print()
    elif form == "csv":
        import csv

        out = csv.writer(text_out(), lineterminator="\n")
        out.writerow((field, "packages"))
        out.writerows(counts.items())
        if counts.without:
            out.writerow(("", counts.without))
    else:
        from authdb.tables import bars

        missing = [(nothing, counts.without)] if counts.without else []
        if counts or missing:
            bars((field, "packages"), list(counts.items()), missing, sys.stdout)
        print(plural(counts.total))


def _filled(counts: Counts) -> dict[str, int]:
    """The counts with the periods between in which there is none, unless most would be so."""
    if not counts:
        return {}
    first, last = (list(map(int, key.split("-"))) for key in (min(counts), max(counts)))
    if len(first) == 1:
        periods = [f"{year:04}" for year in range(first[0], last[0] + 1)]
    else:
        months = range(first[0] * 12 + first[1] - 1, last[0] * 12 + last[1])
        periods = [f"{month // 12:04}-{month % 12 + 1:02}" for month in months]
    if len(periods) > 4 * len(counts) + 24:
        return counts
    return {period: counts.get(period, 0) for period in periods}
