"""Retention threshold: the hit rate above which knowledge keeps a rule; a search may not go below it."""

from __future__ import annotations

MIN_THRESHOLD = 0.60
MARGIN_OVER_BASE_RATE = 0.05


def retention_threshold(base_rate: float) -> float:
    """The threshold of a rule whose label has frequency `base_rate` on the same bars."""
    return max(MIN_THRESHOLD, base_rate + MARGIN_OVER_BASE_RATE)
