"""What the hosts of repositories say of them: GitHub and GitLab, by their APIs.

Nothing is stored here. Both answer anybody so many times an hour (GitHub 60), and more often
whoever brings a token, which is read from ``GITHUB_TOKEN`` or ``GITLAB_TOKEN``. A host that has
had enough, or cannot be reached, is asked no more; that is told once, not for each repository.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from authdb.answers import Kept
from authdb.exceptions import AuthDBError, InvalidValue
from authdb.fetching import Answer, Fetcher, FetchError
from authdb.fields import Source, kinds

__all__ = ["Hosts", "Repository", "Tired", "address", "told_of"]

_STEP = re.compile(r"(?!\.{1,2}$)[\w.-]+", re.ASCII)
#: No project of GitLab may be called so: what follows leads into the one before.
_INSIDE = frozenset({"-", "blame", "blob", "commits", "raw", "tree", "wikis"})


# What stands in the place of an owner, and is none.
_NOBODY = ("orgs", "groups", "users")


class Repository(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a host says of a repository.

    ``status`` is one of `authdb.fields.REPOSITORY_STATUS`, ``moved_to`` the address that it has now
    if it has another one.
    """

    source: str
    status: str
    last_push: date | None = None
    last_commit: date | None = None
    moved_to: str | None = None

    def facts(self) -> Iterator[tuple[str, Any]]:
        """Each field of a package of which the host speaks, and its value."""
        yield "repository_status", self.status
        yield "moved_to", self.moved_to
        for field in ("last_push", "last_commit"):
            if getattr(self, field) is not None:
                yield field, getattr(self, field)


class Tired(AuthDBError):
    """A host that answers no more for now."""


# -- what is decoded -------------------------------------------------------------------------


class _GitHubProject(msgspec.Struct):
    full_name: str
    html_url: str
    archived: bool = False
    pushed_at: datetime | None = None


class _GitLabProject(msgspec.Struct):
    path_with_namespace: str
    web_url: str
    archived: bool = False


class _When(msgspec.Struct):
    date: datetime | None = None


class _Commit(msgspec.Struct):
    committer: _When | None = None


class _GitHubCommit(msgspec.Struct):
    commit: _Commit


class _GitLabCommit(msgspec.Struct):
    committed_date: datetime | None = None


class _Told(NamedTuple):
    """What a host tells of a repository at once."""

    path: str
    link: str
    archived: bool
    pushed: date | None = None


class _Host(NamedTuple):
    """How one host is asked, and its answers are read."""

    title: str
    token: str
    variable: str
    api: str
    #: the path of a repository -> the part of the address that leads to it
    where: Callable[[str], str]
    #: behind that, the part that leads to the newest commit of the default branch
    commits: str
    project: Callable[[Answer], _Told]
    commit: Callable[[Answer], datetime | None]

    @property
    def base(self) -> str:
        """The address of its API."""
        return (os.environ.get(self.variable) or self.api).rstrip("/")


def _github(answer: Answer) -> _Told:
    found = _decoded(answer, _GitHubProject)
    pushed = None if found.pushed_at is None else _day(found.pushed_at)
    return _Told(found.full_name, found.html_url, found.archived, pushed)


def _github_commit(answer: Answer) -> datetime | None:
    found = _decoded(answer, list[_GitHubCommit])
    committer = found[0].commit.committer if found else None
    return committer.date if committer else None


def _gitlab(answer: Answer) -> _Told:
    found = _decoded(answer, _GitLabProject)
    return _Told(found.path_with_namespace, found.web_url, found.archived)


def _gitlab_commit(answer: Answer) -> datetime | None:
    found = _decoded(answer, list[_GitLabCommit])
    return found[0].committed_date if found else None


_HOSTS: Mapping[str, _Host] = {
    "github.com": _Host(
        "GitHub",
        "GITHUB_TOKEN",
        "AUTHDB_GITHUB_URL",
        "https://api.github.com",
        lambda path: f"repos/{path}",
        "commits?per_page=1",
        _github,
        _github_commit,
    ),
    "gitlab.com": _Host(
        "GitLab",
        "GITLAB_TOKEN",
        "AUTHDB_GITLAB_URL",
        "https://gitlab.com/api/v4",
        lambda path: f"projects/{quote(path, safe='')}",
        "repository/commits?per_page=1",
        _gitlab,
        _gitlab_commit,
    ),
}


class _Place(NamedTuple):
    """A repository: its host, and its path there."""

    host: _Host
    path: str

    @property
    def address(self) -> str:
        """Where the host tells of it."""
        return f"{self.host.base}/{self.host.where(self.path)}"


# -- asking ----------------------------------------------------------------------------------


