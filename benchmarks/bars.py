"""The bars that were set for authdb, and whether they hold: SQLite's time / ours, at least."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.harness import Board
from benchmarks.tasks import TASKS, Task

__all__ = ["BARRED", "BARS", "SIZES", "Bar", "ratio"]

#: The sizes that bars are set for.
SIZES = (100_000, 1_000_000)
_TASKS = {(task.key, task.own): task for task in TASKS}


class Bar(NamedTuple):
    """What the ratio of some rows is to be at least, at each of `SIZES`."""

    title: str
    tasks: tuple[tuple[str, str], ...]
    least: tuple[float, float]
    peer: str = "sqlite"

    def found(self, board: Board, size: int) -> list[tuple[Task, float | None]]:
        """The ratio of each row."""
        tasks = [_TASKS[pair] for pair in self.tasks]
        return [(task, ratio(board, size, task, self.peer)) for task in tasks]


def _of(*keys: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, key) for key in keys)


BARS = (
    Bar("load with text into a new database, 2 processes", _of("load"), (1.0, 1.1)),
    Bar("load with text, public API of any storage", (("load", "load_any"),), (0.45, 0.45)),
    Bar("load with text against the sqlite-utils command", _of("load_command"), (3, 3), "command"),
    Bar("Lt count", _of("lt_count"), (5, 40)),
    Bar("InRange count (a third of all)", _of("range_count"), (30, 300)),
    Bar(
        "And, Or, All, NotAny counts; facets; histogram",
        _of("range_any_count", "or_count", "all_count", "not_any_count", "facets", "histogram"),
        (100, 300),
    ),
    Bar("newest 20 under a filter, with their rows", _of("newest_rows"), (1.5, 1)),
    Bar("text best 10", _of("text_rare", "text_frequent"), (2, 2)),
    Bar("text AND best 10", _of("text_and"), (1.3, 1)),
    Bar("text best 10 with filter", _of("text_filter"), (4, 5)),
    Bar("list 3 % of the rows", _of("list_rows"), (1, 1)),
    Bar("one change + commit, synced", _of("change"), (0.8, 0.8)),
    Bar("1,000 changes in one commit", _of("changes"), (0.8, 0.8)),
    Bar("batch of 10k into a full catalogue, with text", _of("batch_10000"), (0.25, 0.25)),
    Bar("whole process, query --limit 20", _of("cold_query"), (0.9, 0.9), "command"),
)
#: Who does what, of all that the bars hold against each other.
BARRED = {who for bar in BARS for key, own in bar.tasks for who in ((bar.peer, key), ("ours", own))}


def ratio(board: Board, size: int, task: Task, peer: str) -> float | None:
    """The peer's time / ours: above 1 authdb is ahead. None where one of them has none."""
    theirs, ours = board.value(size, task.key, peer), board.value(size, task.own, "ours")
    return None if theirs is None or not ours else theirs / ours
