"""make bench: everything that a user waits for or pays for, in one run; make bench-check: what must hold anywhere.

Prints a table as it goes. With --write it goes to docs/performance.md and bench/results/performance.json, too. With
--check only ratios and counts decide: exit status 1 where one of them does not hold.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil

from bench.measured import Measured, line

GROUPS = {
    "writing": "Recording a training",
    "reading": "Reading the registry and the log",
    "rebuilding": "Rebuilding",
    "data": "Bars and features",
    "training": "Training",
    "predicting": "Predicting",
    "starting": "Starting",
    "installing": "Installing",
    "peer": "Beside MLflow",
}
COLUMNS = ("what", "measured", "promised", "of what is promised", "holds")
HEAD = (line(COLUMNS), line(["---"] * len(COLUMNS)))
ROOT = Path(__file__).parents[2]
PAGE, RESULTS = ROOT / "docs" / "performance.md", ROOT / "bench" / "results" / "performance.json"


def measured(group: str) -> Iterator[Measured]:
    with tempfile.TemporaryDirectory(prefix="ratchet-bench-") as folder:
        yield from importlib.import_module(f"bench.speed.{group}").measure(Path(folder))


def page(found: dict[str, list[Measured]]) -> str:
    """The page: a table for each group, and where the time goes for each row that does not hold."""
    parts = [
        "# Performance",
        f"One run of `make bench`, which makes this page, on {psutil.cpu_count()} cores of {_processor()},"
        f" {psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}; the embedded default,"
        " durable. `make bench-check` guards the ratios and counts; times are those of this machine in this hour, and"
        " what was bare in the same run tells how quick that was. A million events are measured by `make bench-log`"
        " ([table](../bench/results/log.md)).",
    ]
    for group, rows in found.items():
        parts += [f"## {GROUPS[group]}", "\n".join([*HEAD, *map(_row, rows)])]
        parts += [f"- **{row.what}**: {row.why}" for row in rows if row.holds is False and row.why]
    return "\n\n".join(parts) + "\n"


def _row(row: Measured) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return line((row.what, row.result, row.promise, ratio, row.held))


def _write(found: dict[str, list[Measured]]) -> None:
    """The page and the results of the groups so far."""
    PAGE.write_text(page(found), encoding="utf-8")
    rows = {group: [asdict(row) for row in rows] for group, rows in found.items()}
    RESULTS.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _processor() -> str:
    names = [text.partition(": ")[2] for text in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in text]
    return names[0] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(GROUPS), help="a group; repeatable")
    parser.add_argument("--write", action="store_true", help="write the page and the JSON file")
    parser.add_argument("--check", action="store_true", help="exit 1 where a guarded ratio or count does not hold")
    asked = parser.parse_args()
    print("\n".join(HEAD), flush=True)
    found: dict[str, list[Measured]] = {}
    for group in asked.only or GROUPS:
        for row in measured(group):
            found.setdefault(group, []).append(row)
            print(_row(row), flush=True)
        if asked.write:
            _write(found)
    failed = [row.what for rows in found.values() for row in rows if row.guarded and row.holds is False]
    for what in failed:
        print(f"does not hold: {what}", file=sys.stderr)
    return 1 if asked.check and failed else 0


if __name__ == "__main__":
    sys.exit(main())
