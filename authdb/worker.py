"""What is indexed of packages: taken in, and made into trees, by this process or by a second one.

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
from typing import Any, BinaryIO, NamedTuple, cast

from authdb.exceptions import AuthDBError
from authdb.gathering import Some, Values
from authdb.generations import new_token
from authdb.inverting import Trees, most_records, write_values
from authdb.parts import Contents, Part
from authdb.wording import Words, Written

__all__ = ["TEXTS", "Apart", "Ended", "Here", "Made", "serve"]

#: The fields that are indexed by their words.
TEXTS = ("title", "description")

#: Comes before the first answer.
_BEGIN = b"\0the answers of authdb:\0"
_LENGTH = struct.Struct("<Q")
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from authdb.worker import serve; serve()"


class Made(NamedTuple):
    """What was written: the trees of each of `authdb.inverting.VALUES`, and of each of `TEXTS`."""

    values: dict[str, Trees]
    texts: dict[str, Written]


class Ended(AuthDBError):
    """The second process has ended before its time."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the second process, which builds the indexes, has ended ({why}): nothing was "
            "changed; try again"
        )


class Here:
    """What is indexed of packages, in this process."""

    def __init__(self) -> None:
        self._words = {field: Words() for field in TEXTS}

    def add(self, values: Some, texts: Sequence[Sequence[str | None]]) -> None:
        """Take in packages, whose docids ascend, and are after all that were added before.

        :param texts: for each of `TEXTS` those of all of them
        """
        for words, column in zip(self._words.values(), texts, strict=True):
            words.add(values.docids, column)

    def replace(self, values: Some, texts: Sequence[str | None]) -> None:
        """Have these in place of what was added of the one package in ``values``."""
        for words, text in zip(self._words.values(), texts, strict=True):
            words.replace(values.docids[0], text)

    def most_records(self) -> int:
        """How many records of texts there will be at most."""
        return sum(words.most_records() for words in self._words.values())

    def ask(self) -> None:
        """Say that `start` is next: it can be found out how much room is needed."""

    def start(self, sink: Any) -> None:
        """Begin to write, if that takes nobody's time."""

    def written(self, sink: Any, values: Values) -> Made:
        """Have everything written.

        :param values: all that were added, as they are by now
        """
        # First the texts, of which what is written is let go of.
        texts = {field: words.write(sink) for field, words in self._words.items()}
        return Made(write_values(sink, values), texts)

    def close(self) -> None:
        """Do without what is not written."""
        self._words.clear()


class Apart:
    """The same in a second process; the methods are those of `Here`.

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

    def add(self, values: Some, texts: Sequence[Sequence[str | None]]) -> None:
        """See `Here.add`."""
        self._say("add", values, texts)

    def replace(self, values: Some, texts: Sequence[str | None]) -> None:
        """See `Here.replace`."""
        self._say("replace", values, texts)

    def ask(self) -> None:
        """See `Here.ask`. It has some packages before it yet."""
        self._say("most_records")

    def start(self, sink: Any) -> None:
        """Have it write."""
        oids = sink.reserve(self._answer())
        self._say("write", str(self._path), sink.place, oids)

    def written(self, sink: Any, values: Values) -> Made:
        """Wait until it has written everything, and take that over."""
        made, contents = self._answer()
        sink.graft(self._path, contents)
        return cast("Made", made)

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


class _Second:
    """What the second process has: the values, which the first has for itself, and the texts."""

    def __init__(self) -> None:
        self._values, self._texts = Values(), Here()
        self._kept: dict[Any, Any] = {}

    def add(self, values: Some, texts: Any) -> None:
        # Each message has objects of its own: of equal values one is kept.
        kept = self._kept.setdefault
        licenses = [kept(each, each) for each in values.licenses]
        categories = [kept(each, each) for each in values.categories]
        self._values.extend(values._replace(licenses=licenses, categories=categories))
        self._texts.add(values, texts)

    def replace(self, values: Some, texts: Any) -> None:
        self._values.put(values.docids[0], values)
        self._texts.replace(values, texts)

    def most_records(self) -> int:
        return most_records(self._values) + self._texts.most_records()

    def write(self, path: str, *given: Any) -> tuple[Made, Contents] | OSError:
        try:
            with Part(path, *given) as part:
                return self._texts.written(part, self._values), part.contents
        except OSError as error:  # a full disk, most likely
            return OSError(error.errno, error.strerror, path)


def serve() -> None:
    """What the second process does: take in packages, and write when it is told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is told too, and ends this
    gc.disable()  # nothing here refers to itself
    # Whatever is printed is not to be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(_BEGIN)
    second = _Second()
    while True:
        try:
            what, *given = _receive(sys.stdin.buffer)
        except EOFError:
            return
        answer = getattr(second, what)(*given)
        if answer is None:
            continue
        try:
            _send(answers, answer)
        except OSError:  # whoever asked is no more
            if what == "write":
                Path(given[0]).unlink(missing_ok=True)
            return
