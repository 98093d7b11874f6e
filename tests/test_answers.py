"""The answers kept beside a database: a cache, so whatever is wrong with it is no error."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from commandline import PYTHON
from files import an_ordinary_user, contents
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authdb.answers import ANSWERS_FILE, FORMAT, Answers, Kept

ONE = Kept("https://a.example/one", '"1"', "Wed, 25 Nov 2026 10:00:00 GMT", 1764064800.5, b"{}")
TWO = Kept("https://a.example/two", None, None, 0.0, b"\x00\xff")


def kept(folder: Path, *answers: Kept) -> Path:
    """A file that holds these; its path."""
    with Answers(folder) as cache:
        cache.put(answers)
    return folder / ANSWERS_FILE


def sql(path: Path, text: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(text, values)


# -- all is well ---------------------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [False, True])
def test_what_was_kept_is_read_back(tmp_path: Path, read_only: bool) -> None:
    kept(tmp_path, ONE, TWO)
    with Answers(tmp_path, read_only=read_only) as cache:
        assert [cache.get(one.url) for one in (ONE, TWO)] == [ONE, TWO]
        assert cache.get("https://a.example/three") is None


def test_in_memory_it_is_kept_until_it_is_closed() -> None:
    with Answers(None) as cache:
        cache.put([ONE])
        assert cache.get(ONE.url) == ONE
    with Answers(None) as cache:
        assert cache.get(ONE.url) is None


def test_a_new_answer_takes_the_place_of_the_old(tmp_path: Path) -> None:
    newer = ONE._replace(etag=None, checked=2e9, facts=b"[]")
    kept(tmp_path, ONE, TWO)
    kept(tmp_path, newer)
    with Answers(tmp_path) as cache:
        assert [cache.get(ONE.url), cache.get(TWO.url)] == [newer, TWO]


def test_addresses_are_told_apart_to_the_letter(tmp_path: Path) -> None:
    kept(tmp_path, ONE)
    with Answers(tmp_path) as cache:
        assert cache.get(ONE.url.upper()) is None
        assert cache.get(f"{ONE.url} ") is None


@pytest.mark.parametrize(
    ("etag", "modified", "headers"),
    [
        ('W/"1"', None, {"If-None-Match": 'W/"1"'}),
        (None, "yesterday", {"If-Modified-Since": "yesterday"}),
        ('"1"', "a", {"If-None-Match": '"1"', "If-Modified-Since": "a"}),
        ("", None, {}),
    ],
)
def test_conditions_are_the_headers_that_are_known(
    etag: str | None, modified: str | None, headers: dict[str, str]
) -> None:
    assert ONE._replace(etag=etag, modified=modified).conditions() == headers


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.builds(Kept, TEXTS, TEXTS, TEXTS, st.floats(0, 1e12), st.binary()))
def test_any_answer_is_read_back_as_it_was(one: Kept) -> None:
    with Answers(None) as cache:
        cache.put([one])
        assert cache.get(one.url) == one


def test_what_another_format_wrote_is_asked_for_anew(tmp_path: Path) -> None:
    path = kept(tmp_path, ONE, TWO)
    sql(path, "update answers set format = ? where url = ?", FORMAT + 1, ONE.url)
    with Answers(tmp_path) as cache:
        assert [cache.get(ONE.url), cache.get(TWO.url)] == [None, TWO]
        cache.put([ONE])  # which is written over it
        assert cache.get(ONE.url) == ONE


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    folder = tmp_path / "what? #1 100%25 é"
    folder.mkdir()
    kept(folder, ONE)
    for read_only in False, True:
        with Answers(folder, read_only=read_only) as cache:
            assert cache.get(ONE.url) == ONE
    assert [path.name for path in folder.iterdir()] == [ANSWERS_FILE]


# -- reading only --------------------------------------------------------------------------------


def test_who_only_reads_makes_no_file(tmp_path: Path) -> None:
    with Answers(tmp_path, read_only=True) as cache:
        assert cache.get(ONE.url) is None
        cache.put([ONE])
    assert list(tmp_path.iterdir()) == []


def test_who_only_reads_changes_no_file(tmp_path: Path) -> None:
    kept(tmp_path, ONE)
    before = contents(tmp_path)
    with Answers(tmp_path, read_only=True) as cache:
        cache.put([TWO])
        assert cache.get(TWO.url) is None
    assert contents(tmp_path) == before


def test_who_only_reads_leaves_a_damaged_file_alone(tmp_path: Path) -> None:
    (tmp_path / ANSWERS_FILE).write_bytes(b"no database" * 100)
    before = contents(tmp_path)
    with Answers(tmp_path, read_only=True) as cache:
        assert cache.get(ONE.url) is None
    assert contents(tmp_path) == before


# -- damage --------------------------------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def torn_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:4200] = b"\xff" * 104
    path.write_bytes(data)


def other_table(path: Path) -> None:
    path.unlink()
    sql(path, "create table something (a)")


def schema_that_is_no_text(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"etag text", b"\xff\xfe\xfd( text"))


DAMAGES = [garbage, cut, emptied, torn_page, other_table, schema_that_is_no_text]
each_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@each_damage
def test_a_damaged_file_is_an_empty_cache_that_is_filled_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    many = [TWO._replace(url=f"{TWO.url}/{n}", facts=b"x" * 500) for n in range(50)]
    path = kept(tmp_path, ONE, *many)
    damage(path)
    with Answers(tmp_path, read_only=True) as cache:
        assert cache.get(ONE.url) in (ONE, None)
    with Answers(tmp_path) as cache:
        assert cache.get(ONE.url) is None
        cache.put([TWO])
    with Answers(tmp_path) as cache:
        assert cache.get(TWO.url) == TWO


def test_a_table_of_another_shape_is_no_error(tmp_path: Path) -> None:
    sql(tmp_path / ANSWERS_FILE, "create table answers (address text, answer blob)")
    with Answers(tmp_path) as cache:
        assert cache.get(ONE.url) is None
        cache.put([ONE])
        assert cache.get(ONE.url) is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("facts", None),
        ("facts", 5),
        ("facts", 1.5),
        ("etag", b"\xff"),
        ("modified", b"\xff"),
        ("checked", None),
        ("checked", "soon"),
    ],
)
def test_a_value_of_another_type_is_not_taken(tmp_path: Path, column: str, value: object) -> None:
    path = kept(tmp_path, ONE)
    sql(path, f"update answers set {column} = ?", value)
    with Answers(tmp_path) as cache:
        assert cache.get(ONE.url) is None


def test_a_text_that_is_none_is_not_taken(tmp_path: Path) -> None:
    path = kept(tmp_path, ONE)
    sql(path, "update answers set etag = cast(x'ff22' as text)")
    with Answers(tmp_path) as cache:
        assert cache.get(ONE.url) is None


@settings(max_examples=300)
@given(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8))
@example(3958, b"\x80")  # in the text of the table: SQLite quotes it in its message
def test_whatever_byte_is_wrong(at: int, data: bytes) -> None:
    """No damage is an error, nor is what is read of another type than it should be."""
    with TemporaryDirectory() as name:
        path = kept(Path(name), ONE, TWO)
        whole = bytearray(path.read_bytes())
        at %= len(whole)
        whole[at : at + len(data)] = data
        path.write_bytes(whole)
        for read_only in True, False:
            with Answers(Path(name), read_only=read_only) as cache:
                found = cache.get(ONE.url)
                cache.put([TWO])
            if found is not None:
                assert isinstance(found.facts, bytes)
                assert isinstance(found.checked, float)
                found.conditions()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_in_its_place_is_left_alone(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / ANSWERS_FILE).mkdir()
    with Answers(tmp_path, read_only=read_only) as cache:
        assert cache.get(ONE.url) is None
        cache.put([ONE])
    assert (tmp_path / ANSWERS_FILE).is_dir()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with Answers(tmp_path / "nowhere") as cache:
        cache.put([ONE])
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_file_that_may_not_be_written(mode: int) -> None:
    # Not below pytest's own folder, which other users cannot enter.
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = kept(folder, ONE)
        path.chmod(mode)
        folder.chmod(0o555)
        with an_ordinary_user():
            for read_only in True, False:
                with Answers(folder, read_only=read_only) as cache:
                    assert cache.get(ONE.url) == (ONE if mode else None)
                    cache.put([TWO])
        folder.chmod(0)
        with an_ordinary_user():
            for read_only in True, False:
                with Answers(folder, read_only=read_only) as cache:
                    assert cache.get(ONE.url) is None
        folder.chmod(0o755)
        path.chmod(0o644)
        with Answers(folder) as cache:
            assert [cache.get(ONE.url), cache.get(TWO.url)] == [ONE, None]


def test_a_full_disk_only_means_that_nothing_is_kept(tmp_path: Path) -> None:
    """In a process of its own: the limit is one of the process."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from files import no_room_beyond
