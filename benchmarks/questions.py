"""What all peers are asked: the same values in each peer's own words."""

from __future__ import annotations

from benchmarks.data import FREQUENT, PHRASE, RARE

__all__ = [
    "ALL",
    "ANY",
    "BEFORE",
    "BEST",
    "FREQUENT",
    "LICENSE",
    "NEWEST",
    "NOT_ANY",
    "PHRASE",
    "RARE",
    "ROW",
    "SINCE",
    "UNTIL",
    "YEARS",
]

#: Before this year: 3 % of all. The range from SINCE to the end of UNTIL: a third of all.
BEFORE, SINCE, UNTIL = "2013", "2020", "2023"
YEARS = range(2010, 2027)
ANY = ("oauth1", "oauth2")
ALL = ("social", "jwt")
NOT_ANY = ("jwt", "mfa", "ldap")
LICENSE = "MIT"
#: How many of the newest, and of the best in a text search.
NEWEST, BEST = 20, 10
#: The fields of a row that is listed; the categories joined by commas.
ROW = (
    "name",
    "title",
    "last_update",
    "last_commit",
    "last_release",
    "version",
    "license",
    "categories",
)
