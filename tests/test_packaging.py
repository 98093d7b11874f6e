"""Installing works as the README says, and what is installed is all there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: object, **options: object) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "AUTHDB_"))}
    # Elsewhere than in this checkout, whose folder authdb would be imported from.
    options.setdefault("cwd", Path(sys.executable).parent)
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with just the files that git knows or would take in."""
    clone = tmp_path_factory.mktemp("clone")
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in files.splitlines():
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    run("git", "init", "--quiet", cwd=clone)
    run("git", "add", ".", cwd=clone)
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", *who, "commit", "--quiet", "--message=all", cwd=clone)
    return clone


@pytest.fixture(scope="module")
def installed(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder of a fresh environment, authdb installed from a git address."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=True)
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    # What authdb needs is taken from the environment of the tests: no network. A path in a .pth
    # file brings the packages there, but not the editable authdb, whose own .pth is not read.
    (site,) = place.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    address = f"git+{clone.as_uri()}"  # as in the README
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-build-isolation", "--no-index", address)
    return scripts


def test_from_a_git_address_the_command_and_the_list_are_there(
    installed: Path, tmp_path: Path
) -> None:
    where = run(installed / "python", "-c", "import authdb; print(authdb.__file__)")
    assert str(ROOT) not in where  # the installed one, not this checkout
    db = tmp_path / "db"
    said = run(installed / "authdb", "--db", db, "init", "--with-list", "2024-02-26")
    assert "14 packages" in said
    found = run(installed / "authdb", "--db", db, "query", "--before", "2016", "--format", "ndjson")
    assert "djangorestframework-httpsignature" in found


def test_the_installed_list_is_the_one_that_people_edit(installed: Path) -> None:
    code = (
        "from importlib.resources import files; from pathlib import Path; import sys\n"
        "data = Path(str(files('authdb.data')))\n"
        "print('\\n'.join(sorted(str(p.relative_to(data)) for p in data.rglob('*.[tj]*'))))"
    )
    names = run(installed / "python", "-c", code).split()
    assert names == [
        "editions/2024-02-26.toml",
        "editions/today.toml",
        "facts.json",
        "packages.toml",
    ]
    show = "import sys; from importlib.resources import files; "
    for name in names:
        text = run(
            installed / "python", "-X", "utf8", "-c",
            show + f"sys.stdout.write(files('authdb.data').joinpath('{name}').read_text('utf-8'))",
        )  # fmt: skip
        assert text == (ROOT / "data" / name).read_text("utf-8")


def test_the_metadata_names_what_the_code_imports(installed: Path) -> None:
    code = "from importlib.metadata import requires; print('\\n'.join(requires('authdb')))"
    needs = run(installed / "python", "-c", code).lower()
    for name in ("zodb", "persistent", "repoze.catalog", "btrees", "six", "msgspec", "pyyaml"):
        assert name in needs


def test_type_checkers_see_the_types(installed: Path) -> None:
    code = "import authdb, os; print(os.listdir(os.path.dirname(authdb.__file__)))"
    assert "'py.typed'" in run(installed / "python", "-c", code)
