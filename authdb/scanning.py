"""What a database file asks for when it is read, found out without reading it.

A FileStorage holds pickles, and a pickle can have any function called: opening a file from a
stranger runs what the stranger likes. So before such a file is opened, each pickle in it is
followed without being run (`authdb.pickles`), and the file is refused unless it is made of what
authdb itself stores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from authdb.exceptions import UnsafeFile
from authdb.pickles import Global, Refused, class_of, look_at_plain
from authdb.records import transactions

__all__ = ["ALLOWED", "CALLED", "CATALOG_ALLOWED", "Scan", "allow_list", "scan", "scan_trees"]

#: The classes that the file of the objects asks for, each as its module and name. Found by
#: scanning databases with every field filled, dates of each precision, thousands of packages,
#: changes and a pack, and those in tests/formats; a test does it again. A class that authdb
#: begins to store belongs here, and one that it stores no longer stays, for the files there are.
ALLOWED = frozenset(
    {
        ("BTrees.IOBTree", "IOBTree"),  # docid -> Package
        ("BTrees.IOBTree", "IOBucket"),
        ("BTrees.OOBTree", "OOBTree"),  # name -> docid
        ("BTrees.OOBTree", "OOBucket"),
        ("authdb.dates", "PartialDate"),
        ("authdb.fields", "Release"),
        ("authdb.fields", "Source"),
        ("authdb.fields", "Vulnerability"),
        ("authdb.models", "Package"),
        ("datetime", "date"),
        ("persistent.mapping", "PersistentMapping"),  # the root
    }
)

#: The same for the file of the catalog, found in the same way.
CATALOG_ALLOWED = frozenset(
    {
        ("BTrees.IFBTree", "IFBTree"),
        ("BTrees.IFBTree", "IFBucket"),
        ("BTrees.IFBTree", "IFSet"),
        ("BTrees.IFBTree", "IFTreeSet"),
        ("BTrees.IOBTree", "IOBTree"),
        ("BTrees.IOBTree", "IOBucket"),
        ("BTrees.Length", "Length"),
        ("BTrees.OIBTree", "OIBTree"),
        ("BTrees.OIBTree", "OIBucket"),
        ("BTrees.OOBTree", "OOBTree"),
        ("BTrees.OOBTree", "OOBucket"),
        ("BTrees.OOBTree", "OOSet"),
        ("authdb.catalog", "PackageCatalog"),
        ("authdb.indexes", "CategoryIndex"),
        ("authdb.indexes", "DateIndex"),
        ("authdb.indexes", "FieldIndex"),
        ("authdb.indexes", "NameIndex"),
        ("authdb.indexes", "PackageLexicon"),
        ("authdb.indexes", "TextIndex"),
        ("persistent.mapping", "PersistentMapping"),
        ("zope.index.text.lexicon", "CaseNormalizer"),
        ("zope.index.text.lexicon", "Splitter"),
        ("zope.index.text.lexicon", "StopWordRemover"),
        ("zope.index.text.okapiindex", "OkapiIndex"),
    }
)


#: Those of them whose instances are stored within other objects' records. All others have records
#: of their own, and are made by ZODB.
CALLED = frozenset(
    {
        ("authdb.dates", "PartialDate"),
        ("authdb.fields", "Release"),
        ("authdb.fields", "Source"),
        ("authdb.fields", "Vulnerability"),
        ("datetime", "date"),
        ("zope.index.text.lexicon", "CaseNormalizer"),
        ("zope.index.text.lexicon", "Splitter"),
        ("zope.index.text.lexicon", "StopWordRemover"),
    }
)


class Scan(NamedTuple):
    """What there is in a file that may be opened.

    ``first`` and ``last`` are tids, None in an empty file. ``classes`` has the number of records
    of each class, ``sizes`` their bytes; a class is written "authdb.models.Package". ``records``
    also counts those without data, which an undo leaves.
    """

    transactions: int
    first: bytes | None
    last: bytes | None
    records: int
    classes: Mapping[str, int]
    sizes: Mapping[str, int]


def scan(file: BinaryIO, path: object, allowed: frozenset[Global] = ALLOWED) -> Scan:
    """Look at every pickle in ``file`` without unpickling any.

    It takes memory for the largest record, and some 40 bytes for each.

    :param path: what an error calls the file
    :param allowed: the classes that it may ask for
    :raises UnsafeFile: it asks for another, or holds something that ZODB does not write
    :raises BrokenFile: it is not a whole FileStorage
    """
    count = records = 0
    first = last = None
    classes: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for transaction in transactions(file, path=path):
        where = f"of transaction 0x{transaction.tid.hex()}"
        try:
            oid = None
            if transaction.extension:  # unpickled when ZODB is asked for the history
                look_at_plain(transaction.extension)
            for record in transaction.records:
                records, oid = records + 1, record.oid
                if record.data:
                    name = ".".join(class_of(record.data, allowed, CALLED))
                    classes[name] += 1
                    sizes[name] += len(record.data)
        except Refused as refused:
            part = f"the object 0x{int.from_bytes(oid, 'big'):x}" if oid else "the extension"
            reason = f"{refused} (in {part} {where}): it is not opened"
            raise UnsafeFile(path, reason, refused.wanted) from None
        count += 1
        first, last = first or transaction.tid, transaction.tid
    return Scan(count, first, last, records, dict(classes), dict(sizes))


#: More levels than a tree of ours can have.
_DEEPEST = 50


def scan_trees(storage: Any, path: object) -> None:
    """See to it that trees and their buckets come to an end, which BTrees take for granted.

    :param storage: of a file that `scan` let through
    :param path: what an error calls the file
    :raises UnsafeFile: they do not
    """
    from ZODB.serialize import referencesf

    trees: dict[bytes, list[bytes]] = {}
    buckets: dict[bytes, list[bytes]] = {}
    for oid in list(storage._index.keys()):
        data = storage.load(oid)[0]
        name = data[:100].split(b"\n")[1]  # of the class: it was scanned, so it is there
        if name.endswith((b"BTree", b"TreeSet")):
            trees[oid] = referencesf(data)
        elif name.endswith((b"Bucket", b"Set")):
            buckets[oid] = referencesf(data)
    for nodes, deepest in ((trees, _DEEPEST), (buckets, float("inf"))):
        of_these = {oid: [to for to in found if to in nodes] for oid, found in nodes.items()}
        if _endless(of_these, deepest):
            raise UnsafeFile(path, "its trees have no end: it is not opened")


def _endless(references: Mapping[bytes, Iterable[bytes]], deepest: float) -> bool:
    """Whether following references comes back to where it began, or deeper than ``deepest``.

    BTrees would then go round for ever, or down until the stack is full.

    :param references: the oids that the record of each oid refers to
    """
    done: set[bytes] = set()
    for start in references:
        path: list[tuple[bytes, Iterator[bytes]]] = []
        open_ones: set[bytes] = set()
        following = iter([start])
        while True:
            oid = next(following, None)
            if oid is None:
                if not path:
                    break
                left, following = path.pop()
                open_ones.discard(left)
                done.add(left)
            elif oid in open_ones or len(path) >= deepest:
                return True
            elif oid not in done:
                path.append((oid, following))
                open_ones.add(oid)
                following = iter(references.get(oid, ()))
    return False


def allow_list(
    path: object, allowed: frozenset[Global] = ALLOWED
) -> Callable[[Any, str, str], Any]:
    """A ``class_factory`` for `ZODB.DB` that gives out only what is allowed.

    It is the second line of defence, and guards the states of objects only: a FileStorage reads
    extensions and its index file, and resolves conflicts, past it. It cannot replace `scan`.

    :param path: what an error calls the file
    :param allowed: the classes that may be asked for
    :returns: a function of a connection, a module's name and the name of a class in it, which
        raises `UnsafeFile` for whatever is not allowed
    """
    from importlib import import_module

    found: dict[Global, Any] = {}

    def factory(connection: Any, module: str, name: str) -> Any:
        asked = (module, name)
        if asked not in allowed:
            wanted = ascii(f"{module}.{name}")[1:-1]  # a stranger chose it
            raise UnsafeFile(path, f"it would run {wanted}: it is not read", wanted)
        if asked not in found:
            found[asked] = getattr(import_module(module), name)
        return found[asked]

    return factory
