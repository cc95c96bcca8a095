"""What a training session came to, in words and tables: its verdict with the evidence for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import click

from ratchet.cli.connect import at_home, command_line
from ratchet.cli.learned import Learned, fetch_learned, learned_lines
from ratchet.cli.output import day, lines, measured, number, word
from ratchet.cli.record_views import complexity, render_record
from ratchet.client import Client
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import SKILL_BASELINES, Model, baseline_words
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
    skill = "" if outcome.model.skill_shown else f"   {no_skill(record)}"
    click.echo(f"\n{training.model}   {verdict_of_training(training)}{skill}\n")
    told: list[decision_pb2.Evidence] = []
    for decision in outcome.decisions:
        lines(f"  {at_home(line, home)}" for line in decision_lines(decision, told, outcome.model))
        told.extend(outcome_of(decision).evidence)
        click.echo()
    render_record(record)
    lines(learned_lines(outcome.learned))
    lines([*(f"complexity: {steps}" for steps in complexity(record)), f"mining: {record.mining}"])
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


def no_skill(record: model_pb2.ModelRecord) -> str:
    """The baselines that a model without skill is not shown to be better than."""
    beaten = {base.name for base in record.baselines if base.gain.low > 0.0}
    unbeaten = [name for name in SKILL_BASELINES if name not in beaten]
    return f"no skill shown{f': not shown better than {_listed(unbeaten)}' if unbeaten else ''}"


def _listed(baselines: Iterable[str]) -> str:
    """base rate, persistence and har"""
    *most, last = map(baseline_words, baselines)
    return f"{', '.join(most)} and {last}" if most else last


def _verdict(verdict: decision_pb2.Verdict.ValueType, version: int, defined: bool, worse_than: Sequence[str]) -> str:
    """A verdict in words; a first model that is promoted without a comparison has its flaw beside it."""
    said = word(decision_pb2.Verdict.Name(verdict), "VERDICT_")
    if verdict != decision_pb2.VERDICT_PROMOTED or version != 1 or (defined and not worse_than):
        return said
    return f"{said} (first; {f'worse than {_listed(worse_than)}' if defined else 'no metric is defined'})"


def verdict_of_model(model: registry_pb2.Model) -> str:
    """The newest verdict on a model, such as `PROMOTED (first; worse than persistence)`."""
    return _verdict(model.verdict, model.version, model.HasField("brier"), model.worse_than)


def verdict_of_training(training: registry_pb2.Training) -> str:
    """The verdict of a completed session on its model, as `verdict_of_model`."""
    defined = training.HasField("improvement_over_baseline")
    return _verdict(training.verdict, Model.parse(training.model).version, defined, training.worse_than)


def verdict_of(decision: registry_pb2.Decision, model: registry_pb2.Model | None = None) -> str:
    """What was decided; `model`: the one that the decision may be on, whose flaw is told when it is promoted."""
    if not decision.HasField("promoted"):
        return word(decision_pb2.Verdict.Name(decision.declined.verdict), "VERDICT_")
    if decision.promoted.rollback:
        return "ROLLED BACK"
    if model is None or model.name != decision.promoted.model:
        return "PROMOTED"
    return _verdict(decision_pb2.VERDICT_PROMOTED, model.version, model.HasField("brier"), model.worse_than)


def decision_lines(
    decision: registry_pb2.Decision,
    told: Sequence[decision_pb2.Evidence] = (),
    model: registry_pb2.Model | None = None,
) -> Iterator[str]:
    """The verdict with its reason, evidence, diagnosis and advice.

    Evidence that was `told` before is not repeated; `model` is that of `verdict_of`.
    """
    fact = outcome_of(decision)
    symbol = fact.scope == decision_pb2.SCOPE_SYMBOL
    yield f"{'best of its symbol' if symbol else 'champion'}: {verdict_of(decision, model)} {fact.model}"
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
    yield f"  paired Brier difference   {measured(judged, 'mean_difference', 4, signed=True)}   (above 0: better)"
    refitted = measured(judged, "refitted_difference", 4, signed=True)
    yield f"  the same, recalibrated    {refitted}   (above 0: more skilled)"
    unit = " %" if judged.HasField("improvement_percent") else ""
    yield f"  improvement               {measured(judged, 'improvement_percent', 1, signed=True)}{unit}"
    yield f"  AUC difference            {measured(judged, 'auc_difference', signed=True)}   (above 0: more skilled)"
    yield f"  E                         {number(judged.e_value, 2)}   reversed {number(judged.e_value_reverse, 2)}"
    yield f"  Diebold-Mariano p         {number(judged.dm_p)}"
    if judged.HasField("bars_needed") and judged.verdict != decision_pb2.VERDICT_PROMOTED:
        yield f"  bars needed               about {judged.bars_needed:.0f} in all to see a gain of this size"
