"""What each command of the command line does; they hold no logic of their own.

A command gets the parsed options and returns the exit status. What only some commands use is
imported where it is used: most of the time that a short command takes goes into imports.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

__all__ = ["command"]

_MODULES = {
    "filling": ("init", "load", "remove"),
    "asking": ("query", "list", "show", "stats", "shell"),
    "counting": ("facets", "histogram"),
    "choosing": ("choose",),
    "contrasting": ("compare",),
    "watching": ("stale", "audit"),
    "refreshing": ("refresh",),
    "writing": ("export", "publish"),
    "keeping": ("check", "recover", "reindex", "copy", "pack"),
    "past": ("log", "diff", "undo"),
    "backups": ("backup", "restore"),
    "strangers": ("inspect",),
}


def command(name: str) -> Callable[[argparse.Namespace], int]:
    """The function that does the command called ``name``."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), f"do_{name}")  # type: ignore[no-any-return]
    raise LookupError(name)
