"""What GitHub and GitLab say of repositories, asked of a server that answers as they do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from indexserver import Behaviour, IndexServer, Request, closed, html, redirect, status

from authdb.answers import Kept
from authdb.exceptions import AuthDBError
from authdb.fetching import Fetcher, FetchError
from authdb.fields import REPOSITORY_STATUS
from authdb.hosts import Hosts, Repository, Tired, address
from authdb.models import FIELDS

GITHUB = "https://github.com/people/project"
GITLAB = "https://gitlab.com/group/sub/project"
AT_GITHUB = "/repos/people/project"
AT_GITLAB = "/api/v4/projects/group%2Fsub%2Fproject"

PROJECT = {
    "full_name": "people/project",
    "html_url": GITHUB,
    "archived": False,
    "pushed_at": "2026-11-20T23:30:00Z",
    "stargazers_count": 5,
}
COMMITS = [{"sha": "1", "commit": {"committer": {"name": "x", "date": "2026-11-19T01:00:00Z"}}}]
GITLAB_PROJECT = {"path_with_namespace": "group/sub/project", "web_url": GITLAB, "archived": False}
GITLAB_COMMITS = [{"id": "1", "committed_date": "2026-11-19T23:30:00.000-03:00"}]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """One server that is both hosts, each with a repository."""
    for name in "GITHUB_TOKEN", "GITLAB_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy":
        monkeypatch.delenv(name, raising=False)
    with IndexServer() as server:
        monkeypatch.setenv("AUTHDB_GITHUB_URL", f"{server.root}/")  # the slash makes no difference
        monkeypatch.setenv("AUTHDB_GITLAB_URL", f"{server.root}/api/v4")
        server.paths[AT_GITHUB] = PROJECT
        server.paths[f"{AT_GITHUB}/commits"] = COMMITS
        server.paths[AT_GITLAB] = GITLAB_PROJECT
        server.paths[f"{AT_GITLAB}/repository/commits"] = GITLAB_COMMITS
        yield server


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Fetcher(timeout=2) as fetcher:
        yield Hosts(fetcher)


def told(hosts: Hosts, link: str = GITHUB, **options: Any) -> Repository:
    found, kept = hosts.ask(link, options.pop("kept", None), **options)
    for field, value in found.facts():
        FIELDS[field].check(value)
    assert kept.url == address(link)
    return found


def paths(server: IndexServer) -> list[str]:
    return [request.path for request in server.requests]


# -- what is told --------------------------------------------------------------------------------


def test_github(server: IndexServer, hosts: Hosts) -> None:
    assert told(hosts) == Repository(
        f"GitHub, {GITHUB}", "active", date(2026, 11, 20), date(2026, 11, 19)
    )
    assert paths(server) == [AT_GITHUB, f"{AT_GITHUB}/commits"]
    assert server.requests[1].query == "per_page=1"
    assert dict(told(hosts).facts()) == {
        "repository_status": "active",
        "moved_to": None,  # which is known: it has not
        "last_push": date(2026, 11, 20),
        "last_commit": date(2026, 11, 19),
    }


def test_gitlab(server: IndexServer, hosts: Hosts) -> None:
    """A day is one in UTC."""
    found = told(hosts, GITLAB)
    assert found == Repository(f"GitLab, {GITLAB}", "active", None, date(2026, 11, 20))
    assert paths(server) == [AT_GITLAB, f"{AT_GITLAB}/repository/commits"]
    assert "last_push" not in dict(found.facts())  # of that it does not speak


@pytest.mark.parametrize(
    ("link", "path", "project"),
    [(GITHUB, AT_GITHUB, PROJECT), (GITLAB, AT_GITLAB, GITLAB_PROJECT)],
    ids=["GitHub", "GitLab"],
)
def test_archived(
    server: IndexServer, hosts: Hosts, link: str, path: str, project: dict[str, Any]
) -> None:
    server.paths[path] = {**project, "archived": True}
    assert told(hosts, link).status == "archived"
    assert told(hosts, link).status in REPOSITORY_STATUS


def test_moved_at_github(server: IndexServer, hosts: Hosts) -> None:
    """It redirects to a number, and what is there has another name."""
    server.paths[AT_GITHUB] = redirect("/repositories/7", 301)
    server.paths["/repositories/7"] = {
        **PROJECT,
        "full_name": "others/new",
        "html_url": "https://github.com/others/new",
    }
    server.paths[f"{AT_GITHUB}/commits"] = redirect("/repositories/7/commits?per_page=1", 301)
    server.paths["/repositories/7/commits"] = COMMITS
    found = told(hosts)
    assert found.moved_to == "https://github.com/others/new"
    assert (found.status, found.last_commit) == ("active", date(2026, 11, 19))


def test_moved_at_gitlab(server: IndexServer, hosts: Hosts) -> None:
    there = {**GITLAB_PROJECT, "path_with_namespace": "a/b", "web_url": "https://gitlab.com/a/b"}
    server.paths[AT_GITLAB] = redirect("/api/v4/projects/7", 301)
    server.paths["/api/v4/projects/7"] = there
    assert told(hosts, GITLAB).moved_to == "https://gitlab.com/a/b"


def test_the_case_of_a_name_is_no_move(server: IndexServer, hosts: Hosts) -> None:
    server.paths[AT_GITHUB] = {**PROJECT, "full_name": "People/Project"}
    assert told(hosts).moved_to is None


def test_where_it_moved_has_to_be_a_link(server: IndexServer, hosts: Hosts) -> None:
    server.paths[AT_GITHUB] = {**PROJECT, "full_name": "a/b", "html_url": "javascript:alert(1)"}
    assert told(hosts).moved_to is None


@pytest.mark.parametrize("code", [404, 410, 451])
@pytest.mark.parametrize(("link", "path"), [(GITHUB, AT_GITHUB), (GITLAB, AT_GITLAB)])
def test_gone(server: IndexServer, hosts: Hosts, link: str, path: str, code: int) -> None:
    server.paths[path] = status(code, {"message": "gone"})
    found = told(hosts, link)
    assert dict(found.facts()) == {"repository_status": "gone", "moved_to": None}
    assert len(server.requests) == 1


@pytest.mark.parametrize("pushed", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_day_outside_of_all_years_is_not_known(
    server: IndexServer, hosts: Hosts, pushed: str
) -> None:
    server.paths[AT_GITHUB] = {**PROJECT, "pushed_at": pushed}
    assert told(hosts).last_push is None


# -- commits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        (None, True),
        (date(2026, 11, 19), True),
        (date(2026, 11, 20), False),
        (date(2026, 11, 21), False),
    ],
)
def test_commits_are_asked_for_where_something_was_pushed_since(
    server: IndexServer, hosts: Hosts, known: date | None, asked: bool
) -> None:
    found = told(hosts, known_commit=known)
    assert (f"{AT_GITHUB}/commits" in paths(server)) == asked
    assert found.last_commit == (date(2026, 11, 19) if asked else known)


def test_commits_are_asked_for_where_nobody_says_when_something_was_pushed(
    server: IndexServer, hosts: Hosts
) -> None:
    server.paths[AT_GITHUB] = {**PROJECT, "pushed_at": None}
    assert told(hosts, known_commit=date(2026, 11, 30)).last_commit == date(2026, 11, 19)
    assert told(hosts, GITLAB, known_commit=date(2026, 11, 30)).last_commit is not None


@pytest.mark.parametrize("code", [403, 500])
def test_commits_that_could_not_be_heard_are_not_taken_for_none(
    server: IndexServer, hosts: Hosts, code: int
) -> None:
    server.paths[f"{AT_GITHUB}/commits"] = status(code)
    with pytest.raises(AuthDBError, match=f"its commits: {code}"):
        told(hosts)


@pytest.mark.parametrize(
    "commits",
    [
        status(409, {"message": "Git Repository is empty."}),
        status(404),
        [],
        [{"commit": {"committer": None}}],
        [{"commit": {"committer": {}}}],
    ],
    ids=["empty repository", "404", "none", "nobody", "no date"],
)
def test_a_repository_without_commits(server: IndexServer, hosts: Hosts, commits: Any) -> None:
    server.paths[f"{AT_GITHUB}/commits"] = commits if callable(commits) else [*commits]
    found = told(hosts)
    assert (found.status, found.last_commit) == ("active", None)


# -- what is known -------------------------------------------------------------------------------


@pytest.mark.parametrize(("link", "path"), [(GITHUB, AT_GITHUB), (GITLAB, AT_GITLAB)])
def test_what_is_known_is_not_sent_again(
    server: IndexServer, hosts: Hosts, link: str, path: str
) -> None:
    found, kept = hosts.ask(link, None)
    assert (kept.url, kept.etag) == (address(link), server.etag(path))
    server.clear()
    again, kept_again = hosts.ask(link, kept)
    assert (again, kept_again) == (found, kept)
    assert [(request.path, request.status) for request in server.requests] == [(path, 304)]
    assert server.requests[0].headers["if-none-match"] == server.etag(path)


def test_what_has_changed_is_told_anew(server: IndexServer, hosts: Hosts) -> None:
    _, kept = hosts.ask(GITHUB, None)
    server.paths[AT_GITHUB] = {**PROJECT, "archived": True}
    found, newer = hosts.ask(GITHUB, kept)
    assert found.status == "archived"
    assert newer.etag == server.etag(AT_GITHUB) != kept.etag


@pytest.mark.parametrize("facts", [b"", b"[]", b"\xff", b'{"source": "\xff"}', b'{"status": 1}'])
def test_what_was_kept_and_cannot_be_read_is_asked_for_anew(
    server: IndexServer, hosts: Hosts, facts: bytes
) -> None:
    found, kept = hosts.ask(GITHUB, None)
    assert hosts.ask(GITHUB, kept._replace(facts=facts)) == (found, kept)


def test_an_answer_that_nothing_is_known_of(server: IndexServer, hosts: Hosts) -> None:
    server.paths[AT_GITHUB] = status(304)
    with pytest.raises(AuthDBError, match="304 Not Modified"):
        hosts.ask(GITHUB, None)


# -- enough --------------------------------------------------------------------------------------

RESET = int(datetime(2026, 11, 26, 14, 5, tzinfo=timezone.utc).timestamp())
QUOTA = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(RESET)}


def ask_all(hosts: Hosts, count: int, link: str = GITHUB) -> list[str]:
    """Why there was no answer about each of so many repositories."""
    reasons = []
    for number in range(count):
        with pytest.raises(Tired) as raised:
            hosts.ask(f"{link}{number or ''}", None)
        reasons.append(str(raised.value))
    return reasons


@pytest.mark.parametrize(
    "behaviour",
    [
        status(403, {"message": "rate limit"}, headers=QUOTA),
        status(429, headers=QUOTA, retry_after=3600),
        status(403, headers={key[2:]: value for key, value in QUOTA.items()}),
    ],
    ids=["403", "429", "as GitLab writes it"],
)
@pytest.mark.parametrize(("link", "name"), [(GITHUB, "GitHub"), (GITLAB, "GitLab")])
def test_a_host_that_has_had_enough_is_asked_no_more(
    server: IndexServer, hosts: Hosts, behaviour: Behaviour, link: str, name: str
) -> None:
    server.misbehave(None, behaviour)
    text = (
        f"{name} has answered often enough until 14:05 UTC: with a token in "
        f"{name.upper()}_TOKEN it answers more often"
    )
    server.paths.clear()
    assert ask_all(hosts, 4, link) == [text] * 4
    assert len(server.requests) == 1
    assert list(hosts.remarks()) == [f"{text}; 4 repositories were not asked about"]


def test_the_other_host_is_still_asked(server: IndexServer, hosts: Hosts) -> None:
    server.paths[AT_GITHUB] = status(403, headers=QUOTA)
    assert len(ask_all(hosts, 1)) == 1
    assert told(hosts, GITLAB).status == "active"
    [remark] = hosts.remarks()
    assert remark.endswith("; 1 repository was not asked about")


def test_who_tires_at_the_commits_was_not_asked_about_that_one_either(
    server: IndexServer, hosts: Hosts
) -> None:
    server.paths[f"{AT_GITHUB}/commits"] = status(403, headers=QUOTA)
    ask_all(hosts, 3)
    [remark] = hosts.remarks()
    assert remark.endswith("; 3 repositories were not asked about")
    assert len(server.requests) == 2


def test_remarks_count_each_repository_once_whatever_the_threads_do(
    server: IndexServer, hosts: Hosts
) -> None:
    server.latency = 0.05
    server.misbehave(None, status(403, headers=QUOTA))
    server.paths.clear()
    caught = []

    def ask(number: int) -> None:
        try:
            hosts.ask(f"{GITHUB}{number}", None)
        except Tired as error:
            caught.append(error)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(caught) == 20
    [remark] = hosts.remarks()
    assert remark.endswith("; 20 repositories were not asked about")


def test_who_asks_to_be_left_alone_is(server: IndexServer, hosts: Hosts) -> None:
    """GitHub's other limit, for who asks too fast, comes with some of the quota left."""
    sent = {"X-RateLimit-Remaining": "40"}
    server.paths[AT_GITHUB] = status(403, headers=sent, retry_after=60)
    ask_all(hosts, 2)
    assert len(server.requests) == 1


