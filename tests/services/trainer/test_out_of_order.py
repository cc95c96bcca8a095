"""Sessions of later market time, at whatever point of the log, change no session of earlier market time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from bench import planted
from bench.loop import Loop, Played
from ratchet.patterns.snapshot_rows import SnapshotRows
from ratchet.scoring.data.bars import WARM_UP
from services.trainer.learning.inputs import SessionOptions

BARS = planted.series(2)[0]
TASK = f"{BARS.series}/direction"
OPTIONS = SessionOptions(suggestions=1)
OF_THE_RACE = {"champion", "contenders", "symbol_best", "pairs", "symbol_pairs", "diagnoses"}
"""Fields that tell of the models in force; diagnoses say why the one in force was not replaced."""
OF_THE_RUN = {"read_position", "cpu_seconds"}


@dataclass(frozen=True)
class Session:
    """Of a model type, on the first `bars` usable bars."""

    model_type: str
    bars: int

    @property
    def lineage(self) -> str:
        return f"{TASK}/{self.model_type}"


def logistic(bars: int) -> Session:
    return Session("logistic", bars)


def xgboost(bars: int) -> Session:
    return Session("xgboost", bars)


EARLY = (
    logistic(650),
    xgboost(700),
    logistic(1250),
    xgboost(1300),
    logistic(1000),
    xgboost(1600),
    logistic(1550),
    xgboost(1100),
)
"""Some of these go back themselves. They mine rules, use each other's, and change champions."""
LATE = logistic(2300), xgboost(2250)


@cache
def after(sessions: tuple[Session, ...]) -> dict[Session, Played]:
    """Each session run after the ones before it, in one log."""
    loops: dict[str, Loop] = {}
    played: dict[Session, Played] = {}
    for each in sessions:
        if each.lineage not in loops:
            loops[each.lineage] = Loop(each.lineage, "plain", OPTIONS, beside=next(iter(loops.values()), None))
        played[each] = loops[each.lineage].session(BARS.head(WARM_UP + each.bars + 1), seed=each.bars)
    return played


def until(session: Session) -> tuple[Session, ...]:
    """The session and those before it that are of no later market time."""
    return tuple(each for each in EARLY[: EARLY.index(session) + 1] if each.bars <= session.bars)


def plain(value: Any, names: Sequence[str]) -> object:
    """Bit for bit comparable; versions are told by the order of `names`, for insertions renumber them."""
    if dataclasses.is_dataclass(value):
        fields = {field.name for field in dataclasses.fields(value)} - OF_THE_RACE - OF_THE_RUN
        return {name: plain(getattr(value, name), names) for name in sorted(fields)}
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, SnapshotRows):
        return [value.times.tobytes(), value.standstills]
    if isinstance(value, list | tuple):
        return [plain(each, names) for each in value]
    if isinstance(value, str):
        for place, name in enumerate(names):
            value = value.replace(name, f"version {place}")
    return value if isinstance(value, bytes) else repr(value)


def told(session: Session, timeline: dict[Session, Played]) -> object:
    """All that went into a session and all that came of it, but for the race."""
    names = [
        each.model
        for which, each in timeline.items()
        if which.model_type == session.model_type and which.bars <= session.bars
    ]
    played = timeline[session]
    return plain((played.inputs, played.outcome), names)


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in {0, 4} else pytest.mark.slow) for point in range(len(EARLY))]
)
def test_inserting_later_sessions_changes_no_earlier_one(point: int) -> None:
    base, inserted = after(EARLY), after((*EARLY[:point], *LATE, *EARLY[point:]))
    for session in EARLY:
        assert told(session, inserted) == told(session, base), session


def test_a_session_that_goes_back_is_the_one_of_a_log_that_ends_there() -> None:
    for session in EARLY:
        assert told(session, after(EARLY)) == told(session, after(until(session))), session


def test_the_sessions_of_this_test_have_something_to_forget() -> None:
    """Each kind of memory is there to leak: rules, studies, steps, rankings, another parent than the champion."""
    first_late = after((*LATE, *EARLY))
    of_late = [first_late[each].outcome for each in LATE]
    assert all(outcome.mining.rules and outcome.importance and outcome.trials for outcome in of_late)
    last = first_late[EARLY[-2]].inputs
    assert last.champion is not None
    assert last.parent is not None
    assert last.parent.name != last.champion.name
    parents = {played.inputs.parent.name for played in after(EARLY).values() if played.inputs.parent}
    assert len(parents) > 2
    assert any(played.inputs.patterns and played.inputs.important for played in after(EARLY).values())
    assert any(played.outcome.mining.rules for played in after(EARLY).values())
