"""Packages side by side: a row a fact, and which of them differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

from authdb.exporting import escaped
from authdb.fields import Release, kinds, plain
from authdb.models import FIELDS, Package

__all__ = ["Fact", "as_json", "as_markdown", "contrast"]

#: What stands for a fact that nobody knows, and for one that was asked for and is not there.
UNKNOWN, NONE = "(unknown)", "(none)"

# The name heads the columns, and where facts come from differs without telling anything. Prose
# comes last: in the midst it would push the other facts apart.
_FACTS = [*(name for name in FIELDS if name not in ("name", "sources", "description"))]
_FACTS.append("description")


class Fact(NamedTuple):
    """One fact of several packages.

    ``values`` are as the packages hold them, in their order; ``known`` says of each whether it is
    known, so that an empty one that is known means "none". ``differs`` tells whether not all of
    them are the same; what is known differs from what is not.
    """

    name: str
    values: tuple[Any, ...]
    known: tuple[bool, ...]
    differs: bool

    @property
    def texts(self) -> list[str]:
        """The values as a person reads them."""
        pairs = zip(self.values, self.known, strict=True)
        return [_text(self.name, value) or (NONE if known else UNKNOWN) for value, known in pairs]


def contrast(packages: Sequence[Package], *, all: bool = False) -> list[Fact]:  # noqa: A002
    """The facts of ``packages``, in the order of `FIELDS`, the description last.

    Neither the name is among them nor where the facts come from.

    :param all: also those that are not known of any of the packages
    """
    facts = [_fact(name, packages) for name in _FACTS]
    return [fact for fact in facts if all or any(fact.known)]


def _fact(name: str, packages: Sequence[Package]) -> Fact:
    values = tuple(getattr(package, name) for package in packages)
    known = tuple(package.is_known(name) for package in packages)
    return Fact(name, values, known, len(set(zip(values, known, strict=True))) > 1)


def _text(name: str, value: Any) -> str:
    if not value:
        return ""
    if name == "releases":
        first, last = (f"{one.version} ({one.date.isoformat()})" for one in _ends(value))
        return f"{len(value)}: {first}" + (f" to {last}" if len(value) > 1 else "")
    if name == "vulnerabilities":
        return "; ".join(map(str, value))
    return FIELDS[name].cell(value)


def _ends(releases: Sequence[Release]) -> tuple[Release, Release]:
    return releases[0], releases[-1]


def as_json(packages: Sequence[Package], facts: Sequence[Fact], out: TextIO) -> None:
    """An object: the names, and for each fact its values by name.

    A value that is not there is null, or an empty list where there may be several; ``none`` lists
    the packages of which it is known that there is none, of the others it is not known.
    """
    names = [package.name for package in packages]
    found = {"packages": names, "facts": [_as_object(names, fact) for fact in facts]}
    json.dump(found, out, ensure_ascii=False, indent=2)
    out.write("\n")


def _as_object(names: Sequence[str], fact: Fact) -> dict[str, Any]:
    by_name = list(zip(names, fact.values, fact.known, strict=True))
    return {
        "fact": fact.name,
        "differs": fact.differs,
        "values": {name: plain(value) if known else None for name, value, known in by_name},
        "none": [name for name, value, known in by_name if known and not value],
    }


def as_markdown(packages: Sequence[Package], facts: Sequence[Fact], out: TextIO) -> None:
    """A table with a row a fact; the names of those that differ are bold."""
    out.write(f"| Fact | {' | '.join(escaped(package.name) for package in packages)} |\n")
    out.write(f"|{'---|' * (len(packages) + 1)}\n")
    for fact in facts:
        name = f"**{escaped(fact.name)}**" if fact.differs else escaped(fact.name)
        link = FIELDS[fact.name].kind is kinds.URL
        # A link has no character that could end it, and would not survive backslashes.
        cells = [
            f"<{text}>" if link and value else escaped(text)
            for text, value in zip(fact.texts, fact.values, strict=True)
        ]
        out.write(f"| {name} | {' | '.join(cells)} |\n")
