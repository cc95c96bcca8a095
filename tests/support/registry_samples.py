"""Synthetic records and evidence: models whose quality is planted, on daily bars that are numbered from 0."""

from __future__ import annotations

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.decisions.evidence import pack
from ratchet.events.v1 import model_pb2

DAY = 86_400
FIRST_BAR = 1_136_160_000
"""2006-01-02."""


def bar(number: int) -> int:
    """The time of a bar, epoch seconds UTC."""
    return FIRST_BAR + number * DAY


def stamp(number: int) -> Timestamp:
    return Timestamp(seconds=bar(number))


def record(
    fit_end: int, patterns: dict[str, int] | None = None, parent: str = "", dataset: str = ""
) -> model_pb2.ModelRecord:
    """A model that knows labels up to bar `fit_end`, and patterns with evidence up to a bar each."""
    return model_pb2.ModelRecord(
        parent=parent,
        dataset_digest=dataset,
        windows=model_pb2.Windows(horizon=1, fit_label_end=stamp(fit_end), new_bars=100),
        features=[model_pb2.Feature(name="rsi_14", source="base")],
        patterns_used=[
            model_pb2.PatternUse(pattern_id=name, evidence_end=stamp(end)) for name, end in (patterns or {}).items()
        ],
        metrics=[model_pb2.Metric(name="brier", interval=model_pb2.Interval(value=0.22, low=0.2, high=0.24))],
        baselines=[
            model_pb2.Baseline(
                name="base-rate@baseline",
                metrics=[model_pb2.Metric(name="brier", interval=model_pb2.Interval(value=0.25, low=0.24, high=0.26))],
                gain=model_pb2.Interval(value=0.03, low=0.01, high=0.05),
            )
        ],
        complexity_step=1,
        artifact=model_pb2.Artifact(digest="a" * 64, size_bytes=10, format="skops"),
        seed=7,
        cpu_seconds=1.5,
    )


def evidence(first: int, last: int, gain: float, seed: int = 0, hit: float = 0.8) -> bytes:
    """A pair on bars `first` … `last`: one model is `gain` surer, and right in a share `hit` of the bars.

    That is the contender where `gain` > 0 and the champion where it is < 0; with .1 the gate is sure after 100 bars.
    With 0 both differ only by noise.
    """
    rng = np.random.default_rng(seed)
    n = last - first + 1
    y = rng.random(n) < 0.5
    towards = np.where(y, 1.0, -1.0) * np.where(rng.random(n) < hit, 1.0, -1.0)
    plain = 0.5 + 0.02 * rng.standard_normal(n)
    skilled = np.clip(plain + abs(gain) * towards, 0.02, 0.98)
    p_a, p_b = (plain, skilled) if gain >= 0 else (skilled, plain)
    if gain == 0:
        p_b = np.clip(plain + 0.02 * rng.standard_normal(n), 0.02, 0.98)
    return pack(p_a, p_b, y, np.array([bar(first + k) for k in range(n)], dtype=np.int64))
