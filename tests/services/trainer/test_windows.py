"""A fit never knows a label that reaches into the window it will be judged on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import DataRefused, InvalidInput
from ratchet.scoring.targets import usable_rows
from services.trainer.learning.windows import MINIMUM_USABLE, holdout_size, require_usable_bars, split


def labels(bars: int, horizon: int = 1, unknown_at_start: int = 0) -> np.ndarray:
    y = np.arange(bars) % 2.0
    y[bars - horizon :] = np.nan
    y[:unknown_at_start] = np.nan
    return y


@given(
    bars=st.integers(910, 6000),
    horizon=st.integers(1, 60),
    new_bars=st.none() | st.integers(0, 5000),
    unknown=st.integers(0, 260),
)
def test_every_window_is_purged_by_the_horizon(bars: int, horizon: int, new_bars: int | None, unknown: int) -> None:
    y = labels(bars, horizon, unknown)
    count = len(usable_rows(y))
    if count < MINIMUM_USABLE:
        return
    windows = split(y, horizon, new_bars)
    ordered = [windows.training, windows.tune, windows.choose, windows.holdout]
    for earlier, later in pairwise(ordered):
        assert earlier.stop - 1 + horizon < later.start
        assert earlier.stop + horizon == later.start
    for span in ordered:
        assert len(span) >= 60
        assert np.isfinite(y[span.rows()]).all()
    assert windows.training.start >= 250
    assert windows.holdout.stop == bars - horizon
    assert windows.fit_end + horizon < windows.holdout.start
    assert windows.before(windows.holdout.start)[-1] == windows.fit_end
    assert windows.before(windows.tune.start).tolist() == windows.training.rows().tolist()


def test_the_sizes_are_those_of_the_rules() -> None:
    assert holdout_size(3020, None) == 302
    assert holdout_size(700, None) == 120
    assert holdout_size(3020, 21) == 120
    assert holdout_size(3020, 300) == 300
    assert holdout_size(3020, 2000) == 604
    windows = split(labels(3271), 1, None)
    assert (len(windows.holdout), len(windows.choose), len(windows.tune)) == (302, 271, 271)
    small = split(labels(851), 1, 50)
    assert (len(small.holdout), len(small.choose), len(small.tune)) == (120, 60, 60)


def test_too_few_usable_bars_are_refused_with_the_next_step() -> None:
    assert require_usable_bars("FB", labels(851)) == 600
    with pytest.raises(DataRefused, match=r"^FB: 599 usable bars, 600 needed to train .*ratchet data import FB FILE$"):
        split(labels(850), 1, None, series="FB")
    with pytest.raises(DataRefused, match="FB: 0 usable bars"):
        require_usable_bars("FB", labels(196))


def test_a_hole_in_the_labels_is_refused() -> None:
    y = labels(1500)
    y[700] = np.nan
    with pytest.raises(InvalidInput, match="1 labels are missing"):
        split(y, 1, None)
