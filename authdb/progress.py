"""A progress bar on a terminal, while files are loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["bar"]


@contextmanager
def bar(wanted: bool | None) -> Iterator[Callable[[Any], None] | None]:
    """What a load calls with the `authdb.loaders.Loader` that it is reading from.

    :param wanted: whether to show one; None: if standard error is a terminal
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[int, Any] = {}

        def show(loader: Any) -> None:
            if id(loader) not in tasks:
                tasks[id(loader)] = progress.add_task(str(loader.name), total=loader.size)
            progress.update(tasks[id(loader)], completed=loader.position)

        yield show
