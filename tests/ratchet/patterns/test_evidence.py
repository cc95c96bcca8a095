"""The packed flags of evidence come back as they were; no other form is accepted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.events.v1 import pattern_pb2
from ratchet.patterns.evidence import encode, flags


@given(row=st.integers(0, 10**6), bits=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_flags_come_back_as_they_were(row: int, bits: list[tuple[bool, bool]]) -> None:
    fired, outcomes = np.array(bits).T
    span = pattern_pb2.EvidenceSpan.FromString(encode(row, fired, outcomes).SerializeToString())
    assert (span.first_row, span.bars) == (row, len(bits))
    assert [column.tolist() for column in flags(span)] == [fired.tolist(), outcomes.tolist()]


def test_the_bits_of_a_bar_are_least_significant_first() -> None:
    fired = np.array([True, False, False, False, True, False, False, False, True])
    span = encode(7, fired, ~fired)
    assert (span.fired, span.outcomes) == (b"\x11\x01", b"\xee\x00")


def test_a_bar_takes_a_quarter_of_a_byte() -> None:
    bits = np.ones(1000, dtype=bool)
    assert encode(5000, bits, bits).ByteSize() < 1000 / 4 + 12


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda span: setattr(span, "bars", 0), "at least one"),
        (lambda span: setattr(span, "bars", 12), "1 bytes of fired; 12 bars take 2"),
        (lambda span: setattr(span, "fired", b""), "0 bytes of fired; 4 bars take 1"),
        (lambda span: setattr(span, "outcomes", b"\x01\x00"), "2 bytes of outcomes"),
        (lambda span: setattr(span, "outcomes", b"\xff"), "bits of outcomes beyond its 4 bars"),
    ],
)
def test_a_span_that_encode_does_not_make_is_refused(
    change: Callable[[pattern_pb2.EvidenceSpan], object], word: str
) -> None:
    span = encode(0, np.ones(4, dtype=bool), np.zeros(4, dtype=bool))
    change(span)
    with pytest.raises(InvalidInput, match=word):
        flags(span)


def test_columns_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(InvalidInput, match="each bar has one"):
        encode(0, np.ones(4, dtype=bool), np.ones(3, dtype=bool))
    with pytest.raises(InvalidInput, match="at least one"):
        encode(0, np.ones(0, dtype=bool), np.ones(0, dtype=bool))
