"""The iterative loop of one lineage in one process: the trainer's own session runner over a ledger in memory.

Only the wires are missing: what registry and knowledge decide and answer comes from their own pure code, which is given
its facts here instead of from a log. Each session starts from what the ones before it left. Lineages may share what
they know and their artifacts: `Loop(..., beside=another)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.decisions.bar_times import seconds_of, timestamp
from ratchet.decisions.lineage import LineageState, project
from ratchet.decisions.symbol import Decision
from ratchet.decisions.training import Comparison, RecordTraining, record_training
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Policy, Series
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.data import snapshot
from ratchet.scoring.data.bars import Bars
from services.knowledge.api.servicer import KnowledgeService
from services.knowledge.handlers.application import evidence_facts
from services.knowledge.projection.follower import KnowledgeProjection
from services.knowledge.projection.state import KnowledgeState
from services.platform.artifacts import ArtifactStore
from services.platform.artifacts.content_address import digest_of
from services.platform.facts import Fact
from services.registry.queries.session_inputs import (
    RECENT_SESSIONS,
    Version,
    counted,
    past_session,
    read_position,
    succession,
)
from services.trainer.imports.bars import describe
from services.trainer.learning.inputs import SessionInputs, SessionOptions
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.sessions.runner import SessionRunner

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Played:
    """A session that has ended; `champion` is the one in force afterwards."""

    inputs: SessionInputs
    outcome: SessionOutcome
    model: str
    decision: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined
    champion: str

    @property
    def judgements(self) -> tuple[decision_pb2.Judgement, ...]:
        return tuple(evidence.judgement for evidence in self.decision.evidence)

    @property
    def promoted(self) -> bool:
        """Whether a champion was replaced; the first model replaces none."""
        return isinstance(self.decision, facts_pb2.ModelPromoted) and bool(self.decision.replaced)


class Loop:
    """Sessions of one lineage, one after the other."""

    def __init__(
        self,
        lineage: str,
        policy: Policy = "balanced",
        options: SessionOptions = SessionOptions(),  # noqa: B008
        beside: Loop | None = None,
    ) -> None:
        """`beside`: the loop of another lineage, with which this one shares knowledge, log positions and artifacts."""
        self.ledger: Ledger = Ledger(Lineage.parse(lineage), beside.ledger.facts if beside else Facts())
        self.store: Artifacts = beside.store if beside else Artifacts()
        self._policy, self._recipe = policy, options
        self._runner = SessionRunner(cast(Client, self.ledger), cast(ArtifactStore, self.store), _Here())

    def session(self, bars: Bars, seed: int) -> Played:
        """Train on `bars`, as they would be known then, and record what came of it."""
        training = self.ledger.request(self._imported(bars), self._policy, seed)
        job = replace(self._runner.read_inputs(training), options=self._recipe)
        outcome = self._runner.train(job, _quietly)
        ended = self._runner.record(training, job, outcome)
        return Played(job, outcome, ended.model, self.ledger.decision, self.ledger.state.champion_name)

    def _imported(self, bars: Bars) -> facts_pb2.DatasetRegistered:
        """A dataset whose file is in the store."""
        fact = describe(Series.parse(bars.series), bars, "", None)
        fact.artifact.digest = self.store.put(snapshot.encode(bars))
        self.ledger.datasets[fact.digest] = registry_pb2.Dataset(registered=fact)
        return fact

    def artifact(self, model: str) -> bytes:
        return self.store.get(self.ledger.get_model(model).record.artifact.digest)


class Artifacts:
    """An artifact store that ends with the process."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        self._content[digest] = content
        return digest

    def get(self, digest: str) -> bytes:
        return self._content[digest]

    def has(self, digest: str) -> bool:
        return digest in self._content

    def digests(self) -> Iterator[str]:
        return iter(self._content)


class _Here:
    """Workers that are this very process."""

    count = sessions = 1

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        return work(job, report)

    def close(self) -> None:
        """Nothing runs elsewhere."""


