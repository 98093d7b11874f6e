"""The words of a lexicon, for many texts at once: numbered, and for each the new texts it is in."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from operator import itemgetter
from typing import Any

from zope.index.text.widcode import encode

from authdb.grafting import Graft
from authdb.splicing import item
from authdb.wording import note, words_in

__all__ = ["Vocabulary"]

#: The texts of so many documents are taken apart before what came of them is put together.
_AT_ONCE = 10_000
#: What stands behind a docid in an `item`, where the count is one.
_ONCE = item(0, 1)[len(item(0)) :]


class Vocabulary(dict[str, list[Any]]):
    """The words of a lexicon, to which some are added, and the posting lists of new documents.

    What it holds of a word is its number, that as `zope.index.text.widcode` encodes it, and the
    `item` of each new document that it is in: one list, as in `authdb.wording`. The number is not
    there until all words that are met for the first time are looked up, leaf by leaf.

    :param graft: of the database of ``lexicon``, whose trees must not have been changed in the open
        transaction
    """

    def __init__(self, graft: Graft, lexicon: Any) -> None:
        self._graft, self._lexicon = graft, lexicon
        self._unknown: list[str] = []
        self._new: dict[str, int] = {}
        words = lexicon._words
        self._last = max(lexicon.wordCount(), words.maxKey() if words else 0)

    def __missing__(self, word: str) -> list[Any]:
        self._unknown.append(word)
        entry: list[Any] = [None, None]
        self[word] = entry
        return entry

    def _look_up(self) -> None:
        """Find the numbers of the words that came since the last time; new ones get the next."""
        tree = self._lexicon._wids
        found = self._graft.found(tree._p_oid, type(tree), sorted(self._unknown))
        for word in self._unknown:
            wid = found.get(word)
            if wid is None:
                self._last += 1
                wid = self._new[word] = self._last
            self[word][:2] = wid, encode((wid,))
        self._unknown.clear()

    def wids(self, texts: Mapping[int, str]) -> dict[int, list[int]]:
        """The numbers of the words of texts, in their order, by docid."""
        entry_of = self.__getitem__
        words = zip(texts, words_in(texts.values()), strict=True)
        entries = {docid: list(map(entry_of, each)) for docid, each in words}
        self._look_up()
        return {docid: [entry[0] for entry in found] for docid, found in entries.items()}

    def take(
        self, texts: Mapping[int, str], items: Mapping[int, bytes]
    ) -> tuple[dict[int, str], dict[int, int]]:
        """Take in the texts of new documents.

        :param items: their docids, each as an `item`
        :returns: by docid, the words of each as zope.index encodes them, and how many they are
        """
        codes: dict[int, str] = {}
        lengths: dict[int, int] = {}
        code_of, docids = itemgetter(1), iter(texts)
        while some := list(islice(docids, _AT_ONCE)):
            words = words_in([texts[docid] for docid in some])
            entries = [
                self._take(docid, items[docid], each)
                for docid, each in zip(some, words, strict=True)
            ]
            self._look_up()
            codes.update(zip(some, ("".join(map(code_of, each)) for each in entries), strict=True))
            lengths.update(zip(some, map(len, entries), strict=True))
        return codes, lengths

    def _take(self, docid: int, docid_item: bytes, words: list[str]) -> list[list[Any]]:
        """Take in the words of one text; what is known of them."""
        entries = list(map(self.__getitem__, words))
        note(docid, docid_item + _ONCE, entries)
        return entries

    def postings(self) -> dict[int, list[bytes]]:
        """word's number -> the `item` of each new document that it is in; they are given up."""
        postings = {entry[0]: entry[2:] for entry in self.values() if len(entry) > 2}
        self.clear()
        return postings

    def write(self) -> None:
        """Add the words that are new to the lexicon."""
        if not self._new:
            return
        graft, lexicon = self._graft, self._lexicon
        wids, words = lexicon._wids, lexicon._words
        graft.merge(wids._p_oid, type(wids), dict(sorted(self._new.items())))
        graft.merge(words._p_oid, type(words), {wid: word for word, wid in self._new.items()})
        lexicon.wordCount.change(self._last - lexicon.wordCount())
