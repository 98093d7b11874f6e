"""The command line of the past, run as a process on real files: log, diff, undo, --as-of, pack,
and what is said of damaged files and of those that strangers made."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commandline import (
    PYTHON,
    Ended,
    Terminal,
    ok,
    ok_all,
    on_terminal,
    run,
    run_all,
    told,
)
from markdown_it import MarkdownIt
from strangers import SPOILERS, read_plainly

from authdb import AuthDB, Package

#: The status where the history has no such moment or change.
NO_SUCH_MOMENT = 1

NOON = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=250_000)


def ago(days: int) -> datetime:
    return NOON - timedelta(days=days)


def day(days: int) -> str:
    return f"{ago(days):%Y-%m-%d}"


#: When each change was made, in days before today.
AGES = {0: 400, 1: 300, 2: 200, 3: 100, 4: 50, 5: 10}
LAST = max(AGES)
NOTES = {
    0: "a new database",
    1: "the first five",
    2: "a | licence, and a note so long that no terminal of eighty columns has room for it",
    3: "gone: drf-epsilon",
    4: "an *odd* one",
    5: "a release",
}
LONG_NAME = "djangorestframework-a-rather-long-name"


def changes(db: AuthDB) -> Iterator[None]:
    """Make the next change each time that it is asked."""
    with db.transaction(NOTES[1]):
        db.add(Package("drf-alpha", "Alpha", categories=["token"], version="1.0"))
        db.add(Package("drf-beta", "Beta", categories=["jwt"], last_release=day(310)))
        db.add(Package("drf-gamma", "Gamma", description="OAuth", last_update=day(900)))
        db.add(Package("drf-delta", "Délta · 東京", last_update="2010"))
        db.add(Package("drf-epsilon", "Nothing is known of it"))
    yield
    with db.transaction(NOTES[2]):
        db.update("drf-beta", license="MIT")
    yield
    with db.transaction(NOTES[3]):
        db.remove("drf-epsilon")
        db.update("drf-gamma", name=LONG_NAME)
    yield
    with db.transaction(NOTES[4]):
        db.add(
            Package(
                "drf-odd",
                "Odd | *title* `code` [link](https://example.org) <b>",
                description="With\nlines | and # signs",
                repository="https://example.org/odd",
                last_update=day(60),
            )
        )
    yield
    with db.transaction(NOTES[5]):
        db.update("drf-alpha", version="2.0", last_release=day(12))
    yield


class History(NamedTuple):
    """A database that changed over the years, and what its folder was after each change."""

    folder: Path
    states: dict[int, Path]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Not to be changed."""
    tmp = tmp_path_factory.mktemp("history")
    folder, states = tmp / "db", {}

    def keep(number: int) -> None:
        states[number] = tmp / f"c{number}" / "db"
        states[number].mkdir(parents=True)
        for file in ("data.fs", "catalog.fs"):
            shutil.copy(folder / file, states[number])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: ago(AGES[0]).timestamp())
        patch.setenv("LOGNAME", "curator")
        with AuthDB.create(folder) as db:
            keep(0)
            each = changes(db)
            for number in range(1, LAST + 1):
                moment = ago(AGES[number]).timestamp()
                patch.setattr(time, "time", lambda moment=moment: moment)
                next(each)
                keep(number)
    return History(folder, states)


@pytest.fixture
def db(history: History, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(history.folder, tmp_path / "db"))


def letters(text: str) -> str:
    """What a layout must not lose."""
    return "".join(sorted(character for character in text if character.isalnum()))


def numbers(ended: Ended) -> list[int]:
    """The changes in a log that is JSON."""
    return [int(each["change"].removeprefix("c")) for each in ended.json]


def records(folder: Path, as_of: str | None = None) -> list[dict[str, Any]]:
    """The packages, by name."""
    with AuthDB.open(folder, read_only=True, as_of=as_of) as db:
        return [package.record() for package in db.find(sort="name")]


def notes(folder: Path) -> dict[int, str]:
    """What the history says of each change."""
    with AuthDB.open(folder, read_only=True) as db:
        return {change.number: change.note for change in db.log()}


def whole(folder: Path) -> None:
    with AuthDB.open(folder, read_only=True) as db:
        assert db.healed is None
        assert db.check() == []


def asked(folder: Path, *commands: str) -> list[Ended]:
    """What several commands say, one after the other."""
    return run_all([shlex.split(command) for command in commands], AUTHDB_PATH=str(folder))


# -- log -------------------------------------------------------------------------------------


