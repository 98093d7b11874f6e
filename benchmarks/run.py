"""The run: for each size the peers are loaded, asked, changed and packed, in turn.

Stages: ``load``, ``cold``, ``ask``, ``change``. Each ends with the results on the disk; a run that
was cut short is taken up after the last stage that ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bars import BARRED
from benchmarks.data import batch_file, packages_file
from benchmarks.harness import Board, Failed, Worker, failure
from benchmarks.pace import ASKS, COMPARED, LOADS, again
from benchmarks.peers import PEERS
from benchmarks.tasks import LOADING, QUESTIONS, Task, unlike

__all__ = ["Run"]

REFERENCE = "sqlite"
#: The database that is asked later is loaded by the first of these that a peer has.
MAIN = ("load", "load_without_text", "load_command")
#: So many single changes a peer makes before it is another's turn.
IN_A_ROW = 10
ASKED = [task for task in QUESTIONS if task.key not in ("open", "first_rows")]


class Run:
    """One run over some sizes.

    :param work: a folder for data, databases and results
    :param limit: seconds that one thing may take a peer before it is given up
    :param turns: how often each peer is asked each question; the rest follows from it
    """

    def __init__(
        self,
        sizes: list[int],
        work: Path,
        board: Board,
        peers: list[str],
        limit: float = 300,
        turns: int = 5,
    ) -> None:
        self.sizes, self.work, self.board = sorted(sizes), work, board
        self.limit, self.turns = limit, turns
        # Without SQLite there is nothing that answers are held against.
        self.peers = [peer for peer in PEERS if peer in {*peers, REFERENCE}]
        self.peers = [peer for peer in self.peers if self._is_there(peer)]

    def _is_there(self, peer: str) -> bool:
        about = self.board.data["about"]
        try:
            with Worker(peer, self.work, self.limit) as worker:
                about.setdefault("peers", {})[peer] = worker("about")
        except Failed as error:
            about.setdefault("missing", {})[peer] = str(error)
            self.say(f"LEFT OUT: {peer}: {error}")
            return False
        return True

    def does(self, peer: str, method: str) -> bool:
        """Whether a peer can be asked to do that."""
        return method in self.board.about(peer)["does"]

    def say(self, text: str) -> None:
        """Tell how far it is."""
        print(text, file=sys.stderr, flush=True)

    def run(self) -> None:
        """All stages of all sizes."""
        for size in self.sizes:
            if self._changing(size).exists() and not self.board.is_done(size, "change"):
                self.say(f"{size:,}: cut short while its databases were changed: from the start")
                self.board.forget(size)
                self._changing(size).unlink()
            for stage in ("load", "cold", "ask", "change"):
                if not self.board.is_done(size, stage):
                    getattr(self, stage)(size)
                    self.board.end(size, stage)
            self._changing(size).unlink(missing_ok=True)
        self.board.data["about"].update(cores=os.cpu_count(), ended=True)
        self.board.save()

    def _changing(self, size: int) -> Path:
        return self.work / str(size) / "changing"

    # -- who takes part ----------------------------------------------------------------------

    def taking_part(self, size: int) -> list[str]:
        """The peers of a size: the slow ones only of the smallest."""
        return [
            peer
            for peer in self.peers
            if size <= max(self.board.about(peer)["largest"], self.sizes[0])
        ]

    def _main(self, peer: str) -> str:
        """How what is asked about later is loaded."""
        return next(method for method in MAIN if self.does(peer, method))

    def _folder(self, size: int, peer: str) -> Path:
        return self.work / str(size) / ("ours" if peer == "overours" else peer)

    @contextmanager
    def workers(self, size: int, peers: list[str]) -> Iterator[dict[str, Worker]]:
        """A process for each of the peers."""
        with ExitStack() as stack:
            yield {
                peer: stack.enter_context(Worker(peer, self._folder(size, peer), self.limit))
                for peer in peers
            }

    # -- loading -----------------------------------------------------------------------------

    def load(self, size: int) -> None:
        """Load the file in every way, each into a fresh folder by a fresh process."""
        source = packages_file(self.work / "data", size)
        methods = {*(task.own for task in LOADING), *(task.key for task in LOADING), "load_command"}
        methods -= {"load_memory", "size"}
        plan = [
            (peer, method)
            for peer in self.taking_part(size)
            for method in sorted(methods)
            if peer != "overours" and self.does(peer, method)
        ]
        turns = min(self.turns, 3 if size <= 100_000 else 2)
        for _ in range(turns):
            for peer, method in plan:
                always = (peer, method) in BARRED and (method == "load" or size <= 100_000)
                if self._again(size, method, peer, turns, inf if always else LOADS):
                    self._load(size, peer, method, source)

    def _again(self, size: int, method: str, peer: str, turns: int, budget: float) -> bool:
        """Whether a peer does something once more: not where it failed or was wrong."""
        if self.board.noted(size, method, peer) is not None:
            return False
        return again(self.board.times(size, method, peer), turns, budget)

    def _load(self, size: int, peer: str, method: str, source: Path) -> None:
        main = self._main(peer)
        keep = self._folder(size, peer)
        folder = keep if method == main else keep.with_name(f"{peer}-{method}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.sync()  # what others left to be written is not this one's
        try:
            with Worker(peer, folder, self.limit) as worker:
                seconds, memory = worker.watched(method, source)
                self.board.add(size, method, peer, seconds)
                self.say(f"{size:>9,}  {method:18} {peer:9} {seconds:8.2f} s {memory >> 20:6} MB")
                if method == main:
                    self.board.add(size, "load_memory", peer, memory)
                    self.board.add(size, "size", peer, worker("size"))
        except Failed as error:
            self._failed(size, method, peer, error)
        finally:
            if folder != keep:
                shutil.rmtree(folder)

    def _failed(self, size: int, method: str, peer: str, error: Exception) -> None:
        """Write down why there is no time of it; the table shows what is before the colon."""
        self.board.note(size, method, peer, str(error))
        self.say(f"{size:>9,}  {method:18} {peer:9} {error}")

    # -- whole processes ---------------------------------------------------------------------

    def cold(self, size: int) -> None:
        """A command of ours and one of sqlite-utils, in turn."""
        both = ("ours", "command")
        if not all(self._is_loaded(size, peer) for peer in both):
            return
        with self.workers(size, list(both)) as workers:
            commands = {peer: worker("answer", "cold") for peer, worker in workers.items()}
        warm = 2  # the first ones read the files from the disk
        peer = "ours"
        try:
            answers = []
            for peer in both:
                answers.append(self._days(commands[peer]))
            if answers[0] != answers[1]:
                self._failed(size, "cold_query", "ours", Failed("WRONG: other days than theirs"))
            for turn in range(warm + 2 * self.turns):
                for peer in both:
                    seconds, _ = self._process(commands[peer], subprocess.DEVNULL)
                    if turn >= warm:
                        self.board.add(size, "cold_query", peer, seconds)
        except Failed as error:
            self._failed(size, "cold_query", peer, error)
        self._told(size, "cold_query", list(commands))

    def _process(self, command: list[str], out: int = subprocess.PIPE) -> tuple[float, str]:
        """Run a command; the seconds that it took, and what it wrote."""
        start = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                timeout=self.limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"over {self.limit:g} s") from None
        seconds = time.perf_counter() - start
        if done.returncode:
            raise failure(done.returncode, done.stderr.strip().rpartition("\n")[2])
        return seconds, done.stdout or ""

    def _days(self, command: list[str]) -> list[str]:
        """The days of what a command shows: of equal ones any may be among the first."""
        form = ["--format", "json"] if "--db" in command else []
        days = (row["last_update"] for row in json.loads(self._process([*command, *form])[1]))
        return [(day + "-01-01")[:10] for day in days]  # a year stands at its first day

    def _told(self, size: int, method: str, peers: list[str]) -> None:
        for peer in peers:
            value = self.board.value(size, method, peer)
            if value is not None:
                self.say(f"{size:>9,}  {method:18} {peer:9} {value * 1000:12.3f} ms")

    # -- asking ------------------------------------------------------------------------------

    def ask(self, size: int) -> None:
        """Each question: all answers are held against each other, then timed in turn."""
        names = self._some_names(size, 20)
        peers = self._loaded(size)
        with self.workers(size, peers) as workers:
            self._open(size, workers, "prepare", "open_to_read")
            for task in ASKED:
                able = self._able(workers, task.key)
                args = [names] if task.key == "by_name" else []
                self._compare(size, task, workers, able, args)
                self._time(size, task.key, workers, able, args)
        for method, then in (("open", "lt_count"), ("first_rows", "list_rows")):
            able = [peer for peer in peers if self.does(peer, then)]
            for turn in range(min(3, self.turns)):
                for peer in able:
                    # To start a process takes longer than what is measured in it.
                    if turn == 0 or peer in COMPARED:
                        self._first(size, peer, method, then)
            self._told(size, method, peers)

    def _loaded(self, size: int) -> list[str]:
        """The peers that can be asked."""
        peers = [peer for peer in self.taking_part(size) if peer != "command"]
        return [peer for peer in peers if self._is_loaded(size, peer)]

    def _is_loaded(self, size: int, peer: str) -> bool:
        if peer == "overours":
            return self._is_loaded(size, "ours")
        return peer in self.peers and self.board.value(size, self._main(peer), peer) is not None

    def _open(self, size: int, workers: dict[str, Worker], *methods: str) -> None:
        """Open them all; those that cannot be are left out."""
        for peer, worker in list(workers.items()):
            try:
                for method in methods:
                    worker.call(method)
                worker("calm")
            except Failed as error:
                self._failed(size, "open", peer, error)
                del workers[peer]

    def _able(self, workers: dict[str, Worker], method: str) -> list[str]:
        return [peer for peer in workers if self.does(peer, method)]

    def _compare(
        self,
        size: int,
        task: Task,
        workers: dict[str, Worker],
        able: list[str],
        args: list[Any],
        when: str = "",
    ) -> None:
        """Hold the answers against SQLite's. A peer that answers wrongly is not timed."""
        try:
            expected = self._asked(workers, REFERENCE, "answer", task.key, *args)
        except Failed as error:
            for peer in able:
                why = error if peer == REFERENCE else Failed(f"UNCHECKED{when}: SQLite failed")
                self._failed(size, task.key, peer, why)
            return
        for peer in able:
            if self.board.noted(size, task.key, peer) is not None:
                continue
            try:
                answer = self._asked(workers, peer, "answer", task.key, *args)
                wrong = unlike(task.form, answer, expected)
                if wrong:
                    raise Failed(f"WRONG{when}: {wrong}")
            except Failed as error:
                self._failed(size, task.key, peer, error)

    def _asked(self, workers: dict[str, Worker], peer: str, what: str, *args: Any) -> Any:
        """What a peer answers; its process is started again where it has ended, so that one
        question that was too much for it does not cost it the others."""
        worker = workers.get(peer)
        if worker is None:
            raise Failed("FAILED: it is not open")
        if worker.has_ended:
            worker.restart()
            worker.call("open_to_read")
            worker("calm")
        return worker(what, *args)

    def _time(
        self, size: int, key: str, workers: dict[str, Worker], able: list[str], args: list[Any]
    ) -> None:
        for _ in range(self.turns):
            for peer in able:
                if self._again(size, key, peer, self.turns, ASKS):
                    try:
                        seconds = self._asked(workers, peer, "turn", key, *args)
                        self.board.add(size, key, peer, seconds)
                    except Failed as error:
                        self._failed(size, key, peer, error)
        self._told(size, key, able)

    def _first(self, size: int, peer: str, method: str, then: str) -> None:
        """What the first question takes in a fresh process, whose imports are done."""
        with Worker(peer, self._folder(size, peer), self.limit) as worker:
            try:
                worker("calm")
                opening = worker.call("open_to_read")
                asking = worker.call(then)
            except Failed as error:
                self._failed(size, method, peer, error)
            else:
                self.board.add(size, method, peer, asking + (opening if method == "open" else 0))

    def _some_names(self, size: int, count: int, turn: int = 0) -> list[str]:
        """Names of packages all over the file; other ones for another turn."""
        source = packages_file(self.work / "data", size)
        step = max(1, size // count)
        with source.open("rb") as lines:
            found = islice(lines, turn % step, None, step)
            return [json.loads(line)["name"] for line in islice(found, count)]

    # -- changing ----------------------------------------------------------------------------

    def change(self, size: int) -> None:
        """Changes and batches, the same of all peers and in turn; then all answers again."""
        self._changing(size).touch()
        peers = [peer for peer in self._loaded(size) if peer != "overours"]
        with self.workers(size, peers) as workers:
            self._open(size, workers, "open")
            failed: dict[str, str] = {}  # the peers that are not what they should be by now
            for edit in self._edits(size):
                able = self._able(workers, edit.method)
                for turn in range(edit.turns):
                    for peer in able:
                        if peer not in failed and not self._edit(size, edit, turn, workers[peer]):
                            failed[peer] = edit.key
                for peer, key in failed.items():
                    if peer in able and key != edit.key:
                        self._failed(size, edit.key, peer, Failed(f"GIVEN UP: it failed at {key}"))
                self._told(size, edit.key, able)
            if REFERENCE in workers and REFERENCE not in failed:
                whole = {peer: worker for peer, worker in workers.items() if peer not in failed}
                self._check_again(size, whole)

    def _edits(self, size: int) -> Iterator[Edit]:
        turns = self.turns + 1
        some = self._some_names(size, turns * IN_A_ROW, 7)
        text = "signs requests with keys of the kind"
        many = min(1000, size // 10)

        def in_a_row(turn: int) -> list[str]:
            return some[turn * IN_A_ROW : (turn + 1) * IN_A_ROW]

        def several(turn: int) -> list[Any]:
            return releases(self._some_names(size, many, turn), turn)

        def one_by_one(turn: int) -> list[Any]:
            return [releases([name], turn) for name in in_a_row(turn)]

        def texts(turn: int) -> list[Any]:
            return [[name, f"{text} {turn}"] for name in in_a_row(turn)]

        yield Edit("change", "change", turns, one_by_one, each=True)
        yield Edit("change_text", "change_text", turns, texts, each=True)
        yield Edit("changes", "changes", min(3, self.turns), several)
        for count, series in ((1000, 50), (10_000, 0)):
            if count * 5 <= size:
                files = [batch_file(self.work / "data", count, series + n) for n in (1, 2, 3)]
                for kind in ("batch", "batch_without_text"):
                    key = kind.replace("batch", f"batch_{count}")
                    yield Edit(key, kind, min(3, self.turns), lambda turn, of=files: [of[turn]])
        yield Edit("pack", "pack", 1, lambda turn: [])

    def _edit(self, size: int, edit: Edit, turn: int, worker: Worker) -> bool:
        """Have a peer make a change; whether it could."""
        try:
            args = edit.args(turn)
            if edit.each:
                seconds = float(worker("each", edit.method, args))
            else:
                seconds = worker.call(edit.method, *args)
        except Failed as error:
            self._failed(size, edit.key, worker.peer, error)
            return False
        # The first of those that are many is left out: it reads what the others find read.
        if turn or not edit.each:
            self.board.add(size, edit.key, worker.peer, seconds)
        return True

    def _check_again(self, size: int, workers: dict[str, Worker]) -> None:
        """All answers once more, now that everybody has made the same changes."""
        for task in ASKED:
            if task.key != "by_name":
                able = self._able(workers, task.key)
                self._compare(size, task, workers, able, [], " after the changes")


class Edit(NamedTuple):
    """One kind of change: what the report calls it, the peer's method, how often, and with what;
    whether that are the arguments of several, one after the other."""

    key: str
    method: str
    turns: int
    args: Callable[[int], list[Any]]
    each: bool = False


def releases(names: list[str], turn: int) -> list[Any]:
    """What `change` takes: a new version of each, and its day."""
    day = f"2026-11-{20 + turn % 10}"
    return [[(name, f"10.{turn}.{number}", day) for number, name in enumerate(names)]]
