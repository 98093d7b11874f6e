"""The process of one peer: told what to do on standard input, a line of JSON each.

It answers with a line of JSON each: ``{"value": ...}`` or ``{"error": "..."}``. Whatever a library
prints goes to standard error. Times are taken here, so that passing messages costs nobody.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers import peer_class
from benchmarks.peers.base import calm

__all__: list[str] = []

#: A turn asks a question for so long, and at least so often.
TURN, LEAST = 0.02, 3


def main() -> None:
    """Serve the peer named on the command line until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, folder = sys.argv[1:]
    serve: Server | None = None
    for line in sys.stdin:
        what, *args = json.loads(line)
        try:
            serve = serve or Server(name, Path(folder))
            reply: dict[str, Any] = {"value": getattr(serve, what)(*args)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


class Server:
    """What the process can be told."""

    def __init__(self, name: str, folder: Path) -> None:
        self.peer = peer_class(name)(folder)

    def about(self) -> dict[str, Any]:
        """The peer, its version, and all that it does."""
        peer = self.peer
        return {
            "title": peer.title,
            "version": peer.version(),
            "about": peer.about,
            "largest": peer.largest,
            "does": peer.does(),
        }

    def call(self, method: str, *args: Any) -> float:
        """Do something once; the seconds that it took."""
        args = tuple(Path(arg[1]) if arg[0] == "path" else arg[1] for arg in args)
        start = time.perf_counter()
        getattr(self.peer, method)(*args)
        return time.perf_counter() - start

    def each(self, method: str, several: list[list[Any]]) -> float:
        """Do something with each of several arguments; the mean of the seconds that it took."""
        do = getattr(self.peer, method)
        start = time.perf_counter()
        for args in several:
            do(*args)
        return (time.perf_counter() - start) / len(several)

    def calm(self) -> None:
        """What was loaded so far is not looked at by the collector any more."""
        calm()

    def size(self) -> int:
        """Bytes on the disk."""
        return self.peer.size()

    def answer(self, question: str, *args: Any) -> Any:
        """An answer, as it can be compared."""
        return self.peer.plain(question, getattr(self.peer, question)(*args))

    def turn(self, question: str, *args: Any) -> float:
        """The median of the seconds that a question takes, asked again and again for a while."""
        times: list[float] = []
        ends = time.perf_counter() + TURN
        while len(times) < LEAST or time.perf_counter() < ends:
            start = time.perf_counter()
            getattr(self.peer, question)(*args)
            times.append(time.perf_counter() - start)
            if times[0] > 10 * TURN:
                break
        return median(times)


if __name__ == "__main__":
    main()
