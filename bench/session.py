"""What a session costs beside what it is made of: its CPU against the library fits, the study and the features in it.

make bench-session prints a row a model type: a fourth session, with a parent, contenders, patterns and a search for
rules, on 3,000 bars of AAPL. Exit status 1 when it takes more than LIMIT times its parts, or a session with har more
than HAR_LIMIT seconds. The search is one of the parts; the ratio without it is printed beside. The baselines stand
apart: they are fitted once per snapshot and task, whatever the number of sessions.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import optuna

from bench.loop import Loop
from ratchet.scoring import baselines, features
from ratchet.scoring.baselines.online import OnlineBaseline
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.data.csv_file import read
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.port import Family, Fitted, Hyperparameter, Params, Sample, TransferStart
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.session import run
from services.trainer.mining import mine

AAPL = Path(__file__).parents[1] / "ratchet" / "data" / "AAPL.csv"
SESSIONS = (1_500, 2_000, 2_500, 3_000)
"""Bars at each session of the lineage; the last one is measured."""
TARGET = "range"
LIMIT = 1.5
HAR_LIMIT = 0.2

Result = TypeVar("Result")


class Meter:
    """CPU seconds by part. A part that runs within another one counts once, as the outer one."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running = False

    def timed(self, part: str, call: Callable[..., Result]) -> Callable[..., Result]:
        """`call`, whose CPU is added to `part`."""

        def measured(*args: Any, **kwargs: Any) -> Result:
            if self._running:
                return call(*args, **kwargs)
            self._running, began = True, time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[part] += time.process_time() - began
                self._running = False

        return measured


@dataclass(frozen=True)
class TimedFamily:
    """A family whose fits are measured."""

    family: Family
    meter: Meter

    @property
    def name(self) -> str:
        return self.family.name

    @property
    def features(self) -> tuple[str, ...]:
        return self.family.features

    @property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]:
        return self.family.hyperparameters

    def params(self, step: int) -> dict[str, float]:
        return self.family.params(step)

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,
        stop: Sample | None = None,
    ) -> Fitted:
        return self.meter.timed("fits", self.family.fit)(sample, params, seed, start=start, stop=stop)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        return self.family.restore(state)


@contextmanager
def measured(meter: Meter) -> Iterator[None]:
    """While it holds, every family, the study's library, the features and the search for rules are measured."""
    places: list[tuple[Any, str, str]] = [
        (baselines, "forecasts", "baselines"),
        (OnlineBaseline, "extend", "baselines"),
        (features, "compute", "features"),
        (mine, "search", "search"),
        (optuna, "create_study", "study"),
        *((optuna.study.Study, name, "study") for name in ("add_trial", "ask", "tell")),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    families = dict(FAMILIES)
    try:
        for place, name, part in places:
            setattr(place, name, meter.timed(part, getattr(place, name)))
        FAMILIES.update({name: TimedFamily(family, meter) for name, family in families.items()})
        yield
    finally:
        FAMILIES.update(families)
        for place, name, original in before:
            setattr(place, name, original)


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one session without the baselines: the whole, and by part."""

    whole: float
    baselines: float
    parts: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """The whole against fits, study and features."""
        return self.whole / sum(seconds for part, seconds in self.parts.items() if part != "search")

    @property
    def ratio_with_search(self) -> float:
        return self.whole / sum(self.parts.values())


def cost(inputs: SessionInputs) -> Cost:
    """One run of the session."""
    meter = Meter()
    with measured(meter):
        began = time.process_time()
        run(inputs, _quietly)
        whole = time.process_time() - began
        apart = meter.seconds.pop("baselines")
        return Cost(whole - apart, apart, dict(meter.seconds))


def last_session(bars: Bars, model_type: str) -> SessionInputs:
    """What the last of SESSIONS is given. The lineage's earlier ones have also paid for imports and compilation."""
    loop = Loop(f"{bars.series}/{TARGET}/{model_type}")
    played = [loop.session(bars.head(size), seed=index) for index, size in enumerate(SESSIONS)]
    return played[-1].inputs


def _quietly(phase: str, fraction: float) -> None:
    """Nobody watches the progress."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(FAMILIES), help="a model type; repeatable")
    parser.add_argument("--runs", type=int, default=3, help="runs of each session; the one of median ratio counts")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    bars = read(AAPL.read_bytes(), "AAPL", AAPL.name).bars
    head = (
        "model type",
        "CPU s",
        "fits",
        "study",
        "features",
        "search",
        "whole ÷ parts, no search",
        "whole ÷ parts",
        "baselines apart",
        "holds",
    )
    lines = [_line(head), _line(["---"] * len(head))]
    print("\n".join(lines), flush=True)
    failed = False
    for model_type in asked.only or FAMILIES:
        inputs = last_session(bars, model_type)
        runs = [cost(inputs) for _ in range(asked.runs)]
        middle = statistics.median_low([found.ratio for found in runs])
        found = next(found for found in runs if found.ratio == middle)
        over = found.ratio_with_search > LIMIT or (model_type == "har" and found.whole > HAR_LIMIT)
        failed |= over
        seconds = [f"{found.parts.get(part, 0.0):.2f}" for part in ("fits", "study", "features", "search")]
        ratios = [f"{found.ratio:.2f}", f"{found.ratio_with_search:.2f}"]
        holds = f"no (limit {LIMIT}; har {HAR_LIMIT} s)" if over else "yes"
        lines.append(_line([model_type, f"{found.whole:.2f}", *seconds, *ratios, f"{found.baselines:.2f}", holds]))
        print(lines[-1], flush=True)
    if asked.table:
        asked.table.write_text("\n".join([*lines, ""]))
    return 1 if failed else 0


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
