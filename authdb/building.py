"""A whole catalog, built bottom-up of packages that come in the order of their docids.

What is written is equal to a catalog in which they were indexed one by one, index by index, and is
changed and read from then on like any other.
"""

from __future__ import annotations

import gc
import pickle
import struct
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from itertools import compress, islice
from operator import eq, not_
from pathlib import Path
from types import TracebackType
from typing import Any

from BTrees import family32
from persistent.mapping import PersistentMapping

from authdb.bulk import Ref, Shell, Sink, record, tree
from authdb.catalog import new_catalog
from authdb.dates import PartialDate
from authdb.files import sync_folder
from authdb.gathering import DATES, GATHERED, Gathered, columns_of
from authdb.sinks import FileSink, StorageSink
from authdb.wording import Written
from authdb.worker import TEXTS, Apart, Here

__all__ = ["Builder", "Progress", "fits", "put_in_place"]

#: Called with what is being done, how much of it is done, and of how much (None if not known).
Progress = Callable[[str, int, "int | None"], object]

#: From so many packages on a second process pays.
_APART = 10_000

_IFTreeSet, _OOBTree, _IOBTree = family32.IF.TreeSet, family32.OO.BTree, family32.IO.BTree

#: What stands in a column where there is no value.
_NOTHING = frozenset({None, 0})

_DATES = (type(None), date, PartialDate)
_TEXT = (type(None), str)


def fits(state: Mapping[str, Any]) -> bool:
    """Whether what is indexed of a package is of the kinds that packages are stored with, so that
    the indexes would take it as it is. (One that does not fit may still be taken by them.)"""
    get = state.get
    categories = get("categories", ())
    return (
        type(get("name")) is str
        and type(get("title")) is str
        and type(get("description")) in _TEXT
        and type(get("license")) in _TEXT
        and type(get("last_commit")) in _DATES
        and type(get("last_release")) in _DATES
        and type(get("stated_update")) in _DATES
        and type(categories) is tuple
        and all(type(each) is str for each in categories)
    )


