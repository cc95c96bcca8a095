"""The decisions of a log, made again: the functions that the registry decides by, on the recorded evidence.

Facts come in the order of the log. Each method yields the differences from what follows as text; after a difference the
recorded fact counts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar, cast

from google.protobuf.message import Message

from ratchet.decisions import lineage as lineages
from ratchet.decisions import symbol as symbols
from ratchet.decisions.bar_times import BEGINNING, seconds_of
from ratchet.decisions.comparison import GateSettings, KnowledgeCutoff
from ratchet.decisions.differences import differences
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.rejudge import rejudge
from ratchet.decisions.symbol import Decision, SymbolState
from ratchet.decisions.training import JudgedTraining, Outcome, decide
from ratchet.errors import RatchetError
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Policy

State = TypeVar("State")
Made = TypeVar("Made")

_UNREADABLE = (RatchetError, KeyError, ValueError, IndexError, StopIteration)


class ReplayedFact(NamedTuple):
    """A fact as the folds read it; who recorded it and when decides nothing."""

    stream: str
    version: int
    message: Message
    actor: str = ""
    recorded_at: datetime | None = None


@dataclass(slots=True)
class PendingTraining:
    """A trained model that awaits its decision; `completed`: the end of its session, None before it."""

    position: int
    record: model_pb2.ModelRecord
    policy: str
    completed: facts_pb2.TrainingCompleted | None = None


class Trigger(NamedTuple):
    """The newest decision on a lineage of a symbol, with the state before it."""

    position: int
    decision: Decision
    state: LineageState
    champions: tuple[str, ...]


class DecisionReplay:
    """States of all lineages and symbols; `decisions`: the number of decisions made again."""

    def __init__(self) -> None:
        self.decisions = self.models = 0
        self._lineages: dict[str, LineageState] = {}
        self._pending: dict[str, PendingTraining] = {}
        self._symbols: dict[str, SymbolState] = {}
        self._champions: dict[str, dict[str, str]] = {}
        self._triggers: dict[str, Trigger] = {}
        self._due = ""

    def next_fact(self, position: int, stream: str) -> Iterator[str]:
        """To be called before each fact of the log: checks that it is the decision that had to follow, if any."""
        if self._due and stream != self._due:
            yield f"no decision on {self._due} follows the one at position {position - 1}"
        self._due = ""

    def finish(self) -> Iterator[str]:
        """The findings at the end of the log."""
        if self._due:
            yield f"no decision on {self._due} follows the one at the end of the log"
        for pending in self._pending.values():
            yield f"position {pending.position}: no decision on {pending.record.model} follows"

    def trained(self, fact: facts_pb2.ModelTrained, policy: str, position: int) -> Iterator[str]:
        """`policy`: that of the session."""
        record = fact.record
        state = self._lineage(record.lineage)
        if (pending := self._pending.get(state.name)) is not None:
            yield f"no decision on {pending.record.model} of position {pending.position} came before it"
        number = state.versions + 1
        if (record.version, record.model) != (number, f"{state.name}/v{number}"):
            yield f"it is {record.model}, version {record.version}; v{number} is next in {state.name}"
        if record.parent and not _knows(state, record.parent):
            yield f"its parent {record.parent} was never trained"
        self._pending[state.name] = PendingTraining(position, record, policy)
        self.models += 1

    def completed(self, fact: facts_pb2.TrainingCompleted) -> Iterator[str]:
        pending = self._pending.get(fact.lineage)
        if pending is None or (pending.record.session_id, pending.record.model) != (fact.session_id, fact.model):
            yield f"session {fact.session_id} trained no {fact.model} that awaits its decision"
        else:
            pending.completed = fact

    def decided(self, fact: Decision, position: int) -> Iterator[str]:
        self.decisions += 1
        if fact.scope == decision_pb2.SCOPE_SYMBOL:
            yield from self._of_symbol(fact, position)
            return
        if fact.scope != decision_pb2.SCOPE_LINEAGE:
            yield "it is a decision on neither a lineage nor a symbol"
        state = self._lineage(fact.lineage)
        before, trained = state, self._pending.get(state.name)
        if isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
            yield from _check_manual(state, fact)
        else:
            yield from self._check_session(state, trained, fact)
        if trained is not None and fact.session_id:
            del self._pending[state.name]
            model = facts_pb2.ModelTrained(record=trained.record)
            state = yield from _evolved(state, lineages.project, f"lineage/{state.name}", model)
        state = yield from _evolved(state, lineages.project, f"lineage/{state.name}", fact)
        self._lineages[state.name] = state
        self._trigger(before, fact, position)

    def cutoff_of(self, model: str) -> KnowledgeCutoff:
        """The last market times that a model has seen; the beginning for an unknown model."""
        name = model.rpartition("/v")[0]
        pending = self._pending.get(name)
        try:
            if pending is not None and pending.record.model == model:
                return KnowledgeCutoff.of(model, pending.record)
            return self._lineages[name].cutoff_of(model)
        except _UNREADABLE:
            return KnowledgeCutoff(model, BEGINNING)

    def _check_session(self, state: LineageState, trained: PendingTraining | None, fact: Decision) -> Iterator[str]:
        """Checks the decision on a session's model."""
        if trained is None:
            yield "no session had trained a model that this decision is on"
            return
        settings = GateSettings(
            horizon=_horizon(state.name),
            policy=cast(Policy, trained.policy),
            known_through=seconds_of(fact, "decided_through"),
            spent_through=state.spent_through,
        )
        known = {*state.contender_names, trained.record.model}
        for evidence in fact.evidence:
            if evidence.contender not in known:
                yield f"{evidence.contender} was no contender"
            champion, contender = self.cutoff_of(state.champion_name), self.cutoff_of(evidence.contender)
            yield from rejudge(evidence, champion, contender, settings)
        if fact.evidence and not state.champion:
            yield "it brings evidence, but there was no champion to compare with"
        if state.champion and all(each.contender != trained.record.model for each in fact.evidence):
            yield f"it brings no evidence on {trained.record.model}, the model of its session"
            return
        outcome = yield from _made_again(lambda: decide(state, _judged(trained, fact)))
        if outcome is not None:
            yield from _check_decision(fact, outcome.decision)
            yield from _check_end(trained, outcome)

    def _trigger(self, before: LineageState, fact: Decision, position: int) -> None:
        """Notes the decision, and which decision on the symbol must follow."""
        name = before.name.rpartition("/")[0]
        champions, symbol = self._champions.setdefault(name, {}), self._symbol(name)
        if isinstance(fact, facts_pb2.ModelPromoted):
            champions[before.name] = fact.model
        self._triggers[name] = Trigger(position, fact, before, tuple(sorted(champions.values())))
        fresh = isinstance(fact, facts_pb2.PromotionDeclined) and fact.basis == decision_pb2.BASIS_EVIDENCE
        if isinstance(fact, facts_pb2.ModelPromoted) or (
            fresh and symbols.needs_evidence(symbol, fact, seconds_of(fact, "decided_through"))
        ):
            self._due = f"symbol/{name}"

    def _of_symbol(self, fact: Decision, position: int) -> Iterator[str]:
        """Checks the decision on a symbol that follows from one on a lineage."""
        name = fact.lineage.rpartition("/")[0]
        state, trigger = self._symbol(name), self._triggers.get(name)
        if trigger is None or trigger.position != position - 1:
            yield "it follows no decision on a lineage that would occasion it"
        else:
            yield from self._check_symbol(state, trigger, fact)
        if isinstance(fact, facts_pb2.ModelPromoted) and fact.model not in self._champions.get(name, {}).values():
            yield f"{fact.model} is the champion of no lineage"
        self._symbols[name] = yield from _evolved(state, symbols.project, f"symbol/{name}", fact)

    def _check_symbol(self, state: SymbolState, trigger: Trigger, fact: Decision) -> Iterator[str]:
        through, challenge = seconds_of(fact, "decided_through"), None
        decision = trigger.decision
        if symbols.needs_evidence(state, decision, through):
            if len(fact.evidence) != 1:
                yield f"it brings {len(fact.evidence)} pairs of evidence; one is judged"
                return
            [evidence] = fact.evidence
            contender = decision.model if isinstance(decision, facts_pb2.ModelPromoted) else decision.champion
            settings = symbols.gate_settings(
                state, decision, len(trigger.champions), through, trigger.state.spent_through
            )
            yield from rejudge(evidence, self.cutoff_of(state.best), self.cutoff_of(contender), settings)
            challenge = symbols.Challenge(evidence, through)
        mean = _mean(trigger.state, decision.model)
        follows = yield from _made_again(
            lambda: symbols.consequence(state, decision, mean, trigger.champions, challenge)
        )
        if follows is None:
            yield "no decision on the symbol follows from the one on the lineage before it"
        else:
            yield from _check_decision(fact, follows)

    def _lineage(self, name: str) -> LineageState:
        """The state of a lineage; InvalidInput for a malformed name."""
        found = self._lineages.get(name)
        return found or LineageState(str(Lineage.parse(name)))

    def _symbol(self, name: str) -> SymbolState:
        return self._symbols.get(name) or SymbolState(name)


