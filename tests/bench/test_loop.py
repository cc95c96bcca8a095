"""Sessions in one process are sessions: each starts from what the ones before it left."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench import planted
from bench.loop import Loop, Played
from bench.units import gain, same_bars
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.rule import Rule
from services.trainer.learning.inputs import SessionOptions

SIZES = (650, 1_250, 1_850)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return planted.series(2)[0]


def after(loop: Loop, bars: Bars) -> list[Played]:
    return [loop.session(bars.head(WARM_UP + size + 1), seed=index) for index, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def loop(bars: Bars) -> Loop:
    return Loop(f"{bars.series}/direction/logistic", options=SessionOptions(suggestions=1))


@pytest.fixture(scope="module")
def played(loop: Loop, bars: Bars) -> list[Played]:
    return after(loop, bars)


def test_the_first_model_is_champion_and_replaces_none(played: list[Played]) -> None:
    first = played[0]
    assert first.inputs.parent is None
    assert first.champion == first.model
    assert not first.promoted
    assert first.judgements == ()


def test_each_session_is_given_the_champion_and_the_contenders_that_the_one_before_left(played: list[Played]) -> None:
    for before, now in pairwise(played):
        assert now.inputs.parent is not None
        assert now.inputs.parent.name == before.champion
        kept = tuple(model.name for model in now.inputs.contenders)
        assert kept == tuple(getattr(before.decision, "contenders_kept", ()))
        assert now.inputs.sessions == before.inputs.sessions + 1
        assert now.inputs.last_labelled_time == before.outcome.last_labelled_time
        assert len(now.judgements) == 1 + len(kept)


def test_what_one_session_mined_the_next_knows_and_never_tests_again(played: list[Played]) -> None:
    mined, following = played[1].outcome.mining, played[2]
    assert mined.rules
    assert following.inputs.mined_through == mined.mined_through
    assert len(following.inputs.tested_rules) == len(mined.rules)
    assert {pattern.state for pattern in following.inputs.patterns} & {"kept", "confirmed"}
    assert {used.id for used in following.outcome.patterns_used} <= {
        pattern.id for pattern in following.inputs.patterns
    }
    assert following.outcome.patterns_used


def test_studies_remember_the_trials_of_the_sessions_before(played: list[Played]) -> None:
    tried = [len(session.outcome.trials) for session in played]
    assert [len(session.inputs.trials) for session in played] == [0, tried[0], tried[0] + tried[1]]


def test_what_was_decided_says_who_is_champion(played: list[Played], loop: Loop) -> None:
    for session in played[1:]:
        if session.promoted:
            assert session.champion == session.decision.model
        else:
            assert session.champion == session.decision.champion
    assert loop.ledger.state.champion_name == played[-1].champion


def test_the_same_sessions_end_the_same(played: list[Played], bars: Bars) -> None:
    again = after(Loop(f"{bars.series}/direction/logistic", options=SessionOptions(suggestions=1)), bars)
    assert [session.outcome.artifact for session in again] == [session.outcome.artifact for session in played]
    assert [session.decision for session in again] == [session.decision for session in played]


def test_the_gain_over_the_first_model_is_measured_on_bars_that_both_have_not_seen(
    loop: Loop, played: list[Played], bars: Bars
) -> None:
    held = next(window for window in played[-1].outcome.windows if window.name == "holdout")
    for session in played:
        assert loop.ledger.get_model(session.model).record.windows.fit_label_end.seconds < held.first_time
    nothing = gain(loop, bars, played[-1], played[0].model)
    assert (nothing.mean, nothing.deviation, nothing.bars) == (0.0, 0.0, held.rows)
    assert gain(loop, bars, played[-1], played[-1].model).deviation > 0.0


def test_a_small_recipe_does_not_mine(bars: Bars) -> None:
    loop = Loop(f"{bars.series}/direction/logistic", "strict", SessionOptions(suggestions=0, mine=False))
    assert [len(session.outcome.mining.rules) for session in after(loop, bars)] == [0, 0, 0]


def test_a_rule_is_found_by_another_that_fires_on_mostly_the_same_bars(bars: Bars) -> None:
    rule = Rule.parse("volume_ratio_20 > 1.4 -> 0")
    assert same_bars(rule, Rule.parse("volume_ratio_20 > 1.45 -> 0"), bars)
    assert not same_bars(rule, Rule.parse("volume_ratio_20 > 1.45 -> 1"), bars)
    assert not same_bars(rule, Rule.parse("volume_ratio_20 > 2.5 -> 0"), bars)
