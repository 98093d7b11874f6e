"""Running ``authdb`` as people do: as a process, in a pipe or on a terminal."""

from __future__ import annotations

import codecs
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

# Development mode warns of files that are not closed, and lets our own mistakes through with a
# traceback; here no warning stays a warning.
PYTHON = (sys.executable, "-X", "dev", "-W", "error")
AUTHDB = (*PYTHON, "-m", "authdb")

Argument = str | bytes | Path


class Ended(NamedTuple):
    """What a process wrote, and its exit status."""

    out: str
    err: str
    status: int

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**changes: str | None) -> dict[str, str]:
    """The variables of this process without those that change how authdb behaves.

    :param changes: variables to set; None takes one away
    """
    foreign = re.compile(
        r"AUTHDB_|PYTHON(?!PATH)|XDG_|LC_|LANG|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|TTY_|IPYTHON"
    )
    kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    kept |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "HOME": "/nonexistent"}
    kept |= {"AUTHDB_PATH": "/nonexistent/db"}
    changed = {**kept, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def run(
    *arguments: Argument,
    stdin: str | bytes = "",
    cwd: Path | None = None,
    command: Sequence[Argument] = AUTHDB,
    **variables: str | None,
) -> Ended:
    """``authdb`` with these arguments, in a pipe."""
    done = subprocess.run(
        [*command, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        cwd=cwd,
        env=environment(**variables),
        timeout=60,
    )
    return Ended(done.stdout.decode(), done.stderr.decode(), done.returncode)


def ok(*arguments: Argument, **options: Any) -> Ended:
    """The same, where nothing may go wrong and nothing be said about it."""
    ended = run(*arguments, **options)
    assert (ended.err, ended.status) == ("", 0), ended
    return ended


def told(ended: Ended, status: int, *words: str) -> None:
    """Check that it ended with ``status``, and with one clear line that has these words."""
    assert ended.status == status, ended
    assert ended.err.startswith("authdb: "), ended
    assert ended.err.count("\n") == 1, ended
    for word in words:
        assert word in ended.err, ended


def run_all(commands: Iterable[Sequence[Argument]], **options: Any) -> list[Ended]:
    """Several commands, one after the other in one process: most of the time of one goes into
    its start."""
    ended = run("-c", *_one_by_one(commands), command=PYTHON, **options)
    assert ended.status == 0, ended
    return list(map(Ended, _parts(ended.out), _parts(ended.err), _statuses(ended.out)))


def ok_all(commands: Iterable[Sequence[Argument]], **options: Any) -> list[Ended]:
    """The same, where nothing may go wrong and nothing be said about it."""
    all_ended = run_all(commands, **options)
    for ended in all_ended:
        assert (ended.err, ended.status) == ("", 0), ended
    return all_ended


def _one_by_one(commands: Iterable[Sequence[Argument]]) -> tuple[str, str]:
    return _ONE_BY_ONE, json.dumps([list(map(os.fsdecode, command)) for command in commands])


def _parts(text: str) -> list[str]:
    """What each of the commands wrote."""
    return re.split("\0[0-9]+\0", text)[:-1]


def _statuses(text: str) -> list[int]:
    return list(map(int, re.findall("\0([0-9]+)\0", text)))


_ONE_BY_ONE = """
import json, sys
from authdb.cli import main

for arguments in json.loads(sys.argv[1]):
    status = main(arguments)
    for stream in sys.stdout, sys.stderr:
        print(f"\\0{status}\\0", end="", file=stream, flush=True)
"""


def names(ended: Ended) -> list[str]:
    """The names in an answer that is JSON."""
    return [row["name"] for row in ended.json]


def plain(text: str) -> str:
    """What is seen of ``text``: without colours and the like."""
    return re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])", "", text).replace("\r\n", "\n")


class Terminal:
    """``authdb`` on a terminal: a context manager, that ends the process when it is left.

    :param columns: how wide the terminal is
    :param on: which of the three streams lead to it; the others lead nowhere
    """

    def __init__(
        self,
        *arguments: Argument,
        columns: int = 80,
        on: Sequence[str] = ("stdin", "stdout", "stderr"),
        command: Sequence[Argument] = AUTHDB,
        **variables: str | None,
    ) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        streams: Any = {
            name: theirs if name in on else subprocess.DEVNULL
            for name in ("stdin", "stdout", "stderr")
        }
        self.process = subprocess.Popen(
            [*command, *arguments], env=environment(**variables), start_new_session=True, **streams
        )
        os.close(theirs)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        #: Everything that came so far.
        self.text = ""
        self._read = 0  # how much of what is seen of it was read

    def type(self, line: str, end: str = "\r") -> None:
        """Type a line, and the key that ends it."""
        os.write(self._fd, f"{line}{end}".encode())

    def read(self, until: str | None = None, timeout: float = 30) -> str:
        """What is seen next, up to something that matches ``until``, or to the end."""
        deadline = time.monotonic() + timeout
        while True:
            seen = plain(self.text)[self._read :]
            match = re.search(until, seen) if until is not None else None
            if match:
                self._read += match.end()
                return seen[: match.end()]
            left = deadline - time.monotonic()
            assert left > 0, f"waited for {until!r} in {seen!r}"
            if select.select([self._fd], [], [], left)[0]:
                try:
                    data = os.read(self._fd, 65536)
                except OSError:  # how Linux says that the other end was closed
                    data = b""
                if not data:
                    assert until is None, f"it ended before {until!r}: {seen!r}"
                    return seen
                self.text += self._decode(data)

    def end(self) -> int:
        """The exit status."""
        return self.process.wait(30)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._fd)


def on_terminal(commands: Iterable[Sequence[Argument]], **options: Any) -> list[Ended]:
    """What is seen of commands that ask nothing; one after the other, as `run_all`."""
    arguments = _one_by_one(commands)
    with Terminal("-c", *arguments, on=["stdout"], command=PYTHON, **options) as terminal:
        text = terminal.read()
        assert terminal.end() == 0, text
    return [
        Ended(out, "", status) for out, status in zip(_parts(text), _statuses(text), strict=True)
    ]
