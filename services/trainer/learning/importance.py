"""Which columns a function leans on: permutation importance. Source: Breiman 2001; Fisher, Rudin & Dominici 2019."""

from __future__ import annotations

import math

import numpy as np

from ratchet.proof.scores import Interval
from ratchet.proof.special import student_t_ppf
from services.trainer.learning.outcome import FeatureImportance
from services.trainer.models.function import Function
from services.trainer.models.port import Floats

REPEATS = 5


def importance(
    function: Function, X: Floats, y: Floats, generator: np.random.Generator
) -> tuple[FeatureImportance, ...]:
    """Every column of `function`, the most important first: the Brier loss that shuffling it adds on X, y.

    The interval is Student's t over REPEATS shuffles; a column is useless when it holds or lies below 0.
    """
    loss = float(np.mean((function.probability(X) - y) ** 2))
    orders = np.concatenate([generator.permutation(len(y)) for _ in range(REPEATS)])
    stacked, outcomes = np.tile(X, (REPEATS, 1)), np.tile(y, REPEATS)
    gains: list[Interval] = []
    for column in range(len(function.columns)):
        stacked[:, column] = X[orders, column]
        losses = ((function.probability(stacked) - outcomes) ** 2).reshape(REPEATS, len(y)).mean(axis=1)
        stacked[:, column] = np.tile(X[:, column], REPEATS)
        gains.append(_interval(losses - loss))
    total = sum(max(0.0, gain.value) for gain in gains)
    order = sorted(range(len(gains)), key=lambda column: (-gains[column].value, column))
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
