"""Packages and figures as tables: laid out for a terminal, plain columns for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from authdb.columns import Row
from authdb.exceptions import AuthDBError, nearest
from authdb.models import FIELDS, Package

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from authdb.contrast import Fact

__all__ = [
    "DEFAULT_COLUMNS",
    "bars",
    "columns_of",
    "contrast_table",
    "details",
    "packages_table",
    "paragraph",
    "table",
]

#: What a list of packages shows unless other columns are asked for.
DEFAULT_COLUMNS = ("name", "last_update", "version", "categories")

# These columns stay whole. The others wrap, but not to fewer characters than that.
_WHOLE = ("name", "last_update", "last_commit", "last_release", "version", "change", "when (UTC)")
_NARROWEST = 16


def columns_of(text: str | None, default: Sequence[str]) -> Sequence[str]:
    """The fields that ``text`` ("name,title") names, each once.

    :raises AuthDBError: one of them is no field
    """
    if text is None:
        return default
    columns = list(dict.fromkeys(column.strip() for column in text.split(",") if column.strip()))
    for column in columns:
        if column not in FIELDS:
            raise AuthDBError(
                f"--columns: there is no field {column[:60]!r}{nearest(column[:60], FIELDS)}; "
                f"there are: {', '.join(FIELDS)}"
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
    """Write a table.

    On a terminal it is as wide as that at most: long cells wrap, and where too little room is
    left for them, each row becomes a block of lines. Elsewhere it is as wide as it needs to be.

    :param right: the positions of the columns that are set to the right
    """
    if not out.isatty():
        _plain(heads, rows, out, right)
        return
    console = _console(out)
    if not _fits(heads, rows, console.width):
        for position, row in enumerate(rows):
            _block([(head, cell, "") for head, cell in zip(heads, row, strict=True)], out, position)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for position, head in enumerate(heads):
        grid.add_column(
            head,
            no_wrap=head in _WHOLE,
            overflow="fold",
            justify="right" if position in right else "left",
        )
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(grid)


def _fits(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the columns find room side by side."""
    from rich.cells import cell_len

    room = 2 * (len(heads) - 1)
    for head, *cells in zip(heads, *rows, strict=True):
        longest = max(map(cell_len, cells), default=0)
        room += max(cell_len(head), longest if head in _WHOLE else min(longest, _NARROWEST))
    return room <= width


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


def bars(
    heads: tuple[str, str],
    counts: Sequence[tuple[str, int]],
    missing: Sequence[tuple[str, int]],
    out: TextIO,
) -> None:
    """A row a count; on a terminal with a bar, the longest of which takes the room there is.

    :param heads: what is counted, and what the counts are of
    :param missing: counts of those without a value: they stand last, and their bars are lighter
    """
    rows = [*counts, *missing]
    if not out.isatty():
        _plain(heads, [[label, str(count)] for label, count in rows], out, [1])
        return
    from shutil import get_terminal_size

    labels = [label if len(label) <= 32 else f"{label[:29]}..." for label, _ in rows]
    numbers = [f"{count:,}" for _, count in rows]
    wide = max(map(len, [heads[0], *labels]))
    right = max(map(len, [heads[1], *numbers]))
    room = max(8, get_terminal_size().columns - wide - right - 5)
    most = max(count for _, count in rows)
    out.write(f"{heads[0]:{wide}}  {heads[1]:>{right}}\n")
    for place, (label, number) in enumerate(zip(labels, numbers, strict=True)):
        eighths = -(-rows[place][1] * room * 8 // most) if most else 0
        bar = _bar(eighths, place >= len(counts), out.encoding)
        out.write(f"{label:{wide}}  {number:>{right}}  {bar}".rstrip() + "\n")


def _bar(eighths: int, light: bool, encoding: str) -> str:
    """A bar that is so many eighths of a character long."""
    whole, rest = divmod(eighths, 8)
    bar = "░" * (whole + (rest > 0)) if light else "█" * whole + " ▏▎▍▌▋▊▉"[rest]
    try:
        bar.encode(encoding)
    except UnicodeEncodeError:
        return (":" if light else "#") * (whole + (rest > 0))
    return bar


def packages_table(packages: Iterable[Package | Row], columns: Sequence[str], out: TextIO) -> None:
    """A table with a row a package and a column a field."""
    rows = [[FIELDS[name].cell(getattr(package, name)) for name in columns] for package in packages]
    table(columns, rows, out)


def paragraph(text: str, out: TextIO) -> None:
    """Write a line of text; on a terminal it wraps between words."""
    if out.isatty():
        from shutil import get_terminal_size
        from textwrap import fill

        width = max(get_terminal_size().columns, 20)
        text = fill(text, width, break_long_words=False, break_on_hyphens=False)
    out.write(f"{text}\n")


def details(package: Package, out: TextIO, position: int = 0) -> None:
    """All that is known of one package, a line a field, with where it comes from.

    :param position: how many packages were shown before: an empty line goes between two
    """
    lines = []
    for name in FIELDS:
        value, source = getattr(package, name), package.source(name)
        if name != "sources" and package.is_known(name):
            remark = f"  [{source.source}, seen {source.seen.isoformat()}]" if source else ""
            lines.append((name, _detail(name, value) if value else "(none)", remark))
    _block(lines, out, position)


def _detail(name: str, value: Any) -> str:
    if name == "releases":
        newest = ", ".join(f"{r.version} ({r.date.isoformat()})" for r in value[:-4:-1])
        return f"{len(value)}: {newest}" + (", ..." if len(value) > 3 else "")
    if name == "vulnerabilities":
        return "; ".join(map(str, value))
    return FIELDS[name].cell(value)


def contrast_table(packages: Sequence[Package], facts: Sequence[Fact], out: TextIO) -> None:
    """Packages side by side: a row a fact, with a mark before those that differ.

    On a terminal long cells wrap, so that a fact stays a row; where there is too little room for
    all the packages, there are several tables, one below the other.
    """
    heads = ["", "fact", *(package.name for package in packages)]
    rows = [["*" if fact.differs else "", fact.name, *fact.texts] for fact in facts]
    if not out.isatty():
        _plain(heads, rows, out, ())
        return
    console = _console(out)
    before = 3 + max(map(len, ["fact", *(fact.name for fact in facts)]))
    at_once = max(1, (console.width - before) // (_NARROWEST + 2))
    parts = -(-len(packages) // at_once)  # of about the same width
    at_once = -(-len(packages) // parts)
    for start in range(0, len(packages), at_once):
        if start:
            out.write("\n")
        shown = [0, 1, *range(start + 2, min(start + at_once, len(packages)) + 2)]
        console.print(_side_by_side([[row[place] for place in shown] for row in (heads, *rows)]))


def _side_by_side(rows: Sequence[Sequence[str]]) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(rows[0]):
        grid.add_column(Text(head), no_wrap=place < 2, overflow="fold")
    for row in rows[1:]:
        grid.add_row(*map(Text, row))
    return grid


def _block(lines: Sequence[tuple[str, str, str]], out: TextIO, position: int) -> None:
    """A line for each label, its text, and a remark on it."""
    if position:
        out.write("\n")
    width = max(len(label) for label, _, _ in lines)
    if not out.isatty():
        for label, text, remark in lines:
            out.write(f"{label:{width}}  {' '.join(text.split())}{remark}".rstrip() + "\n")
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for label, text, remark in lines:
        grid.add_row(label, Text.assemble(text, (remark, "dim")))
    _console(out).print(grid)


def _console(out: TextIO) -> Console:
    from rich.console import Console

    return Console(file=out, highlight=False)
