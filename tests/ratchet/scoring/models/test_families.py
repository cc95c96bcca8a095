# ruff: noqa: N806
"""What every family promises: what a model type needs to be trained, carried on, stored and trusted."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ratchet.errors import CorruptData, InvalidInput
from ratchet.names import MODEL_TYPES
from ratchet.scoring.models.artifact import ModelFile, dump, load
from ratchet.scoring.models.calibration import fit_calibration
from ratchet.scoring.models.families import FAMILIES, family
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import MAX_MARGIN, MAX_STEP, Fitted, Sample, TransferStart, logit, sigmoid
from services.platform.artifacts import open_store

ROUNDS = ("rounds", "epochs")
SIZES = (*ROUNDS, "trees")
WIDTH = 5
every_family = pytest.mark.parametrize("name", FAMILIES)


def bars(n: int = 400, seed: int = 0, *, signal: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Features with gaps, the last of them all gaps, and labels that the first one tells."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, WIDTH))
    y = (generator.random(n) < sigmoid(signal * X[:, 0])).astype(np.float64)
    X[generator.random(X.shape) < 0.05] = np.nan
    X[:, 4] = np.nan
    return X, y


def rows(start: int, end: int) -> np.ndarray:
    return np.arange(start, end, dtype=np.int64)


def small(name: str) -> dict[str, float]:
    """Hyperparameters of step 1 with few rounds or trees."""
    params = family(name).params(1)
    return {key: float(min(value, 12) if key in SIZES else value) for key, value in params.items()}


def fit(name: str, sample: Sample, **more: Sample | TransferStart) -> Fitted:
    return family(name).fit(sample, small(name), 3, **more)  # type: ignore[arg-type]


@cache
def fitted(name: str) -> Fitted:
    X, y = bars()
    return fit(name, Sample(X, y, rows(0, 300)))


def model(name: str, part: Fitted | None = None) -> ModelFile:
    function = Function(tuple("abcde"), (Link((0, 1, 2, 3, 4), part or fitted(name), 0.0, 0.7, 0.1),))
    return ModelFile("AAPL", "range", 1, name, function, (), history=0)


@cache
def content(name: str) -> bytes:
    return dump(model(name))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The probabilities of every family's model, in hexadecimal, as another process computes them."""
    folder = tmp_path_factory.mktemp("models")
    for name in FAMILIES:
        (folder / name).write_bytes(content(name))
    np.save(folder / "X.npy", bars()[0])
    script = (
        "import sys, pathlib, numpy as np\n"
        "from ratchet.scoring.models.artifact import load\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "X = np.load(folder / 'X.npy')\n"
        "for name in sys.argv[2:]:\n"
        "    function = load((folder / name).read_bytes()).function\n"
        "    print(name, function.probability(X, np.arange(400)).tobytes().hex())\n"
    )
    command = [sys.executable, "-c", script, str(folder), *FAMILIES]
    root = Path(__file__).parents[4]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240, cwd=root).stdout
    return dict(line.split() for line in answer.splitlines())


class TestFit:
    @every_family
    def test_it_learns_what_is_there(self, name: str) -> None:
        X, y = bars()
        kind = family(name)
        margin = kind.fit(Sample(X, y, rows(0, 300)), kind.params(1), 1).margin(X, rows(300, 400))
        assert np.mean((margin > 0) == (y[300:] == 1)) > 0.7

    @every_family
    def test_margins_are_finite_clipped_and_in_the_order_of_the_rows(self, name: str) -> None:
        X, _ = bars()
        for features in (X, X * 1e12, np.full_like(X, np.nan)):
            margin = fitted(name).margin(features, rows(0, 400))
            assert margin.dtype == np.float64
            assert np.isfinite(margin).all()
            assert np.abs(margin).max() <= MAX_MARGIN + 1e-9
        chosen = np.array([390, 200, 201, 50], dtype=np.int64)
        assert fitted(name).margin(X, chosen) == pytest.approx(fitted(name).margin(X, rows(0, 400))[chosen], abs=1e-6)

    @every_family
    def test_no_row_gets_no_margin(self, name: str) -> None:
        assert fitted(name).margin(bars()[0], rows(0, 0)).shape == (0,)

    @every_family
    @pytest.mark.parametrize(("ones", "count"), [(1.0, 50), (0.0, 50), (1.0, 0)])
    def test_one_class_or_no_row_gives_a_constant(self, name: str, ones: float, count: int) -> None:
        X, y = bars()
        constant = fit(name, Sample(X, np.full_like(y, ones), rows(0, count)))
        assert sigmoid(constant.margin(X, rows(0, 400))) == pytest.approx((ones * count + 1) / (count + 2))

    @every_family
    def test_a_heavier_class_is_expected_more_often(self, name: str) -> None:
        X, y = bars()
        heavy = fit(name, Sample(X, y, rows(0, 300), np.where(y[:300] == 1, 5.0, 1.0)))
        gain = heavy.margin(X, rows(0, 400)).mean() - fitted(name).margin(X, rows(0, 400)).mean()
        assert gain > 0.1

    @every_family
    def test_the_label_of_a_row_without_weight_says_nothing(self, name: str) -> None:
        X, y = bars()
        weight = np.where(np.arange(300) % 3 == 0, 0.0, 1.0)
        lies = y.copy()
        lies[:300][weight == 0] = 1.0 - y[:300][weight == 0]
        honest, deceived = (fit(name, Sample(X, labels, rows(0, 300), weight)) for labels in (y, lies))
        assert honest.margin(X, rows(0, 400)).tobytes() == deceived.margin(X, rows(0, 400)).tobytes()
        assert honest.margin(X, rows(0, 400)).tobytes() != fitted(name).margin(X, rows(0, 400)).tobytes()


