# ruff: noqa: N806
"""Transfer carries on what the parent learned as far as what it has not seen allows; scratch begins anew."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.calibration import fit_calibration
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Family, Fitted, Params, Sample, TransferStart, sigmoid
from services.trainer.learning.candidates import CandidateData, RowWeights
from services.trainer.learning.scratch import fit_without_columns, scratch_final, scratch_trial
from services.trainer.learning.study import ON_MARGIN, Setting, StudyPlan
from services.trainer.learning.transfer import (
    Parent,
    compare_offset,
    transfer_applies,
    transfer_final,
    transfer_trial,
)
from services.trainer.learning.windows import split

N = 1600


def data(horizon: int = 1, signal: float = 1.0, family: str = "logistic") -> CandidateData:
    generator = np.random.default_rng(4)
    X = generator.normal(size=(N, 3))
    y = (generator.random(N) < sigmoid(signal * (X[:, 0] + X[:, 2]))).astype(np.float64)
    y[N - horizon :] = np.nan
    return CandidateData(X, y, ("a", "b", "c"), split(y, horizon, None), FAMILIES[family], 5)


def offered(made: CandidateData, step: int) -> StudyPlan:
    """A study that tries the family's own setting of that step alone."""
    return StudyPlan((Setting(step, {**made.family.params(step), ON_MARGIN: 1.0}),), step)


def parent(made: CandidateData, unseen_before_holdout: int, bias: float = 0.0) -> Parent:
    """A parent that knows column a, and has not seen that many rows before the holdout."""
    kind = made.family
    last = made.windows.holdout.start - made.windows.horizon - unseen_before_holdout
    rows = np.arange(250, last)
    part = kind.fit(Sample(made.X[:, :2], made.y, rows), kind.params(1), 1)
    function = Function(("a", "b"), (Link((0, 1), part, 0.0, 1.0, bias),))
    return Parent("S/range/logistic/v1", function, np.arange(N) >= last, Setting(1, kind.params(1)))


def due(made: CandidateData) -> Setting:
    """What a second session offers."""
    return Setting(2, made.family.params(2))


def carried_on(made: CandidateData, before: Parent) -> Function:
    return transfer_final(made, before, transfer_trial(made, before, due(made)))


def shifted(function: Function, by: float) -> Function:
    return replace(function, links=tuple(replace(link, c=link.c + by) for link in function.links))


@pytest.mark.parametrize(
    ("unseen", "links", "mode"), [(250, 2, "extended"), (249, 2, "recalibrated"), (60, 2, "recalibrated")]
)
def test_the_mode_follows_from_the_number_of_unseen_rows(unseen: int, links: int, mode: str) -> None:
    made = data()
    before = parent(made, unseen)
    assert transfer_applies(made, before)
    trial = transfer_trial(made, before, due(made))
    final = transfer_final(made, before, trial)
    assert trial.change == mode
    assert len(final.links) == links
    assert (final.links[-1].fitted is not None) == (mode == "extended")
    assert final.columns == ("a", "b", "c")
    assert final.links[0] is before.function.links[0]


def test_fewer_than_sixty_unseen_rows_or_a_rare_class_skip_it() -> None:
    made = data()
    assert not transfer_applies(made, parent(made, 59))
    rare = parent(made, 200)
    y = made.y.copy()
    rows = np.flatnonzero(rare.unseen & np.isfinite(y))
    y[rows] = 0.0
    y[rows[:19]] = 1.0
    assert not transfer_applies(CandidateData(made.X, y, made.columns, made.windows, made.family, 5), rare)
    y[rows[:20]] = 1.0
    assert transfer_applies(CandidateData(made.X, y, made.columns, made.windows, made.family, 5), rare)


def test_a_new_part_learns_what_the_parent_could_not_see() -> None:
    made = data(signal=1.5)
    before = parent(made, 700)
    held = made.windows.holdout.rows()

    def loss(function: Function) -> float:
        return made.score(function, held)

    assert loss(carried_on(made, before)) < loss(before.function) - 0.01


@pytest.mark.parametrize("bias", [-1.5, 1.5])
def test_recalibration_moves_against_the_bias_of_the_parent(bias: float) -> None:
    made = data()
    link = carried_on(made, parent(made, 240, bias)).links[-1]
    assert np.sign(link.c) == -np.sign(bias)


def test_what_is_compared_knows_nothing_of_choose() -> None:
    made = data(horizon=5)
    y = made.y.copy()
    choose = made.windows.choose.start
    y[choose - 5 :] = 1.0 - y[choose - 5 :]
    turned = CandidateData(made.X, y, made.columns, made.windows, made.family, 5)
    before = parent(made, 600)
    for trial, other in (
        (transfer_trial(made, before, due(made)), transfer_trial(turned, before, due(turned))),
        (scratch_trial(made, offered(made, 2)), scratch_trial(turned, offered(made, 2))),
    ):
        rows = np.arange(N)
        assert trial.function.margin(made.X, rows).tobytes() == other.function.margin(made.X, rows).tobytes()
        assert trial.tune_score == other.tune_score


