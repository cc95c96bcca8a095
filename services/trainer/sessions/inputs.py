"""Reads the inputs of a session from the registry and the knowledge service.

Two cutoffs apply. Log time: only events up to the session's read position. Market time: only sessions on data that end
no later than the session's own data, so that a session on older data (`--until`) does not depend on earlier sessions on
newer data. Only the comparison with current champions ignores the market-time cutoff.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.decisions.state import LineageState
from ratchet.errors import NotFound
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import MODEL_TYPES, POLICIES, Lineage, one_of
from ratchet.patterns.rule_text import SYMBOLS
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.models.artifact import RULE_PREFIX
from ratchet.scoring.rule import Condition, Rule
from services.platform.artifacts import ArtifactStore
from services.platform.snapshots import Snapshots
from services.trainer.learning.champions_as_of import ChampionReplay, ReplayedDecision
from services.trainer.learning.inputs import KnownPattern, PastTrial, ReferenceModel, SessionInputs
from services.trainer.learning.session import plan

REFUTED = pattern_pb2.PATTERN_STATE_REFUTED

STUDY_SESSIONS = 20
"""Number of the newest sessions that contribute past trials to a study."""

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
    """Reads the inputs of a session.

    `replay_champion`: computes `champions_as_of.replay_champion`; called only if sessions of a later market time came
    before.
    """
    inputs = with_current_champions(client, store, _from_request(client, store, training, seed_of(training.request)))
    versions = list(client.list_models(lineage=training.lineage))
    past = _earlier_versions(versions, inputs)
    inputs = _with_knowledge(client, inputs, past, _read_position(training, past))
    if len(past) == len(versions):
        return replace(inputs, parent=inputs.champion)
    replay = _champion_replay(client, store, inputs, versions, past)
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
    [training] = client.list_trainings(session_id=record.session_id)
    inputs = replace(
        _from_request(client, store, training, record.seed), parent=_load_model(client, store, record.parent)
    )
    versions = takewhile(lambda each: each.version < model.version, client.list_models(lineage=record.lineage))
    return _with_knowledge(client, inputs, _earlier_versions(versions, inputs), record.read_position)


def _from_request(client: Client, store: ArtifactStore, training: registry_pb2.Training, seed: int) -> SessionInputs:
    """Inputs from the request of a session."""
    lineage = Lineage.parse(training.lineage)
    return SessionInputs(
        series=str(lineage.series),
        target=lineage.task.target,
        horizon=lineage.task.horizon,
        model_type=lineage.model_type,
        bars=Snapshots(client, store).recorded(training.request.dataset_digest).traded(),
        seed=seed,
        policy=one_of("policy", training.request.policy, POLICIES),
    )


def _with_knowledge(
    client: Client, inputs: SessionInputs, past: Sequence[registry_pb2.Model], position: int
) -> SessionInputs:
    """Adds knowledge as of `position` and up to the inputs' market time; `past`: the lineage's models by then."""
    last_labelled_time = max((model.market_time.seconds for model in past), default=None)
    planned = plan(inputs.bars, inputs.target, inputs.horizon, last_labelled_time)
    market_time = Timestamp(seconds=planned.market_time)
    known = client.get_knowledge(
        inputs.series,
        inputs.task,
        known_before=Timestamp(seconds=planned.known_before),
        as_of=position,
        min_position=position,
        include_all=True,
        market_time=market_time,
    )
    records = [client.get_model(model.name).record for model in past[-STUDY_SESSIONS:]]
    return replace(
        inputs,
        read_position=position,
        sessions=len(past),
        last_labelled_time=last_labelled_time,
        trials=tuple(trial for record in records for trial in _trials(record)),
        useless=_useless(records),
        important=_important(client, inputs, position, market_time),
        patterns=tuple(_pattern(pattern) for pattern in known.patterns if pattern.state in UPDATED_STATES),
        refuted=tuple(_rule(each.pattern.rule) for each in known.patterns if each.state == REFUTED),
        offered=_offered(known.patterns),
        tested_rules=tuple(known.tested_ids),
        mined_through=known.tested_through.seconds if known.HasField("tested_through") else None,
    )


def with_current_champions(client: Client, store: ArtifactStore, inputs: SessionInputs) -> SessionInputs:
    """The inputs with the champion, the contenders and the symbol's best in force now."""
    best = _load_model(client, store, _symbol_best(client, inputs))
    try:
        champion = client.get_champion(f"{inputs.series}/{inputs.task}/{inputs.model_type}")
    except NotFound:
        return replace(inputs, symbol_best=best)
    return replace(
        inputs,
        champion=_load_model(client, store, champion.model.name),
        contenders=tuple(filter(None, (_load_model(client, store, name) for name in champion.contenders))),
        symbol_best=best,
    )


def _read_position(training: registry_pb2.Training, past: Sequence[registry_pb2.Model]) -> int:
    """The log position that a session reads as of: its request or, if it waited for an earlier session of its lineage,
    the end of that session.

    `past`: as in `_earlier_versions`. A session that is repeated after a kill gets the same position.
    """
    return max(training.requested_position, past[-1].position if past else 0)


