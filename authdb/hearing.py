"""What package indexes and the hosts of repositories say of packages: all of them asked, so many at
once, each with the conditions that spare an answer which is known.

Nothing is written here. One package of which nothing can be heard does not keep the others from it.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timezone
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from authdb import hosts
from authdb.answers import Answers, Kept
from authdb.dates import first_day
from authdb.exceptions import AuthDBError, InvalidValue, shown
from authdb.fetching import Fetcher, FetchError, each
from authdb.fields import kinds
from authdb.frameworks import NAMES as FRAMEWORKS
from authdb.models import FIELDS, Package
from authdb.moments import parse_span
from authdb.pypi import Project, project, told_by_index
from authdb.reading import Reading
from authdb.releases import Frameworks

__all__ = ["AT_ONCE", "TIMEOUT", "Asked", "Heard", "Progress", "ask"]

#: So many requests are under way at once.
AT_ONCE = 10
#: Seconds that a server may take to connect, and between two bytes of its answer.
TIMEOUT = 10.0

#: Called with what is being done, how many packages are done, and how many there are.
Progress = Callable[[str, int, "int | None"], object]


class Heard(NamedTuple):
    """What was heard of one package.

    ``project`` and ``repository`` are None where nothing was; ``failures`` says why. ``source`` is
    where the index tells of it, ``seen`` the day (in UTC), ``link`` the repository that was asked
    about; ``missing`` tells that the index has no such project, although it answers about others.
    """

    name: str
    source: str
    seen: date
    project: Project | None = None
    repository: hosts.Repository | None = None
    link: str | None = None
    failures: tuple[str, ...] = ()
    missing: bool = False


class Asked(NamedTuple):
    """All that was heard.

    ``skipped`` are the packages that were asked about a short while ago, with what was heard then;
    ``remarks`` concern no single package; ``kept`` are the answers, for the next time. What was
    heard of Django and of Django REST Framework is in ``frameworks``, if they were asked about.
    """

    heard: tuple[Heard, ...]
    skipped: tuple[Heard, ...]
    remarks: tuple[str, ...]
    kept: tuple[Kept, ...]
    frameworks: tuple[Heard, ...] = ()

    @property
    def platform(self) -> Frameworks | None:
        """Which releases of the two there are; None where that is not known of both."""
        found = [one.project for one in self.frameworks if one.project is not None]
        if len(found) < len(FRAMEWORKS):
            return None
        django, drf = found  # in the order of `FRAMEWORKS`
        requires = drf.requires.get("requires_django")
        return Frameworks(django.releases, drf.releases, self.frameworks[0].seen, requires)


class _Wanted(NamedTuple):
    """What is asked about one package, with the last answers.

    ``repository`` is its link, if that is to be asked about; ``open`` tells whether the index says
    which one it is. ``last_commit`` is known of that one.
    """

    name: str
    kept: Kept | None = None
    repository: str | None = None
    open: bool = False
    repository_kept: Kept | None = None
    last_commit: date | None = None


def ask(
    db: Reading,
    names: Iterable[str] | None = None,
    *,
    index_url: str | None = None,
    since: str | None = None,
    repositories: bool = True,
    at_once: int = AT_ONCE,
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
) -> Asked:
    """Ask about packages; where all are asked about, about Django and Django REST Framework too.

    :param db: is read before anything is asked, and not afterwards
    :param names: which packages; None for all
    :param index_url: the address of a package index, which answers at ``BASE/NAME/json``; None for
        what ``AUTHDB_INDEX_URL`` says, else the Python Package Index
    :param since: leave out the packages that were asked about so short a while ago, such as "1d"
    :param repositories: whether to ask the hosts of repositories too
    :param at_once: so many requests are under way at once
    :param timeout: seconds that a server may take to connect, and between two bytes of its answer
    :param progress: called with what is done, how many packages are done, and of how many
    :raises PackageNotFound: there is no package of one of the names
    :raises FetchError: the index could not be reached at all
    :raises AuthDBError: ``index_url``, ``since`` or ``at_once`` make no sense
    """
    index = _Index.of(index_url)
    until = None if since is None else _before(since)
    if at_once < 1:
        raise AuthDBError(f"so many requests at once are a number from 1 on, not {at_once}")
    if not 0 < timeout < 10_000:
        raise AuthDBError(f"a timeout is a number of seconds, such as 10, not {timeout}")
    packages = db if names is None else dict.fromkeys(db[name] for name in names)
    wanted, skipped = [], []
    with Answers(db.path, read_only=True) as answers:
        for package in packages:
            one = _wanted(package, index, answers, repositories)
            if until is not None and one.kept is not None and one.kept.checked >= until:
                day = datetime.fromtimestamp(one.kept.checked, timezone.utc).date()
                skipped.append(Heard(one.name, index.source(one.name), day, _read(one.kept)))
            else:
                wanted.append(one)
        ours = {one.name for one in wanted}
        others = FRAMEWORKS if names is None and wanted else ()
        wanted += [
            _Wanted(name, answers.get(index.address(name))) for name in others if name not in ours
        ]
    with Fetcher(at_once, timeout) as fetcher:
        ear = _Ear(fetcher, index)
        heard = dict(_listen(ear, wanted, at_once, progress))
    if not any(one.project for one in heard.values()):
        _give_up(ear, index, list(heard.values()))
        heard = {name: one._replace(missing=False) for name, one in heard.items()}
    platform = tuple(heard[name] for name in others)
    remarks = [
        *ear.hosts.remarks(),
        *(
            f"{one.name}: {'; '.join(one.failures)}: what was known of it is kept"
            for one in platform
            if one.failures
        ),
    ]
    about = tuple(heard[one.name] for one in wanted if one.name in ours)
    return Asked(about, tuple(skipped), tuple(remarks), tuple(ear.kept), platform)


def _give_up(ear: _Ear, index: _Index, heard: list[Heard]) -> None:
    """Where nothing was heard of any package, for one reason, tell that once.

    :raises AuthDBError: that is so
    """
    if ear.silence is not None:
        raise ear.silence
    reasons = {failure for one in heard for failure in one.failures[:1]}
    if len(heard) > 2 and len(reasons) == 1:
        raise AuthDBError(
            f"{index.base}: {reasons.pop()}, about each of {len(heard):,} packages: is this a "
            "package index that answers at BASE/NAME/json?"
        )


def _wanted(package: Package, index: _Index, answers: Answers, repositories: bool) -> _Wanted:
    name, link = package.name, package.repository
    kept = answers.get(index.address(name))
    if not repositories:
        return _Wanted(name, kept)
    is_open = link is None or told_by_index(package.source("repository"), name)
    where = hosts.address(link)
    if link is None or where is None:
        return _Wanted(name, kept, None, is_open)
    commit, source = package.last_commit, package.source("last_commit")
    of_it = source is not None and source.source.endswith(link)
    known = first_day(commit) if commit is not None and of_it else None
    return _Wanted(name, kept, link, is_open, answers.get(where), known)


def _before(span: str) -> float:
    """When that length of time ago was, in seconds since 1970."""
    try:
        moment = parse_span(span).before(datetime.now(timezone.utc))
    except ValueError as error:
        raise AuthDBError(f"since: {error}, not {shown(span)}") from None
    return (moment - datetime.fromtimestamp(0, timezone.utc)).total_seconds()


class _Index(NamedTuple):
    """A package index, and what its answers are called where facts say where they come from.

    Who asks is told in ``headers``, and nowhere else.
    """

    base: str
    title: str | None
    headers: Mapping[str, str]

    @classmethod
    def of(cls, url: str | None) -> _Index:
        # distlib is PyPA's own, and knows where the Python Package Index is.
        from distlib.index import DEFAULT_INDEX

        given = (os.environ.get("AUTHDB_INDEX_URL") or DEFAULT_INDEX) if url is None else url
        address, headers = _without_identity(given.strip())
        if "@" in address.partition("://")[2].partition("/")[0] or "://" not in address:
            # Not quoted: there may be a password in it.
            raise AuthDBError("the index: its address begins with http:// or https:// and a host")
        try:
            base = (kinds.URL.check("the index", address) or "").rstrip("/")
        except InvalidValue as error:
            raise AuthDBError(f"the index: {error.reason}") from None
        if "?" in base or "#" in base:
            raise AuthDBError("the index: its address has neither a query (?) nor a fragment (#)")
        title = "PyPI JSON, /pypi" if base == DEFAULT_INDEX.rstrip("/") else None
        return cls(base, title, headers)

    def address(self, name: str) -> str:
        """Where it tells of a project."""
        return f"{self.base}/{name}/json"

    def source(self, name: str) -> str:
        """The same, as the source of a fact."""
        return f"{self.title or self.base}/{name}/json"


def _without_identity(url: str) -> tuple[str, Mapping[str, str]]:
    """The address without the name and the password in it, and the header that tells them."""
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    identity, at, host = authority.rpartition("@")
    if not (slashes and at):
        return url, {}
    told = base64.b64encode(unquote(identity).encode()).decode()
    return f"{scheme}://{host}{slash}{path}", {"Authorization": f"Basic {told}"}


class _Missing(AuthDBError):
    """The index has no such project."""


class _Ear:
    """Asks about one package at a time, in any number of threads.

    ``kept`` are the answers that came; ``silence`` is why there was none at last, if there was not.
    After a few times in a row the index is asked no more.
    """

    #: So many times, where the index cannot be reached, and where it is silent.
    PATIENCE, SILENT = 3, 12

    def __init__(self, fetcher: Fetcher, index: _Index) -> None:
        self.hosts = hosts.Hosts(fetcher)
        self.kept: list[Kept] = []
        self.silence: FetchError | None = None
        self._in_vain = 0
        self._fetcher, self._index = fetcher, index

    def hear(self, wanted: _Wanted) -> Heard:
        """What is said of a package."""
        told, repository, failures, missing = None, None, [], False
        try:
            told = self._project(wanted)
        except _Missing as error:
            failures.append(str(error))
            missing = True
        except FetchError as error:
            failures.append(error.reason)
        except AuthDBError as error:
            failures.append(str(error))
        link = wanted.repository
        if wanted.open and told is not None:
            link = told.links.get("repository")
        if hosts.address(link) is None:
            link = None
        if link is not None:
            try:
                repository = self._repository(wanted, link)
            except hosts.Tired:
                pass  # that is told once for all
            except AuthDBError as error:
                failures.append(str(error))
        source, today = self._index.source(wanted.name), datetime.now(timezone.utc).date()
        return Heard(wanted.name, source, today, told, repository, link, tuple(failures), missing)

    def _project(self, wanted: _Wanted) -> Project:
        if self.silence is not None and self._in_vain >= (
            self.PATIENCE if self.silence.unreachable else self.SILENT
        ):
            raise self.silence
        address, kept = self._index.address(wanted.name), wanted.kept
        known = None if kept is None else _read(kept)
        conditions = kept.conditions() if kept is not None and known is not None else {}
        try:
            answer = self._fetcher.ask("GET", address, {**self._index.headers, **conditions})
        except FetchError as error:
            self.silence = error
            self._in_vain += 1
            raise
        self.silence, self._in_vain = None, 0
        if answer.status == 304 and kept is not None and known is not None:
            self.kept.append(kept._replace(checked=time.time()))
            return known
        if answer.status in (404, 410):
            raise _Missing("the index has no such package")
        if answer.status != 200:
            raise AuthDBError(f"the index answers {answer.reason}")
        told = _checked(project(answer.body, wanted.name))
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        facts = msgspec.json.encode(told)
        self.kept.append(Kept(address, etag, modified, time.time(), facts))
        return told

    def _repository(self, wanted: _Wanted, link: str) -> hosts.Repository:
        same = link == wanted.repository
        told, kept = self.hosts.ask(
            link,
            wanted.repository_kept if same else None,
            wanted.last_commit if same else None,
        )
        self.kept.append(kept._replace(checked=time.time()))
        return told


def _listen(
    ear: _Ear, wanted: list[_Wanted], at_once: int, progress: Progress | None
) -> Iterator[tuple[str, Heard]]:
    for count, (one, heard) in enumerate(each(wanted, ear.hear, at_once), 1):
        if isinstance(heard, Exception):
            raise heard
        if progress is not None:
            progress("asking the package index", count, len(wanted))
        yield one.name, heard


def _read(kept: Kept) -> Project | None:
    """What is kept; None where that is damaged."""
    try:
        told = kept.read(Project)
        return None if told is None else _checked(told)
    except InvalidValue:
        return None


def _checked(told: Project) -> Project:
    """The same, if a package can hold all of it.

    :raises InvalidValue: a field refuses what was told
    """
    for field, value in (*told.facts(), *told.suggestions()):
        if value is not None:
            FIELDS[field].check(value)
    return told
