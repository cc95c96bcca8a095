"""Views of all patterns of one series and task, with the subsumption among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.knowledge.domain.evidence import Evidence
from services.knowledge.domain.pattern import PatternRecord, PatternView, own_state, view
from services.knowledge.domain.rules import State
from services.knowledge.domain.subsumption import ActivePattern, find_subsumed


def views(
    records: Iterable[PatternRecord],
    position: int | None = None,
    known_before: int | None = None,
    market_time: int | None = None,
) -> tuple[PatternView, ...]:
    """The patterns of one scope as of a log time and market time, without unknown ones; see `pattern.view`.

    Without `known_before` and `market_time` the recorded states hold. With one of them states and subsumption are
    recomputed from the bars counted then.
    """
    found = [each for record in records if (each := view(record, position, known_before, market_time))]
    if known_before is None and market_time is None:
        return tuple(found)
    subsumed = _find_subsumed((each.record, each.evidence) for each in found if each.state.active)
    return tuple(
        replace(each, state=State.COVERED, covered_by=subsumed[each.record.id]) if each.record.id in subsumed else each
        for each in found
    )


def subsumed(records: Iterable[PatternRecord]) -> dict[str, str]:
    """The id of the subsuming pattern, by id of each subsumed pattern of one scope, as recorded now."""
    return _find_subsumed((record, record.evidence) for record in records if own_state(record.changes[-1]).active)


def _find_subsumed(active: Iterable[tuple[PatternRecord, Evidence]]) -> dict[str, str]:
    """`active`: patterns with their counted evidence."""
    patterns, horizon = [], 1
    for record, evidence in active:
        definition, horizon = record.definition, record.horizon
        patterns.append(
            ActivePattern(record.id, len(definition.rule.conditions), definition.wording, record.label, evidence)
        )
    return find_subsumed(patterns, horizon)
