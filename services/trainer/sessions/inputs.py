"""Reads the inputs of a session from the registry and the knowledge service.

Two cutoffs apply. Log time: only events up to the session's read position. Market time: only sessions on data that end
no later than the session's own data, so that a session on older data (`--until`) does not depend on earlier sessions on
newer data. Only the comparison with current champions ignores the market-time cutoff.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.decisions.bar_times import seconds_of
from ratchet.events.v1 import facts_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import POLICIES, Lineage, one_of
from ratchet.patterns.rule_text import SYMBOLS
from ratchet.patterns.snapshot_rows import SnapshotRows
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.models.artifact import RULE_PREFIX
from ratchet.scoring.rule import Condition, Rule
from services.platform.artifacts import ArtifactStore
from services.platform.snapshots import Snapshots
from services.trainer.learning.champions_as_of import ChampionReplay, ReplayedDecision
from services.trainer.learning.inputs import KnownPattern, PastTrial, ReferenceModel, SessionInputs
from services.trainer.learning.session import plan

REFUTED = pattern_pb2.PATTERN_STATE_REFUTED

USELESS_SESSIONS = 3
IMPORTANT_SHARE = 0.1

UPDATED_STATES = (
    pattern_pb2.PATTERN_STATE_KEPT,
    pattern_pb2.PATTERN_STATE_CONFIRMED,
    pattern_pb2.PATTERN_STATE_RETIRED,
    pattern_pb2.PATTERN_STATE_COVERED,
)
"""States of patterns that get a session's new bars as evidence; retired and covered patterns may return to force."""


def read_inputs(
    client: Client,
    store: ArtifactStore,
    training: registry_pb2.Training,
    replay_champion: Callable[[ChampionReplay], str],
) -> SessionInputs:
    """Reads the inputs of a session, by one call to the registry and one to the knowledge service.

    `replay_champion`: computes `champions_as_of.replay_champion`; called only if sessions of a later market time came
    before.
    """
    inputs = _from_request(client, store, training, seed_of(training.request))
    found = client.get_session_inputs(training.session_id, _market_time(inputs))
    inputs = _with_knowledge(client, _with_models_in_force(store, inputs, found), found, found.read_position)
    if not found.HasField("succession"):
        return replace(inputs, parent=inputs.champion)
    replay = _champion_replay(store, inputs, found.succession)
    parent = replay_champion(replay) if replay.decisions else replay.champion
    return replace(inputs, parent=replay.models.get(parent))


def seed_of(request: facts_pb2.TrainingRequested) -> int:
    """The requested seed, or by default a hash of lineage, dataset and until, independent of other facts."""
    if request.HasField("seed"):
        return request.seed
    until = str(request.until.seconds) if request.HasField("until") else ""
    text = "\n".join((request.lineage, request.dataset_digest, until))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def read_recorded_inputs(client: Client, store: ArtifactStore, model: registry_pb2.Model) -> SessionInputs:
    """Reads the inputs of the session that made `model`, without current champions, which have no part in a model."""
    record = model.record
    found = client.get_session_inputs(record.session_id, model.market_time)
    inputs = _from_request(client, store, found.training, record.seed)
    parent = _reference(store, found.parent) if found.HasField("parent") else None
    return _with_knowledge(client, replace(inputs, parent=parent), found, record.read_position)


def with_models_in_force(
    client: Client, store: ArtifactStore, training: registry_pb2.Training, inputs: SessionInputs
) -> SessionInputs:
    """The inputs with the champion, the contenders and the symbol's best in force now."""
    return _with_models_in_force(store, inputs, client.get_session_inputs(training.session_id, _market_time(inputs)))


def _from_request(client: Client, store: ArtifactStore, training: registry_pb2.Training, seed: int) -> SessionInputs:
    """Inputs from the request of a session."""
    lineage = Lineage.parse(training.lineage)
    bars = Snapshots(client, store).recorded(training.request.dataset_digest)
    return SessionInputs(
        series=str(lineage.series),
        target=lineage.task.target,
        horizon=lineage.task.horizon,
        model_type=lineage.model_type,
        bars=bars.traded(),
        rows=SnapshotRows(bars.time, bars.standstills()),
        seed=seed,
        policy=one_of("policy", training.request.policy, POLICIES),
    )


def _market_time(inputs: SessionInputs) -> Timestamp:
    return Timestamp(seconds=plan(inputs.bars, inputs.target, inputs.horizon, None).market_time)


def _with_models_in_force(
    store: ArtifactStore, inputs: SessionInputs, found: registry_pb2.GetSessionInputsResponse
) -> SessionInputs:
    return replace(
        inputs,
        champion=_reference(store, found.champion) if found.HasField("champion") else None,
        contenders=tuple(_reference(store, contender) for contender in found.contenders),
        symbol_best=_reference(store, found.symbol_best) if found.HasField("symbol_best") else None,
    )


