"""What was measured, as tables: in the terminal, and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.bars import BARS, SIZES, ratio
from benchmarks.harness import Board
from benchmarks.pace import ASKS, LOADS
from benchmarks.peers import PEERS
from benchmarks.tasks import TASKS, Task

__all__ = ["page", "show", "show_bars"]

#: How the growth of a task is written: what it takes grows like the number of packages to the ...
GROWTH = "growth"


def peers_of(board: Board, size: int | None = None) -> list[str]:
    """The peers, besides ours, of which there is anything to be shown."""
    sizes = board.sizes if size is None else [size]
    return [
        peer
        for peer in PEERS
        if peer != "ours" and any(_is_told(board, s, task, peer) for s in sizes for task in TASKS)
    ]


def _is_told(board: Board, size: int, task: Task, peer: str) -> bool:
    """Whether there is a time, or what there is instead."""
    noted = board.noted(size, task.key, peer)
    return noted is not None or board.value(size, task.key, peer) is not None


def amount(task: Task, value: float) -> str:
    """Seconds or bytes, with a unit that suits."""
    if task.unit == "B":
        return f"{value / 1e6:,.0f} MB" if value >= 1e7 else f"{value / 1e6:.1f} MB"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{_digits(value * factor)} {unit}"
    return f"{_digits(value * 1e6)} µs"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(value: float) -> str:
    """A ratio, with two digits or so."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def growth(board: Board, method: str, peer: str) -> float | None:
    """The exponent with which it grows: the slope of the best line through the logarithms."""
    points = [
        (math.log(size), math.log(value))
        for size in board.sizes
        if (value := board.value(size, method, peer))
    ]
    if len(points) < 2:
        return None
    x0, y0 = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    over = sum((x - x0) * (y - y0) for x, y in points)
    return over / sum((x - x0) ** 2 for x, _ in points)


def rows(board: Board, size: int, peers: Sequence[str]) -> Iterator[tuple[Task, list[str]]]:
    """Each task that we did: our amount, and the ratio to each peer or what is said of it."""
    for task in TASKS:
        ours = board.value(size, task.own, "ours")
        noted = board.noted(size, task.own, "ours")
        if ours is None and noted is None:
            continue
        cells = [amount(task, ours) if ours is not None else str(noted).split(":")[0]]
        for peer in peers:
            value, noted = ratio(board, size, task, peer), board.noted(size, task.key, peer)
            cells.append(noted.split(":")[0] if noted else "" if value is None else times(value))
        yield task, cells


# -- in the terminal -------------------------------------------------------------------------


def show(board: Board, console: Console) -> None:
    """The tables of all sizes, of the growth, and what there is to say."""
    for size in board.sizes:
        peers = peers_of(board, size)
        table = Table(title=f"{size:,} packages: their time / ours, above 1 authdb is ahead")
        table.add_column("", overflow="fold")
        for name in ("authdb", *map(board.title, peers)):
            table.add_column(name, justify="right", overflow="fold")
        for task, cells in rows(board, size, peers):
            table.add_row(task.title, cells[0], *map(_colored, cells[1:]))
        console.print(table)
    for line in remarks(board):
        console.print(f"- {line}", style="bold")


def _colored(cell: str) -> str:
    try:
        ahead = float(cell.replace(",", "")) >= 1
    except ValueError:
        return cell
    return f"[green]{cell}[/]" if ahead else f"[red]{cell}[/]"


def show_bars(board: Board, console: Console) -> None:
    """Each bar, and whether it holds."""
    table = Table(title="bars: SQLite's time / ours, at least")
    for name in ("", "size", "bar", "found", ""):
        table.add_column(name, justify="left" if not name else "right")
    for bar, size, least, found in bars(board):
        holds = all(value is not None and value >= least for value in found)
        told = " / ".join("none" if value is None else times(value) for value in found)
        verdict = "[green]holds[/]" if holds else "[red]MISSED[/]"
        table.add_row(bar, f"{size:,}", f"{least:g}", told, verdict)
    console.print(table)


def bars(board: Board) -> Iterator[tuple[str, int, float, list[float | None]]]:
    """Each bar at each size that was measured: title, size, least ratio, ratios found."""
    for bar in BARS:
        for size, least in zip(SIZES, bar.least, strict=True):
            if size in board.sizes:
                yield bar.title, size, least, [value for _, value in bar.found(board, size)]


def remarks(board: Board) -> list[str]:
    """Who was left out, and what failed or was answered wrongly."""
    missing = board.data["about"].get("missing", {})
    told = [f"LEFT OUT: {peer} ({why})" for peer, why in missing.items()]
    for size, method, peer, text in board.notes():
        told.append(f"{size:,}, {method}, {board.title(peer)}: {text}")
    return told


# -- as a page -------------------------------------------------------------------------------

