"""The commands that fill a database: init, load, remove."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from authdb.commands.asking import known
from authdb.commands.common import folder, made, opened, plural
from authdb.database import AuthDB
from authdb.exceptions import AuthDBError
from authdb.files import OBJECTS_FILE, pack_cut_short
from authdb.models import normalize_name
from authdb.progress import say

__all__ = ["do_init", "do_load", "do_remove"]


def do_init(options: argparse.Namespace) -> int:
    """Make a new database, perhaps with the curated list in it."""
    from authdb import editions

    # A wrong name of an edition is found out before anything is made.
    edition = None if options.with_list is None else editions.path(options.with_list)
    path = folder(options)
    with made(path) as db:
        if edition is not None:
            from authdb.importing import load as load_all
            from authdb.loaders import Loader

            load_all(db, Loader(edition), note=f"the curated list, {edition.stem}")
        count = len(db)
    print(f"made an empty database in {path}")
    if edition is not None:
        print(f"loaded {plural(count)} of the curated list ({edition.stem})")
    return 0


def do_load(options: argparse.Namespace) -> int:
    """Load files."""
    from authdb.importing import load as load_all
    from authdb.loaders import Loader
    from authdb.progress import bar

    if options.files.count("-") > 1:
        raise AuthDBError("standard input (-) can be read once only")
    loaders = [
        Loader(sys.stdin.buffer, options.format, "-")
        if file == "-"
        else Loader(file, options.format)
        for file in options.files
    ]
    with _database_to_fill(options) as db, bar(options.progress) as progress:
        counts = load_all(
            db,
            loaders,
            on_conflict=options.on_conflict,
            dry_run=options.dry_run,
            note=options.note,
            progress=progress,
        )
    print(
        f"{counts.added:,} added, {counts.changed:,} changed, {counts.unchanged:,} unchanged, "
        f"{counts.ignored:,} ignored" + " (dry run: nothing was written)" * options.dry_run
    )
    return 0


@contextmanager
def _database_to_fill(options: argparse.Namespace) -> Iterator[AuthDB]:
    path = folder(options)
    if (path / OBJECTS_FILE).exists() or pack_cut_short(path):
        with opened(options, read_only=options.dry_run) as db:
            yield db
    elif options.dry_run:
        with AuthDB.in_memory() as db:
            yield db
    else:
        with made(path) as db:
            yield db
        say(f"made a new database in {path}")


def do_remove(options: argparse.Namespace) -> int:
    """Remove packages, all or none."""
    with opened(options, read_only=False) as db:
        known(db, options.names)
        names = list(dict.fromkeys(normalize_name(name) for name in options.names))
        with db.transaction(options.note or f"remove {', '.join(names)}"):
            for name in names:
                db.remove(name)
    print(f"removed {', '.join(names)}")
    return 0
