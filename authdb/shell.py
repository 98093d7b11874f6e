"""The interactive shell: the database and the query operators, results as tables."""

from __future__ import annotations

import ast
import io
import sys
from code import InteractiveConsole
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, TextIO

from authdb import query as operators
from authdb.database import AuthDB
from authdb.exceptions import AuthDBError
from authdb.models import Package
from authdb.progress import say
from authdb.results import Result
from authdb.tables import DEFAULT_COLUMNS, details, packages_table

__all__ = ["OPERATORS", "banner", "namespace", "run", "shown"]

OPERATORS = (
    "Lt", "Le", "Gt", "Ge", "Eq", "NotEq", "InRange", "NotInRange", "Any", "All", "NotAny",
    "NotAll", "Contains", "And", "Or", "Not",
)  # fmt: skip

#: How many packages of a result are printed.
ROWS = 100


def namespace(db: AuthDB) -> dict[str, Any]:
    """The names that are there in the shell."""
    names: dict[str, Any] = {name: getattr(operators, name) for name in OPERATORS}

    def bind() -> None:
        names.update(db=db, catalog=db.catalog, packages=db.objects, Package=Package)

    bind()
    db.refreshed = bind  # else catalog and packages would still be those of before
    return names


def banner(db: AuthDB) -> str:
    """What the shell says first."""
    if db.moment is not None:
        mode = f"as of change c{db.generation}"
    elif db.read_only:
        mode = "read-only; db.refresh() shows what is new, authdb shell --write writes"
    else:
        mode = "open for writing"
    return (
        f"authdb: {len(db):,} packages, {mode}\n"
        "  db        the database: db.find(\"last_update < '2020'\"), db['djoser'], ...\n"
        "  catalog   repoze.catalog's Catalog\n"
        "  packages  docid -> Package\n"
        f"  {', '.join(OPERATORS[:9])},\n"
        f"  {', '.join(OPERATORS[9:])}, Package\n"
    )


def shown(value: object) -> str | None:
    """``value`` as the shell prints it, where that is not its repr."""
    out = _Terminal()
    if isinstance(value, Result):
        packages = list(islice(value, ROWS))
        if packages:
            packages_table(packages, DEFAULT_COLUMNS, out)
        if len(value.docids) > ROWS:
            out.write(f"(the first {ROWS})\n")
        return out.getvalue() + repr(value)
    if isinstance(value, Package):
        details(value, out)
        return out.getvalue().rstrip("\n")
    if type(value) is list and value:
        _history(value, out)
    return out.getvalue().rstrip("\n") or None


def _history(values: list[Any], out: TextIO) -> None:
    """What `AuthDB.log` and `AuthDB.log_of` give, as the command line shows it."""
    from authdb.history import Change, Edit
    from authdb.reports import edits_as_text, log_as_table

    if all(isinstance(value, Change) for value in values):
        log_as_table(values, out)
    elif all(isinstance(value, Edit) for value in values):
        edits_as_text(values, out)


class _Terminal(io.StringIO):
    """Text in memory that is laid out for the terminal that it will be printed on."""

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def run(db: AuthDB, code: str | None = None) -> int:
    """Run ``code``, or what comes through a pipe, or else a shell until it is left.

    :returns: the exit status
    """
    names = namespace(db)
    try:
        if code is None and not sys.stdin.isatty():
            code = _piped()
        if code is not None:
            return _run_code(code, names)
        shell = _ipython(banner(db), names)
        if shell is not None:
            shell()
        else:
            _standard(banner(db), names)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        say(str(end.code))
        return 1
    return 0


def _piped() -> str:
    try:
        return sys.stdin.read()
    except (OSError, ValueError) as error:  # closed, or not text
        raise AuthDBError(f"standard input: it cannot be read: {error}") from None


def _run_code(code: str, names: dict[str, Any]) -> int:
    """Run code as if it were typed: each expression in it prints its value."""
    try:
        with _Tables():
            typed = ast.Interactive(ast.parse(code, "<code>").body)
            exec(compile(typed, "<code>", "single", dont_inherit=True), names)
    except BrokenPipeError:
        raise
    except AuthDBError as error:
        say(str(error))
        return 2
    except Exception as error:  # the user's own code may raise anything
        say(" ".join(f"{type(error).__name__}: {error}".split()))
        return 2
    return 0


def _ipython(greeting: str, names: dict[str, Any]) -> Any:
    """An IPython to be called; None where it is not installed."""
    try:
        from IPython.terminal.embed import InteractiveShellEmbed
    except ImportError:
        return None
    shell = InteractiveShellEmbed(banner1=greeting, user_ns=names, confirm_exit=False)
    shell.set_custom_exc((AuthDBError,), _tell)
    for kind in (Result, Package):
        shell.display_formatter.formatters["text/plain"].for_type(
            kind, lambda value, printer, cycle: printer.text(shown(value))
        )
    return shell


def _standard(greeting: str, names: dict[str, Any]) -> None:
    with suppress(ImportError):
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    with _Tables():
        _Console(names).interact(greeting.rstrip("\n"), exitmsg="")


def _tell(shell: Any, kind: object, error: object, trace: object, tb_offset: object = None) -> None:
    """Our own errors say it all in a line: no traceback."""
    print(_line(error), end="", file=sys.stderr)


def _line(error: object) -> str:
    return f"{type(error).__name__}: {error}\n"


class _Console(InteractiveConsole):
    """Python's own interactive console."""

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, AuthDBError):
            self.write(_line(error))
        else:
            super().showtraceback()


class _Tables:
    """Within, the prompt prints results as tables."""

    def __enter__(self) -> None:
        self._before: Callable[[object], object] = sys.displayhook
        sys.displayhook = self._show

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.displayhook = self._before

    def _show(self, value: object) -> None:
        text = shown(value)
        if text is None:
            self._before(value)
        else:
            print(text)