def test_the_log_tells_what_when_who_and_why(history: History) -> None:
    log, program = asked(history.folder, "log", "log --format json")
    heads, line, *rows = log.lines
    assert heads.split() == ["change", "when", "(UTC)", "by", "packages", "note"]
    assert set(line) == {"-", " "}
    assert [row.split()[0] for row in rows] == ["c5", "c4", "c3", "c2", "c1", "c0"]
    for number, row in zip(reversed(AGES), rows, strict=True):
        assert f"{ago(AGES[number]):%Y-%m-%d %H:%M:%S}" in row
        assert row.endswith(NOTES[number])
        assert ("  curator  " in row) is (number > 0)
    assert "1 changed: drf-alpha" in rows[0]
    assert "5 added: drf-alpha, drf-beta, drf-gamma, ..." in rows[4]
    assert f"1 changed: {LONG_NAME}" in rows[2]
    assert "1 removed: drf-epsilon" in rows[2]
    for change, number in zip(program.json, reversed(AGES), strict=True):
        assert change["change"] == f"c{number}"
        assert change["note"] == NOTES[number]
        assert datetime.fromisoformat(change["when"]) == ago(AGES[number])
        assert len(change["tid"]) == 16
    assert len(program.json[4]["added"]) == 5
    assert program.json[2]["removed"] == ["drf-epsilon"]


def test_at_80_columns_nothing_of_the_past_is_lost(history: History) -> None:
    fits = [
        ("log",),
        ("log", LONG_NAME),
        ("list", "--as-of", "c1"),
        ("diff", "c1", "c2"),
        ("diff", "c3", "c5"),
        ("show", "drf-odd", "--as-of", "c4"),
        ("undo", "c4", "--dry-run"),
        ("pack", "--dry-run"),
    ]
    wide = ("diff", "c1")
    *shown, blocks = on_terminal([*fits, wide], AUTHDB_PATH=str(history.folder))
    *piped, same = ok_all([*fits, wide], AUTHDB_PATH=str(history.folder))
    for ended, expected in zip(shown, piped, strict=True):
        assert ended.status == 0
        assert letters(ended.out) == letters(expected.out)
    for ended in (*shown[:1], *shown[2:5], blocks):
        assert max(map(len, ended.lines)) <= 80, ended.out
        assert "…" not in ended.out
    assert set(re.findall(r"\w+", same.out)) <= set(re.findall(r"\w+", blocks.out))


def test_the_log_in_pages(history: History) -> None:
    first, middle, last, beyond, none, short, edits = asked(
        history.folder,
        "log --format json --limit 2",
        "log --format json --limit 2 --offset 2",
        "log --format json --limit 2 --offset 4",
        "log --format json --offset 99",
        "log --format json --limit 0",
        "log --limit 1",
        f"log {LONG_NAME} --format json --limit 1",
    )
    assert [numbers(page) for page in (first, middle, last)] == [[5, 4], [3, 2], [1, 0]]
    more = "authdb: there are earlier changes: see --limit and --offset\n"
    assert (first.err, middle.err, last.err) == (more, more, "")
    assert (beyond.json, beyond.err, none.json, none.err) == ([], "", [], more)
    assert len(short.lines) == 3
    assert short.err == more
    assert numbers(edits) == [3]
    assert edits.err == "authdb: 1 earlier change not shown: see --limit and --offset\n"


def test_the_log_shows_twenty_changes_unless_told_otherwise(tmp_path: Path) -> None:
    with AuthDB.create(tmp_path / "db") as db:
        for number in range(22):
            db.add(Package(f"drf-{number}", "One of many"))
    short, all_of_it = asked(tmp_path / "db", "log", "log --limit 99")
    assert len(short.lines) == 2 + 20
    assert "earlier changes" in short.err
    assert len(all_of_it.lines) == 2 + 23
    assert all_of_it.err == ""


def test_the_log_of_a_package(history: History) -> None:
    now, former, gone, program, spelled, unknown = asked(
        history.folder,
        f"log {LONG_NAME}",
        "log drf-gamma",
        "log drf-epsilon",
        "log drf-beta --format json",
        "log DRF_Beta --format json",
        "log drf-bta",
    )
    assert now.lines == [
        f"c3  {day(100)} 12:00:00 UTC by curator: {NOTES[3]}",
        f"    name: drf-gamma -> {LONG_NAME}",
        f"c1  {day(300)} 12:00:00 UTC by curator: {NOTES[1]}",
        "    added",
    ]
    assert former.out.endswith(now.out[now.out.index("c1 ") :])
    assert [line.strip() for line in gone.lines[1::2]] == ["removed", "added"]
    assert program == spelled
    later, added = program.json
    assert (later["kind"], later["before"], added["before"]) == ("changed", added["after"], None)
    assert later["after"] == added["after"] | {"license": "MIT"}
    told(unknown, 1, "no package is called 'drf-bta'", "did you mean 'drf-beta'?")
    assert unknown.out == ""


