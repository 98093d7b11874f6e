"""`AuthDB`: adding, changing, removing, reading; transactions; and what is refused."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import transaction
from conftest import SAMPLES

from authdb import AuthDB, AuthDBError, Eq, Package
from authdb.exceptions import (
    DatabaseClosed,
    DatabaseError,
    DatabaseExists,
    DatabaseMissing,
    DatabaseReadOnly,
    InvalidValue,
    PackageExists,
    PackageNotFound,
)

NAMES = [str(record["name"]) for record in SAMPLES]


class Stop(Exception):
    """Raised to end a transaction early."""


def notes(db: AuthDB) -> list[Any]:
    """What the objects' file says of its last transactions, the newest first."""
    return list(db._pair.objects.db.undoLog(0, 20))  # type: ignore[union-attr]


# -- reading -----------------------------------------------------------------------------------


def test_packages_are_found_by_any_spelling_of_their_names(filled: AuthDB) -> None:
    for name in ("drf-httpsig", "DRF_HttpSig", "drf.httpsig", "drf--httpsig"):
        assert filled[name].name == "drf-httpsig"
        assert filled.get(name) is filled[name]
        assert name in filled
        assert filled.find(Eq("name", name)).names() == ["drf-httpsig"]


def test_a_name_that_is_not_there(filled: AuthDB) -> None:
    assert filled.get("hawk") is None and filled.get("hawk", 5) == 5
    for name in ("hawk", "", "\udc80", "x" * 10_000):
        assert name not in filled
        with pytest.raises(PackageNotFound):
            filled[name]
    with pytest.raises(
        PackageNotFound, match=r"called 'hawkrset' \(did you mean 'hawkrest'\?\)"
    ) as error:
        filled["hawkrset"]
    assert error.value.name == "hawkrset"
    with pytest.raises(KeyError):  # it is one of those too
        filled.update("hawkrset", title="x")
    with pytest.raises(PackageNotFound):
        filled.remove("hawkrset")
    with pytest.raises(PackageNotFound):
        filled.replace(Package("hawkrset", "x"))


@pytest.mark.parametrize("name", [None, 5, b"hawkrest", ("hawkrest",)])
def test_only_text_is_a_name(filled: AuthDB, name: Any) -> None:
    assert name not in filled
    for ask in (filled.get, filled.__getitem__, filled.update, filled.remove):
        with pytest.raises(AuthDBError, match="the name of a package is text"):
            ask(name)


def test_it_is_a_collection_in_the_order_of_adding(filled: AuthDB) -> None:
    assert [package.name for package in filled] == NAMES
    assert len(filled) == 5
    assert list(filled.objects) == [1, 2, 3, 4, 5]
    filled.remove("hawkrest")
    filled.add(Package("aaa", "A"))
    assert len(filled) == 5
    assert [package.name for package in filled][-2:] == ["unheard-of", "aaa"]


def test_an_empty_database_is_one_all_the_same(db: AuthDB) -> None:
    assert db and len(db) == 0 and list(db) == [] and db.check() == []
    assert db.find().all() == [] and db.find("name == 'x'", sort="name").first() is None
    assert repr(db).endswith(": 0 packages>")


# -- changing ------------------------------------------------------------------------------------


def test_what_was_added_is_the_stored_package(db: AuthDB) -> None:
    package = Package("Some_Name", "S")
    assert db.add(package) is package
    assert db["some-name"] is package


def test_a_name_is_given_once(filled: AuthDB) -> None:
    with pytest.raises(
        PackageExists, match="there is a package called 'hawkrest' already"
    ) as error:
        filled.add(Package("HawkRest", "Again"))
    assert error.value.name == "hawkrest"
    assert len(filled) == 5 and filled.check() == []


