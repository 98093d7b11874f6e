"""The command that brings facts up to date: refresh."""

from __future__ import annotations

from typing import Any

from authdb import arguments
from authdb.parsing.common import command, flag, progress

__all__ = ["add_refresh"]


def add_refresh(commands: Any) -> None:
    """Add the parser of ``refresh``."""
    parser = command(
        commands,
        "refresh",
        "bring facts up to date from the package index and the hosts of repositories",
        "Releases, versions, what is required and declared, vulnerabilities, and whether a project "
        "is deprecated or archived; all that changed is one change, which can be undone. The "
        "title, description and categories stay as they are, a license and links too, where a "
        "person gave them. GitHub and GitLab answer more often with a token, in GITHUB_TOKEN or "
        "GITLAB_TOKEN. The status is 1 if something could not be heard of a package.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="the name of a package; else all")
    parser.add_argument(
        "--index-url",
        metavar="BASE",
        help="the package index, which answers at BASE/NAME/json; else AUTHDB_INDEX_URL, else PyPI",
    )
    parser.add_argument(
        "--since",
        metavar="SPAN",
        type=arguments.span,
        help="leave out the packages asked about so short a while ago, such as 1d",
    )
    flag(parser, "repositories", "ask the hosts of repositories too (they are, if not told)", True)
    flag(parser, "dry-run", "show what would change, and write nothing")
    parser.add_argument(
        "--save",
        metavar="EDITION",
        nargs="?",
        const="",
        help="record the facts beside that edition of the list too, and move its day; if no file "
        "is named, of that which comes with authdb, in a checkout of it",
    )
    parser.add_argument("--note", metavar="TEXT", help="what is done, for the history")
    parser.add_argument(
        "--at-once",
        metavar="N",
        type=arguments.number,
        default=10,
        help="so many requests at once; 10 if not given",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long a server may be silent; 10 if not given",
    )
    progress(parser)
