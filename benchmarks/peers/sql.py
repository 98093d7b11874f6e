"""The questions in SQLite's SQL, each in one to three ways."""

from __future__ import annotations

from benchmarks import questions as q

__all__ = ["BY_NAME", "SQL"]

IN_RANGE = f"last_update >= '{q.SINCE}' and last_update < '{int(q.UNTIL) + 1}'"
UNINDEXED = f"+{IN_RANGE.replace('and ', 'and +')}"
ANY = f"category in {q.ANY}"
EXISTS_ANY = f"exists (select 1 from category where package = id and {ANY})"
IN_ANY = f"id in (select package from category where {ANY})"
HAS = "exists (select 1 from category where package = id and category = '{}')"
BOTH = " and ".join(HAS.format(category) for category in q.ALL)
CATEGORIES = "(select group_concat(category) from category where package = id) as categories"
ROW = f"{', '.join(q.ROW[:-1])}, {CATEGORIES}"
COUNT = "select count(*) from package where"
FTS = "from text_description where text_description match '{}'"
RARE, FREQUENT, AND, PHRASE = (
    FTS.format(words)
    for words in (q.RARE, q.FREQUENT, f"{q.RARE} {q.FREQUENT}", '"{}"'.format(" ".join(q.PHRASE)))
)
BEST = f"order by rank limit {q.BEST}"
NEWEST = f"order by last_update desc limit {q.NEWEST}"
BY_RELEASE = f"order by last_release desc limit {q.NEWEST}"

BY_NAME = f"select *, {CATEGORIES} from package where name = ?"
SQL: dict[str, tuple[str, ...]] = {
    "lt_count": (f"{COUNT} last_update < '{q.BEFORE}'",),
    "range_count": (f"{COUNT} {IN_RANGE}",),
    "range_any_count": (
        f"{COUNT} {IN_RANGE} and {EXISTS_ANY}",
        f"{COUNT} {IN_RANGE} and {IN_ANY}",
        f"""select count(distinct package) from category join package on id = package
            where {ANY} and {IN_RANGE}""",
    ),
    "all_count": (
        f"""select count(*) from category a join category b using (package)
            where a.category = '{q.ALL[0]}' and b.category = '{q.ALL[1]}'""",
        f"""select count(*) from (
            select package from category where category = '{q.ALL[0]}'
            intersect select package from category where category = '{q.ALL[1]}')""",
        f"""select count(*) from (select 1 from category where category in {q.ALL}
            group by package having count(*) = 2)""",
    ),
    "not_any_count": (
        f"{COUNT} id not in (select package from category where category in {q.NOT_ANY})",
        f"""{COUNT} not exists (
            select 1 from category where package = id and category in {q.NOT_ANY})""",
        f"""select (select count(*) from package) -
            (select count(distinct package) from category where category in {q.NOT_ANY})""",
    ),
    "or_count": (
        f"{COUNT} license = '{q.LICENSE}' or last_update < '{q.BEFORE}'",
        f"""select ({COUNT} license = '{q.LICENSE}') +
            ({COUNT} last_update < '{q.BEFORE}' and license is not '{q.LICENSE}')""",
    ),
    "facets": (
        f"""select category, count(*) from package join category on package = id
            where {IN_RANGE} group by category""",
        f"""select category, count(*) from category where package in
            (select id from package where {IN_RANGE}) group by category""",
    ),
    "histogram": (
        """select substr(last_update, 1, 4), count(*) from package
           where last_update is not null group by 1""",
        " union all ".join(
            f"""select '{year}', ({COUNT} last_update >= '{year}' and last_update < '{year + 1}')"""
            for year in q.YEARS
        ),
    ),
    "newest_ids": (
        f"select id from package where {IN_RANGE} and {EXISTS_ANY} {NEWEST}",
        f"select id from package where {IN_RANGE} and {IN_ANY} {NEWEST}",
    ),
    "newest_rows": (
        f"select {ROW} from package where {IN_RANGE} and {EXISTS_ANY} {NEWEST}",
        f"select {ROW} from package where {IN_RANGE} and {IN_ANY} {NEWEST}",
    ),
    "other_order_ids": (
        f"select id from package where {IN_RANGE} and {BOTH} {BY_RELEASE}",
        # Down the index of releases; and all of the table.
        f"select id from package where {UNINDEXED} and {BOTH} {BY_RELEASE}",
        f"select id from package not indexed where {IN_RANGE} and {BOTH} {BY_RELEASE}",
    ),
    "text_rare": (f"select rowid {RARE} {BEST}",),
    "text_frequent": (f"select rowid {FREQUENT} {BEST}",),
    "text_and": (f"select rowid {AND} {BEST}",),
    "text_and_count": (f"select count(*) {AND}",),
    "phrase_count": (f"select count(*) {PHRASE}",),
    "text_filter": (
        f"""select text_description.rowid
            from text_description join package on id = text_description.rowid
            where text_description match '{q.RARE}' and {IN_RANGE} and {EXISTS_ANY} {BEST}""",
        f"""select rowid {RARE} and rowid in
            (select id from package where {IN_RANGE} and {EXISTS_ANY}) {BEST}""",
    ),
    "list_rows": (
        f"select {ROW} from package where last_update < '{q.BEFORE}' order by last_update",
    ),
}
