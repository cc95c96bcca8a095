# ruff: noqa: N806
"""Rounds on a parent's margin add up exactly, those that stop early are those of a shorter fit, and none is trusted."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import CorruptData, InvalidInput
from ratchet.scoring.models import gradient_boosting, ubjson, xgboost
from ratchet.scoring.models.boosters import check_booster
from ratchet.scoring.models.boosting import boosting_base
from ratchet.scoring.models.families import family
from ratchet.scoring.models.gradient_boosting import BoostedTrees
from ratchet.scoring.models.port import Fitted, Rows, Sample, TransferStart, logit, sigmoid
from ratchet.scoring.models.xgboost import BoostedRounds

SEED = 3
both = pytest.mark.parametrize("name", ["gradient-boosting", "xgboost"])
WEIGHTS = [None, np.where(np.arange(400) % 4 == 0, 0.0, 1.0 + np.arange(400) % 3)]
weighted = pytest.mark.parametrize("weight", WEIGHTS, ids=["plain", "weighted"])


def bars(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    X = generator.normal(size=(n, 4))
    y = (generator.random(n) < sigmoid(1.5 * X[:, 0] + X[:, 1] - 1.0)).astype(np.float64)
    X[generator.random(X.shape) < 0.05] = np.nan
    return X, y


def rows(start: int, end: int) -> Rows:
    return np.arange(start, end, dtype=np.int64)


def fit(name: str, rounds: float = 20, **more: Sample | TransferStart) -> Fitted:
    X, y = bars()
    params = {**family(name).params(1), "rounds": rounds}
    return family(name).fit(Sample(X, y, rows(0, 400)), params, SEED, **more)  # type: ignore[arg-type]


class TestStart:
    @both
    @weighted
    @pytest.mark.parametrize("rounds", [5, 60])
    def test_the_parents_margin_and_the_new_rounds_add_up_to_the_librarys_own(
        self, name: str, weight: np.ndarray | None, rounds: int
    ) -> None:
        X, y = bars()
        kind, sample = family(name), Sample(X, y, rows(0, 400), weight)
        params = {**kind.params(1), "rounds": rounds}
        start = TransferStart(np.clip(2.0 * np.nan_to_num(X[:400, 0]) - 0.7, -4.0, 4.0))
        part, base, tolerance = kind.fit(sample, params, SEED, start=start), boosting_base(sample, start), 1e-6
        if isinstance(part, BoostedTrees):
            library = gradient_boosting.boost(base, part.gaps, params, SEED)
            filled = np.where(np.isnan(base.sample.features), part.gaps, base.sample.features)
            own = library.decision_function(filled)
        else:
            booster = xgboost.boost(base, params, SEED)
            own = booster.predict(xgboost.matrix(base.sample, base.margin), output_margin=True)
            tolerance = max(tolerance, rounds * 1e-7)  # it adds in float32, which rounds once a round
        assert base.margin + part.margin(X, base.sample.rows) == pytest.approx(own, abs=tolerance)

    @both
    def test_what_the_parent_knows_is_not_learned_again(self, name: str) -> None:
        X, _ = bars()
        parent = np.nan_to_num(1.5 * X[:400, 0]) - 1.0
        alone, added = (part.margin(X, rows(0, 400)) for part in (fit(name), fit(name, start=TransferStart(parent))))
        assert np.corrcoef(alone, parent)[0, 1] > 0.6
        assert np.corrcoef(added, parent)[0, 1] < 0.3

    @both
    def test_nothing_of_the_parent_is_kept(self, name: str) -> None:
        X, _ = bars()
        part = fit(name, start=TransferStart(np.full(400, -1.0)))
        state = part.state()
        assert set(state) <= {"trees", "gaps", "rate", "booster", "width", "prior", "params"}
        assert state["prior"] == 0.0
        assert part.margin(X, rows(0, 600)).shape == (600,)

    @both
    def test_rounds_do_not_stop_early_where_the_parents_margin_is_not_known(self, name: str) -> None:
        X, y = bars()
        start, stop = TransferStart(np.full(400, -1.0)), Sample(X, y, rows(400, 600))
        watched = fit(name, 60, start=start, stop=stop)
        assert watched.params["rounds"] == 60


@both
def test_a_model_of_its_own_knows_the_base_rate(name: str) -> None:
    X, y = bars()
    weight = np.where(np.arange(400) % 2 == 0, 3.0, 1.0)
    kind = family(name)
    params = {**kind.params(1), "rounds": 1, "rate": 1e-9}
    constant = kind.fit(Sample(X, y, rows(0, 400), weight), params, SEED).margin(X, rows(400, 600))
    assert constant == pytest.approx(logit(np.array([np.average(y[:400], weights=weight)]))[0], abs=1e-6)


@both
def test_a_row_without_weight_is_no_row(name: str) -> None:
    X, y = bars()
    kind, weight = family(name), np.where(np.arange(400) < 100, 0.0, 2.0)
    absent = kind.fit(Sample(X, y, rows(100, 400), weight[100:]), kind.params(1), SEED)
    spoiled = X.copy()
    spoiled[:100] = 1e6
    ignored = kind.fit(Sample(spoiled, y, rows(0, 400), weight), kind.params(1), SEED)
    assert ignored.margin(X, rows(0, 600)).tobytes() == absent.margin(X, rows(0, 600)).tobytes()


def test_a_weight_of_two_is_a_row_that_is_there_twice() -> None:
    X, y = bars()
    kind = family("xgboost")
    params = {**kind.params(1), "subsample": 1.0, "columns": 1.0}
    twice = np.repeat(rows(0, 400), np.where(np.arange(400) < 150, 2, 1))
    heavy = kind.fit(Sample(X, y, rows(0, 400), np.where(np.arange(400) < 150, 2.0, 1.0)), params, SEED)
    doubled = kind.fit(Sample(X, y, twice), params, SEED)
    assert sigmoid(heavy.margin(X, rows(0, 400))) == pytest.approx(sigmoid(doubled.margin(X, rows(0, 400))), abs=1e-3)


@both
def test_a_fit_that_stopped_early_is_the_one_with_as_many_rounds(name: str) -> None:
    X, y = bars()
    stopped = fit(name, 400, stop=Sample(X, y, rows(400, 600)))
    assert 1 <= stopped.params["rounds"] < 400
    again = fit(name, stopped.params["rounds"])
    assert again.params == stopped.params
    assert again.margin(X, rows(0, 600)).tobytes() == stopped.margin(X, rows(0, 600)).tobytes()


@both
def test_the_rounds_that_stay_are_better_than_all_of_them(name: str) -> None:
    X, y = bars()
    losses = []
    for part in (fit(name, 400, stop=Sample(X, y, rows(400, 600))), fit(name, 400)):
        z = part.margin(X, rows(400, 600))
        losses.append(np.mean(np.logaddexp(0.0, z) - y[400:] * z))
    assert losses[0] < losses[1]


@both
def test_fewer_columns_than_were_fitted_are_refused(name: str) -> None:
    X, _ = bars()
    with pytest.raises(InvalidInput, match="4 columns"):
        fit(name).margin(X[:, :3], rows(0, 10))


class TestState:
    @pytest.mark.parametrize(
        "change",
        [
            {"trees": []},
            {"trees": ["no"]},
            {"trees": "no"},
            {"gaps": np.zeros(3)},
            {"gaps": np.zeros((4, 1))},
            {"gaps": np.array(["a", "b", "c", "d"])},
            {"gaps": np.array([0.0, np.nan, 0.0, 0.0])},
            {"rate": None},
            {"rate": np.inf},
            {"prior": "0"},
        ],
        ids=str,
    )
    def test_trees_with_a_wrong_part_are_refused(self, change: dict[str, object]) -> None:
        with pytest.raises(CorruptData):
            family("gradient-boosting").restore({**fit("gradient-boosting").state(), **change})

    @pytest.mark.parametrize(
        ("field", "value"), [("left_child", 10**6), ("left_child", 0), ("right_child", -7), ("feature", 4)]
    )
    def test_a_tree_that_points_outside_of_itself_is_refused(self, field: str, value: int) -> None:
        part = fit("gradient-boosting")
        assert isinstance(part, BoostedTrees)
        held = part.trees[5].__getstate__()
        held["nodes"] = held["nodes"].copy()
        held["nodes"][field][0] = value
        part.trees[5].__setstate__(held)
        with pytest.raises(CorruptData, match="points outside of itself"):
            family("gradient-boosting").restore(part.state())

    @pytest.mark.parametrize(
        "change",
        [
            {"booster": np.empty(0, np.uint8)},
            {"booster": np.frombuffer(b"{L\x00garbage", np.uint8)},
            {"booster": np.zeros(40)},
            {"booster": "no"},
            {"width": 3},
            {"width": 5},
            {"width": None},
            {"prior": np.nan},
            {"prior": None},
        ],
        ids=str,
    )
    def test_a_booster_with_a_wrong_part_is_refused(self, change: dict[str, object]) -> None:
        with pytest.raises(CorruptData):
            family("xgboost").restore({**fit("xgboost").state(), **change})


class TestBoosterBytes:
    """XGBoost's loader would crash the process on many of these."""

    @staticmethod
    def booster() -> BoostedRounds:
        part = fit("xgboost", 4)
        assert isinstance(part, BoostedRounds)
        return part

    def test_every_truncation_is_refused(self) -> None:
        content = self.booster().content
        for length in range(0, len(content), 7):
            with pytest.raises(CorruptData):
                check_booster(content[:length], 4)

    def test_bytes_after_the_end_are_refused(self) -> None:
        with pytest.raises(CorruptData, match="follow the end"):
            check_booster(self.booster().content + b"}", 4)

    def test_a_flipped_bit_is_refused_or_harmless(self) -> None:
        X, _ = bars()
        part, generator = self.booster(), np.random.default_rng(2)
        refused = 0
        for position in range(0, len(part.content), 3):
            damaged = bytearray(part.content)
            damaged[position] ^= 1 << generator.integers(8)
            state = {**part.state(), "booster": np.frombuffer(bytes(damaged), np.uint8)}
            try:
                margin = family("xgboost").restore(state).margin(X, rows(0, 600))
            except CorruptData:
                refused += 1
            else:
                assert np.isfinite(margin).all()
        assert refused > len(part.content) // 4

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            (b"[5E-1]", b"[9E-1]", "binary classifier"),
            (b"binary:logistic", b"reg:squarederror"[:15], "binary classifier"),
            (b"gbtree}", b"dart  }", "binary classifier"),
            (b"num_deletedSL\0\0\0\0\0\0\0\x010", b"num_deletedSL\0\0\0\0\0\0\0\x011", "not made as"),
            (b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", "another parent"),
            (b"left_children[$l", b"left_children[$d", "no array of its type"),
        ],
    )
    def test_a_model_that_is_not_as_written_here_is_refused(self, old: bytes, new: bytes, why: str) -> None:
        content = self.booster().content
        assert old in content
        with pytest.raises(CorruptData, match=why):
            check_booster(content.replace(old, new), 4)


class TestUbjson:
    def test_it_reads_what_xgboost_writes(self) -> None:
        length = b"L" + bytes(7)
        content = b"{" + length + b"\1a[$d#" + length + b"\1\x3f\x80\0\0" + length + b"\1b[#" + length + b"\1i\xffZ}"
        document = ubjson.read(content.replace(b"Z", b""))
        assert isinstance(document, dict)
        assert document["b"] == [-1]
        assert isinstance(document["a"], np.ndarray)
        assert document["a"].dtype == np.float32
        assert document["a"].tolist() == [1.0]
        with pytest.raises(CorruptData):
            ubjson.read(content)

    def test_nesting_without_end_is_refused(self) -> None:
        with pytest.raises(CorruptData, match="deeper"):
            ubjson.read((b"[#L" + bytes(7) + b"\1") * 40 + bytes(40))

    def test_a_name_twice_is_refused(self) -> None:
        entry = b"L" + bytes(7) + b"\1ai\1"
        with pytest.raises(CorruptData, match="twice"):
            ubjson.read(b"{" + entry + entry + b"}")
