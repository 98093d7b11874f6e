"""Asking over HTTP: what `Fetcher.ask` and `each` promise, held against a real server."""

from __future__ import annotations

import base64
import gc
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import repeat
from typing import Any

import pytest
import urllib3.util.connection
from commandline import PYTHON
from indexserver import Answer as Told
from indexserver import (
    Behaviour,
    IndexServer,
    Reply,
    Request,
    closed,
    content,
    cut_off,
    dripping,
    gzip_bomb,
    large,
    raw,
    redirect,
    redirect_loop,
    slow,
    status,
    well,
)

from authdb import fetching
from authdb._version import VERSION
from authdb.exceptions import AuthDBError
from authdb.fetching import LARGEST, PATIENCE, REDIRECTS, RETRIES, Answer, Fetcher, FetchError, each

ANSWER = {"info": {"name": "a"}}
TIMEOUT = 0.3
#: Seconds within which everything here has to have come to an end: against hanging, no more.
SOON = 20


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "http_proxy", "https_proxy", "all_proxy", "no_proxy":
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer({"a": ANSWER}) as server:
        yield server


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(timeout=TIMEOUT) as fetcher:
        yield fetcher


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before a new try, unless the server asks for it."""
    monkeypatch.setattr(fetching._Patient, "get_backoff_time", lambda self: 0)


def url(server: IndexServer) -> str:
    return f"{server.url}/a/json"


def failure(fetcher: Fetcher, url: str, **options: Any) -> FetchError:
    """Why there is no answer; that is always one line, which names the address."""
    start = time.monotonic()
    with pytest.raises(FetchError) as raised:
        fetcher.ask("GET", url, **options)
    assert time.monotonic() - start < SOON
    assert str(raised.value) == f"{url}: {raised.value.reason}"
    assert raised.value.url == url
    assert "\n" not in raised.value.reason
    return raised.value


# -- all is well ---------------------------------------------------------------------------------


def test_an_answer(server: IndexServer, fetcher: Fetcher) -> None:
    answer = fetcher.ask("GET", url(server))
    assert (answer.status, answer.reason, answer.url) == (200, "200 OK", url(server))
    assert json.loads(answer.body) == ANSWER
    assert answer.headers["etag"] == answer.headers["ETag"] == server.etag("a")


def test_it_says_who_asks_and_takes_gzip(server: IndexServer, fetcher: Fetcher) -> None:
    answer = fetcher.ask("GET", url(server))
    sent = server.requests[0].headers
    assert sent["user-agent"].startswith(f"authdb/{VERSION} ")
    assert sent["accept-encoding"] == "gzip"
    assert answer.headers["Content-Encoding"] == "gzip"  # which is unpacked
    assert json.loads(answer.body) == ANSWER


def test_headers_are_sent_beside_those(server: IndexServer, fetcher: Fetcher) -> None:
    answer = fetcher.ask("GET", url(server), {"If-None-Match": server.etag("a"), "X-A": "b"})
    assert (answer.status, answer.body) == (304, b"")
    sent = server.requests[0].headers
    assert (sent["x-a"], sent["user-agent"][:7]) == ("b", "authdb/")
    fetcher.ask("GET", url(server))
    assert "x-a" not in server.requests[1].headers  # they are those of one request


@pytest.mark.parametrize("headers", [{"X": "a\nb"}, {"X": "é\u20ac"}, {"X\r\nY": "a"}])
def test_a_header_that_cannot_be_sent_is_an_error(
    server: IndexServer, fetcher: Fetcher, headers: dict[str, str]
) -> None:
    failure(fetcher, url(server), headers=headers)
    assert server.requests == []


@pytest.mark.parametrize("code", [204, 400, 403, 404, 410, 418, 451, 501, 599])
def test_other_statuses_are_answers_at_once(
    server: IndexServer, fetcher: Fetcher, code: int
) -> None:
    server.misbehave("a", status(code, b"" if code == 204 else {"a": code}))
    answer = fetcher.ask("GET", url(server))
    assert (answer.status, len(server.requests)) == (code, 1)
    assert answer.reason.startswith(str(code))
    assert answer.reason == answer.reason.strip()
    assert code == 204 or json.loads(answer.body) == {"a": code}


def test_head_brings_no_body(server: IndexServer, fetcher: Fetcher) -> None:
    answer = fetcher.ask("HEAD", url(server))
    assert (answer.status, answer.body, server.requests[0].method) == (200, b"", "HEAD")
    server.misbehave("a", large(50))
    assert fetcher.ask("HEAD", url(server)).status == 200  # it is not too large: it does not come


def test_connections_are_used_again(server: IndexServer, fetcher: Fetcher) -> None:
    server.misbehave("b", [status(503), status(404, b"x")])
    for path in "a", "b", "unheard-of", "a":
        fetcher.ask("GET", f"{server.url}/{path}/json")
    fetcher.ask("HEAD", url(server))
    assert (len(server.requests), server.connections) == (6, 1)


def test_a_connection_that_the_server_closed_is_opened_anew(fetcher: Fetcher) -> None:
    server = IndexServer({"a": ANSWER})
    for _ in range(2):
        with server:
            assert fetcher.ask("GET", url(server)).status == 200
    assert [request.status for request in server.requests] == [200, 200]


# -- what may pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [1, timedelta(seconds=0.5)], ids=["seconds", "date"])
def test_a_server_is_left_alone_for_as_long_as_it_asks(
    server: IndexServer, fetcher: Fetcher, asked: Any
) -> None:
    """The wait is longer than a whole answer may take: what comes afterwards has its own time."""
    server.misbehave("a", [status(429, retry_after=asked)], then_well=True)
    assert PATIENCE * TIMEOUT < 1
    start = time.monotonic()
    answer = fetcher.ask("GET", url(server))
    assert (answer.status, json.loads(answer.body)) == (200, ANSWER)
    assert 0.5 <= time.monotonic() - start < SOON
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "asked",
    [
        "soon",
        "-5",
        "1.5",
        "",
        "9" * 5000,
        "Thu, 99 Foo 2026 99:99:99 GMT",
        datetime(2001, 1, 1, tzinfo=timezone.utc),
        "0",
    ],
)
def test_who_asks_for_nonsense_is_asked_again(
    server: IndexServer, fetcher: Fetcher, at_once: None, asked: Any
) -> None:
    server.misbehave("a", [status(503, retry_after=asked)], then_well=True)
    assert fetcher.ask("GET", url(server)).status == 200
    assert len(server.requests) == 2


@pytest.mark.parametrize("asked", [3600, timedelta(hours=1)], ids=["seconds", "date"])
def test_an_hour_is_not_waited_for_but_told(
    server: IndexServer, fetcher: Fetcher, asked: Any
) -> None:
    server.misbehave("a", status(429, b"busy", retry_after=asked))
    answer = fetcher.ask("GET", url(server))
    assert (answer.status, answer.body, len(server.requests)) == (429, b"busy", 1)
    text = "429 Too Many Requests; it asks to be left alone for 3,"
    assert answer.reason.startswith(text)
    assert answer.reason.endswith(" s")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_what_failed_for_a_moment_is_asked_again(
    server: IndexServer, fetcher: Fetcher, at_once: None, code: int
) -> None:
    server.misbehave("a", [status(code, b"x" * 9)] * RETRIES, then_well=True)
    assert json.loads(fetcher.ask("GET", url(server)).body) == ANSWER
    assert [request.status for request in server.requests] == [*[code] * RETRIES, 200]


def test_what_fails_for_ever_gives_the_last_answer(
    server: IndexServer, fetcher: Fetcher, at_once: None
) -> None:
    server.misbehave("a", [*[status(500)] * RETRIES, status(503, b"down")])
    answer = fetcher.ask("GET", url(server))
    assert (answer.status, answer.body) == (503, b"down")
    assert answer.reason == "503 Service Unavailable"
    assert len(server.requests) == 1 + RETRIES


def test_who_fails_is_given_more_time_with_each_try(server: IndexServer, fetcher: Fetcher) -> None:
    server.misbehave("a", [status(500)] * 2, then_well=True)
    assert fetcher.ask("GET", url(server)).status == 200
    first, second, third = (request.time for request in server.requests)
    assert 0.9 < third - second < SOON
    assert second - first < third - second


def test_silence_is_waited_for_so_long(
    server: IndexServer, fetcher: Fetcher, at_once: None
) -> None:
    server.misbehave("a", slow(60))
    start = time.monotonic()
    error = failure(fetcher, url(server))
    assert (error.reason, error.unreachable) == ("no answer in time", False)
    assert len(server.requests) == 1 + RETRIES
    assert TIMEOUT * (1 + RETRIES) <= time.monotonic() - start < SOON


def test_who_was_silent_once_is_asked_again(server: IndexServer, fetcher: Fetcher) -> None:
    server.misbehave("a", [slow(60)], then_well=True)
    assert fetcher.ask("GET", url(server)).status == 200


BROKEN = {
    "cut off": cut_off(),
    "cut off, reset": cut_off(reset=True),
    "cut off at once": cut_off(0),
    "closed": closed(),
    "reset": closed(reset=True),
    "no HTTP": raw(b"SSH-2.0-server\r\n"),
    "chunks cut off": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "chunks that are none": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nab"),
    "a status that is none": raw(b"HTTP/1.1 999999 OK\r\n\r\n"),
    "a line without end": raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
    "too many headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n"),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
def test_a_connection_that_breaks(
    server: IndexServer, fetcher: Fetcher, at_once: None, behaviour: Behaviour
) -> None:
    server.misbehave("a", [behaviour], then_well=True)
    assert json.loads(fetcher.ask("GET", url(server)).body) == ANSWER  # once
    server.clear()
    server.misbehave("a", behaviour)  # and for ever
    error = failure(fetcher, url(server))
    assert error.reason == "the connection was closed before the answer was whole"
    assert not error.unreachable
    assert len(server.requests) == 1 + RETRIES
    server.misbehave("a", well)
    assert fetcher.ask("GET", url(server)).status == 200


# -- bounds --------------------------------------------------------------------------------------


def endless(
    code: int, headers: dict[str, str], piece: bytes = b" ", between: float = 0
) -> Behaviour:
    """A status with a body that has no end."""

    def behave(request: Request, answer: Told) -> Reply:
        sent = {"Connection": "close", **headers}
        return Reply(code, sent, repeat(piece), between=between, closes=True)

    return behave


SLOW = {
    "body": dripping(0.02),
    "head": dripping(0.02, head=True),
    "in large pieces": endless(200, {}, b"x" * 5000, 0.02),
    "in chunks": endless(200, {"Transfer-Encoding": "chunked"}, b"1\r\nx\r\n", 0.02),
    "just before the time is over": dripping(0.9 * TIMEOUT),
    "of an error": endless(503, {}, b"x", 0.02),
    "of a redirect": endless(302, {"Location": "/"}, b"x", 0.02),
    "not yet": lambda request, answer: Reply(
        100, None, repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), between=0.02, closes=True
    ),
}


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
def test_bytes_that_trickle_for_ever(
    server: IndexServer, fetcher: Fetcher, behaviour: Behaviour
) -> None:
    server.misbehave("a", behaviour)
    start = time.monotonic()
    error = failure(fetcher, url(server))
    assert (error.reason, error.unreachable) == ("the answer comes too slowly", False)
    assert len(server.requests) == 1  # another try would be as slow
    assert PATIENCE * TIMEOUT <= time.monotonic() - start < SOON


def test_a_slow_server_that_comes_to_an_end_is_heard(server: IndexServer, fetcher: Fetcher) -> None:
    def behave(request: Request, answer: Told) -> Reply:
        return answer.reply(request)._replace(before=0.5 * TIMEOUT, between=0.5 * TIMEOUT)

    server.misbehave("a", behave)
    assert [fetcher.ask("GET", url(server)).status for _ in range(3)] == [200] * 3
    assert server.connections == 1


HUGE = {
    "told": large(50),
    "in chunks": large(50, chunked=True),
    "for ever": endless(200, {}, b"x" * 65536),
    "bomb": gzip_bomb(200),
    "of an error": endless(500, {}, b"x" * 65536),
    "of a redirect": endless(302, {"Location": "/"}, b"x" * 65536),
    "said to be": status(200, headers={"Content-Length": "9" * 23}),
}


@pytest.mark.parametrize("behaviour", HUGE.values(), ids=HUGE)
def test_what_is_too_large_is_not_read_to_its_end(
    server: IndexServer, behaviour: Behaviour
) -> None:
    server.misbehave("a", behaviour)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB, of which the server has some
    with Fetcher(timeout=SOON) as fetcher:
        error = failure(fetcher, url(server))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert error.reason.endswith(" bytes is too large")
    assert not error.unreachable
    assert len(server.requests) == 1
    assert grown * 1024 < 3 * LARGEST


def test_the_largest_answer_is_taken(
    server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b" " * 1000
    server.misbehave("a", status(200, body))
    monkeypatch.setattr(fetching, "LARGEST", 2000)
    assert fetcher.ask("GET", url(server)).body == body
    monkeypatch.setattr(fetching, "LARGEST", 999)
    assert failure(fetcher, url(server)).reason == "an answer of 1,000 bytes is too large"


def test_what_is_unpacked_counts_too(
    server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.misbehave("a", content(b" " * 100_000))
    monkeypatch.setattr(fetching, "LARGEST", 99_999)
    reason = failure(fetcher, url(server)).reason
    assert reason == "an answer of more than 99,999 bytes is too large"


def test_what_cannot_be_unpacked(server: IndexServer, fetcher: Fetcher) -> None:
    server.misbehave("a", status(200, b"no gzip", headers={"Content-Encoding": "gzip"}))
    error = failure(fetcher, url(server))
    assert (error.reason, error.unreachable) == ("the answer cannot be unpacked", False)
    server.misbehave("a", well)
    assert fetcher.ask("GET", url(server)).status == 200


# -- where a server points -----------------------------------------------------------------------


def test_it_goes_where_the_server_points(server: IndexServer, fetcher: Fetcher) -> None:
    for number in range(REDIRECTS):
        server.paths[f"/{number}"] = redirect(f"/{number + 1}", (301, 302, 303, 307, 308)[number])
    server.paths[f"/{REDIRECTS}"] = ANSWER
    answer = fetcher.ask("GET", f"{server.root}/0", {"X-A": "b"})
    assert (answer.status, answer.url) == (200, f"{server.root}/{REDIRECTS}")
    assert {request.headers["x-a"] for request in server.requests} == {"b"}
    assert len(server.requests) == 1 + REDIRECTS


def test_it_goes_to_another_address_and_back(server: IndexServer, fetcher: Fetcher) -> None:
    with IndexServer({"b": {"b": 1}}) as other:
        server.misbehave("a", redirect(f"{other.url}/b/json"))
        answer = fetcher.ask("GET", url(server))
    assert (answer.status, answer.url) == (200, f"{other.url}/b/json")


def test_redirects_without_end(server: IndexServer, fetcher: Fetcher) -> None:
    server.misbehave("a", redirect_loop())
    assert failure(fetcher, url(server)).reason == "too many redirects"
    assert len(server.requests) == 1 + REDIRECTS


def test_after_redirects_an_error_is_asked_again(
    server: IndexServer, fetcher: Fetcher, at_once: None
) -> None:
    server.misbehave("a", redirect("/there"))
    server.paths["/there"] = [status(500), closed(), cut_off(), ANSWER]
    assert json.loads(fetcher.ask("GET", url(server)).body) == ANSWER


@pytest.mark.parametrize(
    "location",
    ["/b", "file:///etc/passwd", "http://127.0.0.1:1/", "http://[", "", "x y", "http:", "//"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_that_is_not_followed_is_an_answer(
    server: IndexServer, fetcher: Fetcher, location: str, method: str
) -> None:
    server.misbehave("a", redirect(location, 301))
    answer = fetcher.ask(method, url(server), redirect=False)
    assert (answer.status, answer.headers["location"]) == (301, location)
    assert len(server.requests) == 1


def test_a_redirect_that_asks_for_patience_is_followed(
    server: IndexServer, fetcher: Fetcher
) -> None:
    server.misbehave("a", status(302, headers={"Location": "/b"}, retry_after=9999))
    server.paths["/b"] = ANSWER
    assert fetcher.ask("GET", url(server)).status == 200


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[::1", "http://a b/"]
)
def test_a_redirect_to_what_cannot_be_asked(
    server: IndexServer, fetcher: Fetcher, location: str
) -> None:
    server.misbehave("a", redirect(location))
    error = failure(fetcher, url(server))
    assert not error.unreachable
    assert len(server.requests) == 1


def test_a_redirect_to_a_host_that_is_gone_says_nothing_of_this_one(
    server: IndexServer, fetcher: Fetcher
) -> None:
    server.misbehave("a", redirect("http://127.0.0.1:1/"))
    error = failure(fetcher, url(server))
    assert error.reason == "it leads on, and there: no connection (Connection refused)"
    assert not error.unreachable


@pytest.mark.parametrize(
    ("here", "there", "good"),
    [
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "HTTP://a.example/", False),
        ("HTTPS://a.example/", "http://a.example/", False),
        ("https://a.example/", "ftp://a.example/", False),
        ("https://a.example/", "https://b.example/", True),
        ("https://a.example/", "HTTPS://b.example/", True),
        ("https://a.example/", "//b.example/", True),
        ("https://a.example/", "/http://b.example/", True),
        ("http://a.example/", "http://b.example/", True),
        ("http://a.example/", "https://b.example/", True),
    ],
)
def test_https_is_not_left(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, here: str, there: str, good: bool
) -> None:
    def answer(method: str, url: str, headers: Any) -> Answer:
        asked.append(url)
        return Answer(302 if len(asked) == 1 else 200, {"Location": there}, b"", url)

    asked: list[str] = []
    monkeypatch.setattr(fetcher, "_answer", answer)
    if good:
        assert fetcher.ask("GET", here).url == asked[1]
    else:
        assert failure(fetcher, here).reason == "it leads from https to what is not"
        assert asked == [here]
    asked.clear()
    assert fetcher.ask("GET", here, redirect=False).status == 302


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("http://a.example/b", True),
        ("/b", True),
        ("https://a.example/", False),
        ("http://a.example:8000/", False),
        ("http://b.example/", False),
        ("http://a.example@b.example/", False),
        ("http://a.example.b.example/", False),
    ],
)
def test_another_origin_is_not_told_the_token(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, there: str, told: bool
) -> None:
    def answer(method: str, url: str, headers: Any) -> Answer:
        sent.append(dict(headers))
        return Answer(302 if len(sent) == 1 else 200, {"Location": there}, b"", url)

    sent: list[dict[str, str]] = []
    monkeypatch.setattr(fetcher, "_answer", answer)
    fetcher.ask("GET", "http://a.example/", {"AUTHORIZATION": "secret", "X": "y"})
    assert sent[1] == ({"AUTHORIZATION": "secret", "X": "y"} if told else {"X": "y"})


def test_who_is_asked_first_is_the_only_one_told_the_token(
    server: IndexServer, fetcher: Fetcher
) -> None:
    secret = {"Authorization": "Bearer secret", "X-A": "b"}
    with IndexServer({"a": ANSWER}) as other:  # on another port
        server.misbehave("a", redirect(url(other)))
        assert fetcher.ask("GET", url(server), secret).status == 200
        assert other.requests[0].headers["x-a"] == "b"
        assert "authorization" not in other.requests[0].headers
    server.misbehave("a", redirect("/b"))
    server.paths["/b"] = ANSWER
    assert fetcher.ask("GET", url(server), secret).status == 200
    assert [request.headers.get("authorization") for request in server.requests] == [
        "Bearer secret"
    ] * 3


# -- nobody there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://nowhere.invalid/a", "there is no host of that name"),
        ("http://127.0.0.1:1/a", "no connection (Connection refused)"),
        ("https://127.0.0.1:1/a", "no connection (Connection refused)"),
    ],
)
def test_a_host_out_of_reach(fetcher: Fetcher, address: str, reason: str) -> None:
    error = failure(fetcher, address)
    assert (error.reason, error.unreachable) == (reason, True)


def test_a_host_that_lets_nobody_in(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full:  # nobody is let in, and the queue is full
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(3):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        error = failure(fetcher, f"http://127.0.0.1:{port}/")
        for end in waiting:
            end.close()
    assert (error.reason, error.unreachable) == ("no connection in time", True)


def test_an_index_that_speaks_no_tls(fetcher: Fetcher) -> None:
    def speak() -> None:
        while True:
            try:
                end, _ = plain.accept()
            except OSError:
                return
            with end:
                end.recv(1 << 16)
                end.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as plain:
        thread = threading.Thread(target=speak)
        thread.start()
        error = failure(fetcher, f"https://127.0.0.1:{plain.getsockname()[1]}/")
        plain.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert error.reason.startswith("no safe connection (")
    assert error.unreachable


@pytest.mark.parametrize(
    "address",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http:///a",
        "http://[::1/",
        "http://[::x]/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://.",
        "http://a b/",
        "http://\0/",
        f"http://{'a' * 70}.invalid/",
        f"http://{'9' * 5000}/",
    ],
    ids=lambda address: address[:30].replace("\0", "NUL"),
)
def test_an_address_that_is_none(fetcher: Fetcher, address: str) -> None:
    assert len(failure(fetcher, address).reason) < 300


def test_odd_paths_are_sent_in_a_form_that_is_right(server: IndexServer, fetcher: Fetcher) -> None:
    for path in "/é a\n/ü", "/a/../b?x=é#y", "/%2e%2e/%zz", "//x":
        fetcher.ask("GET", f"{server.root}{path}")
    for request in server.requests:
        assert request.path.startswith("/")
        assert request.path.isascii()
        assert "#" not in request.path + request.query


def test_ipv6(server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on machines without: what is asked for at ::1 is connected to the server here."""
    connect, asked = urllib3.util.connection.create_connection, []

    def connected(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        asked.append(address)
        return connect(("127.0.0.1", address[1]), *args, **options)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connected)
    port = int(server.root.rpartition(":")[2])
    server.paths["/a"] = ANSWER
    assert fetcher.ask("GET", f"http://[::1]:{port}/a").status == 200
    assert [host.strip("[]") for host, _ in asked] == ["::1"]
    assert server.requests[-1].headers["host"] == f"[::1]:{port}"


