"""Features: named columns computed from bars, each value from its own bar and earlier ones only.

BASE is what the first version of a lineage sees; LIBRARY is what the miner searches and holds BASE.
A new feature is one line where its module lists it, with its unit and its words. Names are stable: models record them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from services.trainer.data.bars import Bars, Floats
from services.trainer.features import base, calendar, candles, crosses, indicators, regime
from services.trainer.features.feature import Column, Feature, Kind
from services.trainer.features.units import Unit

_FEATURES: tuple[Feature, ...] = (
    *base.FEATURES,
    *calendar.FEATURES,
    *regime.FEATURES,
    *indicators.FEATURES,
    *candles.FEATURES,
    *crosses.FEATURES,
)

BASE: tuple[str, ...] = (*(name for feature in base.FEATURES for name in feature.names), "weekday")
LIBRARY: tuple[str, ...] = tuple(name for feature in _FEATURES for name in feature.names)
FEATURE_KIND: dict[str, Kind] = {name: feature.kind for feature in _FEATURES for name in feature.names}
COLUMNS: dict[str, Column] = {column.name: column for feature in _FEATURES for column in feature.columns}
FEATURE_UNIT: dict[str, Unit] = {name: column.unit for name, column in COLUMNS.items()}


def compute(bars: Bars, names: Sequence[str] = LIBRARY) -> NDArray[np.float64]:
    """The named columns as float64[n, len(names)], in the order of `names`.

    NaN where a value is not known: during the warm-up, or where a bar leaves it undefined (a ratio to no volume);
    never infinite. Raises InvalidInput for an unknown name.
    """
    for name in names:
        if name not in FEATURE_KIND:
            near = difflib.get_close_matches(name, LIBRARY, 1)
            hint = f"did you mean {near[0]}?" if near else "use a name of the feature library"
            raise InvalidInput(f"unknown feature {name!r}; {hint}", fields={"features": "unknown"})
    if len(bars) == 0 or not names:
        return np.empty((len(bars), len(names)))
    wanted = set(names)
    columns: dict[str, Floats] = {}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for feature in _FEATURES:
            if wanted.intersection(feature.names):
                columns.update(zip(feature.names, feature.compute(bars), strict=True))
    table = np.column_stack([columns[name] for name in names]).astype(np.float64, copy=False)
    table[~np.isfinite(table)] = np.nan
    return table
