"""What a training session came to, in words and tables: its verdict with the evidence for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from ratchet.cli.connect import at_home, command_line
from ratchet.cli.learned import Learned, fetch_learned, learned_lines
from ratchet.cli.output import day, interval, lines, number, word
from ratchet.cli.record_views import render_record
from ratchet.client import Client
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.names import Model
from ratchet.registry.v1 import registry_pb2


@dataclass(frozen=True)
class Outcome:
    """A completed session with what it decided and learned."""

    training: registry_pb2.Training
    model: registry_pb2.Model
    decisions: Sequence[registry_pb2.Decision]
    learned: Learned

    def as_json(self) -> dict[str, object]:
        return {
            "training": self.training,
            "model": self.model,
            "decisions": self.decisions,
            **self.learned.as_json(),
        }


def fetch_outcome(client: Client, training: registry_pb2.Training) -> Outcome:
    model = client.get_model(training.model)
    return Outcome(
        training=training,
        model=model,
        decisions=list(client.list_decisions(session_id=training.session_id)),
        learned=fetch_learned(client, training, model),
    )


def render(outcome: Outcome, home: str | None) -> None:
    training, record = outcome.training, outcome.model.record
    verdict = word(decision_pb2.Verdict.Name(training.verdict), "VERDICT_")
    skill = "" if outcome.model.skill_shown else "   no skill shown: it does not beat every baseline"
    click.echo(f"\n{training.model}   {verdict}{skill}\n")
    told: list[decision_pb2.Evidence] = []
    for decision in outcome.decisions:
        lines(f"  {at_home(line, home)}" for line in decision_lines(decision, told))
        told.extend(outcome_of(decision).evidence)
        click.echo()
    render_record(record)
    lines(learned_lines(outcome.learned))
    click.echo(f"mining: {record.mining}")
    series = str(Model.parse(training.model).lineage.series)
    lines(
        [
            "",
            "next",
            "  " + command_line(home, "models", "list", series),
            "  " + command_line(home, "models", "show", training.model),
            "  " + command_line(home, "lineage", training.model),
            "  " + command_line(home, "patterns", "list", series),
        ]
    )


def outcome_of(decision: registry_pb2.Decision) -> facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined:
    return decision.promoted if decision.HasField("promoted") else decision.declined


def verdict_of(decision: registry_pb2.Decision) -> str:
    if decision.HasField("promoted"):
        return "ROLLED BACK" if decision.promoted.rollback else "PROMOTED"
    return word(decision_pb2.Verdict.Name(decision.declined.verdict), "VERDICT_")


def decision_lines(decision: registry_pb2.Decision, told: Sequence[decision_pb2.Evidence] = ()) -> Iterator[str]:
    """The verdict with its reason, evidence, diagnosis and advice; evidence that was `told` before is not repeated."""
    fact = outcome_of(decision)
    symbol = fact.scope == decision_pb2.SCOPE_SYMBOL
    yield f"{'best of its symbol' if symbol else 'champion'}: {verdict_of(decision)} {fact.model}"
    if isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
        yield f"  decided by {decision.actor}"
    if fact.reason:
        yield f"  {fact.reason}"
    for evidence in fact.evidence:
        if evidence not in told:
            yield from (f"  {line}" for line in evidence_lines(evidence))
    if isinstance(fact, facts_pb2.PromotionDeclined):
        for diagnosis in fact.diagnosis:
            kind = word(decision_pb2.DiagnosisKind.Name(diagnosis.kind), "DIAGNOSIS_KIND_").lower().replace("_", " ")
            yield f"  {kind}: {diagnosis.measurement}{'; ' + diagnosis.advice if diagnosis.advice else ''}"


def evidence_lines(evidence: decision_pb2.Evidence) -> Iterator[str]:
    """The paired comparison of two models on the same bars."""
    judged = evidence.judgement
    yield f"{evidence.contender} against {evidence.champion}"
    if not judged.bars:
        yield "  no bar is new to both of them"
        return
    yield f"  bars                      {judged.bars}, {day(evidence.first_bar)} to {day(evidence.last_bar)}"
    yield f"  paired Brier difference   {interval(judged.mean_difference, 4, signed=True)}   (above 0: better)"
    if judged.HasField("refitted_difference"):
        refitted = interval(judged.refitted_difference, 4, signed=True)
        yield f"  the same, recalibrated    {refitted}   (above 0: more skilled)"
    yield f"  improvement               {interval(judged.improvement_percent, 1, signed=True)} %"
    if judged.HasField("auc_difference"):
        yield f"  AUC difference            {interval(judged.auc_difference, signed=True)}"
    yield f"  E                         {number(judged.e_value, 2)}   reversed {number(judged.e_value_reverse, 2)}"
    yield f"  Diebold-Mariano p         {number(judged.dm_p)}"
    if judged.HasField("bars_needed") and judged.verdict != decision_pb2.VERDICT_PROMOTED:
        yield f"  bars needed               about {judged.bars_needed:.0f} in all to see a gain of this size"
