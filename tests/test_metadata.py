"""Metadata as it is really written: what can be told for certain is told, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from authdb.fields import DEVELOPMENT_STATUS
from authdb.metadata import (
    declared,
    development_status,
    license_of,
    line,
    links,
    required,
    specifier,
)
from authdb.models import FIELDS

# -- licences by name ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("The MIT License", "MIT"),
        ("The MIT License (MIT)", None),  # twice: no name that is known, but no harm either
        ("MIT license.", "MIT"),
        ("License: MIT", "MIT"),
        ("Licensed under the MIT License", "MIT"),
        ("Expat", "MIT"),
        ("MIT-0", "MIT-0"),
        ("BSD-2-Clause", "BSD-2-Clause"),
        ("BSD 2-Clause", "BSD-2-Clause"),
        ("2-Clause BSD License", "BSD-2-Clause"),
        ("Simplified BSD License", "BSD-2-Clause"),
        ("FreeBSD", "BSD-2-Clause"),
        ("BSD-2-Clause-Views", "BSD-2-Clause-Views"),
        ("BSD-3-Clause", "BSD-3-Clause"),
        ("BSD 3-Clause License", "BSD-3-Clause"),
        ("3-clause BSD", "BSD-3-Clause"),
        ("New BSD", "BSD-3-Clause"),
        ("new bsd license", "BSD-3-Clause"),
        ("Modified BSD License", "BSD-3-Clause"),
        ("Apache 2", "Apache-2.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("Apache-2.0", "Apache-2.0"),
        ("apache-2.0", "Apache-2.0"),
        ("Apache License 2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache Software License 2.0", "Apache-2.0"),
        ("ISC", "ISC"),
        ("ISC License", "ISC"),
        ("MPL 2.0", "MPL-2.0"),
        ("MPL-2.0", "MPL-2.0"),
        ("MPLv2", None),
        ("Mozilla Public License 2.0", "MPL-2.0"),
        ("MPL 2.0 (Mozilla Public License)", "MPL-2.0"),
        ("Unlicense", "Unlicense"),
        ("The Unlicense", "Unlicense"),
        ("GPLv2", "GPL-2.0-only"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GPLv3", "GPL-3.0-only"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("LGPLv3", "LGPL-3.0-only"),
        ("LGPLv3+", "LGPL-3.0-or-later"),
        ("AGPLv3", "AGPL-3.0-only"),
        ("AGPLv3+", "AGPL-3.0-or-later"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("LicenseRef-Proprietary", "LicenseRef-Proprietary"),
        # What tells a family, or nothing.
        ("BSD", None),
        ("BSD License", None),
        ("The BSD License", None),
        ("Apache", None),
        ("Apache License", None),
        ("GPL", None),
        ("LGPL", None),
        ("GNU GPL", None),
        ("MPL", None),
        ("UNKNOWN", None),
        ("unknown", None),
        ("LICENSE", None),
        ("LICENSE.txt", None),
        ("see LICENSE", None),
        ("Dual License", None),
        ("Dual licensed", None),
        ("Other/Proprietary License", None),
        ("Proprietary", None),
        ("Commercial", None),
        ("Free", None),
        ("Public Domain", None),
        ("MIT/Apache-2.0", None),
        ("MIT, BSD", None),
        ("Not MIT", None),
        ("MIT-like", None),
        ("None", None),
        ("", None),
        (" ", None),
        ("\n", None),
        ("-", None),
        ("https://opensource.org/licenses/MIT", None),
        ("Copyright (c) 2020 MIT", None),
    ],
)
def test_names_of_licences(text: str, known: str | None) -> None:
    assert license_of(None, text, []) == known
    assert license_of("", f"  {text}\n", []) == known


@pytest.mark.parametrize("text", [None, "", "UNKNOWN", "LICENSE.txt", "BSD 3-Clause", "x" * 5000])
def test_an_expression_is_what_counts(text: str | None) -> None:
    classifiers = ["License :: OSI Approved :: MIT License"]
    assert license_of("apache-2.0 and mit", text, classifiers) == "Apache-2.0 AND MIT"


@pytest.mark.parametrize("expression", ["", "NOASSERTION?", "BSD", "MIT OR", "x" * 5000, "\0"])
def test_an_expression_that_is_none_does_not_count(expression: str) -> None:
    assert license_of(expression, "ISC", []) == "ISC"


# -- licences by classifiers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names", "known"),
    [
        (None, ["MIT License"], "MIT"),
        ("LICENSE.txt", ["MIT License"], "MIT"),
        ("Mit", ["MIT License"], "MIT"),
        (None, ["ISC License (ISCL)"], "ISC"),
        (None, ["Mozilla Public License 2.0 (MPL 2.0)"], "MPL-2.0"),
        (None, ["GNU General Public License v3 (GPLv3)"], "GPL-3.0-only"),
        (None, ["GNU General Public License v3 or later (GPLv3+)"], "GPL-3.0-or-later"),
        (None, ["GNU Affero General Public License v3"], "AGPL-3.0-only"),
        # A family does not tell which.
        (None, ["BSD License"], None),
        ("BSD", ["BSD License"], None),
        (None, ["Apache Software License"], None),
        ("BSD-3-Clause", ["BSD License"], "BSD-3-Clause"),
        ("Apache 2.0", ["Apache Software License"], "Apache-2.0"),
        ("GPLv3", ["GNU General Public License (GPL)"], "GPL-3.0-only"),
        # Contradictions settle nothing.
        (None, ["MIT License", "ISC License (ISCL)"], None),
        (None, ["MIT License", "BSD License"], None),
        ("MIT", ["BSD License"], None),
        ("BSD-3-Clause", ["MIT License"], None),
        ("MIT", ["ISC License (ISCL)"], None),
        ("GPLv3", ["GNU General Public License v3 or later (GPLv3+)"], None),
        ("LGPLv3", ["GNU General Public License (GPL)"], None),
        ("Apache 2.0", ["BSD License"], None),
        ("MIT", ["MIT License", "BSD License"], None),
        # Nor does what says nothing.
        (None, ["Something New"], None),
        ("MIT", ["Something New"], "MIT"),
        # What is said, but not understood, is not the classifier's licence.
        ("BSD", ["MIT License"], None),
        ("GPL", ["MIT License"], None),
        ("Commercial, see LICENSE", ["MIT License"], None),
        ("MIT or GPL", ["MIT License"], None),
        ("See LICENSE file", ["MIT License"], "MIT"),
        ("UNKNOWN", ["MIT License"], "MIT"),
        ("MIT OR Apache-2.0", ["MIT License", "Apache Software License"], "MIT OR Apache-2.0"),
        (None, [], None),
    ],
)
def test_classifiers(text: str | None, names: list[str], known: str | None) -> None:
    classifiers = [f"License :: OSI Approved :: {name}" for name in names]
    assert license_of(None, text, ["Framework :: Django", *classifiers]) == known


def test_other_classifiers_of_licences_are_not_read() -> None:
    classifiers = ["License :: Other/Proprietary License", "License :: OSI Approved"]
    assert license_of(None, None, classifiers) is None


# -- licences by their texts ---------------------------------------------------------------------

OWNER = "Copyright (c) 2020, Some Body\nAll rights reserved.\n\n"
WARRANTY = """
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE."""
GRANT = """
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software"""
NOTICE = """
The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.
"""
MIT = f"{OWNER}{GRANT}, subject to the following conditions:\n{NOTICE}{WARRANTY}"
ISC_GRANT = """
Permission to use, copy, modify, and/or distribute this software for any purpose with or without
fee is hereby granted"""
ISC = f"""{OWNER}{ISC_GRANT}, provided that the above
copyright notice and this permission notice appear in all copies.{WARRANTY}"""
BSD_2 = f"""{OWNER}
Redistribution and use in source and binary forms, with or without modification, are permitted
provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions
   and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of
   conditions and the following disclaimer in the documentation.