class TestParams:
    @every_family
    def test_knobs_are_among_the_params_of_every_step_and_within_their_range(self, name: str) -> None:
        kind = family(name)
        assert kind.name == name
        for step in range(1, MAX_STEP + 1):
            for hyperparameter in kind.hyperparameters:
                assert hyperparameter.low <= kind.params(step)[hyperparameter.name] <= hyperparameter.high
                assert hyperparameter.low > 0 or not hyperparameter.log

    @every_family
    def test_complexity_grows_for_ten_steps_at_most(self, name: str) -> None:
        steps = [family(name).params(step) for step in range(1, MAX_STEP + 3)]
        assert steps[0] != steps[1]
        assert steps[MAX_STEP - 1] == steps[MAX_STEP] == steps[-1]

    @every_family
    def test_a_fit_says_what_it_was_fitted_with(self, name: str) -> None:
        assert dict(fitted(name).params) == small(name)

    @every_family
    def test_stopping_early_lowers_the_rounds_and_says_so(self, name: str) -> None:
        X, y = bars(signal=0.0)
        params = family(name).params(2)
        stopped = family(name).fit(Sample(X, y, rows(0, 200)), params, 3, stop=Sample(X, y, rows(200, 400)))
        rounds = [key for key in params if key in ROUNDS]
        assert {key: value for key, value in stopped.params.items() if key not in rounds} == {
            key: value for key, value in params.items() if key not in rounds
        }
        assert all(1 <= stopped.params[key] < params[key] for key in rounds)

    @every_family
    def test_nothing_to_stop_on_changes_nothing(self, name: str) -> None:
        X, y = bars()
        unwatched = fit(name, Sample(X, y, rows(0, 300)), stop=Sample(X, y, rows(0, 0)))
        assert unwatched.margin(X, rows(0, 400)).tobytes() == fitted(name).margin(X, rows(0, 400)).tobytes()


class TestTransfer:
    @every_family
    def test_appended_columns_leave_the_function_of_the_parent_as_it_is(self, name: str) -> None:
        X, y = bars()
        parent = model(name).function
        columns = (*parent.columns, "f", "g")
        wide = np.column_stack([X, np.random.default_rng(1).normal(size=(400, 2))])
        start = TransferStart(parent.margin(X, rows(300, 400)), fitted(name), (0, 1, 2, 3, 4))
        part = fit(name, Sample(wide, y, rows(300, 400)), start=start)
        silent = parent.extended(columns, Link(tuple(range(7)), part, 1.0, 0.0, 0.0))
        recalibrated = parent.extended(columns, Link((), None, 1.0, 0.0, 0.0))
        expected = parent.margin(X, rows(0, 400))
        for child in (silent, recalibrated):
            for garbage in (wide, np.where(np.arange(7) < WIDTH, wide, 1e9), np.where(np.arange(7) < 5, wide, np.nan)):
                assert child.margin(garbage, rows(0, 400)) == pytest.approx(expected, abs=1e-6)

    @every_family
    def test_a_start_improves_on_the_parent_where_the_rows_hold_something_new(self, name: str) -> None:
        generator = np.random.default_rng(4)
        X = generator.normal(size=(2400, 3))
        news = np.where(np.arange(2400) < 600, 0.0, 2.0 * X[:, 2])
        y = (generator.random(2400) < sigmoid(X[:, 0] + news)).astype(np.float64)
        kind = family(name)
        old = kind.fit(Sample(X[:, :2], y, rows(0, 600)), kind.params(1), 3)
        parent = Function(("a", "b"), (Link((0, 1), old, 0.0, 1.0, 0.0),))
        unseen, calibration, fresh = rows(600, 1300), rows(1300, 1800), rows(1800, 2400)
        start = TransferStart(parent.margin(X, unseen), old, (0, 1))
        part = kind.fit(Sample(X, y, unseen), kind.params(1), 3, start=start)
        margins = np.column_stack([parent.margin(X, calibration), part.margin(X, calibration)])
        head = fit_calibration(margins, y[calibration], (1.0, 0.0))
        child = parent.extended(("a", "b", "c"), Link((0, 1, 2), part, *head.slopes, head.offset))
        losses = [np.mean((function.probability(X, fresh) - y[fresh]) ** 2) for function in (parent, child)]
        assert losses[1] < losses[0] - 0.02


