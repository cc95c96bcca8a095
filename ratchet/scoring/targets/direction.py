"""direction: the close of bar t + h is above the close of bar t."""

from __future__ import annotations

from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.targets.definition import TargetDefinition, the_bar
from ratchet.scoring.targets.outcome import future_above


def _outcomes(bars: Bars, horizon: int) -> Floats:
    return future_above(bars.close, bars.close, horizon)


def _question(horizon: int) -> str:
    return f"close of {the_bar(horizon)} above the close of the last bar"


DIRECTION = TargetDefinition(_outcomes, "higher close", "lower close", _question)
