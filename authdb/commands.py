"""What each command of the command line does; they hold no logic of their own.

A command gets the parsed options and returns the exit status. What only some commands use is
imported where it is used: most of the time that a short command takes goes into imports.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from authdb.database import AuthDB
from authdb.exceptions import AuthDBError, AuthDBWarning, PackageNotFound
from authdb.models import FIELDS, Package, normalize_name
from authdb.output import output, text_out
from authdb.pairing import CATALOG_FILE, OBJECTS_FILE, pack_cut_short
from authdb.progress import say
from authdb.results import Result

__all__ = [
    "do_check",
    "do_export",
    "do_init",
    "do_list",
    "do_load",
    "do_pack",
    "do_publish",
    "do_query",
    "do_reindex",
    "do_remove",
    "do_shell",
    "do_show",
    "do_stats",
]


def folder(options: argparse.Namespace) -> Path:
    """Where the database is: --db, else AUTHDB_PATH, else the user's own data folder."""
    if options.db == "":  # most likely an empty variable: not a wish for another database
        raise AuthDBError("--db: it names no folder")
    given = options.db or os.environ.get("AUTHDB_PATH")
    with suppress(RuntimeError):  # a ~ for which there is no folder
        if given:
            return Path(given).expanduser()
        from platformdirs import user_data_path

        own = user_data_path("authdb", appauthor=False)
        if own.is_absolute():
            return own
    raise AuthDBError(
        f"{given or 'your data folder'}: nobody knows where that home folder is: name the whole "
        "path of the database, with --db or AUTHDB_PATH"
    )


@contextmanager
def opened(options: argparse.Namespace, read_only: bool = True) -> Iterator[AuthDB]:
    """The database, open; says so if it had to be healed."""
    with AuthDB.open(folder(options), read_only=read_only) as db:
        if db.healed:
            say(f"{db.healed}{', in memory only; see: authdb check' * read_only}")
        yield db


@contextmanager
def made(path: Path) -> Iterator[AuthDB]:
    """A new database in the folder ``path``, which is not there if the block fails."""
    with AuthDB.create(path) as db:
        try:
            yield db
        except BaseException:
            db.close()
            for file in (OBJECTS_FILE, CATALOG_FILE):
                for ending in ("", ".index", ".lock", ".tmp"):
                    (path / f"{file}{ending}").unlink(missing_ok=True)
            with suppress(OSError):  # other things are in the folder
                path.rmdir()
            raise


