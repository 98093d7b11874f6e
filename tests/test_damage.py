"""A damaged database tells nobody anything wrong; `damage.py` has all the ways to damage one.

``make damage`` does it a thousand times; here each way is tried, and what that has found is kept.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from commandline import ok_all, run_all
from damage import Ended, Truth, garbage_behind, make, zeros_behind
from files import contents, no_room_beyond

from authdb import AuthDB
from authdb.exceptions import AuthDBError, DatabaseDamaged, DatabaseError, FormatError

SHARE = os.environ.get("AUTHDB_DAMAGE", "0.01")

Make = Callable[[bool], Truth]


def test_every_way_to_damage_a_database_is_found_or_does_no_harm() -> None:
    program = Path(__file__).with_name("damage.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", program, "--share", SHARE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, missed, tracebacks = next(
        line.split() for line in done.stdout.splitlines() if line.startswith("all ")
    )
    assert (missed, tracebacks) == ("0", "0"), done.stdout


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> list[Truth]:
    folder = tmp_path_factory.mktemp("truths")
    return [make(folder / str(n), random.Random(n), packed=bool(n)) for n in (0, 1)]


@pytest.fixture(params=[0, 1], ids=["", "packed"])
def truth(request: pytest.FixtureRequest, truths: list[Truth]) -> Truth:
    found: Truth = truths[request.param]
    return found


@pytest.fixture
def copy(truth: Truth, tmp_path: Path) -> Path:
    """A copy of the database, to be damaged."""
    folder = tmp_path / "db"
    folder.mkdir()
    for file in truth.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def is_as_it_was(folder: Path, truth: Truth) -> None:
    """Check that a reader, a writer and check are content, and see what was there."""
    with AuthDB.open(folder, read_only=True) as db:
        assert {package.name: package.record() for package in db} == truth.records
        assert db.check() == []
    with AuthDB.open(folder) as db:
        assert {package.name: package.record() for package in db} == truth.records
        db.update("package-1", title="Written since")
    with AuthDB.open(folder) as db:
        assert db["package-1"].title == "Written since"
        assert db.check() == []


@pytest.mark.parametrize("name", ["data.fs", "catalog.fs"])
def test_a_flipped_byte_of_an_index_hides_nothing(copy: Path, truth: Truth, name: str) -> None:
    """It is derived, and taken for true by ZODB: packages would be lost, and their ids given to
    others."""
    index = copy / f"{name}.index"
    whole = index.read_bytes()
    for position in random.Random(0).sample(range(len(whole)), 20):
        data = bytearray(whole)
        data[position] ^= 0x10
        index.write_bytes(data)
        with AuthDB.open(copy, read_only=True) as db:
            assert {package.name: package.record() for package in db} == truth.records
            assert db.check() == []
    is_as_it_was(copy, truth)


@pytest.mark.parametrize("damage", [garbage_behind, zeros_behind])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_behind_the_last_change_does_no_harm(
    copy: Path, truth: Truth, damage: Callable[[str, Path, random.Random], object], seed: int
) -> None:
    """As a power failure leaves it: all that was acknowledged is before it."""
    damage("data.fs", copy, random.Random(seed))
    is_as_it_was(copy, truth)


def test_an_objects_file_without_a_root_is_not_given_another(copy: Path) -> None:
    """ZODB adds an empty one where there is none, to the file that is to be looked into."""
    with (copy / "data.fs").open("r+b") as file:
        file.truncate(4)
    before = contents(copy)["data.fs"]
    with pytest.raises(FormatError, match="has lost its end"):
        AuthDB.open(copy)
    assert contents(copy)["data.fs"] == before


def test_a_damaged_past_is_told_of_in_one_line(truths: list[Truth], tmp_path: Path) -> None:
    """Whatever reading a state of the past, or its note, may raise."""
    truth, folder = truths[0], tmp_path / "db"
    folder.mkdir()
    data = (truth.folder / "data.fs").read_bytes()
    for position in range(200, 1500, 67):
        spoilt = bytearray(data)
        spoilt[position : position + 4] = b"\xff\xf4\x00\x10"
        (folder / "data.fs").write_bytes(spoilt)
        try:
            with AuthDB.open(folder, read_only=True) as db:
                for look in (
                    lambda: [change.names("changed") for change in db.log()],
                    lambda: db.log_of("package-3"),
                    lambda: db.diff("c1"),
                ):
                    with suppress(AuthDBError):
                        look()
        except DatabaseDamaged:
            pass


def test_the_log_of_a_package_that_is_older_than_the_history(truths: list[Truth]) -> None:
    """A pack keeps the package's record of then, and not the root's."""
    with AuthDB.open(truths[1].folder, read_only=True) as db:
        first = db.log()[-1].number
        for name in truths[1].records:
            edits = db.log_of(name)
            assert edits and edits[-1].number >= first


def test_a_pack_of_files_that_are_gone(copy: Path) -> None:
    with AuthDB.open(copy) as db:
        (copy / "data.fs").unlink()
        with pytest.raises(DatabaseError, match="no such file"):
            db.pack()


def test_a_full_disk_at_every_point_of_a_load(copy: Path, truth: Truth) -> None:
    """All of it is there then, or nothing; and nobody has to do anything."""
    from authdb.importing import load
    from authdb.loaders import Loader

    sizes = [(copy / name).stat().st_size for name in ("data.fs", "catalog.fs")]
    done = False
    for size in sorted(base + room for base in sizes for room in range(0, 30_000, 3000)):
        with AuthDB.open(copy) as db:
            try:
                with no_room_beyond(size):
                    load(db, Loader(truth.file), on_conflict="replace")
                done = True
            except DatabaseError:
                pass
        with AuthDB.open(copy) as db:
            assert ({p.name: p.record() for p in db} == truth.records) is not done
            assert db.check() == []
        if done:
            break
    assert done
    assert not list(copy.glob("*.tr*"))  # what was not kept is no leftover on the full disk


def test_a_repair_does_not_hide_what_is_wrong_with_a_package(copy: Path) -> None:
    data = bytearray((copy / "data.fs").read_bytes())
    at = data.rindex(b"Title 5")
    data[at : at + 5] = b"Tattle"[:5]
    (copy / "data.fs").write_bytes(data)
    repaired, checked = run_all(
        [["--db", copy, "check", "--repair"], ["--db", copy, "check"]],
    )
    assert (repaired.status, checked.status) == (1, 1)
    assert "digest" in checked.out


def test_the_harness_would_find_it(truths: list[Truth]) -> None:
    """What it takes for clear is what people take for clear."""
    assert Ended("", "authdb: it is damaged\n", 3).is_clear
    assert not Ended("", "Traceback (most recent call last):\n", 1).is_clear
    assert not Ended("", "authdb: KeyError: 'x' (a mistake in authdb: please report)\n", 3).is_clear
    assert not Ended("", "", 3).is_clear
    (listed,) = ok_all([["--db", truths[0].folder, "list", "--format", "json"]])
    assert listed.out == truths[0].list
