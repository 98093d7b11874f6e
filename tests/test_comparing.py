"""`AuthDB.check` at some size: whatever is wrong in any part of any index is found, in few objects
at a time, and nothing is left behind."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import files
import pytest
from BTrees import family32
from hypothesis import given
from hypothesis import strategies as st
from zope.index.text import widcode

from authdb import AuthDB, MyZODB, Package, checking, comparing
from authdb.checking import examine_catalog
from authdb.comparing import Faults, differing, some_of
from authdb.exceptions import DatabaseError
from authdb.models import CATEGORIES
from authdb.records import RECORD

#: Enough for trees of several leaves.
COUNT = 700


@pytest.fixture(autouse=True)
def as_if_they_were_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog for comparison is a file, and posting lists are compared by hashes."""
    monkeypatch.setattr(checking, "MANY", 100)
    monkeypatch.setattr(comparing, "_FEW", 50)
    monkeypatch.setattr(comparing, "_SETS", 10)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of packages that differ, each change of which was a transaction."""
    folder = tmp_path_factory.mktemp("many") / "db"
    chance = random.Random(8)
    words = [f"{a}{b}" for a in ("token", "login", "web", "key") for b in "abcdefghijklmnop"]
    with AuthDB.create(folder) as db:
        with db.transaction():
            for number in range(COUNT):
                db.add(
                    Package(
                        f"package-{number}",
                        f"Package {number}",
                        description=" ".join(["tokena", *chance.choices(words, k=8)])
                        if number % 7
                        else None,
                        categories=chance.sample(list(CATEGORIES), number % 3),
                        last_release=f"20{number % 20:02}-0{number % 9 + 1}-11",
                        license=("MIT", "MIT", None, f"LicenseRef-{number % 40}")[number % 4],
                    )
                )
        for number in (3, 400, 600):
            db.update(f"package-{number}", title="Another title", license="BSD-2-Clause")
    return folder


@pytest.fixture
def copy(many: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(many, tmp_path / "copy"))


def said(folder: Path) -> str:
    with AuthDB.open(folder, read_only=True) as db:
        return "\n".join(map(str, db.check()))


def spoil(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the catalog behind authdb's back."""
    with MyZODB(folder / "catalog.fs") as zodb:
        change(zodb.dbroot["catalog"])
        zodb.connection.transaction_manager.commit()


def found(folder: Path, well: Path) -> str:
    """What is wrong with the one catalog, the other of which is as it should be."""
    with (
        MyZODB(folder / "catalog.fs", read_only=True) as zodb,
        MyZODB(well / "catalog.fs", read_only=True) as right,
    ):
        findings = examine_catalog(zodb.dbroot["catalog"], right.dbroot["catalog"])
        return "\n".join(map(str, findings))


# -- streams -------------------------------------------------------------------------------------


@given(
    st.dictionaries(st.integers(0, 50), st.integers(0, 3)),
    st.dictionaries(st.integers(0, 50), st.integers(0, 3)),
)
def test_the_keys_that_differ_are_all_found(one: dict[int, int], other: dict[int, int]) -> None:
    expected = [
        key for key in sorted({*one, *other}) if one.get(key, "none") != other.get(key, "none")
    ]
    streams = iter(sorted(one.items())), iter(sorted(other.items()))
    assert list(differing(*streams)) == expected
    count, some = some_of(iter(expected), str)
    assert (count, some) == (len(expected), sorted(map(str, expected))[:3])


def test_of_each_tree_one_thing_is_told_and_of_very_many_their_number() -> None:
    faults = Faults()
    for number in range(Faults.MOST + 5):
        faulty = faults.of((bytes([number]), family32.IO.BTree))
        faulty("first")
        faulty("second")
    told = list(faults)
    assert len(told) == Faults.MOST + 1 and "second" not in "".join(told)
    assert told[-1] == "10 more places in its trees are damaged"


# -- catalogs ------------------------------------------------------------------------------------


def edit_posting(catalog: Any, change: Callable[[Any], object]) -> None:
    """Change the posting list of a word in hundreds of descriptions."""
    index = catalog["description"]
    change(index.index._wordinfo[index.lexicon.get_wid("tokena")])


def swap_words(catalog: Any) -> None:
    words = catalog["description"].lexicon._wids
    words["tokena"], words["tokenb"] = words["tokenb"], words["tokena"]


def rename_word(catalog: Any) -> None:
    lexicon = catalog["description"].lexicon
    lexicon._words[lexicon.get_wid("tokena")] = "tokenz"


