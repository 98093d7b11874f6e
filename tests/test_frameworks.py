"""Which releases of Django and Django REST Framework are known: those kept, or those shipped."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from authdb import frameworks
from authdb.answers import Answers, Kept
from authdb.frameworks import keep, known
from authdb.releases import Dated, Frameworks, Target

OURS = Frameworks(
    (Dated("5.2", date(2025, 4, 2), ">=3.10"), Dated("6.0", date(2025, 12, 3), ">=3.12")),
    (Dated("3.16.0", date(2025, 3, 28), ">=3.9"), Dated("3.17.0", date(2026, 2, 1), ">=3.10")),
    date(2999, 1, 1),
    ">=5.2",
)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    with Answers(tmp_path) as answers:
        keep(answers, OURS, 0)
    assert known(tmp_path) == OURS


def test_whichever_was_seen_later_is_known(tmp_path: Path) -> None:
    shipped = known(None)
    with Answers(tmp_path) as answers:
        keep(answers, OURS._replace(seen=date(2001, 1, 1)), 0)
    assert known(tmp_path) == shipped
    assert known(tmp_path / "nowhere") == shipped


@pytest.mark.parametrize(
    "facts", [b"", b"{}", b"[]", b"\xff\xfe", b'[[], [], "soon", null]', b"[[[1]], [], null, null]"]
)
def test_what_is_damaged_is_as_if_it_were_not_there(tmp_path: Path, facts: bytes) -> None:
    with Answers(tmp_path) as answers:
        answers.put([Kept(frameworks._KEY, None, None, 0, facts)])
    assert known(tmp_path) == known(None)


def test_a_specifier_that_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    with Answers(tmp_path) as answers:
        keep(answers, OURS._replace(drf_requires="garbage"), 0)
    assert known(tmp_path) == OURS._replace(drf_requires=None)


def test_todays_are_those_of_the_day_and_of_the_python() -> None:
    def texts(day: date | None = None, python: str | None = None) -> list[str | None]:
        found = OURS.current(day, Target.of(python) if python else None)
        return [target and target.text for target in found]

    assert texts() == ["6.0", "3.17.0"]
    assert texts(date(2025, 6, 1)) == ["5.2", "3.16.0"]
    assert texts(python="3.11") == ["5.2", "3.17.0"]
    assert texts(python="3.9") == [None, "3.16.0"]
    assert texts(date(2020, 1, 1)) == [None, None]


def test_what_ships_is_known() -> None:
    django, drf = known(None).current(date(2024, 2, 26))
    assert django is not None and drf is not None
    assert (django.text, drf.text) == ("5.0.2", "3.14.0")
