"""Is everything as it should be? Objects and catalog, held against each other completely.

The catalog is compared with a new one that is made of the objects, index by index, in both
directions: what a rebuilt catalog would have and this one lacks, and what this one has beyond it.
Both files are read from end to end besides, each record of them: what past states say is held
against its digest, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import BTrees.check
from persistent.TimeStamp import TimeStamp
from ZODB._compat import Unpickler

from authdb.catalog import new_catalog
from authdb.exceptions import BrokenFile
from authdb.indexes import DateIndex, TextIndex
from authdb.models import Package
from authdb.records import Record, transactions
from authdb.scanning import allow_list

__all__ = ["Finding", "dump", "examine", "examine_file"]


class Finding(NamedTuple):
    """One thing that is wrong: where, what, and whether a new catalog mends it."""

    where: str
    what: str
    repairable: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def examine(root: Any, catalog_root: Any) -> list[Finding]:
    """Everything that is wrong with the objects under ``root`` or the catalog under the other.

    Both should come from connections that have not read anything yet: what is in memory need not
    be what is in the files.
    """
    findings: list[Finding] = []
    reference = new_catalog()
    catalog = catalog_root["catalog"]
    findings += _objects(root, reference)
    for name, expected in reference.items():
        findings += _index(name, expected, catalog, reference["name"])
    findings += [
        Finding(f"index {name}", "it belongs to no catalog of this format", True)
        for name in _attempt(lambda: sorted(set(catalog) - set(reference))) or ()
    ]
    return findings


def _attempt(read: Callable[[], Any]) -> Any:
    """What ``read`` gives; None where a record is lost or cannot be read."""
    try:
        return read()
    except Exception:  # what is damaged may raise anything
        return None


# -- objects ---------------------------------------------------------------------------------


def _objects(root: Any, reference: Any) -> Iterator[Finding]:
    """The objects by themselves; those that are well are indexed in ``reference``."""
    packages, docids = root["packages"], root["docids"]
    for what, tree in (("the packages", packages), ("the names", docids)):
        yield from _tree(what, tree, False)
    names = {docid: name for name, docid in _attempt(lambda: list(docids.items())) or ()}
    # Each tree may have lost a part that the other one still knows.
    known = set(chain(_attempt(lambda: list(packages)) or (), names))
    for docid in sorted(known):
        yield from _package(docid, packages, docids, names.get(docid), reference)
    for docid, name in names.items():
        if _attempt(partial(_name_of, packages, docid)) not in (name, None):
            yield Finding(
                name, f"the name leads to docid {docid}, which is not that package", False
            )
    highest = _attempt(lambda: packages.maxKey() if packages else 0)
    if highest is not None and highest >= root["next_docid"]:
        yield Finding("the packages", "the next docid would be given twice", False)


def _name_of(packages: Any, docid: int) -> Any:
    return packages[docid].name


def _package(
    docid: int, packages: Any, docids: Any, called: str | None, reference: Any
) -> Iterator[Finding]:
    where = f"docid {docid}" if called is None else f"{called} (docid {docid})"
    package = _attempt(lambda: packages[docid])
    if not isinstance(package, Package):
        yield Finding(where, "the package is lost", False)
        return
    name = _attempt(lambda: package.name)
    if name is None:
        yield Finding(where, "the package's record cannot be read", False)
        return
    where = f"docid {docid}"
    where = f"{name} ({where})" if isinstance(name, str) else where
    if not _attempt(package.is_intact):
        yield Finding(where, "its values are not those that were stored (digest differs)", False)
    if not _is_newest(package):
        yield Finding(where, "it shows an earlier state than the newest, which is damaged", False)
    if _attempt(lambda: docids.get(name)) != docid:
        yield Finding(where, "its name does not lead to it", False)
    try:
        reference.index_doc(docid, package)
    except Exception as error:
        yield Finding(where, f"it cannot be indexed: {error}", False)


def _is_newest(package: Any) -> bool:
    """Whether a package's state is the last one in the file: after one that is dated in the future
    by a flipped byte, ZODB shows the one before."""
    connection = package._p_jar
    if connection is None or connection.before is not None:
        return True
    newest = _attempt(lambda: connection.db().storage.history(package._p_oid)[0]["tid"])
    return bool(newest == package._p_serial)


# -- files -----------------------------------------------------------------------------------


def examine_file(storage: Any, root: Any = None) -> Iterator[Finding]:
    """Everything that is wrong in the file of a FileStorage, up to where it was whole when it was
    opened.

    :param root: of the objects, if the file holds them; else it is that of the catalog, which can
        be mended
    """
    of_objects = root is not None
    present = _present(root) if of_objects else {}
    path, end = Path(storage.getName()), storage.getSize()
    newest: dict[bytes, int] = {}
    with storage._files.get() as file:  # the file that was opened, also if a pack replaced it
        try:
            for transaction in transactions(file, path=path.name):
                for record in transaction.records:
                    newest[record.oid] = record.position
                    # What is true now is looked at, with its name, where the packages are.
                    if of_objects and present.get(record.oid) != record.tid:
                        yield from _past_state(record, path)
                if transaction.end >= end:
                    break
        except BrokenFile as broken:
            if broken.position < end:  # beyond, a writer may be at work
                yield Finding(path.name, broken.reason, not of_objects)
            return
    if newest != dict(storage._index.items()):
        where = f"{path.name}.index"
        yield Finding(where, "it leads to other places than the file itself", True)


def _present(root: Any) -> dict[bytes, bytes]:
    """The oid of each package that there is now, and the tid of its state."""
    packages = _attempt(lambda: list(root["packages"].values())) or ()
    present = {}
    for package in packages:
        readable = isinstance(package, Package) and _attempt(partial(getattr, package, "title"))
        if readable:
            present[package._p_oid] = package._p_serial
    return present


def _past_state(record: Record, path: Path) -> Iterator[Finding]:
    """A past state of an object: can it be read, and is a package what was stored?"""
    if not record.data:
        return
    when = f"its past state of {str(TimeStamp(record.tid))[:19]} UTC"
    where = f"the object 0x{int.from_bytes(record.oid, 'big'):x}"
    try:
        unpickler = Unpickler(BytesIO(record.data))
        unpickler.find_class = partial(allow_list(path), None)
        unpickler.persistent_load = lambda reference: None
        kind, state = unpickler.load(), unpickler.load()
        if kind is not Package:
            return
        package = Package.__new__(Package)
        package.__setstate__(state)
        where = f"{package.name}"
        if package.is_intact():
            return
    except Exception as error:  # what is damaged may raise anything
        words = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        yield Finding(where, f"{when} cannot be read ({words})", False)
        return
    yield Finding(where, f"{when} is not what was stored", False)


# -- catalog ---------------------------------------------------------------------------------


def _index(name: str, expected: Any, catalog: Any, names: Any) -> Iterator[Finding]:
    where = f"index {name}"
    index = _attempt(lambda: catalog[name])
    if type(index) is not type(expected):
        yield Finding(where, "it is missing, or of another kind", True)
        return
    trees, found = _attempt(lambda: _trees(index)), _attempt(lambda: dump(index))
    if trees is None or found is None:
        yield Finding(where, "it cannot be read", True)
        return
    for tree in trees:
        yield from _tree(where, tree, True)
    for part, right in dump(expected).items():
        wrong = found[part]
        if wrong == right:
            continue
        if isinstance(right, dict):
            keys = {key for key in {*right, *wrong} if right.get(key) != wrong.get(key)}
            listed = ", ".join(sorted(_key(index, part, key, names) for key in keys)[:3])
            count = "1 entry is" if len(keys) == 1 else f"{len(keys)} entries are"
            yield Finding(where, f"of its {part} {count} wrong: {listed}", True)
        else:
            yield Finding(where, f"its {part} are wrong", True)


def _key(index: Any, part: str, key: Any, names: Any) -> str:
    """A key of a part of `dump`, as a person reads it.

    :param names: the index of names, as it should be
    """
    if part == "values" and isinstance(index, DateIndex):
        return _attempt(lambda: date.fromordinal(key).isoformat()) or repr(key)
    if part not in ("documents", "weights"):
        return repr(key)
    name = names._rev_index.get(key)
    return f"docid {key}" + f" ({name})" * (name is not None)


def dump(index: Any) -> dict[str, Any]:
    """Everything that ``index`` holds, in plain values that do not depend on its history."""
    if isinstance(index, TextIndex):
        okapi, lexicon = index.index, index.lexicon
        return {
            "words": {
                lexicon.get_word(wid): dict(posting.items())
                for wid, posting in okapi._wordinfo.items()
            },
            "documents": {
                docid: [lexicon.get_word(wid) for wid in okapi.get_words(docid)]
                for docid in okapi._docwords
            },
            "weights": dict(okapi._docweight.items()),
            "missing documents": list(index._not_indexed),
            "counts": (okapi.documentCount(), okapi.wordCount(), okapi._totaldoclen()),
            "steps": [f"{type(s).__module__}.{type(s).__name__}" for s in lexicon._pipeline],
        }
    return {
        "values": {value: list(docids) for value, docids in index._fwd_index.items()},
        "documents": {
            docid: value if isinstance(value, (str, int)) else list(value)
            for docid, value in index._rev_index.items()
        },
        "missing documents": list(index._not_indexed),
        "counts": (index.documentCount(), index.wordCount()),
    }


def _trees(index: Any) -> list[Any]:
    if isinstance(index, TextIndex):
        okapi, lexicon = index.index, index.lexicon
        trees = [okapi._wordinfo, okapi._docwords, okapi._docweight, lexicon._wids, lexicon._words]
    else:
        trees = [index._fwd_index, index._rev_index, *index._fwd_index.values()]
    return [index._not_indexed, *trees]


def _tree(where: str, tree: Any, repairable: bool) -> Iterator[Finding]:
    """The tree's own order and pointers, checked by BTrees itself."""
    try:
        tree._check()
        BTrees.check.check(tree)
    except Exception as error:
        yield Finding(where, f"a tree in it is damaged ({error})", repairable)
