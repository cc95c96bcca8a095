"""A spark line: a block a value, between two ends that it names nowhere but keeps to."""

from hypothesis import given
from hypothesis import strategies as st

from ratchet.cli.sparkline import BLOCKS, MAX_BLOCKS, sparkline


def test_the_ends_of_the_scale_are_the_lowest_and_the_highest_block() -> None:
    assert sparkline([0.0, 1.0]) == "▁█"
    assert sparkline([0.5, 1.0], low=0.5) == "▁█"


def test_what_lies_outside_of_the_scale_is_shown_at_its_end() -> None:
    assert sparkline([0.4, 0.49, 1.2], low=0.5) == "▁▁█"


def test_each_block_stands_for_an_eighth() -> None:
    assert sparkline([number / 8 + 0.01 for number in range(8)]) == BLOCKS


def test_a_lone_value_is_one_block_and_none_is_none() -> None:
    assert sparkline([0.66], low=0.5) == "▃"
    assert sparkline([]) == ""


def test_a_missing_value_keeps_its_place() -> None:
    assert sparkline([None, 1.0, None, 0.0]) == " █ ▁"


def test_a_scale_without_a_height_tells_only_above_from_not_above() -> None:
    assert sparkline([0.0, 0.2], high=0.0) == "▁█"


@given(st.lists(st.floats(0, 1), max_size=80))
def test_a_long_history_is_thinned_to_its_ends_and_what_lies_evenly_between(values: list[float]) -> None:
    drawn = sparkline(values)
    assert len(drawn) == min(len(values), MAX_BLOCKS)
    if values:
        assert drawn[0] == sparkline(values[:1])
        assert drawn[-1] == sparkline(values[-1:])


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_value_is_never_drawn_lower(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert BLOCKS.index(sparkline([low])) <= BLOCKS.index(sparkline([high]))