def test_only_packages_that_are_not_stored_are_added(filled: AuthDB, db: AuthDB) -> None:
    for thing in ({"name": "x"}, "x", None, Package):
        with pytest.raises(AuthDBError, match="a Package is added, not"):
            filled.add(thing)  # type: ignore[arg-type]
    package = filled["hawkrest"]
    with pytest.raises(AuthDBError, match="hawkrest is stored already"):
        filled.add(package)
    with AuthDB.in_memory() as other, pytest.raises(AuthDBError, match="stored already"):
        other.add(package)
    filled.remove("hawkrest")
    with pytest.raises(AuthDBError, match="stored already"):
        filled.add(package)
    assert filled.add(Package(**package.record())).name == "hawkrest"
    assert filled.check() == []


def test_an_update_sets_the_fields_given_and_no_others(filled: AuthDB) -> None:
    before = filled["hawkrest"].record()
    package = filled.update("HawkRest", license="MIT", last_release="2020-01-01")
    assert package is filled["hawkrest"]
    assert package.record() == before | {
        "license": "MIT",
        "last_release": "2020-01-01",
        "last_update": "2020-01-01",
    }
    assert filled.find("license == 'MIT' and last_update == 2020").names() == ["hawkrest"]
    filled.update("hawkrest", license=None)
    assert filled.find("license == 'MIT' and last_update == 2020").names() == []


def test_an_update_is_all_or_nothing(filled: AuthDB) -> None:
    before, generation = filled["hawkrest"].record(), filled.generation
    with pytest.raises(InvalidValue, match="license"):
        filled.update("hawkrest", title="New", license="no license", categories=("jwt",))
    with pytest.raises(InvalidValue, match=r"titel: there is no such field \(did you mean 'title'"):
        filled.update("hawkrest", description="New", titel="New")
    assert filled["hawkrest"].record() == before and filled.generation == generation
    assert filled.check() == []


def test_a_replacement_sets_all_fields(filled: AuthDB) -> None:
    given = Package("hawkrest", "Hawk", license="MIT")
    stored = filled.replace(given)
    assert stored is filled["hawkrest"] and stored is not given
    assert stored.record() == {"name": "hawkrest", "title": "Hawk", "license": "MIT"}
    assert filled.find("'signature' in categories").names() == ["drf-httpsig"]
    generation = filled.generation
    filled.replace(Package("hawkrest", "Hawk", license="MIT"))
    assert filled.generation == generation  # nothing differs, nothing is written


def test_docids_ascend_are_never_given_twice_and_survive_a_rename(folder: Path) -> None:
    given: list[int] = []

    def last(db: AuthDB) -> int:
        return max(db.objects)

    with AuthDB.create(folder) as db:
        for name in "abc":
            db.add(Package(name, name))
            given.append(last(db))
        db.remove("c")
        db.add(Package("c", "again"))
        given.append(last(db))
        db.update("c", name="d")
        assert db.find("name == 'd'").docids[0] == given[-1]
        with suppress(Stop), db.transaction():
            db.add(Package("e", "e"))
            raise Stop
        db.remove("d")
    with AuthDB.open(folder) as db:
        db.add(Package("c", "once more"))
        given.append(last(db))
        db.pack()
        for package in list(db):
            db.remove(package.name)
        db.reindex()
    with AuthDB.open(folder) as db:
        db.add(Package("z", "after all were removed"))
        given.append(last(db))
        assert db.check() == []
    assert given == sorted(set(given)) == [1, 2, 3, 4, 5, 6]


def test_a_name_that_was_given_up_can_be_taken(filled: AuthDB) -> None:
    with filled.transaction():
        filled.update("hawkrest", name="old-hawk")
        filled.add(Package("hawkrest", "New"))
        filled.update("old-hawk", name="older-hawk")
        filled.remove("drf-httpsig")
        filled.update("hawkrest", name="drf-httpsig")
    assert filled["drf-httpsig"].title == "New" and "hawkrest" not in filled
    assert filled.check() == []


# -- transactions --------------------------------------------------------------------------------


