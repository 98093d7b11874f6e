"""What was changed, written down: the log, the log of a package, and the report of a difference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple, TextIO

from authdb.database import AuthDB
from authdb.dates import first_day
from authdb.exporting import escaped
from authdb.history import Change, Difference, Edit
from authdb.models import FIELDS, Package
from authdb.moments import parse_moment, parse_span
from authdb.query import Ge, Lt
from authdb.tables import table

__all__ = [
    "Report",
    "changes_as_table",
    "compare",
    "diff_as_json",
    "diff_as_markdown",
    "diff_as_table",
    "edits_as_json",
    "edits_as_text",
    "line",
    "log_as_json",
    "log_as_table",
]

#: How many names of packages a line of the log shows.
NAMES = 3


def line(text: str, width: int = 200) -> str:
    """``text`` as one line that a terminal shows and does not obey, cut to ``width`` characters.

    Who makes a change writes its note: it could else look like a change of its own.
    """
    text = " ".join(text[: width * 2].split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


# -- the log ---------------------------------------------------------------------------------


def log_as_table(changes: Iterable[Change], out: TextIO) -> None:
    """A row a change: its number, when, by whom, what, and the note."""
    rows = [
        [f"c{each.number}", _time(each.when), line(each.user, 30), _what(each), line(each.note)]
        for each in changes
    ]
    table(("change", "when (UTC)", "by", "packages", "note"), rows, out)


def _what(change: Change) -> str:
    parts = []
    for kind, docids in change.docids.items():
        if docids:
            names = change.names(kind, NAMES)
            if not names:  # packed away
                parts.append(f"{len(docids):,} {kind}")
                continue
            more = ", ..." if len(docids) > len(names) else ""
            parts.append(f"{len(docids):,} {kind}: {', '.join(names)}{more}")
    return "; ".join(parts)


def log_as_json(changes: Iterable[Change], out: TextIO) -> None:
    """A list of objects, with all the names; null for removed ones that were packed away."""
    _dump(
        [_about(each) | {kind: _names(each, kind) for kind in each.docids} for each in changes],
        out,
    )


def _names(change: Change, kind: str) -> list[str] | None:
    names = change.names(kind)
    return names if len(names) == len(change.docids[kind]) else None


def _about(change: Change | Edit) -> dict[str, Any]:
    return {
        "change": f"c{change.number}",
        "tid": change.tid.hex(),
        "when": change.when.isoformat(),
        "by": change.user,
        "note": change.note,
    }


def _dump(value: Any, out: TextIO) -> None:
    json.dump(value, out, ensure_ascii=False, indent=2)
    out.write("\n")


# -- the log of a package --------------------------------------------------------------------


def edits_as_text(edits: Iterable[Edit], out: TextIO) -> None:
    """A line a change, and below it a line for each field that it changed."""
    for edit in edits:
        by = f" by {line(edit.user, 30)}" if edit.user else ""
        note = f": {line(edit.note)}" if edit.note else ""
        out.write(f"c{edit.number}  {_time(edit.when)} UTC{by}{note}\n")
        if edit.kind == "changed":
            for name, before, after in _fields(edit.before, edit.after):
                out.write(f"    {name}: {before} -> {after}\n")
        elif edit.kind == "kept":
            out.write("    (the earliest state that is kept)\n")
        else:
            out.write(f"    {edit.kind}\n")


def edits_as_json(edits: Iterable[Edit], out: TextIO) -> None:
    """A list of objects, with the record of the package before and after each change."""
    _dump(
        [
            _about(each)
            | {"kind": each.kind, "before": _record(each.before), "after": _record(each.after)}
            for each in edits
        ],
        out,
    )


def _record(package: Package | None) -> dict[str, Any] | None:
    return None if package is None else package.record()


def _fields(before: Package | None, after: Package | None) -> list[tuple[str, str, str]]:
    """Each field that differs, with its value before and after, as a person reads them."""
    if before is None or after is None:
        return []
    names = before.differs_from(after)
    # Where a fact comes from follows from the fact, as a rule; nobody wants to read it twice. But
    # that there is none may have become known.
    shown = [
        name
        for name in FIELDS
        if name != "sources" and (name in names or before.is_known(name) != after.is_known(name))
    ] or names
    return [(name, _cell(name, before), _cell(name, after)) for name in shown]


def _cell(name: str, package: Package) -> str:
    value = getattr(package, name)
    if name == "releases" and value:
        return f"{len(value)}, the last {value[-1].version}"
    if name == "vulnerabilities" and value:
        return ", ".join(each.id for each in value)
    if name == "sources" and value:
        return f"of {len(value)} facts"
    text = FIELDS[name].cell(value) if value else ""
    return text or ("(none)" if package.is_known(name) else "(unknown)")


# -- the difference --------------------------------------------------------------------------


class Report(NamedTuple):
    """How the packages differ between two moments.

    ``start`` and ``end`` are the changes whose states are compared. ``stale`` lists the packages
    without an update for ``span`` at the end, which had one within that span at the start, by
    the ``days`` as of which the facts hold.
    """

    start: Change
    end: Change
    differences: list[Difference]
    stale: list[Package]
    span: str
    days: tuple[date, date]

    def of(self, kind: str) -> list[Difference]:
        """The packages that were ``added``, ``changed`` or ``removed``, by name."""
        found = [each for each in self.differences if each.kind == kind]
        return sorted(found, key=_name)


def _name(difference: Difference) -> str:
    package = difference.after or difference.before
    assert package is not None
    return package.name


def compare(db: AuthDB, start: str, end: str | None = None, stale: str = "2y") -> Report:
    """The report on what differs in ``db`` between two moments.

    :param end: None for now
    :param stale: how long without an update makes a package stale
    :raises NoSuchMoment: the history that is kept does not reach back so far
    """
    differences = db.diff(start, end)
    assert db.path is not None
    # Not "now": what `db` shows, to which a writer may have added since.
    to, trust = end or db.log(1)[0].tid, db.trust
    with (
        AuthDB.open(db.path, as_of=start, trust=trust) as old,
        AuthDB.open(db.path, as_of=to, trust=trust) as new,
    ):
        (first,), (last,) = old.log(1), new.log(1)
        days = _days(old, new, _day(start, first), _day(end or "now", last))
        return Report(first, last, differences, _stale(new, differences, days, stale), stale, days)


def _day(moment: str, change: Change) -> date:
    """The day that a moment stands for; of a change, that on which it was made."""
    end = parse_moment(moment)
    if not isinstance(end, datetime):
        return change.when.date()
    return min(end - timedelta(microseconds=1), datetime.now(timezone.utc)).date()


def _days(old: AuthDB, new: AuthDB, *days: date) -> tuple[date, date]:
    """The days that two states stand for: those as of which their facts hold, where each is of an
    edition of its own; else those of the moments."""
    if old.as_of and new.as_of and old.as_of != new.as_of:
        return old.as_of, new.as_of
    return days[0], days[1]


def _stale(
    db: AuthDB, differences: Sequence[Difference], days: tuple[date, date], span: str
) -> list[Package]:
    before, now = (
        parse_span(span).before(datetime(day.year, day.month, day.day)).date() for day in days
    )
    touched = {each.docid for each in differences}
    # Of those that did not change, the ones in between; the index knows them.
    between = db.find(Ge("last_update", before) & Lt("last_update", now))
    stale = [db.objects[docid].copy() for docid in between.docids if docid not in touched]
    for each in differences:
        if each.kind == "changed" and _older(each.after, now) and not _older(each.before, before):
            assert each.after is not None
            stale.append(each.after)
    return sorted(stale, key=lambda package: package.name)


def _older(package: Package | None, day: date) -> bool:
    update = None if package is None else package.last_update
    return update is not None and first_day(update) < day


def diff_as_json(report: Report, out: TextIO) -> None:
    """An object: both moments, the packages that differ with their records, the stale ones."""
    packages = [
        {
            "name": _name(each),
            "kind": each.kind,
            "fields": each.fields,
            "before": _record(each.before),
            "after": _record(each.after),
        }
        for each in report.differences
    ]
    stale = [package.name for package in report.stale]
    ends = {"from": _about(report.start), "to": _about(report.end)}
    _dump(ends | {"packages": packages, "stale_after": report.span, "stale": stale}, out)


def diff_as_table(report: Report, out: TextIO) -> None:
    """A line for each package that came, went or went stale, a row for each field that differs."""
    out.write(f"{_ends(report)}\n\n")
    for kind in ("added", "removed"):
        for each in report.of(kind):
            out.write(f"{kind}: {_name(each)}\n")
    for package in report.stale:
        update = _cell("last_update", package)
        out.write(f"gone stale: {package.name}, last update {update}\n")
    rows = [
        [_name(each), *field]
        for each in report.of("changed")
        for field in _fields(each.before, each.after)
    ]
    if rows:
        if report.stale or len(report.of("changed")) < len(report.differences):
            out.write("\n")
        table(("package", "field", "before", "after"), rows, out)
    if not (report.differences or report.stale):
        out.write("no package differs\n")


def changes_as_table(changes: Iterable[tuple[Package, Package]], out: TextIO) -> None:
    """A row for each field that differs between a package before and after."""
    rows = [[before.name, *field] for before, after in changes for field in _fields(before, after)]
    if rows:
        table(("package", "field", "before", "after"), rows, out)


def _ends(report: Report) -> str:
    first, last = report.start, report.end
    return (
        f"from c{first.number} ({_time(first.when)} UTC) to c{last.number} ({_time(last.when)} UTC)"
    )


def diff_as_markdown(report: Report, out: TextIO) -> None:
    """A page for those who follow the list: what came, what went, what changed, what went stale."""
    first, last = report.days
    out.write(f"# Changes from {first.isoformat()} to {last.isoformat()}\n")
    for kind in ("added", "removed"):
        packages = [(each.after or each.before) for each in report.of(kind)]
        _list(kind.capitalize(), [p for p in packages if p is not None], out)
    _list(f"No update for {_in_words(report.span)} by now", report.stale, out)
    changed = report.of("changed")
    if changed:
        out.write(
            "\n## Changed\n\n| Package | Field | Before | After |\n| --- | --- | --- | --- |\n"
        )
        for each in changed:
            for field in _fields(each.before, each.after):
                out.write(f"| {' | '.join(map(escaped, [_name(each), *field]))} |\n")
    if not (report.differences or report.stale):
        out.write("\nNo package differs.\n")


def _list(title: str, packages: Sequence[Package], out: TextIO) -> None:
    if not packages:
        return
    out.write(f"\n## {title}\n\n")
    for package in packages:
        link = package.repository or package.homepage
        name = f"[{escaped(package.title)}](<{link}>)" if link else escaped(package.title)
        about = f": {escaped(package.description)}" if package.description else ""
        update = package.last_update
        day = f" (last update {update.isoformat()})" if update else ""
        out.write(f"- {name}{day}{about}\n")


def _in_words(span: str) -> str:
    months, time = parse_span(span)
    if months:
        number, unit = (months // 12, "year") if months % 12 == 0 else (months, "month")
    else:
        number, unit = time.days, "day"
    return f"{number} {unit}{'s' * (number != 1)}"