def _check_manual(state: LineageState, fact: facts_pb2.ModelPromoted) -> Iterator[str]:
    """Checks a person's decision on a lineage."""

    def follows() -> facts_pb2.ModelPromoted:
        if fact.rollback:
            return lineages.rollback(state, fact.reason, despite_cause=True)
        return lineages.promote(state, fact.model, state.champion_name, fact.reason)

    made = yield from _made_again(follows)
    if made is not None:
        yield from differences(fact, made)


def _judged(trained: PendingTraining, fact: Decision) -> JudgedTraining:
    """A recorded session as the command that it was; the advice in its diagnosis is given anew."""
    diagnosis = fact.diagnosis if isinstance(fact, facts_pb2.PromotionDeclined) else ()
    return JudgedTraining(
        session_id=trained.record.session_id,
        policy=cast(Policy, trained.policy),
        record=trained.record,
        evidence=tuple(fact.evidence),
        last_labelled=seconds_of(fact, "decided_through"),
        diagnosis=tuple(diagnosis),
    )


def _check_decision(fact: Decision, follows: Decision) -> Iterator[str]:
    """Differences of a decision; which model types were tried elsewhere is not part of it, nor is advice on them."""
    if isinstance(fact, facts_pb2.ModelPromoted) != isinstance(follows, facts_pb2.ModelPromoted):
        made = "the promotion" if isinstance(follows, facts_pb2.ModelPromoted) else "the decline"
        yield f"{made} of {follows.model} follows from its evidence"
        return
    yield from differences(_without_advice(fact), _without_advice(follows))


