"""Conversion of the knowledge domain to messages of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.events.v1 import model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.patterns.bar_times import Times
from services.knowledge.domain.counts import Counts, count
from services.knowledge.domain.pattern import Change, PatternView, view
from services.knowledge.domain.ranking import Ranking
from services.knowledge.domain.rates import SuccessRate
from services.knowledge.domain.rules import State
from services.knowledge.domain.years import Year

CONFIDENCES = 60


def known_pattern(found: PatternView) -> knowledge_pb2.KnownPattern:
    test = next((change for change in found.changes if change.passed_first_test is not None), None)
    message = knowledge_pb2.KnownPattern(
        pattern=found.record.definition,
        state=_state_number(found.state),
        counts=found.counts.message(),
        found_by=test.lineage if test else "",
        found_at=_timestamp(test.recorded_at) if test else None,
        position=found.changes[-1].position,
        validations=found.validations,
        retired_reason=found.retired_reason,
        conflicting_bars=found.conflicts,
        confidences=_confidences(found),
        covered_by=found.covered_by,
        offer=_offer(found),
    )
    if len(found.evidence):
        message.evidence_end.seconds = int(found.evidence.label_times.max())
        message.tested_through.seconds = int(found.evidence.times[-1])
    return message


def history(found: PatternView) -> Iterator[knowledge_pb2.PatternChange]:
    """The facts of a view.

    As of a market time each has its own state and the counts by the labels known then; facts without such labels are
    left out.
    """
    for change in found.changes:
        if found.recorded:
            yield _change(found, change, change.state, change.counts)
        elif past_view := view(found.record, change.position, found.known_before):
            yield _change(found, change, past_view.state, past_view.counts)


def year_of_evidence(year: Year) -> knowledge_pb2.YearOfEvidence:
    return knowledge_pb2.YearOfEvidence(
        year=year.year, bars=year.bars, support=year.support, hits=year.hits, base_rate=year.base_rate
    )


def success_rate(rate: SuccessRate) -> knowledge_pb2.SuccessRate:
    return knowledge_pb2.SuccessRate(
        series=rate.series,
        type=rate.type,
        tested=rate.tested,
        admitted=rate.admitted,
        in_force=rate.in_force,
        retired=rate.retired,
        covered=rate.covered,
        rate=model_pb2.Interval(value=rate.share, low=rate.low, high=rate.high),
        later_support=rate.later_support,
        later_hits=rate.later_hits,
        later_base_rate=rate.later_base_rate,
    )


def feature_ranking(ranking: Ranking) -> knowledge_pb2.FeatureRanking:
    return knowledge_pb2.FeatureRanking(
        model=ranking.message.model,
        session_id=ranking.message.session_id,
        recorded_at=_timestamp(ranking.recorded_at),
        position=ranking.position,
        features=ranking.message.features,
    )


def _confidences(found: PatternView) -> list[float]:
    """The confidence after each fact with counts, oldest first; as of a market time, by the labels known then."""
    counted = [change for change in found.changes if change.state is not State.OFFERED][-CONFIDENCES:]
    if found.recorded:
        return [change.counts.confidence for change in counted]
    record = found.record
    complete_until = _complete_until(found)
    confidences: list[float] = []
    bars = 0
    for change in counted:
        part = record.evidence.known(change.version, found.known_before)
        if change.version < complete_until:
            confidences.append(change.counts.confidence)
        elif len(part) > bars:
            confidences.append(count(part, record.label, record.horizon).confidence)
        elif bars:
            confidences.append(confidences[-1])
        bars = len(part)
    return confidences


def _complete_until(found: PatternView) -> int:
    """The version of the first fact whose counts differ from those of the view's bars."""
    union, end = found.record.evidence, found.changes[-1].version + 1
    late = union.source[:0] if found.known_before is None else union.source[union.label_times >= found.known_before]
    return min(int(late.min(initial=end)), end if found.record.first_omitted is None else found.record.first_omitted)


def _change(found: PatternView, change: Change, state: State, counts: Counts) -> knowledge_pb2.PatternChange:
    carried = found.record.bars_of(change.version)
    new = found.evidence.source == change.version
    known = slice(None) if found.known_before is None else carried.label_times < found.known_before
    times = np.unique(carried.times[known])
    return knowledge_pb2.PatternChange(
        position=change.position,
        recorded_at=_timestamp(change.recorded_at),
        session_id=change.session_id,
        lineage=change.lineage,
        state=_state_number(state),
        counts=counts.message(),
        reason=_reason(change) if state is change.state else "",
        dataset_digest=found.record.dataset_of(change.version),
        first_bar=_bar(times[:1]),
        last_bar=_bar(times[-1:]),
        bars=len(times),
        new_bars=int(np.count_nonzero(new)),
    )


def _reason(change: Change) -> str:
    if change.covered_by:
        return f"pattern {change.covered_by} says the same more simply"
    return change.reason


def _offer(found: PatternView) -> knowledge_pb2.Offer | None:
    """State and counts of the offer hold labels of any market time: they are left out as of a market time."""
    offer, first = found.record.offer, found.changes[0]
    if offer is None:
        return None
    message = knowledge_pb2.Offer(
        pattern_id=offer.from_pattern_id,
        series=offer.from_series,
        reason=offer.reason,
        offered_at=_timestamp(first.recorded_at),
        position=first.position,
    )
    if found.recorded:
        message.state = offer.from_state
        message.counts.CopyFrom(offer.foreign)
    return message


def _bar(times: Times) -> Timestamp | None:
    """The time of the only bar; None without one."""
    return Timestamp(seconds=int(times[0])) if len(times) else None


def _timestamp(recorded_at: datetime | None) -> Timestamp | None:
    if recorded_at is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(recorded_at)
    return moment


def _state_number(state: State) -> pattern_pb2.PatternState.ValueType:
    return pattern_pb2.PatternState.ValueType(state)
