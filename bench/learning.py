"""Does it learn what is there, and leave alone what is not? Whole lineages on series with planted rules, and without.

make bench-learning plays all units on two processes, keeps each result as it comes, and prints the table. Stopped, it
goes on where it was; results of other code are not used. Exit status 1 when something promised does not hold.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, cast

from bench.units import FIVE, SMALL, TWENTY, WHOLE, Gain, Result, Unit, play
from bench.verdicts import table
from ratchet.names import MODEL_TYPES, ModelType

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PROCESSES = 2
PLANTED_SERIES = 10
LARGE_NULL = ("logistic", "xgboost")
"""The model types that are cheap enough for a null part of 100 series with 20 sessions each."""
LARGE_SERIES, SMALL_SERIES = 100, 20

CODE = (
    *("bench/loop.py", "bench/planted.py", "bench/units.py", "ratchet/decisions/*.py", "ratchet/statistics/*.py"),
    *("services/knowledge/domain/*.py", "services/knowledge/handlers/application.py", "services/registry/domain/*.py"),
    *("bench/real.py", "ratchet/patterns/retention.py", "ratchet/scoring/**/*.py"),
    *("services/trainer/learning/*.py", "services/trainer/mining/*.py", "services/trainer/sessions/*.py"),
)
"""What a result depends on. After a change of any of it the units are played again."""


def units(series: int | None = None, only: Sequence[str] = ()) -> list[Unit]:
    """All units, so ordered that every beginning of the list says something of every model type.

    `series`: at most so many of each part and type. `only`: parts and model types; of both where both are named.
    """
    ranked: list[tuple[float, Unit]] = []
    for model_type in MODEL_TYPES:
        large = model_type in LARGE_NULL
        null_series, sessions, recipe = (LARGE_SERIES, TWENTY, SMALL) if large else (SMALL_SERIES, FIVE, WHOLE)
        ranked += [
            (index / PLANTED_SERIES, Unit("planted", model_type, index, FIVE, WHOLE)) for index in range(PLANTED_SERIES)
        ]
        ranked += [
            (1 + index / null_series, Unit("null", model_type, index, sessions, recipe)) for index in range(null_series)
        ]
    parts, types = {"planted", "null"} & set(only), set(MODEL_TYPES) & set(only)
    return [
        unit
        for _, unit in sorted(ranked, key=lambda each: each[0])
        if (series is None or unit.number < series)
        and (not parts or unit.part in parts)
        and (not types or unit.model_type in types)
    ]


def fingerprint() -> str:
    """A digest of the code that results depend on."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in ROOT.glob(pattern)):
        digest.update(f"{path.relative_to(ROOT)}\0{path.read_text()}\0".encode())
    return digest.hexdigest()[:16]


class Kept:
    """Results by unit in a file of JSON lines, of this code alone; others stay in the file and are not used."""

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._code = path, code
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("a") as file:
                file.write("\n")

    def add(self, unit: Unit, result: Result) -> None:
        line = {"code": self._code, "unit": _key(unit), "result": dataclasses.asdict(result)}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read(self, wanted: Sequence[Unit]) -> dict[Unit, Result]:
        """The results that are there already; a line that was cut off counts as not there."""
        by_key = {_key(unit): unit for unit in wanted}
        known = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                kept = json.loads(line)
            except json.JSONDecodeError:
                continue
            if kept["code"] == self._code and kept["unit"] in by_key:
                known[by_key[kept["unit"]]] = _result(kept["result"])
        return known


def _key(unit: Unit) -> str:
    return json.dumps(dataclasses.asdict(unit), sort_keys=True)


def _result(plain: dict[str, object]) -> Result:
    gains = {name: Gain(**cast(Any, plain[name])) for name in ("gain", "earlier")}
    return Result(**cast(Any, {**plain, **gains}))


def _timed(unit: Unit) -> tuple[Unit, Result, float]:
    began = time.monotonic()
    return unit, play(unit), time.monotonic() - began


def played(wanted: Sequence[Unit], processes: int) -> Iterator[tuple[Unit, Result, float]]:
    """The results as they come, each with the seconds it took.

    Processes are spawned: a fork after OpenMP was used hangs scikit-learn and XGBoost.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _follow, (os.getpid(),))
    try:
        for future in as_completed([pool.submit(_timed, unit) for unit in wanted]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _follow(parent: int) -> None:
    """A process ends with the one that started it, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Clock:
    """How long the rest will take: as long as units of their part and type took, or all units where none is known."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._took: dict[tuple[str, ModelType], list[float]] = {}

    def add(self, unit: Unit, seconds: float) -> None:
        self._took.setdefault((unit.part, unit.model_type), []).append(seconds)

    def left(self, units_left: Sequence[Unit]) -> float:
        every = [seconds for took in self._took.values() for seconds in took]
        means = [self._took.get((unit.part, unit.model_type), every) for unit in units_left]
        return sum(sum(took) / len(took) for took in means if took) / self._processes


def said(unit: Unit, result: Result) -> str:
    """A result in a few words."""
    if unit.part == "null":
        accepted = [policy for policy in ("balanced", "strict") if getattr(result, policy)]
        what = f"promoted under {' and '.join(accepted)}" if accepted else "no promotion"
    else:
        what = f"{result.promotions} promotions, gain {result.gain.mean:+.4f}, {result.found} of 3 rules found"
    return f"{unit.name}: {what}; {result.sessions} sessions, {result.cpu_seconds:.1f} s CPU"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = ("planted", "null", *MODEL_TYPES)
    parser.add_argument("--only", action="append", default=[], choices=choices, help="a part or model type; repeatable")
    parser.add_argument("--series", type=int, help="at most so many series of each part and model type")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--out", type=Path, default=RESULTS / "learning.jsonl", help="where results are kept")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    asked = parser.parse_args()

    wanted = units(asked.series, asked.only)
    kept = Kept(asked.out, fingerprint())
    results = kept.read(wanted)
    rest = [unit for unit in wanted if unit not in results]
    print(f"{len(wanted)} units, {len(results)} of them known from {asked.out}", flush=True)
    clock = Clock(asked.processes)
    for unit, result, seconds in played(rest, asked.processes) if rest else ():
        kept.add(unit, result)
        results[unit] = result
        clock.add(unit, seconds)
        left = clock.left([unit for unit in rest if unit not in results])
        print(f"[{len(results)}/{len(wanted)}] {said(unit, result)}; {left / 60:.0f} min left", flush=True)

    found = table(results)
    print(f"\n{found.text}", end="")
    if asked.table:
        asked.table.write_text(found.text)
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
