"""Backups: beside a writer, killed at any step, on full disks, damaged; and what is restored."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from commandline import run
from conftest import SAMPLES
from files import an_ordinary_user, contents, no_room_beyond

from authdb import AuthDB, Package, pieces
from authdb import backup as module
from authdb.backup import Backup, Restored, backup, restore, verify
from authdb.commands.backups import do_backup, do_restore
from authdb.exceptions import (
    AuthDBError,
    DatabaseDamaged,
    DatabaseError,
    DatabaseExists,
    DatabaseLocked,
    DatabaseMissing,
    FormatError,
    NoSuchMoment,
)
from authdb.moments import parse_moment
from authdb.pieces import Repository

REAL_NOW = module._now


class Clock:
    """A clock that is a second later each time that it is looked at: no test has to wait for the
    next second, by which backups are named."""

    def __init__(self) -> None:
        self.now = REAL_NOW() - timedelta(hours=1)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "_now", clock)
    return clock


@pytest.fixture
def made(folder: Path, open_files: Callable[[], set[str]]) -> Iterator[Path]:
    """The folder of a closed database of five packages. Whatever a test does with it, in the end
    no file is open."""
    before = open_files()
    with AuthDB.create(folder) as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    yield folder
    assert open_files() <= before


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where backups may be made. A space in the name is more than repozo itself can stand."""
    return tmp_path / "back ups"


def change(folder: Path, times: int = 1) -> int:
    """So many changes; the generation after them."""
    with AuthDB.open(folder) as db:
        for _ in range(times):
            db.update("hawkrest", title=f"Hawk {db.generation}")
        return db.generation


def grow(db: AuthDB, name: str) -> None:
    """One change of 90,000 bytes."""
    with db.transaction():
        for number in range(10):
            db.add(Package(f"{name}-{number}", "L", description="x" * 9_000))


def is_well(folder: Path) -> int:
    """The database opens without being healed, and is sound; its generation."""
    with AuthDB.open(folder) as db:
        assert db.healed is None
        assert db.check() == []
        return db.generation


def restored(source: Path, as_of: datetime | None = None) -> int:
    """The generation of what is restored elsewhere, which is sound."""
    with TemporaryDirectory() as name:
        found = restore(source, Path(name) / "db", as_of=as_of)
        assert is_well(Path(name) / "db") == found.generation
        return found.generation


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- what is written -------------------------------------------------------------------------


def test_first_all_is_copied_then_what_was_added_then_nothing(made: Path, target: Path) -> None:
    first = backup(made, target)
    assert (first.kind, first.generation) == ("full", 1)
    both = sum((made / name).stat().st_size for name in ("data.fs", "catalog.fs"))
    assert first.size == both
    change(made)
    second = backup(made, target)
    assert (second.kind, second.generation) == ("incremental", 2)
    assert 0 < second.size < first.size / 2 and second.moment > first.moment
    before = contents(target)
    assert backup(made, target) == Backup("unchanged", 0, second.moment, 2)
    del before[".lock"]
    assert before.items() <= contents(target).items()
    assert backup(made, target, full=True).kind == "full"
    assert verify(target).pieces == 6


def test_the_backup_changes_nothing_in_the_folder_of_the_database(made: Path, target: Path) -> None:
    before = contents(made)
    backup(made, target)
    assert contents(made) == before


def test_after_a_pack_all_is_copied(made: Path, target: Path) -> None:
    change(made, 3)
    backup(made, target)
    with AuthDB.open(made) as db:
        db.pack()
    packed = backup(made, target)
    assert packed.kind == "full"
    assert restored(target) == 4
    assert restored(target, packed.moment - timedelta(seconds=1)) == 4


