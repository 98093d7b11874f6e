"""The commands that keep a database well: check, recover, reindex, copy, pack."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from authdb.commands.common import confirmed, folder, opened, planned, plural
from authdb.database import AuthDB
from authdb.exceptions import AuthDBError, AuthDBWarning, CatalogAhead, DatabaseDamaged, FormatError
from authdb.progress import bar, say

if TYPE_CHECKING:
    from authdb.recovering import Recovered

__all__ = ["do_check", "do_copy", "do_pack", "do_recover", "do_reindex"]


def do_check(options: argparse.Namespace) -> int:
    """Hold packages and catalog against each other."""
    import warnings

    repair = options.repair
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", AuthDBWarning)
        try:
            db = AuthDB.open(folder(options), read_only=not repair, repair=repair)
        except (DatabaseDamaged, FormatError) as error:
            if isinstance(error, CatalogAhead) or getattr(error, "found", None) is not None:
                raise  # what is there is whole
            return _what_is_left(options, error)
    with db:
        # A reader heals its own view, so what opening says was wrong is to be told as well.
        found = [str(w.message) for w in warned if issubclass(w.category, AuthDBWarning)]
        if db.healed and not found:
            found.append(db.healed)
        with bar(options.progress) as progress:
            findings = db.check(repair=repair, progress=progress)
        told = {finding.what for finding in findings}
        found = [line for line in found if line not in told]
        for line in [*found, *findings]:
            print(line)
        if not found and not findings:
            print(f"{plural(len(db))}: all is well")
            return 0
        if found or any(finding.repairable for finding in findings):
            print(
                "the catalog was built anew"
                if repair
                else "authdb check --repair builds the catalog anew"
            )
        if not all(finding.repairable for finding in findings):
            print(RECOVER)
    return 1


RECOVER = (
    "what is wrong with the packages themselves a backup brings back, or in part: "
    "authdb recover NEW makes a new database of all that is whole"
)


def _what_is_left(options: argparse.Namespace, error: Exception) -> int:
    """Say what can be recovered of a database that cannot be opened."""
    from authdb.recovering import recover

    try:
        found = recover(folder(options))
    except AuthDBError:
        raise error from None
    if not found.packages:  # nothing is left, or it never was one of ours
        raise error
    say(str(error))
    print(f"{plural(found.packages)} can be recovered")
    _tell_of(found)
    print(RECOVER)
    return 3


def do_recover(options: argparse.Namespace) -> int:
    """Make a new database of what can be read of a damaged one."""
    from authdb.recovering import recover

    found = recover(folder(options), options.target)
    print(f"recovered {plural(found.packages)} into {options.target}")
    _tell_of(found)
    return 1 if found.older or found.lost or found.uncertain or found.gaps else 0


def _tell_of(found: Recovered) -> None:
    for what, names in (
        ("in an earlier state, as the newest is damaged", found.older),
        ("lost", found.lost),
        ("perhaps removed before", found.uncertain),
    ):
        if names:
            print(f"{what}: {', '.join(names)}")
    if found.gaps:
        size = sum(gap.end - gap.start for gap in found.gaps)
        places = plural(len(found.gaps), "place")
        print(f"{size:,} bytes in {places} cannot be read: more may have been there")


def do_reindex(options: argparse.Namespace) -> int:
    """Build the catalog anew."""
    with opened(options, read_only=False) as db:
        with bar(options.progress) as progress:
            db.reindex(progress=progress)
        print(f"indexed {plural(len(db))}")
    return 0


def do_copy(options: argparse.Namespace) -> int:
    """Make a new database of the packages as they are now."""
    with opened(options) as db, bar(options.progress) as progress:
        count = db.copy(options.target, progress=progress)
    print(f"copied {plural(count)} into {options.target}")
    return 0


def do_pack(options: argparse.Namespace) -> int:
    """Give back the room that earlier states take."""
    with planned(options) as db:
        plan = db.pack(options.keep, dry_run=True)
    first = f"c{plan.first.number} of {plan.first.when:%Y-%m-%d %H:%M:%S} UTC"
    if plan.gone:
        gone = plural(plan.gone, "earlier state")
        print(f"{gone} will be gone; {first} is the first to stay", flush=True)
    else:
        print(f"no history will be gone: {first} is the first")
    if options.dry_run:
        return 0
    if plan.gone and not confirmed(options, "pack?"):
        say("nothing was done")
        return 1
    with opened(options, read_only=False) as db, bar(options.progress) as progress:
        done = db.pack(options.keep, progress=progress)
    print(
        f"packed: {done.before:,} bytes before, {done.after:,} bytes now, "
        f"{done.before - done.after:,} saved"
    )
    if done.after != done.before:
        print("what the files were before is kept beside them, with the ending .old")
    if done.tails:
        print(f"removed {plural(len(done.tails), 'leftover')} of crashes")
    return 0
