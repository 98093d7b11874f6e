"""A whole catalog, built bottom-up of packages that come in the order of their docids.

What is written is equal to a catalog in which they were indexed one by one, index by index, and is
changed and read from then on like any other.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from persistent.mapping import PersistentMapping

from authdb.bulk import Shell
from authdb.catalog import new_catalog
from authdb.dates import PartialDate
from authdb.files import sync_folder
from authdb.gathering import GATHERED, Gathered, columns_of
from authdb.inverting import Trees, write_names
from authdb.sinks import FileSink, StorageSink
from authdb.wording import Written
from authdb.worker import TEXTS, Apart, Here

__all__ = ["Builder", "Progress", "fits", "put_in_place", "without_collecting"]

#: Called with what is being done, how much of it is done, and of how much (None if not known).
Progress = Callable[[str, int, "int | None"], object]

#: From so many packages on a second process pays.
_APART = 10_000

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

    :param processes: with 2 many packages are indexed by a second process, but for their names
    :param folder: where that process writes a file that is gone afterwards; None for the
        system's folder of temporary files
    :param many: whether that many are known to come: then it is started at once

    Attribute: ``gathered``, the columns of what was taken in; they stay after `write`.
    """

    def __init__(self, processes: int = 2, folder: Path | None = None, many: bool = False) -> None:
        self.gathered = Gathered()
        self._folder = folder
        self._started = False
        self._worker: Here | Apart = Here()
        #: What it was not told yet, while it is open which process it is.
        self._held: list[tuple[Any, ...]] | None = [] if processes > 1 else None
        if processes > 1 and many:
            self._part()

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
        texts = [columns.get(field, nothing) for field in TEXTS]
        self._tell("add", self.gathered.last(len(docids)), texts)
        if self._held is not None and len(self.gathered) >= _APART:
            self._part()

    def _part(self) -> None:
        """Have a second process from here on."""
        with suppress(OSError):  # where none can be started, this one does it
            self._worker = Apart(self._folder)
        self._tell_all()

    def replace(self, docid: int, state: Mapping[str, Any]) -> None:
        """Have ``state`` in place of that with which ``docid`` was added.

        :raises KeyError: it was not added
        """
        values = self.gathered.replace(docid, state)
        self._tell("replace", values, [state.get(field) for field in TEXTS])

    def _tell(self, *message: Any) -> None:
        if self._held is not None:
            self._held.append(message)
        else:
            what, *given = message
            getattr(self._worker, what)(*given)

    def _tell_all(self) -> None:
        held, self._held = self._held or (), None
        for message in held:
            self._tell(*message)

    def start(self, sink: FileSink | StorageSink) -> None:
        """Have the second process, if there is one, begin to write; for the time until `write`."""
        self._tell_all()
        if not self._started:
            self._started = True
            self._worker.ask()
            self.gathered.by_name()  # which is needed anyway, in place of waiting
            self._worker.start(sink)

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
        :param progress: called with how many indexes are done
        :raises AuthDBError: the second process has ended before its time
        """
        self.start(sink)

        def told(done: int) -> None:
            if progress is not None:
                progress("building the catalog", done, len(catalog))

        with without_collecting():
            catalog, shell, gathered = new_catalog(), Shell(sink), self.gathered
            told(0)
            names = write_names(sink, gathered.docids, gathered.names, gathered.by_name())
            _fill_index(catalog["name"], names, shell)
            told(1)
            values, texts = self._worker.written(sink, gathered)
            for field, trees in values.items():
                _fill_index(catalog[field], trees, shell)
            for field, written in texts.items():
                _fill_text_index(catalog[field], written, shell)
            shell.write(PersistentMapping({**mark, "catalog": catalog}), oid=0)
        told(len(catalog))

    def close(self) -> None:
        """End the second process. Closing again does nothing."""
        self._worker.close()
        self._worker = Here()

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
def without_collecting() -> Iterator[None]:
    """Inside no garbage is looked for: millions of objects are made here, none in a cycle."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


# -- indexes ---------------------------------------------------------------------------------


def _fill_index(index: Any, trees: Trees, shell: Shell) -> None:
    """Give the ``index`` of values, which is empty, the ``trees`` that were written for it."""
    index._fwd_index = shell.ghost(trees.forward)
    index._rev_index = shell.ghost(trees.reverse)
    index._not_indexed = shell.ghost(trees.missing)
    index._num_docs.set(trees.documents)


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
