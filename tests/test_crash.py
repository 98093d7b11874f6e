"""A writer is killed at any moment: the database heals by itself, and keeps its promises.

`soak.py` has the writer and the killer; ``make soak`` has them do it a thousand times.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from soak import PACK_POINTS, POINTS, Soak, Writers

from authdb import AuthDB, Package
from authdb.exceptions import DatabaseExists, DatabaseMissing

KILLS = int(os.environ.get("AUTHDB_KILLS", "30"))


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with Writers() as writers:
        yield writers


def test_no_kill_loses_what_was_acknowledged_or_needs_hand_work(
    tmp_path: Path, writers: Writers
) -> None:
    soak = Soak(tmp_path / "db", writers, seed=int.from_bytes(os.urandom(4), "big"))
    soak.run(KILLS)
    print(dict(soak.figures))
    assert soak.figures["kills"] >= KILLS
    assert soak.figures["acknowledged changes"] > 0
    assert soak.figures["healed from the journal"] > 0


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_step_of_a_commit(tmp_path: Path, writers: Writers, point: str) -> None:
    soak = Soak(tmp_path / "db", writers, seed=1)
    for _ in range(3):
        healed = soak.kill(point)
        if point in ("between the two finishes", "within the finish of the catalog"):
            assert healed is not None and "the catalog lagged behind" in healed
            assert soak.figures["kept, but not acknowledged"] > 0
        else:
            assert healed is None
    early = list(POINTS)[:4]
    assert (soak.figures["kept, but not acknowledged"] == 0) is (point in early)


@pytest.mark.parametrize("point", PACK_POINTS)
def test_a_kill_at_each_step_of_a_pack(tmp_path: Path, writers: Writers, point: str) -> None:
    """Whatever the pack has come to, all that was acknowledged is there, the history too as far
    as no pack was to take it."""
    soak = Soak(tmp_path / "db", writers, seed=3)
    for _ in range(2):
        soak.kill(point)
    assert soak.figures[point] == 2 and soak.figures["states of the past"] > 0


def test_a_killed_reader_leaves_nothing_behind(tmp_path: Path, writers: Writers) -> None:
    soak = Soak(tmp_path / "db", writers, seed=4)
    soak.kill()
    for seed in range(3):
        soak.look_as_reader(None)
        with soak.reader(0.01):
            assert writers.run(soak.folder, soak.log, seed, seconds=0.02)
        soak.look()
    assert soak.figures["readers killed"] >= 3


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_kill_while_healing_is_healed(tmp_path: Path, writers: Writers, rebuild: bool) -> None:
    soak = Soak(tmp_path / "db", writers, seed=2)
    for _ in range(4):
        soak.kill_again(rebuild)
    assert soak.figures["while healing"] == 4


def test_a_lock_of_a_killed_writer_locks_nobody_out(tmp_path: Path, writers: Writers) -> None:
    folder, log = tmp_path / "db", tmp_path / "log"
    AuthDB.create(folder).close()
    assert writers.run(folder, log, seed=3, seconds=0.05)
    assert (folder / "data.fs.lock").exists()
    with AuthDB.open(folder) as db:
        db.add(Package("after", "A"))
        assert db.check() == []


KILLED = """
import os, signal, sys
from ZODB.FileStorage import FileStorage
from authdb import AuthDB

folder, act, where, number = sys.argv[1:]
calls = 0

def deadly(original):
    def call(*args):
        global calls
        calls += where == "finish" or str(args[0]).endswith(where)
        if calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args)
    return call

if where == "finish":
    FileStorage.tpc_finish = deadly(FileStorage.tpc_finish)
else:
    os.rename = deadly(os.rename)
if act == "create":
    AuthDB.create(folder)
else:
    AuthDB.open(folder).pack()
"""


def killed(folder: Path, act: str, where: str, number: int) -> bool:
    """Do ``act`` in a process that dies at its call number ``number``; whether it did."""
    args = [sys.executable, "-W", "ignore", "-c", KILLED, str(folder), act, where, str(number)]
    return subprocess.run(args, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_kill_while_a_database_is_made_leaves_a_whole_one_or_none(
    tmp_path: Path, number: int
) -> None:
    """It is made under another name, and then given its own."""
    folder = tmp_path / "db"
    assert killed(folder, "create", "finish", number)
    there = (folder / "data.fs").exists()
    assert there is (number > 2)
    with AuthDB.open(folder) if there else AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
    with AuthDB.open(folder) as db:
        assert "a" in db and db.check() == []


@pytest.mark.parametrize("where", ["data.fs", "data.fs.pack", "catalog.fs", "catalog.fs.pack"])
def test_a_kill_while_packing_loses_nothing(tmp_path: Path, where: str) -> None:
    """A pack ends with two renames, and between them there is no file of that name."""
    folder = tmp_path / "db"
    with AuthDB.create(folder) as db:
        for number in range(20):
            db.add(Package(f"p{number}", "P", description="x " * 100))
            db.update(f"p{number}", title="Q")
    assert killed(folder, "pack", where, 1)
    assert (folder / "data.fs").exists() is (where != "data.fs.pack")
    if where == "data.fs.pack":
        with pytest.raises(DatabaseMissing, match="a crash cut a pack short"):
            AuthDB.open(folder, read_only=True)
        with pytest.raises(DatabaseExists):
            AuthDB.create(folder)
    with AuthDB.open(folder) as db:
        assert len(db) == 20 and db.check() == []
        db.pack()
        db.remove("p3")
    with AuthDB.open(folder) as db:
        assert len(db) == 19 and db.check() == []
