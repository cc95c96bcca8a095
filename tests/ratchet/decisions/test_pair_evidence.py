"""The bytes of a pair have one layout, come back unchanged, and are refused when they are not a pair."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.decisions.evidence import PairedForecasts, pack, unpack
from ratchet.errors import InvalidInput

probability = st.floats(0.0, 1.0)
SMALL = pack([0.25, 0.5, 1.0], [0.5, 0.5, 0.0], [1, 0, 1], [-5, 0, 86_400])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[float], list[float], list[int], list[int]]:
    n = draw(st.integers(0, 40))
    times = sorted(draw(st.sets(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n)))
    probabilities = st.lists(probability, min_size=n, max_size=n)
    return draw(probabilities), draw(probabilities), draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), times


@given(pairs())
def test_a_pair_comes_back_and_packs_to_the_same_bytes(
    columns: tuple[list[float], list[float], list[int], list[int]],
) -> None:
    data = pack(*columns)
    pair = unpack(data)
    assert (pair.p_a.tolist(), pair.p_b.tolist(), pair.y.tolist(), pair.times.tolist()) == columns
    assert pack(pair.p_a, pair.p_b, pair.y, pair.times) == data
    assert len(pair) == len(columns[0])


def test_the_layout_byte_by_byte() -> None:
    expected = b"RPE1" + struct.pack("<I6dB3q", 3, 0.25, 0.5, 1.0, 0.5, 0.5, 0.0, 0b101, -5, 0, 86_400)
    assert expected == SMALL


def test_no_bars_is_the_header_alone() -> None:
    assert pack([], [], [], []) == b"RPE1\0\0\0\0"
    assert len(unpack(b"RPE1\0\0\0\0")) == 0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (([0.5, 1.5], [0.5, 0.5], [0, 1], [1, 2]), r"p_a\[1\] is 1.5; a probability lies in 0 to 1"),
        (([0.5, 0.5], [0.5, float("nan")], [0, 1], [1, 2]), r"p_b\[1\] is nan; every value must be finite"),
        (([0.5, 0.5], [-0.1, 0.5], [0, 1], [1, 2]), r"p_b\[0\] is -0.1"),
        (([0.5, 0.5], [0.5, 0.5], [0, 2], [1, 2]), r"y\[1\] is 2.0; an outcome is 0 or 1"),
        (([0.5, 0.5], [0.5, 0.5], [0, 1], [2, 2]), r"times\[1\] is 2, not after 2"),
        (([0.5, 0.5], [0.5, 0.5], [0, 1], [1.5, 2.5]), "epoch seconds UTC as integers"),
        (([0.5, 0.5], [0.5], [0, 1], [1, 2]), "p_a 2, p_b 1, y 2, times 2"),
        (([[0.5]], [0.5], [1], [1]), "p_a has 2 dimensions"),
    ],
)
def test_columns_that_are_no_pair_are_refused(columns: tuple, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        pack(*columns)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"RPE", "header alone has 8"),
        (b"XXXX" + SMALL[4:], "begins with b'XXXX'"),
        (SMALL[:-1], "exactly 81 expected"),
        (SMALL + b"\0", "exactly 81 expected"),
        (b"RPE1\xff\xff\xff\xff", "4294967295 bars"),
        (SMALL[:56] + b"\x0d" + SMALL[57:], "bits set after the last bar"),
        (SMALL[:8] + struct.pack("<d", 2.0) + SMALL[16:], r"p_a\[0\] is 2.0"),
        (SMALL[:-8] + struct.pack("<q", 0), r"times\[2\] is 0, not after 0"),
    ],
)
def test_bytes_that_are_no_pair_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        unpack(data)


def test_a_pair_knows_its_columns() -> None:
    pair = PairedForecasts.of([0.1], [0.2], [True], [7])
    assert (pair.y.dtype, pair.times.dtype, len(pair)) == (np.bool_, np.int64, 1)
