"""Processes of peers, watched; and the board on which their times are written."""

from __future__ import annotations

import json
import re
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

import psutil

__all__ = ["Board", "Failed", "Worker", "failure", "memory_of"]

ROOT = Path(__file__).parent.parent
#: How libraries say so.
OUT_OF_MEMORY = re.compile("memoryerror|out ?of ?memory|cannot allocate memory", re.IGNORECASE)


class Failed(Exception):
    """A peer could not do what it was told, or not in time; says why."""


def failure(status: int, text: str) -> Failed:
    """What is said of a process that failed; what stands before the colon is shown in the table.

    :param status: of the process, where that has ended
    :param text: what it said
    """
    if status == -signal.SIGKILL:  # which nobody here has sent
        return Failed("OUT OF MEMORY: it was killed, as the system does when there is none left")
    kind = "OUT OF MEMORY" if OUT_OF_MEMORY.search(text) else "FAILED"
    return Failed(f"{kind}: {text}")


class Worker:
    """A peer in a process of its own, see `benchmarks.worker`. A context manager.

    :param limit: seconds that one thing may take
    """

    def __init__(self, peer: str, folder: Path, limit: float = 300) -> None:
        self.peer, self.limit, self._folder = peer, limit, folder
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", self.peer, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C is for us: we end it
        )

    def restart(self) -> None:
        """Start a process in place of this one."""
        self.close()
        self._start()

    @property
    def has_ended(self) -> bool:
        """Whether the process has, by itself or because it took too long."""
        return self._process.poll() is not None

    def __call__(self, what: str, *args: Any) -> Any:
        """Tell it what to do; its answer.

        :raises Failed: it failed, or took longer than the limit
        """
        assert self._process.stdin and self._process.stdout
        if self._process.stdin.closed:  # by us, as it took too long
            raise Failed("FAILED: its process has ended")
        if self.has_ended:
            raise failure(self._process.wait(), "its process has ended")
        try:
            self._process.stdin.write(json.dumps([what, *args]) + "\n")
            ready, _, _ = select.select([self._process.stdout], [], [], self.limit)
            if not ready:
                # What it answers in the end would be taken for the answer to the next thing.
                self.close()
                raise Failed(f"over {self.limit:g} s")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise failure(self._process.wait(), "it ended without a word")
        reply = json.loads(line)
        if "error" in reply:
            raise failure(0, reply["error"])
        return reply["value"]

    def call(self, method: str, *args: Any) -> float:
        """Have the peer do something once; the seconds that it took."""
        marked = [("path", str(arg)) if isinstance(arg, Path) else ("", arg) for arg in args]
        return float(self("call", method, *marked))

    def watched(self, method: str, *args: Any) -> tuple[float, int]:
        """As `call`, and the most bytes of memory that it and its children had together."""
        peak, done = 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.1):
                peak = max(peak, memory_of(self._process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            seconds = self.call(method, *args)
        finally:
            done.set()
            watcher.join()
        return seconds, max(peak, memory_of(self._process.pid))

    def close(self) -> None:
        """End the process, with its children."""
        if self._process.poll() is None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            with suppress(BrokenPipeError):  # there may be something left to be written
                stream.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def memory_of(pid: int) -> int:
    """Bytes of memory that a process and its children have now; 0 where it has ended."""
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return total


class Board:
    """What was measured: size -> method -> peer -> times, and what there is to say of them.

    :param path: a file that keeps it
    :param resume: go on where a run was cut short
    :param whole: also where it has ended, to look at it once more
    """

    def __init__(self, path: Path, resume: bool = False, whole: bool = False) -> None:
        self.path = path
        self.data: dict[str, Any] = {"times": {}, "notes": {}, "done": [], "about": {}}
        if resume and path.exists():
            kept = json.loads(path.read_text())
            if whole or not kept["about"].get("ended"):
                self.data = kept

    def about(self, peer: str) -> dict[str, Any]:
        """What `Worker` "about" told of a peer; empty where it is not installed."""
        told: dict[str, Any] = self.data["about"].setdefault("peers", {}).get(peer, {})
        return told

    def title(self, peer: str) -> str:
        """What a peer is called."""
        return str(self.about(peer).get("title", peer))

    def add(self, size: int, method: str, peer: str, value: float) -> None:
        """Write down one time, or a number of bytes."""
        self._cell("times", size, method).setdefault(peer, []).append(value)

    def note(self, size: int, method: str, peer: str, text: str) -> None:
        """Say why there is no time, or why it does not count; what was said first stays."""
        self._cell("notes", size, method).setdefault(peer, text)

    def times(self, size: int, method: str, peer: str) -> list[float]:
        """What was written down."""
        times: list[float] = self._cell("times", size, method).get(peer, [])
        return times

    def value(self, size: int, method: str, peer: str) -> float | None:
        """The median; None where there is none, or it does not count."""
        if self.noted(size, method, peer) is not None:
            return None
        times = self.times(size, method, peer)
        return median(times) if times else None

    def noted(self, size: int, method: str, peer: str) -> str | None:
        """What was said of it."""
        text: str | None = self._cell("notes", size, method).get(peer)
        return text

    def notes(self) -> list[tuple[int, str, str, str]]:
        """All that was said: size, method, peer, text."""
        return [
            (int(size), method, peer, text)
            for size, methods in self.data["notes"].items()
            for method, peers in methods.items()
            for peer, text in peers.items()
        ]

    def _cell(self, kind: str, size: int, method: str) -> dict[str, Any]:
        cell: dict[str, Any] = self.data[kind].setdefault(str(size), {}).setdefault(method, {})
        return cell

    @property
    def sizes(self) -> list[int]:
        """The sizes that were measured."""
        return sorted(map(int, self.data["times"]))

    def is_done(self, size: int, stage: str) -> bool:
        """Whether a stage was ended, in this run or the one that is taken up again."""
        return [size, stage] in self.data["done"]

    def end(self, size: int, stage: str) -> None:
        """A stage has ended: what was measured in it is kept."""
        self.data["done"].append([size, stage])
        self.save()

    def forget(self, size: int) -> None:
        """Take back all of a size, on the disk too."""
        self.data["done"] = [pair for pair in self.data["done"] if pair[0] != size]
        for kind in ("times", "notes"):
            self.data[kind].pop(str(size), None)
        self.save()

    def save(self) -> None:
        """Write it to the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps(self.data, indent=1))
        aside.replace(self.path)
