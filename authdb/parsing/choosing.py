"""The command that chooses: choose."""

from __future__ import annotations

from typing import Any

from authdb import arguments
from authdb.parsing.common import as_of, command, text_or_json

__all__ = ["add_choose"]


def add_choose(commands: Any) -> None:
    """Add the parser of ``choose``."""
    parser = command(
        commands,
        "choose",
        "say which package to use for what is needed, and why",
        "What fails a requirement, is replaced, or cannot be installed beside today's Django REST "
        "Framework is not offered. The others are ordered by the number of reasons for them less "
        "that of reasons against them: each counts one, and what is not known counts nothing. "
        "Ends with status 1 if nothing fits.",
    )
    parser.add_argument(
        "--need",
        metavar="CATEGORY",
        action="append",
        default=[],
        help="a category that it has to have (a,b,...); may be given several times",
    )
    parser.add_argument(
        "--django",
        metavar="VERSION",
        help="the Django that it has to run with, such as 5.2; today's if not given",
    )
    parser.add_argument(
        "--python", metavar="VERSION", help="the Python that it has to run with, such as 3.13"
    )
    parser.add_argument(
        "--within",
        metavar="TIME",
        type=arguments.span,
        help="how long ago its last update may be: 90d, 18mo, '2 years'",
    )
    parser.add_argument(
        "--license",
        metavar="LICENSES",
        help="permissive, copyleft, or SPDX ids such as MIT,BSD-3-Clause; one of them is enough",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=arguments.number,
        default=5,
        help="offer N at most; 5 if not given",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say of each package that is not offered which requirements it fails",
    )
    text_or_json(parser)
    as_of(parser)