def test_an_exception_undoes_everything(filled: AuthDB) -> None:
    before = {package.name: package.record() for package in filled}
    hawk, generation = filled["hawkrest"], filled.generation
    fresh = Package("fresh", "F")
    with suppress(Stop), filled.transaction():
        filled.add(fresh)
        filled.update("hawkrest", title="Changed", name="hawk")
        filled["drf-httpsig"].license = "BSD-3-Clause"
        filled.remove("unheard-of")
        filled.set_as_of(date(2024, 2, 26))
        assert len(filled) == 5 and "hawk" in filled and "hawkrest" not in filled
        assert filled.find("license == 'BSD-3-Clause'").names() == ["drf-httpsig"]
        raise Stop
    assert {package.name: package.record() for package in filled} == before
    assert filled["hawkrest"] is hawk and hawk.title == "Hawk"
    assert filled.generation == generation and filled.as_of is None
    assert filled.check() == []
    assert filled.add(fresh).name == "fresh"  # it is not stored, so it can be added
    assert filled.check() == []


def test_a_transaction_is_one_change(filled: AuthDB) -> None:
    generation = filled.generation
    with filled.transaction("several things"):
        filled.add(Package("one", "One"))
        filled.add(Package("two", "Two"))
        filled.update("one", title="First")
    assert filled.generation == generation + 1
    with filled.transaction("nothing"):
        pass
    assert filled.generation == generation + 1


def test_a_refused_change_leaves_the_transaction_whole(filled: AuthDB) -> None:
    with filled.transaction():
        filled.add(Package("one", "One"))
        for refused in (
            lambda: filled.add(Package("one", "Again")),
            lambda: filled.update("one", license="nonsense"),
            lambda: filled.update("one", name="hawkrest"),
            lambda: filled.remove("nobody"),
            lambda: filled.find("nonsense"),
        ):
            with pytest.raises(AuthDBError):
                refused()
        filled.update("one", title="First")
    assert filled["one"].title == "First" and filled.check() == []


def test_there_is_one_transaction_at_a_time(filled: AuthDB) -> None:
    with filled.transaction():
        with (
            pytest.raises(AuthDBError, match="a transaction is open already"),
            filled.transaction(),
        ):
            pass
        with pytest.raises(AuthDBError, match="end the transaction first"):
            filled.check()
        filled.update("hawkrest", title="Still open")
    assert filled["hawkrest"].title == "Still open"


def test_every_edit_is_indexed_however_often_it_is_looked_at(filled: AuthDB) -> None:
    """ZODB says only once in a transaction that an object changes."""
    package = filled["hawkrest"]
    with filled.transaction():
        package.title = "first"
        assert filled.find("'first' in title").names() == ["hawkrest"]
        package.title = "second"
        assert filled.find("'second' in title").names() == ["hawkrest"]
        assert filled.find("'first' in title").names() == []
        filled.update("hawkrest", title="third")
        package.title = "fourth"
    assert filled.find("'fourth' in title").names() == ["hawkrest"]
    assert filled.find("'first' in title or 'second' in title or 'third' in title").names() == []
    assert filled.check() == []


def test_an_edit_between_changes_of_the_same_package_is_not_lost(filled: AuthDB) -> None:
    package = filled["hawkrest"]
    with filled.transaction():
        filled.update("hawkrest", title="first")
        package.title = "second"
        filled.update("hawkrest", license="MIT", name="hawk")
        package.categories = ("jwt",)
        fresh = filled.add(Package("fresh", "F"))
        fresh.title = "newer"
        assert len(filled.find("'newer' in title")) == 1
        fresh.title = "newest"
        filled.update("fresh", name="fresher")
        gone = filled["unheard-of"]
        gone.title = "going"
        filled.remove("unheard-of")
        gone.title = "gone"
        filled.add(Package("unheard-of", "another"))
        gone.title = "gone for good"
    assert filled.find("'second' in title and 'jwt' in categories").names() == ["hawk"]
    assert filled.find("'newest' in title").names() == ["fresher"]
    assert filled.find("'gone' in title or 'going' in title").names() == []
    assert filled.check() == []


