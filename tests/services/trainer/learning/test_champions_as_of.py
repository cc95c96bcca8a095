"""Decisions made again are those that the registry made, and a person's word is heard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import planted
from bench.loop import Loop, Played
from ratchet.decisions.bar_times import BEGINNING
from ratchet.names import POLICIES, Policy
from ratchet.scoring.data.bars import WARM_UP
from services.trainer.learning.champions_as_of import ChampionReplay, ReplayedDecision, replay_champion
from services.trainer.learning.inputs import ReferenceModel, SessionOptions

BARS = planted.series(2)[0]
SIZES = (650, 900, 1250, 1000, 1550, 1850)
"""One session goes back, so that a decision without a new bar is among them."""


def quiet(phase: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module", params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Policy:
    found: Policy = request.param
    return found


@pytest.fixture(scope="module")
def played(policy: Policy) -> list[Played]:
    loop = Loop(f"{BARS.series}/direction/logistic", policy, SessionOptions(suggestions=1, mine=False))
    return [loop.session(BARS.head(WARM_UP + size + 1), seed=size) for size in SIZES]


def whole(played: list[Played], policy: Policy) -> ChampionReplay:
    """Every decision of the lineage, to be made again on the bars of its latest session."""
    return ChampionReplay(
        inputs=replace(played[-1].inputs, parent=None, champion=None, contenders=()),
        champion="",
        contenders=(),
        decided_through=BEGINNING,
        spent_through=BEGINNING,
        decisions=tuple(ReplayedDecision(each.model, each.outcome.last_labelled_time, policy) for each in played),
        models={
            each.model: ReferenceModel(each.model, each.outcome.artifact, each.outcome.fit_end_label_time, 1, {})
            for each in played
        },
    )


def test_made_again_every_decision_is_the_one_that_the_registry_made(played: list[Played], policy: Policy) -> None:
    replay = whole(played, policy)
    for count, each in enumerate(played, start=1):
        assert replay_champion(replace(replay, decisions=replay.decisions[:count]), quiet) == each.champion
    assert len({each.champion for each in played}) > 1 or policy != "plain"


def test_a_person_s_promotion_stands_until_later_bars_decide(played: list[Played], policy: Policy) -> None:
    replay = whole(played, policy)
    first = replay.decisions[0]
    word = ReplayedDecision(first.model, first.market_time, None)
    assert replay_champion(replace(replay, decisions=(*replay.decisions, word)), quiet) == first.model
    again = replace(replay.decisions[-1], policy="plain")
    assert replay_champion(replace(replay, decisions=(*replay.decisions, word, again)), quiet) == first.model


def test_without_a_turn_the_champion_of_before_stays(played: list[Played], policy: Policy) -> None:
    replay = whole(played, policy)
    assert replay_champion(replace(replay, decisions=()), quiet) == ""
    assert replay_champion(replace(replay, champion=played[1].model, decisions=()), quiet) == played[1].model
