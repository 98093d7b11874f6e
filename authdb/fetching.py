"""Asking over HTTP: a bounded number of requests at once, bounded in time and in size, and patient
with servers that are busy.

urllib3 does the work: connections kept alive, retries with backoff, Retry-After. httpx takes three
times the processor for a request, which would be felt where there are a thousand.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    ProxyManager,
    Retry,
    Timeout,
    exceptions,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import make_headers, parse_url

from authdb._version import VERSION
from authdb.exceptions import FetchError

__all__ = ["Answer", "FetchError", "Fetcher", "each"]

#: Bytes of the longest answer that is taken. The longest of the package index have some millions.
LARGEST = 32 << 20
#: So many times a request is sent anew, where it failed for a reason that may pass.
RETRIES = 3
#: So many times it goes where the server points.
REDIRECTS = 5
#: A server that asks to be left alone for longer, in seconds, is: that is told, not waited for.
LONGEST_WAIT = 60
#: A whole answer takes so many times ``timeout`` at most, however busily its bytes trickle.
PATIENCE = 3

_BUSY = frozenset({429, 500, 502, 503, 504})
_LEADING = frozenset({301, 302, 303, 307, 308})
_USER_AGENT = f"authdb/{VERSION} (catalogue of Django REST Framework authentication packages)"


class Answer(NamedTuple):
    """What a server answered; the names of ``headers`` may be asked in any case, and ``url`` is
    where redirects led to."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def reason(self) -> str:
        """The status in words."""
        words = f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()
        wait = _wait(self.headers)
        return words + (f"; it asks to be left alone for {wait:,.0f} s" if wait else "")


