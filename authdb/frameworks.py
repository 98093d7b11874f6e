"""Which releases of Django and of Django REST Framework there are, as far as is known here.

Packages are judged by whether they go with today's. `authdb.refreshing` asks the package index for
both, and keeps the answer beside the database; until it has, what ships with authdb is known.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from authdb.answers import Answers, Kept
from authdb.editions import shipped_frameworks
from authdb.fields import Release
from authdb.releases import Frameworks

__all__ = ["NAMES", "keep", "known"]

#: The names of the distributions.
NAMES = ("django", "djangorestframework")

# Under which they are kept: no address, for they may have been asked of any index.
_KEY = "frameworks"


class _Known(msgspec.Struct):
    django: list[tuple[str, date]]
    drf: list[tuple[str, date]]
    seen: date
    drf_requires: str | None = None


def known(folder: Path | None) -> Frameworks:
    """What is known beside the database in ``folder``, or came with authdb, whichever is newer.

    :param folder: None for a database in memory
    """
    shipped = shipped_frameworks()
    with Answers(folder, read_only=True) as answers:
        kept = answers.get(_KEY)
    if kept is None:
        return shipped
    try:
        found = msgspec.json.decode(kept.facts, type=_Known)
    except msgspec.MsgspecError:
        return shipped
    if shipped.seen is not None and shipped.seen > found.seen:
        return shipped
    return Frameworks(_releases(found.django), _releases(found.drf), found.seen, found.drf_requires)


def keep(answers: Answers, frameworks: Frameworks, now: float) -> None:
    """Keep what was found out."""
    facts: dict[str, Any] = frameworks._asdict()
    answers.put([Kept(_KEY, None, None, now, msgspec.json.encode(facts))])


def _releases(rows: list[tuple[str, date]]) -> tuple[Release, ...]:
    return tuple(Release(version, day) for version, day in rows)
