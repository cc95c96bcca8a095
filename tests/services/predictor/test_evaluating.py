"""Evaluate: models and alternatives on bars that none of them knows, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import Cancelled, DataRefused, InvalidInput, NotFound, PreconditionFailed, RatchetError, WorkerLost
from ratchet.events.v1 import model_pb2
from ratchet.predictor.v1 import predictor_pb2
from ratchet.scoring import targets
from ratchet.scoring.baselines import forecasts
from ratchet.scoring.columns import predict
from ratchet.scoring.models import artifact
from services.platform.snapshots import Snapshots
from services.platform.workers import Job, Report, Result
from services.predictor.evaluation import MAX_CONCURRENT, Evaluator, require_unseen
from tests.support.training_services import AAPL, LINEAGE, Here, World, rows, world

MODEL = f"{LINEAGE}/v1"
FIRST, LAST = 2100, 2199


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("home")) as running:
        yield running


def at(row: int) -> Timestamp:
    return Timestamp(seconds=int(AAPL.time[row]))


def evaluated(made: World, first: int = FIRST, last: int = LAST, **more: Any) -> predictor_pb2.EvaluateResponse:
    return made.client.evaluate("AAPL", "range", first_bar=at(first), last_bar=at(last), **more)


def refitted(made: World, series: str = "AAPL", first: int = FIRST, model_type: str = "logistic") -> Any:
    return made.client.evaluate_fresh(series, "range", model_type, first_bar=at(first), last_bar=at(LAST))


def said(found: predictor_pb2.EvaluateResponse) -> dict[str, list[float]]:
    return {forecast.name: list(forecast.probabilities) for forecast in found.forecasts}


def test_all_are_scored_on_the_same_bars(made: World) -> None:
    found = evaluated(made, models=[MODEL, MODEL], baselines=True)
    assert [time.seconds for time in found.times] == AAPL.time[FIRST : LAST + 1].tolist()
    assert list(found.outcomes) == (targets.labels("range", AAPL, 1)[FIRST : LAST + 1] == 1.0).tolist()
    assert list(said(found)) == [MODEL, *forecasts(AAPL.head(400), "range", 1)]
    assert {len(p) for p in said(found).values()} == {len(found.times)}
    fresh = refitted(made)
    assert fresh.times == found.times
    assert len(fresh.probabilities) == len(fresh.times)
    assert fresh.cpu_seconds > 0.0


def test_a_recorded_model_says_what_it_would_have_predicted_then(made: World) -> None:
    p = said(evaluated(made, models=[MODEL]))[MODEL]
    model = artifact.load(made.store.get(made.client.get_model(MODEL).record.artifact.digest))
    assert np.allclose(p, predict(model, AAPL)[FIRST : LAST + 1], rtol=0, atol=1e-12)
    then = made.client.predict("AAPL", model=MODEL, bars=made.bars(FIRST + 1))
    assert p[0] == pytest.approx(then.probability, abs=1e-9)


def test_baselines_are_asked_about_bars_too_early_for_a_model(made: World) -> None:
    found = evaluated(made, 260, 300, baselines=True)
    assert [time.seconds for time in found.times] == AAPL.time[260:301].tolist()
    for name, p in said(found).items():
        assert p == forecasts(AAPL.head(302), "range", 1)[name][260:301].tolist(), name


def test_a_day_without_a_bar_may_bound_the_period(made: World) -> None:
    saturday, sunday = Timestamp(), Timestamp()
    saturday.FromJsonString("2008-07-05T00:00:00Z")
    sunday.FromJsonString("2008-07-13T00:00:00Z")
    found = made.client.evaluate("AAPL", "range", first_bar=saturday, last_bar=sunday, baselines=True)
    assert [time.ToJsonString()[:10] for time in found.times] == [f"2008-07-{day:02d}" for day in range(7, 12)]


def test_bars_without_a_known_label_are_left_out(made: World) -> None:
    end = len(AAPL) - 1
    found = evaluated(made, end - 30, end, horizon=5, baselines=True)
    assert [time.seconds for time in found.times] == AAPL.time[end - 30 : end - 4].tolist()


@pytest.mark.parametrize(
    ("asked", "kind", "what"),
    [
        ({}, InvalidInput, "nothing is to be evaluated; name models, or ask for the baselines"),
        ({"models": ["AAPL/range/logistic"]}, InvalidInput, "not a model; write SERIES/TASK/TYPE/vN"),
        ({"models": [f"{LINEAGE}/v9"]}, NotFound, f"no model {LINEAGE}/v9; did you mean {MODEL}"),
        ({"models": ["IBM/range/logistic/v1"]}, InvalidInput, "predicts range of IBM, not range of AAPL"),
        ({"models": [MODEL], "horizon": 5}, InvalidInput, "predicts range of AAPL, not range-h5 of AAPL"),
        (
            {"baselines": True, "last": 2000},
            DataRefused,
            "no bar from 2008-07-09 to 2008-02-14; it has 2000-03-01",
        ),
    ],
)
def test_what_can_not_be_evaluated_says_why(
    made: World, asked: dict[str, Any], kind: type[RatchetError], what: str
) -> None:
    with pytest.raises(kind, match=what):
        evaluated(made, **asked)


@pytest.mark.parametrize(
    ("asked", "kind", "what"),
    [
        ({"model_type": "logistics"}, InvalidInput, "unknown model type 'logistics'; did you mean logistic"),
        ({"first": 850}, DataRefused, "599 usable bars .* 600 needed to fit"),
    ],
)
def test_what_can_not_be_fitted_says_why(
    made: World, asked: dict[str, Any], kind: type[RatchetError], what: str
) -> None:
    with pytest.raises(kind, match=what):
        refitted(made, **asked)


def test_a_period_needs_both_ends(made: World) -> None:
    request = predictor_pb2.EvaluateRequest(series="AAPL", target="range", baselines=True, last_bar=at(LAST))
    evaluator = Evaluator(made.client, made.store, Snapshots(made.client, made.store), Here())
    with pytest.raises(InvalidInput, match="an evaluation needs its first_bar"):
        evaluator.evaluate(request, lambda: True)
    with pytest.raises(NotFound, match="IBM has no bars yet; import some with ratchet data import IBM FILE"):
        made.client.evaluate("IBM", "range", first_bar=at(FIRST), last_bar=at(LAST), baselines=True)


def test_a_model_is_never_scored_on_a_label_that_it_knows(made: World) -> None:
    end = made.client.get_model(MODEL).record.windows.fit_label_end.seconds
    last_known = AAPL.time.tolist().index(end)
    with pytest.raises(PreconditionFailed) as refused:
        evaluated(made, last_known, LAST, models=[MODEL], baselines=True)
    assert f"{MODEL} has seen labels until" in refused.value.message
    assert "(its fit)" in refused.value.message
    assert "choose a later first bar, or an earlier version" in refused.value.message
    assert refused.value.metadata == {"model": MODEL}
    assert len(evaluated(made, last_known + 1, LAST, models=[MODEL]).times) == LAST - last_known


def test_what_its_patterns_know_counts_as_well() -> None:
    record = model_pb2.ModelRecord(
        windows=model_pb2.Windows(fit_label_end=at(1000)),
        patterns_used=[
            model_pb2.PatternUse(pattern_id="a1", evidence_end=at(900)),
            model_pb2.PatternUse(pattern_id="b2", evidence_end=at(1200)),
        ],
    )
    require_unseen(MODEL, record, int(AAPL.time[1201]))
    with pytest.raises(PreconditionFailed, match=r"until 2004-12-09 \(its pattern b2\), .* not from 2004-12-09 on"):
        require_unseen(MODEL, record, int(AAPL.time[1200]))


def test_an_evaluation_that_nobody_waits_for_is_stopped(made: World) -> None:
    evaluator = Evaluator(made.client, made.store, Snapshots(made.client, made.store), Here())
    request = predictor_pb2.EvaluateRequest(
        series="AAPL", target="range", first_bar=at(FIRST), last_bar=at(LAST), baselines=True
    )
    with pytest.raises(Cancelled):
        evaluator.evaluate(request, lambda: False)
    assert len(evaluator.evaluate(request, lambda: True).times) == LAST - FIRST + 1


class Dying:
    """Workers whose processes die."""

    count = 1

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        raise WorkerLost("the process that trained this session died; start the training again")

    def close(self) -> None:
        pass


def test_a_worker_that_dies_is_told_as_what_it_was(made: World) -> None:
    evaluator = Evaluator(made.client, made.store, Snapshots(made.client, made.store), Dying())
    request = predictor_pb2.EvaluateRequest(
        series="AAPL", target="range", first_bar=at(FIRST), last_bar=at(LAST), baselines=True
    )
    for _ in range(MAX_CONCURRENT + 1):
        with pytest.raises(WorkerLost, match=r"the process that computed this evaluation died .* ask again"):
            evaluator.evaluate(request, lambda: True)


def test_bars_that_came_later_change_no_answer(made: World) -> None:
    whole, fresh = evaluated(made, baselines=True), refitted(made)
    made.add("OTHER", rows(len(AAPL)))
    made.add("SHORT", rows(LAST + 2))
    for series in ("OTHER", "SHORT"):
        found = made.client.evaluate(series, "range", first_bar=at(FIRST), last_bar=at(LAST), baselines=True)
        assert said(found) == said(whole)
        assert found.times == whole.times
        assert refitted(made, series).probabilities == fresh.probabilities
