"""The columns of a model: named features and the 0/1 columns of patterns. A lineage only ever appends to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from services.trainer import features
from services.trainer.data.bars import Bars
from services.trainer.learning.inputs import IN_FORCE, KnownPattern
from services.trainer.learning.outcome import LeftOut
from services.trainer.models.artifact import RULE_PREFIX, FrozenPattern, ModelFile

Floats = NDArray[np.float64]

USELESS = "ranked useless by each of the last three sessions"


@dataclass(frozen=True, eq=False)
class Table:
    """Feature values float64[n, k], NaN where unknown, under `names`."""

    names: tuple[str, ...]
    values: Floats

    @classmethod
    def of(cls, bars: Bars, names: Iterable[str] = features.LIBRARY) -> Table:
        wanted = tuple(dict.fromkeys(names))
        return cls(wanted, features.compute(bars, wanted))

    def matrix(self, columns: Sequence[str], patterns: Iterable[FrozenPattern]) -> Floats:
        """float64[n, len(columns)]; InvalidInput for a column that is neither a feature nor one of `patterns`."""
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
    """The places of the columns that a new model reads, and those that are left out; all are read rather than none."""
    kept = tuple(place for place, name in enumerate(columns) if name not in useless)
    if not kept:
        return tuple(range(len(columns))), ()
    return kept, tuple(LeftOut(name, USELESS) for name in columns if name in useless)


def grow(parent: ModelFile | None, known: Sequence[KnownPattern]) -> Grown:
    """The parent's columns (the base set without one), then each newly known pattern and the features it names."""
    columns = dict.fromkeys(parent.columns if parent else features.BASE)
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
    return probabilities(model, Table.of(bars, features_of(model)))


def probabilities(model: ModelFile, table: Table) -> Floats:
    """The probability of label 1 for every bar of `table`, float64[n]."""
    X = table.matrix(model.columns, model.patterns)
    return model.function.probability(X, np.arange(len(X), dtype=np.int64))
