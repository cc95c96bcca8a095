"""volatility: the realised volatility of bars t + 1 … t + h is above its median over the 250 bars up to t.

The median is of the volatilities of the h bars up to each of them: like is compared with like.
"""

from __future__ import annotations

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.targets.definition import REGIME, Definition, the_bars
from ratchet.scoring.targets.outcome import later_above


def _outcomes(bars: Bars, horizon: int) -> Floats:
    realised = trailing.realised_volatility(bars.close, horizon)
    return later_above(realised, trailing.median(realised, REGIME), horizon)


def _question(horizon: int) -> str:
    return f"volatility of {the_bars(horizon)} above its median of the last {REGIME} bars"


VOLATILITY = Definition(_outcomes, "higher volatility", "lower volatility", _question)