# -- proxies -------------------------------------------------------------------------------------


def test_a_proxy_that_the_environment_names(
    server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.root)
    server.paths["http://index.invalid/a"] = ANSWER
    assert json.loads(fetcher.ask("GET", "http://index.invalid/a").body) == ANSWER
    assert server.requests[0].path == "http://index.invalid/a"
    assert server.requests[0].headers["host"] == "index.invalid"
    assert "proxy-authorization" not in server.requests[0].headers


def test_a_proxy_without_a_scheme_and_with_a_password(
    server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"me:p%40ss@127.0.0.1:{server.port}")
    server.paths["http://index.invalid/a"] = ANSWER
    assert fetcher.ask("GET", "http://index.invalid/a").status == 200
    sent = server.requests[0].headers["proxy-authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"me:p@ss"


def test_each_redirect_has_the_proxy_of_its_host(
    server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.root)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.misbehave(None, [redirect(f"{server.root}/b")], then_well=True)
    server.paths["/b"] = redirect("http://other.invalid/c")
    server.paths["http://other.invalid/c"] = ANSWER
    assert fetcher.ask("GET", "http://index.invalid/a").url == "http://other.invalid/c"
    assert [request.status for request in server.requests] == [302, 302, 200]


def test_hosts_for_which_there_is_to_be_no_proxy(
    server: IndexServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert failure(fetcher, url(server)).unreachable
    monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
    assert fetcher.ask("GET", url(server)).status == 200
    assert server.requests[0].path == "/pypi/a/json"


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http://me:secret@127.0.0.1:1", "the proxy lets nobody through"),
        ("http://nowhere.invalid", "the proxy lets nobody through"),
        ("socks9://127.0.0.1", ""),
        ("http://[", ""),
    ],
)
def test_a_proxy_that_is_of_no_use(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, proxy: str, reason: str
) -> None:
    for scheme in "http", "https":
        monkeypatch.setenv(f"{scheme}_proxy", proxy)
    for scheme in "http", "https":
        error = failure(fetcher, f"{scheme}://index.invalid/a")
        assert error.reason.startswith(reason)
        assert error.unreachable == bool(reason)
        assert "secret" not in str(error)


