"""`AuthDB.check`: what is wrong is found, and only that."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.format import DATA_HDR_LEN
from ZODB.utils import u64

from authdb import AuthDB, MyZODB, Package
from authdb.checking import Finding, dump
from authdb.exceptions import AuthDBError, AuthDBWarning, DatabaseReadOnly


@pytest.fixture
def made(folder: Path) -> Path:
    with AuthDB.create(folder) as db, db.transaction():
        for record in SAMPLES:
            db.add(Package(**record))
    return folder


def spoil(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Change one of the files behind authdb's back; ``change`` gets its root."""
    with MyZODB(folder / name) as zodb:
        change(zodb.dbroot)
        zodb.connection.transaction_manager.commit()


def findings(folder: Path, *, repairable: bool) -> str:
    """What check says, as one text; readers say the same, and a repair mends what it can."""
    with AuthDB.open(folder, read_only=True) as db:
        read = db.check()
        if any(finding.repairable for finding in read):
            with pytest.raises(DatabaseReadOnly):
                db.check(repair=True)
    with AuthDB.open(folder) as db:
        found = db.check()
        assert found == read and found != []
        assert all(isinstance(finding, Finding) for finding in found)
        assert all(finding.repairable is repairable for finding in found)
        assert db.check(repair=True) == found
        assert db.check() == ([] if repairable else found)
    return "\n".join(str(finding) for finding in found)


# -- the catalog ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.unindex_doc(3), "index name: of its values 1 entry is wrong: 'hawkrest'"),
        (lambda c: c.index_doc(9, Package("x", "X")), "docid 9"),
        (lambda c: c.index_doc(3, Package("x", "X")), "of its documents 1 entry is wrong: docid 3"),
        (lambda c: c["last_update"].put(3, 737_000), "index last_update: of its values"),
        (
            lambda c: c["license"].put(3, "MIT"),
            "index license: of its values 1 entry is wrong: 'MIT'",
        ),
        (
            lambda c: c["categories"].put(3, None),
            "index categories: its missing documents are wrong",
        ),
        (lambda c: c["title"].put(3, "other words"), "index title: of its words"),
        (lambda c: c["description"]._not_indexed.remove(5), "its missing documents are wrong"),
        (lambda c: c["name"]._num_docs.change(1), "index name: its counts are wrong"),
        (lambda c: c["title"].index._totaldoclen.change(1), "index title: its counts are wrong"),
        (lambda c: c["name"]._fwd_index.clear(), "index name: of its values 5 entries are wrong"),
        (lambda c: c["license"]._fwd_index["MIT"].insert(2), "index license"),
        (lambda c: c["license"]._fwd_index["MIT"].remove(1), "index license"),
        (lambda c: c["name"].clear(), "index name"),
        (lambda c: c.pop("license"), "index license: it is missing, or of another kind"),
        (lambda c: c.update(license=c["name"]), "index license: it is missing, or of another kind"),
        (
            lambda c: c.update(extra=c["name"]),
            "index extra: it belongs to no catalog of this format",
        ),
        (lambda c: c.clear(), "index title"),
    ],
    ids=range(18),
)
def test_whatever_is_wrong_with_the_catalog_is_found_and_mended(
    made: Path, change: Callable[[Any], Any], said: str
) -> None:
    spoil(made, "catalog.fs", lambda root: change(root["catalog"]))
    assert said in findings(made, repairable=True)
    with AuthDB.open(made) as db:
        assert db.find("'hawk' in title and last_update == '2019-03'").names() == ["hawkrest"]


# -- the objects ---------------------------------------------------------------------------------


