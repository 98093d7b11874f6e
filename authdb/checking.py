"""Is everything as it should be? Objects and catalog, held against each other completely.

The catalog is compared with a new one that is made of the objects, index by index, in both
directions: what a rebuilt catalog would have and this one lacks, and what this one has beyond it.
Both files are read from end to end besides, each record of them: what past states say is held
against its digest, too.

All of it is read as streams, and where there are many packages the new catalog is a file: an
ordinary catalog in memory took three times as long, and eight times the memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

from BTrees.LLBTree import LLBTree
from BTrees.QQBTree import QQBTree
from transaction import TransactionManager
from ZODB.FileStorage import FileStorage
from ZODB.utils import u64

from authdb.auditing import Finding, Progress, audit
from authdb.building import Builder, fits
from authdb.bulk import MANY
from authdb.catalog import new_catalog
from authdb.columns import COLUMNS_FILE, Columns
from authdb.comparing import Faults, differing, dump, parts, some_of
from authdb.files import CATALOG_FILE, aside
from authdb.gathering import Gathered
from authdb.indexes import DateIndex
from authdb.models import Package
from authdb.pairing import Pair
from authdb.ranking import differences
from authdb.rebuilding import as_indexed
from authdb.sections import SectionDamaged
from authdb.sinks import FileSink, StorageSink
from authdb.storage import MyZODB, explain
from authdb.walking import Reader

__all__ = ["Finding", "dump", "examine", "examine_catalog", "examine_objects", "examine_pair"]

#: So many packages are read between two calls of ``progress``, and handed to the builder at once.
_STEP = 1000


def examine(
    root: Any,
    catalog_root: Any,
    present: Any = None,
    *,
    columns: Columns | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Everything that is wrong with the objects under ``root`` or the catalog under the other.

    Both are read as they are in the storages: what is in memory need not be what is in the files.

    :param present: a mapping of ints, into which the oid and tid of each package are put that can
        be read, for `authdb.auditing.audit`
    :param columns: those that go with the catalog, if there are any
    :param folder: where the new catalog may be written for the time being; None, or one that
        nothing can be written to, for the system's folder of temporary files
    :raises DatabaseError: it could not be written
    """
    present = QQBTree() if present is None else present
    progress = progress or _say_nothing
    try:
        with ExitStack() as stack:
            many = root["next_docid"] > MANY
            place = stack.enter_context(_place(folder)) if many else None
            of_objects, gathered, made = _built(root, place, present, progress)
            reference = stack.enter_context(made).dbroot["catalog"]
            of_columns = list(_columns(columns, gathered, progress))
            del gathered
            of_catalog = list(examine_catalog(catalog_root["catalog"], reference, progress))
    except OSError as error:
        raise explain(error, folder or tempfile.gettempdir()) from error
    return [*of_objects, *of_catalog, *of_columns]


def _built(
    root: Any, place: Path | None, present: Any, progress: Progress
) -> tuple[list[Finding], Gathered, MyZODB]:
    """What is wrong with the objects; their columns; and a database of the catalog as it should
    be: a file in the folder ``place``, if that is given."""
    manager = TransactionManager()
    with Builder(folder=place) as builder:
        findings = list(_Objects(root, builder.add, present, progress).findings())
        if place is None:
            made = MyZODB(None, transaction_manager=manager)
            with StorageSink(made) as sink:
                builder.write(sink, {}, progress)
            manager.begin()  # what is there now is to be seen
            return findings, builder.gathered, made
        path = place / CATALOG_FILE
        with FileSink(path) as sink:
            builder.write(sink, {}, progress)
    made = MyZODB(path, read_only=True, transaction_manager=manager)
    return findings, builder.gathered, made


def examine_objects(root: Any, progress: Progress | None = None) -> list[Finding]:
    """Everything that is wrong with the objects under ``root``."""
    progress = progress or _say_nothing
    return list(_Objects(root, lambda docids, states: None, QQBTree(), progress).findings())


def examine_pair(
    pair: Pair, progress: Progress | None = None
) -> tuple[list[Finding], list[Finding]]:
    """Everything that is wrong with what a pair shows, and with the files that it has open.

    :param progress: called now and then, see `authdb.AuthDB.check`
    :raises DatabaseError: see `examine`
    """
    assert pair.objects is not None and pair.catalogs is not None
    present, of_files = QQBTree(), list[Finding]()
    with pair.reread() as (root, catalog_root):
        columns = pair.beside.shown(root, lambda: catalog_root, may_make=False)
        findings = examine(
            root, catalog_root, present, columns=columns, folder=pair.folder, progress=progress
        )
        for database, its in ((pair.objects, present), (pair.catalogs, None)):
            if isinstance(database.storage, FileStorage):
                of_files += audit(database.storage, its, progress)
    return findings, of_files


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """A folder for what is removed again."""
    with ExitStack() as stack:
        place = None
        if folder is not None:
            with suppress(OSError):  # where we may not write
                place = stack.enter_context(aside(folder))
        if place is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authdb-")))
        yield place


