"""The list of patterns, two lines each: the rule in words, and its numbers under those of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import click

from ratchet.cli import pattern_words as words
from ratchet.cli.as_of import PRESENT, Moment
from ratchet.cli.connect import command_line
from ratchet.cli.output import day, lines, say_left_out
from ratchet.knowledge.v1 import knowledge_pb2

LEGEND = (
    "▁█ confidence after each of its sessions, from its base rate or below to 1; confidence [95 %]; base: on all bars",
    "lift: confidence over base; hits: of the bars on which it fired; to: the last bar of evidence",
)


@dataclass(frozen=True)
class Asked:
    """What `patterns list` was asked for, to repeat it in the commands that it prints."""

    series: str = ""
    task: str = ""
    kind: str = ""
    everything: bool = False
    as_of: Moment = PRESENT
    known_before: Moment = PRESENT
    home: str | None = None

    def command(self, *more: str) -> str:
        named = [
            *([self.series] if self.series else []),
            *(words.task_options(self.task) if self.task else []),
            *(["--type", self.kind] if self.kind else []),
            *(["--all"] if self.everything else []),
        ]
        return command_line(self.home, "patterns", "list", *named, *self.as_of.words, *self.known_before.words, *more)

    def chosen(self, found: Sequence[knowledge_pb2.KnownPattern]) -> list[knowledge_pb2.KnownPattern]:
        """Those of the type that was asked for, in every state or in force, the surest first."""
        wanted = [
            known
            for known in found
            if self.kind in ("", known.pattern.type) and (self.everything or known.state in words.IN_FORCE)
        ]
        return sorted(wanted, key=lambda known: (-known.counts.confidence, known.pattern.id))


def render_list(found: Sequence[knowledge_pb2.KnownPattern], others: Counter[str], asked: Asked, limit: int) -> None:
    """The `limit` surest; `others`: how many of each state are there that were not asked for."""
    besides = ", ".join(f"{count:,} {state}" for state, count in sorted(others.items()))
    everything = asked.command("--all")
    if not found:
        step = command_line(asked.home, "train", asked.series or "SERIES", "--model", "TYPE")
        click.echo(
            f"no patterns in force, only {besides}: {everything}"
            if besides
            else f"no patterns yet; training sessions look for them: {step}"
        )
        return
    shown = found[: limit or None]
    several = len({words.scope(known) for known in found}) > 1
    if not several:
        click.echo(f"{words.scope(found[0])}\n")
    for known, numbers in zip(shown, _aligned([_numbers(known) for known in shown]), strict=True):
        scope = f"{words.scope(known)}: " if several else ""
        click.echo(f"{words.short(known.pattern.id)}   {scope}{known.pattern.wording}")
        click.echo(f"{' ' * words.SHORT_ID}   {numbers}".rstrip())
    lines(("", *LEGEND))
    say_left_out(len(found) - len(shown), "less sure ones are left out", asked.command())
    if besides:
        click.echo(f"besides {besides}: {everything}")
    click.echo("next: " + command_line(asked.home, "patterns", "show", words.short(shown[0].pattern.id)))


def _numbers(known: knowledge_pb2.KnownPattern) -> tuple[str, ...]:
    counts = known.counts
    if not words.has_evidence(counts):
        return "", words.state_with_its_other(known)
    return (
        words.curve(known),
        words.confidence(counts),
        f"base {words.base(counts)}",
        f"lift {words.lift(counts)}",
        f"hits {words.hits(counts)}",
        f"to {day(known.evidence_end)}",
        words.state_with_its_other(known),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The cells of each row as one line, under those of the others."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return ["   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows]
