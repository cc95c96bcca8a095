"""Lineages on real series: twelve sessions each, beside the baselines and the arms without a gate.

make bench-real plays every model type on the demo series (range, volatility, volume, direction) and, where
RATCHET_DEV_DATA names a folder of further CSV files, on these (range, volatility). The first session is held at bar
1,250 + h, the rest evenly; every arm is scored on the same bars after it, each by a version that had not seen them.
Results are kept as they come; stopped, it goes on where it was. `as_built.json` holds the Brier scores of the champions
of 0.1 on the same bars (its logistic beside har). Exit status 1 when something promised does not hold.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.learning import fingerprint
from bench.loop import Loop
from ratchet.names import MODEL_TYPES, NAIVE_BASELINES, TARGETS, ModelType, Target, Task
from ratchet.scoring import baselines, columns, targets
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.data.csv_file import read
from ratchet.scoring.evaluation import Segment
from ratchet.scoring.models import artifact
from ratchet.statistics.scores import mean_difference
from services.trainer.learning.fresh import FreshFit, evaluate_fresh
from services.trainer.learning.inputs import SessionOptions
from services.trainer.learning.windows import Rows

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
DEMO = ("AAPL", "GOOG", "IBM", "MSFT")
FIRST = 1_250
SESSIONS = 12
MAIN: tuple[Target, ...] = ("range", "volatility")
REPORTED: tuple[Target, ...] = ("volume", "direction")

CHAMPION, NEWEST, FIRST_VERSION, FRESH = "champion", "always replaced", "never retrained", "fresh"
NO_STUDY = SessionOptions(suggestions=0)
"""A fresh fit is tried on the margin and off it, and nothing more."""
BETTER, NEAR_HAR, SKILLED, FRESH_BETTER = 0.08, 1.02, 0.8, 0.1


@dataclass(frozen=True)
class Unit:
    """A lineage: `path` of the series' CSV file."""

    series: str
    path: str
    target: Target
    model_type: ModelType

    @property
    def name(self) -> str:
        return f"{self.series}/{Task.of(self.target)}/{self.model_type}"


@dataclass(frozen=True)
class Result:
    """`brier`: of each arm on all `bars`. `promotions`: after the first model. `v1_skilled`: v1 is shown better than
    base rate and persistence on all bars after its last label. `fresh_better`: so is fresh than the champion."""

    bars: int
    brier: Mapping[str, float]
    promotions: int
    v1_skilled: bool
    fresh_better: bool
    cpu_seconds: float


def units(dev: Path | None) -> list[Unit]:
    """The main targets of all series first."""
    demo = [(name, ROOT / "ratchet" / "data" / f"{name}.csv") for name in DEMO]
    more = [(_named(path.stem), path) for path in sorted(dev.glob("*.csv"))] if dev else []
    asked = [(each, target) for target in MAIN for each in (*demo, *more)]
    asked += [(each, target) for target in REPORTED for each in demo]
    return [
        Unit(series, str(path), target, model_type) for (series, path), target in asked for model_type in MODEL_TYPES
    ]


def _named(stem: str) -> str:
    """LTCBTC5M is bars of five minutes."""
    return f"{stem.removesuffix('5M')}@5m" if stem.endswith("5M") else stem


