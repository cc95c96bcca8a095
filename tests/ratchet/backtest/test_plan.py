"""Dates and segments: no bar is scored twice, none is left out, none is scored before its session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.backtest.bar_times import format_day, parse_bar_time, parse_option
from ratchet.backtest.plan import SESSION_INTERVAL, USABLE, WARM_UP, plan
from ratchet.errors import DataRefused, InvalidInput
from tests.support.backtest_result import DAY, bar_times

TIMES = bar_times()


@given(start=st.integers(0, len(TIMES) - 7), every=st.integers(1, 400), horizon=st.integers(1, 5))
def test_segments_cover_the_bars_after_the_first_date_once(start: int, every: int, horizon: int) -> None:
    segments = plan("AAPL", TIMES, horizon, TIMES[start], every)
    at = {time: index for index, time in enumerate(TIMES)}
    scored = [time for part in segments for time in TIMES[at[part.first] : at[part.last] + 1]]
    assert scored == TIMES[start + 1 :]
    assert all(part.date < part.first <= part.last for part in segments)
    assert segments[-1].first <= TIMES[-1 - horizon]
    assert [part.last for part in segments[:-1]] == [part.date for part in segments[1:]]


@pytest.mark.parametrize("horizon", [1, 5])
def test_without_a_start_the_first_session_has_as_many_usable_bars_as_promised(horizon: int) -> None:
    segments = plan("AAPL", TIMES, horizon)
    at = TIMES.index(segments[0].date)
    assert at + 1 - WARM_UP - horizon == USABLE
    assert TIMES.index(segments[1].date) - at == SESSION_INTERVAL


def test_a_start_between_bars_is_the_bar_before_it() -> None:
    segments = plan("AAPL", TIMES, 1, TIMES[700] + DAY // 2, 100)
    assert segments[0].date == TIMES[700]


def test_a_series_that_is_too_short_says_how_many_bars_are_needed() -> None:
    with pytest.raises(DataRefused, match=r"196 bars, 1253 needed.*--start"):
        plan("FB", TIMES[:196], 1)


def test_a_start_outside_the_series_is_refused() -> None:
    with pytest.raises(DataRefused, match="choose a later --start"):
        plan("AAPL", TIMES, 1, TIMES[0] - DAY)
    with pytest.raises(DataRefused, match="choose an earlier --start"):
        plan("AAPL", TIMES, 1, TIMES[-1])


def test_dates_are_read_as_they_are_written() -> None:
    assert format_day(parse_option("--start", "2005-02-28")) == "2005-02-28T23:59:59Z"
    assert format_day(parse_bar_time("2005-02-28")) == "2005-02-28"
    assert parse_bar_time("2005-02-28T15:30:00Z") == parse_option("--start", "2005-02-28T15:30:00Z")
    with pytest.raises(InvalidInput, match="--start 'soon' is not a date"):
        parse_option("--start", "soon")
