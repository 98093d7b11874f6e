"""How long `authdb refresh` takes for a thousand packages, against the ideal.

A real server on loopback answers each request after a while (``--latency``); the ideal is that
time for each request, with so many under way at once as there may be. Run it with
``python -m benchmarks.refreshing``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
AUTHDB = (sys.executable, "-m", "authdb")


def main() -> int:
    """Measure, and print a line for each kind of refresh."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds; 0.05 if not given")
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    server = subprocess.Popen(
        [
            *(sys.executable, ROOT / "tests" / "indexserver.py"),
            *("--latency", str(options.latency), "--packages", str(options.packages)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    # Django and Django REST Framework are asked about too.
    ideal = (options.packages + 2) * options.latency / options.at_once
    print(f"ideal: {ideal:.2f} s for {options.packages:,} packages")
    taken: dict[str, list[float]] = {"first": [], "nothing new": []}
    try:
        for _ in range(options.turns):
            with tempfile.TemporaryDirectory() as folder:
                _make(Path(folder), options.packages)
                for kind, times in taken.items():
                    times.append(_refresh(folder, url, options.at_once))
                    print(f"{kind}: {times[-1]:.2f} s, {times[-1] / ideal:.2f} of the ideal")
    finally:
        server.communicate()
    for kind, times in taken.items():
        print(f"{kind}: median {median(times):.2f} s, {median(times) / ideal:.2f} of the ideal")
    return 0


def _make(folder: Path, count: int) -> None:
    lines = (
        json.dumps({"name": f"package-{number:04}", "title": f"Package {number}"})
        for number in range(1, count + 1)
    )
    load = [*AUTHDB, "--db", folder, "load", "-", "--format", "ndjson"]
    subprocess.run(load, input="\n".join(lines), text=True, check=True, capture_output=True)


def _refresh(folder: str, url: str, at_once: int) -> float:
    """The seconds that the whole command takes."""
    began = time.perf_counter()
    command = [*AUTHDB, "--db", folder, "refresh", "--index-url", url, "--at-once", str(at_once)]
    done = subprocess.run(command, capture_output=True, text=True)
    taken = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"refresh failed: {done.stdout}{done.stderr}"[:2000])
    return taken


if __name__ == "__main__":
    raise SystemExit(main())
