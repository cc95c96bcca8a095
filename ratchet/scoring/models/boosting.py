"""Start of boosting, common to both libraries: the counted rows and their log-odds before round one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ratchet.errors import CorruptData, InvalidInput
from ratchet.scoring.models.port import MAX_MARGIN, Floats, Params, Rows, Sample, TransferStart, check_step, logit

PATIENCE = 15
"""Early stopping: rounds without a lower log loss on the stopping rows; the best round is kept."""


def schedule(step: int) -> dict[str, float]:
    """Rounds 60, 100, 140, … at a rate of .1, .085, .072, … by complexity step, and the depth of the trees."""
    grown = check_step(step) - 1
    return {"rounds": 60 + 40 * grown, "rate": 0.1 * 0.85**grown, "depth": 3}


@dataclass(frozen=True, eq=False)
class BoostingBase:
    """A sample to boost on.

    `margin`, float64[m]: the log-odds at its rows that the first round corrects. `prior`: the new model's own part of
    them, the log-odds of the base rate; 0 for rounds on a margin.
    """

    sample: Sample
    margin: Floats
    prior: float


def boosting_base(sample: Sample, start: TransferStart | None) -> BoostingBase:
    """The base of a fit: a parent's margin, the sample's, or none; rows of weight 0 are left out."""
    counted = counted_rows(sample)
    margin = sample.margin if start is None else start.margin
    if margin is not None:
        kept = slice(None) if sample.weight is None else sample.weight > 0
        return BoostingBase(counted, margin[kept], 0.0)
    prior = _base_rate(counted)
    return BoostingBase(counted, np.full(len(counted.rows), prior), prior)


def counted_rows(sample: Sample) -> Sample:
    """The sample without its rows of weight 0, which would affect medians, bins and the size of leaves."""
    if sample.weight is None:
        return sample
    kept = sample.weight > 0
    margin = None if sample.margin is None else sample.margin[kept]
    return Sample(sample.X, sample.y, sample.rows[kept], sample.weight[kept], margin)


def initial_margin(sample: Sample, prior: float) -> Floats:
    """The log-odds at the sample's rows before round one, float64[m]."""
    return np.full(len(sample.rows), prior) if sample.margin is None else sample.margin


def checked_rows(X: Floats, rows: Rows, width: int) -> Floats:
    """X[rows] of `width` columns, float64[m, width]; trees would read past the end of fewer."""
    if X.ndim != 2 or X.shape[1] != width:
        raise InvalidInput(f"features of shape {X.shape} for trees that were fitted on {width} columns")
    return X[rows]


def clip_margin(margin: Floats) -> Floats:
    """The margin within ± MAX_MARGIN."""
    inside: Floats = np.clip(margin, -MAX_MARGIN, MAX_MARGIN)
    return inside


def fitted_params(params: Params, rounds: int) -> dict[str, float]:
    """The hyperparameters of a fit with the number of kept rounds."""
    return {**{name: float(value) for name, value in params.items()}, "rounds": float(rounds)}


def restored_number(state: Mapping[str, object], name: str) -> float:
    """The finite float of that name in a state; CorruptData for anything else."""
    value = state.get(name)
    if not isinstance(value, float) or not np.isfinite(value):
        raise CorruptData(f"{name} of the model is no finite number; fetch the artifact again")
    return value


def restored_width(state: Mapping[str, object]) -> int:
    """The number of columns in a state; CorruptData without one."""
    width = state.get("width")
    if not isinstance(width, int) or width < 1:
        raise CorruptData("the model's state names no number of columns; fetch the artifact again")
    return width


def _base_rate(sample: Sample) -> float:
    if len(sample.rows) == 0:
        return 0.0
    return float(logit(np.average(sample.labels, weights=sample.weight, keepdims=True))[0])
