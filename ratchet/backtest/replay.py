"""The loop replayed on the services of a home: a session at each date, then the scores of the bars that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.backtest.arms import FIRST_VERSION, FRESH, Scored
from ratchet.backtest.bar_times import day, written
from ratchet.backtest.plan import Segment
from ratchet.backtest.records import patterns_of, session_of, version_of
from ratchet.backtest.result import Loop, PatternHistory, Session, Version
from ratchet.client import Client
from ratchet.errors import BY_REASON, Internal
from ratchet.names import Lineage, Policy
from ratchet.predictor.v1 import predictor_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2


class Watcher(Protocol):
    """Is told how the loop goes on; raises to stop it."""

    def going(self, phase: str, fraction: float) -> None: ...

    def held(self, session: Session) -> None: ...


@dataclass(frozen=True)
class Replayed:
    """The loop with what was scored in each of its segments."""

    loop: Loop
    scored: tuple[Scored, ...]
    patterns: tuple[PatternHistory, ...]


def replay(client: Client, lineage: Lineage, policy: Policy, segments: Sequence[Segment], watcher: Watcher) -> Replayed:
    """Run the loop; the bars of the series are imported already. A session that fails is raised as its error."""
    sessions: list[Session] = []
    versions: list[Version] = []
    scored: list[Scored] = []
    position = 0
    for segment in segments:
        training = _hold(client, lineage, policy, segment, watcher)
        champion = client.get_champion(str(lineage)).model.name
        decisions = list(client.list_decisions(session_id=training.session_id))
        trained = client.get_model(training.model)
        position = max(position, trained.position, *(decision.position for decision in decisions))
        sessions.append(session_of(segment.date, training, decisions, champion))
        versions.append(version_of(trained.record))
        watcher.going("scoring the next bars", 1.0)
        scored.append(_score(client, lineage, segment, sessions[-1]))
        watcher.held(sessions[-1])
    dates = {session.session_id: session.date for session in sessions}
    found = patterns_of(client, lineage, versions, dates, position)
    return Replayed(Loop(tuple(sessions), tuple(versions)), tuple(scored), found)


def _hold(
    client: Client, lineage: Lineage, policy: Policy, segment: Segment, watcher: Watcher
) -> registry_pb2.Training:
    """A whole session that knows the bars up to the segment's date."""
    started = client.start_training(
        str(lineage.series),
        lineage.model_type,
        lineage.task.target,
        horizon=lineage.task.horizon,
        until=written(segment.date),
        policy=policy,
    )
    for step in client.watch_training(started.session_id):
        watcher.going(step.phase, step.fraction)
        if step.HasField("ended"):
            return _completed(step.ended, segment)
    raise Internal(f"the trainer stopped telling about session {started.session_id}; run the backtest again")


def _completed(ended: registry_pb2.Training, segment: Segment) -> registry_pb2.Training:
    if ended.state == registry_pb2.TRAINING_STATE_COMPLETED:
        return ended
    kind = BY_REASON.get(ended.reason, Internal)
    why = ended.message or ended.reason or "it was cancelled"
    raise kind(f"the session of {day(segment.date)} made no model: {why}")


def _score(client: Client, lineage: Lineage, segment: Segment, session: Session) -> Scored:
    """What each arm forecasts on the segment's bars, versions by their number."""
    numbers = {session.champion, FIRST_VERSION, session.version}
    names = {str(lineage.version(number)): str(number) for number in sorted(numbers)}
    series, target, horizon = str(lineage.series), lineage.task.target, lineage.task.horizon
    first, last = Timestamp(seconds=segment.first), Timestamp(seconds=segment.last)
    known = client.evaluate(
        series, target, horizon=horizon, first_bar=first, last_bar=last, models=list(names), baselines=True
    )
    fresh = client.evaluate_fresh(series, target, lineage.model_type, horizon=horizon, first_bar=first, last_bar=last)
    return scored_of(known, fresh, names)


def scored_of(
    known: predictor_pb2.EvaluateResponse, fresh: trainer_pb2.EvaluateFreshResponse, names: dict[str, str]
) -> Scored:
    """Both answers, on the same bars; forecasts are renamed by `names`, where one is given."""
    forecasts = {names.get(each.name, each.name): tuple(each.probabilities) for each in known.forecasts}
    return Scored(
        tuple(time.seconds for time in known.times),
        tuple(known.outcomes),
        {**forecasts, FRESH: tuple(fresh.probabilities)},
        {**dict.fromkeys(forecasts, 0.0), FRESH: fresh.cpu_seconds},
    )