def rename_behind(root: Any) -> None:
    package = root["packages"][3]
    package._p_activate()
    vars(package)["name"] = "hawk"
    package._p_changed = True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: root["docids"].pop("hawkrest"), "hawkrest (docid 3): its name does not lead"),
        (lambda root: root["docids"].update({"hawkrest": 4}), "which is not that package"),
        (lambda root: root["docids"].update({"ghost": 99}), "ghost (docid 99): the package is"),
        (lambda root: root["packages"].pop(3), "hawkrest (docid 3): the package is lost"),
        (lambda root: root["packages"].update({3: "text"}), "hawkrest (docid 3): the package is"),
        (lambda root: root.update(next_docid=5), "the next docid would be given twice"),
        (rename_behind, "hawk (docid 3): its name does not lead to it"),
    ],
    ids=range(7),
)
def test_whatever_is_wrong_with_the_objects_is_found_and_not_mended(
    made: Path, change: Callable[[Any], Any], said: str
) -> None:
    spoil(made, "data.fs", change)
    with AuthDB.open(made) as db:
        found = db.check()
        assert said in "\n".join(map(str, found))
        assert not all(finding.repairable for finding in found)
        with warnings.catch_warnings():  # what is no package is left out of the catalog
            warnings.simplefilter("ignore", AuthDBWarning)
            assert db.check(repair=True) == found
            assert not any(finding.repairable for finding in db.check())
        assert said in "\n".join(map(str, db.check()))


def test_one_package_that_cannot_be_read_does_not_take_the_others_with_it(made: Path) -> None:
    spoil(made, "data.fs", lambda root: root["packages"].update({3: "text"}))
    (made / "catalog.fs").unlink()
    with pytest.warns(AuthDBWarning, match="docid 3 is left out of the catalog"):
        db = AuthDB.open(made)
    with db:
        names = db.find(sort="name").names()
        assert "hawkrest" not in names and len(names) == 4
        db.remove("hawkrest")
        assert db.check() == []


def test_all_is_well_with_an_empty_database_and_one_in_memory(filled: AuthDB) -> None:
    assert filled.check() == []
    for package in list(filled):
        filled.remove(package.name)
    assert filled.check() == [] == filled.check(repair=True)


def test_check_looks_into_the_files_and_not_into_memory(made: Path) -> None:
    with AuthDB.open(made) as db:
        package = db["hawkrest"]
        package._p_activate()
        vars(package)["title"] = "in memory only"
        assert package.title == "in memory only" and db.check() == []


def test_repairing_what_is_well_changes_nothing(made: Path) -> None:
    before = (made / "catalog.fs").read_bytes(), (made / "data.fs").read_bytes()
    with AuthDB.open(made) as db:
        assert db.check(repair=True) == []
    assert ((made / "catalog.fs").read_bytes(), (made / "data.fs").read_bytes()) == before


FLIPS = int(os.environ.get("AUTHDB_FLIPS", "40"))


# -- flipped bytes -------------------------------------------------------------------------------


def pickle_of(path: Path, oid: bytes) -> tuple[int, int]:
    """Where in the file the pickle of an object's last record is: position and length."""
    storage = FileStorage(str(path), read_only=True)
    try:
        start = storage._index[oid]
        return start + DATA_HDR_LEN, storage._read_data_header(start).plen
    finally:
        storage.close()


def outcome(folder: Path, expected: list[dict[str, Any]]) -> str:
    """Open the database and check it: "found", "refused" or "unchanged"; else the test fails."""
    with suppress(AuthDBError), AuthDB.open(folder, read_only=True) as db:
        found = db.check()
        if not found:
            assert [package.record() for package in db] == expected
            return "unchanged"
        assert "hawkrest" in str(found) or "docid 3" in str(found)
        with suppress(AuthDBError):  # whoever reads it all the same gets that or what it says
            repr([db.get("hawkrest"), db.find().names()])
        return "found"
    return "refused"


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_a_flipped_byte_of_a_package_is_found(folder: Path, flip: int) -> None:
    """FileStorage keeps no checksums: a flipped letter loads without a word."""
    with AuthDB.create(folder) as db:
        for record in SAMPLES:
            db.add(Package(**record))
        db.update(
            "hawkrest",
            releases=[("1.0", "2018-05-01"), ("1.1", "2019-03")],
            sources={"version": {"source": "PyPI", "seen": "2024-02-26"}},
            django_versions=["3.2", "4.2"],
            replaced_by="mohawk",
        )
        expected = [package.record() for package in db]
        oid = db["hawkrest"]._p_oid
    place, length = pickle_of(folder / "data.fs", oid)
    whole = (folder / "data.fs").read_bytes()
    assert whole[place : place + 2] == b"\x80\x03"  # a pickle begins
    assert whole[place + length - 1 : place + length] == b"."  # and ends
    outcomes = []
    for offset in sorted(random.Random(flip).sample(range(length), 2 * FLIPS)):
        spoilt = bytearray(whole)
        spoilt[place + offset] ^= flip
        (folder / "data.fs").write_bytes(spoilt)
        outcomes.append(outcome(folder, expected))
    # A few bytes are names that a pickle gives to what it refers to later: any will do.
    assert outcomes.count("found") > 0.8 * len(outcomes)


