"""The commands that look at the past, and bring it back: log, diff, undo."""

from __future__ import annotations

from typing import Any

from authdb import arguments
from authdb.parsing.common import as_of, command, flag, text_or_json

__all__ = ["add_diff", "add_log", "add_undo"]


def add_log(commands: Any) -> None:
    """Add the parser of ``log``."""
    parser = command(
        commands,
        "log",
        "tell what was changed, the newest change first",
        "With NAME, what was done to that package, field by field, also under former names. "
        "All times are in UTC.",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the name of a package")
    number: Any = {"metavar": "N", "type": arguments.number}
    parser.add_argument("--limit", default=20, help="show N at most", **number)
    parser.add_argument("--offset", default=0, help="leave out the first N", **number)
    text_or_json(parser)
    as_of(parser)


def add_diff(commands: Any) -> None:
    """Add the parser of ``diff``."""
    parser = command(
        commands,
        "diff",
        "tell what differs between two moments",
        "Packages added, removed and changed, field by field; and those that went stale in the "
        "meantime. A moment is written as for --as-of.",
    )
    parser.add_argument("start", metavar="FROM", type=arguments.moment, help="a moment")
    parser.add_argument(
        "end", metavar="TO", type=arguments.moment, nargs="?", help="a later one; else now"
    )
    parser.add_argument(
        "--stale",
        metavar="SPAN",
        type=arguments.span,
        default="2y",
        help="how long without an update makes a package stale",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "markdown"),
        default="table",
        help="for a person, a program, or a report",
    )


def add_undo(commands: Any) -> None:
    """Add the parser of ``undo``."""
    parser = command(
        commands,
        "undo",
        "put the packages that one change touched back as they were",
        "That is a change too: undone, it restores. Packages changed since are named and left "
        "alone; the status is 1 then. On a terminal you are asked first.",
    )
    parser.add_argument(
        "change",
        metavar="CHANGE",
        nargs="?",
        type=arguments.change,
        help="such as c12; else the newest",
    )
    flag(parser, "force", "also put back packages that were changed since")
    flag(parser, "dry-run", "only say what would be done")
    flag(parser, "yes", "do not ask")
    parser.add_argument("--note", metavar="TEXT", help="what is done, for the history")
