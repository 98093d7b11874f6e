"""The command that chooses: choose."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Any

from authdb.commands.common import opened, plural
from authdb.frameworks import known
from authdb.output import text_out
from authdb.progress import say
from authdb.selection import Candidate, Choice, Requirements, choose

__all__ = ["do_choose"]


def do_choose(options: argparse.Namespace) -> int:
    """Say which packages to use for what is needed, and why."""
    requirements = Requirements.of(
        options.need,
        django=options.django,
        python=options.python,
        within=options.within,
        license=options.license,
    )
    with opened(options) as db:
        assert db.path is not None
        choice = choose(
            db,
            requirements,
            frameworks=known(db.path),
            day=db.today,
            limit=options.limit,
            explain=options.explain,
        )
    if options.format == "json":
        _write_json(choice, options.explain)
    else:
        _write_text(choice)
    if not choice.total:
        say(_nothing(choice, options.explain))
    return 0 if choice.total else 1


def _nothing(choice: Choice, explained: bool) -> str:
    if not choice.packages:
        return "there is no package to choose from; authdb init --with-list loads some"
    hint = "" if explained else "; --explain says why not"
    return f"no package fits, out of {choice.packages:,}{hint}"


# -- text ------------------------------------------------------------------------------------


def _write_text(choice: Choice) -> None:
    width = max(get_terminal_size().columns, 40) if sys.stdout.isatty() else 80
    for paragraph, indent in _paragraphs(choice, width):
        # What is copied from it, names and addresses, stays whole.
        print(
            textwrap.fill(
                paragraph,
                width,
                initial_indent=indent,
                subsequent_indent=f"{indent}  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def _paragraphs(choice: Choice, width: int) -> Iterator[tuple[str, str]]:
    """Each paragraph of the answer, and how far it is indented."""
    yield _heading(choice), ""
    for remark in choice.remarks:
        yield f"note: {remark}", ""
    for rank, each in enumerate(choice.offered, 1):
        yield "", ""
        yield f"{rank}. {_named(each)}", ""
        yield textwrap.shorten(_about(each), width - 3, placeholder=" ..."), "   "
        for reason in each.reasons:
            yield str(reason), "   "
    if choice.rejected:
        yield "", ""
        yield "not offered:", ""
    for other in choice.rejected:
        yield f"{other.name}: {'; '.join(other.failed)}", "   "
    if choice.total:
        yield "", ""
        shown = len(choice.offered)
        more = f", {shown} shown" if shown < choice.total else ""
        verb = "fits" if choice.total == 1 else "fit"
        yield f"{choice.total:,} of {plural(choice.packages)} {verb}{more}", ""


def _heading(choice: Choice) -> str:
    """What was asked, of which day, and what is installed beside it."""
    asked = choice.requirements
    django = f"Django {asked.django}" if asked.django else _newest("Django", choice.django)
    drf = _newest("djangorestframework", choice.drf)
    if choice.drf_is_for_others:
        drf = f"whichever djangorestframework goes with it ({drf} does not)"
    parts = [
        f"for {', '.join(asked.needs)}" if asked.needs else "for anything",
        f"with {django} and {drf}",
    ]
    if choice.seen is not None:
        parts[-1] += f" (seen {choice.seen.isoformat()})"
    if asked.python:
        parts.append(f"on Python {asked.python}")
    if asked.within:
        parts.append(f"updated within {asked.within}")
    if asked.license:
        parts.append(f"licence {asked.license.replace(',', ' or ')}")
    return f"{', '.join(parts)}; as of {choice.day.isoformat()}"


def _newest(name: str, version: str | None) -> str:
    return f"today's {name} {version or '(not known which)'}"


def _named(candidate: Candidate) -> str:
    package = candidate.package
    update = package.last_update
    parts = [
        package.name + (f" {package.version}" if package.version else ""),
        f"updated {update.isoformat()}" if update else "update unknown",
        f"+{candidate.in_favour} -{candidate.against}",
    ]
    return ", ".join(parts)


def _about(candidate: Candidate) -> str:
    package = candidate.package
    return f"{package.title}: {package.description}" if package.description else package.title


# -- JSON ------------------------------------------------------------------------------------


def _write_json(choice: Choice, explain: bool) -> None:
    import json

    about = {
        "asked": choice.requirements._asdict(),
        "day": choice.day.isoformat(),
        "today": {
            "django": choice.django,
            "djangorestframework": choice.drf,
            "they_go_together": not choice.drf_is_for_others,
            "seen": choice.seen and choice.seen.isoformat(),
        },
        "remarks": choice.remarks,
        "packages": choice.packages,
        "total": choice.total,
        "offered": [_candidate(each) for each in choice.offered],
        "rejected": [each._asdict() for each in choice.rejected] if explain else None,
    }
    json.dump(about, text_out(), indent=2, ensure_ascii=False)
    print()


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.package.name,
        "points": candidate.points,
        "for": candidate.in_favour,
        "against": candidate.against,
        "reasons": [reason._asdict() for reason in candidate.reasons],
        "package": candidate.package.record(),
    }