def _with_knowledge(
    client: Client, inputs: SessionInputs, found: registry_pb2.GetSessionInputsResponse, position: int
) -> SessionInputs:
    """Adds the earlier sessions, and knowledge as of `position` and up to the inputs' market time."""
    last_labelled_time = found.last_labelled_bar.seconds if found.HasField("last_labelled_bar") else None
    planned = plan(inputs.bars, inputs.target, inputs.horizon, last_labelled_time)
    known = client.get_knowledge(
        inputs.series,
        inputs.task,
        known_before=Timestamp(seconds=planned.known_before),
        as_of=position,
        min_position=position,
        include_all=True,
        market_time=Timestamp(seconds=planned.market_time),
    )
    return replace(
        inputs,
        read_position=position,
        sessions=found.sessions,
        last_labelled_time=last_labelled_time,
        trials=tuple(trial for session in found.recent for trial in _trials(session.trials)),
        useless=_useless(found.recent),
        important=_important(known.rankings),
        patterns=tuple(_pattern(pattern) for pattern in known.patterns if pattern.state in UPDATED_STATES),
        refuted=tuple(_rule(each.pattern.rule) for each in known.patterns if each.state == REFUTED),
        offered=_offered(known.patterns),
        tested_rules=tuple(known.tested_ids),
        mined_through=known.tested_through.seconds if known.HasField("tested_through") else None,
    )


def _champion_replay(store: ArtifactStore, inputs: SessionInputs, found: registry_pb2.Succession) -> ChampionReplay:
    """Inputs of the replay that determines the parent of a session if sessions of a later market time came before."""
    return ChampionReplay(
        inputs=inputs,
        champion=found.champion,
        contenders=tuple(found.contenders),
        decided_through=seconds_of(found, "decided_through"),
        spent_through=seconds_of(found, "spent_through"),
        decisions=tuple(
            ReplayedDecision(
                each.model,
                seconds_of(each, "market_time"),
                one_of("policy", each.policy, POLICIES) if each.policy else None,
            )
            for each in found.decisions
        ),
        models={model.name: _reference(store, model) for model in found.models},
    )


def _trials(trials: Sequence[model_pb2.Trial]) -> Iterator[PastTrial]:
    """Trials of a session's study, each score as a ratio to the score of its first trial."""
    for trial in trials:
        yield PastTrial(trial.complexity_step, _params(trial.hyperparameters), _ratio(trial, trials[0]))


def _ratio(trial: model_pb2.Trial, first: model_pb2.Trial) -> float:
    return trial.tune_score / first.tune_score if first.tune_score > 0.0 else 1.0


def _useless(past: Sequence[registry_pb2.PastSession]) -> tuple[str, ...]:
    """Features that each of the last USELESS_SESSIONS sessions ranked useless; an excluded feature is tried again."""
    if len(past) < USELESS_SESSIONS:
        return ()
    ranked = [{each.name for each in session.importance if each.useless} for session in past[-USELESS_SESSIONS:]]
    return tuple(sorted(set.intersection(*ranked)))


def _important(rankings: Iterable[knowledge_pb2.FeatureRanking]) -> tuple[str, ...]:
    """Features with a share above IMPORTANT_SHARE in the newest model of any type, most important first."""
    shares: dict[str, float] = {}
    for feature in (feature for ranking in rankings for feature in ranking.features):
        rule = feature.name.startswith(RULE_PREFIX)
        if feature.share.value > IMPORTANT_SHARE and not feature.useless and not rule:
            shares[feature.name] = max(feature.share.value, shares.get(feature.name, 0.0))
    return tuple(sorted(shares, key=lambda name: (-shares[name], name)))


def _params(parameters: Iterable[model_pb2.Parameter]) -> dict[str, float]:
    return {parameter.name: float(parameter.value) for parameter in parameters}


def _reference(store: ArtifactStore, model: registry_pb2.Model) -> ReferenceModel:
    record = model.record
    return ReferenceModel(
        name=model.name,
        artifact=store.get(record.artifact.digest),
        fit_end_label_time=record.windows.fit_label_end.seconds,
        complexity_step=record.complexity_step,
        params=_params(record.hyperparameters),
    )


def _pattern(known: knowledge_pb2.KnownPattern) -> KnownPattern:
    return KnownPattern(
        id=known.pattern.id,
        rule=_rule(known.pattern.rule),
        confidence=known.counts.confidence,
        evidence_end=known.evidence_end.seconds,
        state=pattern_pb2.PatternState.Name(known.state).removeprefix("PATTERN_STATE_").lower(),
        covered_by=known.covered_by,
    )


def _offered(known: Iterable[knowledge_pb2.KnownPattern]) -> tuple[Rule, ...]:
    waiting = [pattern for pattern in known if pattern.state == pattern_pb2.PATTERN_STATE_OFFERED]
    surest = sorted(waiting, key=lambda pattern: (-pattern.offer.counts.confidence, pattern.pattern.id))
    return tuple(_rule(pattern.pattern.rule) for pattern in surest)


def _rule(message: pattern_pb2.Rule) -> Rule:
    conditions = (Condition(each.feature, SYMBOLS[each.operator], each.threshold) for each in message.conditions)
    return Rule(tuple(conditions), 1 if message.label else 0)
