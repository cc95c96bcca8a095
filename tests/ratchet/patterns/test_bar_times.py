"""Run-length coded bar times come back as they were, in one canonical form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.events.v1 import rows_pb2
from ratchet.patterns.bar_times import check_times, common_rows, decode_times, encode_times

DAY = 86_400


@given(first=st.integers(-(10**10), 10**10), steps=st.lists(st.sampled_from((60, 900, DAY, 3 * DAY, 7)), max_size=60))
def test_times_come_back_as_they_were(first: int, steps: list[int]) -> None:
    times = np.cumsum([first, *steps], dtype=np.int64)
    coded = rows_pb2.BarTimes.FromString(encode_times(times).SerializeToString())
    assert decode_times(coded).tolist() == times.tolist()
    assert check_times(coded) == (len(times), times[-1])


def test_the_form_of_a_week_is_known() -> None:
    days = np.array([0, 1, 2, 3, 4, 7, 8], dtype=np.int64) * DAY
    assert encode_times(days) == rows_pb2.BarTimes(first=0, unit=DAY, steps=[1, 3, 1], counts=[4, 1, 1])
    assert encode_times(days[:1]) == rows_pb2.BarTimes()


def test_a_year_of_weekdays_takes_some_hundred_bytes() -> None:
    days = np.busday_offset("2024-01-01", np.arange(261)).astype("datetime64[s]").astype(np.int64)
    assert encode_times(days).ByteSize() < 250


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda coded: coded.counts.pop(), "3 steps with 2 counts"),
        (lambda coded: coded.steps.__setitem__(1, 0), "a step of 0"),
        (lambda coded: coded.counts.__setitem__(0, 0), "a count of 0"),
        (lambda coded: coded.steps.__setitem__(1, 1), "same step twice"),
        (lambda coded: coded.steps.__setitem__(slice(None), [2, 6, 2]), "greatest common divisor"),
        (lambda coded: setattr(coded, "unit", 0), "unit 0"),
        (lambda coded: setattr(coded, "unit", -1), "unit -1"),
        (lambda coded: (coded.ClearField("steps"), coded.ClearField("counts")), "unit 86400"),
        (lambda coded: setattr(coded, "first", 2**62), "years 1 to 9999"),
        (lambda coded: coded.counts.__setitem__(0, 2**62), "years 1 to 9999"),
    ],
)
def test_a_form_that_encode_does_not_make_is_refused(change: Callable[[rows_pb2.BarTimes], object], word: str) -> None:
    coded = encode_times(np.array([0, 1, 2, 3, 4, 7, 8], dtype=np.int64) * DAY)
    change(coded)
    with pytest.raises(InvalidInput, match=word) as caught:
        check_times(coded)
    assert list(caught.value.fields) == ["dataset.times"]


def test_common_rows_end_at_the_first_different_time() -> None:
    times = np.array([1, 2, 3, 5], dtype=np.int64)
    assert [common_rows(times, np.array(other)) for other in ([1, 2, 3, 5, 6], [1, 2, 4], [2], [])] == [4, 2, 0, 0]
