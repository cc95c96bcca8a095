"""model_states: what became of each model, a row for each time in which that did not change.

A row is valid from `valid_from`, the position of the fact that made it so, to just before `valid_to`; the present one
has no end. So the state as of a position is a condition, and the present one is that of the log's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ratchet.events.v1 import decision_pb2, facts_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import interval, names, upsert, verdict_word

_CREATE = """
CREATE TABLE {model_states} (
    model TEXT NOT NULL,
    lineage TEXT NOT NULL,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    parent TEXT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    is_lineage_champion BIGINT NOT NULL,
    is_symbol_best BIGINT NOT NULL,
    is_contender BIGINT NOT NULL,
    verdict TEXT,
    improvement_over_parent DOUBLE PRECISION,
    improvement_over_parent_low DOUBLE PRECISION,
    improvement_over_parent_high DOUBLE PRECISION,
    improvement_bars BIGINT,
    PRIMARY KEY (model, valid_from)
)
"""

_KEPT = (
    "model, lineage, series, task, parent, is_lineage_champion, is_symbol_best, is_contender, verdict,"
    " improvement_over_parent, improvement_over_parent_low, improvement_over_parent_high, improvement_bars"
)
_END = "UPDATE {{model_states}} SET valid_to = ? WHERE valid_to IS NULL AND valid_from < ? AND {condition}"
_BEGIN = (
    f"INSERT INTO {{model_states}} (valid_from, {_KEPT}) SELECT valid_to, {_KEPT} FROM {{model_states}}"
    " WHERE valid_to = ?"
)

_CHAMPION = "lineage = ? AND is_lineage_champion = 1"
_CONTENDER = "lineage = ? AND is_contender = 1"
_BEST = "series = ? AND task = ? AND is_symbol_best = 1"


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Trained: a state. Completed: its verdict. Promoted and declined: flags, verdict and improvement over the
    parent."""
    position = event.position
    match event.fact.message:
        case facts_pb2.ModelTrained(record=record):
            series, task, _ = names(record.lineage)
            row: dict[str, SqlValue] = {
                "model": record.model,
                "lineage": record.lineage,
                "series": series,
                "task": task,
                "parent": record.parent,
                "valid_from": position,
                "is_lineage_champion": 0,
                "is_symbol_best": 0,
                "is_contender": 0,
            }
            yield Statement(_END.format(condition="model = ?"), (position, position, record.model))
            yield Statement(*upsert("model_states", row, "model", "valid_from"))
        case facts_pb2.TrainingCompleted() as fact:
            yield from _changing(position, [fact.model])
            yield _verdict(fact.model, fact.verdict)
        case facts_pb2.ModelPromoted(scope=decision_pb2.SCOPE_LINEAGE) as fact:
            lowered = ((_CHAMPION, (fact.lineage,)), (_CONTENDER, (fact.lineage,)))
            yield from _changing(position, [fact.model, *_compared(fact.evidence)], *lowered)
            yield _set("is_lineage_champion = 0", _CHAMPION, fact.lineage)
            yield _set("is_contender = 0", _CONTENDER, fact.lineage)
            yield _set("is_lineage_champion = 1", "model = ?", fact.model)
            if fact.decided_by == decision_pb2.DECIDED_BY_GATE:
                yield _verdict(fact.model, decision_pb2.VERDICT_PROMOTED)
            yield from map(_improvement, fact.evidence)
        case facts_pb2.ModelPromoted(scope=decision_pb2.SCOPE_SYMBOL) as fact:
            series, task, _ = names(fact.lineage)
            yield from _changing(position, [fact.model], (_BEST, (series, task)))
            yield _set("is_symbol_best = 0", _BEST, series, task)
            yield _set("is_symbol_best = 1", "model = ?", fact.model)
        case facts_pb2.PromotionDeclined(scope=decision_pb2.SCOPE_LINEAGE) as fact:
            changed = [fact.model, *fact.contenders_kept, *_compared(fact.evidence)]
            yield from _changing(position, changed, (_CONTENDER, (fact.lineage,)))
            yield _set("is_contender = 0", _CONTENDER, fact.lineage)
            for kept in fact.contenders_kept:
                yield _set("is_contender = 1", "model = ?", kept)
            yield _verdict(fact.model, fact.verdict)
            yield from map(_improvement, fact.evidence)


def _changing(position: int, models: Sequence[str], *others: tuple[str, tuple[SqlValue, ...]]) -> Iterator[Statement]:
    """Ends the present states of the models, and of those that a condition finds, and begins equal ones.

    Each condition has an index: the cost does not depend on the length of a lineage.
    """
    named = tuple(dict.fromkeys(models))
    for condition, values in ((f"model IN ({', '.join('?' * len(named))})", named), *others):
        yield Statement(_END.format(condition=condition), (position, position, *values))
    yield Statement(_BEGIN, (position,))


def _set(change: str, condition: str, *values: SqlValue) -> Statement:
    """Changes present states."""
    return Statement(f"UPDATE {{model_states}} SET {change} WHERE valid_to IS NULL AND {condition}", values)


def _verdict(model: str, verdict: decision_pb2.Verdict.ValueType) -> Statement:
    return _set("verdict = ?", "model = ?", verdict_word(verdict), model)


def _compared(evidence: Sequence[decision_pb2.Evidence]) -> list[str]:
    return [each.contender for each in evidence]


def _improvement(evidence: decision_pb2.Evidence) -> Statement:
    """The newest paired comparison of a model with its parent."""
    return _set(
        "improvement_over_parent = ?, improvement_over_parent_low = ?, improvement_over_parent_high = ?,"
        " improvement_bars = ?",
        "model = ? AND parent = ?",
        *interval(evidence.judgement, "improvement_percent"),
        evidence.judgement.bars,
        evidence.contender,
        evidence.champion,
    )


TABLE = Table(
    name="model_states",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {model_states}_now ON {model_states} (model) WHERE valid_to IS NULL",
        "CREATE INDEX {model_states}_ended ON {model_states} (valid_to)",
        "CREATE INDEX {model_states}_champion ON {model_states} (lineage)"
        " WHERE valid_to IS NULL AND is_lineage_champion = 1",
        "CREATE INDEX {model_states}_contenders ON {model_states} (lineage)"
        " WHERE valid_to IS NULL AND is_contender = 1",
        "CREATE INDEX {model_states}_champions ON {model_states} (series, task)"
        " WHERE valid_to IS NULL AND is_lineage_champion = 1",
        "CREATE INDEX {model_states}_best ON {model_states} (series, task)"
        " WHERE valid_to IS NULL AND is_symbol_best = 1",
    ),
    project=project,
)