def _say_nothing(phase: str, done: int, total: int | None) -> None:
    pass


def _attempt(read: Callable[[], Any]) -> Any:
    """What ``read`` gives; None where a record is lost or cannot be read."""
    try:
        return read()
    except Exception:  # what is damaged may raise anything
        return None


# -- objects ---------------------------------------------------------------------------------


class _Doubt(NamedTuple):
    """A package with which something is wrong, or may be: its own name, if it can be read."""

    name: Any
    wrong: list[str]


class _Objects:
    """The objects by themselves. Those that are well are given to ``add``, as `Builder.add` takes
    them."""

    def __init__(
        self,
        root: Any,
        add: Callable[[list[int], list[Any]], object],
        present: Any,
        progress: Progress,
    ) -> None:
        self._root, self._add, self._present, self._progress = root, add, present, progress
        self._reader, self._indexes = Reader(root._p_jar), new_catalog()
        self._doubts: dict[int, _Doubt] = {}
        self._misled: list[Finding] = []
        #: What is known of the newest states, beside what is shown.
        connection = root._p_jar
        self._newest = None if connection.before else connection.db().storage.getTid

    def findings(self) -> Iterator[Finding]:
        """What is wrong with them."""
        of_packages, of_names = Faults(), Faults()
        led_to = self._led_to(of_names)
        highest = self._look_at_packages(of_packages, led_to)
        for what, faults in (("the packages", of_packages), ("the names", of_names)):
            yield from (Finding(what, words, False) for words in faults)
        yield from self._doubtful()
        if highest >= self._root["next_docid"]:
            yield Finding("the packages", "the next docid would be given twice", False)

    def _names(self, faults: Faults) -> Iterator[tuple[str, Any]]:
        return self._reader.items(self._root["docids"], faults.of(self._root["docids"]))

    def _led_to(self, faults: Faults) -> Any:
        """For each docid that a name leads to, the hash of that name."""
        led_to = LLBTree()
        for name, docid in self._names(faults):
            if not _is_docid(docid):
                self._misled.append(_not_that(name, docid))
                continue
            if docid in led_to:  # two names
                self._doubts[docid] = _Doubt(None, [])
            led_to[docid] = hash(name)
        return led_to

    def _look_at_packages(self, faults: Faults, led_to: Any) -> int:
        """Look at each; the highest docid."""
        tree, total = self._root["packages"], len(led_to)
        docids, states = list[int](), list[Any]()
        expected = iter(led_to)
        following, highest, number = next(expected, None), 0, 0
        for number, (docid, ref) in enumerate(self._reader.items(tree, faults.of(tree)), 1):
            if docid <= highest:
                continue  # the tree is damaged, which is told, and led to it twice
            highest = docid
            # Each of the two trees may have lost a part that the other one still knows.
            while following is not None and following < docid:
                self._doubts[following] = _Doubt(None, [_LOST])
                following = next(expected, None)
            if following == docid:
                following = next(expected, None)
            state = self._package(docid, ref, led_to.get(docid))
            if state is not None:
                docids.append(docid)
                states.append(state)
            if len(docids) == _STEP:
                self._add(docids, states)
                docids, states = [], []
                self._progress("checking the packages", number, max(total, number))
        if docids:
            self._add(docids, states)
        if following is not None:
            lost = chain([following], expected)
            self._doubts.update({docid: _Doubt(None, [_LOST]) for docid in lost})
        self._progress("checking the packages", number, number)
        return highest

    def _package(self, docid: int, ref: Any, name_hash: int | None) -> Mapping[str, Any] | None:
        """What a package is indexed by, if it can be; what is wrong with it, into the doubts."""
        if not (isinstance(ref, tuple) and ref[1:] == (Package,)):
            self._doubts[docid] = _Doubt(None, [_LOST])
            return None
        try:
            package = Package.__new__(Package)
            stored, serial = self._reader.record(ref)
            package.__setstate__(stored)
            name = package.name
            its_hash = hash(name)
        except Exception:  # what is damaged may raise anything
            self._doubts[docid] = _Doubt(None, ["the package's record cannot be read"])
            return None
        self._present[u64(ref[0])] = u64(serial)
        wrong = []
        if not _attempt(package.is_intact):
            wrong.append("its values are not those that were stored (digest differs)")
        # After a state that is dated in the future by a flipped byte, ZODB shows the one before.
        if self._newest is not None and _attempt(partial(self._newest, ref[0])) != serial:
            wrong.append("it shows an earlier state than the newest, which is damaged")
        state: Any = vars(package)
        wrong.append(_LED)
        if not fits(vars(package)):
            try:
                state = as_indexed(package, self._indexes)
            except Exception as error:  # a value that no field can hold
                wrong.append(f"it cannot be indexed: {error}")
                state = None
        if wrong != [_LED] or its_hash != name_hash or docid in self._doubts:
            self._doubts[docid] = _Doubt(name, wrong)
        return cast("Mapping[str, Any] | None", state)

    def _doubtful(self) -> Iterator[Finding]:
        """What is wrong with those that may not be well, given the names that lead to them."""
        doubts = self._doubts
        called: dict[int, str] = {}
        well_led = set()
        for name, docid in self._names(Faults()) if doubts else ():
            if not _is_docid(docid) or docid not in doubts:
                continue
            called[docid] = name
            if doubts[docid].name == name:
                well_led.add(docid)
            elif doubts[docid].name is not None:
                self._misled.append(_not_that(name, docid))
        for docid, (own_name, wrong) in sorted(doubts.items(), key=itemgetter(0)):
            said = called.get(docid) if own_name is None else own_name
            where = f"{said} (docid {docid})" if isinstance(said, str) else f"docid {docid}"
            for what in wrong:
                if what is not _LED or docid not in well_led:
                    yield Finding(where, what, False)
        yield from self._misled


