"""Sparklines: numbers as a line of blocks ▁▂▃▄▅▆▇█."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
MAX_BLOCKS = 12
MISSING = " "


def sparkline(values: Sequence[float | None], low: float = 0.0, high: float = 1.0) -> str:
    """One block per value: ▁ at `low` or below it, █ at `high` or above it; a space for None.

    More than MAX_BLOCKS values are downsampled at even steps, including the first and the last.
    """
    return "".join(MISSING if value is None else _block(value, low, high) for value in _downsampled(values))


def _block(value: float, low: float, high: float) -> str:
    if high <= low:
        return BLOCKS[-1] if value > low else BLOCKS[0]
    share = (value - low) / (high - low)
    return BLOCKS[min(max(int(share * len(BLOCKS)), 0), len(BLOCKS) - 1)]


def _downsampled(values: Sequence[float | None]) -> Sequence[float | None]:
    if len(values) <= MAX_BLOCKS:
        return values
    last = len(values) - 1
    return [values[round(step * last / (MAX_BLOCKS - 1))] for step in range(MAX_BLOCKS)]