def _earlier_versions(versions: Iterable[registry_pb2.Model], inputs: SessionInputs) -> list[registry_pb2.Model]:
    """The versions of the lineage with a market time no later than the session's."""
    market_time = plan(inputs.bars, inputs.target, inputs.horizon, None).market_time
    return [model for model in versions if model.market_time.seconds <= market_time]


def _champion_replay(
    client: Client,
    store: ArtifactStore,
    inputs: SessionInputs,
    versions: Sequence[registry_pb2.Model],
    past: Sequence[registry_pb2.Model],
) -> ChampionReplay:
    """Inputs of the replay that determines the parent of a session if some of `versions` have a later market time.

    `past`: the versions that count. Decisions before the first later session stand as recorded; later decisions on
    counted models are replayed. A manual promotion counts if the promoted model does.
    """
    counted = {model.name for model in past}
    first_later = next(model.position for model in versions if model.name not in counted)
    state, decisions = LineageState.of(f"{inputs.series}/{inputs.task}/{inputs.model_type}"), list[ReplayedDecision]()
    for decision in client.list_decisions(lineage=state.name):
        fact = _lineage_fact(decision)
        if fact is None:
            continue
        if decision.position > first_later:
            decisions += _replayed_decisions(fact, past)
        elif isinstance(fact, facts_pb2.ModelPromoted):
            state.promoted(fact)
        else:
            state.declined(fact)
    names = filter(None, dict.fromkeys((state.champion, *state.contenders, *(each.model for each in decisions))))
    return ChampionReplay(
        inputs=inputs,
        champion=state.champion,
        contenders=tuple(state.contenders),
        decided_through=state.decided_through,
        spent_through=state.spent_through,
        decisions=tuple(decisions),
        models={model.name: model for model in (_load_model(client, store, name) for name in names) if model},
    )


def _lineage_fact(decision: registry_pb2.Decision) -> facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined | None:
    """The fact of a decision on a lineage; None for one on a symbol."""
    promotes = decision.WhichOneof("outcome") == "promoted"
    fact = decision.promoted if promotes else decision.declined
    return fact if fact.scope == decision_pb2.SCOPE_LINEAGE else None


def _replayed_decisions(
    fact: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined, past: Sequence[registry_pb2.Model]
) -> Iterator[ReplayedDecision]:
    """The replayed decision for `fact`, if the model of its session, or the manually promoted model, counts."""
    by_person = isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON
    for model in past:
        if by_person and model.name == fact.model:
            yield ReplayedDecision(model.name, model.market_time.seconds, None)
        elif not by_person and model.session_id == fact.session_id:
            yield ReplayedDecision(model.name, model.market_time.seconds, one_of("policy", fact.policy, POLICIES))


def _trials(record: model_pb2.ModelRecord) -> Iterator[PastTrial]:
    """Trials of a session's study, each score as a ratio to the score of its first trial."""
    for trial in record.trials:
        yield PastTrial(trial.complexity_step, _params(trial.hyperparameters), _ratio(trial, record.trials[0]))


def _ratio(trial: model_pb2.Trial, first: model_pb2.Trial) -> float:
    return trial.tune_score / first.tune_score if first.tune_score > 0.0 else 1.0


def _useless(past: Sequence[model_pb2.ModelRecord]) -> tuple[str, ...]:
    """Features that each of the last USELESS_SESSIONS sessions ranked useless; an excluded feature is tried again."""
    if len(past) < USELESS_SESSIONS:
        return ()
    ranked = [{each.name for each in record.importance if each.useless} for record in past[-USELESS_SESSIONS:]]
    return tuple(sorted(set.intersection(*ranked)))


def _important(client: Client, inputs: SessionInputs, position: int, market_time: Timestamp) -> tuple[str, ...]:
    """Features with a share above IMPORTANT_SHARE in the newest model of any type, most important first, as of
    `position` and of sessions up to `market_time`."""
    shares: dict[str, float] = {}
    for model_type in MODEL_TYPES:
        lineage = f"{inputs.series}/{inputs.task}/{model_type}"
        rankings = client.list_feature_history(lineage, as_of=position, min_position=position, market_time=market_time)
        newest = list(rankings)[-1:]
        for feature in (feature for ranking in newest for feature in ranking.features):
            rule = feature.name.startswith(RULE_PREFIX)
            if feature.share.value > IMPORTANT_SHARE and not feature.useless and not rule:
                shares[feature.name] = max(feature.share.value, shares.get(feature.name, 0.0))
    return tuple(sorted(shares, key=lambda name: (-shares[name], name)))


def _params(parameters: Iterable[model_pb2.Parameter]) -> dict[str, float]:
    return {parameter.name: float(parameter.value) for parameter in parameters}


def _symbol_best(client: Client, inputs: SessionInputs) -> str:
    try:
        return client.get_symbol_best(inputs.series, inputs.task).model.name
    except NotFound:
        return ""


def _load_model(client: Client, store: ArtifactStore, name: str) -> ReferenceModel | None:
    if not name:
        return None
    record = client.get_model(name).record
    return ReferenceModel(
        name=name,
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
