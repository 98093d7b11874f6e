"""What a peer can be asked to do.

A peer does what it has a method for: a task whose name is not among its attributes is left out of
its column. What a question's method returns is whatever costs that peer the least; `plain` turns
it into what can be compared, when no time is taken.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ["Base", "calm", "chunks", "last_update", "records", "tree_size"]


class Base:
    """One database in ``folder``, which is there and, before `load`, empty."""

    title: str  #: for the table
    about: str  #: how it is used, in a sentence
    #: The most packages that it takes part with, besides the smallest size of a run.
    largest = 1_000_000

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def version() -> str:
        """The version of what is measured."""
        raise NotImplementedError

    def does(self) -> list[str]:
        """The names of all that it can be asked to do."""
        return [name for name in dir(self) if not name.startswith("_")]

    def prepare(self) -> None:
        """What is done once after loading, and takes no part in its time."""

    def open(self) -> None:
        """Open what is on the disk, ready to answer, and to be changed."""

    def open_to_read(self) -> None:
        """Open what is on the disk, ready to answer."""
        self.open()

    def close(self) -> None:
        """Close it, so that another process may open it."""

    def size(self) -> int:
        """Bytes on the disk, while it is closed."""
        return tree_size(self.folder)

    def plain(self, question: str, answer: Any) -> Any:
        """The answer as JSON holds it; see `benchmarks.tasks` for the forms."""
        return answer


def tree_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def chunks(source: Path, size: int = 1000) -> Iterator[list[dict[str, Any]]]:
    """The records of an NDJSON file: a thousand lines decoded in one go cost half of one by one."""
    with source.open("rb") as lines:
        while chunk := list(islice(lines, size)):
            yield json.loads(b"[" + b",".join(chunk) + b"]")


def records(source: Path) -> Iterable[dict[str, Any]]:
    """The records of an NDJSON file, one by one."""
    return (record for chunk in chunks(source) for record in chunk)


def last_update(record: dict[str, Any]) -> str | None:
    """The later of the two days, as authdb has it; in the data neither begins with the other."""
    commit, release = record.get("last_commit"), record.get("last_release")
    if commit and release:
        return max(commit, release)
    return commit or release


def calm() -> None:
    """Keep the collector from walking what was loaded before: for all peers alike."""
    gc.collect()
    gc.freeze()
