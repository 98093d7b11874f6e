"""The commands that ask: query, list, show, stats, shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from authdb.commands.common import opened, plural
from authdb.database import AuthDB
from authdb.exceptions import AuthDBError, PackageNotFound
from authdb.models import FIELDS, Package
from authdb.output import text_out
from authdb.progress import say
from authdb.results import Result

__all__ = ["called", "do_list", "do_query", "do_shell", "do_show", "do_stats", "known", "question"]


def do_query(options: argparse.Namespace) -> int:
    """List the packages that match."""
    asked, names = question(options)
    if options.sort is None:
        options.sort = options.date if options.search is None else "relevance"
    if options.explain and (options.columns or options.format not in (None, "table")):
        raise AuthDBError("--explain prints the plan: it takes no --columns and no --format")
    with opened(options) as db:
        result = _find(db, options, asked, names)
        if options.explain:
            print(result.explain())
        else:
            _write(result, options)
    return 1 if options.fail_empty and not result else 0


def do_list(options: argparse.Namespace) -> int:
    """List all packages."""
    with opened(options) as db:
        _write(_find(db, options), options)
    return 0


def _find(db: AuthDB, options: argparse.Namespace, asked: Any = None, names: Any = None) -> Result:
    return db.find(
        asked,
        names=names,
        sort=options.sort,
        reverse=options.reverse,
        limit=options.limit,
        offset=options.offset,
    )


def question(options: argparse.Namespace) -> tuple[Any, dict[str, str]]:
    """What the text and the options of ``query`` ask together: a query object or None for all, and
    values for the names in it."""
    from authdb.dates import first_day
    from authdb.query import All, And, Contains, Ge, Gt, InRange, Le, Lt, Or, parse_query
    from authdb.query import Any as AnyOf

    names = _names(options.name)
    parts: Any = []
    if options.text is not None:
        parts.append(parse_query(options.text, names))
    for compare, day in (
        (Lt, options.before),
        (Le, options.until),
        (Ge, options.since),
        (Gt, options.after),
    ):
        if day is not None:
            parts.append(compare(options.date, day))
    if options.between:
        start, end = options.between
        if first_day(start) > first_day(end):
            raise AuthDBError(f"--between: {start} is later than {end}; the earlier comes first")
        parts.append(InRange(options.date, start, end))
    for combine, words in ((AnyOf, options.any), (All, options.all)):
        categories = [word for text in words for word in text.replace(",", " ").split()]
        if words and not categories:
            raise AuthDBError("--any and --all take categories, such as oauth2,jwt")
        if categories:
            parts.append(combine("categories", categories))
    if options.search is not None:
        parts.append(Or(Contains("description", options.search), Contains("title", options.search)))
    if not parts:
        return None, names
    return parts[0] if len(parts) == 1 else And(*parts), names


def _names(pairs: Iterable[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise AuthDBError(f"--name is given as NAME=VALUE, not {pair[:60]!r}")
        names[name] = value
    return names


def _write(result: Result, options: argparse.Namespace) -> None:
    from authdb.gathering import ROW_FIELDS
    from authdb.tables import DEFAULT_COLUMNS, columns_of, packages_table

    short = options.format in ("table", "markdown")
    columns = columns_of(options.columns, DEFAULT_COLUMNS if short else tuple(FIELDS))
    # What rows do not hold is read from the packages themselves, one record each.
    packages: Sequence[Any] = result.rows() if set(columns) <= set(ROW_FIELDS) else result.all()
    if options.format == "table":
        if packages:
            packages_table(packages, columns, sys.stdout)
        print(_total(len(packages), len(result)))
        return
    from authdb.exporting import write

    write(packages, options.format, text_out(), columns)
    if len(packages) != len(result):
        say(_total(len(packages), len(result)))


def _total(shown: int, total: int) -> str:
    return plural(total) if shown == total else f"{shown:,} of {plural(total)}"


def do_show(options: argparse.Namespace) -> int:
    """Show all that is known of packages."""
    with opened(options) as db:
        packages = called(db, options.names)
        if options.released_by is not None:
            return _show_releases(packages, options)
        if options.format == "json":
            from authdb.exporting import write

            write(packages, "json", text_out())
        else:
            from authdb.tables import details

            for position, package in enumerate(packages):
                details(package, sys.stdout, position)
    return 0


def _show_releases(packages: Iterable[Package], options: argparse.Namespace) -> int:
    """Show the last release of each by a day; of a month or a year, by its end."""
    from authdb.dates import last_day
    from authdb.fields import plain
    from authdb.releases import last_by

    day = last_day(options.released_by)
    found = [(package.name, last_by(package.releases, day)) for package in packages]
    if options.format == "json":
        import json

        rows = [
            {"name": name} | (plain(last) if last else {"version": None, "date": None})
            for name, last in found
        ]
        json.dump(rows, text_out(), indent=2)
        print()
    else:
        from authdb.tables import table

        cells = [
            (name, last.version, last.date.isoformat()) if last else (name, "(none)", "")
            for name, last in found
        ]
        table(("name", "version", "date"), cells, sys.stdout)
    return 0 if all(last for _, last in found) else 1


def called(db: AuthDB, names: Sequence[str]) -> list[Package]:
    """The packages of these names, each once."""
    known(db, names)
    return list(dict.fromkeys(db[name] for name in names))


def known(db: AuthDB, names: Sequence[str]) -> None:
    """See to it that there is a package of each name; every name that is none's is told."""
    unknown = [name for name in names if name not in db]
    for name in unknown:
        try:
            db[name]
        except PackageNotFound as error:
            if name is unknown[-1]:
                raise
            say(str(error))


def do_stats(options: argparse.Namespace) -> int:
    """Count packages by category, year and licence."""
    with opened(options) as db:
        counts = _counts(db)
        if options.format == "json":
            import json

            print(json.dumps(counts, indent=2))
            return 0
        from authdb.tables import table

        print(
            f"{plural(counts['packages'])}, {plural(counts['generation'], 'change')}, in {db.path}"
        )
        for what in ("category", "year", "license"):
            print()
            rows = [(key, str(count)) for key, count in counts[what].items()]
            table([{"year": "last_update in"}.get(what, what), "packages"], rows, sys.stdout, [1])
    return 0


def _counts(db: AuthDB) -> dict[str, Any]:
    from collections import Counter

    categories: Counter[str] = Counter()
    years: Counter[str] = Counter()
    licenses: Counter[str] = Counter()
    for package in db:
        categories.update(package.categories or ["(none)"])
        day = package.last_update
        years[f"{day.year:04}" if day else "(unknown)"] += 1
        licenses[package.license or "(unknown)"] += 1
    return {
        "packages": len(db),
        "generation": db.generation,
        "category": dict(sorted(categories.items(), key=lambda item: (-item[1], item[0]))),
        "year": dict(sorted(years.items(), reverse=True)),
        "license": dict(sorted(licenses.items(), key=lambda item: (-item[1], item[0]))),
    }


def do_shell(options: argparse.Namespace) -> int:
    """Open a Python shell with the database."""
    from authdb.shell import run

    if options.write and options.as_of is not None:
        raise AuthDBError("--write: the past is only to be read; leave out --as-of, or see undo")
    with opened(options, read_only=not options.write) as db:
        return run(db, options.code)
