"""Columns: what queries and lists need of all packages, laid out to be read at once.

They stand beside the catalog and are derived as it is. A package has a *rank*: its position in the
order of (last_update, docid), those without a date last. So a range of `last_update` is a run of
successive ranks. Of each field the ranks are also held in the order of its values; of each keyword
a bitmap of its ranks; and of each package what a list shows of it, as a row of text.

Columns are made for one state of the catalog and never changed. What was changed since is said by
``dirty``: of those packages nothing here is to be believed.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import reduce
from itertools import repeat
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from authdb.dates import PartialDate, parse_date
from authdb.files import COLUMNS_FILE
from authdb.sections import Pieces, SectionDamaged, Sections

if TYPE_CHECKING:
    from pyroaring import BitMap

__all__ = [
    "COLUMNS_FILE",
    "COLUMNS_FORMAT",
    "DATES",
    "FIELDS",
    "KEYWORDS",
    "MANY",
    "Columns",
    "Row",
]

#: The number of the layout. Columns of another one are not used.
COLUMNS_FORMAT = 1
#: From how many packages on there are columns.
MANY = 5000

DATES = ("last_update", "last_release", "last_commit")
#: The fields by whose values there is an order.
FIELDS = (*DATES, "name", "license")
#: The fields for whose keywords there are bitmaps.
KEYWORDS = ("categories", "license")


class Row(NamedTuple):
    """What a list shows of one package: the fields are attributes, of the kinds that those of
    `Package` have, and read from the text when they are asked for.

    Attributes: ``docid``; ``text``, the fields in the order of `gathering.ROW_FIELDS`, between
    them U+001F.
    """

    docid: int
    text: str

    @classmethod
    def of(cls, docid: int, package: Any) -> Row:
        """The row of a `Package`, where there are no columns to read it from."""
        from authdb.gathering import row

        package._p_activate()  # the __dict__ of a ghost is empty
        return cls(docid, row(vars(package)).decode())

    @property
    def cells(self) -> list[str]:
        """The fields as text, in the order of `gathering.ROW_FIELDS`; "" for what is not known."""
        return self.text.split("\x1f")

    @property
    def name(self) -> str:
        """The name."""
        return self.text[: self.text.index("\x1f")]

    @property
    def title(self) -> str:
        """The title."""
        return self.cells[1]

    @property
    def last_update(self) -> date | PartialDate | None:
        """The date of the last update."""
        return _date(self.cells[2])

    @property
    def last_commit(self) -> date | PartialDate | None:
        """The date of the last commit."""
        return _date(self.cells[3])

    @property
    def last_release(self) -> date | PartialDate | None:
        """The date of the last release."""
        return _date(self.cells[4])

    @property
    def version(self) -> str | None:
        """The latest version."""
        return self.cells[5] or None

    @property
    def license(self) -> str | None:
        """The licence."""
        return self.cells[6] or None

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories, in the order of the package's own."""
        cell = self.cells[7]
        return tuple(cell.split(",")) if cell else ()

    def __repr__(self) -> str:
        return f"<Row {self.name}>"


def _date(cell: str) -> date | PartialDate | None:
    if len(cell) == 10:
        return date.fromisoformat(cell)
    return parse_date(cell) if cell else None


