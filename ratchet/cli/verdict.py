"""Text output for a session's result: its verdict with the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import click

from ratchet.cli.connect import command_line
from ratchet.cli.output import enum_word, format_day, format_measure, lines, number
from ratchet.cli.record_views import complexity, render_record
from ratchet.cli.session_patterns import SessionPatterns, fetch_session_patterns, session_pattern_lines
from ratchet.client import Client
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import SKILL_BASELINES, Lineage, Model, baseline_words
from ratchet.registry.v1 import registry_pb2
from ratchet.render import diagnoses, sessions
from ratchet.render.decisions import reason


@dataclass(frozen=True)
class SessionResult:
    """A completed session with its decisions and patterns."""

    training: registry_pb2.Training
    model: registry_pb2.Model
    decisions: Sequence[registry_pb2.Decision]
    patterns: SessionPatterns

    def as_json(self) -> dict[str, object]:
        return {
            "training": self.training,
            "model": self.model,
            "decisions": self.decisions,
            **self.patterns.as_json(),
        }


def fetch_session_result(client: Client, training: registry_pb2.Training) -> SessionResult:
    model = client.get_model(training.model)
    return SessionResult(
        training=training,
        model=model,
        decisions=list(client.list_decisions(session_id=training.session_id)),
        patterns=fetch_session_patterns(client, training, model),
    )


def render(result: SessionResult, home: str | None) -> None:
    training, record = result.training, result.model.record
    skill = "" if result.model.skill_shown else f"   {no_skill_text(record)}"
    click.echo(f"\n{training.model}   {verdict_of_training(training)}{skill}\n")
    already_shown: list[decision_pb2.Evidence] = []
    for decision in result.decisions:
        lines(f"  {line}" for line in decision_lines(decision, home, already_shown, result.model))
        already_shown.extend(decision_fact(decision).evidence)
        click.echo()
    render_record(record)
    lines(session_pattern_lines(result.patterns))
    lines([*(f"complexity: {steps}" for steps in complexity(record)), f"mining: {sessions.mining(record.mining)}"])
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


def decision_fact(decision: registry_pb2.Decision) -> facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined:
    return decision.promoted if decision.HasField("promoted") else decision.declined


def no_skill_text(record: model_pb2.ModelRecord) -> str:
    """Text for a model without skill, with the baselines that it does not beat."""
    beaten = {base.name for base in record.baselines if base.gain.low > 0.0}
    unbeaten = [name for name in SKILL_BASELINES if name not in beaten]
    return f"no skill shown{f': not shown better than {_join_baselines(unbeaten)}' if unbeaten else ''}"


def _join_baselines(baselines: Iterable[str]) -> str:
    """base rate, persistence and har"""
    *most, last = map(baseline_words, baselines)
    return f"{', '.join(most)} and {last}" if most else last


def _verdict(verdict: decision_pb2.Verdict.ValueType, version: int, defined: bool, worse_than: Sequence[str]) -> str:
    """A verdict as text; for a first model promoted without a comparison, with its weakness."""
    said = enum_word(decision_pb2.Verdict.Name(verdict), "VERDICT_")
    if verdict != decision_pb2.VERDICT_PROMOTED or version != 1 or (defined and not worse_than):
        return said
    return f"{said} (first; {f'worse than {_join_baselines(worse_than)}' if defined else 'no metric is defined'})"


def verdict_of_model(model: registry_pb2.Model) -> str:
    """The newest verdict on a model, such as `PROMOTED (first; worse than persistence)`."""
    return _verdict(model.verdict, model.version, model.HasField("brier"), model.worse_than)


def verdict_of_training(training: registry_pb2.Training) -> str:
    """The verdict of a completed session on its model, as `verdict_of_model`."""
    defined = training.HasField("improvement_over_baseline")
    return _verdict(training.verdict, Model.parse(training.model).version, defined, training.worse_than)


def verdict_of(decision: registry_pb2.Decision, model: registry_pb2.Model | None = None) -> str:
    """The verdict of a decision; `model`: the model whose weakness is added if the decision promotes it."""
    if not decision.HasField("promoted"):
        return enum_word(decision_pb2.Verdict.Name(decision.declined.verdict), "VERDICT_")
    if decision.promoted.rollback:
        return "ROLLED BACK"
    if model is None or model.name != decision.promoted.model:
        return "PROMOTED"
    return _verdict(decision_pb2.VERDICT_PROMOTED, model.version, model.HasField("brier"), model.worse_than)


def decision_lines(
    decision: registry_pb2.Decision,
    home: str | None,
    already_shown: Sequence[decision_pb2.Evidence] = (),
    model: registry_pb2.Model | None = None,
) -> Iterator[str]:
    """The verdict with its reason, evidence, diagnosis and advice.

    Evidence in `already_shown` is not repeated; `model` as in `verdict_of`.
    """
    fact = decision_fact(decision)
    symbol = fact.scope == decision_pb2.SCOPE_SYMBOL
    yield f"{'best of its symbol' if symbol else 'champion'}: {verdict_of(decision, model)} {fact.model}"
    if isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
        yield f"  decided by {decision.actor}"
    yield f"  {reason(fact)}"
    for evidence in fact.evidence:
        if evidence not in already_shown:
            yield from (f"  {line}" for line in evidence_lines(evidence))
    if isinstance(fact, facts_pb2.PromotionDeclined):
        lineage, shell = Lineage.parse(fact.lineage), partial(command_line, home)
        for diagnosis in fact.diagnosis:
            advice = diagnoses.advice(diagnosis, lineage, shell)
            measurement = diagnoses.measurement(diagnosis, fact)
            yield f"  {diagnoses.name(diagnosis)}: {measurement}{'; ' + advice if advice else ''}"


def evidence_lines(evidence: decision_pb2.Evidence) -> Iterator[str]:
    """The paired comparison of two models on the same bars."""
    judged = evidence.judgement
    yield f"{evidence.contender} against {evidence.champion}"
    if not judged.bars:
        yield "  no bar is new to both of them"
        return
    period = f"{format_day(evidence.first_bar)} to {format_day(evidence.last_bar)}"
    yield f"  bars                      {judged.bars}, {period}"
    yield f"  paired Brier difference   {format_measure(judged, 'mean_difference', 4, signed=True)}   (above 0: better)"
    refitted = format_measure(judged, "refitted_difference", 4, signed=True)
    yield f"  the same, recalibrated    {refitted}   (above 0: more skilled)"
    unit = " %" if judged.HasField("improvement_percent") else ""
    yield f"  improvement               {format_measure(judged, 'improvement_percent', 1, signed=True)}{unit}"
    auc_difference = format_measure(judged, "auc_difference", signed=True)
    yield f"  AUC difference            {auc_difference}   (above 0: more skilled)"
    yield f"  E                         {number(judged.e_value, 2)}   reversed {number(judged.e_value_reverse, 2)}"
    yield f"  Diebold-Mariano p         {number(judged.dm_p)}"
    if judged.HasField("bars_needed") and judged.verdict != decision_pb2.VERDICT_PROMOTED:
        yield f"  bars needed               about {judged.bars_needed:.0f} in all to see a gain of this size"
