"""Plans: how a question is answered, and by what.

There are two engines under one tree of a question (`authdb.questions`). The *trees* are those of
the catalog, always there and always right. The *ranks* are those of the columns beside it, where
there are any: bitmaps, runs and counts. Both give the same answers.

Whatever the limit, all that match are counted; but only those that are shown are put in order. Of
the newest few, which are found at one end of the ranks, the others are not counted until somebody
asks how many there are (`authdb.onranks.Unmade`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from itertools import compress
from typing import Any

from authdb.columns import FIELDS, KEYWORDS, Columns
from authdb.exceptions import QueryError
from authdb.lengths import Lengths
from authdb.onranks import RANKED, Ranks
from authdb.ontrees import Trees
from authdb.ordering import Order, by_weight, order_of, page_of
from authdb.postings import AllOf
from authdb.query import index_of, parse_query
from authdb.questions import Between, Join, Keywords, Meet, Node, Question, Text, read
from authdb.rankorder import RankOrder, merged

__all__ = ["Asked", "Found"]


class Asked:
    """A question as it was put, and what there is to answer it from.

    :param catalog: gives the catalog when it is first needed
    :param columns: the columns of just that state of it, if there are any
    :param query: a query object, the same as text, or None for all
    :param names: values for the `Name` objects in it, and for the bare names in the text
    :param sort: see `authdb.ordering.order_of`
    :param reverse: the other way round
    :param limit: how many are shown at most; None for all
    :param offset: how many are left out first
    :param shapes: indexes of the kinds that the catalog has, to read the question with; None for
        its own
    :param lengths: gives the lengths of texts that are kept for this state
    :raises QueryError: see `authdb.questions.read`, `authdb.ordering.order_of`
    """

    def __init__(
        self,
        catalog: Callable[[], Any],
        columns: Columns | None = None,
        query: Any = None,
        names: Mapping[str, Any] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        offset: int = 0,
        *,
        shapes: Mapping[str, Any] | None = None,
        lengths: Callable[[str, Any], Lengths | None] | None = None,
    ) -> None:
        if not isinstance(names, (type(None), Mapping)):
            raise QueryError(f"names is a mapping of names to values, not {type(names).__name__}")
        if isinstance(query, str):
            query = parse_query(query, names)

        def index(name: Any) -> Any:
            if shapes is not None and isinstance(name, str) and name in shapes:
                return shapes[name]
            return index_of(catalog(), name)

        self.question = read(query, names, index)
        known = shapes if shapes is not None and _is_shape(sort, shapes) else catalog()
        self.order = order_of(sort, reverse, limit, offset, self.question, known)
        self.trees = Trees(catalog, lengths)
        self.ranks: Ranks | None = None
        if columns is not None and _helped(self.question, self.order):
            self.ranks = Ranks(columns, self.trees)

    def found(self) -> Found:
        """The answer."""
        found, order = self._found(), self.order
        if (order.start or order.stop == 0) and found.total == 1 and not found.docids:
            # What limit and offset leave out may be the only one.
            self.order = order._replace(start=0, stop=None)
            found.only = self._found().only
            self.order = order
        return found

    def _found(self) -> Found:
        if self.ranks is None:
            return Found(*page_of(self.trees, self.question, self.order))
        if self.order.searches is not None:
            return self._relevant(self.ranks)
        return self._ranked(self.ranks)

    def _ranked(self, ranks: Ranks) -> Found:
        """In the order of a field, or of docids."""
        order, others = self.order, ranks.dirty(self.question)
        ranked = RankOrder(ranks.columns, order.field, order.reverse)
        if order.field == RANKED and order.stop is not None and order.start < order.stop:
            window = ranks.window(self.question)
            if window is not None:  # they are not counted until somebody asks how many they are
                docids, how = ranked.first(window, order.stop)
                shown = self._merged(docids, others)[order.start : order.stop]
                return Found(lambda: len(window) + len(others), shown, how)
        found = ranks.found(self.question)
        total = len(found) + len(others)
        start, stop = order.clip(total)
        if start >= stop:
            return Found(total, array("i"), "none is shown")
        if order.stop is None and not others:
            return Found(total, lambda: ranked.first(found, None), start=start)
        docids, how = ranked.first(found, stop)
        return Found(total, self._merged(docids, others)[start:stop], how)

    def _merged(self, docids: list[int], others: list[int]) -> array[int]:
        """The docids of the first ranks, in order, and those of dirty packages in between."""
        if others:
            field = self.order.field
            value = None if field is None else self.trees.index(field).key
            docids = merged(docids, others, value, self.order.reverse)
        return array("i", docids)

    def _relevant(self, ranks: Ranks) -> Found:
        """In the order of the weights of searches."""
        order, question = self.order, self.question
        assert order.searches is not None
        searched = _searched(question)
        if searched is None:
            table = ranks.columns.docids
            docids = [table[rank] for rank in ranks.matching(question)]
            docids = sorted(docids + ranks.dirty(question))
        else:
            docids = self._filtered(ranks, *searched)
        return Found(len(docids), *by_weight(self.trees, question, docids, order))

    def _filtered(self, ranks: Ranks, texts: list[Text], rest: Question) -> list[int]:
        """What all searches match, and the rest of the question too."""
        parts = [self.trees.part(text) for text in texts]
        docids = (AllOf(parts) if len(parts) > 1 else parts[0]).docids()
        fits, table, dirty = ranks.matching(rest), ranks.columns.ranks, ranks.columns.dirty
        if not dirty:
            # Without a line of Python for each docid, in half the time.
            docids = list(docids)
            return list(compress(docids, map(fits.__contains__, map(table.__getitem__, docids))))
        test = self.trees.test(rest)
        return [
            docid for docid in docids if (test(docid) if docid in dirty else table[docid] in fits)
        ]


class Found:
    """How many match, and the docids of those that are shown.

    Both are those that there were when it was asked, whenever they are read.

    :param total: how many match; or a function that counts them
    :param page: the docids that are shown; or a function that gives, of all that match, the docids
        in order, and how it came by that order
    :param start: how many of those are left out

    Attribute: ``how`` the order was come by, in words.
    """

    __slots__ = ("_only", "_page", "_start", "_total", "how")

    def __init__(
        self,
        total: int | Callable[[], int],
        page: array[int] | Callable[[], tuple[list[int], str]],
        how: str = "",
        start: int = 0,
    ) -> None:
        self._total, self._page, self.how, self._start = total, page, how, start
        self._only: int | None = None

    @property
    def total(self) -> int:
        """How many match."""
        if not isinstance(self._total, int):
            self._total = self._total()
        return self._total

    @property
    def docids(self) -> array[int]:
        """The docids that are shown, in order."""
        if not isinstance(self._page, array):
            docids, self.how = self._page()
            self._page = array("i", docids[self._start :])
        return self._page

    @property
    def only(self) -> int | None:
        """The docid where just one matches, shown or not, else None."""
        if self._only is None and self.total == 1 and self.docids:
            self._only = self.docids[0]
        return self._only

    @only.setter
    def only(self, docid: int | None) -> None:
        self._only = docid


def _is_shape(sort: Any, shapes: Mapping[str, Any]) -> bool:
    return sort is None or sort == "relevance" or (isinstance(sort, str) and sort in shapes)


def _leaves(node: Node) -> list[Node]:
    if isinstance(node, Meet):
        return [leaf for part in (*node.wanted, *node.unwanted) for leaf in _leaves(part)]
    if isinstance(node, Join):
        return [leaf for part in node.parts for leaf in _leaves(part)]
    return [node]


def _helped(question: Question, order: Order) -> bool:
    """Whether columns know what is asked, and can help."""
    leaves = _leaves(question.root)
    known = 0
    for leaf in leaves:
        if isinstance(leaf, (Between, Keywords)):
            if leaf.index not in (FIELDS if isinstance(leaf, Between) else KEYWORDS):
                return False
            known += 1
    if order.field is not None:
        return order.field in FIELDS
    return not leaves or known > 0


def _searched(question: Question) -> tuple[list[Text], Question] | None:
    """The searches of which all have to match, and the rest of the question."""
    root = question.root
    if question.negated or not isinstance(root, Meet):
        return None
    texts = [part for part in root.wanted if isinstance(part, Text)]
    if not texts:
        return None
    others = [part for part in root.wanted if not isinstance(part, Text)]
    rest = Question(Meet(others, root.unwanted), False, ())
    if not others:
        rest = Question(Join(root.unwanted), True, ())
    return texts, rest
