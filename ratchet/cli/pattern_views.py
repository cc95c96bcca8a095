"""How one pattern is shown to people: its evidence, its history and the models that use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from ratchet.cli import pattern_words as words
from ratchet.cli.connect import command_line
from ratchet.cli.output import JsonValue, day, fixed, lines, number, table, to_json, when
from ratchet.cli.spark import spark
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Model
from ratchet.registry.v1 import registry_pb2

SHOWN_VERSIONS = 12
_STANDING = {
    pattern_pb2.PATTERN_STATE_UNSPECIFIED: "its first test was not over by then",
    pattern_pb2.PATTERN_STATE_REFUTED: "its first test did not put it above the line for keeping; no model uses it",
    pattern_pb2.PATTERN_STATE_KEPT: "new models use it",
    pattern_pb2.PATTERN_STATE_CONFIRMED: "new models use it",
    pattern_pb2.PATTERN_STATE_RETIRED: "below the line for keeping; new models do not use it",
    pattern_pb2.PATTERN_STATE_OFFERED: "a candidate; the next training session tests it, until then no model uses it",
    pattern_pb2.PATTERN_STATE_COVERED: "that one says the same more simply; new models use it instead",
}


@dataclass(frozen=True)
class Use:
    """A model that was trained with a pattern. `live`: the champion of its lineage, or the best of its symbol."""

    model: Model
    live: bool


@dataclass(frozen=True)
class Shown:
    """What `patterns show` answers with. `train_with`: the model type to suggest for a first test of it."""

    answer: knowledge_pb2.GetPatternResponse
    uses: Sequence[Use]
    train_with: str

    def as_json(self) -> JsonValue:
        return {**to_json(self.answer), "models": [{"model": str(use.model), "live": use.live} for use in self.uses]}


def render_one(shown: Shown, past: bool, home: str | None) -> None:
    answer, known = shown.answer, shown.answer.pattern
    click.echo(f"{known.pattern.wording}   {words.state_with_its_other(known)}")
    click.echo(f"  {words.meaning(known)}")
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
    if usual := words.usual(known.pattern):
        yield "usual", usual
    yield "scope", f"{words.scope(known)}, type {known.pattern.type or 'unknown'}"
    if words.has_evidence(counts):
        yield "confidence", f"{words.confidence(counts)}   {words.curve(known)}   base {words.base(counts)}"
        yield "lift", words.lift(counts)
        yield "sample", f"{counts.support:,} bars, worth {counts.effective_support:,.0f} independent ones"
        yield "above base", f"with probability {number(counts.probability_above_base)}"
        yield "above line", f"with probability {number(counts.probability_above_line)}   (the line for keeping it)"
        yield "evidence to", day(known.evidence_end)
    reason = known.retired_reason if known.state == pattern_pb2.PATTERN_STATE_RETIRED else ""
    covered = known.state == pattern_pb2.PATTERN_STATE_COVERED
    state = words.state_with_its_other(known) if covered else words.state_of(known.state)
    yield "state", f"{state}: {reason or _STANDING[known.state]}"
    if known.found_by:
        again = f"; later tests: {known.validations}" if known.validations else ""
        yield "found by", f"{known.found_by}, {when(known.found_at)}{again}"
    if known.HasField("offer"):
        offer = known.offer
        yield "offered", f"from {offer.series}, pattern {offer.pattern_id}, {when(offer.offered_at)}: {offer.reason}"
        yield "foreign", f"{foreign(known)}; none of this counts for {known.pattern.series}"
    if known.conflicting_bars:
        count = len(known.conflicting_bars)
        yield "conflicts", f"{count:,} bars on which data sets disagree; what was recorded first counts"


def foreign(known: knowledge_pb2.KnownPattern) -> str:
    """What the series that offered it knew of it then."""
    offer, there = known.offer, known.offer.counts
    return (
        f"{offer.series} had it {words.state_of(offer.state)}: confidence {words.confidence(there)},"
        f" base {words.base(there)}, hits {words.hits(there)}"
    )


def _years(years: Sequence[knowledge_pb2.YearOfEvidence]) -> None:
    rows = [
        (
            str(year.year),
            f"{year.bars:,}",
            f"{year.support:,}",
            f"{year.hits:,}",
            fixed(year.hits / year.support, 2) if year.support else words.NOTHING,
            fixed(year.base_rate, 2),
        )
        for year in years
    ]
    table("Evidence by year", ("year", ">bars", ">fired", ">hits", ">rate", ">base"), rows)


def _history(history: Sequence[knowledge_pb2.PatternChange], known: knowledge_pb2.KnownPattern) -> None:
    base_rate = known.counts.base_rate
    rows = [
        (
            when(change.recorded_at)[: len("2009-12-31")],
            str(change.position),
            words.state_of(change.state),
            words.confidence(change.counts),
            spark([change.counts.confidence], base_rate, 1.0) if words.has_evidence(change.counts) else "",
            words.hits(change.counts),
            f"{change.new_bars}/{change.bars}" if change.bars else words.NOTHING,
            _by(change),
            change.reason,
        )
        for change in history
    ]
    columns = ("recorded", ">position", "state", ">confidence", "", ">hits", ">new bars", "by", "why")
    table("History; new bars: of those that the fact brought", columns, rows)


def _by(change: knowledge_pb2.PatternChange) -> str:
    """The model type or the session that brought the bars, a person, or nobody: another pattern moved this one."""
    if change.lineage:
        return Lineage.parse(change.lineage).model_type
    if change.session_id:
        return change.session_id[:8]
    by_person = (pattern_pb2.PATTERN_STATE_RETIRED, pattern_pb2.PATTERN_STATE_OFFERED)
    return "a person" if change.state in by_person else words.NOTHING


def uses_of(graph: registry_pb2.GetLineageResponse) -> list[Use]:
    """The models of a pattern's descendants, by lineage and version."""
    found = (Use(Model.parse(node.id), node.live) for node in graph.nodes if node.kind == "model")
    return sorted(found, key=lambda use: use.model)


def use_lines(uses: Sequence[Use]) -> Iterator[str]:
    """A line a lineage, with its newest versions that use it; the live ones are marked."""
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
        yield command_line(home, "train", pattern.series, "--model", train_with, *words.task_options(pattern.task))
    if known.covered_by:
        yield command_line(home, "patterns", "show", known.covered_by)
    if known.HasField("offer"):
        yield command_line(home, "patterns", "show", known.offer.pattern_id)
    yield command_line(home, "lineage", pattern.id, "--descendants")
    if known.found_by:
        yield command_line(home, "features", known.found_by)
    yield command_line(home, "patterns", "list", pattern.series, *words.task_options(pattern.task), "--all")
