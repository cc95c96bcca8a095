"""Registered snapshots: facts that do not fit together are refused, and rows are those of the whole chain."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2, rows_pb2
from ratchet.patterns import snapshots as module
from ratchet.patterns.bar_times import common_rows, encode_times
from ratchet.patterns.snapshot_rows import RowRange
from ratchet.patterns.snapshots import SnapshotIndex
from tests.support.datasets import DAY, daily, dataset

Change = Callable[[facts_pb2.DatasetRegistered], object]


def seconds(field: str, value: int) -> Change:
    return lambda fact: setattr(getattr(fact, field), "seconds", value)


def refused(fact: facts_pb2.DatasetRegistered, known: SnapshotIndex | None = None) -> tuple[str, list[str]]:
    with pytest.raises(InvalidInput) as caught:
        (known or SnapshotIndex()).register("AAPL", fact)
    return caught.value.message, list(caught.value.fields)


def set_runs(*runs: tuple[int, int]) -> Change:
    return lambda fact: fact.standstills.extend(rows_pb2.RowRange(first_row=first, rows=rows) for first, rows in runs)


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        (lambda fact: setattr(fact, "rows", 0), "rows", "is 0; a snapshot has 1 to"),
        (lambda fact: setattr(fact, "rows", 2**40), "rows", "a snapshot has 1 to"),
        (lambda fact: setattr(fact, "rows", 9), "times", "holds 10 times; 9 rows without 0 kept ones need 9"),
        (lambda fact: fact.ClearField("times"), "times", "holds 0 times"),
        (lambda fact: setattr(fact, "kept_rows", -1), "kept_rows", "between 0 and the 10 rows"),
        (lambda fact: setattr(fact, "kept_rows", 11), "kept_rows", "between 0 and the 10 rows"),
        (lambda fact: setattr(fact, "kept_rows", 2), "kept_rows", "without cut_from or previous_digest"),
        (seconds("first_bar", 7), "first_bar", "is 7; the first of its times is 0"),
        (seconds("last_bar", 7), "last_bar", "is 7; the last of its times is 777600"),
        (set_runs((2, 0)), "standstills", "at least one"),
        (set_runs((5, 5), (0, 5)), "standstills", "sorted and do not overlap"),
        (set_runs((0, 5), (4, 5)), "standstills", "sorted and do not overlap"),
        (set_runs((-1, 5)), "standstills", "sorted and do not overlap"),
        (set_runs((5, 6)), "standstills", "up to row 10; the last row is 9"),
    ],
)
def test_a_registration_that_does_not_fit_together_is_refused(change: Change, field: str, word: str) -> None:
    fact = dataset(rows=10)
    change(fact)
    message, fields = refused(fact)
    assert word in message
    assert message.startswith(field)
    assert fields == [f"dataset.{field}"]


def base() -> SnapshotIndex:
    known = SnapshotIndex()
    known.register("AAPL", dataset(digest="base", rows=10))
    return known


def kept(rows: int, kept_rows: int, **more: str) -> facts_pb2.DatasetRegistered:
    return dataset(digest="d2", rows=rows, kept_rows=kept_rows, **{"previous_digest": "base", **more})


def clear_times(fact: facts_pb2.DatasetRegistered) -> None:
    fact.kept_rows = fact.rows
    fact.ClearField("times")


@pytest.mark.parametrize(
    ("fact", "change", "field", "word"),
    [
        (kept(12, 10, previous_digest="other"), None, "kept_rows", "of snapshot 'other', which is not registered"),
        (kept(12, 11), None, "kept_rows", "is 11; snapshot base has 10 rows"),
        (kept(12, 10), seconds("first_bar", 5), "first_bar", "is 5; that of its kept rows is 0"),
        (kept(8, 8, cut_from="base"), seconds("last_bar", 8 * DAY), "last_bar", "that of its 8 kept rows is 604800"),
        (
            kept(12, 10),
            lambda fact: fact.times.CopyFrom(encode_times(np.array([9 * DAY, 11 * DAY], dtype=np.int64))),
            "times",
            "begins at 777600; the last kept row is at 777600",
        ),
        (kept(2, 2), lambda fact: (setattr(fact, "rows", 2), seconds("last_bar", 0)(fact)), "first_bar", "increase"),
    ],
)
def test_a_registration_that_does_not_fit_to_its_base_is_refused(
    fact: facts_pb2.DatasetRegistered, change: Change | None, field: str, word: str
) -> None:
    if change is not None:
        change(fact)
    message, fields = refused(fact, base())
    assert word in message
    assert fields == [f"dataset.{field}"]


@pytest.mark.parametrize(
    ("again", "field"),
    [
        (dataset(digest="base", rows=11), "rows"),
        (dataset(digest="base", times=daily(10, DAY)), "first_bar"),
        (dataset(digest="base", times=np.append(daily(9), 10 * DAY)), "last_bar"),
        (dataset(digest="base", rows=10, standstills=[RowRange(0, 5)]), "standstills"),
    ],
)
def test_the_same_snapshot_has_the_same_rows_each_time_it_is_registered(
    again: facts_pb2.DatasetRegistered, field: str
) -> None:
    message, fields = refused(again, base())
    assert "when the same snapshot was registered before" in message
    assert fields == [f"dataset.{field}"]


def test_a_snapshot_that_returns_keeps_its_rows_and_makes_no_circle() -> None:
    known = base()
    known.register("AAPL", dataset(digest="d2", rows=12, kept_rows=10, previous_digest="base"))
    known.register("AAPL", dataset(digest="base", rows=10, kept_rows=10, previous_digest="d2"))
    assert known.rows("base", "AAPL").times.tolist() == daily(10).tolist()
    assert known.rows("d2", "AAPL").times.tolist() == daily(12).tolist()


def test_an_unknown_snapshot_and_one_of_another_series_are_refused() -> None:
    known = base()
    with pytest.raises(InvalidInput, match="'d9' is not registered; evidence names a registered snapshot"):
        known.rows("d9", "AAPL")
    with pytest.raises(InvalidInput, match="'base' is of AAPL, not of IBM@1h"):
        known.rows("base", "IBM@1h")
    known.register("IBM@1h", dataset("IBM@1h", "base", rows=10))
    assert len(known.rows("base", "IBM@1h")) == 10


histories = st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(1, 3), max_size=8), st.booleans()), max_size=8)


def written(history: list[tuple[int, list[int], bool]]) -> tuple[SnapshotIndex, dict[str, NDArray[np.int64]]]:
    """Snapshots, each of which keeps some rows of the one before and goes on with other times, or is a cut of it."""
    known, rows = SnapshotIndex(), {"s0": daily(20)}
    known.register("AAPL", dataset(digest="s0", times=rows["s0"]))
    for number, (keeps, steps, cut) in enumerate(history, 1):
        before = rows[f"s{number - 1}"]
        head = before[: max(1, keeps)]
        times = head if cut else np.concatenate([head, head[-1] + np.cumsum(steps, dtype=np.int64) * DAY])
        fact = dataset(
            digest=f"s{number}", times=times, kept_rows=common_rows(before, times), previous_digest=f"s{number - 1}"
        )
        known.register("AAPL", fact)
        rows[f"s{number}"] = times
    return known, rows


@given(history=histories, data=st.data())
def test_rows_are_those_of_the_whole_chain_in_any_order_of_questions(
    history: list[tuple[int, list[int], bool]], data: st.DataObject
) -> None:
    known, rows = written(history)
    for digest in data.draw(st.permutations(sorted(rows) * 2)):
        assert known.rows(digest, "AAPL").times.tolist() == rows[digest].tolist()


def test_dropped_arrays_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_ROWS", 30)
    known, rows = written([(30, [1], False)] * 6)
    for digest in [*rows, *reversed(rows)]:
        assert known.rows(digest, "AAPL").times.tolist() == rows[digest].tolist()


def test_snapshots_that_continue_each_other_share_one_array() -> None:
    known = SnapshotIndex()
    known.register("AAPL", dataset(digest="s0", rows=100))
    known.register("AAPL", dataset(digest="s1", rows=101, kept_rows=100, previous_digest="s0"))
    known.register("AAPL", dataset(digest="s2", rows=102, kept_rows=101, previous_digest="s1"))
    known.register("AAPL", dataset(digest="cut", rows=7, kept_rows=7, cut_from="s2"))
    arrays = [known.rows(digest, "AAPL").times for digest in ("s0", "s1", "s2", "cut")]
    assert all(np.shares_memory(arrays[0], other) for other in arrays[1:])
    assert known.rows("cut", "AAPL").times.tolist() == daily(7).tolist()


def test_threads_may_ask_for_rows_while_snapshots_arrive() -> None:
    known = base()

    def add(number: int) -> None:
        previous = "base" if number == 11 else f"n{number - 1}"
        known.register(
            "AAPL", dataset(digest=f"n{number}", rows=number, kept_rows=number - 1, previous_digest=previous)
        )

    with ThreadPoolExecutor(4) as threads:
        for number in range(11, 60):
            add(number)
            found = threads.map(lambda _, n=number: known.rows(f"n{n}", "AAPL").times[-1], range(4))  # type: ignore[misc]
            assert set(found) == {(number - 1) * DAY}
