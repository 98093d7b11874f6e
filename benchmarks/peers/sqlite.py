"""sqlite3, tuned as its best users do.

Loading: one transaction, rows in ``executemany``, the indexes after them, 400 MB of cache, one FTS5
table a text (faster to search than one for both with a filter by column). Asking: ANALYZE has been
run, the file is mapped into memory, and where there are several ways to write a question the
fastest on this machine and this data is taken. Days are ISO text, of which a month or a year is a
prefix; as integers they were no faster. Changing: the default journal, synced in full.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Base, chunks, last_update
from benchmarks.peers.sql import BY_NAME, SQL

__all__ = ["Peer"]

TABLES = """
create table package (
    id integer primary key, name text not null, title text not null, description text,
    last_update text, last_commit text, last_release text,
    version text, license text, requires_python text, repository text);
create table category (
    category text, package integer, primary key (category, package)) without rowid;
"""
INDEXES = (
    "create unique index by_name on package (name)",
    "create index by_last_update on package (last_update)",
    "create index by_last_commit on package (last_commit)",
    "create index by_last_release on package (last_release)",
    "create index by_license on package (license)",
    "create index by_package on category (package, category)",
)
TEXTS = ("title", "description")
INSERT = "insert into package values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

ONE_VALUE = {name for name in SQL if name.endswith("_count")}
KEYS = {"newest_ids": "last_update", "other_order_ids": "last_release"}


class Peer(Base):
    """The tables, and the questions of `SQL`."""

    title = "SQLite"
    about = (
        "sqlite3 with FTS5: one transaction, indexes after the rows, 400 MB of cache, ANALYZE, "
        "the best of up to three forms of each question"
    )

    @staticmethod
    def version() -> str:
        return sqlite3.sqlite_version

    @property
    def path(self) -> Path:
        return self.folder / "packages.db"

    # -- loading -----------------------------------------------------------------------------

    def load(self, source: Path, text: bool = True) -> None:
        gc.disable()
        base = self._connect()
        base.executescript(TABLES)
        base.execute("begin")
        self._insert(base, source, 0)
        for statement in INDEXES:
            base.execute(statement)
        for field in TEXTS if text else ():
            base.execute(
                f"create virtual table text_{field} using fts5({field}, content='package', "
                "content_rowid='id', tokenize='unicode61 remove_diacritics 0')"
            )
            base.execute(f"insert into text_{field} (text_{field}) values ('rebuild')")
        base.execute("commit")
        base.close()
        gc.enable()

    def load_without_text(self, source: Path) -> None:
        self.load(source, text=False)

    def batch(self, source: Path) -> None:
        """Add a file's packages to those that are there."""
        base = self.base
        base.execute("begin")
        (last,) = base.execute("select max(id) from package").fetchone()
        self._insert(base, source, last)
        for field in TEXTS:
            base.execute(
                f"insert into text_{field} (rowid, {field}) "
                f"select id, {field} from package where id > ?",
                (last,),
            )
        base.execute("commit")

    @staticmethod
    def _insert(base: sqlite3.Connection, source: Path, last: int) -> None:
        for chunk in chunks(source):
            rows, words = [], []
            for docid, record in enumerate(chunk, last + 1):
                get = record.get
                texts = docid, record["name"], record["title"], get("description")
                days = last_update(record), get("last_commit"), get("last_release")
                rest = get("version"), get("license"), get("requires_python"), get("repository")
                rows.append(texts + days + rest)
                words.extend([(word, docid) for word in record["categories"]])
            base.executemany(INSERT, rows)
            base.executemany("insert into category values (?, ?)", words)
            last += len(chunk)

    # -- asking ------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, isolation_level=None)
        base.execute("pragma cache_size = -400000")
        base.execute("pragma synchronous = full")
        return base

    def open(self) -> None:
        self.base = self._connect()
        self.base.execute("pragma mmap_size = 4000000000")
        self._best: dict[str, str] = {}

    def close(self) -> None:
        self.base.close()

    def prepare(self) -> None:
        base = self._connect()
        base.execute("analyze")
        base.close()

    def does(self) -> list[str]:
        return [*super().does(), *SQL]

    def __getattr__(self, name: str) -> Any:
        if name not in SQL:
            raise AttributeError(name)
        if name not in self._best:
            self._best[name] = self._fastest(SQL[name])
        statement, execute = self._best[name], self.base.execute
        if name in ONE_VALUE:
            return lambda: execute(statement).fetchone()[0]
        return lambda: execute(statement).fetchall()

    def _fastest(self, forms: Iterable[str]) -> str:
        def seconds(form: str) -> float:
            times = []
            for _ in range(3):
                start = time.perf_counter()
                self.base.execute(form).fetchall()
                times.append(time.perf_counter() - start)
            return min(times)

        forms = list(forms)
        return min(forms, key=seconds) if len(forms) > 1 else forms[0]

    def by_name(self, names: list[str]) -> list[Any]:
        execute = self.base.execute
        return [execute(BY_NAME, (name,)).fetchone() for name in names]

    def plain(self, question: str, answer: Any) -> Any:
        if question in ("facets", "histogram"):
            return dict(answer)
        if question in KEYS:
            return [self._one(f"name, {KEYS[question]}", row[0]) for row in answer]
        if question.startswith("text_") and not question.endswith("_count"):
            return [self._one("name", row[0])[0] for row in answer]
        if question == "by_name":
            return [[row[1], row[7], row[3]] for row in answer]
        return answer

    def _one(self, what: str, docid: int) -> Any:
        return self.base.execute(f"select {what} from package where id = ?", (docid,)).fetchone()

    # -- changing ----------------------------------------------------------------------------

    def change(self, edits: list[tuple[str, str, str]]) -> None:
        """A new version and the day of its release, of one package or of many; one transaction."""
        base = self.base
        base.execute("begin")
        base.executemany(
            "update package set version = ?2, last_release = ?3, "
            "last_update = max(coalesce(last_commit, ''), ?3) where name = ?1",
            edits,
        )
        base.execute("commit")

    def change_text(self, name: str, description: str) -> None:
        """Another description."""
        base = self.base
        base.execute("begin")
        docid, old = base.execute(
            "select id, description from package where name = ?", (name,)
        ).fetchone()
        base.execute(
            "insert into text_description (text_description, rowid, description) "
            "values ('delete', ?, ?)",
            (docid, old),
        )
        base.execute("update package set description = ? where id = ?", (description, docid))
        base.execute(
            "insert into text_description (rowid, description) values (?, ?)", (docid, description)
        )
        base.execute("commit")

    changes = change

    def pack(self) -> None:
        self.base.execute("vacuum")
