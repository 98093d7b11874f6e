"""The commands that write files: export, publish."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from authdb.commands.common import opened
from authdb.database import AuthDB
from authdb.models import Package
from authdb.output import output

__all__ = ["do_export", "do_publish"]


def do_export(options: argparse.Namespace) -> int:
    """Write all packages to a file."""
    from authdb.exporting import write
    from authdb.loaders import format_of

    form = options.format
    if form is None:
        file = options.output
        form = "json" if file in (None, "-") else format_of(Path(file), file)
    return _to_file(options, lambda db, out: write(_by_name(db), form, out))


def do_publish(options: argparse.Namespace) -> int:
    """Write the page that shows the catalogue."""
    from authdb.publishing.markdown import page

    return _to_file(options, lambda db, out: print(page(_by_name(db), db.as_of), file=out, end=""))


def _to_file(options: argparse.Namespace, write: Callable[[AuthDB, TextIO], object]) -> int:
    with opened(options) as db, output(options.output) as out:
        write(db, out)
    return 0


def _by_name(db: AuthDB) -> Iterable[Package]:
    return db.find(sort="name")
