"""Whether the links of packages still lead somewhere, and whether they lead elsewhere by now.

What is called dead is dead for sure: the server says so twice, or the name of the host is nobody's.
What may be a trouble of the moment is no concern, and is told apart.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import NamedTuple, Protocol
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from authdb.fetching import Answer, FetchError, each
from authdb.models import Package
from authdb.watching import Concern

__all__ = ["FIELDS", "Asker", "Checked", "check", "links_of"]

#: The fields that hold links, in the order in which they are told.
FIELDS = ("repository", "homepage", "documentation", "moved_to")

#: So many requests are open to one host, and to all of them together.
PER_HOST, AT_ONCE = 2, 10
#: So many redirects are followed.
HOPS = 10

_DEAD = (404, 410)
_PERMANENT, _REDIRECTS = (301, 308), (301, 302, 303, 307, 308)
#: The answers to HEAD that say nothing of the page: GET is asked too. Where a page is said to be
#: gone it is as well, since some servers know HEAD only for some of their pages.
_ASK_AGAIN = (403, 405, 501, *_DEAD)
#: Every character that an address may hold; a "%" is taken as one that stands before two digits.
_OF_ADDRESSES = "%/:=&?~#+!$,;'@()*[]"
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.IGNORECASE)


#: See `check`.
Progress = Callable[[str, int, int], object]


class Asker(Protocol):
    """What sends requests: an `authdb.fetching.Fetcher`."""

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        redirect: bool = True,
    ) -> Answer:
        """The answer; see `authdb.fetching.Fetcher.ask`."""


class Checked(NamedTuple):
    """What was found of links.

    ``concerns`` of the kinds "dead" and "moved", by name; ``unchecked``: link -> why it is not
    known what it leads to; ``links``, how many were asked. ``offline``: no host could be reached
    at all, so nothing is known of any of them.
    """

    concerns: list[Concern]
    unchecked: dict[str, str]
    links: int
    offline: bool


class _Outcome(NamedTuple):
    """What came of one link: a kind of concern, or none where all is well, and what is to be said.

    ``kind`` is also "unchecked" where nobody knows, and "nobody" where the host is not found.
    ``reached`` tells whether any host answered.
    """

    kind: str
    text: str = ""
    reached: bool = True


def links_of(packages: Iterable[Package]) -> dict[str, dict[str, list[str]]]:
    """Each distinct link, without its fragment -> the names of the packages that have it -> in
    which fields."""
    links: dict[str, dict[str, list[str]]] = {}
    for package in packages:
        for field in FIELDS:
            url = getattr(package, field)
            if url:
                fields = links.setdefault(urldefrag(url).url, {}).setdefault(package.name, [])
                fields.append(field)
    return links


def check(packages: Iterable[Package], fetcher: Asker, progress: Progress | None = None) -> Checked:
    """Ask each distinct link of ``packages`` once.

    A name of a host that cannot be found makes a link dead only if some other host could be
    reached: else it is most likely the network that is not there.

    :param progress: called with what is done, how many links are done, and how many there are
    """
    links = links_of(packages)
    outcomes: dict[str, _Outcome] = {}
    asking = _Asking(fetcher)
    for lane, found in each(_lanes(links), asking.all_of, AT_ONCE):
        if isinstance(found, Exception):
            raise found
        outcomes.update(zip(lane, found, strict=True))
        if progress is not None:
            progress("asking the links", len(outcomes), len(links))
    reached = any(outcome.reached for outcome in outcomes.values())
    concerns: list[Concern] = []
    unchecked = {}
    for url, having in links.items():
        kind, text, _ = outcomes[url]
        if kind == "unchecked" or (kind == "nobody" and not reached):
            unchecked[url] = text
        elif kind:
            kind, said = ("moved", " has moved to ") if kind == "moved" else ("dead", ": ")
            concerns += (
                Concern(kind, name, f"{', '.join(fields)} {url}{said}{text}")
                for name, fields in having.items()
            )
    concerns.sort(key=lambda concern: (concern.name, concern.kind))
    return Checked(concerns, unchecked, len(links), bool(links) and not reached)


def _lanes(links: Iterable[str]) -> list[list[str]]:
    """The links of each host in two lists, so that of two of them one is never waited for in vain:
    a thread asks those of a list one after the other."""
    by_host = defaultdict(list)
    for url in links:
        by_host[urlsplit(url).hostname].append(url)
    lanes = [[urls[start::PER_HOST] for start in range(PER_HOST)] for urls in by_host.values()]
    # One of each host, then the others.
    return [lane for lane in chain.from_iterable(zip_longest(*lanes, fillvalue=[])) if lane]


class _Asking:
    """Asks links, from any number of threads, of which two at most ask the same host."""

    def __init__(self, fetcher: Asker) -> None:
        self._fetcher = fetcher
        self._making = threading.Lock()
        # Redirects lead from one host to another, whatever lane they are in.
        self._turns: dict[str, threading.Semaphore] = {}
        # To ask a host for more that lets nobody in would take its time for each link.
        self._out_of_reach: dict[str, FetchError] = {}

    def all_of(self, urls: Iterable[str]) -> list[_Outcome]:
        """What comes of each of ``urls``."""
        return [self._outcome(url) for url in urls]

    def _outcome(self, url: str) -> _Outcome:
        """Go where the link leads, and tell what is there."""
        here, for_good = url, url
        for hop in range(HOPS):
            try:
                answer = self._ask(here)
            except FetchError as error:
                kind = "nobody" if _is_nobodys(error) else "unchecked"
                reached = hop > 0 or not error.unreachable
                return _Outcome(kind, f"{error.reason}{_by(url, here)}", reached)
            if answer.status not in _REDIRECTS:
                return _judged(url, here, for_good, answer)
            there = _target(here, answer)
            if there is None:
                return _Outcome("unchecked", f"{answer.reason}, to no address of the web")
            if answer.status in _PERMANENT and here == for_good:
                for_good = there
            here = there
        return _Outcome("unchecked", "it redirects without end")

    def _ask(self, url: str) -> Answer:
        """The answer to HEAD, or to GET where that tells nothing."""
        parts = urlsplit(url)
        host = parts.netloc.lower()
        with self._making:
            turn = self._turns.setdefault(parts.hostname or "", threading.Semaphore(PER_HOST))
        with turn:
            if host in self._out_of_reach:
                raise self._out_of_reach[host]
            try:
                answer = self._fetcher.ask("HEAD", url, redirect=False)
                if answer.status in _ASK_AGAIN:
                    answer = self._fetcher.ask("GET", url, redirect=False)
            except FetchError as error:
                if error.unreachable:
                    self._out_of_reach[host] = error
                raise
        return answer


def _judged(url: str, here: str, for_good: str, answer: Answer) -> _Outcome:
    """What the answer means with which the way from ``url`` ended, ``here``.

    :param for_good: where permanent redirects alone led to
    """
    if answer.status in _DEAD:
        return _Outcome("dead", f"{answer.reason}{_by(url, here)}")
    if answer.status >= 300:
        return _Outcome("unchecked", f"{answer.reason}{_by(url, here)}")
    if _same(for_good) != _same(url):
        return _Outcome("moved", for_good)
    return _Outcome("")


def _by(url: str, here: str) -> str:
    return "" if here == url else f" (by way of {here})"


def _target(here: str, answer: Answer) -> str | None:
    """Where a redirect leads; None where that is nowhere that may be asked.

    What a server wrote is shown to people, and asked of another one: it gets the form of an
    address, whatever it was.
    """
    location = answer.headers.get("Location") or ""
    try:
        raw = location.encode("latin-1")  # as headers are decoded
    except UnicodeEncodeError:
        raw = location.encode("utf-8", "replace")
    try:
        there = urldefrag(urljoin(here, quote(raw, safe=_OF_ADDRESSES))).url
        parts = urlsplit(there)
        good = bool(location) and parts.scheme in ("http", "https") and parts.port != 0
        host = parts.hostname or ""
    except ValueError:  # a port or an IPv6 address that is none
        return None
    if _is_at_home(host) and not _is_at_home(urlsplit(here).hostname or ""):
        return None
    return there if good and _HOST.fullmatch(host) and len(there) <= 2000 else None


def _is_at_home(host: str) -> bool:
    """Whether a host is this machine, or in its own network, by its name or address: where nobody
    elsewhere may send us."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _same(url: str) -> tuple[str, str, str]:
    """What two addresses have in common that are as good as one: they differ in the scheme, the
    port that goes with it, or a slash at the end."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    return f"{parts.hostname}{port}", parts.path.rstrip("/"), parts.query


def _is_nobodys(error: FetchError) -> bool:
    """Whether the host was looked up and is not there; a look-up that fails for now tells
    nothing."""
    from urllib3.exceptions import NameResolutionError

    cause = error.__cause__
    cause = getattr(cause, "reason", None) or cause
    if not isinstance(cause, NameResolutionError):
        return False
    return getattr(cause.__cause__, "errno", None) != socket.EAI_AGAIN
