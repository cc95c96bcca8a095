"""Runs of bars on which nothing trades, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ratchet.trainer.v1 import trainer_pb2

RUNS_NAMED = 3


def standstill_notes(runs: Sequence[trainer_pb2.Standstill]) -> Iterator[str]:
    """The number of bars and the first few runs, in one sentence; nothing without a run."""
    if not runs:
        return
    bars = sum(run.bars for run in runs)
    spans = [f"{_moment(run.first_bar.seconds)} to {_moment(run.last_bar.seconds)}" for run in runs[:RUNS_NAMED]]
    others = len(runs) - RUNS_NAMED
    more = f" and {others} more run{'s' * (others > 1)}" if others > 0 else ""
    yield f"{bars} bars without trade, {', '.join(spans)}{more}: they carry no label, evidence or pattern"


def _moment(seconds: int) -> str:
    """The date at midnight UTC, else RFC 3339 UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if seconds % 86_400 == 0 else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
