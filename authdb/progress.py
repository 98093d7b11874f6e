"""What goes to standard error: a word to the person, and a bar that shows how far long work is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

__all__ = ["Show", "abandon", "bar", "say"]


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


#: What long work calls now and then: with what is being done, how far that is, and how far it goes
#: (None where that is not known).
Show = Callable[[str, int, "int | None"], object]


@contextmanager
def bar(wanted: bool | None) -> Iterator[Show | None]:
    """A progress bar: what is to be called (see `Show`); None where none is to be seen.

    :param wanted: whether to show one; None: if standard error is a terminal
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    # Asked for, it is drawn wherever standard error goes.
    console = Console(stderr=True, force_terminal=wanted)
    counted = TextColumn("{task.fields[counted]}")
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int | None) -> None:
            counted = f"{done:,}" if total is None else f"{done:,} of {total:,}"
            if what not in tasks:  # one line, for what is being done now
                for task in tasks.values():
                    progress.remove_task(task)
                tasks.clear()
                tasks[what] = progress.add_task(escape(what[-40:]), counted=counted)
            progress.update(tasks[what], completed=done, total=total, counted=counted)

        yield show
