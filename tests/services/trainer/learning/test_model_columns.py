# ruff: noqa: N806
"""Columns are named, ordered and appended; a prediction needs the artifact and bars alone."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import InvalidInput
from ratchet.scoring.columns import ONLINE_LOG_ODDS, FeatureTable, predict, required_features
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.models.artifact import FrozenPattern, ModelFile, load
from ratchet.scoring.models.constant import Constant
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.rule import Condition, Rule
from services.trainer.learning.inputs import KnownPattern
from services.trainer.learning.model_columns import extend_columns, readable_columns
from services.trainer.learning.outcome import Exclusion, SessionOutcome

HOT = Rule((Condition("rsi_14", ">", 70.0), Condition("range_regime", ">", 0.1)), 1)
BUSY = Rule((Condition("volume_regime", ">", 0.5),), 1)


def pattern(rule: Rule, name: str, state: str = "kept") -> KnownPattern:
    return KnownPattern(name, rule, 0.7, 100, state)


def test_a_first_model_has_its_familys_features_the_log_odds_of_online_and_every_pattern_in_force() -> None:
    unknown = Rule((Condition("moon_phase", "is", 1.0),), 1)
    grown = extend_columns(
        None,
        (pattern(HOT, "a", "confirmed"), pattern(BUSY, "b", "retired"), pattern(unknown, "c"), pattern(BUSY, "d")),
        ("adx_14", "rsi_14"),
    )
    assert grown.columns == ("adx_14", "rsi_14", ONLINE_LOG_ODDS, "rule:a", "range_regime", "rule:d", "volume_regime")
    assert grown.from_patterns == {"rule:a", "rule:d"}
    assert grown.patterns == (FrozenPattern("a", HOT, 100), FrozenPattern("d", BUSY, 100))
    assert grown.left_out == (
        Exclusion("b", "retired"),
        Exclusion("c", "unknown_feature", "moon_phase"),
    )


def test_a_pattern_of_the_parent_stays_as_it_was_used() -> None:
    function = Function(("adx_14", "rule:a"), (Link((0, 1), Constant(0.0, {}), 0.0, 1.0, 0.0),))
    parent = ModelFile("AAPL", "range", 1, "logistic", function, (FrozenPattern("a", HOT, 100),), history=0)
    grown = extend_columns(parent, (KnownPattern("a", HOT, 0.5, 999, "retired"), pattern(BUSY, "b")), ("weekday",))
    assert grown.columns == ("adx_14", "rule:a", "rule:b", "volume_regime")
    assert [each.evidence_end for each in grown.patterns] == [100, 100]
    assert grown.left_out == ()
    assert required_features(parent) == ("adx_14", "range_regime", "rsi_14")


def test_the_column_of_a_rule_is_one_where_it_fires(aapl: Bars) -> None:
    table = FeatureTable.of(aapl.head(600), "range", 1, ("rsi_14", "range_regime", "adx_14"))
    X = table.matrix(("adx_14", "rule:a"), (FrozenPattern("a", HOT, 0),))
    assert X.shape == (600, 2)
    assert X[:, 1].tolist() == HOT.fires(table.values, table.names).astype(float).tolist()
    assert set(X[:, 1]) == {0.0, 1.0}
    with pytest.raises(InvalidInput, match="column rule:b is neither"):
        table.matrix(("rule:b",), ())


def test_a_prediction_does_not_change_when_bars_arrive(aapl: Bars, first: SessionOutcome) -> None:
    model = load(first.artifact)
    early = predict(model, aapl.head(1000))
    assert early.tobytes() == predict(model, aapl)[:1000].tobytes()
    assert np.isfinite(early).all()


def test_no_part_reads_the_log_odds_that_a_model_on_the_margin_starts_from() -> None:
    columns = ("adx_14", ONLINE_LOG_ODDS, "weekday")
    assert readable_columns(columns, ()) == ((0, 2), ())
    assert readable_columns(columns, ("weekday",)) == ((0,), (Exclusion("weekday", "useless"),))
    assert readable_columns(columns, ("weekday", "adx_14")) == ((0, 2), ())
