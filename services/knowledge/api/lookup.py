"""Lookup of the patterns of a request."""

from __future__ import annotations

from ratchet.errors import InvalidInput, NotFound
from ratchet.names import Series, Task
from services.knowledge.domain.pattern import PatternRecord
from services.knowledge.projection.state import KnowledgeState

SHOWN_MATCHES = 10


def scopes(state: KnowledgeState, series: str, task: str) -> list[tuple[str, str]]:
    """The (series, task) pairs of all patterns; only those of a given series or task, if not empty."""
    series = str(Series.parse(series)) if series else ""
    task = str(Task.parse(task)) if task else ""
    all_of_them = {(record.definition.series, record.definition.task) for record in state.patterns.values()}
    return sorted(scope for scope in all_of_them if series in ("", scope[0]) and task in ("", scope[1]))


def resolve(state: KnowledgeState, pattern_id: str, position: int) -> PatternRecord:
    """The pattern with this id, or with the only id of this prefix, among those recorded up to `position`."""
    if not pattern_id:
        raise InvalidInput("pattern_id is empty; see ratchet patterns list", fields={"pattern_id": "empty"})
    recorded = {name: record for name, record in state.patterns.items() if record.changes[0].position <= position}
    if pattern_id in recorded:
        return recorded[pattern_id]
    matches = sorted(known for known in recorded if known.startswith(pattern_id))
    if not matches:
        raise NotFound(
            f"no pattern's id is or begins with {pattern_id!r} at log position {position}; see ratchet patterns list",
            fields={"pattern_id": "unknown"},
        )
    if len(matches) > 1:
        more = f" and {len(matches) - SHOWN_MATCHES} more" if len(matches) > SHOWN_MATCHES else ""
        raise InvalidInput(
            f"{pattern_id!r} is the beginning of {', '.join(matches[:SHOWN_MATCHES])}{more}; give one more character",
            fields={"pattern_id": "ambiguous"},
        )
    return recorded[matches[0]]