def _without_advice(fact: Decision) -> Decision:
    if isinstance(fact, facts_pb2.ModelPromoted) or not fact.diagnosis:
        return fact
    copy = facts_pb2.PromotionDeclined()
    copy.CopyFrom(fact)
    for diagnosis in copy.diagnosis:
        diagnosis.ClearField("advice")
    return copy


def _check_end(trained: PendingTraining, outcome: Outcome) -> Iterator[str]:
    ended = trained.completed
    if ended is None or (ended.verdict, ended.promoted) != (outcome.verdict, outcome.promoted):
        said = "nothing"
        if ended is not None:
            said = f"{_word(ended.verdict)}{', promoted' if ended.promoted else ''}"
        yield f"the session's end says {said}; {_word(outcome.verdict)} follows for {trained.record.model}"


def _made_again(make: Callable[[], Made]) -> Generator[str, None, Made | None]:
    """The result of a decision made again; None, with a finding, for a command that is refused."""
    try:
        return make()
    except _UNREADABLE as error:
        yield f"it can't be decided again: {error}"
        return None


def _evolved(
    state: State, project: Callable[[State | None, Iterable[ReplayedFact]], State | None], stream: str, message: Message
) -> Generator[str, None, State]:
    """The state after a fact; the same state, with a finding, for one that no state can take."""
    try:
        return project(state, [ReplayedFact(stream, 0, message)]) or state
    except _UNREADABLE as error:
        yield f"it can't follow in {stream}: {error}"
        return state


def _knows(state: LineageState, model: str) -> bool:
    try:
        state.require(model)
    except RatchetError:
        return False
    return True


def _mean(state: LineageState, model: str) -> float | None:
    number = model.rpartition("/v")[2]
    return state.means.get(int(number)) if number.isdecimal() else None


def _horizon(name: str) -> int:
    return Lineage.parse(name).task.horizon


def _word(verdict: decision_pb2.Verdict.ValueType) -> str:
    return decision_pb2.Verdict.Name(verdict).removeprefix("VERDICT_")
