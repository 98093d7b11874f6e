"""The command line: what can be typed."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from authdb import arguments
from authdb.progress import say

__all__ = ["build_parser"]

LOAD_FORMATS = ("json", "ndjson", "csv", "tsv", "yaml", "toml")
SHOW_FORMATS = ("table", "json", "ndjson", "csv", "tsv", "markdown")
DATES = ("last_update", "last_release", "last_commit")


class _Parser(argparse.ArgumentParser):
    """A parser that takes options by their whole names, and tells of a mistake in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        say(f"{' '.join(message.removeprefix('argument ').split())}; see: {self.prog} --help")
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    """The whole of the command line."""
    parser = _Parser(
        prog="authdb",
        description="A catalogue of the authentication packages for Django REST Framework: "
        "which one to use, and whether it is still alive.",
        epilog="The database is the folder given with --db, else the one in AUTHDB_PATH, else "
        "one in your own data folder.",
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("--db", metavar="DIR", help="the folder of the database")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for add in (
        _init, _load, _query, _list, _show, _stats, _facets, _histogram, _shell, _export, _publish,
        _remove, _log, _diff, _undo, _check, _recover, _reindex, _copy, _pack, _backup, _restore,
        _inspect,
    ):  # fmt: skip
        add(commands)
    return parser


def _version() -> str:
    from authdb._version import VERSION

    return f"authdb {VERSION}"


def _command(commands: Any, name: str, about: str, more: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}. {more}".strip()
    )
    # --db may stand before the command or after it; SUPPRESS keeps what stood before.
    parser.add_argument(
        "--db", metavar="DIR", default=argparse.SUPPRESS, help="the folder of the database"
    )
    return parser


def _init(commands: Any) -> None:
    parser = _command(commands, "init", "make a new database")
    parser.add_argument(
        "--with-list",
        metavar="EDITION",
        nargs="?",
        const="today",
        help="load the curated list that comes with authdb: the edition 'today' (the default) "
        "or '2024-02-26'",
    )


def _load(commands: Any) -> None:
    parser = _command(
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
    _flag(parser, "dry-run", "check and count, and change nothing")
    _progress(parser)


def _progress(parser: argparse.ArgumentParser) -> None:
    _flag(parser, "progress", "show a progress bar; else there is one on a terminal", None)


def _query(commands: Any) -> None:
    parser = _command(
        commands,
        "query",
        "list the packages that match",
        "A query is written as in last_update < '2020' and 'oauth2' in categories. Options and "
        "text may be combined: a package has to match all of them. A year or a month alone is "
        "the whole of it.",
    )
    _question(parser)
    _output(parser, None, "the date that is asked for if not given, or with --search relevance")
    _as_of(parser)
    parser.add_argument(
        "--fail-empty", action="store_true", help="end with status 1 if nothing matches"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print how the question is answered and how long that takes, not the packages",
    )


def _question(parser: argparse.ArgumentParser, date_else: str = "last_update") -> None:
    """What says which packages are meant.

    :param date_else: what the options of dates mean without --date
    """
    parser.add_argument("text", metavar="QUERY", nargs="?", help="the query as text")
    date: Any = {"metavar": "DATE", "type": arguments.date}
    parser.add_argument("--before", help="updated before DATE", **date)
    parser.add_argument("--until", help="updated on DATE or before", **date)
    parser.add_argument("--since", help="updated on DATE or later", **date)
    parser.add_argument("--after", help="updated after DATE", **date)
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("FROM", "TO"),
        type=arguments.date,
        help="updated from FROM to TO, both included",
    )
    parser.add_argument(
        "--date",
        choices=DATES,
        default=DATES[0],
        metavar="FIELD",
        help="which date these options mean: last_update, last_release or last_commit; "
        f"{date_else} if not given",
    )
    words: Any = {"metavar": "CATEGORY", "action": "append", "default": []}
    parser.add_argument("--any", help="in at least one of these categories (a,b,...)", **words)
    parser.add_argument("--all", help="in each of these categories (a,b,...)", **words)
    parser.add_argument(
        "--search", metavar="WORDS", help="with these words in the description or title"
    )
    parser.add_argument(
        "--name",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a value for a bare name in QUERY; the safe way to pass what comes from outside",
    )


def _list(commands: Any) -> None:
    parser = _command(commands, "list", "list all packages")
    _output(parser, "name", "name if not given")
    _as_of(parser)


def _show(commands: Any) -> None:
    parser = _command(commands, "show", "show all that is known of a package")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the name of a package")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="for a person or a program"
    )
    _as_of(parser)


def _remove(commands: Any) -> None:
    parser = _command(commands, "remove", "remove packages, all or none")
    parser.add_argument("names", metavar="NAME", nargs="+", help="the name of a package")
    parser.add_argument("--note", metavar="TEXT", help="what is done, for the history")


