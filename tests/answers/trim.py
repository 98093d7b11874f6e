"""Trims what a package index answered about packages to the facts that tests need.

    python tests/answers/trim.py FOLDER [INTO]

``FOLDER`` holds full answers to ``BASE/NAME/json``, each as ``NAME.json``. What is left of them is
written to files of the same names in ``INTO``, by default the folder of this script. Descriptions,
people, addresses of e-mail and the index's own URLs are left out; if one is found all the same,
nothing is written.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

#: What is kept of a package, and of each file.
INFO = (
    "classifiers",
    "home_page",
    "license",
    "license_expression",
    "name",
    "project_urls",
    "requires_dist",
    "requires_python",
    "summary",
    "version",
    "yanked",
)
FILE = ("packagetype", "requires_python", "upload_time_iso_8601", "yanked")

#: Of projects with a long past, only what was released since.
SINCE = {"django": "2018", "djangorestframework": "2018"}

LICENSE = 2500  #: characters kept of a licence's text
DETAILS = 300  #: characters kept of what is said of a vulnerability

_INDEX = re.compile(r"\b(pypi|pythonhosted)\.", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_COPYRIGHT = re.compile(r"^([ \t]*Copyright \(c\) [\d, -]*\d),? .*$", re.IGNORECASE | re.MULTILINE)


def trimmed(answer: dict[str, Any]) -> dict[str, Any]:
    """The facts in a full answer."""
    info = {key: answer["info"].get(key) for key in INFO}
    if info["license"]:
        # A text names its holders; tests only need that it is a text.
        info["license"] = _COPYRIGHT.sub(r"\1, the authors", info["license"])[:LICENSE]
    if _INDEX.search(info["home_page"] or ""):
        info["home_page"] = None
    if info["project_urls"]:
        info["project_urls"] = {
            label: url for label, url in info["project_urls"].items() if not _INDEX.search(url)
        }
    since = SINCE.get(info["name"].lower(), "")
    releases = {version: _files(files) for version, files in answer["releases"].items()}
    return {
        "info": info,
        "releases": {
            version: files
            for version, files in releases.items()
            if not files or files[0]["upload_time_iso_8601"] >= since
        },
        "vulnerabilities": [_vulnerability(known) for known in answer["vulnerabilities"]],
    }


def _files(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The earliest file of a release and, where some are yanked and some are not, the earliest of
    the others: what can be said of the release as a whole stays true."""
    kept: dict[bool, dict[str, Any]] = {}
    for file in sorted(files, key=lambda file: file["upload_time_iso_8601"]):
        kept.setdefault(file["yanked"], {key: file[key] for key in FILE})
    return list(kept.values())


def _vulnerability(known: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in known.items() if key != "link"}
    if kept.get("details"):
        kept["details"] = kept["details"][:DETAILS]
    return kept


def main(folder: Path, into: Path) -> None:
    texts = {}
    for path in sorted(folder.glob("*.json")):
        answer = trimmed(json.loads(path.read_bytes()))
        text = json.dumps(answer, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for pattern in _INDEX, _EMAIL:
            if found := pattern.search(text):
                raise SystemExit(f"trim.py: {path.name}: {found.group()!r} is left in it")
        texts[into / path.name] = text
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: trim.py FOLDER [INTO]")
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent)
