"""Facts of a decision: load states, call the domain, assign messages to streams.

The symbol is loaded before any other state of its series and task: every new champion advances its stream, so later
reads are still valid if that stream has not advanced at the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ratchet.decisions import symbol as symbols
from ratchet.decisions.bar_times import seconds_of
from ratchet.decisions.comparison import GateSettings, KnowledgeCutoff, compare
from ratchet.decisions.diagnosis import Alternatives
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.symbol import SymbolState
from ratchet.decisions.training import Comparison, RecordTraining, record_training
from ratchet.errors import InvalidInput
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import POLICIES, Lineage, Model, one_of
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.facts import Fact
from services.registry.domain import session as sessions
from services.registry.eventlog import Log
from services.registry.handlers.states import States, facts_after, lineage_stream, session_stream, symbol_stream
from services.registry.queries.lookup import champions, model_types, require_dataset


class Decisions:
    """Decides on current states; the facts may be committed only while the streams keep their versions."""

    def __init__(self, log: Log, states: States) -> None:
        self._log = log
        self._states = states

    def record_training(self, request: pb.RecordTrainingRequest) -> list[Fact]:
        """ModelTrained, TrainingCompleted, the decision on the lineage and any decision on the symbol."""
        session = self._states.session(request.session_id)
        sessions.require_open(session)
        lineage = Lineage.parse(session.request.lineage)
        symbol = self._states.symbol(lineage.series, lineage.task)
        state = self._states.lineage(lineage)
        command = self._command(request, session, lineage, symbol)
        outcome = record_training(state, command)
        end = sessions.complete(session, outcome.trained.record.model, outcome.verdict, outcome.promoted)
        trained, decision = facts_after(lineage_stream(lineage), state.version, [outcome.trained, outcome.decision])
        facts = [trained, *facts_after(session_stream(session.session_id), session.version, [end]), decision]
        in_force = self._champions_after(lineage, outcome.decision)
        challenge = None
        if symbols.needs_evidence(symbol, outcome.decision, command.last_labelled):
            settings = symbols.gate_settings(
                symbol, outcome.decision, len(in_force), command.last_labelled, state.spent_through
            )
            own = KnowledgeCutoff.of(outcome.trained.record.model, outcome.trained.record)
            evidence = self._challenge(request, state, symbol, outcome.champion, own, settings)
            challenge = symbols.Challenge(evidence, command.last_labelled)
        facts += self._symbol_decision(lineage, state, symbol, outcome.decision, in_force, challenge)
        return [replace(fact, causation_id=session.session_id) for fact in facts]

    def _command(
        self, request: pb.RecordTrainingRequest, session: sessions.SessionState, lineage: Lineage, symbol: SymbolState
    ) -> RecordTraining:
        record = model_pb2.ModelRecord()
        record.CopyFrom(request.record)
        record.dataset_digest = record.dataset_digest or session.request.dataset_digest
        require_dataset(self._log, record.dataset_digest, lineage.series)
        if record.lineage not in ("", str(lineage)):
            raise InvalidInput(
                f"training {session.session_id} is of {lineage}, its record of {record.lineage}",
                fields={"record.lineage": "another lineage"},
            )
        return RecordTraining(
            session_id=session.session_id,
            policy=one_of("policy", session.request.policy, POLICIES),
            record=record,
            expected_champion=request.expected_champion,
            comparisons=tuple(Comparison(c.champion, c.contender, c.packed) for c in request.comparisons),
            last_labelled=seconds_of(request, "last_labelled_bar"),
            diagnosis=tuple(request.diagnosis),
            alternatives=Alternatives(model_types(self._log, lineage.series), symbol.best),
        )

    def _challenge(
        self,
        request: pb.RecordTrainingRequest,
        state: LineageState,
        symbol: SymbolState,
        model: str,
        own: KnowledgeCutoff,
        settings: GateSettings,
    ) -> decision_pb2.Evidence:
        """The judged evidence of `model`, the lineage's champion from now on, against the symbol's best."""
        symbols.require_best(symbol, request.expected_symbol_best)
        supplied = {c.contender or own.model: c for c in request.symbol_comparisons}.get(model)
        if supplied is None:
            raise InvalidInput(
                f"no comparison of {model} with {symbol.best}, the symbol's best; score both on the same bars and send"
                " the pair, an empty one where there are none",
                fields={"symbol_comparisons": "missing"},
            )
        symbols.require_best(symbol, supplied.champion)
        best = self._states.lineage(Model.parse(symbol.best).lineage)
        contender = own if model == own.model else state.cutoff_of(model)
        return compare(best.cutoff_of(symbol.best), contender, supplied.packed, settings)

    def decide_manually(
        self, lineage: Lineage, decide: Callable[[LineageState], facts_pb2.ModelPromoted]
    ) -> list[Fact]:
        """The manual decision on the lineage, then the decision on the symbol."""
        symbol = self._states.symbol(lineage.series, lineage.task)
        state = self._states.lineage(lineage)
        promoted = decide(state)
        facts = facts_after(lineage_stream(lineage), state.version, [promoted])
        in_force = self._champions_after(lineage, promoted)
        return facts + self._symbol_decision(lineage, state, symbol, promoted, in_force, None)

    def _champions_after(self, lineage: Lineage, decided: symbols.Decision) -> list[str]:
        """The champions of the series and task after a decision; the symbol's version guards the others."""
        return symbols.champions_after(champions(self._log, lineage.series, lineage.task), decided)

    def _symbol_decision(
        self,
        lineage: Lineage,
        state: LineageState,
        symbol: SymbolState,
        decided: symbols.Decision,
        in_force: Sequence[str],
        challenge: symbols.Challenge | None,
    ) -> list[Fact]:
        """The decision on the symbol that follows from a decision on a lineage, if there is one."""
        mean = state.means.get(Model.parse(decided.model).version)
        decision = symbols.consequence(symbol, decided, mean, in_force, challenge)
        return facts_after(symbol_stream(lineage.series, lineage.task), symbol.version, [decision] if decision else [])