class Ledger:
    """Registry and knowledge of one lineage, with those methods of `ratchet.client.Client` that a session calls."""

    def __init__(self, lineage: Lineage, facts: Facts) -> None:
        self.state = LineageState(str(lineage))
        self.decision: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined = facts_pb2.PromotionDeclined()
        self.facts = facts
        self.datasets: dict[str, registry_pb2.Dataset] = {}
        self._lineage = lineage
        self._knowledge = KnowledgeService(cast(Any, facts), cast(Any, facts), facts.projection)
        self._decisions: list[tuple[int, Decision]] = []
        self._open: registry_pb2.Training | None = None
        self._models: dict[str, registry_pb2.Model] = {}

    def request(self, dataset: facts_pb2.DatasetRegistered, policy: Policy, seed: int) -> registry_pb2.Training:
        """A session on a snapshot is asked for."""
        position = self.facts.append([Fact(f"dataset/{dataset.digest}", 1, dataset)])
        session_id, lineage = f"session-{position}", str(self._lineage)
        request = facts_pb2.TrainingRequested(
            session_id=session_id, lineage=lineage, dataset_digest=dataset.digest, policy=policy, seed=seed
        )
        self._open = registry_pb2.Training(
            session_id=session_id, lineage=lineage, request=request, requested_position=position
        )
        return self._open

    def get_dataset(self, digest: str) -> registry_pb2.Dataset:
        return self.datasets[digest]

    def get_model(self, model: str) -> registry_pb2.Model:
        self.state.require(model)
        return self._models[model]

    def get_session_inputs(self, session_id: str, market_time: Timestamp) -> registry_pb2.GetSessionInputsResponse:
        """As the registry answers; the symbol's best is the only lineage's champion."""
        training = self._open
        assert training is not None
        assert training.session_id == session_id
        models = list(self._models.values())
        versions = [Version(each.name, each.session_id, each.position, each.market_time.seconds) for each in models]
        past, last_labelled = counted(versions, market_time.seconds)
        found = registry_pb2.GetSessionInputsResponse(
            training=training,
            read_position=read_position(training.requested_position, past),
            sessions=len(past),
            last_labelled_bar=timestamp(last_labelled),
            recent=[past_session(self._models[each.model].record) for each in past[-RECENT_SESSIONS:]],
            contenders=[self._models[name] for name in self.state.contender_names],
        )
        if self.state.champion:
            found.champion.CopyFrom(self._models[self.state.champion_name])
            found.symbol_best.CopyFrom(found.champion)
        if len(past) < len(versions):
            found.succession.CopyFrom(succession(self.state.name, self._decisions, versions, past))
            found.succession.models.extend(models)
        return found

    def get_knowledge(
        self, series: str, task: str, *, as_of: int = 0, **asked: Any
    ) -> knowledge_pb2.GetKnowledgeResponse:
        request = knowledge_pb2.GetKnowledgeRequest(series=series, task=task, as_of_position=as_of, **asked)
        return self._knowledge.GetKnowledge(request, cast(Any, _Call()))

    def record_evidence(self, request: knowledge_pb2.RecordEvidenceRequest) -> knowledge_pb2.RecordEvidenceResponse:
        return self._knowledge.RecordEvidence(request, cast(Any, _Call()))

    def record_training(self, request: registry_pb2.RecordTrainingRequest) -> registry_pb2.RecordTrainingResponse:
        """The decision of the registry's domain on this lineage; there is no other lineage to compare it with."""
        assert self._open is not None
        assert self._open.session_id == request.session_id
        command = RecordTraining(
            session_id=request.session_id,
            policy=cast(Policy, self._open.request.policy),
            record=request.record,
            expected_champion=request.expected_champion,
            comparisons=tuple(Comparison(each.champion, each.contender, each.packed) for each in request.comparisons),
            last_labelled=seconds_of(request, "last_labelled_bar"),
            diagnosis=tuple(request.diagnosis),
        )
        decided = record_training(self.state, command)
        record, version = decided.trained.record, self.state.version
        stream = f"lineage/{self.state.name}"
        facts = Fact(stream, version + 1, decided.trained), Fact(stream, version + 2, decided.decision)
        state = project(self.state, facts)
        assert state is not None
        self.state, self.decision = state, decided.decision
        name = record.model
        self._models[name] = registry_pb2.Model(
            name=name,
            lineage=record.lineage,
            version=record.version,
            session_id=record.session_id,
            position=self.facts.advance(),
            record=record,
            market_time=record.windows.holdout.last_bar,
        )
        self._decisions.append((self.facts.advance(), decided.decision))
        self._open.model, self._open.verdict, self._open.promoted = name, decided.verdict, decided.promoted
        return registry_pb2.RecordTrainingResponse(model=self._models[name], training=self._open)


class Facts:
    """Positions, and what the knowledge service needs of a log: its head, and a place for its facts."""

    def __init__(self) -> None:
        self.projection = KnowledgeProjection("the ledger")
        self.projection.complete()

    def head(self) -> int:
        return self.projection.position

    def advance(self) -> int:
        """The position of a fact that knowledge does not read."""
        self.projection.apply((), self.head() + 1)
        return self.head()

    def record_evidence(
        self,
        request: knowledge_pb2.RecordEvidenceRequest,
        by: object,  # noqa: ARG002
        state: KnowledgeState,
    ) -> int:
        """The facts of a session's evidence, as services.knowledge.handlers.application records them."""
        return self.append(evidence_facts(request, state))

    def append(self, facts: Sequence[Fact]) -> int:
        """The position of the last of the facts."""
        self.projection.apply(list(enumerate(facts, self.head() + 1)), self.head() + len(facts))
        return self.head()


def _quietly(phase: str, fraction: float) -> None:
    """Nobody watches the progress."""


class _Call:
    """A call of a service's method that came over no wire."""

    def time_remaining(self) -> float | None:
        return None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()
