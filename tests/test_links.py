"""Links: what is dead or has moved for sure is told, and what may be a trouble of the moment is not
taken for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from indexserver import IndexServer, Reply, Request, closed, redirect, redirect_loop, status

from authdb import Package
from authdb.fetching import Answer, Fetcher, FetchError
from authdb.links import Checked, _target, check, links_of
from authdb.watching import Concern


@pytest.fixture
def server() -> Iterator[IndexServer]:
    """A server with one page that is well."""
    with IndexServer() as server:
        server.paths["/well"] = {}
        yield server


def package(number: int = 0, **links: str) -> Package:
    return Package(f"p{number}", "P", **links)


def checked(*packages: Package, timeout: float = 5) -> Checked:
    with Fetcher(timeout=timeout) as fetcher:
        return check(packages, fetcher)


def of(server: IndexServer, path: str) -> Checked:
    """What comes of one link to ``path``, beside one that is well."""
    return checked(package(repository=f"{server.root}{path}", homepage=f"{server.root}/well"))


def methods(server: IndexServer, path: str) -> list[str]:
    return [request.method for request in server.requests if request.path == path]


def for_method(**answers: int) -> Any:
    """A page that answers HEAD and GET with different statuses."""

    def behave(request: Request, answer: Any) -> Reply:
        return status(answers[request.method])(request, answer)

    return behave


# -- one link --------------------------------------------------------------------------------


def test_what_is_well_is_not_told(server: IndexServer) -> None:
    assert of(server, "/well") == Checked([], {}, 1, False)
    assert methods(server, "/well") == ["HEAD"]


@pytest.mark.parametrize(("code", "words"), [(404, "404 Not Found"), (410, "410 Gone")])
def test_a_page_that_is_gone_is_dead(server: IndexServer, code: int, words: str) -> None:
    server.paths["/gone"] = status(code)
    found = of(server, "/gone")
    assert found.concerns == [Concern("dead", "p0", f"repository {server.root}/gone: {words}")]
    assert (found.unchecked, found.offline) == ({}, False)
    assert methods(server, "/gone") == ["HEAD", "GET"]


@pytest.mark.parametrize("refused", [403, 404, 405, 410, 501])
def test_where_head_is_refused_the_page_itself_is_asked(server: IndexServer, refused: int) -> None:
    server.paths["/page"] = for_method(HEAD=refused, GET=200)
    assert of(server, "/page")[:2] == ([], {})
    assert methods(server, "/page") == ["HEAD", "GET"]
    server.paths["/page"] = for_method(HEAD=405, GET=404)
    assert [each.kind for each in of(server, "/page").concerns] == ["dead"]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (status(403), "403 Forbidden"),
        (status(401), "401 Unauthorized"),
        (status(429, retry_after=0), "429"),
        (status(503, retry_after=0), "503"),
        (status(500, retry_after=0), "500"),
        (closed(), "closed"),
        (redirect_loop(301), "without end"),
        (redirect("file:///etc/passwd", 301), "no address of the web"),
        (redirect("ftp://example.org/", 301), "no address of the web"),
        (redirect("", 301), "no address of the web"),
        (redirect("http://[::1", 301), ""),
        (redirect("http://a b/", 301), ""),
        (redirect("http://a.org:99999/", 301), ""),
    ],
)
def test_trouble_that_may_pass_is_no_concern(
    server: IndexServer, behaviour: Any, words: str
) -> None:
    server.paths["/page"] = behaviour
    found = of(server, "/page")
    assert found.concerns == []
    assert list(found.unchecked) == [f"{server.root}/page"]
    assert words in found.unchecked[f"{server.root}/page"]


def test_what_is_slow_is_no_concern(server: IndexServer) -> None:
    class Slow:
        def ask(self, method: str, url: str, **_: Any) -> Answer:
            raise FetchError(url, "no answer in time")

    found = check([package(repository=f"{server.root}/page")], Slow())
    assert (found.concerns, list(found.unchecked.values())) == ([], ["no answer in time"])


# -- redirects -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 308])
def test_a_permanent_redirect_is_told_with_where_it_leads(server: IndexServer, code: int) -> None:
    server.paths["/old"] = redirect("/between", code)
    server.paths["/between"] = redirect(f"{server.root}/well", code)
    text = f"repository {server.root}/old has moved to {server.root}/well"
    assert of(server, "/old").concerns == [Concern("moved", "p0", text)]


@pytest.mark.parametrize("code", [302, 303, 307])
def test_a_passing_redirect_is_followed_and_not_told(server: IndexServer, code: int) -> None:
    server.paths["/page"] = redirect("/well", code)
    assert of(server, "/page")[:2] == ([], {})
    server.paths["/page"] = redirect("/missing", code)
    (concern,) = of(server, "/page").concerns
    assert concern.kind == "dead"
    assert concern.text.endswith(f"/page: 404 Not Found (by way of {server.root}/missing)")


def test_what_follows_a_passing_redirect_is_not_for_good(server: IndexServer) -> None:
    server.paths["/page"] = redirect("/new", 301)
    server.paths["/new"] = redirect("/session", 302)
    server.paths["/session"] = redirect("/well", 301)
    (concern,) = of(server, "/page").concerns
    assert concern.text.endswith(f"has moved to {server.root}/new")


def test_a_slash_at_the_end_is_not_worth_telling(server: IndexServer) -> None:
    server.paths["/page/"] = {}
    server.paths["/page"] = redirect("/page/", 301)
    assert of(server, "/page")[:2] == ([], {})


def test_a_redirect_that_ends_in_trouble_is_no_concern(server: IndexServer) -> None:
    server.paths["/page"] = redirect("/private", 301)
    server.paths["/private"] = status(403)
    found = of(server, "/page")
    assert found.concerns == []
    (why,) = found.unchecked.values()
    assert why == f"403 Forbidden (by way of {server.root}/private)"


def test_what_a_server_writes_cannot_reach_the_terminal(server: IndexServer) -> None:
    server.paths["/page"] = redirect("/\x1b[31mcaf\xe9 \x9b", 301)
    server.paths["/%1B%5B31mcaf%E9%20%9B"] = {}
    server.paths["/%1B[31mcaf%E9%20%9B"] = {}
    (concern,) = of(server, "/page").concerns
    assert concern.kind == "moved"
    assert concern.text.isascii()
    assert concern.text.isprintable()


# -- many links ------------------------------------------------------------------------------


def test_each_link_is_asked_once_and_told_of_each_package_that_has_it(server: IndexServer) -> None:
    gone = f"{server.root}/gone"
    found = checked(
        package(2, repository=gone, documentation=f"{gone}#readme", homepage=f"{server.root}/well"),
        package(1, moved_to=gone),
    )
    assert found.links == 2
    assert found.concerns == [
        Concern("dead", "p1", f"moved_to {gone}: 404 Not Found"),
        Concern("dead", "p2", f"repository, documentation {gone}: 404 Not Found"),
    ]
    assert methods(server, "/gone") == ["HEAD", "GET"]


def test_the_links_of_packages_are_known_by_link() -> None:
    found = links_of([package(1, repository="https://a.org/x#y", homepage="https://a.org/x")])
    assert found == {"https://a.org/x": {"p1": ["repository", "homepage"]}}
    assert links_of([package()]) == {}


def test_without_links_nobody_is_asked() -> None:
    assert checked(package()) == Checked([], {}, 0, False)


def test_no_host_is_asked_for_more_than_two_at_once(server: IndexServer) -> None:
    server.latency = 0.03
    for number in range(12):
        server.paths[f"/{number}"] = redirect("/well", 302)
    packages = [package(number, repository=f"{server.root}/{number}") for number in range(12)]
    assert checked(*packages)[:2] == ([], {})
    assert server.most_at_once == 2


class Fake:
    """What answers as it is told: a status, with where that leads, or an error to raise."""

    def __init__(self, answers: Mapping[str, Any], delay: float = 0) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.most: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self._lock = threading.Lock()
        self._delay = delay

    def ask(self, method: str, url: str, headers: Any = None, redirect: bool = True) -> Answer:
        assert not redirect
        assert urlsplit(url).scheme in ("http", "https")
        host = urlsplit(url).hostname or ""
        with self._lock:
            self.asked.append(url)
            self._now[host] = self._now.get(host, 0) + 1
            self.most[host] = max(self.most.get(host, 0), self._now[host])
        time.sleep(self._delay)
        with self._lock:
            self._now[host] -= 1
        answer = self.answers.get(url, 200)
        if isinstance(answer, Exception):
            raise answer
        code, location = answer if isinstance(answer, tuple) else (answer, None)
        return Answer(code, {"Location": location} if location else {}, b"", url)


def test_redirects_from_many_hosts_to_one_do_not_crowd_it() -> None:
    answers = {f"https://h{n}.org/": (302, f"https://all.org/{n}") for n in range(10)}
    fake = Fake(answers, delay=0.02)
    found = check([package(n, homepage=url) for n, url in enumerate(answers)], fake)
    assert found[:2] == ([], {})
    assert len(fake.asked) == 20
    assert fake.most["all.org"] == 2


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("http://a.org/x", "https://a.org/x", False),
        ("http://a.org/x", "https://a.org/x/", False),
        ("http://a.org", "https://a.org/", False),
        ("http://a.org:80/x", "https://A.org/x", False),
        ("https://a.org/x", "https://a.org/y", True),
        ("https://a.org/x", "https://www.a.org/x", True),
        ("https://a.org/x", "https://a.org/X", True),
        ("https://a.org/x", "https://a.org/x?to=y", True),
        ("http://a.org/x", "http://a.org:8080/x", True),
    ],
)
def test_which_other_addresses_are_worth_telling(start: str, end: str, told: bool) -> None:
    found = check([package(homepage=start)], Fake({start: (301, end)}))
    assert [each.kind for each in found.concerns] == ["moved"] * told
    assert found.unchecked == {}


# -- without a host, without a network -------------------------------------------------------

NOBODY = "http://no-such-host.invalid/x"


def nobody(errno: int) -> FetchError:
    """The error of a name that cannot be looked up, as the fetcher raises it."""
    from socket import gaierror

    from urllib3 import HTTPConnectionPool
    from urllib3.connection import HTTPConnection
    from urllib3.exceptions import MaxRetryError, NameResolutionError

    reason = NameResolutionError("host", HTTPConnection("host"), gaierror(errno, "told"))
    reason.__cause__ = gaierror(errno, "told")
    error = FetchError(NOBODY, "there is no host of that name", unreachable=True)
    error.__cause__ = MaxRetryError(HTTPConnectionPool("host"), NOBODY, reason)
    return error


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up as where there is a resolver, which not every machine has."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kw: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kw)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.usefixtures("resolver")
def test_a_name_that_is_nobodys_is_dead_where_other_hosts_answer(server: IndexServer) -> None:
    found = checked(package(repository=NOBODY, homepage=f"{server.root}/well"))
    assert not found.unchecked
    text = f"repository {NOBODY}: there is no host of that name"
    assert found.concerns == [Concern("dead", "p0", text)]
    assert not found.offline


def test_without_a_network_nothing_is_called_dead() -> None:
    from socket import EAI_NONAME

    other = "http://other.invalid/"
    fake = Fake({NOBODY: nobody(EAI_NONAME), other: FetchError(other, "no connection", True)})
    found = check([package(repository=NOBODY, homepage=other)], fake)
    assert found.concerns == []
    assert set(found.unchecked) == {NOBODY, other}
    assert found.offline


def test_a_look_up_that_fails_for_now_proves_nothing() -> None:
    from socket import EAI_AGAIN, EAI_NONAME

    for errno, kinds in ((EAI_NONAME, ["dead"]), (EAI_AGAIN, [])):
        packages = [package(repository=NOBODY, homepage="http://well.org/")]
        found = check(packages, Fake({NOBODY: nobody(errno)}))
        assert [each.kind for each in found.concerns] == kinds
        assert not found.offline


@pytest.mark.usefixtures("resolver")
def test_a_redirect_to_a_name_that_is_nobodys_is_dead(server: IndexServer) -> None:
    server.paths["/page"] = redirect(NOBODY, 301)
    found = checked(package(repository=f"{server.root}/page"))
    assert not found.unchecked
    assert [each.kind for each in found.concerns] == ["dead"]
    assert found.concerns[0].text.endswith(f"(by way of {NOBODY})")


def test_a_host_that_lets_nobody_in_is_no_concern_and_asked_only_once() -> None:
    links = [f"http://closed.org/{number}" for number in range(8)]
    fake = Fake({link: FetchError(link, "no connection", unreachable=True) for link in links})
    packages = [package(number, repository=link) for number, link in enumerate(links)]
    found = check([*packages, package(9, repository="http://well.org/")], fake)
    assert (found.concerns, set(found.unchecked)) == ([], set(links))
    assert sum(url in links for url in fake.asked) <= 2
    assert not found.offline


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        check([package(repository="http://a.org/")], Fake({"http://a.org/": ZeroDivisionError()}))


@pytest.mark.parametrize(
    "there",
    [
        *("http://localhost/x", "http://127.0.0.1:8080/", "http://[::1]/", "http://10.0.0.5/"),
        *(
            "http://192.168.1.1/",
            "http://169.254.169.254/meta",
            "https://db.internal/",
            "http://[x",
        ),
    ],
)
def test_nobody_elsewhere_sends_us_to_our_own_network(there: str) -> None:
    answer = Answer(302, {"Location": there}, b"", "")
    assert _target("https://example.org/docs", answer) is None


def test_within_a_network_of_ones_own_redirects_are_followed() -> None:
    answer = Answer(302, {"Location": "http://127.0.0.1:2/b"}, b"", "")
    assert _target("http://127.0.0.1:1/a", answer) == "http://127.0.0.1:2/b"
