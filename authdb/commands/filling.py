"""The commands that fill a database: init, load, remove."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from authdb.commands.asking import known
from authdb.commands.common import folder, opened, plural
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
    if edition is None:
        AuthDB.create(path).close()
        print(f"made an empty database in {path}")
        return 0
    from authdb.importing import load_new
    from authdb.loaders import Loader

    counts = load_new(path, Loader(edition), note=f"the curated list, {edition.stem}")
    print(f"made an empty database in {path}")
    print(f"loaded {plural(counts.added)} of the curated list ({edition.stem})")
    return 0


def do_load(options: argparse.Namespace) -> int:
    """Load files."""
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
    with bar(options.progress) as progress:
        counts = _load(options, loaders, progress)
    print(
        f"{counts.added:,} added, {counts.changed:,} changed, {counts.unchanged:,} unchanged, "
        f"{counts.ignored:,} ignored" + " (dry run: nothing was written)" * options.dry_run
    )
    return 0


def _load(options: argparse.Namespace, loaders: list[Any], progress: Any) -> Any:
    """Load into the database, which is made if there is none."""
    from authdb.importing import load, load_new

    path = folder(options)
    how = {"on_conflict": options.on_conflict, "note": options.note, "progress": progress}
    if (path / OBJECTS_FILE).exists() or pack_cut_short(path):
        with opened(options, read_only=options.dry_run) as db:
            return load(db, loaders, dry_run=options.dry_run, **how)
    if options.dry_run:
        with AuthDB.in_memory() as db:
            return load(db, loaders, dry_run=True, **how)
    counts = load_new(path, loaders, **how)
    say(f"made a new database in {path}")
    return counts


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
