"""What the metadata of a distribution says, read as leniently as it is written.

Real metadata is messy: licence fields that hold a whole licence, specifiers in parentheses or with
a star where none belongs, classifiers missing or years old, addresses under any label. What can be
told for certain is given, and None for what can't. Pure functions of plain values.

The specifications: core metadata (PEP 566, 643), names and specifiers (PEP 503, 440, 508), licence
expressions (PEP 639), labels of links (PEP 753).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from authdb.exceptions import InvalidValue
from authdb.fields import DEVELOPMENT_STATUS, kinds, normalize_name

__all__ = ["declared", "development_status", "license_of", "line", "links", "required", "specifier"]


def line(text: str | None, limit: int) -> str | None:
    """``text`` as one line of ``limit`` characters at most, which any terminal can show."""
    words = "".join(c if c.isprintable() else " " for c in (text or "")[: 20 * limit]).split()
    joined = " ".join(words)
    return (joined if len(joined) <= limit else f"{joined[: limit - 3].rstrip()}...") or None


# -- classifiers -----------------------------------------------------------------------------


def declared(classifiers: Iterable[str], framework: str) -> tuple[str, ...]:
    """The versions that classifiers name, lowest first.

    :param framework: how they begin, such as ``Framework :: Django``

    >>> declared(["Framework :: Django :: 5.2", "Framework :: Django"], "Framework :: Django")
    ('5.2',)
    """
    pattern = re.compile(rf"{re.escape(framework)} :: ([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)", re.ASCII)
    found = [match[1] for one in classifiers if (match := pattern.fullmatch(one.strip()))]
    versions: tuple[str, ...] = kinds.NUMBERS.check("versions", found)
    return versions


def development_status(classifiers: Iterable[str]) -> str | None:
    """The status that the classifiers name; None where they name none, or several."""
    start = "Development Status :: "
    found = {one.strip().removeprefix(start) for one in classifiers if one.startswith(start)}
    known = found & set(DEVELOPMENT_STATUS)
    return known.pop() if len(known) == 1 else None


# -- specifiers ------------------------------------------------------------------------------

# With these, a version is compared, and a star behind it means nothing; packaging refuses it.
_STAR = re.compile(r"((?:[<>]=?|~=)\s*[0-9][0-9.]*?)\.\*")


def specifier(text: str | None) -> str | None:
    """A version specifier without parentheses and stars out of place; None where there is none
    that can be read.

    >>> specifier("(>=3.6.*,<4)")
    '>=3.6,<4'
    """
    mended = _STAR.sub(r"\1", (text or "").strip().removeprefix("(").removesuffix(")")).strip()
    try:
        checked: str | None = kinds.SPECIFIER.check("specifier", mended)
    except InvalidValue:
        return None
    return checked


# The name that a requirement begins with.
_NAMED = re.compile(r"\s*([A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?)", re.IGNORECASE | re.ASCII)


def required(requires_dist: Iterable[str], name: str, python: str) -> str | None:
    """Which versions of the distribution ``name`` are asked for, extras apart.

    :param requires_dist: requirements, as in ``django (<=1.7)`` or ``x; python_version < "3"``
    :param python: the version of Python, such as ``3.13``, for which that is asked
    :returns: a specifier, ``>=0`` for whichever version; None where it is not asked for
    :raises ValueError: it is asked for in a way that can't be read, or by an address
    """
    from packaging.markers import (
        InvalidMarker,
        Marker,
        UndefinedComparison,
        UndefinedEnvironmentName,
    )
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import SpecifierSet

    found: SpecifierSet | None = None
    for text in requires_dist:
        match = _NAMED.match(text)
        if match is None or normalize_name(match[1]) != name:
            continue  # most are of others: reading them is what takes time
        requirement, _, marker = text.partition(";")
        try:
            if marker.strip() and not Marker(marker).evaluate(_environment(python)):
                continue
            one = Requirement(_STAR.sub(r"\1", requirement))
        except (
            InvalidMarker,
            InvalidRequirement,
            UndefinedComparison,
            UndefinedEnvironmentName,
        ) as error:
            raise ValueError(str(error)) from None
        if normalize_name(one.name) != name:
            raise ValueError(f"{name} is asked for by another name")
        if one.url is not None:
            raise ValueError(f"{name} is asked for at an address")
        found = one.specifier if found is None else found & one.specifier
    if found is None:
        return None
    readable = specifier(str(found) or ">=0")
    if readable is None:
        raise ValueError(f"{name} is asked for in too many words")
    return readable


def _environment(python: str) -> dict[str, Any]:
    """What markers are evaluated in: the same on each machine."""
    return {
        "extra": "",
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_release": "",
        "platform_version": "",
    }


# -- licences --------------------------------------------------------------------------------

# Classifiers that name one licence. Those of a family ("BSD License", "Apache Software License")
# do not tell which one of it, but that it is none of another family.
_CLASSIFIED: Mapping[str, str] = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "The Unlicense (Unlicense)": "Unlicense",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "zlib/libpng License": "Zlib",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
}
_FAMILIES: Mapping[str, str] = {
    "BSD License": "BSD",
    "Apache Software License": "Apache",
    "GNU General Public License (GPL)": "GPL",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
}

_DEBIAN = "License :: DFSG approved"

# What people write into the field, without case, punctuation and words that say nothing.
_SPELLED: Mapping[str, str] = {
    "mit": "MIT",
    "expat": "MIT",
    "mit expat": "MIT",
    "isc": "ISC",
    "unlicense": "Unlicense",
    "apache 2": "Apache-2.0",
    "apache 2 0": "Apache-2.0",
    "apache software 2 0": "Apache-2.0",
    "bsd 2": "BSD-2-Clause",
    "bsd 2 clause": "BSD-2-Clause",
    "2 clause bsd": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "freebsd": "BSD-2-Clause",
    "bsd 3": "BSD-3-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "revised bsd": "BSD-3-Clause",
    "mpl 2": "MPL-2.0",
    "mpl 2 0": "MPL-2.0",
    "mozilla public 2 0": "MPL-2.0",
    "mpl 2 0 mozilla public": "MPL-2.0",
    "gplv2": "GPL-2.0-only",
    "gplv2+": "GPL-2.0-or-later",
    "gplv3": "GPL-3.0-only",
    "gplv3+": "GPL-3.0-or-later",
    "lgplv3": "LGPL-3.0-only",
    "lgplv3+": "LGPL-3.0-or-later",
    "agplv3": "AGPL-3.0-only",
    "agplv3+": "AGPL-3.0-or-later",
}
_SAYS_NOTHING = re.compile(r"\b(?:the|licen[cs]ed?|version|software foundation|under)\b")

# What the field holds where it only says that the licence is to be found in a file.
_ELSEWHERE = re.compile(r"unknown|(?:see )?(?:the )?(?:file )?licen[cs]e(?:\.\w+)?(?: file)?|none")

# Sentences that are in one licence's text and in no other's...
_SENTENCES = (
    ("the above copyright notice and this permission notice shall be included", "MIT"),
    ("provided that the above copyright notice and this permission notice appear", "ISC"),
    ("licensed under the apache license, version 2.0", "Apache-2.0"),
    ("apache license version 2.0, january 2004", "Apache-2.0"),
    ("mozilla public license version 2.0", "MPL-2.0"),
    ("this is free and unencumbered software", "Unlicense"),
)
# ...as long as none of these make another one of it: X11, JSON, BSD with four clauses, "clear" BSD,
# and those of Zope and of old Apache.
_CHANGES = (
    "except as contained in this notice",
    "for good, not evil",
    "all advertising materials mentioning",
    "no express or implied licenses to any party's patent rights",
    "must not be used to endorse",
)


def license_of(expression: str | None, text: str | None, classifiers: Iterable[str]) -> str | None:
    """The licence as an SPDX expression; None where the metadata leaves a doubt.

    :param expression: the field License-Expression
    :param text: the field License: a name in whatever spelling, or a whole text
    """
    given = _expression(expression)
    if given is not None:
        return given
    start = "License :: OSI Approved"
    said = [one.strip() for one in classifiers if one.startswith("License :: ")]
    names = {one.removeprefix(f"{start} :: ") for one in said if one != start}
    classified = {_CLASSIFIED[name] for name in names if name in _CLASSIFIED}
    # Two that contradict each other settle nothing. One that OSI has not approved, such as
    # "Other/Proprietary License", is none of those that are known here.
    vague = {_FAMILIES[name] for name in names if name in _FAMILIES}
    vague |= {name for name in names if name.startswith("License :: ")} - {_DEBIAN}
    written = _written(text or "")
    if written is not None:
        ids = set(re.findall(r"[^\s()]+", written))
        others = classified - ids or {v for v in vague if not any(i.startswith(v) for i in ids)}
        return None if others else written
    silent = not text or _ELSEWHERE.fullmatch(" ".join(text.split()).lower())
    return classified.pop() if len(classified) == 1 and silent and not vague else None


def _expression(text: str | None) -> str | None:
    try:
        checked: str | None = kinds.LICENSE.check("license", text or "")
    except InvalidValue:
        return None
    return checked


def _written(text: str) -> str | None:
    """The licence that the field License names, or whose text it holds."""
    folded = " ".join(text.split()).lower()
    if len(folded) <= 100:
        words = " ".join(re.sub(r"[^a-z0-9+]+", " ", folded).split())
        words = " ".join(_SAYS_NOTHING.sub(" ", words).split())
        return _SPELLED.get(words) or _expression(text)
    found = {which for sentence, which in _SENTENCES if sentence in folded}
    if "redistributions in binary form must reproduce" in folded:
        if "neither the name" in folded or "may not be used to endorse" in folded:
            found.add("BSD-3-Clause")
        else:
            views = "the views and conclusions contained in the software" in folded
            found.add("BSD-2-Clause-Views" if views else "BSD-2-Clause")
    changed = any(sentence in folded for sentence in _CHANGES)
    return found.pop() if len(found) == 1 and not changed else None


# -- links -----------------------------------------------------------------------------------

_LABELS: Mapping[str, str] = {
    **dict.fromkeys(("source", "sourcecode", "code", "repository", "github"), "repository"),
    **dict.fromkeys(("homepage", "home", "website"), "homepage"),
    **dict.fromkeys(("documentation", "docs"), "documentation"),
}
_REPOSITORIES = (
    re.compile(
        r"(https?://(?:www\.)?(?:github\.com|bitbucket\.org|codeberg\.org)/[\w.-]+/[\w.-]+?)"
        r"(?:\.git)?(?:[/#?].*)?",
        re.ASCII | re.IGNORECASE,
    ),
    re.compile(  # it has groups in groups
        r"(https?://(?:www\.)?gitlab\.com(?:/[\w.-]+?){2,}?)"
        r"(?:\.git)?(?:/(?:-|blame|blob|commits|raw|tree|wikis)(?:/.*)?|/)?(?:[#?].*)?",
        re.ASCII | re.IGNORECASE,
    ),
)


def links(urls: Mapping[str, str | None], home_page: str | None) -> dict[str, str]:
    """The links by the fields that hold them: ``repository``, ``homepage``, ``documentation``.

    :param urls: the links by their labels
    :param home_page: the field Home-page, which came before labels
    """
    found: dict[str, str] = {}
    labelled = [(re.sub(r"[^a-z]", "", label.lower()), url) for label, url in urls.items()]
    for label, url in [*labelled, ("homepage", home_page)]:
        field, link = _LABELS.get(label), _link(url)
        if field is not None and link is not None:
            found.setdefault(field, link)
    source = found.get("repository") or found.get("homepage") or ""
    for pattern in _REPOSITORIES:
        match = pattern.fullmatch(source)
        if match:
            found["repository"] = match[1]
    if found.get("homepage", "").rstrip("/").lower() == found.get("repository", "").lower():
        found.pop("homepage", None)
    return found


def _link(text: str | None) -> str | None:
    try:
        link: str | None = kinds.URL.check("link", text or "")
    except InvalidValue:
        return None
    return link
