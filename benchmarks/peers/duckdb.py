"""DuckDB, in the file format of its own: columns, without indexes of text.

It reads the NDJSON itself, in parallel; a checkpoint puts everything on the disk. Categories are a
column of lists, which its functions of lists search.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from benchmarks import questions as q
from benchmarks.peers.base import Base

__all__ = ["Peer"]

TABLE = """
create table package as
select name, title, description, categories,
    case when last_commit is null or last_release > last_commit then last_release
         else last_commit end as last_update,
    last_commit, last_release, version, license, requires_python, repository
from {source}
"""
FIELDS = {
    **dict.fromkeys(
        (
            *("name", "title", "description", "last_commit", "last_release", "version"),
            *("license", "requires_python", "repository"),
        ),
        "varchar",
    ),
    "categories": "varchar[]",
}
IN_RANGE = f"last_update >= '{q.SINCE}' and last_update < '{int(q.UNTIL) + 1}'"
ANY = f"list_has_any(categories, {list(q.ANY)})"
ALL = f"list_has_all(categories, {list(q.ALL)})"
ROW = ", ".join(q.ROW[:-1]) + ", array_to_string(categories, ',')"
NEWEST = f"where {IN_RANGE} and {ANY} order by last_update desc limit {q.NEWEST}"

SQL = {
    "lt_count": f"select count(*) from package where last_update < '{q.BEFORE}'",
    "range_count": f"select count(*) from package where {IN_RANGE}",
    "range_any_count": f"select count(*) from package where {IN_RANGE} and {ANY}",
    "all_count": f"select count(*) from package where {ALL}",
    "not_any_count": (
        f"select count(*) from package where not list_has_any(categories, {list(q.NOT_ANY)})"
    ),
    "or_count": (
        f"select count(*) from package where license = '{q.LICENSE}' or last_update < '{q.BEFORE}'"
    ),
    "facets": (
        "select word, count(*) from (select unnest(categories) as word from package "
        f"where {IN_RANGE}) group by word"
    ),
    "histogram": (
        "select last_update[:4], count(*) from package where last_update is not null group by 1"
    ),
    "newest_ids": f"select name, last_update from package {NEWEST}",
    "newest_rows": f"select {ROW} from package {NEWEST}",
    "other_order_ids": (
        f"select name, last_release from package where {IN_RANGE} and {ALL} "
        f"order by last_release desc nulls last limit {q.NEWEST}"
    ),
    "list_rows": (
        f"select {ROW} from package where last_update < '{q.BEFORE}' order by last_update"
    ),
}


class Peer(Base):
    """One table, the questions of `SQL`."""

    title = "DuckDB"
    about = "its own reader of NDJSON, a column of lists, no index of text"

    @staticmethod
    def version() -> str:
        return str(duckdb.__version__)

    @property
    def path(self) -> Path:
        return self.folder / "packages.duckdb"

    def load_without_text(self, source: Path) -> None:
        base = duckdb.connect(str(self.path))
        base.execute(TABLE.format(source=self._reader(source)))
        base.execute("create unique index by_name on package (name)")
        base.execute("checkpoint")
        base.close()

    @staticmethod
    def _reader(source: Path) -> str:
        return f"read_json('{source}', format = 'newline_delimited', columns = {FIELDS})"

    def open(self) -> None:
        self.base = duckdb.connect(str(self.path))

    def close(self) -> None:
        self.base.close()

    def does(self) -> list[str]:
        return [*super().does(), *SQL]

    def __getattr__(self, name: str) -> Any:
        if name not in SQL:
            raise AttributeError(name)
        statement, execute = SQL[name], self.base.execute
        if name.endswith("_count"):
            return lambda: execute(statement).fetchone()[0]
        return lambda: execute(statement).fetchall()

    def by_name(self, names: list[str]) -> list[Any]:
        execute = self.base.execute
        return [
            execute("select * from package where name = ?", [name]).fetchone() for name in names
        ]

    def plain(self, question: str, answer: Any) -> Any:
        if question in ("facets", "histogram"):
            return dict(answer)
        if question == "by_name":
            return [[row[0], row[7], row[2]] for row in answer]
        return answer

    def change(self, edits: list[tuple[str, str, str]]) -> None:
        """A new version and the day of its release, of one package or of many; one transaction."""
        self.base.begin()
        self.base.executemany(
            "update package set version = $2, last_release = $3, "
            "last_update = greatest(coalesce(last_commit, ''), $3) where name = $1",
            edits,
        )
        self.base.commit()

    changes = change

    def batch_without_text(self, source: Path) -> None:
        """Add a file's packages to those that are there."""
        select = TABLE.format(source=self._reader(source)).replace(
            "create table package as", "insert into package"
        )
        self.base.execute(select)
