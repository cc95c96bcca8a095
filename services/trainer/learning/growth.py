"""The columns of a new model: its parent's, and those of newly known patterns. A lineage only ever appends to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ratchet.scoring import features
from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.artifact import FrozenPattern, ModelFile
from services.trainer.learning.inputs import IN_FORCE, KnownPattern
from services.trainer.learning.outcome import LeftOut

USELESS = "ranked useless by each of the last three sessions"


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
