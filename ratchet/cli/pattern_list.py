"""The list of patterns, two lines each: the rule as a sentence, and its aligned numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import click

from ratchet.cli import pattern_text
from ratchet.cli.as_of import PRESENT, TimePoint
from ratchet.cli.connect import command_line
from ratchet.cli.output import format_day, lines, print_omitted
from ratchet.knowledge.v1 import knowledge_pb2

LEGEND = (
    "▁█ confidence after each of its sessions, from its base rate or below to 1; confidence [95 %]; base: on all bars",
    "lift: confidence over base; hits: of the bars on which it fired; to: the last bar of evidence",
)


@dataclass(frozen=True)
class PatternQuery:
    """Arguments of `patterns list`, for selection and for printed commands."""

    series: str = ""
    task: str = ""
    kind: str = ""
    everything: bool = False
    as_of: TimePoint = PRESENT
    known_before: TimePoint = PRESENT
    home: str | None = None

    def command(self, *more: str) -> str:
        named = [
            *([self.series] if self.series else []),
            *(pattern_text.task_options(self.task) if self.task else []),
            *(["--type", self.kind] if self.kind else []),
            *(["--all"] if self.everything else []),
        ]
        return command_line(
            self.home, "patterns", "list", *named, *self.as_of.arguments, *self.known_before.arguments, *more
        )

    def select(self, found: Sequence[knowledge_pb2.KnownPattern]) -> list[knowledge_pb2.KnownPattern]:
        """The patterns of the requested type, in all states or in force, by descending confidence."""
        wanted = [
            known
            for known in found
            if self.kind in ("", known.pattern.type) and (self.everything or known.state in pattern_text.IN_FORCE)
        ]
        return sorted(wanted, key=lambda known: (-known.counts.confidence, known.pattern.id))


def render_list(
    found: Sequence[knowledge_pb2.KnownPattern], others: Counter[str], query: PatternQuery, limit: int
) -> None:
    """Prints the `limit` patterns of highest confidence; `others`: number of other patterns by state."""
    besides = ", ".join(f"{count:,} {state}" for state, count in sorted(others.items()))
    everything = query.command("--all")
    if not found:
        step = command_line(query.home, "train", query.series or "SERIES", "--model", "TYPE")
        click.echo(
            f"no patterns in force, only {besides}: {everything}"
            if besides
            else f"no patterns yet; training sessions look for them: {step}"
        )
        return
    shown = found[: limit or None]
    several = len({pattern_text.scope(known) for known in found}) > 1
    if not several:
        click.echo(f"{pattern_text.scope(found[0])}\n")
    for known, numbers in zip(shown, _aligned([_numbers(known) for known in shown]), strict=True):
        scope = f"{pattern_text.scope(known)}: " if several else ""
        click.echo(f"{pattern_text.short_id(known.pattern.id)}   {scope}{known.pattern.wording}")
        click.echo(f"{' ' * pattern_text.SHORT_ID}   {numbers}".rstrip())
    lines(("", *LEGEND))
    print_omitted(len(found) - len(shown), "less sure ones are left out", query.command())
    if besides:
        click.echo(f"besides {besides}: {everything}")
    click.echo("next: " + command_line(query.home, "patterns", "show", pattern_text.short_id(shown[0].pattern.id)))


def _numbers(known: knowledge_pb2.KnownPattern) -> tuple[str, ...]:
    counts = known.counts
    if not pattern_text.has_evidence(counts):
        return "", pattern_text.state_with_reference(known)
    return (
        pattern_text.confidence_sparkline(known),
        pattern_text.confidence(counts),
        f"base {pattern_text.base(counts)}",
        f"lift {pattern_text.lift(counts)}",
        f"hits {pattern_text.hits(counts)}",
        f"to {format_day(known.evidence_end)}",
        pattern_text.state_with_reference(known),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The cells of each row as one line, aligned by column."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return ["   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows]
