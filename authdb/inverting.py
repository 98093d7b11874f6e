"""The trees of indexes of values, field and keyword indexes, bottom-up: of all but the texts."""

from __future__ import annotations

import pickle
import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice
from operator import eq, not_
from typing import Any, NamedTuple

from BTrees import family32

from authdb.bulk import Ref, Sink, record, tree
from authdb.gathering import DATES, Values

__all__ = ["VALUES", "Trees", "most_records", "write_names", "write_values"]

#: The fields whose trees `write_values` writes.
VALUES = ("license", "categories", *DATES)

_IFTreeSet, _OOBTree, _IOBTree = family32.IF.TreeSet, family32.OO.BTree, family32.IO.BTree

#: What stands in a column where there is no value.
_NOTHING = frozenset({None, 0})


class Trees(NamedTuple):
    """What was written of an index: its tree of posting lists, that of the values, the set of the
    documents without a value; and of how many documents it has one."""

    forward: Ref
    reverse: Ref
    missing: Ref
    documents: int


def write_values(sink: Sink, values: Values) -> dict[str, Trees]:
    """Write the trees of each of `VALUES`."""
    docids = values.docids
    return {
        "license": _field(sink, docids, values.licenses),
        "categories": _keywords(sink, docids, values.categories),
        **{field: _field(sink, docids, values.dates[field]) for field in DATES},
    }


def most_records(values: Values) -> int:
    """How many records `write_values` writes at most."""
    columns: Iterable[Iterable[Any]] = (values.licenses, *values.dates.values())
    most = sum(_most(len(values), len(set(column)), len(values)) for column in columns)
    keywords = sum(map(len, values.categories))
    combinations = set(values.categories)
    several = len(set(chain.from_iterable(combinations)))
    return most + _most(len(values), several, keywords) + len(combinations)


def _most(count: int, entries: int, postings: int) -> int:
    """How many records an index has at most, of so many documents and posting lists, which have so
    many docids in all."""
    # All leaves are full, with 30 entries or more of the forward tree, 60 of the others, or 120
    # docids, and there are fewer nodes than leaves. A posting list of one leaf is one record; of
    # those that are longer, three for the rounding.
    return (
        entries + 2 * (entries // 30 + count // 60 + postings // 120) + 3 * (postings // 120) + 20
    )


def write_names(
    sink: Sink, docids: Sequence[int], names: Sequence[str], order: Sequence[int]
) -> Trees:
    """Write the trees of the names.

    :param order: the places in ``names`` in the order of these
    """
    ascending = [names[place] for place in order]
    if any(map(eq, ascending, islice(ascending, 1, None))):
        return _field(sink, docids, names)
    # Of names that all differ, each posting list has one docid.
    sets = sink.store_all(_singles(docids[place] for place in order))
    postings = ((name, Ref(oid, _IFTreeSet)) for name, oid in zip(ascending, sets, strict=True))
    return Trees(
        tree(sink, _OOBTree, postings),
        tree(sink, _IOBTree, zip(docids, names, strict=True)),
        tree(sink, _IFTreeSet, ()),
        len(docids),
    )


def _field(sink: Sink, docids: Sequence[int], values: Sequence[Any]) -> Trees:
    """An index of one value a document; None, or 0, where there is none."""
    postings: dict[Any, array[int]] = defaultdict(_docids)
    for docid, value in zip(docids, values, strict=True):
        postings[value].append(docid)
    missing = [docid for nothing in _NOTHING for docid in postings.pop(nothing, ())]
    known: Iterable[Any] = zip(docids, values, strict=True)
    if missing:
        known = compress(known, map(not_, map(_NOTHING.__contains__, values)))
    return Trees(
        tree(sink, _OOBTree, _posted(sink, postings)),
        tree(sink, _IOBTree, known),
        tree(sink, _IFTreeSet, missing),
        len(docids) - len(missing),
    )


def _keywords(sink: Sink, docids: Sequence[int], values: Sequence[tuple[str, ...]]) -> Trees:
    """An index of several values a document."""
    postings: dict[str, array[int]] = defaultdict(_docids)
    missing = array("i")
    for docid, keywords in zip(docids, values, strict=True):
        for keyword in keywords:
            postings[keyword].append(docid)
        if not keywords:
            missing.append(docid)
    # Those of equal keywords share a set, since the index only ever puts another in its place.
    kind = family32.OO.Set
    sets = {some: tree(sink, kind, some) for some in sorted(set(values)) if some}
    known = zip(docids, map(sets.get, values), strict=True)
    return Trees(
        # All trees, also the small ones: see `KeywordIndex.tree_threshold`.
        tree(sink, _OOBTree, _posted(sink, postings)),
        tree(sink, _IOBTree, compress(known, values) if missing else known),
        tree(sink, _IFTreeSet, missing),
        len(docids) - len(missing),
    )


def _posted(sink: Sink, postings: Mapping[Any, Iterable[int]]) -> Iterator[tuple[Any, Ref]]:
    """The posting lists, written as they are taken, in the order of their values."""
    for value in sorted(postings):
        yield value, tree(sink, _IFTreeSet, postings[value])


def _docids() -> array[int]:
    return array("i")


def _singles(docids: Iterable[int]) -> Iterator[bytes]:
    """The records of sets of one docid each."""
    # One that was pickled, with other numbers in its place: a tenth of the time.
    number = struct.Struct("<i")
    before, after = record(_IFTreeSet, ((((_ANY,),),),)).split(pickle.BININT + number.pack(_ANY))
    before += pickle.BININT
    for docid in docids:
        yield before + number.pack(docid) + after


#: A docid that takes four bytes in a pickle, and that no pickle has by chance.
_ANY = 0x7A5B3C1D
