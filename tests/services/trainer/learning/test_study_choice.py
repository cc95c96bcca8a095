# ruff: noqa: N803, N806
"""The margin is left, and the complexity step that is due not taken, only where tune shows that it is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.port import Fitted, Floats, Hyperparameter, Params, Rows, Sample, TransferStart, sigmoid
from ratchet.statistics.scores import mean_difference
from services.trainer.learning.candidates import CandidateData, Trial
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.study import ON_MARGIN, Setting, StudyPlan
from services.trainer.learning.windows import split

N = 1600
CLEAR, NEARLY, MUDDY = 0.0, 1.0, 2.0
"""Columns: what the labels were drawn from, the same with a little noise, and with much."""


@dataclass(frozen=True)
class Echo:
    """A part that answers with one column."""

    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        return X[rows, int(self.params["column"])]

    def state(self) -> dict[str, object]:
        return {}


class Echoes:
    """A family whose hyperparameters name the column that a part answers with."""

    name = "echo"
    features = ("clear", "nearly", "muddy")
    hyperparameters: tuple[Hyperparameter, ...] = ()

    def params(self, step: int) -> dict[str, float]:
        return {"column": float(step)}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,
        stop: Sample | None = None,
    ) -> Fitted:
        return Echo(params)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        raise NotImplementedError


def data() -> CandidateData:
    generator = np.random.default_rng(15)
    clear = 2.0 * generator.normal(size=N)
    y = (generator.random(N) < sigmoid(clear)).astype(np.float64)
    y[-1] = np.nan
    nearly, muddy, online = (clear + size * generator.normal(size=N) for size in (0.3, 4.0, 8.0))
    X = np.column_stack([clear, nearly, muddy, 0.1 * online])
    return CandidateData(X, y, (*Echoes.features, ONLINE_LOG_ODDS), split(y, 1, None), Echoes(), 1)


def trial(*tried: tuple[int, float, float], offered: int = 3) -> Trial:
    """The trial of a study that tries these: complexity step, column, on the margin or not."""
    settings = tuple(Setting(step, {"column": column, ON_MARGIN: on}) for step, column, on in tried)
    return scratch_trial(data(), StudyPlan(settings, offered))


def test_a_smaller_step_is_taken_where_tune_shows_that_it_is_better_and_its_gain_is_told() -> None:
    found = trial((3, MUDDY, 1.0), (3, MUDDY, 0.0), (2, CLEAR, 1.0))
    assert (found.step, found.params["column"]) == (2, CLEAR)
    gain = found.smaller_step_gain
    assert gain is not None
    assert gain.low > 0.0
    assert gain.value == pytest.approx(found.trials[0].tune_score - found.trials[2].tune_score)


def test_a_smaller_step_that_may_be_better_by_chance_is_not_taken() -> None:
    found = trial((3, NEARLY, 1.0), (3, NEARLY, 0.0), (2, CLEAR, 1.0))
    assert found.trials[2].tune_score < found.trials[0].tune_score
    assert (found.step, found.params["column"], found.smaller_step_gain) == (3, NEARLY, None)


def test_a_model_stays_on_the_margin_unless_tune_shows_that_it_is_better_off_it() -> None:
    made = data()
    left = trial((1, MUDDY, 1.0), (1, CLEAR, 0.0), offered=1)
    assert left.smaller_step_gain is None
    kept = trial((1, NEARLY, 1.0), (1, CLEAR, 0.0), offered=1)
    assert kept.trials[1].tune_score < kept.trials[0].tune_score
    for found, start, column in ((left, None, CLEAR), (kept, 3, NEARLY)):
        assert (found.function.start, found.params["column"]) == (start, column)
        assert scratch_final(made, found).start == start


def test_of_those_on_the_margin_at_the_step_that_is_due_the_best_is_taken() -> None:
    found = trial((3, MUDDY, 1.0), (3, NEARLY, 1.0), (3, CLEAR, 1.0))
    assert found.tune_score == min(each.tune_score for each in found.trials)


def test_what_is_shown_is_the_paired_interval_on_tune() -> None:
    made = data()
    found = trial((3, MUDDY, 1.0), (2, CLEAR, 1.0))
    rows = made.windows.tune.rows()
    loss = [
        (trial((step, column, 1.0), offered=step).function.probability(made.X, rows) - made.y[rows]) ** 2
        for step, column in ((3, MUDDY), (2, CLEAR))
    ]
    assert found.smaller_step_gain == mean_difference(loss[0] - loss[1], 1)