def plural(count: int, word: str = "package") -> str:
    """``1 package``, ``2 packages``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


# -- making and filling ----------------------------------------------------------------------


def do_init(options: argparse.Namespace) -> int:
    """Make a new database, perhaps with the curated list in it."""
    from authdb import editions

    # A wrong name of an edition is found out before anything is made.
    edition = None if options.with_list is None else editions.path(options.with_list)
    path = folder(options)
    with made(path) as db:
        if edition is not None:
            from authdb.importing import load as load_all
            from authdb.loaders import Loader

            load_all(db, Loader(edition), note=f"the curated list, {edition.stem}")
        count = len(db)
    print(f"made an empty database in {path}")
    if edition is not None:
        print(f"loaded {plural(count)} of the curated list ({edition.stem})")
    return 0


def do_load(options: argparse.Namespace) -> int:
    """Load files."""
    from authdb.importing import load as load_all
    from authdb.loaders import Loader
    from authdb.progress import bar

    if options.files.count("-") > 1:
        raise AuthDBError("standard input (-) can be read once only")
    loaders = [
        Loader(sys.stdin.buffer, options.format, "-")
        if file == "-"
        else Loader(file, options.format)
        for file in options.files
    ]
    with _database_to_fill(options) as db, bar(options.progress) as progress:
        counts = load_all(
            db,
            loaders,
            on_conflict=options.on_conflict,
            dry_run=options.dry_run,
            note=options.note,
            progress=progress,
        )
    print(
        f"{counts.added:,} added, {counts.changed:,} changed, {counts.unchanged:,} unchanged, "
        f"{counts.ignored:,} ignored" + " (dry run: nothing was written)" * options.dry_run
    )
    return 0


@contextmanager
def _database_to_fill(options: argparse.Namespace) -> Iterator[AuthDB]:
    path = folder(options)
    if (path / OBJECTS_FILE).exists() or pack_cut_short(path):
        with opened(options, read_only=options.dry_run) as db:
            yield db
    elif options.dry_run:
        with AuthDB.in_memory() as db:
            yield db
    else:
        with made(path) as db:
            yield db
        say(f"made a new database in {path}")


# -- asking ----------------------------------------------------------------------------------


def do_query(options: argparse.Namespace) -> int:
    """List the packages that match."""
    question, names = _question(options)
    if options.sort is None:
        options.sort = options.date if options.search is None else "relevance"
    with opened(options) as db:
        result = _find(db, options, question, names)
        _write(result, options)
    return 1 if options.fail_empty and not result else 0


def do_list(options: argparse.Namespace) -> int:
    """List all packages."""
    with opened(options) as db:
        _write(_find(db, options), options)
    return 0


def _find(
    db: AuthDB, options: argparse.Namespace, question: Any = None, names: Any = None
) -> Result:
    return db.find(
        question,
        names=names,
        sort=options.sort,
        reverse=options.reverse,
        limit=options.limit,
        offset=options.offset,
    )


def _question(options: argparse.Namespace) -> tuple[Any, dict[str, str]]:
    """What the text and the options of ``query`` ask together."""
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
    from authdb.tables import DEFAULT_COLUMNS, columns_of, packages_table

    packages = result.all()
    if options.format == "table":
        columns = columns_of(options.columns, DEFAULT_COLUMNS)
        if packages:
            packages_table(packages, columns, sys.stdout)
        print(_total(len(packages), len(result)))
        return
    from authdb.exporting import write

    default: Sequence[str] = DEFAULT_COLUMNS if options.format == "markdown" else tuple(FIELDS)
    write(packages, options.format, text_out(), columns_of(options.columns, default))
    if len(packages) != len(result):
        say(_total(len(packages), len(result)))


def _total(shown: int, total: int) -> str:
    return plural(total) if shown == total else f"{shown:,} of {plural(total)}"


def do_show(options: argparse.Namespace) -> int:
    """Show all that is known of packages."""
    with opened(options) as db:
        packages = _called(db, options.names)
        if options.format == "json":
            from authdb.exporting import write

            write(packages, "json", text_out())
        else:
            from authdb.tables import details

            for position, package in enumerate(packages):
                details(package, sys.stdout, position)
    return 0


def _called(db: AuthDB, names: Sequence[str]) -> list[Package]:
    """The packages of these names, each once."""
    _known(db, names)
    return list(dict.fromkeys(db[name] for name in names))


def _known(db: AuthDB, names: Sequence[str]) -> None:
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


# -- changing and keeping well ---------------------------------------------------------------


def do_remove(options: argparse.Namespace) -> int:
    """Remove packages, all or none."""
    with opened(options, read_only=False) as db:
        _known(db, options.names)
        names = list(dict.fromkeys(normalize_name(name) for name in options.names))
        with db.transaction(options.note or f"remove {', '.join(names)}"):
            for name in names:
                db.remove(name)
    print(f"removed {', '.join(names)}")
    return 0


def do_check(options: argparse.Namespace) -> int:
    """Hold packages and catalog against each other."""
    import warnings

    repair = options.repair
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", AuthDBWarning)
        db = AuthDB.open(folder(options), read_only=not repair, repair=repair)
    with db:
        # A reader heals its own view, so what opening says was wrong is to be told as well.
        found = [str(w.message) for w in warned if issubclass(w.category, AuthDBWarning)]
        if db.healed and not found:
            found.append(db.healed)
        findings = db.check(repair=repair)
        told = {finding.what for finding in findings}
        found = [line for line in found if line not in told]
        for line in [*found, *findings]:
            print(line)
        if not found and not findings:
            print(f"{plural(len(db))}: all is well")
            return 0
        if found or any(finding.repairable for finding in findings):
            print(
                "the catalog was built anew"
                if repair
                else "authdb check --repair builds the catalog anew"
            )
        if not all(finding.repairable for finding in findings):
            print("packages that are wrong themselves can only be brought back from a backup")
    return 1


def do_reindex(options: argparse.Namespace) -> int:
    """Build the catalog anew."""
    with opened(options, read_only=False) as db:
        db.reindex()
        print(f"indexed {plural(len(db))}")
    return 0


def do_pack(options: argparse.Namespace) -> int:
    """Give back the room that earlier states take."""
    with opened(options, read_only=False) as db:
        before = _size(db)
        db.pack()
        print(f"packed: {before:,} bytes before, {_size(db):,} bytes now")
    return 0


def _size(db: AuthDB) -> int:
    assert db.path is not None
    return sum((db.path / name).stat().st_size for name in (OBJECTS_FILE, CATALOG_FILE))


# -- writing ---------------------------------------------------------------------------------


def do_export(options: argparse.Namespace) -> int:
    """Write all packages to a file."""
    from authdb.exporting import write
    from authdb.loaders import format_of

    form = options.format
    if form is None:
        file = options.output
        form = "json" if file in (None, "-") else format_of(Path(file), file)
    return _to_file(options, lambda db, out: write(_by_name(db), form, out))


def do_publish(options: argparse.Namespace) -> int:
    """Write the page that shows the catalogue."""
    from authdb.publishing.markdown import page

    return _to_file(options, lambda db, out: print(page(_by_name(db), db.as_of), file=out, end=""))


def _to_file(options: argparse.Namespace, write: Callable[[AuthDB, TextIO], object]) -> int:
    with opened(options) as db, output(options.output) as out:
        write(db, out)
    return 0


def _by_name(db: AuthDB) -> Iterable[Package]:
    return db.find(sort="name")


def do_shell(options: argparse.Namespace) -> int:
    """Open a Python shell with the database."""
    from authdb.shell import run

    with opened(options, read_only=not options.write) as db:
        return run(db, options.code)
