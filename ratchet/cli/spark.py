"""Numbers as a line of blocks: ▁▂▃▄▅▆▇█."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
LONGEST = 12
MISSING = " "


def spark(values: Sequence[float | None], low: float = 0.0, high: float = 1.0) -> str:
    """A block a value, in their order: ▁ at `low` or below it, █ at `high` or above it; a space for None.

    Of more than LONGEST values, as many at even steps, the first and the last among them.
    """
    return "".join(MISSING if value is None else _block(value, low, high) for value in _thinned(values))


def _block(value: float, low: float, high: float) -> str:
    if high <= low:
        return BLOCKS[-1] if value > low else BLOCKS[0]
    share = (value - low) / (high - low)
    return BLOCKS[min(max(int(share * len(BLOCKS)), 0), len(BLOCKS) - 1)]


def _thinned(values: Sequence[float | None]) -> Sequence[float | None]:
    if len(values) <= LONGEST:
        return values
    last = len(values) - 1
    return [values[round(step * last / (LONGEST - 1))] for step in range(LONGEST)]
