"""Packages and figures as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from authdb.exceptions import AuthDBError, nearest
from authdb.models import FIELDS, Package

__all__ = ["DEFAULT_COLUMNS", "columns_of", "details", "packages_table", "table"]

#: What a list of packages shows unless other columns are asked for.
DEFAULT_COLUMNS = ("name", "last_update", "version", "categories")


def columns_of(text: str | None, default: Sequence[str]) -> Sequence[str]:
    """The fields that ``text`` ("name,title") names.

    :raises AuthDBError: one of them is no field
    """
    if text is None:
        return default
    columns = [column.strip() for column in text.split(",") if column.strip()]
    for column in columns:
        if column not in FIELDS:
            raise AuthDBError(
                f"--columns: there is no field {column!r}{nearest(column, FIELDS)}; there are: "
                + ", ".join(FIELDS)
            )
    if not columns:
        raise AuthDBError("--columns: name at least one field, such as name,title")
    return columns


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    out: TextIO,
    right: Sequence[int] = (),
) -> None:
    """Write a table that fits the terminal; into a file or a pipe, as wide as it needs to be.

    :param right: the positions of the columns that are set to the right
    """
    if not out.isatty():
        _plain(heads, rows, out, right)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for position, head in enumerate(heads):
        # Names and dates stay whole; what is long wraps.
        whole = head in ("name", "last_update", "last_commit", "last_release", "version")
        justify = "right" if position in right else "left"
        grid.add_column(head, no_wrap=whole, overflow="fold", justify=justify)  # type: ignore[arg-type]
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    _print(grid, out)


def _plain(
    heads: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO, right: Sequence[int]
) -> None:
    """Columns set side by side: what a pipe needs of a table, without the 25 ms that rich takes
    to be imported."""
    lines = [[" ".join(cell.split()) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        cells = (
            cell.rjust(width) if position in right else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        out.write("  ".join(cells).rstrip() + "\n")


def packages_table(packages: Iterable[Package], columns: Sequence[str], out: TextIO) -> None:
    """A table with a row a package and a column a field."""
    rows = [[FIELDS[name].cell(getattr(package, name)) for name in columns] for package in packages]
    table(columns, rows, out)


def details(package: Package, out: TextIO) -> None:
    """All that is known of one package, a line a field, with where it comes from."""
    rows = [(name, *_detail(package, name, value)) for name, value in package.values()]
    rows = [row for row in rows if row[0] != "sources"]
    if not out.isatty():
        for name, text, source in rows:
            out.write(f"{name:16}{' '.join(text.split())}{source}\n")
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text, source in rows:
        grid.add_row(name, Text.assemble(text, (source, "dim")))
    _print(grid, out)


def _detail(package: Package, name: str, value: Any) -> tuple[str, str]:
    """The value as text, and where it comes from."""
    if name == "releases":
        newest = ", ".join(f"{r.version} ({r.date.isoformat()})" for r in value[:-4:-1])
        text = f"{len(value)}: {newest}" + (", ..." if len(value) > 3 else "")
    else:
        text = FIELDS[name].cell(value)
    source = package.source(name)
    return text, "" if source is None else f"  [{source.source}, seen {source.seen.isoformat()}]"


def _print(grid: Any, out: TextIO) -> None:
    from rich.console import Console

    Console(file=out, highlight=False).print(grid)
