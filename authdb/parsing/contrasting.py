"""The command that sets packages side by side: compare."""

from __future__ import annotations

from typing import Any

from authdb.parsing.common import as_of, command

__all__ = ["add_compare"]


def add_compare(commands: Any) -> None:
    """Add the parser of ``compare``."""
    parser = command(
        commands,
        "compare",
        "show packages side by side, a row a fact",
        "Facts that differ are marked; what is not known is shown as such, and differs from what "
        "is known.",
    )
    parser.add_argument(
        "names", metavar="NAME", nargs="+", help="the name of a package; at least two of them"
    )
    parser.add_argument(
        "--all", action="store_true", help="also the facts that are not known of any of them"
    )
    parser.add_argument("--only-differences", action="store_true", help="only facts that differ")
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "json"),
        default="table",
        help="for a person, a page, or a program",
    )
    as_of(parser)
