"""The interactive shell: typed into on a terminal, piped into, or given one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commandline import PYTHON, Ended, Terminal, ok, run, told
from conftest import SAMPLES

from authdb import AuthDB, Package
from authdb.shell import OPERATORS, ROWS, banner, namespace, shown

# IPython is not there for a program that is told so.
WITHOUT_IPYTHON = (
    "import sys; sys.modules['IPython'] = None\n"
    "from authdb.cli import main\n"
    "sys.exit(main())"
)  # fmt: skip


@pytest.fixture
def place(folder: Path) -> Path:
    """The folder of a database of the five samples."""
    with AuthDB.create(folder) as db, db.transaction("samples"):
        for record in SAMPLES:
            db.add(Package(**record))
    return folder


# -- one line, or what comes through a pipe --------------------------------------------------

CODE = """\
2; x = len(db); x; None
for n in range(2):
    n

db.find("last_update < '2020'", sort="name")
"""
ANSWER = """\
2
5
0
1
name         last_update  version  categories
-----------  -----------  -------  ----------
drf-httpsig  2019                  signature
hawkrest     2019-03               signature
<Result: 2 packages>
"""


def test_a_line_prints_what_its_expressions_give(place: Path) -> None:
    shell = ("--db", place, "shell")
    assert ok(*shell, "-c", CODE).out == ANSWER
    assert ok(*shell, stdin=CODE).out == ANSWER
    code = 'db["hawkrest"]; db["unheard-of"].title; len(catalog), len(packages)'
    assert ok(*shell, "-c", code).out == (
        "name         hawkrest\n"
        "title        Hawk\n"
        "description  Hawk signatures for each request\n"
        "categories   signature\n"
        "last_update  2019-03\n"
        "last_commit  2019-03\n"
        "'Nothing is known of it'\n"
        "(8, 5)\n"
    )
    assert ok(*shell, "-c", "").out == ok(*shell).out == ""


def test_the_operators_are_there(place: Path) -> None:
    code = f"[{', '.join(OPERATORS)}] and db.find(Lt('last_update', '2020') & Not(Eq('name', 'x')))"
    assert ok("--db", place, "shell", "-c", f"len({code})").out == "2\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("1 +", "SyntaxError: invalid syntax (<code>, line 1)"),
        ("db['hawkrst']", "no package is called 'hawkrst' (did you mean 'hawkrest'?)"),
        ("db.find('foo')", "this is not a comparison"),
        ("db.update('hawkrest', title='x')", "it was opened for reading only"),
        ("db['hawkrest'].title = 'x'", "it was opened for reading only"),
        ("import nowhere", "No module named 'nowhere'"),
        (b"'\xff'", "surrogates not allowed"),
        ("open('nowhere')", "FileNotFoundError"),
    ],
)
def test_an_error_is_one_line(place: Path, code: str, words: str) -> None:
    before = (place / "data.fs").read_bytes()
    ended = run("--db", place, "shell", "-c", code)
    assert ended.out == ""
    told(ended, 2, words)
    assert (place / "data.fs").read_bytes() == before


def test_code_may_end_the_process(place: Path) -> None:
    shell = ("--db", place, "shell", "-c")
    assert run(*shell, "print(1); exit(4)") == Ended("1\n", "", 4)
    assert run(*shell, "exit()").status == 0
    told(run(*shell, "exit('enough')"), 1, "enough")
    told(run(*shell, "raise KeyboardInterrupt"), 130, "interrupted")


def test_it_writes_where_that_is_said(place: Path) -> None:
    shell = ("--db", place, "shell", "--write", "-c")
    ok(*shell, "db.update('hawkrest', title='Hawk 2'); None")
    ok(*shell, "with db.transaction(note='both'):\n    db.remove('drf-httpsig'); len(db)")
    told(run(*shell, "db['hawkrest'].title = 'x'"), 2, "with db.transaction()")
    told(run(*shell, "db.remove('hawkrest'); 1 / 0"), 2, "division by zero")
    with AuthDB.open(place, read_only=True) as db:
        assert sorted(package.title for package in db) == [
            "Django OAuth Toolkit",
            "Nothing is known of it",
            "django-rest-knox",
        ]


# -- on a terminal ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["IPython", "Python"])
def test_a_session(place: Path, tmp_path: Path, kind: str) -> None:
    if kind == "IPython":
        pytest.importorskip("IPython")
        code, prompt = "from authdb.cli import main; raise SystemExit(main())", r"In \[\d+\]: "
    else:
        code, prompt = WITHOUT_IPYTHON, ">>> "
    arguments = ("-c", code, "--db", place, "shell")
    # IPython is not ours to be held against development mode.
    command = PYTHON[:1]
    variables = {"HOME": str(tmp_path), "PROMPT_TOOLKIT_NO_CPR": "1"}
    with Terminal(*arguments, command=command, **variables) as terminal:
        greeting = terminal.read(prompt)
        assert "authdb: 5 packages, read-only; db.refresh() shows what is new" in greeting
        for name in ("db", "catalog", "packages", "Package", *OPERATORS):
            assert re.search(rf"\b{name}\b", greeting), name

        terminal.type("db.find(\"last_update < '2020'\")")
        table = terminal.read("<Result: 2 packages>")
        assert re.search(r"name +last_update +version +categories *\n─+", table)
        assert re.search(r"drf-httpsig +2019 +signature", table)

        terminal.type("db['hawkrest']")
        assert "Hawk signatures for each request" in terminal.read("last_commit")
        terminal.type("db.remove('hawkrest')")
        said = terminal.read("DatabaseReadOnly.*reading only")
        terminal.type("db.find('foo')")
        said += terminal.read("QueryError: this is not a comparison")
        assert "Traceback" not in said
        terminal.type("nothing_of_that_name")
        assert "Traceback" in terminal.read("NameError: name")
        terminal.type("len(packages), Package, 6 * 7")
        terminal.read(r"\(5, .*Package.*, 42\)")
        terminal.read(prompt)
        terminal.type("", end="\x04")  # Ctrl-D
        terminal.read()
        assert terminal.end() == 0


def test_a_session_that_writes(place: Path, tmp_path: Path) -> None:
    arguments = ("-c", WITHOUT_IPYTHON, "--db", place, "shell", "--write")
    with Terminal(*arguments, command=PYTHON, HOME=str(tmp_path)) as terminal:
        assert "open for writing" in terminal.read(">>> ")
        terminal.type("db.remove('hawkrest'); exit(3)")
        terminal.read()
        assert terminal.end() == 3
    with AuthDB.open(place, read_only=True) as db:
        assert len(db) == 4


# -- the parts -------------------------------------------------------------------------------


def test_the_names_and_the_banner(filled: AuthDB) -> None:
    names = namespace(filled)
    assert set(names) == {"db", "catalog", "packages", "Package", *OPERATORS}
    assert names["packages"] is filled.objects
    assert "5 packages, open for writing\n" in banner(filled)
    assert max(map(len, banner(filled).splitlines())) <= 80


def test_what_is_shown(filled: AuthDB) -> None:
    assert shown(5) is None
    assert shown(filled.find("name == 'nobody'")) == "<Result: 0 packages>"
    assert str(shown(filled.find(limit=1))).splitlines()[2:] == [
        "django-rest-knox  2024-01-28            token",
        "<Result: 1 of 5 packages>",
    ]
    package = str(shown(filled["unheard-of"]))
    assert package == "name   unheard-of\ntitle  Nothing is known of it"


def test_of_very_many_packages_the_first_are_shown(db: AuthDB) -> None:
    with db.transaction():
        for number in range(ROWS + 1):
            db.add(Package(f"drf-{number}", "One of many"))
    lines = str(shown(db.find())).splitlines()
    assert len(lines) == 2 + ROWS + 2
    assert lines[-2:] == [f"(the first {ROWS})", f"<Result: {ROWS + 1} packages>"]