class Fetcher:
    """A client that any number of threads may use; a context manager.

    :param at_once: so many connections to a host are kept
    :param timeout: seconds that a server may take to connect, and between two of its bytes
    """

    def __init__(self, at_once: int = 10, timeout: float = 10.0) -> None:
        self._options: dict[str, Any] = {
            "num_pools": 50,
            "maxsize": at_once,
            "timeout": Timeout(connect=timeout, read=timeout),
            "headers": {"User-Agent": _USER_AGENT, "Accept-Encoding": "gzip"},
        }
        self._pools: dict[str | None, PoolManager] = {}
        self._making = threading.Lock()
        self._stopped = threading.Event()
        # One new try where there is no connection: a name that is unknown stays so for a while.
        self._retry = _Patient(
            total=None,
            connect=1,
            read=RETRIES,
            status=RETRIES,
            other=1,
            status_forcelist=_BUSY,
            backoff_factor=0.5,
            raise_on_status=False,
        )
        self._retry.stopped = self._stopped

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        redirect: bool = True,
    ) -> Answer:
        """Send a request, and send it anew where that may help.

        :param redirect: whether to go where the server points, so many times as `REDIRECTS` says,
            and never from https to what is not
        :returns: the last answer, also one that tells of an error
        :raises FetchError: no whole answer came
        """
        here, sent = url, dict(headers or {})
        try:
            for _ in range(1 + REDIRECTS):
                answer = self._answer(method, here, sent)
                where = answer.headers.get("Location")
                if not (redirect and where and answer.status in _LEADING):
                    return answer
                there = urljoin(here, where)
                if _origin(there) != _origin(here):
                    if _origin(here)[0] == "https" != _origin(there)[0]:
                        raise _Refused("it leads from https to what is not")
                    sent = {key: sent[key] for key in sent if key.lower() != "authorization"}
                here = there
        except (exceptions.HTTPError, _Refused, ValueError) as error:
            reason, unreachable = _said(error)
            if here != url:  # that says nothing of the host of ``url``
                reason, unreachable = f"it leads on, and there: {reason}", False
            raise FetchError(url, reason, unreachable) from error
        raise FetchError(url, "too many redirects")

    def stop(self) -> None:
        """Let nobody wait any longer for a server that is busy."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.stop()
        for pool in self._pools.values():
            pool.clear()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a request that is sent anew where that may help.

        urllib3 could follow redirects too. But it would choose no other proxy for another host, and
        leave the connection open where it refuses to go on.
        """
        retries: Retry = self._retry
        pool = self._pool(url)
        all_headers = {**pool.headers, **headers}
        while True:
            response = pool.request(
                method,
                url,
                headers=all_headers,
                retries=retries,
                redirect=False,
                preload_content=False,
            )
            try:
                body = _body(response)
            except (exceptions.ProtocolError, exceptions.TimeoutError) as error:
                response.close()
                retries = (response.retries or retries).increment(method, url, error=error)
                retries.sleep()
                continue
            except BaseException:
                response.close()
                raise
            response.release_conn()
            return Answer(response.status, response.headers, body, url)

    @cached_property
    def _proxies(self) -> Mapping[str, str]:
        # Once: that looks through the whole environment.
        return getproxies()

    def _pool(self, url: str) -> PoolManager:
        """The connections that lead to ``url``: by the proxy that the environment names, if any."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme)
        if proxy and proxy_bypass(parts.hostname or ""):
            proxy = None
        with self._making:
            pool = self._pools.get(proxy)
            if pool is None:
                options = self._options
                pool = _through(proxy, options) if proxy else PoolManager(**options)
                pool.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}
                self._pools[proxy] = pool
        return pool


def _through(proxy: str, options: Mapping[str, Any]) -> ProxyManager:
    """The connections by way of ``proxy``, written as environments have it."""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    auth = parse_url(proxy).auth
    headers = make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return ProxyManager(proxy, proxy_headers=headers, **options)


class _Refused(Exception):
    """An answer that is not taken, or not waited for."""


# -- what is read, bounded -------------------------------------------------------------------
#
# A timeout of urllib3 is one between two bytes, and what it reads of the answers that it does not
# hand on, but tries again, is bounded in no way at all. So the bounds are below it.


class _Bounded(io.RawIOBase):
    """The bytes of one answer, from its first: for so long, and so many."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._timeout = sock.gettimeout() or 0
        self._until = time.monotonic() + PATIENCE * self._timeout
        self._room = LARGEST + (1 << 16)  # and what stands before the body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise _Refused("the answer comes too slowly")
        if left < self._timeout:
            self._sock.settimeout(left)
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            if left < self._timeout:
                raise _Refused("the answer comes too slowly") from None
            raise
        self._room -= count or 0
        if self._room < 0:
            raise _Refused(f"an answer of more than {LARGEST:,} bytes is too large")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Bounded(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SafeConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _SafeConnection


# -- patience --------------------------------------------------------------------------------


class _Patient(Retry):
    """urllib3's Retry, which can be stopped while it waits, and does not wait for long."""

    stopped = threading.Event()

    def new(self, **changes: Any) -> _Patient:
        """One with other numbers."""
        retry: Any = super().new(**changes)
        retry.stopped = self.stopped
        return retry  # type: ignore[no-any-return]

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> _Patient:
        """What is left after another try.

        :raises MaxRetryError: nothing is, or the server asks for too much patience
        """
        if response is not None and (_wait(response.headers) or 0) > LONGEST_WAIT:
            raise exceptions.MaxRetryError(_pool, url)  # the caller then gives the response
        left: Any = super().increment(method, url, response, error, _pool, _stacktrace)
        return left  # type: ignore[no-any-return]

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Wait until it is time for another try."""
        wait = None if response is None else _wait(response.headers)
        if self.stopped.wait(wait if wait is not None else self.get_backoff_time()):
            raise _Refused("interrupted")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _wait(headers: Mapping[str, str]) -> float | None:
    """For how many seconds a server asks to be left alone; None where it does not, or not in a way
    that can be understood."""
    text = headers.get("Retry-After")
    try:
        return None if text is None else _Patient(retry_after_max=10**9).parse_retry_after(text)
    except (exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _body(response: BaseHTTPResponse) -> bytes:
    """The whole of an answer."""
    chunks, size = [], 0
    if (response.length_remaining or 0) > LARGEST:
        raise _Refused(f"an answer of {response.length_remaining:,} bytes is too large")
    for chunk in response.stream(1 << 16, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST:  # unpacked
            raise _Refused(f"an answer of more than {LARGEST:,} bytes is too large")
    return b"".join(chunks)


def _said(error: BaseException) -> tuple[str, bool]:
    """What went wrong in words, and whether the host is out of reach."""
    if isinstance(error, exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    if isinstance(error, exceptions.ProxyError):
        return f"the proxy lets nobody through ({error.args[0]})", True
    if isinstance(error, exceptions.NameResolutionError):
        return "there is no host of that name", True
    if isinstance(error, exceptions.ConnectTimeoutError):
        # An error of the connection itself, such as that it is refused, is one of these too.
        cause = getattr(error.__cause__, "strerror", None)
        return f"no connection{f' ({cause})' if cause else ' in time'}", True
    if isinstance(error, exceptions.ReadTimeoutError):
        return "no answer in time", False
    if isinstance(error, exceptions.SSLError):
        return f"no safe connection ({error.args[0]})", True
    if isinstance(error, exceptions.ProtocolError):
        return "the connection was closed before the answer was whole", False
    if isinstance(error, exceptions.DecodeError):
        return "the answer cannot be unpacked", False
    text = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return text[:1].lower() + text[1:], False


# -- many at once ----------------------------------------------------------------------------

_I = TypeVar("_I")
_R = TypeVar("_R")


def each(
    items: Iterable[_I], do: Callable[[_I], _R], at_once: int
) -> Iterator[tuple[_I, _R | Exception]]:
    """Call ``do`` for each of ``items`` in threads of their own, so many ``at_once``.

    :returns: each item with what ``do`` gave or raised, in the order in which they come to an end

    Whoever does not go on to the end, as after Ctrl-C, waits for none of them. That is why it is
    no ThreadPoolExecutor: a program does not end before that one's threads have.
    """
    todo, done = SimpleQueue[Any](), SimpleQueue[Any]()
    count = 0
    for count, item in enumerate(items, 1):  # noqa: B007 - how many there are
        todo.put(item)
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((item, do(item)))
            except BaseException as error:  # whatever it is: somebody waits for each item
                done.put((item, error))

    for _ in range(min(at_once, count)):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in range(count):
            yield done.get()
    finally:
        stopped.set()
