"""Requests that a running system accepts, one or more of each method, and the words that they and the answers hold."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.eventlog.v1 import eventlog_pb2 as log_pb
from ratchet.events.v1 import facts_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as knowledge_pb
from ratchet.patterns.evidence import encode
from ratchet.patterns.rule_text import pattern_id, text_of
from ratchet.predictor.v1 import predictor_pb2 as predictor_pb
from ratchet.registry.v1 import registry_pb2 as registry_pb
from ratchet.trainer.v1 import trainer_pb2 as trainer_pb
from tests.fuzz.methods import METHODS, Method
from tests.fuzz.wire import Wire
from tests.support.running import DATA

LINES = (DATA / "AAPL.csv").read_bytes().splitlines(keepends=True)
WHOLE, SHORT = "WHOLE", "SHORT"
"""A series with models, and one with too few bars to train on: what is started on it ends at once."""

LINEAGE = f"{WHOLE}/range/logistic"
ANCESTORS = registry_pb.LINEAGE_DIRECTION_ANCESTORS
FIRST_CUT = "2005-01-03"
_DAY = 86_400


def bars(count: int) -> bytes:
    """A file of so many bars."""
    return b"".join(LINES[: count + 1])


@dataclass
class Corpus:
    """What is known of requests.

    `requests`: by path of method, each a list of messages (more than one only where the client streams);
    `words` and `numbers`: what was seen in a field of that name, in requests and answers.
    """

    requests: dict[str, list[Sequence[Message]]] = field(default_factory=lambda: {each.path: [] for each in METHODS})
    words: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=dict)

    def of(self, method: Method) -> list[Sequence[Message]]:
        return self.requests[method.path]

    def learn(self, message: Message) -> None:
        """Keep the words of a message: fields of the same name may want them."""
        for descriptor, value in message.ListFields():
            for part in value if descriptor.is_repeated else (value,):
                if isinstance(part, Message):
                    self.learn(part)
                elif isinstance(part, str) and len(part) < 200:
                    _keep(self.words.setdefault(descriptor.name, []), part)
                elif isinstance(part, int):
                    _keep(self.numbers.setdefault(descriptor.name, []), part)


def _keep(known: list[Any], value: object) -> None:
    if value not in known and len(known) < 50:
        known.append(value)


class Recorder:
    """Makes a small history over the wire, and keeps what was asked and answered on the way."""

    def __init__(self, wire: Wire, actor: str = "fuzzer") -> None:
        self._wire, self._actor, self._ids = wire, actor, itertools.count()
        self.corpus = Corpus()

    def ask(self, method: str, *messages: Message) -> Any:
        """The last answer to a request that must be accepted; it is kept."""
        [found] = [each for each in METHODS if each.name == method and isinstance(messages[0], each.request)]
        answered = self._wire.call(found, [message.SerializeToString() for message in messages], self._actor)
        late = found.waits and answered.code == "DEADLINE_EXCEEDED"
        assert answered.code == "OK" or late, f"{method} {messages[-1]} was refused: {answered}"
        self.corpus.of(found).append(messages)
        for message in messages:
            self.corpus.learn(message)
        answers = [found.response.FromString(body) for body in answered.bodies]
        for answer in answers:
            self.corpus.learn(answer)
        return answers[-1] if answers else None

    def new_id(self) -> str:
        return f"{self._actor}/{next(self._ids)}"

    def record(self) -> Corpus:
        self._bars()
        self._models()
        self._sessions()
        self._patterns()
        self._log()
        return self.corpus

    def imported(self, series: str, count: int) -> registry_pb.Dataset:
        header = trainer_pb.ImportBarsHeader(
            request_id=self.new_id(),
            series=series,
            file_name="bars.csv",
            timezone="America/New_York",
            market_timezone="America/New_York",
        )
        content = bars(count)
        pieces = [trainer_pb.ImportBarsRequest(content=content[i : i + 9000]) for i in range(0, len(content), 9000)]
        answer: trainer_pb.ImportBarsResponse = self.ask(
            "ImportBars", trainer_pb.ImportBarsRequest(header=header), *pieces
        )
        return answer.dataset

    def trained(self, series: str, **more: Any) -> registry_pb.Training:
        """A session on a series, waited for."""
        asked = trainer_pb.StartTrainingRequest(
            request_id=self.new_id(), series=series, model_type="logistic", target="range", **more
        )
        session = self.ask("StartTraining", asked).training.session_id
        for _ in range(600):
            self.ask("WatchTraining", trainer_pb.WatchTrainingRequest(session_id=session))
            [found] = self.ask("ListTrainings", registry_pb.ListTrainingsRequest(session_id=session)).trainings
            if found.state != registry_pb.TRAINING_STATE_OPEN:
                assert found.state == registry_pb.TRAINING_STATE_COMPLETED, found
                return found
        raise AssertionError(f"session {session} has no end")

    def _bars(self) -> None:
        self.imported(WHOLE, 1400)
        self.imported(SHORT, 500)
        [*_, dataset] = self.ask("ListDatasets", registry_pb.ListDatasetsRequest(include_cuts=True)).datasets
        again = registry_pb.RegisterDatasetRequest(request_id=self.new_id(), dataset=dataset.registered)
        self.ask("RegisterDataset", again)
        registered = dataset.registered.digest
        self.ask("GetDataset", registry_pb.GetDatasetRequest(digest=registered))
        self.ask(
            "GetDataset", registry_pb.GetDatasetRequest(digest=registered, as_of=log_pb.AsOf(position=dataset.position))
        )
        self.ask("ExportBars", trainer_pb.ExportBarsRequest(series=SHORT))

    def _models(self) -> None:
        first = self.trained(WHOLE, until=FIRST_CUT).model
        second = self.trained(WHOLE, seed=7).model
        model = self.ask("GetModel", registry_pb.GetModelRequest(model=second)).model
        self.ask("GetModel", registry_pb.GetModelRequest(model=first, as_of=log_pb.AsOf(position=model.position)))
        self.ask("ListModels", registry_pb.ListModelsRequest(series=WHOLE, page_size=1))
        self.ask("CompareModels", registry_pb.CompareModelsRequest(model=first, other=second))
        self.ask("GetChampion", registry_pb.GetChampionRequest(lineage=LINEAGE))
        self.ask("GetSymbolBest", registry_pb.GetSymbolBestRequest(series=WHOLE, task="range"))
        inputs = registry_pb.GetSessionInputsRequest(session_id=model.session_id, market_time=model.market_time)
        self.ask("GetSessionInputs", inputs)
        self.ask("GetLineage", registry_pb.GetLineageRequest(subject=second, depth=3, direction=ANCESTORS))
        listed = registry_pb.ListDecisionsRequest(lineage=LINEAGE, include_evidence_bytes=True)
        decisions = self.ask("ListDecisions", listed).decisions
        self.ask("Predict", predictor_pb.PredictRequest(series=WHOLE, target="range"))
        self.ask("Predict", predictor_pb.PredictRequest(series=WHOLE, model=first, csv=bars(300)))
        self.ask("ReproduceModel", trainer_pb.ReproduceModelRequest(model=first))
        last = model.record.windows.holdout.last_bar.seconds
        self.ask(
            "Evaluate",
            predictor_pb.EvaluateRequest(
                series=WHOLE,
                target="range",
                first_bar=Timestamp(seconds=last - 60 * _DAY),
                last_bar=Timestamp(seconds=last),
                baselines=True,
            ),
        )
        self.ask(
            "EvaluateFresh",
            trainer_pb.EvaluateFreshRequest(
                series=WHOLE,
                target="range",
                model_type="logistic",
                first_bar=Timestamp(seconds=last - 60 * _DAY),
                last_bar=Timestamp(seconds=last),
            ),
        )
        self._recorded_again(model, decisions)
        champion = self.ask("GetChampion", registry_pb.GetChampionRequest(lineage=LINEAGE)).model.name
        other = next(name for name in (first, second) if name != champion)
        self.ask(
            "PromoteModel",
            registry_pb.PromoteModelRequest(
                request_id=self.new_id(), model=other, expected_champion=champion, reason="a person says so"
            ),
        )
        self.ask(
            "RollbackChampion",
            registry_pb.RollbackChampionRequest(
                request_id=self.new_id(), lineage=LINEAGE, reason="back", despite_cause=True
            ),
        )

    def _recorded_again(self, model: registry_pb.Model, decisions: Sequence[registry_pb.Decision]) -> None:
        """What the trainer sent for the last model, for a session of its own."""
        session = self.requested(LINEAGE, model.record.dataset_digest)
        record = model_pb2.ModelRecord()
        record.CopyFrom(model.record)
        record.session_id, record.model, record.version = session, "", 0
        champion = self.ask("GetChampion", registry_pb.GetChampionRequest(lineage=LINEAGE))
        [*_, decided] = [each for each in decisions if each.promoted.session_id or each.declined.session_id]
        pairs = decided.promoted.evidence or decided.declined.evidence
        names = ["", *champion.contenders]
        request = registry_pb.RecordTrainingRequest(
            request_id=self.new_id(),
            session_id=session,
            record=record,
            expected_champion=champion.model.name,
            expected_symbol_best=champion.model.name,
            comparisons=[
                registry_pb.Comparison(champion=champion.model.name, contender=name, packed=pair.packed)
                for name, pair in zip(names, itertools.cycle(pairs), strict=False)
            ],
            last_labelled_bar=model.record.windows.holdout.last_bar,
        )
        self.ask("RecordTraining", request)

    def requested(self, lineage: str, digest: str) -> str:
        asked = registry_pb.RequestTrainingRequest(
            request_id=self.new_id(), lineage=lineage, dataset_digest=digest, policy="balanced"
        )
        return str(self.ask("RequestTraining", asked).training.session_id)

    def _sessions(self) -> None:
        [dataset] = self.ask("ListDatasets", registry_pb.ListDatasetsRequest(series=SHORT)).datasets
        first, second, third, _ = (
            self.requested(f"{SHORT}/range/logistic", dataset.registered.digest) for _ in range(4)
        )
        self.ask(
            "FailTraining",
            registry_pb.FailTrainingRequest(
                request_id=self.new_id(), session_id=first, reason="DATA_REFUSED", message="too few bars"
            ),
        )
        for kind, session in ((registry_pb.CancelTrainingRequest, second), (trainer_pb.CancelTrainingRequest, third)):
            self.ask("CancelTraining", kind(request_id=self.new_id(), session_id=session, reason="not now"))

    def _patterns(self) -> None:
        conditions = [pattern_pb2.Condition(feature="rsi_14", operator=pattern_pb2.OPERATOR_ABOVE, threshold=70.0)]
        rule = pattern_pb2.Rule(conditions=conditions, label=True)
        known = pattern_id(text_of(rule), WHOLE, "range")
        random = np.random.default_rng(1)
        fired = random.random(800) < 0.2
        outcomes = random.random(800) < np.where(fired, 0.8, 0.4)
        span = encode(0, fired, outcomes)
        [dataset] = self.ask("ListDatasets", registry_pb.ListDatasetsRequest(series=WHOLE, latest_only=True)).datasets
        session = self.requested(f"{WHOLE}/range/xgboost", dataset.registered.digest)
        tested = knowledge_pb.TestedPattern(
            pattern=pattern_pb2.Pattern(
                id=known, series=WHOLE, task="range", rule=rule, wording="rsi_14 > 70", type="level"
            ),
            evidence=pattern_pb2.BarEvidence(dataset_digest=dataset.registered.digest, spans=[span]),
            p_value=0.001,
            passed=True,
        )
        self.ask(
            "RecordEvidence",
            knowledge_pb.RecordEvidenceRequest(
                session_id=session,
                lineage=f"{WHOLE}/range/xgboost",
                tested=[tested],
                candidates_tested=10,
                market_time=Timestamp(seconds=799 * _DAY),
            ),
        )
        self.ask(
            "GetKnowledge",
            knowledge_pb.GetKnowledgeRequest(
                series=WHOLE, task="range", include_all=True, market_time=Timestamp(seconds=799 * _DAY)
            ),
        )
        self.ask("ListPatterns", knowledge_pb.ListPatternsRequest(series=WHOLE, page_size=1))
        self.ask("GetPattern", knowledge_pb.GetPatternRequest(pattern_id=known))
        offered = knowledge_pb.OfferPatternRequest(
            request_id=self.new_id(), pattern_id=known, series=SHORT, reason="try it"
        )
        self.ask("OfferPattern", offered)
        self.ask(
            "RetirePattern", knowledge_pb.RetirePatternRequest(request_id=self.new_id(), pattern_id=known, reason="no")
        )
        self.ask("ListSuccessRates", knowledge_pb.ListSuccessRatesRequest(task="range"))
        self.ask("ListFeatureHistory", knowledge_pb.ListFeatureHistoryRequest(lineage=LINEAGE))

    def _log(self) -> None:
        lineage = f"{WHOLE}/volume/logistic"
        fact = facts_pb2.FeaturesRanked(
            lineage=lineage, session_id="seed", features=[model_pb2.RankedFeature(name="rsi_14", rank=1)]
        )
        event = log_pb.NewEvent(
            stream=f"features/{lineage}",
            version=1,
            topic=fact.DESCRIPTOR.full_name,
            payload=fact.SerializeToString(),
            causation_id=self.corpus.words["session_id"][0],
        )
        self.ask("Append", log_pb.AppendRequest(request_id=self.new_id(), correlation_id="seed", events=[event]))
        head = self.ask("GetHead", log_pb.GetHeadRequest())
        where = log_pb.Filter(stream_prefixes=["session/"], topics=[facts_pb2.TrainingRequested.DESCRIPTOR.full_name])
        self.ask("Read", log_pb.ReadRequest(start=1, stop=20, limit=10, filter=where))
        self.ask("Read", log_pb.ReadRequest(stream=f"features/{lineage}", after_version=0, descending=True))
        self.ask("Subscribe", log_pb.SubscribeRequest(after=3, filter=where))
        self.ask("ProveInclusion", log_pb.ProveInclusionRequest(position=2, size=head.position))
        self.ask("ProveConsistency", log_pb.ProveConsistencyRequest(old_size=2, new_size=head.position))
        self.ask("ListCheckpoints", log_pb.ListCheckpointsRequest(from_size=1, limit=2))
        self.ask("Verify", log_pb.VerifyRequest(remembered=[head.checkpoint]))
        self.ask("Rebuild", log_pb.RebuildRequest())
        self.ask("Export", log_pb.ExportRequest(start=1, stop=20))