class Builder:
    """Takes packages in, and writes a catalog of them. A context manager: leaving it ends the
    second process, if there is one.

    :param processes: with 2 the texts of many packages are indexed by a second process
    :param folder: where that process writes a file that is gone afterwards; None for the
        system's folder of temporary files

    Attribute: ``gathered``, the columns of what was taken in; they stay after `write`.
    """

    def __init__(self, processes: int = 2, folder: Path | None = None) -> None:
        self.gathered = Gathered()
        self._folder = folder
        self._started = False
        self._texts: Here | Apart = Here()
        #: What the texts were not told yet, while it is open which process is to have them.
        self._held: list[tuple[Any, ...]] | None = [] if processes > 1 else None

    def add(self, docids: Iterable[int], states: Iterable[Mapping[str, Any]]) -> None:
        """Take in packages, best about a thousand at a time.

        :param docids: ascending, and after all that were added before
        :param states: what they are stored as, see `Gathered.add`; each `fits`
        """
        self.add_columns(docids, columns_of(list(states), (*GATHERED, "description")))

    def add_columns(self, docids: Iterable[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """As `add`, of packages whose values are in columns already, as `Gathered.add_columns` has
        them, and ``description``."""
        docids = array("i", docids)
        self.gathered.add_columns(docids, columns)
        nothing = [None] * len(docids)
        self._tell("add", docids, [columns.get(field, nothing) for field in TEXTS])
        if self._held is not None and len(self.gathered) >= _APART:
            with suppress(OSError):  # where no process can be started, this one does it
                self._texts = Apart(self._folder)
            self._tell_all()

    def replace(self, docid: int, state: Mapping[str, Any]) -> None:
        """Have ``state`` in place of that with which ``docid`` was added.

        :raises KeyError: it was not added
        """
        self.gathered.replace(docid, state)
        self._tell("replace", docid, [state.get(field) for field in TEXTS])

    def _tell(self, *message: Any) -> None:
        if self._held is not None:
            self._held.append(message)
        else:
            what, *given = message
            getattr(self._texts, what)(*given)

    def _tell_all(self) -> None:
        held, self._held = self._held or (), None
        for message in held:
            self._tell(*message)

    def start(self, sink: FileSink | StorageSink) -> None:
        """Have the second process, if there is one, begin to write; for the time until `write`."""
        self._tell_all()
        if not self._started:
            self._started = True
            self._texts.start(sink)

    def write(
        self,
        sink: FileSink | StorageSink,
        mark: Mapping[str, Any],
        progress: Progress | None = None,
    ) -> None:
        """Write the catalog, and the root that leads to it; the caller finishes the sink. Once.

        :param sink: that of `start`, if that was called
        :param mark: what the root says beside the catalog: see `generations.mark`. Persistent
            objects in it have to be new
        :param progress: called after each index
        :raises AuthDBError: the second process has ended before its time
        """
        self.start(sink)
        with _without_collecting():
            catalog, shell = new_catalog(), Shell(sink)
            write = _Indexes(sink, shell, self.gathered)
            fields = ("name", "license", "categories", *DATES)
            for done, field in enumerate(fields):
                if progress is not None:
                    progress("building the catalog", done, len(fields) + len(TEXTS))
                write(field, catalog[field])
            for field, written in zip(TEXTS, self._texts.written(sink), strict=True):
                _fill_text_index(catalog[field], written, shell)
            shell.write(PersistentMapping({**mark, "catalog": catalog}), oid=0)
        if progress is not None:
            progress("building the catalog", len(catalog), len(catalog))

    def close(self) -> None:
        """End the second process. Closing again does nothing."""
        self._texts.close()
        self._texts = Here()

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Inside no garbage is looked for: millions of objects are made here, none in a cycle."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


# -- indexes ---------------------------------------------------------------------------------


class _Indexes:
    """Writes the trees of all indexes but those of texts."""

    def __init__(self, sink: Sink, shell: Shell, gathered: Gathered) -> None:
        self._sink, self._shell, self._gathered = sink, shell, gathered

    def __call__(self, field: str, index: Any) -> None:
        """Give the ``index``, which is empty, the trees of its ``field``."""
        gathered = self._gathered
        if field == "categories":
            self._keywords(index, gathered.categories)
        elif field in gathered.dates:
            self._field(index, gathered.dates[field])
        elif field == "license":
            self._field(index, gathered.licenses)
        elif not self._unique(index, gathered.names, gathered.by_name()):
            self._field(index, gathered.names)

    def _unique(self, index: Any, values: Sequence[str], order: Sequence[int]) -> bool:
        """As `_field`, of values that all differ; false if they do not."""
        ascending = [values[place] for place in order]
        if any(map(eq, ascending, islice(ascending, 1, None))):
            return False
        docids = self._gathered.docids
        sets = self._sink.store_all(_singles(docids[place] for place in order))
        postings = (
            (value, Ref(oid, _IFTreeSet)) for value, oid in zip(ascending, sets, strict=True)
        )
        index._fwd_index = self._tree(_OOBTree, postings)
        index._rev_index = self._tree(_IOBTree, zip(docids, values, strict=True))
        index._num_docs.set(len(docids))
        return True

    def _field(self, index: Any, values: Sequence[Any]) -> None:
        """An index of one value a document; None, or 0, where there is none."""
        docids = self._gathered.docids
        postings: dict[Any, array[int]] = defaultdict(_docids)
        for docid, value in zip(docids, values, strict=True):
            postings[value].append(docid)
        missing = [docid for nothing in _NOTHING for docid in postings.pop(nothing, ())]
        index._num_docs.set(len(docids) - len(missing))
        index._not_indexed = self._tree(_IFTreeSet, missing)
        index._fwd_index = self._tree(_OOBTree, self._posted(postings))
        known: Iterable[Any] = zip(docids, values, strict=True)
        if missing:
            known = compress(known, map(not_, map(_NOTHING.__contains__, values)))
        index._rev_index = self._tree(_IOBTree, known)

    def _keywords(self, index: Any, values: Sequence[tuple[str, ...]]) -> None:
        """An index of several values a document."""
        docids = self._gathered.docids
        postings: dict[str, array[int]] = defaultdict(_docids)
        missing = array("i")
        for docid, keywords in zip(docids, values, strict=True):
            for keyword in keywords:
                postings[keyword].append(docid)
            if not keywords:
                missing.append(docid)
        index._num_docs.set(len(docids) - len(missing))
        index._not_indexed = self._tree(_IFTreeSet, missing)
        # All trees, also the small ones: see `KeywordIndex.tree_threshold`.
        index._fwd_index = self._tree(_OOBTree, self._posted(postings))
        # Those of equal keywords share a set, since the index only ever puts another in its place.
        kind = family32.OO.Set
        sets = {some: tree(self._sink, kind, some) for some in sorted(set(values)) if some}
        known = zip(docids, map(sets.get, values), strict=True)
        index._rev_index = self._tree(_IOBTree, compress(known, values) if missing else known)

    def _posted(self, postings: Mapping[Any, Iterable[int]]) -> Iterator[tuple[Any, Ref]]:
        """The posting lists, written as they are taken, in the order of their values."""
        for value in sorted(postings):
            yield value, tree(self._sink, _IFTreeSet, postings[value])

    def _tree(self, kind: Any, items: Iterable[Any]) -> Any:
        return self._shell.ghost(tree(self._sink, kind, items))


def _docids() -> array[int]:
    return array("i")


def _singles(docids: Iterable[int]) -> Iterator[bytes]:
    """The records of sets of one docid each."""
    # One that was pickled, with other numbers in its place: a tenth of the time.
    number = struct.Struct("<i")
    before, after = record(_IFTreeSet, ((((_ANY,),),),)).split(pickle.BININT + number.pack(_ANY))
    before += pickle.BININT
    for docid in docids:
        yield before + number.pack(docid) + after


#: A docid that takes four bytes in a pickle, and that no pickle has by chance.
_ANY = 0x7A5B3C1D


def _fill_text_index(index: Any, written: Written, shell: Shell) -> None:
    """Give the ``index``, which is empty, the trees that were ``written`` for it."""
    okapi, lexicon = index.index, index.lexicon
    okapi._wordinfo = shell.ghost(written.wordinfo)
    okapi._docweight = shell.ghost(written.docweight)
    okapi._docwords = shell.ghost(written.docwords)
    lexicon._wids = shell.ghost(written.wids)
    lexicon._words = shell.ghost(written.words)
    index._not_indexed = shell.ghost(written.missing)
    okapi.wordCount.set(written.word_count)
    okapi.documentCount.set(written.document_count)
    okapi._totaldoclen.set(written.total)
    lexicon.wordCount.set(written.lexicon_count)


# -- files -----------------------------------------------------------------------------------


def put_in_place(draft: Path, path: Path) -> None:
    """Give a finished file, with its ``.index``, the name ``path``, in place of what is there."""
    index = Path(f"{path}.index")
    # First of all the old index goes. So whoever opens the file in between finds none, and reads
    # it through, where the index of another file would have misled him.
    index.unlink(missing_ok=True)
    sync_folder(path.parent)  # so that it cannot come back beside the new file
    draft.replace(path)
    with suppress(FileNotFoundError):
        Path(f"{draft}.index").replace(index)
    sync_folder(path.parent)
