"""The hit rate above which a rule is worth keeping: knowledge decides by it, and a search may not fall below it."""

from __future__ import annotations

LOWEST_LINE = 0.60
LINE_ABOVE_BASE = 0.05


def keep_line(base_rate: float) -> float:
    """The line of a rule whose label has frequency `base_rate` on the same bars."""
    return max(LOWEST_LINE, base_rate + LINE_ABOVE_BASE)
