"""Offers of a pattern to other series; a refusal by one series does not affect the others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ratchet.cli import pattern_text
from ratchet.cli.connect import command_line
from ratchet.cli.output import JsonValue, to_json
from ratchet.cli.pattern_views import source_evidence
from ratchet.errors import RatchetError
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1.knowledge_pb2 import KnownPattern
from ratchet.names import Lineage, ModelType

if TYPE_CHECKING:
    from ratchet.client import Client

FIRST_MODEL: ModelType = "logistic"
"""Suggested model type without a trained model."""

CANDIDATE = "a candidate there: the next training session tests it on bars of its own; until then no model uses it"


@dataclass(frozen=True)
class OfferResult:
    """Result of the offer to one series: the pattern there, or the refusal."""

    series: str
    known: KnownPattern | None = None
    model_type: ModelType = FIRST_MODEL
    refusal: RatchetError | None = None

    def as_json(self) -> JsonValue:
        if self.refusal:
            return {
                "series": self.series,
                "error": {"reason": self.refusal.reason, "message": self.refusal.message},
            }
        return {"series": self.series, "pattern": to_json(self.known)}


def offer_to(client: Client, pattern_id: str, series: str, reason: str) -> OfferResult:
    try:
        known = client.offer_pattern(pattern_id, series, reason)
        return OfferResult(series, known, model_type=model_type_for(client, known))
    except RatchetError as error:
        return OfferResult(series, refusal=error)


def model_type_for(client: Client, known: KnownPattern) -> ModelType:
    """The suggested model type for a test: the type of the best model of the pattern's series and task."""
    with contextlib.suppress(RatchetError):
        best = client.get_symbol_best(known.pattern.series, known.pattern.task)
        return Lineage.parse(best.model.lineage).model_type
    return FIRST_MODEL


def render_offers(offered: Sequence[OfferResult], home: str | None) -> None:
    """Prints the pattern with its evidence at the source, then each series that accepted it."""
    taken = [(one.known, one.model_type) for one in offered if one.known]
    for first, _ in taken[:1]:
        click.echo(f"{first.pattern.wording}\n  {source_evidence(first)}; none of this counts elsewhere")
    for known, model_type in taken:
        pattern = known.pattern
        click.echo(f"{pattern_text.scope(known)}   {pattern_text.state_of(known.state)} as {pattern.id}")
        if known.state == pattern_pb2.PATTERN_STATE_OFFERED:
            click.echo(f"  {CANDIDATE}")
            options = ("--model", model_type, *pattern_text.task_options(pattern.task))
            click.echo("  next: " + command_line(home, "train", pattern.series, *options))
        else:
            click.echo("  next: " + command_line(home, "patterns", "show", pattern.id))


def raise_refusals(offered: Sequence[OfferResult]) -> None:
    """Raises the error of the first refusal, with the messages of all."""
    refused = [(one.series, one.refusal) for one in offered if one.refusal]
    if not refused:
        return
    _, first = refused[0]
    if len(offered) == 1:
        raise first
    said = "; ".join(f"{series}: {error.message}" for series, error in refused)
    text = f"{len(refused)} of {len(offered)} series refused: {said}"
    raise type(first)(text, fields=first.fields, metadata=first.metadata) from first
