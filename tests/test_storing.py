"""Many packages at once: the same database as one by one, whole or not at all, whatever happens."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from files import contents, no_room_beyond
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import records
from test_importing import RECORDS, reading

from authdb import AuthDB, AuthDBError, building, bulk, drafting, files, storing, transactions
from authdb.exceptions import DatabaseError, DatabaseExists, DatabaseLocked, LoadError
from authdb.files import aside
from authdb.importing import ON_CONFLICT, Counts, load, load_new
from authdb.loaders import Loader
from authdb.models import Package
from authdb.pairing import Pair
from authdb.storage import MyZODB

Record = dict[str, Any]


def lines(count: int, begin: int = 0) -> list[Record]:
    """Packages of all kinds, in no order."""
    chance = random.Random(begin)
    made = []
    for number in range(begin, begin + count):
        day = f"20{chance.randrange(10, 26)}-0{chance.randrange(1, 10)}-1{chance.randrange(10)}"
        made.append(
            {
                "name": f"package-{number}",
                "title": f"Title {number}",
                "description": " ".join(chance.choices(["token", "web", "jwt", "é"], k=6)),
                "categories": chance.sample(["oauth2", "jwt", "token"], chance.randrange(4)),
                "last_release": chance.choice([None, day, day[:7], day]),
                "last_commit": chance.choice([None, day]),
                "license": chance.choice([None, "MIT", "BSD-3-Clause"]),
                "releases": chance.choice([[], [{"version": "1", "date": day}]]),
            }
        )
    chance.shuffle(made)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 150 packages."""
    path = tmp_path / "list.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines(150)))
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few packages are many, so that the tests are quick."""
    monkeypatch.setattr(bulk, "MANY", 10)
    monkeypatch.setattr(storing, "MANY_ROWS", 10)
    monkeypatch.setattr(drafting, "_CHUNK", 16)
    monkeypatch.setattr(drafting, "_IN_MEMORY", 4000)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process helps, although they are few."""
    monkeypatch.setattr(building, "_APART", 50)


def told(db: AuthDB) -> list[Any]:
    """All that a database holds and says of its history."""
    return [
        [(docid, package.record()) for docid, package in db.objects.items()],
        dict(db._root["docids"]),
        (db.generation, db.as_of, db._root["next_docid"], len(db._root["journal"])),
        [(change.number, change.note, change.user, told_of(change)) for change in db.log()],
        [str(edit) for edit in db.diff("c0")],
    ]


def told_of(change: Any) -> Any:
    return {kind: list(docids) for kind, docids in (change.docids or {}).items()}


def is_sound(db: AuthDB) -> bool:
    """Whether nothing is wrong with it; and it can be changed from here on."""
    assert db.check() == []
    db.add(Package("newcomer", "N", categories=["jwt"], description="token"))
    db.update(next(iter(db)).name, title="Changed", license="MIT")
    db.remove("newcomer")
    assert len(db.find("'jwt' in categories and 'token' in description")) >= 0
    return db.check() == []


# -- as one by one ---------------------------------------------------------------------------


