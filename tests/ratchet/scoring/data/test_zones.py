"""Local times and UTC: the same moments, also where clocks are set back or forward."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.scoring.data.zones import Times, Zones, around_the_clock, offsets, to_utc

HOUR, WEEK = 3600, 604_800
MONDAY = 1_704_067_200
"""2024-01-01, midnight UTC."""

zones = st.sampled_from(
    ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tokyo"]
)


@st.composite
def times(draw: st.DrawFn) -> Times:
    """Bars of one length in the years 1900 to 2100."""
    step = draw(st.sampled_from([60, 900, HOUR, 4 * HOUR]))
    first = draw(st.integers(-2_208_988_800, 4_102_444_800))
    return first // step * step + step * np.arange(draw(st.integers(1, 2000)))


@settings(max_examples=60, deadline=None)
@given(zone=zones, time=times())
def test_local_times_in_their_order_are_one_series_of_moments(zone: str, time: Times) -> None:
    local = time + offsets(zone, time)
    moments = [datetime.fromtimestamp(int(moment), ZoneInfo(zone)) for moment in time]
    assert local.tolist() == [int(moment.replace(tzinfo=UTC).timestamp()) for moment in moments]
    for order in (1, -1):
        back, skipped = to_utc(zone, local[::order])
        assert np.array_equal(back, time[::order])
        assert not skipped.any()


def test_a_time_that_clocks_are_set_forward_over_is_known_as_such() -> None:
    night = np.array([datetime(2023, 3, 26, hour, 30, tzinfo=UTC).timestamp() for hour in range(5)], np.int64)
    assert to_utc("Europe/Berlin", night)[1].tolist() == [False, False, True, False, False]
    day = np.array([datetime(2011, 12, day, 12, tzinfo=UTC).timestamp() for day in (29, 30, 31)], np.int64)
    assert to_utc("Pacific/Apia", day)[1].tolist() == [False, True, False]


def test_a_twofold_hour_that_is_there_once_is_the_first_one() -> None:
    bars = [datetime(2023, 11, 5, 1, minute, tzinfo=UTC) for minute in (0, 30)]
    local = np.array([moment.timestamp() for moment in bars], np.int64)
    assert to_utc("America/New_York", local)[0].tolist() == [int(t.timestamp()) + 4 * HOUR for t in bars]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (range(168), True),
        (range(0, 168, 24), True),
        (range(120), False),
        ((*range(96), *range(144, 168)), False),
        ((*range(118), *range(166, 168)), False),
    ],
    ids=["always", "once a day", "Monday to Friday", "Sunday to Thursday", "foreign exchange"],
)
def test_a_market_around_the_clock_trades_on_both_days_of_the_weekend(hours: Collection[int], expected: bool) -> None:
    """`hours` of the week, from Monday on, in which it trades."""
    time = [MONDAY + hour * HOUR for hour in range(10 * 168) if hour % 168 in hours]
    assert around_the_clock(np.array(time)) == expected


def test_less_than_a_week_shows_nothing() -> None:
    assert around_the_clock(MONDAY + np.arange(0, WEEK + 1, HOUR))
    assert not around_the_clock(MONDAY + np.arange(0, WEEK, HOUR))
    assert not around_the_clock(np.empty(0, np.int64))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"timezone": "New_York"}, "unknown --timezone 'New_York'; did you mean America/New_York?"),
        ({"market": "europe/berlin"}, "unknown --market-timezone 'europe/berlin'; did you mean Europe/Berlin?"),
        ({"market": "+02:00"}, r"unknown --market-timezone '\+02:00'; give an IANA name such as America/New_York"),
        ({"timezone": "../../etc/localtime"}, "unknown --timezone"),
        ({"timezone": "localtime"}, "unknown --timezone"),
    ],
)
def test_a_zone_that_the_iana_database_does_not_have_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Zones(**asked)
