"""Commands that advise a next step, as words for a shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from ratchet.names import DEFAULT_HORIZON, Lineage, ModelType

CommandLine: TypeAlias = Callable[..., str]
"""Prints the words of a command after `ratchet`, with the options that reach the same services."""


def import_bars(lineage: Lineage) -> tuple[str, ...]:
    """Imports bars of the lineage's series."""
    timeframe = () if lineage.series.timeframe == "1d" else ("--timeframe", lineage.series.timeframe)
    return "data", "import", lineage.series.symbol, "FILE", *timeframe


def train(lineage: Lineage, model_type: ModelType | None = None) -> tuple[str, ...]:
    """Trains the next version of the lineage, or of the one with another model type."""
    return "train", *_options(replace(lineage, model_type=model_type or lineage.model_type))


def backtest(lineage: Lineage) -> tuple[str, ...]:
    """Backtests the whole loop on the history of the lineage's series."""
    return "backtest", *_options(lineage)


def _options(lineage: Lineage) -> tuple[str, ...]:
    task = lineage.task
    horizon = () if task.horizon == DEFAULT_HORIZON[task.target] else ("--horizon", str(task.horizon))
    return str(lineage.series), "--model", lineage.model_type, "--target", task.target, *horizon
