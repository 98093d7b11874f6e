"""The command that sets packages side by side: compare."""

from __future__ import annotations

import argparse
import sys

from authdb.commands.asking import called
from authdb.commands.common import opened, plural
from authdb.exceptions import AuthDBError
from authdb.output import text_out

__all__ = ["do_compare"]


def do_compare(options: argparse.Namespace) -> int:
    """Show packages side by side."""
    from authdb import contrast
    from authdb.tables import contrast_table

    with opened(options) as db:
        packages = called(db, options.names)
        if len(packages) < 2:
            raise AuthDBError("compare takes the names of at least two packages")
        facts = contrast.contrast(packages, all=options.all)
        differing = [fact for fact in facts if fact.differs]
        shown = differing if options.only_differences else facts
        if options.format == "json":
            contrast.as_json(packages, shown, text_out())
        elif options.format == "markdown":
            contrast.as_markdown(packages, shown, text_out())
        else:
            contrast_table(packages, shown, sys.stdout)
            print(f"* {len(differing)} of {plural(len(facts), 'fact')} differ")
    return 0
