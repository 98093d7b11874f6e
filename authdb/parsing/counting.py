"""The commands that count: facets, histogram."""

from __future__ import annotations

import argparse
from typing import Any

from authdb.parsing.common import as_of, command, question

__all__ = ["add_facets", "add_histogram"]


def add_facets(commands: Any) -> None:
    """Add the parser of ``facets``."""
    parser = command(
        commands,
        "facets",
        "count the packages that match by category or licence",
        "On a terminal it draws a bar chart. A package with several categories counts in each. "
        "Which packages match is said as in query; all of them if nothing is.",
    )
    parser.add_argument(
        "field",
        metavar="FIELD",
        nargs="?",
        help="categories (if not given) or license",
    )
    question(parser)
    _count_format(parser)
    as_of(parser)


def add_histogram(commands: Any) -> None:
    """Add the parser of ``histogram``."""
    parser = command(
        commands,
        "histogram",
        "count the packages that match by year or month",
        "On a terminal it draws a bar chart. A date that is known to the month or the year counts "
        "at its first day. Which packages match is said as in query; all of them if nothing is.",
    )
    parser.add_argument(
        "field",
        metavar="DATE-FIELD",
        nargs="?",
        help="last_update, last_release or last_commit; if not given that of --date",
    )
    parser.add_argument(
        "--by", choices=("year", "month"), default="year", help="a bar a year, or a month"
    )
    question(parser, "DATE-FIELD")
    parser.set_defaults(date=None)
    _count_format(parser)
    as_of(parser)


def _count_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("text", "json", "csv"),
        default="text",
        help="for a person, a program, or a spreadsheet",
    )