from authdb.answers import Answers, Kept
large = Kept("large", None, None, 1.0, b"x" * 100_000)
small = Kept("small", None, None, 1.0, b"x")
folder = Path(sys.argv[1])
with no_room_beyond(0), Answers(folder) as answers:
    answers.put([small])
with Answers(folder) as answers:
    answers.put([small])
with no_room_beyond(30_000), Answers(folder) as answers:
    answers.put([large])
    assert answers.get("large") is None
with Answers(folder) as answers:
    assert (answers.get("large"), answers.get("small")) == (None, small)
"""
    done = subprocess.run(
        [*PYTHON, "-c", program, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- others --------------------------------------------------------------------------------------


def test_a_file_that_another_process_writes_is_not_thrown_away(tmp_path: Path) -> None:
    path = kept(tmp_path, ONE)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        other.execute("update answers set etag = 'new'")
        inode = path.stat().st_ino
        with pytest.MonkeyPatch.context() as patch:
            connect = sqlite3.connect
            patch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.01}))
            with Answers(tmp_path) as cache:  # it does not wait for ever
                assert cache.get(ONE.url) is None
                cache.put([TWO])
        other.execute("commit")
    assert path.stat().st_ino == inode
    with Answers(tmp_path) as cache:
        assert cache.get(ONE.url) == ONE._replace(etag="new")


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from authdb.answers import Answers, Kept
for number in range(30):
    with Answers(Path(sys.argv[1])) as answers:
        answers.put([Kept(f"{sys.argv[2]}{number}", None, None, 1.0, b"x" * 3000)])
"""
    both = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path, name], stderr=subprocess.PIPE)
        for name in ("a", "b")
    ]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in both] == [(b"", 0)] * 2
    with Answers(tmp_path) as cache:
        missing = [n for n in range(60) if cache.get(f"{'ab'[n % 2]}{n // 2}") is None]
    assert missing == []


def test_threads_may_each_have_one(tmp_path: Path) -> None:
    kept(tmp_path, ONE)
    found = []

    def read() -> None:
        with Answers(tmp_path, read_only=True) as cache:
            found.append(cache.get(ONE.url))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [ONE] * 8


def test_nothing_stays_open(tmp_path: Path, open_files: Callable[[], set[str]]) -> None:
    for damage in [None, *DAMAGES]:
        path = kept(tmp_path, ONE)
        if damage is not None:
            damage(path)
        for read_only in True, False:
            with Answers(tmp_path, read_only=read_only) as cache:
                cache.get(ONE.url)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
    assert open_files() == set()
