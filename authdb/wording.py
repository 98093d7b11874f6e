"""The words of texts, taken in one text after the other, and written as a text index holds them.

What comes out is what zope.index would have made of the same texts: a lexicon, for each word where
it occurs how often, and for each document its words. Half of the time that a catalog takes is spent
here, so `authdb.building` has it done by a second process.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import compress
from operator import itemgetter
from typing import Any, NamedTuple

from BTrees import family32
from BTrees.IOBTree import IOBTree
from BTrees.OIBTree import OIBTree
from zope.index.text.baseindex import BaseIndex
from zope.index.text.lexicon import StopWordRemover
from zope.index.text.widcode import decode, encode

from authdb.bulk import Ref, Sink, tree, tree_of_pickles
from authdb.indexes import PackageLexicon

__all__ = ["Words", "Written", "words_of"]

_PIPELINE = PackageLexicon()._pipeline
_STOP_WORDS = frozenset(StopWordRemover.dict)
#: For each ASCII character its lower case, or a space if it is not of a word (``\w``).
_TO_WORDS = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128)
).ljust(256)

#: Up to so many documents a word's posting list is a dict, from then on a tree.
_CUTOFF = BaseIndex.DICT_CUTOFF


def words_of(text: str) -> list[str]:
    """What the lexicon of a text index makes of ``text``: its words, in order."""
    if text.isascii():  # nearly all are, and this takes a third of the pipeline's time
        words = text.encode("ascii").translate(_TO_WORDS).decode("ascii").split()
        return [word for word in words if word not in _STOP_WORDS]
    last: Any = [text]
    for element in _PIPELINE:
        last = element.process(last)
    return list(last)


class Written(NamedTuple):
    """What was written of a text index.

    Trees, named as the attributes that hold them: ``wordinfo``, ``docweight`` and ``docwords`` of
    the index, ``wids`` and ``words`` of the lexicon; ``missing``, the set of the documents without
    a text. Counts: of the words that occur, of the documents that have a text, of all the words in
    them, and of the words that the lexicon knows.
    """

    wordinfo: Ref
    docweight: Ref
    docwords: Ref
    wids: Ref
    words: Ref
    missing: Ref
    word_count: int
    document_count: int
    total: int
    lexicon_count: int


class _Postings(dict[str, list[bytes]]):
    """word -> its number, as `zope.index.text.widcode` encodes it, and behind that its posting
    list: an `_item` for each document that it is in. A new word gets the next number.

    It is one list, not two, since to look up a word that is not met often costs as much as all else
    that is done with it.
    """

    def __missing__(self, word: str) -> list[bytes]:
        posting = self[word] = [encode([len(self) + 1]).encode("latin-1")]
        return posting


#: A docid, and a count below 256 or not, as pickled: what a leaf of a posting list has of them. So
#: what all the words of a document say of it is pickled once.
_FEW = struct.Struct("<cicB")
_MANY = struct.Struct("<cici")


def _item(docid: int, count: int) -> bytes:
    """A document in a posting list, in which the word occurs ``count`` times."""
    # An int is as good as the float that ZODB writes: the tree takes both.
    if count < 256:
        return _FEW.pack(b"J", docid, b"K", count)
    return _MANY.pack(b"J", docid, b"J", count)


def _docid(item: bytes) -> int:
    docid: int = _FEW.unpack_from(item)[1]
    return docid


def _count(item: bytes) -> int:
    count: int = (_FEW if len(item) == _FEW.size else _MANY).unpack(item)[3]
    return count


class Words:
    """The words of one text index."""

    def __init__(self) -> None:
        self._occurring = 0
        self._missing = array("i")
        self._docids = array("i")  # of those with a text
        self._lengths = array("i")  # in words; -1 where another text is in place of it, or none
        #: The encoded words of each document, one behind the other, and where each begins and ends.
        self._encoded = bytearray()
        self._ends = array("Q", [0])
        #: docid -> the encoded words of the text that came in place of what was added
        self._replaced: dict[int, bytes] = {}
        self._postings = _Postings()
        self._by_number: list[list[bytes]] | None = None

    def add(self, docids: Iterable[int], texts: Iterable[str | None]) -> None:
        """Take in texts; None or an empty one is as good as none.

        :param docids: ascending, and after all that were added before
        """
        posting_of, code_of = self._postings.__getitem__, itemgetter(0)
        pieces, end = [], self._ends[-1]
        for docid, text in zip(docids, texts, strict=True):
            if not text:
                self._missing.append(docid)
                continue
            words = words_of(text)
            postings = list(map(posting_of, words))
            piece = b"".join(map(code_of, postings))
            item = _FEW.pack(b"J", docid, b"K", 1)
            for posting in postings:
                posting.append(item)
            if len(set(words)) < len(words):
                self._count_again(docid, words)
            pieces.append(piece)
            end += len(piece)
            self._ends.append(end)
            self._docids.append(docid)
            self._lengths.append(len(words))
        self._encoded += b"".join(pieces)

    def _count_again(self, docid: int, words: list[str]) -> None:
        """Have one item in place of several, where a word is in the document more than once."""
        seen: set[str] = set()
        for word in {word for word in words if word in seen or seen.add(word)}:  # type: ignore[func-returns-value]
            count, posting = words.count(word), self._postings[word]
            posting[-count:] = [_item(docid, count)]

    # -- one in place of another: rare, so it may take its time ----------------------------------

    def replace(self, docid: int, text: str | None) -> None:
        """Have ``text`` in place of that under which ``docid`` was added."""
        self._forget(docid)
        if not text:
            self._missing.insert(bisect_left(self._missing, docid), docid)
            return
        words = words_of(text)
        self._replaced[docid] = b"".join(self._postings[word][0] for word in words)
        for word, count in Counter(words).items():
            posting = self._postings[word]
            posting.insert(_place(posting, docid), _item(docid, count))

    def _forget(self, docid: int) -> None:
        place = bisect_left(self._missing, docid)
        if place < len(self._missing) and self._missing[place] == docid:
            del self._missing[place]
            return
        code = self._replaced.pop(docid, None)
        if code is None:
            place = bisect_left(self._docids, docid)
            code = bytes(self._encoded[self._ends[place] : self._ends[place + 1]])
            self._lengths[place] = -1
        if self._by_number is None or len(self._by_number) < len(self._postings):
            self._by_number = list(self._postings.values())
        for wid in set(decode(code.decode("latin-1"))):
            posting = self._by_number[wid - 1]
            del posting[_place(posting, docid)]

    # -- written -----------------------------------------------------------------------------

    def most_records(self) -> int:
        """How many records there will be at most."""
        # A leaf has room for 60 items or more, and there are at most as many nodes as leaves.
        lengths = [len(posting) - 1 for posting in self._postings.values()]
        postings = sum(1 if each <= 120 else each // 60 + 3 for each in lengths if each > _CUTOFF)
        items = 3 * (len(self._docids) + len(self._replaced)) + 2 * len(lengths)
        return postings + (items + len(self._missing)) // 30 + 20

    def write(self, sink: Sink) -> Written:
        """Write the trees; what is written is let go of."""
        lengths = dict(self._lengths_of_replaced())
        kept = [length for length in self._lengths if length >= 0]
        count, total = len(kept) + len(lengths), sum(kept) + sum(lengths.values())
        missing = tree(sink, family32.IF.TreeSet, self._missing)
        docweight = tree(sink, family32.IF.BTree, self._lengths_by_docid())
        docwords = tree(sink, family32.IO.BTree, self._words_by_docid())
        del self._ends, self._docids
        words, known = list(self._postings), len(self._postings)
        wids = sorted(range(known), key=words.__getitem__)
        return Written(
            wordinfo=tree(sink, IOBTree, self._postings_written(sink), references=True),
            docweight=docweight,
            docwords=docwords,
            wids=tree(sink, OIBTree, ((words[wid], wid + 1) for wid in wids)),
            words=tree(sink, IOBTree, enumerate(words, 1)),
            missing=missing,
            word_count=self._occurring,
            document_count=count,
            total=total,
            lexicon_count=known,
        )

    def _lengths_of_replaced(self) -> Iterator[tuple[int, int]]:
        for docid, code in sorted(self._replaced.items()):
            yield docid, len(decode(code.decode("latin-1")))

    def _lengths_by_docid(self) -> Iterator[tuple[int, int]]:
        added = zip(self._docids, self._lengths, strict=True)
        if not self._is_changed():
            return added
        return merge((each for each in added if each[1] >= 0), self._lengths_of_replaced())

    def _words_by_docid(self) -> Iterator[tuple[int, str]]:
        text, ends = self._encoded.decode("latin-1"), self._ends
        self._encoded.clear()  # of a million packages 50 MB
        added = zip(self._docids, map(text.__getitem__, map(slice, ends, ends[1:])), strict=True)
        if not self._is_changed():
            return added
        there = (length >= 0 for length in self._lengths)
        replaced = sorted(self._replaced.items())
        return merge(
            compress(added, there), ((docid, code.decode("latin-1")) for docid, code in replaced)
        )

    def _is_changed(self) -> bool:
        return bool(self._replaced) or min(self._lengths, default=0) < 0

    def _postings_written(self, sink: Sink) -> Iterator[tuple[int, Any]]:
        """Each word's number, and how often it is in which document."""
        postings = list(self._postings.values())
        self._postings.clear()
        self._by_number = None
        for wid, posting in enumerate(postings, 1):
            del posting[0]  # its code
            if not posting:
                continue  # its last text was replaced
            self._occurring += 1
            if len(posting) <= _CUTOFF:
                yield wid, {_docid(item): _count(item) for item in posting}
            else:
                yield wid, tree_of_pickles(sink, family32.IF.BTree, posting, _docid)
            posting.clear()


def _place(posting: list[bytes], docid: int) -> int:
    """Where in a posting list the ``docid`` is, or belongs."""
    return bisect_left(posting, docid, lo=1, key=_docid)
