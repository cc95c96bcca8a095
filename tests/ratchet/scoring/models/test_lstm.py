# ruff: noqa: N806
"""The LSTM learns from earlier bars, answers without Keras, and carries its parent on exactly."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skops.io

from ratchet.errors import CorruptData, InvalidInput, PreconditionFailed
from ratchet.scoring.models import lstm
from ratchet.scoring.models.constant import Constant
from ratchet.scoring.models.lstm import FINE_EPOCHS, Lstm, LstmFitted, keras_model
from ratchet.scoring.models.port import MAX_MARGIN, MAX_STEP, Floats, Params, Rows, Sample, TransferStart, sigmoid
from ratchet.scoring.models.recurrence import BARS, Network, initial_network, look_back, moments

ROOT = Path(__file__).parents[4]
LSTM = Lstm()
KEYS = ("mean", "scale", "kernel", "recurrent", "bias", "dense", "offset")


def series(n: int = 1500, k: int = 4, *, strength: float = 2.0, seed: int = 0) -> tuple[Floats, Floats]:
    """Columns of noise, and labels that depend on the first column of two bars ago."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, k))
    before = np.concatenate([[0.0, 0.0], X[:-2, 0]])
    y = (generator.random(n) < sigmoid(strength * before)).astype(np.float64)
    X[generator.random(X.shape) < 0.02] = np.nan
    return X, y


def some(n: int = 300, *, epochs: float = 3.0) -> tuple[Sample, Params]:
    """A sample with all rows of a short series, and hyperparameters for a short training."""
    X, y = series(n)
    return Sample(X, y, np.arange(n)), {**LSTM.params(1), "epochs": epochs}


def random_network(units: int, k: int) -> Network:
    """A network whose weights are all random, its dense ones too."""
    generator = np.random.default_rng(5)
    network = initial_network(generator.normal(size=(50, k)), units, 0.1, generator)
    return network.with_weights([generator.normal(0, 0.3, array.shape).astype(np.float32) for array in network.weights])


def area(margin: Floats, y: Floats) -> float:
    """The area under the ROC curve."""
    ones, zeros = margin[y == 1], margin[y == 0]
    return float(np.mean(ones[:, None] > zeros[None, :]))


def fitted(sample: Sample, params: Params, **more: TransferStart | Sample) -> LstmFitted:
    model = LSTM.fit(sample, params, 7, **more)  # type: ignore[arg-type]
    assert isinstance(model, LstmFitted)
    return model


class TestLearning:
    def test_it_learns_what_depends_on_an_earlier_bar(self) -> None:
        X, y = series(2100)
        train, stop, test = np.arange(1200), np.arange(1200, 1400), np.arange(1400, 2100)
        model = LSTM.fit(Sample(X, y, train), LSTM.params(1), 1, stop=Sample(X, y, stop))
        assert area(model.margin(X, test), y[test]) > 0.7

    def test_on_noise_early_stopping_keeps_it_near_the_base_rate(self) -> None:
        X, y = series(1600, strength=0.0)
        model = LSTM.fit(Sample(X, y, np.arange(800)), LSTM.params(1), 1, stop=Sample(X, y, np.arange(800, 1000)))
        p = sigmoid(model.margin(X, np.arange(1000, 1600)))
        assert np.mean((p - y[1000:]) ** 2) < 0.255
        assert model.params["epochs"] < LSTM.params(1)["epochs"]

    def test_no_epoch_at_all_answers_the_base_rate(self) -> None:
        sample, params = some()
        model = fitted(sample, {**params, "epochs": 0.0})
        assert sigmoid(model.margin(sample.X, sample.rows)) == pytest.approx(np.mean(sample.y), abs=1e-6)

    def test_a_refit_without_stop_trains_the_epochs_that_stayed(self) -> None:
        sample, params = some(400, epochs=12.0)
        stopped = fitted(replace(sample, rows=sample.rows[:300]), params, stop=replace(sample, rows=sample.rows[300:]))
        again = fitted(replace(sample, rows=sample.rows[:300]), stopped.params)
        assert again.params == stopped.params
        assert again.margin(sample.X, sample.rows).tobytes() == stopped.margin(sample.X, sample.rows).tobytes()

    def test_weights_count_rows(self) -> None:
        sample, params = some()
        heavy = fitted(replace(sample, weight=np.where(sample.y == 1, 5.0, 1.0)), params)
        light = fitted(replace(sample, weight=np.ones(len(sample.y))), params)
        plain = fitted(sample, params)
        assert heavy.margin(sample.X, sample.rows).mean() > plain.margin(sample.X, sample.rows).mean() + 0.5
        assert light.margin(sample.X, sample.rows).tobytes() == plain.margin(sample.X, sample.rows).tobytes()

    @pytest.mark.parametrize("rows", [np.arange(0), np.arange(30)])
    def test_one_class_or_no_row_gives_a_constant(self, rows: Rows) -> None:
        X, _ = series(30)
        assert isinstance(LSTM.fit(Sample(X, np.ones(30), rows), LSTM.params(1), 1), Constant)

    def test_fewer_rows_than_a_batch_are_enough(self) -> None:
        sample, params = some(60)
        assert np.isfinite(fitted(sample, params).margin(sample.X, sample.rows)).all()

    def test_units_grow_with_the_step(self) -> None:
        units = [LSTM.params(step)["units"] for step in range(1, MAX_STEP + 2)]
        assert units == [8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 44]
        assert {hyperparameter.name for hyperparameter in LSTM.hyperparameters} < set(LSTM.params(1))

    def test_a_fresh_process_gives_the_same_bytes_whatever_was_fitted_before(self) -> None:
        script = f"import runpy; print(runpy.run_path({__file__!r})['fingerprint']())"
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        fitted(*some(200))
        assert done.stdout.strip() == fingerprint()


