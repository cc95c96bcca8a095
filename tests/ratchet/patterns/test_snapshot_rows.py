"""Evidence by rows of a snapshot: the traded bars that it names, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.patterns.evidence import encode
from ratchet.patterns.snapshot_rows import RowRange, SnapshotRows, TradedRows
from tests.support.datasets import daily

STANDSTILLS = (RowRange(3, 5), RowRange(8, 5), RowRange(20, 6))
ROWS = SnapshotRows(daily(40), STANDSTILLS)
TRADED = [*range(3), *range(13, 20), *range(26, 40)]
ONES = np.ones(60, dtype=bool)


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[SnapshotRows, list[int]]:
    """Rows of a snapshot, and those of them that trade."""
    runs = draw(st.lists(st.tuples(st.booleans(), st.integers(1, 8)), min_size=1, max_size=8))
    standstills, traded, at = [], list[int](), 0
    for trades, length in runs:
        if trades:
            traded += range(at, at + length)
        else:
            standstills.append(RowRange(at, length))
        at += length
    return SnapshotRows(daily(at), standstills), traded


@given(snapshot=snapshots())
def test_traded_rows_are_those_outside_the_standstills(snapshot: tuple[SnapshotRows, list[int]]) -> None:
    rows, traded = snapshot
    assert [row for row in range(len(rows)) if rows.traded.trades(row)] == traded
    assert [rows.traded.index(row) for row in traded] == list(range(len(traded)))
    assert rows.traded.rows(np.arange(len(traded))).tolist() == traded
    assert rows.traded.index(len(rows)) == len(traded)


@given(snapshot=snapshots(), horizon=st.integers(1, 3), data=st.data())
def test_a_span_names_consecutive_traded_bars_and_comes_back(
    snapshot: tuple[SnapshotRows, list[int]], horizon: int, data: st.DataObject
) -> None:
    rows, traded = snapshot
    if len(traded) <= horizon:
        return
    first = data.draw(st.integers(0, len(traded) - horizon - 1))
    bars = data.draw(st.integers(1, len(traded) - horizon - first))
    times = rows.times[traded[first : first + bars + horizon]]
    fired = np.array(data.draw(st.lists(st.booleans(), min_size=bars, max_size=bars)))
    span = rows.span(times, fired, ~fired)
    assert (span.first_row, span.bars) == (traded[first], bars)
    found = rows.bars(span, horizon)
    assert found.times.tolist() == times[:bars].tolist()
    assert found.label_times.tolist() == times[horizon:].tolist()
    assert (found.fired.tolist(), found.outcomes.tolist()) == (fired.tolist(), (~fired).tolist())
    assert rows.traded.end(span.first_row, bars + horizon) == traded[first + bars + horizon - 1] + 1


def test_labels_are_known_at_traded_bars() -> None:
    found = ROWS.bars(encode(1, ONES[:3], ONES[:3]), 5)
    assert found.times.tolist() == daily(40)[[1, 2, 13]].tolist()
    assert found.label_times.tolist() == daily(40)[[16, 17, 18]].tolist()


def test_spans_are_joined_in_their_order_and_no_span_has_no_bars() -> None:
    found = ROWS.evidence([encode(30, ONES[:2], ONES[:2]), encode(0, ONES[:1], ~ONES[:1])], 1)
    assert found.times.tolist() == daily(40)[[30, 31, 0]].tolist()
    assert found.outcomes.tolist() == [True, True, False]
    assert [len(column) for column in ROWS.evidence([], 1)] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("first_row", "bars", "word"),
    [
        (-1, 1, "begins at row -1; the data set has rows 0 to 39"),
        (40, 1, "begins at row 40"),
        (2**62, 1, "rows 0 to 39"),
        (3, 1, "row 3, on which nothing trades"),
        (12, 1, "row 12, on which nothing trades"),
        (25, 1, "row 25, on which nothing trades"),
        (39, 1, "has 1 bars from row 39 on, with labels 1 bars later; the data set has 1 traded rows"),
        (26, 14, "has 14 bars from row 26"),
        (19, 15, "the data set has 15 traded rows"),
    ],
)
def test_rows_that_are_not_there_or_do_not_trade_are_refused(first_row: int, bars: int, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        ROWS.bars(encode(first_row, ONES[:bars], ONES[:bars]), 1)


def test_bars_up_to_the_last_label_are_accepted() -> None:
    assert ROWS.bars(encode(26, ONES[:13], ONES[:13]), 1).label_times[-1] == daily(40)[-1]


@pytest.mark.parametrize(
    ("days", "word"),
    [
        ([2, 3], "not consecutive traded bars"),
        ([0, 2], "not consecutive traded bars"),
        ([39, 40], "not consecutive traded bars"),
        ([41, 42], "a bar at 3542400, which the data set does not have"),
    ],
)
def test_times_that_are_not_consecutive_traded_bars_have_no_span(days: list[int], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        ROWS.span(daily(50)[days], ONES[:1], ONES[:1])


def test_without_standstills_the_index_of_a_row_is_the_row() -> None:
    traded = TradedRows(())
    assert (traded.trades(7), traded.index(7), traded.end(7, 3)) == (True, 7, 10)
