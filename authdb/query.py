"""Questions about packages: the query objects, their textual form, and what they ask of an index.

The query objects are repoze.catalog's own (`NotAll` mended). Its way of running them is not used:
there a negation misses packages without a value, or gives the positive answer. See
`authdb.planning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as AnyType

from repoze.catalog.query import (
    All,
    And,
    Any,
    Contains,
    DoesNotContain,
    Eq,
    Ge,
    Gt,
    InRange,
    Le,
    Lt,
    Name,
    Not,
    NotAny,
    NotEq,
    NotInRange,
    Or,
    Query,
)
from repoze.catalog.query import NotAll as _UnmendedNotAll

from authdb.exceptions import QueryError, nearest
from authdb.expression import NotAll
from authdb.expression import parse as parse_query

__all__ = [
    "QUESTIONS",
    "All",
    "And",
    "Any",
    "Contains",
    "DoesNotContain",
    "Eq",
    "Ge",
    "Gt",
    "InRange",
    "Le",
    "Lt",
    "Name",
    "Not",
    "NotAll",
    "NotAny",
    "NotEq",
    "NotInRange",
    "Or",
    "Query",
    "index_of",
    "parse_query",
    "value_of",
]

#: Each comparison: the positive question to the index, and whether the comparison is its opposite.
QUESTIONS: Mapping[type, tuple[str, bool]] = {
    Eq: ("Eq", False),
    NotEq: ("Eq", True),
    Lt: ("Lt", False),
    Le: ("Le", False),
    Gt: ("Gt", False),
    Ge: ("Ge", False),
    Any: ("Any", False),
    NotAny: ("Any", True),
    All: ("All", False),
    NotAll: ("All", True),
    _UnmendedNotAll: ("All", True),
    Contains: ("Contains", False),
    DoesNotContain: ("Contains", True),
    InRange: ("InRange", False),
    NotInRange: ("InRange", True),
}

Names = Mapping[str, AnyType]


def index_of(catalog: AnyType, name: str) -> AnyType:
    """The index of that name.

    :raises QueryError: there is none
    """
    try:
        return catalog[name]
    except (KeyError, TypeError):
        known = ", ".join(sorted(catalog))
        raise QueryError(
            f"there is no index {name!r}{nearest(name, catalog)}; there are: {known}"
        ) from None


def value_of(value: AnyType, names: Names) -> AnyType:
    """``value`` with each `Name` in it replaced by what the name stands for.

    :raises QueryError: there is no such name
    """
    if type(value) is str:  # as nearly all are
        return value
    if isinstance(value, Name):
        if value.name not in names:
            raise QueryError(
                f"no value was given for {value.name}; pass it with names=, or, if it is a "
                "text, put it in quotes"
            )
        return names[value.name]
    if isinstance(value, (list, tuple)):
        values = [value_of(item, names) for item in value]
        return tuple(values) if isinstance(value, tuple) else values
    return value
