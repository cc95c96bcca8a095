"""Every state of the registry folded from its log, beside a bare scan of the log."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.log import aggregates, plant, scan, spent
from bench.measured import Measured
from bench.planted_log import EVENTS as OF_A_SESSION
from bench.planted_log import PlantedLog

EVENTS, SYMBOLS, RUNS = 200_000, 5, 3
RATIO, GROWTH = 2.0, 0.1


def measure(folder: Path) -> Iterator[Measured]:
    path = folder / "log.sqlite"
    head = plant(path, PlantedLog(SYMBOLS), EVENTS // OF_A_SESSION)
    size = path.stat().st_size / 2**20
    bare = spent(partial(scan, path, head), RUNS)
    tenth, whole = (spent(partial(aggregates, path, until), RUNS) for until in (head // 10, head))
    ratio = whole.cpu / bare.cpu
    yield Measured.at_most(
        f"all states from {head:,} events ({whole.said}) against a scan that parses them",
        f"{whole.cpu:.2f} s, {ratio:.2f} times",
        ratio,
        RATIO,
        "times",
        why=WHY,
    )
    growth = (whole.memory - tenth.memory) / (0.9 * size)
    yield Measured.at_most(
        f"its memory: {tenth.memory:.0f} MiB for a tenth of the log, {whole.memory:.0f} MiB for all {size:.0f} MiB",
        f"grows by {growth:.2f} of what the log grows by",
        growth,
        GROWTH,
        "of the log",
        guarded=True,
    )


WHY = (
    "half of the time is the scan itself. The rest is Python: 8 µs to fold a decision into its lineage and 6 µs for a"
    " model, each as a new value that shares all else with the one before. A start does not wait for it: the registry"
    " folds a lineage when it is first asked for."
)
