"""The words of texts, taken in one text after the other, and written as a text index holds them.

What comes out is what zope.index would have made of the same texts: a lexicon, for each word where
it occurs how often, and for each document its words. Half of the time that a catalog takes is spent
here; where there are many, by a second process (see `authdb.worker`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import accumulate, compress, islice
from operator import itemgetter, not_
from typing import Any, NamedTuple

from BTrees import family32
from BTrees.IOBTree import IOBTree
from BTrees.OIBTree import OIBTree
from zope.index.text.baseindex import BaseIndex
from zope.index.text.lexicon import StopWordRemover
from zope.index.text.widcode import decode, encode

from authdb.bulk import Ref, Sink, tree, tree_of_pickles
from authdb.indexes import PackageLexicon
from authdb.splicing import count_in, docid_in
from authdb.splicing import item as item_of

__all__ = ["Words", "Written", "note", "words_in", "words_of"]

_PIPELINE = PackageLexicon()._pipeline
_STOP_WORDS = frozenset(StopWordRemover.dict)
#: What stands between texts that are taken together.
_BETWEEN = "\0"
#: For each ASCII character its lower case, or a space if it is neither of a word (``\w``) nor that.
_TO_WORDS = bytes(
    ord(char.lower()) if char.isalnum() or char in ("_", _BETWEEN) else 32
    for char in map(chr, range(128))
).ljust(256)

#: Up to so many documents a word's posting list is a dict, from then on a tree.
_CUTOFF = BaseIndex.DICT_CUTOFF


def words_of(text: str) -> list[str]:
    """What the lexicon of a text index makes of ``text``: its words, in order."""
    (words,) = words_in([text])
    return words


def words_in(texts: Iterable[str]) -> Iterator[list[str]]:
    """As `words_of`, of each of the texts: many at a time take half as long."""
    for words in _split(texts):
        yield [word for word in words if word not in _STOP_WORDS]


def _split(texts: Iterable[str]) -> Iterator[list[str]]:
    """The words of each text, in order; those that are too common may be among them, or not."""
    texts = list(texts)
    plain = [text for text in texts if text.isascii()]  # nearly all are
    joined = _BETWEEN.join(plain)
    if plain and joined.count(_BETWEEN) == len(plain) - 1:
        lower = joined.encode("ascii").translate(_TO_WORDS).decode("ascii")
        split = map(str.split, lower.split(_BETWEEN))  # in a quarter of the pipeline's time
    else:
        split = map(_through_pipeline, plain)
    for text in texts:
        yield next(split) if text.isascii() else _through_pipeline(text)


def _through_pipeline(text: str) -> list[str]:
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
    list: an item (see `authdb.splicing.item`) for each document that it is in. A new word gets the
    next number; a word that is too common to be indexed has an empty list.

    It is one list, not two, since to look up a word that is not met often costs as much as all else
    that is done with it.
    """

    def __init__(self) -> None:
        super().__init__((word, []) for word in _STOP_WORDS)

    def __missing__(self, word: str) -> list[bytes]:
        number = len(self) - len(_STOP_WORDS) + 1
        posting = self[word] = [encode([number]).encode("latin-1")]
        return posting

    def words(self) -> list[str]:
        """Those that have a number, in its order."""
        return list(islice(self, len(_STOP_WORDS), None))

    def lists(self) -> list[list[bytes]]:
        """Of these what there is of each."""
        return list(islice(self.values(), len(_STOP_WORDS), None))


def note(docid: int, item: bytes, postings: Iterable[list[Any]]) -> None:
    """Put a document behind the posting lists of its words, some of which come repeatedly.

    :param item: that of the document, for a word that comes once; an object of its own
    """
    again = []
    for posting in postings:
        if posting[-1] is item:
            again.append(posting)
        else:
            posting.append(item)
    for posting in again:
        posting[-1] = item_of(docid, count_in(posting[-1]) + 1)


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

    def add(self, docids: Sequence[int], texts: Sequence[str | None]) -> None:
        """Take in texts; None or an empty one is as good as none.

        :param docids: ascending, and after all that were added before
        """
        posting_of, code_of = self._postings.__getitem__, itemgetter(0)
        there = list(map(bool, texts))
        self._missing.extend(compress(docids, map(not_, there)))
        docids = list(compress(docids, there))
        pieces, lengths = [], []
        for docid, words in zip(docids, _split(filter(None, texts)), strict=True):
            postings = list(filter(None, map(posting_of, words)))
            pieces.append(b"".join(map(code_of, postings)))
            lengths.append(len(postings))
            note(docid, item_of(docid, 1), postings)
        self._docids.extend(docids)
        self._lengths.extend(lengths)
        self._ends.extend(accumulate(map(len, pieces), initial=self._ends.pop()))
        self._encoded += b"".join(pieces)

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
            posting.insert(_place(posting, docid), item_of(docid, count))

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
        if self._by_number is None or len(self._by_number) < len(self._postings) - len(_STOP_WORDS):
            self._by_number = self._postings.lists()
        for wid in set(decode(code.decode("latin-1"))):
            posting = self._by_number[wid - 1]
            del posting[_place(posting, docid)]

    # -- written -----------------------------------------------------------------------------

    def most_records(self) -> int:
        """How many records there will be at most."""
        # A leaf has room for 60 items or more, and there are at most as many nodes as leaves.
        lengths = [len(posting) - 1 for posting in self._postings.lists()]
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
        words = self._postings.words()
        wids = sorted(range(len(words)), key=words.__getitem__)
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
            lexicon_count=len(words),
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
        postings = self._postings.lists()
        self._postings.clear()
        self._by_number = None
        for wid, posting in enumerate(postings, 1):
            del posting[0]  # its code
            if not posting:
                continue  # its last text was replaced
            self._occurring += 1
            if len(posting) <= _CUTOFF:
                yield wid, {docid_in(item): count_in(item) for item in posting}
            else:
                yield wid, tree_of_pickles(sink, family32.IF.BTree, posting, docid_in)
            posting.clear()


def _place(posting: list[bytes], docid: int) -> int:
    """Where in a posting list the ``docid`` is, or belongs."""
    return bisect_left(posting, docid, lo=1, key=docid_in)
