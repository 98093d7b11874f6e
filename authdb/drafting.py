"""What loading will do to the packages of a database, before anything is done.

A million packages as objects would take gigabytes. So each is kept as the record that ZODB will
store of it: in memory while they are few, then in a file without a name, of which nothing is left
whatever happens.
"""

from __future__ import annotations

import pickle
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any

from authdb.building import Builder
from authdb.gathering import columns_of
from authdb.inscribing import Inscriber
from authdb.models import Package, Recorder
from authdb.nodes import opened

__all__ = ["Batch"]

# So many records are written, or read again, at a time.
_CHUNK = 1000
# So many bytes are kept in memory before they go to a file.
_IN_MEMORY = 8 << 20


class Batch:
    """Packages that are to be added to a database, or changed. A context manager: leaving it gives
    up the file, and the builder.

    :param root: that of the objects; empty for a database that is not there yet
    :param folder: where the file is made; None for the folder of temporary files
    :param builder: makes what is given the packages that are added, as they come: None for nothing
    :param from_: from how many added packages on that is made

    Attributes: ``names``, of the added packages, in the order of the docids that they will get,
    from the root's ``next_docid`` on; ``builder``, if it was made; ``as_of``, the day as of which
    the facts hold, if the files say so.
    """

    def __init__(
        self,
        root: Mapping[str, Any],
        folder: Path | None = None,
        builder: Callable[[], Builder] | None = None,
        from_: int = 0,
    ) -> None:
        self._root = root
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=folder)  # type: ignore[arg-type]  # noqa: SIM115
        self._end = 0
        self._record, self._inscribe = Recorder(), Inscriber()
        self._make_builder, self._from = builder, from_
        self.builder: Builder | None = None
        self.as_of: date | None = None
        self.names: list[str] = []
        #: name -> place among the added, of the first so many, which `settle` has seen
        self._places: dict[str, int] = {}
        self._settled = 0
        self._waiting: list[dict[str, Any]] = []  # added, and not written yet
        #: What the added hold that were written, where that is asked for again, and while they are
        #: few: to read a record takes half as long as to write it.
        self._states: list[dict[str, Any]] | None = [] if builder is None else None
        self._sizes = array("I")  # of the records of the added
        # Of each chunk of them the place of its first, and where it begins in the file.
        self._firsts, self._chunks = array("I"), array("Q")
        #: place of an added package, or name of a changed one -> where its record is
        self._replaced: dict[int, tuple[int, int]] = {}
        self._changed: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        """How many packages are added."""
        return len(self.names)

    @property
    def first(self) -> int:
        """The docid of the first package that is added."""
        return int(self._root.get("next_docid", 1))

    # -- taking in ---------------------------------------------------------------------------

    def add(self, state: dict[str, Any]) -> None:
        """Have a package added that is not there.

        :param state: what it holds, see `authdb.models.state_of`
        """
        self.names.append(state["name"])
        self._waiting.append(state)
        if len(self._waiting) == _CHUNK:
            self.close_off()

    def add_columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """As `add`, of many packages, whose values are in columns.

        :param columns: see `authdb.inscribing.Inscriber`
        """
        self.close_off()
        self.names += columns["name"]
        self._write(columns)

    def settle(self) -> None:
        """Have `find` know all that were added so far: a file names each package once, so that
        only the next one meets them."""
        self._settled = len(self.names)

    def _settled_places(self) -> dict[str, int]:
        # Of a million that is 100 MB, and where there is one file nobody asks.
        for place in range(len(self._places), self._settled):
            self._places[self.names[place]] = place
        return self._places

    def meets(self, names: Iterable[str]) -> bool:
        """Whether `find` knows one of these that is added."""
        return not self._settled_places().keys().isdisjoint(names)

    def find(self, name: str) -> dict[str, Any] | None:
        """What the package will hold that is added or changed, if it is one of these."""
        place = self._settled_places().get(name)
        if place is None:
            where = self._changed.get(name)
            return None if where is None else _state_in(self._read(*where))
        written = len(self._sizes)
        if place >= written:
            return self._waiting[place - written]
        where = self._replaced.get(place)
        if where is None:
            number = bisect_right(self._firsts, place) - 1
            before = sum(self._sizes[self._firsts[number] : place])
            where = self._chunks[number] + before, self._sizes[place]
        return _state_in(self._read(*where))

    def change(self, state: dict[str, Any]) -> None:
        """Have a package hold ``state``: one of the database, or one that `find` gives."""
        name = state["name"]
        place = self._settled_places().get(name)
        if place is None:
            self._changed[name] = self._append([self._record(state)])
        elif place >= len(self._sizes):
            self._waiting[place - len(self._sizes)] = state
        else:
            self._replaced[place] = self._append([self._record(state)])
            if self._states is not None:
                self._states[place] = state
            if self.builder is not None:
                self.builder.replace(self.first + place, state)

    def close_off(self) -> None:
        """Say that nothing more comes."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._write(columns_of(waiting, set().union(*waiting)))

    def _write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write a chunk of the records of the added, and tell the builder."""
        records = self._inscribe(columns)
        done = len(self._sizes)
        self._firsts.append(done)
        self._chunks.append(self._append(records)[0])
        self._sizes.extend(map(len, records))
        if self._states is not None:
            rows = zip(*columns.values(), strict=True)
            self._keep({k: v for k, v in zip(columns, row, strict=True) if v} for row in rows)
        if not self._is_builder_behind():
            assert self.builder is not None
            docids = range(self.first + done, self.first + len(self._sizes))
            self.builder.add_columns(docids, columns)

    def _keep(self, states: Iterable[dict[str, Any]]) -> None:
        """Keep what the packages hold that were stored last, if there is room for it."""
        if self._states is not None:
            self._states += states
            if self._end > _IN_MEMORY:
                self._states = None

    def _is_builder_behind(self) -> bool:
        """Whether the builder is not to be told of the chunk that was stored last: there is none
        to be told, or it was made now, and told of all."""
        if self.builder is not None:
            return False
        if self._make_builder is not None and len(self.names) >= self._from:
            self.builder = self._make_builder()
            for done, records in zip(self._firsts, self.records(), strict=True):
                states = list(map(_state_in, records))
                self.builder.add(range(self.first + done, self.first + done + len(states)), states)
        return True

    # -- reading again -----------------------------------------------------------------------

    def records(self) -> Iterator[list[bytes]]:
        """The records of the added packages, some at a time, in the order of their docids."""
        for number in range(len(self._chunks)):
            yield self._records_of(number)

    def added(self) -> Iterator[tuple[str, dict[str, Any], bytes]]:
        """Of each package that is added its name, what it holds, and its record, in the order of
        their docids."""
        kept = self._states
        for first, records in zip(self._firsts, self.records(), strict=True):
            for place, record in enumerate(records, first):
                state = _state_in(record) if kept is None else kept[place]
                yield self.names[place], state, record

    def changed(self) -> Iterator[tuple[int, Package, dict[str, Any]]]:
        """Of each package that is changed its docid, the package, and what it will hold, in the
        order of docids."""
        docids, packages = self._root.get("docids", {}), self._root.get("packages", {})
        for docid, name in sorted((docids[name], name) for name in self._changed):
            yield docid, packages[docid], _state_in(self._read(*self._changed[name]))

    def by_name(self) -> list[int]:
        """The places of the added packages in the order of their names."""
        if self.builder is not None and len(self.builder.gathered) == len(self):
            return self.builder.gathered.by_name()
        return sorted(range(len(self)), key=self.names.__getitem__)

    def _append(self, records: list[bytes]) -> tuple[int, int]:
        """Write records; where they begin, and how long they are together."""
        data = b"".join(records)
        start = self._end
        self._file.seek(start)
        self._file.write(data)
        self._end = start + len(data)
        return start, len(data)

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)

    def _records_of(self, number: int) -> list[bytes]:
        """The records of a chunk."""
        place = self._firsts[number]
        after = self._firsts[number + 1] if number + 1 < len(self._firsts) else len(self._sizes)
        ends = list(accumulate(self._sizes[place:after], initial=0))
        data = self._read(self._chunks[number], ends[-1])
        records = [data[start:end] for start, end in pairwise(ends)]
        if self._replaced:
            for position in range(len(records)):
                if place + position in self._replaced:
                    records[position] = self._read(*self._replaced[place + position])
        return records

    # -- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """Give up the file, and the builder."""
        if self.builder is not None:
            self.builder.close()
        with suppress(OSError):  # on a full disk, what is still to be written
            self._file.close()

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _state_in(record: bytes) -> dict[str, Any]:
    """What the package of a record holds."""
    reader = pickle.Unpickler(opened(record))
    reader.load()  # the class
    state: dict[str, Any] = reader.load()
    del state["_digest"]
    return state
