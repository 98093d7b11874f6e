"""Making columns: values turned round, packages ranked, and all of it written.

There are three places that the values can come from: what was gathered of packages while they were
read (`make`), the trees of a catalog (`of_catalog`), and older columns with what has changed since
(`merged`). Each gives the fields *inverted*, the docids by value; the rest is the same for all.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, compress, count, repeat, tee
from operator import eq, lt, ne, sub
from pathlib import Path
from typing import Any, NamedTuple

from authdb.columns import COLUMNS_FORMAT, DATES, FIELDS, Columns
from authdb.gathering import Gathered
from authdb.sections import Writer

__all__ = ["differences", "make", "merged", "of_catalog", "too_sparse"]

#: What the table of ranks by docid may have at most: so many numbers a package, or so many in all
#: if that is more. Docids of removed packages are not given again, so they can be far apart.
SPREAD, ROOM = 64, 1 << 22


class Inverted(NamedTuple):
    """A field: its values, each once, ascending; the docids of each, ascending, one value's after
    the other's; and where those of each value begin (and the last ones end)."""

    values: Sequence[Any]
    docids: Sequence[int]
    starts: Sequence[int]


class Source(NamedTuple):
    """What columns are made of: all docids, ascending; each of `FIELDS`; and, given the docids in
    the order of their ranks, the docids of each category and the rows (None for no rows).

    Bitmaps are made in half the time of docids that come in that order.
    """

    docids: Sequence[int]
    fields: Mapping[str, Inverted]
    categories: Callable[[Sequence[int]], Mapping[str, Sequence[int]]]
    rows: Callable[[Sequence[int]], Iterable[bytes | bytearray]] | None


def too_sparse(docids: Sequence[int]) -> bool:
    """Whether ``docids``, ascending, are so far apart that there are no columns of them."""
    return bool(docids) and docids[-1] > max(SPREAD * len(docids), ROOM)


# -- out of what was gathered ----------------------------------------------------------------


def make(path: Path | None, gathered: Gathered, mark: Mapping[str, Any]) -> Columns | None:
    """Make the columns of what was gathered.

    :param path: the file, which is there afterwards, whole and on disk; None for columns in memory
    :param mark: ``uuid``, ``generation`` and ``token`` of the state that they show
    :returns: them; None, and no file, where the docids are `too_sparse`
    :raises OSError: it cannot be written; then nothing is left of it
    """
    if too_sparse(gathered.docids):
        return None
    docids = list(gathered.docids)
    places = _by_docid(docids)

    def categories(ranked: Sequence[int]) -> Mapping[str, Sequence[int]]:
        of_each = map(gathered.categories.__getitem__, map(places.__getitem__, ranked))
        return _postings(ranked, of_each)

    def rows(ranked: Sequence[int]) -> Iterable[bytes | bytearray]:
        return gathered.rows.several(map(places.__getitem__, ranked))

    return _write(path, Source(docids, _fields(docids, gathered), categories, rows), mark)


def _fields(docids: Sequence[int], gathered: Gathered) -> dict[str, Inverted]:
    fields = {name: _joined(_by_value(docids, gathered.dates[name], 0)) for name in DATES}
    fields["license"] = _joined(_by_value(docids, gathered.licenses, None))
    by_name = gathered.by_name()
    fields["name"] = Inverted(
        list(map(gathered.names.__getitem__, by_name)),
        array("i", map(docids.__getitem__, by_name)),
        range(len(docids) + 1),
    )
    return fields


def _by_value(docids: Iterable[int], values: Iterable[Any], missing: Any) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for docid, value in zip(docids, values, strict=True):
        if value in found:
            found[value].append(docid)
        else:
            found[value] = [docid]
    found.pop(missing, None)
    return found


def _postings(
    docids: Iterable[int], of_each: Iterable[tuple[str, ...]]
) -> dict[str, Sequence[int]]:
    """The docids of each category; of each combination first, for there are few."""
    found: dict[str, list[int]] = {}
    for combination, those in _by_value(docids, of_each, ()).items():
        for category in combination:
            found.setdefault(category, []).extend(those)
    return dict(found)


def _joined(by_value: Mapping[Any, Sequence[int]]) -> Inverted:
    values = sorted(by_value)
    lists = [by_value[value] for value in values]
    starts = array("i", accumulate(map(len, lists), initial=0))
    return Inverted(values, array("i", chain.from_iterable(lists)), starts)


def _named(names: Iterable[str], docids: Iterable[int]) -> Inverted:
    """The field of the names, of which each is one package's."""
    by_name = dict(zip(names, docids, strict=True))
    ordered = sorted(by_name)
    of_each = array("i", map(by_name.__getitem__, ordered))
    return Inverted(ordered, of_each, range(len(ordered) + 1))


# -- out of the trees of a catalog -----------------------------------------------------------


