"""direction: the close of bar t + h is above the close of bar t."""

from __future__ import annotations

from services.trainer.data.bars import Bars, Floats
from services.trainer.targets.definition import Definition
from services.trainer.targets.outcome import later_above


def _outcomes(bars: Bars, horizon: int) -> Floats:
    return later_above(bars.close, bars.close, horizon)


DIRECTION = Definition(_outcomes, "higher close", "lower close")
