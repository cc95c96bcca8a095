"""range: (high − low) / close of bar t + h is above its own median over the 250 bars up to t."""

from __future__ import annotations

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.targets.definition import REGIME, TargetDefinition, the_bar
from ratchet.scoring.targets.outcome import future_above


def _outcomes(bars: Bars, horizon: int) -> Floats:
    spread = (bars.high - bars.low) / bars.close
    return future_above(spread, trailing.median(spread, REGIME), horizon)


def _question(horizon: int) -> str:
    return f"range of {the_bar(horizon)} above its median of the last {REGIME} bars"


RANGE = TargetDefinition(_outcomes, "wider range", "narrower range", _question)
