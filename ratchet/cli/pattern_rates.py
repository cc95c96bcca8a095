"""Success rates of tested rules, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ratchet.cli import pattern_text
from ratchet.cli.connect import command_line
from ratchet.cli.output import fixed, interval, lines, table
from ratchet.knowledge.v1.knowledge_pb2 import SuccessRate

ALL_SERIES, ALL_TYPES = "all series", "all"
COLUMNS = ("series", "type", ">tested", ">kept", ">share", ">in force", ">retired", ">covered", ">later hits", ">base")
LEGEND = (
    "kept: by their first test, and what these are now; share [95 %]: of the tested ones",
    "later hits: where they fired after their first test; base: on all bars after it",
)


def render_rates(rates: Sequence[SuccessRate], series: str, home: str | None) -> None:
    """Prints success rates by series and type; `series`: the requested one."""
    if not rates:
        step = command_line(home, "patterns", "list", *([series] if series else []), "--all")
        click.echo(f"no rules tested{f' for {series}' if series else ''} yet; see {step}")
        return
    table("", COLUMNS, [_row(rate) for rate in rates])
    lines(LEGEND)


def _row(rate: SuccessRate) -> tuple[str, ...]:
    later = f"{fixed(rate.later_hits / rate.later_support, 2)} of {rate.later_support:,}" if rate.later_support else ""
    return (
        (rate.series or ALL_SERIES) if not rate.type else "",
        rate.type or ALL_TYPES,
        f"{rate.tested:,}",
        f"{rate.admitted:,}",
        interval(rate.rate, 2),
        f"{rate.in_force:,}",
        f"{rate.retired:,}",
        f"{rate.covered:,}",
        later or pattern_text.NO_VALUE,
        fixed(rate.later_base_rate, 2) if rate.later_support else pattern_text.NO_VALUE,
    )
