"""Replay of the loop on the services of a home: a session at each date, then scores of the following bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.backtest.arms import FIRST_VERSION, FRESH, SegmentForecasts
from ratchet.backtest.bar_times import format_day, format_time
from ratchet.backtest.plan import Segment
from ratchet.backtest.records import patterns_of, session_of, version_of
from ratchet.backtest.result import Loop, PatternHistory, Session, Version
from ratchet.client import Client
from ratchet.errors import BY_REASON, Internal
from ratchet.names import Lineage, Policy
from ratchet.predictor.v1 import predictor_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2


class ReplayObserver(Protocol):
    """Observer of a replay's progress; an error raised here stops the replay."""

    def progress(self, phase: str, fraction: float) -> None: ...

    def session_ended(self, session: Session) -> None: ...


@dataclass(frozen=True)
class ReplayResult:
    """The loop with the forecasts of each segment."""

    loop: Loop
    scored: tuple[SegmentForecasts, ...]
    patterns: tuple[PatternHistory, ...]


def replay(
    client: Client, lineage: Lineage, policy: Policy, segments: Sequence[Segment], observer: ReplayObserver
) -> ReplayResult:
    """Runs the loop on imported bars. A failed session is raised as its error."""
    sessions: list[Session] = []
    versions: list[Version] = []
    scored: list[SegmentForecasts] = []
    position = 0
    for segment in segments:
        training = _run_session(client, lineage, policy, segment, observer)
        champion = client.get_champion(str(lineage)).model.name
        decisions = list(client.list_decisions(session_id=training.session_id))
        trained = client.get_model(training.model)
        position = max(position, trained.position, *(decision.position for decision in decisions))
        sessions.append(session_of(segment.date, training, decisions, champion))
        versions.append(version_of(trained.record))
        observer.progress("scoring the next bars", 1.0)
        scored.append(_score(client, lineage, segment, sessions[-1]))
        observer.session_ended(sessions[-1])
    dates = {session.session_id: session.date for session in sessions}
    found = patterns_of(client, lineage, versions, dates, position)
    return ReplayResult(Loop(tuple(sessions), tuple(versions)), tuple(scored), found)


def _run_session(
    client: Client, lineage: Lineage, policy: Policy, segment: Segment, observer: ReplayObserver
) -> registry_pb2.Training:
    """Runs a session on the bars up to the segment's date."""
    started = client.start_training(
        str(lineage.series),
        lineage.model_type,
        lineage.task.target,
        horizon=lineage.task.horizon,
        until=format_time(segment.date),
        policy=policy,
    )
    for step in client.watch_training(started.session_id):
        observer.progress(step.phase, step.fraction)
        if step.HasField("ended"):
            return _completed(step.ended, segment)
    raise Internal(f"the trainer stopped telling about session {started.session_id}; run the backtest again")


def _completed(ended: registry_pb2.Training, segment: Segment) -> registry_pb2.Training:
    if ended.state == registry_pb2.TRAINING_STATE_COMPLETED:
        return ended
    kind = BY_REASON.get(ended.reason, Internal)
    why = ended.message or ended.reason or "it was cancelled"
    raise kind(f"the session of {format_day(segment.date)} made no model: {why}")


def _score(client: Client, lineage: Lineage, segment: Segment, session: Session) -> SegmentForecasts:
    """Forecasts of each arm on the segment's bars, versions by their number."""
    numbers = {session.champion, FIRST_VERSION, session.version}
    names = {str(lineage.version(number)): str(number) for number in sorted(numbers)}
    series, target, horizon = str(lineage.series), lineage.task.target, lineage.task.horizon
    first, last = Timestamp(seconds=segment.first), Timestamp(seconds=segment.last)
    known = client.evaluate(
        series, target, horizon=horizon, first_bar=first, last_bar=last, models=list(names), baselines=True
    )
    fresh = client.evaluate_fresh(series, target, lineage.model_type, horizon=horizon, first_bar=first, last_bar=last)
    return segment_forecasts(known, fresh, names)


def segment_forecasts(
    known: predictor_pb2.EvaluateResponse, fresh: trainer_pb2.EvaluateFreshResponse, names: dict[str, str]
) -> SegmentForecasts:
    """Merges both responses, on the same bars; `names` maps forecast names, others stay."""
    forecasts = {names.get(each.name, each.name): tuple(each.probabilities) for each in known.forecasts}
    return SegmentForecasts(
        tuple(time.seconds for time in known.times),
        tuple(known.outcomes),
        {**forecasts, FRESH: tuple(fresh.probabilities)},
        {**dict.fromkeys(forecasts, 0.0), FRESH: fresh.cpu_seconds},
    )
