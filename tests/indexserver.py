"""A package index to test on: a real HTTP server on 127.0.0.1, that can also misbehave.

In a test it runs in a thread::

    with IndexServer.recorded() as server:
        server.misbehave("djoser", [status(429, retry_after=1)], then_well=True)
        urlopen(f"{server.url}/djoser/json")

As a program it prints its base URL on a line, and serves until standard input ends::

    python tests/indexserver.py --latency 0.05 --packages 1000

What it answers are facts of real packages, from ``tests/answers``, or of packages made up.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import cache, cached_property
from http import HTTPStatus
from itertools import chain, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import unquote

ANSWERS = Path(__file__).parent / "answers"

JSON = "application/json"
BLOCK = 1 << 16  #: bytes of large answers that go out at once


class Request(NamedTuple):
    """What was asked, and with which status it was answered."""

    method: str
    path: str  #: as it came, without the query
    headers: dict[str, str]  #: names in lower case
    status: int  #: 0 where no status was sent
    time: float  #: when it came; `time.monotonic`, so that differences tell
    query: str  #: what followed "?", as it came


class Reply(NamedTuple):
    """What goes out for one request."""

    status: int
    headers: Mapping[str, str] | None  #: None: the pieces are all that is sent
    pieces: Iterable[bytes] = ()
    before: float = 0  #: seconds until the first byte
    between: float = 0  #: seconds between pieces
    closes: bool = False  #: the connection, afterwards
    resets: bool = False  #: closes it, and TCP says that something was wrong


class Answer:
    """Something that is there for whoever asks.

    :param value: bytes as they are, text as UTF-8, anything else as JSON
    :param kind: its media type
    """

    def __init__(self, value: object, kind: str = JSON, status: int = 200) -> None:
        if isinstance(value, str):
            value = value.encode()
        self.given = isinstance(value, bytes)  #: as it is to be sent, whether JSON or not
        self.body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.status = status
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        self.headers = {"Content-Type": kind, "Content-Length": str(len(self.body))}
        self._validators: dict[str, str] = {}
        if status == 200:
            self._validators = {"ETag": self.etag, "Last-Modified": _http_date(_now())}

    @cached_property
    def _packed(self) -> bytes:
        return gzip.compress(self.body, 6, mtime=0)

    def value(self) -> Any:
        """What it says; a copy."""
        return json.loads(self.body)

    def reply(self, request: Request) -> Reply:
        """What goes out when everything is well: all of it, packed or not, or that it is as it
        was. As with the index, what is packed has the same ETag."""
        if self._validators and self._known(request.headers.get("if-none-match", "")):
            return Reply(304, self._validators)
        headers, body = self.headers | self._validators, self.body
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            body = self._packed
            headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(body))
            headers["Vary"] = "Accept-Encoding"
        return Reply(self.status, headers, (body,))

    def _known(self, tags: str) -> bool:
        listed = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return self.etag in listed or "*" in listed


#: What becomes of a request: it is told what would be answered if all were well.
Behaviour = Callable[[Request, Answer], Reply]

NOT_FOUND = Answer({"message": "Not Found"}, status=404)


# -- behaviours: statuses and redirects --------------------------------------------------------


def well(request: Request, answer: Answer) -> Reply:
    """No misbehaviour: what would be answered anyway."""
    return answer.reply(request)


def status(
    code: int,
    body: object = b"",
    *,
    headers: Mapping[str, str] | None = None,
    retry_after: int | float | str | datetime | timedelta | None = None,
) -> Behaviour:
    """Another status than 200.

    :param body: as `Answer` takes it
    :param retry_after: seconds or any text, as it is; a moment, as an HTTP date; a span of time,
        as the HTTP date so long after the request
    """
    told = Answer(body, status=code)

    def behave(request: Request, answer: Answer) -> Reply:
        sent = {**told.headers, **(headers or {})}
        if isinstance(retry_after, timedelta):
            # HTTP dates are whole seconds; never earlier than what was asked for.
            moment = _now() + retry_after + timedelta(seconds=1)
            sent["Retry-After"] = _http_date(moment.replace(microsecond=0))
        elif isinstance(retry_after, datetime):
            sent["Retry-After"] = _http_date(retry_after)
        elif retry_after is not None:
            sent["Retry-After"] = str(retry_after)
        return Reply(code, sent, (told.body,))

    return behave


def redirect(location: str, code: int = 302) -> Behaviour:
    """To a path of this server, another URL, or another scheme, as ``file:///etc/passwd``."""
    return status(code, headers={"Location": location})


