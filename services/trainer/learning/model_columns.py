"""Columns of a new model: the parent's, then those of newly known patterns. A lineage only appends columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ratchet.scoring import features
from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.artifact import FrozenPattern, ModelFile
from services.trainer.learning.inputs import IN_FORCE, KnownPattern
from services.trainer.learning.outcome import Exclusion, LeftOutReason


@dataclass(frozen=True)
class ModelColumns:
    """The columns of a new model, its patterns, and the excluded known patterns."""

    columns: tuple[str, ...]
    patterns: tuple[FrozenPattern, ...]
    left_out: tuple[Exclusion, ...]

    @property
    def from_patterns(self) -> frozenset[str]:
        """The columns added by patterns."""
        named = (feature for pattern in self.patterns for feature in pattern.rule.features)
        return frozenset((*(pattern.column for pattern in self.patterns), *named)) - set(features.BASE)


def readable_columns(columns: Sequence[str], useless: Collection[str]) -> tuple[tuple[int, ...], tuple[Exclusion, ...]]:
    """Indices of the columns that a new part reads, and the excluded columns; without any other column all are read.

    The log-odds column, the initial margin, is not among them.
    """
    readable = tuple(place for place, name in enumerate(columns) if name != ONLINE_LOG_ODDS)
    kept = tuple(place for place in readable if columns[place] not in useless)
    if not kept:
        return readable, ()
    return kept, tuple(Exclusion(name, "useless") for name in columns if name in useless)


def extend_columns(parent: ModelFile | None, known: Sequence[KnownPattern], first: Sequence[str]) -> ModelColumns:
    """Appends newly known patterns and their features to the parent's columns.

    Args:
        first: the features of a lineage's first version; the log-odds of online@baseline follow them.
    """
    columns = dict.fromkeys(parent.columns if parent else (*first, ONLINE_LOG_ODDS))
    patterns = list(parent.patterns if parent else ())
    inherited = {pattern.id for pattern in patterns}
    left_out: list[Exclusion] = []
    for pattern in known:
        if pattern.id in inherited:
            continue
        if (excluded := _exclusion(pattern)) is not None:
            left_out.append(excluded)
            continue
        frozen = FrozenPattern(pattern.id, pattern.rule, pattern.evidence_end)
        patterns.append(frozen)
        columns.update(dict.fromkeys((frozen.column, *pattern.rule.features)))
    return ModelColumns(tuple(columns), tuple(patterns), tuple(left_out))


def _exclusion(pattern: KnownPattern) -> Exclusion | None:
    if pattern.state not in IN_FORCE:
        return Exclusion(pattern.id, _REASONS[pattern.state], pattern.covered_by)
    unknown = [name for name in pattern.rule.features if name not in features.FEATURE_KIND]
    return Exclusion(pattern.id, "unknown_feature", unknown[0]) if unknown else None


_REASONS: dict[str, LeftOutReason] = {"retired": "retired", "covered": "covered", "refuted": "refuted"}
