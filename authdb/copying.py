"""A new database with the packages as they are now, and without what they were before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from authdb.building import Builder
from authdb.drafting import Batch
from authdb.exceptions import DatabaseDamaged
from authdb.files import aside, made
from authdb.models import Package
from authdb.storage import explain
from authdb.storing import found
from authdb.walking import Reader

__all__ = ["copy"]

Progress = Callable[[str, int, "int | None"], object]

#: So many packages are read between two calls of ``progress``.
_STEP = 1000


def copy(root: Any, folder: Path, source: object, progress: Progress | None = None) -> int:
    """Make a database in ``folder`` of the packages under ``root``: afterwards it is there with all
    of them, or not at all.

    :param root: that of the objects, in a connection without changes
    :param source: what the history of the new one calls the old one
    :returns: how many packages there are
    :raises DatabaseExists: there is a database in ``folder``
    :raises DatabaseDamaged: a package is not what was stored
    :raises DatabaseError: the new one cannot be written
    """
    try:
        with (
            made(folder),
            aside(folder) as draft,
            Batch({}, draft, lambda: Builder(folder=draft)) as batch,
        ):
            for done, state in enumerate(_states(root), 1):
                batch.add(state)
                if progress is not None and not done % _STEP:
                    progress("reading the packages", done, None)
            batch.close_off()
            batch.as_of = root.get("as_of")
            found(draft, folder, batch, f"copy {len(batch):,} packages from {source}", progress)
    except OSError as error:
        raise explain(error, folder) from error
    return len(batch)


def _states(root: Any) -> Iterator[dict[str, Any]]:
    """What each package holds, in the order in which they were added."""
    path, reader = root._p_jar.db().storage.getName(), Reader(root._p_jar)

    def damaged(what: str) -> None:
        raise DatabaseDamaged(
            path,
            f"not all packages can be read ({what}): see authdb check; authdb recover NEW makes a "
            "new database of all that is whole",
        )

    for docid, ref in reader.items(root["packages"], damaged):
        package = Package.__new__(Package)
        try:
            package.__setstate__(reader.record(ref)[0])
            intact = package.is_intact()
        except Exception:  # what is damaged may raise anything
            intact = False
        if not intact:
            damaged(f"docid {docid} is not what was stored")
        state = dict(vars(package))
        del state["_digest"]
        yield state
