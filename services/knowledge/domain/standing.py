"""All patterns of one series and task beside each other: each in its own state, and which of them others cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.knowledge.domain.evidence import Evidence
from services.knowledge.domain.pattern import PatternRecord, View, own_state, view
from services.knowledge.domain.rules import State
from services.knowledge.domain.subsumption import Claim, coverings


def views(
    records: Iterable[PatternRecord],
    position: int | None = None,
    known_before: int | None = None,
    market_time: int | None = None,
) -> tuple[View, ...]:
    """What was known of the patterns of one scope, those left out of which nothing was known; see `pattern.view`.

    Without `known_before` and `market_time` the recorded states stand. With one of them states and covering are worked
    out anew from the bars that counted then.
    """
    found = [each for record in records if (each := view(record, position, known_before, market_time))]
    if known_before is None and market_time is None:
        return tuple(found)
    covered = _coverings((each.record, each.evidence) for each in found if each.state.active)
    return tuple(
        replace(each, state=State.COVERED, covered_by=covered[each.record.id]) if each.record.id in covered else each
        for each in found
    )


def covering(records: Iterable[PatternRecord]) -> dict[str, str]:
    """By id of each pattern of one scope that is covered, as all of them are recorded now, the id of what covers it."""
    return _coverings((record, record.evidence) for record in records if own_state(record.changes[-1]).active)


def _coverings(active: Iterable[tuple[PatternRecord, Evidence]]) -> dict[str, str]:
    """`active`: patterns with the evidence that counts."""
    claims, horizon = [], 1
    for record, evidence in active:
        definition, horizon = record.definition, record.horizon
        claims.append(Claim(record.id, len(definition.rule.conditions), definition.wording, record.label, evidence))
    return coverings(claims, horizon)
