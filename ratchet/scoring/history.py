"""History of a model: the number of bars from which its forecasts are those of the whole series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.columns import FeatureTable, required_features, table_for
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.port import LOOK_BACK

WINDOW = 50
"""Number of forecasts at the end of a tail that are those of the whole series."""
TOLERANCE = 1e-9
"""Largest difference of equal probabilities: a longer series rounds the last digits of a feature differently."""
RELATIVE, ABSOLUTE = 1e-6, 1e-8
"""Largest difference of equal features. A tree or a pattern shows a difference, such as that of an exponential average
which has not faded out, only at a bar at which the feature crosses a threshold."""

_FIRST = 500
"""First length that is tried: most features look back less than 350 bars."""


def required_history(model: ModelFile, bars: Bars, table: FeatureTable) -> int:
    """Length of a tail of `bars` on which the last WINDOW forecasts are those on all `bars`.

    Tails of _FIRST bars, and then of twice as many, are compared with the whole series, until the last WINDOW bars or
    more have equal features and forecasts. The bars before the first of them are the warm-up. A tail of the warm-up and
    WINDOW bars is compared in turn, and is the history if it is equal too: the shortest one if all features look back a
    fixed number of bars. Where one fades out, a tail a tenth longer may be needed, or one a tenth longer than that.
    Only the features that the model reads are computed.

    Args:
        table: the features of the model on all bars, and others.

    Returns:
        The number of bars; 0 if the model is on the margin, which needs every labelled bar of the series, or if no
        shorter tail is long enough.
    """
    if model.on_margin:
        return 0
    read, length = model.trimmed(), _FIRST
    whole = table.select(required_features(read))
    while length < len(bars):
        shorter = _warm_up(read, bars.tail(length), whole) + WINDOW
        if shorter <= length:
            while shorter < length and _warm_up(read, bars.tail(shorter), whole) + WINDOW > shorter:
                shorter += shorter // 10
            return min(shorter, length)
        length *= 2
    return 0


def _warm_up(model: ModelFile, tail: Bars, whole: FeatureTable) -> int:
    """The number of bars of `tail` up to the last one with other features, or another forecast, than in `whole`."""
    own = table_for(model, tail).select(whole.names)
    close = np.isclose(own.values, whole.values[-len(tail) :], RELATIVE, ABSOLUTE, equal_nan=True)
    first = _after_last(np.any(~close, axis=1))
    rest = len(tail) - first
    if rest < WINDOW:
        return first
    return first + _after_last(np.abs(_forecasts(model, own, rest) - _forecasts(model, whole, rest)) > TOLERANCE)


def _after_last(differs: NDArray[np.bool_]) -> int:
    """The index after the last True; 0 without one."""
    places = np.flatnonzero(differs)
    return int(places[-1]) + 1 if len(places) else 0


def _forecasts(model: ModelFile, table: FeatureTable, last: int) -> Floats:
    """The probabilities of the `last` bars of a table, float64[last]."""
    X = FeatureTable(table.names, table.values[-last - LOOK_BACK :]).matrix(model.columns, model.patterns)
    return model.function.probability(X, np.arange(len(X) - last, len(X)))
