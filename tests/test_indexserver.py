"""The package index that other tests ask: does it answer, and misbehave, as it says?"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commandline import PYTHON
from indexserver import (
    ANSWERS,
    Behaviour,
    IndexServer,
    changed,
    closed,
    content,
    cut_off,
    dripping,
    generated,
    gzip_bomb,
    html,
    large,
    nan,
    nested,
    raw,
    recorded,
    redirect,
    redirect_loop,
    slow,
    status,
    truncated,
    well,
    wrong_charset,
    wrong_shape,
    wrong_types,
)

ANSWER = {"info": {"name": "Hawk.Rest", "version": "1.0"}, "releases": {"1.0": []}}


class Told(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer({"Hawk.Rest": ANSWER}) as server:
        yield server


@pytest.fixture
def connect(server: IndexServer) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    opened = []

    def connect() -> http.client.HTTPConnection:
        opened.append(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


Get = Callable[..., Told]


@pytest.fixture
def get(connect: Callable[[], http.client.HTTPConnection]) -> Get:
    """A function that asks for one path, all on one connection as far as the server keeps it."""
    connection = connect()

    def get(path: str = "/pypi/hawk-rest/json", method: str = "GET", **headers: str) -> Told:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, headers=named)
            with connection.getresponse() as response:
                found = {name.lower(): value for name, value in response.getheaders()}
                return Told(response.status, found, response.read())
        except BaseException:
            connection.close()
            raise

    return get


# -- all is well ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hawk-rest", "Hawk.Rest", "HAWK__rest"])
def test_a_package_is_found_however_its_name_is_written(get: Get, name: str) -> None:
    told = get(f"/pypi/{name}/json")
    assert (told.status, told.json) == (200, ANSWER)
    assert told.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/pypi/unheard-of/json", "/pypi/hawk-rest", "/"])
def test_what_is_not_there(get: Get, path: str) -> None:
    assert get(path).status == 404


def test_one_connection_serves_many_requests(server: IndexServer, get: Get) -> None:
    assert [get().status for _ in range(5)] == [200] * 5
    assert server.connections == 1


def test_what_is_known_is_not_sent_again(server: IndexServer, get: Get) -> None:
    etag = get().headers["etag"]
    assert etag == server.etag("hawk.rest")
    for tags in etag, f'"other", W/{etag}', "*":
        told = get(If_None_Match=tags)
        assert (told.status, told.body, told.headers["etag"]) == (304, b"", etag)
    assert get(If_None_Match='"other"').status == 200


def test_last_modified_is_a_date(get: Get) -> None:
    modified = parsedate_to_datetime(get().headers["last-modified"])
    assert timedelta(0) <= datetime.now(timezone.utc) - modified < timedelta(minutes=1)


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "gzip, deflate"])
def test_it_is_packed_for_who_accepts_that(get: Get, accepted: str) -> None:
    told = get(Accept_Encoding=accepted)
    assert told.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(told.body)) == ANSWER


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br, gzip; q=0.0"])
def test_it_is_not_packed_for_others(get: Get, accepted: str) -> None:
    told = get(Accept_Encoding=accepted)
    assert "content-encoding" not in told.headers
    assert told.json == ANSWER


def test_answers_change_while_it_runs(server: IndexServer, get: Get) -> None:
    before = get()
    server.answers["hawk_rest"] = {**server.answers["hawk-rest"], "more": 1}
    after = get(If_None_Match=before.headers["etag"])
    assert (after.status, after.json) == (200, {**ANSWER, "more": 1})
    assert after.headers["etag"] != before.headers["etag"]
    server.answers["hawk-rest"] = b"{"
    assert get().body == server.answers["hawk-rest"] == b"{"
    del server.answers["hawk-rest"]
    assert get().status == 404


def test_head_tells_of_a_body_that_does_not_come(get: Get) -> None:
    told = get(method="HEAD")
    assert (told.status, told.body) == (200, b"")
    assert told.headers["content-length"] == str(len(json.dumps(ANSWER)))


def test_nothing_can_be_written(get: Get) -> None:
    assert get(method="DELETE").status == 405
    assert get().status == 200


def test_requests_are_recorded(server: IndexServer, get: Get) -> None:
    start = time.monotonic()
    get("/pypi/Hawk.Rest/json?a=1&b", User_Agent="authdb/1")
    get("/nowhere", method="HEAD")
    first, second = server.requests
    assert first[:2] == ("GET", "/pypi/Hawk.Rest/json")
    assert (first.query, first.status, first.headers["user-agent"]) == ("a=1&b", 200, "authdb/1")
    assert second[:2] == ("HEAD", "/nowhere")
    assert (second.query, second.status) == ("", 404)
    assert start <= first.time <= second.time <= time.monotonic()
    server.clear()
    assert (server.requests, server.most_at_once, server.connections) == ([], 0, 0)


def test_latency_and_how_many_are_under_way(
    server: IndexServer, connect: Callable[[], http.client.HTTPConnection]
) -> None:
    server.latency = 0.1
    connections = [connect() for _ in range(20)]
    start = time.monotonic()
    for connection in connections:
        connection.request("GET", "/pypi/hawk-rest/json")
    for connection in connections:
        assert connection.getresponse().read()
    assert 0.1 <= time.monotonic() - start < 1
    assert server.most_at_once == 20
    server.clear()
    server.latency = 0
    for connection in connections:
        connection.request("GET", "/pypi/hawk-rest/json")
        assert connection.getresponse().read()
    assert server.most_at_once == 1


def test_what_is_not_http(server: IndexServer) -> None:
    for sent in b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000:
        assert talk(server, sent).startswith(b"HTTP/1.1 400 ")


def talk(server: IndexServer, sent: bytes) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    came = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as end:
        try:
            end.sendall(sent)
            while data := end.recv(65536):
                came += data
        except ConnectionResetError:
            assert came  # what was sent was more than was read
    return came


# -- it misbehaves -------------------------------------------------------------------------------


def test_behaviours_are_used_one_after_the_other(server: IndexServer, get: Get) -> None:
    server.misbehave("HAWK-rest", [status(503), status(500)], then_well=True)
    assert [get().status for _ in range(4)] == [503, 500, 200, 200]
    server.misbehave("hawk-rest", [well, status(410)])
    assert [get().status for _ in range(3)] == [200, 410, 410]
    server.misbehave("hawk-rest", status(404))
    server.misbehave(None, status(502))
    assert [get().status, get("/pypi/other/json").status, get("/a").status] == [404, 502, 502]
    server.misbehave("hawk-rest", [])
    server.misbehave(None, [])
    assert get().status == 200
    assert [request.status for request in server.requests[:4]] == [503, 500, 200, 200]


def test_a_status_with_all_that_belongs_to_it(server: IndexServer, get: Get) -> None:
    server.misbehave("hawk-rest", status(599, {"a": 1}, headers={"X-Why": "because"}))
    told = get()
    assert (told.status, told.json, told.headers["x-why"]) == (599, {"a": 1}, "because")


def test_retry_after(server: IndexServer, get: Get) -> None:
    def sent(value: Any) -> str:
        server.misbehave("hawk-rest", status(429, retry_after=value))
        return get().headers["retry-after"]

    assert [sent(1), sent(0.5), sent("soon")] == ["1", "0.5", "soon"]
    moment = datetime(2026, 11, 26, 1, 2, 3, tzinfo=timezone.utc)
    assert sent(moment) == "Thu, 26 Nov 2026 01:02:03 GMT"
    left = parsedate_to_datetime(sent(timedelta(seconds=5))) - datetime.now(timezone.utc)
    assert timedelta(seconds=4) < left <= timedelta(seconds=6)


def test_slow(server: IndexServer, get: Get) -> None:
    server.misbehave("hawk-rest", slow(0.2))
    start = time.monotonic()
    assert get().json == ANSWER
    assert 0.2 <= time.monotonic() - start < 1


def test_who_went_away_is_no_longer_under_way(
    server: IndexServer, connect: Callable[[], http.client.HTTPConnection]
) -> None:
    server.misbehave("hawk-rest", slow(60))
    connection = connect()
    connection.request("GET", "/pypi/hawk-rest/json")
    while not server.requests:
        time.sleep(0.01)
    connection.close()
    deadline = time.monotonic() + 5
    while server.most_at_once and time.monotonic() < deadline:
        time.sleep(0.01)
        server.clear()
    assert server.most_at_once == 0


@pytest.mark.parametrize("head", [False, True])
def test_dripping(server: IndexServer, head: bool) -> None:
    server.misbehave("hawk-rest", dripping(0.02, head))
    came = []
    with socket.create_connection(("127.0.0.1", server.port), 5) as end:
        end.sendall(b"GET /pypi/hawk-rest/json HTTP/1.1\r\n\r\n")
        start = time.monotonic()
        while time.monotonic() - start < 0.5:
            came.append(end.recv(1000))
    text = b"".join(came)
    assert 5 < len(came) < 30
    assert {len(part) for part in came[1:]} == {1}
    if head:
        assert b"HTTP/1.1 200 OK".startswith(text[:15])
        assert b"\r\n\r\n" not in text
    else:
        assert json.dumps(ANSWER).encode().startswith(text.split(b"\r\n\r\n")[1])


def test_cut_off(server: IndexServer, get: Get) -> None:
    body = json.dumps(ANSWER).encode()
    for after, size in (None, len(body) // 2), (7, 7), (0, 0):
        server.misbehave("hawk-rest", cut_off(after))
        with pytest.raises(http.client.IncompleteRead) as raised:
            get()
        assert raised.value.partial == body[:size]
    server.misbehave("hawk-rest", cut_off(reset=True))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        get()


def test_closed_before_any_byte(server: IndexServer, get: Get) -> None:
    server.misbehave("hawk-rest", [closed(), closed(reset=True)], then_well=True)
    with pytest.raises(http.client.RemoteDisconnected):
        get()
    with pytest.raises(ConnectionResetError):
        get()
    assert get().json == ANSWER
    assert [request.status for request in server.requests] == [0, 0, 200]
    assert server.connections == 3


def test_raw(server: IndexServer, get: Get) -> None:
    server.misbehave("hawk-rest", raw(b"SSH-2.0-server\r\n"))
    with pytest.raises(http.client.BadStatusLine):
        get()


@pytest.mark.parametrize(
    "behaviour",
    [html(), truncated(), nested(), wrong_charset(), content(b"")],
    ids=["html", "truncated", "nested", "wrong charset", "nothing"],
)
def test_what_is_no_json(server: IndexServer, get: Get, behaviour: Behaviour) -> None:
    server.misbehave("hawk-rest", behaviour)
    told = get()
    assert told.status == 200
    with pytest.raises((ValueError, RecursionError)):
        json.loads(told.body)


def test_json_that_is_wrong(server: IndexServer, get: Get) -> None:
    def sent(behaviour: Behaviour) -> bytes:
        server.misbehave("hawk-rest", behaviour)
        return get().body

    assert sent(html()).startswith(b"<!DOCTYPE html>")
    assert json.loads(sent(wrong_shape())) == [ANSWER]
    assert json.loads(sent(wrong_types()))["info"]["classifiers"] == "a"
    assert b'"version": NaN' in sent(nan())
    assert b"caf\xe9" in sent(wrong_charset())
    assert sent(nested(3)) == b'{"info": [[[]]]}'
    assert json.loads(sent(changed(lambda answer: {**answer, "info": 5})))["info"] == 5
    assert sent(well) == json.dumps(ANSWER).encode()


@pytest.mark.parametrize("chunked", [False, True])
def test_large(server: IndexServer, get: Get, chunked: bool) -> None:
    server.misbehave("hawk-rest", large(50, chunked=chunked))
    told = get()
    assert ("content-length" in told.headers) != chunked
    assert len(told.body) == 50 * 2**20 + 25
    assert told.body[:24] == b'{"info": {"summary": "xx'
    assert told.body[-4:] == b'x"}}'
    assert get("/").status == 404  # the connection is still good


def test_a_gzip_bomb(server: IndexServer, get: Get) -> None:
    server.misbehave("hawk-rest", gzip_bomb(3))
    assert len(json.loads(gzip.decompress(get().body))["info"]["summary"]) == 3 * 2**20
    server.misbehave("hawk-rest", gzip_bomb())
    told = get()
    assert told.headers["content-encoding"] == "gzip"
    assert len(told.body) < 300_000
    unpacker, size = zlib.decompressobj(31), 0
    text = told.body
    while text:
        size += len(unpacker.decompress(text, 1 << 20))
        text = unpacker.unconsumed_tail
    assert unpacker.eof  # with the right checksum
    assert size == 200 * 2**20 + 25


def test_redirects(server: IndexServer, get: Get) -> None:
    for location in "/pypi/other/json", "file:///etc/passwd", "http://localhost:1/":
        server.misbehave("hawk-rest", redirect(location, 301))
        told = get()
        assert (told.status, told.headers["location"]) == (301, location)
    server.misbehave("hawk-rest", redirect_loop())
    told = get()
    assert (told.status, told.headers["location"]) == (302, "/pypi/hawk-rest/json")
    assert server.connections == 1


# -- other paths ---------------------------------------------------------------------------------


def test_other_paths(server: IndexServer, get: Get) -> None:
    server.paths["/repos/a/b"] = {"archived": True}
    server.paths["/repos/a/b/commits"] = [{"sha": "1"}]
    server.paths["/api/v4/projects/a%2Fb"] = {"id": 1}
    server.paths["/docs"] = content("<p>é", "text/html")
    told = get("/repos/a/b?x=1")
    assert told.json == {"archived": True}
    assert get("/repos/a/b", If_None_Match=server.etag("/repos/a/b")).status == 304
    assert get("/repos/a/b/commits?per_page=1").json == [{"sha": "1"}]
    assert server.requests[-1].query == "per_page=1"
    assert get("/api/v4/projects/a%2Fb").json == {"id": 1}
    assert (get("/docs").body.decode(), get("/docs", method="HEAD").body) == ("<p>é", b"")
    assert server.paths["/repos/a/b"] == {"archived": True}
    del server.paths["/repos/a/b"]
    assert get("/repos/a/b").status == 404


def test_other_paths_misbehave(server: IndexServer, get: Get) -> None:
    server.paths["/a"] = status(403)
    assert [get("/a").status for _ in range(2)] == [403, 403]
    server.paths["/a"] = [status(403), {"n": 1}, slow(0.01)]
    assert [get("/a").status, get("/a").json, get("/a").json] == [403, {"n": 1}, {"n": 1}]
    server.paths["/a"] = {"n": 2}
    assert get("/a").json == {"n": 2}
    server.misbehave("/a", [closed()], then_well=True)
    with pytest.raises(http.client.RemoteDisconnected):
        get("/a")
    assert get("/a").json == {"n": 2}


# -- its end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [slow(60), dripping(0.01), dripping(0.01, head=True), large(), well],
    ids=["slow", "dripping", "dripping head", "large", "idle"],
)
def test_it_ends_at_once_whatever_is_under_way(behaviour: Behaviour) -> None:
    threads = threading.active_count()
    with IndexServer({"a": {}}) as server:
        port = server.port
        server.misbehave("a", behaviour)
        ends = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(10)]
        for end in ends[:5]:  # the others only connect
            end.sendall(b"GET /pypi/a/json HTTP/1.1\r\n\r\n")
        while len(server.requests) < 5:
            time.sleep(0.01)
        start = time.monotonic()
    assert time.monotonic() - start < 1
    assert threading.active_count() == threads
    for end in ends:
        end.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def asked(server: IndexServer, path: str = "/pypi/a/json") -> bytes:
    """What is answered, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_it_can_come_back_where_it_was() -> None:
    server = IndexServer({"a": {}})
    with server:
        first = server.url
    with server:
        assert server.url == first
        assert asked(server) == b"{}"


