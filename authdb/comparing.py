"""Two indexes compared part by part, however large they are: what one holds and the other lacks.

Each part is read as a stream in the order of its keys, leaf by leaf (see `authdb.walking`), and
the two streams are held against each other. What cannot be streamed side by side, since ids of
words are given as they come, is compared by hashes: 64 bits a word, so that one in 2**60
differences would be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from typing import Any

from BTrees.LLBTree import LLBTree, LLTreeSet
from zope.index.text import widcode

from authdb.indexes import TextIndex
from authdb.walking import Leaf, Reader, ref_to

__all__ = ["Faults", "differing", "dump", "parts", "some_of"]

#: A part of an index: its keys, ascending, with what it holds for each; or one plain value.
Part = Any


class Faults:
    """What is wrong with the trees themselves: the first thing of each. Iterates over these."""

    #: So many trees are told of, and how many more there are.
    MOST = 100

    def __init__(self) -> None:
        self._said: dict[object, str] = {}
        self._more = 0

    def of(self, tree: Any) -> Callable[[str], None]:
        """What is called with words for each thing that is wrong with ``tree``."""
        which, _ = tree if isinstance(tree, tuple) else ref_to(tree)

        def faulty(words: str) -> None:
            if len(self._said) < self.MOST:
                self._said.setdefault(which, f"a tree in it is damaged ({words})")
            elif which not in self._said:
                self._more += 1

        return faulty

    def __iter__(self) -> Iterator[str]:
        yield from self._said.values()
        if self._more:
            yield f"{self._more:,} more places in its trees are damaged"


def differing(
    expected: Iterable[tuple[Any, Any]], found: Iterable[tuple[Any, Any]]
) -> Iterator[Any]:
    """The keys that only one of two streams of keys and values has, or with another value.

    :param expected: ascending by their keys, as is ``found``
    """
    rights, wrongs = iter(expected), iter(found)
    right, wrong = next(rights, None), next(wrongs, None)
    while right is not None or wrong is not None:
        if right == wrong:
            right, wrong = next(rights, None), next(wrongs, None)
        elif wrong is None or (right is not None and right[0] < wrong[0]):
            yield right[0]  # type: ignore[index]  # one of them is not None
            right = next(rights, None)
        elif right is None or wrong[0] < right[0]:
            yield wrong[0]
            wrong = next(wrongs, None)
        else:
            yield right[0]
            right, wrong = next(rights, None), next(wrongs, None)


def some_of(keys: Iterable[Any], shown: Callable[[Any], str]) -> tuple[int, list[str]]:
    """How many ``keys`` there are, and the first three of them in the order of how they are
    ``shown``."""
    count = 0

    def counted() -> Iterator[str]:
        nonlocal count
        for key in keys:
            count += 1
            yield shown(key)

    some = nsmallest(3, counted())
    return count, some


def parts(index: Any, faults: Faults) -> dict[str, Part]:
    """The parts of a stored index of ours; streams are read as they are asked for, each once.

    Two indexes hold the same if all their parts are equal.
    """
    of = _Parts(Reader(index._p_jar), faults)
    missing = _condensed(of.leaves(index._not_indexed))
    if isinstance(index, TextIndex):
        okapi, words = index.index, _Words(of, index)
        return {
            "lexicon": words.wrong(),
            "words": words.postings(),
            "documents": words.documents(),
            "weights": of.items(okapi._docweight),
            "missing documents": missing,
            "counts": (okapi.documentCount(), okapi.wordCount(), okapi._totaldoclen()),
            "steps": [f"{type(s).__module__}.{type(s).__name__}" for s in index.lexicon._pipeline],
        }
    return {
        "values": of.postings(index._fwd_index),
        "documents": of.values(index._rev_index),
        "missing documents": missing,
        "counts": index.documentCount(),  # that of the values is counted, not kept
    }


#: So many docids are compared one by one; of longer lists, a hash of each so many.
_FEW = 1000


def _condensed(found: Iterable[Leaf]) -> tuple[Any, ...]:
    """The same for the same keys and values, however they are divided into leaves."""
    keys: tuple[Any, ...] = ()
    values: tuple[Any, ...] = ()
    before = 0
    for leaf in found:
        keys, values = keys + leaf.keys, values + leaf.values
        while len(keys) > _FEW:
            before = hash((before, keys[:_FEW], values[:_FEW]))
            keys, values = keys[_FEW:], values[_FEW:]
    return before, keys, values


#: Of so many sets of keywords what is in them is remembered: documents can share them.
_SETS = 10_000


class _Parts:
    """Reads the trees of an index; what is wrong with them goes into ``faults``."""

    def __init__(self, reader: Reader, faults: Faults) -> None:
        self._reader, self._faults = reader, faults

    def leaves(self, tree: Any) -> Iterator[Leaf]:
        return self._reader.leaves(tree, self._faults.of(tree))

    def items(self, tree: Any) -> Iterator[tuple[Any, Any]]:
        return self._reader.items(tree, self._faults.of(tree))

    def postings(self, tree: Any) -> Iterator[tuple[Any, Any]]:
        """For each value the documents that have it."""
        for value, docids in self.items(tree):
            yield value, _condensed(self.leaves(docids))

    def values(self, tree: Any) -> Iterator[tuple[int, Any]]:
        """For each document its value; of several keywords, all of them."""
        sets: dict[Any, Any] = {}
        for docid, value in self.items(tree):
            if not isinstance(value, tuple):
                yield docid, value
                continue
            if value not in sets:
                if len(sets) >= _SETS:
                    sets.clear()
                sets[value] = _condensed(self.leaves(value))
            yield docid, sets[value]


class _Words:
    """The words of a text index. Their ids tell nothing: each index gives its own."""

    def __init__(self, of: _Parts, index: Any) -> None:
        self._of, self._okapi, self._lexicon = of, index.index, index.lexicon
        #: The hash of each word, by its id; read when it is first needed.
        self._hashes: Any = None

    def _hash_of(self) -> Callable[[int], int | None]:
        if self._hashes is None:
            words = self._of.items(self._lexicon._words)
            self._hashes = _by_id((wid, hash(word)) for wid, word in words)
        get: Callable[[int], int | None] = self._hashes.get
        return get

    def wrong(self) -> Iterator[tuple[str, None]]:
        """The words whose ids do not lead back to them, and the ids that no word leads to."""
        hash_of, led_to, lost = self._hash_of(), LLTreeSet(), set()
        for word, wid in self._of.items(self._lexicon._wids):
            led_to.add(wid)
            if hash_of(wid) != hash(word):
                lost.add(word)
        for tree in (self._lexicon._words, self._okapi._wordinfo):
            lost |= {f"word {wid}" for wid, _ in self._of.items(tree) if wid not in led_to}
        yield from ((word, None) for word in sorted(lost))

    def postings(self) -> Iterator[tuple[str, int]]:
        """For each word a hash of the documents that have it, and of how often they do."""
        wordinfo = self._of.items(self._okapi._wordinfo)
        postings = _by_id((wid, hash(self._posting(posting))) for wid, posting in wordinfo)
        for word, wid in self._of.items(self._lexicon._wids):
            posting = postings.get(wid)
            if posting is not None:  # else no document has it any more
                yield word, posting

    def _posting(self, posting: Any) -> tuple[Any, ...]:
        if isinstance(posting, dict):  # as short ones are kept
            return _condensed([Leaf(*zip(*sorted(posting.items()), strict=True))])
        return _condensed(self._of.leaves(posting))

    def documents(self) -> Iterator[tuple[int, int]]:
        """For each document a hash of its words in their order."""
        hash_of = self._hash_of()
        for docid, code in self._of.items(self._okapi._docwords):
            try:
                words = tuple(map(hash_of, widcode.decode(code)))
            except Exception:  # what is damaged may raise anything
                words = (None,)
            yield docid, hash(words)


def _by_id(hashes: Iterable[tuple[int, int]]) -> Any:
    """A mapping of ids to hashes, in a fifth of the memory of a dict."""
    found = LLBTree()
    for number, its_hash in hashes:
        found[number] = its_hash
    return found


# -- small ones --------------------------------------------------------------------------------


def dump(index: Any) -> dict[str, Any]:
    """Everything that ``index`` holds, in plain values that do not depend on its history."""
    if isinstance(index, TextIndex):
        okapi, lexicon = index.index, index.lexicon
        return {
            "words": {
                lexicon.get_word(wid): dict(posting.items())
                for wid, posting in okapi._wordinfo.items()
            },
            "documents": {
                docid: [lexicon.get_word(wid) for wid in okapi.get_words(docid)]
                for docid in okapi._docwords
            },
            "weights": dict(okapi._docweight.items()),
            "missing documents": list(index._not_indexed),
            "counts": (okapi.documentCount(), okapi.wordCount(), okapi._totaldoclen()),
            "steps": [f"{type(s).__module__}.{type(s).__name__}" for s in lexicon._pipeline],
        }
    return {
        "values": {value: list(docids) for value, docids in index._fwd_index.items()},
        "documents": {
            docid: value if isinstance(value, (str, int)) else list(value)
            for docid, value in index._rev_index.items()
        },
        "missing documents": list(index._not_indexed),
        "counts": (index.documentCount(), index.wordCount()),
    }
