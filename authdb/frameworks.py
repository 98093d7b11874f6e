"""Which releases of Django and of Django REST Framework there are, as far as is known here.

Packages are judged by whether they go with today's. `authdb.refreshing` asks the package index for
both, and keeps the answer beside the database; until it has, what ships with authdb is known.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from authdb.answers import Answers, Kept
from authdb.editions import shipped_frameworks
from authdb.metadata import specifier
from authdb.releases import Frameworks

__all__ = ["NAMES", "keep", "known"]

#: The names of the distributions.
NAMES = ("django", "djangorestframework")

# Under which they are kept: no address, for they may have been asked of any index.
_KEY = "frameworks"


def known(folder: Path | None) -> Frameworks:
    """What is known beside the database in ``folder``, or came with authdb, whichever is newer.

    :param folder: None for a database in memory
    """
    shipped = shipped_frameworks()
    with Answers(folder, read_only=True) as answers:
        kept = answers.get(_KEY)
    if kept is None:
        return shipped
    found = kept.read(Frameworks)
    if found is None:
        return shipped
    if shipped.seen is not None and (found.seen is None or shipped.seen > found.seen):
        return shipped
    return found._replace(drf_requires=specifier(found.drf_requires))


def keep(answers: Answers, frameworks: Frameworks, now: float) -> None:
    """Keep what was found out."""
    answers.put([Kept(_KEY, None, None, now, msgspec.json.encode(frameworks))])
