"""Licences: which are permissive and which copyleft, and whether an expression can be met.

They are sorted by their names, after what they allow in general. It is no legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from authdb.exceptions import AuthDBError, nearest, shown

__all__ = ["LICENSES", "license_fits", "read_licenses", "spdx_ids"]

#: The classes of licences, each a set of SPDX ids.
LICENSES: Mapping[str, frozenset[str]] = {
    name: frozenset(ids.split())
    for name, ids in {
        "permissive": """
            0BSD AFL-3.0 Apache-1.1 Apache-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause
            BSD-2-Clause-Patent BSD-2-Clause-Views BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause
            BSL-1.0 CC0-1.0 CNRI-Python HPND ISC MIT MIT-0 MIT-CMU NCSA PostgreSQL PSF-2.0
            Python-2.0 Unlicense UPL-1.0 WTFPL X11 Zlib ZPL-2.0 ZPL-2.1
        """,
        "copyleft": """
            AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later CDDL-1.0 CDDL-1.1 CECILL-2.1 EPL-1.0 EPL-2.0
            EUPL-1.1 EUPL-1.2 GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0 GPL-3.0-only
            GPL-3.0-or-later LGPL-2.0 LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1 LGPL-2.1-only
            LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later MPL-1.1 MPL-2.0
            MPL-2.0-no-copyleft-exception OSL-3.0
        """,
    }.items()
}


# Ids that SPDX gave up in favour of two: they say no more than that one of these is meant.
_GNU = ("AGPL-3.0", "GPL-2.0", "GPL-3.0", "LGPL-2.0", "LGPL-2.1", "LGPL-3.0")


def read_licenses(text: str) -> str:
    """Names of `LICENSES`, families such as BSD, and SPDX ids, in the one way to write them.

    :param text: with commas between them
    :raises AuthDBError: one of them is none of these
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    found = []
    for word in (part.strip() for part in text.split(",")):
        if word.lower() in LICENSES:
            found.append(word.lower())
            continue
        try:
            known = str(canonicalize_license_expression(word))
        except InvalidLicenseExpression:
            known = ""
        if not known and _family(word):
            found.append(word.upper())
            continue
        if not known or re.search(r"[\s()]", known):
            hint = nearest(word[:60], [*LICENSES, *LICENSES["permissive"], *LICENSES["copyleft"]])
            raise AuthDBError(
                f"a licence is {', '.join(LICENSES)}, or an SPDX id such as MIT, "
                f"not {shown(word)}{hint}"
            )
        found.append(known if known.removesuffix("+") in _GNU else known.removesuffix("+"))
    return ",".join(dict.fromkeys(found))


def _family(word: str) -> frozenset[str]:
    """The licences that are called by one word, such as BSD or GPL; none for another word."""
    start = f"{word.lower()}-"
    if not re.fullmatch(r"[a-z]+-", start):
        return frozenset()
    return frozenset(i for ids in LICENSES.values() for i in ids if i.lower().startswith(start))


def spdx_ids(licenses: str) -> frozenset[str]:
    """The SPDX ids that what `read_licenses` gave stands for."""
    return frozenset[str]().union(*map(_meant, licenses.split(",")))


def _meant(word: str) -> frozenset[str]:
    if word in LICENSES:
        return LICENSES[word]
    plain = word.removesuffix("+")
    if plain in _GNU:
        newer = {f"{plain}-or-later"} if word != plain else {f"{plain}-only", f"{plain}-or-later"}
        return frozenset({plain, *newer})
    # An id that is known, such as MIT, is that one alone, not MIT-0 as well.
    known = any(word in ids for ids in LICENSES.values())
    return frozenset({word}) if known else _family(word) or frozenset({word})


@lru_cache(maxsize=1 << 12)
def license_fits(expression: str, ids: frozenset[str]) -> bool:
    """Whether what ``expression`` asks can be met by licences of ``ids`` alone: of alternatives
    (OR) one has to be among them, of what holds together (AND) each.

    An exception (WITH) only adds to what is allowed, so it is not looked at; nor is a ``+``.

    :param expression: an SPDX expression in its canonical form

    >>> license_fits("MIT OR (GPL-3.0-only AND ISC)", frozenset({"MIT"}))
    True
    >>> license_fits("MIT AND GPL-3.0-only", frozenset({"MIT"}))
    False
    """
    # Two stacks and no recursion: parentheses may be as deep as an expression is long.
    values: list[bool] = []
    operators: list[str] = []
    strength = {"(": 0, "OR": 1, "AND": 2}

    def join(weakest: int) -> None:
        while operators and strength[operators[-1]] >= weakest:
            last, other = values.pop(), values.pop()
            values.append(last and other if operators.pop() == "AND" else last or other)

    for token in re.findall(r"[()]|[^\s()]+", re.sub(r" WITH [^\s()]+", "", expression)):
        if token == "(":
            operators.append(token)
        elif token == ")":
            join(1)
            operators.pop()
        elif token in strength:
            join(strength[token])
            operators.append(token)
        else:
            values.append(token.removesuffix("+") in ids)
    join(1)
    return values[0]
