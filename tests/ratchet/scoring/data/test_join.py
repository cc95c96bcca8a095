"""A model on the margin answers a request from the whole history; bars that do not belong to it are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import DataRefused
from ratchet.scoring.data.bars import COLUMNS, TOLERANCE, Bars
from ratchet.scoring.data.join import join_bars
from ratchet.scoring.models import artifact
from ratchet.trainer.v1 import trainer_pb2
from tests.support.training_services import AAPL, LINEAGE, World, message, rows, world

HISTORY = AAPL.head(1000)


def part(begin: int, end: int, without: int | None = None, **changes: tuple[int, float]) -> Bars:
    """Bars begin … end − 1 of AAPL; a change multiplies one bar's value."""
    rows = [row for row in range(begin, end) if row != without]
    values: dict[str, Any] = {name: getattr(AAPL, name)[rows] for name in ("time", *COLUMNS)}
    for name, (row, factor) in changes.items():
        values[name][rows.index(row)] *= factor
    return replace(AAPL, **values)


def same(one: Bars, other: Bars) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("time", *COLUMNS))


@given(begin=st.integers(0, 999), bars=st.integers(1, 300))
def test_bars_that_overlap_or_go_on_from_the_last_known_one_are_joined(begin: int, bars: int) -> None:
    found = join_bars(HISTORY, part(begin, begin + bars))
    assert same(found, AAPL.head(begin + bars))
    assert (found.series, found.zone) == (HISTORY.series, HISTORY.zone)


def test_a_difference_within_the_precision_of_an_export_is_none() -> None:
    given = part(900, 1100, close=(950, 1.0 + 0.5 * TOLERANCE))
    assert same(join_bars(HISTORY, given), AAPL.head(1100))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            part(1000, 1100),
            "AAPL: the bars begin 2004-02-25, after the newest known bar 2004-02-24",
        ),
        (
            part(900, 1100, without=950),
            "AAPL: only the snapshot has a bar of 2003-12-11; send",
        ),
        (part(900, 1100, close=(950, 1.01)), "AAPL: close .* of 2003-12-11 is .* in the snapshot; send the bars as"),
        (part(900, 1100, volume=(999, 2.0)), "AAPL: volume .* of 2004-02-24 is .* in the snapshot"),
        (part(900, 900), "AAPL: 0 bars; send one at least"),
    ],
)
def test_bars_that_are_not_those_of_the_snapshot_are_refused(given: Bars, said: str) -> None:
    with pytest.raises(DataRefused, match=said):
        join_bars(HISTORY, given)


def test_a_bar_that_the_snapshot_lacks_is_named() -> None:
    with pytest.raises(DataRefused, match="AAPL: only the request has a bar of 2003-12-11"):
        join_bars(part(0, 1000, without=950), part(900, 1100))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("home")) as running:
        yield running


def messages(bars: Bars) -> list[trainer_pb2.Bar]:
    return [message(*values) for values in zip(bars.time, *(getattr(bars, name) for name in COLUMNS), strict=True)]


def test_bars_of_the_end_of_the_snapshot_are_answered_as_the_snapshot_is_to_the_bit(made: World) -> None:
    record = made.client.get_model(f"{LINEAGE}/v1").record
    assert artifact.load(made.store.get(record.artifact.digest)).on_margin
    expected = made.client.predict("AAPL", "range")
    for count in (1, 251, 1000, len(AAPL)):
        assert made.client.predict("AAPL", "range", bars=messages(part(len(AAPL) - count, len(AAPL)))) == expected


def test_bars_that_follow_are_answered_as_if_they_were_imported(made: World) -> None:
    made.train("NEWER/range/har", made.add("NEWER", rows(1500)))
    asked = made.client.predict("NEWER", "range", bars=messages(part(1400, 1510)))
    assert asked.bar.seconds == AAPL.time[1509]
    with pytest.raises(DataRefused, match="NEWER: the bars begin 2006-02-21, after the newest known bar"):
        made.client.predict("NEWER", "range", bars=messages(part(1501, 1510)))
    made.add("NEWER", rows(1510))
    assert made.client.predict("NEWER", "range") == asked
