"""The commands that keep a database well: check, recover, reindex, copy, pack."""

from __future__ import annotations

from typing import Any

from authdb import arguments
from authdb.parsing.common import command, flag, progress

__all__ = ["add_check", "add_copy", "add_pack", "add_recover", "add_reindex"]


def add_check(commands: Any) -> None:
    """Add the parser of ``check``."""
    parser = command(
        commands,
        "check",
        "hold packages and catalog against each other",
        "Every package is read and held against its digest, every index against the packages. "
        "The status is 1 if anything is wrong.",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="build the catalog anew if it is wrong; accept that the objects have lost their "
        "last changes, if they have",
    )
    progress(parser)


def add_recover(commands: Any) -> None:
    """Add the parser of ``recover``."""
    parser = command(
        commands,
        "recover",
        "make a new database of what can be read of a damaged one",
        "The damaged one is left as it is. Each package is taken in its newest state that is "
        "whole; which ones were lost, and which are older than they were, is told.",
    )
    parser.add_argument("target", metavar="NEW", help="the folder of the new database")


def add_reindex(commands: Any) -> None:
    """Add the parser of ``reindex``."""
    progress(command(commands, "reindex", "build the catalog anew from the packages"))


def add_copy(commands: Any) -> None:
    """Add the parser of ``copy``."""
    parser = command(
        commands,
        "copy",
        "make a new database of the packages as they are now",
        "The new one has none of the history. A copy with the history is a backup.",
    )
    parser.add_argument("target", metavar="NEW", help="the folder of the new database")
    progress(parser)


def add_pack(commands: Any) -> None:
    """Add the parser of ``pack``."""
    parser = command(
        commands,
        "pack",
        "give back the room that earlier states take",
        "Which history will be gone is said first, and on a terminal you are asked. What the "
        "files were before is kept beside them, with the ending .old.",
    )
    parser.add_argument(
        "--keep",
        metavar="SPAN",
        type=arguments.span,
        help="keep the history of that time, such as 90d",
    )
    flag(parser, "dry-run", "only say which history would be gone")
    flag(parser, "yes", "do not ask")
    progress(parser)