def of_catalog(catalog: Any, mark: Mapping[str, Any]) -> Columns | None:
    """Make columns, in memory and without rows, of what a catalog holds.

    :param mark: see `make`
    :returns: them; None where the docids are `too_sparse`
    :raises DatabaseDamaged: the catalog cannot be read
    """
    docids = list(catalog.docids())
    if too_sparse(docids):
        return None
    fields = {
        name: _joined({value: list(those) for value, those in catalog[name]._fwd_index.items()})
        for name in FIELDS
    }
    postings = {
        category: list(those) for category, those in catalog["categories"]._fwd_index.items()
    }
    return _write(None, Source(docids, fields, lambda ranked: postings, None), mark)


# -- out of older columns --------------------------------------------------------------------


def merged(
    path: Path | None, old: Columns, changed: Gathered, mark: Mapping[str, Any]
) -> Columns | None:
    """Make columns of older ones: of what is `dirty` in them only ``changed`` counts, the rest is
    as it was.

    :param changed: the packages among those in ``old.dirty`` that there are now
    :param mark: see `make`
    :returns: see `make`
    :raises SectionDamaged: the older ones are not what they were
    :raises OSError: see `make`
    """
    dirty, added = old.dirty, list(changed.docids)
    kept = [d for d, rank in enumerate(old.ranks) if rank >= 0 and d not in dirty]
    docids = sorted([*kept, *added])
    if too_sparse(docids):
        return None
    new = _fields(added, changed)
    fields = {name: _mixed(_inverted(old, name), dirty, new[name]) for name in FIELDS}
    postings = {
        category: list(map(old.docids.__getitem__, old.bitmap("categories", category) - old.masked))
        for category in old.keywords("categories")
    }
    for category, those in _postings(added, changed.categories).items():
        postings.setdefault(category, []).extend(those)
    postings = {category: those for category, those in postings.items() if those}
    rows = _rows_of_both(old, changed) if old.has_rows else None
    return _write(path, Source(docids, fields, lambda ranked: postings, rows), mark)


def _inverted(old: Columns, name: str) -> Inverted:
    docids = array("i", map(old.docids.__getitem__, old.order(name)))
    return Inverted(old.values(name), docids, old.starts(name))


def _mixed(old: Inverted, dirty: frozenset[int], new: Inverted) -> Inverted:
    """A field of the old ones that are not dirty, and of the new ones."""
    if isinstance(old.starts, range):  # the names
        clean = [docid not in dirty for docid in old.docids]
        return _named(
            chain(compress(old.values, clean), new.values),
            chain(compress(old.docids, clean), new.docids),
        )
    by_value = {}
    for value, those in _each(old):
        left = [docid for docid in those if docid not in dirty]
        if left:
            by_value[value] = left
    for value, those in _each(new):
        by_value[value] = sorted([*by_value.get(value, ()), *those])
    return _joined(by_value)


def _each(field: Inverted) -> Iterator[tuple[Any, Sequence[int]]]:
    """Each value and its docids."""
    for number, value in enumerate(field.values):
        yield value, field.docids[field.starts[number] : field.starts[number + 1]]


def _rows_of_both(old: Columns, changed: Gathered) -> Callable[[Sequence[int]], Iterator[bytes]]:
    places = {docid: place for place, docid in enumerate(changed.docids)}

    def rows_of(ranked: Sequence[int]) -> Iterator[bytes]:
        ranks = old.ranks
        for start in range(0, len(ranked), 1000):
            some = ranked[start : start + 1000]
            kept = iter(old.row_texts([ranks[d] for d in some if d not in places]))
            for docid in some:
                yield changed.rows[places[docid]] if docid in places else next(kept)

    return rows_of


# -- writing ---------------------------------------------------------------------------------


def _by_docid(docids: Sequence[int]) -> array[int]:
    """For each docid its position in ``docids``; -1 for those that are not in there."""
    places = array("i", (-1,)) * (max(docids, default=-1) + 1)
    for place, docid in enumerate(docids):
        places[docid] = place
    return places


def _write(path: Path | None, source: Source, mark: Mapping[str, Any]) -> Columns | None:
    dated = _by_docid(source.fields["last_update"].docids)
    end = len(dated)
    ranked = array("i", source.fields["last_update"].docids)
    ranked.extend([docid for docid in source.docids if docid >= end or dated[docid] < 0])
    del dated
    ranks = _by_docid(ranked)
    with Writer(path) as out:
        out.add("docids", ranked)
        out.add("ranks", ranks)
        for name in FIELDS:
            _write_field(out, name, source.fields[name], ranks, len(ranked))
        _write_keywords(out, "categories", source.categories(ranked), ranks)
        _write_keywords(out, "license", dict(_each(source.fields["license"])), ranks)
        if source.rows is not None:
            out.add_pieces("rows", source.rows(ranked))
        about = {key: str(mark[key]) for key in ("uuid", "generation", "token")}
        about |= {"format": str(COLUMNS_FORMAT), "size": str(len(ranked))}
        return Columns(out.finish(about))


