"""The command line: how a command is run, and how it ends.

Each command is a function in `authdb.commands`, imported only when it is asked for. Exit status:
0; 1 for an honest no; 2 for bad input; 3 for a database that is missing, locked or damaged; 4 for a
server that could not be reached.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from authdb.parser import build_parser
from authdb.progress import abandon, say

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: those of the process if None
    :returns: the exit status
    """
    try:
        _open_streams()
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        say("interrupted")
        status = 130
    except BrokenPipeError:  # whoever read our output has had enough: that is no mistake
        status = 0
    except OSError as error:
        from authdb.storage import explain

        say(str(explain(error, error.filename or "standard output")))
        status = 2
    abandon(sys.stdout)
    return status


def _open_streams() -> None:
    """See to it that all three standard streams are there, and that no text breaks them."""
    # The first file that is opened takes the place of one that was closed. That must not be the
    # database: an error message would be written into it. So something else takes the place,
    # which makes every use of that stream an error.
    for number, (name, flag, mode) in enumerate(
        (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    ):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, flag)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(arguments: Sequence[str] | None) -> int:
    import warnings

    try:
        options = build_parser().parse_args(arguments)
    except SystemExit as end:  # --help, --version, or a mistake that has been told
        return int(end.code or 0)

    import gc

    # What is imported stays: looking through it for garbage would take a tenth of the time.
    gc.disable()
    from authdb.commands import command
    from authdb.exceptions import (
        AuthDBError,
        AuthDBWarning,
        DatabaseError,
        DatabaseExists,
        FetchError,
        NoSuchMoment,
        PackageNotFound,
    )

    gc.freeze()
    gc.enable()
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.simplefilter("always", AuthDBWarning)
    do = command(options.command)
    try:
        return do(options)
    except (PackageNotFound, NoSuchMoment) as error:
        say(str(error))
        return 1
    except FetchError as error:
        say(str(error))
        return 4
    except AuthDBError as error:
        say(str(error))
        missing = isinstance(error, DatabaseError) and not isinstance(error, DatabaseExists)
        return 3 if missing else 2
    except OSError:
        raise
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        say(f"{text} (a mistake in authdb: please report what python -X dev -m authdb shows)")
        return 3


def _show_warning(message: Warning | str, *_: Any) -> None:
    say(f"warning: {message}")
