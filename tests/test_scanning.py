"""Files from strangers: what ZODB alone would run is found, named and refused, and never run."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import shutil
import struct
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import zodbpickle.pickle
from hypothesis import example, given
from hypothesis import strategies as st
from strangers import EMPTY, MAPPING, ROOT, SPOILERS, append, call, read_plainly, text, trap
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from authdb import AuthDB, Package
from authdb.exceptions import BrokenFile, DatabaseError, UnsafeFile
from authdb.models import FIELDS
from authdb.pickles import Refused, class_of
from authdb.scanning import ALLOWED, CALLED, CATALOG_ALLOWED, Scan, allow_list, scan

EVERY_FIELD = {
    "description": "Ünïcödé, and a text that is longer than a byte can count. " * 8,
    "categories": ("jwt", "token"),
    "last_commit": "2024-02-20",
    "last_release": "2024-01",
    "last_push": "2024-02-21",
    "version": "1.2",
    "requires_python": ">=3.9",
    "python_versions": ("3.9", "3.10"),
    "requires_django": ">=4.2",
    "requires_drf": ">=3.14",
    "development_status": "4 - Beta",
    "project_status": "active",
    "repository_status": "archived",
    "moved_to": "https://example.org/m",
    "vulnerabilities": [("CVE-2024-1", "It may leak.", ["1.3"]), ("CVE-2024-2", None, None)],
    "django_versions": ("4.2", "5.2"),
    "license": "MIT",
    "repository": "https://example.org/r",
    "homepage": "https://example.org/h",
    "documentation": "https://example.org/d",
    "replaced_by": "another",
    "releases": [("1.0", "2023-03-01"), ("1.1", "2023-04"), ("1.2", "2024")],
    "sources": {
        "version": {"source": "an index", "seen": "2024-02-26"},
        "license": {"source": "a list", "seen": "2023"},
    },
}


def scanned(path: Path, allowed: frozenset[tuple[str, str]] = ALLOWED) -> Scan:
    with path.open("rb") as file:
        return scan(file, path.name, allowed)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with everything that authdb stores."""
    folder = tmp_path_factory.mktemp("made") / "db"
    with AuthDB.create(folder) as db:
        with db.transaction("a load"):
            for number in range(3000):
                db.add(Package(f"package-{number}", f"Package {number}", last_update="2019"))
        with db.transaction():
            for number in range(300):
                day = date(2020, 1, 1) + timedelta(number)
                db.update(f"package-{number}", description=f"word{number}", last_commit=day)
            for number in range(300, 2000, 3):
                db.remove(f"package-{number}")
        db.set_as_of(date(2024, 2, 26))
        full = db.add(Package("full", "Full", **EVERY_FIELD))
        db.update("package-1", name="renamed")
        db.add(Package("dated", "Dated", last_update="2024-02-03"))
        assert set(dict(full.values())) == set(FIELDS)
    return folder


def test_the_files_of_authdb_ask_for_what_is_allowed_and_for_nothing_else(made: Path) -> None:
    """ALLOWED stands on this: were something missing, a file of our own would be refused."""
    found = scanned(made / "data.fs")
    assert found.classes["authdb.models.Package"] > 3300
    assert found.classes.keys() <= {".".join(pair) for pair in ALLOWED}
    assert sum(found.sizes.values()) < (made / "data.fs").stat().st_size
    assert found.transactions > 5 and found.first is not None and found.first < (found.last or b"")
    assert found.records == sum(found.classes.values())
    scanned(made / "catalog.fs", CATALOG_ALLOWED)


def test_a_packed_file_is_scanned_too(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "db")
    with AuthDB.open(tmp_path / "db") as db:
        db.pack()
    assert (
        scanned(tmp_path / "db" / "data.fs").transactions < scanned(made / "data.fs").transactions
    )


@pytest.mark.parametrize(
    "number", sorted(p.name for p in (Path(__file__).parent / "formats").glob("[0-9]*"))
)
def test_databases_of_earlier_formats_are_let_through(number: str) -> None:
    folder = Path(__file__).parent / "formats" / number
    scanned(next(folder.rglob("data.fs")))
    for catalog in folder.rglob("catalog.fs"):
        scanned(catalog, CATALOG_ALLOWED)


