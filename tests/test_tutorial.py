"""The tutorial: what it shows is the program, and what it prints is what the program prints."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "cities.py"
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text("utf-8")

NAMES = ["Windhoek", "Pretoria", "Nairobi", "Maputo", "Jakarta", "Canberra"]
NAMES += ["Wellington", "Santiago", "Buenos Aires"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)


def python(*arguments: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **extra},
    )


def cities(folder: Path) -> str:
    """What the example prints about ``folder``; without a word on standard error."""
    run = python(SCRIPT, folder)
    assert (run.stderr, run.returncode) == ("", 0)
    return run.stdout


@pytest.mark.parametrize("block", blocks("python"))
def test_each_block_is_part_of_the_program(block: str) -> None:
    assert f"\n{block}" in SCRIPT.read_text("utf-8")


def test_all_that_matters_is_walked_through() -> None:
    code = SCRIPT.read_text("utf-8")
    for block in blocks("python"):
        code = code.replace(block, "")
    left = re.findall(r"^(?:def|class|[A-Z_]+ =).*", code, re.MULTILINE)
    assert left == ["def dump(cities):", "def main():"]


def test_the_sessions_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    sessions = "".join(blocks("pycon"))
    test = doctest.DocTestParser().get_doctest(sessions, {}, "tutorial", "tutorial.md", 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_output_is_as_printed() -> None:
    (output,) = blocks("text")
    run = python(SCRIPT)  # in a temporary folder
    assert (run.stdout, run.stderr, run.returncode) == (output, "", 0)


def test_the_answers(tmp_path: Path) -> None:
    loaded, *paragraphs = cities(tmp_path).split("\n", 1)
    everything, small, middling = "".join(paragraphs).split("\n\n")
    assert loaded == "loaded 9 cities"

    def names(lines: str) -> list[str]:
        return re.findall(r"^\d (.+?) +[\d,]+$", lines, re.MULTILINE)

    assert names(everything) == NAMES
    assert names(small) == ["Windhoek", "Pretoria", "Canberra", "Wellington"]
    assert names(middling) == ["Nairobi", "Maputo", "Buenos Aires"]


def test_the_second_run_finds_what_the_first_stored(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    first = cities(folder)
    sizes = {file: file.stat().st_size for file in folder.glob("*.fs")}
    assert sorted(file.name for file in sizes) == ["cities.fs", "cities_catalog.fs"]
    assert cities(folder) == first.replace("loaded 9", "loaded 0")
    assert {file: file.stat().st_size for file in sizes} == sizes


def test_a_lost_catalog_is_made_again(tmp_path: Path) -> None:
    first = cities(tmp_path)
    for file in tmp_path.glob("cities_catalog.fs*"):
        file.unlink()
    assert cities(tmp_path) == first.replace("loaded 9", "loaded 0")


def test_another_program_reads_the_cities(tmp_path: Path) -> None:
    cities(tmp_path)
    program = (
        "from authdb import MyZODB\n"
        f"with MyZODB({str(tmp_path / 'cities.fs')!r}, read_only=True) as zodb:\n"
        "    city = zodb.dbroot['cities'][3]\n"
        "    print(type(city).__module__, city.cityname)\n"
    )
    run = python("-c", program, PYTHONPATH=str(SCRIPT.parent))
    assert (run.stdout, run.stderr) == ("cities Nairobi\n", "")


def test_a_folder_in_use_is_one_line(tmp_path: Path) -> None:
    from authdb import MyZODB

    with MyZODB(tmp_path / "cities.fs"):
        run = python(SCRIPT, tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    assert re.fullmatch(r"cities: .*cities\.fs: process \d+ is writing to it: .*\n", run.stderr)


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = python(SCRIPT, tmp_path / "file")
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
