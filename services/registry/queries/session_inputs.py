"""What a training session starts from: the earlier sessions that count at its market time, and the models in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from ratchet.decisions import lineage as lineages
from ratchet.decisions.bar_times import BEGINNING, timestamp
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.replay import ReplayedFact
from ratchet.errors import InvalidInput, NotFound
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import Log
from services.registry.projections.columns import timestamp_in
from services.registry.queries import messages, rows_at
from services.registry.queries.as_of import AsOf
from services.registry.queries.lookup import events_at
from services.registry.queries.queries import Queries

RECENT_SESSIONS = 20
"""Number of the newest sessions whose trials and importances are remembered."""

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


class Version(NamedTuple):
    """A model of the lineage: its session, log position and market time (epoch seconds UTC)."""

    model: str
    session_id: str
    position: int
    market_time: int


def session_inputs(log: Log, queries: Queries, request: pb.GetSessionInputsRequest) -> pb.GetSessionInputsResponse:
    """The inputs of a session, open or ended, as of the end of the log.

    NotFound for an unknown session; InvalidInput without a market time.
    """
    if not request.HasField("market_time"):
        raise InvalidInput(
            "market_time is missing: the last labelled bar of the session's data says which sessions are earlier ones",
            fields={"market_time": "missing"},
        )
    as_of = AsOf(log.head().position, "now")
    rows = log.query("SELECT * FROM training_history WHERE session_id = ?", (request.session_id,))
    if not rows:
        raise NotFound(f"there is no training {request.session_id!r}", fields={"session_id": "unknown"})
    training = messages.training(rows_at.training(rows[0], as_of.position))
    before = rows[0]["trained_position"] or as_of.position + 1
    versions = _versions(log, training.lineage, before)
    past, market_time = counted(versions, request.market_time.seconds)
    found = pb.GetSessionInputsResponse(
        training=training,
        read_position=read_position(training.requested_position, past),
        sessions=len(past),
        last_labelled_bar=timestamp(market_time),
        recent=[past_session(record) for record in _records(log, past[-RECENT_SESSIONS:])],
    )
    if rows[0]["trained_position"]:
        parent = rows[0]["parent"]
        if parent:
            found.parent.CopyFrom(queries.model(parent, as_of, with_record=True))
        return found
    _add_models_in_force(log, queries, found, as_of)
    if len(past) < len(versions):
        decisions = _decisions(log, training.lineage, as_of.position)
        found.succession.CopyFrom(succession(training.lineage, decisions, versions, past))
        named = [found.succession.champion, *found.succession.contenders]
        named += [each.model for each in found.succession.decisions]
        models = (queries.model(name, as_of, with_record=True) for name in filter(None, dict.fromkeys(named)))
        found.succession.models.extend(models)
    return found


def counted(versions: Sequence[Version], market_time: int) -> tuple[list[Version], int]:
    """The versions of a market time no later than `market_time`, and the latest of theirs; BEGINNING without any."""
    past = [version for version in versions if version.market_time <= market_time]
    return past, max((version.market_time for version in past), default=BEGINNING)


def read_position(requested: int, past: Sequence[Version]) -> int:
    """The position that a session reads as of: of its request or, if it waited for an earlier session, of its end.

    A session that is repeated after a kill gets the same position.
    """
    return max(requested, past[-1].position if past else 0)


def past_session(record: model_pb2.ModelRecord) -> pb.PastSession:
    return pb.PastSession(trials=record.trials, importance=record.importance)


def succession(
    lineage: str, decisions: Iterable[tuple[int, Decision]], versions: Sequence[Version], past: Sequence[Version]
) -> pb.Succession:
    """The state of the lineage before its first version that does not count, and the later decisions that do.

    `decisions`: those on the lineage, each with its position. A decision of a person counts if the promoted model does.
    """
    counting = {version.model for version in past}
    first_later = next(version.position for version in versions if version.model not in counting)
    state, found = LineageState(lineage), pb.Succession()
    for position, fact in decisions:
        if position > first_later:
            found.decisions.extend(_counted_decision(fact, past))
        else:
            state = lineages.project(state, [ReplayedFact(f"lineage/{lineage}", 0, fact)]) or state
    found.champion = state.champion_name
    found.contenders.extend(state.contender_names)
    for name in ("decided_through", "spent_through"):
        if (moment := timestamp(getattr(state, name))) is not None:
            getattr(found, name).CopyFrom(moment)
    return found


def _counted_decision(fact: Decision, past: Sequence[Version]) -> Iterator[pb.CountedDecision]:
    by_person = isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON
    for version in past:
        if (version.model == fact.model) if by_person else (version.session_id == fact.session_id):
            policy = "" if by_person else fact.policy
            yield pb.CountedDecision(model=version.model, market_time=timestamp(version.market_time), policy=policy)


def _versions(log: Log, lineage: str, before: int) -> list[Version]:
    rows = log.query(
        "SELECT model, session_id, position, holdout_last_bar FROM model_registry WHERE lineage = ? AND position < ?"
        " ORDER BY position",
        (lineage, before),
    )
    return [
        Version(row["model"], row["session_id"], row["position"], _seconds(row["holdout_last_bar"])) for row in rows
    ]


def _seconds(text: str | None) -> int:
    moment = timestamp_in(text)
    return moment.seconds if moment else BEGINNING


def _records(log: Log, versions: Sequence[Version]) -> Iterator[model_pb2.ModelRecord]:
    for event in events_at(log, [version.position for version in versions]):
        trained = event.fact.message
        assert isinstance(trained, facts_pb2.ModelTrained)
        yield trained.record


def _decisions(log: Log, lineage: str, position: int) -> Iterator[tuple[int, Decision]]:
    rows = log.query(
        "SELECT position FROM decision_history WHERE lineage = ? AND scope = 'LINEAGE' AND position <= ?"
        " ORDER BY position",
        (lineage, position),
    )
    for event in events_at(log, [row["position"] for row in rows]):
        fact = event.fact.message
        assert isinstance(fact, Decision)
        yield event.position, fact


def _add_models_in_force(log: Log, queries: Queries, found: pb.GetSessionInputsResponse, as_of: AsOf) -> None:
    """Champion and contenders of the session's lineage, and the symbol's best."""
    lineage = Lineage.parse(found.training.lineage)
    decided = rows_at.newest_decision(log, str(lineage), as_of.position)
    if decided is not None:
        champion = decided["model"] if decided["outcome"] == "PROMOTED" else decided["champion"]
        found.champion.CopyFrom(queries.model(champion, as_of, with_record=True))
        for contender in messages.listed(decided["contenders"]):
            found.contenders.append(queries.model(contender, as_of, with_record=True))
    best = rows_at.symbol_best(log, str(lineage.series), str(lineage.task), as_of.position)
    if best is not None:
        found.symbol_best.CopyFrom(queries.model(best["model"], as_of, with_record=True))
