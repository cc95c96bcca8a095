"""range: (high − low) / close of bar t + h is above its own median over the 250 bars up to t."""

from __future__ import annotations

from services.trainer.data import trailing
from services.trainer.data.bars import Bars, Floats
from services.trainer.targets.definition import REGIME, Definition
from services.trainer.targets.outcome import later_above


def _outcomes(bars: Bars, horizon: int) -> Floats:
    spread = (bars.high - bars.low) / bars.close
    return later_above(spread, trailing.median(spread, REGIME), horizon)


RANGE = Definition(_outcomes, "wider range", "narrower range")
