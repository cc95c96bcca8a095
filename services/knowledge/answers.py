"""Contract messages from what is known."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from services.knowledge.domain.pattern import Change, View
from services.knowledge.domain.ranking import Ranking
from services.knowledge.domain.rules import State


def known_pattern(view: View) -> knowledge_pb2.KnownPattern:
    first = view.changes[0]
    return knowledge_pb2.KnownPattern(
        pattern=view.record.definition,
        state=_number(view.state),
        counts=view.counts.message(),
        evidence_end=Timestamp(seconds=int(view.evidence.label_times.max())),
        tested_through=Timestamp(seconds=int(view.evidence.times[-1])),
        found_by=first.lineage,
        found_at=_moment(first.recorded_at),
        position=view.changes[-1].position,
        validations=view.validations,
        retired_reason=view.retired_reason,
        conflicting_bars=view.conflicts,
    )


def pattern_change(change: Change) -> knowledge_pb2.PatternChange:
    return knowledge_pb2.PatternChange(
        position=change.position,
        recorded_at=_moment(change.recorded_at),
        session_id=change.session_id,
        lineage=change.lineage,
        state=_number(change.state),
        counts=change.counts.message(),
    )


def feature_ranking(ranking: Ranking) -> knowledge_pb2.FeatureRanking:
    return knowledge_pb2.FeatureRanking(
        model=ranking.message.model,
        session_id=ranking.message.session_id,
        recorded_at=_moment(ranking.recorded_at),
        position=ranking.position,
        features=ranking.message.features,
    )


def _moment(recorded_at: datetime | None) -> Timestamp | None:
    if recorded_at is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(recorded_at)
    return moment


def _number(state: State) -> pattern_pb2.PatternState.ValueType:
    return pattern_pb2.PatternState.ValueType(state)
