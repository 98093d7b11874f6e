"""Where commands write what programs read: standard output, or a file that is there whole."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from authdb.exceptions import AuthDBError
from authdb.files import CATALOG_FILE, OBJECTS_FILE

__all__ = ["output", "text_out"]


def text_out() -> TextIO:
    """Standard output for what programs read: UTF-8, whatever the locale says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout


@contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there whole or not at all."""
    if path is None or path == "-":
        yield text_out()
        return
    from authdb.storage import explain

    target = Path(path)
    try:
        if target.exists() and not target.is_file():  # a pipe or a device cannot be replaced
            with target.open("w", encoding="utf-8", newline="") as out:
                yield out
        else:
            with _draft_of(target) as out:
                yield out
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AuthDBError(str(explain(error, path))) from error


@contextmanager
def _draft_of(target: Path) -> Iterator[TextIO]:
    """A file that takes the place of ``target`` when the block has succeeded."""
    import tempfile

    target = Path(os.path.realpath(target))  # a link stays one
    if target.name.startswith((OBJECTS_FILE, CATALOG_FILE)):  # the lock, the index, what was packed
        raise AuthDBError(f"{target}: a file of a database is called so: choose another name")
    if not target.parent.is_dir():
        raise AuthDBError(f"{target}: there is no folder {target.parent}")
    mode = 0o666 & ~_umask()
    if target.exists():
        mode = target.stat().st_mode & 0o777
        target.open("a").close()  # one that must not be written is not replaced either
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(handle)
        Path(draft).chmod(mode)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
