"""authdb, through its public API: queries are built anew for each question, so planning counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from authdb import All, AuthDB, Contains, Eq, InRange, Lt, NotAny, storing
from authdb import Any as AnyOf
from authdb._version import VERSION
from authdb.importing import load, load_new
from authdb.loaders import Loader
from benchmarks import questions as q
from benchmarks.peers.base import Base

__all__ = ["Peer", "script"]


def script(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


class Peer(Base):
    """A database folder."""

    title = "authdb"
    about = "db.find and its kin on query objects; authdb checks every field that it loads"

    @staticmethod
    def version() -> str:
        return VERSION

    @property
    def path(self) -> Path:
        return self.folder / "db"

    # -- loading -----------------------------------------------------------------------------

    def load(self, source: Path) -> None:
        load_new(self.path, [Loader(source)])

    def load_alone(self, source: Path) -> None:
        """In one process."""
        load_new(self.path, [Loader(source)], processes=1)

    def load_any(self, source: Path) -> None:
        """Both files through the two-phase commit of a storage, whatever its kind."""
        storing.ASIDE = False
        with AuthDB.create(self.path) as db:
            load(db, [Loader(source)])

    def load_command(self, source: Path) -> None:
        """As a whole process: ``authdb load`` makes the database that is not there yet."""
        subprocess.run(
            [script("authdb"), "--db", str(self.path), "load", str(source)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def cold(self) -> list[str]:
        """The command that asks a question from outside."""
        words = ["--db", str(self.path), "query", "--before", q.BEFORE, "--limit", "20"]
        return [script("authdb"), *words]

    def batch(self, source: Path) -> None:
        """Add a file's packages to those that are there."""
        load(self.db, [Loader(source)])

    # -- asking ------------------------------------------------------------------------------

    def open(self) -> None:
        self.db = AuthDB.open(self.path)

    def open_to_read(self) -> None:
        self.db = AuthDB.open(self.path, read_only=True)

    def close(self) -> None:
        self.db.close()

    def lt_count(self) -> int:
        return len(self.db.find(before()))

    def range_count(self) -> int:
        return len(self.db.find(within()))

    def range_any_count(self) -> int:
        return len(self.db.find(within() & AnyOf("categories", q.ANY)))

    def all_count(self) -> int:
        return len(self.db.find(All("categories", q.ALL)))

    def not_any_count(self) -> int:
        return len(self.db.find(NotAny("categories", q.NOT_ANY)))

    def or_count(self) -> int:
        return len(self.db.find(Eq("license", q.LICENSE) | before()))

    def facets(self) -> dict[str, int]:
        return self.db.facets("categories", within())

    def histogram(self) -> dict[Any, int]:
        return self.db.histogram("last_update", by="year")

    def _newest(self) -> Any:
        query = within() & AnyOf("categories", q.ANY)
        return self.db.find(query, sort="last_update", reverse=True, limit=q.NEWEST)

    def newest_ids(self) -> Iterable[int]:
        return self._newest().docids

    def newest_rows(self) -> list[Any]:
        return [row.cells for row in self._newest().rows()]

    def other_order_ids(self) -> Iterable[int]:
        query = within() & All("categories", q.ALL)
        return self.db.find(query, sort="last_release", reverse=True, limit=q.NEWEST).docids

    def by_name(self, names: list[str]) -> list[Any]:
        packages = [self.db[name] for name in names]
        for package in packages:
            package._p_activate()
        return packages

    def _best(self, query: Any) -> Iterable[int]:
        return self.db.find(query, sort="relevance", limit=q.BEST).docids

    def text_rare(self) -> Iterable[int]:
        return self._best(Contains("description", q.RARE))

    def text_frequent(self) -> Iterable[int]:
        return self._best(Contains("description", q.FREQUENT))

    def text_and(self) -> Iterable[int]:
        return self._best(Contains("description", f"{q.RARE} {q.FREQUENT}"))

    def text_and_count(self) -> int:
        return len(self.db.find(Contains("description", f"{q.RARE} {q.FREQUENT}")))

    def phrase_count(self) -> int:
        return len(self.db.find(Contains("description", f'"{" ".join(q.PHRASE)}"')))

    def text_filter(self) -> Iterable[int]:
        query = Contains("description", q.RARE) & within() & AnyOf("categories", q.ANY)
        return self._best(query)

    def list_rows(self) -> list[Any]:
        return [row.cells for row in self.db.find(before(), sort="last_update").rows()]

    def plain(self, question: str, answer: Any) -> Any:
        if question == "histogram":
            return {str(year): count for year, count in answer.items() if year is not None}
        if question in ("newest_ids", "other_order_ids"):
            field = "last_update" if question == "newest_ids" else "last_release"
            found = [self.db.objects[docid] for docid in answer]
            return [[package.name, getattr(package, field).isoformat()] for package in found]
        if question.startswith("text_") and not question.endswith("_count"):
            return [self.db.objects[docid].name for docid in answer]
        if question == "by_name":
            return [[package.name, package.version, package.description] for package in answer]
        return answer

    # -- changing ----------------------------------------------------------------------------

    def change(self, edits: list[tuple[str, str, str]]) -> None:
        """A new version and the day of its release, of one package or of many; one transaction."""
        with self.db.transaction("a change"):
            for name, version, day in edits:
                self.db.update(name, version=version, last_release=day)

    changes = change

    def change_text(self, name: str, description: str) -> None:
        """Another description."""
        self.db.update(name, description=description)

    def pack(self) -> None:
        self.db.pack()


def before() -> Lt:
    return Lt("last_update", q.BEFORE)


def within() -> InRange:
    return InRange("last_update", q.SINCE, q.UNTIL)