def one_by_one(folder: Path | None, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> AuthDB:
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "MANY", 10**9)
        db = AuthDB.in_memory() if folder is None else AuthDB.create(folder)
        for each in files:
            load(db, Loader(each))
    return db


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_new_database_is_as_if_made_and_filled_one_by_one(
    tmp_path: Path, file: Path, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases: list[str] = []
    counts = load_new(
        tmp_path / "new",
        Loader(file),
        processes=processes,
        progress=lambda what, done, total: phases.append(what),
    )
    assert counts == Counts(added=150)
    assert list(dict.fromkeys(phases)) == [
        *("list.ndjson", "writing the packages", "making the columns", "building the catalog"),
    ]
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {
        *("data.fs", "data.fs.index", "data.fs.lock", "catalog.fs", "catalog.fs.index"),
        "columns.bin",
    }
    with (
        one_by_one(tmp_path / "old", [file], monkeypatch) as old,
        AuthDB.open(tmp_path / "new") as new,
    ):
        assert new.healed is None
        assert told(new) == told(old)
        assert is_sound(new)
        new.undo("c1")
        assert len(new) == 1 and new.check() == []  # but for the one that was changed since


@pytest.mark.parametrize("where", ["folder", "memory", "through the storage"])
def test_an_empty_database_is_filled_as_one_by_one(
    tmp_path: Path, file: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "ASIDE", where == "folder")
    path = None if where == "memory" else tmp_path / "new"
    with AuthDB.in_memory() if path is None else AuthDB.create(path) as new:
        before = new.catalog
        counts = load(new, Loader(file))
        assert counts == Counts(added=150)
        assert len(new) == len(new.find()) == 150 and new.catalog is not before
        old = one_by_one(path and tmp_path / "old", [file], monkeypatch)
        with old:
            assert told(new)[:3] == told(old)[:3]
        assert load(new, Loader(file)) == Counts(unchanged=150)
        assert is_sound(new)
    if path is not None:
        with AuthDB.open(path) as new:
            assert new.healed is None and len(new) == 150 and new.check() == []


def test_what_comes_later_is_merged(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = tmp_path / "more.ndjson"
    changed = [{"name": f"package-{n}", "title": "Other"} for n in range(0, 150, 7)]
    more.write_text("".join(json.dumps(line) + "\n" for line in [*lines(60, 150), *changed]))
    load_new(tmp_path / "new", Loader(file))
    with (
        one_by_one(tmp_path / "old", [file, more], monkeypatch) as old,
        AuthDB.open(tmp_path / "new") as new,
    ):
        assert load(new, Loader(more)) == Counts(added=60, changed=len(changed))
        assert told(new) == told(old)
        assert is_sound(new)


@given(
    st.lists(RECORDS, min_size=1, max_size=3), st.sampled_from(sorted(ON_CONFLICT)), st.booleans()
)
@settings(max_examples=40)
def test_files_that_meet_each_other_come_to_the_same(
    files: list[list[Record]], how: str, apart: bool
) -> None:
    """Drafts are read back, merged and written again, also those that were written already."""
    outcomes: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drafting, "_CHUNK", 2 if apart else 1000)
        for many in (10**9, 1):
            patch.setattr(bulk, "MANY", many)
            with AuthDB.in_memory() as db:
                try:
                    counts = load(db, [reading(*each) for each in files], on_conflict=how)
                    outcomes.append((counts, told(db)[:3]))
                except LoadError as error:
                    outcomes.append(str(error))
                assert db.check() == []
    assert outcomes[0] == outcomes[1]


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1).flatmap(
        lambda names: st.tuples(*map(records, names))
    )
)
@settings(max_examples=30)
def test_any_packages_make_a_sound_database(
    tmp_path_factory: pytest.TempPathFactory, packages: tuple[Record, ...]
) -> None:
    folder = tmp_path_factory.mktemp("any") / "db"
    plain = [Package(**each).record() for each in packages]
    load_new(folder, reading(*plain))
    with AuthDB.open(folder) as db:
        assert [package.record() for package in db] == plain
        assert (db.healed, db.check()) == (None, [])


def test_a_new_database_of_no_packages(tmp_path: Path) -> None:
    assert load_new(tmp_path / "a", reading()) == Counts()
    with AuthDB.open(tmp_path / "a") as db:
        assert (len(db), db.generation, db.check()) == (0, 0, [])
    empty = tmp_path / "empty.json"
    empty.write_text('{"packages": [], "as_of": "2024-02-26"}')
    load_new(tmp_path / "b", Loader(empty))
    with AuthDB.open(tmp_path / "b") as db:
        assert (len(db), db.generation, str(db.as_of), db.check()) == (0, 1, "2024-02-26", [])


# -- whole, or not at all --------------------------------------------------------------------


def nothing_left(folder: Path) -> bool:
    """Whether there is no trace of a database that was not made."""
    return not folder.exists()


def test_a_mistake_leaves_nothing(tmp_path: Path, file: Path) -> None:
    with file.open("a") as more:
        more.write('{"name": "last"}\n')
    for folder in (tmp_path / "new", tmp_path / "deep" / "new"):
        with pytest.raises(LoadError, match="line 151: title: a package needs one"):
            load_new(folder, Loader(file))
        assert nothing_left(folder)
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "note.txt").write_text("mine")
    with pytest.raises(LoadError):
        load_new(folder, Loader(file))
    assert [path.name for path in folder.iterdir()] == ["note.txt"]


