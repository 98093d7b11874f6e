"""The commands that watch over packages: stale, audit."""

from __future__ import annotations

import argparse
from typing import Any

from authdb import arguments
from authdb.parsing.common import as_of, command, progress, text_or_json

__all__ = ["add_audit", "add_stale"]


def add_stale(commands: Any) -> None:
    """Add the parser of ``stale``."""
    parser = command(
        commands,
        "stale",
        "list the packages without an update for long",
        "The one updated longest ago comes first. Packages without a date are only counted. The "
        "status is 1 if there is any, 0 if there is none.",
    )
    _older_than(parser)
    text_or_json(parser)
    as_of(parser)


def add_audit(commands: Any) -> None:
    """Add the parser of ``audit``."""
    parser = command(
        commands,
        "audit",
        "tell which packages give cause for concern",
        "The kinds of concern: stale, replaced, deprecated, archived, gone, quarantined, "
        "withdrawn, vulnerable, uninstallable (its requirements exclude today's Django or Django "
        "REST Framework), inactive; with --links also dead and moved. What is not known is no "
        "concern, but counted. The status is 1 if there is any concern, 0 if there is none.",
    )
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="the name of a package; else all are looked at"
    )
    _older_than(parser)
    kinds: Any = {"action": "append", "default": []}
    parser.add_argument("--only", metavar="KINDS", help="only these kinds (a,b,...)", **kinds)
    parser.add_argument(
        "--ignore",
        metavar="KINDS",
        help="accept these kinds (a,b,...); with a name, as in hawkrest:stale, only for that "
        "package",
        **kinds,
    )
    parser.add_argument(
        "--links",
        action="store_true",
        help="ask the links of the packages, each once, whether they still lead somewhere",
    )
    progress(parser)
    text_or_json(parser)
    as_of(parser)


def _older_than(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="SPAN",
        type=arguments.span,
        default="2y",
        help="how long without an update makes a package stale",
    )
