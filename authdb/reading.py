"""`Reading`: what can be asked of an open database."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authdb.exceptions import (
    AuthDBError,
    CatalogAhead,
    DatabaseDamaged,
    PackageNotFound,
    QueryError,
)
from authdb.finding import Asking, answer
from authdb.models import Package, normalize_name
from authdb.moments import Moment, parse_moment
from authdb.pairing import Pair
from authdb.results import Result
from authdb.storage import MyZODB
from authdb.transactions import Session

if TYPE_CHECKING:
    from authdb.columns import Columns
    from authdb.counting import Counts
    from authdb.history import Change, Difference, Edit

__all__ = ["Reading", "as_moment", "normal"]


# Of so many packages that were looked at, one after the other, those are let go that nobody holds
# on to: ZODB would keep them until the end of the transaction.
_LOOKED_AT = 2000


class Reading:
    """What `AuthDB` answers.

    It asks a `Session`, and changes nothing in it.
    """

    _session: Session

    @property
    def path(self) -> Path | None:
        """The folder; None in memory."""
        return self._pair.folder

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._pair.read_only

    @property
    def trust(self) -> bool:
        """Whether the files were opened as those of someone who may run code here."""
        return self._pair.trust

    @property
    def moment(self) -> Moment | None:
        """The moment of the past that is shown; None where it is the present. See `open`."""
        return self._pair.as_of

    @property
    def today(self) -> date:
        """The day that is shown: today in UTC, or that of the moment of the past."""
        now = datetime.now(timezone.utc)
        if self.moment is None:
            return now.date()
        if isinstance(self.moment, datetime):  # the first instant that is no longer of it
            return min(self.moment - timedelta(microseconds=1), now).date()
        return self.log(1)[0].when.date()

    @property
    def healed(self) -> str | None:
        """What had to be done to the catalog on opening, in words; None as a rule."""
        return self._pair.healed

    @property
    def ahead(self) -> CatalogAhead | None:
        """That the objects had lost their last changes when it was opened, if they had."""
        return self._pair.ahead

    @property
    def generation(self) -> int:
        """How many changes there have been."""
        return int(self._root["generation"])

    @property
    def as_of(self) -> date | None:
        """The day as of which the facts hold, where the edition that was loaded says so."""
        day: date | None = self._root.get("as_of")
        return day

    @property
    def catalog(self) -> Any:
        """The `PackageCatalog` (repoze.catalog's Catalog)."""
        self._root  # noqa: B018 - raises where the database is closed
        self._session.index_edited()
        return self._pair.catalog

    @property
    def objects(self) -> Any:
        """A mapping, docid -> `Package`, in the order of docids."""
        return self._root["packages"]

    def get(self, name: str, default: Any = None) -> Any:
        """The package called ``name``, in whatever spelling; ``default`` where there is none."""
        docid = self._root["docids"].get(normal(name))
        return default if docid is None else self.objects[docid]

    def __getitem__(self, name: str) -> Package:
        """As `get`.

        :raises PackageNotFound: there is none
        """
        return self.objects[self._docid(name)]  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and normal(name) in self._root["docids"]

    def __len__(self) -> int:
        self._root  # noqa: B018 - raises where the database is closed
        return self._pair.size()

    def __bool__(self) -> bool:
        return True  # an empty database is one all the same

    def __iter__(self) -> Iterator[Package]:
        """The packages, in the order in which they were added.

        Those that there were when it began: packages may be changed and removed meanwhile.
        """
        objects = self.objects
        for count, docid in enumerate(array("i", objects.keys()), 1):
            if docid in objects:
                yield objects[docid]
            if count % _LOOKED_AT == 0:
                self._objects_file.connection.cacheGC()

    def names(self) -> Iterator[str]:
        """The names of the packages, in their order. No package is read for that, and no catalog.

        They may not change meanwhile.
        """
        return iter(self._root["docids"].keys())

    def find(
        self,
        query: Any = None,
        *,
        names: Mapping[str, Any] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> Result:
        """Ask which packages match.

        :param query: a query object, the same as text (see `authdb.query.parse_query`), or None
            for all packages
        :param names: values for the bare names in the query: the safe way for what comes from
            outside
        :param sort: ``last_update``, ``last_release``, ``last_commit``, ``name``, ``license``,
            or ``relevance`` of the text searches in the query; None for the order in which the
            packages were added. Those without the value come last either way
        :param reverse: the other way round
        :param limit: how many packages the result shows at most; its ``len`` is unlimited
        :param offset: how many it leaves out first
        :raises QueryError: with the position of the mistake, if the query is text
        """
        _page(limit, offset)
        what = query, names, sort, reverse, limit, offset
        asking = Asking(self._session, self._load, what)
        return Result(asking.found(), asking)

    def _load(self, docid: int) -> Package:
        try:
            return self.objects[docid]  # type: ignore[no-any-return]
        except KeyError:
            # What was found before a refresh may have been removed since.
            if docid in self.catalog["name"]._rev_index:
                what = f"docid {docid} is in the catalog, and no package: see: authdb check"
                raise DatabaseDamaged(self.path, what) from None
            raise PackageNotFound(
                str(docid), reason=f"the package of docid {docid} was removed since it was found"
            ) from None

    def facets(self, field: str = "categories", query: Any = None, *, names: Any = None) -> Counts:
        """How many packages there are of each category, or licence.

        :param field: ``categories`` or ``license``
        :param query: which packages are counted, as for `find`; None for all
        :param names: as for `find`
        :returns: a dict of keyword -> number of packages, the most frequent first; what none has
            is not in it. Its ``without`` is how many have no value, its ``total`` how many match
        :raises QueryError: as `find`; or packages cannot be counted by ``field``
        """
        from authdb import counting

        field = counting.check_facets(field)
        return self._counted(query, names, partial(counting.facets, field))

    def histogram(
        self,
        date_field: str = "last_update",
        by: str = "year",
        query: Any = None,
        *,
        names: Any = None,
    ) -> Counts:
        """How many packages have their date in each year, or month.

        A date that is known to the month or the year stands at its first day, as everywhere: in a
        histogram by month, one known to the year counts in January.

        :param date_field: ``last_update``, ``last_release`` or ``last_commit``
        :param by: ``year`` or ``month``
        :param query: which packages are counted, as for `find`; None for all
        :param names: as for `find`
        :returns: a dict of period ("2024", "2024-02") -> number of packages, in the order of time;
            periods without any are not in it. Its ``without`` is how many have no date, its
            ``total`` how many match
        :raises QueryError: as `find`; or there is no such histogram
        """
        from authdb import counting

        date_field, period = counting.check_histogram(date_field, by)
        return self._counted(query, names, partial(counting.histogram, date_field, period))

    def _counted(self, query: Any, names: Any, count: Callable[..., Counts]) -> Counts:
        """``count`` of what ``query`` matches."""
        from authdb.counting import docids_of, matched

        catalog, began = self._its_catalog, time.perf_counter()

        def ask(columns: Columns | None) -> Counts:
            if columns is not None:
                return count(catalog, matched(catalog, columns, query, names), columns)
            docids = None if query is None else docids_of(catalog, query, names)
            counts = count(catalog, docids, None)
            self._session.waited(time.perf_counter() - began)
            return counts

        return answer(self._session, ask)

    def _its_catalog(self) -> Any:
        return self.catalog

    # -- the past ----------------------------------------------------------------------------

    def log(self, limit: int | None = None, offset: int = 0) -> list[Change]:
        """What was changed, the newest change first.

        :param limit: how many changes at most
        :param offset: how many are left out first
        """
        from authdb.history import log

        if isinstance(limit, str):
            raise AuthDBError("log is that of the database: for a package's there is log_of(name)")
        _page(limit, offset)
        return list(log(self._objects_file, limit, offset))

    def log_of(self, name: str) -> list[Edit]:
        """What was done to the package of that name, and to those called so before; the newest
        first.

        :raises PackageNotFound: none is called so, and none was
        """
        from authdb.history import log_of

        return log_of(self._objects_file, normal(name))

    def diff(self, start: object, end: object = None) -> list[Difference]:
        """The packages that differ between two moments (see `open`).

        :param end: None for what is shown now
        :raises NoSuchMoment: the history that is kept does not reach back so far
        """
        from authdb.history import diff

        first, last = as_moment(start, "start"), as_moment(end, "end")
        if first is None:
            raise AuthDBError("start: a moment belongs here, such as '2 weeks ago'")
        return list(diff(self._objects_file, first, last))

    # -- within ------------------------------------------------------------------------------

    @property
    def _objects_file(self) -> MyZODB:
        self._root  # noqa: B018 - raises where the database is closed
        assert self._pair.objects is not None
        return self._pair.objects

    @property
    def _pair(self) -> Pair:
        return self._session.pair

    @property
    def _root(self) -> Any:
        return self._session.root

    def _docid(self, name: str) -> int:
        docids = self._root["docids"]
        docid = docids.get(normal(name))
        if docid is None:
            raise PackageNotFound(name, docids)
        return int(docid)


def normal(name: str) -> str:
    """The name of a package as it is stored.

    :raises AuthDBError: it is not text
    """
    if not isinstance(name, str):
        raise AuthDBError(f"the name of a package is text, not {type(name).__name__}")
    return normalize_name(name)


def as_moment(value: object, what: str = "as_of") -> Moment | None:
    """The moment that ``value`` stands for; None for None.

    :param what: what an error calls it
    :raises AuthDBError: it stands for none
    """
    try:
        return None if value is None else parse_moment(value)
    except ValueError as error:
        raise AuthDBError(f"{what}: {error}") from None


def _page(limit: object, offset: object) -> None:
    for option, value in (("limit", 0 if limit is None else limit), ("offset", offset)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise QueryError(f"{option} is a number from 0 on, not {value!r}")
