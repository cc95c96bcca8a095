"""What a session starts from, in one answer."""

from __future__ import annotations

import pytest

from ratchet.errors import InvalidInput, NotFound
from ratchet.events.v1 import model_pb2
from ratchet.registry.v1 import registry_pb2 as pb
from tests.support.registry_client import Registry
from tests.support.registry_samples import stamp

FOREST, LOGISTIC = "AAPL/range/random-forest", "AAPL/range/logistic"


def asked(registry: Registry, lineage: str, market_time: int) -> pb.GetSessionInputsResponse:
    session_id = registry.request_training(lineage)
    found: pb.GetSessionInputsResponse = registry.call(
        pb.GetSessionInputsRequest(session_id=session_id, market_time=stamp(market_time))
    )
    return found


def trained(registry: Registry, lineage: str, last: int, gain: float | None = None) -> pb.RecordTrainingResponse:
    """A session whose holdout ends at bar `last`, which is its market time."""
    against_best = 0.0 if lineage != FOREST else None
    request = registry.trained(lineage, 200, last, gain, against_best=against_best)
    request.record.windows.holdout.CopyFrom(model_pb2.Window(last_bar=stamp(last)))
    request.record.trials.add(tune_score=0.2, complexity_step=last)
    return registry.record(request)


def test_the_first_session_of_a_lineage_starts_from_nothing(registry: Registry) -> None:
    found = asked(registry, FOREST, 220)
    assert (found.training.lineage, found.sessions, list(found.recent)) == (FOREST, 0, [])
    assert found.read_position == found.training.requested_position
    assert not any(found.HasField(name) for name in ("champion", "symbol_best", "last_labelled_bar", "succession"))


def test_a_session_gets_the_models_in_force_and_what_the_earlier_ones_tried(registry: Registry) -> None:
    first = trained(registry, FOREST, 220)
    second = trained(registry, FOREST, 400, 0.0)
    found = asked(registry, FOREST, 600)
    assert found.champion == registry.call(pb.GetModelRequest(model=first.model.name)).model
    assert [model.name for model in found.contenders] == [second.model.name]
    assert found.symbol_best.name == first.model.name
    assert (found.sessions, found.last_labelled_bar) == (2, stamp(400))
    assert [session.trials[0].complexity_step for session in found.recent] == [220, 400]
    assert not found.HasField("succession")
    other = asked(registry, LOGISTIC, 600)
    assert (other.symbol_best.name, other.HasField("champion"), other.sessions) == (first.model.name, False, 0)


def test_a_session_of_an_earlier_market_time_gets_what_its_champion_follows_from(registry: Registry) -> None:
    first = trained(registry, FOREST, 220).model.name
    trained(registry, FOREST, 400, 0.1)
    third = trained(registry, FOREST, 300, 0.0)
    found = asked(registry, FOREST, 300)
    assert (found.sessions, found.last_labelled_bar) == (2, stamp(300))
    succession = found.succession
    assert (succession.champion, succession.decided_through) == (first, stamp(220))
    assert [(each.model, each.policy) for each in succession.decisions] == [(third.model.name, "balanced")]
    assert [model.name for model in succession.models] == [first, third.model.name]
    assert all(model.HasField("record") for model in succession.models)


def test_an_ended_session_gets_what_it_had_got(registry: Registry) -> None:
    first = trained(registry, FOREST, 220)
    request = registry.trained(FOREST, 200, 400, 0.1)
    request.record.parent = first.model.name
    ended = registry.record(request)
    trained(registry, FOREST, 600, 0.0)
    found: pb.GetSessionInputsResponse = registry.call(
        pb.GetSessionInputsRequest(session_id=ended.training.session_id, market_time=stamp(900))
    )
    assert (found.sessions, found.parent.name, found.HasField("champion")) == (1, first.model.name, False)


def test_a_session_is_known_and_its_market_time_given(registry: Registry) -> None:
    with pytest.raises(NotFound, match="no training 'nobody'"):
        registry.call(pb.GetSessionInputsRequest(session_id="nobody", market_time=stamp(1)))
    with pytest.raises(InvalidInput, match="market_time is missing"):
        registry.call(pb.GetSessionInputsRequest(session_id="nobody"))
