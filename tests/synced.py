"""Watch the calls: whatever is acknowledged is on disk.

``python tests/synced.py`` makes changes of every kind. With each fsync it notes what the file
holds that is synced. When a change is acknowledged, the objects have to hold just that; the catalog
has to when it is closed, and at any time up to where its index reaches, for behind that it has
seals (see `authdb.seals`). And when the catalog is synced, the objects have to be so already. A
kill could not show what is missing here, since the system keeps what a killed process has written.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ZODB.FileStorage.FileStorage  # noqa: F401 - the module, which its package hides
from ZODB.fsIndex import fsIndex

from authdb import AuthDB, Package
from authdb.files import CATALOG_FILE, OBJECTS_FILE
from authdb.importing import load
from authdb.loaders import Loader
from authdb.records import MAGIC

WRONG = ("not on disk", "catalog first", "index ahead")

MODULE = sys.modules["ZODB.FileStorage.FileStorage"]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Watch:
    """``figures`` counts the acknowledged changes, the fsyncs, and what was not on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: By inode, for files are renamed: how long what was synced is, and its digest.
        self.synced: dict[int, tuple[int, str]] = {}
        self.figures: Counter[str] = Counter(dict.fromkeys(WRONG, 0))

    def is_synced(self, name: str) -> bool:
        path = self.folder / name
        return self.synced.get(path.stat().st_ino) == (path.stat().st_size, digest(path))

    def reaches_behind(self, name: str) -> bool:
        """Whether the index of a file reaches further than what of it is synced."""
        path, index = self.folder / name, self.folder / f"{name}.index"
        synced = self.synced.get(path.stat().st_ino, (len(MAGIC), ""))
        return index.exists() and fsIndex.load(str(index))["pos"] > synced[0]

    def fsync(self, handle: int) -> None:
        self.real(handle)
        self.figures["fsyncs"] += 1
        path = Path(f"/proc/self/fd/{handle}").resolve()
        if path.is_file():
            self.synced[path.stat().st_ino] = path.stat().st_size, digest(path)
        if path.name == CATALOG_FILE and not self.is_synced(OBJECTS_FILE):
            self.figures["catalog first"] += 1

    def acknowledged(self) -> None:
        self.figures["acknowledged"] += 1
        self.figures["not on disk"] += not self.is_synced(OBJECTS_FILE)
        self.figures["index ahead"] += self.reaches_behind(CATALOG_FILE)

    def closed(self) -> None:
        self.figures["not on disk"] += not self.is_synced(CATALOG_FILE)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        self.real = os.fsync
        MODULE.fsync = os.fsync = self.fsync  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            MODULE.fsync = os.fsync = self.real  # type: ignore[attr-defined]


def run(folder: Path, rounds: int, seed: int = 0) -> Counter[str]:
    """Make changes of every kind, so many times; what was counted."""
    chance = random.Random(seed)
    with Watch(folder.resolve()).watching() as watch:
        with AuthDB.create(folder) as db:
            for number in range(rounds):
                for change in changes(db, folder.with_suffix(".ndjson"), number, chance):
                    change()
                    watch.acknowledged()
        watch.closed()
    return watch.figures


def changes(
    db: AuthDB, file: Path, number: int, chance: random.Random
) -> list[Callable[[], object]]:
    """One of every kind."""
    new, renamed = f"p{number}", f"q{number}"
    file.write_text(f'{{"name": "l{number}", "title": "Loaded"}}\n')
    return [
        lambda: db.add(Package(new, "New", categories=("jwt",))),
        lambda: db.update(new, license=chance.choice(["MIT", "BSD-3-Clause"])),
        lambda: db.update(new, name=renamed),
        lambda: load(db, Loader(file)),
        db.undo,
        lambda: db.remove(renamed),
        db.undo,
        db.reindex,
        db.pack if number % 5 == 4 else lambda: db.remove(renamed),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        figures = run(Path(home) / "db", 200)
    for what, count in sorted(figures.items()):
        print(f"{count:8,} {what}")
    sys.exit(1 if any(map(figures.__getitem__, WRONG)) else 0)
