"""Text searches, answered as zope.index would, without weighing what nobody asks to be weighed.

zope.index gives every document of every word its weight, in a new tree, before it intersects
anything. Here a search is a `Part` of a plan: the smallest posting list is walked, and its docids
are held against the others. Weights are worked out only for what is found, and where just the best
few are wanted, in one look at frequencies and lengths.

The answers are zope.index's, and so are the weights (Okapi BM25), but for one mistake: there, a
phrase may end in the middle of an encoded word, and so be found where it is not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any

from zope.index.text import widcode
from zope.index.text.parsetree import AndNode, GlobNode, OrNode, PhraseNode
from zope.index.text.queryparser import QueryParser

from authdb.lengths import Lengths
from authdb.postings import AllOf, AnyOf, Docids, Part, Test, union

__all__ = ["Search", "parse", "sum_of_any"]

#: A function that gives a document's weight, None where it does not match.
Weigh = Callable[[int], "float | None"]
#: How many match, and the docids of the best of them.
Best = tuple[int, list[int]]


def parse(index: Any, value: object) -> Any:
    """Read a search.

    :param index: a `TextIndex`; only how it splits and normalises words matters
    :param value: what is searched for
    :returns: zope.index's parse tree; None where nothing is searched for
    :raises QueryError: it cannot be read, or goes beyond the bounds
    """
    checked = index.check(value)
    if checked is None:
        return None
    return index.run(QueryParser(index.lexicon).parseQuery, checked)


class Search(Part):
    """One search, over the posting lists of one state.

    :param index: the `TextIndex`
    :param tree: what `parse` gave
    :param lengths: those of the index that are kept, if any are
    :raises QueryError: the search cannot be followed
    """

    __slots__ = ("_lengths", "_okapi", "_root", "_terms")

    def __init__(self, index: Any, tree: Any, lengths: Lengths | None = None) -> None:
        self._okapi = index.index
        self._lengths = Lengths(self._okapi) if lengths is None else lengths
        root = None if tree is None else index.run(lambda _: _built(tree, self._okapi), str(tree))
        # Of nothing but words that are too common, zope.index finds nothing.
        self._root: Any = _Words([]) if root is None else root
        self._terms = [] if tree is None else tree.terms()
        self.size = self._root.size

    @property
    def countable(self) -> bool:
        return isinstance(self._root, _Words) and len(self._root._postings) < 2

    def docids(self) -> Docids:
        return self._root.docids()

    def test(self) -> Test:
        return self._root.test()  # type: ignore[no-any-return]

    def count(self) -> int:
        return self._root.count()  # type: ignore[no-any-return]

    def weigh(self, wanted: int) -> Weigh:
        """A function from a docid to its weight in this search; None where it does not match.

        :param wanted: about how many docids it will be called with
        """
        return self._root.weigh(self._scale(wanted))  # type: ignore[no-any-return]

    def best(self, count: int, docids: Sequence[int] | None = None) -> Best | None:
        """How many documents match, and the docids of the highest weights, the best first, equal
        ones ascending; None where this is not a search for one word or for all of several.

        :param count: how many
        :param docids: look only at these, all of which match
        """
        postings = self._root.words()
        if not postings:
            return None
        if docids is None:
            docids, often = _matched(postings)
        else:
            often = [list(map(posting.__getitem__, docids)) for posting in postings]
        scale = self._scale(len(docids))
        rarities = [scale.rarity(posting) for posting in postings]
        return len(docids), _best(docids, often, rarities, scale, count)

    def _scale(self, wanted: int) -> _Scale:
        okapi = self._okapi
        scale = _Scale(okapi, self._lengths.of(wanted))
        lexicon = okapi.lexicon
        wids = [wid for term in self._terms for wid in lexicon.termToWordIds(term)]
        highest = sum(scale.rarity(posting) for posting in _postings(okapi, wids)) * (1 + okapi.K1)
        scale.unit = 1 / highest if highest else 1.0
        return scale


class _Scale:
    """What weights are made of: how long documents are, and how rare a word is.

    Attribute: ``unit``, what all weights of one search are multiplied by.
    """

    def __init__(self, okapi: Any, length: Callable[[int], float]) -> None:
        self.length, self.unit = length, 1.0
        self._count = okapi.documentCount()
        mean = okapi._totaldoclen() / self._count if self._count else 0
        self.most = okapi.K1 + 1
        self.base = okapi.K1 * (1 - okapi.B)
        self.each = okapi.K1 * okapi.B / mean if mean else 0.0

    def rarity(self, posting: Any) -> float:
        """The inverse document frequency."""
        return math.log(1 + self._count / len(posting))

    def weigh(self, posting: Any) -> Weigh:
        """The weights in the search for one word: those of its posting list."""
        frequency, length = posting.get, self.length
        base, each = self.base, self.each
        factor = self.most * self.rarity(posting) * self.unit

        def weigh(docid: int) -> float | None:
            often = frequency(docid)
            if often is None:
                return None
            return often * factor / (often + base + each * length(docid))  # type: ignore[no-any-return]

        return weigh


def _matched(postings: list[Any]) -> tuple[list[int], list[list[float]]]:
    """The docids in all of these posting lists, and how often each has the word of each list.

    They come to be in the order of their lengths.
    """
    postings.sort(key=len)
    first = postings[0]
    docids = sorted(first) if isinstance(first, dict) else list(first)
    often = [[first[docid] for docid in docids] if isinstance(first, dict) else [*first.values()]]
    for posting in postings[1:]:
        found = list(map(posting.get, docids))  # one look, also where it is not there
        kept = [number is not None for number in found]
        docids = list(compress(docids, kept))
        often = [list(compress(numbers, kept)) for numbers in often]
        often.append(list(compress(found, kept)))
    return docids, often


def _best(
    docids: Sequence[int],
    often: Sequence[Sequence[float]],
    rarities: Sequence[float],
    scale: _Scale,
    count: int,
) -> list[int]:
    """The weight of a document depends on nothing but its length and how often it has each word,
    and in that there are few kinds of documents. So the kinds are weighed, not the documents."""
    lengths = map(scale.length, docids)
    kinds: list[Any]
    if len(often) == 1:  # as one number, which takes half the time of a tuple
        kinds = [number * _UNIT + length for number, length in zip(*often, lengths, strict=True)]
    else:
        kinds = list(zip(lengths, *often, strict=True))
    base, each = scale.base, scale.each
    counts, weights = Counter(kinds), {}
    for kind in counts:
        length, *numbers = kind if len(often) > 1 else (kind % _UNIT, kind // _UNIT)
        weights[kind] = sum(
            number * rarity / (number + base + each * length)
            for number, rarity in zip(numbers, rarities, strict=True)
        )
    if len(docids) > count:
        enough = 0
        for kind in sorted(weights, key=weights.__getitem__, reverse=True):
            enough += counts[kind]
            if enough >= count:
                least = weights[kind]
                weights = {kind: weight for kind, weight in weights.items() if weight >= least}
                break
    best = [
        (-weights[kind], docid)
        for docid, kind in zip(docids, kinds, strict=True)
        if kind in weights
    ]
    best.sort()
    return [docid for _, docid in best[:count]]


#: More words than any text has; with it a kind is a whole number that a float holds exactly.
_UNIT = 2**26


# -- the parts of a search -----------------------------------------------------------------------


def _built(tree: Any, okapi: Any) -> Any:
    """The part that a parse tree stands for; None where its words are all too common."""
    if isinstance(tree, AndNode):
        wanted: list[Part] = []
        unwanted: list[Part] = []
        for node in tree.getValue():
            negated = node.nodeType() == "NOT"
            part = _built(node.getValue() if negated else node, okapi)
            if part is not None:
                (unwanted if negated else wanted).append(part)
        return _AllOf(wanted or [_Words([])], unwanted)
    if isinstance(tree, OrNode):
        parts = [_built(node, okapi) for node in tree.getValue()]
        return _AnyOf([part for part in parts if part is not None])
    if isinstance(tree, GlobNode):
        return _Words(_postings(okapi, okapi.lexicon.globToWordIds(tree.getValue())))
    wids = okapi.lexicon.termToWordIds(tree.getValue())
    if isinstance(tree, PhraseNode):
        postings = _postings(okapi, wids)
        if len(postings) != len(wids):  # one of the words is nowhere
            return _Words([])
        return _Phrase(postings, widcode.encode(wids), okapi._docwords)
    return _Words(_postings(okapi, wids)) if wids else None


def _postings(okapi: Any, wids: Iterable[int]) -> list[Any]:
    """The posting lists of those words that there are: docid -> how often it has the word."""
    return [posting for wid in wids if (posting := okapi._wordinfo.get(wid)) is not None]


class _Words(AnyOf):
    """Documents that have one of several words: those that a pattern stands for, or just one."""

    __slots__ = ("_postings",)

    def __init__(self, postings: Sequence[Any]) -> None:
        self._postings = postings
        self.size = sum(map(len, postings))

    def words(self) -> list[Any]:
        return list(self._postings) if len(self._postings) == 1 else []

    def docids(self) -> Docids:
        return union(sorted(each) if isinstance(each, dict) else each for each in self._postings)

    def test(self) -> Test:
        tests: list[Test] = [posting.__contains__ for posting in self._postings]
        if len(tests) == 1:
            return tests[0]
        return lambda docid: any(test(docid) for test in tests)

    def count(self) -> int:
        return self.size if len(self._postings) < 2 else len(self.docids())

    def weigh(self, scale: _Scale) -> Weigh:
        return sum_of_any([scale.weigh(posting) for posting in self._postings])


class _AllOf(AllOf):
    """AND, and AND NOT."""

    __slots__ = ()

    def words(self) -> list[Any]:
        single = [part.words() for part in self._wanted]  # type: ignore[attr-defined]
        plain = not self._unwanted and all(len(words) == 1 for words in single)
        return [words[0] for words in single] if plain else []

    def weigh(self, scale: _Scale) -> Weigh:
        weigh = _sum_of_all([part.weigh(scale) for part in self._wanted])  # type: ignore[attr-defined]
        return _unless(weigh, [part.test() for part in self._unwanted])


class _AnyOf(AnyOf):
    """OR."""

    __slots__ = ()

    def words(self) -> list[Any]:
        return []

    def weigh(self, scale: _Scale) -> Weigh:
        return sum_of_any([part.weigh(scale) for part in self._parts])  # type: ignore[attr-defined]


class _Phrase(AllOf):
    """Words in a row.

    :param code: the words, as zope.index encodes those of a document
    :param texts: docid -> its words, so encoded
    """

    __slots__ = ("_has_code", "_texts", "_words")

    def __init__(self, postings: Sequence[Any], code: str, texts: Any) -> None:
        self._words = [_Words([posting]) for posting in postings]
        super().__init__(self._words)
        self._texts = texts
        # Each encoded word begins with a character from U+0080 on, and has none within.
        self._has_code = re.compile(re.escape(code) + r"(?![\x00-\x7f])").search

    def words(self) -> list[Any]:
        return []

    def docids(self) -> Docids:
        found, has_code = list(super().docids()), self._has_code
        texts = map(self._texts.__getitem__, found)
        return [docid for docid, text in zip(found, texts, strict=True) if has_code(text)]

    def test(self) -> Test:
        has_words, in_a_row = super().test(), self._in_a_row
        return lambda docid: has_words(docid) and in_a_row(docid)

    def _in_a_row(self, docid: int) -> bool:
        return self._has_code(self._texts[docid]) is not None

    def weigh(self, scale: _Scale) -> Weigh:
        weigh, in_a_row = _sum_of_all([word.weigh(scale) for word in self._words]), self._in_a_row
        return _unless(weigh, [lambda docid: not in_a_row(docid)])


def sum_of_any(several: Sequence[Weigh]) -> Weigh:
    """The sum of those weights that a document has."""
    if len(several) == 1:
        return several[0]

    def weigh(docid: int) -> float | None:
        weights = [weight for each in several if (weight := each(docid)) is not None]
        return sum(weights) if weights else None

    return weigh


def _sum_of_all(several: Sequence[Weigh]) -> Weigh:
    def weigh(docid: int) -> float | None:
        total = 0.0
        for each in several:
            weight = each(docid)
            if weight is None:
                return None
            total += weight
        return total

    return weigh


def _unless(weigh: Weigh, tests: Sequence[Test]) -> Weigh:
    if not tests:
        return weigh

    def weigh_unless(docid: int) -> float | None:
        weight = weigh(docid)
        return None if weight is None or any(test(docid) for test in tests) else weight

    return weigh_unless
