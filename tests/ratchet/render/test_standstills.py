"""Bars without trade are named by their number and first runs."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.render.standstills import standstill_notes
from ratchet.trainer.v1 import trainer_pb2

DAY = 86_400


def run(first: int, bars: int, step: int = DAY) -> trainer_pb2.Standstill:
    last = first + (bars - 1) * step
    return trainer_pb2.Standstill(first_bar=Timestamp(seconds=first), last_bar=Timestamp(seconds=last), bars=bars)


def test_without_a_run_there_is_no_note() -> None:
    assert list(standstill_notes([])) == []


def test_a_run_is_named_by_its_first_and_last_bar() -> None:
    expected = "6 bars without trade, 1970-01-02 to 1970-01-07: they carry no label, evidence or pattern"
    assert list(standstill_notes([run(DAY, 6)])) == [expected]
    [hours] = standstill_notes([run(3600, 5, 3600)])
    assert hours.startswith("5 bars without trade, 1970-01-01T01:00:00Z to 1970-01-01T05:00:00Z:")


def test_three_runs_are_named_and_the_others_counted() -> None:
    runs = [run(10 * number * DAY, 5) for number in range(5)]
    [four] = standstill_notes(runs[:4])
    assert four.startswith(
        "20 bars without trade, 1970-01-01 to 1970-01-05, 1970-01-11 to 1970-01-15, 1970-01-21 to 1970-01-25 and 1"
        " more run: "
    )
    [five] = standstill_notes(runs)
    assert " and 2 more runs: " in five
