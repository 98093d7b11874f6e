"""How a question is answered, in words and figures: the text of `Result.explain`.

The question is asked once more, and each part of it for itself, to be counted and timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from time import perf_counter
from typing import Any, NamedTuple

from authdb.exceptions import shown
from authdb.indexes import Span
from authdb.onranks import RANKED, Ranks
from authdb.ontrees import Trees
from authdb.ordering import Order
from authdb.planning import Asked
from authdb.questions import Between, Join, Keywords, Listed, Meet, Node, Question, Text

__all__ = ["explain"]

#: How wide what is asked is written, and how far parts in parts move to the right.
WIDTH, DEEPEST = 48, 8


class _Step(NamedTuple):
    """A part of a question: how deep it stands in others, what it is, how it is answered, how many
    are expected and found, and in how many seconds."""

    depth: int
    what: str
    how: str
    estimated: int
    found: int
    seconds: float


def explain(ask: Callable[[], Asked], why: str) -> str:
    """The plan of a question, with figures.

    :param ask: puts the question
    :param why: why there are no columns, where there are none
    """
    asked, planned = _timed(ask)
    found, answered = _timed(lambda: _whole(asked))
    lines = [
        _headline(asked, found.total, len(found.docids)),
        _engine(asked, why),
        "",
        f"{'':{WIDTH}}{'estimated':>11}{'found':>10}{'time':>11}",
    ]
    for step in _all_steps(asked, found.total):
        indent = "  " * min(step.depth, DEEPEST)
        lines.append(
            f"{_cut(indent + step.what):{WIDTH}}{step.estimated:>11,}{step.found:>10,}"
            f"{_time(step.seconds):>11}"
        )
        lines += [f"{indent}    {step.how}"] * bool(step.how)
    lines += [
        "",
        f"order: {found.how}",
        f"planned in {_time(planned)}, answered in {_time(answered)}",
    ]
    return "\n".join(lines)


def _whole(asked: Asked) -> Any:
    found = asked.found()
    found.docids, found.total  # noqa: B018 - put in order, and counted
    return found


def _timed(do: Callable[[], Any]) -> tuple[Any, float]:
    began = perf_counter()
    done = do()
    return done, perf_counter() - began


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds < 1 else f"{seconds:.3f} s"


def _cut(text: str) -> str:
    return text if len(text) < WIDTH else f"{text[: WIDTH - 4]}..."


def _headline(asked: Asked, total: int, count: int) -> str:
    order: Order = asked.order
    if order.searches is not None:
        by = "the least relevant first" if order.reverse else "the most relevant first"
    else:
        by = f"by {order.field or 'docid'}, the {'highest' if order.reverse else 'lowest'} first"
    matching = f"{total:,} of {asked.trees.size():,} packages match"
    return f"{matching}, {count:,} {'is' if count == 1 else 'are'} shown, {by}"


def _engine(asked: Asked, why: str) -> str:
    if asked.ranks is None:
        return f"on the trees of the catalog, without columns: {why}"
    dirty = len(asked.ranks.columns.dirty)
    if not dirty:
        return "on columns"
    return f"on columns; {dirty:,} changed since they were made: judged on the trees, one by one"


def _all_steps(asked: Asked, total: int) -> Iterator[_Step]:
    if asked.ranks is not None:
        import pyroaring  # noqa: F401 - or the first step would be the slower by this
    root, negated = asked.question.root, asked.question.negated
    if negated and isinstance(root, Join) and not root.parts:
        return iter([_Step(0, "all packages", "", total, total, 0.0)])
    return _steps(asked, root, 0, "all but " * negated)


def _steps(asked: Asked, node: Node, depth: int, sign: str) -> Iterator[_Step]:
    """The steps for a node, and below it those for its parts."""
    fresh = Trees(asked.trees.catalog, asked.trees.lengths)
    if asked.ranks is None:
        found, seconds = _timed(lambda: len(fresh.part(node).docids()))
        how, estimated = _on_trees(asked.trees, node), fresh.part(node).size
    else:
        ranks, question = Ranks(asked.ranks.columns, fresh), Question(node, False, ())
        bitmap, seconds = _timed(lambda: ranks.matching(question))
        found = len(bitmap) + len(ranks.dirty(question))
        how, estimated = _on_ranks(asked.ranks, node), ranks.size(node)
    yield _Step(depth, sign + _what(node), how, estimated, found, seconds)
    if isinstance(node, Meet):
        for each in node.wanted:
            yield from _steps(asked, each, depth + 1, "")
        for each in node.unwanted:
            yield from _steps(asked, each, depth + 1, "not ")
    elif isinstance(node, Join):
        for each in node.parts:
            yield from _steps(asked, each, depth + 1, "")


# -- what is asked -------------------------------------------------------------------------------


def _what(node: Node) -> str:
    if isinstance(node, Between):
        if len(node.spans) == 1:
            return _range(node.index, node.spans[0])
        return f"{node.index}: one of {len(node.spans):,} values" if node.spans else "nothing"
    if isinstance(node, Keywords):
        several = "" if len(node.words) == 1 else "all of " if node.every else "any of "
        return f"{node.index}: {several}{', '.join(map(str, node.words))}"
    if isinstance(node, Text):
        return f"{node.index}: {shown(node.value)}"
    if isinstance(node, Listed):
        return f"{node.index}: what the index answers"
    if isinstance(node, Meet):
        return "all of"
    assert isinstance(node, Join)
    return "any of" if node.parts else "nothing"


def _range(index: str, span: Span) -> str:
    low, high, exclude_low, exclude_high = span
    if low is not None and low == high:
        return f"{index} == {_value(low)}"
    left = "" if low is None else f"{_value(low)} {'<' if exclude_low else '<='} "
    right = "" if high is None else f" {'<' if exclude_high else '<='} {_value(high)}"
    return f"{left}{index}{right}" if left or right else f"{index} is known"


def _value(value: Any) -> str:
    return date.fromordinal(value).isoformat() if isinstance(value, int) else shown(value, 30)


# -- how it is answered --------------------------------------------------------------------------


def _on_ranks(ranks: Ranks, node: Node) -> str:
    if node in ranks.tested:
        return "each rank that is left is tested"
    if isinstance(node, Between):
        runs = list(ranks.runs(node))
        if len(runs) != 1:
            return f"union of {len(runs):,} bitmaps"
        start, stop = runs[0]
        if node.index == RANKED:
            return f"run of ranks {start:,}..{stop:,}"
        if not ranks.dear(node):
            return "a bitmap"
        return f"bitmap of {start:,}..{stop:,} in the order of {node.index}"
    if isinstance(node, Keywords):
        how = "intersection" if node.every else "union"
        return "a bitmap" if len(node.words) == 1 else f"{how} of {len(node.words)} bitmaps"
    if isinstance(node, (Text, Listed)):
        return "posting lists of words, the smallest first; then their ranks"
    if isinstance(node, Meet):
        return "intersection of bitmaps" + ", less others" * bool(node.unwanted)
    return "union of bitmaps" if isinstance(node, Join) and node.parts else ""


def _on_trees(trees: Trees, node: Node) -> str:
    if node in trees.tested():
        return "each docid that is left is tested"
    if isinstance(node, Between):
        points = len(node.spans) == 1 and node.spans[0][0] == node.spans[0][1] is not None
        return "a posting list" if points else "union of the posting lists in the range"
    if isinstance(node, Keywords):
        how = "intersection" if node.every else "union"
        number = len(node.words)
        return "a posting list" if number == 1 else f"{how} of {number} posting lists"
    if isinstance(node, Text):
        return "posting lists of words, the smallest first"
    if isinstance(node, Meet):
        return "intersection, the smallest first" + ", less others" * bool(node.unwanted)
    return "union" if isinstance(node, Join) and node.parts else ""
