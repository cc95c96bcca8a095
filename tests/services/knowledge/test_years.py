"""The evidence for a rule, year by year."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.knowledge.domain.counts import count
from services.knowledge.domain.evidence import Evidence
from services.knowledge.domain.years import Year, by_year
from tests.support.planted_rule import DAY


def told(times: list[int], fired: list[bool], outcomes: list[bool]) -> Evidence:
    bars = np.array(times, dtype=np.int64)
    return Evidence(
        bars,
        bars + DAY,
        np.array(fired, dtype=bool),
        np.array(outcomes, dtype=bool),
        np.ones(len(bars), dtype=np.int64),
    )


def second(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


def test_a_year_begins_at_midnight_utc() -> None:
    times = [second(2023, 12, 31, 23, 59, 59), second(2024, 1, 1), second(2024, 12, 31), second(2026, 3, 3)]
    found = by_year(told(times, [True, True, False, False], [True, False, True, True]), label=True)
    assert found == (Year(2023, 1, 1, 1, 1.0), Year(2024, 2, 1, 0, 0.5), Year(2026, 1, 0, 0, 1.0))


def test_years_before_1970_are_years_too() -> None:
    times = [second(1962, 1, 2), second(1969, 12, 31, 23), second(1970, 1, 1)]
    assert [each.year for each in by_year(told(times, [False] * 3, [True] * 3), label=True)] == [1962, 1969, 1970]


def test_hits_and_base_rate_are_of_the_label_that_the_rule_foretells() -> None:
    evidence = told(
        [second(2024, 1, day) for day in (2, 3, 4, 5)], [True, True, True, False], [False, False, True, True]
    )
    assert by_year(evidence, label=True) == (Year(2024, 4, 3, 1, 0.5),)
    assert by_year(evidence, label=False) == (Year(2024, 4, 3, 2, 0.5),)


def test_without_a_bar_there_is_no_year() -> None:
    assert by_year(Evidence.none(), label=True) == ()


@given(
    days=st.lists(st.integers(-4000, 20_000), min_size=1, max_size=60, unique=True),
    data=st.data(),
    label=st.booleans(),
)
def test_the_years_add_up_to_the_counts(days: list[int], data: st.DataObject, label: bool) -> None:
    flags = st.lists(st.booleans(), min_size=len(days), max_size=len(days))
    evidence = told([day * DAY for day in sorted(days)], data.draw(flags), data.draw(flags))
    years, whole = by_year(evidence, label), count(evidence, label, 1)
    assert [each.year for each in years] == sorted({each.year for each in years})
    assert sum(each.bars for each in years) == whole.bars
    assert (sum(each.support for each in years), sum(each.hits for each in years)) == (whole.support, whole.hits)
    assert np.isclose(sum(each.base_rate * each.bars for each in years), whole.base_rate * whole.bars)
