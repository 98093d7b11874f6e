"""The commands that ask: query, list, show, stats, shell."""

from __future__ import annotations

from typing import Any

from authdb import arguments
from authdb.parsing.common import as_of, command, flag, output, question, text_or_json

__all__ = ["add_list", "add_query", "add_shell", "add_show", "add_stats"]


def add_query(commands: Any) -> None:
    """Add the parser of ``query``."""
    parser = command(
        commands,
        "query",
        "list the packages that match",
        "A query is written as in last_update < '2020' and 'oauth2' in categories. Options and "
        "text may be combined: a package has to match all of them. A year or a month alone is "
        "the whole of it.",
    )
    question(parser)
    output(parser, None, "the date that is asked for if not given, or with --search relevance")
    as_of(parser)
    parser.add_argument(
        "--fail-empty", action="store_true", help="end with status 1 if nothing matches"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print how the question is answered and how long that takes, not the packages",
    )


def add_list(commands: Any) -> None:
    """Add the parser of ``list``."""
    parser = command(commands, "list", "list all packages")
    output(parser, "name", "name if not given")
    as_of(parser)


def add_show(commands: Any) -> None:
    """Add the parser of ``show``."""
    parser = command(commands, "show", "show all that is known of a package")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the name of a package")
    text_or_json(parser)
    parser.add_argument(
        "--released-by",
        metavar="DATE",
        type=arguments.date,
        help="only the last final release on that day or before; the status is 1 if there is none",
    )
    as_of(parser)


def add_stats(commands: Any) -> None:
    """Add the parser of ``stats``."""
    parser = command(commands, "stats", "count packages by category, year and licence")
    text_or_json(parser)
    as_of(parser)


def add_shell(commands: Any) -> None:
    """Add the parser of ``shell``."""
    parser = command(
        commands,
        "shell",
        "open a Python shell with the database",
        "It is read-only unless --write is given.",
    )
    flag(parser, "write", "open the database for writing")
    parser.add_argument("-c", dest="code", metavar="CODE", help="run this code and end")
    as_of(parser)
