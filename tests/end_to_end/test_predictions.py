"""Predictions, evaluations and exports, from the command line and the client, with real processes behind them."""

import json
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.running import DATA, Running

TASK = "GOOG/volatility"


@pytest.fixture(scope="module")
def model(services: Running) -> str:
    services.import_bars("GOOG")
    return services.train("GOOG", "logistic", "volatility", until="2009-12-31").model


def test_the_best_model_of_a_series_predicts(services: Running, model: str) -> None:
    shown = services.cli("predict", "GOOG", "--target", "volatility", check=True).stdout
    found = json.loads(services.cli("predict", "GOOG", "--model", model, "-o", "json", check=True).stdout)
    assert found["model"] == model == f"{TASK}/logistic/v1"
    assert 0.0 < found["probability"] < 1.0
    assert found["question"] == "volatility of the next 5 bars above its median of the last 250 bars"
    assert found["statement"].startswith("skill shown on" if found["skill_shown"] else "no skill shown: ")
    for said in (f"{found['probability']:.3f}", found["question"], found["statement"], found["artifact_digest"][:12]):
        assert said in shown


def test_a_file_is_predicted_from_without_importing_it(services: Running, model: str, tmp_path: Path) -> None:
    lines = (DATA / "GOOG.csv").read_bytes().splitlines(keepends=True)
    file = tmp_path / "short.csv"
    file.write_bytes(b"".join(lines[:300]))
    head = services.client.get_head().position
    ran = services.cli("predict", "GOOG", "--model", model, "--data", str(file), "-o", "json", check=True)
    assert json.loads(ran.stdout)["bar"][:10].encode() == lines[299].partition(b",")[0]
    assert services.client.get_head().position == head
    file.write_bytes(b"".join(lines[:200]))
    refused = services.cli("predict", "GOOG", "--model", model, "--data", str(file))
    assert (refused.returncode, "199 bars, 251 needed" in refused.stderr) == (8, True)


def test_a_series_without_a_model_says_how_to_get_one(services: Running, model: str) -> None:
    refused = services.cli("predict", "GOOG", "--target", "volume")
    assert refused.returncode == 3
    assert f"ratchet train GOOG --model random-forest --target volume --home {services.home}" in refused.stderr


def test_a_worker_scores_the_bars_that_a_model_never_saw(services: Running, model: str) -> None:
    first, last = Timestamp(), Timestamp()
    first.FromJsonString("2010-01-01T00:00:00Z")
    last.FromJsonString("2010-12-31T00:00:00Z")
    found = services.client.evaluate(
        "GOOG", "volatility", first_bar=first, last_bar=last, models=[model], baselines=True
    )
    assert len(found.times) == len(found.outcomes) == 252
    simple = ("base-rate", "persistence", "har", "ridge", "boosting", "online", "mean", "stack")
    assert [each.name for each in found.forecasts] == [model, *(f"{name}@baseline" for name in simple)]
    assert {len(each.probabilities) for each in found.forecasts} == {252}
    fresh = services.client.evaluate_fresh("GOOG", "volatility", "logistic", first_bar=first, last_bar=last)
    assert fresh.times == found.times
    assert len(fresh.probabilities) == 252


def test_bars_are_exported_and_come_back_as_the_same_snapshot(services: Running, model: str, tmp_path: Path) -> None:
    file = tmp_path / "goog.csv"
    services.cli("data", "export", "GOOG", str(file), check=True)
    again = json.loads(services.cli("data", "import", "GOOG", str(file), "-o", "json", check=True).stdout)
    assert again["unchanged"]
