"""What a session may know, from the log's services: the parent, the race, the patterns; and nothing later.

Two axes bound it. Log time: what was recorded up to the session's read position. Market time: what sessions recorded
whose data end no later than its own; one that trains on older data (`--until`) is the same whether or not sessions on
newer data ran before it. Only the race is against the models in force, whatever their data.
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
from ratchet.scoring.data import snapshot
from ratchet.scoring.models.artifact import RULE_PREFIX
from ratchet.scoring.rule import Condition, Rule
from services.platform.artifacts import ArtifactStore
from services.trainer.learning.champions_as_of import Succession, Turn
from services.trainer.learning.inputs import KnownPattern, PastTrial, ScoredModel, SessionInputs
from services.trainer.learning.session import plan

REFUTED = pattern_pb2.PATTERN_STATE_REFUTED

REMEMBERED = 20
"""Sessions of a lineage whose studies are remembered."""

USELESS_SESSIONS = 3
IMPORTANT_SHARE = 0.1

FOLLOWED = (
    pattern_pb2.PATTERN_STATE_KEPT,
    pattern_pb2.PATTERN_STATE_CONFIRMED,
    pattern_pb2.PATTERN_STATE_RETIRED,
    pattern_pb2.PATTERN_STATE_COVERED,
)
"""States whose patterns get the new bars of a session: retired and covered ones may come back by them."""


def gather(
    client: Client, store: ArtifactStore, training: registry_pb2.Training, champion_of: Callable[[Succession], str]
) -> SessionInputs:
    """The inputs of a session.

    `champion_of`: computes `succession.champion`; only asked where sessions of a later market time came before.
    """
    inputs = the_race(client, store, _asked(store, training, seed_of(training.request)))
    versions = list(client.list_models(lineage=training.lineage))
    past = _past(versions, inputs)
    inputs = _remembered(client, inputs, past, _read_position(training, past))
    if len(past) == len(versions):
        return replace(inputs, parent=inputs.champion)
    succession = _succession(client, store, inputs, versions, past)
    parent = champion_of(succession) if succession.turns else succession.champion
    return replace(inputs, parent=succession.models.get(parent))


def seed_of(request: facts_pb2.TrainingRequested) -> int:
    """The seed asked for, or else a hash of lineage, snapshot and until: no other fact changes it."""
    if request.HasField("seed"):
        return request.seed
    until = str(request.until.seconds) if request.HasField("until") else ""
    text = "\n".join((request.lineage, request.dataset_digest, until))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def gather_again(client: Client, store: ArtifactStore, model: registry_pb2.Model) -> SessionInputs:
    """The inputs of the session that made `model`, but for the race, which has no part in a model."""
    record = model.record
    [training] = client.list_trainings(session_id=record.session_id)
    inputs = replace(_asked(store, training, record.seed), parent=_scored(client, store, record.parent))
    versions = takewhile(lambda each: each.version < model.version, client.list_models(lineage=record.lineage))
    return _remembered(client, inputs, _past(versions, inputs), record.read_position)


def _asked(store: ArtifactStore, training: registry_pb2.Training, seed: int) -> SessionInputs:
    """What the request of a session says."""
    lineage = Lineage.parse(training.lineage)
    return SessionInputs(
        series=str(lineage.series),
        target=lineage.task.target,
        horizon=lineage.task.horizon,
        model_type=lineage.model_type,
        bars=snapshot.decode(store.get(training.request.dataset_digest)).traded(),
        seed=seed,
        policy=one_of("policy", training.request.policy, POLICIES),
    )


def _remembered(
    client: Client, inputs: SessionInputs, past: Sequence[registry_pb2.Model], position: int
) -> SessionInputs:
    """The inputs with what the log knew at `position`, of their market time; `past`: the lineage's models by then."""
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
    records = [client.get_model(model.name).record for model in past[-REMEMBERED:]]
    return replace(
        inputs,
        read_position=position,
        sessions=len(past),
        last_labelled_time=last_labelled_time,
        trials=tuple(trial for record in records for trial in _trials(record)),
        useless=_useless(records),
        important=_important(client, inputs, position, market_time),
        patterns=tuple(_pattern(pattern) for pattern in known.patterns if pattern.state in FOLLOWED),
        refuted=tuple(_rule(each.pattern.rule) for each in known.patterns if each.state == REFUTED),
        offered=_offered(known.patterns),
        tested_rules=tuple(known.tested_ids),
        mined_through=known.tested_through.seconds if known.HasField("tested_through") else None,
    )