def test_a_mistake_in_a_behaviour_is_not_kept_quiet() -> None:
    server = IndexServer({"a": {}})
    with pytest.raises(ZeroDivisionError), server:  # noqa: PT012 (it is leaving that raises)
        server.misbehave("a", changed(lambda answer: 1 / 0))
        with pytest.raises(ConnectionError):
            asked(server)


def test_a_port_that_is_taken() -> None:
    with (
        IndexServer() as server,
        pytest.raises(OSError, match="in use"),
        IndexServer(port=server.port),
    ):
        pass


# -- what it answers -----------------------------------------------------------------------------


def test_the_recorded_answers_are_facts_only() -> None:
    answers = recorded()
    assert len(answers) == 22
    for path in ANSWERS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pypi\.|pythonhosted|[\w.+-]+@[\w-]+\.\w|description\b", text), path
    for name, answer in answers.items():
        assert set(answer) == {"info", "releases", "vulnerabilities"}
        assert answer["info"]["name"] == name or answer["info"]["name"].lower() == name
        assert answer["info"]["version"] in answer["releases"]


def test_the_recorded_answers_are_served() -> None:
    with IndexServer.recorded(latency=0.01) as server:
        told = json.loads(asked(server, "/pypi/Django/json"))
    assert told["info"]["license_expression"] == "BSD-3-Clause"


