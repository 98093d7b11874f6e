"""The commands for backups: backup, restore."""

from __future__ import annotations

import argparse
from datetime import timedelta

from authdb import backup
from authdb.commands.common import folder, plural
from authdb.pieces import in_utc
from authdb.progress import bar, say

__all__ = ["do_backup", "do_restore"]


def do_backup(options: argparse.Namespace) -> int:
    """Back up the database; prove it if that is asked for."""
    with bar(options.progress) as progress:
        made = backup.backup(folder(options), options.folder, full=options.full, progress=progress)
    when = f"{in_utc(made.moment)}, generation {made.generation}"
    if made.kind == "unchanged":
        print(f"nothing new since the backup of {when}")
    else:
        print(f"{made.kind} backup of {when}: {made.size:,} bytes")
    if options.verify:
        with bar(options.progress) as progress:
            verified = backup.verify(options.folder, made, progress=progress)
        print(
            f"verified: {plural(verified.pieces, 'piece')} of {verified.size:,} bytes have their "
            f"checksums; restored for a trial, {plural(verified.restored.packages)} in generation "
            f"{verified.restored.generation} are all well"
        )
    return 0


def do_restore(options: argparse.Namespace) -> int:
    """Make a database of a backup."""
    as_of = options.as_of  # the end of what was written, such as a day: no longer of it
    if as_of is not None and as_of.year > 1:
        as_of -= timedelta(microseconds=1)
    with bar(options.progress) as progress:
        restored = backup.restore(options.folder, folder(options), as_of=as_of, progress=progress)
    if restored.healed:
        say(restored.healed)
    print(
        f"restored the backup of {in_utc(restored.moment)}: {plural(restored.packages)}, "
        f"generation {restored.generation}"
    )
    return 0