def the_race(client: Client, store: ArtifactStore, inputs: SessionInputs) -> SessionInputs:
    """The inputs with the champion, the contenders and the symbol's best that are in force now."""
    best = _scored(client, store, _symbol_best(client, inputs))
    try:
        champion = client.get_champion(f"{inputs.series}/{inputs.task}/{inputs.model_type}")
    except NotFound:
        return replace(inputs, symbol_best=best)
    return replace(
        inputs,
        champion=_scored(client, store, champion.model.name),
        contenders=tuple(filter(None, (_scored(client, store, name) for name in champion.contenders))),
        symbol_best=best,
    )


def _read_position(training: registry_pb2.Training, past: Sequence[registry_pb2.Model]) -> int:
    """Where the session reads the log: at its request or, if it waited for another of its lineage, at that one's end.

    `past`: as in `_past`. A session that is run again after a kill finds the same position.
    """
    return max(training.requested_position, past[-1].position if past else 0)


def _past(versions: Iterable[registry_pb2.Model], inputs: SessionInputs) -> list[registry_pb2.Model]:
    """Those versions of the lineage that count for a session: none whose market time is later than its own."""
    market_time = plan(inputs.bars, inputs.target, inputs.horizon, None).market_time
    return [model for model in versions if model.market_time.seconds <= market_time]


def _succession(
    client: Client,
    store: ArtifactStore,
    inputs: SessionInputs,
    versions: Sequence[registry_pb2.Model],
    past: Sequence[registry_pb2.Model],
) -> Succession:
    """What decides on the parent of a session before which some of `versions` are of a later market time; `past`: those
    that count.

    Decisions before the first later session stand as they were recorded; after it those on models that count are made
    again. A person's promotion counts where the promoted model does.
    """
    counted = {model.name for model in past}
    first_later = next(model.position for model in versions if model.name not in counted)
    standing, turns = LineageState.of(f"{inputs.series}/{inputs.task}/{inputs.model_type}"), list[Turn]()
    for decision in client.list_decisions(lineage=standing.name):
        fact = _on_lineage(decision)
        if fact is None:
            continue
        if decision.position > first_later:
            turns += _turn(fact, past)
        elif isinstance(fact, facts_pb2.ModelPromoted):
            standing.promoted(fact)
        else:
            standing.declined(fact)
    names = filter(None, dict.fromkeys((standing.champion, *standing.contenders, *(turn.model for turn in turns))))
    return Succession(
        inputs=inputs,
        champion=standing.champion,
        contenders=tuple(standing.contenders),
        decided_through=standing.decided_through,
        spent_through=standing.spent_through,
        turns=tuple(turns),
        models={model.name: model for model in (_scored(client, store, name) for name in names) if model},
    )


def _on_lineage(decision: registry_pb2.Decision) -> facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined | None:
    """The fact of a decision on a lineage; None for one on a symbol."""
    promotes = decision.WhichOneof("outcome") == "promoted"
    fact = decision.promoted if promotes else decision.declined
    return fact if fact.scope == decision_pb2.SCOPE_LINEAGE else None


def _turn(
    fact: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined, past: Sequence[registry_pb2.Model]
) -> Iterator[Turn]:
    """The turn that a decision is, if the model of its session, or the one that a person promoted, counts."""
    by_person = isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON
    for model in past:
        if by_person and model.name == fact.model:
            yield Turn(model.name, model.market_time.seconds, None)
        elif not by_person and model.session_id == fact.session_id:
            yield Turn(model.name, model.market_time.seconds, one_of("policy", fact.policy, POLICIES))


def _trials(record: model_pb2.ModelRecord) -> Iterator[PastTrial]:
    """What the study of a session tried, each score as a ratio to that of its first trial."""
    for trial in record.trials:
        yield PastTrial(trial.complexity_step, _params(trial.hyperparameters), _ratio(trial, record.trials[0]))


def _ratio(trial: model_pb2.Trial, first: model_pb2.Trial) -> float:
    return trial.tune_score / first.tune_score if first.tune_score > 0.0 else 1.0


def _useless(past: Sequence[model_pb2.ModelRecord]) -> tuple[str, ...]:
    """The features that each of the last sessions ranked useless; one that was left out is tried again."""
    if len(past) < USELESS_SESSIONS:
        return ()
    ranked = [{each.name for each in record.importance if each.useless} for record in past[-USELESS_SESSIONS:]]
    return tuple(sorted(set.intersection(*ranked)))


def _important(client: Client, inputs: SessionInputs, position: int, market_time: Timestamp) -> tuple[str, ...]:
    """The features that the newest model of any type leans on, the most important first, as of `position` and of
    sessions up to `market_time`."""
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


def _scored(client: Client, store: ArtifactStore, name: str) -> ScoredModel | None:
    if not name:
        return None
    record = client.get_model(name).record
    return ScoredModel(
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