def test_trimming(tmp_path: Path) -> None:
    def file(day: int, yanked: bool, **more: object) -> dict[str, object]:
        facts = {"upload_time_iso_8601": f"2020-01-{day:02}T00:00:00.000000Z", "yanked": yanked}
        return {**facts, "requires_python": None, "packagetype": "sdist", **more}

    links = {"Home": "https://example.org", "Index": f"https://pypi.{'org'}/project/a/"}
    known = {"id": "X-1", "link": "https://example.org", "details": "a" * 999}
    info = {"name": "a", "version": "1", "home_page": f"https://pypi.{'org'}/project/a/"}
    info |= {"license": "MIT License\n\nCopyright (c) 2020 Someone\n\n" + "b" * 9999}
    full = {
        "info": {**info, "author": "Someone", "project_urls": links, "classifiers": ["A"]},
        "releases": {
            "1": [file(2, False, md5="0"), file(1, False), file(4, True), file(3, True)],
            "2": [],
        },
        "vulnerabilities": [known],
        "urls": [{}],
    }
    source, into = tmp_path / "full", tmp_path / "trimmed"
    source.mkdir()
    into.mkdir()
    (source / "a.json").write_text(json.dumps(full))
    command = [sys.executable, ANSWERS / "trim.py", source, into]
    subprocess.run(command, check=True)
    told = json.loads((into / "a.json").read_text())
    assert told["releases"] == {"1": [file(1, False), file(3, True)], "2": []}
    assert told["vulnerabilities"] == [{"id": "X-1", "details": "a" * 300}]
    assert told["info"]["project_urls"] == {"Home": "https://example.org"}
    assert (told["info"]["home_page"], told["info"]["yanked"]) == (None, None)
    assert (
        told["info"]["license"][:46] == "MIT License\n\nCopyright (c) 2020, the authors\n\nb"[:46]
    )
    assert len(told["info"]["license"]) == 2500
    assert "author" not in told["info"]
    (source / "a.json").write_text(json.dumps({**full, "info": {**info, "summary": "a@b.org"}}))
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "trim.py: a.json: 'a@b.org' is left in it\n")
    assert json.loads((into / "a.json").read_text()) == told


def test_generated() -> None:
    made = generated(1000)
    assert list(made)[::999] == ["package-0001", "package-1000"]
    assert made == generated(1000)
    assert {name: made[name] for name in generated(3)} == generated(3)
    assert len({json.dumps(answer["releases"]) for answer in made.values()}) > 500
    for name, answer in made.items():
        assert 1500 < len(json.dumps(answer)) < 2500
        assert answer["info"]["name"] == name
        assert answer["info"]["version"] == list(answer["releases"])[-1]


def test_as_a_program() -> None:
    command = [*PYTHON, ANSWERS.parent / "indexserver.py", "--latency", "0.1", "--packages", "3"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/pypi", url)
        connection = http.client.HTTPConnection(url[7:].partition("/")[0], timeout=5)
        start = time.monotonic()
        connection.request("GET", "/pypi/package-0002/json")
        assert json.load(connection.getresponse()) == generated(2)["package-0002"]
        assert time.monotonic() - start >= 0.1
        out, err = process.communicate(timeout=5)  # closes its standard input
        assert (out, err, process.returncode) == ("", "", 0)
        connection.close()
