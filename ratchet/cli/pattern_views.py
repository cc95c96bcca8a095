"""Text output for one pattern: its evidence, its history and the models that use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from ratchet.cli import pattern_text
from ratchet.cli.connect import command_line
from ratchet.cli.output import JsonValue, fixed, format_day, format_time, lines, number, table, to_json
from ratchet.cli.sparkline import sparkline
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Model
from ratchet.registry.v1 import registry_pb2

SHOWN_VERSIONS = 12
_STATE_MEANINGS = {
    pattern_pb2.PATTERN_STATE_UNSPECIFIED: "its first test was not over by then",
    pattern_pb2.PATTERN_STATE_REFUTED: "its first test did not put it above the line for keeping; no model uses it",
    pattern_pb2.PATTERN_STATE_KEPT: "new models use it",
    pattern_pb2.PATTERN_STATE_CONFIRMED: "new models use it",
    pattern_pb2.PATTERN_STATE_RETIRED: "below the line for keeping; new models do not use it",
    pattern_pb2.PATTERN_STATE_OFFERED: "a candidate; the next training session tests it, until then no model uses it",
    pattern_pb2.PATTERN_STATE_COVERED: "that one says the same more simply; new models use it instead",
}


@dataclass(frozen=True)
class ModelUse:
    """A model trained with a pattern. `live`: the champion of its lineage, or the best of its symbol."""

    model: Model
    live: bool


@dataclass(frozen=True)
class PatternView:
    """Answer of `patterns show`. `train_with`: the suggested model type for a first test."""

    answer: knowledge_pb2.GetPatternResponse
    uses: Sequence[ModelUse]
    train_with: str

    def as_json(self) -> JsonValue:
        return {**to_json(self.answer), "models": [{"model": str(use.model), "live": use.live} for use in self.uses]}


def render_one(shown: PatternView, past: bool, home: str | None) -> None:
    answer, known = shown.answer, shown.answer.pattern
    click.echo(f"{known.pattern.wording}   {pattern_text.state_with_reference(known)}")
    click.echo(f"  {pattern_text.describe_rule(known)}")
    lines(f"  {name:<12} {text}" for name, text in _facts(known))
    click.echo()
    if answer.years:
        _years(answer.years)
    _history(answer.history, known)
    click.echo("Models that use it" + (", as of now" if past else ""))
    lines(f"  {line}" for line in use_lines(shown.uses))
    click.echo("next")
    lines(f"  {command}" for command in _next(known, shown.train_with, home))


def _facts(known: knowledge_pb2.KnownPattern) -> Iterator[tuple[str, str]]:
    counts = known.counts
    yield "id", known.pattern.id
    if usual := pattern_text.usual_definition(known.pattern):
        yield "usual", usual
    yield "scope", f"{pattern_text.scope(known)}, type {known.pattern.type or 'unknown'}"
    if pattern_text.has_evidence(counts):
        trend = pattern_text.confidence_sparkline(known)
        yield "confidence", f"{pattern_text.confidence(counts)}   {trend}   base {pattern_text.base(counts)}"
        yield "lift", pattern_text.lift(counts)
        yield "sample", f"{counts.support:,} bars, worth {counts.effective_support:,.0f} independent ones"
        yield "above base", f"with probability {number(counts.probability_above_base)}"
        yield "above line", f"with probability {number(counts.probability_above_line)}   (the line for keeping it)"
        yield "evidence to", format_day(known.evidence_end)
    reason = known.retired_reason if known.state == pattern_pb2.PATTERN_STATE_RETIRED else ""
    covered = known.state == pattern_pb2.PATTERN_STATE_COVERED
    state = pattern_text.state_with_reference(known) if covered else pattern_text.state_of(known.state)
    yield "state", f"{state}: {reason or _STATE_MEANINGS[known.state]}"
    if known.found_by:
        again = f"; later tests: {known.validations}" if known.validations else ""
        yield "found by", f"{known.found_by}, {format_time(known.found_at)}{again}"
    if known.HasField("offer"):
        offer = known.offer
        yield (
            "offered",
            f"from {offer.series}, pattern {offer.pattern_id}, {format_time(offer.offered_at)}: {offer.reason}",
        )
        yield "foreign", f"{source_evidence(known)}; none of this counts for {known.pattern.series}"
    if known.conflicting_bars:
        count = len(known.conflicting_bars)
        yield "conflicts", f"{count:,} bars on which data sets disagree; what was recorded first counts"


def source_evidence(known: knowledge_pb2.KnownPattern) -> str:
    """The evidence at the source series at the time of the offer."""
    offer, there = known.offer, known.offer.counts
    return (
        f"{offer.series} had it {pattern_text.state_of(offer.state)}: confidence {pattern_text.confidence(there)},"
        f" base {pattern_text.base(there)}, hits {pattern_text.hits(there)}"
    )


def _years(years: Sequence[knowledge_pb2.YearOfEvidence]) -> None:
    rows = [
        (
            str(year.year),
            f"{year.bars:,}",
            f"{year.support:,}",
            f"{year.hits:,}",
            fixed(year.hits / year.support, 2) if year.support else pattern_text.NO_VALUE,
            fixed(year.base_rate, 2),
        )
        for year in years
    ]
    table("Evidence by year", ("year", ">bars", ">fired", ">hits", ">rate", ">base"), rows)


def _history(history: Sequence[knowledge_pb2.PatternChange], known: knowledge_pb2.KnownPattern) -> None:
    base_rate = known.counts.base_rate
    rows = [
        (
            format_time(change.recorded_at)[: len("2009-12-31")],
            str(change.position),
            pattern_text.state_of(change.state),
            pattern_text.confidence(change.counts),
            sparkline([change.counts.confidence], base_rate, 1.0) if pattern_text.has_evidence(change.counts) else "",
            pattern_text.hits(change.counts),
            f"{change.new_bars}/{change.bars}" if change.bars else pattern_text.NO_VALUE,
            _by(change),
            change.reason,
        )
        for change in history
    ]
    columns = ("recorded", ">position", "state", ">confidence", "", ">hits", ">new bars", "by", "why")
    table("History; new bars: of those that the fact brought", columns, rows)


def _by(change: knowledge_pb2.PatternChange) -> str:
    """Origin of a change: the model type or the session, a person, or another pattern."""
    if change.lineage:
        return Lineage.parse(change.lineage).model_type
    if change.session_id:
        return change.session_id[:8]
    by_person = (pattern_pb2.PATTERN_STATE_RETIRED, pattern_pb2.PATTERN_STATE_OFFERED)
    return "a person" if change.state in by_person else pattern_text.NO_VALUE


def model_uses(graph: registry_pb2.GetLineageResponse) -> list[ModelUse]:
    """The models of a pattern's descendants, by lineage and version."""
    found = (ModelUse(Model.parse(node.id), node.live) for node in graph.nodes if node.kind == "model")
    return sorted(found, key=lambda use: use.model)


