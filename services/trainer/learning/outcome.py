"""Outcome of a training session. Times are epoch seconds UTC; scores are Brier scores, smaller is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ratchet.statistics.scores import Interval
from services.trainer.learning.diagnosis import OverfitGap, RegimeShift
from services.trainer.mining.mine import MiningResult
from services.trainer.mining.test import Evidence

CandidateKind = Literal["transfer", "scratch"]
CandidateChange = Literal["new", "extended", "recalibrated", "unchanged"]
CandidateSkipped = Literal["no_parent", "too_few_unseen_rows", "too_few_choose_bars"]
LeftOutReason = Literal["useless", "retired", "covered", "refuted", "unknown_feature"]


@dataclass(frozen=True)
class WindowReport:
    """One window: its rows, its first and last bar, and its last label time."""

    name: str
    rows: int
    first_time: int
    last_time: int
    label_end: int


@dataclass(frozen=True)
class UsedPattern:
    """A pattern used by the model, with the end of its evidence at that time."""

    id: str
    evidence_end: int


@dataclass(frozen=True)
class Exclusion:
    """A known pattern or a column excluded from the model.

    `of`: the pattern that covers it, or the unknown feature.
    """

    id: str
    reason: LeftOutReason
    of: str = ""


@dataclass(frozen=True)
class CandidateReport:
    """`tune_score`: on the rows of its calibration fit. `choose_score`: on the `choose_bars` unseen by the parent.

    `skipped`: the reason for not fitting or not comparing it; `change`, `step`: None and 0 if not fitted; undefined
    scores are None.
    """

    kind: CandidateKind
    change: CandidateChange | None
    step: int
    tune_score: float | None
    choose_score: float | None
    choose_bars: int
    cpu_seconds: float
    chosen: bool
    skipped: CandidateSkipped | None


@dataclass(frozen=True)
class TrialReport:
    """A setting tried by the study, with its Brier score on tune."""

    step: int
    params: Mapping[str, float]
    tune_score: float


@dataclass(frozen=True)
class Metrics:
    """Scores on `bars` bars, each with its 95 % interval."""

    bars: int
    brier: Interval
    accuracy: Interval
    auc: Interval
    log_loss: Interval


@dataclass(frozen=True)
class BaselineReport:
    """A baseline on the same bars. `gain`: its Brier loss less the model's, paired; positive if the model is better."""

    name: str
    metrics: Metrics
    gain: Interval


@dataclass(frozen=True)
class ErrorSlice:
    """Bias of the parent (outcome less probability), mean over the bars of one slice."""

    by: str
    name: str
    bars: int
    bias: Interval


@dataclass(frozen=True)
class Correction:
    """Correction of a systematic error of the parent; Brier scores with and without it on the same `bars`.

    `offset`: of the parent's log-odds, scored on choose; else weights of the training rows, larger in `slices`, scored
    on tune.
    """

    score_with: float
    score_without: float
    bars: int
    offset: float | None = None
    slices: tuple[ErrorSlice, ...] = ()

    @property
    def applied(self) -> bool:
        return self.score_with < self.score_without


@dataclass(frozen=True)
class FeatureImportance:
    """Brier loss added by shuffling one column, as a share of the positive ones; `useless`: not significantly above
    0."""

    name: str
    rank: int
    share: Interval
    useless: bool


@dataclass(frozen=True)
class ScoredPair:
    """Champion and contender on the same bars, packed by ratchet.decisions.evidence; the new model's name is empty."""

    champion: str
    contender: str
    bars: int
    evidence: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class PatternUpdate:
    """New evidence of a known pattern since its last evidence."""

    id: str
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class SessionOutcome:
    """Outcome of a session. Only the `cpu_seconds` differ between runs on the same inputs.

    `history`: of the model, in bars, as in ModelFile. `smaller_step_gain`: the Brier loss on tune of the offered
    complexity step less the loss of the selected one, paired; None if the offered step was selected.
    """

    artifact: bytes = field(repr=False)
    format: str
    history: int
    windows: tuple[WindowReport, ...]
    last_labelled_time: int
    new_bars: int
    fit_end_label_time: int
    features: tuple[str, ...]
    patterns_used: tuple[UsedPattern, ...]
    patterns_left_out: tuple[Exclusion, ...]
    columns_left_out: tuple[Exclusion, ...]
    params: Mapping[str, float]
    complexity_step: int
    complexity_step_offered: int
    smaller_step_gain: Interval | None
    trials: tuple[TrialReport, ...]
    corrections: tuple[Correction, ...]
    candidates: tuple[CandidateReport, ...]
    metrics: Metrics
    baselines: tuple[BaselineReport, ...]
    skill_shown: bool
    error_analysis: tuple[ErrorSlice, ...]
    importance: tuple[FeatureImportance, ...]
    patterns_worth: Interval | None
    diagnoses: tuple[RegimeShift | OverfitGap, ...]
    pairs: tuple[ScoredPair, ...]
    symbol_pairs: tuple[ScoredPair, ...]
    mining: MiningResult
    pattern_updates: tuple[PatternUpdate, ...]
    cpu_seconds: float
    library_versions: Mapping[str, str]
