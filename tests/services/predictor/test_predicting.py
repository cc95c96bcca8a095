"""A prediction is the recorded model's word on the bar after the last one, with what is known of its skill."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import CorruptData, DataRefused, InvalidInput, LimitReached, NotFound, RatchetError
from ratchet.events.v1 import model_pb2
from ratchet.predictor.v1 import predictor_pb2
from ratchet.scoring.columns import predict
from ratchet.scoring.data.zones import Zones
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import ModelFile
from services.platform.snapshots import Snapshots
from services.platform.workers import Job, Report, Result
from services.predictor.evaluation import MAX_CONCURRENT, MAX_MODELS, Evaluator
from services.predictor.prediction import MAX_BARS, Predictor, statement
from tests.support.training_services import AAPL, FILE, LINEAGE, TRAINED_ON, Here, World, hourly, rows, world

MODEL = f"{LINEAGE}/v1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def model(made: World) -> ModelFile:
    return artifact.load(made.store.get(made.client.get_model(MODEL).record.artifact.digest))


def test_it_is_what_the_model_says_of_the_last_bar(made: World, model: ModelFile) -> None:
    found = made.client.predict("AAPL", "range")
    record = made.client.get_model(MODEL).record
    assert (found.model, found.artifact_digest) == (MODEL, record.artifact.digest)
    assert found.bar.seconds == AAPL.time[-1]
    assert found.probability == pytest.approx(predict(model, AAPL)[-1], abs=1e-12)
    assert found.question == "range of the next bar above its median of the last 250 bars"
    assert found.skill_shown == record.skill_shown
    assert found.statement == statement(record)


def test_bars_come_from_the_snapshot_a_file_or_a_list(made: World) -> None:
    sources = (
        made.client.predict("AAPL", "range"),
        made.client.predict("AAPL", "range", file=FILE),
        made.client.predict("AAPL", "range", bars=made.bars()),
    )
    assert sources[0] == sources[1] == sources[2]


def test_other_bars_than_the_imported_ones_are_predicted_from(made: World, model: ModelFile, tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_bytes(rows(TRAINED_ON))
    found = made.client.predict("AAPL", "range", file=file)
    assert found.bar.seconds == AAPL.time[TRAINED_ON - 1]
    assert found.probability == pytest.approx(predict(model, AAPL.head(TRAINED_ON))[-1], abs=1e-12)
    assert found.probability != made.client.predict("AAPL", "range").probability


def test_a_model_is_named_by_version_by_lineage_or_not_at_all(made: World) -> None:
    best = made.client.predict("AAPL", "range")
    assert made.client.predict("AAPL", model=MODEL) == best
    assert made.client.predict("AAPL", model=LINEAGE) == best
    assert made.client.predict("AAPL", "range", horizon=1, model=MODEL) == best


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"series": ""}, InvalidInput, "symbol '' is not a name"),
        ({"series": "AAPL", "target": "volume"}, NotFound, "no model for AAPL/volume; train one with ratchet train"),
        ({"series": "AAPL", "target": "rnage"}, InvalidInput, "unknown target 'rnage'; did you mean range"),
        ({"series": "AAPL", "target": "range", "horizon": 5}, NotFound, "no model for AAPL/range-h5; train one with"),
        ({"series": "AAPL", "model": f"{LINEAGE}/v9"}, NotFound, f"no model {LINEAGE}/v9; did you mean {MODEL}"),
        ({"series": "AAPL", "model": "AAPL/range/lstm"}, NotFound, "no lineage AAPL/range/lstm; .* begin it with"),
        ({"series": "AAPL", "model": "logistic"}, InvalidInput, "'logistic' is not a model; write SERIES/TASK/TYPE/vN"),
        ({"series": "IBM", "model": MODEL}, InvalidInput, "predicts range of AAPL, not range of IBM"),
        ({"series": "AAPL", "target": "volume", "model": MODEL}, InvalidInput, "range of AAPL, not volume of AAPL"),
        ({"series": "AAPL", "horizon": 5, "model": LINEAGE}, InvalidInput, "range of AAPL, not range-h5 of AAPL"),
    ],
)
def test_what_can_not_be_answered_says_the_next_step(
    made: World, asked: dict[str, str], kind: type[RatchetError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        made.client.predict(**{"target": "", **asked})


def test_a_feature_needs_its_history(made: World, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"AAPL: 250 bars, 251 needed to predict \(the first 250"):
        made.client.predict("AAPL", "range", bars=made.bars(250))
    with pytest.raises(DataRefused, match="AAPL: 0 bars; send one at least"):
        made.client.predict("AAPL", "range", bars=[])
    assert 0.0 < made.client.predict("AAPL", "range", bars=made.bars(251)).probability < 1.0


def test_a_request_needs_as_many_bars_as_the_history_of_its_model(made: World) -> None:
    name = made.train("AAPL/direction/har", next(iter(made.client.list_datasets("AAPL"))))
    record = made.client.get_model(name).record
    history, bars = record.history, made.bars()
    assert 300 < history < 500
    for short in (0, 251, history - 1):
        said = (
            f"AAPL: {short} bars with trade, {history} needed by {name}: .*; send the newest {history} or more, or none"
        )
        with pytest.raises(DataRefused, match=said):
            made.client.predict("AAPL", model=name, bars=bars[len(bars) - short :])
    whole = made.client.predict("AAPL", model=name)
    for enough in (history, history + 1, 2 * history):
        found = made.client.predict("AAPL", model=name, bars=bars[-enough:])
        assert found.probability == pytest.approx(whole.probability, abs=1e-9)
        assert found.bar == whole.bar


def test_a_model_of_unknown_history_is_asked_on_the_whole_series(
    made: World, model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = replace(model, function=replace(model.function, start=None), history=0)
    monkeypatch.setattr(artifact, "load", lambda content: alone)
    predictor = Predictor(made.client, made.store, Snapshots(made.client, made.store))
    request = predictor_pb2.PredictRequest(series="AAPL", model=MODEL)
    whole = predictor.predict(request)
    assert whole.probability == pytest.approx(predict(alone, AAPL)[-1], abs=1e-12)
    request.bars.bars.extend(made.bars()[-3:])
    assert predictor.predict(request) == whole
    del request.bars.bars[1]
    with pytest.raises(DataRefused, match="only the snapshot has a bar of"):
        predictor.predict(request)


def test_bad_bars_are_refused_as_an_import_refuses_them(made: World, tmp_path: Path) -> None:
    bars = made.bars(300)
    bars[6].high = bars[6].low / 2
    with pytest.raises(DataRefused, match=r"the list of bars row 7: high .* is below the low"):
        made.client.predict("AAPL", "range", bars=bars)
    with pytest.raises(DataRefused, match=r"the list of bars row 2: .* newest first"):
        made.client.predict("AAPL", "range", bars=made.bars(300)[::-1])
    file = tmp_path / "bad.csv"
    file.write_bytes(rows(300) + b"2001-05-09,4,3,5,4,100\n")
    with pytest.raises(DataRefused, match="the file row 302: high 3 is below the low 5"):
        made.client.predict("AAPL", "range", file=file)
    file.write_bytes(b"")
    with pytest.raises(DataRefused, match="the file row 1: the file is empty"):
        made.client.predict("AAPL", "range", file=file)


def test_two_sources_are_refused_before_anything_is_sent(made: World) -> None:
    with pytest.raises(InvalidInput, match="bars and a file are both given; leave one out"):
        made.client.predict("AAPL", "range", bars=made.bars(300), file=FILE)


def test_an_open_model_is_read_once_and_a_damaged_one_never_answers(made: World) -> None:
    snapshots = Snapshots(made.client, made.store)
    request = predictor_pb2.PredictRequest(series="AAPL", target="range")
    predictor = Predictor(made.client, made.store, snapshots)
    first = predictor.predict(request)
    digest = first.artifact_digest
    content = made.store.get(digest)
    path = made.artifact_file(digest)
    path.chmod(0o644)
    try:
        path.write_bytes(content[:-1])
        assert predictor.predict(request) == first
        with pytest.raises(CorruptData):
            Predictor(made.client, made.store, snapshots).predict(request)
    finally:
        path.write_bytes(content)


def test_many_threads_get_the_same_answer(made: World) -> None:
    snapshots = Snapshots(made.client, made.store)
    predictor = Predictor(made.client, made.store, snapshots)
    request = predictor_pb2.PredictRequest(series="AAPL", target="range")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: predictor.predict(request), range(24)))
    assert all(each == found[0] for each in found)


class Busy:
    """Workers that are busy until they are told otherwise."""

    count = 1

    def __init__(self) -> None:
        self.free = threading.Event()
        self.waiting = threading.Semaphore(0)

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        self.waiting.release()
        self.free.wait()
        return work(job, report)

    def close(self) -> None:
        self.free.set()


def test_a_prediction_waits_for_no_worker(tmp_path: Path) -> None:
    busy = Busy()
    with world(tmp_path, busy) as made, ThreadPoolExecutor(MAX_CONCURRENT) as threads:
        first, last = (Timestamp(seconds=int(AAPL.time[row])) for row in (2100, 2149))

        def evaluated() -> predictor_pb2.EvaluateResponse:
            return made.client.evaluate("AAPL", "range", first_bar=first, last_bar=last, models=[MODEL])

        waiting = [threads.submit(evaluated) for _ in range(MAX_CONCURRENT)]
        try:
            for _ in waiting:
                busy.waiting.acquire()
            assert made.client.predict("AAPL", "range").model == MODEL
            with pytest.raises(LimitReached, match=f"{MAX_CONCURRENT} evaluations run or wait already"):
                evaluated()
        finally:
            busy.free.set()
        assert [len(each.result().times) for each in waiting] == [50] * MAX_CONCURRENT


def test_intraday_series_are_predicted_too(made: World, tmp_path: Path) -> None:
    content = hourly(1100)
    with pytest.raises(NotFound, match="no model for AAPL@1h/range; train one with ratchet train AAPL@1h"):
        made.client.predict("AAPL@1h", "range")
    with pytest.raises(InvalidInput, match="predicts range of AAPL, not range of AAPL@1h"):
        made.client.predict("AAPL@1h", model=MODEL)
    name = made.train("AAPL@1h/range/logistic", made.add("AAPL@1h", content, zones=Zones("America/New_York")))
    found = made.client.predict("AAPL@1h", "range")
    assert (found.model, found.bar.ToJsonString()) == (name, "2024-02-16T00:30:00Z")
    file = tmp_path / "hourly.csv"
    file.write_bytes(content)
    assert made.client.predict("AAPL@1h", "range", file=file) == found
    bars = made.bars(1100)
    for bar, hour in zip(bars, range(1100), strict=True):
        bar.time.FromJsonString("2024-01-01T05:30:00Z")
        bar.time.seconds += 3600 * hour
    assert made.client.predict("AAPL@1h", "range", bars=bars) == found


def record(skill_shown: bool = False, **gains: tuple[float, float, float] | None) -> model_pb2.ModelRecord:
    """A model of Brier .198, with a gain and its interval over each baseline; None: not defined."""
    held = model_pb2.Window(rows=444)
    held.first_bar.FromJsonString("2008-03-31T00:00:00Z")
    held.last_bar.FromJsonString("2009-12-30T00:00:00Z")
    made = model_pb2.ModelRecord(
        lineage="AAPL/range/xgboost",
        windows=model_pb2.Windows(holdout=held),
        metrics=[brier(0.198)],
        skill_shown=skill_shown,
    )
    for name, gained in gains.items():
        beside = made.baselines.add(name=f"{name.replace('_', '-')}@baseline")
        if gained is not None:
            beside.metrics.append(brier(0.198 + gained[0]))
            beside.gain.CopyFrom(model_pb2.Interval(value=gained[0], low=gained[1], high=gained[2]))
    return made


def brier(value: float) -> model_pb2.Metric:
    return model_pb2.Metric(name="brier", interval=model_pb2.Interval(value=value))


def test_skill_is_stated_against_the_best_baseline() -> None:
    shown = record(skill_shown=True, persistence=(0.0076, 0.0012, 0.014), base_rate=(0.05, 0.04, 0.06))
    assert statement(shown) == (
        "skill shown on 444 bars, 2008-03-31 to 2009-12-30: Brier 0.198 against 0.206 of persistence@baseline, the best"
        " of those that it must beat, gain +0.0076 [+0.0012, +0.0140]"
    )


def test_without_skill_the_best_of_the_baselines_that_are_not_beaten_is_named() -> None:
    said = statement(
        record(persistence=(0.0076, 0.0012, 0.014), online=(0.009, -0.001, 0.019), har=(0.01, -0.001, 0.02))
    )
    assert said == (
        "no skill shown: it does not beat online@baseline on its holdout (444 bars, 2008-03-31 to 2009-12-30: Brier"
        " 0.198 against 0.207, gain +0.0090 [-0.0010, +0.0190]); treat this as no better than the baseline"
    )


def test_only_the_baselines_that_skill_is_measured_against_are_named() -> None:
    assert "it does not beat har@baseline" in statement(record(stack=(-0.1, -0.2, -0.05), har=(0.001, -0.002, 0.004)))
    assert "compares it with no baseline; do not rely on it" in statement(record(stack=(0.1, 0.05, 0.2)))


def test_on_a_degenerate_holdout_nothing_is_said_of_skill() -> None:
    assert "too few bars of one class, and no metric is defined" in statement(record(har=None, online=None))


def test_bars_to_predict_from_are_bounded(made: World) -> None:
    request = predictor_pb2.PredictRequest(series="AAPL", model=MODEL)
    request.bars.bars.extend([predictor_pb2.Bar(open=1.0)] * (MAX_BARS + 1))
    with pytest.raises(DataRefused, match="100001 bars, 100000 at most; send the newest ones"):
        Predictor(made.client, made.store, Snapshots(made.client, made.store)).predict(request)


def test_models_to_evaluate_are_bounded(made: World) -> None:
    request = predictor_pb2.EvaluateRequest(
        series="AAPL", target="range", models=["AAPL/range/logistic/v1"] * (MAX_MODELS + 1)
    )
    with pytest.raises(InvalidInput, match="33 models, 32 at most in one evaluation; ask for them in parts"):
        Evaluator(made.client, made.store, Snapshots(made.client, made.store), Here()).evaluate(request, lambda: True)
