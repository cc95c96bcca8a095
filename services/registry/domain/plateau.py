"""Saturation: sessions in a row that had new bars and brought neither a new pattern nor a gain that can be seen."""

from __future__ import annotations

from typing import NamedTuple

from ratchet.events.v1 import decision_pb2

SATURATED_SESSIONS = 3


class FlatSession(NamedTuple):
    """A session that brought nothing: its model used no new pattern, and its gain over the champion holds 0.

    `gain`, `low`, `high`: the relative Brier improvement over the champion of its time, percent, on `bars` bars.
    """

    version: int
    bars: int
    gain: float
    low: float
    high: float


def flat_session(version: int, learned: bool, judgement: decision_pb2.Judgement | None) -> FlatSession | None:
    """A declined session with new bars, if it brought nothing; None as well where its gain has no interval.

    `learned`: its model used a pattern that none before it used; `judgement`: of its model, None without evidence.
    """
    if learned or judgement is None:
        return None
    gain = judgement.improvement_percent
    low, high = gain.low, gain.high
    if not low <= 0.0 <= high or not (gain.HasField("low") and gain.HasField("high")):
        return None
    return FlatSession(version, judgement.bars, gain.value, low, high)


def run_with(flat: tuple[FlatSession, ...], session: FlatSession | None) -> tuple[FlatSession, ...]:
    """The latest flat sessions in a row, at most as many as saturation takes; none after one that was not flat."""
    return (*flat, session)[-SATURATED_SESSIONS:] if session else ()
