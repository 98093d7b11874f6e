"""The rows of the report: what is measured, in whose words, and when two answers are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["CHANGING", "COMMANDS", "KEEPING", "LOADING", "QUESTIONS", "TASKS", "Task", "unlike"]


class Task(NamedTuple):
    """One row.

    ``ours`` is what authdb is asked to do where that has another name than what the others do.
    ``form`` says how answers are held against each other, see `unlike`.
    """

    key: str
    title: str
    ours: str = ""
    form: str = "value"
    unit: str = "s"

    @property
    def own(self) -> str:
        """The name of our side of it."""
        return self.ours or self.key


LOADING = (
    Task("load", "load with text into a new database"),
    Task("load", "load with text, ours in one process", "load_alone"),
    Task("load", "load with text, ours through the public API of any storage", "load_any"),
    Task("load_without_text", "load without text (ours with: it has no switch)", "load"),
    Task("load_memory", "peak memory of loading, all processes", unit="B"),
    Task("size", "size on disk", unit="B"),
)
COMMANDS = (
    Task("load_command", "load with text, as whole processes (ours: authdb load alone)"),
    Task("cold_query", "query --before 2013 --limit 20, a whole process"),
)
QUESTIONS = (
    Task("open", "open, and count what is before 2013"),
    Task("lt_count", "before 2013: count"),
    Task("range_count", "2020 to 2023, a third of all: count"),
    Task("range_any_count", "2020 to 2023, any of 2 categories: count"),
    Task("all_count", "all of 2 categories: count"),
    Task("not_any_count", "none of 3 categories: count"),
    Task("or_count", "a license, or before 2013: count"),
    Task("facets", "2020 to 2023: packages in each category", form="mapping"),
    Task("histogram", "packages in each year", form="mapping"),
    Task("newest_ids", "2020 to 2023, any of 2 categories: ids of the newest 20", form="ordered"),
    Task("newest_rows", "2020 to 2023, any of 2 categories: rows of the newest 20", form="rows"),
    Task(
        "other_order_ids",
        "2020 to 2023, all of 2 categories: ids of the 20 newest by release",
        form="ordered",
    ),
    Task("by_name", "20 packages by name, with all fields", form="same"),
    Task("text_rare", "a rare word: best 10", form="best"),
    Task("text_frequent", "a frequent word: best 10", form="best"),
    Task("text_and", "both words: best 10", form="best"),
    Task("text_and_count", "both words: count"),
    Task("phrase_count", "a phrase: count"),
    Task("text_filter", "a rare word, 2020 to 2023, any of 2 categories: best 10", form="best"),
    Task("list_rows", "before 2013, 3 % of all: all rows", form="rows"),
    Task("first_rows", "before 2013: all rows, the first question after opening"),
)
CHANGING = (
    Task("change", "one change, synced"),
    Task("change_text", "one change of a description, synced"),
    Task("changes", "1,000 changes in one commit"),
    Task("batch_1000", "1,000 new packages into the full one"),
    Task("batch_10000", "10,000 new packages into the full one"),
    Task("batch_10000_without_text", "10,000 new packages without text (ours with)", "batch_10000"),
)
KEEPING = (Task("pack", "pack, VACUUM"),)
TASKS = LOADING + COMMANDS + QUESTIONS + CHANGING + KEEPING


def unlike(form: str, ours: Any, theirs: Any) -> str | None:
    """How two answers, as JSON holds them, differ; None where they are equal.

    - ``value``, ``same``: they are the same
    - ``mapping``: the same counts; what is counted as 0 may be left out
    - ``ordered``: pairs of a name and a day; the same days, and the same names but for those that
      share the last day, of which the limit may take any
    - ``rows``: rows whose third value is the day, compared like that; all values of each row
    - ``best``: as many; how well a text matches is worked out differently, so others may be best
    """
    return _FORMS[form](ours, theirs)


def _same(ours: Any, theirs: Any) -> str | None:
    if ours == theirs:
        return None
    return f"{str(ours)[:60]} and not {str(theirs)[:60]}"


def _mapping(ours: Any, theirs: Any) -> str | None:
    mine, other = ({k: n for k, n in answer.items() if n} for answer in (ours, theirs))
    wrong = [key for key in {*mine, *other} if mine.get(key) != other.get(key)]
    return f"{len(wrong)} counts, such as that of {min(wrong)}" if wrong else None


def _ordered(ours: Any, theirs: Any) -> str | None:
    mine, other = ([_day(pair[1]) for pair in answer] for answer in (ours, theirs))
    if mine != other:
        return f"other days, or in another order: {len(mine)} and not {len(other)}"
    before_last = [{pair[0] for pair in a if _day(pair[1]) != mine[-1]} for a in (ours, theirs)]
    return None if before_last[0] == before_last[1] else "other names"


def _rows(ours: Any, theirs: Any) -> str | None:
    wrong = _ordered([(r[0], r[2]) for r in ours], [(r[0], r[2]) for r in theirs])
    if wrong:
        return wrong
    other = {row[0]: _row(row) for row in theirs}
    for row in ours:
        if row[0] in other and _row(row) != other[row[0]]:
            return f"the row of {row[0]}: {_row(row)} and not {other[row[0]]}"
    return None


def _row(row: Any) -> list[Any]:
    """A row's values; categories in the order of letters, nothing as nothing."""
    return [*(value or None for value in row[:-1]), sorted((row[-1] or "").split(","))]


def _day(text: str | None) -> str:
    """The day on which a day, month or year begins."""
    return (text + "-01-01")[:10] if text else ""


def _best(ours: Any, theirs: Any) -> str | None:
    if len(ours) != len(theirs):
        return f"{len(ours)} and not {len(theirs)}"
    return None if len(set(ours)) == len(ours) else "the same twice"


_FORMS: dict[str, Callable[[Any, Any], str | None]] = {
    "value": _same,
    "same": _same,
    "mapping": _mapping,
    "ordered": _ordered,
    "rows": _rows,
    "best": _best,
}
