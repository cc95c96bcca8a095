"""Median imputation of unknown features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ratchet.errors import CorruptData
from ratchet.scoring.models.port import Floats


def medians(features: Floats) -> Floats:
    """The median of each column, 0 for an entirely unknown column; float64[k]."""
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(features)
    found: Floats = np.nan_to_num(np.asarray(imputer.statistics_, dtype=np.float64))
    return found


def impute(features: Floats, gaps: Floats) -> Floats:
    """Features with each unknown value replaced by its column's value of `gaps`."""
    return np.where(np.isnan(features), gaps, features)


def restored_gaps(state: Mapping[str, object]) -> Floats:
    """The medians in a state, float64[k]; CorruptData for malformed ones."""
    gaps = state.get("gaps")
    if not isinstance(gaps, np.ndarray) or gaps.ndim != 1 or gaps.dtype != np.float64 or not np.isfinite(gaps).all():
        raise CorruptData("the model's medians are not one finite number a column; fetch the artifact again")
    return gaps