# -- diff ------------------------------------------------------------------------------------


def test_diff_as_a_table(history: History) -> None:
    shown, nothing, same = asked(
        history.folder, "diff c1 c5", "diff c5", f"diff {day(300)} {day(9)}"
    )
    assert shown.lines[0] == f"from c1 ({day(300)} 12:00:00 UTC) to c5 ({day(10)} 12:00:00 UTC)"
    rows = [re.split("  +", line) for line in shown.lines]
    assert ["added: drf-odd"] in rows and ["removed: drf-epsilon"] in rows
    assert ["drf-alpha", "version", "1.0", "2.0"] in rows
    assert ["drf-alpha", "last_release", "(unknown)", day(12)] in rows
    assert ["drf-beta", "license", "(unknown)", "MIT"] in rows
    assert [LONG_NAME, "name", "drf-gamma", LONG_NAME] in rows
    assert not any("sources" in row for row in rows)
    assert same.out == shown.out
    assert "no package differs" in nothing.out


def test_diff_as_json(history: History) -> None:
    answer = ok("--db", history.folder, "diff", "c1", "c5", "--format", "json").json
    assert (answer["from"]["change"], answer["to"]["change"]) == ("c1", "c5")
    assert {each["name"]: each["kind"] for each in answer["packages"]} == {
        "drf-alpha": "changed",
        "drf-beta": "changed",
        LONG_NAME: "changed",
        "drf-epsilon": "removed",
        "drf-odd": "added",
    }
    (beta,) = (each for each in answer["packages"] if each["name"] == "drf-beta")
    assert beta["fields"] == ["license"]
    assert beta["after"] == beta["before"] | {"license": "MIT"}
    assert (answer["stale_after"], answer["stale"]) == ("2y", [LONG_NAME])


class Page:
    """A page of Markdown as a reader of it sees it: the texts below each heading."""

    def __init__(self, text: str) -> None:
        self.lists: dict[str, list[str]] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.links: list[str] = []
        self.headings: list[str] = []
        for token in MarkdownIt("commonmark").enable("table").parse(text):
            if token.type in ("heading_open", "list_item_open", "tr_open", "inline"):
                self._take(token)

    def _take(self, token) -> None:  # type: ignore[no-untyped-def]
        if token.type != "inline":
            self._in = token.type
            if token.type == "tr_open":
                self.tables.setdefault(self.headings[-1], []).append([])
            return
        # Text, line breaks and links: no other markup or HTML came through.
        parts = [child for child in token.children if child.content != "<br>"]
        assert {child.type for child in parts} <= {"text", "link_open", "link_close"}
        self.links += [child.attrs["href"] for child in parts if child.attrs]
        seen = "".join(child.content for child in token.children)
        if self._in == "heading_open":
            self.headings.append(seen)
        elif self._in == "list_item_open":
            self.lists.setdefault(self.headings[-1], []).append(seen)
        else:
            self.tables[self.headings[-1]][-1].append(seen)


def test_diff_as_a_report(history: History) -> None:
    shown, nothing = asked(
        history.folder, "diff c1 c5 --format markdown", "diff c5 c5 --format markdown"
    )
    page = Page(shown.out)
    assert page.headings == [
        f"Changes from {day(300)} to {day(10)}",
        "Added",
        "Removed",
        "No update for 2 years by now",
        "Changed",
    ]
    odd = "Odd | *title* `code` [link](https://example.org) <b>"
    assert page.lists == {
        "Added": [f"{odd} (last update {day(60)}): With<br>lines | and # signs"],
        "Removed": ["Nothing is known of it"],
        "No update for 2 years by now": [f"Gamma (last update {day(900)}): OAuth"],
    }
    assert page.links == ["https://example.org/odd"]
    heads, *rows = page.tables["Changed"]
    assert heads == ["Package", "Field", "Before", "After"]
    assert rows == [
        [LONG_NAME, "name", "drf-gamma", LONG_NAME],
        ["drf-alpha", "last_update", "(unknown)", day(12)],
        ["drf-alpha", "last_release", "(unknown)", day(12)],
        ["drf-alpha", "version", "1.0", "2.0"],
        ["drf-beta", "license", "(unknown)", "MIT"],
    ]
    assert nothing.out.endswith("\nNo package differs.\n")