class TestTransfer:
    def test_before_any_step_it_answers_as_its_parent(self) -> None:
        sample, params = some(epochs=4.0)
        parent = fitted(sample, params)
        reads, wide = (2, 0, 5, 3), np.random.default_rng(3).normal(3.0, 2.0, (len(sample.X), 6))
        wide[:, list(reads)] = sample.X
        carried = fitted(
            replace(sample, X=wide), {**params, "epochs": 0.0}, start=TransferStart(np.zeros(300), parent, reads)
        )
        difference = carried.margin(wide, sample.rows) - parent.margin(sample.X, sample.rows)
        assert np.abs(difference).max() < 1e-6
        assert np.ptp(parent.margin(sample.X, sample.rows)) > 0.1

    def test_it_is_tuned_for_few_epochs_and_its_new_columns_are_learned(self) -> None:
        sample, params = some(epochs=4.0)
        parent = fitted(sample, params)
        wide = np.column_stack([sample.X, np.random.default_rng(3).normal(size=300)])
        start = TransferStart(np.zeros(300), parent, (0, 1, 2, 3))
        tuned = fitted(replace(sample, X=wide), {**params, "epochs": 40.0}, start=start)
        assert tuned.params["epochs"] == FINE_EPOCHS
        assert np.abs(tuned.network.kernel[4]).max() > 0
        assert tuned.network.mean[:4].tobytes() == parent.network.mean.tobytes()

    def test_a_parent_of_other_units_keeps_them(self) -> None:
        sample, params = some()
        smaller = fitted(sample, {**params, "units": 4.0})
        model = fitted(sample, params, start=TransferStart(np.zeros(300), smaller, (0, 1, 2, 3)))
        assert model.params["units"] == 4.0

    def test_a_parent_without_a_network_is_left_aside(self) -> None:
        sample, params = some()
        scratch = fitted(sample, params).margin(sample.X, sample.rows)
        for parent in (None, Constant(0.3, params)):
            model = fitted(sample, params, start=TransferStart(np.zeros(300), parent, (0, 1, 2, 3)))
            assert model.margin(sample.X, sample.rows).tobytes() == scratch.tobytes()

    def test_a_parent_that_reads_other_columns_is_refused(self) -> None:
        sample, params = some(epochs=0.0)
        with pytest.raises(InvalidInput, match="3 columns for a network that reads 4"):
            LSTM.fit(sample, params, 1, start=TransferStart(np.zeros(300), fitted(sample, params), (0, 1, 2)))