def _check(commands: Any) -> None:
    parser = _command(
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
    _progress(parser)


def _reindex(commands: Any) -> None:
    _progress(_command(commands, "reindex", "build the catalog anew from the packages"))


def _recover(commands: Any) -> None:
    parser = _command(
        commands,
        "recover",
        "make a new database of what can be read of a damaged one",
        "The damaged one is left as it is. Each package is taken in its newest state that is "
        "whole; which ones were lost, and which are older than they were, is told.",
    )
    parser.add_argument("target", metavar="NEW", help="the folder of the new database")


def _copy(commands: Any) -> None:
    parser = _command(
        commands,
        "copy",
        "make a new database of the packages as they are now",
        "The new one has none of the history. A copy with the history is a backup.",
    )
    parser.add_argument("target", metavar="NEW", help="the folder of the new database")
    _progress(parser)


def _pack(commands: Any) -> None:
    parser = _command(
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
    _flag(parser, "dry-run", "only say which history would be gone")
    _flag(parser, "yes", "do not ask")
    _progress(parser)


def _backup(commands: Any) -> None:
    parser = _command(
        commands,
        "backup",
        "add what is new to the backups in a folder",
        "It may run beside a writer. The folder holds repositories of ZODB's repozo.",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder of the backups")
    _flag(parser, "full", "write all of it, not only what is new")
    _flag(
        parser, "verify", "then prove it: hold every piece against its checksum, restore and check"
    )
    _progress(parser)


def _restore(commands: Any) -> None:
    parser = _command(
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
    _progress(parser)


def _inspect(commands: Any) -> None:
    parser = _command(
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
    _progress(parser)


def _log(commands: Any) -> None:
    parser = _command(
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
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="for a person or a program"
    )
    _as_of(parser)


def _diff(commands: Any) -> None:
    parser = _command(
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


def _undo(commands: Any) -> None:
    parser = _command(
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
    _flag(parser, "force", "also put back packages that were changed since")
    _flag(parser, "dry-run", "only say what would be done")
    _flag(parser, "yes", "do not ask")
    parser.add_argument("--note", metavar="TEXT", help="what is done, for the history")


def _export(commands: Any) -> None:
    parser = _command(
        commands, "export", "write all packages to a file", "What it writes, load reads back."
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="else standard output")
    parser.add_argument(
        "--format", choices=LOAD_FORMATS, help="else the file's ending tells; json otherwise"
    )
    _as_of(parser)


def _publish(commands: Any) -> None:
    parser = _command(commands, "publish", "write the page that shows the catalogue")
    parser.add_argument("kind", choices=("markdown",), help="what to write")
    parser.add_argument("-o", "--output", metavar="FILE", help="else standard output")
    _as_of(parser)


def _facets(commands: Any) -> None:
    parser = _command(
        commands,
        "facets",
        "count the packages that match by category or licence",
        "On a terminal it draws a bar chart. A package with several categories counts in each. "
        "Which packages match is said as in query; all of them if nothing is.",
    )
    parser.add_argument(
        "field",
        metavar="FIELD",
        nargs="?",
        help="categories (if not given) or license",
    )
    _question(parser)
    _count_format(parser)
    _as_of(parser)


def _histogram(commands: Any) -> None:
    parser = _command(
        commands,
        "histogram",
        "count the packages that match by year or month",
        "On a terminal it draws a bar chart. A date that is known to the month or the year counts "
        "at its first day. Which packages match is said as in query; all of them if nothing is.",
    )
    parser.add_argument(
        "field",
        metavar="DATE-FIELD",
        nargs="?",
        help="last_update, last_release or last_commit; if not given that of --date",
    )
    parser.add_argument(
        "--by", choices=("year", "month"), default="year", help="a bar a year, or a month"
    )
    _question(parser, "DATE-FIELD")
    parser.set_defaults(date=None)
    _count_format(parser)
    _as_of(parser)


def _count_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("text", "json", "csv"),
        default="text",
        help="for a person, a program, or a spreadsheet",
    )


def _stats(commands: Any) -> None:
    parser = _command(commands, "stats", "count packages by category, year and licence")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="for a person or a program"
    )
    _as_of(parser)


def _shell(commands: Any) -> None:
    parser = _command(
        commands,
        "shell",
        "open a Python shell with the database",
        "It is read-only unless --write is given.",
    )
    _flag(parser, "write", "open the database for writing")
    parser.add_argument("-c", dest="code", metavar="CODE", help="run this code and end")
    _as_of(parser)


def _flag(
    parser: argparse.ArgumentParser, name: str, about: str, default: bool | None = False
) -> None:
    """A flag that turns on and off; what stands last counts."""
    parser.add_argument(
        f"--{name}", action=argparse.BooleanOptionalAction, default=default, help=about
    )


def _output(parser: argparse.ArgumentParser, sort: str | None, default: str) -> None:
    parser.add_argument(
        "--sort",
        metavar="FIELD",
        default=sort,
        help="last_update, last_release, last_commit, name, license or, with a search, "
        f"relevance; {default}. Packages without a value come last",
    )
    _flag(parser, "reverse", "the other way round")
    number: Any = {"metavar": "N", "type": arguments.number}
    parser.add_argument("--limit", help="show N at most", **number)
    parser.add_argument("--offset", default=0, help="leave out the first N", **number)
    parser.add_argument("--columns", metavar="FIELDS", help="which fields to show (a,b,...)")
    parser.add_argument(
        "--format", choices=SHOW_FORMATS, default="table", help="how to write the packages"
    )


def _as_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-of",
        metavar="MOMENT",
        type=arguments.moment,
        help="as it was at a moment: 2024-02-26 (the end of that day, UTC), '2024-02-26 14:30', "
        "'2 weeks ago', or c12, right after that change",
    )
