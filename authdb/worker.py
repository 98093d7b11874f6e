"""The texts of packages, for the text indexes: taken in by this process, or by a second one.

The second one is a fresh interpreter, fed through its standard input. Not a fork, which would copy
locks that other threads hold, and not multiprocessing, which would import the user's program again.
It writes its records to a file of its own and says what it has written. It ends when its input
ends, so it never outlives whoever started it.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import struct
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from authdb.exceptions import AuthDBError
from authdb.generations import new_token
from authdb.parts import Part
from authdb.wording import Words, Written

__all__ = ["TEXTS", "Apart", "Ended", "Here", "serve"]

#: The fields that are indexed by their words.
TEXTS = ("title", "description")

#: Comes before the first answer.
_BEGIN = b"\0the answers of authdb:\0"
_LENGTH = struct.Struct("<Q")
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from authdb.worker import serve; serve()"


class Ended(AuthDBError):
    """The second process has ended before its time."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the second process, which builds the text indexes, has ended ({why}): nothing was "
            "changed; try again"
        )


class Here:
    """The texts, in this process."""

    def __init__(self) -> None:
        self._words = [Words() for _ in TEXTS]

    def add(self, docids: Sequence[int], texts: Sequence[Sequence[str | None]]) -> None:
        """Take in texts.

        :param docids: ascending, and after all that were added before
        :param texts: for each of `TEXTS` those of all the documents
        """
        for words, column in zip(self._words, texts, strict=True):
            words.add(docids, column)

    def replace(self, docid: int, texts: Sequence[str | None]) -> None:
        """Have ``texts``, one for each of `TEXTS`, in place of those of ``docid``."""
        for words, text in zip(self._words, texts, strict=True):
            words.replace(docid, text)

    def most_records(self) -> int:
        """How many records there will be at most."""
        return sum(words.most_records() for words in self._words)

    def start(self, sink: Any) -> None:
        """Begin to write, if that takes nobody's time."""

    def written(self, sink: Any) -> list[Written]:
        """Have everything written; what of each of `TEXTS`."""
        return [words.write(sink) for words in self._words]

    def close(self) -> None:
        """Do without what is not written."""
        self._words.clear()


class Apart:
    """The texts, in a second process; the methods are those of `Here`.

    :param folder: where that process writes its file, which is gone in the end; None for the
        system's folder of temporary files
    :raises OSError: no process can be started
    """

    def __init__(self, folder: Path | None = None) -> None:
        import subprocess  # it takes a while to import, and few need it

        folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._path = folder.absolute() / f".new-{new_token()}.part"
        # Programs with Python within them, such as some web servers, name themselves there.
        if not Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
            raise FileNotFoundError("there is no interpreter that could be started")
        # Not a pipe, which nobody would read before the end: once full, it would stop the process.
        self._said: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process: Any = subprocess.Popen(
                [sys.executable, "-c", _CODE, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
            )
        except BaseException:
            self._said.close()
            raise
        self._heard = False
        _widen(self._process.stdin)

    def add(self, docids: Sequence[int], texts: Sequence[Sequence[str | None]]) -> None:
        """See `Here.add`."""
        self._say("add", docids, texts)

    def replace(self, docid: int, texts: Sequence[str | None]) -> None:
        """See `Here.replace`."""
        self._say("replace", docid, texts)

    def start(self, sink: Any) -> None:
        """Have it write."""
        self._say("most_records")
        oids = sink.reserve(self._answer())
        self._say("write", str(self._path), sink.place, oids)

    def written(self, sink: Any) -> list[Written]:
        """Wait until it has written everything, and take that over."""
        written: list[Written] = self._answer()
        sink.graft(self._path)
        return written

    def close(self) -> None:
        """End the process, and remove its file."""
        process = self._process
        process.kill()
        for pipe in (process.stdin, process.stdout, self._said):
            with suppress(OSError):  # what is left to be written has no reader any more
                pipe.close()
        process.wait()
        self._path.unlink(missing_ok=True)

    def _say(self, *message: Any) -> None:
        try:
            _send(self._process.stdin, message)
        except OSError:
            raise self._ended() from None

    def _answer(self) -> Any:
        try:
            if not self._heard:
                _pass_over(self._process.stdout)
                self._heard = True
            answer = _receive(self._process.stdout)
        except (EOFError, OSError):
            raise self._ended() from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _ended(self) -> Ended:
        self._process.kill()
        status = self._process.wait()
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 2000))
        said = self._said.read().decode(errors="replace").strip().splitlines()
        why = said[-1][:200] if said else f"status {status}"
        return Ended(why)


def _widen(pipe: Any) -> None:
    """Let the pipe hold as much as it can, so that neither side waits for the other often."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


def _send(file: BinaryIO, message: object) -> None:
    made = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    file.write(_LENGTH.pack(len(made)))
    file.write(made)
    file.flush()


def _receive(file: BinaryIO) -> Any:
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    made = file.read(length)
    if len(made) < length:
        raise EOFError
    return pickle.loads(made)


def _pass_over(file: BinaryIO) -> None:
    """Read what was printed before the answers begin, by a ``sitecustomize`` for example."""
    seen = b""
    while not seen.endswith(_BEGIN):
        byte = file.read(1)
        if not byte:
            raise EOFError
        seen = seen[-len(_BEGIN) :] + byte


def serve() -> None:
    """What the second process does: take in texts, and write them when it is told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is told too, and ends this
    gc.disable()  # nothing here refers to itself
    # Whatever is printed is not to be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(_BEGIN)
    texts = Here()
    while True:
        try:
            what, *given = _receive(sys.stdin.buffer)
        except EOFError:
            return
        if what == "add":
            texts.add(*given)
        elif what == "replace":
            texts.replace(*given)
        elif what == "most_records":
            _send(answers, texts.most_records())
        else:
            answer = _attempt(texts, *given)
            try:
                _send(answers, answer)
            except OSError:  # whoever asked is no more
                Path(given[0]).unlink(missing_ok=True)
                return


def _attempt(texts: Here, path: str, *given: Any) -> Any:
    try:
        with Part(path, *given) as part:
            return texts.written(part)
    except OSError as error:  # a full disk, most likely
        return OSError(error.errno, error.strerror, path)
