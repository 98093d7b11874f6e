"""The promise that an acknowledged change is on disk."""

from __future__ import annotations

from pathlib import Path

from synced import WRONG, run


def test_whatever_is_acknowledged_is_on_disk_and_the_objects_before_the_catalog(
    folder: Path,
) -> None:
    figures = run(folder, 10)
    assert figures["acknowledged"] == 90 and figures["fsyncs"] >= 90
    assert [figures[wrong] for wrong in WRONG] == [0, 0, 0]


def test_the_watch_sees_what_is_not_synced(folder: Path) -> None:
    """The test above could fail."""
    import ZODB.FileStorage.FileStorage  # noqa: F401
    from synced import MODULE, Watch

    from authdb import AuthDB, Package

    with AuthDB.create(folder) as db, Watch(folder.resolve()).watching() as watch:
        MODULE.fsync = lambda handle: None  # type: ignore[attr-defined]
        db.add(Package("a", "A"))
        watch.acknowledged()
        watch.closed()
    assert watch.figures["not on disk"] == 2
