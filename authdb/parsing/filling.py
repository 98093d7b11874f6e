"""The commands that fill a database: init, load, remove."""

from __future__ import annotations

from typing import Any

from authdb.parsing.common import LOAD_FORMATS, command, flag, progress

__all__ = ["add_init", "add_load", "add_remove"]


def add_init(commands: Any) -> None:
    """Add the parser of ``init``."""
    parser = command(commands, "init", "make a new database")
    parser.add_argument(
        "--with-list",
        metavar="EDITION",
        nargs="?",
        const="today",
        help="load the curated list that comes with authdb: the edition 'today' (the default) "
        "or '2024-02-26'",
    )


def add_load(commands: Any) -> None:
    """Add the parser of ``load``."""
    parser = command(
        commands,
        "load",
        "load packages from files, all or nothing",
        "The files hold one record a package, with the names of the fields; CSV and TSV begin "
        "with a line of them. A file of an edition of the curated list can be loaded too. Where "
        "there is no database, one is made.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file, or - for standard input")
    parser.add_argument(
        "--format", choices=LOAD_FORMATS, help="of all the files; else each one's ending tells"
    )
    parser.add_argument(
        "--on-conflict",
        choices=("update", "replace", "ignore", "error"),
        default="update",
        metavar="HOW",
        help="for packages that are there already: 'update' the fields that the record names "
        "(the default), 'replace' them whole, 'ignore' the record, or refuse with an 'error'",
    )
    parser.add_argument("--note", metavar="TEXT", help="what is done, for the history")
    flag(parser, "dry-run", "check and count, and change nothing")
    progress(parser)


def add_remove(commands: Any) -> None:
    """Add the parser of ``remove``."""
    parser = command(commands, "remove", "remove packages, all or none")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the name of a package")
    parser.add_argument("--note", metavar="TEXT", help="what is done, for the history")