class Hosts:
    """The hosts that there are, asked by any number of threads."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._lock = threading.Lock()
        #: Hosts that answer no more, why, and how many repositories they were not asked about.
        self._tired: dict[str, tuple[str, int]] = {}

    def ask(
        self, link: str, kept: Kept | None, known_commit: date | None = None
    ) -> tuple[Repository, Kept]:
        """What the host says of the repository at ``link``, an address for which `address` is
        not None.

        :param kept: the last answer
        :param known_commit: the last commit that is known: if nothing was pushed since, there is
            none that is later, and none is asked for
        :raises Tired: the host is not asked any more
        :raises AuthDBError: there is no answer that can be used
        """
        place = _place(link)
        assert place is not None
        answer = self._get(place.host, place.address, kept.conditions() if kept else {})
        if answer.status == 304 and kept is not None:
            found = kept.read(Repository)
            if found is not None:
                return found, kept
            answer = self._get(place.host, place.address, {})
        before = None if kept is None else kept.read(Repository)
        if before is not None and before.last_commit is not None:
            known_commit = before.last_commit  # what is in a database may have been undone
        found = self._repository(place, f"{place.host.title}, {link}", answer, known_commit)
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        return found, Kept(place.address, etag, modified, 0, msgspec.json.encode(found))

    def remarks(self) -> Iterator[str]:
        """What is to be said of hosts that were not asked to the end."""
        for reason, count in self._tired.values():
            what = "repository was" if count == 1 else "repositories were"
            yield f"{reason}; {count:,} {what} not asked about"

    def _repository(
        self, place: _Place, source: str, answer: Answer, known: date | None
    ) -> Repository:
        if answer.status in (404, 410, 451):
            return Repository(source, "gone")
        if answer.status != 200:
            raise AuthDBError(f"{place.address}: {answer.reason}")
        told, commit = place.host.project(answer), known
        if told.pushed is None or known is None or told.pushed > known:
            commits = self._get(place.host, f"{place.address}/{place.host.commits}", {})
            if commits.status not in (200, 404, 409):  # of an empty one hosts answer such
                raise AuthDBError(f"{place.address}: its commits: {commits.reason}")
            moment = place.host.commit(commits) if commits.status == 200 else None
            commit = None if moment is None else _day(moment)
        moved = _link(told.link) if told.path.lower() != place.path.lower() else None
        return Repository(
            source, "archived" if told.archived else "active", told.pushed, commit, moved
        )

    def _get(self, host: _Host, address: str, headers: Mapping[str, str]) -> Answer:
        with self._lock:
            if host.title in self._tired:
                raise self._tired_of(host)
        token = _token(host)
        identity = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._fetcher.ask("GET", address, {**identity, **headers})
            reason = _refusal(host, answer)
        except FetchError as error:
            if not error.unreachable:
                raise
            reason = f"{host.title} cannot be reached ({error.reason})"
        if reason is None:
            return answer
        with self._lock:
            raise self._tired_of(host, reason)

    def _tired_of(self, host: _Host, reason: str = "") -> Tired:
        """Note that a host was not asked about one repository more."""
        reason, count = self._tired.get(host.title, (reason, 0))
        self._tired[host.title] = reason, count + 1
        return Tired(reason)


def address(link: str | None) -> str | None:
    """Where a host tells of the repository at ``link``; None where it is at none that is asked."""
    place = None if link is None else _place(link)
    return None if place is None else place.address


def told_of(source: Source | None) -> str | None:
    """The link of the repository that a host told of; None where the source is no host."""
    title, comma, link = ("" if source is None else source.source).partition(", ")
    return link if comma and title in {host.title for host in _HOSTS.values()} else None


def _place(link: str) -> _Place | None:
    """
    >>> _place("https://github.com/sunscrapers/djoser.git").path
    'sunscrapers/djoser'
    """
    try:
        parts = urlsplit(link)
    except ValueError:  # an IPv6 address that is none
        return None
    name = (parts.hostname or "").removeprefix("www.")
    host = _HOSTS.get(name)
    if host is None:
        return None
    steps = [step for step in parts.path.split("/") if step]
    if name == "github.com":  # what follows leads into the repository
        steps = steps[:2]
    else:
        inside = (at for at, step in enumerate(steps) if at and step in _INSIDE)
        steps = steps[: next(inside, None)]
    steps[-1:] = [step.removesuffix(".git") for step in steps[-1:]]
    good = (
        len(steps) > 1 and steps[0] not in _NOBODY and all(_STEP.fullmatch(step) for step in steps)
    )
    return _Place(host, "/".join(steps)) if good else None


def _token(host: _Host) -> str | None:
    token = os.environ.get(host.token, "").strip()
    return token if token.isascii() and token.isprintable() else None  # a header can hold no other


def _refusal(host: _Host, answer: Answer) -> str | None:
    """Why the host answers no more, if it does not."""
    if answer.status == 401:
        what = "refuses the" if _token(host) else "wants a"
        return f"{host.title} {what} token in {host.token}"
    enough = _limit(answer, "Remaining") == "0" or "Retry-After" in answer.headers
    if answer.status == 429 or (answer.status == 403 and enough):
        more = "" if _token(host) else f": with a token in {host.token} it answers more often"
        return f"{host.title} has answered often enough{_until(answer)}{more}"
    return None


def _limit(answer: Answer, name: str) -> str | None:
    """A header of the quota: GitHub writes it with an X, GitLab without."""
    headers = answer.headers
    return headers.get(f"X-RateLimit-{name}") or headers.get(f"RateLimit-{name}")


def _until(answer: Answer) -> str:
    reset = _limit(answer, "Reset")
    if reset and reset.isdecimal() and len(reset) < 12:
        return f" until {datetime.fromtimestamp(int(reset), timezone.utc):%H:%M} UTC"
    return ""


def _decoded(answer: Answer, kind: Any) -> Any:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AuthDBError(f"{answer.url}: not the JSON of its host: {error}") from None


def _day(moment: datetime) -> date | None:
    try:
        return (moment.astimezone(timezone.utc) if moment.tzinfo else moment).date()
    except OverflowError:  # in UTC it is outside of all years
        return None


def _link(text: str) -> str | None:
    try:
        link: str | None = kinds.URL.check("moved_to", text)
    except InvalidValue:
        return None
    return link
