"""From a damaged objects file: what is whole comes back, and what is not is named."""

from __future__ import annotations

import io
import pickle
import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from files import an_ordinary_user, contents, no_room_beyond
from strangers import append, trap

from authdb import AuthDB, AuthDBError, Package
from authdb.exceptions import DatabaseDamaged, DatabaseError, DatabaseExists, DatabaseMissing
from authdb.pickles import class_of
from authdb.records import RECORD, Record, transactions
from authdb.recovering import Recovered, recover
from authdb.salvaging import Salvage
from authdb.scanning import ALLOWED, CALLED

DAY = date(2024, 2, 26)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a past: a load, changes, removals, names given on, an undone change."""
    chance = random.Random(3)
    folder = tmp_path_factory.mktemp("whole") / "db"
    with AuthDB.create(folder) as db:
        with db.transaction("a load"):
            for number in range(90):
                db.add(Package(f"p-{number}", f"Package {number}", description="x" * 40))
        db.set_as_of(DAY)
        for name in chance.sample([f"p-{n}" for n in range(10, 90)], 25):
            db.update(name, license="MIT", last_release="2023-11")
        for number in range(10):
            db.remove(f"p-{number}")
        db.update("p-20", name="renamed")
        db.add(Package("p-20", "Another of that name"))
        db.add(Package("p-3", "Added again"))
        with db.transaction("at the end"):
            for number in range(15, 25):
                db.update("p-3" if number == 20 else f"p-{number}", description=f"last {number}")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new"


@pytest.fixture
def data(whole: Path) -> bytes:
    return (whole / "data.fs").read_bytes()


@pytest.fixture
def recovered(tmp_path: Path, target: Path) -> Callable[[bytes], Recovered]:
    """A function that recovers from a file of these bytes."""

    def recovered(damaged: bytes) -> Recovered:
        path = tmp_path / "damaged.fs"
        path.write_bytes(damaged)
        found = recover(path, target)
        assert path.read_bytes() == damaged
        return found

    return recovered


def packages(folder: Path) -> dict[str, dict[str, Any]]:
    """What there is in a database, which is sound."""
    with AuthDB.open(folder) as db:
        assert db.check() == []
        return {package.name: package.record() for package in db}


def in_file(data: bytes) -> list[Record]:
    return [one for found in transactions(io.BytesIO(data)) for one in found.records]


def newest(folder: Path) -> dict[str, Record]:
    """For each package of a database its newest record."""
    records = {one.oid: one for one in in_file((folder / "data.fs").read_bytes())}
    with AuthDB.open(folder, read_only=True) as db:
        return {package.name: records[package._p_oid] for package in db}


def of_class(data: bytes, name: str) -> list[Record]:
    """The records of a class, oldest first."""
    return [one for one in in_file(data) if class_of(one.data, ALLOWED, CALLED)[1] == name]


def flip(data: bytes, *positions: int, by: int = 1) -> bytes:
    flipped = bytearray(data)
    for position in positions:
        flipped[position] ^= by
    return bytes(flipped)


def in_text(data: bytes, record: Record, text: bytes) -> int:
    """Where a text is in a record."""
    return data.index(text, record.position + RECORD.size)


# -- what is not damaged ------------------------------------------------------------------------


def test_of_a_whole_file_all_comes_back_and_nothing_else(
    whole: Path, target: Path, tmp_path: Path
) -> None:
    before = contents(whole)
    found = recover(whole, target)  # a folder will do
    assert found == (len(packages(target)), (), (), (), ())
    assert contents(whole) == before
    shutil.copytree(whole, tmp_path / "copy")
    assert packages(target) == packages(tmp_path / "copy")
    assert list(packages(target)) == list(packages(tmp_path / "copy")), "in the order of docids"
    with AuthDB.open(target) as db:
        assert db.as_of == DAY
        assert db.generation == 1, "one change"


def test_without_a_target_it_says_what_could_be_recovered_and_writes_nothing(
    whole: Path, data: bytes, tmp_path: Path, target: Path
) -> None:
    (tmp_path / "data.fs").write_bytes(flip(data, in_text(data, newest(whole)["p-16"], b"last")))
    before = contents(tmp_path)
    found = recover(tmp_path)
    assert contents(tmp_path) == before
    assert found == recover(tmp_path, target)
    assert found.older == ("p-16",)


def test_an_empty_database_is_recovered_as_one(tmp_path: Path, target: Path) -> None:
    AuthDB.create(tmp_path / "db").close()
    assert recover(tmp_path / "db", target).packages == 0
    assert packages(target) == {}


# -- what is damaged ------------------------------------------------------------------------------


def test_a_package_whose_newest_state_is_damaged_comes_back_in_an_older_one(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    at = in_text(data, newest(whole)["p-16"], b"last 16")
    found = recovered(flip(data, at))
    assert found._replace(packages=0) == (0, ("p-16",), (), (), ())
    assert packages(target)["p-16"]["description"] == "x" * 40
    assert len(packages(target)) == found.packages == len(newest(whole))


def test_a_package_in_an_older_state_has_the_name_that_it_has_now(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    """What was called p-20 is called "renamed", and p-20 is another now."""
    at = in_text(data, newest(whole)["renamed"], b"renamed")
    found = recovered(flip(data, at + 3))
    assert found.older == ("renamed",)
    there = packages(target)
    assert there["renamed"]["title"] == "Package 20"
    assert there["p-20"]["title"] == "Another of that name"


def test_a_package_of_which_nothing_is_whole_is_named(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    only = newest(whole)["p-20"]
    assert not only.previous
    found = recovered(flip(data, in_text(data, only, b"Another")))
    assert found._replace(packages=0) == (0, (), ("p-20",), (), ())
    assert "p-20" not in packages(target)


def test_a_lost_root_costs_nothing_while_an_older_one_is_whole(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    roots = [one for one in in_file(data) if one.oid == bytes(8)]
    assert len(roots) > 3
    found = recovered(flip(data, *(one.position + RECORD.size for one in roots[-3:])))
    assert found == (len(newest(whole)), (), (), (), ())


def test_without_any_root_all_packages_come_back_and_the_removed_are_named(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    roots = [one for one in in_file(data) if one.oid == bytes(8)]
    found = recovered(flip(data, *(one.position + RECORD.size for one in roots)))
    there = packages(target)
    assert there.keys() == newest(whole).keys() | {f"p-{number}" for number in range(10)}
    assert set(found.uncertain) == there.keys(), "nothing says which were removed"
    assert there["p-3"]["title"] == "Added again", "not the one that was removed"
    assert there["p-20"]["title"] == "Another of that name"
    with AuthDB.open(target, read_only=True) as db:
        assert db.as_of is None


@pytest.mark.parametrize("kind", ["IOBucket", "IOBTree", "OOBucket", "OOBTree"])
def test_without_a_piece_of_a_tree_the_packages_in_doubt_are_taken_and_named(
    kind: str, whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    last = of_class(data, kind)[-1]
    found = recovered(flip(data, last.position + RECORD.size))
    there, live = packages(target), newest(whole)
    assert live.keys() <= there.keys()
    assert there.keys() - live.keys() <= set(found.uncertain)
    assert found.lost == ()


def test_a_flipped_entry_of_a_tree_is_noticed_by_the_other_tree(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    """Nothing in a tree is damaged so that it could not be read; but two packages disagree."""
    bucket = of_class(data, "IOBucket")[-1]
    oid = newest(whole)["p-60"].oid
    at = data.index(b"C\x08" + oid, bucket.position)
    found = recovered(flip(data, at + 9))  # the last byte of the oid
    live = newest(whole)
    assert live.keys() <= packages(target).keys()
    assert "p-60" in found.uncertain


def test_a_file_cut_off_between_two_changes_is_an_older_database(
    data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    last = of_class(data, "Package")[89].position
    loaded = next(end for end in (one.end for one in transactions(io.BytesIO(data))) if end > last)
    assert recovered(data[:loaded]) == (90, (), (), (), ())
    assert list(packages(target)) == [f"p-{number}" for number in range(90)]


def test_of_a_load_that_is_cut_off_in_the_middle_what_is_there_comes_back(
    data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    stored = of_class(data, "Package")[:90]
    end = stored[-1].position + RECORD.size + len(stored[-1].data)
    middle = stored[len(stored) // 2]
    found = recovered(data[: middle.position + 50])
    there = packages(target)
    assert 30 < len(there) == found.packages < 60
    assert found.gaps[-1].start == middle.position
    # Cut off right behind a record: nothing is half, but the end of the change is missing.
    shutil.rmtree(target)
    assert recovered(data[:end]).gaps == ((end, end),)


def test_a_change_that_was_never_finished_is_left_out(
    data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    """As after a crash; ZODB does the same."""
    *_, before, last = [
        (found.position, len(list(found.records))) for found in transactions(io.BytesIO(data))
    ]
    unfinished = bytearray(data)
    unfinished[last[0] + 16 : last[0] + 17] = b"c"
    for length in (len(data), len(data) - 9, len(data) - 200):
        found = recovered(bytes(unfinished[:length]))
        assert found._replace(packages=0) == (0, (), (), (), ())
        assert "last 21" not in str(packages(target)["p-21"])
        shutil.rmtree(target)
    # One that is followed by others was finished: its status is a flipped byte.
    flipped = bytearray(data)
    flipped[before[0] + 16 : before[0] + 17] = b"c"
    recovered(bytes(flipped))
    assert "last 21" in str(packages(target)["p-21"])


@pytest.mark.parametrize(
    ("field", "where"),
    [
        ("oid", 7),
        ("tid", 15),
        ("previous", 23),
        ("transaction", 31),
        ("version", 33),
        ("length", 41),
    ],
)
def test_a_damaged_header_costs_its_own_record_at_most(
    field: str,
    where: int,
    whole: Path,
    data: bytes,
    target: Path,
    recovered: Callable[[bytes], Recovered],
) -> None:
    """Though all others of the same transaction lie behind it."""
    live, hurt = newest(whole), of_class(data, "Package")[45]
    found = recovered(flip(data, hurt.position + where, by=3))
    there = packages(target)
    with AuthDB.open(whole, read_only=True) as db:
        right = {package.name: package.record() for package in db}
    for name, record in live.items():
        if record.position != hurt.position:
            assert there.get(name) == right[name], name
    assert there.keys() - live.keys() <= set(found.uncertain)


def test_nothing_that_is_stored_is_run(
    data: bytes, target: Path, tmp_path: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    file, marker = tmp_path / "spoiled.fs", tmp_path / "marker"
    file.write_bytes(data)
    victims = of_class(data, "Package")[20:22]
    append(
        file,
        [
            (victims[0].oid, trap(marker) + trap(marker)),
            (victims[1].oid, victims[1].data[: victims[1].data.index(b".") + 1] + trap(marker)),
            (bytes(8), trap(marker) * 2),
        ],
        extension=trap(marker),
    )
    found = recovered(file.read_bytes())
    assert not marker.exists()
    assert len(found.older) == 2


def test_a_package_that_was_made_up_is_not_taken(
    data: bytes, tmp_path: Path, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    """Without its digest, or with values that no field holds."""
    file = tmp_path / "made-up.fs"
    file.write_bytes(data)
    made_up: list[Any] = [[], None, {}, "text", {"name": "made-up", "title": "x"}]
    for name in (5, "made-up\x1b[2J", "Made_Up", ""):
        draft = Package.__new__(Package)
        draft.__dict__.update(name=name, title="x")
        made_up.append(draft.__getstate__())  # with the digest
    for number, state in enumerate(made_up, 900):
        oid = number.to_bytes(8, "big")
        append(file, [(oid, b"\x80\x03cauthdb.models\nPackage\n." + pickle.dumps(state, 3))])
    assert recovered(file.read_bytes())._replace(packages=0) == (0, (), (), (), ())
    assert "made-up" not in packages(target)


# -- whatever the damage --------------------------------------------------------------------------


def damage(data: bytes, chance: random.Random) -> tuple[bytes, list[tuple[int, int]]]:
    """The file, damaged somehow, and the bytes that were touched, from and to."""
    damaged, touched = bytearray(data), []
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                damaged[at] ^= chance.choice([0xFF, *(1 << bit for bit in range(8))])
                touched.append((at, at + 1))
            case 1:
                end = min(len(data), at + chance.choice([8, 100, 512, 4096]))
                damaged[at:end] = bytes(end - at)
                touched.append((at, end))
            case 2:
                end = min(len(data), at + chance.choice([8, 100, 512]))
                damaged[at:end] = chance.randbytes(end - at)
                touched.append((at, end))
            case 3:
                at -= at % 512
                end = min(len(data), at + 512)
                other = chance.randrange(len(data) // 512) * 512
                damaged[at:end] = (data[other : other + 512] + bytes(512))[: end - at]
                touched.append((at, end))
            case 4 if not touched and chance.randrange(2):
                return data[:at], [(at, len(data))]
    return bytes(damaged), touched


@pytest.mark.parametrize("seed", range(40))
def test_every_package_whose_newest_record_is_untouched_comes_back_as_it_was(
    seed: int, whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    damaged, touched = damage(data, random.Random(seed))
    live = newest(whole)
    with AuthDB.open(whole, read_only=True) as db:
        right = {package.name: package.record() for package in db}
    untouched = {
        name
        for name, record in live.items()
        if not any(
            start < record.position + RECORD.size + len(record.data) and end > record.position
            for start, end in touched
        )
    }
    try:
        found = recovered(damaged)
    except AuthDBError:
        assert not untouched
        return
    there = packages(target)
    assert found.packages == len(there)
    for name in untouched:
        assert there.get(name) == right[name], name
    # What is not there, or is more than there was, is told of.
    assert found.gaps or live.keys() <= there.keys() | set(found.lost)
    assert there.keys() <= live.keys() | set(found.uncertain) or found.gaps
    for name in there.keys() & live.keys():
        assert there[name] == right[name] or name in found.older or found.gaps or found.uncertain


def test_any_bytes_end_in_a_database_or_in_one_error(tmp_path: Path, data: bytes) -> None:
    chance = random.Random(9)
    noise = [b"", b"FS30", b"PK\x03\x04" * 99, chance.randbytes(9999), bytes(9999), data[:99]]
    for number, made in enumerate(noise):
        path, target = tmp_path / f"{number}.fs", tmp_path / str(number)
        path.write_bytes(made)
        with pytest.raises(DatabaseDamaged, match="nothing in it can be recovered: no package"):
            recover(path, target)
        assert not target.exists()


def test_of_a_file_without_its_head_the_rest_comes_back(
    whole: Path, data: bytes, target: Path, recovered: Callable[[bytes], Recovered]
) -> None:
    first = next(iter(transactions(io.BytesIO(data)))).end
    for lost in (4, first, first + 300):
        recovered(bytes(lost) + data[lost:])
        assert len(newest(whole).keys() - packages(target).keys()) <= (lost > first) * 2
        shutil.rmtree(target)


def test_of_a_whole_file_the_salvage_is_what_a_strict_reader_finds(data: bytes) -> None:
    salvage = Salvage(io.BytesIO(data))
    assert [found.record for found in salvage if found.sure] == in_file(data)
    assert salvage.gaps == []


# -- files ------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path, target: Path) -> None:
    for path in (tmp_path / "nothing.fs", tmp_path):
        with pytest.raises(DatabaseMissing, match="there is no such file"):
            recover(path, target)
    assert not target.exists()


def test_no_database_is_replaced(whole: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    with AuthDB.create(target) as db:
        db.add(Package("djoser", "Djoser"))
    before = contents(target)
    with pytest.raises(DatabaseExists):
        recover(whole / "data.fs", target)
    assert contents(target) == before
    with pytest.raises(DatabaseExists):
        recover(whole / "data.fs", whole)


def test_other_files_in_the_target_are_left_alone(whole: Path, target: Path) -> None:
    target.mkdir()
    (target / "README").write_text("mine")
    recover(whole, target)
    assert (target / "README").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "folder with a file"])
def test_a_full_disk_leaves_nothing_behind(there: bool, whole: Path, target: Path) -> None:
    if there:
        target.mkdir()
        (target / "README").write_text("mine")
    with no_room_beyond(12_000), pytest.raises(DatabaseError):
        recover(whole, target)
    assert target.exists() == there
    if there:
        assert [path.name for path in target.iterdir()] == ["README"]
    recover(whole, target)


def test_a_file_that_may_not_be_read(tmp_path: Path, target: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "data.fs"
    path.write_bytes(b"FS30")
    path.chmod(0)
    with an_ordinary_user(), pytest.raises(DatabaseError, match="no permission"):
        recover(path, target)


def test_no_file_is_left_open(
    whole: Path, target: Path, open_files: Callable[[], set[str]]
) -> None:
    before = open_files()
    recover(whole, target)
    assert open_files() == before