def misspell(catalog: Any) -> None:
    words = catalog["description"].lexicon._wids
    words["tokenz"] = words.pop("tokena")


def reverse_words(catalog: Any) -> None:
    okapi = catalog["description"].index
    okapi._docwords[52] = widcode.encode(okapi.get_words(52)[::-1])


def replace(tree: Any, key: Any, value: Any) -> None:
    assert tree[key] != value
    tree[key] = value


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: c["name"]._fwd_index["package-77"].insert(5), "of its values 1 entry is wrong"),
        (lambda c: c["name"]._fwd_index.pop("package-77"), "values 1 entry is wrong: 'package-77'"),
        (lambda c: replace(c["name"]._rev_index, 78, "x"), "1 entry is wrong: docid 78 (package-7"),
        (lambda c: c["license"]._fwd_index["MIT"].remove(605), "of its values 1 entry is wrong"),
        (lambda c: c["license"]._fwd_index["MIT"].insert(603), "values 1 entry is wrong: 'MIT'"),
        (lambda c: c["license"]._not_indexed.remove(603), "its missing documents are wrong"),
        (lambda c: c["license"]._num_docs.change(-1), "its counts are wrong"),
        (lambda c: c["last_release"]._rev_index.pop(500), "of its documents 1 entry is wrong"),
        (lambda c: c["last_update"]._fwd_index.pop(c["last_update"]._rev_index[9]), "2008-"),
        (lambda c: c["categories"]._fwd_index["jwt"].clear(), "of its values 1 entry is wrong: 'j"),
        (lambda c: c["categories"]._rev_index.pop(501), "1 entry is wrong: docid 501 (package-500"),
        (
            lambda c: replace(c["categories"]._rev_index, 504, c["categories"]._rev_index[501]),
            "of its documents 1 entry is wrong: docid 504",
        ),
        (
            lambda c: edit_posting(c, lambda p: p.pop(p.minKey())),
            "words 1 entry is wrong: 'tokena'",
        ),
        (
            lambda c: edit_posting(c, lambda p: replace(p, p.maxKey(), 77.0)),
            "of its words 1 entry is wrong: 'tokena'",
        ),
        (lambda c: c["title"].index._wordinfo.pop(c["title"].lexicon.get_wid("7")), "'7'"),
        (lambda c: replace(c["title"].index._docweight, 9, 0.5), "of its weights 1 entry is wrong"),
        (lambda c: c["title"].index._docwords.pop(9), "documents 1 entry is wrong: docid 9 (pack"),
        (reverse_words, "of its documents 1 entry is wrong: docid 52 (package-51)"),
        (lambda c: replace(c["title"].index._docwords, 9, b"\xff\x01\x02"), "docid 9 (package-8)"),
        (swap_words, "of its lexicon 2 entries are wrong: 'tokena', 'tokenb'"),
        (rename_word, "of its lexicon 1 entry is wrong: 'tokena'"),
        (misspell, "'tokenz'"),
        (lambda c: c["description"].lexicon._words.pop(3), "lexicon 1 entry is wrong"),
        (lambda c: c["description"].index._wordinfo.update({9999: {3: 1}}), "'word 9999'"),
        (lambda c: c["description"].index._totaldoclen.change(1), "its counts are wrong"),
        (lambda c: setattr(c["title"].lexicon, "_pipeline", ()), "its steps are wrong"),
        (lambda c: setattr(c["title"].index, "_wordinfo", None), "index title: it cannot be read"),
    ],
    ids=range(27),
)
def test_whatever_is_wrong_in_any_part_is_found(
    copy: Path, many: Path, change: Callable[[Any], object], what: str
) -> None:
    spoil(copy, change)
    assert what in found(copy, many)


def test_nothing_is_wrong_with_what_is_well(copy: Path, many: Path) -> None:
    assert found(copy, many) == ""
    with AuthDB.open(copy) as db:
        db.reindex()
    assert found(copy, many) == said(copy) == ""


def nodes(tree: Any) -> list[Any]:
    return list(tree.__getstate__()[0][::2])


def go_round(tree: Any) -> None:
    data, first = tree.__getstate__()
    tree.__setstate__(((tree, *data[1:]), first))
    tree._p_changed = True


