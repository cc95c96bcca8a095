"""What a session may know, from the log's services: the parent, the race, the patterns; and nothing later."""

from __future__ import annotations

from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.errors import NotFound
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage
from ratchet.registry.v1 import registry_pb2
from services.kernel.artifacts import ArtifactStore
from services.trainer.data import snapshot
from services.trainer.learning.inputs import KnownPattern, ScoredModel, SessionInputs
from services.trainer.learning.session import plan
from services.trainer.mining.rule import Condition, Op, Rule

OPERATORS: dict[pattern_pb2.Operator.ValueType, Op] = {
    pattern_pb2.OPERATOR_ABOVE: ">",
    pattern_pb2.OPERATOR_AT_MOST: "<=",
    pattern_pb2.OPERATOR_EQUALS: "is",
}

FOLLOWED = (
    pattern_pb2.PATTERN_STATE_KEPT,
    pattern_pb2.PATTERN_STATE_CONFIRMED,
    pattern_pb2.PATTERN_STATE_RETIRED,
)
"""States whose patterns get the new bars of a session: a retired one may be revived by them."""


def gather(client: Client, store: ArtifactStore, training: registry_pb2.Training) -> SessionInputs:
    """The inputs of a session. The seed is the one asked for, or the position of the request in the log."""
    lineage = Lineage.parse(training.lineage)
    asked = training.request
    inputs = the_race(
        client,
        store,
        SessionInputs(
            series=str(lineage.series),
            target=lineage.task.target,
            horizon=lineage.task.horizon,
            model_type=lineage.model_type,
            bars=snapshot.decode(store.get(asked.dataset_digest)),
            seed=asked.seed if asked.HasField("seed") else training.requested_position,
        ),
    )
    planned = plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time)
    position = _read_position(client, training, inputs.sessions)
    known = client.get_knowledge(
        inputs.series,
        inputs.task,
        known_before=Timestamp(seconds=planned.known_before),
        as_of_position=position,
        min_position=position,
        include_all=True,
    )
    return replace(
        inputs,
        read_position=position,
        patterns=tuple(_pattern(pattern) for pattern in known.patterns if pattern.state in FOLLOWED),
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
        sessions=champion.versions,
        last_labelled_time=champion.last_labelled_bar.seconds,
        parent=_scored(client, store, champion.model.name),
        contenders=tuple(filter(None, (_scored(client, store, name) for name in champion.contenders))),
        symbol_best=best,
    )


def _read_position(client: Client, training: registry_pb2.Training, versions: int) -> int:
    """Where the session reads the log: at its request or, if it waited for another of its lineage, at that one's end.

    `versions`: those of the lineage before it. A session that is run again after a kill finds the same position.
    """
    if not versions:
        return training.requested_position
    return max(training.requested_position, client.get_model(f"{training.lineage}/v{versions}").position)


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
        params={parameter.name: float(parameter.value) for parameter in record.hyperparameters},
    )


def _pattern(known: knowledge_pb2.KnownPattern) -> KnownPattern:
    return KnownPattern(
        id=known.pattern.id,
        rule=_rule(known.pattern.rule),
        confidence=known.counts.confidence,
        evidence_end=known.evidence_end.seconds,
        state=pattern_pb2.PatternState.Name(known.state).removeprefix("PATTERN_STATE_").lower(),
    )


def _rule(message: pattern_pb2.Rule) -> Rule:
    conditions = (Condition(each.feature, OPERATORS[each.operator], each.threshold) for each in message.conditions)
    return Rule(tuple(conditions), 1 if message.label else 0)
