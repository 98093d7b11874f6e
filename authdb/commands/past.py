"""The commands that look at the past, and bring it back: log, diff, undo."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from authdb.commands.common import confirmed, opened, planned, plural
from authdb.output import text_out
from authdb.progress import say

if TYPE_CHECKING:
    from authdb.undoing import Undone

__all__ = ["do_diff", "do_log", "do_undo"]


def do_log(options: argparse.Namespace) -> int:
    """Tell what was changed."""
    from authdb import reports

    with opened(options) as db:
        if options.name is not None:
            edits = db.log_of(options.name)
            end = None if options.limit is None else options.offset + options.limit
            shown = edits[options.offset : end]
            if options.format == "json":
                reports.edits_as_json(shown, text_out())
            else:
                reports.edits_as_text(shown, sys.stdout)
            left = len(edits) - options.offset - len(shown)
            if left > 0:
                say(f"{plural(left, 'earlier change')} not shown: see --limit and --offset")
            return 0
        limit = None if options.limit is None else options.limit + 1  # is there more?
        changes = db.log(limit, options.offset)
        page = changes[: options.limit]
        if options.format == "json":
            reports.log_as_json(page, text_out())
        else:
            reports.log_as_table(page, sys.stdout)
        if len(changes) > len(page):
            say("there are earlier changes: see --limit and --offset")
    return 0


def do_diff(options: argparse.Namespace) -> int:
    """Tell what differs between two moments."""
    from authdb import reports

    with opened(options) as db:
        report = reports.compare(db, options.start, options.end, options.stale)
        if options.format == "json":
            reports.diff_as_json(report, text_out())
        elif options.format == "markdown":
            reports.diff_as_markdown(report, text_out())
        else:
            reports.diff_as_table(report, sys.stdout)
    return 0


def do_undo(options: argparse.Namespace) -> int:
    """Put back what one change touched."""
    with planned(options) as db:
        plan = db.undo(options.change, force=options.force, dry_run=True)
    for name, why in plan.left:
        say(f"{name}: left alone, {why}" + "; see --force" * why.endswith("since"))
    if not plan.does_anything:
        say(f"nothing to undo in {_named(plan)}")
        return 1
    if options.dry_run:
        print(f"would undo {_named(plan)}: {_said(plan)}")
        return 1 if plan.left else 0
    if not confirmed(options, f"undo {_named(plan)}: {_said(plan)}?"):
        say("nothing was done")
        return 1
    with opened(options, read_only=False) as db:
        # The change by its number: the newest may be another one by now.
        done = db.undo(f"c{plan.number}", force=options.force, note=options.note)
    print(f"undid {_named(done)}: {_said(done)}")
    return 1 if done.left else 0


def _named(undone: Undone) -> str:
    from authdb.reports import line

    return f"c{undone.number}" + (f" ({line(undone.note)})" if undone.note else "")


def _said(undone: Undone) -> str:
    parts = [
        f"{plural(len(names))} {what} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
        for names, what in (
            (undone.removed, "removed"),
            (undone.restored, "restored"),
            (undone.reverted, "put back"),
        )
        if names
    ]
    return ", ".join(parts) or "the day as of which the facts hold"