@pytest.mark.parametrize(
    "tree_of",
    [
        lambda c: c["name"]._fwd_index,
        lambda c: c["name"]._rev_index,
        lambda c: c["license"]._fwd_index["MIT"],
        lambda c: c["last_commit"]._not_indexed,
        lambda c: c["categories"]._rev_index,
        lambda c: c["title"].index._wordinfo,
        lambda c: c["title"].index._docwords,
        lambda c: c["title"].index._docweight,
        lambda c: c["title"].lexicon._wids,
        lambda c: c["title"].lexicon._words,
        lambda c: c["description"].index._wordinfo[c["description"].lexicon.get_wid("tokena")],
    ],
    ids=range(11),
)
def test_a_tree_that_goes_round_or_has_lost_a_part_is_found(
    copy: Path, many: Path, tree_of: Callable[[Any], Any]
) -> None:
    with MyZODB(copy / "catalog.fs") as zodb:
        lost = nodes(tree_of(zodb.dbroot["catalog"]))[1]
        place = zodb.storage._index[lost._p_oid]
        go_round(tree_of(zodb.dbroot["catalog"]))
        zodb.connection.transaction_manager.commit()
    assert "a tree in it is damaged" in found(copy, many)
    shutil.copy(many / "catalog.fs", copy)
    with (copy / "catalog.fs").open("r+b") as file:
        file.seek(place + RECORD.size)  # where its pickles begin
        file.write(b"\0")
    assert "a tree in it is damaged" in found(copy, many)


# -- as a whole ----------------------------------------------------------------------------------


def test_few_objects_are_in_memory_at_a_time_and_nothing_is_left_behind(copy: Path) -> None:
    before, seen = files.contents(copy), list[int]()
    phases: dict[str, list[tuple[int, int | None]]] = {}
    with AuthDB.open(copy, read_only=True) as db:
        pair = db._pair
        assert pair.objects is not None and pair.catalogs is not None
        databases = pair.objects.db, pair.catalogs.db

        def progress(phase: str, done: int, total: int | None) -> None:
            seen.append(sum(each.cacheSize() for each in databases))
            phases.setdefault(phase, []).append((done, total))

        assert db.check(progress=progress) == []
    assert max(seen) < 50  # roots, catalog and indexes, of thousands of objects
    assert files.contents(copy) == before
    assert [*phases][:2] == ["checking the packages", "building the catalog"]
    assert phases["checking the packages"][-1] == (COUNT, COUNT)
    assert {"index description", "reading data.fs", "reading catalog.fs"} <= {*phases}
    for told in phases.values():
        done = [each for each, _ in told]
        assert done == sorted(done) or None in (total for _, total in told)
        assert all(total is None or 0 <= each <= total for each, total in told)


def test_a_check_that_is_cut_short_leaves_nothing_behind(copy: Path) -> None:
    before = files.contents(copy)

    def interrupt(phase: str, done: int, total: int | None) -> None:
        if phase.startswith("index"):
            assert len(list(copy.glob(".new-*"))) == 1
            raise KeyboardInterrupt

    with AuthDB.open(copy, read_only=True) as db:
        with pytest.raises(KeyboardInterrupt):
            db.check(progress=interrupt)
        assert files.contents(copy) == before
        with (
            files.no_room_beyond(20_000),
            pytest.raises(DatabaseError, match=r"disk is full|would"),
        ):
            db.check()
        assert files.contents(copy) == before
        copy.chmod(0o555)
        try:
            with files.an_ordinary_user():
                assert db.check() == []
        finally:
            copy.chmod(0o755)
    assert files.contents(copy) == before


def test_packages_whose_tree_is_damaged_are_named(copy: Path) -> None:
    with MyZODB(copy / "data.fs") as zodb:
        leaf = zodb.dbroot["packages"]
        while not type(leaf).__name__.endswith("Bucket"):
            leaf = nodes(leaf)[-2]
        lost = list(leaf)
        data, following = leaf.__getstate__()
        leaf.__setstate__(((*data[2:4], *data[:2], *data[4:]), following))
        leaf._p_changed = True
        zodb.connection.transaction_manager.commit()
    told = said(copy)
    assert "the packages: a tree in it is damaged" in told and len(lost) > 5
    for docid in lost:
        assert f"package-{docid - 1} (docid {docid}): the package is lost" in told
    assert told.count("the package is lost") == len(lost)
    with MyZODB(copy / "data.fs") as zodb:
        go_round(zodb.dbroot["docids"])
        zodb.connection.transaction_manager.commit()
    assert "the names: a tree in it is damaged" in said(copy)
