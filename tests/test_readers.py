"""Readers beside a writer see one state.

`readers.py` has both; ``make readers`` has more of them for longer.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import PYTHON

from authdb import AuthDB, Package
from authdb.exceptions import DatabaseLocked

SECONDS = os.environ.get("AUTHDB_READERS_SECONDS", "5")


def test_many_readers_beside_a_writer_see_one_state_each() -> None:
    """They open it, refresh it and look at its past, while it is changed, undone and packed."""
    program = Path(__file__).with_name("readers.py")
    done = subprocess.run(
        [*PYTHON, program, "--seconds", SECONDS, "--readers", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {what.strip(): int(n) for what, n in re.findall(r"(?m)^(\D+?) +(\d+)$", done.stdout)}
    assert figures["mismatched pairs"] == figures["errors"] == 0
    for what in ("opens", "refreshes", "opens as of a change", "changes written", "packs"):
        assert figures[what] > 0, done.stdout


@pytest.fixture
def made(folder: Path) -> Path:
    with AuthDB.create(folder) as db:
        for number in range(3):
            db.add(Package(f"p{number}", "P"))
    return folder


@contextmanager
def ending_pack(folder: Path, name: str) -> Iterator[None]:
    """Inside, for a moment, the file is as between the two renames that end a pack."""
    file = folder / name
    packed, old = Path(f"{file}.pack"), Path(f"{file}.old")
    packed.write_bytes(file.read_bytes())
    file.rename(old)

    def end() -> None:
        time.sleep(0.1)
        packed.rename(file)

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("name", ["data.fs", "catalog.fs"])
def test_a_reader_waits_out_the_end_of_a_pack(made: Path, name: str) -> None:
    """Between the two renames there is no file of that name: no reason to say that there is no
    database, nor to build a catalog."""
    with ending_pack(made, name), AuthDB.open(made, read_only=True) as db:
        assert len(db) == 3 and db.healed is None


@pytest.mark.parametrize("name", ["data.fs", "catalog.fs"])
def test_a_refresh_waits_out_the_end_of_a_pack(made: Path, name: str) -> None:
    with AuthDB.open(made, read_only=True) as reader:
        with AuthDB.open(made) as db:
            db.remove("p1")
        with ending_pack(made, name):
            assert reader.refresh()
        assert len(reader) == 2 and reader.healed is None


def test_a_second_writer_is_told_of_the_first_at_the_end_of_its_pack(made: Path) -> None:
    """Not that there is no database: whoever believed that would make one."""
    with AuthDB.open(made), ending_pack(made, "data.fs"), pytest.raises(DatabaseLocked):
        AuthDB.open(made)


def test_what_was_open_stays_as_it_was(made: Path) -> None:
    """Whatever is written, and packed, beside a reader that does not refresh."""
    with AuthDB.open(made, read_only=True) as reader:
        for name in ("p1", "p2"):
            with AuthDB.open(made) as db:
                db.update("p0", title=name)
                db.remove(name)
                db.pack()
        assert [(package.name, package.title) for package in reader] == [
            ("p0", "P"),
            ("p1", "P"),
            ("p2", "P"),
        ]
        assert reader.check() == []
        assert reader.refresh()
        assert reader.check() == []
