"""Packages made up from a seed: the same for everybody, and of a realistic shape.

Names are like those of real distributions and come in no order. Descriptions have twenty words of
a vocabulary of 20,000, drawn by Zipf's law, with English's stop words and the words of the trade
on top. Later days are likelier than earlier ones; some are missing, some known to the month only.

``python -m benchmarks.data 100k -o FOLDER`` writes a file of the first 100,000 packages of an
endless list. Batches come from lists of their own, so that they are new to whoever has loaded it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from zope.index.text.stopdict import get_stopdict

from authdb.models import CATEGORIES

__all__ = ["FREQUENT", "PHRASE", "RARE", "batch_file", "number", "packages", "packages_file"]

#: Raised with every change of what is generated: it is part of the names of the files.
EDITION = 4
SEED = 20261123
FIRST, LAST = date(2010, 1, 1), date(2026, 11, 20)

# In the order of their frequency, before the 20,000 made-up ones. A stop word stands between each
# two of the first ones, about as in English.
STOP_WORDS = ("the", "for", "and", "a", "with", "of", "to", "in", "is", "by")
WORDS = (
    "authentication django rest framework token api user oauth2 support simple login jwt "
    "backend library provider session views password integration client server social custom "
    "secure access request middleware key email app package endpoints model permission header "
    "easy web registration multiple settings scopes cookie refresh account based drop signing "
    "signed provides adds allows using modern flexible tested documented minimal pluggable "
    "extensible mobile single page sign reset verification flow code two factor passkeys hmac "
    "digest ldap saml openid connect"
)

#: Words of the vocabulary to search for: in about 45 and 2.5 % of the descriptions.
FREQUENT, RARE = "authentication", "openid"
#: Two words that occur in the order of the phrase, in the other order, and alone, and that no
#: stop word ever stands between: a text index that leaves those out finds the same as one that
#: does not.
PHRASE = ("magic", "links")

LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "GPL-3.0-or-later", "LGPL-3.0-only", "MPL-2.0")
PYTHONS = (">=3.6", ">=3.7", ">=3.8", ">=3.9", ">=3.10", ">=3.11", ">=3.8,<4")
HOSTS = ("https://github.com", "https://gitlab.com", "https://codeberg.org")


def vocabulary(size: int = 20_000) -> list[str]:
    """The words, the most frequent first. One in a hundred of the rare ones is not ASCII."""
    chance = random.Random(SEED)
    unwanted = {*get_stopdict(), *WORDS.split(), *PHRASE}
    words: dict[str, None] = {}
    for place, word in enumerate(WORDS.split()):
        if place < len(STOP_WORDS):
            words[STOP_WORDS[place]] = None
        words[word] = None
    while len(words) < size:
        parts = (
            chance.choice("bcdfghjklmnprstvwz") + chance.choice("aeiou")
            for _ in range(chance.randint(2, 4))
        )
        word = "".join(parts) + chance.choice(("", "n", "r", "s", "t"))
        if word in unwanted:
            continue
        # Nothing else has the same letters: some text indexes leave the accents out.
        unwanted.add(word)
        words[word.replace("e", "é").replace("u", "ü") if chance.random() < 0.01 else word] = None
    return list(words)


def packages(series: int = 0) -> Iterator[dict[str, Any]]:
    """Packages without an end, each as authdb's loader takes it.

    :param series: each has other packages, of other names
    """
    chance = random.Random(SEED + series)
    ending = f"-next{series}" if series else ""
    words = vocabulary()
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    plain = [word for word in words if word.isascii() and word not in STOP_WORDS]
    plain_weights = weights[: len(plain)]
    categories = list(CATEGORIES)
    names: set[str] = set()
    while True:
        title = chance.choices(plain, cum_weights=plain_weights, k=chance.randint(1, 3))
        package = {
            "name": _name(chance, title, names) + ending,
            "title": " ".join(title).title(),
            "description": _description(chance, words, weights),
            "categories": chance.sample(categories, chance.choice((1, 1, 1, 2, 2, 3, 4))),
            **_dates(chance),
            "version": f"{chance.randint(0, 9)}.{chance.randint(0, 20)}.{chance.randint(0, 9)}",
        }
        if chance.random() < 0.9:
            package["license"] = chance.choices(LICENSES, (50, 20, 15, 8, 4, 3))[0]
        if chance.random() < 0.8:
            package["requires_python"] = chance.choice(PYTHONS)
        if chance.random() < 0.85:
            owner = chance.choices(plain, cum_weights=plain_weights)[0]
            host = chance.choices(HOSTS, (90, 8, 2))[0]
            package["repository"] = f"{host}/{owner}/{package['name']}"
        yield package


def _name(chance: random.Random, title: list[str], names: set[str]) -> str:
    start = chance.choice(("django", "drf", "djangorestframework", "django-rest", "py", "dj", ""))
    stem = "-".join([start, *title] if start else title)
    name = stem
    while name in names:  # few distributions are numbered, and those look like this
        name = f"{stem}{chance.randint(2, 99_999)}"
    names.add(name)
    return name


def _description(chance: random.Random, words: list[str], weights: list[float]) -> str:
    drawn = chance.choices(words, cum_weights=weights, k=20)
    kind = chance.random()
    if kind < 0.1:
        first, second = PHRASE
        planted = [[first, second], [second, first], [first], [second]][int(kind * 40)]
        at = chance.randint(0, 20 - len(planted))
        drawn[at : at + len(planted)] = planted
    return " ".join(drawn).capitalize() + "."


def _dates(chance: random.Random) -> dict[str, str]:
    """A commit, and a release some time before it or after."""
    span = (LAST - FIRST).days
    later = int(span * chance.random() ** 0.5)
    earlier = max(0, later - int(chance.expovariate(1 / 120)))
    days = [later, earlier] if chance.random() < 0.7 else [earlier, later]
    dates = {}
    for field, day in zip(("last_commit", "last_release"), days, strict=True):
        known = chance.random()
        text = (FIRST + timedelta(days=day)).isoformat()
        if known < 0.93:
            dates[field] = text
        elif known < 0.945:
            dates[field] = text[:7]
        elif known < 0.95:
            dates[field] = text[:4]
    commit, release = dates.get("last_commit", ""), dates.get("last_release", "")
    if commit and release != commit and (commit.startswith(release) or release.startswith(commit)):
        # 2024 and 2024-03-05: nobody knows which is the later, and each peer would say its own.
        dates.pop("last_release", None)
    return dates


# -- files -----------------------------------------------------------------------------------


def packages_file(folder: Path, size: int) -> Path:
    """The first ``size`` packages as NDJSON; written where it is not there yet."""
    return _file(folder / f"packages-{EDITION}-{size}.ndjson", 0, size)


def batch_file(folder: Path, size: int, series: int) -> Path:
    """``size`` packages that no `packages_file` holds, nor a batch of another series."""
    return _file(folder / f"batch-{EDITION}-{size}-{series}.ndjson", series, size)


def _file(path: Path, series: int, size: int) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        with aside.open("w", encoding="utf-8") as out:
            for package in islice(packages(series), size):
                out.write(json.dumps(package, ensure_ascii=False) + "\n")
        aside.replace(path)
    return path


def number(text: str) -> int:
    """``"100k"`` -> 100000."""
    units = {"k": 1000, "m": 1_000_000}
    unit = units.get(text[-1:].lower(), 1)
    return int(text[:-1] if unit > 1 else text) * unit


def main() -> None:
    """Write the files that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="+", type=number, metavar="SIZE", help="such as 100k")
    parser.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER")
    args = parser.parse_args()
    for size in args.sizes:
        print(packages_file(args.output, size))


if __name__ == "__main__":
    main()
