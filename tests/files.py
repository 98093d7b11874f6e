"""What happens to files: copies put back, limits of the disk, users without permission."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below ``folder``: its bytes, and when it was written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def keep(folder: Path, name: str) -> Path:
    """Copy a file of ``folder`` aside; the copy's path."""
    copy = folder.parent / f"{name}.{len(list(folder.parent.iterdir()))}"
    shutil.copy2(folder / name, copy)
    return copy


def put_back(copy: Path, folder: Path, name: str, index: bool = False) -> None:
    """Put a copy in the place of a file; with ``index``, leave the newer index beside it."""
    shutil.copy2(copy, folder / name)
    if not index:
        (folder / f"{name}.index").unlink(missing_ok=True)


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Inside, no file can grow beyond ``size`` bytes: what a full disk does, for everyone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores the signal
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Inside, permissions hold, also when the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
