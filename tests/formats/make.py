"""Make the database of the present format that is kept here: ``python tests/formats/make.py``.

It is made once for each format, and never again: what an earlier authdb wrote has to be read by
the later ones.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from authdb import AuthDB, Package
from authdb.models import FORMAT

HERE = Path(__file__).parent
FULL = {
    "name": "django-rest-knox",
    "title": "django-rest-knox",
    "description": "Token authentication.\nEach login has a token of its own.",
    "categories": ["token", "session"],
    "last_commit": "2024-01",
    "last_release": "2024-01-28",
    "version": "4.2.0",
    "requires_python": ">=3.6",
    "django_versions": ["3.2", "4.2"],
    "license": "MIT",
    "repository": "https://github.com/jazzband/django-rest-knox",
    "homepage": "https://example.org/",
    "documentation": "https://example.org/docs",
    "replaced_by": "something-else",
    "releases": [{"version": "4.1", "date": "2023"}, {"version": "4.2.0", "date": "2024-01-28"}],
    "sources": {"version": {"source": "PyPI", "seen": "2024-02-26"}},
}


def main() -> None:
    folder = HERE / str(FORMAT)
    with AuthDB.create(folder) as db:
        with db.transaction("made for the tests"):
            db.add(Package(**FULL))  # type: ignore[arg-type]
            for number in range(34):  # enough for trees of several buckets
                db.add(Package(f"p{number:02}", "Token auth", last_update=str(2000 + number % 20)))
            db.add(Package("unheard-of", "Ünheard of"))
            db.set_as_of(date(2024, 2, 26))
        db.update("p00", name="renamed")
        db.remove("p01")
        db.pack()
        records = [package.record() for package in db]
    (folder / "expected.json").write_text(json.dumps(records, indent=1, ensure_ascii=False))
    for path in folder.iterdir():
        if path.name not in ("data.fs", "catalog.fs", "expected.json"):
            path.unlink()


if __name__ == "__main__":
    main()
