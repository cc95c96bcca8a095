"""What is recorded of a session's evidence, and of a person's word. Pure: state and command in, fact out."""

from __future__ import annotations

from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Task
from services.kernel.bar_evidence import EvidenceBars, decode_all
from services.kernel.facts import Fact
from services.knowledge.domain.counts import count
from services.knowledge.domain.evidence import Evidence, merge
from services.knowledge.domain.pattern import PatternRecord, state_of, stream_of
from services.knowledge.domain.rules import State, after_first_test, why_below


def record_evidence(
    record: PatternRecord | None,
    tested: knowledge_pb2.TestedPattern,
    session_id: str,
    lineage: str,
    candidates_tested: int,
) -> Fact | None:
    """The fact that a session's evidence for one pattern makes; None when a known pattern met no bar.

    InvalidInput for a first test without bars or p value, and for an id that stands for another rule.
    """
    bars = decode_all(tested.evidence)
    _require_horizon(tested)
    if record is None:
        message = _discovered(tested, bars, session_id, lineage, candidates_tested)
        return Fact(stream_of(tested.pattern.id), 1, message, causation_id=session_id)
    _require_same_rule(record.definition, tested.pattern)
    if not len(bars.times):
        return None
    version = record.version + 1
    union, conflicts = merge(record.evidence, bars, version)
    after = count(union, record.label, record.horizon)
    state = state_of(record, union, after, record.changes)
    if record.state.active and state is State.RETIRED:
        retired = facts_pb2.PatternRetired(
            pattern_id=record.id,
            session_id=session_id,
            decided_by=decision_pb2.DECIDED_BY_GATE,
            reason=why_below(after),
            evidence=tested.evidence,
            before=record.counts.message(),
            after=after.message(),
        )
        return Fact(stream_of(record.id), version, retired, causation_id=session_id)
    validated = facts_pb2.PatternValidated(
        pattern_id=record.id,
        session_id=session_id,
        lineage=lineage,
        evidence=tested.evidence,
        before=record.counts.message(),
        after=after.message(),
        state=_number(state),
        conflicting_bars=conflicts.tolist(),
    )
    return Fact(stream_of(record.id), version, validated, causation_id=session_id)


def retire(record: PatternRecord, reason: str) -> Fact:
    """A person's retirement; PreconditionFailed when there is nothing to retire."""
    if not reason.strip():
        raise InvalidInput("retiring a pattern needs a reason; say why", fields={"reason": "empty"})
    if record.state is State.REFUTED:
        raise PreconditionFailed(
            f"pattern {record.id} was refuted by its first test: no model uses it, there is nothing to retire"
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


def _discovered(
    tested: knowledge_pb2.TestedPattern, bars: EvidenceBars, session_id: str, lineage: str, candidates_tested: int
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
    union, _ = merge(Evidence.none(), bars, 1)
    counts = count(union, tested.pattern.rule.label, Task.parse(tested.pattern.task).horizon)
    return facts_pb2.PatternDiscovered(
        pattern=tested.pattern,
        session_id=session_id,
        lineage=lineage,
        evidence=tested.evidence,
        after=counts.message(),
        state=_number(after_first_test(tested.passed, counts)),
        p_value=tested.p_value,
        candidates_tested=candidates_tested,
    )


def _require_horizon(tested: knowledge_pb2.TestedPattern) -> None:
    horizon = Task.parse(tested.pattern.task).horizon
    for span in tested.evidence.spans:
        if len(span.times) - span.bars != horizon:
            raise InvalidInput(
                f"evidence for pattern {tested.pattern.id}: {span.bars} bars with {len(span.times)} times;"
                f" labels of {tested.pattern.task} are known {horizon} bars later: send {span.bars + horizon} times",
                fields={"tested": "not the task's horizon"},
            )


def _require_same_rule(known: pattern_pb2.Pattern, sent: pattern_pb2.Pattern) -> None:
    if (known.series, known.task, known.rule) != (sent.series, sent.task, sent.rule):
        raise InvalidInput(
            f"pattern {known.id} is known as {known.wording!r} for {known.series}/{known.task};"
            f" {sent.wording!r} for {sent.series}/{sent.task} needs an id of its own",
            fields={"tested": "an id with another rule"},
        )


def _number(state: State) -> pattern_pb2.PatternState.ValueType:
    return pattern_pb2.PatternState.ValueType(state)
