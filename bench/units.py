"""One unit of `make bench-learning`: a lineage of one model type on one generated series, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench import planted
from bench.loop import Loop, Played
from ratchet.decisions.gate import POLICIES
from ratchet.events.v1 import decision_pb2, pattern_pb2
from ratchet.names import ModelType, Policy
from ratchet.patterns.rule_text import SYMBOLS
from ratchet.scoring import columns, features, targets
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.models import artifact
from ratchet.scoring.rule import Condition, Floats, Rule
from services.trainer.learning.inputs import SessionOptions

Part = Literal["planted", "null"]

TARGET, TASK, HORIZON = "direction", "direction", 1
FIVE = (650, 1_250, 1_850, 2_400, 3_000)
"""Usable bars at each session."""
TWENTY = tuple(round(bars) for bars in np.linspace(650, planted.USABLE, 20).tolist())
SMALL = SessionOptions(suggestions=0, mine=False, baselines=False)
WHOLE = SessionOptions(baselines=False)

SAME_BARS = 0.5
"""A planted rule is found by a pattern of its direction when both fire on half of the bars where either does."""


@dataclass(frozen=True)
class Unit:
    """`number`: of the series; two parts or types with the same number share nothing but it."""

    part: Part
    model_type: ModelType
    number: int
    sessions: tuple[int, ...]
    options: SessionOptions

    @property
    def name(self) -> str:
        return f"{self.part} {self.model_type} {self.number}"


@dataclass(frozen=True)
class Gain:
    """Paired Brier loss of v1 less a champion's on the last session's holdout: its mean, its deviation, the bars."""

    mean: float
    deviation: float
    bars: int


@dataclass(frozen=True)
class Result:
    """What came of a unit. `promotions`: after the first model. `balanced`, `strict`: whether the policy ever promoted.

    `gain`: of the last champion; `earlier`: of the one in force when the last session began, whose promotion these bars
    had no part in. `found`: how many of the planted rules are among the patterns in force at the end.
    """

    sessions: int
    promotions: int
    balanced: bool
    strict: bool
    gain: Gain
    earlier: Gain
    found: int
    cpu_seconds: float


def play(unit: Unit) -> Result:
    """The lineage from its first session to its last; a null series ends with the first promotion.

    Null lineages are played once, under `strict`. Up to the first time that `balanced` would promote, a lineage under
    `balanced` is the same one: both drop and keep contenders by E alone. So a judgement that `balanced` accepts says
    exactly that a lineage under `balanced` promotes then, and one run gives both rates.
    """
    began = time.process_time()
    bars, rules = planted.series(unit.number, rules=3 if unit.part == "planted" else 0)
    policy: Policy = "balanced" if unit.part == "planted" else "strict"
    loop = Loop(f"{bars.series}/{TASK}/{unit.model_type}", policy, unit.options)
    played: list[Played] = []
    balanced = False
    for index, usable in enumerate(unit.sessions):
        played.append(loop.session(bars.head(WARM_UP + usable + HORIZON), seed=1_000 * unit.number + index))
        balanced = balanced or any(_accepted(judgement) for judgement in played[-1].judgements)
        if unit.part == "null" and played[-1].promoted:
            break
    last = played[-1]
    before = played[-2].champion if len(played) > 1 else last.champion
    return Result(
        sessions=len(played),
        promotions=sum(session.promoted for session in played),
        balanced=balanced,
        strict=policy == "strict" and any(session.promoted for session in played),
        gain=gain(loop, bars, last, last.champion),
        earlier=gain(loop, bars, last, before),
        found=sum(_is_found(rule, loop, bars) for rule in rules),
        cpu_seconds=time.process_time() - began,
    )


def _accepted(judgement: decision_pb2.Judgement) -> bool:
    mean = judgement.mean_difference.value
    return POLICIES["balanced"].accepts(mean, judgement.e_value, judgement.dm_p, comparisons=1)


def gain(loop: Loop, bars: Bars, last: Played, champion: str) -> Gain:
    """The champion against v1 on the holdout of the last session, which neither has seen."""
    held = next(window for window in last.outcome.windows if window.name == "holdout")
    rows = np.flatnonzero((bars.time >= held.first_time) & (bars.time <= held.last_time))
    y = targets.labels(TARGET, bars, HORIZON)[rows]
    first = _forecast(loop, bars, loop.ledger.state.model(1))[rows]
    difference = (first - y) ** 2 - (_forecast(loop, bars, champion)[rows] - y) ** 2
    return Gain(float(difference.mean()), float(difference.std(ddof=1)), len(rows))


def _forecast(loop: Loop, bars: Bars, model: str) -> Floats:
    return columns.predict(artifact.load(loop.artifact(model)), bars)


def _is_found(rule: Rule, loop: Loop, bars: Bars) -> bool:
    known = loop.ledger.get_knowledge(bars.series, TASK).patterns
    return any(same_bars(rule, _read(pattern.pattern.rule), bars) for pattern in known)


def _read(message: pattern_pb2.Rule) -> Rule:
    conditions = (Condition(each.feature, SYMBOLS[each.operator], each.threshold) for each in message.conditions)
    return Rule(tuple(conditions), 1 if message.label else 0)


def same_bars(rule: Rule, other: Rule, bars: Bars) -> bool:
    """Whether two rules say the same of mostly the same bars."""
    names = tuple(dict.fromkeys((*rule.features, *other.features)))
    table = features.compute(bars, names)[WARM_UP:]
    one, two = rule.fires(table, names), other.fires(table, names)
    return rule.direction == other.direction and bool((one & two).sum() >= SAME_BARS * (one | two).sum())
