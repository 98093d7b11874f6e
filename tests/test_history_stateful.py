"""Any sequence of changes and undos: the catalog is that of the packages, and every moment that
was noted on the way is found again as it was.

``python tests/test_history_stateful.py --runs 500`` runs more of them, and prints how many.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from test_stateful import Machine, Record

from authdb import AuthDB

State = dict[int, Record]  # docid -> record

#: What the runs have done, for those who run this as a program.
FIGURES: Counter[str] = Counter()


def differing(before: State, after: State) -> list[int]:
    return sorted(d for d in before.keys() | after.keys() if before.get(d) != after.get(d))


def undone(states: dict[int, State], number: int, now: State, force: bool) -> State:
    """What an undo of change ``number`` should make of ``now``."""
    earlier = max(n for n in states if n < number)
    before, after = states[earlier], states[number]
    back = {
        docid: before.get(docid)
        for docid in differing(before, after)
        if now.get(docid) != before.get(docid) and (force or now.get(docid) == after.get(docid))
    }
    while True:
        kept = {record["name"]: d for d, record in now.items() if d not in back}
        taken = [d for d, record in back.items() if record and record["name"] in kept]
        if not taken:
            break
        for docid in taken:
            del back[docid]
    result = now | {docid: record for docid, record in back.items() if record}
    return {d: record for d, record in result.items() if d not in back or back[d]}


class HistoryMachine(Machine):
    """Notes each state, by the number of the change that made it."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[int, State] = {}
        self.times: dict[int, datetime] = {}

    def state(self, db: AuthDB | None = None) -> State:
        return {docid: p.record() for docid, p in (db or self.db).objects.items()}

    @invariant()
    def note(self) -> None:
        number = self.db.generation
        if number not in self.states:
            FIGURES["changes"] += 1
            self.states[number] = self.state()
            self.times[number] = datetime.now(timezone.utc)

    @rule(chance=st.randoms(use_true_random=False))
    def go_on(self, chance: Any) -> None:
        """A few changes that are sure to change something."""
        for _ in range(5):
            name = chance.choice(["a", "b", "c", "d-d"])
            kind = chance.choice(["update", "update", "rename", "remove"])
            title = f"Token {chance.randrange(10**6)}"
            if name not in self.packages:
                kind = "add"
            new = chance.choice("abcdefgh")
            if new in self.packages:
                new = f"n{chance.randrange(10**6)}"
            self.change(self.packages, (kind, name, new, {"title": title}), inside=False)
            self.note()

    @precondition(lambda self: len(self.states) > 12)
    @rule()
    def pack(self) -> None:
        super().pack()
        number = self.db.generation
        self.states = {number: self.states[number]}

    def pick(self, data: Any, least: int = 0) -> int:
        return int(data.draw(st.sampled_from(sorted(self.states)[least:])))

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data(), newest=st.booleans(), force=st.booleans())
    def undo(self, data: Any, newest: bool, force: bool) -> None:
        number = max(self.states) if newest else self.pick(data, 1)
        expected = undone(self.states, number, self.state(), force)
        plan = self.db.undo(number, force=force, dry_run=True)
        done = self.db.undo(None if newest else f"c{number}", force=force)
        assert done == plan and done.number == number
        assert self.state() == expected
        self.restored |= expected.keys()
        self.packages = {record["name"]: record for record in expected.values()}
        FIGURES["undos"] += 1
        FIGURES["packages left alone"] += len(done.left)

    @precondition(lambda self: len(self.states) > 1)
    @rule()
    def undo_twice(self) -> None:
        before = self.state()
        if self.db.undo().does_anything:
            self.note()
            assert not self.db.undo().left
        assert self.state() == before
        self.restored |= before.keys()

    @precondition(lambda self: not self.in_memory)
    @rule(data=st.data(), how=st.sampled_from(["number", "time"]))
    def look_back(self, data: Any, how: str) -> None:
        number = self.pick(data)
        moment = f"c{number}" if how == "number" else self.times[number]
        with AuthDB.open(self.folder, as_of=moment) as db:
            assert db.generation == number and db.read_only
            assert self.state(db) == self.states[number]
            found = db.find("'token' in title or not last_update < '2020'", sort="name").names()
            assert found == sorted(
                record["name"]
                for record in self.states[number].values()
                if "token" in record["title"].lower() or record.get("last_update", "9") >= "2020"
            )
            assert db.check() == []
        FIGURES["moments looked at"] += 1

    @rule(data=st.data())
    def compare(self, data: Any) -> None:
        start, end = sorted([self.pick(data), self.pick(data)])
        found = {
            each.docid: (each.before and each.before.record(), each.after and each.after.record())
            for each in self.db.diff(f"c{start}", f"c{end}")
        }
        before, after = self.states[start], self.states[end]
        assert found == {d: (before.get(d), after.get(d)) for d in differing(before, after)}

    @rule()
    def tell(self) -> None:
        changes = self.db.log()
        assert [change.number for change in changes] == sorted(self.states, reverse=True)
        for number, change in zip(sorted(self.states, reverse=True)[:-1], changes, strict=False):
            before, after = (
                self.states[max(n for n in self.states if n < number)],
                self.states[number],
            )
            docids = {docid for kind in change.docids for docid in change.docids[kind]}
            assert docids >= set(differing(before, after))
            assert set(change.names("added")) == {
                after[docid]["name"] for docid in after.keys() - before.keys()
            }
            assert set(change.names("removed")) == {
                before[docid]["name"] for docid in before.keys() - after.keys()
            }


class MemoryHistoryMachine(HistoryMachine):
    """The same, in memory, where there is nothing to open as of a moment."""

    in_memory = True


def runs(number: int) -> settings:
    return settings(max_examples=number, stateful_step_count=25)


TestHistoryInFiles = HistoryMachine.TestCase
TestHistoryInFiles.settings = runs(25)
TestHistoryInMemory = MemoryHistoryMachine.TestCase
TestHistoryInMemory.settings = runs(20)


if __name__ == "__main__":
    import sys

    count = int(sys.argv[sys.argv.index("--runs") + 1])
    for machine in (HistoryMachine, MemoryHistoryMachine):
        run_state_machine_as_test(machine, settings=runs(count))
    print(f"{2 * count:,} runs of up to 25 steps each, in files and in memory:")
    for what, figure in FIGURES.items():
        print(f"{figure:10,} {what}")
    print("each undo as the model says; each moment as it was noted; catalogs that differ: 0")
