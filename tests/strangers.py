"""Database files that run somebody else's code: each makes a folder, the marker, when it is read.

`SPOILERS` are ways to spoil a good file; `read_plainly` reads one as any program would that uses
ZODB, in a process of its own, and so shows that the code would run.
"""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from persistent.mapping import PersistentMapping

from authdb.records import transactions

ROOT = bytes(8)
MAPPING = pickle.dumps(PersistentMapping, 3)
EMPTY = pickle.dumps({"data": {}}, 3)


def text(value: str) -> bytes:
    """The opcode that pushes a text."""
    encoded = value.encode("utf-8")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def call(module: str, name: str, argument: str) -> bytes:
    """The opcodes that call a function with one text, and push what it returns."""
    return f"c{module}\n{name}\n".encode() + text(argument) + b"\x85R"


def trap(marker: Path) -> bytes:
    """A pickle that makes the folder ``marker``."""
    return b"\x80\x03" + call("os", "mkdir", str(marker)) + b"."


def append(
    file: Path, records: Iterable[tuple[bytes, bytes]], extension: bytes = b"", note: bytes = b""
) -> None:
    """Append a whole transaction to a FileStorage, as a FileStorage writes it.

    :param records: for each the oid and the data
    """
    newest, tid = {}, bytes(8)
    if file.exists():
        with file.open("rb") as opened:
            for transaction in transactions(opened):
                tid = transaction.tid
                newest.update((record.oid, record.position) for record in transaction.records)
    else:
        file.write_bytes(b"FS30")
    start = file.stat().st_size
    tid = (int.from_bytes(tid, "big") + 1).to_bytes(8, "big")
    parts, at = [], start + 23 + len(note) + len(extension)
    for oid, data in records:
        previous = newest.get(oid, 0)
        parts.append(struct.pack(">8s8sQQHQ", oid, tid, previous, start, 0, len(data)))
        parts.append(data or bytes(8))
    body = b"".join(parts)
    length = at - start + len(body)
    head = struct.pack(">8sQcHHH", tid, length, b" ", 0, len(note), len(extension))
    with file.open("ab") as opened:
        opened.write(head + note + extension + body + struct.pack(">Q", length))


def _some_object(file: Path) -> tuple[bytes, bytes]:
    """The oid of the last object that was stored in the file, and its data."""
    with file.open("rb") as opened:
        stored = [
            (record.oid, record.data)
            for transaction in transactions(opened)
            for record in transaction.records
        ]
    return stored[-1]


def spoil_state(file: Path, marker: Path) -> None:
    """The state of an object is a trap."""
    oid, data = _some_object(file)
    kind = data[: data.index(b".", data.index(b"\n", data.index(b"\n") + 1)) + 1]
    append(file, [(oid, kind + trap(marker))])


def spoil_class(file: Path, marker: Path) -> None:
    """The class of an object is one."""
    append(file, [(ROOT, trap(marker) + EMPTY)])


def spoil_extension(file: Path, marker: Path) -> None:
    """The extension of a transaction is one: it is read with the history."""
    append(file, [_some_object(file)], extension=trap(marker))


def spoil_index(file: Path, marker: Path) -> None:
    """The index beside the file is one: it is read when the file is opened."""
    Path(f"{file}.index").write_bytes(trap(marker))


#: Ways to spoil a FileStorage; each takes the file and the marker.
SPOILERS: dict[str, Callable[[Path, Path], None]] = {
    "state": spoil_state,
    "class": spoil_class,
    "extension": spoil_extension,
    "index": spoil_index,
}

_READ_PLAINLY = """
import contextlib, logging, sys
from ZODB import DB
from ZODB.FileStorage import FileStorage

logging.disable()
storage = FileStorage(sys.argv[1], read_only=True)
oids, cursor = [], None
while True:
    oid, _, _, cursor = storage.record_iternext(cursor)
    oids.append(oid)
    if cursor is None:
        break
for oid in oids:
    with contextlib.suppress(Exception):
        storage.history(oid, size=100)
with contextlib.suppress(Exception), contextlib.closing(DB(storage)) as db:
    connection = db.open()
    for oid in oids:
        with contextlib.suppress(Exception):
            connection.get(oid)._p_activate()
"""


def read_plainly(file: Path) -> None:
    """Read all of a file with ZODB alone, in another process: its code runs."""
    command = [sys.executable, "-W", "ignore", "-c", _READ_PLAINLY, str(file)]
    # It may fail, as what ran has spoiled what ZODB was about to read.
    subprocess.run(command, check=False, capture_output=True, cwd=file.parent)
