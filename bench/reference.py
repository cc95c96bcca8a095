"""Regression test of the learning: models, verdicts and forecasts of seeded sessions, against a kept table.

make bench-reference plays the demo series, every model type and two targets through the services, three sessions a
lineage, and prints the differences from tests/end_to_end/reference.json. Exit status 1 where there is one. After an
intended change: --write, and the differences explained in the commit.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet import Client
from ratchet.backtest.bar_times import parse_bar_time
from ratchet.cli.verdict import decision_fact
from ratchet.events.v1 import decision_pb2
from ratchet.names import MODEL_TYPES, ModelType
from services.local import ports
from services.local.supervisor import Supervisor

ROOT = Path(__file__).parents[1]
DATA = ROOT / "ratchet" / "data"
TABLE = ROOT / "tests" / "end_to_end" / "reference.json"
SERIES = ("AAPL", "GOOG", "IBM", "MSFT")
CHEAP: tuple[ModelType, ...] = ("har", "logistic")
"""Played first: they are the part of the table that a test plays again."""
TARGETS = ("range", "volatility")
SESSIONS = (1_350, 1_650, 1_950)
"""Bars of the series at each session of a lineage."""
ASKED = slice(2_000, 2_100, 20)
"""The bars of which each model is asked for a forecast: later than all that it knows."""
TOLERANCE = 1e-6

Row = dict[str, Any]


def play(client: Client, series: str, model_types: Sequence[str]) -> Iterator[Row]:
    """The rows of one series, lineage by lineage. Model types that come later in the list change no earlier row."""
    file = DATA / f"{series}.csv"
    days = [line.partition(",")[0] for line in file.read_text().splitlines()[1:]]
    asked = [parse_bar_time(day) for day in days[ASKED]]
    client.import_bars(file, series)
    for model_type in model_types:
        for target in TARGETS:
            for number, bars in enumerate(SESSIONS):
                started = client.start_training(series, model_type, target, until=days[bars - 1], seed=1_000 + number)
                for _ in client.watch_training(started.session_id):
                    pass
                yield _row(client, started.session_id, target, asked)


def _row(client: Client, session_id: str, target: str, asked: Sequence[int]) -> Row:
    (training,) = client.list_trainings(session_id=session_id)
    series = training.lineage.partition("/")[0]
    outcomes = map(decision_fact, client.list_decisions(session_id=session_id))
    e_values = {
        f"{evidence.contender} beside {evidence.champion}": evidence.judgement.e_value
        for outcome in outcomes
        if outcome.scope == decision_pb2.SCOPE_LINEAGE
        for evidence in outcome.evidence
    }
    first, last = Timestamp(seconds=asked[0]), Timestamp(seconds=asked[-1])
    answer = client.evaluate(series, target, first_bar=first, last_bar=last, models=[training.model])
    p = dict(zip((time.seconds for time in answer.times), answer.forecasts[0].probabilities, strict=True))
    return {
        "model": training.model,
        "verdict": decision_pb2.Verdict.Name(training.verdict),
        "promoted": training.promoted,
        "complexity_step": training.complexity_step,
        "e_values": e_values,
        "forecasts": [p[time] for time in asked],
    }


def differences(found: Sequence[Row], kept: Sequence[Row]) -> list[str]:
    """The values of `found` that differ from those of the same models in `kept`, a line each."""
    by_model = {row["model"]: row for row in kept}
    return [
        f"{row['model']}: {name} was {was}, is {value}"
        for row in found
        for name, value in row.items()
        if not _same(value, was := by_model.get(row["model"], {}).get(name))
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="replace the kept table")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        Supervisor(Path(home), ports.choose(0)),
        Client.from_home(Path(home), actor="bench") as client,
        ThreadPoolExecutor(len(SERIES)) as pool,
    ):
        types = (*CHEAP, *(each for each in MODEL_TYPES if each not in CHEAP))
        played = pool.map(lambda series: list(play(client, series, types)), SERIES)
        found = sorted((row for rows in played for row in rows), key=lambda row: str(row["model"]))
    if asked.write:
        TABLE.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} sessions written to {TABLE.relative_to(ROOT)}")
        return 0
    lines = differences(found, json.loads(TABLE.read_text()))
    print("\n".join([*lines, f"{len(found)} sessions, {len(lines)} differences"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
