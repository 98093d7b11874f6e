"""The command line: what can be typed."""

from __future__ import annotations

import argparse

from authdb.parsing import (
    asking,
    backups,
    choosing,
    contrasting,
    counting,
    filling,
    keeping,
    past,
    refreshing,
    strangers,
    watching,
    writing,
)
from authdb.parsing.common import Parser

__all__ = ["build_parser"]


def build_parser() -> argparse.ArgumentParser:
    """The whole of the command line."""
    parser = Parser(
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
        filling.add_init,
        filling.add_load,
        asking.add_query,
        asking.add_list,
        asking.add_show,
        asking.add_stats,
        counting.add_facets,
        counting.add_histogram,
        choosing.add_choose,
        contrasting.add_compare,
        watching.add_stale,
        watching.add_audit,
        refreshing.add_refresh,
        asking.add_shell,
        writing.add_export,
        writing.add_publish,
        filling.add_remove,
        past.add_log,
        past.add_diff,
        past.add_undo,
        keeping.add_check,
        keeping.add_recover,
        keeping.add_reindex,
        keeping.add_copy,
        keeping.add_pack,
        backups.add_backup,
        backups.add_restore,
        strangers.add_inspect,
    ):
        add(commands)
    return parser


def _version() -> str:
    from authdb._version import VERSION

    return f"authdb {VERSION}"
