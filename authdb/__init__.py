"""authdb: the authentication packages for Django REST Framework, in a ZODB with repoze.catalog.

>>> from authdb import AuthDB, Lt, Package
>>> with AuthDB.in_memory() as db:
...     package = db.add(Package("hawkrest", "Hawk", last_commit="2018-10-06"))
...     db.find(Lt("last_update", "2020")).names()
['hawkrest']
"""

from authdb.database import AuthDB
from authdb.exceptions import AuthDBError
from authdb.models import Package
from authdb.query import (
    All,
    And,
    Any,
    Contains,
    Eq,
    Ge,
    Gt,
    InRange,
    Le,
    Lt,
    Not,
    NotAll,
    NotAny,
    NotEq,
    NotInRange,
    Or,
)
from authdb.storage import MyZODB

__all__ = [
    "All",
    "And",
    "Any",
    "AuthDB",
    "AuthDBError",
    "Contains",
    "Eq",
    "Ge",
    "Gt",
    "InRange",
    "Le",
    "Lt",
    "MyZODB",
    "Not",
    "NotAll",
    "NotAny",
    "NotEq",
    "NotInRange",
    "Or",
    "Package",
]
