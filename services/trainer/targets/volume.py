"""volume: the volume of bar t + h is above its mean over the 20 bars up to t."""

from __future__ import annotations

from services.trainer.data import trailing
from services.trainer.data.bars import Bars, Floats
from services.trainer.targets.definition import Definition
from services.trainer.targets.outcome import later_above

_WINDOW = 20


def _outcomes(bars: Bars, horizon: int) -> Floats:
    return later_above(bars.volume, trailing.mean(bars.volume, _WINDOW), horizon)


VOLUME = Definition(_outcomes, "higher volume", "lower volume")
