"""A chart of the ratios to SQLite, as SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.bars import ratio
from benchmarks.harness import Board
from benchmarks.report import times
from benchmarks.tasks import TASKS, Task

__all__ = ["draw"]

COLORS = {10_000: "#9ecae1", 100_000: "#3182bd", 1_000_000: "#08306b"}
AHEAD, BEHIND = "#eef7ee", "#fbeeee"


def draw(board: Board, path: Path) -> None:
    """A dot for each task and size on a logarithmic axis: SQLite's time / ours.

    :param path: ends in ``.svg`` or ``.png``
    """
    mpl.rcParams.update({"svg.hashsalt": "authdb", "font.family": "DejaVu Sans", "font.size": 9})
    lines = [(task, found) for task in TASKS if (found := _ratios(board, task))]
    figure = Figure(figsize=(10, 1.6 + 0.27 * len(lines)), layout="constrained")
    axes = figure.subplots()
    ratios = [value for _, found in lines for value in found.values()] or [1.0]
    low, high = min([*ratios, 0.5]) / 1.6, max([*ratios, 2.0]) * 2.2
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvspan(low, 1, color=BEHIND, zorder=0)
    axes.axvspan(1, high, color=AHEAD, zorder=0)
    axes.axvline(1, color="#444444", linewidth=1)
    for place, (_, found) in enumerate(lines):
        axes.plot(
            [min(found.values()), max(found.values())], [place] * 2, color="#bbbbbb", zorder=1
        )
        for size, value in found.items():
            axes.scatter(value, place, s=34, color=COLORS.get(size, "#888888"), zorder=2)
        axes.annotate(
            times(found[max(found)]),
            (max(found.values()), place),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color="#444444",
            bbox={"pad": 0.6, "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
        )
    axes.set_yticks(range(len(lines)), [_title(task) for task, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(axis="x", color="white", linewidth=1.2)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("SQLite's time / authdb's (log scale; the number is that of the largest size)")
    for x, text, side in ((0.985, "authdb is slower  ◀", "right"), (1.015, "▶  faster", "left")):
        axes.annotate(text, (x, -0.6), (0, 4), textcoords="offset points", ha=side, color="#444444")
    for size in board.sizes:
        color = COLORS.get(size, "#888888")
        axes.scatter([], [], s=34, color=color, label=f"{size:,} packages")
    axes.legend(loc="lower right", framealpha=1, edgecolor="white")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=130)


def _ratios(board: Board, task: Task) -> dict[int, float]:
    peer = "command" if task.key in ("load_command", "cold_query") else "sqlite"
    found = ((size, ratio(board, size, task, peer)) for size in board.sizes)
    return {size: value for size, value in found if value}


def _title(task: Task) -> str:
    commands = task.key in ("load_command", "cold_query")
    return task.title + " (against sqlite-utils)" * commands
