"""A rule reads like what a trader would say, and still says exactly what it is."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.scoring.features import COLUMNS, FEATURE_KIND, FEATURE_UNIT, LIBRARY
from ratchet.scoring.features.units import shown, stored
from ratchet.scoring.rule import OPS, Condition, Rule
from services.trainer.mining.wording import sentence

LINE = re.compile(r"\b(?!cdl_|bars_since_)[a-z][a-z0-9]*(_[a-z0-9]+)+\b")
"""A line or an indicator by its name, which traders know: ema_12, stoch_k_5."""


def premise(text: str) -> str:
    return sentence(Rule.parse(f"{text} -> 1"), "range").removesuffix(" → wider range")


def test_it_says_when_and_what_follows() -> None:
    rule = Rule.parse("rsi_14 > 70 and volume_ratio_20 > 2 -> 0")
    assert sentence(rule, "direction") == "rsi_14 > 70 and volume_ratio_20 > 2 → lower close"
    assert sentence(rule, "range") == "rsi_14 > 70 and volume_ratio_20 > 2 → narrower range"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("return_5 > 0.03", "return_5 > 3 %"),
        ("kdj_k_9 <= 22", "kdj_k_9 <= 22"),
        ("range_1 > 0.045", "range above 4.5 %"),
        ("gap_1 <= -0.01", "opening gap at most -1 %"),
        ("volatility_20 > 0.025", "20-bar volatility above 2.5 %"),
        (f"range_regime > {math.log(1.5):.12g}", "range above 1.5 × usual"),
        (f"range_regime_5 > {math.log(1.2):.12g}", "5-bar average range above 1.2 × usual"),
        (f"volume_regime_22 <= {math.log(0.8):.12g}", "22-bar average volume at most 0.8 × usual"),
        (f"volatility_regime_10 > {math.log(2):.12g}", "10-bar volatility above 2 × usual"),
        ("sma_gap_20 > 0.03", "close more than 3 % above sma_20"),
        ("dema_gap_30 <= -0.034", "close at least 3.4 % below dema_30"),
        ("ema_gap_200 > 0", "close above ema_200"),
        ("ema_gap_200 <= 0", "close at or below ema_200"),
        ("sma_gap_20 > -0.03", "sma_gap_20 > -3 %"),
        ("high_gap_250 > -0.02", "close less than 2 % below the highest close of 250 bars"),
        ("low_gap_60 <= 0.02", "close at most 2 % above the lowest close of 60 bars"),
        ("bars_since_high_20 <= 4", "highest close of 20 bars at most 4 bars ago"),
        ("bars_since_low_20 > 1", "lowest close of 20 bars more than 1 bar ago"),
        ("bars_since_high_20 <= 0", "highest close of 20 bars on this bar"),
        ("close_position > 0.8", "close in the top 20 % of the bar"),
        ("close_position <= 0.1", "close in the bottom 10 % of the bar"),
        ("supertrend_trend_10 > -1", "supertrend_10 up"),
        ("ht_trend_mode <= 0", "market in cycle mode"),
        ("bars_since_ema_12_crossed_above_ema_26 <= 0", "ema_12 crosses above ema_26"),
        ("bars_since_ema_12_crossed_above_ema_26 <= 4", "ema_12 crossed above ema_26 within 5 bars"),
        ("bars_since_ema_12_crossed_above_ema_26 > 9", "ema_12 has not crossed above ema_26 within 10 bars"),
        ("bars_since_ema_12_crossed_above_ema_26 is 3", "ema_12 crossed above ema_26 3 bars ago"),
        ("bars_since_rsi_14_crossed_below_30 <= 0", "rsi_14 crosses below 30"),
        ("bars_since_cci_14_crossed_above_minus_100 <= 1", "cci_14 crossed above -100 within 2 bars"),
        ("bars_since_close_crossed_above_high_20 <= 0", "close crosses above its earlier 20-bar high"),
        ("bars_since_close_crossed_below_bollinger_lower_20 <= 0", "close crosses below its lower Bollinger band"),
        ("weekday is 0", "on Mondays"),
        ("weekday > 2", "from Thursday to Sunday"),
        ("month is 1", "in January"),
        ("month <= 3", "from January to March"),
        ("day_of_month <= 5", "in the first 5 days of the month"),
        ("day_of_month is 22", "on the 22nd of the month"),
        ("day_of_month > 11", "after the 11th of the month"),
        ("turn_of_month is 1", "at the turn of the month"),
        ("hour is 14", "at 14:00 market time"),
        ("hour <= 8", "before 09:00 market time"),
        ("cdl_hammer is 1", "a bullish hammer"),
        ("cdl_engulfing is -1", "a bearish engulfing"),
        ("cdl_engulfing is 0.8", "a bullish engulfing with one end shared"),
        ("cdl_hikkake is 2", "a confirmed bullish hikkake"),
        ("cdl_doji is 1", "a doji"),
        ("swing_low_2 is 1", "a swing low 2 bars ago"),
    ],
)
def test_a_condition_in_words(text: str, words: str) -> None:
    assert premise(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rsi_14 > 70 and weekday is 0", "rsi_14 > 70 on Mondays"),
        ("month is 1 and weekday is 0", "on Mondays in January"),
        ("adx_14 > 25 and cdl_hammer is 1", "a bullish hammer and adx_14 > 25"),
        (
            "adx_14 > 25 and bars_since_macd_crossed_above_macd_signal <= 2",
            "macd crossed above macd_signal within 3 bars and adx_14 > 25",
        ),
        ("range_1 <= 0.02 and range_1 > 0.01", "range at most 2 % and range above 1 %"),
        ("rsi_14 > 70 and weekday > 2.5", "rsi_14 > 70 and weekday > 2.5"),
    ],
)
def test_events_come_first_and_times_last(text: str, words: str) -> None:
    assert premise(text) == words


def test_a_feature_that_this_version_does_not_know_is_said_by_its_name() -> None:
    assert premise("lunar_phase > 0.5") == "lunar_phase > 0.5"


@pytest.mark.parametrize("name", LIBRARY)
def test_every_feature_gives_a_sentence_in_words_where_it_has_some(name: str) -> None:
    phrase = COLUMNS[name].phrase
    said = 0
    for threshold in (-1.0, -0.02, 0.0, 0.02, 0.5, 1.0, 4.0):
        for op in OPS:
            text = premise(f"{name} {op} {threshold}")
            words = phrase(op, threshold) if phrase else None
            assert text == words if words else text.startswith(f"{name} {op} ")
            if words:
                said += 1
                assert "_" not in LINE.sub("", words)
                assert name not in words
    assert bool(said) == bool(phrase)
    if FEATURE_KIND[name] in ("cross", "calendar", "candle"):
        assert phrase


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("threshold", [-1.0, -0.02, 0.0, 0.02, 0.5, 1.0, 4.0, 25.0])
def test_no_two_features_are_said_the_same(op: str, threshold: float) -> None:
    assert len({premise(f"{name} {op} {threshold}") for name in LIBRARY}) == len(LIBRARY)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Conditions with whole thresholds, or with four significant digits in the unit of the feature."""
    name = draw(st.sampled_from(LIBRARY))
    unit = FEATURE_UNIT[name]
    if draw(st.booleans()):
        threshold = float(draw(st.integers(-3, 60)))
    else:
        number = draw(st.integers(1, 9999)) * 10.0 ** draw(st.integers(-4, 1))
        threshold = stored(unit, number) * (1 if unit == "times" else draw(st.sampled_from((-1, 1))))
    return Condition(name, draw(st.sampled_from(OPS)), float(f"{threshold:.12g}"))


def as_read(condition: Condition) -> tuple[str, str, str]:
    number = shown(FEATURE_UNIT[condition.feature], condition.threshold)
    return condition.feature, condition.op, f"{number:.4g}"


@settings(max_examples=600, deadline=None)
@given(st.lists(conditions(), min_size=2, max_size=2), conditions(), st.booleans())
def test_sentences_are_equal_only_where_four_digits_are(pair: list[Condition], with_: Condition, two: bool) -> None:
    one, other = (Rule((each, with_) if two else (each,), 1) for each in pair)
    same = sorted(map(as_read, one.conditions)) == sorted(map(as_read, other.conditions))
    assert (sentence(one, "range") == sentence(other, "range")) == same


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(LIBRARY), st.lists(conditions(), min_size=2, max_size=2))
def test_conditions_on_one_feature_are_told_apart(name: str, pair: list[Condition]) -> None:
    one, other = (Condition(name, each.op, each.threshold) for each in pair)
    same = as_read(one) == as_read(other)
    assert (sentence(Rule((one,), 0), "range") == sentence(Rule((other,), 0), "range")) == same