def play(unit: Unit) -> Result:
    """The lineage from its first session to its last."""
    began = time.process_time()
    path, task = Path(unit.path), Task.of(unit.target)
    bars = read(path.read_bytes(), unit.series, path.name).bars.traded()
    dates = session_dates(len(bars), task.horizon)
    y = targets.labels(unit.target, bars, task.horizon)
    scored = np.flatnonzero(np.isfinite(y) & (np.arange(len(bars)) >= dates[0]))
    loop = Loop(unit.name)
    said: list[Floats] = []
    fit_end, in_force, promotions = 0, [], 0
    fresh = np.full(len(bars), np.nan)
    for number, (date, stop) in enumerate(zip(dates, [*dates[1:], len(bars)], strict=True)):
        played = loop.session(bars.head(date), seed=100 + number)
        said.append(columns.predict(artifact.load(loop.artifact(played.model)), bars))
        in_force.append(int(played.champion.rpartition("/v")[2]))
        promotions += played.promoted
        fit_end = fit_end or played.outcome.fit_end_label_time
        fresh[date:stop] = _fresh(unit, bars, date, stop)
    spans = list(zip(dates, [*dates[1:], len(bars)], strict=True))

    def arm(versions: Iterable[int]) -> Floats:
        p = np.full(len(bars), np.nan)
        for version, (start, stop) in zip(versions, spans, strict=True):
            p[start:stop] = said[version - 1][start:stop]
        return p

    simple = baselines.forecasts(bars, unit.target, task.horizon)
    arms = {
        CHAMPION: arm(in_force),
        NEWEST: arm(range(1, SESSIONS + 1)),
        FIRST_VERSION: said[0],
        FRESH: fresh,
        **simple,
    }
    unseen = np.flatnonzero(np.isfinite(y) & (bars.time > fit_end))

    def shown(p: Floats, other: Floats, rows: Rows) -> bool:
        return mean_difference((other - y)[rows] ** 2 - (p - y)[rows] ** 2, task.horizon).low > 0.0

    return Result(
        bars=len(scored),
        brier={name: float(np.mean((p[scored] - y[scored]) ** 2)) for name, p in arms.items()},
        promotions=promotions,
        v1_skilled=all(shown(said[0], simple[name], unseen) for name in NAIVE_BASELINES),
        fresh_better=shown(fresh, arms[CHAMPION], scored),
        cpu_seconds=time.process_time() - began,
    )


def session_dates(bars: int, horizon: int) -> list[int]:
    """How many bars each session knows."""
    first = FIRST + horizon
    return [first + round(number * (bars - first) / SESSIONS) for number in range(SESSIONS)]


def _fresh(unit: Unit, bars: Bars, date: int, stop: int) -> Floats:
    """The forecasts of a model trained anew at `date`, float64[stop − date]; NaN without a label."""
    horizon = Task.of(unit.target).horizon
    scored = Segment(unit.target, horizon, bars.head(stop + horizon), date)
    found = evaluate_fresh(FreshFit(scored, unit.model_type, NO_STUDY), _quietly)
    p = np.full(stop - date, np.nan)
    within = np.searchsorted(bars.time, found.times) - date
    inside = within < len(p)
    p[within[inside]] = found.probabilities[inside]
    return p


def _quietly(phase: str, fraction: float) -> None:
    """Nobody watches the progress."""


@dataclass(frozen=True)
class Table:
    """Markdown; `failed`: the broken promises, in words."""

    text: str
    failed: tuple[str, ...]


def table(results: Mapping[Unit, Result], as_built: Mapping[str, float]) -> Table:
    """A summary row a model type, then every problem with all its arms."""
    failed: list[str] = []
    main = {unit: result for unit, result in results.items() if unit.target in MAIN}
    lines = [
        "Brier scores, means over problems (series × range, volatility); 12 sessions, `balanced`. *as built*: champions"
        " of 0.1 on the same bars (har beside its logistic). *v1 skilled*: v1 shown better than base rate and"
        " persistence. *fresh better*: a fresh fit on the same features shown better than the champion.",
        "",
    ]
    head = ["model type", "problems", "as built", "champion", "below as built", "champion ÷ har@baseline"]
    head += ("always replaced", "never retrained", "fresh", "v1 skilled", "fresh better", "CPU s a session", "holds")
    lines += [_line(head), _line(["---"] * len(head))]
    better = sum(result.fresh_better for result in main.values())
    for model_type in MODEL_TYPES:
        known = {unit: result for unit, result in main.items() if unit.model_type == model_type}
        if known:
            lines.append(_line(_row(model_type, known, as_built, failed)))
    if better > FRESH_BETTER * len(main):
        failed.append(f"fresh is shown better than the champion in {better} of {len(main)}")
    lines += ["", f"Fresh is shown better than the champion in {better} of {len(main)} pairs (at most a tenth).", ""]
    for target in (*MAIN, *REPORTED):
        part = {unit: result for unit, result in results.items() if unit.target == target}
        if part:
            lines += [f"**{target}**", "", *_problems(part, as_built), ""]
    verdict = "Everything holds." if not failed else "Does not hold: " + "; ".join(failed) + "."
    return Table("\n".join([*lines, verdict, ""]), tuple(failed))


