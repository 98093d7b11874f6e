"""The commands that write files: export, publish."""

from __future__ import annotations

from typing import Any

from authdb.parsing.common import LOAD_FORMATS, as_of, command

__all__ = ["add_export", "add_publish"]


def add_export(commands: Any) -> None:
    """Add the parser of ``export``."""
    parser = command(
        commands, "export", "write all packages to a file", "What it writes, load reads back."
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="else standard output")
    parser.add_argument(
        "--format", choices=LOAD_FORMATS, help="else the file's ending tells; json otherwise"
    )
    as_of(parser)


def add_publish(commands: Any) -> None:
    """Add the parser of ``publish``."""
    parser = command(commands, "publish", "write the page that shows the catalogue")
    parser.add_argument("kind", choices=("markdown",), help="what to write")
    parser.add_argument("-o", "--output", metavar="FILE", help="else standard output")
    as_of(parser)