@pytest.mark.parametrize("reset", ["", "soon", "-1", "9" * 30, "\xb2"])
def test_a_time_that_is_none_is_not_told(server: IndexServer, hosts: Hosts, reset: str) -> None:
    sent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    server.paths[AT_GITHUB] = status(403, headers=sent)
    [reason] = ask_all(hosts, 1)
    assert reason.startswith("GitHub has answered often enough: with a token")


def test_another_403_is_about_one_repository(server: IndexServer, hosts: Hosts) -> None:
    server.paths[AT_GITHUB] = status(403, headers={"X-RateLimit-Remaining": "59"})
    with pytest.raises(AuthDBError, match="403 Forbidden") as raised:
        hosts.ask(GITHUB, None)
    assert not isinstance(raised.value, Tired)
    assert list(hosts.remarks()) == []
    assert told(hosts, GITLAB).status == "active"


@pytest.mark.parametrize("token", ["", "ghp_secret"])
def test_401(
    server: IndexServer, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    server.paths[AT_GITHUB] = status(401)
    text = f"GitHub {'refuses the' if token else 'wants a'} token in GITHUB_TOKEN"
    assert ask_all(hosts, 2) == [text] * 2
    assert list(hosts.remarks()) == [f"{text}; 2 repositories were not asked about"]


def test_a_host_that_cannot_be_reached(
    hosts: Hosts, server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHDB_GITHUB_URL", "http://127.0.0.1:1")
    text = "GitHub cannot be reached (no connection (Connection refused))"
    assert ask_all(hosts, 3) == [text] * 3
    assert list(hosts.remarks()) == [f"{text}; 3 repositories were not asked about"]


def test_a_connection_that_breaks_is_about_one_repository(
    hosts: Hosts, server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authdb.fetching._Patient.get_backoff_time", lambda self: 0)
    server.paths[AT_GITHUB] = closed()
    with pytest.raises(FetchError):
        hosts.ask(GITHUB, None)
    server.paths[AT_GITHUB] = PROJECT
    assert told(hosts).status == "active"
    assert list(hosts.remarks()) == []


# -- tokens --------------------------------------------------------------------------------------


def test_each_host_is_told_its_own_token(
    server: IndexServer, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", " ghp_secret\n")  # as a file gives it
    monkeypatch.setenv("GITLAB_TOKEN", "glpat-secret")
    told(hosts)
    told(hosts, GITLAB)
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer ghp_secret"] * 2 + ["Bearer glpat-secret"] * 2


@pytest.mark.parametrize("token", ["", " ", "sec\nret", "sec\r\nX-Evil: ret", "sécret", "sec\x00"])
def test_what_no_header_can_hold_is_no_token(
    server: IndexServer, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.environ", {"AUTHDB_GITHUB_URL": server.root, "GITHUB_TOKEN": token})
        told(hosts)
    for request in server.requests:
        assert "authorization" not in request.headers
        assert "x-evil" not in request.headers


@pytest.mark.parametrize(
    "behaviour",
    [
        status(401),
        status(403, headers=QUOTA),
        status(403),
        status(404),
        status(418),
        html(),
        closed(),
        redirect("http://127.0.0.1:1/"),
    ],
)
def test_no_message_tells_the_token(
    server: IndexServer, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour
) -> None:
    monkeypatch.setattr("authdb.fetching._Patient.get_backoff_time", lambda self: 0)
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    server.paths[AT_GITHUB] = behaviour
    try:
        said = repr(hosts.ask(GITHUB, None))
    except AuthDBError as error:
        said = f"{error} {error!r} {error.__cause__!r}"
    assert "ghp_secret" not in said + "".join(hosts.remarks())
    if "often enough" in said:
        assert "with a token" not in said  # there is one


def test_where_a_repository_moved_to_is_told_no_token(
    server: IndexServer, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    with IndexServer() as other:
        other.paths["/x"] = PROJECT
        server.paths[AT_GITHUB] = redirect(f"{other.root}/x")
        told(hosts)
        assert "authorization" not in other.requests[0].headers


# -- what is no answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"full_name": 5}',
        b"\xff\xfe",
        b'{"full_name": "\xff", "html_url": ""}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"full_name": "a/b", "html_url": "x", "pushed_at": "yesterday"}',
        b'{"full_name": "a/b", "html_url": "x", "archived": "no"}',
        b'{"full_name": "a/b", "html_url": "x", "archived": NaN}',
    ],
    ids=range(11),
)
@pytest.mark.parametrize(
    ("link", "path", "commits"),
    [
        (GITHUB, AT_GITHUB, f"{AT_GITHUB}/commits"),
        (GITLAB, AT_GITLAB, f"{AT_GITLAB}/repository/commits"),
    ],
    ids=["GitHub", "GitLab"],
)
def test_wrong_json_is_one_error_that_says_where(
    server: IndexServer, hosts: Hosts, link: str, path: str, commits: str, wrong: bytes
) -> None:
    for place in path, commits:
        if place == commits and wrong == b"[]":
            continue  # there are none
        before = server.paths[place]
        server.paths[place] = wrong
        with pytest.raises(AuthDBError) as raised:
            hosts.ask(link, None)
        server.paths[place] = before
        assert type(raised.value) is AuthDBError
        text = str(raised.value)
        assert text.startswith(f"{server.root}{place}")
        assert ": not the JSON of its host: " in text
        assert "\n" not in text
        assert len(text) < 400


@pytest.mark.parametrize("code", [204, 300, 400, 405, 418, 501])
def test_other_statuses_are_errors_of_one_repository(
    server: IndexServer, hosts: Hosts, code: int
) -> None:
    server.paths[AT_GITHUB] = status(code)
    with pytest.raises(AuthDBError, match=f"^{server.root}{AT_GITHUB}: {code} ") as raised:
        hosts.ask(GITHUB, None)
    assert not isinstance(raised.value, Tired)


# -- which links ---------------------------------------------------------------------------------

HUB, LAB = "https://api.github.com/repos", "https://gitlab.com/api/v4/projects"


@pytest.mark.parametrize(
    ("link", "where"),
    [
        ("https://github.com/a/b", f"{HUB}/a/b"),
        ("http://github.com/a/b", f"{HUB}/a/b"),
        ("https://www.github.com/a/b", f"{HUB}/a/b"),
        ("https://GitHub.com/A/b", f"{HUB}/A/b"),
        ("https://github.com/a/b/", f"{HUB}/a/b"),
        ("https://github.com//a//b", f"{HUB}/a/b"),
        ("https://github.com/a/b.git", f"{HUB}/a/b"),
        ("https://github.com/a/b.git/", f"{HUB}/a/b"),
        ("https://github.com/a/b.github.io", f"{HUB}/a/b.github.io"),
        ("https://github.com/a/b/tree/main", f"{HUB}/a/b"),
        ("https://github.com/a/b/blob/main/README.md#top", f"{HUB}/a/b"),
        ("https://github.com/a/b?tab=readme#x", f"{HUB}/a/b"),
        ("https://github.com:443/a/b", f"{HUB}/a/b"),
        ("https://me:secret@github.com/a/b", f"{HUB}/a/b"),
        ("git+https://github.com/a/b.git", f"{HUB}/a/b"),
        ("ssh://git@github.com/a/b.git", f"{HUB}/a/b"),
        ("https://github.com/a-b/c_d.e", f"{HUB}/a-b/c_d.e"),
        ("https://gitlab.com/a/b", f"{LAB}/a%2Fb"),
        ("https://gitlab.com/a/b/c/d", f"{LAB}/a%2Fb%2Fc%2Fd"),
        ("https://gitlab.com/a/b/c.git", f"{LAB}/a%2Fb%2Fc"),
        ("https://gitlab.com/a/b/-/tree/main", f"{LAB}/a%2Fb"),
        ("https://gitlab.com/a/b/c/-/issues", f"{LAB}/a%2Fb%2Fc"),
        ("https://gitlab.com/a/b/-", f"{LAB}/a%2Fb"),
        ("https://gitlab.com/a/b/tree/main", f"{LAB}/a%2Fb"),
        ("https://gitlab.com/a/b/c/blob/main/README.md", f"{LAB}/a%2Fb%2Fc"),
        ("https://gitlab.com/tree/b", f"{LAB}/tree%2Fb"),
    ],
)
def test_where_a_host_is_asked(monkeypatch: pytest.MonkeyPatch, link: str, where: str) -> None:
    for name in "AUTHDB_GITHUB_URL", "AUTHDB_GITLAB_URL":
        monkeypatch.delenv(name, raising=False)
    assert address(link) == where


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        "https://github.com",
        "https://github.com/a",
        "https://github.com/a/",
        "https://gitlab.com/a",
        "https://gitlab.com/a/-/x",
        "https://bitbucket.org/a/b",
        "https://codeberg.org/a/b",
        "https://gist.github.com/a/b",
        "https://api.github.com/repos/a/b",
        "https://a.github.io/a/b",
        "https://github.com.example.org/a/b",
        "https://github.com@example.org/a/b",
        "https://example.org/github.com/a/b",
        "https://notgithub.com/a/b",
        "git@github.com:a/b.git",
        "github.com/a/b",
        "https://[/a/b",
        "https://github.com/./b",
        "https://github.com/../b",
        "https://github.com/a/..",
        "https://github.com/a/.",
        "https://github.com/a/.git",
        "https://github.com/a/..git",
        "https://github.com/a/...git",
        "https://gitlab.com/a/b/../c",
        "https://gitlab.com/a/b/.git",
        "https://github.com/%2e%2e/b",
        "https://github.com/a/%2e%2e",
        "https://github.com/a/b%2f..",
        "https://github.com/a/b%3fx",
        "https://github.com/a%23/b",
        "https://github.com/a b/c",
        "https://github.com/a\\b/c",
        "https://github.com/a;b/c",
        "https://github.com/a/b@c",
        "https://github.com/é/b",
    ],
)
def test_links_of_which_no_host_is_asked(link: str | None) -> None:
    assert address(link) is None


STEPS = st.sampled_from(["a", "b.git", "..", ".", "%2e%2e", "-", "tree", ".git", "", "x?y", "a#b"])


@given(
    st.sampled_from(["https://github.com", "https://gitlab.com/", "git@github.com:"]),
    st.lists(STEPS | st.text(max_size=8), max_size=6),
)
@example("https://github.com", ["a", ".git"])
def test_no_link_leads_out_of_the_place_where_repositories_are(host: str, steps: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in "AUTHDB_GITHUB_URL", "AUTHDB_GITLAB_URL":
            patch.delenv(name, raising=False)
        where = address("/".join([host, *steps]))
    if where is None:
        return
    base = HUB if where.startswith(HUB) else LAB
    parts = where.removeprefix(f"{base}/").replace("%2F", "/").split("/")
    assert len(parts) >= 2
    for part in parts:
        assert part.isascii()
        assert part.strip(".") or len(part) > 2
        assert not set(part) & set("?#%/\\@: \n")


@given(st.text())
def test_any_text_may_be_asked_for(link: str) -> None:
    where = address(link)
    assert where is None or isinstance(where, str)


def test_the_address_of_a_host_can_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHDB_GITHUB_URL", "https://git.example.org/api/v3/")
    assert address(GITHUB) == "https://git.example.org/api/v3/repos/people/project"
    monkeypatch.setenv("AUTHDB_GITHUB_URL", "")
    assert address(GITHUB) == f"{HUB}/people/project"


def test_what_is_kept_is_kept_as_it_is_asked_for(server: IndexServer, hosts: Hosts) -> None:
    """Whoever looks for it again has only the link."""
    found, kept = hosts.ask(GITHUB, None)
    assert isinstance(kept, Kept)
    assert kept.url == address(GITHUB)
    assert isinstance(found, Repository)
    assert [type(request) for request in server.requests] == [Request] * 2
