"""What package indexes and the hosts of repositories say of packages: all of them asked, so many at
once, each with the conditions that spare an answer which is known.

Nothing is written here. One package of which nothing can be heard does not keep the others from it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timezone
from typing import NamedTuple

import msgspec

from authdb import hosts
from authdb.answers import Answers, Kept
from authdb.dates import first_day
from authdb.exceptions import AuthDBError, InvalidValue, shown
from authdb.fetching import Fetcher, FetchError, each
from authdb.fields import Release, kinds
from authdb.frameworks import NAMES as FRAMEWORKS
from authdb.models import Package
from authdb.moments import parse_span
from authdb.pypi import Project, project
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
    where the index tells of it, ``seen`` the day (in UTC).
    """

    name: str
    source: str
    seen: date
    project: Project | None = None
    repository: hosts.Repository | None = None
    failures: tuple[str, ...] = ()


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
        django, drf = (tuple(Release(r.version, r.date) for r in one.releases) for one in found)
        return Frameworks(django, drf, self.frameworks[0].seen, found[1].requires_django)


class _Wanted(NamedTuple):
    """What is asked about one package, with the last answers."""

    name: str
    kept: Kept | None = None
    repository: str | None = None
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
    if at_once < 1 or not timeout > 0:
        raise AuthDBError("at_once is a number from 1 on, and timeout more than no seconds")
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
        if ear.dead is not None and not any(one.project for one in heard.values()):
            raise ear.dead
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


def _wanted(package: Package, index: _Index, answers: Answers, repositories: bool) -> _Wanted:
    kept = answers.get(index.address(package.name))
    where = hosts.address(package.repository) if repositories else None
    if where is None:
        return _Wanted(package.name, kept)
    commit = None if package.last_commit is None else first_day(package.last_commit)
    return _Wanted(package.name, kept, package.repository, answers.get(where), commit)


def _before(span: str) -> float:
    """When that length of time ago was, in seconds since 1970."""
    try:
        moment = parse_span(span).before(datetime.now(timezone.utc))
    except ValueError as error:
        raise AuthDBError(f"since: {error}, not {shown(span)}") from None
    return (moment - datetime.fromtimestamp(0, timezone.utc)).total_seconds()


class _Index(NamedTuple):
    """A package index, and what its answers are called where facts say where they come from."""

    base: str
    title: str | None

    @classmethod
    def of(cls, url: str | None) -> _Index:
        # distlib is PyPA's own, and knows where the Python Package Index is.
        from distlib.index import DEFAULT_INDEX

        given = url or os.environ.get("AUTHDB_INDEX_URL") or DEFAULT_INDEX
        try:
            base = str(kinds.URL.check("the address of the index", given)).rstrip("/")
        except InvalidValue as error:
            raise AuthDBError(str(error)) from None
        return cls(base, "PyPI JSON, /pypi" if base == DEFAULT_INDEX.rstrip("/") else None)

    def address(self, name: str) -> str:
        """Where it tells of a project."""
        return f"{self.base}/{name}/json"

    def source(self, name: str) -> str:
        """The same, as the source of a fact."""
        return f"{self.title or self.base}/{name}/json"


class _Ear:
    """Asks about one package at a time, in any number of threads.

    ``kept`` are the answers that came; ``dead`` is why the index is asked no more.
    """

    def __init__(self, fetcher: Fetcher, index: _Index) -> None:
        self.hosts = hosts.Hosts(fetcher)
        self.kept: list[Kept] = []
        self.dead: FetchError | None = None
        self._fetcher, self._index = fetcher, index

    def hear(self, wanted: _Wanted) -> Heard:
        """What is said of a package."""
        told, repository, failures = None, None, []
        try:
            told = self._project(wanted)
        except FetchError as error:
            failures.append(error.reason)
        except AuthDBError as error:
            failures.append(str(error))
        if wanted.repository is not None:
            try:
                repository = self._repository(wanted, wanted.repository)
            except hosts.Tired:
                pass  # that is told once for all
            except AuthDBError as error:
                failures.append(str(error))
        source, today = self._index.source(wanted.name), datetime.now(timezone.utc).date()
        return Heard(wanted.name, source, today, told, repository, tuple(failures))

    def _project(self, wanted: _Wanted) -> Project:
        if self.dead is not None:
            raise self.dead
        address, kept = self._index.address(wanted.name), wanted.kept
        known = None if kept is None else _read(kept)
        conditions = kept.conditions() if kept is not None and known is not None else {}
        try:
            answer = self._fetcher.ask("GET", address, conditions)
        except FetchError as error:
            if error.unreachable:
                self.dead = error
            raise
        if answer.status == 304 and kept is not None and known is not None:
            self.kept.append(kept._replace(checked=time.time()))
            return known
        if answer.status in (404, 410):
            raise AuthDBError("the index has no such package")
        if answer.status != 200:
            raise AuthDBError(f"the index answers {answer.reason}")
        told = project(answer.body, wanted.name)
        etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        facts = msgspec.json.encode(told)
        self.kept.append(Kept(address, etag, modified, time.time(), facts))
        return told

    def _repository(self, wanted: _Wanted, link: str) -> hosts.Repository:
        told, kept = self.hosts.ask(link, wanted.repository_kept, wanted.last_commit)
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
    try:
        return msgspec.json.decode(kept.facts, type=Project)
    except msgspec.MsgspecError:
        return None
