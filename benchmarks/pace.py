"""How often something is done: what takes long is done fewer times, so that a run ends soon."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ASKS", "COMPARED", "LOADS", "again"]

#: The peers of the bars: they are opened as often as was asked for, however long it takes.
COMPARED = ("ours", "sqlite")
#: Seconds in all that one way of one peer to load may take, and one of its questions.
LOADS, ASKS = 3.0, 0.5


def again(times: Sequence[float], turns: int, budget: float) -> bool:
    """Whether something is to be done once more. Each is done once.

    :param times: the seconds that it took so far
    :param turns: how often it is done at most
    :param budget: the seconds that it may take in all, with those that it would take now
    """
    return not times or (len(times) < turns and sum(times) + max(times) <= budget)
