"""Targets: predicted quantities of a bar. A new target is one module and one line here."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused, InvalidInput
from ratchet.names import TARGETS as NAMES
from ratchet.names import Target, one_of
from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats
from ratchet.scoring.targets.definition import TargetDefinition
from ratchet.scoring.targets.direction import DIRECTION
from ratchet.scoring.targets.range_ import RANGE
from ratchet.scoring.targets.volatility import VOLATILITY
from ratchet.scoring.targets.volume import VOLUME

TARGETS: dict[Target, TargetDefinition] = {
    "direction": DIRECTION,
    "range": RANGE,
    "volatility": VOLATILITY,
    "volume": VOLUME,
}


def require_volume(target: str, bars: Bars) -> None:
    """DataRefused for the target volume on a series without volume."""
    if target == "volume" and not bars.has_volume:
        raise DataRefused(
            f"{bars.series} has no volume: every bar has 0; choose another target, range for example, or import bars"
            " with volume"
        )


def labels(target: str, bars: Bars, horizon: int) -> Floats:
    """The label of each bar, float64[n]: 1.0, 0.0, or NaN if unknown.

    The label of bar t is known at bar t + horizon: the last `horizon` labels are NaN, as are those of the first bars,
    with too short a past for the comparison. InvalidInput for an unknown target or a horizon < 1.
    """
    if horizon < 1:
        raise InvalidInput(f"horizon {horizon} is out of range; use 1 bar or more", fields={"horizon": "out of range"})
    return _definition(target).outcomes(bars, horizon)


def persistence(target: str, bars: Bars, horizon: int) -> Floats:
    """The last label known at each bar, float64[n]: that of bar t − horizon; NaN if unknown."""
    return trailing.lag(labels(target, bars, horizon), horizon)


def usable_rows(y: Floats, warm_up: int = WARM_UP) -> NDArray[np.int64]:
    """The rows after the warm-up with a known label; `y` is float64[n], NaN if unknown."""
    known = np.isfinite(y)
    known[:warm_up] = False
    return np.flatnonzero(known).astype(np.int64)


def words(target: str, direction: Literal[0, 1]) -> str:
    """A label in words: range, 1 → "wider range"."""
    definition = _definition(target)
    return definition.up if direction == 1 else definition.down


def question(target: str, horizon: int) -> str:
    """The event of a probability: range, 1 → "range of the next bar above its median of the last 250 bars"."""
    return _definition(target).question(horizon)


def _definition(target: str) -> TargetDefinition:
    return TARGETS[one_of("target", target, NAMES)]
