"""predict: the probability with its question, the model and what is known of its skill; mistakes are named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet import errors
from ratchet.predictor.v1 import predictor_pb2, predictor_pb2_grpc

Run = Callable[..., Any]
Serve = Callable[..., str]

ANSWER = predictor_pb2.PredictResponse(
    model="AAPL/range/logistic/v3",
    artifact_digest="0123456789abcdef" * 4,
    bar=Timestamp(seconds=1262217600),
    probability=0.42349,
    statement="skill shown on 444 bars",
    question="range of the next bar above its median of the last 250 bars",
    skill_shown=True,
)


class Predictor(predictor_pb2_grpc.PredictorServiceServicer):
    """Remembers what it was asked."""

    def __init__(self, error: errors.RatchetError | None = None) -> None:
        self.error = error
        self.requests: list[predictor_pb2.PredictRequest] = []

    def Predict(self, request: predictor_pb2.PredictRequest, context: Any) -> predictor_pb2.PredictResponse:
        self.requests.append(request)
        if self.error:
            raise self.error
        return ANSWER


@pytest.fixture
def predicting(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Predictor]:
    def start(error: errors.RatchetError | None = None) -> Predictor:
        predictor = Predictor(error)
        add = predictor_pb2_grpc.add_PredictorServiceServicer_to_server
        monkeypatch.setenv("RATCHET_PREDICTOR", serve((add, predictor, "ratchet.predictor.v1.PredictorService")))
        return predictor

    return start


def test_the_answer_is_shown_with_what_it_is_worth(run: Run, predicting: Callable[..., Predictor]) -> None:
    predictor = predicting()
    ran = run("predict", "AAPL", "--target", "range")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "0.423   range of the next bar above its median of the last 250 bars",
        "  last bar   2009-12-31",
        "  model      AAPL/range/logistic/v3, artifact 0123456789ab",
        "  skill shown on 444 bars",
        "next: ratchet models show AAPL/range/logistic/v3",
    ]
    assert predictor.requests == [predictor_pb2.PredictRequest(series="AAPL", target="range")]


def test_all_that_is_asked_for_is_sent(run: Run, predicting: Callable[..., Predictor], tmp_path: Path) -> None:
    predictor = predicting()
    file = tmp_path / "bars.csv"
    file.write_bytes(b"date,open,high,low,close,volume\n")
    words = ("--target", "range", "--horizon", "5", "--model", "AAPL/range-h5/logistic", "--data", str(file))
    assert run("predict", "AAPL@1d", *words).code == 0
    assert predictor.requests == [
        predictor_pb2.PredictRequest(
            series="AAPL", target="range", horizon=5, model="AAPL/range-h5/logistic", csv=file.read_bytes()
        )
    ]


def test_json_holds_the_whole_answer(run: Run, predicting: Callable[..., Predictor]) -> None:
    predicting()
    found = json.loads(run("predict", "AAPL", "-o", "json").out)
    assert found == {
        "model": ANSWER.model,
        "artifact_digest": ANSWER.artifact_digest,
        "bar": "2009-12-31T00:00:00Z",
        "probability": 0.42349,
        "statement": "skill shown on 444 bars",
        "question": ANSWER.question,
        "skill_shown": True,
    }


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("EUR/USD",), "try EUR-USD"),
        (("AAPL", "--target", "rang"), "did you mean range?"),
        (("AAPL", "--horizon", "0"), "--horizon"),
        (("AAPL", "--data", "missing.csv"), "missing.csv is not a file"),
        (("AAPL", "--data", "."), ". is not a file"),
    ],
)
def test_a_mistake_is_named_before_anything_is_asked(
    run: Run, predicting: Callable[..., Predictor], words: tuple[str, ...], what: str
) -> None:
    predictor = predicting()
    ran = run("predict", *words)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.err
    assert not predictor.requests


def test_a_file_too_large_for_a_message_is_refused(
    run: Run, predicting: Callable[..., Predictor], tmp_path: Path
) -> None:
    predictor = predicting()
    file = tmp_path / "large.csv"
    with file.open("wb") as sparse:
        sparse.truncate(64 << 20)
    ran = run("predict", "AAPL", "--data", str(file))
    assert ran.code == 2
    assert "holds 64 MiB, 63 at most for a prediction; leave the oldest bars out" in ran.err
    assert not predictor.requests


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("there is no model for AAPL/range; train one with ratchet train AAPL --model logistic"), 3),
        (errors.DataRefused("AAPL: 120 bars with trade, 365 needed by"), 8),
        (errors.CorruptData("the artifact is damaged"), 7),
    ],
)
def test_what_the_service_refuses_keeps_its_exit_code(
    run: Run, predicting: Callable[..., Predictor], error: errors.RatchetError, code: int
) -> None:
    predicting(error)
    ran = run("predict", "AAPL", "--target", "range")
    assert (ran.code, ran.out, ran.err) == (code, "", f"error: {error.message}\n")