def test_what_counts_as_stale_can_be_said(history: History) -> None:
    years, long, days = asked(
        history.folder,
        *(f"diff c1 c5 --format markdown --stale {span}" for span in ("1y", "99y", "'200 days'")),
    )
    # Gamma was that old at the start already; Beta became so.
    assert "## No update for 1 year by now" not in years.out
    assert "No update" not in long.out
    assert Page(days.out).lists["No update for 200 days by now"] == [
        f"Beta (last update {day(310)})"
    ]


def test_what_cannot_be_answered_is_one_line(db: Path) -> None:
    before = (db / "data.fs").read_bytes()
    wrong = {
        "diff": (2, "FROM"),
        "diff c5 c3": (2, "the earlier comes first"),
        "diff monday": (2, "FROM: a moment is written"),
        "diff c1 monday": (2, "TO: a moment is written"),
        "diff c1 --stale 2": (2, "--stale: a length of time is written"),
        "diff c9": (NO_SUCH_MOMENT, "no change c9"),
        "diff 1999": (NO_SUCH_MOMENT, "nothing is kept of 1999-12-31 23:59:59 UTC"),
        "log --limit -1": (2, "--limit"),
        "undo 12": (2, "such as c12, not '12'"),
        "undo c9": (NO_SUCH_MOMENT, "no change c9"),
        "undo c0": (NO_SUCH_MOMENT, "c0 cannot be undone"),
        "pack --keep forever": (2, "--keep: a length of time is written"),
    }
    for (status, words), ended in zip(wrong.values(), asked(db, *wrong), strict=True):
        told(ended, status, words)
        assert ended.out == ""
    assert (db / "data.fs").read_bytes() == before


# -- the past --------------------------------------------------------------------------------

READING = [
    ("query", "--search", "alpha"),
    ("query", "'token' in categories", "--format", "json"),
    ("list",),
    ("list", "--sort", "last_update", "--format", "csv"),
    ("show", "drf-alpha", "drf-beta", "drf-gamma"),
    ("stats",),
    ("facets", "license"),
    ("histogram",),
    ("export",),
    ("publish", "markdown"),
    ("shell", "-c", "db.find(\"name != 'drf-alpha'\", sort='name').names()"),
    ("log", "--format", "json"),
    ("log", "drf-gamma"),
]


def test_each_reading_command_shows_what_it_showed_then(history: History) -> None:
    number = 2
    then = ok_all(READING, AUTHDB_PATH=str(history.states[number]))
    now = ok_all(
        [(*command, "--as-of", f"c{number}") for command in READING],
        AUTHDB_PATH=str(history.folder),
    )
    for command, before, after in zip(READING, then, now, strict=True):
        expected = before.out.replace(str(history.states[number]), str(history.folder))
        assert after.out == expected, command


def test_each_kind_of_moment(history: History) -> None:
    with AuthDB.open(history.folder, read_only=True) as db:
        change = db.log()[-3]
    assert change.number == 2
    then, east = ago(200), timezone(timedelta(hours=5, minutes=30))
    moments = [
        "c2",
        change.tid.hex(),
        change.when.isoformat(),
        day(200),
        day(199),
        f"{then:%Y-%m-%d %H:%M}",
        f"{then:%Y-%m-%d %H:%M:%S} UTC",
        f"{then:%Y-%m-%dT%H:%M:%S.3Z}",
        f"{then.astimezone(east):%Y-%m-%d %H:%M}+05:30",
        "198 days ago",
        f"{24 * 198}h ago",
    ]
    early = ["c1", day(201), f"{then:%Y-%m-%d} 11:59", f"{then:%Y-%m-%d} 11:59:59.9"]
    for moment, ended in zip(
        moments + early,
        asked(history.folder, *(f"export --as-of '{moment}'" for moment in moments + early)),
        strict=True,
    ):
        assert ended.status == 0
        assert ended.json == records(history.states[1 if moment in early else 2]), moment


def test_the_present_and_the_future_are_the_present(history: History) -> None:
    moments = ("now", "today", "yesterday", f"c{LAST}", "9999-12-31", "0d ago")
    now, *same = asked(
        history.folder, "export", *(f"export --as-of '{moment}'" for moment in moments)
    )
    for ended in same:
        assert ended == now


