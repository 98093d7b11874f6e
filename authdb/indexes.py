"""repoze.catalog's indexes, mended.

What is mended, and why (each measured on repoze.catalog 0.9.0):

- None, like a missing attribute, means "no value"; there it is indexed, as the lowest of all.
- A keyword index knows about documents without keywords; there negations miss them.
- Comparisons never match a missing value, negations are complements over all documents.
- A value is checked before anything is changed; there a failure leaves a document half indexed.
- The documents without a value are a tree; there they are one flat set, rewritten whole each time.
- Posting lists are handed out as copies; there one may be the live list.
- Queries that make no sense are a `QueryError`, not a TypeError from inside a tree.

The classes, by their paths, are part of the catalog's file format: ordinary repoze.catalog
programs that can import authdb open and query it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from repoze.catalog.indexes.field import CatalogFieldIndex
from repoze.catalog.indexes.keyword import CatalogKeywordIndex
from repoze.catalog.indexes.text import CatalogTextIndex
from zope.index.field import FieldIndex as ZopeFieldIndex
from zope.index.keyword import KeywordIndex as ZopeKeywordIndex
from zope.index.text.lexicon import CaseNormalizer, Lexicon, Splitter, StopWordRemover

from authdb.dates import first_day, parse_date, period
from authdb.exceptions import QueryError, nearest, shown
from authdb.fields import CATEGORIES, normalize_name

__all__ = [
    "CategoryIndex",
    "DateIndex",
    "FieldIndex",
    "KeywordIndex",
    "NameIndex",
    "PackageLexicon",
    "Span",
    "TextIndex",
]

_missing = object()

#: The lowest and the highest value that are meant, None for no bound; whether each is left out.
Span = tuple[Any, Any, bool, bool]


class _Mended:
    """What all the indexes share. Comes before repoze.catalog's class among the bases."""

    # Given by repoze.catalog's classes.
    family: Any
    discriminator: Any
    _not_indexed: Any
    _indexed: Callable[[], Iterable[int]]
    unindex_doc: Callable[[int], None]
    # Given by the classes below.
    _insert: Callable[[int, Any], None]  # puts a value into the trees
    applyEq: Callable[[Any], Any]
    ANSWERS: str  # the questions that can be asked, for the error about one that cannot

    def __init__(self, discriminator: Any, *args: Any) -> None:
        super().__init__(discriminator, *args)  # type: ignore[call-arg]  # repoze.catalog's
        self._not_indexed = self.family.IF.TreeSet()

    def value(self, document: Any) -> Any:
        """What is indexed of ``document``; None where there is nothing.

        :raises ValueError: the document's value is not of the kind that this index holds
        """
        if callable(self.discriminator):
            value = self.discriminator(document, _missing)
        else:
            value = getattr(document, self.discriminator, _missing)
        return None if value is _missing or value is None else self.convert(value)

    def convert(self, value: Any) -> Any:
        """A document's value in the form that is indexed; None where it says nothing."""
        return value

    def put(self, docid: int, value: Any) -> None:
        """Index ``value``, which `value` gave, in place of what is indexed for ``docid``."""
        if value is None:
            self.unindex_doc(docid)
            self._not_indexed.insert(docid)
        else:
            if docid in self._not_indexed:
                self._not_indexed.remove(docid)
            self._insert(docid, value)

    def index_doc(self, docid: int, document: Any) -> None:
        self.put(docid, self.value(document))

    reindex_doc = index_doc

    def docids(self) -> Any:
        """All documents, those without a value included."""
        return self.family.IF.union(
            self.family.IF.Set(self._indexed()), self.family.IF.Set(self._not_indexed)
        )

    def _refuse(self, question: str) -> Any:
        raise QueryError(f"{question} cannot be asked of {self.discriminator}; {self.ANSWERS} can")

    def _negate(self, assertion: Any, *args: Any, **kw: Any) -> Any:
        positive = assertion(*args, **kw)
        return self.family.IF.difference(self.docids(), positive)

    def each(self, values: Any) -> list[Any]:
        """The values of a question about several.

        :raises QueryError: they are not several
        """
        # Those that come are lists and tuples; of an abstract class it takes longer to tell.
        if type(values) in (list, tuple):
            return list(values)
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise QueryError(
                f"{self.discriminator} is asked about a list of values, not {shown(values)}"
            )
        return list(values)

    def applyAny(self, values: Any) -> Any:
        return self.family.IF.multiunion([self.applyEq(value) for value in self.each(values)])

    def applyAll(self, values: Any) -> Any:
        found = None
        for value in self.each(values):
            docids = self.applyEq(value)
            found = docids if found is None else self.family.IF.intersection(found, docids)
        return self.docids() if found is None else found


def _unanswerable(*questions: str) -> Any:
    """A class decorator: each of these questions gets an error that says which can be asked."""

    def decorate(cls: type) -> type:
        for question in questions:
            setattr(cls, f"apply{question}", _refusal(question))
        return cls

    return decorate


def _refusal(question: str) -> Any:
    def refuse(self: Any, *args: Any, **kw: Any) -> Any:
        return self._refuse(question)

    return refuse


