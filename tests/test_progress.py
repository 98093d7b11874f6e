"""How far long work is: what is told to programs, and the bar that persons see."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commandline import Terminal, ok, run

from authdb import AuthDB, Package, backup, packing, rebuilding
from authdb.progress import bar

#: What was told: of each phase how far it was, and how far it goes.
Told = dict[str, list[tuple[int, int | None]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of some hundred packages, changed since."""
    folder = tmp_path_factory.mktemp("made") / "db"
    with AuthDB.create(folder) as db:
        with db.transaction():
            for number in range(300):
                db.add(Package(f"package-{number}", f"Package {number}", description="one " * 99))
        for number in range(0, 300, 50):
            db.update(f"package-{number}", title="Another")
    return folder


class Listener:
    """Takes note of what is told, and sees that it makes sense."""

    def __init__(self) -> None:
        self.told: Told = {}

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        its = self.told.setdefault(phase, [])
        assert done >= 0 and (total is None or done <= total)
        assert not its or its[-1][0] <= done, phase
        its.append((done, total))

    def ends(self) -> dict[str, bool]:
        """Of each phase whose end is known, whether it was told."""
        known = {phase: its[-1] for phase, its in self.told.items() if its[-1][1] is not None}
        return {phase: done == total for phase, (done, total) in known.items()}


def test_a_backup_and_what_is_made_of_it(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    first, second, proof, back = (Listener() for _ in range(4))
    backup.backup(made, target, progress=first)
    assert first.ends() == {"copying catalog": True, "copying data": True}
    kept = backup.backup(made, target, progress=second)
    assert kept.kind == "unchanged" and "comparing data" in second.told
    backup.verify(target, progress=proof)
    assert all(proof.ends()[f"reading the backup of {which}"] for which in ("data", "catalog"))
    assert {"restoring the backup of data", "checking the packages"} <= {*proof.told}
    backup.restore(target, tmp_path / "new", progress=back)
    assert [*back.ends().items()] == [
        ("restoring the backup of data", True),
        ("restoring the backup of catalog", True),
    ]


def test_a_pack(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_STEP", 10)
    monkeypatch.setattr(packing, "_PERIOD", 0.0005)
    backup.backup(made, tmp_path / "backups")
    backup.restore(tmp_path / "backups", tmp_path / "copy")
    listener = Listener()
    with AuthDB.open(tmp_path / "copy") as db:
        db.pack(progress=listener)
        assert len(db.log()) == 1 and db.check() == []
        assert db["package-50"].title == "Another"
    assert next(iter(listener.told)) == "checking the packages"
    for name in ("data.fs", "catalog.fs"):
        assert len(listener.told[f"packing {name}: what is in use"]) > 3
    assert (tmp_path / "copy" / "data.fs.old").exists()


def test_reindexing_many(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "MANY", 100)
    listener = Listener()
    with AuthDB.open(shutil.copytree(made, tmp_path / "copy")) as db:
        db.reindex(progress=listener)
        assert db.check() == []
    assert listener.ends()["building the catalog"]


def test_the_bar_shows_what_is_done_and_how_far_that_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with bar(True) as show:
        assert show is not None
        show("reading [bold]a file", 1000, 5000)
        show("looking around", 20, None)
        show("reading [bold]a file", 2000, 5000)
    text = capsys.readouterr().err
    assert "reading [bold]a file" in text and "2,000 of 5,000" in text
    for wanted in (False, None):  # in a pipe, nothing is drawn
        with bar(wanted) as show:
            assert show is None


def test_each_command_that_takes_long_shows_a_bar_on_a_terminal(made: Path, tmp_path: Path) -> None:
    backups, new = tmp_path / "backups", tmp_path / "new"
    commands: tuple[tuple[object, ...], ...] = (
        ("--db", made, "check"),
        ("--db", made, "backup", backups, "--verify"),
        ("--db", new, "restore", backups),
        ("--db", new, "pack", "--yes"),
        ("inspect", new / "data.fs"),
    )
    for command in commands:
        with Terminal(*command, on=["stderr"]) as terminal:
            shown = terminal.read()
            assert terminal.end() == 0
        assert "━" in shown, command
    for command in (*commands[:1], *commands[3:], ("--db", new, "reindex")):
        assert ok(*command).err == ""
        assert "━" in run(*command, "--progress").err or "reindex" in command  # of few packages
        with Terminal(*command, "--no-progress", on=["stderr"]) as terminal:
            assert "━" not in terminal.read()
            assert terminal.end() == 0


def test_a_catalog_that_was_just_built_is_not_packed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "MANY", 100)
    monkeypatch.setattr(packing, "_STEP", 10)
    folder = Path(shutil.copytree(made, tmp_path / "copy"))
    with AuthDB.open(folder) as db:
        db.reindex()
        before = (folder / "catalog.fs").read_bytes()
        listener = Listener()
        assert db.pack(progress=listener).gone > 0
        assert {phase for phase in listener.told if "in use" in phase} == {
            "packing data.fs: what is in use"
        }
        assert (folder / "catalog.fs").read_bytes() == before
        db.update("package-1", title="One more")
        again = Listener()
        db.pack(progress=again)
        assert "packing catalog.fs: what is in use" in again.told and db.check() == []
