"""Decisions on a session's evidence and on a person's commands. Pure: state and command in, fact out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Series, Task
from ratchet.patterns.evidence import EvidenceBars
from ratchet.patterns.rule_text import pattern_id, text_of
from ratchet.patterns.snapshots import SnapshotIndex
from services.knowledge.domain.counts import Counts, count
from services.knowledge.domain.evidence import Evidence, merge
from services.knowledge.domain.pattern import PatternRecord, evolve, state_of, stream_of
from services.knowledge.domain.rules import State, after_first_test, retirement_reason
from services.platform.facts import Fact


def record_evidence(
    record: PatternRecord | None,
    tested: knowledge_pb2.TestedPattern,
    session: knowledge_pb2.RecordEvidenceRequest,
    snapshots: SnapshotIndex,
) -> Fact | None:
    """The fact of `session`'s evidence for one pattern; None for a known pattern without a tested bar.

    Its state is the pattern's own; `with_subsumption_updates` adds subsumption. InvalidInput for evidence of an unknown
    snapshot, of one of another series and of rows that it does not have or that do not trade, for a first test without
    bars or p value, for a bar after the session's market time, and for an id of another rule.
    """
    rows = snapshots.rows(tested.evidence.dataset_digest, tested.pattern.series)
    bars = rows.evidence(tested.evidence.spans, Task.parse(tested.pattern.task).horizon)
    _require_before_market_time(tested.pattern.id, bars, session.market_time.seconds)
    if record is not None:
        _require_same_rule(record.definition, tested.pattern)
    if record is None or record.state is State.OFFERED:
        version = record.version + 1 if record else 1
        message = _discovered(tested, bars, session)
        return Fact(stream_of(tested.pattern.id), version, message, causation_id=session.session_id)
    if not len(bars.times):
        return None
    partial = facts_pb2.PatternValidated(
        pattern_id=record.id,
        session_id=session.session_id,
        lineage=session.lineage,
        evidence=tested.evidence,
        before=record.counts.message(),
        market_time=session.market_time,
    )
    if tested.HasField("p_value"):
        partial.p_value, partial.passed, partial.candidates_tested = (
            tested.p_value,
            tested.passed,
            session.candidates_tested,
        )
    fact = Fact(stream_of(record.id), record.version + 1, partial, causation_id=session.session_id)
    after = evolve(record, fact, snapshots)
    counts = count(after.evidence, record.label, record.horizon)
    state = state_of(after, after.evidence, counts, after.changes)
    if record.state.holds and state is State.RETIRED and not tested.HasField("p_value"):
        return replace(fact, message=_retired_by_gate(partial, counts))
    conflicting = after.conflicting.where(after.conflicting.source == fact.version)
    validated = facts_pb2.PatternValidated(
        after=counts.message(),
        state=state_number(state),
        conflicting_rows=rows.rows_of(np.unique(conflicting.times)).tolist(),
    )
    validated.MergeFrom(partial)
    return replace(fact, message=validated)


def retire(record: PatternRecord, reason: str) -> Fact:
    """A person's retirement; PreconditionFailed for a pattern that can't be retired."""
    if not reason.strip():
        raise InvalidInput("retiring a pattern needs a reason; say why", fields={"reason": "empty"})
    if record.state is State.REFUTED:
        raise PreconditionFailed(
            f"pattern {record.id} was refuted by its first test: no model uses it, there is nothing to retire"
        )
    if record.state is State.OFFERED:
        raise PreconditionFailed(
            f"pattern {record.id} is only offered to {record.definition.series}: no model uses it before it has passed"
            " its test there, there is nothing to retire"
        )
    if record.state is State.RETIRED and record.changes[-1].by_person:
        raise PreconditionFailed(f"pattern {record.id} is retired already: {record.changes[-1].reason}")
    counts = record.counts.message()
    message = facts_pb2.PatternRetired(
        pattern_id=record.id,
        decided_by=decision_pb2.DECIDED_BY_PERSON,
        reason=reason.strip(),
        before=counts,
        after=counts,
    )
    return Fact(stream_of(record.id), record.version + 1, message)


def offered_id(record: PatternRecord, series: str) -> str:
    """The id of the pattern's rule in another series."""
    return pattern_id(text_of(record.definition.rule), series, record.definition.task)