def _write_field(out: Writer, name: str, field: Inverted, ranks: array[int], size: int) -> None:
    starts = field.starts
    order = array("i", map(ranks.__getitem__, field.docids))
    counts = map(sub, starts[1:], starts)
    numbers = array("i", chain.from_iterable(map(repeat, count(), counts)))
    group = array("i", (len(field.values),)) * size
    if name == "last_update":  # by which packages are ranked
        group[: len(numbers)] = numbers
    else:
        for rank, number in zip(order, numbers, strict=True):
            group[rank] = number
    out.add(f"{name}.group", group)
    if name != "last_update":
        out.add(f"{name}.order", order)
    if name != "name":
        out.add(f"{name}.starts", array("i", starts))
    if name in DATES:
        out.add(f"{name}.values", array("i", field.values))
    else:
        out.add_texts(f"{name}.values", field.values)


def _write_keywords(
    out: Writer, name: str, postings: Mapping[str, Sequence[int]], ranks: array[int]
) -> None:
    from pyroaring import BitMap

    keywords = sorted(postings)
    out.add_texts(f"{name}.keywords", keywords)
    out.add(f"{name}.counts", array("i", (len(postings[keyword]) for keyword in keywords)))
    of_each = (
        BitMap(array("I", map(ranks.__getitem__, postings[keyword]))) for keyword in keywords
    )
    out.add_pieces(f"{name}.bitmaps", (bitmap.serialize() for bitmap in of_each))


# -- checking --------------------------------------------------------------------------------


def differences(columns: Columns, gathered: Gathered) -> Iterator[str]:
    """What columns say otherwise than the packages do, in words; nothing if all is well.

    :param gathered: what there is of all packages; of those that are dirty nothing is compared
    :raises SectionDamaged: the columns are not what was written
    """
    columns.verify()
    clean = [docid not in columns.dirty for docid in gathered.docids]
    docids = array("i", compress(gathered.docids, clean))
    if (
        array("i", sorted(docid for docid in columns.docids if docid not in columns.dirty))
        != docids
    ):
        yield "they are of other packages"
        return
    ranks = array("i", map(columns.ranks.__getitem__, docids))
    if any(map(ne, map(columns.docids.__getitem__, ranks), docids)):
        yield "docids and ranks don't fit each other"
        return
    days = array("i", bytes(4 * len(columns.docids)))
    for rank, day in zip(ranks, compress(gathered.dates["last_update"], clean), strict=True):
        days[rank] = day or _NEVER
    if not _ascend(pair for pair in zip(days, columns.docids, strict=True) if pair[0]):
        yield "the ranks are not in the order of last_update"
    of_fields: dict[str, tuple[Iterable[Any], Any]] = {
        name: (gathered.dates[name], 0) for name in DATES
    }
    of_fields |= {"name": (gathered.names, None), "license": (gathered.licenses, None)}
    for name, (values, missing) in of_fields.items():
        if not _is_right(columns, name, ranks, compress(values, clean), missing):
            yield f"{name} differs"
    yield from _wrong_keywords(columns, docids, list(compress(gathered.categories, clean)))
    rows = chain.from_iterable(
        columns.row_texts(ranks[start : start + 1000]) for start in range(0, len(ranks), 1000)
    )
    if columns.has_rows and any(map(ne, rows, gathered.rows.several(compress(count(), clean)))):
        yield "rows differ"


_NEVER = 1 << 30


def _ascend(keys: Iterable[tuple[int, int]]) -> bool:
    """Whether each is greater than the one before it."""
    ones, others = tee(keys)
    next(others, None)
    return all(map(lt, ones, others))


def _is_right(
    columns: Columns, name: str, ranks: Sequence[int], values: Iterable[Any], missing: Any
) -> bool:
    """Whether the values of a field are these, and its order is that of the values."""
    known, group, order = columns.values(name), columns.group(name), columns.order(name)
    texts = [*known, missing]
    if any(texts[group[rank]] != value for rank, value in zip(ranks, values, strict=True)):
        return False
    counts = list(map(sub, columns.starts(name)[1:], columns.starts(name)))
    groups = chain.from_iterable(map(repeat, count(), counts))
    return (
        all(map(lt, known[:-1], known[1:]))
        and _ascend((group[rank], columns.docids[rank]) for rank in order)
        and len(order) == sum(counts) == sum(1 for number in group if number < len(known))
        and all(map(eq, map(group.__getitem__, order), groups))
    )


def _wrong_keywords(
    columns: Columns, docids: Sequence[int], categories: Sequence[tuple[str, ...]]
) -> Iterator[str]:
    right = _postings(docids, categories)
    for category in {*right, *columns.keywords("categories")}:
        ranked = columns.bitmap("categories", category)
        those = set(map(columns.docids.__getitem__, ranked)) - columns.dirty
        if those != set(right.get(category, ())):
            yield f"the category {category} differs"
        if len(ranked) != columns.count("categories", category):
            yield f"the number of packages of the category {category} differs"
    values, starts = columns.values("license"), columns.starts("license")
    for place, license_ in enumerate(values):
        run = columns.run_bitmap("license", starts[place], starts[place + 1])
        if columns.bitmap("license", license_) != run:
            yield f"the licence {license_} differs"
