"""What all the tests share: databases to test on, and how long Hypothesis may look."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from oracle import NAMES, WORDS, store

from authdb import AuthDB, Package
from authdb.dates import PartialDate

settings.register_profile(
    "here",
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# What fails for others has to fail for us too: no random choices there.
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "authdb"


@pytest.fixture(params=["folder", "memory"])
def db(request: pytest.FixtureRequest, folder: Path) -> Iterator[AuthDB]:
    """An empty database: once in real files, once in memory."""
    with AuthDB.create(folder) if request.param == "folder" else AuthDB.in_memory() as db:
        yield db


SAMPLES = (
    {
        "name": "django-rest-knox",
        "title": "django-rest-knox",
        "description": "Token authentication; each login has a token of its own",
        "categories": ("token",),
        "last_release": "2024-01-28",
        "license": "MIT",
    },
    {
        "name": "django-oauth-toolkit",
        "title": "Django OAuth Toolkit",
        "description": "OAuth 2.0 for the server",
        "categories": ("oauth2", "oidc"),
        "last_commit": "2024-02-20",
        "last_release": "2023-05-15",
        "license": "BSD-2-Clause",
    },
    {
        "name": "hawkrest",
        "title": "Hawk",
        "description": "Hawk signatures for each request",
        "categories": ("signature",),
        "last_commit": "2019-03",
    },
    {
        "name": "drf-httpsig",
        "title": "drf-httpsig",
        "categories": ("signature",),
        "last_update": "2019",
        "license": "MIT",
    },
    {"name": "unheard-of", "title": "Nothing is known of it"},
)


@pytest.fixture
def filled(db: AuthDB) -> AuthDB:
    """A database of five packages: two known to the day, one to the month, one to the year, and
    one of which nothing is known."""
    with db.transaction("samples"):
        for record in SAMPLES:
            db.add(Package(**record))
    return db


@pytest.fixture(scope="session", params=["folder", "memory"])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthDB]:
    """As `filled`, for tests that only ask."""
    path = tmp_path_factory.mktemp("asked") / "db" if request.param == "folder" else None
    with AuthDB.create(path) if path else AuthDB.in_memory() as db:
        store(db, [Package(**record) for record in SAMPLES])
        yield db


@pytest.fixture(scope="session", params=["folder", "memory"])
def crowd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthDB]:
    """300 packages with a history: some were updated, some removed, some reopened."""
    chance = random.Random(0)

    def day() -> Any:
        day = date(2017, 6, 1) + timedelta(chance.randrange(1600))
        return chance.choice(
            [None, day, day, PartialDate(day.year), PartialDate(day.year, day.month)]
        )

    def record(number: int) -> dict[str, Any]:
        known = {"last_commit": day(), "last_release": day()}
        if not any(known.values()):
            known["last_update"] = day()
        return known | {
            "name": f"{chance.choice(NAMES)}-{number}" if number > 15 else NAMES[number],
            "title": " ".join(chance.choices(WORDS, k=3)),
            "description": chance.choice([None, " ".join(chance.choices(WORDS, k=6))]),
            "license": chance.choice([None, "MIT", "BSD-3-Clause", "Apache-2.0"]),
            "categories": chance.sample(["oauth2", "jwt", "token", "api-key"], chance.randrange(4)),
        }

    path = tmp_path_factory.mktemp("crowd") / "db" if request.param == "folder" else None
    db = AuthDB.create(path) if path else AuthDB.in_memory()
    store(db, [Package(**record(number)) for number in range(350)])
    names = [package.name for package in db]
    with db.transaction():
        for name in chance.sample(names, 50):
            db.remove(name)
            names.remove(name)
    for name in chance.sample(names, 40):
        db.update(name, **{k: v for k, v in record(99).items() if k not in ("name", "last_update")})
    if path:
        db.close()
        db = AuthDB.open(path)
    with db:
        assert len(db) == 300
        yield db


@pytest.fixture
def open_files() -> Callable[[], set[str]]:
    """A function that lists the files that this process has open below a temporary folder."""

    def listing() -> set[str]:
        fds = Path("/proc/self/fd")
        if not fds.is_dir():  # elsewhere than on Linux only the ResourceWarnings can tell
            return set()
        links = [str(fd.readlink()) for fd in fds.iterdir() if fd.is_symlink()]
        return {link for link in links if "/pytest-" in link}

    return listing