class TestAnswers:
    @pytest.mark.parametrize(("units", "k"), [(8, 5), (12, 17)])
    def test_they_are_those_of_keras(self, units: int, k: int) -> None:
        network = random_network(units, k)
        X = np.random.default_rng(6).normal(size=(120, k))
        X[::7, 1] = np.nan
        rows = np.arange(3, 120, 2)
        bars, at = look_back(rows)
        model = keras_model(k, units)
        model.set_weights(network.weights)
        theirs = np.asarray(model(network.standardised(X, bars)[at].astype(np.float32)))[:, 0]
        assert network.margin(X, rows) == pytest.approx(theirs, abs=1e-5)

    def test_a_row_is_answered_from_its_last_bars_alone(self) -> None:
        network, X = random_network(8, 3), np.random.default_rng(6).normal(size=(100, 3))
        rows = np.arange(60, 70)
        changed = X.copy()
        changed[: 61 - BARS] = 9.0
        changed[70:] = np.nan
        assert network.margin(changed, rows).tobytes() == network.margin(X, rows).tobytes()
        changed[60 + 1 - BARS] = 9.0
        assert network.margin(changed, rows)[0] != network.margin(X, rows)[0]

    def test_bars_before_the_series_and_unknown_values_are_the_mean(self) -> None:
        network, X = random_network(8, 3), np.random.default_rng(6).normal(size=(100, 3))
        early = network.margin(X[:5], np.arange(5))
        for earlier in (network.mean, np.full(3, np.nan)):
            longer = np.vstack([np.tile(earlier, (BARS, 1)), X[:5]])
            assert network.margin(longer, np.arange(BARS, BARS + 5)) == pytest.approx(early, abs=1e-12)

    def test_a_row_does_not_depend_on_the_rows_beside_it(self) -> None:
        network, X = random_network(8, 3), np.random.default_rng(6).normal(size=(100, 3))
        together = network.margin(X, np.array([2, 40, 41, 99]))
        alone = [network.margin(X, np.array([row]))[0] for row in (2, 40, 41, 99)]
        assert together == pytest.approx(alone, abs=1e-12)

    def test_margins_are_finite_and_clipped(self) -> None:
        sample, params = some()
        model = LstmFitted(random_network(8, 4).with_weights([100 * w for w in random_network(8, 4).weights]), params)
        for X in (sample.X, sample.X * 1e12, np.full_like(sample.X, np.nan)):
            margin = model.margin(X, sample.rows)
            assert np.isfinite(margin).all()
            assert np.abs(margin).max() <= MAX_MARGIN
        assert model.margin(sample.X, sample.rows[:0]).shape == (0,)

    def test_columns_that_say_nothing_are_left_as_they_are(self) -> None:
        mean, scale = moments(np.column_stack([np.full(9, 0.1), np.full(9, np.nan), np.arange(9.0)]))
        assert mean == pytest.approx([0.1, 0.0, 4.0])
        assert scale == pytest.approx([1.0, 1.0, np.sqrt(60 / 9)])


class TestState:
    def test_a_restored_model_answers_alike(self) -> None:
        sample, params = some()
        for model in (fitted(sample, params), Constant(0.4, params)):
            again = LSTM.restore(model.state())
            assert again.margin(sample.X, sample.rows).tobytes() == model.margin(sample.X, sample.rows).tobytes()
            assert again.params == model.params

    def test_it_lives_in_a_safe_archive(self) -> None:
        model = fitted(*some())
        again = LSTM.restore(skops.io.loads(skops.io.dumps(model.state()), trusted=["numpy.dtype"]))
        assert isinstance(again, LstmFitted)
        assert [array.tobytes() for array in again.network.weights] == [
            array.tobytes() for array in model.network.weights
        ]

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("damage", ["missing", "shape", "type", "infinite"])
    def test_a_damaged_state_is_refused(self, key: str, damage: str) -> None:
        state = LstmFitted(random_network(8, 3), LSTM.params(1)).state()
        array = state.pop(key)
        assert isinstance(array, np.ndarray)
        infinite = array.copy()
        infinite.flat[0] = np.inf
        damaged = {"shape": array[None], "type": array.astype(np.int64), "infinite": infinite}
        with pytest.raises(CorruptData, match=f"{key}.*fetch the artifact again"):
            LSTM.restore(state if damage == "missing" else {**state, key: damaged[damage]})

    @pytest.mark.parametrize("change", [{"scale": np.zeros(3)}, {"params": "none"}])
    def test_values_that_no_model_has_are_refused(self, change: dict[str, object]) -> None:
        with pytest.raises(CorruptData):
            LSTM.restore({**LstmFitted(random_network(8, 3), LSTM.params(1)).state(), **change})


class TestTheExtra:
    def test_restoring_and_answering_import_neither_keras_nor_jax(self) -> None:
        script = (
            f"import runpy, sys; names = runpy.run_path({__file__!r})\n"
            "model = names['LSTM'].restore(names['LstmFitted'](names['random_network'](8, 3), {}).state())\n"
            "X, _ = names['series'](50, 3)\n"
            "assert model.margin(X, names['np'].arange(50)).std() > 0.01\n"
            "assert not {'keras', 'jax'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)

    def test_without_it_training_is_refused_and_says_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lstm, "find_spec", lambda name: None if name == "keras" else find_spec(name))
        for attempt in (lstm.require, lambda: LSTM.fit(*some(), 1)):
            with pytest.raises(PreconditionFailed, match=re.escape("pip install 'ratchet-models[lstm]'")) as refused:
                attempt()
            assert "where the trainer runs: keras)" in refused.value.message
        assert refused.value.exit_code == 4

    def test_another_backend_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
        with pytest.raises(PreconditionFailed, match="KERAS_BACKEND is tensorflow"):
            keras_model(3, 8)

    def test_what_is_installed_is_enough(self) -> None:
        lstm.require()


def fingerprint() -> str:
    """The digest of a trained network and its answers."""
    sample, params = some(200)
    model = fitted(sample, params, stop=replace(sample, rows=sample.rows[150:]))
    parts = [array.tobytes() for array in model.network.weights]
    return hashlib.sha256(b"".join([*parts, model.margin(sample.X, sample.rows).tobytes()])).hexdigest()