def use_lines(uses: Sequence[ModelUse]) -> Iterator[str]:
    """One line per lineage, with its newest versions that use the pattern; live ones are marked."""
    if not uses:
        yield "none"
        return
    versions: dict[str, list[str]] = defaultdict(list)
    for use in uses:
        versions[str(use.model.lineage)].append(f"v{use.model.version}{' ★' if use.live else ''}")
    for lineage, named in versions.items():
        more = len(named) - SHOWN_VERSIONS
        yield f"{lineage}   {f'{more} older, ' if more > 0 else ''}{', '.join(named[-SHOWN_VERSIONS:])}"
    if any(use.live for use in uses):
        yield "★ live: champion of its lineage, or best of its symbol"


def _next(known: knowledge_pb2.KnownPattern, train_with: str, home: str | None) -> Iterator[str]:
    pattern = known.pattern
    if known.state == pattern_pb2.PATTERN_STATE_OFFERED:
        yield command_line(
            home, "train", pattern.series, "--model", train_with, *pattern_text.task_options(pattern.task)
        )
    if known.covered_by:
        yield command_line(home, "patterns", "show", known.covered_by)
    if known.HasField("offer"):
        yield command_line(home, "patterns", "show", known.offer.pattern_id)
    yield command_line(home, "lineage", pattern.id, "--descendants")
    if known.found_by:
        yield command_line(home, "features", known.found_by)
    yield command_line(home, "patterns", "list", pattern.series, *pattern_text.task_options(pattern.task), "--all")