@_unanswerable("Contains")
class FieldIndex(_Mended, CatalogFieldIndex):
    """One text a document, in the order of its characters.

    Comparisons with None match nothing, as a missing value compares to nothing; as an end of
    InRange, None leaves that side open.
    """

    ANSWERS = "Eq, Lt, Le, Gt, Ge, InRange, Any, All and their negations"

    def convert(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{self.discriminator}: text is indexed here, not {shown(value)}")
        return value

    def bounds(self, value: Any) -> tuple[Any, Any]:
        """The lowest and the highest indexed value that ``value``, of a query, stands for."""
        if not isinstance(value, str):
            raise QueryError(f"{self.discriminator} is compared with text, not {shown(value)}")
        return value, value

    def _insert(self, docid: int, value: Any) -> None:
        # zope.index's own method; repoze.catalog's would ask the discriminator once more.
        ZopeFieldIndex.index_doc(self, docid, value)

    def key(self, docid: int) -> Any:
        """The document's value, which sorts; None where it has none."""
        return self._rev_index.get(docid)

    def span(self, question: str, *values: Any) -> Span | None:
        """The indexed values that a question asks for; None where nothing can match.

        :param question: "Eq", "Lt", "Le", "Gt", "Ge" or "InRange"
        :param values: those of the query: one, or of a range its two ends and whether each of
            them is left out
        :raises QueryError: a value that is not compared with these
        """
        if question == "InRange":
            return self._between(*values)
        if values[0] is None:
            return None
        low, high = self.bounds(values[0])
        if question == "Eq":
            return low, high, False, False
        if question == "Lt":
            return None, low, False, True
        if question == "Le":
            return None, high, False, False
        return (high, None, True, False) if question == "Gt" else (low, None, False, False)

    def _between(
        self, start: Any, end: Any, excludemin: bool = False, excludemax: bool = False
    ) -> Span | None:
        low = None if start is None else self.bounds(start)[1 if excludemin else 0]
        high = None if end is None else self.bounds(end)[0 if excludemax else 1]
        # Of a side that is open, BTrees would exclude the lowest or the highest value.
        excludemin, excludemax = excludemin and low is not None, excludemax and high is not None
        if low is None or high is None or low < high:
            return low, high, excludemin, excludemax
        single = low == high and not (excludemin or excludemax)
        return (low, high, False, False) if single else None

    def _matching(self, question: str, *values: Any) -> Any:
        span = self.span(question, *values)
        if span is None:
            return self.family.IF.Set()
        return self.family.IF.multiunion(self._fwd_index.values(*span))

    def applyEq(self, value: Any) -> Any:
        return self._matching("Eq", value)

    def applyLt(self, value: Any) -> Any:
        return self._matching("Lt", value)

    def applyLe(self, value: Any) -> Any:
        return self._matching("Le", value)

    def applyGt(self, value: Any) -> Any:
        return self._matching("Gt", value)

    def applyGe(self, value: Any) -> Any:
        return self._matching("Ge", value)

    def applyInRange(
        self, start: Any, end: Any, excludemin: bool = False, excludemax: bool = False
    ) -> Any:
        return self._matching("InRange", start, end, excludemin, excludemax)


class NameIndex(FieldIndex):
    """Names of distributions; a query may spell one as people do."""

    def bounds(self, value: Any) -> tuple[Any, Any]:
        low, _ = super().bounds(value)
        name = normalize_name(low)
        return name, name


#: The same few dates are asked about again and again, and to read one takes as long as to plan.
_period_of_text = lru_cache(1000)(period)


class DateIndex(FieldIndex):
    """Days, kept as ordinals.

    A document that is known to the month or the year stands at its first day. In a query a
    month or a year is the whole of it: ``< '2019'`` ends before its first day, ``<= '2019'``
    takes it in.
    """

    def convert(self, value: Any) -> Any:
        try:
            return first_day(parse_date(value)).toordinal()
        except ValueError as error:
            raise ValueError(f"{self.discriminator}: {error}, not {shown(value)}") from None

    def bounds(self, value: Any) -> tuple[int, int]:
        try:
            return _period_of_text(value) if type(value) is str else period(value)
        except ValueError as error:
            given = "" if "calendar" in str(error) else f", not {shown(value)}"
            raise QueryError(f"{self.discriminator}: {error}{given}") from None


@_unanswerable("Lt", "Le", "Gt", "Ge", "InRange", "NotInRange")
class KeywordIndex(_Mended, CatalogKeywordIndex):
    """Several keywords a document."""

    ANSWERS = "Eq, Any, All, Contains and their negations"

    # zope.index turns a Set into a TreeSet at 64 docids, and under concurrent writers that
    # silently loses changes; so each posting list is a tree from its first docid on.
    tree_threshold = 1

    def convert(self, value: Any) -> Any:
        if not isinstance(value, (tuple, list, set, frozenset)) or not all(
            isinstance(keyword, str) for keyword in value
        ):
            raise ValueError(
                f"{self.discriminator}: several keywords are indexed here, not {shown(value)}"
            )
        return tuple(value) or None

    def check(self, keyword: Any) -> str:
        """``keyword``, of a query.

        :raises QueryError: it can never match
        """
        if not isinstance(keyword, str):
            raise QueryError(f"{self.discriminator} is compared with text, not {shown(keyword)}")
        return keyword

    def _insert(self, docid: int, value: Any) -> None:
        ZopeKeywordIndex.index_doc(self, docid, value)

    def _posting(self, keyword: Any) -> Any:
        empty = self.family.IF.Set()
        return empty if keyword is None else self._fwd_index.get(self.check(keyword), empty)

    def applyAny(self, values: Any) -> Any:
        return self.family.IF.multiunion([self._posting(value) for value in self.each(values)])

    applyIn = applyAny

    def applyAll(self, values: Any) -> Any:
        postings = sorted((self._posting(value) for value in self.each(values)), key=len)
        if not postings:
            return self.docids()
        found = self.family.IF.multiunion(postings[:1])  # a copy: the posting list is live
        for posting in postings[1:]:
            found = self.family.IF.intersection(found, posting)
        return found

    def applyEq(self, value: Any) -> Any:
        return self.applyAny([value])

    applyContains = applyEq


class CategoryIndex(KeywordIndex):
    """Keywords of the vocabulary; a query for another one is a mistake."""

    def check(self, keyword: Any) -> str:
        keyword = super().check(keyword)
        if keyword not in CATEGORIES:
            raise QueryError(f"unknown category {keyword!r}{nearest(keyword, CATEGORIES)}")
        return str.__str__(keyword)  # an Enum's member says its name otherwise


class PackageLexicon(Lexicon):
    """The words of a text index, with wildcards that cannot run away.

    zope.index's pattern for ``a*a*a*a*b`` backtracks for minutes on one long word.
    """

    def __init__(self) -> None:
        super().__init__(Splitter(), CaseNormalizer(), StopWordRemover())

    def globToWordIds(self, pattern: str) -> list[int]:
        prefix = re.match(r"[^*?]*", pattern)[0]  # type: ignore[index]  # it always matches
        # fnmatch's pattern finds each literal part once, from left to right.
        matches = re.compile(fnmatch.translate(pattern)).match
        wids = []
        for word, wid in self._wids.items(prefix):
            if not word.startswith(prefix):
                break
            if matches(word):
                wids.append(wid)
        return wids


@_unanswerable("Lt", "Le", "Gt", "Ge", "InRange", "NotInRange")
class TextIndex(_Mended, CatalogTextIndex):
    """Words of a text, with Okapi BM25 weights.

    Searches are written as zope.index has them: ``token auth``, ``"social login"``,
    ``jwt OR token``, ``auth -jwt``, ``web*``.
    """

    ANSWERS = "Contains, Eq, Any, All and their negations"
    #: Bounds of one search: characters, and wildcards.
    MAX_LENGTH = 1000
    MAX_WILDCARDS = 5

    def __init__(self, discriminator: Any) -> None:
        super().__init__(discriminator, PackageLexicon())

    def convert(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{self.discriminator}: text is indexed here, not {shown(value)}")
        return value or None

    def _insert(self, docid: int, value: Any) -> None:
        self.index.index_doc(docid, value)

    def unindex_doc(self, docid: int) -> None:
        if docid in self._not_indexed:
            self._not_indexed.remove(docid)
        self.index.unindex_doc(docid)

    def check(self, value: Any) -> str | None:
        """``value``, of a query; None where nothing is searched for.

        :raises QueryError: it is no search, or one beyond the bounds
        """
        if value is None:
            return None
        if not isinstance(value, str):
            raise QueryError(f"{self.discriminator} is searched for text, not {shown(value)}")
        if len(value) > self.MAX_LENGTH:
            raise QueryError(
                f"a search has at most {self.MAX_LENGTH} characters, this one {len(value)}"
            )
        if value.count("*") + value.count("?") > self.MAX_WILDCARDS:
            raise QueryError(f"a search has at most {self.MAX_WILDCARDS} wildcards")
        if not value.strip():
            raise QueryError(f"{self.discriminator} is searched for words, and none is given")
        return value

    def run(self, search: Callable[[str], Any], value: str) -> Any:
        """What ``search`` gives for ``value``.

        :raises QueryError: zope.index cannot read the value, or not follow it
        """
        from zope.index.text.parsetree import ParseError
        from zope.index.text.parsetree import QueryError as GlobError

        try:
            return search(value)
        except (ParseError, GlobError, RecursionError) as error:
            if isinstance(error, RecursionError):
                reason = "it is nested too deeply"
            elif "common words" in str(error):
                reason = "it has only words that are too common, or no words"
            elif "glob" in str(error):
                reason = "a word does not begin with a wildcard"
            else:
                reason = (
                    'it takes words, a "phrase", AND, OR, AND NOT between them, and parentheses'
                )
            raise QueryError(
                f"{self.discriminator} cannot be searched for {shown(value)}: {reason}"
            ) from None

    def applyContains(self, value: Any) -> Any:
        checked = self.check(value)
        return self.family.IF.Bucket() if checked is None else self.run(self.apply, checked)

    applyEq = applyContains