@pytest.mark.parametrize("name", ["data.fs", "catalog.fs"])
def test_a_flipped_byte_anywhere_is_found_or_refused_or_without_effect(
    made: Path, tmp_path: Path, name: str
) -> None:
    """No traceback, whichever byte of whichever file it is; and where check finds nothing, the
    packages and the answers are what they were."""
    with AuthDB.open(made) as db:
        expected = [package.record() for package in db]
        answers = db.find("'hawk' in title or last_update < '2024'").names()
    whole = (made / name).read_bytes()
    copy = tmp_path / "copy"
    chance = random.Random(name)
    kinds: dict[str, int] = {}
    for _ in range(FLIPS):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(made, copy)
        for index in copy.glob("*.index"):
            if chance.random() < 0.5:
                index.unlink()
        spoilt = bytearray(whole)
        spoilt[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        (copy / name).write_bytes(spoilt)
        try:
            with AuthDB.open(copy, read_only=chance.random() < 0.5) as db:
                if db.check():
                    kind = "found"
                else:
                    kind = "well"
                    assert [package.record() for package in db] == expected
                    assert db.find("'hawk' in title or last_update < '2024'").names() == answers
        except (AuthDBError, AuthDBWarning):  # a reader is warned of a loss
            kind = "refused"
        kinds[kind] = kinds.get(kind, 0) + 1
    assert set(kinds) <= {"found", "well", "refused"} and kinds.get("found", 0) > 0


# -- dumps ---------------------------------------------------------------------------------------


def test_a_dump_shows_everything_and_nothing_of_how_it_came_about(filled: AuthDB) -> None:
    assert dump(filled.catalog["license"]) == {
        "values": {"BSD-2-Clause": [2], "MIT": [1, 4]},
        "documents": {1: "MIT", 2: "BSD-2-Clause", 4: "MIT"},
        "missing documents": [3, 5],
        "counts": (3, 2),
    }
    titles = dump(filled.catalog["title"])
    assert list(titles["words"]["hawk"]) == [3] and titles["documents"][3] == ["hawk"]
    before = {name: dump(index) for name, index in filled.catalog.items()}
    for package in list(filled):
        record = package.record()
        filled.update(package.name, title="Something else", categories=("saml",))
        filled.replace(Package(**record))
    filled.reindex()
    assert {name: dump(index) for name, index in filled.catalog.items()} == before


def test_a_reader_with_a_loss_is_checked_against_what_it_shows(made: Path) -> None:
    shutil.copy(made / "data.fs", made / "old")
    with AuthDB.open(made) as db:
        db.remove("hawkrest")
    shutil.move(made / "old", made / "data.fs")
    with pytest.warns(AuthDBWarning):
        db = AuthDB.open(made, read_only=True)
    with db:
        assert "hawkrest" in db.find().names()
        # The loss itself, and nothing that is wrong with what is left.
        assert [finding.where for finding in db.check()] == ["data.fs"]


def test_an_oid_in_a_message_is_the_one_in_the_file(made: Path) -> None:
    with AuthDB.open(made) as db:
        oid = db["hawkrest"]._p_oid
    place, _ = pickle_of(made / "data.fs", oid)
    spoilt = bytearray((made / "data.fs").read_bytes())
    spoilt[place] ^= 0xFF
    (made / "data.fs").write_bytes(spoilt)
    with (
        AuthDB.open(made) as db,
        pytest.raises(AuthDBError, match=f"Package 0x{u64(oid):x} cannot"),
    ):
        assert db["hawkrest"].title
