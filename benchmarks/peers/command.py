"""The ``sqlite-utils`` command, used as its documentation shows: a process for each step.

``insert`` the lines, work out the table of categories and the last update with ``query``,
``create-index``, and ``enable-fts`` over both texts.
"""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import sqlite_utils  # noqa: F401 - without it the command is not there either

from benchmarks import questions as q
from benchmarks.peers.base import Base
from benchmarks.peers.ours import script

__all__ = ["Peer"]

LAST_UPDATE = (
    "update package set last_update = nullif(max(coalesce(last_commit, ''), "
    "coalesce(last_release, '')), '')"
)
CATEGORIES = "insert into category select value, package.rowid from package, json_each(categories)"
INDEXES = ("last_update", "last_commit", "last_release", "license")


class Peer(Base):
    """One database file, made by commands."""

    title = "sqlite-utils"
    about = "the command: insert, query, create-index, enable-fts, each a process"

    @staticmethod
    def version() -> str:
        return version("sqlite-utils")

    @property
    def path(self) -> Path:
        return self.folder / "packages.db"

    def run(self, command: str, *words: str) -> None:
        """Run one command on the file."""
        subprocess.run(
            [script("sqlite-utils"), command, str(self.path), *words],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def load_command(self, source: Path) -> None:
        self.run("insert", "package", str(source), "--nl", "--pk", "name", "--silent")
        self.run("add-column", "package", "last_update", "text")
        self.run("query", LAST_UPDATE)
        self.run("create-table", "category", "category", "text", "package", "integer")
        self.run("query", CATEGORIES)
        for field in INDEXES:
            self.run("create-index", "package", field)
        self.run("create-index", "category", "category", "package")
        self.run("create-index", "category", "package", "category")
        self.run("enable-fts", "package", "title", "description")

    def cold(self) -> list[str]:
        """The command that asks what ``authdb query --before 2013 --limit 20`` does."""
        statement = (
            "select name, last_update, version, (select group_concat(category, ', ') from category "
            "where category.package = package.rowid) as categories from package "
            f"where last_update < '{q.BEFORE}' order by last_update limit 20"
        )
        return [script("sqlite-utils"), "query", str(self.path), statement]