def _row(
    model_type: str, known: Mapping[Unit, Result], as_built: Mapping[str, float], failed: list[str]
) -> Sequence[str]:
    def mean(arm: str) -> float:
        return float(np.mean([result.brier[arm] for result in known.values()]))

    champion, har = mean(CHAMPION), mean(baselines.HAR)
    before = float(np.mean([as_built.get(unit.name, np.nan) for unit in known]))
    below = 1.0 - champion / before
    skilled = float(np.mean([result.v1_skilled for result in known.values()]))
    missed = []
    if not below >= BETTER:
        missed.append(f"{100 * below:.1f} % below as built, {100 * BETTER:.0f} asked")
    if champion > NEAR_HAR * har:
        missed.append(f"{champion / har:.3f} of har@baseline, {NEAR_HAR} at most")
    if skilled < SKILLED:
        missed.append(f"v1 skilled in {skilled:.2f}, {SKILLED} asked")
    failed.extend(f"{model_type}: {what}" for what in missed)
    spent = sum(result.cpu_seconds for result in known.values()) / (SESSIONS * len(known))
    better = sum(result.fresh_better for result in known.values())
    scores = (f"{mean(arm):.4f}" for arm in (NEWEST, FIRST_VERSION, FRESH))
    cells = [model_type, str(len(known)), f"{before:.4f}", f"{champion:.4f}", f"{100 * below:.1f} %"]
    cells += (f"{champion / har:.4f}", *scores, f"{skilled:.2f}", f"{better} of {len(known)}", f"{spent:.1f}")
    return [*cells, "no" if missed else "yes"]


def _problems(part: Mapping[Unit, Result], as_built: Mapping[str, float]) -> list[str]:
    simple = list(dict.fromkeys(name for result in part.values() for name in result.brier if "@" in name))
    head = ["lineage", "as built", CHAMPION, NEWEST, FIRST_VERSION, FRESH, "promotions"]
    lines = [_line(head), _line(["---"] * len(head))]
    for unit, result in part.items():
        before = as_built.get(unit.name)
        scores = [f"{result.brier[arm]:.4f}" for arm in (CHAMPION, NEWEST, FIRST_VERSION, FRESH)]
        lines.append(_line([unit.name, f"{before:.4f}" if before else "", *scores, str(result.promotions)]))
    problems = {f"{unit.series}/{unit.target}": result for unit, result in part.items()}
    head = ["problem", "bars", *(name.removesuffix("@baseline") for name in simple)]
    lines += ["", _line(head), _line(["---"] * len(head))]
    lines += [
        _line(
            [name, str(result.bars), *(f"{result.brier[each]:.4f}" if each in result.brier else "" for each in simple)]
        )
        for name, result in problems.items()
    ]
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def kept(path: Path, code: str, wanted: Sequence[Unit]) -> dict[Unit, Result]:
    """The results of this code that are there already."""
    named = {unit.name: unit for unit in wanted}
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {
        named[line["unit"]]: Result(**line["result"])
        for line in lines
        if line["code"] == code and line["unit"] in named
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", action="append", default=[], help="of these alone; repeatable")
    parser.add_argument("--target", action="append", default=[], choices=TARGETS)
    parser.add_argument("--model-type", action="append", default=[], choices=MODEL_TYPES)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "real.jsonl", help="where results are kept")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    dev = os.environ.get("RATCHET_DEV_DATA")
    wanted = [
        unit
        for unit in units(Path(dev) if dev else None)
        if unit.series in (asked.series or [unit.series])
        and unit.target in (asked.target or [unit.target])
        and unit.model_type in (asked.model_type or [unit.model_type])
    ]
    code = fingerprint()
    results = kept(asked.out, code, wanted)
    rest = [unit for unit in wanted if unit not in results]
    print(f"{len(wanted)} lineages, {len(results)} of them known from {asked.out}", flush=True)
    with ProcessPoolExecutor(asked.processes, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(play, unit): unit for unit in rest}
        for future in as_completed(running):
            unit = running[future]
            try:
                result = future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                print(f"{unit.name} failed", flush=True)
                raise
            results[unit] = result
            with asked.out.open("a") as file:
                file.write(json.dumps({"code": code, "unit": unit.name, "result": dataclasses.asdict(result)}) + "\n")
            scores = f"champion {result.brier[CHAMPION]:.4f}, har {result.brier[baselines.HAR]:.4f}"
            print(f"[{len(results)}/{len(wanted)}] {unit.name}: {scores}; {result.cpu_seconds:.0f} s CPU", flush=True)
    as_built = json.loads((RESULTS / "as_built.json").read_text())
    found = table({unit: results[unit] for unit in wanted if unit in results}, as_built)
    print(f"\n{found.text}", end="")
    if asked.table:
        asked.table.write_text(found.text)
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