_LOST = "the package is lost"
#: To be said of a doubtful package only if it is so.
_LED = "its name does not lead to it"


def _is_docid(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _not_that(name: str, docid: Any) -> Finding:
    return Finding(name, f"the name leads to docid {docid}, which is not that package", False)


# -- columns ---------------------------------------------------------------------------------


def _columns(columns: Columns | None, gathered: Gathered, progress: Progress) -> Iterator[Finding]:
    if columns is None:
        return
    progress(f"reading {COLUMNS_FILE}", 0, None)
    try:
        for what in differences(columns, gathered):
            yield Finding(COLUMNS_FILE, what, True)
    except SectionDamaged as damaged:
        yield Finding(COLUMNS_FILE, damaged.reason, True)


# -- catalog ---------------------------------------------------------------------------------


def examine_catalog(
    catalog: Any, reference: Any, progress: Progress | None = None
) -> Iterator[Finding]:
    """Everything in which a stored catalog differs from another one, which is as it should be."""
    progress = progress or _say_nothing
    for name, expected in reference.items():
        yield from _index(name, expected, catalog, reference["name"], progress)
    extra = _attempt(lambda: sorted(set(catalog) - set(reference))) or ()
    for name in extra:
        yield Finding(f"index {name}", "it belongs to no catalog of this format", True)


def _index(
    name: str, expected: Any, catalog: Any, names: Any, progress: Progress
) -> Iterator[Finding]:
    where = f"index {name}"
    index = _attempt(lambda: catalog[name])
    if type(index) is not type(expected):
        yield Finding(where, "it is missing, or of another kind", True)
        return
    faults = Faults()
    try:
        told = list(_differences(index, expected, faults, names, partial(progress, where)))
    except Exception:  # what is damaged may raise anything
        told = ["it cannot be read"]
    for what in (*faults, *told):
        yield Finding(where, what, True)


def _differences(
    index: Any, expected: Any, faults: Faults, names: Any, progress: Callable[[int, None], object]
) -> Iterator[str]:
    """What is wrong with ``index``, in words."""
    found = parts(index, faults)
    for part, right in parts(expected, Faults()).items():
        wrong = found[part]
        if not isinstance(right, Iterator):
            if wrong != right:
                yield f"its {part} are wrong"
            continue
        keys = differing(right, _told_of(wrong, progress))
        count, some = some_of(keys, partial(_key, index, part, names))
        if count:
            entries = "1 entry is" if count == 1 else f"{count} entries are"
            yield f"of its {part} {entries} wrong: {', '.join(some)}"


def _told_of(stream: Iterable[Any], progress: Callable[[int, None], object]) -> Iterator[Any]:
    """``stream``, and now and then how far it is."""
    for number, item in enumerate(stream):
        if not number % 10_000:
            progress(number, None)
        yield item


def _key(index: Any, part: str, names: Any, key: Any) -> str:
    """A key of a part, as a person reads it.

    :param names: the index of names, as it should be
    """
    if part == "values" and isinstance(index, DateIndex):
        return _attempt(lambda: date.fromordinal(key).isoformat()) or repr(key)
    if part not in ("documents", "weights"):
        return repr(key)
    name = names._rev_index.get(key)
    return f"docid {key}" + f" ({name})" * (name is not None)
