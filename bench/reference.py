"""What sessions with explicit seeds come to: models, verdicts and forecasts, beside those of a kept table.

make bench-reference plays the demo series, every model type and two targets through the services, three sessions a
lineage, and says what differs from tests/end_to_end/reference.json. Exit status 1 where anything does. After a change
that is meant to change them: --write, and the differences explained in the commit.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet import Client
from ratchet.cli import ports
from ratchet.cli.supervisor import Supervisor
from ratchet.events.v1 import decision_pb2

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data"
TABLE = ROOT / "tests" / "end_to_end" / "reference.json"
SERIES = ("AAPL", "GOOG", "IBM", "MSFT")
CHEAPEST_FIRST = ("har", "logistic", "xgboost", "gradient-boosting", "random-forest", "lstm")
TARGETS = ("range", "volatility")
SESSIONS = (1_350, 1_650, 1_950)
"""Bars of the series at each session of a lineage."""
ASKED = slice(2_000, 2_100, 20)
"""The bars of which each model is asked for a forecast: later than all that it knows."""
TOLERANCE = 1e-6

Row = dict[str, Any]


def play(client: Client, series: str, model_types: Sequence[str]) -> Iterator[Row]:
    """The rows of one series: its lineages one after the other, so that a beginning of the list gives the same rows."""
    file = DATA / f"{series}.csv"
    days = [line.partition(",")[0] for line in file.read_text().splitlines()[1:]]
    asked = days[ASKED]
    client.import_bars(file, series)
    for model_type in model_types:
        for target in TARGETS:
            for number, bars in enumerate(SESSIONS):
                started = client.start_training(series, model_type, target, until=days[bars - 1], seed=1_000 + number)
                for _ in client.watch_training(started.session_id):
                    pass
                yield _row(client, started.session_id, target, asked)


def _row(client: Client, session_id: str, target: str, asked: Sequence[str]) -> Row:
    (training,) = client.list_trainings(session_id=session_id)
    series = training.lineage.partition("/")[0]
    decided = (
        decision.promoted if decision.HasField("promoted") else decision.declined
        for decision in client.list_decisions(session_id=session_id)
    )
    e_values = {
        f"{evidence.contender} beside {evidence.champion}": evidence.judgement.e_value
        for outcome in decided
        if outcome.scope == decision_pb2.SCOPE_LINEAGE
        for evidence in outcome.evidence
    }
    answer = client.evaluate(
        series, target, first_bar=_time(asked[0]), last_bar=_time(asked[-1]), models=[training.model]
    )
    times = {time.seconds: p for time, p in zip(answer.times, answer.forecasts[0].probabilities, strict=True)}
    return {
        "model": training.model,
        "verdict": decision_pb2.Verdict.Name(training.verdict),
        "promoted": training.promoted,
        "complexity_step": training.complexity_step,
        "e_values": e_values,
        "forecasts": [times[_time(day).seconds] for day in asked],
    }


def _time(day: str) -> Timestamp:
    return Timestamp(seconds=int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()))


def differences(found: Sequence[Row], kept: Sequence[Row]) -> list[str]:
    """What differs between the rows found and those of the same models in the table, a line a value."""
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
    parser.add_argument("--write", action="store_true", help="replace the table by what is found")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        Supervisor(Path(home), ports.choose(0)),
        Client.from_home(Path(home), actor="bench") as client,
        ThreadPoolExecutor(len(SERIES)) as pool,
    ):
        played = pool.map(lambda series: list(play(client, series, CHEAPEST_FIRST)), SERIES)
        found = [row for rows in played for row in rows]
    if asked.write:
        TABLE.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} sessions written to {TABLE.relative_to(ROOT)}")
        return 0
    lines = differences(found, json.loads(TABLE.read_text()))
    print("\n".join([*lines, f"{len(found)} sessions, {len(lines)} differences"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
