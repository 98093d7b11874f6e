"""Write the command reference, docs/commands.md, from the parser itself.

``make docs`` runs it; a test holds the page against what it would write now. It goes through the
parser's actions, for the text of ``--help`` differs from one Python to the next.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from authdb.parser import build_parser

HEAD = """\
# Command reference

<!-- Written by docs/make_commands.py from the parser; `make docs` writes it anew. -->

`authdb [--db DIR] COMMAND ...`; `--db` may also stand after the command.

The database is the folder given with `--db`, else the one in the environment variable
`AUTHDB_PATH`, else one in your own data folder.

| status | means |
|---|---|
| 0 | done |
| 1 | an honest no: no such package, nothing fits or matches (`--fail-empty`), `check`, `stale` or \
`audit` found something, `refresh` could not hear of a package |
| 2 | bad input: a query, a file, an option |
| 3 | a database that is missing, locked or damaged |
| 4 | a server that could not be reached |
| 130 | interrupted with Ctrl-C |
"""


def reference() -> str:
    """The whole page."""
    (commands,) = (
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return HEAD + "".join(
        line for name, parser in commands.choices.items() for line in _command(name, parser)
    )


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"\n## authdb {name}\n\n{parser.description}\n\n"
    actions = [
        action for action in parser._actions if not {"-h", "--db"} & set(action.option_strings)
    ]
    if not actions:
        yield "It takes no arguments.\n"
        return
    yield "| argument | meaning |\n|---|---|\n"
    for action in actions:
        # Up to Python 3.12 the flags that turn on and off add their default by themselves.
        text = (action.help or "").replace(" (default: %(default)s)", "")
        if action.choices and not action.metavar:
            text += f"; one of {', '.join(action.choices)}"
        if isinstance(action.default, str) and "if not given" not in text:
            text += f"; {action.default} if not given"
        about = text.removeprefix("; ").replace("|", "\\|")
        yield f"| `{_usage(action)}` | {about} |\n"


def _usage(action: argparse.Action) -> str:
    values = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
    value = " ".join(str(v) for v in values if v) or (
        "" if action.nargs == 0 else action.dest.upper()
    )
    if isinstance(action, argparse.BooleanOptionalAction):
        value = ""
    elif action.nargs == "?":
        value = f"[{value}]"
    elif action.nargs == "+":
        value = f"{value}..."
    return " ".join(part for part in (", ".join(action.option_strings), value) if part)


if __name__ == "__main__":
    print(reference(), end="")