def offer(record: PatternRecord, series: str, reason: str, existing: PatternRecord | None) -> Fact:
    """The offer of a pattern to another series, where it is a candidate without evidence of its own.

    `existing`: the record of the rule in that series. PreconditionFailed if the pattern does not hold here, or has a
    record there; InvalidInput for its own series and without a reason.
    """
    definition = record.definition
    if not reason.strip():
        raise InvalidInput("offering a pattern needs a reason; say why", fields={"reason": "empty"})
    target = str(Series.parse(series))
    if target == definition.series:
        raise InvalidInput(
            f"pattern {record.id} is of {target} itself; offer it to another series", fields={"series": "its own"}
        )
    if not record.state.holds:
        raise PreconditionFailed(
            f"pattern {record.id} is {_state_name(record.state)} in {definition.series}/{definition.task};"
            " only a pattern that holds where it was found can be offered"
        )
    if existing is not None:
        raise PreconditionFailed(
            f"{definition.wording!r} is known in {target}/{definition.task} as {_state_name(existing.state)}"
            f" ({existing.id}):"
            " a rule gets one test; see ratchet patterns show " + existing.id
        )
    pattern = pattern_pb2.Pattern()
    pattern.CopyFrom(definition)
    pattern.id, pattern.series = offered_id(record, target), target
    message = facts_pb2.PatternOffered(
        pattern=pattern,
        from_pattern_id=record.id,
        from_series=definition.series,
        from_state=state_number(record.state),
        foreign=record.counts.message(),
        reason=reason.strip(),
    )
    return Fact(stream_of(pattern.id), 1, message)


def state_number(state: State) -> pattern_pb2.PatternState.ValueType:
    return pattern_pb2.PatternState.ValueType(state)


def _retired_by_gate(partial: facts_pb2.PatternValidated, after: Counts) -> facts_pb2.PatternRetired:
    return facts_pb2.PatternRetired(
        pattern_id=partial.pattern_id,
        session_id=partial.session_id,
        decided_by=decision_pb2.DECIDED_BY_GATE,
        reason=retirement_reason(after),
        evidence=partial.evidence,
        before=partial.before,
        after=after.message(),
        market_time=partial.market_time,
    )


def _discovered(
    tested: knowledge_pb2.TestedPattern, bars: EvidenceBars, session: knowledge_pb2.RecordEvidenceRequest
) -> facts_pb2.PatternDiscovered:
    pattern_id = tested.pattern.id
    if not len(bars.times):
        raise InvalidInput(
            f"pattern {pattern_id} is new and comes without a tested bar; send the bars of its test",
            fields={"tested": "no evidence"},
        )
    if not tested.HasField("p_value"):
        raise InvalidInput(
            f"pattern {pattern_id} is new and comes without the p value of its test", fields={"tested": "no p_value"}
        )
    union, _ = merge(Evidence.concatenated([(1, bars)]))
    counts = count(union, tested.pattern.rule.label, Task.parse(tested.pattern.task).horizon)
    return facts_pb2.PatternDiscovered(
        pattern=tested.pattern,
        session_id=session.session_id,
        lineage=session.lineage,
        evidence=tested.evidence,
        after=counts.message(),
        state=state_number(after_first_test(tested.passed, counts)),
        p_value=tested.p_value,
        passed=tested.passed,
        candidates_tested=session.candidates_tested,
        market_time=session.market_time,
    )


def _require_before_market_time(pattern_id: str, bars: EvidenceBars, market_time: int) -> None:
    """A later bar would leak to sessions of this market time."""
    last = int(bars.times.max(initial=market_time))
    if last > market_time:
        raise InvalidInput(
            f"evidence for pattern {pattern_id} goes to bar {last}, after the market time {market_time} of its session;"
            " send the last labelled bar of the session's data",
            fields={"market_time": "before the evidence"},
        )


def _require_same_rule(known: pattern_pb2.Pattern, sent: pattern_pb2.Pattern) -> None:
    if (known.series, known.task, known.rule) != (sent.series, sent.task, sent.rule):
        raise InvalidInput(
            f"pattern {known.id} is known as {known.wording!r} for {known.series}/{known.task};"
            f" {sent.wording!r} for {sent.series}/{sent.task} needs an id of its own",
            fields={"tested": "an id with another rule"},
        )


def _state_name(state: State) -> str:
    return state.name.lower()
