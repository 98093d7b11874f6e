"""The commands that watch over packages: stale, audit."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from authdb.commands.asking import called
from authdb.commands.common import opened, plural
from authdb.exceptions import AuthDBError
from authdb.output import text_out
from authdb.progress import Show, bar, say

if TYPE_CHECKING:
    from authdb.links import Checked
    from authdb.models import Package
    from authdb.reading import Reading
    from authdb.releases import Frameworks
    from authdb.watching import Concern, Concerns

__all__ = ["do_audit", "do_stale"]

#: How many of the links that could not be checked a line names.
LINKS = 3


# -- stale -----------------------------------------------------------------------------------


def do_stale(options: argparse.Namespace) -> int:
    """List the packages without an update for long."""
    from authdb.dates import age
    from authdb.watching import stale

    with opened(options) as db:
        found = stale(db, options.older_than)
    rows = [
        (row.name, row.last_update.isoformat(), age(row.last_update, found.day))
        for row in found.rows
        if row.last_update is not None
    ]
    if options.format == "json":
        about = _about(found.day, options) | {"since": found.cutoff.isoformat()}
        about |= {"packages": found.packages, "unknown": found.unknown}
        packages = [dict(zip(("name", "last_update", "age"), row, strict=True)) for row in rows]
        _dump(about | {"stale": packages})
    else:
        from authdb.tables import table

        if rows:
            table(("name", "last_update", "age"), rows, sys.stdout)
        print(f"{len(rows):,} of {plural(found.packages)} without an update since {found.cutoff}")
        if found.unknown:
            print(f"not known of {plural(found.unknown)}: last_update")
    return 1 if rows else 0


# -- audit -----------------------------------------------------------------------------------


def do_audit(options: argparse.Namespace) -> int:
    """Tell which packages give cause for concern."""
    from authdb.frameworks import known
    from authdb.watching import KINDS, LINK_KINDS, Concerns, audit, scope

    only = _words(options.only)
    if options.only and not only:
        raise AuthDBError("--only takes kinds of concern, such as vulnerable,uninstallable")
    asked = scope(only, _words(options.ignore), links=options.links)
    with opened(options) as db:
        for name in sorted({name for name, _ in asked.accepted if name not in db}):
            say(f"--ignore: no package is called {name!r}")
        packages = called(db, options.names) if options.names else None
        day, frameworks = db.today, known(db.path)
        found = audit(
            db,
            frameworks=frameworks,
            older_than=options.older_than,
            day=day,
            packages=packages,
            kinds=asked.kinds & KINDS.keys(),
        )
        checked = None
        if asked.kinds & LINK_KINDS.keys():
            with bar(options.progress) as progress:
                checked = _checked(db if packages is None else packages, progress)
            found = Concerns([*found, *checked.concerns], found.packages, found.unknown)
    found = asked.of(found)
    lacking = _lacking(frameworks, day) if "uninstallable" in asked.kinds else []
    if options.format == "json":
        about = _about(day, options) | {"frameworks": _today(frameworks, day)}
        _dump(about | _as_object(found) | ({} if checked is None else _links(checked)))
    else:
        _write(found)
        if checked is not None and checked.offline:
            print("no link could be checked")
    if lacking:
        say(f"today's {' and '.join(lacking)}: not known, so nothing was held against it")
    if checked is not None:
        _say_unchecked(checked)
    return 1 if found else 0


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in text.replace(",", " ").split()]


def _checked(packages: Reading | Sequence[Package], progress: Show | None) -> Checked:
    from authdb.fetching import Fetcher
    from authdb.links import check

    with Fetcher() as fetcher:
        return check(packages, fetcher, progress)


def _write(found: Concerns) -> None:
    """A line a concern; on a terminal, below the name of each package."""
    if found and sys.stdout.isatty():
        _grouped(found)
    elif found:
        from authdb.tables import table

        rows = [(each.name, each.kind, each.text) for each in found]
        table(("name", "kind", "concern"), rows, sys.stdout)
    names = len({each.name for each in found})
    count = f"{plural(len(found), 'concern')}, about {names:,} of" if found else "no concern about"
    print(
        f"{count} {plural(found.packages)}"
        + (f"; {found.accepted:,} accepted" if found.accepted else "")
    )
    if found.unknown:
        from authdb.tables import paragraph

        facts = (f"{field} of {count:,}" for field, count in found.unknown.items())
        paragraph(f"not known, and so not judged: {', '.join(facts)}", sys.stdout)


def _grouped(found: Sequence[Concern]) -> None:
    """The concerns below the name of each package, in no more columns than there are."""
    from itertools import groupby
    from shutil import get_terminal_size
    from textwrap import TextWrapper

    width = max(len(each.kind) for each in found) + 4
    room = max(get_terminal_size().columns, width + 20)
    # A link stays whole, so that it can be taken up.
    wrapper = TextWrapper(
        room, subsequent_indent=" " * width, break_on_hyphens=False, break_long_words=False
    )
    for name, concerns in groupby(found, lambda each: each.name):
        print(name)
        for each in concerns:
            wrapper.initial_indent = f"  {each.kind}".ljust(width)
            print(wrapper.fill(each.text))
    print()


def _lacking(frameworks: Frameworks, day: date) -> list[str]:
    names = ("Django", "Django REST Framework")
    current = zip(names, frameworks.current(day), strict=True)
    return [name for name, target in current if target is None]


def _say_unchecked(checked: Checked) -> None:
    if checked.offline:
        say(f"no host could be reached: none of {plural(checked.links, 'link')} was checked")
    elif checked.unchecked:
        from authdb.reports import line

        some = list(checked.unchecked.items())[:LINKS]
        first = [f"{url} ({line(why)})" for url, why in some]  # why may be in a server's words
        more = ", ..." if len(checked.unchecked) > LINKS else ""
        count = plural(len(checked.unchecked), "link")
        say(f"{count} could not be checked: {', '.join(first)}{more}")


# -- for programs ----------------------------------------------------------------------------


def _about(day: date, options: argparse.Namespace) -> dict[str, Any]:
    return {"day": day.isoformat(), "older_than": options.older_than}


def _today(frameworks: Frameworks, day: date) -> dict[str, str | None]:
    django, drf = (None if one is None else one.text for one in frameworks.current(day))
    seen = None if frameworks.seen is None else frameworks.seen.isoformat()
    return {"django": django, "djangorestframework": drf, "seen": seen}


def _as_object(found: Concerns) -> dict[str, Any]:
    return {
        "packages": found.packages,
        "concerns": [{"name": name, "kind": kind, "text": text} for kind, name, text in found],
        "accepted": found.accepted,
        "unknown": found.unknown,
    }


def _links(checked: Checked) -> dict[str, Any]:
    return {
        "links": checked.links,
        "offline": checked.offline,
        "unchecked": [{"link": url, "reason": why} for url, why in checked.unchecked.items()],
    }


def _dump(value: dict[str, Any]) -> None:
    json.dump(value, text_out(), ensure_ascii=False, indent=2)
    print()
