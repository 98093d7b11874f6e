"""What the parsers of several commands share: options that are the same everywhere."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from authdb import arguments
from authdb.progress import say

__all__ = [
    "DATES",
    "LOAD_FORMATS",
    "SHOW_FORMATS",
    "Parser",
    "as_of",
    "command",
    "flag",
    "output",
    "progress",
    "question",
    "text_or_json",
]

LOAD_FORMATS = ("json", "ndjson", "csv", "tsv", "yaml", "toml")
SHOW_FORMATS = ("table", "json", "ndjson", "csv", "tsv", "markdown")
DATES = ("last_update", "last_release", "last_commit")


class Parser(argparse.ArgumentParser):
    """A parser that takes options by their whole names, and tells of a mistake in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        say(f"{' '.join(message.removeprefix('argument ').split())}; see: {self.prog} --help")
        sys.exit(2)


def command(commands: Any, name: str, about: str, more: str = "") -> argparse.ArgumentParser:
    """Add the parser of a command.

    :param about: what it does, in a line without a full stop
    :param more: what else is to be said, in sentences
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}. {more}".strip()
    )
    # --db may stand before the command or after it; SUPPRESS keeps what stood before.
    parser.add_argument(
        "--db", metavar="DIR", default=argparse.SUPPRESS, help="the folder of the database"
    )
    return parser


def flag(
    parser: argparse.ArgumentParser, name: str, about: str, default: bool | None = False
) -> None:
    """A flag that turns on and off; what stands last counts."""
    parser.add_argument(
        f"--{name}", action=argparse.BooleanOptionalAction, default=default, help=about
    )


def progress(parser: argparse.ArgumentParser) -> None:
    """Add ``--progress``."""
    flag(parser, "progress", "show a progress bar; else there is one on a terminal", None)


def question(parser: argparse.ArgumentParser, date_else: str = "last_update") -> None:
    """What says which packages are meant.

    :param date_else: what the options of dates mean without --date
    """
    parser.add_argument("text", metavar="QUERY", nargs="?", help="the query as text")
    date: Any = {"metavar": "DATE", "type": arguments.date}
    parser.add_argument("--before", help="updated before DATE", **date)
    parser.add_argument("--until", help="updated on DATE or before", **date)
    parser.add_argument("--since", help="updated on DATE or later", **date)
    parser.add_argument("--after", help="updated after DATE", **date)
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("FROM", "TO"),
        type=arguments.date,
        help="updated from FROM to TO, both included",
    )
    parser.add_argument(
        "--date",
        choices=DATES,
        default=DATES[0],
        metavar="FIELD",
        help="which date these options mean: last_update, last_release or last_commit; "
        f"{date_else} if not given",
    )
    words: Any = {"metavar": "CATEGORY", "action": "append", "default": []}
    parser.add_argument("--any", help="in at least one of these categories (a,b,...)", **words)
    parser.add_argument("--all", help="in each of these categories (a,b,...)", **words)
    parser.add_argument(
        "--search", metavar="WORDS", help="with these words in the description or title"
    )
    parser.add_argument(
        "--name",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a value for a bare name in QUERY; the safe way to pass what comes from outside",
    )


def output(parser: argparse.ArgumentParser, sort: str | None, default: str) -> None:
    """Add what says in which order, how many, and how packages are shown.

    :param sort: what they are sorted by if that is not said; None where the command decides
    :param default: the same in words
    """
    parser.add_argument(
        "--sort",
        metavar="FIELD",
        default=sort,
        help="last_update, last_release, last_commit, name, license or, with a search, "
        f"relevance; {default}. Packages without a value come last",
    )
    flag(parser, "reverse", "the other way round")
    number: Any = {"metavar": "N", "type": arguments.number}
    parser.add_argument("--limit", help="show N at most", **number)
    parser.add_argument("--offset", default=0, help="leave out the first N", **number)
    parser.add_argument("--columns", metavar="FIELDS", help="which fields to show (a,b,...)")
    parser.add_argument(
        "--format", choices=SHOW_FORMATS, default="table", help="how to write the packages"
    )


def text_or_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--format`` of what is not a list of packages."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="for a person or a program"
    )


def as_of(parser: argparse.ArgumentParser) -> None:
    """Add ``--as-of``."""
    parser.add_argument(
        "--as-of",
        metavar="MOMENT",
        type=arguments.moment,
        help="as it was at a moment: 2024-02-26 (the end of that day, UTC), '2024-02-26 14:30', "
        "'2 weeks ago', or c12, right after that change",
    )