def test_each_class_that_is_allowed_is_there() -> None:
    factory = allow_list("x.fs", ALLOWED | CATALOG_ALLOWED)
    for module, name in ALLOWED | CATALOG_ALLOWED:
        assert isinstance(factory(None, module, name), type)


def test_no_name_that_is_allowed_is_another_to_old_pickles() -> None:
    """Below protocol 3 an unpickler replaces names of Python 2 by those of today."""
    import _compat_pickle

    for module, name in ALLOWED | CATALOG_ALLOWED:
        assert module not in _compat_pickle.IMPORT_MAPPING
        assert (module, name) not in _compat_pickle.NAME_MAPPING


# -- what would run -----------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """The objects file of a good database of one package."""
    with AuthDB.create(tmp_path / "db") as db:
        db.add(Package("djoser", "Djoser"))
    return tmp_path / "db" / "data.fs"


@pytest.mark.parametrize("way", SPOILERS)
def test_what_zodb_alone_would_run_is_refused_and_not_run(
    way: str, victim: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    SPOILERS[way](victim, marker)
    read_plainly(victim)
    assert marker.is_dir(), "ZODB alone runs it"
    marker.rmdir()
    if way == "index":  # which is no part of the file
        scanned(victim)
    else:
        with pytest.raises(UnsafeFile, match=r"data\.fs: it would run os\.mkdir \(in ") as caught:
            scanned(victim)
        assert caught.value.wanted == "os.mkdir"
        assert isinstance(caught.value, DatabaseError)
        assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_the_error_says_in_which_object_of_which_transaction(victim: Path, tmp_path: Path) -> None:
    last = scanned(victim).last
    assert last is not None
    spoiled = (int.from_bytes(last, "big") + 1).to_bytes(8, "big")
    append(victim, [((42).to_bytes(8, "big"), MAPPING + trap(tmp_path / "m"))])
    with pytest.raises(UnsafeFile) as caught:
        scanned(victim)
    assert f"(in the object 0x2a of transaction 0x{spoiled.hex()}): it is not opened" in str(
        caught.value
    )


def test_the_class_factory_gives_out_nothing_else(tmp_path: Path) -> None:
    """The second defence: it stops the state of an object, even in a file that was not scanned."""
    file, marker = tmp_path / "strange.fs", tmp_path / "marker"
    append(file, [(ROOT, MAPPING + trap(marker))])
    database = DB(FileStorage(str(file), read_only=True), class_factory=allow_list("strange.fs"))
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - ZODB wraps it
            database.open().root()._p_activate()
        cause: BaseException | None = caught.value
        while not isinstance(cause, UnsafeFile):
            assert cause is not None
            cause = cause.__cause__
        assert cause.wanted == "os.mkdir"
        assert str(cause) == "strange.fs: it would run os.mkdir: it is not read"
    finally:
        database.close()
    assert not marker.exists()


def test_a_record_that_only_a_back_pointer_into_some_data_would_bring_up(
    victim: Path, tmp_path: Path
) -> None:
    """A whole record hidden in a text: it is never scanned, so nothing may point to it."""
    start = victim.stat().st_size
    hidden_at = start + 23 + 42 + len(MAPPING) + 2 + 5
    evil = MAPPING + trap(tmp_path / "marker")
    tid = (int.from_bytes(scanned(victim).last or b"", "big") + 1).to_bytes(8, "big")
    hidden = struct.pack(">8s8sQQHQ", ROOT, tid, 0, start, 0, len(evil)) + evil
    state = b"\x80\x03B" + struct.pack("<I", len(hidden)) + hidden + b"."
    append(victim, [(b"\0" * 7 + b"\x99", MAPPING + state)])
    assert victim.read_bytes()[hidden_at:].startswith(hidden)
    scanned(victim)  # as yet it is but a text
    append(victim, [(ROOT, b"")])
    raw = victim.read_bytes()
    victim.write_bytes(raw[:-16] + struct.pack(">Q", hidden_at) + raw[-8:])
    (tmp_path / "marker").exists()
    read_plainly(victim)
    (tmp_path / "marker").rmdir()  # it was made
    with pytest.raises(BrokenFile, match="points back to where no record is"):
        scanned(victim)


# -- obfuscations -------------------------------------------------------------------------------


class _Mkdir:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/nowhere/at/all",)


OS, MKDIR = text("os"), text("mkdir")
#: Pickles of a state, and what they ask for: None where that cannot be told.
HOSTILE: dict[str, tuple[bytes, str | None]] = {
    **{
        f"protocol {number}": (pickle.dumps(_Mkdir(), number), "posix.mkdir") for number in range(6)
    },
    "as an instance": (b"(S'/x'\nios\nmkdir\n.", "os.mkdir"),
    "of an allowed class, as an instance": (b"(idatetime\ndate\n.", "datetime.date"),
    "stacked": (b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93.", "os.mkdir"),
    "stacked, through the memo": (
        b"\x80\x04\x8c\x05mkdir\x940\x8c\x02os\x94h\x00\x93.",
        None,  # POP is refused before
    ),
    "stacked, both from the memo": (
        b"\x80\x04(\x8c\x05mkdir\x94\x8c\x02os\x94th\x02h\x01\x93.",  # 0 is the class
        "os.mkdir",
    ),
    "stacked, from a memo that was written twice": (
        b"\x80\x04(\x8c\x04dateq\x05\x8c\x05mkdirq\x05\x8c\x02osq\x06th\x06h\x05\x93.",
        "os.mkdir",
    ),
    "stacked, allowed": (b"\x80\x04\x8c\x08datetime\x8c\x04date\x93.", "datetime.date"),
    "stacked, a name that is worked out": (
        b"\x80\x04\x8c\x02os" + b"cdatetime\ndate\n" + b"C\x04\x07\xe8\x01\x01\x85R\x93.",
        None,
    ),
    "stacked, with nothing there": (b"\x80\x04\x93.", None),
    "registered": (b"\x82\x05.", "the registered extension 5"),
    "registered, two bytes": (b"\x83\x05\x01.", "the registered extension 261"),
    "registered, four bytes": (b"\x84\x05\0\0\0.", "the registered extension 5"),
    "joined at run time": (
        b"\x80\x03" + call("builtins", "eval", "__import__('os')") + b".",
        "builtins.eval",
    ),
    "getattr": (b"\x80\x03cbuiltins\ngetattr\ncos\nX\x04\0\0\0pathq\0\x86R.", "builtins.getattr"),
    "copyreg": (b"\x80\x03ccopyreg\n_reconstructor\n.", "copyreg._reconstructor"),
    "old names": (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
    "another class of an allowed module": (b"cauthdb.storage\nMyZODB\n.", "authdb.storage.MyZODB"),
    "another name of an allowed module": (b"cdatetime\ndatetime\n.", "datetime.datetime"),
    "a dotted name": (b"cdatetime\ndate.__class__\n.", "datetime.date.__class__"),
    "an allowed name with a space": (b"cdatetime date\n\n.", "datetime date."),
    "an allowed name with a return": (b"cdatetime\r\ndate\n.", "datetime\\r.date"),
    "an allowed name in capitals": (b"cdatetime\nDate\n.", "datetime.Date"),
    "letters that look alike": (b"cdatetime\nd\xd0\xb0te\n.", None),
    "what a terminal obeys": (b"cos\n\x1b[2Jmkdir\n.", "os.\\x1b[2Jmkdir"),
    "as a reference to an object": (
        b"\x80\x03C\x08\0\0\0\0\0\0\0\x01cos\nmkdir\n\x86Q.",
        "os.mkdir",
    ),
    "a reference to a class by two texts": (
        b"\x80\x03C\x08\0\0\0\0\0\0\0\x01" + OS + MKDIR + b"\x86\x86Q.",
        None,
    ),
    "a reference within a reference": (b"\x80\x03C\x08\0\0\0\0\0\0\0\x01QQ.", None),
    "a weak reference": (b"\x80\x03](X\x01\0\0\0wC\x08\0\0\0\0\0\0\0\x01\x85eQ.", None),
    "a reference to another database": (b"\x80\x03](X\x01\0\0\0nX\x01\0\0\0xe.", "allowed"),
    "a reference as text": (b"P1\n.", None),
    "a reference to a number": (b"\x80\x03K\x01Q.", None),
    "an object built": (b"\x80\x03cdatetime\ndate\n}b.", None),
    "an object of marks": (b"\x80\x03(cdatetime\ndate\no.", None),
    "a value called": (b"\x80\x03})R.", None),
    "a class called with no tuple": (b"\x80\x03cdatetime\ndate\n}R.", None),
    "items set on an object": (
        b"\x80\x03C\x08\0\0\0\0\0\0\0\x01cBTrees.IOBTree\nIOBTree\n\x86QK\x01K\x02s.",
        None,
    ),
    "appended to an object": (b"\x80\x03cdatetime\ndate\nK\x01a.", None),
    "a large dict, copied over and over": (
        b"\x80\x03(}K\x01K\x02sq\x01"
        + b"cpersistent.mapping\nPersistentMapping\nh\x01\x85R" * 9
        + b"t.",
        None,
    ),
    "a tree made within an object": (b"\x80\x03cBTrees.IOBTree\nIOBTree\n)\x81.", None),
    "two pickles": (EMPTY + b"\x80\x03cos\nmkdir\n.", None),
    "something after it": (EMPTY + b"\0", None),
    "cut short": (EMPTY[:-1], None),
    "nothing": (b"", None),
    "two values": (b"\x80\x03K\x01K\x02.", None),
    "a mark left": (b"\x80\x03(K\x01.", None),
    "no value": (b"\x80\x03.", None),
    "a value below the mark": (b"\x80\x03K\x01(\x85.", None),
    "a number of the memo that would take all memory": (b"\x80\x03Nr\xff\xff\xff\x7f.", None),
    "a value that is in no memo": (b"\x80\x03h\x07.", None),
    "a length beyond the end": (b"\x80\x03X\xff\xff\xff\x7fabc.", None),
    "a negative length": (b"\x80\x03\x8b\xff\xff\xff\xff.", None),
    "eight bytes of length": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", None),
    "an opcode that there is not": (b"\x80\x03\xff.", None),
    "tuples that would crash whoever hashes them": (
        b"\x80\x03})" + b"\x85" * 100_000 + b"Ns.",
        None,
    ),
    "tuples in instances": (
        b"\x80\x03})" + b"q\0cauthdb.fields\nSource\nh\0\x81" * 100 + b"Ns.",
        None,
    ),
    "lists in lists": (b"\x80\x03" + b"]" * 100_000 + b"a" * 99_999 + b".", "allowed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_disguise_helps(name: str, tmp_path: Path) -> None:
    hostile, wanted = HOSTILE[name]
    file = tmp_path / "strange.fs"
    append(file, [(ROOT, MAPPING + EMPTY), (b"\0" * 7 + b"\x01", MAPPING + hostile)])
    if wanted == "allowed":  # it looks strange, but calls nothing and crashes nobody
        scanned(file)
        return
    with pytest.raises(UnsafeFile, match=r"^strange\.fs: it .*in the object 0x1 of") as caught:
        scanned(file)
    if wanted:
        assert caught.value.wanted == wanted.replace("posix", os.name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_class_may_not_be_given_as_two_texts(tmp_path: Path) -> None:
    """ZODB imports what they name."""
    for state in (b"\x86N\x86.", b"\x86)\x86."):
        file = tmp_path / f"{len(state)}{state[1]}.fs"
        append(file, [(ROOT, b"\x80\x03" + OS + MKDIR + state + EMPTY)])
        with pytest.raises(UnsafeFile, match=r"it would run os\.mkdir") as caught:
            scanned(file)
        assert caught.value.wanted == "os.mkdir"
    for kind in (
        b"\x80\x03K\x01.",
        b"cdatetime\ndate\n.",
        b"cpersistent.mapping\nPersistentMapping\n)\x86.",
    ):
        file = tmp_path / f"{len(kind)}.fs"
        append(file, [(ROOT, kind + EMPTY)])
        with pytest.raises(UnsafeFile, match="its class is not given as ZODB gives it"):
            scanned(file)


def test_an_extension_may_hold_values_but_no_class(tmp_path: Path) -> None:
    append(tmp_path / "a.fs", [(ROOT, MAPPING + EMPTY)], extension=pickle.dumps({"by": "x"}, 3))
    assert scanned(tmp_path / "a.fs").transactions == 1
    for number, extension in enumerate(
        (pickle.dumps({"day": date(2024, 1, 1)}, 3), EMPTY + EMPTY, b"nonsense")
    ):
        file = tmp_path / f"{number}.fs"
        append(file, [(ROOT, MAPPING + EMPTY)], extension=extension)
        with pytest.raises(UnsafeFile, match="in the extension of transaction 0x"):
            scanned(file)


def test_a_file_that_is_not_whole_is_not_let_through(victim: Path) -> None:
    raw = victim.read_bytes()
    victim.write_bytes(raw[:-3])
    with pytest.raises(BrokenFile, match=r"data\.fs: it is damaged at byte"):
        scanned(victim)


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.fs").write_bytes(b"FS30")
    assert scanned(tmp_path / "empty.fs") == (0, None, None, 0, {}, {})


# -- whatever the bytes -----------------------------------------------------------------------


def asked_for(unpickler: Any, data: bytes) -> set[tuple[str, str]]:
    """What the real thing is asked for when it reads a pickle."""
    asked = set()

    class Spy(unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            asked.add((module, name))
            return allow_list("x")(None, module, name)

        def persistent_load(self, reference: Any) -> Any:
            return reference

    with suppress(Exception):  # a bad date and the like
        Spy(io.BytesIO(data)).load()
    return asked


@st.composite
def opcodes(draw: st.DrawFn) -> bytes:
    """A class pickle, then whatever can be made of opcodes."""
    pieces = [
        *(code.code.encode("latin-1") for code in pickletools.opcodes if code.arg is None),
        *(b"\x80\x03", b"\x80\x04", OS, MKDIR, text("datetime"), text("date"), b"C\x01x"),
        *(b"cos\nmkdir\n", b"cdatetime\ndate\n", b"cauthdb.fields\nSource\n", b"K\x01", b"q\0"),
        *(b"h\0", b"C\x08\0\0\0\0\0\0\0\x01", b"\x8c\x02os", b"ios\nmkdir\n", b"S'os'\n", b"I1\n"),
        *(b"\x82\x01", b"\x95\x01\0\0\0\0\0\0\0", b"p0\n", b"g0\n", b"j\0\0\0\0", b"r\0\0\0\0"),
    ]
    return b"\x80\x03" + b"".join(draw(st.lists(st.sampled_from(pieces), max_size=12))) + b"."


@given(opcodes())
@example(b"\x80\x03cos\nmkdir\n.")
@example(b"\x80\x03cdatetime\ndate\nK\x01K\x01K\x01\x87R.")
def test_whatever_passes_asks_for_nothing_that_is_not_allowed(state: bytes) -> None:
    """What the scan lets through is given to the real unpickler, which tells what it asks for."""
    try:
        class_of(MAPPING + state, ALLOWED, CALLED)
    except Refused:
        return
    assert asked_for(zodbpickle.pickle.Unpickler, state) <= ALLOWED  # ZODB's
    assert asked_for(pickle.Unpickler, state) <= ALLOWED


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(1, 255))
def test_noise_is_refused_with_one_error(noise: bytes, at: int, change: int) -> None:
    good = bytearray(MAPPING + EMPTY)
    good[at % len(good)] ^= change
    for data in (noise, MAPPING + noise, bytes(good)):
        with suppress(Refused):  # and nothing else
            class_of(data, ALLOWED, CALLED)


def test_the_helpers_of_these_tests_write_what_zodb_writes(tmp_path: Path) -> None:
    append(tmp_path / "a.fs", [(ROOT, MAPPING + EMPTY)], note=b"one")
    append(tmp_path / "a.fs", [(ROOT, MAPPING + EMPTY)])
    storage = FileStorage(str(tmp_path / "a.fs"), read_only=True)
    try:
        notes = [transaction.description for transaction in storage.iterator()]
        assert notes == [b"one", b""]
        assert storage.load(ROOT)[0] == MAPPING + EMPTY
    finally:
        storage.close()
