"""Records read and written many at a time: the same as one by one, whatever the file is like."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Sequence
from datetime import date
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_checks import ORDINARY, VALUES

from authdb import AuthDB
from authdb import lines as reading
from authdb.blocks import Block, block_in
from authdb.exceptions import DatabaseError, InvalidValue, LoadError
from authdb.importing import load
from authdb.inscribing import Inscriber
from authdb.loaders import Loader
from authdb.models import FIELDS, Package, PartialDate, Recorder, Release, state_of

RIGHT = {name: st.sampled_from(values) for name, values in ORDINARY.items()}
for unwanted in ("name", "title", "last_update"):
    del RIGHT[unwanted]
#: A record that is right, with a name that few others have.
GOOD = st.builds(
    lambda record, name: {**record, "name": name},
    st.fixed_dictionaries({"title": st.sampled_from(ORDINARY["title"])}, optional=RIGHT),
    st.from_regex(r"[a-zA-Z0-9]{2,4}", fullmatch=True),
)
ANY = st.fixed_dictionaries({}, optional=VALUES)
LINES = st.one_of(
    GOOD.map(json.dumps),
    GOOD.map(json.dumps),
    ANY.map(json.dumps),
    st.sampled_from(
        [
            *("", " ", "{", "[]", "null", '{"name": "a"}', '{"name": "a", "title": "A", "x": 1}'),
            *('{"name": "p", "title": "P"}{"name": "q", "title": "Q"}', '{"name": "r",', "\x0c"),
            '{"name": "s", "title": "\\ud800"}',
            '{"name": "t", "title": "T", "last_update": "2020", "last_commit": "2021"}',
            '{"name": "u", "title": "U", "last_update": "2021", "last_commit": "2021"}',
            '{"name": "v", "title": "V", "last_update": "2021"}',
            '{"name": "w\\nx", "title": "W"}',
            '{"name": "y", "title": "' + "y" * 400 + '"}',
        ]
    ),
)


def states_in(columns: Any) -> list[dict[str, Any]]:
    """What is stored of each package of a block."""
    rows = zip(*columns.values(), strict=True)
    return [
        {name: value for name, value in zip(columns, row, strict=True) if value} for row in rows
    ]


def taken(data: bytes, how: str, as_block: bool = True) -> Any:
    """The number and the state of each record, all the problems, and how far the loader is."""
    loader, found = Loader(io.BytesIO(data), "ndjson", "-"), []
    pieces: Any = loader.numbered() if how == "numbered" else loader.pieces(lambda _: as_block)
    for piece in pieces:
        if isinstance(piece, Block):
            found += zip(piece.numbers, states_in(piece.columns), strict=True)
            continue
        number, fields = piece
        try:
            found.append((number, state_of(fields)))
        except InvalidValue as error:
            loader.refuse(loader.place(number), error)
    return found, loader.problems, loader.position


@given(
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\n"]),
    st.integers(1, 500),
    st.integers(150, 5000),
)
def test_a_file_read_in_blocks_is_as_one_read_line_by_line(
    lines: list[str], end: str, whole: bool, before: bytes, block: int, longest: int
) -> None:
    data = before + end.join([*lines, ""] if whole else lines).encode("utf-8")
    with (
        mock.patch.object(reading, "BLOCK_BYTES", block),
        mock.patch.object(reading, "LINE_BYTES", longest),
    ):
        expected = taken(data, "numbered")
        assert taken(data, "pieces") == expected
        assert taken(data, "pieces", as_block=False) == expected


def test_what_is_right_comes_in_blocks() -> None:
    """Else the tests above would hold one way of reading against itself."""
    rows = [{"name": f"P.{number}", "title": "P"} for number in range(1000)]
    rows[7] |= {key: values[0] for key, values in ORDINARY.items() if key not in rows[7]}
    rows[7]["last_update"] = rows[7]["last_commit"]
    data = "\n".join(map(json.dumps, rows)).encode()
    with mock.patch.object(reading, "BLOCK_BYTES", 4096):
        pieces = list(Loader(io.BytesIO(data), "ndjson", "-").pieces(lambda _: True))
    assert len(pieces) > 5
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    assert blocks == pieces
    assert [number for block in blocks for number in block.numbers] == list(range(1, 1001))
    assert blocks[0].columns["name"][0] == "p-0"


def test_a_mistake_costs_one_block_its_speed_and_no_other() -> None:
    rows = [json.dumps({"name": f"p{number}", "title": "P"}) for number in range(1000)]
    rows[500] = "{"
    with mock.patch.object(reading, "BLOCK_BYTES", 4096):
        loader = Loader(io.BytesIO("\n".join(rows).encode()), "ndjson", "-")
        pieces = list(loader.pieces(lambda _: True))
    alone = [piece for piece in pieces if not isinstance(piece, Block)]
    assert 50 < len(alone) < 200
    assert [problem.where for problem in loader.problems] == ["line 501"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"name": "a", "title": "A"}{"name": "b", "title": "B"}\n\n',
        b'{"name": "a",\n"title": "A"}\n',
        b'{"name": "a", "title": "A"}\n\n',
        b'{"name": "a", "title": " "}\n',
        b"\n",
    ],
)
def test_what_has_not_one_record_on_each_line_is_left_to_who_can_say_so(data: bytes) -> None:
    assert block_in(data, 1) is None


def test_two_spellings_of_one_name_are_found_across_blocks() -> None:
    rows = [json.dumps({"name": f"p{number}", "title": "P"}) for number in range(300)]
    rows[3], rows[290] = (json.dumps({"name": name, "title": "P"}) for name in ("A.B", "a_b"))
    with mock.patch.object(reading, "BLOCK_BYTES", 1000):
        _, problems, _ = taken("\n".join(rows).encode(), "pieces")
    assert [str(problem) for problem in problems] == [
        "line 291: name: 'a_b' is the same package as 'A.B' in line 4: keep one of the two"
    ]


@pytest.mark.parametrize("among", [0, 30])
@pytest.mark.parametrize(
    "wrong",
    [
        *(b'{"name": "", "title": "T"}', b'{"name": " ", "title": "T"}'),
        *(b'{"name": "x", "title": ""}', b'{"name": "x", "title": " "}'),
        *(b'{"name": "x", "title": "caf\xe9"}', b'{"name": "x", "title": "T", "releases": 0}'),
        b'{"name": "x", "title": "T", "releases": {}}',
        b'{"name": "x", "title": "T", "vulnerabilities": ""}',
        b'{"name": "x", "title": "T", "sources": false}',
    ],
)
def test_a_record_that_is_wrong_in_one_value_only_is_told_of(wrong: bytes, among: int) -> None:
    """Alone, and in the second of several blocks, of which all other records are right."""
    right = [b'{"name": "p%d", "title": "P"}' % number for number in range(among)]
    data = b"\n".join([*right, wrong])
    with mock.patch.object(reading, "BLOCK_BYTES", 400):
        found, problems, position = taken(data, "pieces")
    assert (found, problems, position) == taken(data, "numbered")
    assert [problem.where for problem in problems] == [f"line {among + 1}"]


def test_blanks_around_a_name_are_not_a_spelling_of_it() -> None:
    rows = [b'{"name": " a", "title": "A"}', b'{"name": "a", "title": "A"}']
    with mock.patch.object(reading, "BLOCK_BYTES", 20):
        _, problems, _ = taken(b"\n".join(rows), "pieces")
    assert [str(problem) for problem in problems] == [
        "line 2: name: 'a' is also in line 1: keep one of the two"
    ]


# -- records ---------------------------------------------------------------------------------


def stored(record: bytes) -> tuple[Any, Any]:
    reader = pickle.Unpickler(io.BytesIO(record))
    found = reader.load(), reader.load()
    with pytest.raises(EOFError):
        reader.load()
    return found


@given(st.lists(GOOD, min_size=1, max_size=8))
def test_records_made_together_are_as_those_made_alone(rows: list[dict[str, Any]]) -> None:
    record, states = Recorder(), []
    for row in rows:
        fields = {name: FIELDS[name].check(value) for name, value in row.items()}
        states.append(state_of(fields))
    names = {name for state in states for name in state}
    columns = {name: [state.get(name) for state in states] for name in names}
    made = Inscriber()(columns)
    assert [stored(each) for each in made] == [stored(record(state)) for state in states]
    for each in made:
        package = Package.__new__(Package)
        package.__setstate__(stored(each)[1])
        assert package.is_intact()


def test_one_inscriber_writes_packages_of_all_kinds_in_any_order() -> None:
    """What it remembers of one must not be referred to in another."""
    inscribe, record = Inscriber(), Recorder()
    states: Sequence[dict[str, Any]] = [
        {"name": "a", "title": "A", "last_commit": date(2024, 2, 26)},
        {"name": "a", "title": "A", "releases": (Release("1", date(2024, 2, 26)),) * 2},
        {"name": "é" * 300, "title": '日本 \u0001"\\', "stated_update": PartialDate(2024)},
    ]
    for first in states:
        for second in states:
            for state in (first, second):
                (made,) = inscribe({name: [value] for name, value in state.items()})
                assert stored(made) == stored(record(state))


# -- into a database -------------------------------------------------------------------------


def ndjson(rows: Sequence[dict[str, Any]]) -> Loader:
    return Loader(io.BytesIO("\n".join(map(json.dumps, rows)).encode()), "ndjson", "rows.ndjson")


def test_what_a_database_knows_is_met_though_it_comes_in_a_block() -> None:
    """Files that share packages, a block in which one is known, and a file that is loaded again."""
    rows = [{"name": f"p{number}", "title": "P", "version": "1"} for number in range(500)]
    newer = [{"name": f"p{number}", "title": "P", "version": "2"} for number in range(490, 900)]
    with AuthDB.in_memory() as db, mock.patch.object(reading, "BLOCK_BYTES", 5000):
        counts = load(db, [ndjson(rows), ndjson(newer)])
        assert (counts.added, counts.changed, counts.unchanged) == (900, 10, 0)
        assert db["p489"].version == "1" and db["p490"].version == "2"
        assert str(load(db, ndjson([*rows[:100], {"name": "q", "title": "Q"}]))) == (
            "1 added, 100 unchanged"
        )
        with pytest.raises(LoadError, match="line 2: last_update"):
            load(
                db,
                ndjson(
                    [
                        {"name": "r", "title": "R"},
                        {"name": "s", "title": "S", "last_update": "2020", "last_commit": "2021"},
                    ]
                ),
            )
        assert "r" not in db and db.check() == []


@pytest.mark.parametrize("there", [0, 100])
def test_a_database_that_is_changed_while_files_are_read_is_told_of(there: int) -> None:
    """Nothing of the change is lost, and nothing of the files is there."""
    rows = [{"name": f"p{number}", "title": "P"} for number in range(4000)]
    with AuthDB.in_memory() as db:
        load(db, ndjson([{"name": f"q{number}", "title": "Q"} for number in range(there)]))

        def meddle(what: str, done: int, total: int | None) -> None:
            if "p5" not in db:
                db.add(Package("p5", "another"))

        with pytest.raises(DatabaseError, match="was changed while the files were read"):
            load(db, ndjson(rows), progress=meddle)
        assert len(db) == there + 1 and db["p5"].title == "another"
        assert db.check() == []