def test_what_is_no_moment_is_told_before_a_database_is_looked_for(tmp_path: Path) -> None:
    wrong = ["monday", "", "c", "c-1", "12", "2024-02-30", "2024-02-26 25:00", "3 days", "\udcff"]
    reading = [command for command in READING if command[0] in ("list", "log", "shell")]
    for moment, ended in zip(
        wrong,
        run_all([("list", "--as-of", each) for each in wrong], AUTHDB_PATH=str(tmp_path / "no")),
        strict=True,
    ):
        told(ended, 2, "--as-of: a moment is written 2024-02-26", "authdb list --help")
        assert ended.out == "", moment
    for ended in run_all([(*each, "--as-of", "1 week") for each in reading]):
        told(ended, 2, "'1 week'")


def test_a_moment_before_the_beginning_says_what_can_be_asked_for(history: History) -> None:
    moments = [day(401), f"{ago(400):%Y-%m-%d} 11:59", "1999", "0001-01-01", "9999y ago", "c9"]
    early = asked(history.folder, *(f"list --as-of '{moment}'" for moment in moments))
    for ended in early:
        told(ended, NO_SUCH_MOMENT, str(history.folder), "its history begins with c0 on ")
        assert ended.out == ""
    times = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", early[-1].err)
    assert times == [f"{ago(age):%Y-%m-%d %H:%M:%S} UTC" for age in (AGES[0], AGES[LAST])]
    first, last = re.findall(r"\bwith (c\d+)\b", early[-1].err)
    then = asked(
        history.folder,
        *(f"list --as-of '{moment}'" for moment in (first, times[0], last, times[1])),
    )
    assert [each.lines[-1] for each in then] == 2 * ["0 packages"] + 2 * ["5 packages"]


def test_the_shell_of_the_past_only_reads(history: History, tmp_path: Path) -> None:
    looked, changed, refused = run_all(
        [
            ("shell", "--as-of", "c1", "-c", "len(db), db.moment, db.read_only"),
            ("shell", "--as-of", "c1", "-c", "db.remove('drf-alpha')"),
            ("shell", "--as-of", "c1", "--write", "-c", "len(db)"),
        ],
        AUTHDB_PATH=str(history.folder),
    )
    assert looked == Ended("(5, 1, True)\n", "", 0)
    told(changed, 2, "opened for reading only")
    told(refused, 2, "--write", "--as-of")
    # IPython, if there, is not ours to be held against development mode.
    arguments = ("-m", "authdb", "--db", history.folder, "shell", "--as-of", day(300))
    with Terminal(*arguments, command=PYTHON[:1], HOME=str(tmp_path)) as terminal:
        assert "5 packages, as of change c1" in terminal.read("Package\n")


# -- undo ------------------------------------------------------------------------------------


def test_an_undo_and_its_undo(db: Path) -> None:
    before = records(db)
    (dry,) = asked(db, "undo --dry-run")
    assert dry == Ended("would undo c5 (a release): 1 package put back (drf-alpha)\n", "", 0)
    assert notes(db) == NOTES
    (done,) = asked(db, "undo")
    assert done == Ended("undid c5 (a release): 1 package put back (drf-alpha)\n", "", 0)
    assert records(db) == records(db, "c4")
    whole(db)
    (again,) = asked(db, "undo --note 'on second thoughts'")
    assert again == Ended("undid c6 (undo c5: a release): 1 package put back (drf-alpha)\n", "", 0)
    assert records(db) == before
    assert notes(db) == NOTES | {6: "undo c5: a release", 7: "on second thoughts"}
    whole(db)


def test_each_kind_of_change_is_undone(db: Path) -> None:
    assert [each.out for each in asked(db, *(f"undo c{n}" for n in (5, 4, 3, 2, 1)))] == [
        "undid c5 (a release): 1 package put back (drf-alpha)\n",
        "undid c4 (an *odd* one): 1 package removed (drf-odd)\n",
        (
            "undid c3 (gone: drf-epsilon): 1 package restored (drf-epsilon), "
            "1 package put back (drf-gamma)\n"
        ),
        f"undid c2 ({NOTES[2]}): 1 package put back (drf-beta)\n",
        "undid c1 (the first five): 5 packages removed (drf-alpha, drf-beta, drf-gamma, ...)\n",
    ]
    for steps in range(1, 6):
        assert records(db, f"c{LAST + steps}") == records(db, f"c{LAST - steps}")
    whole(db)
    (nothing,) = asked(db, "undo c1")
    told(nothing, 1, "nothing to undo in c1 (the first five)")


