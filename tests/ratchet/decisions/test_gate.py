"""The gate promotes what is better, rejects what is worse, and says when it can't tell."""

import math
import subprocess
import sys
from dataclasses import astuple, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gate import SIX_POINTS, changed_hands_share, outside, promoted_share
from ratchet.decisions.evidence import PairedForecasts, pack, unpack
from ratchet.decisions.gate import POLICIES, GateResult, Judgement, PolicyName, Verdict, choose, decide, judge, keep
from ratchet.errors import InvalidInput
from ratchet.names import POLICIES as POLICY_NAMES
from ratchet.statistics.calibration import refitted_difference
from ratchet.statistics.diebold_mariano import diebold_mariano
from ratchet.statistics.evalue import e_values, loss_difference


def pair_of(skill_a: float, skill_b: float, bars: int, seed: int = 1) -> PairedForecasts:
    """Forecasts that see `skill` of the true logit, and some noise."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=bars)
    y = rng.random(bars) < 1 / (1 + np.exp(-signal))
    p_a, p_b = (1 / (1 + np.exp(-skill * signal - rng.normal(0, 0.2, bars))) for skill in (skill_a, skill_b))
    return PairedForecasts.of(p_a, p_b, y, np.arange(bars) * 86_400)


NO_BARS = PairedForecasts.of([], [], [], [])
BETTER = pair_of(0.0, 0.9, 400)
WORSE = PairedForecasts(BETTER.p_b, BETTER.p_a, BETTER.y, BETTER.times)


def test_there_is_a_rule_for_every_policy_name() -> None:
    assert set(POLICIES) == set(POLICY_NAMES)


@pytest.mark.parametrize("policy", ["plain", "balanced", "strict"])
def test_a_much_better_contender_is_promoted(policy: PolicyName) -> None:
    judgement = judge(BETTER, 1, policy)
    assert judgement.verdict == "PROMOTED"
    assert judgement.e_value > 100
    assert judgement.dm_p < 0.05
    assert judgement.mean_difference.low > 0
    assert judgement.auc_difference.low > 0
    assert judgement.improvement_percent.value > 0
    assert judgement.bars_needed is not None
    assert judgement.bars_needed < 400


@pytest.mark.parametrize("policy", ["plain", "balanced", "strict"])
def test_a_much_worse_contender_is_rejected(policy: PolicyName) -> None:
    judgement = judge(WORSE, 1, policy)
    assert judgement.verdict == "REJECTED"
    assert judgement.e_value_reverse >= 20
    assert judgement.bars_needed is None


def test_a_small_gain_is_inconclusive_and_says_how_many_bars_it_needs() -> None:
    pair = pair_of(0.5, 0.6, 120)
    judgement, d = judge(pair, 1, "balanced"), loss_difference(pair.p_a, pair.p_b, pair.y)
    assert judgement.verdict == "INCONCLUSIVE"
    assert judgement.bars_needed == pytest.approx(120 * (2.49 * d.std() / (math.sqrt(120) * d.mean())) ** 2)


@pytest.mark.parametrize("policy", ["plain", "balanced", "strict"])
def test_no_bars_are_no_new_evidence(policy: PolicyName) -> None:
    judgement = judge(NO_BARS, 1, policy)
    assert (judgement.verdict, judgement.bars, judgement.bars_needed) == ("NO_NEW_EVIDENCE", 0, None)
    assert (judgement.e_value, judgement.e_value_reverse, judgement.dm_p) == (1.0, 1.0, 1.0)


def test_plain_promotes_any_positive_mean_and_nothing_else() -> None:
    y = np.arange(40) % 2 == 0

    def moved(right: int) -> PairedForecasts:
        """A contender that moves .1 from one half, towards the outcome on the first `right` of 40 bars."""
        towards = np.where(y, 0.1, -0.1) * np.where(np.arange(40) < right, 1, -1)
        return PairedForecasts.of(np.full(40, 0.5), 0.5 + towards, y, np.arange(40))

    same = PairedForecasts.of(np.full(40, 0.5), np.full(40, 0.5), y, np.arange(40))
    assert [judge(pair, 1, "plain").verdict for pair in (moved(24), moved(20), same)] == [
        "PROMOTED",
        "INCONCLUSIVE",
        "INCONCLUSIVE",
    ]


def test_strict_asks_for_five_times_the_evidence_of_balanced() -> None:
    between = next(
        pair
        for pair in (pair_of(0.0, 0.9, bars) for bars in range(30, 200))
        if 20 <= judge(pair, 1, "balanced").e_value < 100 and judge(pair, 1, "balanced").dm_p < 0.05
    )
    assert judge(between, 1, "balanced").verdict == "PROMOTED"
    assert judge(between, 1, "strict").verdict == "INCONCLUSIVE"
    assert judge(between, 1, "balanced", comparisons=5).verdict == "INCONCLUSIVE"


def test_evidence_without_significance_is_not_enough() -> None:
    """E and the test must both agree; here differences that never vary carry E alone."""
    y = np.arange(40) % 2 == 0
    judgement = judge(PairedForecasts.of(np.where(y, 0.4, 0.6), np.where(y, 0.6, 0.4), y, np.arange(40)), 1, "balanced")
    assert judgement.e_value >= 20
    assert judgement.dm_p == 1.0
    assert judgement.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("policy", ["plain", "balanced", "strict"])
@pytest.mark.parametrize("rare", [True, False])
def test_fewer_than_20_bars_of_a_class_decide_nothing_and_define_no_metric(policy: PolicyName, rare: bool) -> None:
    y = np.full(63, not rare)
    y[:20] = rare
    better, worse = np.where(y, 0.9, 0.1), np.where(y, 0.4, 0.6)
    assert judge(PairedForecasts.of(worse, better, y, np.arange(63)), 1, policy).contender_brier == pytest.approx(0.01)
    y[0] = not rare
    for p_a, p_b in ((worse, better), (better, worse)):
        judgement = judge(PairedForecasts.of(p_a, p_b, y, np.arange(63)), 1, policy)
        assert (judgement.verdict, judgement.bars, judgement.bars_needed) == ("INCONCLUSIVE", 63, None)
        assert (judgement.e_value, judgement.e_value_reverse, judgement.dm_p) == (1.0, 1.0, 1.0)
        numbers = (
            *(judgement.champion_brier, judgement.contender_brier),
            *astuple(judgement.mean_difference),
            *astuple(judgement.improvement_percent),
            *astuple(judgement.auc_difference),
            *astuple(judgement.refitted_difference),
            *astuple(judgement.champion_accuracy),
            *astuple(judgement.contender_accuracy),
        )
        assert all(map(math.isnan, numbers))


def test_too_few_bars_never_decide() -> None:
    assert judge(BETTER, 1, "balanced", minimum_bars=400).verdict == "PROMOTED"
    assert judge(BETTER, 1, "balanced", minimum_bars=401).verdict == "INCONCLUSIVE"
    assert judge(WORSE, 1, "plain", minimum_bars=401).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("horizon", [1, 5])
def test_every_number_is_the_one_of_its_module(horizon: int) -> None:
    judgement = judge(BETTER, horizon, "balanced")
    d = loss_difference(BETTER.p_a, BETTER.p_b, BETTER.y)
    e, test = e_values(BETTER.p_a, BETTER.p_b, BETTER.y, horizon), diebold_mariano(d, horizon)
    assert (judgement.e_value, judgement.e_value_reverse) == (e.contender, e.champion)
    assert (judgement.dm_statistic, judgement.dm_p) == (test.statistic, test.p)
    gain = judgement.champion_brier - judgement.contender_brier
    assert judgement.mean_difference.value == pytest.approx(gain)
    assert judgement.improvement_percent.value == pytest.approx(100 * gain / judgement.champion_brier)
    assert judgement.improvement_percent.low == pytest.approx(
        100 * judgement.mean_difference.low / judgement.champion_brier
    )
    assert judgement.contender_accuracy.value > judgement.champion_accuracy.value
    assert judgement.refitted_difference == refitted_difference(BETTER.p_a, BETTER.p_b, BETTER.y, horizon)
    assert judgement.refitted_difference.value > 0


@pytest.mark.parametrize("pair", [BETTER, WORSE, NO_BARS], ids=["better", "worse", "no bars"])
def test_a_ruling_is_the_part_of_a_judgement_that_decides(pair: PairedForecasts) -> None:
    ruling, judgement = decide(pair, 5, "strict", 3, 120), judge(pair, 5, "strict", 3, 120)
    assert vars(ruling).items() <= vars(judgement).items()
    assert [field.name for field in fields(GateResult)] == list(vars(ruling))


def test_too_few_bars_for_two_halves_leave_only_the_refitted_difference_open() -> None:
    judgement = judge(pair_of(0.0, 0.9, 121), 1, "balanced")
    assert math.isnan(judgement.refitted_difference.value)
    assert math.isfinite(judgement.auc_difference.low)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=40, max_size=60), st.integers(1, 10))
def test_exchanging_the_models_mirrors_the_judgement(rows: list[tuple[float, float]], horizon: int) -> None:
    p_a, p_b = zip(*rows, strict=True)
    times = list(range(len(rows)))
    y = [time % 2 for time in times]
    one = judge(PairedForecasts.of(p_a, p_b, y, times), horizon, "balanced")
    other = judge(PairedForecasts.of(p_b, p_a, y, times), horizon, "balanced")
    assert (one.e_value, one.e_value_reverse) == (other.e_value_reverse, other.e_value)
    assert one.mean_difference.value == -other.mean_difference.value
    assert one.champion_brier == other.contender_brier
    assert {one.verdict, other.verdict} != {"PROMOTED"}


@given(st.integers(1, 323), st.integers(40, 60))
def test_differences_too_small_to_square_are_judged_all_the_same(exponent: int, bars: int) -> None:
    tiny, times = 10.0**-exponent, np.arange(bars)
    y = times % 2 == 0
    p_a, p_b = np.where(y, 0.5, tiny), np.where(y, 0.5, np.where(times % 3, 0.0, tiny))
    judgement = judge(PairedForecasts.of(p_a, p_b, y, times), 1, "balanced")
    assert judgement.bars_needed is None or math.isfinite(judgement.bars_needed)
    assert 0.0 <= judgement.dm_p <= 1.0


def test_the_same_bytes_give_the_same_judgement_to_the_bit_in_another_process() -> None:
    data = pack(BETTER.p_a, BETTER.p_b, BETTER.y, BETTER.times)
    code = (
        "import sys; from ratchet.decisions import evidence, gate;"
        "print(repr(gate.judge(evidence.unpack(bytes.fromhex(sys.argv[1])), 5, 'strict')))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code, data.hex()], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == repr(judge(unpack(data), 5, "strict")) == repr(judge(BETTER, 5, "strict"))


def test_proof_needs_numpy_and_the_standard_library_only() -> None:
    code = (
        "import sys; from ratchet.decisions import gate; from ratchet.transparency import merkle;"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'scipy', 'sklearn', 'pandas', 'grpc', 'google'}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1, "lenient", 1), "unknown policy 'lenient'; choose one of plain, balanced, strict"),
        ((0, "balanced", 1), "horizon 0"),
        ((1, "balanced", 0), "comparisons 0"),
    ],
)
@pytest.mark.parametrize("pair", [BETTER, NO_BARS], ids=["bars", "no bars"])
def test_wrong_arguments_are_refused(arguments: tuple, said: str, pair: PairedForecasts) -> None:
    with pytest.raises(InvalidInput, match=said):
        judge(pair, *arguments)


def with_evidence(e_value: float, verdict: Verdict = "PROMOTED") -> Judgement:
    return replace(judge(NO_BARS, 1, "balanced"), e_value=e_value, verdict=verdict)


def test_of_several_that_pass_the_largest_e_is_chosen() -> None:
    candidates = [
        with_evidence(30.0),
        with_evidence(90.0, "INCONCLUSIVE"),
        with_evidence(50.0),
        with_evidence(50.0),
    ]
    assert choose(candidates) == 2
    assert choose(candidates[1:2]) is None
    assert choose([]) is None


def test_three_contenders_with_the_largest_e_are_kept() -> None:
    candidates = [with_evidence(e, "INCONCLUSIVE") for e in (1.0, 0.5, 7.0, 1.0, 2.0)]
    assert keep(candidates) == (2, 4, 0)
    assert keep(candidates[:2]) == (0, 1)
    assert keep([]) == ()


def test_a_contender_that_the_champion_has_beaten_is_not_kept() -> None:
    assert keep([with_evidence(0.1, "REJECTED"), with_evidence(0.2, "INCONCLUSIVE")]) == (1,)


def test_a_judgement_is_plain_numbers() -> None:
    for value in astuple(judge(BETTER, 1, "balanced")):
        assert type(value) in (str, int, float, tuple)


# The rows of the policies, simulated by bench/gate.py.


def test_plain_is_fooled_within_20_sessions() -> None:
    assert promoted_share("plain", 63, gain=0.0, runs=10, seed=1) >= 0.9


def test_the_best_of_five_equal_lineages_rarely_changes_hands() -> None:
    assert changed_hands_share("balanced", 63, gain=0.0, runs=10, seed=1) <= 0.1


def test_a_share_is_outside_the_noise_of_the_page_by_three_standard_errors_of_both() -> None:
    assert not outside(0.12, 0.06, 250)
    assert outside(0.16, 0.06, 250)
    assert not outside(0.99, 1.0, 250)
    assert outside(0.9, 1.0, 250)
    assert not outside(0.9, None, 250)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "new_bars", "most"),
    [
        ("balanced", 21, 0.2),
        ("balanced", 63, 0.2),
        ("balanced", 250, 0.2),
        ("strict", 21, 0.08),
        ("strict", 63, 0.08),
        ("strict", 250, 0.08),
    ],
)
def test_false_promotions_in_20_sessions_of_no_gain_are_few(policy: PolicyName, new_bars: int, most: float) -> None:
    assert promoted_share(policy, new_bars, gain=0.0, runs=100, seed=63) <= most


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "new_bars", "least"),
    [("balanced", 21, 0.2), ("balanced", 63, 0.65), ("balanced", 250, 0.95), ("strict", 63, 0.35)],
)
def test_a_recipe_6_points_better_is_found(policy: PolicyName, new_bars: int, least: float) -> None:
    assert promoted_share(policy, new_bars, gain=SIX_POINTS, runs=60, seed=45) >= least
