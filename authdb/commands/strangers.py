"""The command that looks into files from strangers: inspect."""

from __future__ import annotations

import argparse
from pathlib import Path

from authdb.commands.common import plural
from authdb.database import AuthDB
from authdb.files import OBJECTS_FILE
from authdb.output import text_out
from authdb.progress import bar

__all__ = ["do_inspect"]


def do_inspect(options: argparse.Namespace) -> int:
    """Look into an objects file that a stranger made."""
    with bar(options.progress) as progress:
        if progress is not None:
            progress("scanning the file", 0, None)
        db = AuthDB.open(options.file, trust=False)
    with db:
        # Nothing is asked of a catalog here: it would have to be built first.
        if options.format != "text":
            from authdb.exporting import write

            write((db[name] for name in db.names()), options.format, text_out())
            return 0
        changes = db.log()
        print(f"{options.file}: nothing in it would run code")
        file = Path(options.file)
        size = (file / OBJECTS_FILE if file.is_dir() else file).stat().st_size
        print(f"{size:,} bytes, {plural(len(db))}")
        if db.as_of is not None:
            print(f"the facts hold as of {db.as_of.isoformat()}")
        if changes:
            from authdb.reports import line

            last = changes[0]
            print(
                f"{plural(len(changes), 'change')} to be seen, the last is c{last.number} of "
                f"{last.when:%Y-%m-%d %H:%M:%S} UTC{f': {line(last.note)}' if last.note else ''}"
            )
    return 0
