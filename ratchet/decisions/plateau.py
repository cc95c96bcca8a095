"""Plateau: consecutive sessions with new bars and without a new pattern or a measurable gain."""

from __future__ import annotations

from typing import NamedTuple

from ratchet.events.v1 import decision_pb2

PLATEAU_SESSIONS = 3


class FlatSession(NamedTuple):
    """A session without progress: no new pattern, and a gain over the champion with 0 in its interval.

    `gain`, `low`, `high`: the relative Brier improvement over the champion of its time, percent, on `bars` bars.
    """

    version: int
    bars: int
    gain: float
    low: float
    high: float


def flat_session(version: int, found_new_pattern: bool, judgement: decision_pb2.Judgement | None) -> FlatSession | None:
    """The FlatSession of a declined session with new bars; None if it had progress, or a gain without an interval.

    `found_new_pattern`: its model used a pattern that no earlier one used; `judgement`: of its model, None without
    evidence.
    """
    if found_new_pattern or judgement is None:
        return None
    gain = judgement.improvement_percent
    low, high = gain.low, gain.high
    if not low <= 0.0 <= high or not (gain.HasField("low") and gain.HasField("high")):
        return None
    return FlatSession(version, judgement.bars, gain.value, low, high)


def extend_plateau(flat: tuple[FlatSession, ...], session: FlatSession | None) -> tuple[FlatSession, ...]:
    """The latest consecutive flat sessions, at most PLATEAU_SESSIONS; none after a session with progress."""
    return (*flat, session)[-PLATEAU_SESSIONS:] if session else ()
