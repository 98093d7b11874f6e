"""The benchmarks run: small, so that what they hold against each other is known to be equal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from authdb.loaders import Loader
from benchmarks import limits
from benchmarks.bars import BARS
from benchmarks.data import FREQUENT, PHRASE, RARE, batch_file, packages, packages_file
from benchmarks.harness import Board, Failed, Worker, failure
from benchmarks.pace import again
from benchmarks.report import amount, growth, page, peers_of, rows
from benchmarks.tasks import QUESTIONS, TASKS, Task, unlike

ROOT = Path(__file__).parent.parent
SIZE = 400


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a run leaves."""
    work = tmp_path_factory.mktemp("bench")
    words = f"--sizes {SIZE} --turns 1 --bars --peers ours sqlite command duckdb"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words.split(), "--work", work, "--docs", work],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    (work / "out").write_text(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
    return work


def board(work: Path) -> Board:
    return Board(work / "results.json", resume=True, whole=True)


def test_every_question_is_answered_alike(ran: Path) -> None:
    """Ours and SQLite's are timed for each; what was answered wrongly would not be."""
    results = board(ran)
    for task in QUESTIONS:
        for peer, method in (("ours", task.own), ("sqlite", task.key)):
            assert results.value(SIZE, method, peer) is not None, (task.title, peer)
    assert not [note for note in results.notes() if note[2] in ("ours", "sqlite", "command")]


def test_what_a_peer_does_not_do_is_left_empty(ran: Path) -> None:
    """DuckDB has no index of text: no time, and no remark either."""
    results = board(ran)
    assert results.value(SIZE, "range_count", "duckdb") is not None
    assert results.value(SIZE, "text_rare", "duckdb") is None
    assert results.noted(SIZE, "text_rare", "duckdb") is None


def test_table_page_and_chart_are_written(ran: Path) -> None:
    """All three show what was measured."""
    shown, written = (ran / "out").read_text(), (ran / "benchmarks.md").read_text()
    for task in QUESTIONS:
        assert f"| {task.title} |" in written
    assert "SQLite" in shown
    assert f"## {SIZE} packages" in written
    assert (ran / "benchmarks.svg").read_text().rstrip().endswith("</svg>")


def test_the_data_is_the_same_each_time_and_is_taken(tmp_path: Path) -> None:
    """authdb's loader refuses nothing of it, and a batch has no name of the file's."""
    first = list(islice(packages(), SIZE))
    assert first == list(islice(packages(), SIZE))
    source, batch = packages_file(tmp_path, SIZE), batch_file(tmp_path, 100, 1)
    names: list[set[str]] = []
    for path in (source, batch):
        loader = Loader(path)
        names.append({entry.fields["name"] for entry in loader})
        assert not loader.problems
    assert len(names[0]) == SIZE
    assert not names[0] & names[1]
    texts = [package["description"].lower() for package in first]
    for word in (FREQUENT, RARE, " ".join(PHRASE)):
        assert any(word in text for text in texts), word


def test_a_peer_that_is_missing_or_fails_is_named(tmp_path: Path) -> None:
    """An error in the process of a peer is told, with what it was."""
    nowhere = tmp_path / "nowhere"
    with Worker("sqlite", nowhere) as worker, pytest.raises(Failed, match="unable to open"):
        worker.call("open")
    with Worker("nobody", tmp_path) as worker, pytest.raises(Failed, match="No module named"):
        worker("about")
    with Worker("sqlite", tmp_path, limit=0) as worker, pytest.raises(Failed, match="over 0 s"):
        worker("about")


def test_what_takes_long_is_done_fewer_times() -> None:
    """Once at least, and no more often than was asked for."""
    assert again([], 1, 0)
    assert not again([5.0], 3, 9)
    assert again([5.0], 3, 10)
    assert again([0.1, 0.1], 3, 1)
    assert not again([0.1, 0.1, 0.1], 3, 1)


def test_a_failure_is_told_in_the_table(tmp_path: Path) -> None:
    """In the cell of the ratio, also of a peer that could do nothing else."""
    assert str(failure(0, "OutOfMemoryException: ...")).startswith("OUT OF MEMORY: ")
    assert str(failure(-9, "")).startswith("OUT OF MEMORY: it was killed")
    assert str(failure(1, "it ended without a word")) == "FAILED: it ended without a word"
    results = Board(tmp_path / "results.json")
    results.data["about"]["peers"] = {"duckdb": {"title": "DuckDB"}}
    for peer in ("ours", "sqlite"):
        results.add(SIZE, "facets", peer, 0.5)
    results.note(SIZE, "facets", "duckdb", str(failure(0, "MemoryError: ")))
    results.note(SIZE, "facets", "tinydb", "over 120 s")
    assert peers_of(results, SIZE) == ["sqlite", "duckdb", "tinydb"]
    ((_, cells),) = rows(results, SIZE, peers_of(results, SIZE))
    assert cells == ["500 ms", "1.00", "OUT OF MEMORY", "over 120 s"]


def test_a_process_that_has_ended_is_started_again(tmp_path: Path) -> None:
    """What one question did to it does not cost it the others."""
    with Worker("sqlite", tmp_path) as worker:
        worker._process.kill()
        with pytest.raises(Failed, match="OUT OF MEMORY"):
            worker("about")
        assert worker.has_ended
        with pytest.raises(Failed, match="OUT OF MEMORY"):  # there is no other word of it
            worker("about")
        worker.close()
        with pytest.raises(Failed, match="has ended"):
            worker("about")
        worker.restart()
        assert worker("about")["title"] == "SQLite"


def test_a_run_that_is_interrupted_is_taken_up(tmp_path: Path) -> None:
    """Ctrl-C ends it with a line that says how it goes on, and leaves no process behind."""
    words = f"--sizes {SIZE} --turns 1 --peers ours sqlite --work {tmp_path}".split()
    command = [sys.executable, "-m", "benchmarks", *words]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, preexec_fn=_heed, **pipes) as process:
        assert process.stderr
        for line in process.stderr:
            if "range_count" in line:  # it is asking: all is loaded
                break
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        assert process.wait(60) == 130
    assert f"cut short; --work {tmp_path} --resume takes it up" in told
    assert "Traceback" not in told
    done = subprocess.run([*command, "--resume"], cwd=ROOT, timeout=300, **pipes)
    assert done.returncode == 0, done.stderr[-3000:]
    assert " load " not in done.stderr
    assert "range_count" in done.stderr
    assert board(tmp_path).value(SIZE, "range_count", "ours") is not None


