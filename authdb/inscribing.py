"""The records in which ZODB stores packages, made of many packages at a time, column by column.

What a pickle has of a field is the same in all the packages with the same value, and so is what
their digests are made of. So of days, licenses, versions and categories each value is written once;
of texts, which differ, only the letters are new. That takes half of the time of
`authdb.models.Recorder`, which is given one package, and makes as good records.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from itertools import chain, repeat
from json.encoder import encode_basestring_ascii as quoted
from pickle import BINUNICODE, MARK, STOP, TUPLE, TUPLE1, TUPLE2, TUPLE3
from typing import Any, NamedTuple

from authdb.fields import kinds
from authdb.models import FIELDS, Package, Recorder, as_json

__all__ = ["Inscriber"]

#: The kinds of field whose values differ from package to package.
_TEXTS = (kinds.NAME, kinds.OTHER_NAME, kinds.TITLE, kinds.PROSE, kinds.URL)
#: So many values of a field are remembered, which takes some megabytes.
_MOST = 1 << 13

#: How the pickle of a tuple of so many items ends; one of more has a mark before them as well.
_SHORT = (b"", TUPLE1, TUPLE2, TUPLE3)

_length = struct.Struct("<I").pack
_hash = partial(blake2b, digest_size=8)


class _Written(NamedTuple):
    """A column, written: ``items``, of which those of a package, one behind the other, are what its
    pickle has of the field; and ``texts``, the same of what its digest is made of."""

    items: Sequence[Iterable[bytes]]
    texts: Sequence[Iterable[str]]


class Inscriber:
    """Writes records, as `authdb.models.Recorder` does, given the columns of many packages.

    >>> columns = {"name": ["djoser", "dj-rest-auth"], "title": ["Djoser", "dj-rest-auth"]}
    >>> len(Inscriber()(columns))
    2
    """

    def __init__(self) -> None:
        self._record = Recorder()
        self._fields: dict[str, Callable[[Sequence[Any]], _Written]] = {}
        # Of a package without a field: what comes before these, and after them.
        nothing = self._record.pickled({})
        self._before = repeat(self._record.pickled(Package) + nothing[:-1] + b"(")
        self._after = repeat(b"u" + STOP)

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
        """The record of each package, with its digest.

        :param columns: of each field that any of them has, as it is stored, and ``stated_update``
            (see `authdb.models.state_of`), the values of all; None or an empty one for none
        """
        written = [self._field(name)(columns[name]) for name in sorted(columns)]
        # Some of what is put side by side never ends.
        texts = zip(*chain.from_iterable(texts for _, texts in written), strict=False)
        # Each field has a comma and a blank before it, also the first.
        whole = ("{" + text[2:] + "}" for text in map("".join, texts))
        digests = [_hash(each.encode("ascii")).hexdigest() for each in whole]
        written.append(self._field("_digest")(digests))
        items = chain.from_iterable(items for items, _ in written)
        return list(map(b"".join, zip(self._before, *items, self._after, strict=False)))

    def _field(self, name: str) -> Callable[[Sequence[Any]], _Written]:
        found = self._fields.get(name)
        if found is None:
            found = self._fields[name] = self._made(name)
        return found

    def _made(self, name: str) -> Callable[[Sequence[Any]], _Written]:
        key = self._record.pickled(name)[2:-1]  # without the protocol, and the end
        field = FIELDS.get(name)
        if name == "_digest" or (field and field.kind in _TEXTS):
            return _Texts(name, key)
        several = field is not None and field.kind in (kinds.CATEGORIES, kinds.NUMBERS)
        remembered = (_Several if several else _Remembered)(name, key, self._record)
        if field and field.structured:
            return lambda values: _transposed([remembered.write(value) for value in values])
        return lambda values: _transposed(list(map(remembered.__getitem__, values)))


def _named(name: str) -> str:
    """What comes before the value of a field in what a digest is made of."""
    return f', "{name}": ' if name else ""


def _transposed(pairs: list[tuple[bytes, str]]) -> _Written:
    return _Written([[item for item, _ in pairs]], [[text for _, text in pairs]])


class _Texts:
    """The values of a field of texts, written."""

    def __init__(self, name: str, key: bytes) -> None:
        self._name = _named(name)
        self._heads = _Heads(key)

    def __call__(self, values: Sequence[Any]) -> _Written:
        name, heads = self._name, self._heads.__getitem__
        encoded = [value.encode("utf-8", "surrogatepass") if value else b"" for value in values]
        texts: list[Iterable[str]]
        if all(values):
            texts = [repeat(name), map(quoted, values)]
        else:
            texts = [[name + quoted(value) if value else "" for value in values]]
        return _Written([map(heads, map(len, encoded)), encoded], texts)


class _Heads(dict[int, bytes]):
    """length of a text in UTF-8 -> what the pickle of a dict has before it; nothing for 0."""

    def __init__(self, key: bytes) -> None:
        super().__init__({0: b""})
        self._key = key + BINUNICODE

    def __missing__(self, length: int) -> bytes:
        head = self[length] = self._key + _length(length)
        return head


class _Remembered(dict[Any, tuple[bytes, str]]):
    """value of a field that many packages have -> what is written of it."""

    def __init__(self, name: str, key: bytes, record: Recorder) -> None:
        super().__init__()
        self._name, self._key, self._record = _named(name), key, record

    def __missing__(self, value: Any) -> tuple[bytes, str]:
        if len(self) == _MOST:
            self.clear()
        written = self[value] = self.write(value)
        return written

    def write(self, value: Any) -> tuple[bytes, str]:
        """What is written of ``value``."""
        if not value:
            return b"", ""
        text = quoted(value) if type(value) is str else as_json(value)
        return self._key + self._record.pickled(value)[2:-1], self._name + text


class _Several(_Remembered):
    """As that, of values that are several words each. Of the words there are few, but of what is
    made of them many: so those are put together."""

    def __init__(self, name: str, key: bytes, record: Recorder) -> None:
        super().__init__(name, key, record)
        self._words = _Remembered("", b"", record)

    def write(self, value: Any) -> tuple[bytes, str]:
        if not value:
            return b"", ""
        items, texts = zip(*map(self._words.__getitem__, value), strict=True)
        if len(items) < len(_SHORT):
            item = b"".join((self._key, *items, _SHORT[len(items)]))
        else:
            item = b"".join((self._key, MARK, *items, TUPLE))
        return item, f"{self._name}[{', '.join(texts)}]"
