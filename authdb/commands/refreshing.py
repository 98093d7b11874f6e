"""The command that brings facts up to date: refresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from authdb.commands.asking import known
from authdb.commands.common import folder, opened, planned, plural
from authdb.exceptions import AuthDBError
from authdb.hearing import Asked, ask
from authdb.progress import bar, say
from authdb.refreshing import Refreshed, apply, keep, plan
from authdb.tables import paragraph

__all__ = ["do_refresh"]

#: So many names of changed packages are listed.
_NAMES = 8


def do_refresh(options: argparse.Namespace) -> int:
    """Ask the package index and the hosts of repositories, and write what changed."""
    edition = _edition(options)
    with planned(options) as db, bar(options.progress) as progress:
        if options.names:
            known(db, options.names)
        asked = ask(
            db,
            options.names or None,
            index_url=options.index_url,
            since=options.since,
            repositories=options.repositories,
            at_once=options.at_once,
            timeout=options.timeout,
            progress=progress,
        )
        found = plan(db, asked)
    done = found if options.dry_run else _written(options, asked, found)
    for remark in done.remarks:
        say(remark)
    for name, reason in done.failed:
        say(f"{name}: {reason}")
    if options.dry_run:
        from authdb.reports import changes_as_table

        changes_as_table(done.changes, sys.stdout)
        print(f"{done} (dry run: nothing was written)")
    else:
        _tell(done)
        if edition is not None:
            from authdb.recording import record

            print(f"recorded the facts of {plural(record(edition, asked))} beside {edition}")
    return 1 if done.failed else 0


def _edition(options: argparse.Namespace) -> Path | None:
    """The edition whose facts are to be recorded: checked before anything is asked."""
    if options.save is None:
        return None
    if options.dry_run:
        raise AuthDBError("--save writes, and --dry-run writes nothing: leave out one of them")
    from authdb import editions
    from authdb.recording import check

    file = Path(options.save) if options.save else editions.path("today")
    checkout = Path(__file__).parent.parent.parent
    if not options.save and not (
        (checkout / "pyproject.toml").exists() and file.is_relative_to(checkout / "data")
    ):
        # Installed, they are not a person's to write: the next installation would undo it. Nor are
        # those of another checkout than that of this code.
        raise AuthDBError(
            "--save: name the edition of a list of yours, such as editions/today.toml"
        )
    check(file)
    return file


def _written(options: argparse.Namespace, asked: Asked, what: Refreshed) -> Refreshed:
    keep(folder(options), asked)
    if not what.changes:  # nobody has to wait for that
        return what
    with opened(options, read_only=False) as db:
        return apply(db, asked, what, note=options.note)


def _tell(done: Refreshed) -> None:
    print(done)
    names = [change.after.name for change in done.changes]
    if names:
        more = ", ..." if len(names) > _NAMES else ""
        paragraph(f"changed: {', '.join(names[:_NAMES])}{more}", sys.stdout)
