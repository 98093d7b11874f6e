"""Packages -> text, one package after the other.

What is written as JSON, NDJSON, CSV, TSV, YAML or TOML is read back by `authdb.loaders` as the
same packages. Markdown is for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TextIO

from authdb.columns import Row
from authdb.exceptions import AuthDBError, nearest, shown
from authdb.fields import kinds, plain
from authdb.gathering import ROW_FIELDS
from authdb.models import FIELDS, Package

__all__ = ["FORMATS", "escaped", "write"]


def write(
    packages: Iterable[Package | Row],
    format: str,  # noqa: A002 - it is the word for it
    out: TextIO,
    fields: Sequence[str] | None = None,
) -> None:
    """Write packages.

    :param packages: read one at a time; where ``fields`` are all `authdb.gathering.ROW_FIELDS`,
        rows will do
    :param format: one of `FORMATS`
    :param out: takes any character, so it is UTF-8 or kept in memory. A file is opened with
        ``newline=""`` for CSV and TSV
    :param fields: which fields, in this order. A field that is not known is then null in JSON,
        NDJSON and YAML (or empty, where there may be several values), empty in a table and left
        out of TOML, which has no null. None for all:
        those that are known, in objects; every column, in CSV and TSV; every column but the
        structured ones (such as releases and sources), in Markdown
    :raises AuthDBError: an unknown format or field, a field twice, or none at all
    """
    writer = _WRITERS.get(format)
    if writer is None:
        raise AuthDBError(
            f"no format is called {shown(format)}{nearest(str(format), FORMATS)}: "
            f"it is one of {', '.join(FORMATS)}"
        )
    for text in writer(packages, None if fields is None else _checked(fields)):
        out.write(text)


def _checked(fields: Sequence[str]) -> list[str]:
    for name in fields:
        if name not in FIELDS:
            raise AuthDBError(f"there is no field {shown(name)}{nearest(str(name), FIELDS)}")
        if list(fields).count(name) > 1:
            raise AuthDBError(f"the field {name!r} is asked for twice: name it once")
    if not fields:
        raise AuthDBError("no field is asked for: name at least one")
    return list(fields)


_Texts = Iterator[str]
_Packages = Iterable[Package | Row]
_Names = list[str] | None


def _known(package: Package | Row) -> dict[str, Any]:
    """The known fields."""
    if isinstance(package, Row):
        return {name: value for name in ROW_FIELDS if (value := getattr(package, name))}
    return dict(package.values())


def _record(package: Package | Row, fields: _Names) -> dict[str, Any]:
    """The package as JSON holds it: the known fields, or just those that are asked for."""
    record = {name: plain(value) for name, value in _known(package).items()}
    if fields is None:
        return record
    # An empty list or object where there may be several values, so that a reader can go over it.
    return {name: record.get(name, _empty(getattr(package, name), name)) for name in fields}


def _empty(value: Any, name: str) -> Any:
    return value if value is None else {} if name == "sources" else []


# -- objects ---------------------------------------------------------------------------------


def _json(packages: _Packages, fields: _Names) -> _Texts:
    before = "[\n  "
    for package in packages:
        text = json.dumps(_record(package, fields), ensure_ascii=False, indent=2)
        yield before + text.replace("\n", "\n  ")
        before = ",\n  "
    yield "[]\n" if before.startswith("[") else "\n]\n"


def _ndjson(packages: _Packages, fields: _Names) -> _Texts:
    for package in packages:
        yield json.dumps(_record(package, fields), ensure_ascii=False) + "\n"


def _yaml(packages: _Packages, fields: _Names) -> _Texts:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    empty = True
    for package in packages:
        # Lists of one, put one below the other, are one list.
        record = _record(package, fields)
        yield yaml.dump([record], None, dumper, allow_unicode=True, sort_keys=False, width=100)
        empty = False
    if empty:
        yield "[]\n"


def _toml(packages: _Packages, fields: _Names) -> _Texts:
    empty = True
    for package in packages:
        lines = ["[[packages]]" if empty else "\n[[packages]]"]
        empty = False
        known = _known(package)
        for name in fields or FIELDS:
            if name in known:
                lines += _toml_lines(name, known[name])
        yield "\n".join(lines) + "\n"
    if empty:
        yield "packages = []\n"


def _toml_lines(name: str, value: Any) -> _Texts:
    """A field as lines of TOML."""
    if name == "sources":
        for source in value:
            table = {"source": source.source, "seen": source.seen}
            yield f"sources.{_toml_value(source.field)} = {_toml_value(table)}"
    elif name == "releases":
        yield "releases = ["
        for release in value:
            yield f"    {_toml_value(release._asdict())},"
        yield "]"
    elif name == "vulnerabilities":
        yield f"{name} = ["
        for vulnerability in plain(value):
            yield f"    {_toml_value(vulnerability)},"
        yield "]"
    else:
        yield f"{name} = {_toml_value(value)}"


def _toml_value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, date):
        return value.isoformat()
    # What JSON escapes, and how, TOML's basic strings have too. The one character that TOML
    # escapes and JSON does not, U+007F, no field holds.
    return json.dumps(plain(value), ensure_ascii=False)


# -- tables ----------------------------------------------------------------------------------


def _csv(packages: _Packages, fields: _Names, delimiter: str = ",") -> _Texts:
    import csv
    import io

    names = fields or list(FIELDS)
    line = io.StringIO()
    writer = csv.writer(line, delimiter=delimiter, lineterminator="\n")

    def row(cells: Iterable[str]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(cells)
        return line.getvalue()

    yield row(names)
    for package in packages:
        known = _known(package)
        yield row(FIELDS[name].cell(known.get(name)) for name in names)


def _tsv(packages: _Packages, fields: _Names) -> _Texts:
    return _csv(packages, fields, "\t")


def _markdown(packages: _Packages, fields: _Names) -> _Texts:
    names = fields or [name for name, field in FIELDS.items() if not field.structured]
    yield f"| {' | '.join(map(escaped, names))} |\n"
    yield f"|{'---|' * len(names)}\n"
    for package in packages:
        known = _known(package)
        yield f"| {' | '.join(_cell(name, known.get(name)) for name in names)} |\n"


def _cell(name: str, value: Any) -> str:
    field = FIELDS[name]
    text = field.cell(value)
    # A link has no character that could end it, and would not survive backslashes.
    return f"<{text}>" if text and field.kind is kinds.URL else escaped(text)


# What Markdown, as GitHub reads it, sees more in than a character. Colons and dots only where
# they make a link of an address in the midst of a text.
_ACTIVE = re.compile(r"[\\`*_{}\[\]<>|&~$]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def escaped(text: str) -> str:
    """``text`` for the cell of a table in Markdown, where it shows as it was typed."""
    return _ACTIVE.sub(r"\\\g<0>", text).replace("\n", "<br>")


_WRITERS: Mapping[str, Callable[[_Packages, _Names], _Texts]] = {
    "json": _json,
    "ndjson": _ndjson,
    "csv": _csv,
    "tsv": _tsv,
    "yaml": _yaml,
    "toml": _toml,
    "markdown": _markdown,
}

#: The formats there are.
FORMATS: tuple[str, ...] = tuple(_WRITERS)
