"""Packed evidence comes back as it was, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.events.v1 import pattern_pb2
from ratchet.patterns.evidence import decode, decode_all, encode

Change = Callable[[pattern_pb2.EvidenceSpan], object]

DAY = 86_400


@given(
    first=st.integers(-10_000_000_000, 10_000_000_000),
    steps=st.lists(st.integers(1, 10 * DAY), min_size=5, max_size=60),
    bits=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=60, max_size=60),
    horizon=st.integers(1, 5),
)
def test_a_span_comes_back_as_it_was(first: int, steps: list[int], bits: list[tuple[bool, bool]], horizon: int) -> None:
    times = np.cumsum([first, *steps], dtype=np.int64)
    bars = len(times) - horizon
    fired, outcomes = np.array(bits[:bars]).T
    back = decode(pattern_pb2.EvidenceSpan.FromString(encode(times, fired, outcomes).SerializeToString()))
    np.testing.assert_array_equal(back.times, times[:bars])
    np.testing.assert_array_equal(back.label_times, times[horizon:])
    np.testing.assert_array_equal(back.fired, fired)
    np.testing.assert_array_equal(back.outcomes, outcomes)


def test_a_bar_of_daily_evidence_takes_less_than_four_bytes() -> None:
    times = np.arange(1001, dtype=np.int64) * DAY
    bits = np.ones(1000, dtype=bool)
    assert encode(times, bits, bits).ByteSize() < 4 * 1000


def test_spans_are_joined_in_order_and_no_span_gives_no_bars() -> None:
    bits = np.array([True, False])
    later = encode(np.array([10, 20, 30], dtype=np.int64) * DAY, bits, bits)
    earlier = encode(np.array([1, 2, 3], dtype=np.int64) * DAY, bits, ~bits)
    joined = decode_all(pattern_pb2.BarEvidence(spans=[later, earlier]))
    assert (joined.times // DAY).tolist() == [10, 20, 1, 2]
    assert joined.outcomes.tolist() == [True, False, False, True]
    assert all(len(column) == 0 for column in decode_all(pattern_pb2.BarEvidence()))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda span: setattr(span, "bars", 0), "at least one bar"),
        (lambda span: setattr(span, "bars", 5), "horizon times"),
        (lambda span: setattr(span, "bars", 12), "horizon times"),
        (lambda span: setattr(span, "fired", b""), "fired has 0 bytes; 4 bars take 1"),
        (lambda span: setattr(span, "outcomes", b"\x01\x00"), "outcomes has 2 bytes"),
        (lambda span: setattr(span, "outcomes", b"\xff"), "bits beyond its 4 bars"),
        (lambda span: span.times.__setitem__(2, 0), "strictly increase"),
        (lambda span: span.times.__setitem__(2, -5), "strictly increase"),
        (lambda span: span.times.__setitem__(0, 2**62), "years 1 to 9999"),
    ],
)
def test_what_encode_did_not_make_is_refused(change: Change, word: str) -> None:
    span = encode(np.arange(5, dtype=np.int64) * DAY, np.ones(4, dtype=bool), np.zeros(4, dtype=bool))
    change(span)
    with pytest.raises(InvalidInput, match=word):
        decode(span)


def test_columns_that_do_not_fit_together_are_refused() -> None:
    times = np.arange(5, dtype=np.int64)
    with pytest.raises(InvalidInput, match="each bar needs one"):
        encode(times, np.ones(4, dtype=bool), np.ones(3, dtype=bool))
    with pytest.raises(InvalidInput, match="horizon times"):
        encode(times, np.ones(5, dtype=bool), np.ones(5, dtype=bool))
