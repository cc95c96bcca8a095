"""volume: the volume of bar t + h is above its mean over the 20 bars up to t."""

from __future__ import annotations

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.targets.definition import TargetDefinition, the_bar
from ratchet.scoring.targets.outcome import future_above

_WINDOW = 20


def _outcomes(bars: Bars, horizon: int) -> Floats:
    return future_above(bars.volume, trailing.mean(bars.volume, _WINDOW), horizon)


def _question(horizon: int) -> str:
    return f"volume of {the_bar(horizon)} above its mean of the last {_WINDOW} bars"


VOLUME = TargetDefinition(_outcomes, "higher volume", "lower volume", _question)
