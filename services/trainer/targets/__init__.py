"""Targets: what is predicted of a bar. A new target is one module and one line here."""

from __future__ import annotations

from typing import Literal

from ratchet.errors import DataRefused, InvalidInput
from ratchet.names import TARGETS as NAMES
from ratchet.names import Target, one_of
from services.trainer.data import trailing
from services.trainer.data.bars import Bars, Floats
from services.trainer.targets.definition import Definition
from services.trainer.targets.direction import DIRECTION
from services.trainer.targets.range_ import RANGE
from services.trainer.targets.volatility import VOLATILITY
from services.trainer.targets.volume import VOLUME

TARGETS: dict[Target, Definition] = {
    "direction": DIRECTION,
    "range": RANGE,
    "volatility": VOLATILITY,
    "volume": VOLUME,
}


def require_volume(target: str, bars: Bars) -> None:
    """DataRefused for the target of volume where the series has none."""
    if target == "volume" and not bars.has_volume:
        raise DataRefused(
            f"{bars.series} has no volume: every bar has 0; choose another target, range for example, or import bars"
            " with volume"
        )


def labels(target: str, bars: Bars, horizon: int) -> Floats:
    """The label of each bar, float64[n]: 1.0, 0.0, or NaN where it is not known.

    The label of bar t is known once bar t + horizon is there: the last `horizon` labels are NaN, and those of
    the first bars, whose past is too short for the comparison. InvalidInput for an unknown target or a horizon < 1.
    """
    if horizon < 1:
        raise InvalidInput(f"horizon {horizon} is out of range; use 1 bar or more", fields={"horizon": "out of range"})
    return _definition(target).outcomes(bars, horizon)


def persistence(target: str, bars: Bars, horizon: int) -> Floats:
    """The last label known at each bar, float64[n]: that of bar t − horizon; NaN where there is none."""
    return trailing.before(labels(target, bars, horizon), horizon)


def words(target: str, direction: Literal[0, 1]) -> str:
    """A label in words: range, 1 → "wider range"."""
    definition = _definition(target)
    return definition.up if direction == 1 else definition.down


def question(target: str, horizon: int) -> str:
    """What a probability is of: range, 1 → "range of the next bar above its median of the last 250 bars"."""
    return _definition(target).question(horizon)


def _definition(target: str) -> Definition:
    return TARGETS[one_of("target", target, NAMES)]
