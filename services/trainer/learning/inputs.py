"""Inputs of a training session: plain values, picklable for another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ratchet.decisions.gate import PolicyName
from ratchet.names import Task
from ratchet.patterns.snapshot_rows import SnapshotRows
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.rule import Rule

IN_FORCE = ("kept", "confirmed")
"""States of the patterns that become columns."""


@dataclass(frozen=True)
class ReferenceModel:
    """A recorded model that a session starts from or compares with.

    `fit_end_label_time`: the label time of the last row of its fits, epoch seconds UTC.
    """

    name: str
    artifact: bytes = field(repr=False)
    fit_end_label_time: int
    complexity_step: int
    params: Mapping[str, float]


@dataclass(frozen=True)
class KnownPattern:
    """A known pattern: `evidence_end` is the label time of its last evidence.

    `state`: kept, confirmed, retired, or covered by `covered_by`, a simpler equivalent pattern.
    """

    id: str
    rule: Rule
    confidence: float
    evidence_end: int
    state: str
    covered_by: str = ""


@dataclass(frozen=True)
class PastTrial:
    """A setting tried by an earlier session of the lineage.

    `score`: its Brier score on that session's tune window as a ratio to the session's first trial, because scores of
    different windows are not comparable.
    """

    step: int
    params: Mapping[str, float]
    score: float


@dataclass(frozen=True)
class SessionOptions:
    """Options of a session: `suggestions`: number of settings that its study suggests; `mine`: whether it searches for
    rules; `baselines`: whether it reports baselines."""

    suggestions: int = 3
    mine: bool = True
    baselines: bool = True


@dataclass(frozen=True)
class SessionInputs:
    """Inputs of a session. `bars` end at its knowledge cutoff; times are epoch seconds UTC. `rows`: those of the
    snapshot, whose traded bars they are; None where no evidence is recorded.

    History comes only from sessions with a market time (last labelled bar of their data) no later than this session's:
    its earlier sessions, in log order. `last_labelled_time`: the latest market time of the lineage's earlier sessions;
    None in its first. `read_position`: the log position of the knowledge read. `sessions`: number of earlier sessions
    of the lineage. `parent`: the lineage's champion without sessions of a later market time; the session transfers from
    it. `champion`, `contenders`, `symbol_best`: those in force, of any market time; used only for the comparison.
    `patterns`: as known before `plan(...).known_before`. `refuted`: rules that failed their test. `offered`: rules of
    other series to be tested here, by descending confidence there. `trials`: trials of the lineage's studies, oldest
    first. `useless`: features that each of its last three sessions ranked useless. `important`: important features of
    the newest models of the series and task, most important first. `tested_rules`: ids of already tested rules;
    `mined_through`: the time through which bars served tests. `policy`: of the gate; it only decides whether a decline
    needs a diagnosis.
    """

    series: str
    target: str
    horizon: int
    model_type: str
    bars: Bars = field(repr=False)
    seed: int
    rows: SnapshotRows | None = field(default=None, repr=False)
    read_position: int = 0
    sessions: int = 0
    last_labelled_time: int | None = None
    parent: ReferenceModel | None = None
    champion: ReferenceModel | None = None
    contenders: tuple[ReferenceModel, ...] = ()
    symbol_best: ReferenceModel | None = None
    patterns: tuple[KnownPattern, ...] = ()
    refuted: tuple[Rule, ...] = ()
    offered: tuple[Rule, ...] = ()
    tested_rules: tuple[str, ...] = ()
    mined_through: int | None = None
    trials: tuple[PastTrial, ...] = ()
    useless: tuple[str, ...] = ()
    important: tuple[str, ...] = ()
    policy: PolicyName = "balanced"
    options: SessionOptions = SessionOptions()

    @property
    def task(self) -> str:
        return str(Task.of(self.target, self.horizon))