def test_the_head_of_a_new_model_is_fitted_on_tune_and_in_the_end_on_choose_too() -> None:
    made = data()
    trial = scratch_trial(made, offered(made, 2))
    compared = {(link.b, link.c) for function in (trial.validation_function, trial.function) for link in function.links}
    assert len(compared) == 1
    both = trial.validation_rows
    assert set(both) == {*made.windows.tune.rows(), *made.windows.choose.rows()}
    part, final = trial.validation_function.links[0].fitted, scratch_final(made, trial).links[0]
    assert part is not None
    calibration = fit_calibration(part.margin(made.X, both)[:, None], made.y[both], (0.0,))
    assert (final.b, final.c) == (calibration.slopes[0], calibration.offset)
    assert (final.b, final.c) not in compared
    assert set(made.windows.training.rows()).isdisjoint(trial.validation_rows)


def test_rows_count_double_only_if_tune_is_better_for_it() -> None:
    """Half of the rows are noise: weighting the others helps, weighting the noise does not."""
    made = data(signal=2.0)
    y = made.y.copy()
    noise = (np.arange(N) % 2 == 0) & (np.arange(N) < made.windows.tune.start)
    y[noise] = np.random.default_rng(1).integers(0, 2, int(noise.sum()))
    muddied = replace(made, y=y)
    for weight, helps in ((np.where(noise, 1.0, 50.0), True), (np.where(noise, 50.0, 1.0), False)):
        trial = scratch_trial(muddied, offered(made, 10), RowWeights(weight, ()))
        assert trial.correction is not None
        assert trial.correction.applied == helps
        assert (trial.row_weights is not None) == helps
        assert trial.tune_score == min(trial.correction.score_with, trial.correction.score_without)


@pytest.mark.parametrize("bias", [-1.0, 1.0])
def test_an_offset_stays_only_if_choose_is_better_for_it(bias: float) -> None:
    made = data()
    before = parent(made, 480, bias)
    biased = compare_offset(made, transfer_trial(made, before, due(made)), made.windows.choose.rows())
    assert biased.correction is not None
    assert biased.correction.applied
    assert transfer_final(made, before, biased).links[-1].c != 0.0
    y = made.y.copy()
    rows = made.windows.choose.rows()
    y[rows] = (biased.function.links[0].c > 0.0) * 1.0
    turned = replace(made, y=y)
    plain = compare_offset(turned, transfer_trial(made, before, due(made)), rows)
    assert plain.correction is not None
    assert not plain.correction.applied
    assert plain.function.links[-1].c == transfer_final(made, before, plain).links[-1].c == 0.0
    assert made.score(transfer_trial(made, before, due(made)).function, rows) != made.score(plain.function, rows)


def test_a_new_model_reads_only_its_columns_and_one_without_some_reads_fewer() -> None:
    made = replace(data(signal=1.5), reads=(0, 2))
    trial = scratch_trial(made, offered(made, 3))
    assert scratch_final(made, trial).links[0].reads == (0, 2)
    assert scratch_final(made, trial).columns == ("a", "b", "c")
    bare = fit_without_columns(made, trial, frozenset({2}))
    held = made.windows.holdout.rows()
    assert bare.links[0].reads == (0,)
    assert made.score(bare, held) > made.score(trial.validation_function, held) + 0.01


class Remembering:
    """A family that keeps the start of each fit."""

    def __init__(self, kind: Family) -> None:
        self._kind = kind
        self.starts: list[TransferStart | None] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._kind, name)

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,
        stop: Sample | None = None,
    ) -> Fitted:
        self.starts.append(start)
        return self._kind.fit(sample, params, seed, start=start, stop=stop)


def test_a_new_part_is_told_where_its_columns_are_though_the_online_log_odds_are_not_among_them() -> None:
    made = data()
    before = parent(made, 400)
    link = replace(before.function.links[0], reads=(0, 2))
    before = replace(before, function=Function(("a", ONLINE_LOG_ODDS, "c"), (link,)))
    family = Remembering(made.family)
    made = CandidateData(made.X, made.y, ("a", ONLINE_LOG_ODDS, "c"), made.windows, cast(Family, family), 5)
    carried_on(made, before)
    assert made.readable_columns == (0, 2)
    assert family.starts
    assert all(start is not None and start.reads == (0, 1) for start in family.starts)
