"""Text searches: the answers and the weights are those of zope.index, found another way."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authdb.exceptions import QueryError
from authdb.indexes import TextIndex
from authdb.lengths import Lengths, Texts
from authdb.searching import Search, parse

# Fewer than 128 words: with more of them zope.index finds phrases where they are not, see below.
WORDS = [f"{stem}{number}" for stem in ("to", "jw", "auth") for number in range(8)]

texts = st.lists(
    st.one_of(st.sampled_from(WORDS[:4]), st.sampled_from(WORDS), st.just("the")), max_size=14
).map(" ".join)


def terms(inner: Any) -> Any:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(" ".join),
        several.map(" OR ".join),
        several.map(" AND ".join),
        st.tuples(inner, inner).map(" AND NOT ".join),
        inner.map("({})".format),
    )


atoms = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(WORDS[:4]),
    st.sampled_from(["nowhere", "to*", "?uth1", "a?th*", "jw?", "the", "TO1", "to1-to2", "-to3"]),
    st.lists(st.sampled_from(WORDS[:4]), min_size=1, max_size=3).map(" ".join).map('"{}"'.format),
)
searches = st.recursive(atoms, terms, max_leaves=6)


def index_of(some: list[str]) -> TextIndex:
    index = TextIndex("text")
    for docid, text in enumerate(some, 3):
        index.index_doc(docid * 2, SimpleNamespace(text=text))
    return index


def search(index: TextIndex, text: Any, lengths: Lengths | None = None) -> Search:
    return Search(index, parse(index, text), lengths)


def answered(ask: Any, text: str) -> Any:
    """What it answers; the error's text where it refuses."""
    try:
        return ask(text)
    except QueryError as error:
        return str(error)


@given(st.lists(texts, max_size=40), st.lists(searches, min_size=1, max_size=4), st.booleans())
@settings(max_examples=150)
def test_a_search_finds_and_weighs_what_zope_index_does(
    some: list[str], asked: list[str], kept: bool
) -> None:
    index = index_of(some)
    lengths = Lengths(index.index)
    if kept:
        lengths._take()
    docids = list(index.docids())
    for text in asked:
        expected = answered(index.applyContains, text)
        if isinstance(expected, str):
            assert answered(lambda text: search(index, text, lengths), text) == expected
            continue
        expected = dict(expected.items()) if expected else {}
        found = search(index, text, lengths)
        assert list(found.docids()) == list(expected)
        assert found.count() == len(expected) <= found.size
        assert list(filter(found.test(), docids)) == list(expected)
        weigh = found.weigh(len(docids))
        weights = {docid: weight for docid in docids if (weight := weigh(docid)) is not None}
        assert weights == pytest.approx(expected, rel=1e-5)
        for count in (0, 1, 3, 100):
            best = found.best(count)
            if best is not None:
                are_the_best(best, weights, count)
                some = {docid: weights[docid] for docid in list(expected)[::2]}
                are_the_best(found.best(count, list(some)), some, count)


def are_the_best(best: Any, weights: dict[int, float], count: int) -> None:
    """See to it that these are the heaviest, in order: equal ones by their docids, but for those
    that only rounding tells apart, which is not the same in both."""
    total, docids = best
    assert total == len(weights)
    assert len(docids) == len(set(docids)) == min(count, len(weights))
    heaviest = sorted(weights.values(), reverse=True)[:count]
    assert [weights[docid] for docid in docids] == pytest.approx(heaviest, rel=1e-9)
    for one, other in pairwise(docids):
        assert weights[one] != weights[other] or one < other


def test_the_best_of_plain_words_are_found_by_their_kinds(crowd: Any) -> None:
    index = crowd.catalog["description"]
    for text in ("token", "token jwt", "token jwt auth", "jw*"):
        assert search(index, text).best(3) is not None
    for text in (
        "token OR jwt",
        "token -jwt",
        "au*",
        '"token jwt"',
        "(token au*) AND jwt",
        "nowhere",
    ):
        assert search(index, text).best(3) is None


def test_a_phrase_ends_where_its_last_word_does() -> None:
    """zope.index takes the word whose code begins with that of the last one for it."""
    index = index_of([" ".join(f"w{number}" for number in range(200))])
    word = index.lexicon.get_word
    # The code of word 1 is one character, and that of word 133 begins with just that.
    first, short, long = word(7), word(1), word(1 * 128 + 5)
    phrase = f'"{first} {short}"'
    index.index_doc(900, SimpleNamespace(text=f"{first} {long} {short}"))
    assert 900 in index.applyContains(phrase)
    found = search(index, phrase)
    assert list(found.docids()) == [] and not found.test()(900)
    assert found.weigh(1)(900) is None
    index.index_doc(902, SimpleNamespace(text=f"{first} {long} {first} {short} {long}"))
    assert list(search(index, phrase).docids()) == [902]


def test_lengths_are_taken_once_enough_were_asked_for() -> None:
    index = index_of([f"to{number % 7} to1" for number in range(100)])
    lengths = Lengths(index.index)
    assert lengths.of(20)(6) == 2 and lengths._array is None
    assert lengths.of(20)(6) == 2 and lengths._array is not None
    far = index_of(["to1 to2"])
    far.index_doc(10**6, SimpleNamespace(text="to1"))
    lengths = Lengths(far.index)
    assert lengths.of(100)(10**6) == 1 and lengths._array is None


def test_lengths_are_kept_for_one_state() -> None:
    index, texts_of = index_of(["to1"]), Texts()
    kept = texts_of.at(("a", 1), "text", index.index)
    assert texts_of.at(("a", 1), "text", index.index) is kept
    assert texts_of.at(("a", 1), "other", index.index) is not kept
    assert texts_of.at(("b", 2), "text", index.index) is not kept


def test_an_empty_index_finds_nothing() -> None:
    index = index_of([])
    for text in ("to1", '"to1 to2"', "to*", "to1 AND NOT to2"):
        found = search(index, text)
        assert list(found.docids()) == [] and found.weigh(1)(1) is None
    assert list(search(index, None).docids()) == []


def test_weights_do_not_overflow_or_vanish() -> None:
    index = index_of(["to1 " * 500, "to1", "to2"])
    weights = [search(index, "to1").weigh(3)(docid) for docid in (6, 8, 10)]
    assert weights[2] is None
    assert all(weight is not None and math.isfinite(weight) for weight in weights[:2])