def test_two_within_the_same_second(
    made: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces are named by the second: the other one waits for the next."""
    monkeypatch.setattr(module, "_now", REAL_NOW)
    first = backup(made, target)
    change(made)
    second = backup(made, target)
    assert second.moment - first.moment >= timedelta(seconds=1)
    assert (restored(target, first.moment), restored(target, second.moment)) == (1, 2)


def test_a_clock_that_was_set_back_is_told(made: Path, target: Path, clock: Clock) -> None:
    backup(made, target)
    clock.now -= timedelta(hours=1)
    with pytest.raises(AuthDBError, match=r"the clock says .* there is a backup of .*: set the"):
        backup(made, target)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to files from here on. A kill cannot show a missing fsync."""
    calls: list[str] = []

    def watch(place: Any, name: str) -> None:
        original = getattr(place, name)

        def watched(*args: Any, **options: Any) -> Any:
            path = Path(f"/proc/self/fd/{args[0]}").readlink() if name == "fsync" else args[0]
            calls.append(f"{name} {path}")
            return original(*args, **options)

        monkeypatch.setattr(place, name, watched)

    for place, name in ((os, "fsync"), (Path, "rename"), (Path, "replace"), (Path, "hardlink_to")):
        watch(place, name)
    return calls


def test_all_is_on_disk_before_it_is_named(made: Path, target: Path, calls: list[str]) -> None:
    full = backup(made, target).moment
    change(made)
    (made / "catalog.fs").unlink()
    calls.clear()
    moment = backup(made, target).moment
    piece, listed = (target / "data" / f"{m:%Y-%m-%d-%H-%M-%S}" for m in (moment, full))
    assert calls == [
        f"fsync {piece}.tmp",
        f"rename {piece}.tmp",
        f"fsync {target / 'data'}",
        f"fsync {listed}.dat.tmp",
        f"replace {listed}.dat.tmp",
        f"fsync {target / 'data'}",
    ]


def test_what_is_restored_is_on_disk_before_it_is_named(
    made: Path, target: Path, calls: list[str]
) -> None:
    backup(made, target)
    place = made.parent / "place"
    calls.clear()
    restore(target, place)
    draft = calls[0].removeprefix("fsync ").removesuffix("/data.fs")
    done = [call for call in calls if ".index" not in call]
    assert done == [
        f"fsync {draft}/data.fs",
        f"fsync {draft}/catalog.fs",
        f"fsync {draft}/catalog.fs",  # opened to be healed, without an index that says it is
        f"replace {draft}/catalog.fs",
        f"hardlink_to {place}/data.fs",
        f"fsync {place}",
        f"fsync {place.parent}",
    ]


# -- what repozo says to it ------------------------------------------------------------------


def repozo(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "ZODB.scripts.repozo", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_repozo_restores_and_verifies_it(made: Path, target: Path, tmp_path: Path) -> None:
    backup(made, target)
    change(made)
    moment = backup(made, target).moment
    change(made)
    backup(made, target)
    for name in ("data", "catalog"):
        out = tmp_path / f"{name}.out"
        repozo("-V", "-r", target / name)
        repozo("-R", "-w", "-r", target / name, "-o", out)
        assert out.read_bytes() == (made / f"{name}.fs").read_bytes()
        repozo("-R", "-D", f"{moment:%Y-%m-%d-%H-%M-%S}", "-r", target / name, "-o", out)
        assert (made / f"{name}.fs").read_bytes().startswith(out.read_bytes())


def test_what_repozo_adds_is_restored_and_continued(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_now", REAL_NOW)
    target = tmp_path / "backups"
    backup(made, target)
    change(made)
    time.sleep(1)
    for name in ("catalog", "data"):
        repozo("-B", "-r", target / name, "-f", made / f"{name}.fs")
    assert restored(target) == 2
    change(made)
    assert backup(made, target).kind == "incremental"
    assert restored(target) == 3
    moved = target.rename(tmp_path / "moved")  # repozo's lists have whole paths in them
    assert verify(moved).restored.generation == 3


# -- beside a writer -------------------------------------------------------------------------

WRITER = """
import os, sys
from authdb import AuthDB, Package

folder, log = sys.argv[1:]
told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
with AuthDB.open(folder) as db:
    for number in range(10**9):
        name = f"package-{number % 20}"
        if name in db:
            db.update(name, title=f"Title {number}", description=f"word{number} " * 20)
        else:
            db.add(Package(name, "T", categories=("jwt",)))
        if number % 30 == 29:
            db.pack()
        os.write(told, b"%d\\n" % db.generation)
"""


@contextmanager
def writer(folder: Path) -> Iterator[Callable[[], int]]:
    """A process that changes the database all the time, and packs it now and then; a function
    that says which generation it has acknowledged."""
    log = folder.parent / "log"
    arguments = [sys.executable, "-W", "error", "-c", WRITER, str(folder), str(log)]
    with subprocess.Popen(arguments) as process:

        def acknowledged() -> int:
            while not log.exists() or not log.read_text().endswith("\n"):
                time.sleep(0.001)
            return int(log.read_text().split()[-1])

        try:
            acknowledged()
            yield acknowledged
            assert process.poll() is None, "the writer has ended by itself"
        finally:
            process.kill()


def test_beside_a_writer_that_also_packs(made: Path, target: Path) -> None:
    """Each of them restores, and has all that was acknowledged before it began."""
    with writer(made) as acknowledged:
        done = []
        for _ in range(14):
            before = acknowledged()
            done.append((before, backup(made, target)))
            time.sleep(0.02)
    assert {made.kind for _, made in done} >= {"full", "incremental"}
    for before, made_then in done:
        assert restored(target, made_then.moment) == made_then.generation >= before
    assert verify(target, done[-1][1]).restored.generation == done[-1][1].generation


@pytest.mark.parametrize("kind", ["full", "incremental"])
@pytest.mark.parametrize("name", ["catalog.fs", "data.fs"])
def test_a_pack_in_the_middle_of_a_copy(
    made: Path, target: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    """The name of the file is another's then; what was opened is copied to its end."""
    hand_out, packed = pieces._hand_out, []

    def pack_first(source: Any, size: int, *takers: Any) -> int:
        if Path(source.name).name == name and len(takers) == 2 and not packed:
            db.pack()
            grow(db, "later")
            packed.append(name)
        return hand_out(source, size, *takers)

    change(made, 4)
    if kind == "incremental":
        backup(made, target)
    with AuthDB.open(made) as db:
        db.update("hawkrest", title="Hawk, changed")
        monkeypatch.setattr(pieces, "_hand_out", pack_first)
        done = backup(made, target)
        assert packed
        assert (done.kind, done.generation) == (("full", 7) if name < "d" else (kind, 6))
        with TemporaryDirectory() as elsewhere:
            found = restore(target, Path(elsewhere) / "db")
            assert found.generation == done.generation == is_well(Path(elsewhere) / "db")
        # A catalog that is taken first is never ahead, so it need not be built anew.
        assert (found.healed or "").startswith("the catalog lagged" if name < "d" else "")
        assert bool(found.healed) is (name < "d")
        assert backup(made, target).generation == 7 == verify(target).restored.generation


def test_between_the_renames_that_end_a_pack(made: Path, target: Path) -> None:
    """For a moment there is no file of that name: the backup waits for it."""
    for name in ("data.fs", "catalog.fs"):
        shutil.copy(made / name, made / f"{name}.pack")
        (made / name).rename(made / f"{name}.old")

    def go_on() -> None:
        for name in ("catalog.fs", "data.fs"):
            (made / f"{name}.pack").rename(made / name)

    timer = threading.Timer(0.05, go_on)
    timer.start()
    assert backup(made, target).generation == 1
    timer.join()
    assert restored(target) == 1


def test_a_pack_that_was_cut_short_is_told(made: Path, target: Path) -> None:
    shutil.copy(made / "data.fs", made / "data.fs.pack")
    (made / "data.fs").rename(made / "data.fs.old")
    with pytest.raises(DatabaseMissing, match="a crash cut a pack short"):
        backup(made, target)
    assert not target.exists()


# -- kills -----------------------------------------------------------------------------------

# Forks a process for each line that it reads. That one looks at what Python says that it is about
# to do to a file below ``within``, and kills itself before the step of that number; or it is
# killed after so many seconds.
SERVER = """
import json, os, signal, sys, time
from datetime import datetime
import authdb.backup as module

for line in sys.stdin:
    act, arguments, within, step, seconds, now = json.loads(line)
    pid = os.fork()
    if pid == 0:
        module._now = lambda: datetime.fromisoformat(now)
        steps = 0

        def hook(event, found):
            global steps
            if event in ("open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"):
                steps += any(str(each).startswith(within) for each in found)
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            getattr(module, act)(*arguments)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    if seconds:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Killer:
    """Does what is told in a process that is killed in the middle."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(
        self,
        act: str,
        *arguments: Path,
        within: Path,
        clock: Clock,
        step: int = 0,
        after: float = 0,
    ) -> bool:
        """Whether it was killed; else it has done its work."""
        job = [act, [str(path) for path in arguments], str(within), step, after]
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps([*job, clock().isoformat()]), file=self.process.stdin, flush=True)
        status = int(self.process.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status == signal.SIGKILL


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("packed", [False, True])
def test_a_kill_at_each_step_of_a_backup(
    made: Path, target: Path, clock: Clock, killer: Killer, packed: bool
) -> None:
    """The backups before it restore, and the next one works."""
    last = backup(made, target).generation
    for step in range(1, 100):
        generation = change(made)
        if packed:
            with AuthDB.open(made) as db:
                db.pack()
        killed = killer("backup", made, target, within=target, clock=clock, step=step)
        found = restored(target)
        assert found in ((last, generation) if killed else (generation,))
        if step % 3 == 0 or not killed:
            assert backup(made, target, full=True).generation == generation
            last = found = restored(target)
        last = found
        if not killed:
            break
    assert 15 < step < 99
    done = verify(target)
    assert done.restored.generation == generation
    assert not [name for name in names(target / "data") if name.endswith(".tmp")]


def test_a_kill_of_the_very_first_backup(
    made: Path, target: Path, clock: Clock, killer: Killer
) -> None:
    for step in range(1, 100):
        killed = killer("backup", made, target, within=target, clock=clock, step=step)
        if killed and not Repository(target / "data").lists():
            with pytest.raises(DatabaseMissing, match="there are no backups here"):
                restore(target, made.parent / "nothing")
            assert not (made.parent / "nothing").exists()
        assert backup(made, target).generation == 1
        assert restored(target) == 1
        shutil.rmtree(target)
        if not killed:
            break
    assert 15 < step < 99


def test_a_kill_at_each_step_of_a_restore(
    made: Path, target: Path, clock: Clock, killer: Killer
) -> None:
    """There is no database, or a whole one; and then there is one after the next try."""
    backup(made, target)
    place, whole = made.parent / "place", 0
    (target / "catalog").rename(target / "away")  # so that it has to be built, too
    before = contents(target)
    for step in range(1, 200):
        killed = killer("restore", target, place, within=place, clock=clock, step=step)
        if (place / "data.fs").exists():
            whole += killed
            assert is_well(place) == 1
        else:
            assert killed
            with pytest.raises(DatabaseMissing):
                AuthDB.open(place)
            restore(target, place)
            assert is_well(place) == 1
            assert {name.removesuffix(".index").removesuffix(".lock") for name in names(place)} <= {
                "data.fs",
                "catalog.fs",
                "catalog.fs.tmp",
                "data.fs.tmp",
            }
        shutil.rmtree(place)
        if not killed:
            break
    assert 15 < step < 199
    assert whole < 8
    assert contents(target) == before


def test_kills_at_any_moment(made: Path, target: Path, clock: Clock, killer: Killer) -> None:
    last = backup(made, target).generation
    begun = time.monotonic()
    backup(made, target, full=True)
    usual = time.monotonic() - begun
    for number in range(20):
        generation = change(made)
        after = usual * (number + 1) / 15
        killer("backup", made, target, within=target, clock=clock, after=after)
        found = restored(target)
        assert found in (last, generation)
        last = found
        place = made.parent / f"place-{number}"
        killer("restore", target, place, within=place, clock=clock, after=after)
        if not (place / "data.fs").exists():
            restore(target, place)
        assert is_well(place) == found
    assert backup(made, target).generation == generation == restored(target)


def test_a_piece_that_no_list_names_is_kept_but_not_used(made: Path, target: Path) -> None:
    """It is what a kill leaves; but it could also be one whose list was lost."""
    backup(made, target)
    data = target / "data"
    left = data / "2100-01-01-00-00-00.deltafs"
    left.write_bytes(b"half")
    change(made)
    assert restored(target) == 1
    assert backup(made, target).generation == 2
    assert not left.exists() and Path(f"{left}.unlisted").read_bytes() == b"half"
    assert restored(target) == 2
    for file in data.glob("*.dat"):
        file.unlink()
    with pytest.raises(DatabaseMissing):
        restore(target, made.parent / "place")
    assert backup(made, target).kind == "full"
    assert len(list(data.glob("*.unlisted"))) == 3
    assert restored(target) == 2


# -- full disks, and no permission -----------------------------------------------------------


def test_a_full_disk_leaves_the_backups_as_they_were(made: Path, target: Path) -> None:
    backup(made, target)
    before = contents(target)
    with AuthDB.open(made) as db:
        grow(db, "large")
    for full in (False, True):
        with (
            no_room_beyond(50_000),
            pytest.raises(AuthDBError, match="back ups: the file would be larger than") as caught,
        ):
            backup(made, target, full=full)
        assert not isinstance(caught.value, DatabaseError) and "\n" not in str(caught.value)
        left = contents(target)
        # The catalog, which is small and comes first, was taken: that does no harm.
        assert {k: v for k, v in left.items() if k.startswith("data")} == {
            k: v for k, v in before.items() if k.startswith("data")
        }
        assert restored(target) == 1
    assert backup(made, target).kind == "incremental"
    assert restored(target) == 2


def test_a_disk_that_is_full_while_restoring(made: Path, target: Path) -> None:
    backup(made, target)
    place = made.parent / "place"
    with no_room_beyond(1000), pytest.raises(DatabaseError, match="the file would be larger"):
        restore(target, place)
    assert not place.exists()
    place.mkdir()
    (place / "notes").write_text("mine")
    with no_room_beyond(1000), pytest.raises(DatabaseError, match="the file would be larger"):
        restore(target, place)
    assert names(place) == ["data.fs.lock", "notes"]
    with no_room_beyond(1000), pytest.raises(DatabaseError, match="the file would be larger"):
        verify(target)
    restore(target, place)
    assert is_well(place) == 1


def test_no_permission() -> None:
    # Not below pytest's own folder, which other users cannot enter.
    with TemporaryDirectory() as name:
        folder, target = Path(name) / "db", Path(name) / "backups"
        with AuthDB.create(folder) as db:
            db.add(Package("a", "A"))
        Path(name).chmod(0o755)
        with an_ordinary_user(), pytest.raises(AuthDBError, match="backups: no permission"):
            backup(folder, target)
        backup(folder, target)
        with an_ordinary_user():
            with pytest.raises(AuthDBError, match="no permission: see who owns") as caught:
                backup(folder, target)
            assert str(target) in str(caught.value)
            assert restored(target) == 1  # which needs no permission to write there
            with pytest.raises(DatabaseError, match="place: no permission"):
                restore(target, Path(name) / "place")
        (target / "data").chmod(0)
        with an_ordinary_user(), pytest.raises(DatabaseError, match="data: no permission"):
            restore(target, Path(name) / "place")
        (target / "data").chmod(0o755)
        for file in (target / "data").glob("*.fs"):
            file.chmod(0)
        with an_ordinary_user(), pytest.raises(DatabaseError, match=r"\.fs: no permission"):
            verify(target)


# -- damage ----------------------------------------------------------------------------------


def flip(file: Path, position: int = -20) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


@pytest.fixture
def chain(made: Path, target: Path) -> list[Backup]:
    """Backups of generation 1, 2, 3; then, after a full copy, 4 and 5."""
    done = []
    for number in range(5):
        done.append(backup(made, target, full=number == 3))
        change(made)
    return done


@pytest.mark.parametrize("number", range(5))
def test_a_flipped_byte_is_found_and_its_piece_is_named(
    chain: list[Backup], target: Path, tmp_path: Path, number: int
) -> None:
    pieces = sorted(file for file in (target / "data").iterdir() if file.suffix != ".dat")
    flip(pieces[number])
    with pytest.raises(DatabaseDamaged) as caught:
        verify(target)
    assert str(caught.value).startswith(f"{pieces[number]}: it is not as it was written")
    for other, its in enumerate(chain):
        needs = other >= number if number >= 3 else number <= other < 3
        if not needs:
            assert restored(target, its.moment) == its.generation
            continue
        with pytest.raises(DatabaseDamaged) as caught:
            restore(target, tmp_path / "place", as_of=its.moment)
        assert str(caught.value).startswith(f"{pieces[number]}: it is not as it was written")
        if number:
            hint = f"the newest backup without it is that of {chain[number - 1].moment:%Y-%m-%d %H}"
            assert hint in str(caught.value)
        assert not (tmp_path / "place").exists()


@pytest.mark.parametrize("how", ["gone", "short", "long"])
def test_a_piece_that_is_gone_or_of_another_size_is_named(
    chain: list[Backup], target: Path, tmp_path: Path, how: str
) -> None:
    piece = sorted((target / "data").glob("*.deltafs"))[-1]
    content = piece.read_bytes()
    if how == "gone":
        piece.unlink()
    else:
        piece.write_bytes(content[:-1] if how == "short" else content + b"x")
    for act in (lambda: verify(target), lambda: restore(target, tmp_path / "place")):
        with pytest.raises(DatabaseDamaged, match=r"it is missing|another size") as caught:
            act()
        assert str(piece) in str(caught.value)


def test_a_piece_that_the_disk_does_not_give_is_named(
    chain: list[Backup], target: Path, tmp_path: Path
) -> None:
    for name in ("data", "catalog"):
        piece = sorted((target / name).glob("*.fs"))[-1]
        piece.rename(tmp_path / name)
        piece.symlink_to("/proc/self/mem")  # of which the first bytes are an error
        with pytest.raises(DatabaseError) as caught:
            verify(target)
        assert str(caught.value).startswith(f"{piece}: ")
        if name == "data":
            with pytest.raises(DatabaseError) as caught:
                restore(target, tmp_path / "place")
            assert str(caught.value).startswith(f"{piece}: ")
            piece.unlink()
            (tmp_path / name).rename(piece)
    healed = restore(target, tmp_path / "place").healed
    assert healed and str(piece) in healed
    assert is_well(tmp_path / "place") == 5


@pytest.mark.parametrize("text", ["", "nonsense\n", "{name}.fs 5 9 {sum}\n", "{old}\n{old}\n"])
def test_a_list_that_cannot_be_read_is_named(
    chain: list[Backup], made: Path, target: Path, tmp_path: Path, text: str
) -> None:
    file = sorted((target / "data").glob("*.dat"))[-1]
    old = file.read_text().splitlines()[0]
    file.write_text(text.format(name=file.stem, sum="0" * 32, old=old))
    for act in (lambda: verify(target), lambda: restore(target, tmp_path / "place")):
        with pytest.raises(DatabaseDamaged) as caught:
            act()
        assert str(file) in str(caught.value)
    assert restored(target, chain[2].moment) == 3
    assert backup(made, target).kind == "full"
    assert restored(target) == 6


def test_a_backup_notices_a_damaged_piece_and_copies_all(
    chain: list[Backup], made: Path, target: Path
) -> None:
    flip(sorted((target / "data").glob("*.fs"))[-1])
    assert backup(made, target).kind == "full"
    assert restored(target) == 6


@pytest.mark.parametrize("how", ["flipped", "piece gone", "list gone", "all gone", "list damaged"])
def test_a_catalog_that_is_damaged_is_built_anew(
    chain: list[Backup], target: Path, tmp_path: Path, how: str
) -> None:
    catalog = target / "catalog"
    if how == "flipped":
        flip(sorted(catalog.glob("*.fs"))[-1])
    elif how == "piece gone":
        sorted(catalog.glob("*.fs"))[-1].unlink()
    elif how == "list damaged":
        sorted(catalog.glob("*.dat"))[-1].write_text("x")
    else:
        for file in catalog.iterdir() if how == "all gone" else catalog.glob("*.dat"):
            file.unlink()
    found = restore(target, tmp_path / "place")
    assert found.generation == 5 and found.healed and "rebuilt" in found.healed
    assert (str(catalog) in found.healed) is (how not in ("list gone", "all gone"))
    assert is_well(tmp_path / "place") == 5


# -- which folder ----------------------------------------------------------------------------


def test_backups_of_two_databases_do_not_mix(made: Path, target: Path, tmp_path: Path) -> None:
    backup(made, target)
    AuthDB.create(tmp_path / "other").close()
    before = contents(target)
    with pytest.raises(AuthDBError, match="it holds the backups of another database: choose"):
        backup(tmp_path / "other", target)
    del before[".lock"]
    assert before.items() <= contents(target).items()
    (target / "uuid").unlink()
    with pytest.raises(AuthDBError, match="the file 'uuid' is gone"):
        backup(made, target)


def test_folders_that_are_refused(made: Path, tmp_path: Path) -> None:
    before = contents(made)
    for target in (made, made / "backups", made.parent, made / ".." / made.name / "x"):
        with pytest.raises(AuthDBError, match=r"the folder of the database, or around it"):
            backup(made, target)
    (tmp_path / "link").symlink_to(made)
    with pytest.raises(AuthDBError, match=r"the folder of the database, or around it"):
        backup(made, tmp_path / "link" / "backups")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(AuthDBError, match="this is a file: name a folder"):
        backup(made, tmp_path / "file")
    with pytest.raises(AuthDBError, match=r"there is no folder .*nowhere: make it first"):
        backup(made, tmp_path / "nowhere" / "backups")
    for name, why in (
        ("", "it names no folder"),
        ("a\0b", "it names no folder"),
        ("~nobody-here/x", "no such"),
    ):
        with pytest.raises(AuthDBError, match=why):
            backup(made, name)
        with pytest.raises(AuthDBError, match=why):
            verify(name)
        with pytest.raises(AuthDBError, match=why):
            restore(name, made)
    assert contents(made) == before


def test_what_is_no_database_is_not_backed_up(made: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match="there is no database here"):
        backup(tmp_path / "nothing", target)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "data.fs").write_bytes(b"not a database")
    with pytest.raises(DatabaseDamaged):
        backup(tmp_path / "strange", target)
    (tmp_path / "strange" / "data.fs").unlink()
    shutil.copy(made / "catalog.fs", tmp_path / "strange" / "data.fs")
    with pytest.raises((FormatError, DatabaseDamaged)):
        backup(tmp_path / "strange", target)
    assert not target.exists()


def test_a_catalog_that_is_missing_or_damaged_is_left_out(made: Path, target: Path) -> None:
    (made / "catalog.fs").write_bytes(b"x" * 1000)
    assert backup(made, target).kind == "full"
    assert names(target / "catalog") == []
    (made / "catalog.fs").unlink()
    assert backup(made, target).kind == "unchanged"
    assert restored(target) == 1


def test_two_at_once_do_not_disturb_each_other(made: Path, target: Path) -> None:
    backup(made, target)
    with (
        module._locked(target / ".lock"),
        pytest.raises(AuthDBError, match="another backup into it is going on: wait"),
    ):
        backup(made, target)
    assert restored(target) == 1


# -- what is restored ------------------------------------------------------------------------


def test_a_database_is_never_replaced(made: Path, target: Path) -> None:
    backup(made, target)
    before = contents(made)
    with pytest.raises(DatabaseExists, match="there is a database already: move it away first"):
        restore(target, made)
    (made / "data.fs").rename(made / "data.fs.old")
    shutil.copy(made / "data.fs.old", made / "data.fs.pack")
    with pytest.raises(DatabaseExists):  # a pack was cut short: it is mended when it is opened
        restore(target, made)
    (made / "data.fs.pack").unlink()
    (made / "data.fs.old").rename(made / "data.fs")
    assert contents(made) == before


@pytest.mark.parametrize(
    ("place", "name"), [(module, "_restore"), (Path, "hardlink_to")], ids=["before", "last"]
)
def test_one_that_is_made_meanwhile_is_not_replaced(
    made: Path, target: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    backup(made, target)
    new = made.parent / "new"
    original = getattr(place, name)

    def after_another(*arguments: Any) -> Any:
        shutil.copy(made / "data.fs", new / "data.fs")
        return original(*arguments)

    monkeypatch.setattr(place, name, after_another)
    change(made)
    with pytest.raises(DatabaseExists):
        restore(target, new)
    assert (new / "data.fs").read_bytes() == (made / "data.fs").read_bytes()


def test_a_restore_into_what_is_left_of_a_database(made: Path, target: Path) -> None:
    """The objects are lost: everything else there is of the same database, or derived."""
    backup(made, target)
    change(made, 3)
    (made / "data.fs").unlink()
    (made / "notes").write_text("mine")
    with pytest.raises(DatabaseDamaged, match="bring it back from a backup"):
        AuthDB.create(made)
    assert restore(target, made).generation == 1
    assert is_well(made) == 1
    assert (made / "notes").read_text() == "mine"
    for content in (b"", b"FS30"):  # a file that was begun and holds nothing
        (made / "data.fs").write_bytes(content)
        restore(target, made)
        assert is_well(made) == 1


def test_an_index_that_is_left_is_not_taken_for_that_of_the_restored(
    made: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the restored files have none, as after a failure to write it."""
    backup(made, target)
    put = module._put

    def without_index(draft: Path, folder: Path) -> None:
        for file in draft.glob("*.index"):
            file.unlink()
        put(draft, folder)

    monkeypatch.setattr(module, "_put", without_index)
    (made / "data.fs").unlink()
    assert (made / "data.fs.index").exists()
    restore(target, made)
    assert not list(made.glob("*.index"))
    assert is_well(made) == 1


def test_nobody_restores_under_a_writer(made: Path, target: Path) -> None:
    backup(made, target)
    with AuthDB.open(made):
        (made / "data.fs").unlink()
        with pytest.raises(DatabaseLocked, match="wait until it ends"):
            restore(target, made)
    restore(target, made)


def test_the_newest_that_was_begun_by_then(chain: list[Backup], target: Path) -> None:
    second = timedelta(seconds=1)
    zone = timezone(timedelta(hours=5))
    for before, its in zip([None, *chain], chain, strict=False):
        for moment in (its.moment, its.moment + second / 2, its.moment.astimezone(zone)):
            assert restored(target, moment) == its.generation
        if before is not None:
            assert restored(target, its.moment - second / 2) == before.generation
    assert restored(target, datetime(9999, 1, 1, tzinfo=timezone.utc)) == 5
    with pytest.raises(NoSuchMoment) as caught:
        restored(target, chain[0].moment - second)
    for its in (chain[0], chain[-1]):
        assert f"{its.moment:%Y-%m-%d %H:%M:%S} UTC" in str(caught.value)
    with pytest.raises(AuthDBError, match="without a time zone"):
        restored(target, datetime(2024, 2, 26))


def test_the_life_after_a_restore_is_backed_up_beside_the_one_before(
    chain: list[Backup], made: Path, target: Path
) -> None:
    """Equal generations of two lives: a catalog of the one is not taken for the other's."""
    shutil.rmtree(made)
    restore(target, made, as_of=chain[1].moment)
    (made / "catalog.fs").unlink()
    (made / "catalog.fs.index").unlink()
    with AuthDB.open(made) as db:
        db.add(Package("another-life", "A"))
    (made / "catalog.fs").unlink()
    after = backup(made, target)
    assert (after.kind, after.generation) == ("full", 3)
    assert restored(target) == 3
    assert restored(target, chain[-1].moment) == 5
    place = made.parent / "place"
    restore(target, place)
    with AuthDB.open(place) as db:
        assert "another-life" in db and "another-life" in db.find().names()


def test_a_catalog_without_its_objects_is_not_used(
    made: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup was cut short between the two: that catalog knows more than the objects."""
    backup(made, target)
    change(made, 3)
    for name in names(target / "data"):
        shutil.copy(target / "data" / name, target / name)
    backup(made, target)
    for name in names(target / "data"):
        (target / "data" / name).unlink()
    for file in [file for file in target.iterdir() if file.name[:2] == "20"]:
        file.rename(target / "data" / file.name)
    assert restored(target) == 1
    assert backup(made, target).kind == "incremental"
    assert restored(target) == 4


def test_what_is_not_sound_is_found_by_verifying(made: Path, target: Path) -> None:
    """What was damaged before it was backed up has the right checksums."""
    with AuthDB.open(made) as db:
        db.add(Package("flipped", "Findme"))
    content = (made / "data.fs").read_bytes()
    assert content.count(b"Findme") == 1
    (made / "data.fs").write_bytes(content.replace(b"Findme", b"Findmf"))
    made_then = backup(made, target)
    with pytest.raises(DatabaseDamaged, match=r"what is restored is not sound: .*flipped"):
        verify(target, made_then)


def test_verifying_leaves_nothing_behind(
    chain: list[Backup], target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = contents(target)
    found = verify(target)
    assert found.pieces == 10
    assert found.size == sum(f.stat().st_size for f in target.glob("*/*fs"))
    assert found.restored == Restored(chain[-1].moment, 5, 5, None)
    assert verify(target, chain[1]).restored.generation == 2
    with pytest.raises(DatabaseDamaged, match="generation 7 was backed up, 2 is restored"):
        verify(target, chain[1]._replace(generation=7))
    assert names(temporary) == []
    assert contents(target) == before
    with pytest.raises(DatabaseMissing, match="there are no backups here"):
        verify(tmp_path)


# -- the commands ----------------------------------------------------------------------------


def test_the_commands(made: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(do: Callable[[Namespace], int], **options: Any) -> str:
        given = {"db": str(made), "folder": str(target), "progress": None} | options
        assert do(Namespace(**given)) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    first = said(do_backup, full=False, verify=False)
    when = first.removeprefix("full backup of ").partition(",")[0]
    assert first.startswith(f"full backup of {when}, generation 1: ")
    assert said(do_backup, full=False, verify=False) == (
        f"nothing new since the backup of {when}, generation 1\n"
    )
    change(made)
    lines = said(do_backup, full=False, verify=True).splitlines()
    assert lines[0].startswith("incremental backup of ")
    assert lines[1].startswith("verified: 4 pieces of ")
    assert lines[1].endswith("restored for a trial, 5 packages in generation 2 are all well")
    place = str(made.parent / "place")
    moment = parse_moment(when)  # as the command line reads what the commands show
    assert said(do_restore, db=place, as_of=moment) == (
        f"restored the backup of {when}: 5 packages, generation 1\n"
    )
    assert is_well(Path(place)) == 1
    place += "-2"
    assert "generation 2" in said(do_restore, db=place, as_of=None)
    with pytest.raises(DatabaseExists):
        do_restore(Namespace(db=place, folder=str(target), as_of=None, progress=None))
    early = datetime.min.replace(tzinfo=timezone.utc)
    with pytest.raises(NoSuchMoment):
        do_restore(Namespace(db=f"{place}-3", folder=str(target), as_of=early, progress=False))


def test_the_page_is_true(made: Path, tmp_path: Path) -> None:
    """What it tells people to type works, in the order of the page."""
    home = tmp_path / "home"
    (home / "backups").mkdir(parents=True)
    made.rename(home / "auth-packages")
    page = (Path(__file__).parent.parent / "docs" / "backup.md").read_text("utf-8")
    script = ["set -e"]
    for language, block in re.findall(r"^```(console|python)\n(.*?)^```", page, re.M | re.S):
        if language == "python":
            (home / "page.py").write_text(block)
            block = "$ python page.py\n"
        script += [line.removeprefix("$ ") for line in block.splitlines()]
    assert len(script) == 8
    shell = ("/bin/sh", "-c", "\n".join(script).replace("2024-02-26", "today"))
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    variables = {"PATH": path, "HOME": str(home), "AUTHDB_PATH": str(home / "auth-packages")}
    ended = run(command=shell, cwd=home, PYTHONWARNINGS="error", **variables)
    assert (ended.err, ended.status) == ("", 0), ended
    assert is_well(home / "auth-packages") == is_well(home / "look") == is_well(home / "copy") == 1
    assert (home / "data.fs").read_bytes() == (home / "auth-packages" / "data.fs").read_bytes()