def test_a_database_that_is_there_is_never_replaced(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "db"
    AuthDB.create(folder).close()
    before = contents(folder)
    with pytest.raises(DatabaseExists):
        load_new(folder, Loader(file))
    assert contents(folder) == before


def test_a_database_that_came_meanwhile_is_never_replaced(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "db"

    def meanwhile(what: str, done: int, total: int | None) -> None:
        if what == "building the catalog" and not (folder / "data.fs").exists():
            with AuthDB.create(folder) as db:
                db.add(Package("theirs", "T"))

    with pytest.raises(DatabaseExists):
        load_new(folder, Loader(file), progress=meanwhile)
    with AuthDB.open(folder) as db:
        assert [package.name for package in db] == ["theirs"] and db.check() == []
    assert not list(folder.glob(".new-*"))


def test_nobody_else_writes_while_a_new_database_gets_its_names(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, refused = tmp_path / "db", []
    original = storing.put_in_place_index

    def after_the_objects(draft: Path, target: Path) -> None:
        with pytest.raises(DatabaseLocked):
            AuthDB.open(folder)
        with AuthDB.open(folder, read_only=True) as db:
            refused.append(len(db))
        original(draft, target)

    monkeypatch.setattr(storing, "put_in_place_index", after_the_objects)
    load_new(folder, Loader(file))
    assert refused == [150]


class Stop(BaseException):
    """As Ctrl-C."""


PHASES = ["list.ndjson", "writing the packages", "making the columns", "building the catalog"]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", [Stop, OSError])
@pytest.mark.usefixtures("apart")
def test_an_interrupt_leaves_nothing(
    tmp_path: Path, file: Path, phase: str, kind: type[BaseException], open_files: Callable[[], Any]
) -> None:
    def interrupt(what: str, done: int, total: int | None) -> None:
        if what == phase:
            raise kind(28, "No space left on device")

    before = open_files()
    expected = DatabaseError if kind is OSError else kind
    with pytest.raises(expected) as caught:
        load_new(tmp_path / "new", Loader(file), progress=interrupt)
    if kind is OSError:
        assert "the disk is full" in str(caught.value) and "\n" not in str(caught.value)
    assert nothing_left(tmp_path / "new")
    with AuthDB.create(tmp_path / "old") as db:
        for _ in range(2):
            with pytest.raises(expected):
                load(db, Loader(file), progress=interrupt)
            assert (len(db), db.generation, len(db.find())) == (0, 0, 0)
            assert not list((tmp_path / "old").glob(".new-*"))
        assert load(db, Loader(file)) == Counts(added=150)
        assert db.check() == []
    assert open_files() == before


@pytest.mark.parametrize("where", ["folder", "memory", "through the storage"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_failure_about_the_finish_is_found_out(
    tmp_path: Path, file: Path, where: str, finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the objects have finished, the change is kept, and the catalog is built anew."""
    monkeypatch.setattr(storing, "ASIDE", where == "folder")
    finish, failed = storing.StorageSink.finish, []

    def fail(sink: Any) -> None:
        if not failed:
            failed.append(sink)
            if finished:
                finish(sink)
            raise OSError(5, "Input/output error")
        finish(sink)

    with AuthDB.in_memory() if where == "memory" else AuthDB.create(tmp_path / "db") as db:
        monkeypatch.setattr(storing.StorageSink, "finish", fail)
        if finished:
            assert load(db, Loader(file)) == Counts(added=150)
        else:
            with pytest.raises(DatabaseError, match="Input/output error"):
                load(db, Loader(file))
        assert failed
        assert len(db) == len(db.find()) == (150 if finished else 0)
        assert db.check() == []
        if not finished:
            assert load(db, Loader(file)) == Counts(added=150)
        assert is_sound(db)


@pytest.mark.parametrize("size", [0, 5_000, 20_000, 60_000, 90_000])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, file: Path, size: int) -> None:
    folder = tmp_path / "new"
    with no_room_beyond(size), pytest.raises(DatabaseError) as caught:
        load_new(folder, Loader(file))
    assert "larger than the system allows" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert nothing_left(folder)


def test_a_full_disk_leaves_a_database_as_it_was(tmp_path: Path, file: Path) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        for size in (5_000, 20_000, 60_000):
            with no_room_beyond(size), pytest.raises(AuthDBError):
                load(db, Loader(file))
        assert (len(db), db.generation) == (0, 0)
        load(db, Loader(file))
        assert db.check() == []
    assert not list((tmp_path / "db").glob(".new-*"))


@pytest.mark.usefixtures("apart")
def test_a_second_process_that_is_killed_is_told_of(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(what: str, done: int, total: int | None) -> None:
        if what == "list.ndjson":
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)

    with pytest.raises(AuthDBError, match="the second process"):
        load_new(tmp_path / "new", Loader(file), progress=kill)
    assert nothing_left(tmp_path / "new")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path, file: Path) -> None:
    left = tmp_path / "db" / ".new-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "data.fs").write_bytes(b"half")
    (left / "lock").write_text("1")
    with aside(tmp_path / "db") as theirs:
        (theirs / "data.fs").write_bytes(b"going on")
        assert not left.exists()
        load_new(tmp_path / "db", Loader(file))
        assert (theirs / "data.fs").exists()
    assert not list((tmp_path / "db").glob(".new-*"))


# -- killed ----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from authdb import AuthDB, building, bulk, drafting, files, rebuilding, sinks, storing
from authdb.importing import load, load_new
from authdb.loaders import Loader

folder, file, way, where, number = sys.argv[1:]
bulk.MANY = storing.MANY_ROWS = 10
building._APART, drafting._CHUNK = 50, 16
calls = 0

def deadly(original):
    def call(*args, **more):
        global calls
        calls += 1
        if calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **more)
    return call

classes = sinks.FileSink, sinks.StorageSink, drafting.Batch, building.Builder
for owner in (storing, rebuilding, *classes):
    if hasattr(owner, where):
        setattr(owner, where, deadly(getattr(owner, where)))
if way == "new":
    load_new(folder, Loader(file))
else:
    with AuthDB.open(folder) as db:
        load(db, Loader(file))
"""

#: Function and number of the call at which a new database dies, and one that was there.
NEW = [
    *(("add", 200), ("store_all", 2), ("finish", 1), ("finish", 2), ("verify", 2)),
    *(("name_objects", 1), ("put_in_place_index", 1), ("put_catalog", 1), ("put_in_place", 1)),
]
OLD = [("add", 200), ("vote", 1), ("finish", 1), ("finish", 2), ("put_in_place", 1)]


def killed(folder: Path, file: Path, way: str, where: str, number: int) -> bool:
    """Load in a process that dies at that call; whether it did."""
    args = [sys.executable, "-W", "ignore", "-c", KILLED, folder, file, way, where, str(number)]
    done = subprocess.run(args, check=False, capture_output=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


def is_old_or_new(folder: Path, file: Path, old: int) -> bool:
    """Whether a database is there that has nothing of the load, or all; and lasts."""
    with AuthDB.open(folder, read_only=True) as db:
        found = len(db)
        assert found == len(db.find()) == sum(1 for _ in db)
        assert found in (old, 150)
    with AuthDB.open(folder) as db:
        assert len(db) == found
        assert load(db, Loader(file)) in (Counts(added=150 - old), Counts(unchanged=150))
        assert len(db) == 150 and db.check() == []
        assert found or not list(folder.glob(".new-*"))
    return True


@pytest.mark.parametrize(("where", "number"), NEW)
def test_a_kill_leaves_a_whole_database_or_none(
    tmp_path: Path, file: Path, where: str, number: int
) -> None:
    folder = tmp_path / "db"
    killed(folder, file, "new", where, number)
    if not (folder / "data.fs").exists():
        assert load_new(folder, Loader(file)) == Counts(added=150)
        assert not list(folder.glob(".new-*"))
    assert is_old_or_new(folder, file, 150)


@pytest.mark.parametrize(("where", "number"), OLD)
def test_a_kill_leaves_the_old_database_or_the_new_one(
    tmp_path: Path, file: Path, where: str, number: int
) -> None:
    folder = tmp_path / "db"
    AuthDB.create(folder).close()
    killed(folder, file, "old", where, number)
    assert is_old_or_new(folder, file, 0)


def test_kills_at_any_moment(tmp_path: Path, file: Path) -> None:
    chance = random.Random()
    kills, longest = 0, 1.0
    for number in itertools.count():
        folder, way = tmp_path / f"db{number}", chance.choice(["new", "old"])
        if way == "old":
            AuthDB.create(folder).close()
        args = [sys.executable, "-c", KILLED, folder, file, way, "nothing", "0"]
        began = time.monotonic()
        process = subprocess.Popen(args)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.random() * longest)
            longest = time.monotonic() - began  # it was done by then
        process.kill()
        kills += process.wait() != 0
        if (folder / "data.fs").exists():
            assert is_old_or_new(folder, file, 150 if way == "new" else 0)
        else:
            assert way == "new"
            assert load_new(folder, Loader(file)) == Counts(added=150)
            assert not list(folder.glob(".new-*"))
        if kills == 4:
            return


# -- others beside ---------------------------------------------------------------------------


def test_a_reader_keeps_what_it_opened_and_refreshes(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "db"
    AuthDB.create(folder).close()
    with AuthDB.open(folder, read_only=True) as reader, AuthDB.open(folder) as db:
        load(db, Loader(file))
        assert (len(reader), len(db)) == (0, 150)
        assert reader.refresh()
        assert len(reader) == len(reader.find()) == 150
    with AuthDB.open(folder, as_of="c0") as past:
        assert len(past) == 0
    with AuthDB.open(folder, as_of="c1") as past:
        assert len(past) == 150 and past.check() == []


def test_ordinary_programs_open_what_was_written(tmp_path: Path, file: Path) -> None:
    load_new(tmp_path / "db", Loader(file))
    with MyZODB(tmp_path / "db" / "data.fs", read_only=True) as objects:
        packages = objects.dbroot["packages"]
        assert all(package.is_intact() for package in packages.values())
        assert list(objects.dbroot["docids"]) == sorted(p.name for p in packages.values())
    with MyZODB(tmp_path / "db" / "catalog.fs", read_only=True) as catalogs:
        count, docids = catalogs.dbroot["catalog"].query("'jwt' in categories", sort_index="name")
        assert count.total == len(list(docids)) > 0


# -- where others are about ----------------------------------------------------------------------


def test_a_database_that_came_meanwhile_is_kept_where_there_are_no_hard_links(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError("no such links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    load_new(tmp_path / "first", Loader(file))  # it does without
    original = storing.name_objects

    def too_late(draft: Path, folder: Path) -> None:
        (folder / "data.fs").write_bytes(b"another's")
        original(draft, folder)

    monkeypatch.setattr(storing, "name_objects", too_late)
    with pytest.raises(DatabaseExists):
        load_new(tmp_path / "second", Loader(file))
    assert (tmp_path / "second" / "data.fs").read_bytes() == b"another's"


def test_a_draft_that_another_takes_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, seen = files._locked, list[Path]()

    def late(draft: Path) -> Any:
        seen.append(draft)
        if len(seen) == 1:
            with aside(tmp_path):  # which removes what is not locked
                pass
        return original(draft)

    monkeypatch.setattr(files, "_locked", late)
    with aside(tmp_path) as draft:
        assert draft.is_dir()
        assert draft != seen[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("apart")
def test_a_second_process_may_say_as_much_as_it_likes(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    with AuthDB.create(tmp_path / "db") as db:
        load(db, Loader(file))
        assert db.check() == []


@pytest.mark.parametrize("name", ["ren\udce9", "x" * 70_000])
def test_whoever_loads_may_be_called_anything(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LOGNAME", name)
    load_new(tmp_path / "new", Loader(file))
    with AuthDB.create(tmp_path / "there") as db:
        load(db, Loader(file))
        assert db.log(1)[0].user[:3] == name[:3].replace("\udce9", "?")


def test_who_has_no_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in some containers."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert transactions.user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 9)
    assert transactions.user() == "unknown"
    monkeypatch.setenv("USER", "somebody")
    assert transactions.user() == "somebody"


def test_the_catalog_shows_what_the_open_transaction_did() -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("djoser", "Djoser"))
        with db.transaction():
            db.update("djoser", license="MIT")
            assert list(db.catalog.find("license == 'MIT'")) == [1]


def test_a_catalog_that_cannot_be_opened_after_it_was_built_is_opened_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_new(tmp_path / "db", Loader(file))
    with AuthDB.open(tmp_path / "db") as db:
        before = told(db)
        monkeypatch.setattr("authdb.rebuilding.MANY", 3)
        original = Pair._writable_catalog
        with monkeypatch.context() as patch:

            def fail(self: Pair, path: Path) -> Any:
                patch.setattr(Pair, "_writable_catalog", original)
                raise OSError(24, "too many open files")

            patch.setattr(Pair, "_writable_catalog", fail)
            with pytest.raises((OSError, AuthDBError)):
                db.reindex()
        assert told(db) == before
        db.add(Package("one-more", "One more"))
        assert "one-more" in db
        assert db.check() == []
