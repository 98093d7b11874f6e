"""What was written stays readable: the kept databases, and the class paths in them."""

from __future__ import annotations

import io
import json
import pickletools
import shutil
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ZODB.FileStorage import FileStorage

from authdb import AuthDB, MyZODB, Package
from authdb.catalog import CATALOG_FORMAT
from authdb.models import FORMAT

FORMATS = Path(__file__).parent / "formats"
KEPT = sorted(path.name for path in FORMATS.iterdir() if path.name.isdigit())

# A class moves or is renamed only if its old path goes on leading to it; then the old path stays
# in this list, and in a database that is kept.
OBJECTS = {
    "BTrees.IOBTree.IOBTree",
    "BTrees.OOBTree.OOBTree",
    "authdb.dates.PartialDate",
    "authdb.fields.Release",
    "authdb.fields.Source",
    "authdb.models.Package",
    "datetime.date",
    "persistent.mapping.PersistentMapping",
}
CATALOG = {
    "BTrees.IFBTree.IFBTree",
    "BTrees.IFBTree.IFTreeSet",
    "BTrees.IOBTree.IOBTree",
    "BTrees.Length.Length",
    "BTrees.OIBTree.OIBTree",
    "BTrees.OOBTree.OOBTree",
    "BTrees.OOBTree.OOSet",
    "authdb.catalog.PackageCatalog",
    "authdb.indexes.CategoryIndex",
    "authdb.indexes.DateIndex",
    "authdb.indexes.FieldIndex",
    "authdb.indexes.NameIndex",
    "authdb.indexes.PackageLexicon",
    "authdb.indexes.TextIndex",
    "persistent.mapping.PersistentMapping",
    "zope.index.text.lexicon.CaseNormalizer",
    "zope.index.text.lexicon.Splitter",
    "zope.index.text.lexicon.StopWordRemover",
    "zope.index.text.okapiindex.OkapiIndex",
}
# Trees of several buckets have their buckets as objects of their own.
OF_LARGE_TREES = {
    "BTrees.IFBTree.IFBucket",
    "BTrees.IFBTree.IFSet",
    "BTrees.IOBTree.IOBucket",
    "BTrees.OIBTree.OIBucket",
    "BTrees.OOBTree.OOBucket",
}


def class_paths(path: Path) -> set[str]:
    """Every class that the records of a FileStorage name."""
    found: set[str] = set()
    storage = FileStorage(str(path), read_only=True)
    try:
        for transaction in storage.iterator():
            for record in transaction:
                found.update(_globals(record.data or b""))
    finally:
        storage.close()
    return found


def _globals(data: bytes) -> Iterable[str]:
    stream = io.BytesIO(data)
    while stream.tell() < len(data):  # a record is two pickles: the class, then the state
        texts: list[str] = []
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL":
                yield argument.replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                yield ".".join(texts[-2:])
            if isinstance(argument, str):
                texts.append(argument)


def test_there_is_a_database_of_each_format() -> None:
    assert [str(number) for number in range(1, FORMAT + 1)] == KEPT
    assert CATALOG_FORMAT == 1  # the catalog of another one is built anew, not kept


@pytest.fixture(params=KEPT)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a kept database: without the files that FileStorage keeps beside its own."""
    folder = tmp_path / "kept"
    shutil.copytree(FORMATS / request.param, folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 50_000
    return folder


@pytest.mark.parametrize("read_only", [True, False])
def test_a_kept_database_opens_answers_and_checks_clean(kept: Path, read_only: bool) -> None:
    expected: list[dict[str, Any]] = json.loads((kept / "expected.json").read_text("utf-8"))
    with AuthDB.open(kept, read_only) as db:
        assert db.healed is None and db.as_of == date(2024, 2, 26)
        assert [package.record() for package in db] == expected
        assert db.check() == []
        assert db.find("last_update < '2001' or 'session' in categories").names() == [
            "django-rest-knox",
            "renamed",
            "p20",
        ]
        assert db.find("'token' in title and last_update == 2010", sort="name").names() == [
            "p10",
            "p30",
        ]
        assert db.find("'own' in description").one().version == "4.2.0"
        assert db.find("not (last_update > '1999')").names() == ["unheard-of"]
        if not read_only:
            db.add(Package("new", "New"))
            db.update("unheard-of", license="MIT")
            db.remove("p02")
            assert db.find("name == 'new'").docids[0] == 37
            assert db.check() == []


def test_the_catalog_of_a_kept_database_can_be_made_anew(kept: Path) -> None:
    (kept / "catalog.fs").unlink()
    with AuthDB.open(kept) as db:
        assert db.check() == [] and len(db) == len(
            json.loads((kept / "expected.json").read_text("utf-8"))
        )


def test_the_classes_in_a_kept_database_stay_where_they_are(kept: Path) -> None:
    assert OBJECTS <= class_paths(kept / "data.fs") <= OBJECTS | OF_LARGE_TREES
    assert CATALOG <= class_paths(kept / "catalog.fs") <= CATALOG | OF_LARGE_TREES


def test_the_classes_that_are_written_today_are_those_that_are_kept(folder: Path) -> None:
    """What this authdb writes, another one of the same format reads."""
    with AuthDB.create(folder) as db, db.transaction():
        full = json.loads((FORMATS / str(FORMAT) / "expected.json").read_text("utf-8"))[0]
        db.add(Package(**full))
        for number in range(300):
            db.add(
                Package(
                    f"p{number}",
                    f"Word{number} token",
                    description=f"words of number {number}",
                    categories=("jwt",) if number % 2 else (),
                    license="MIT" if number % 3 else None,
                    last_update=f"{1900 + number % 120}-0{number % 9 + 1}",
                )
            )
    assert class_paths(folder / "data.fs") == OBJECTS | {
        "BTrees.IOBTree.IOBucket",
        "BTrees.OOBTree.OOBucket",
    }
    assert class_paths(folder / "catalog.fs") == CATALOG | OF_LARGE_TREES


def test_a_package_of_before_a_field_existed_has_its_default(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
    with AuthDB.open(folder) as db:
        package = db["a"]
        assert package.title == "A"
        assert vars(package).keys() == {"name", "title", "_digest"}  # as if no others existed
        assert package.license is None and package.categories == () and package.releases == ()


def test_the_root_has_the_keys_of_its_format(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.set_as_of(date(2024, 2, 26))
        db.add(Package("a", "A"))
        db.remove("a")
    with MyZODB(folder / "data.fs", read_only=True) as zodb:
        assert set(zodb.dbroot) == {
            *("format", "uuid", "generation", "token", "journal"),
            *("packages", "docids", "next_docid"),
            *("as_of", "touched", "former"),  # which may be missing
        }
        assert zodb.dbroot["format"] == FORMAT
    with MyZODB(folder / "catalog.fs", read_only=True) as zodb:
        assert set(zodb.dbroot) == {"format", "uuid", "generation", "token", "catalog"}
        assert zodb.dbroot["format"] == CATALOG_FORMAT