def redirect_loop(code: int = 302) -> Behaviour:
    """To itself: to be used for ever."""

    def behave(request: Request, answer: Answer) -> Reply:
        return Reply(code, {"Location": request.path, "Content-Length": "0"})

    return behave


# -- behaviours: time and connections ----------------------------------------------------------


def slow(seconds: float) -> Behaviour:
    """No byte for so long, then a good answer."""
    return lambda request, answer: answer.reply(request)._replace(before=seconds)


def dripping(seconds: float, head: bool = False) -> Behaviour:
    """A byte every ``seconds``, for ever: of the body, or already of the head."""

    def behave(request: Request, answer: Answer) -> Reply:
        if head:
            drops = chain(_bytes(b"HTTP/1.1 200 OK\r\nX-Drops: "), repeat(b"."))
            return Reply(200, None, drops, between=seconds, closes=True)
        headers = {"Content-Type": JSON, "Connection": "close"}
        drops = chain(_bytes(answer.body), repeat(b" "))
        return Reply(200, headers, drops, between=seconds, closes=True)

    return behave


def cut_off(after: int | None = None, *, reset: bool = False) -> Behaviour:
    """The connection is closed in the middle of the body: ``Content-Length`` says more than comes.

    :param after: how many bytes come; None: half of them
    """

    def behave(request: Request, answer: Answer) -> Reply:
        part = answer.body[: len(answer.body) // 2 if after is None else after]
        return Reply(200, answer.headers, (part,), closes=True, resets=reset)

    return behave


def closed(*, reset: bool = False) -> Behaviour:
    """The connection is closed before any byte."""
    return lambda request, answer: Reply(0, None, closes=True, resets=reset)


def raw(data: bytes) -> Behaviour:
    """These bytes instead of HTTP, then the connection is closed."""
    return lambda request, answer: Reply(0, None, (data,), closes=True)


# -- behaviours: what is answered --------------------------------------------------------------


def content(value: object, kind: str = JSON) -> Behaviour:
    """Something else, with status 200; ``value`` as `Answer` takes it."""
    told = Answer(value, kind)
    return lambda request, answer: told.reply(request)


def changed(change: Callable[[Any], Any]) -> Behaviour:
    """What ``change`` makes of the good answer, a JSON value, of which it may change a copy.

    For instance ``changed(lambda answer: answer | {"info": []})``.
    """
    return lambda request, answer: Answer(change(answer.value())).reply(request)


def html() -> Behaviour:
    """A page for people, with status 200."""
    return content("<!DOCTYPE html><title>Sign in</title><p>Sign in", "text/html; charset=utf-8")


def truncated() -> Behaviour:
    """Half of the JSON, as if it were all."""
    return lambda request, answer: Answer(answer.body[: len(answer.body) // 2]).reply(request)


def wrong_shape() -> Behaviour:
    """JSON, but a list."""
    return changed(lambda answer: [answer])


def wrong_types() -> Behaviour:
    """The right keys, but wrong types of most values."""
    return changed(_mistyped)


def nan() -> Behaviour:
    """A version that is NaN, and an infinite number: Python reads them, JSON has none."""
    return changed(
        lambda answer: {
            **answer,
            "info": {**answer.get("info", {}), "version": float("nan")},
            "last_serial": float("inf"),
        }
    )


def nested(depth: int = 100_000) -> Behaviour:
    """Lists in lists, deeper than a recursive reader can follow."""
    return content(b'{"info": ' + b"[" * depth + b"]" * depth + b"}")


def wrong_charset() -> Behaviour:
    """Bytes that are not UTF-8, in a text of JSON that says it is."""

    def behave(request: Request, answer: Answer) -> Reply:
        value = answer.value()
        value["info"] = {**value.get("info", {}), "summary": "<?>"}
        body = json.dumps(value).encode().replace(b"<?>", b"caf\xe9 \xff\xfe")
        return Answer(body, "application/json; charset=utf-8").reply(request)

    return behave


def large(megabytes: int = 50, *, chunked: bool = False) -> Behaviour:
    """Valid JSON of that size, with ``Content-Length`` or in chunks."""

    def behave(request: Request, answer: Answer) -> Reply:
        first, last = b'{"info": {"summary": "', b'"}}'
        pieces = chain([first], repeat(b"x" * BLOCK, megabytes * 16), [last])
        if chunked:
            parts = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            headers = {"Content-Type": JSON, "Transfer-Encoding": "chunked"}
            return Reply(200, headers, chain(parts, [b"0\r\n\r\n"]))
        length = len(first) + megabytes * 16 * BLOCK + len(last)
        return Reply(200, {"Content-Type": JSON, "Content-Length": str(length)}, pieces)

    return behave


def gzip_bomb(megabytes: int = 200) -> Behaviour:
    """Valid JSON of that size, packed to a thousandth of it; also for who did not ask for gzip."""
    body = _bomb(megabytes)
    headers = {
        "Content-Type": JSON,
        "Content-Encoding": "gzip",
        "Content-Length": str(len(body)),
    }
    return lambda request, answer: Reply(200, headers, (body,))


@cache
def _takes_gzip(accepted: str) -> bool:
    codings = {part.strip() for part in accepted.lower().split(",")}
    return any(re.fullmatch(r"gzip(\s*;\s*q=(1.*|0\.\d*[1-9]\d*))?", coding) for coding in codings)


def _bytes(text: bytes) -> Iterator[bytes]:
    return (text[at : at + 1] for at in range(len(text)))


def _mistyped(answer: dict[str, Any]) -> dict[str, Any]:
    wrong = {"version": 5, "summary": ["a"], "classifiers": "a", "license": {}, "home_page": 1.5}
    wrong |= {"project_urls": ["a"], "requires_dist": {"a": 1}, "requires_python": False}
    wrong |= {"yanked": "no", "name": None}
    file = {"upload_time_iso_8601": 20, "yanked": "no", "requires_python": 3, "packagetype": []}
    releases = {"1.0": [file], "1.1": {"0": file}, "1.2": None, "1.3": ["a"]}
    return {**answer, "info": wrong, "releases": releases, "vulnerabilities": {"id": 1}}


@cache
def _bomb(megabytes: int) -> bytes:
    """A megabyte packed once, and repeated: what is flushed in full stands for itself. It is one
    member of gzip, since some readers stop after the first."""

    def packed(text: bytes, flush: int = zlib.Z_FULL_FLUSH) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packer.compress(text) + packer.flush(flush)

    first, block, last = b'{"info": {"summary": "', b" " * (1 << 20), b'"}}'
    crc = 0
    for text in chain([first], repeat(block, megabytes), [last]):
        crc = zlib.crc32(text, crc)
    size = len(first) + len(block) * megabytes + len(last)
    head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    body = packed(first) + packed(block) * megabytes + packed(last, zlib.Z_FINISH)
    return head + body + struct.pack("<II", crc, size & 0xFFFFFFFF)


# -- answers -----------------------------------------------------------------------------------


def recorded() -> dict[str, Any]:
    """What a real index said of real packages, by name; see ``tests/answers/README.md``."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(ANSWERS.glob("*.json"))}


def generated(count: int) -> dict[str, Any]:
    """Packages made up, ``package-0001`` and so on: about 2 kB each, the same each time."""
    names = (f"package-{number:04}" for number in range(1, count + 1))
    return {name: _made_up(number, name) for number, name in enumerate(names, 1)}


def _made_up(number: int, name: str) -> dict[str, Any]:
    pythons = [f"3.{minor}" for minor in range(8 + number % 4, 14)]
    djangos = ["3.2", "4.2", "5.0", "5.1", "5.2"][number % 3 :]
    terms, words = [("MIT", "MIT License"), ("BSD-3-Clause", "BSD License")][number % 2]
    start = datetime(2012, 1, 1, tzinfo=timezone.utc) + timedelta(days=number * 37 % 4000)
    uploads = [start + timedelta(days=step * (60 + number % 90)) for step in range(5 + number % 4)]
    versions = [f"{step // 4}.{step % 4}.{number % 3}" for step in range(len(uploads))]
    needs = f">={pythons[0]}"
    return {
        "info": {
            "classifiers": [
                "Development Status :: 4 - Beta",
                "Framework :: Django",
                *(f"Framework :: Django :: {version}" for version in djangos),
                f"License :: OSI Approved :: {words}",
                "Programming Language :: Python :: 3",
                *(f"Programming Language :: Python :: {version}" for version in pythons),
            ],
            "home_page": None,
            "license": terms if number % 4 else None,
            "license_expression": None if number % 4 else terms,
            "name": name,
            "project_urls": {
                "Homepage": f"https://example.org/{name}",
                "Repository": f"https://git.example.org/people/{name}",
            },
            "requires_dist": [
                f"Django>={djangos[0]}",
                f"djangorestframework>=3.{10 + number % 6}",
                "PyJWT>=2,<3",
                'pytest>=7; extra == "test"',
            ],
            "requires_python": needs,
            "summary": f"Authentication for Django REST Framework, number {number}",
            "version": versions[-1],
            "yanked": False,
        },
        "releases": {
            version: [
                {
                    "packagetype": "sdist",
                    "requires_python": needs,
                    "upload_time_iso_8601": f"{upload:%Y-%m-%dT%H:%M:%S}.{number % 1000:03}000Z",
                    "yanked": number % 10 == 0 and version == versions[1],
                }
            ]
            for version, upload in zip(versions, uploads, strict=True)
        },
        "vulnerabilities": [],
    }


class Answers(MutableMapping[str, Any]):
    """What the server answers, by name of package. It may be changed while it serves.

    What is read from it is a copy: to change an answer, set it anew.
    """

    def __init__(self) -> None:
        # One dict, of which each thread only ever reads or sets one entry at a time.
        self._answers: dict[str, Answer] = {}

    @staticmethod
    def key(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    def answer(self, name: str) -> Answer | None:
        """As it is served, with its ETag."""
        return self._answers.get(self.key(name))

    def __getitem__(self, name: str) -> Any:
        answer = self._answers[self.key(name)]
        return answer.body if answer.given else answer.value()

    def __setitem__(self, name: str, value: object) -> None:
        self._answers[self.key(name)] = value if isinstance(value, Answer) else Answer(value)

    def __delitem__(self, name: str) -> None:
        del self._answers[self.key(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._answers))

    def __len__(self) -> int:
        return len(self._answers)


class Paths(Answers):
    """What the server answers at other paths: to each an answer, a behaviour, or a list with at
    least one behaviour in it, of which one after the other is used, the last for ever.

    Paths stand without the query, as they are sent: ``/api/v4/projects/people%2Fproject``.
    """

    def __init__(self, misbehave: Callable[[str, Sequence[Behaviour]], None]) -> None:
        super().__init__()
        self._misbehave = misbehave

    @staticmethod
    def key(path: str) -> str:
        return path

    def __setitem__(self, path: str, value: object) -> None:
        steps = value if isinstance(value, list) and any(map(callable, value)) else [value]
        answers = [step for step in steps if not callable(step)]
        if answers:
            super().__setitem__(path, answers[-1])
        else:
            self.pop(path, None)
        if len(steps) == len(answers):
            self._misbehave(path, [])
        else:
            self._misbehave(path, [step if callable(step) else _always(step) for step in steps])

    def __delitem__(self, path: str) -> None:
        super().__delitem__(path)
        self._misbehave(path, [])


def _always(value: object) -> Behaviour:
    told = value if isinstance(value, Answer) else Answer(value)
    return lambda request, answer: told.reply(request)


# -- the server --------------------------------------------------------------------------------


class _Gone(Exception):
    """Whoever asked is no longer there."""


class IndexServer:
    """A package index on a port of its own, while the context lasts.

    :param answers: by name, what is answered to ``BASE/NAME/json``; as `Answer` takes it
    :param latency: seconds before each answer; may be changed while it serves
    :param port: 0: any that is free
    :param recording: whether `requests` are kept
    """

    def __init__(
        self,
        answers: Mapping[str, object] | None = None,
        *,
        latency: float = 0,
        port: int = 0,
        recording: bool = True,
    ) -> None:
        self.answers = Answers()
        self.answers.update(answers or {})
        self.paths = Paths(self.misbehave)
        self.latency = latency
        #: The requests, in the order in which they came. Each is there before it is answered.
        self.requests: list[Request] = []
        #: The most requests that were under way at once: an answer that is out no longer counts.
        self.most_at_once = 0
        #: How many connections were opened.
        self.connections = 0
        #: Where it listens; 0 until it does.
        self.port = port
        self._recording = recording
        self._under_way = 0
        self._queues: dict[str | None, deque[Behaviour]] = {}
        self._errors: list[Exception]

    @classmethod
    def recorded(cls, **options: Any) -> IndexServer:
        """A server that knows the packages of ``tests/answers``."""
        return cls(recorded(), **options)

    @property
    def root(self) -> str:
        """The URL before all paths, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL of the index: a package is at ``URL/NAME/json``."""
        return f"{self.root}/pypi"

    def etag(self, name: str) -> str:
        """The ETag of the answer about ``name``, or at it if it is a path, with its quotes."""
        kept = self.paths if name.startswith("/") else self.answers
        answer = kept.answer(name)
        if answer is None:
            raise KeyError(name)
        return answer.etag

    def misbehave(
        self,
        name: str | None,
        behaviours: Behaviour | Sequence[Behaviour],
        *,
        then_well: bool = False,
    ) -> None:
        """Answer the next requests for ``name`` by these behaviours, one after the other.

        What was set for it before is forgotten; no behaviours at all means that all is well.

        :param name: of a package; or a path; or None for all that have none of their own
        :param then_well: each is used once; else the last one is used for ever
        """
        steps = [behaviours] if callable(behaviours) else list(behaviours)
        if name is not None and not name.startswith("/"):
            name = Answers.key(name)
        if steps:
            self._queues[name] = deque([*steps, well] if then_well else steps)
        else:
            self._queues.pop(name, None)

    def clear(self) -> None:
        """Forget what was asked so far; answers and behaviours stay. Only while it serves."""

        async def clear() -> None:
            self.requests = []
            self.most_at_once = self._under_way
            self.connections = 0

        # In the server's thread: who has just read an answer may be ahead of it, so that here
        # the request would still be under way.
        asyncio.run_coroutine_threadsafe(clear(), self._loop).result()

    def __enter__(self) -> IndexServer:
        # The port is open before the thread starts: who connects at once only waits.
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._socket.getsockname()[1]
        self._errors = []
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[ready], name="index server")
        self._thread.start()
        ready.wait()
        if self._errors:
            self._thread.join()
            raise self._errors[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._errors and error is None:  # a mistake in a behaviour, for instance
            raise self._errors[0]

    def _run(self, ready: threading.Event) -> None:
        try:
            # Without asyncio's debug mode, which `python -X dev` switches on: it is slow.
            asyncio.run(self._serve(ready), debug=False)
        except Exception as error:
            self._errors.append(error)
        finally:
            self._socket.close()
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=self._socket, backlog=512)
        ready.set()
        await self._stop.wait()
        server.close()
        for _ in range(3):  # who was just let in has to reach `_connected`, to be sent away
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        await asyncio.sleep(0)  # here the sockets are closed

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchanged(reader, writer):
                pass
            writer.close()
            await writer.wait_closed()
        except (OSError, _Gone, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # Only the end of the server cancels. Up to Python 3.11 asyncio complains of what is
            # raised here.
            pass
        except Exception as error:
            self._errors.append(error)
        finally:
            writer.transport.abort()

    async def _exchanged(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether there may be another one on this connection."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *lines = head[:-4].decode("latin-1").split("\r\n")
            method, target, version = line.split(" ")
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers.get("content-length", 0))
        except (ValueError, asyncio.LimitOverrunError):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return False
        self._under_way += 1
        try:
            self.most_at_once = max(self.most_at_once, self._under_way)
            path, _, query = target.partition("?")
            request = Request(method, path, headers, 0, time.monotonic(), query)
            reply = self._reply(request)
            if self._recording:
                self.requests.append(request._replace(status=reply.status))
            if length:
                await reader.readexactly(length)
            if self.latency:
                await asyncio.sleep(self.latency)
            await _send(reply, method, reader, writer)
        finally:
            self._under_way -= 1
        if reply.closes or version == "HTTP/1.0":
            return False
        return headers.get("connection", "").lower() != "close"

    def _reply(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return Reply(405, {"Allow": "GET, HEAD", "Content-Length": "0"})
        key = request.path
        answer = self.paths.answer(key)
        if answer is None and (asked := re.fullmatch("/pypi/([^/]+)/json", key)):
            key = Answers.key(unquote(asked[1]))
            answer = self.answers.answer(key)
        queue = self._queues.get(key) or self._queues.get(None)
        behave = well if not queue else queue.popleft() if len(queue) > 1 else queue[0]
        return behave(request, answer or NOT_FOUND)


async def _send(
    reply: Reply, method: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if reply.before:
        await _pause(reply.before, reader)
    pieces = iter(reply.pieces)
    if reply.headers is not None:
        head = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        first = "\r\n".join([*head, "\r\n"]).encode("latin-1")
        if method == "HEAD" or reply.status == 304:
            pieces = iter(())
        elif not reply.between:
            first += next(pieces, b"")  # in one packet, where it is small
        writer.write(first)
    for piece in pieces:
        if reply.between:
            await _pause(reply.between, reader)
        await asyncio.sleep(0)  # for the others: `drain` goes on at once while there is room
        writer.write(piece)
        await writer.drain()
    await writer.drain()
    if reply.resets:
        end = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def _pause(seconds: float, reader: asyncio.StreamReader) -> None:
    """Wait, but not for somebody who is gone: what is under way should be counted truly."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not (reader.at_eof() or reader.exception()):
        left = end - loop.time()
        if left <= 0:
            return
        await asyncio.sleep(min(left, 0.02))
    raise _Gone


@cache
def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unheard Of"


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A package index on 127.0.0.1, for benchmarks.")
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--packages", type=int, help="serve so many made-up ones, not the recorded")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    given = parser.parse_args(arguments)
    answers = recorded() if given.packages is None else generated(given.packages)
    server = IndexServer(answers, latency=given.latency, port=given.port, recording=False)
    with server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
