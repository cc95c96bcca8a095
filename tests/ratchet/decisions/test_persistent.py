"""Values that grow: they behave as plain dicts would, never change, and stay cheap."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.decisions.persistent import CHUNK, SMALL, PersistentList, PersistentMap, fast_replace

keys = st.integers(0, 300)


@given(st.lists(st.tuples(keys, st.integers()), max_size=400))
def test_it_holds_what_a_dict_of_the_same_entries_holds(entries: list[tuple[int, int]]) -> None:
    grown: PersistentMap[int, int] = PersistentMap()
    for key, value in entries:
        grown = grown.with_entry(key, value)
    plain = dict(entries)
    assert grown == plain
    assert (len(grown), bool(grown), set(grown)) == (len(plain), bool(plain), set(plain))
    for key in range(0, 301, 7):
        assert (grown.get(key), key in grown) == (plain.get(key), key in plain)


@given(st.lists(keys, min_size=1, max_size=200), st.data())
def test_an_older_value_stays_as_it_was_whatever_grows_from_it(order: list[int], data: st.DataObject) -> None:
    grown, history = PersistentMap[int, int](), []
    for number, key in enumerate(order):
        grown = grown.with_entry(key, number)
        history.append((grown, dict(grown)))
    older, then = data.draw(st.sampled_from(history))
    branch = older.with_entry(7, -1).with_entry(-7, -1)
    assert older == then
    assert branch == {**then, 7: -1, -7: -1}
    assert grown == history[-1][1]


def test_ten_thousand_entries_lie_in_a_few_layers_and_a_new_one_copies_few() -> None:
    grown: PersistentMap[int, int] = PersistentMap()
    copied = 0
    for number in range(10_000):
        before = {id(level) for level in grown._levels}
        grown = grown.with_entry(number, number)
        copied += sum(len(level) for level in grown._levels if id(level) not in before)
    assert len(grown._levels) <= 10
    assert copied / 10_000 <= SMALL
    with pytest.raises(KeyError):
        grown[10_000]


@given(st.lists(st.integers(), max_size=4 * CHUNK), st.data())
def test_an_appended_list_holds_its_values_and_an_older_one_stays_as_it_was(
    values: list[int], data: st.DataObject
) -> None:
    history = [PersistentList[int]()]
    for value in values:
        history.append(history[-1].with_value(value))
    assert [len(grown) for grown in history] == list(range(len(values) + 1))
    assert [history[-1][index] for index in range(len(values))] == values
    then = data.draw(st.integers(0, len(values)))
    branch = history[then].with_value(-1)
    assert [branch[index] for index in range(then + 1)] == [*values[:then], -1]
    assert [history[-1][index] for index in range(len(values))] == values
    assert (history[then] == branch, branch == history[then].with_value(-1)) == (False, True)


def test_a_frozen_value_is_changed_by_a_copy() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int
        y: int = 0

    point = Point(1)
    assert (fast_replace(point, y=2), point) == (Point(1, 2), Point(1, 0))