def test_an_undo_leaves_alone_what_was_changed_since(db: Path) -> None:
    before = records(db)
    dry, left = asked(db, "undo c1 --dry-run", "undo c1")
    since = ("drf-alpha", "drf-beta", LONG_NAME)
    assert (
        left.err.splitlines()
        == dry.err.splitlines()
        == [f"authdb: {name}: left alone, changed since; see --force" for name in since]
    )
    assert (left.out, left.status) == (
        "undid c1 (the first five): 1 package removed (drf-delta)\n",
        1,
    )
    gone = ("drf-delta",)
    assert records(db) == [record for record in before if record["name"] not in gone]
    whole(db)
    _, forced = asked(db, "undo", "undo c1 --force")
    assert records(db, "c7") == before
    assert forced.out.startswith("undid c1 (the first five): 4 packages removed (drf-alpha, ")
    assert (forced.err, forced.status) == ("", 0)
    assert [record["name"] for record in records(db)] == ["drf-odd"]
    whole(db)


def test_where_all_was_changed_since_nothing_is_done(db: Path) -> None:
    _, ended, forced = asked(db, "remove drf-beta", "undo c2", "undo c2 --force")
    assert ended.err.splitlines() == [
        "authdb: drf-beta: left alone, it was removed since; see --force",
        f"authdb: nothing to undo in c2 ({NOTES[2]})",
    ]
    assert (ended.out, ended.status) == ("", 1)
    assert forced == Ended(f"undid c2 ({NOTES[2]}): 1 package restored (drf-beta)\n", "", 0)
    assert list(notes(db)) == [7, 6, 5, 4, 3, 2, 1, 0]
    assert records(db, "c1")[1] in records(db)


def test_a_name_that_was_given_away_is_not_taken_back(db: Path) -> None:
    with AuthDB.open(db) as opened:
        opened.add(Package("drf-gamma", "Another"))
    (ended,) = asked(db, "undo c3 --force")
    assert ended.err == "authdb: drf-gamma: left alone, another package is called so now\n"
    assert (ended.out, ended.status) == (
        "undid c3 (gone: drf-epsilon): 1 package restored (drf-epsilon)\n",
        1,
    )
    whole(db)


@pytest.mark.parametrize("answer", ["y", "YES", "n", "", "\x04"], ids=repr)
def test_on_a_terminal_undo_asks(db: Path, answer: str) -> None:
    with Terminal("--db", db, "undo") as terminal:
        question = terminal.read(r"\[y/N\] ")
        assert question == "authdb: undo c5 (a release): 1 package put back (drf-alpha)? [y/N] "
        terminal.type(answer, end="" if answer == "\x04" else "\r")
        rest = terminal.read()
        status = terminal.end()
    if answer in ("y", "YES"):
        assert rest.endswith("\nundid c5 (a release): 1 package put back (drf-alpha)\n")
        assert (status, len(notes(db))) == (0, 7)
    else:
        assert rest.endswith("authdb: nothing was done\n")
        assert (status, len(notes(db))) == (1, 6)


