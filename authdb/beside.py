"""The columns beside a catalog: which go with the state that is shown, and how they stay true.

Columns derive from the objects, as the catalog does, and name the state that they were made for by
its generation and token. So they are to be believed

- where the objects are in just that state;
- where the catalog's root says, under ``columns``, that its tree ``dirty`` has every docid touched
  between that state and the one shown.

In any other case there are none. The root says up to which state the tree was kept, since an authdb
that knows of no columns changes neither of the two, and its changes are not in the tree.

A file of columns is never changed. When too much is dirty a new one takes its place, as a writer
closes: then nobody waits for an answer. Until then, and where there is no file, columns are made in
memory, but only by a process that has spent as much time without them as that takes.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import BTrees

from authdb import columns
from authdb.columns import COLUMNS_FILE, Columns
from authdb.exceptions import AuthDBError
from authdb.sections import SectionDamaged

if TYPE_CHECKING:
    from authdb.gathering import Gathered

__all__ = ["Beside", "few", "forget", "mark_of"]

#: What making columns in memory takes, in seconds a package, before it was measured.
COST = 10e-6

Mark = tuple[int, str]
#: Gives the catalog's root. A reader may not have opened it yet.
Seen = Callable[[], Any]

_TreeSet = BTrees.family32.IF.TreeSet


def few(size: int) -> int:
    """How many of that many packages can be dirty before the columns are better made anew."""
    return max(1000, size // 50)


def mark_of(root: Any) -> Mark:
    """The generation and token that a root says."""
    # Its data is a dict, which is asked in a fifth of the time, and each question asks.
    known = root.data.get
    return known("generation"), known("token")


class Beside:
    """The columns of one open pair.

    :param folder: where their file is; None where no file is looked at

    Attribute: ``why``, in words, why there are none.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / COLUMNS_FILE
        self.why = "no file of them is looked at" if folder is None else ""
        self._looked = folder is None
        self._file: Columns | None = None
        self._memory: Columns | None = None
        self._since: set[int] = set()  # the docids touched since those in memory were made
        self._touched = 0  # how many were, since it was opened
        self._shown: tuple[Mark, Columns | None] | None = None
        self._waited, self._cost = 0.0, COST

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file = self._memory = self._shown = None

    def again(self) -> None:
        """Look for the file once more: another may have taken its place."""
        self.close()
        self._looked, self.why = self.path is None, ""

    def drop(self) -> None:
        """Do without those that there are: they were found to be damaged."""
        self.close()
        self._looked, self.why = True, "they are damaged; authdb reindex makes them anew"

    # -- reading -----------------------------------------------------------------------------

    def shown(self, root: Any, seen: Seen, may_make: bool = True) -> Columns | None:
        """The columns of the state that is shown; None where there are none.

        :param root: that of the objects
        :param may_make: whether the catalog shows that state, and no changes on top of it
        """
        mark = mark_of(root)
        if self._shown is None or self._shown[0] != mark:
            self._shown = mark, self._find(root["uuid"], mark, seen)
        found = self._shown[1]
        if found is None and self._waited and may_make:
            found = self._make(root, seen)
            self._shown = mark, found
        return found

    def waited(self, seconds: float) -> None:
        """Note that a question took so long without columns."""
        self._waited += seconds

    def _find(self, uuid: str, mark: Mark, seen: Seen) -> Columns | None:
        file = self._look(uuid, mark, seen)
        if file is not None:
            dirty = _dirty_of(file, mark, seen)
            if dirty is not None and len(dirty) <= few(file.size):
                return file.with_dirty(dirty)
            self.why = "too much has changed since they were made"
        if self._memory is not None and len(self._since) <= few(self._memory.size):
            return self._memory.with_dirty(self._since)
        self._memory = None
        return None

    def _look(self, uuid: str, mark: Mark, seen: Seen) -> Columns | None:
        """The file's columns, if they are of that state, or of one since which all changes are
        known. They are looked for once."""
        if not self._looked:
            self._looked = True
            assert self.path is not None
            try:
                file = Columns.open(self.path)
            except SectionDamaged:
                self.why = "there is no file of them, or none that can be used"
                return None
            if file.uuid == uuid and _dirty_of(file, mark, seen) is not None:
                self._file = file
            else:
                self.why = "those beside the catalog are of another state"
                file.close()
        return self._file

    def _make(self, root: Any, seen: Seen) -> Columns | None:
        """Columns in memory, if it is worth it by now."""
        catalog = seen()["catalog"]
        size = catalog["name"].documentCount()
        if size < columns.MANY:
            self.why = f"there are fewer than {columns.MANY:,} packages"
            return None
        if self._waited < size * self._cost:
            return None
        from authdb import ranking

        began = time.perf_counter()
        self._memory, self._since = ranking.of_catalog(catalog, root), set()
        self._cost, self._waited = (time.perf_counter() - began) / size, 0.0
        return self._memory

    # -- changing ----------------------------------------------------------------------------

    def touch(self, root: Any, seen: Any, docids: Iterable[int]) -> None:
        """Note in the catalog's root that packages are about to change.

        :param root: that of the objects, which is marked for the new state
        :param seen: that of the catalog, which is not yet
        """
        docids = array("i", docids)
        self._since.update(docids if self._memory is not None else ())
        self._touched += len(docids)
        before = mark_of(seen)
        file = self._look(root["uuid"], before, lambda: seen)
        dirty = None if file is None else _dirty_of(file, before, lambda: seen)
        if file is None or dirty is None:
            forget(seen)
            return
        if not isinstance(dirty, _TreeSet):
            dirty = seen["dirty"] = _TreeSet()
        dirty.update(docids)
        seen["columns"] = file.mark, mark_of(root)

    def renew(self, root: Any, seen: Any) -> None:
        """Make the file anew if too much has changed; if it can't be made, leave it.

        :param root: that of the objects, with nothing that is not committed
        """
        # They are derived; what is wrong with the packages is told where it is asked.
        with suppress(AuthDBError, OSError, AttributeError, LookupError, TypeError, ValueError):
            self._renew(root, seen)

    def _renew(self, root: Any, seen: Any) -> None:
        if self.path is None:
            return
        mark, size = mark_of(root), seen["catalog"]["name"].documentCount()
        file = self._look(root["uuid"], mark, lambda: seen)
        dirty = None if file is None else _dirty_of(file, mark, lambda: seen)
        stale = self._touched if dirty is None else len(dirty)
        if size < columns.MANY or stale <= few(size):
            return
        from authdb import ranking

        if file is None or dirty is None:
            ranking.make(self.path, _gathered(root["packages"], None), root)
        else:
            changed = _gathered(root["packages"], dirty)
            ranking.merged(self.path, file.with_dirty(dirty), changed, root)


def forget(seen: Any) -> None:
    """Take out of a catalog's root what it says of columns."""
    for key in ("columns", "dirty"):
        if key in seen:
            del seen[key]


def _dirty_of(file: Columns, mark: Mark, seen: Seen) -> Any:
    """The docids that were touched between the state of the file and the state ``mark``, a tree or
    an empty tuple; None if nobody knows them."""
    made = file.mark
    if made == mark:
        return ()
    root = seen()
    dirty = root.get("dirty")
    known = root.get("columns") == (made, mark) and type(dirty) is _TreeSet
    return dirty if known else None


def _gathered(packages: Any, docids: Iterable[int] | None) -> Gathered:
    """What columns need of the packages of these docids; None for all."""
    from authdb.gathering import Gathered

    found = Gathered()
    wanted = iter(array("i", packages.keys() if docids is None else docids))
    while some := list(islice(wanted, 1000)):
        there = [(docid, packages.get(docid)) for docid in some]
        known = [(docid, package) for docid, package in there if package is not None]
        for _, package in known:
            package._p_activate()
        found.add([docid for docid, _ in known], [vars(package) for _, package in known])
        if packages._p_jar is not None:
            packages._p_jar.cacheGC()
    return found
