"""The columns of a model: named features, columns of its task, and the 0/1 columns of patterns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.scoring import features, targets
from ratchet.scoring.baselines.online import OnlineBaseline
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.features import LAST_LABEL
from ratchet.scoring.models.artifact import RULE_PREFIX, FrozenPattern, ModelFile

Floats = NDArray[np.float64]

ONLINE_LOG_ODDS = "online_log_odds"
"""The log-odds of online@baseline: the initial margin of a model on the margin."""
TASK_COLUMNS = (LAST_LABEL, ONLINE_LOG_ODDS)
"""Columns that depend on the task, computed from the labels known at each bar."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Column values float64[n, k], NaN if unknown, under `names`; task columns come last."""

    names: tuple[str, ...]
    values: Floats

    @classmethod
    def of(
        cls, bars: Bars, target: str, horizon: int, names: Iterable[str] | None = None, online: Floats | None = None
    ) -> FeatureTable:
        """Computes the named columns; None: the whole library, and the task columns.

        Args:
            online: the log-odds of online@baseline, float64[n], if already computed.
        """
        wanted = dict.fromkeys((*features.LIBRARY, *TASK_COLUMNS) if names is None else names)
        plain = tuple(name for name in wanted if name not in TASK_COLUMNS)
        of_task = tuple(name for name in TASK_COLUMNS if name in wanted)
        values = [features.compute(bars, plain)]
        if LAST_LABEL in of_task:
            values.append(targets.persistence(target, bars, horizon)[:, None])
        if ONLINE_LOG_ODDS in of_task:
            values.append((OnlineBaseline.fit(bars, target, horizon).z if online is None else online)[:, None])
        return cls((*plain, *of_task), np.concatenate(values, axis=1))

    @property
    def online(self) -> Floats:
        """The log-odds of online@baseline, float64[n]."""
        return self.values[:, self.names.index(ONLINE_LOG_ODDS)]

    def select(self, names: tuple[str, ...]) -> FeatureTable:
        """The table of the named columns."""
        position = {name: index for index, name in enumerate(self.names)}
        return FeatureTable(names, self.values[:, [position[name] for name in names]])

    def matrix(self, columns: Sequence[str], patterns: Iterable[FrozenPattern]) -> Floats:
        """float64[n, len(columns)]; InvalidInput for a column that is neither in the table nor one of `patterns`."""
        rules = {pattern.column: pattern.rule for pattern in patterns}
        position = {name: index for index, name in enumerate(self.names)}
        X = np.empty((len(self.values), len(columns)))
        for index, column in enumerate(columns):
            if column in rules:
                X[:, index] = rules[column].fires(self.values, self.names)
            elif column in position:
                X[:, index] = self.values[:, position[column]]
            else:
                raise InvalidInput(f"column {column} is neither a feature nor a pattern of the model")
        return X


def required_features(model: ModelFile) -> tuple[str, ...]:
    """The features of a model: its own columns and those of its rules."""
    named = (column for column in model.columns if not column.startswith(RULE_PREFIX))
    in_rules = (feature for pattern in model.patterns for feature in pattern.rule.features)
    return tuple(dict.fromkeys((*named, *in_rules)))


def predict(model: ModelFile, bars: Bars) -> Floats:
    """The probability of label 1 for every bar, float64[n]; warm-up bars are answered from imputed features."""
    return probabilities(model, table_for(model, bars))


def table_for(model: ModelFile, bars: Bars, online: Floats | None = None) -> FeatureTable:
    """The table of a model's features over `bars`; `online` as in FeatureTable.of."""
    return FeatureTable.of(bars, model.target, model.horizon, required_features(model), online)


def probabilities(model: ModelFile, table: FeatureTable) -> Floats:
    """The probability of label 1 for every bar of `table`, float64[n]."""
    X = table.matrix(model.columns, model.patterns)
    return model.function.probability(X, np.arange(len(X), dtype=np.int64))
