"""authdb: the authentication packages for Django REST Framework, in a ZODB with repoze.catalog.

>>> from authdb import AuthDB, Lt, Package
>>> with AuthDB.in_memory() as db:
...     package = db.add(Package("hawkrest", "Hawk", last_commit="2018-10-06"))
...     db.find(Lt("last_update", "2020")).names()
['hawkrest']
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

# Where the names live that are not in `authdb.query`.
_HOMES = {
    "AuthDB": "database",
    "AuthDBError": "exceptions",
    "MyZODB": "storage",
    "Package": "models",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for.

    Importing ZODB and repoze.catalog takes longer than most commands: ``authdb --help`` does
    without, and the others can answer Ctrl-C meanwhile.
    """
    if name not in __all__:
        raise AttributeError(f"module 'authdb' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"authdb.{_HOMES.get(name, 'query')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