class Columns:
    """The columns of one state, as ranks.

    :param sections: where they are
    :param dirty: the docids of packages that were changed, added or removed since
    :raises SectionDamaged: they are of another format

    Each method can raise `SectionDamaged`; whoever asks then does without columns, and says so to
    `Pair.drop_columns`.

    Attributes: ``size`` (how many ranks there are), ``dirty`` (docids), ``has_rows``; ``uuid`` and
    ``mark`` (the generation and token) say for which database and state they were made.
    """

    def __init__(self, sections: Sections, dirty: Iterable[int] = ()) -> None:
        about = sections.about
        if about.get("format") != str(COLUMNS_FORMAT):
            raise SectionDamaged(COLUMNS_FILE, "they have another format")
        try:
            self.uuid, self.mark = about["uuid"], (int(about["generation"]), about["token"])
            self.size = int(about["size"])
        except (LookupError, ValueError) as error:
            raise SectionDamaged(COLUMNS_FILE, f"they are no columns ({error})") from None
        self.has_rows = "rows" in sections
        self.dirty: frozenset[int] = frozenset(dirty)
        self._sections = sections
        self._read: dict[Any, Any] = {}  # what was read so far, ready to be used
        self._masked: BitMap | None = None

    def with_dirty(self, docids: Iterable[int]) -> Columns:
        """The same columns for a later state, in which these packages differ."""
        docids = frozenset(docids)
        if docids == self.dirty:
            return self
        other = copy.copy(self)
        other.dirty, other._masked = docids, None
        return other

    def close(self) -> None:
        """Let go of the file."""
        self._read.clear()
        self._sections.close()

    # -- ranks and docids --------------------------------------------------------------------

    @property
    def docids(self) -> memoryview:
        """The docid of each rank."""
        return self._numbers("docids")

    @property
    def ranks(self) -> memoryview:
        """For each docid its rank, from docid 0 on; -1 where it has none. Packages that were added
        since may have docids beyond its end: they are `dirty`."""
        return self._numbers("ranks")

    def docid(self, rank: int) -> int:
        """The docid at a rank."""
        return self.docids[rank]

    def rank(self, docid: int) -> int | None:
        """The rank of a docid; None where it has none here."""
        ranks = self.ranks
        return ranks[docid] if 0 <= docid < len(ranks) and ranks[docid] >= 0 else None

    def ranks_of(self, docids: Iterable[int]) -> BitMap:
        """The ranks of ``docids``; those that have none here are left out."""
        from pyroaring import BitMap

        ranks = self.ranks
        end = len(ranks)
        return BitMap([ranks[d] for d in docids if 0 <= d < end and ranks[d] >= 0])

    @property
    def masked(self) -> BitMap:
        """The ranks of `dirty`: what is found at them here is not to be believed."""
        if self._masked is None:
            self._masked = self.ranks_of(self.dirty)
        return self._masked

    # -- fields ------------------------------------------------------------------------------

    def values(self, field: str) -> Sequence[Any]:
        """The values of a field, each once, ascending: ordinals of dates, or texts.

        :param field: one of `FIELDS`
        """
        if field in DATES:
            return self._numbers(f"{field}.values")
        if field == "name":
            return self._sections.texts("name.values")
        return self._texts(f"{field}.values")

    def starts(self, field: str) -> Sequence[int]:
        """Where the packages of each of `values` begin in `order`, and where the last ones end."""
        if field == "name":
            return range(self.size + 1)
        return self._numbers(f"{field}.starts")

    def order(self, field: str) -> Sequence[int]:
        """The ranks of the packages that have a value, in the order of (value, docid).

        :param field: one of `FIELDS`; of ``last_update`` they are the first ranks themselves
        """
        if field == "last_update":
            return range(self.known(field))
        return self._numbers(f"{field}.order")

    def group(self, field: str) -> memoryview:
        """For each rank the position of its value in `values`; ``len(values)`` where it has none.

        :param field: one of `FIELDS`
        """
        return self._numbers(f"{field}.group")

    def known(self, field: str) -> int:
        """How many packages have a value in a field."""
        return self.starts(field)[-1]

    def run(
        self,
        field: str,
        low: Any = None,
        high: Any = None,
        exclude_low: bool = False,
        exclude_high: bool = False,
    ) -> tuple[int, int]:
        """Where in `order` the packages with a value in a range begin, and where they end.

        :param low: the lowest value (an ordinal, or a text); None for no bound
        :param high: the highest; None for no bound
        :param exclude_low: whether that value itself is not meant
        """
        values, starts = self.values(field), self.starts(field)
        first, last = 0, len(values)
        if low is not None:
            first = (bisect_right if exclude_low else bisect_left)(values, low)
        if high is not None:
            last = (bisect_left if exclude_high else bisect_right)(values, high)
        return starts[first], starts[max(first, last)]

    def run_bitmap(self, field: str, start: int, stop: int) -> BitMap:
        """The ranks at the positions from ``start`` to before ``stop`` in `order`."""
        from pyroaring import BitMap

        return BitMap(self.order(field)[start:stop])

    # -- keywords ----------------------------------------------------------------------------

    def keywords(self, field: str) -> list[str]:
        """The keywords that there are, ascending.

        :param field: one of `KEYWORDS`
        """
        return self._texts(f"{field}.keywords")

    def count(self, field: str, keyword: str) -> int:
        """How many packages have a keyword, `dirty` ones as they were."""
        place = self._places(field).get(keyword)
        return 0 if place is None else self._numbers(f"{field}.counts")[place]

    def bitmap(self, field: str, keyword: str) -> BitMap:
        """The ranks that have a keyword; not to be changed. It is empty where none has it.

        :param field: one of `KEYWORDS`
        """
        found = self._read.get((field, keyword))
        if found is None:
            from pyroaring import BitMap

            place = self._places(field).get(keyword)
            if place is None:
                return BitMap()
            try:
                found = BitMap.deserialize(self._pieces(f"{field}.bitmaps")[place])
            except ValueError as error:
                raise SectionDamaged(COLUMNS_FILE, f"no bitmap ({error})") from None
            self._read[field, keyword] = found
        return found

    def none_of(self, field: str) -> BitMap:
        """The ranks that have no keyword in a field; not to be changed."""

        def make() -> BitMap:
            some = (self.bitmap(field, keyword) for keyword in self.keywords(field))
            return reduce(sub, some, self.every())

        return self.keep((field, None), make)  # type: ignore[no-any-return]

    def every(self) -> BitMap:
        """All ranks."""
        from pyroaring import BitMap

        return BitMap(range(self.size))

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` gives; it is called once for each ``key``, as long as these columns are
        open. What it gives does not depend on `dirty`."""
        if key not in self._read:
            self._read[key] = make()
        return self._read[key]

    def _places(self, field: str) -> dict[str, int]:
        places: dict[str, int] | None = self._read.get((field,))
        if places is None:
            places = {keyword: place for place, keyword in enumerate(self.keywords(field))}
            self._read[(field,)] = places
        return places

    # -- rows --------------------------------------------------------------------------------

    def row(self, rank: int) -> Row:
        """What a list shows of the package at a rank; only where `has_rows`."""
        return self.rows([rank], [self.docids[rank]])[0]

    def rows(self, ranks: Iterable[int], docids: Iterable[int]) -> list[Row]:
        """The rows at these ranks, which are those of ``docids``, in that order; only where
        `has_rows`."""
        texts = map(bytes.decode, self._pieces("rows").several(ranks))
        # Without a call of ours for each: a list of many rows is read in two thirds of the time.
        return list(map(tuple.__new__, repeat(Row), zip(docids, texts, strict=True)))

    def row_texts(self, ranks: Iterable[int]) -> list[bytes]:
        """The rows at these ranks as they are kept: UTF-8."""
        return self._pieces("rows").several(ranks)

    def verify(self) -> None:
        """Hold all of the file against its checksums.

        :raises SectionDamaged: something is not what was written
        """
        self._sections.verify()

    # -- sections ----------------------------------------------------------------------------

    def _numbers(self, name: str) -> memoryview:
        found: memoryview | None = self._read.get(name)
        if found is None:
            found = self._read[name] = self._sections.numbers(name)
        return found

    def _texts(self, name: str) -> list[str]:
        return self.keep((name, str), lambda: list(self._sections.texts(name)))  # type: ignore[no-any-return]

    def _pieces(self, name: str) -> Pieces:
        found: Pieces | None = self._read.get(name)
        if found is None:
            found = self._read[name] = self._sections.pieces(name)
        return found

    @classmethod
    def open(cls, path: Path) -> Columns:
        """The columns in a file.

        :raises SectionDamaged: there are none, or none that can be used
        """
        sections = Sections(path)
        try:
            return cls(sections)
        except BaseException:
            sections.close()
            raise

    def __repr__(self) -> str:
        return f"<Columns of {self.size:,} packages, {len(self.dirty):,} dirty>"
