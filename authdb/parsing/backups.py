"""The commands for backups: backup, restore."""

from __future__ import annotations

from typing import Any

from authdb import arguments
from authdb.parsing.common import command, flag, progress

__all__ = ["add_backup", "add_restore"]


def add_backup(commands: Any) -> None:
    """Add the parser of ``backup``."""
    parser = command(
        commands,
        "backup",
        "add what is new to the backups in a folder",
        "It may run beside a writer. The folder holds repositories of ZODB's repozo.",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder of the backups")
    flag(parser, "full", "write all of it, not only what is new")
    flag(
        parser, "verify", "then prove it: hold every piece against its checksum, restore and check"
    )
    progress(parser)


def add_restore(commands: Any) -> None:
    """Add the parser of ``restore``."""
    parser = command(
        commands,
        "restore",
        "make a database of the backups in a folder",
        "Where there is a database already, it is not replaced: move it away first.",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder of the backups")
    parser.add_argument(
        "--as-of",
        metavar="MOMENT",
        type=arguments.time,
        help="the newest backup that was made by then",
    )
    progress(parser)
