"""The columns of a model: named features, columns of its task, and the 0/1 columns of patterns.

A lineage only ever appends to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from services.trainer import features, targets
from services.trainer.baselines.online import Fold
from services.trainer.data.bars import Bars
from services.trainer.features import LAST_LABEL
from services.trainer.learning.inputs import IN_FORCE, KnownPattern
from services.trainer.learning.outcome import LeftOut
from services.trainer.models.artifact import RULE_PREFIX, FrozenPattern, ModelFile

Floats = NDArray[np.float64]

USELESS = "ranked useless by each of the last three sessions"

ONLINE_LOG_ODDS = "online_log_odds"
"""The log-odds of online@baseline: a model on the margin starts from them."""
OF_TASK = (LAST_LABEL, ONLINE_LOG_ODDS)
"""Columns that depend on the task: they are computed from the labels known at each bar."""


@dataclass(frozen=True, eq=False)
class Table:
    """Column values float64[n, k], NaN where unknown, under `names`; those of the task come last."""

    names: tuple[str, ...]
    values: Floats

    @classmethod
    def of(
        cls, bars: Bars, target: str, horizon: int, names: Iterable[str] | None = None, online: Floats | None = None
    ) -> Table:
        """The columns of these names; None: the whole library, and the columns of the task.

        Args:
            online: the log-odds of online@baseline, float64[n], where they are known already.
        """
        wanted = dict.fromkeys((*features.LIBRARY, *OF_TASK) if names is None else names)
        plain = tuple(name for name in wanted if name not in OF_TASK)
        of_task = tuple(name for name in OF_TASK if name in wanted)
        values = [features.compute(bars, plain)]
        if LAST_LABEL in of_task:
            values.append(targets.persistence(target, bars, horizon)[:, None])
        if ONLINE_LOG_ODDS in of_task:
            values.append((Fold.over(bars, target, horizon).z if online is None else online)[:, None])
        return cls((*plain, *of_task), np.concatenate(values, axis=1))

    @property
    def online(self) -> Floats:
        """The log-odds of online@baseline, float64[n]."""
        return self.values[:, self.names.index(ONLINE_LOG_ODDS)]

    def part(self, names: tuple[str, ...]) -> Table:
        """The table of these columns alone."""
        position = {name: index for index, name in enumerate(self.names)}
        return Table(names, self.values[:, [position[name] for name in names]])

    def matrix(self, columns: Sequence[str], patterns: Iterable[FrozenPattern]) -> Floats:
        """float64[n, len(columns)]; InvalidInput for a column that is neither here nor one of `patterns`."""
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


@dataclass(frozen=True)
class Grown:
    """The columns of a new model, the patterns among them, and the known patterns that are not."""

    columns: tuple[str, ...]
    patterns: tuple[FrozenPattern, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def from_patterns(self) -> frozenset[str]:
        """The columns that are here because of a pattern."""
        named = (feature for pattern in self.patterns for feature in pattern.rule.features)
        return frozenset((*(pattern.column for pattern in self.patterns), *named)) - set(features.BASE)


def reads(columns: Sequence[str], useless: Collection[str]) -> tuple[tuple[int, ...], tuple[LeftOut, ...]]:
    """The places of the columns that a new part reads, and those that are left out; all are read rather than none.

    The log-odds that a model on the margin starts from are not among them.
    """
    readable = tuple(place for place, name in enumerate(columns) if name != ONLINE_LOG_ODDS)
    kept = tuple(place for place in readable if columns[place] not in useless)
    if not kept:
        return readable, ()
    return kept, tuple(LeftOut(name, USELESS) for name in columns if name in useless)


def grow(parent: ModelFile | None, known: Sequence[KnownPattern], first: Sequence[str]) -> Grown:
    """The columns of a new model: its parent's, then each newly known pattern and the features it names.

    Args:
        first: the features of a lineage's first version; the log-odds of online@baseline come behind them.
    """
    columns = dict.fromkeys(parent.columns if parent else (*first, ONLINE_LOG_ODDS))
    patterns = list(parent.patterns if parent else ())
    inherited = {pattern.id for pattern in patterns}
    left_out: list[LeftOut] = []
    for pattern in known:
        reason = _reason_against(pattern)
        if pattern.id in inherited:
            continue
        if reason:
            left_out.append(LeftOut(pattern.id, reason))
            continue
        frozen = FrozenPattern(pattern.id, pattern.rule, pattern.evidence_end)
        patterns.append(frozen)
        columns.update(dict.fromkeys((frozen.column, *pattern.rule.features)))
    return Grown(tuple(columns), tuple(patterns), tuple(left_out))


def _reason_against(pattern: KnownPattern) -> str:
    if pattern.state not in IN_FORCE:
        return f"{pattern.state} by {pattern.covered_by}" if pattern.covered_by else pattern.state
    unknown = [name for name in pattern.rule.features if name not in features.FEATURE_KIND]
    return f"feature {unknown[0]} is not computed by this version" if unknown else ""


def features_of(model: ModelFile) -> tuple[str, ...]:
    """The named features that a model needs: its own columns and those that its rules name."""
    named = (column for column in model.columns if not column.startswith(RULE_PREFIX))
    in_rules = (feature for pattern in model.patterns for feature in pattern.rule.features)
    return tuple(dict.fromkeys((*named, *in_rules)))


def predict(model: ModelFile, bars: Bars) -> Floats:
    """The probability of label 1 for every bar, float64[n]; warm-up bars are answered from imputed features."""
    return probabilities(model, table_for(model, bars))


def table_for(model: ModelFile, bars: Bars, online: Floats | None = None) -> Table:
    """The columns that a model needs, over `bars`; `online` as in Table.of."""
    return Table.of(bars, model.target, model.horizon, features_of(model), online)


def probabilities(model: ModelFile, table: Table) -> Floats:
    """The probability of label 1 for every bar of `table`, float64[n]."""
    X = table.matrix(model.columns, model.patterns)
    return model.function.probability(X, np.arange(len(X), dtype=np.int64))
