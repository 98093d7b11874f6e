"""How the house is built: who may import whom, and that everything public is explained."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import authdb

ROOT = Path(authdb.__file__).parent

#: From bottom to top; each imports only what comes before it. A package is one rung.
LADDER = [
    "_version",
    "exceptions",
    "records",
    "seals",
    "pickles",
    "scanning",
    "salvaging",
    "dates",
    "fields",
    "models",
    "releases",
    "licenses",
    "checks",
    "blocks",
    "moments",
    "positions",
    "filestorage",
    "nodes",
    "splicing",
    "lookup",
    "writers",
    "connections",
    "storage",
    "probing",
    "walking",
    "generations",
    "past",
    "files",
    "expression",
    "query",
    "indexes",
    "lengths",
    "postings",
    "searching",
    "questions",
    "gathering",
    "sections",
    "columns",
    "ranking",
    "ontrees",
    "ordering",
    "onranks",
    "rankorder",
    "planning",
    "explaining",
    "catalog",
    "results",
    "counting",
    "bulk",
    "parts",
    "sinks",
    "inverting",
    "wording",
    "worker",
    "building",
    "inscribing",
    "drafting",
    "rebuilding",
    "grafting",
    "vocabulary",
    "reindexing",
    "beside",
    "opening",
    "pairing",
    "comparing",
    "auditing",
    "checking",
    "changes",
    "transactions",
    "merging",
    "storing",
    "history",
    "undoing",
    "packing",
    "copying",
    "finding",
    "reading",
    "watching",
    "judging",
    "database",
    "selection",
    "pieces",
    "backup",
    "recovering",
    "editions",
    "fetching",
    "answers",
    "metadata",
    "pypi",
    "hosts",
    "frameworks",
    "hearing",
    "refreshing",
    "links",
    "decoding",
    "lines",
    "loaders",
    "importing",
    "exporting",
    "contrast",
    "publishing",
    "tables",
    "reports",
    "progress",
    "output",
    "recording",
    "shell",
    "commands",
    "arguments",
    "parsing",
    "parser",
    "cli",
    "__main__",
    "__init__",
]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(authdb.__path__, "authdb.")
    if name != "authdb.__main__" and not f"{name}.".startswith("authdb.data.")
)


def rung(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def imports(file: str) -> Iterator[tuple[int, str]]:
    """The rungs that ``file`` imports, wherever in it, each with its line."""
    here = ["authdb", *file.removesuffix(".py").split("/")]
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [] if not node.level else here[: -node.level]
            module = ".".join([*base, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "authdb":
                of_ours = len(parts) > 1 and parts[1] in {rung(other) for other in FILES}
                yield node.lineno, parts[1] if of_ours else "__init__"


@pytest.mark.parametrize("file", FILES)
def test_each_module_imports_only_from_below_it(file: str) -> None:
    place = rung(file)
    assert place in LADDER, f"{file} is new: give it its place in LADDER, and in ARCHITECTURE.md"
    for line, other in imports(file):
        if other == place and "/" in file:
            continue  # within a package
        assert LADDER.index(other) < LADDER.index(place), (
            f"authdb/{file}, line {line}: {place} imports {other}, which stands above it"
        )


def test_the_ladder_has_no_rung_that_is_not_there() -> None:
    assert set(LADDER) == {rung(file) for file in FILES}


def test_the_architecture_names_every_module_in_the_order_of_the_ladder() -> None:
    page = (ROOT.parent / "ARCHITECTURE.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:`[a-z]+`(?:, )?)+) \|", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([a-z]+)`", row)]
    assert named == [name for name in LADDER if not name.startswith("_")]


def test_nothing_evaluates_text_but_the_shell_what_its_user_types() -> None:
    for file in set(FILES) - {"shell.py"}:
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), (
                    f"authdb/{file}, line {node.lineno}"
                )


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name in module.__all__:
        yield f"{module.__name__}.{name}", getattr(module, name)


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_explained(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, name
    for where, thing in public(module) if hasattr(module, "__all__") else ():
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        assert inspect.getdoc(thing), f"{where} has no docstring"
        if not inspect.isclass(thing) or not thing.__module__.startswith("authdb"):
            continue
        for method, value in vars(thing).items():
            value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            if method.startswith("_") or re.match("apply[A-Z]", method):
                continue
            if any(hasattr(base, method) for base in thing.__mro__[1:]):
                continue  # repoze.catalog's or zope.index's, and explained there if at all
            if (inspect.isfunction(value) and value.__name__ != "<lambda>") or isinstance(
                value, property
            ):
                assert inspect.getdoc(getattr(thing, method)), f"{where}.{method} has no docstring"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_said_and_is_there(name: str) -> None:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for each in names:
        assert hasattr(module, each), f"{name}.{each}"


def test_the_names_that_others_rely_on_are_there() -> None:
    assert set(authdb.__all__) == {
        *("AuthDB", "AuthDBError", "MyZODB", "Package"),
        *("Lt", "Le", "Gt", "Ge", "Eq", "NotEq", "InRange", "NotInRange"),
        *("Any", "All", "NotAny", "NotAll", "Contains", "And", "Or", "Not"),
    }


def test_no_package_of_ours_is_called_benchmark() -> None:
    """repoze.catalog installs one of that name."""
    assert not (ROOT.parent / "benchmark").exists()