INTRODUCTION = """\
# Benchmarks

How long authdb takes, and how long others take for the same, as a ratio: **their time / ours**.
Above 1 authdb is ahead, below 1 it is behind; rows that it loses stand among those that it wins.
The ratios come from one run, on a machine of {cores} cores, on which all took turns. The column
*authdb* says what it took there, to give an idea of the size of things.

![SQLite's time / authdb's, for each task](benchmarks.svg)

`make bench` measures it anew with 10,000 and 100,000 packages, in five minutes; `make bench-full`
with a million too, in about half an hour, and writes this page. `python -m benchmarks --help`
tells what can be chosen.
"""

METHOD = """\
## How it is measured

- The packages are made up from a seed by `benchmarks/data.py`: every field of authdb's, words by
  Zipf's law, days from 2010 to 2026, some missing and some known to the month only.
- Each peer holds all fields, and indexes what authdb does: name, license, three days, categories,
  and the words of title and description. It runs in a process of its own.
- Before a question is timed, its answer is held against SQLite's: the same counts, the same names
  in the same order (but for equal days), the same values in each row. Formulas of relevance differ:
  of the best ten only the number is compared. After the changes all answers are compared again.
  Who answers wrongly is not timed.
- A number is the median of runs in turn, ours and theirs alternating, warm: each was asked once
  before. The collector does not look at what was loaded before (`gc.freeze`), for all alike.
- Loading is from the file to the disk, synced. authdb checks every field of every record while it
  loads, the others take what comes. It has no switch to leave the text out: in the rows without
  text, ours has it and theirs does not. As whole processes, ours is `authdb load` into a folder
  where there is nothing; the others' needs a command for each step.
- Changes are synced: SQLite with its default journal and `synchronous = FULL`; of authdb the
  objects, while the catalog, which can be made anew from them, has checksums in place of a sync
  until it is closed. TinyDB does not sync. Single changes are made ten in a row, after ten that are
  not counted; the number is their mean.
- What takes a peer long is done fewer times, and once at least: it loads up to three times, as long
  as that takes {loads:g} seconds in all (what the bars compare is done each time; of a million
  only authdb's and SQLite's load with text), and is asked each question in up to five turns, as
  long as one after the other they would take {asks:g} seconds.
- Slow loaders (fewer than 5,000 packages a second) take part at 10,000 only.
- Who fails is told in place of a ratio: *over 120 s*, where it took longer than it may for one
  thing, *OUT OF MEMORY*, *FAILED*, *WRONG*; what it said stands at the end of this page.
"""


def page(board: Board) -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION.format(cores=board.data["about"].get("cores", "some"))]
    for size in board.sizes:
        peers = peers_of(board, size)
        parts.append(f"## {size:,} packages\n")
        lines = [[task.title, *cells] for task, cells in rows(board, size, peers)]
        parts.append(_table(["their time / ours", "authdb", *map(board.title, peers)], lines))
        parts.append(_behind(board, size))
    method = METHOD.format(loads=LOADS, asks=ASKS)
    parts += [_growth(board), _bars(board), method, _versions(board)]
    return "\n".join(parts)


def _table(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))


def _behind(board: Board, size: int) -> str:
    """In a sentence, the rows that SQLite wins."""
    found = ((task, ratio(board, size, task, "sqlite")) for task in TASKS)
    lost = [f"{task.title} ({times(value)})" for task, value in found if value and value < 1]
    return f"SQLite is ahead in: {'; '.join(lost)}.\n" if lost else "SQLite is ahead in none.\n"


def _growth(board: Board) -> str:
    peers = ["ours", *peers_of(board)]
    lines = []
    for task in TASKS:
        found = [growth(board, task.own if p == "ours" else task.key, p) for p in peers]
        if found[0] is not None:
            lines.append([task.title, *("" if f is None else f"{f:.2f}" for f in found)])
    several = [peer for number, peer in enumerate(peers) if any(line[number + 1] for line in lines)]
    keep = [0, *(peers.index(peer) + 1 for peer in several)]
    return (
        "## Growth\n\nThe exponent with which time or room grows with the number of packages: 0 "
        "stays, 1 doubles with twice as many.\n\n"
        + _table(["", *map(board.title, several)], [[line[n] for n in keep] for line in lines])
    )


def _bars(board: Board) -> str:
    lines = []
    for bar, size, least, found in bars(board):
        told = " / ".join("-" if value is None else times(value) for value in found)
        holds = all(value is not None and value >= least for value in found)
        lines.append([bar, f"{size:,}", f"{least:g}", told, "holds" if holds else "**missed**"])
    if not lines:
        return ""
    return (
        "## Bars\n\nWhat was aimed at, before it was built: SQLite's time / ours (the sqlite-utils "
        "command's, where whole processes are compared), at least. What stands in the way of loads "
        "and changes is on [a page of its own](limits.md).\n\n"
        + _table(["", "packages", "bar", "found", ""], lines)
    )


def _versions(board: Board) -> str:
    lines = [
        f"- {about['title']} {about['version']}: {about['about']}"
        for about in board.data["about"].get("peers", {}).values()
    ]
    told = [f"- {line}" for line in remarks(board)]
    return "\n".join(["## The peers\n", *lines, *told, ""])
