"""The commands that keep a database well: check, reindex, pack."""

from __future__ import annotations

import argparse

from authdb.commands.common import folder, opened, plural
from authdb.database import AuthDB
from authdb.exceptions import AuthDBWarning
from authdb.pairing import CATALOG_FILE, OBJECTS_FILE

__all__ = ["do_check", "do_pack", "do_reindex"]


def do_check(options: argparse.Namespace) -> int:
    """Hold packages and catalog against each other."""
    import warnings

    repair = options.repair
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", AuthDBWarning)
        db = AuthDB.open(folder(options), read_only=not repair, repair=repair)
    with db:
        # A reader heals its own view, so what opening says was wrong is to be told as well.
        found = [str(w.message) for w in warned if issubclass(w.category, AuthDBWarning)]
        if db.healed and not found:
            found.append(db.healed)
        findings = db.check(repair=repair)
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
            print("packages that are wrong themselves can only be brought back from a backup")
    return 1


def do_reindex(options: argparse.Namespace) -> int:
    """Build the catalog anew."""
    with opened(options, read_only=False) as db:
        db.reindex()
        print(f"indexed {plural(len(db))}")
    return 0


def do_pack(options: argparse.Namespace) -> int:
    """Give back the room that earlier states take."""
    with opened(options, read_only=False) as db:
        before = _size(db)
        db.pack()
        print(f"packed: {before:,} bytes before, {_size(db):,} bytes now")
    return 0


def _size(db: AuthDB) -> int:
    assert db.path is not None
    return sum((db.path / name).stat().st_size for name in (OBJECTS_FILE, CATALOG_FILE))
