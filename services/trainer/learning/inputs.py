"""What a training session is given. All of it is plain values: it can be sent to another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ratchet.decisions.gate import PolicyName
from ratchet.names import Task
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.rule import Rule

IN_FORCE = ("kept", "confirmed")
"""The states in which a pattern becomes a column."""


@dataclass(frozen=True)
class ScoredModel:
    """A model of the past: its artifact and the time at which the last label that it was fitted on became known."""

    name: str
    artifact: bytes = field(repr=False)
    fit_end_label_time: int
    complexity_step: int
    params: Mapping[str, float]


@dataclass(frozen=True)
class KnownPattern:
    """A pattern as the knowledge base knew it: `evidence_end` is the label time of its last evidence.

    `state`: kept, confirmed, retired, or covered by the pattern `covered_by`, which says the same more simply.
    """

    id: str
    rule: Rule
    confidence: float
    evidence_end: int
    state: str
    covered_by: str = ""


@dataclass(frozen=True)
class PastTrial:
    """A setting that an earlier session of the lineage tried.

    `score`: its Brier score on that session's tune window as a ratio to that of the session's first trial: scores of
    different windows are not compared.
    """

    step: int
    params: Mapping[str, float]
    score: float


@dataclass(frozen=True)
class Recipe:
    """How much a session does: `asked`: settings that its study suggests; `mine`: whether it searches for rules;
    `baselines`: whether they stand beside its model."""

    asked: int = 3
    mine: bool = True
    baselines: bool = True


@dataclass(frozen=True)
class SessionInputs:
    """`bars` end where the session's knowledge of the market ends; times are epoch seconds UTC.

    Everything remembered is of sessions whose market time, the last labelled bar of their data, is not later than this
    session's: those are its earlier sessions, in log order.
    `last_labelled_time`: the latest market time of the lineage's earlier sessions; None in its first.
    `read_position`: the log position as of which patterns were asked for. `sessions`: earlier sessions of the lineage.
    `parent`: the lineage's champion had no session of a later market time been: the session transfers from it.
    `champion`, `contenders`, `symbol_best`: those in force, of any market time: only the race knows them.
    `patterns`: as known before `plan(...).known_before`. `refuted`: rules that failed their test. `offered`: rules of
    other series that are to be tested here, those that are surest there first.
    `trials`: the memory of the lineage's studies, oldest first.
    `useless`: features that each of its last three sessions ranked so. `important`: features that the newest model of
    any lineage of the series and task leans on, the most important first.
    `tested_rules`: ids of rules that were tested before; `mined_through`: the time through which bars served tests.
    `policy`: of the gate; it only decides whether a decline needs a diagnosis.
    """

    series: str
    target: str
    horizon: int
    model_type: str
    bars: Bars = field(repr=False)
    seed: int
    read_position: int = 0
    sessions: int = 0
    last_labelled_time: int | None = None
    parent: ScoredModel | None = None
    champion: ScoredModel | None = None
    contenders: tuple[ScoredModel, ...] = ()
    symbol_best: ScoredModel | None = None
    patterns: tuple[KnownPattern, ...] = ()
    refuted: tuple[Rule, ...] = ()
    offered: tuple[Rule, ...] = ()
    tested_rules: tuple[str, ...] = ()
    mined_through: int | None = None
    trials: tuple[PastTrial, ...] = ()
    useless: tuple[str, ...] = ()
    important: tuple[str, ...] = ()
    policy: PolicyName = "balanced"
    recipe: Recipe = Recipe()

    @property
    def task(self) -> str:
        return str(Task.of(self.target, self.horizon))