# -- an end to waiting ---------------------------------------------------------------------------


def test_stopping_ends_waiting(server: IndexServer, fetcher: Fetcher) -> None:
    server.misbehave("a", status(503, retry_after=50))
    caught: list[FetchError] = []
    threads = [
        threading.Thread(target=lambda: caught.append(failure(fetcher, url(server))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while len(server.requests) < 3:
        time.sleep(0.01)
    fetcher.stop()
    for thread in threads:
        thread.join(SOON)
    assert [error.reason for error in caught] == ["interrupted"] * 3
    assert failure(fetcher, url(server)).reason == "interrupted"  # and nobody begins to


def test_one_that_is_closed_stops_no_other(server: IndexServer, fetcher: Fetcher) -> None:
    with Fetcher():
        pass
    server.misbehave("a", [status(503, retry_after=1)], then_well=True)
    assert fetcher.ask("GET", url(server)).status == 200


def test_it_closes_its_connections(server: IndexServer) -> None:
    def sockets() -> set[tuple[int, int]]:
        found = set()
        for handle in range(1024):
            with suppress(OSError):  # it is not open
                status = os.fstat(handle)
                if stat.S_ISSOCK(status.st_mode):
                    found.add((handle, status.st_ino))
        return found

    gc.collect()  # what other tests left
    before = sockets()
    behaviours = [well, cut_off(), closed(), raw(b"x"), large(50), redirect_loop(), dripping(0.02)]
    with Fetcher(timeout=0.1) as fetcher:
        fetcher._retry.stopped.set()  # nothing is tried again
        for behaviour in [*behaviours, status(404, b"x"), status(500), gzip_bomb(40), slow(9)]:
            server.misbehave("a", behaviour)
            try:
                fetcher.ask("GET", url(server))
            except FetchError:
                continue
    end = time.monotonic() + SOON
    while (
        not before.issuperset(sockets()) and time.monotonic() < end
    ):  # the server closes its ends a bit later
        time.sleep(0.01)
    assert before.issuperset(sockets())


# -- many at once --------------------------------------------------------------------------------


def test_each_is_done_once_and_comes_with_what_came_of_it() -> None:
    def do(item: int) -> int:
        if item % 7 == 0:
            raise ValueError(item)
        return item * item

    found = dict(each(range(100), do, 5))
    assert sorted(found) == list(range(100))
    for item, result in found.items():
        if item % 7:
            assert result == item * item
        else:
            assert isinstance(result, ValueError)
            assert result.args == (item,)


def test_nothing_to_do() -> None:
    assert list(each([], int, 5)) == []
    assert list(each(["7"], int, 5)) == [("7", 7)]


def test_who_exits_in_a_thread_lets_nobody_wait_for_ever() -> None:
    def do(item: int) -> None:
        raise SystemExit(item)

    [(item, result)] = each([3], do, 1)
    assert (item, type(result)) == (3, SystemExit)


@pytest.mark.parametrize("at_once", [1, 3, 10])
def test_so_many_are_under_way_at_once(at_once: int) -> None:
    with IndexServer({"a": ANSWER}, latency=0.02) as server, Fetcher(at_once) as fetcher:
        asked = each(range(40), lambda item: fetcher.ask("GET", url(server)).status, at_once)
        assert [status for _, status in asked] == [200] * 40
        assert server.most_at_once <= at_once
        assert server.connections <= at_once
        if at_once > 1:
            assert server.most_at_once > 1


def test_results_come_as_they_are_ready() -> None:
    let_go = threading.Event()

    def do(item: str) -> bool:
        return let_go.wait(SOON) if item == "slow" else True

    found = each(["slow", "a", "b"], do, 2)
    assert [next(found)[0], next(found)[0]] == ["a", "b"]
    let_go.set()
    assert list(found) == [("slow", True)]


def test_who_does_not_go_on_stops_the_rest() -> None:
    done = []
    here = threading.Semaphore(0)

    def do(item: int) -> None:
        here.acquire()
        done.append(item)

    found = each(range(100), do, 2)
    here.release()
    next(found)
    found.close()  # type: ignore[attr-defined]
    here.release(200)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(SOON)
    assert len(done) <= 4


def interrupted(server: IndexServer, body: str) -> tuple[int, str, str]:
    """What a program does that asks for 20 packages when it gets Ctrl-C: its status and its
    outputs."""
    program = f"""
import sys
from authdb.fetching import Fetcher, each
try:
    with Fetcher(timeout=60) as fetcher:
        for item, found in each(range(20), lambda item: fetcher.ask("GET", sys.argv[1]), 10):
            {body}
except KeyboardInterrupt:
    sys.exit("interrupted")
"""
    command = [*PYTHON, "-c", program, url(server)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + SOON
        while len(server.requests) < 10 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SOON)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "behaviour",
    [slow(60), dripping(0.01), dripping(0.01, head=True), status(503, retry_after=50)],
    ids=["silent", "dripping", "dripping head", "busy"],
)
def test_ctrl_c_ends_a_program_at_once(server: IndexServer, behaviour: Behaviour) -> None:
    server.misbehave("a", behaviour)
    start = time.monotonic()
    assert interrupted(server, "print(found)") == (1, "", "interrupted\n")
    assert time.monotonic() - start < SOON / 2  # one request alone takes a minute


def test_errors_are_those_of_authdb() -> None:
    error = FetchError("http://a.example", "why")
    assert isinstance(error, AuthDBError)
    assert (error.url, error.reason, error.unreachable) == ("http://a.example", "why", False)
    assert str(error) == "http://a.example: why"


def test_one_answer_for_any_number_of_threads(server: IndexServer, fetcher: Fetcher) -> None:
    behaviours: list[Callable[..., Any]] = [status(500), closed(), cut_off()]
    server.misbehave("a", [*behaviours, *behaviours], then_well=True)
    found = list(each(range(30), lambda item: fetcher.ask("GET", url(server)).body, 8))
    assert {bytes(body) for _, body in found if isinstance(body, bytes)} == {
        json.dumps(ANSWER).encode()
    }
    assert len([body for _, body in found if isinstance(body, bytes)]) == 30