def test_what_is_refused_outside_of_a_transaction_changes_nothing(filled: AuthDB) -> None:
    """BTrees tell ZODB of a change only after they have made it in memory."""
    generation = filled.generation
    hawk, catalog = filled["hawkrest"], filled.catalog
    for change in (
        lambda: filled.objects.pop(1),
        lambda: filled.objects.clear(),
        lambda: filled.objects.update({99: Package("x", "X")}),
        lambda: catalog.unindex_doc(3),
        lambda: catalog.index_doc(3, Package("x", "X")),
        lambda: catalog.index_doc(9, Package("x", "X")),
        lambda: catalog.clear(),
        lambda: catalog.pop("name"),
        lambda: catalog["name"].clear(),
        lambda: catalog["title"].index.unindex_doc(3),
        lambda: catalog["title"].lexicon.sourceToWordIds("some words"),
        lambda: filled._pair.root.update(next_docid=1),
        lambda: hawk.become(Package("hawkrest", "X")),
    ):
        with pytest.raises(DatabaseReadOnly, match=r"with db\.transaction"):
            change()
        assert [package.name for package in filled] == NAMES
        assert len(filled) == 5
        assert filled.find("'hawk' in title or 'hawk' in description").names() == ["hawkrest"]
        assert filled.find("name > 'a'").names() == NAMES
        assert filled.find("'signature' in categories").names() == ["hawkrest", "drf-httpsig"]
    filled.update("hawkrest", license="MIT")  # a commit must not write what was refused
    filled.add(Package("one-more", "O"))
    assert filled.generation == generation + 2
    assert filled.check() == []
    assert [package.name for package in filled] == [*NAMES, "one-more"]


def test_another_programs_transaction_does_not_touch_it(filled: AuthDB) -> None:
    """It has a transaction manager of its own, not the thread's."""
    with filled.transaction():
        filled.update("hawkrest", title="In between")
        transaction.abort()
        transaction.commit()
    assert filled["hawkrest"].title == "In between"


