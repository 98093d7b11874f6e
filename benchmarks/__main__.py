"""``python -m benchmarks``: measure, show, and write the page."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.data import number
from benchmarks.harness import Board
from benchmarks.peers import PEERS
from benchmarks.report import page, show, show_bars
from benchmarks.run import Run


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says; 1 where authdb failed or answered wrongly."""
    options = _parser().parse_args(arguments)
    # Some environments set this, and then each process compiles what it imports: more of ours.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="authdb-bench-") as temporary:
        work = options.work or Path(temporary)
        board = Board(
            work / "results.json", options.resume or options.report_only, options.report_only
        )
        if not options.report_only:
            try:
                Run(options.sizes, work, board, options.peers, options.limit, options.turns).run()
            except KeyboardInterrupt:
                again = (
                    f"--work {options.work} --resume takes it up" if options.work else "all is lost"
                )
                print(f"cut short; {again}", file=sys.stderr)
                return 130
        # Wide in a file or a pipe, where nobody cuts it.
        console = Console(width=None if sys.stdout.isatty() else 180)
        show(board, console)
        if options.bars:
            show_bars(board, console)
        if options.docs:
            from benchmarks.chart import draw

            (options.docs / "benchmarks.md").write_text(page(board))
            draw(board, options.docs / "benchmarks.svg")
    wrong = [text for _, _, peer, text in board.notes() if peer == "ours"]
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        *("--sizes", "-n"),
        nargs="+",
        type=number,
        default=[10_000, 100_000],
        metavar="N",
        help="how many packages, such as 10k 100k 1m (default: 10k 100k)",
    )
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=list(PEERS), help="default: all"
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="keep data, databases and results there (default: a temporary folder)",
    )
    parser.add_argument("--resume", action="store_true", help="take up a run that was cut short")
    parser.add_argument(
        "--limit",
        type=float,
        default=120,
        metavar="SECONDS",
        help="give a peer up that takes longer for one thing (default: 120)",
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=5,
        help="how often each peer is asked each question (default: 5)",
    )
    parser.add_argument("--bars", action="store_true", help="also say which bars hold")
    parser.add_argument(
        "--docs", type=Path, metavar="FOLDER", help="write benchmarks.md and benchmarks.svg there"
    )
    parser.add_argument(
        "--report-only", action="store_true", help="measure nothing: show what --work holds"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
