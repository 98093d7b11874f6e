"""Many packages indexed at once: what is to change in a tree is put together first, and sorted.

One by one, each package is searched for in every tree of every index, and each posting list that
it is in is pickled anew: half a millisecond. Here each record of a tree is read and written once
(see `authdb.grafting`). What comes out is what indexing one by one gives.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Set
from functools import lru_cache
from operator import methodcaller
from typing import Any

from BTrees.IFBTree import IFBTree, IFTreeSet
from BTrees.OOBTree import OOSet
from zope.index.text.widcode import decode, encode

from authdb.bulk import record
from authdb.gathering import last_update
from authdb.grafting import Graft
from authdb.indexes import KeywordIndex, TextIndex
from authdb.nodes import shape
from authdb.splicing import item, items_of
from authdb.vocabulary import Vocabulary

__all__ = ["State", "index_all"]

#: A package's fields in their stored forms.
State = Mapping[str, Any]
#: What is to be indexed, by docid, ascending; None where there is nothing.
Values = Mapping[int, Any]

#: More than any docid.
_NEVER = 2**31


def index_all(
    graft: Graft,
    catalog: Any,
    edits: Mapping[int, tuple[State | None, State]],
    first: int = _NEVER,
) -> None:
    """Index packages as ``catalog.reindex_doc`` does each of them, in what has changed of them.

    :param graft: of the catalog's database; none of the catalog's trees may have been changed in
        the open transaction, nor indexed by this graft before
    :param edits: by docid, ascending, the state that is indexed (None where there is none, or it
        is not known), and the one that is to be
    :param first: from this docid on they are new to the catalog, and behind all in there
    """
    known = {docid: states for docid, states in edits.items() if docid < first}
    new = {docid: after for docid, (_, after) in edits.items() if docid >= first}
    items = {docid: item(docid) for docid in new}
    for name, index in catalog.items():
        read = _reader(name)
        changed, had = {}, set()
        for docid, (before, after) in known.items():
            old, value = None if before is None else read(before), read(after)
            if before is None or old != value:
                changed[docid] = value
                if old:
                    had.add(docid)
        if changed or new:
            come = {docid: read(after) for docid, after in new.items()}
            _index(graft, index, _values(index, changed), had, _values(index, come), items)


def _index(
    graft: Graft,
    index: Any,
    values: Values,
    had: Set[int],
    new: Values,
    items: Mapping[int, bytes],
) -> None:
    """Index ``values``, and those of ``new`` documents, whose docids are pickled in ``items``.

    :param had: those documents of ``values`` that are known to have one now
    """
    there = {docid: value for docid, value in new.items() if value is not None}
    if isinstance(index, TextIndex):
        _text(graft, index, values, there, items)
    elif isinstance(index, KeywordIndex):
        _keywords(graft, index, values, there, items)
    else:
        _field(graft, index, values, there, items)
    missing = {
        docid: True if value is None else None
        for docid, value in values.items()
        if value is None or docid not in had
    }
    missing |= {docid: True for docid, value in new.items() if value is None}
    _merge(graft, index._not_indexed, missing)


def _reader(name: str) -> Any:
    """What gives the value of a field of a state."""
    return last_update if name == "last_update" else methodcaller("get", name)


def _merge(graft: Graft, tree: Any, changes: Mapping[Any, Any], *args: Any) -> None:
    if changes:
        graft.merge(tree._p_oid, type(tree), changes, *args)


def _count_on(length: Any, more: int) -> None:
    """Change a count, which would be written again if it were changed by nothing."""
    if more:
        length.change(more)


def _values(index: Any, found: Mapping[int, Any]) -> Values:
    """What ``index`` makes of the values of packages."""
    convert = index.convert
    # Many a day is that of many packages, but few texts are.
    if len(found) > 1 and not isinstance(index, TextIndex):
        convert = lru_cache(10_000)(convert)
    return {docid: None if value is None else convert(value) for docid, value in found.items()}


class _Postings:
    """Which documents come to the posting lists of an index, and which go.

    :param kind: that of the posting lists: a set of docids, or a tree of counts by docid
    :param few: up to so many documents are a dict within the leaf, not a tree

    Attributes: ``new``, entry -> the `item` of each new document, ascending; ``changed``, entry ->
    docid -> what comes in place (True, or a count; None for nothing), of those that were there.
    """

    def __init__(self, graft: Graft, kind: Any, few: int = 0) -> None:
        self._graft, self._kind, self._few = graft, kind, few
        self._step = shape(kind)[0]
        self.new: dict[Any, list[bytes]] = defaultdict(list)
        self.changed: dict[Any, dict[int, Any]] = {}

    def write(self, tree: Any) -> int:
        """Change the posting lists, which are values of ``tree``; how many more there are."""
        self._more = 0
        entries = dict.fromkeys(sorted(self.changed.keys() | self.new.keys()), True)
        _merge(self._graft, tree, entries, self._become, self._kind)
        return self._more

    def _become(self, entry: Any, old: Any, _: Any) -> Any:
        """What a posting list becomes: see `authdb.grafting.Combine`."""
        change, come = self.changed.get(entry), self.new.get(entry, ())
        if not change:
            if type(old) is bytes:
                self._graft.append(old, self._kind, come)
                return old
            if old is None and len(come) > self._few:
                self._more += 1
                return self._graft.new(self._kind, come)
        new = self._changed(old, {**(change or {}), **items_of(come, self._step)})
        self._more += (new is not None) - (old is not None)
        return new

    def _changed(self, old: Any, change: dict[int, Any]) -> Any:
        graft, kind = self._graft, self._kind
        if type(old) is bytes:
            return old if graft.merge(old, kind, change) else None
        left = {**old, **change} if old else change
        if None in left.values():
            left = {docid: count for docid, count in left.items() if count is not None}
        if len(left) <= self._few or not left:  # as zope.index does it
            return left or None
        counts = sorted(left.items())
        return graft.new(
            kind, [item(docid, None if count is True else count) for docid, count in counts]
        )


def _field(
    graft: Graft, index: Any, values: Values, new: Values, items: Mapping[int, bytes]
) -> None:
    postings = _Postings(graft, IFTreeSet)
    more = len(new)

    def moved(docid: int, old: Any, new: Any) -> Any:
        nonlocal more
        if old == new:
            return old
        more += (new is not None) - (old is not None)
        if old is not None:
            postings.changed.setdefault(old, {})[docid] = None
        if new is not None:
            postings.changed.setdefault(new, {})[docid] = True
        return new

    _merge(graft, index._rev_index, values, moved)
    _merge(graft, index._rev_index, new)
    for docid, value in new.items():
        postings.new[value].append(items[docid])
    postings.write(index._fwd_index)
    _count_on(index._num_docs, more)


def _keywords(
    graft: Graft, index: Any, values: Values, new: Values, items: Mapping[int, bytes]
) -> None:
    postings = _Postings(graft, IFTreeSet)
    more = len(new)
    sets = _Sets(graft)

    def moved(docid: int, old: Any, new: Any) -> Any:
        nonlocal more
        before = () if old is None else sets.read(old)
        after = () if new is None else tuple(sorted(set(new)))
        if before == after:
            return old
        more += (new is not None) - (old is not None)
        for keyword in set(before).difference(after):
            postings.changed.setdefault(keyword, {})[docid] = None
        for keyword in set(after).difference(before):
            postings.changed.setdefault(keyword, {})[docid] = True
        return sets[after] if after else None

    _merge(graft, index._rev_index, values, moved, OOSet)
    keywords = {docid: tuple(sorted(set(value))) for docid, value in new.items()}
    held = {docid: sets[value] for docid, value in keywords.items()}
    _merge(graft, index._rev_index, held, None, OOSet)
    for docid, value in keywords.items():
        for keyword in value:
            postings.new[keyword].append(items[docid])
    postings.write(index._fwd_index)
    _count_on(index._num_docs, more)


class _Sets(dict[tuple[str, ...], bytes]):
    """keywords -> the oid of a new set of them: one for all documents, since zope.index never
    changes such a set."""

    def __init__(self, graft: Graft) -> None:
        self._graft = graft
        self._read: dict[bytes, tuple[str, ...]] = {}

    def __missing__(self, keywords: tuple[str, ...]) -> bytes:
        oid = self[keywords] = self._graft.add(record(OOSet, (keywords,)))
        return oid

    def read(self, oid: bytes) -> tuple[str, ...]:
        """The keywords in a set that there is."""
        if oid not in self._read:
            self._read[oid] = self._graft.state(oid)[0]
        return self._read[oid]


def _text(
    graft: Graft, index: Any, values: Values, new: Values, items: Mapping[int, bytes]
) -> None:
    okapi, words = index.index, Vocabulary(graft, index.lexicon)
    postings = _Postings(graft, IFBTree, okapi.DICT_CUTOFF)
    texts = words.wids({docid: text for docid, text in values.items() if text is not None})
    codes = dict.fromkeys(values) | {docid: encode(wids) for docid, wids in texts.items()}
    lengths: dict[int, int | None] = {}
    new_codes, new_lengths = words.take(new, items)
    postings.new = words.postings()
    words.write()
    documents, length = len(new), sum(new_lengths.values())

    def moved(docid: int, old: str | None, new: str | None) -> Any:
        nonlocal documents, length
        if old == new:
            return old
        was = [] if old is None else decode(old)
        now = texts.get(docid, [])
        lengths[docid] = None if new is None else len(now)
        documents += (new is not None) - (old is not None)
        length += len(now) - len(was)
        _count(postings.changed, docid, was, now)
        return new

    _merge(graft, okapi._docwords, codes, moved)
    _merge(graft, okapi._docwords, new_codes)
    _merge(graft, okapi._docweight, lengths)
    _merge(graft, okapi._docweight, new_lengths)
    _count_on(okapi.documentCount, documents)
    _count_on(okapi._totaldoclen, length)
    _count_on(okapi.wordCount, postings.write(okapi._wordinfo))


def _count(
    postings: dict[int, dict[int, int | None]], docid: int, was: list[int], now: list[int]
) -> None:
    """Note for each word in which a document has come to differ how often it is in there now."""
    before, after = Counter(was), Counter(now)
    for wid in before.keys() | after.keys():
        if before[wid] != after[wid]:
            postings.setdefault(wid, {})[docid] = after[wid] or None
