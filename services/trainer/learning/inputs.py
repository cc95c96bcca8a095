"""What a training session is given. All of it is plain values: it can be sent to another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ratchet.names import Task
from services.trainer.data.bars import Bars
from services.trainer.mining.rule import Rule

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

    `state`: kept, confirmed, retired, or refuted (below the line from the start).
    """

    id: str
    rule: Rule
    confidence: float
    evidence_end: int
    state: str


@dataclass(frozen=True)
class SessionInputs:
    """`bars` end where the session's knowledge of the market ends; times are epoch seconds UTC.

    `last_labelled_time`: the last labelled bar of the lineage's last session; None in its first.
    `read_position`: the log position as of which patterns were asked for. `sessions`: earlier sessions of the lineage.
    `patterns`: as known before `plan(...).known_before`.
    `tested_rules`: ids of rules that were tested before; `mined_through`: the time through which bars served tests.
    `scored_after`: only later bars count as evidence (a person decided then); None: all of them.
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
    contenders: tuple[ScoredModel, ...] = ()
    symbol_best: ScoredModel | None = None
    patterns: tuple[KnownPattern, ...] = ()
    tested_rules: tuple[str, ...] = ()
    mined_through: int | None = None
    scored_after: int | None = None

    @property
    def task(self) -> str:
        return str(Task.of(self.target, self.horizon))
