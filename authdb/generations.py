"""Which state of the objects a catalog shows, and what it has to catch up on.

Both roots carry a generation, an int that each change raises by one, with a random token, since
equal numbers can belong to two lives of a database. The objects' root has besides

- a short journal of the docids that the last generations touched, for a catalog that lags behind;
- ``touched``: which docids the newest change added, changed and removed. As a record of its own
  it stays in the file with every past state, so the whole history can be read change by change;
- ``former``: names that are no longer used, and the generation of the change that gave them up.

Transaction ids cannot serve for this: the two files get different ones, and a torn transaction's
id is still reported after the file was cut back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import BTrees
from persistent.mapping import PersistentMapping

from authdb.exceptions import CatalogAhead
from authdb.models import FORMAT

__all__ = [
    "KEYS",
    "KINDS",
    "REBUILD",
    "Docids",
    "advance",
    "following",
    "give_up",
    "lag",
    "mark",
    "new_root",
    "new_token",
    "touched_in",
]

#: What the objects' root has to have, beside its format, and of which kind.
KEYS: Mapping[str, type] = {
    "uuid": str,
    "generation": int,
    "token": str,
    "journal": tuple,
    "packages": BTrees.family32.IO.BTree,
    "docids": BTrees.family32.OO.BTree,
    "next_docid": int,
}

#: The journal reaches back this many generations, and names at most this many docids.
JOURNAL_GENERATIONS = 8
JOURNAL_DOCIDS = 1000
#: In the journal in place of docids: the change touched too many to name.
REBUILD = "rebuild"

#: What a change can do to a package.
KINDS = ("added", "changed", "removed")


def new_token() -> str:
    """Sixteen random hexadecimal digits."""
    # As secrets.token_hex(8), whose module costs each command 5 ms.
    return os.urandom(8).hex()


def new_root(root: Any) -> None:
    """Make the mapping ``root`` that of a catalogue without packages."""
    import uuid

    token = new_token()
    root.update(
        format=FORMAT,
        uuid=str(uuid.uuid4()),
        generation=0,
        token=token,
        journal=((0, token, ()),),
        packages=BTrees.family32.IO.BTree(),  # docid -> Package
        docids=BTrees.family32.OO.BTree(),  # name -> docid; the authority on names
        next_docid=1,
    )


def advance(root: Any, changes: Mapping[str, Iterable[int]]) -> None:
    """Raise the generation for a change that is about to commit.

    :param root: that of the objects
    :param changes: for each of `KINDS` the docids
    """
    values, touched = following(root, changes)
    root.update(values)
    if "touched" not in root:
        root["touched"] = PersistentMapping()
    root["touched"].update(touched)


def following(
    root: Mapping[str, Any], changes: Mapping[str, Iterable[int]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a change puts into the root, and into its ``touched``; see `advance`. Nothing is
    changed here."""
    generation, token = root["generation"] + 1, new_token()
    runs = {kind: _runs(changes.get(kind, ())) for kind in KINDS}
    count = sum(sum(of_kind[1::2]) for of_kind in runs.values())
    docids: Any = REBUILD  # so many need not be listed to be too many
    if count <= JOURNAL_DOCIDS:
        docids = tuple(sorted(set().union(*changes.values())))
    journal = [*root["journal"][1 - JOURNAL_GENERATIONS :], (generation, token, docids)]
    room = JOURNAL_DOCIDS - (count if docids == REBUILD else 0)
    for position in range(len(journal) - 1, -1, -1):
        number, its_token, its_docids = journal[position]
        room -= 0 if its_docids == REBUILD else len(its_docids)
        if room < 0:
            journal[position] = (number, its_token, REBUILD)
    values = {"generation": generation, "token": token, "journal": tuple(journal)}
    return values, {**runs, "generation": generation}


def _runs(docids: Iterable[int]) -> tuple[int, ...]:
    """``docids`` as first, length, first, length, ...: an import of a million takes a few bytes."""
    if isinstance(docids, range) and docids.step == 1:
        return (docids.start, len(docids)) if docids else ()
    runs: list[int] = []
    for docid in sorted(docids):
        if runs and docid == runs[-2] + runs[-1]:
            runs[-1] += 1
        else:
            runs += docid, 1
    return tuple(runs)


def touched_in(said: Mapping[str, Any]) -> dict[str, Docids]:
    """For each of `KINDS` the docids that ``touched`` of a root says."""
    return {kind: Docids(said[kind]) for kind in KINDS}


class Docids:
    """Docids, ascending, kept as runs of successive ones: first, length, first, length, ...

    :raises ValueError: that is not what ``runs`` are, as in a damaged record
    """

    def __init__(self, runs: tuple[int, ...]) -> None:
        if len(runs) % 2 or not all(type(number) is int and number > 0 for number in runs):
            raise ValueError("no runs of docids")
        self._runs = runs

    @property
    def end(self) -> int:
        """One more than the last; 0 where there is none."""
        return self._runs[-2] + self._runs[-1] if self._runs else 0

    def __len__(self) -> int:
        return sum(self._runs[1::2])

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._ranges())

    def __repr__(self) -> str:
        return f"<{len(self)} docids>"

    def __contains__(self, docid: int) -> bool:
        return any(docid in run for run in self._ranges())

    def _ranges(self) -> Iterator[range]:
        for first, length in zip(self._runs[::2], self._runs[1::2], strict=True):
            yield range(first, first + length)


def give_up(root: Any, name: str) -> None:
    """Note that the change now being made gives up ``name``: its package is removed or renamed."""
    if "former" not in root:
        root["former"] = BTrees.family32.OO.BTree()
    root["former"][name] = root["generation"] + 1


def mark(root: Any, seen: Any) -> None:
    """Say in the catalog's root ``seen`` which state of the objects it shows."""
    seen.update({key: root[key] for key in ("uuid", "generation", "token")})


def lag(root: Any, seen: Any, folder: object) -> set[int] | str:
    """What a catalog has to catch up on: docids (perhaps none), or everything (`REBUILD`).

    :param root: that of the objects
    :param seen: that of the catalog
    :param folder: where they are, for the error
    :raises CatalogAhead: it has seen what the objects do not have
    """
    generation = seen.get("generation")
    if seen.get("uuid") != root["uuid"] or not isinstance(generation, int):
        return REBUILD
    if (generation, seen.get("token")) == (root["generation"], root["token"]):
        return set()
    if generation >= root["generation"]:
        raise CatalogAhead(folder, root["generation"], generation)
    journal = {number: (token, docids) for number, token, docids in root["journal"]}
    if journal.get(generation, (None,))[0] != seen.get("token"):
        return REBUILD  # too long ago, or of another life of this database
    found: set[int] = set()
    for number in range(generation + 1, root["generation"] + 1):
        # An accepted loss leaves a gap in the numbers.
        docids = journal.get(number, (None, REBUILD))[1]
        if docids == REBUILD:
            return REBUILD
        found.update(docids)
    return found
