"""Features: named columns computed from bars, each value from its own bar and earlier ones only.

HAR are the regime-relative columns of the baselines, BASE the columns of every model from version 1 on, LIBRARY the
columns of the pattern search; BASE contains HAR, LIBRARY contains all of BASE but LAST_LABEL. A new feature is one line
in the list of its module, with its unit and its words. Names are stable: models record them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.names import Series
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features import base, calendar, candles, crosses, indicators, regime
from ratchet.scoring.features.feature import Column, Feature, Kind
from ratchet.scoring.features.units import Unit

_FEATURES: tuple[Feature, ...] = (
    *regime.FEATURES,
    *base.FEATURES,
    *calendar.FEATURES,
    *indicators.FEATURES,
    *candles.FEATURES,
    *crosses.FEATURES,
)


def _names(features: Iterable[Feature]) -> tuple[str, ...]:
    return tuple(name for feature in features for name in feature.names)


HAR: tuple[str, ...] = _names(regime.HAR)
CLASSIC: tuple[str, ...] = _names(base.FEATURES)
LAST_LABEL = "last_label"
"""The last label known at a bar: a task column, which no library feature computes."""
BASE: tuple[str, ...] = (*_names((*regime.FEATURES, *base.FEATURES, *calendar.FEATURES)), LAST_LABEL)
LIBRARY: tuple[str, ...] = _names(_FEATURES)
FEATURE_KIND: dict[str, Kind] = {name: feature.kind for feature in _FEATURES for name in feature.names}
COLUMNS: dict[str, Column] = {column.name: column for feature in _FEATURES for column in feature.columns}
FEATURE_UNIT: dict[str, Unit] = {name: column.unit for name, column in COLUMNS.items()}

_DIGITS = 12
"""Digits of prices, relative to the first close: float noise beyond them decides no tie."""


def for_timeframe(bars: Bars, names: Iterable[str] = LIBRARY) -> tuple[str, ...]:
    """The features of `names` for the series' timeframe: bars of days and weeks have no hour."""
    intraday = Series.parse(bars.series).intraday
    return tuple(name for name in names if intraday or name != "hour")


def available(bars: Bars, names: Iterable[str] = LIBRARY) -> tuple[str, ...]:
    """The features of `names` available for the series: without volume, none that reads volume."""
    absent: set[str] = set()
    if not bars.has_volume:
        absent = {name for feature in _FEATURES if feature.reads_volume for name in feature.names}
    return tuple(name for name in for_timeframe(bars, names) if name not in absent)


def compute(bars: Bars, names: Sequence[str] = LIBRARY) -> NDArray[np.float64]:
    """The named columns as float64[n, len(names)], in the order of `names`.

    NaN for unknown values: during the warm-up, or undefined ones (a ratio to no volume); never infinite. The values are
    invariant, bit for bit, to price units that differ by a power of ten.

    Raises:
        InvalidInput: an unknown name.
    """
    for name in names:
        if name not in FEATURE_KIND:
            near = difflib.get_close_matches(name, LIBRARY, 1)
            hint = f"did you mean {near[0]}?" if near else "use a name of the feature library"
            raise InvalidInput(f"unknown feature {name!r}; {hint}", fields={"features": "unknown"})
    if len(bars) == 0 or not names:
        return np.empty((len(bars), len(names)))
    bars = _in_whole_units(bars)
    wanted = set(names)
    columns: dict[str, Floats] = {}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for feature in _FEATURES:
            if wanted.intersection(feature.names):
                columns.update(zip(feature.names, feature.compute(bars), strict=True))
    table = np.column_stack([columns[name] for name in names]).astype(np.float64, copy=False)
    table[~np.isfinite(table)] = np.nan
    return table


def _in_whole_units(bars: Bars) -> Bars:
    """Prices as whole numbers of 10^-_DIGITS of the first close's decade: equal moves are equal to the last bit."""
    exponent = _DIGITS - math.floor(math.log10(bars.close[0]))
    scale = 10.0 ** abs(exponent)
    up = exponent >= 0
    whole = (np.rint(price * scale if up else price / scale) for price in (bars.open, bars.high, bars.low, bars.close))
    opened, high, low, close = whole
    return replace(bars, open=opened, high=high, low=low, close=close)
