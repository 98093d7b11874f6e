"""What goes to standard error: a word to the person, and a progress bar while files are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

__all__ = ["abandon", "bar", "say"]


def say(text: str) -> None:
    """Tell the person ``text``, each line of it with our name in front."""
    try:
        for line in text.splitlines():
            print(f"authdb: {line}", file=sys.stderr)
    except OSError:  # nobody reads it; the exit status says enough
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Send what is still buffered nowhere, so that Python does not complain on its way out."""
    with suppress(OSError, ValueError):  # a stream of no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def bar(wanted: bool | None) -> Iterator[Callable[[Any], None] | None]:
    """What a load calls with the `authdb.loaders.Loader` that it is reading from.

    :param wanted: whether to show one; None: if standard error is a terminal
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    # Asked for, it is drawn wherever standard error goes.
    console = Console(stderr=True, force_terminal=wanted)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[int, Any] = {}

        def show(loader: Any) -> None:
            if id(loader) not in tasks:
                name = Path(loader.name).name[-40:]
                tasks[id(loader)] = progress.add_task(escape(name), total=loader.size)
            progress.update(tasks[id(loader)], completed=loader.position)

        yield show
