"""ratchet features: the share of each feature by version, and where the feature came from."""

import pytest

from ratchet.cli import features
from ratchet.events.v1 import model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2

Captured = pytest.CaptureFixture[str]


def ranked(name: str, share: float, useless: bool = False) -> model_pb2.RankedFeature:
    interval = model_pb2.Interval(value=share, low=share - 0.1, high=share + 0.1)
    return model_pb2.RankedFeature(name=name, share=interval, useless=useless)


RANKINGS = [
    knowledge_pb2.FeatureRanking(session_id="s1", features=[ranked("rsi_14", 0.62), ranked("gap", 0.4)]),
    knowledge_pb2.FeatureRanking(
        session_id="s2",
        features=[ranked("gap", 0.8), ranked("rsi_14", 0.1, useless=True), ranked(f"rule:{'ab' * 8}", 0.0)],
    ),
]


RULE = pattern_pb2.Rule(conditions=[pattern_pb2.Condition(feature="range_250"), pattern_pb2.Condition(feature="gap")])
KNOWN = [
    pattern_pb2.Pattern(id="ab" * 8, rule=RULE, wording="rsi_7 > 70 → wider range"),
    pattern_pb2.Pattern(id="cd" * 8, rule=pattern_pb2.Rule(conditions=[pattern_pb2.Condition(feature="cci_14")])),
]
RECORD = model_pb2.ModelRecord(
    patterns_used=[model_pb2.PatternUse(pattern_id="ab" * 8)],
    features=[
        model_pb2.Feature(name="gap", source=model_pb2.FEATURE_SOURCE_BASE),
        model_pb2.Feature(name="range_250", source=model_pb2.FEATURE_SOURCE_LIBRARY),
        model_pb2.Feature(name="cci_14", source=model_pb2.FEATURE_SOURCE_LIBRARY),
        model_pb2.Feature(name=f"rule:{'ab' * 8}", source=model_pb2.FEATURE_SOURCE_PATTERN),
    ],
)


def test_features_have_a_column_a_version_in_the_order_of_the_newest_and_their_trend(capsys: Captured) -> None:
    features.render(RANKINGS, {"s1": "v1", "s2": "v2"}, features.feature_origins(RECORD, KNOWN))
    out = capsys.readouterr().out
    assert "rule:" not in out
    assert "trend: ▁ 0, █ 0.80" in out
    assert out.index("v1") < out.index("v2")
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("gap", "rsi_14", "pattern"))]
    assert rows == [
        ["gap", "base", "▅█", "0.40", "0.80", "[0.70,", "0.90]"],
        ["rsi_14", "▇▂", "0.62", "0.10", "[0.00,", "0.20]", "·"],
        ["pattern", "abababab", "pattern", "▁", "0.00", "[-0.10,", "0.10]"],
    ]


def test_the_rules_of_the_patterns_that_are_features_or_brought_one_stand_below_in_words(capsys: Captured) -> None:
    features.render(RANKINGS, {}, features.feature_origins(RECORD, KNOWN))
    assert capsys.readouterr().out.splitlines()[-1] == "abababab   rsi_7 > 70 → wider range"


def test_a_feature_says_whether_it_is_of_the_base_set_a_pattern_or_named_by_one() -> None:
    found = {name: str(origin) for name, origin in features.feature_origins(RECORD, KNOWN).items()}
    assert found == {
        "gap": "base",
        "range_250": "by abababab",
        "cci_14": "library",
        f"rule:{'ab' * 8}": "pattern",
        f"rule:{'cd' * 8}": "pattern",
    }
