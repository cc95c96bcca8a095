"""A made-up series whose rule is known: what sessions observe of it, and requests that bring it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from ratchet.events.v1 import facts_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.patterns.evidence import EvidenceBars, encode
from ratchet.patterns.snapshots import SnapshotIndex
from services.platform.facts import Fact
from tests.support.datasets import DAY, daily, dataset

FIRST = 1_000_000 * 1_000
SERIES, TASK = "AAPL", "range"
FOREST, LOGISTIC = "AAPL/range/random-forest", "AAPL/range/logistic"
ROWS = 2100

IMPORTS = [
    Fact("dataset/d1", 1, dataset(SERIES, "d1", times=daily(ROWS, FIRST))),
    Fact("dataset/d2", 1, dataset(SERIES, "d2", times=daily(ROWS, FIRST), previous_digest="d1", kept_rows=ROWS)),
    Fact("dataset/d1", 2, dataset("MSFT", "d1", times=daily(ROWS, FIRST))),
]
"""The snapshots that evidence names, d1 and d2: bars from FIRST on, all of them traded."""
IMPORTED = len(IMPORTS)


def snapshots() -> SnapshotIndex:
    known = SnapshotIndex()
    for fact in IMPORTS:
        assert isinstance(fact.message, facts_pb2.DatasetRegistered)
        known.register(fact.message.symbol, fact.message)
    return known


SNAPSHOTS = snapshots()


@dataclass(frozen=True)
class Truth:
    """Bars with the outcome that came and where the rule fired; the label of a bar is known `horizon` bars later."""

    fired: NDArray[np.bool_]
    outcomes: NDArray[np.bool_]
    horizon: int = 1
    digest: str = "d1"

    @classmethod
    def drawn(cls, seed: int, bars: int = 1200, hit_rate: float = 0.8, base: float = 0.4, horizon: int = 1) -> Truth:
        """Where the rule fires (a bar in five) the label comes with `hit_rate`, elsewhere with `base`."""
        random = np.random.default_rng(seed)
        fired = random.random(bars) < 0.2
        return cls(fired, random.random(bars) < np.where(fired, hit_rate, base), horizon)

    def time(self, bar: int) -> int:
        return FIRST + bar * DAY

    def span(self, start: int, stop: int) -> pattern_pb2.EvidenceSpan:
        return encode(start, self.fired[start:stop], self.outcomes[start:stop])

    def evidence(self, *ranges: tuple[int, int]) -> pattern_pb2.BarEvidence:
        return pattern_pb2.BarEvidence(dataset_digest=self.digest, spans=[self.span(*each) for each in ranges])

    def bars(self, *ranges: tuple[int, int]) -> EvidenceBars:
        return SNAPSHOTS.rows(self.digest, SERIES).evidence(self.evidence(*ranges).spans, self.horizon)


def pattern(pattern_id: str = "aa11", threshold: float = 70.0, task: str = TASK) -> pattern_pb2.Pattern:
    condition = pattern_pb2.Condition(feature="rsi_14", operator=pattern_pb2.OPERATOR_ABOVE, threshold=threshold)
    return pattern_pb2.Pattern(
        id=pattern_id,
        series=SERIES,
        task=task,
        rule=pattern_pb2.Rule(conditions=[condition], label=True),
        wording=f"rsi_14 > {threshold:g} → wider range",
        type="level",
    )


def narrowed(pattern_id: str, feature: str = "volume_ratio_20") -> pattern_pb2.Pattern:
    """The rule of `pattern` with one more condition."""
    made = pattern(pattern_id)
    made.rule.conditions.add(feature=feature, operator=pattern_pb2.OPERATOR_ABOVE, threshold=2.0)
    made.wording, made.type = f"rsi_14 > 70 and {feature} > 2 → wider range", "combination"
    return made


def first_test(
    truth: Truth, *ranges: tuple[int, int], passed: bool = True, pattern_id: str = "aa11", task: str = TASK
) -> knowledge_pb2.TestedPattern:
    return knowledge_pb2.TestedPattern(
        pattern=pattern(pattern_id, task=task), evidence=truth.evidence(*ranges), p_value=0.001, passed=passed
    )


def met_again(truth: Truth, *ranges: tuple[int, int], pattern_id: str = "aa11") -> knowledge_pb2.TestedPattern:
    return knowledge_pb2.TestedPattern(pattern=pattern(pattern_id), evidence=truth.evidence(*ranges))


def session(
    session_id: str, *tested: knowledge_pb2.TestedPattern, lineage: str = FOREST, market_bar: int = 5000
) -> knowledge_pb2.RecordEvidenceRequest:
    """`market_bar`: the last labelled bar of the session's data."""
    return knowledge_pb2.RecordEvidenceRequest(
        session_id=session_id,
        lineage=lineage,
        tested=tested,
        candidates_tested=20,
        features=[model_pb2.RankedFeature(name="rsi_14", rank=1)],
        market_time=Timestamp(seconds=FIRST + market_bar * DAY),
    )