def _heed() -> None:
    """Take Ctrl-C, also where those above have it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


ORDERED = [["a", "2024-02-01"], ["b", "2024-01-01"], ["c", "2024-01"]]


@pytest.mark.parametrize(
    ("form", "ours", "theirs", "equal"),
    [
        ("value", 3, 3, True),
        ("value", 3, 4, False),
        ("mapping", {"jwt": 1, "mfa": 0}, {"jwt": 1}, True),
        ("mapping", {"jwt": 1}, {"jwt": 2}, False),
        ("ordered", ORDERED, [ORDERED[0], ["d", "2024-01-01"], ["e", "2024"]], True),
        ("ordered", ORDERED, [["x", "2024-02-01"], *ORDERED[1:]], False),
        ("ordered", ORDERED, ORDERED[:2], False),
        ("best", ["a", "b"], ["c", "d"], True),
        ("best", ["a", "b"], ["c"], False),
        ("best", ["a", "a"], ["c", "d"], False),
        ("rows", [["a", "A", "2024", "jwt,mfa"]], [("a", "A", "2024", "mfa,jwt")], True),
        ("rows", [["a", "A", "2024", "jwt"]], [["a", "B", "2024", "jwt"]], False),
    ],
)
def test_answers_are_held_against_each_other(
    form: str, ours: Any, theirs: Any, equal: bool
) -> None:
    """Equal up to ties, and never more than that."""
    assert (unlike(form, ours, theirs) is None) is equal


def test_growth_and_ratios(tmp_path: Path) -> None:
    """Ten times the time for ten times the packages is an exponent of 1; a bar is read off."""
    results = Board(tmp_path / "results.json")
    for size in (10_000, 100_000, 1_000_000):
        results.add(size, "lt_count", "ours", size * 1e-9)
        results.add(size, "lt_count", "sqlite", size**2 * 1e-12)
    slope = [growth(results, "lt_count", peer) for peer in ("ours", "sqlite")]
    assert slope == pytest.approx([1, 2])
    bar = next(bar for bar in BARS if bar.title == "Lt count")
    assert [value for _, value in bar.found(results, 1_000_000)] == pytest.approx([1000])
    results.note(1_000_000, "lt_count", "sqlite", "over 300 s")
    assert [value for _, value in bar.found(results, 1_000_000)] == [None]
    written = page(results)
    assert "1,000,000, lt_count, sqlite: over 300 s" in written
    assert "| Lt count | 100,000 | 5 | 100 | holds |" in written


def test_amounts() -> None:
    """A unit that suits."""
    of_time, of_room = Task("a", "a"), Task("b", "b", unit="B")
    found = [amount(of_time, value) for value in (150.0, 1.5, 0.0123, 4.5e-6)]
    assert found == ["150 s", "1.5 s", "12.3 ms", "4.5 µs"]
    assert [amount(of_room, value) for value in (2e6, 3e9)] == ["2.0 MB", "3,000 MB"]


def test_a_run_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    """What has ended is kept; a run that ended as a whole is begun anew."""
    results = Board(tmp_path / "results.json")
    results.add(SIZE, "load", "ours", 1.0)
    results.end(SIZE, "load")
    again = Board(tmp_path / "results.json", resume=True)
    assert again.is_done(SIZE, "load")
    assert again.value(SIZE, "load", "ours") == 1.0
    assert not Board(tmp_path / "results.json").is_done(SIZE, "load")
    again.forget(SIZE)
    later = Board(tmp_path / "results.json", resume=True)
    assert not later.is_done(SIZE, "load")
    assert later.value(SIZE, "load", "ours") is None
    again.data["about"]["ended"] = True
    again.save()
    assert not Board(tmp_path / "results.json", resume=True).is_done(SIZE, "load")
    assert json.loads((tmp_path / "results.json").read_text())["about"]["ended"]


def test_tasks_are_told_apart() -> None:
    """No two rows are the same measurement under another name."""
    assert len({(task.key, task.own) for task in TASKS}) == len(TASKS)


def test_what_limits_writing_is_taken_apart(tmp_path: Path) -> None:
    """Each part that is named has its time, and together they are less than the whole."""
    words = f"--size 6000 --turns 1 --docs {tmp_path}".split()
    subprocess.run([sys.executable, "-m", "benchmarks.limits", *words], cwd=ROOT, check=True)
    page = (tmp_path / "limits.md").read_text()
    rows = dict(re.findall(r"^\| (\w[^|]*) \| ([0-9.]+) \|$", page, re.MULTILINE))
    assert {title for _, _, title in limits.PARTS} < set(rows)
    assert all(float(value) > 0 for value in rows.values())
    assert re.search(r"\| records written \| [1-9][0-9]* \| [0-9,]+ \|", page)