class TestArtifact:
    @every_family
    def test_the_same_seed_gives_the_same_bytes(self, name: str) -> None:
        X, y = bars()
        assert dump(model(name, fit(name, Sample(X, y, rows(0, 300))))) == content(name)

    @every_family
    def test_a_loaded_model_is_the_one_that_was_dumped(self, name: str) -> None:
        X, y = bars()
        constant = fit(name, Sample(X, np.ones_like(y), rows(0, 50)))
        for part in (fitted(name), constant):
            loaded = load(dump(model(name, part)))
            margin = loaded.function.margin(X, rows(0, 400))
            assert margin.tobytes() == model(name, part).function.margin(X, rows(0, 400)).tobytes()
            assert dump(loaded) == dump(model(name, part))
            held = loaded.function.links[0].fitted
            assert held is not None
            assert held.params == part.params

    @every_family
    def test_a_fresh_process_computes_the_same_probabilities(self, name: str, elsewhere: Mapping[str, str]) -> None:
        assert elsewhere[name] == model(name).function.probability(bars()[0], rows(0, 400)).tobytes().hex()

    @every_family
    def test_truncated_bytes_are_refused(self, name: str) -> None:
        whole = content(name)
        for length in np.linspace(0, len(whole) - 1, 30).astype(int):
            with pytest.raises(CorruptData):
                load(whole[:length])

    @every_family
    def test_a_flipped_bit_never_gives_another_answer(self, name: str) -> None:
        X, _ = bars()
        whole, generator = content(name), np.random.default_rng(8)
        expected, refused = model(name).function.margin(X, rows(0, 400)).tobytes(), 0
        for position in generator.integers(0, len(whole), 40):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << generator.integers(8)
            try:
                loaded = load(bytes(damaged))
            except CorruptData:
                refused += 1
            else:
                assert loaded.function.margin(X, rows(0, 400)).tobytes() == expected
        assert refused >= 20

    @every_family
    def test_another_model_in_the_place_of_this_one_is_refused(self, name: str, tmp_path: Path) -> None:
        X, y = bars(seed=7)
        store = open_store(tmp_path.as_uri())
        digest = store.put(content(name))
        place = tmp_path / digest[:2] / digest[2:]
        place.chmod(0o600)
        place.write_bytes(dump(model(name, fit(name, Sample(X, y, rows(0, 300))))))
        with pytest.raises(CorruptData, match=digest):
            store.get(digest)

    @every_family
    def test_the_content_of_another_type_is_refused(self, name: str) -> None:
        for other in (other for other in FAMILIES if type(FAMILIES[other]) is not type(FAMILIES[name])):
            with pytest.raises(CorruptData, match="not a model of Ratchet"):
                load(dump(dataclasses.replace(model(other), model_type=name)))

    @every_family
    @pytest.mark.parametrize("state", [{}, {"pipeline": "no", "width": 5}, {"constant": "1.0"}, {"constant": np.nan}])
    def test_a_state_of_something_else_is_refused(self, name: str, state: Mapping[str, object]) -> None:
        with pytest.raises(CorruptData):
            family(name).restore(state)

    @every_family
    def test_hyperparameters_that_are_none_are_refused(self, name: str) -> None:
        for part in (fitted(name).state(), {"constant": 0.5}):
            with pytest.raises(CorruptData):
                family(name).restore({**part, "params": "deep"})


def test_forests_grow_by_the_schedule() -> None:
    steps = [family("random-forest").params(step) for step in (1, 2, 3)]
    assert [(step["trees"], step["depth"]) for step in steps] == [(50, 10), (80, 12), (110, 14)]


@pytest.mark.parametrize("name", ["gradient-boosting", "xgboost"])
def test_boosting_takes_more_and_smaller_steps(name: str) -> None:
    steps = [family(name).params(step) for step in range(1, MAX_STEP + 1)]
    assert [step["rounds"] for step in steps[:3]] == [60, 100, 140]
    assert [step["rate"] for step in steps[:3]] == pytest.approx([0.1, 0.085, 0.07225])
    assert all(after["rate"] < before["rate"] for before, after in itertools.pairwise(steps))


def test_an_unknown_family_names_those_that_there_are() -> None:
    with pytest.raises(InvalidInput, match=f"unknown model type 'arima'; choose one of {', '.join(FAMILIES)}"):
        family("arima")


def test_logit_and_sigmoid_are_inverse_within_the_limits() -> None:
    p = np.array([0.01, 0.3, 0.5, 0.99])
    assert sigmoid(logit(p)) == pytest.approx(p)
    assert logit(np.array([0.0, 1.0])) == pytest.approx([-MAX_MARGIN, MAX_MARGIN])


def test_every_named_type_can_be_trained() -> None:
    assert tuple(FAMILIES) == MODEL_TYPES
