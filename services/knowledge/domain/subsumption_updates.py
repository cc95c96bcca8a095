"""Subsumption changes that follow from a batch of facts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.events.v1 import facts_pb2
from ratchet.patterns.snapshots import SnapshotIndex
from services.knowledge.domain.decide import state_number
from services.knowledge.domain.pattern import PREFIX, PatternRecord, evolve, own_state, stream_of
from services.knowledge.domain.pattern_views import subsumed
from services.knowledge.domain.rules import State
from services.platform.facts import Fact


def with_subsumption_updates(
    scope: Iterable[PatternRecord],
    facts: Sequence[Fact],
    snapshots: SnapshotIndex,
    cause: str,
    market_time: Timestamp | None = None,
) -> list[Fact]:
    """The facts to append: changes of subsumption in the scope, then `facts` with their own subsumption.

    A pattern that is newly subsumed or free again gets a fact without evidence. `scope`: all patterns of one series and
    task before `facts`, which are on streams of that scope, at most one on each. `cause`: the session of the facts,
    empty for a person; `market_time`: its own. As of the last fact the subsumption of the scope is complete.
    """
    records = {record.id: record for record in scope}
    for fact in facts:
        name = fact.stream.removeprefix(PREFIX)
        records[name] = evolve(records.get(name), fact, snapshots)
    subsumed_by = subsumed(records.values())
    written = {fact.stream for fact in facts}
    changes = [
        _subsumption_change(record, subsumed_by.get(name, ""), cause, market_time)
        for name, record in sorted(records.items())
        if stream_of(name) not in written and record.covered_by != subsumed_by.get(name, "")
    ]
    return changes + [_mark_subsumed(fact, subsumed_by.get(fact.stream.removeprefix(PREFIX), "")) for fact in facts]


def _subsumption_change(record: PatternRecord, covered_by: str, cause: str, market_time: Timestamp | None) -> Fact:
    counts = record.counts.message()
    state = State.COVERED if covered_by else own_state(record.changes[-1])
    message = facts_pb2.PatternValidated(
        pattern_id=record.id,
        before=counts,
        after=counts,
        state=state_number(state),
        covered_by=covered_by,
        market_time=market_time,
    )
    return Fact(stream_of(record.id), record.version + 1, message, causation_id=cause)


def _mark_subsumed(fact: Fact, covered_by: str) -> Fact:
    if not covered_by:
        return fact
    match fact.message:
        case facts_pb2.PatternDiscovered() as message:
            discovered = facts_pb2.PatternDiscovered()
            discovered.CopyFrom(message)
            discovered.state, discovered.covered_by = state_number(State.COVERED), covered_by
            return replace(fact, message=discovered)
        case facts_pb2.PatternValidated() as message:
            validated = facts_pb2.PatternValidated()
            validated.CopyFrom(message)
            validated.state, validated.covered_by = state_number(State.COVERED), covered_by
            return replace(fact, message=validated)
    raise AssertionError("only what is discovered or validated is above the line")
