"""The page as GitHub flavoured Markdown, with the tables that the list's author made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from urllib.parse import quote

from authdb.dates import PartialDate
from authdb.models import Package
from authdb.publishing.listing import OAUTH, SOCIAL, Row, by_year, day, newest, origins, rows

__all__ = ["page"]

# In English whatever the locale, as the rest of the page.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_INTRODUCTION = (
    "Third-party packages that add ways to sign in and to authenticate requests to "
    "[Django REST Framework](https://www.django-rest-framework.org/)."
)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# More kinds of source than this are counted, not named.
_MOST_ORIGINS = 5


def page(packages: Iterable[Package], as_of: date | None = None) -> str:
    """The whole page.

    The same packages, in whatever order, give the same text.

    :param packages: what to list; of several with one name, the last
    :param as_of: the day as of which the facts hold, as `AuthDB.as_of` gives it; see
        `authdb.publishing.listing.day`
    :returns: Markdown, ending in a line end

    >>> print(page([Package("hawkrest", "Hawk", last_commit="2018-10-06")])[:46])
    # Authentication packages for Django REST Fram
    """
    listed = rows(packages)
    members = [member for row in listed for member in row.members]
    blocks = [
        "# Authentication packages for Django REST Framework",
        _INTRODUCTION,
        _note(members, as_of),
        "## Packages",
        _table(("Name", "Description", "Last update"), map(_full, listed)),
        "## Packages providing support for social identities",
        _short_table(row for row in listed if row.has(SOCIAL)),
        "## Packages providing OAuth capability",
        _short_table(row for row in listed if row.has(OAUTH)),
        "## Packages by date of last update",
        *_years(listed),
        "## Where this comes from",
        _terms(members),
    ]
    return "\n\n".join(blocks) + "\n"


def _note(packages: Sequence[Package], as_of: date | None) -> str:
    holds = day(packages, as_of)
    if not packages:
        return "There are no packages on the list." + (
            "" if holds is None else f" That holds as of {_in_words(holds)}."
        )
    if holds is None:
        return "No dates are known, so nothing says as of which day the facts hold."
    return (
        f"The facts hold as of {_in_words(holds)}. The last update is the later of the last "
        "commit and the last release."
    )


def _years(listed: Sequence[Row]) -> Iterator[str]:
    for year, updated in by_year(listed):
        yield f"### {'Unknown' if year is None else year}"
        yield _short_table(updated)
    if not listed:
        yield "None."


def _terms(packages: Sequence[Package]) -> str:
    texts = "The choice of groups and the descriptions are authdb's own, under BSD-3-Clause"
    if any(package.source("description") for package in packages):
        texts += ", but for the descriptions that name another source"
    found = origins(packages)
    if not found:
        return f"{texts}. For the facts the packages name no source."
    named = "; ".join(map(_text, found[:_MOST_ORIGINS]))
    if len(found) > _MOST_ORIGINS:
        named += f"; and {len(found) - _MOST_ORIGINS} more"
    seen = newest(source.seen for package in packages for source in package.sources)
    assert seen is not None  # each source has the day it was seen
    return (
        f"{texts}. Names, dates and links are facts, from the sources that the packages name: "
        f"{named}. Newest seen on {_in_words(seen)}."
    )


# -- tables ----------------------------------------------------------------------------------


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    body = list(lines)
    if not body:
        return "None."
    table = [headings, ["---"] * len(headings), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _short_table(listed: Iterable[Row]) -> str:
    return _table(("Name", "Last update"), ((_name(row), _last_update(row)) for row in listed))


def _full(row: Row) -> tuple[str, str, str]:
    return _name(row), _description(row), _last_update(row)


def _name(row: Row) -> str:
    return " / ".join(_link(title, package) for title, package in row.labels)


def _description(row: Row) -> str:
    description = row.current.description or ""
    parts = [_text(description)] if description else []
    unnamed = [member for member in row.merged if not _names(description, member.name)]
    if unnamed:
        parts.append(f"It replaced {_and(_link(member.name, member) for member in unnamed)}.")
    if row.gone_to:
        parts.append(f"It was replaced by {_text(row.gone_to)}.")
    return " ".join(parts)


def _names(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE))


def _last_update(row: Row) -> str:
    return "unknown" if row.last_update is None else row.last_update.isoformat()


def _and(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _in_words(value: date | PartialDate) -> str:
    """``26 February 2024``, or less where less is known."""
    month = _MONTHS[value.month - 1] if value.month else None
    number = str(value.day) if isinstance(value, date) else None
    return " ".join(part for part in (number, month, str(value.year)) if part)


# -- text from outside -----------------------------------------------------------------------


def _text(text: str) -> str:
    r"""``text`` on one line, without any markup of its own.

    >>> print(_text("# a *b* [c]\n| <d>"))
    \# a \*b\* \[c\] \| &lt;d&gt;
    """
    line = re.sub(r"[\\`*_\[\]|~$]", r"\\\g<0>", " ".join(text.split()))
    line = re.sub(r"[&<>]", lambda found: _ENTITIES[found[0]], line)
    # GitHub also makes links of bare addresses; of those for e-mail, nothing can stop it.
    line = re.sub(r":(?=//)|(?<=www)\.", r"\\\g<0>", line, flags=re.IGNORECASE)
    return re.sub(r"^#", r"\\#", line)


def _link(text: str, package: Package) -> str:
    address = package.repository or package.homepage or ""
    if not re.match(r"https?://", address, re.IGNORECASE):
        return _text(text)
    # Brackets belong to hosts such as [::1]; what else could end the link is percent-encoded.
    safe = re.sub(r"[^\w:/?#@!&+,;=%~.\[\]-]", lambda found: quote(found[0], safe=""), address)
    return f"[{_text(text)}]({safe.replace('&', '&amp;')})"
