"""The read tables of the registry, in order of their projection.

For SQL readers: times are RFC 3339 UTC, flags 0 or 1, verdicts and states words, intervals three columns, and unknown
values NULL. Every table copies the content of facts; none decides anything.
"""

from services.registry.eventlog.read_tables import Table
from services.registry.projections import (
    champion_history,
    dataset_history,
    decision_history,
    feature_history,
    knowledge_base,
    model_registry,
    model_states,
    pattern_use,
    training_history,
)

TABLES: tuple[Table, ...] = (
    dataset_history.TABLE,
    model_registry.TABLE,
    model_states.TABLE,
    pattern_use.TABLE,
    training_history.TABLE,
    decision_history.TABLE,
    champion_history.TABLE,
    knowledge_base.TABLE,
    feature_history.TABLE,
)
