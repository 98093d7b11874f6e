"""The command that looks into files from strangers: inspect."""

from __future__ import annotations

from typing import Any

from authdb.parsing.common import LOAD_FORMATS, command, progress

__all__ = ["add_inspect"]


def add_inspect(commands: Any) -> None:
    """Add the parser of ``inspect``."""
    parser = command(
        commands,
        "inspect",
        "look into an objects file that a stranger made",
        "It is scanned before anything is read of it, and refused if it would run code. Nothing "
        "is written, and no other file is looked at. To take the packages over: "
        "authdb inspect FILE --format ndjson | authdb load - --format ndjson.",
    )
    parser.add_argument("file", metavar="FILE", help="the file, such as data.fs")
    parser.add_argument(
        "--format",
        choices=("text", *LOAD_FORMATS),
        default="text",
        help="what is in it in words, or all its packages in a format that load reads",
    )
    progress(parser)