def test_ctrl_c_at_the_question_does_nothing(db: Path) -> None:
    with Terminal("--db", db, "undo") as terminal:
        terminal.read(r"\[y/N\] ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.read().endswith("authdb: interrupted\n")
        assert terminal.end() == 130
    assert notes(db) == NOTES


@pytest.mark.parametrize("arguments", ["undo --yes", "undo --dry-run", "undo", "pack --yes"])
def test_nobody_is_asked_who_need_not_be(db: Path, arguments: str) -> None:
    on = ("stdin", "stdout", "stderr") if "--" in arguments else ("stdout", "stderr")
    with Terminal("--db", db, *arguments.split(), on=on) as terminal:
        assert "[y/N]" not in terminal.read()
        assert terminal.end() == 0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One change of many packages; not to be changed."""
    folder = tmp_path_factory.mktemp("large") / "db"
    with AuthDB.create(folder) as db, db.transaction("many"):
        for number in range(MANY):
            db.add(Package(f"drf-{number}", "One of many", version=str(number)))
    return folder


#: How many packages the large change has.
MANY = 300

#: Press Ctrl-C when a function is called for the so many-th time.
INTERRUPT = """
import signal, sys
from authdb.cli import main

name, count = sys.argv[1], int(sys.argv[2])

def watch(frame, event, argument):
    global count
    if event == "call" and frame.f_code.co_name == name:
        count -= 1
        if count == 0:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

sys.setprofile(watch)
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("differs_from", MANY // 2),  # planning
        ("unindex_doc", MANY // 2),
        ("tpc_begin", 1),
        ("tpc_begin", 2),
        ("serialize", 20),  # storing
        ("tpc_vote", 1),
        ("tpc_vote", 2),
        ("tpc_finish", 1),
        ("tpc_finish", 2),
    ],
)
def test_ctrl_c_in_the_midst_of_an_undo_leaves_all_or_nothing(
    large: Path, tmp_path: Path, function: str, call: int
) -> None:
    folder = Path(shutil.copytree(large, tmp_path / "db"))
    ended = run("-c", INTERRUPT, function, str(call), "--db", folder, "undo", command=PYTHON)
    if ended.status == 130:
        assert (ended.out, ended.err) == ("", "authdb: interrupted\n")
    else:  # it waited for the end of what must not be interrupted
        assert (ended.err, ended.status) == ("", 0)
    left = len(records(folder))
    assert left in (0, MANY)
    if "finish" not in function:
        assert (left == 0) is (ended.status == 0)
    whole(folder)
    with AuthDB.open(folder) as db:
        db.undo()  # that change, or its undo
        assert len(db) == MANY - left
    whole(folder)


# -- packing ---------------------------------------------------------------------------------


def test_pack_keeps_the_history_of_so_long(db: Path) -> None:
    then = records(db, "c2")
    dry, packed = asked(db, "pack --keep 150d --dry-run", "pack --keep 150d")
    first = f"c2 of {ago(200):%Y-%m-%d %H:%M:%S} UTC"
    said = f"2 earlier states will be gone; {first} is the first to stay"
    assert dry == Ended(said + "\n", "", 0)
    assert packed.lines[0] == said
    assert re.fullmatch(
        r"packed: [\d,]+ bytes before, [\d,]+ bytes now, [1-9][\d,]* saved", packed.lines[1]
    )
    assert len(list(db.glob("*.fs.old"))) == 2
    assert list(notes(db)) == [5, 4, 3, 2]
    assert records(db, "c2") == records(db, day(150)) == then
    early, packed_away, undone = asked(db, f"list --as-of {day(250)}", "undo c2", "undo c3")
    told(early, NO_SUCH_MOMENT, "begins with c2 on")
    told(packed_away, NO_SUCH_MOMENT, "was packed away")
    assert undone.out.startswith("undid c3")
    whole(db)


def test_a_dry_run_of_pack_does_nothing(db: Path) -> None:
    before = (db / "data.fs").read_bytes()
    (dry,) = asked(db, "pack --dry-run")
    assert dry.out.startswith("5 earlier states will be gone; c5 of ")
    assert (db / "data.fs").read_bytes() == before
    assert not list(db.glob("*.old"))


def test_pack_that_takes_no_history_says_so_and_asks_nothing(db: Path) -> None:
    said = f"no history will be gone: c0 of {ago(400):%Y-%m-%d %H:%M:%S} UTC is the first\n"
    assert [each.out for each in asked(db, *2 * ["pack --keep 999999y --dry-run"])] == 2 * [said]
    with Terminal("--db", db, "pack", "--keep", "2y") as terminal:
        shown = terminal.read()
        assert terminal.end() == 0
    assert shown.startswith(said)
    assert "[y/N]" not in shown
    assert notes(db) == NOTES


@pytest.mark.parametrize("answer", ["y", ""])
def test_on_a_terminal_pack_asks(db: Path, answer: str) -> None:
    with Terminal("--db", db, "pack") as terminal:
        question = terminal.read(r"\[y/N\] ")
        terminal.type(answer)
        shown = terminal.read()
        status = terminal.end()
    assert question.startswith("5 earlier states will be gone; c5 of ")
    if answer == "y":
        assert "packed: " in shown
        assert (status, list(notes(db))) == (0, [5])
    else:
        assert shown.endswith("authdb: nothing was done\n")
        assert (status, notes(db)) == (1, NOTES)


def test_the_log_after_a_pack_does_not_pretend(db: Path) -> None:
    asked(db, "undo c3", "remove drf-epsilon drf-odd", "pack")
    log, of_package = asked(db, "log", "log drf-alpha")
    (line,) = log.lines[2:]
    assert re.search(r"  2 removed  +remove drf-epsilon, drf-odd$", line)  # by whatever names
    assert of_package.lines[1:] == ["    (the earliest state that is kept)"]


# -- damaged files ---------------------------------------------------------------------------


def damage(folder: Path, text: bytes) -> None:
    """Flip a bit of the last place where ``text`` is stored."""
    data = bytearray((folder / "data.fs").read_bytes())
    data[data.rindex(text)] ^= 1
    (folder / "data.fs").write_bytes(data)


def test_check_names_the_damaged_package_and_the_command(db: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    expected = records(db)
    damage(db, b"Beta")
    before = (db / "data.fs").read_bytes()
    found, recovered, again = asked(db, "check", f"recover {new}", f"recover {new}")
    assert (found.err, found.status) == ("", 1)
    assert "drf-beta" in found.out
    assert "authdb recover NEW" in found.lines[-1]
    assert recovered.status == 1
    assert recovered.lines == [
        f"recovered 5 packages into {new}",
        "in an earlier state, as the newest is damaged: drf-beta",
    ]
    told(again, 2, "there is a database already")
    assert (db / "data.fs").read_bytes() == before
    whole(new)
    for was, now in zip(expected, records(new), strict=True):
        without = {"license": "MIT"} if was["name"] == "drf-beta" else {}
        assert now | without == was


def test_a_package_without_an_earlier_state_is_lost_by_name(db: Path, tmp_path: Path) -> None:
    expected = [record for record in records(db) if record["name"] != "drf-odd"]
    damage(db, b"signs")
    found, recovered = asked(db, "check", f"recover {tmp_path / 'new'}")
    assert "drf-odd" in found.out
    assert recovered.status == 1
    assert recovered.lines[1:] == ["lost: drf-odd"]
    assert records(tmp_path / "new") == expected


def test_of_a_whole_database_all_is_recovered(history: History, tmp_path: Path) -> None:
    (recovered,) = asked(history.folder, f"recover {tmp_path / 'new'}")
    assert recovered == Ended(f"recovered 5 packages into {tmp_path / 'new'}\n", "", 0)
    assert records(tmp_path / "new") == records(history.folder)


def test_check_of_what_cannot_be_opened_says_what_is_left(db: Path) -> None:
    damage(db, b"next_docid")  # in the root
    before = (db / "data.fs").read_bytes()
    (found,) = asked(db, "check")
    assert found.status == 3
    assert found.err.count("\n") == 1
    assert "5 packages can be recovered" in found.out
    assert "authdb recover NEW" in found.out
    assert (db / "data.fs").read_bytes() == before


# -- strangers' files ------------------------------------------------------------------------


def test_inspect_looks_into_a_good_file(history: History, tmp_path: Path) -> None:
    file = tmp_path / "theirs.fs"
    shutil.copy(history.folder / "data.fs", file)
    said, rows, plain, export = asked(
        history.folder,
        *(f"inspect {file}{more}" for more in ("", " --format ndjson", " --format json")),
        "export",
    )
    assert said.lines == [
        f"{file}: nothing in it would run code",
        f"{file.stat().st_size:,} bytes, 5 packages",
        f"6 changes to be seen, the last is c5 of {day(10)} 12:00:00 UTC: a release",
    ]
    assert plain.out == export.out
    loaded = run("load", "-", "--format", "ndjson", "--dry-run", stdin=rows.out)
    assert loaded.out.startswith("5 added")
    assert [each.name for each in tmp_path.iterdir()] == ["theirs.fs"]


@pytest.mark.parametrize("how", SPOILERS)
def test_inspect_refuses_a_file_that_would_run_code(
    history: History, tmp_path: Path, how: str
) -> None:
    file, marker = tmp_path / "theirs.fs", tmp_path / "it was run"
    shutil.copy(history.folder / "data.fs", file)
    SPOILERS[how](file, marker)
    text, rows = asked(tmp_path, f"inspect {file}", f"inspect {file} --format ndjson")
    assert not marker.exists()
    for ended in (text, rows):
        if how == "index":  # nobody looks at it
            assert (ended.err, ended.status) == ("", 0)
        else:
            told(ended, 3, str(file), "os.mkdir")
            assert ended.out == ""
    read_plainly(file)
    assert marker.exists()  # it was no empty threat


def test_inspect_of_what_is_no_database_is_one_line(tmp_path: Path) -> None:
    parts = [b"", b"FS30", b"SQLite format 3\0", b"FS30" + bytes(500)]
    files = [tmp_path / f"theirs-{number}.fs" for number in range(len(parts) + 1)]
    for file, part in zip(files, parts, strict=False):  # the last is not there
        file.write_bytes(part)
    for file, ended in zip(files, asked(tmp_path, *map("inspect {}".format, files)), strict=True):
        told(ended, 3, str(file))
        assert ended.out == ""
