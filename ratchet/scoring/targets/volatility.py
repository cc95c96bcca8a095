"""volatility: the realised volatility of bars t + 1 … t + h is above its median over the 250 bars up to t.

The median is over the volatilities of h bars, one ending at each of the 250 bars.
"""

from __future__ import annotations

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.targets.definition import REGIME, TargetDefinition, the_bars
from ratchet.scoring.targets.outcome import future_above


def _outcomes(bars: Bars, horizon: int) -> Floats:
    realised = trailing.realised_volatility(bars.close, horizon)
    return future_above(realised, trailing.median(realised, REGIME), horizon)


def _question(horizon: int) -> str:
    return f"volatility of {the_bars(horizon)} above its median of the last {REGIME} bars"


VOLATILITY = TargetDefinition(_outcomes, "higher volatility", "lower volatility", _question)
