"""Many packages indexed at once: what is to change in a tree is put together first, and sorted.

One by one, each package is searched for in every tree of every index, and each posting list that
it is in is pickled anew: half a millisecond. Here each record of a tree is read and written once
(see `authdb.grafting`). What comes out is what indexing one by one gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
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
from authdb.wording import words_of

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
    for name, index in catalog.items():
        read = _reader(name)
        changed: dict[int, tuple[Any, Any]] = {}
        for docid, (before, after) in edits.items():
            old, new = None if before is None else read(before), read(after)
            if before is None or old != new:
                changed[docid] = old, new
        if changed:
            had = {docid for docid, (old, _) in changed.items() if old}
            _index(graft, index, _values(index, changed), had, first)


def _index(graft: Graft, index: Any, values: Values, had: Set[int], first: int) -> None:
    """Index ``values``; the documents of ``had`` are known to have one now."""
    if isinstance(index, TextIndex):
        _text(graft, index, values, first)
    elif isinstance(index, KeywordIndex):
        _keywords(graft, index, values, first)
    else:
        _field(graft, index, values, first)
    missing = {
        docid: True if value is None else None
        for docid, value in values.items()
        if value is None or docid not in had
    }
    if missing:
        _merge(graft, index._not_indexed, missing)


def _reader(name: str) -> Any:
    """What gives the value of a field of a state."""
    return last_update if name == "last_update" else methodcaller("get", name)


def _merge(graft: Graft, tree: Any, *args: Any) -> None:
    graft.merge(tree._p_oid, type(tree), *args)


def _values(index: Any, changed: Mapping[int, tuple[Any, Any]]) -> Values:
    """What ``index`` makes of the new values of packages."""
    convert = lru_cache(10_000)(index.convert)  # many a day is that of many packages
    return {docid: None if new is None else convert(new) for docid, (_, new) in changed.items()}


def _count_on(length: Any, more: int) -> None:
    """Change a count, which would be written again if it were changed by nothing."""
    if more:
        length.change(more)


class _Moves:
    """Which documents come to the entries of an index, and which go."""

    def __init__(self, first: int) -> None:
        self._first = first
        self.entries: dict[Any, dict[int, Any]] = {}
        self.documents = 0  # how many more there are

    def count(self, old: Any, new: Any) -> None:
        self.documents += (new is not None) - (old is not None)

    def go(self, docid: int, entries: Iterable[Any]) -> None:
        for entry in entries:
            self.entries.setdefault(entry, {})[docid] = None

    def come(self, docid: int, entries: Iterable[Any]) -> None:
        for entry in entries:
            self.entries.setdefault(entry, {})[docid] = True

    def carry_out(self, graft: Graft, index: Any) -> None:
        def moved(entry: Any, old: bytes | None, change: dict[int, Any]) -> Any:
            if old is None:
                come = {docid: True for docid, is_in in change.items() if is_in}
                return graft.new(IFTreeSet, come) if come else None
            if next(iter(change)) >= self._first:
                graft.append(old, IFTreeSet, change)
                return old
            return old if graft.merge(old, IFTreeSet, change) else None

        _merge(graft, index._fwd_index, dict(sorted(self.entries.items())), moved, IFTreeSet)
        _count_on(index._num_docs, self.documents)


def _field(graft: Graft, index: Any, values: Values, first: int) -> None:
    moves = _Moves(first)

    def moved(docid: int, old: Any, new: Any) -> Any:
        if old == new:
            return old
        moves.count(old, new)
        if old is not None:
            moves.go(docid, (old,))
        if new is not None:
            moves.come(docid, (new,))
        return new

    _merge(graft, index._rev_index, values, moved)
    moves.carry_out(graft, index)


def _keywords(graft: Graft, index: Any, values: Values, first: int) -> None:
    moves = _Moves(first)
    shared: dict[tuple[str, ...], bytes] = {}
    known: dict[bytes, tuple[str, ...]] = {}

    def keywords(old: bytes) -> tuple[str, ...]:
        if old not in known:
            known[old] = graft.state(old)[0]
        return known[old]

    def moved(docid: int, old: Any, new: Any) -> Any:
        before = () if old is None else keywords(old)
        after = () if new is None else tuple(sorted(set(new)))
        if before == after:
            return old
        moves.count(old, new)
        moves.go(docid, set(before).difference(after))
        moves.come(docid, set(after).difference(before))
        if not after:
            return None
        if after not in shared:
            # One for all documents of these keywords: zope.index never changes such a set.
            shared[after] = graft.add(record(OOSet, (after,)))
        return shared[after]

    _merge(graft, index._rev_index, values, moved, OOSet)
    moves.carry_out(graft, index)


def _text(graft: Graft, index: Any, values: Values, first: int) -> None:
    okapi = index.index
    words = _Words(graft, index.lexicon)
    texts = {docid: words.wids(text) for docid, text in values.items() if text is not None}
    words.write()
    codes = dict.fromkeys(values) | {docid: encode(wids) for docid, wids in texts.items()}
    postings: dict[int, dict[int, int | None]] = {}
    lengths: dict[int, int | None] = {}
    documents = length = 0

    def moved(docid: int, old: str | None, new: str | None) -> Any:
        nonlocal documents, length
        if old == new:
            return old
        was = [] if old is None else decode(old)
        now = texts.get(docid, [])
        lengths[docid] = None if new is None else len(now)
        documents += (new is not None) - (old is not None)
        length += len(now) - len(was)
        _count(postings, docid, was, now)
        return new

    _merge(graft, okapi._docwords, codes, moved)
    _merge(graft, okapi._docweight, lengths)
    _count_on(okapi.documentCount, documents)
    _count_on(okapi._totaldoclen, length)
    changes = {wid: posting for wid, posting in sorted(postings.items()) if posting}
    _post(graft, okapi, changes, first)


def _count(
    postings: dict[int, dict[int, int | None]], docid: int, was: list[int], now: list[int]
) -> None:
    """Note for each word in which a document has come to differ how often it is in there now."""
    for wid in now:
        posting = postings.get(wid)
        if posting is None:
            postings[wid] = {docid: 1}
        else:
            posting[docid] = (posting.get(docid) or 0) + 1
    for wid, count in Counter(was).items():
        posting = postings.setdefault(wid, {})
        if posting.setdefault(docid, None) == count:
            del posting[docid]


def _post(graft: Graft, okapi: Any, postings: Mapping[int, Any], first: int) -> None:
    words = 0

    def posted(wid: int, old: Any, change: dict[int, int | None]) -> Any:
        nonlocal words
        new: Any
        if type(old) is bytes:
            if next(iter(change)) >= first:
                graft.append(old, IFBTree, change)
                return old
            new = old if graft.merge(old, IFBTree, change) else None
        else:
            left = {**old, **change} if old else change
            if None in left.values():
                left = {docid: count for docid, count in left.items() if count is not None}
            # As zope.index does it: few documents are a dict within the leaf.
            few = len(left) <= okapi.DICT_CUTOFF
            new = (left or None) if few else graft.new(IFBTree, dict(sorted(left.items())))
        words += (new is not None) - (old is not None)
        return new

    _merge(graft, okapi._wordinfo, postings, posted, IFBTree)
    _count_on(okapi.wordCount, words)


class _Words:
    """The words of a lexicon, to which some are added."""

    def __init__(self, graft: Graft, lexicon: Any) -> None:
        self._graft, self._lexicon = graft, lexicon
        self._known: dict[str, int] = {}
        self._new: dict[str, int] = {}
        words = lexicon._words
        self._last = max(lexicon.wordCount(), words.maxKey() if words else 0)

    def wids(self, text: str) -> list[int]:
        """Those of the words of ``text``, in its order."""
        known = self._known
        return [known[word] if word in known else self._wid(word) for word in words_of(text)]

    def _wid(self, word: str) -> int:
        wid = self._lexicon._wids.get(word)
        if wid is None:
            self._last += 1
            wid = self._new[word] = self._last
        self._known[word] = wid
        return int(wid)

    def write(self) -> None:
        """Add the words that are new to the lexicon."""
        graft, lexicon = self._graft, self._lexicon
        _merge(graft, lexicon._wids, dict(sorted(self._new.items())))
        _merge(graft, lexicon._words, {wid: word for word, wid in self._new.items()})
        _count_on(lexicon.wordCount, self._last - lexicon.wordCount() if self._new else 0)
