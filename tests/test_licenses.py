"""Licences: their classes, and what expressions mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression

from authdb.exceptions import AuthDBError
from authdb.licenses import LICENSES, license_fits, read_licenses, spdx_ids


@pytest.mark.parametrize("ids", LICENSES.values())
def test_the_classes_hold_spdx_ids_and_share_none(ids: frozenset[str]) -> None:
    for each in ids:
        assert str(canonicalize_license_expression(each)) == each
    assert sum(ids <= other or bool(ids & other) for other in LICENSES.values()) == 1


def test_the_page_names_what_is_in_the_classes() -> None:
    page = (Path(__file__).parent.parent / "docs" / "choosing.md").read_text("utf-8")
    for name, ids in LICENSES.items():
        text = re.search(rf"^- \*\*{name}\*\*: ([^;*]+?)(;|\n\n|\n-)", page, re.MULTILINE)
        assert text is not None
        named = text[1].replace("\n", " ").replace(" ", "").split(",")
        assert sorted(named) == sorted(
            each for each in ids if not each.endswith(("-only", "-or-later"))
        )
    gnu = [each for each in LICENSES["copyleft"] if "GPL" in each]
    stems = {each.removesuffix("-only").removesuffix("-or-later") for each in gnu}
    assert sorted(gnu) == sorted(s + end for s in stems for end in ("", "-only", "-or-later"))


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
        ("Apache-2.0+", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("GPL-2.0-only OR MIT", True),
        ("GPL-2.0-only AND MIT", False),
        ("MIT OR GPL-2.0-only AND GPL-3.0-only", True),
        ("GPL-3.0-only AND GPL-2.0-only OR MIT", True),
        ("(MIT OR GPL-2.0-only) AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only WITH Classpath-exception-2.0) AND (ISC)", True),
        (f"{'(' * 190}MIT{')' * 190}", True),
    ],
)
def test_alternatives_are_enough_and_what_holds_together_is_not(
    expression: str, fits: bool
) -> None:
    assert str(canonicalize_license_expression(expression)) == expression
    assert license_fits(expression, LICENSES["permissive"]) is fits


#: Two of each class.
IDS = ("GPL-3.0-only", "ISC", "MIT", "MPL-2.0")


@st.composite
def licenses(draw: Callable[..., Any], depth: int = 2) -> tuple[str, Callable[[Any], bool], str]:
    """An expression, what it means for the ids that are accepted, and its outermost operator."""
    kind = draw(st.sampled_from(["id", "AND", "OR"])) if depth else "id"
    if kind == "id":
        name = draw(st.sampled_from(IDS))
        return name, lambda ids: name in ids, ""
    sides = [draw(licenses(depth - 1)) for _ in range(2)]
    # Without parentheses only what binds tighter, which leaves the meaning as it is.
    texts = [
        text if inner in ("", "AND") and draw(st.booleans()) else f"({text})"
        for text, _, inner in sides
    ]
    join = all if kind == "AND" else any
    return f" {kind} ".join(texts), lambda ids: join(means(ids) for _, means, _ in sides), kind


@given(licenses(3), st.sets(st.sampled_from(IDS)))
def test_an_expression_means_what_its_tree_does(
    drawn: tuple[str, Callable[[Any], bool], str], ids: set[str]
) -> None:
    text, means, _ = drawn
    assert license_fits(text, frozenset(ids)) is means(ids)


@pytest.mark.parametrize(
    ("words", "fitting", "others"),
    [
        ("mit", {"MIT"}, {"MIT-0", "ISC"}),
        ("bsd", {"BSD-2-Clause", "BSD-3-Clause", "BSD-2-Clause-Views"}, {"0BSD", "MIT"}),
        ("GPL", {"GPL-2.0-only", "GPL-3.0-or-later"}, {"LGPL-3.0-only", "AGPL-3.0-only"}),
        ("GPL-3.0", {"GPL-3.0-only", "GPL-3.0-or-later", "GPL-3.0"}, {"GPL-2.0-only"}),
        ("GPL-3.0+", {"GPL-3.0-or-later"}, {"GPL-3.0-only"}),
        ("gpl-3.0-only", {"GPL-3.0-only"}, {"GPL-3.0-or-later"}),
        ("permissive,mpl", {"MIT", "MPL-2.0"}, {"GPL-3.0-only"}),
        ("Apache-2.0+", {"Apache-2.0"}, {"MIT"}),
        ("Zimbra-1.3", {"Zimbra-1.3"}, {"MIT"}),
    ],
)
def test_what_words_stand_for(words: str, fitting: set[str], others: set[str]) -> None:
    read = read_licenses(words)
    ids = spdx_ids(read)
    assert fitting <= ids and not others & ids
    assert spdx_ids(read_licenses(read)) == ids


@pytest.mark.parametrize("words", ["", "mit,", "free", "MIT OR ISC", "(MIT)", "bsd-", "g p l"])
def test_what_is_no_licence_is_told_in_a_line(words: str) -> None:
    with pytest.raises(AuthDBError, match="a licence is permissive, copyleft, or an SPDX id") as e:
        read_licenses(words)
    assert "\n" not in str(e.value)
