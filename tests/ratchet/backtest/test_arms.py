"""Each arm has the model in force that its rule says, and none that saw what it forecasts."""

from dataclasses import replace

import pytest

from ratchet.backtest.arms import newest, require_unseen
from ratchet.backtest.result import TRAINED, Result
from ratchet.errors import PreconditionFailed
from tests.support.backtest_result import BASELINES


def test_there_is_every_arm_with_a_forecast_for_every_bar(result: Result) -> None:
    assert tuple(arm.name for arm in result.arms) == (*TRAINED, *BASELINES)
    assert {len(arm.probabilities) for arm in result.arms} == {len(result.times)}


@pytest.mark.parametrize("name", ["ratchet", "always replaced", "never retrained"])
def test_a_model_in_force_on_a_bar_was_trained_on_bars_before_it(result: Result, name: str) -> None:
    for segment, number in zip(result.segments, result.arm(name).versions, strict=True):
        version = result.loop.version(number)
        assert version.fit_label_end <= segment.date < segment.first
        assert version.holdout.label_end <= segment.date


def test_each_arm_follows_its_rule(result: Result) -> None:
    sessions = result.loop.sessions
    assert result.arm("ratchet").versions == tuple(session.champion for session in sessions)
    assert result.arm("always replaced").versions == tuple(range(1, len(sessions) + 1))
    assert set(result.arm("never retrained").versions) == {1}
    assert result.arm("from scratch").versions == ()


def test_a_champion_stays_in_force_until_another_is_promoted(result: Result) -> None:
    in_force = 0
    for session in result.loop.sessions:
        in_force = session.promoted or in_force
        assert session.champion == in_force


def test_an_arm_that_saw_a_label_of_its_bars_is_refused(result: Result) -> None:
    late = replace(result.loop.versions[3], fit_label_end=result.segments[3].first)
    versions = tuple(late if version.number == 4 else version for version in result.loop.versions)
    with pytest.raises(PreconditionFailed, match="v4 knows labels up to"):
        require_unseen(result.segments, replace(result.loop, versions=versions), newest(result.loop))


def test_cpu_seconds_are_those_of_the_sessions_that_an_arm_needs(result: Result) -> None:
    sessions = result.loop.sessions
    assert result.arm("never retrained").cpu_seconds == sessions[0].cpu_seconds
    assert result.arm("ratchet").cpu_seconds == pytest.approx(sum(session.cpu_seconds for session in sessions))
