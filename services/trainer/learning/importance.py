"""Permutation importance of a function's columns. Source: Breiman 2001; Fisher, Rudin & Dominici 2019."""

from __future__ import annotations

import math

import numpy as np

from ratchet.scoring.models.function import Function
from ratchet.scoring.models.port import LOOK_BACK, Floats
from ratchet.statistics.scores import Interval
from ratchet.statistics.special import student_t_ppf
from services.trainer.learning.outcome import FeatureImportance
from services.trainer.learning.windows import Rows

REPEATS = 5


def importance(
    function: Function, X: Floats, y: Floats, rows: Rows, generator: np.random.Generator
) -> tuple[FeatureImportance, ...]:
    """Permutation importance of each column of `function`, descending: the Brier loss added by shuffling it among
    `rows`.

    X float64[n, k] and y float64[n] hold every bar. The interval is Student's t over REPEATS shuffles; a column is
    useless if its interval includes or lies below 0.
    """
    read = sorted({column for link in function.links for column in link.reads})
    if len(rows) == 0 or not read:
        return ()
    first = max(0, int(rows[0]) - LOOK_BACK)
    windows_around = X[first : int(rows[-1]) + 1]
    stacked = np.tile(windows_around, (REPEATS, 1))
    at = np.concatenate([rows - first + repeat * len(windows_around) for repeat in range(REPEATS)])
    orders = np.concatenate([rows[generator.permutation(len(rows))] for _ in range(REPEATS)])
    outcomes = np.tile(y[rows], REPEATS)
    loss = float(np.mean((function.probability(X, rows) - y[rows]) ** 2))
    gains: dict[int, Interval] = {}
    for column in read:
        stacked[at, column] = X[orders, column]
        losses = ((function.probability(stacked, at) - outcomes) ** 2).reshape(REPEATS, len(rows)).mean(axis=1)
        stacked[:, column] = np.tile(windows_around[:, column], REPEATS)
        gains[column] = _interval(losses - loss)
    total = sum(max(0.0, gain.value) for gain in gains.values())
    order = sorted(read, key=lambda column: (-gains[column].value, column))
    return tuple(
        FeatureImportance(
            name=function.columns[column],
            rank=rank,
            share=gains[column].scaled(1.0 / total if total > 0.0 else 0.0),
            useless=not gains[column].low > 0.0,
        )
        for rank, column in enumerate(order, start=1)
    )


def _interval(gains: Floats) -> Interval:
    mean = float(np.mean(gains))
    half = student_t_ppf(0.975, len(gains) - 1) * float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return Interval(mean, mean - half, mean + half)
