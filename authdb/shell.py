"""The interactive shell: the database and the query operators, results as tables."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

from authdb import query as operators
from authdb.database import AuthDB
from authdb.exceptions import AuthDBError
from authdb.models import Package
from authdb.results import Result

__all__ = ["banner", "namespace", "run"]

OPERATORS = (
    "Lt", "Le", "Gt", "Ge", "Eq", "NotEq", "InRange", "NotInRange", "Any", "All", "NotAny",
    "NotAll", "Contains", "And", "Or", "Not",
)  # fmt: skip


def namespace(db: AuthDB) -> dict[str, Any]:
    """The names that are there in the shell."""
    names: dict[str, Any] = {name: getattr(operators, name) for name in OPERATORS}
    names.update(db=db, catalog=db.catalog, packages=db.objects, Package=Package)
    return names


def banner(db: AuthDB) -> str:
    """What the shell says first."""
    mode = "read-only" if db.read_only else "open for writing"
    return (
        f"authdb: {len(db):,} packages, {mode}\n"
        "  db        the database: db.find(\"last_update < '2020'\"), db.get('djoser'), ...\n"
        "  catalog   repoze.catalog's Catalog\n"
        "  packages  docid -> Package\n"
        f"  {', '.join(OPERATORS[:9])},\n"
        f"  {', '.join(OPERATORS[9:])}, Package"
    )


def shown(value: object) -> str | None:
    """``value`` as the shell prints it, where that is not its repr."""
    from authdb.tables import DEFAULT_COLUMNS, details, packages_table

    out = _Terminal()
    if isinstance(value, Result):
        packages = value.all()
        if packages:
            packages_table(packages, DEFAULT_COLUMNS, out)
        return out.getvalue() + repr(value)
    if isinstance(value, Package):
        details(value, out)
        return out.getvalue().rstrip("\n")
    return None


class _Terminal(io.StringIO):
    """Text in memory that is laid out for the terminal that it will be printed on."""

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def run(db: AuthDB, code: str | None = None) -> int:
    """Run ``code``, or else a shell until it is left.

    :returns: the exit status
    """
    names = namespace(db)
    if code is not None:
        return _run_code(code, names)
    try:
        from IPython.terminal.embed import InteractiveShellEmbed
    except ImportError:
        _standard(names, banner(db))
        return 0
    shell = InteractiveShellEmbed(banner1=banner(db), user_ns=names)
    for kind in (Result, Package):
        shell.display_formatter.formatters["text/plain"].for_type(
            kind, lambda value, printer, cycle: printer.text(shown(value))
        )
    shell()
    return 0


def _standard(names: dict[str, Any], greeting: str) -> None:
    import code

    with _Tables():
        code.interact(banner=greeting, local=names, exitmsg="")


def _run_code(code: str, names: dict[str, Any]) -> int:
    """Run one piece of code as the shell would: an expression prints its value."""
    import traceback

    try:
        with _Tables():
            exec(compile(code, "<-c>", "single" if "\n" not in code else "exec"), names)
    except AuthDBError:
        raise
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # the user's own code may raise anything
        print("".join(traceback.format_exception_only(error)).rstrip(), file=sys.stderr)
        return 2
    return 0


class _Tables:
    """Within, the prompt prints results as tables."""

    def __enter__(self) -> None:
        self._before: Callable[[object], object] = sys.displayhook
        sys.displayhook = self._show

    def __exit__(self, *_: object) -> None:
        sys.displayhook = self._before

    def _show(self, value: object) -> None:
        text = shown(value)
        if text is None:
            self._before(value)
        else:
            print(text)
