"""The decisions of a history, checked by the independent fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.message import Message

from ratchet.events.v1 import decision_pb2, facts_pb2
from tests.oracle.redecide import check_lineage_decision, check_problem_decision
from tests.oracle.state import LineageState, PendingTraining, ProblemState, TriggeringDecision


class Oracle:
    """Takes the facts of a log in order."""

    def __init__(self) -> None:
        self.lineages: dict[str, LineageState] = {}
        self.problems: dict[str, ProblemState] = {}
        self._policies: dict[str, str] = {}

    def findings(self, facts: Iterable[Message]) -> Iterator[str]:
        for position, fact in enumerate(facts, 1):
            match fact:
                case facts_pb2.TrainingRequested():
                    self._policies[fact.session_id] = fact.policy
                case facts_pb2.ModelTrained(record=record):
                    lineage = self.lineage(record.lineage)
                    lineage.trained(record)
                    policy = self._policies[record.session_id]
                    lineage.pending = PendingTraining(position, record.session_id, record.model, policy)
                case facts_pb2.TrainingCompleted():
                    run = self.lineage(fact.lineage).pending
                    assert run is not None
                    run.completed, run.verdict, run.promoted = True, fact.verdict, fact.promoted
                case facts_pb2.ModelPromoted(scope=decision_pb2.SCOPE_LINEAGE):
                    yield from self._of_lineage(fact, position)
                case facts_pb2.PromotionDeclined(scope=decision_pb2.SCOPE_LINEAGE):
                    yield from self._of_lineage(fact, position)
                case facts_pb2.ModelPromoted() | facts_pb2.PromotionDeclined():
                    problem = self.problem(fact.lineage.rpartition("/")[0])
                    yield from check_problem_decision(problem, fact, position, self._knowledge_cutoff)
                    if isinstance(fact, facts_pb2.ModelPromoted):
                        problem.promoted(fact)
                    else:
                        problem.declined(fact)

    def _of_lineage(self, fact: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined, position: int) -> Iterator[str]:
        lineage = self.lineage(fact.lineage)
        problem = self.problem(lineage.problem)
        yield from check_lineage_decision(lineage, fact)
        problem.trigger = TriggeringDecision(position, fact, lineage.spent_through, lineage.means.get(fact.model))
        if isinstance(fact, facts_pb2.ModelPromoted):
            lineage.promoted(fact)
            problem.champions[lineage.name] = fact.model
        else:
            lineage.declined(fact)
        if fact.session_id:
            lineage.pending = None

    def lineage(self, name: str) -> LineageState:
        return self.lineages.setdefault(name, LineageState.of(name))

    def problem(self, name: str) -> ProblemState:
        return self.problems.setdefault(name, ProblemState.of(name))

    def _knowledge_cutoff(self, model: str) -> int:
        return self.lineage(model.rpartition("/v")[0]).knowledge_cutoff(model)