"""
BSD_3 = f"""{BSD_2}
3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse
   or promote products derived from this software without specific prior written permission.
{WARRANTY}"""
APACHE_NOTICE = """
Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in
compliance with the License. You may obtain a copy of the License at
    http://www.apache.org/licenses/LICENSE-2.0
"""
VIEWS = """
The views and conclusions contained in the software and documentation are those of the authors and
should not be interpreted as representing official policies.
"""
BOOST = f"""{OWNER}
Permission is hereby granted, free of charge, to any person or organization obtaining a copy of the
software and accompanying documentation covered by this license (the "Software") to use, reproduce,
display, distribute, execute, and transmit the Software
"""
APACHE_HEAD = """
                                 Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/

   TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION
"""
UNLICENSE = """
This is free and unencumbered software released into the public domain.

Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software
"""
#: By what each is: its text, and what is told.
TEXTS = {
    "MIT": (MIT, "MIT"),
    "MIT, with its name": (f"The MIT License (MIT)\n\n{MIT}", "MIT"),
    "MIT-0": (f"{OWNER}{GRANT}.\n{WARRANTY}", None),
    "X11": (f"{MIT}\nExcept as contained in this notice, the name of X shall not be used", None),
    "JSON": (f"{MIT}\nThe Software shall be used for Good, not Evil.", None),
    "Boost": (BOOST, None),
    "ISC": (ISC, "ISC"),
    "0BSD": (f"{OWNER}{ISC_GRANT}.\n{WARRANTY}", None),
    "BSD-2": (f"{BSD_2}{WARRANTY}", "BSD-2-Clause"),
    "BSD-2-Views": (f"{BSD_2}{WARRANTY}{VIEWS}", "BSD-2-Clause-Views"),
    "BSD-3": (BSD_3, "BSD-3-Clause"),
    "BSD-3, in another wording": (
        f"{BSD_2} 3. The name of the author may not be used to endorse or promote products.",
        "BSD-3-Clause",
    ),
    "BSD-4": (f"{BSD_3}\n4. All advertising materials mentioning features must display", None),
    "BSD-3-Clear": (
        f"{BSD_3}\nNO EXPRESS OR IMPLIED LICENSES TO ANY PARTY'S PATENT RIGHTS ARE GRANTED",
        None,
    ),
    "ZPL": (f"{BSD_2}\n3. Names of the copyright holders must not be used to endorse", None),
    "Apache, its head": (APACHE_HEAD, "Apache-2.0"),
    "Apache, its notice": (f"{OWNER}{APACHE_NOTICE}", "Apache-2.0"),
    "MPL": (f"Mozilla Public License Version 2.0\n{'=' * 34}\n\n1. Definitions\n" * 2, "MPL-2.0"),
    "Unlicense": (UNLICENSE, "Unlicense"),
    # It does not tell whether later versions may be used.
    "GPL": ("GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n\n" + "Everyone may " * 99, None),
    "two": (f"{MIT}\n\nParts of it:\n{APACHE_NOTICE}", None),
    "two, one of them BSD": (f"{BSD_3}\n\nParts of it:\n{MIT}", None),
    "none": (f"{OWNER}You may do with this software what we tell you to. " * 9, None),
}


@pytest.mark.parametrize(("text", "known"), TEXTS.values(), ids=TEXTS)
def test_whole_texts(text: str, known: str | None) -> None:
    assert license_of(None, text, []) == known
    as_old_metadata_has_it = text.replace("\n", "\n        ")
    assert license_of(None, as_old_metadata_has_it, []) == known
    assert license_of(None, text.replace("\n", "\r\n").upper(), []) == known


def test_a_text_that_classifiers_contradict() -> None:
    assert license_of(None, MIT, ["License :: OSI Approved :: BSD License"]) is None
    assert license_of(None, MIT, ["License :: OSI Approved :: MIT License"]) == "MIT"
    assert license_of(None, BSD_3, ["License :: OSI Approved :: BSD License"]) == "BSD-3-Clause"


# -- specifiers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (">=3.9", ">=3.9"),
        (" >=3.9 ", ">=3.9"),
        (">= 3.9, < 4", ">= 3.9, < 4"),
        ("(>=3.9)", ">=3.9"),
        ("(>=3.6.*,<4)", ">=3.6,<4"),
        (">=3.*", ">=3"),
        (">=2.7, !=3.0.*, !=3.1.*, <4.0.*", ">=2.7, !=3.0.*, !=3.1.*, <4.0"),
        ("~=3.6.*", "~=3.6"),
        (">3.5.*", ">3.5"),
        ("==3.*", "==3.*"),
        ("!=3.9.*", "!=3.9.*"),
        ("~=3.7", "~=3.7"),
        (">=3.8.1b2", ">=3.8.1b2"),
        (">=3.14.0rc1,<4", ">=3.14.0rc1,<4"),
        (">3.8.dev0", ">3.8.dev0"),
        ("===3.9", "===3.9"),
        ("3.9", None),
        ("=>3.9", None),
        (">=3.x", None),
        (">= '3.9'", None),
        (">=3.9 or <2", None),
        (">=3.9;", None),
        ("*", None),
        ("any", None),
        ("None", None),
        ("~=3", None),
        ("", None),
        ("()", None),
        (None, None),
        (">=3.9," * 100, None),
        (">=3.9\x00", None),
        ("\u22653.9", None),
    ],
)
def test_specifiers(text: str | None, mended: str | None) -> None:
    assert specifier(text) == mended
    if mended is not None:
        assert "3.99" in SpecifierSet(mended) or "3.7" in SpecifierSet(mended) or "===" in mended


# -- requirements --------------------------------------------------------------------------------


#: It is asked for, but not in a way that can be read.
UNREADABLE = "?"


def asked_for(texts: list[str], name: str, python: str = "3.13") -> str | None:
    try:
        return required(texts, name, python)
    except ValueError:
        return UNREADABLE


def django(*texts: str, python: str = "3.13") -> str | None:
    return asked_for([*texts], "django", python)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("django", ">=0"),
        ("Django", ">=0"),
        (" DJANGO ", ">=0"),
        ("django>=4.2", ">=4.2"),
        ("Django >= 4.2", ">=4.2"),
        ("django (<=1.7)", "<=1.7"),
        ("Django (>=2.2,<4)", "<4,>=2.2"),
        ("django==5.*", "==5.*"),
        ("django~=4.2", "~=4.2"),
        ("django>=3.*", ">=3"),
        ("django[argon2]>=3", ">=3"),
        ("django[bcrypt, argon2] (>=3)", ">=3"),
        ("django @ https://example.org/django.zip", UNREADABLE),
        ("django>=5.0a1", ">=5.0a1"),
        ("django!=4.0.*,>=3.2", "!=4.0.*,>=3.2"),
        # Others.
        ("django-allauth>=1", None),
        ("django_allauth>=1", None),
        ("django.allauth", None),
        ("djangorestframework>=3", None),
        ("djangocms", None),
        ("my-django", None),
        ("xdjango>=1", None),
        # What is none, or cannot be read.
        ("", None),
        ("django (>=3.0,<4.x)", UNREADABLE),
        ("django=>4", UNREADABLE),
        ("django>=", UNREADABLE),
        ("django 4.2", UNREADABLE),
        ("django_", UNREADABLE),
        ("django.", UNREADABLE),
        ("django>=4 # or so", UNREADABLE),
        ("django[>=4", UNREADABLE),
        ("django @ ", UNREADABLE),
        ("-e git+https://example.org/django.git", None),
        (">=4", None),
        ("django" + ",".join(f"!=4.{number}" for number in range(200)), UNREADABLE),
    ],
)
def test_requirements(text: str, asked: str | None) -> None:
    assert django(text) == asked
    assert django("requests>=2", text, "pytest; extra == 'test'") == asked


@pytest.mark.parametrize(
    ("marker", "meant"),
    [
        ('python_version >= "3.8"', True),
        ('python_version < "3.8"', False),
        ("python_version<'3'", False),
        ('python_version >= "3.10"', True),  # as versions, not as texts
        ('python_version < "4.0"', True),
        ('python_version in "2.7, 3.4"', False),
        ('python_full_version >= "3.13.0"', True),
        ('extra == "test"', False),
        ('extra == "test" or python_version > "3"', True),
        ('python_version > "3" and extra == "rest"', False),
        ('sys_platform == "win32"', False),
        ('os_name == "posix"', True),
        ('platform_python_implementation != "PyPy"', True),
        ('implementation_name == "cpython"', True),
        # What can't be evaluated is not told for certain.
        ('os_name ~= "posix"', None),
        ('python_version ~= "x"', None),
        ('"test" in extras', None),
        ('"dev" in dependency_groups', None),
        ('unheard_of == "x"', None),
        ("python_version", None),
    ],
)
def test_markers(marker: str, meant: bool | None) -> None:
    asked = UNREADABLE if meant is None else ">=4" if meant else None
    assert django(f"django>=4; {marker}") == asked
    assert django(f"django (>=4.*) ;{marker}") == asked
    assert django(f"django (>=4.x) ;{marker}") == (None if meant is False else UNREADABLE)


def test_markers_are_those_of_the_python_that_is_asked_for() -> None:
    both = ["django>=1.11,<2; python_version < '3'", "django>=4; python_version >= '3'"]
    assert django(*both, python="2.7") == "<2,>=1.11"
    assert django(*both, python="3.9") == ">=4"


def test_several_lines_count_together() -> None:
    assert django("django>=4", "Django<6", "django!=5.0") == "!=5.0,<6,>=4"
    assert django("django>=4", "django") == ">=4"
    assert django("django", "django") == ">=0"
    assert django("django=>4", "django>=4") == UNREADABLE
    assert django() is None


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("djangorestframework>=3.14", ">=3.14"),
        ("DjangoRestFramework (<3)", "<3"),
        ("djangorestframework-simplejwt<6,>=5", None),
        ("djangorestframework_simplejwt", None),
        ("djangorestframework.simplejwt", None),
        ("django-rest-framework>=3", None),
        ("django", None),
    ],
)
def test_other_names(text: str, asked: str | None) -> None:
    assert required([text], "djangorestframework", "3.13") == asked


@pytest.mark.parametrize("name", ["Simple_JWT", "simple.jwt", "SIMPLE--JWT", "simple-jwt"])
def test_names_are_one_however_they_are_written(name: str) -> None:
    assert required([f"{name}>=1"], "simple-jwt", "3.13") == ">=1"


# -- classifiers ---------------------------------------------------------------------------------


def test_declared_versions() -> None:
    classifiers = [
        "Framework :: Django",
        "Framework :: Django :: 5.2",
        "Framework :: Django :: 10.0",
        " Framework :: Django :: 4.2 ",
        "Framework :: Django :: 4.2",
        "Framework :: Django :: 4",
        "Framework :: Django :: 4.2.1",
        "Framework :: Django :: 4.x",
        "Framework :: Django :: \u0665.2",
        "Framework :: Django CMS :: 3.4",
        "Framework :: Django :: 5.2 :: More",
        f"Framework :: Django :: {'9' * 30}",
        f"Framework :: Django :: {'9' * 5000}.1",
        "Programming Language :: Python :: 3.13",
    ]
    assert declared(classifiers, "Framework :: Django") == ("4", "4.2", "5.2", "10.0")
    assert declared(classifiers, "Programming Language :: Python") == ("3.13",)
    assert declared([], "Framework :: Django") == ()


def test_declared_pythons() -> None:
    classifiers = ["3", "3 :: Only", "3.9", "3.13", "2.7", "Implementation :: CPython"]
    names = [f"Programming Language :: Python :: {name}" for name in classifiers]
    assert declared(names, "Programming Language :: Python") == ("2.7", "3", "3.9", "3.13")


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["4 - Beta"], "4 - Beta"),
        (["4 - Beta "], "4 - Beta"),
        (["4 - Beta", "4 - Beta"], "4 - Beta"),
        (["4 - Beta", "5 - Production/Stable"], None),
        (["4 - Beta", "9 - Unheard of"], "4 - Beta"),
        (["9 - Unheard of"], None),
        ([""], None),
        ([], None),
    ],
)
def test_development_status(names: list[str], status: str | None) -> None:
    classifiers = ["Framework :: Django", *(f"Development Status :: {name}" for name in names)]
    assert development_status(classifiers) == status
    assert status is None or status in DEVELOPMENT_STATUS


# -- links ---------------------------------------------------------------------------------------

HERE = "https://example.org/here"


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ("Source", "repository"),
        ("source", "repository"),
        ("Source Code", "repository"),
        ("Source-Code", "repository"),
        ("SOURCE_CODE", "repository"),
        ("Code", "repository"),
        ("Repository", "repository"),
        ("GitHub", "repository"),
        ("Homepage", "homepage"),
        ("Home Page", "homepage"),
        ("home-page", "homepage"),
        ("Home", "homepage"),
        ("Website", "homepage"),
        ("Documentation", "documentation"),
        ("Docs", "documentation"),
        ("Issues", None),
        ("Bug Tracker", None),
        ("Changelog", None),
        ("Download", None),
        ("Funding", None),
        ("Mirror of the source", None),
        ("", None),
        ("\u00fc", None),
    ],
)
def test_labels(label: str, field: str | None) -> None:
    assert links({label: HERE}, None) == ({field: HERE} if field else {})


@pytest.mark.parametrize(
    ("urls", "home_page", "found"),
    [
        ({}, None, {}),
        ({}, "", {}),
        ({}, "UNKNOWN", {}),
        ({}, HERE, {"homepage": HERE}),
        ({"Homepage": HERE}, "https://example.org/old", {"homepage": HERE}),
        ({"Homepage": None, "Docs": ""}, HERE, {"homepage": HERE}),
        ({"Homepage": "no link"}, HERE, {"homepage": HERE}),
        ({"Source": "javascript:alert(1)", "Docs": "file:///etc"}, None, {}),
        ({"Source": "git@github.com:a/b.git"}, None, {}),
        ({"Home": HERE, "Homepage": "https://b.example"}, None, {"homepage": HERE}),
        # The home page of many is their repository.
        ({}, "https://github.com/a/b", {"repository": "https://github.com/a/b"}),
        ({}, "https://github.com/a/b/", {"repository": "https://github.com/a/b"}),
        ({}, "https://github.com/a/", {"homepage": "https://github.com/a/"}),
        (
            {},
            "https://github.com/a/b#readme",
            {
                "homepage": "https://github.com/a/b#readme",
                "repository": "https://github.com/a/b",
            },
        ),
        (
            {"Repository": "https://github.com/a/b.git"},
            "https://github.com/A/B",
            {"repository": "https://github.com/a/b"},
        ),
        # What leads into a repository leads to it.
        (
            {"Source Code": "https://github.com/a/b/tree/main/sub"},
            HERE,
            {"repository": "https://github.com/a/b", "homepage": HERE},
        ),
        # But what is said of a repository is not put aside for a home page.
        (
            {"Source": "https://git.sr.ht/~a/b", "Homepage": "https://github.com/a/site"},
            None,
            {"repository": "https://git.sr.ht/~a/b", "homepage": "https://github.com/a/site"},
        ),
    ],
)
def test_links(urls: dict[str, str | None], home_page: str | None, found: dict[str, str]) -> None:
    assert links(urls, home_page) == found


@pytest.mark.parametrize(
    ("link", "repository"),
    [
        ("https://github.com/a/b", "https://github.com/a/b"),
        ("http://www.github.com/a/b.git", "http://www.github.com/a/b"),
        ("https://github.com/a/b.py", "https://github.com/a/b.py"),
        ("https://github.com/a/b.git/", "https://github.com/a/b"),
        ("https://github.com/a/b?x", "https://github.com/a/b"),
        ("https://GitHub.com/A/b/issues", "https://GitHub.com/A/b"),
        ("https://bitbucket.org/a/b/src/master", "https://bitbucket.org/a/b"),
        ("https://codeberg.org/a/b/src/branch/main", "https://codeberg.org/a/b"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b"),
        ("https://gitlab.com/a/b/c", "https://gitlab.com/a/b/c"),
        ("https://gitlab.com/a/b/c/d.git", "https://gitlab.com/a/b/c/d"),
        ("https://gitlab.com/a/b/c/-/tree/main?x", "https://gitlab.com/a/b/c"),
        ("https://gitlab.com/a/b/tree/main", "https://gitlab.com/a/b"),
        ("https://gitlab.com/a/b/", "https://gitlab.com/a/b"),
        ("https://gitlab.com/a/b#readme", "https://gitlab.com/a/b"),
        ("https://gitlab.com/a", "https://gitlab.com/a"),
        ("https://example.org/a/b/tree/main", "https://example.org/a/b/tree/main"),
        ("https://github.com.example.org/a/b/c", "https://github.com.example.org/a/b/c"),
    ],
)
def test_repositories(link: str, repository: str) -> None:
    assert links({"Source": link}, None) == {"repository": repository}


# -- one line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        (None, 20, None),
        ("", 20, None),
        (" \n\t", 20, None),
        ("a  b\nc\td", 20, "a b c d"),
        ("a\x1b[31mb\u202ec\u2028d", 20, "a [31mb c d"),
        ("x" * 20, 20, "x" * 20),
        ("x" * 21, 20, "x" * 17 + "..."),
        ("a " * 20, 20, "a a a a a a a a a..."),
        ("é", 20, "é"),
    ],
)
def test_one_line(text: str | None, limit: int, said: str | None) -> None:
    assert line(text, limit) == said


# -- anything ------------------------------------------------------------------------------------

ODD = st.text(max_size=60) | st.text(
    st.sampled_from('django>=<!~.*,;()[]@"0139 pythonversextra_-\n'), max_size=40
)
LICENCES = st.one_of(
    ODD,
    st.sampled_from(["MIT", "BSD", MIT, BSD_3, ISC, "GPLv3+"]),
    st.lists(st.sampled_from([MIT, BSD_2, BSD_3, ISC, WARRANTY, APACHE_NOTICE])).map("".join),
)
CLASSIFIERS = st.lists(
    st.builds(
        "{}{}".format,
        st.sampled_from(
            [
                "",
                "Framework :: Django :: ",
                "Development Status :: ",
                "License :: OSI Approved :: ",
            ]
        ),
        ODD | st.sampled_from(["5.2", "4 - Beta", "MIT License", "BSD License"]),
    ),
    max_size=5,
)


def accepted(field: str, value: Any) -> None:
    """The field takes it, and leaves it as it is."""
    assert FIELDS[field].check(value) == value


@given(CLASSIFIERS)
def test_any_classifiers(classifiers: list[str]) -> None:
    accepted("django_versions", declared(classifiers, "Framework :: Django"))
    accepted("python_versions", declared(classifiers, ""))
    accepted("development_status", development_status(classifiers))


@given(ODD)
@example("(")
@example(">=1.*.*")
def test_any_specifier(text: str) -> None:
    accepted("requires_python", specifier(text))


@given(st.lists(st.builds("{}{}".format, st.sampled_from(["", "django", "Django ; "]), ODD)))
@example(["django; python_version ~= 'x'"])
@example(["django>=1.*.*"])
def test_any_requirements(texts: list[str]) -> None:
    for python in "2.7", "3.13":
        asked = asked_for(texts, "django", python)
        accepted("requires_django", None if asked == UNREADABLE else asked)


@given(ODD | st.none(), LICENCES | st.none(), CLASSIFIERS)
def test_any_licence(expression: str | None, text: str | None, classifiers: list[str]) -> None:
    accepted("license", license_of(expression, text, classifiers))


LINKS = st.one_of(
    st.none(),
    ODD,
    st.builds(
        "{}{}".format,
        st.sampled_from(["https://github.com/", "https://gitlab.com/", "http://[", "http://a:"]),
        ODD | st.text(st.sampled_from("ab/.-#?git"), max_size=20),
    ),
)


@given(
    st.dictionaries(st.sampled_from(["Source", "Homepage", "docs", "github"]) | ODD, LINKS), LINKS
)
def test_any_links(urls: dict[str, str | None], home_page: str | None) -> None:
    found = links(urls, home_page)
    assert set(found) <= {"repository", "homepage", "documentation"}
    for field, link in found.items():
        accepted(field, link)


@given(st.text(), st.integers(4, 50))
def test_any_line(text: str, limit: int) -> None:
    said = line(text, limit)
    if said is not None:
        assert said.isprintable()
        assert said == said.strip()
        assert 0 < len(said) <= limit


@pytest.mark.parametrize(
    "text", ["1." * 200_000, "<" * 400_000, "MIT " * 100_000, " " * 400_000, "http://" * 60_000]
)
def test_what_is_long_is_read_in_no_time(text: str) -> None:
    """It is within what an index may answer; a pattern that backtracks would take for ever."""
    assert specifier(text) is None
    assert specifier(f">={text}") is None
    assert django(f"django>={text}x") == UNREADABLE
    license_of(text, text, [text])
    links({text: text, "Source": f"https://gitlab.com/{text}"}, text)
    declared([text], "Framework :: Django")
    line(text, 200)