def test_a_change_says_what_and_who(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
        db.update("a", title="B")
        with db.transaction("two at once"):
            db.add(Package("b", "B"))
            db.remove("a")
        with db.transaction():
            db.add(Package("c", "C"))
        said = [entry["description"] for entry in notes(db)]
        assert said[:4] == ["changed by a program", "two at once", "update a", "add a"]
        assert notes(db)[0]["user_name"] == "somebody"


@pytest.mark.parametrize(
    "note", ["é" * 60_000, "\U0001f511" * 60_000, "x" * 100_000, "a\udc80b", "\0", "two\nlines"]
)
def test_a_note_may_be_any_text(filled: AuthDB, note: str) -> None:
    """ZODB takes 65,535 bytes of UTF-8, and nothing that UTF-8 cannot hold."""
    with filled.transaction(note):
        filled.update("hawkrest", title="Noted")
    assert filled["hawkrest"].title == "Noted"
    if filled.path:
        said = notes(filled)[0]["description"]
        assert said[:1] == note[:1] and len(said.encode()) <= 65_535


def test_a_user_may_have_any_name(filled: AuthDB, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("\udc80", "é" * 1000):
        monkeypatch.setenv("LOGNAME", name)
        filled.update("hawkrest", title=f"By {len(name)}")
    assert filled.check() == []


# -- what is said of the whole ---------------------------------------------------------------------


def test_it_can_say_as_of_when_the_facts_hold(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        assert db.as_of is None
        db.set_as_of(date(2024, 2, 26))
        generation = db.generation
        db.set_as_of(date(2024, 2, 26))
        assert db.generation == generation
    with AuthDB.open(folder) as db:
        assert db.as_of == date(2024, 2, 26)
        with pytest.raises(AuthDBError, match="as_of is a date, not str"):
            db.set_as_of("2024")  # type: ignore[arg-type]
        db.set_as_of(None)
        assert db.as_of is None and db.check() == []


# -- opening and closing ---------------------------------------------------------------------------


def test_a_database_is_there_after_closing(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        assert db.path == folder and not db.read_only and db.healed is None
        for record in SAMPLES:
            db.add(Package(**record))
        before = [package.record() for package in db]
    for read_only in (True, False):
        with AuthDB.open(str(folder), read_only) as db:
            assert [package.record() for package in db] == before
            assert db.healed is None and db.read_only is read_only
            assert db.find("license == 'MIT'").names() == ["django-rest-knox", "drf-httpsig"]
            assert db.check() == []
            assert repr(db) == f"<AuthDB {folder}: 5 packages{', read-only' * read_only}>"


def test_a_closed_database_says_so(filled: AuthDB) -> None:
    package = filled["hawkrest"]
    filled.close()
    filled.close()
    asks: list[Callable[[], Any]] = [
        lambda: len(filled),
        lambda: list(filled),
        lambda: "hawkrest" in filled,
        lambda: filled["hawkrest"],
        lambda: filled.get("hawkrest"),
        lambda: filled.find(),
        lambda: filled.add(Package("x", "X")),
        lambda: filled.update("hawkrest", title="x"),
        lambda: filled.remove("hawkrest"),
        lambda: filled.check(),
        lambda: filled.pack(),
        lambda: filled.reindex(),
        lambda: filled.generation,
        lambda: filled.as_of,
        lambda: filled.catalog,
        lambda: filled.objects,
        lambda: filled.transaction().__enter__(),
    ]
    for ask in asks:
        with pytest.raises(DatabaseClosed, match="closed"):
            ask()
    assert repr(filled).startswith("<closed AuthDB")
    assert package.title == "Hawk"  # what was read before is still there
    with pytest.raises(AuthDBError):
        package.title = "x"


def test_a_package_of_a_closed_database_says_so_when_it_has_to_be_read(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
    with AuthDB.open(folder) as db:
        package = db.objects.get(1)
    with pytest.raises(DatabaseClosed, match="nothing more can be read"):
        assert package.title
    assert repr(package) == "<Package ?>"


def test_what_is_no_change_of_the_catalogue_is_not_written_with_the_next_one(
    filled: AuthDB,
) -> None:
    generation = filled.generation
    with filled.transaction():
        filled._root["by hand"] = 1
    assert "by hand" not in filled._root
    with filled.transaction():
        pass
    filled.set_as_of(date(2024, 1, 2))
    assert filled.generation == generation + 1
    assert "by hand" not in filled._root


def test_closing_inside_a_transaction_gives_it_up(folder: Path) -> None:
    db = AuthDB.create(folder)
    db.add(Package("a", "A"))

    def close_inside() -> None:
        with db.transaction():
            db.update("a", title="B")
            db.close()

    with pytest.raises(DatabaseClosed):
        close_inside()
    with AuthDB.open(folder) as db:
        assert db["a"].title == "A" and db.check() == []


def test_a_reader_cannot_change_anything(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
    with AuthDB.open(folder, read_only=True) as db:
        for change in (
            lambda: db.add(Package("b", "B")),
            lambda: db.update("a", title="B"),
            lambda: db.update("a", title="A"),
            lambda: db.replace(Package("a", "B")),
            lambda: db.remove("a"),
            lambda: db.set_as_of(date(2024, 2, 26)),
            lambda: db.transaction().__enter__(),
            lambda: db.pack(),
            lambda: db.reindex(),
            lambda: setattr(db["a"], "title", "B"),
            lambda: db.objects.clear(),
            lambda: db.catalog.clear(),
        ):
            with pytest.raises(DatabaseReadOnly, match="opened for reading only"):
                change()
        assert db["a"].title == "A" and db.find().names() == ["a"] and db.check() == []


@pytest.mark.parametrize("path", ["~no-such-user-here/db", "a\0b", "x" * 5000, ""])
def test_a_path_that_cannot_be_is_an_error_of_ours(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatabaseError) as error:
        AuthDB.open(path)
    assert "\n" not in str(error.value)
    if path:
        with pytest.raises(DatabaseError):
            AuthDB.create(path)
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder_can_be_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with AuthDB.create("~/db") as db:
        assert db.path == tmp_path / "db"


def test_a_missing_database_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for path in (
        tmp_path / "nowhere",
        tmp_path / "empty",
        tmp_path / "file",
        tmp_path / "file" / "x",
    ):
        for read_only in (True, False):
            what = "this is a file" if path.name == "file" else "no database here; make one with"
            with pytest.raises(DatabaseMissing, match=what):
                AuthDB.open(path, read_only)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]


def test_a_database_is_made_once_and_beside_other_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "README").write_text("mine")
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
        with pytest.raises(DatabaseExists, match="there is a database already"):
            AuthDB.create(folder)
    with pytest.raises(DatabaseExists):
        AuthDB.create(folder)
    assert (folder / "README").read_text() == "mine"
    with AuthDB.open(folder) as db:
        assert "a" in db
    assert not [path for path in folder.iterdir() if path.name.startswith(".new")]


def test_a_database_cannot_be_made_in_or_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(DatabaseError, match="file"):
            AuthDB.create(path)
    assert (tmp_path / "file").read_text() == "x"


def test_two_that_make_the_same_database_do_not_overwrite_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An objects file that holds a transaction is never replaced by another."""
    from authdb import files, generations

    def while_another_one_makes_it(root: Any) -> None:
        monkeypatch.undo()
        with AuthDB.create(folder) as other:
            other.add(Package("a", "A"))
        generations.new_root(root)

    monkeypatch.setattr(files, "new_root", while_another_one_makes_it)
    with pytest.raises(DatabaseExists):
        AuthDB.create(folder)
    with AuthDB.open(folder) as db:
        assert "a" in db
    assert not [path for path in folder.iterdir() if path.name.startswith(".new")]


def test_memory_is_gone_when_it_is_closed() -> None:
    with AuthDB.in_memory() as db:
        db.add(Package("a", "A"))
        assert db.path is None and not db.read_only and repr(db) == "<AuthDB in memory: 1 packages>"
    with AuthDB.in_memory() as db:
        assert len(db) == 0


def test_several_databases_in_one_process_do_not_meet(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "a") as one, AuthDB.create(tmp_path / "b") as two:
        with one.transaction():
            one.add(Package("a", "A"))
            with two.transaction():
                two.add(Package("b", "B"))
        assert one.find().names() == ["a"] and two.find().names() == ["b"]
        assert one.check() == two.check() == []


def test_packing_gives_back_room_and_keeps_everything(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        for record in SAMPLES:
            db.add(Package(**record))
        for number in range(50):
            db.update("hawkrest", description=f"{number} " * 200)
        before = [package.record() for package in db]
        large = (folder / "data.fs").stat().st_size + (folder / "catalog.fs").stat().st_size
        db.pack()
        db.pack()
        assert (folder / "data.fs").stat().st_size + (
            folder / "catalog.fs"
        ).stat().st_size < large / 2
        assert [package.record() for package in db] == before and db.check() == []
        db.update("hawkrest", description="after")
    with AuthDB.open(folder) as db:
        assert db.healed is None and db.check() == [] and db["hawkrest"].description == "after"
    with AuthDB.in_memory() as memory:
        memory.add(Package("a", "A"))
        memory.pack()
        assert memory.check() == []


def test_reindexing_builds_an_equal_catalog(filled: AuthDB) -> None:
    generation, catalog = filled.generation, filled.catalog
    filled.reindex()
    assert filled.catalog is not catalog and filled.generation == generation
    assert filled.check() == [] and filled.find("'hawk' in title").names() == ["hawkrest"]
    filled.add(Package("later", "L"))
    assert filled.check() == [] and len(filled) == 6


def test_a_database_belongs_to_the_thread_that_opened_it_but_others_may_open_theirs(
    folder: Path,
) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
        found: list[Any] = []

        def read() -> None:
            with AuthDB.open(folder, read_only=True) as reader:
                found.append(reader.find().names())

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert found == [["a"]]


def test_there_is_nothing_that_closes_behind_ones_back() -> None:
    """ConnectionManager.__del__ of repoze.catalog closes connections that others use."""
    for name, module in list(sys.modules.items()):
        if name == "authdb" or name.startswith("authdb."):
            for thing in vars(module).values():
                if isinstance(thing, type) and thing.__module__.startswith("authdb"):
                    assert "__del__" not in vars(thing)


def test_a_path_alone_makes_no_database(folder: Path) -> None:
    with pytest.raises(AuthDBError, match=r"use AuthDB\.open"):
        AuthDB(str(folder))  # type: ignore[arg-type]


def test_packages_can_be_removed_while_they_are_gone_through(filled: AuthDB) -> None:
    for number in range(200):
        filled.add(Package(f"p-{number}", "P"))
    with filled.transaction():
        for package in filled:
            filled.remove(package.name)
    assert len(filled) == 0 and filled.check() == []


def test_a_pack_with_nothing_to_do_keeps_what_the_pack_before_left(folder: Path) -> None:
    with AuthDB.create(folder) as db:
        db.add(Package("a", "A"))
        db.update("a", title="B")
        db.pack()
        old = (folder / "data.fs.old").read_bytes()
        db.pack()
        db.pack()
    assert (folder / "data.fs.old").read_bytes() == old
    assert not list(folder.glob("*.older"))


@pytest.mark.parametrize("left", ["catalog.fs", "data.fs.old"])
def test_no_new_database_is_made_over_what_is_left_of_another(folder: Path, left: str) -> None:
    folder.mkdir()
    (folder / left).write_bytes(b"precious")
    with pytest.raises(DatabaseError, match=f"data.fs is gone, though {left} is there"):
        AuthDB.create(folder)
    assert [file.name for file in folder.iterdir()] == [left]
    assert (folder / left).read_bytes() == b"precious"


def test_a_subclass_of_package_is_refused(filled: AuthDB) -> None:
    """Its path would be pickled, and no other program could read it."""

    class Mine(Package):
        pass

    with pytest.raises(AuthDBError, match="a Package is added, not Mine"):
        filled.add(Mine("mine", "Mine"))


def test_a_change_that_fails_half_way_spoils_its_transaction(
    filled: AuthDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError("the disk is gone")

    def half() -> None:
        with filled.transaction():
            filled.update("hawkrest", title="Changed")
            with monkeypatch.context() as patch:
                patch.setattr(type(filled.catalog), "index_doc", fails)
                with pytest.raises(OSError, match="gone"):
                    filled.add(Package("half", "Half"))

    with pytest.raises(AuthDBError, match="failed half-way"):
        half()
    assert "half" not in filled and filled["hawkrest"].title == "Hawk"
    assert filled.check() == []


def test_a_change_that_zodb_was_kept_from_noticing_is_forgotten(
    filled: AuthDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree changes before it says so; Ctrl-C may fall in between."""

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(filled._pair.objects.connection, "guard", interrupted)  # type: ignore[union-attr]
        with pytest.raises(KeyboardInterrupt):
            filled.remove("hawkrest")
    filled.update("drf-httpsig", title="Later")
    assert "hawkrest" in filled and filled.check() == []
