"""A rule has one text, whoever writes it, and with it one id in each series and task."""

from ratchet.events.v1 import pattern_pb2
from ratchet.patterns import rule_text
from ratchet.scoring.rule import Rule, pattern_id


def test_the_contract_and_the_miner_write_a_rule_alike() -> None:
    conditions = [
        pattern_pb2.Condition(feature="weekday", operator=pattern_pb2.OPERATOR_EQUALS, threshold=2.0),
        pattern_pb2.Condition(feature="rsi_14", operator=pattern_pb2.OPERATOR_ABOVE, threshold=70.25),
    ]
    text = rule_text.text_of(pattern_pb2.Rule(conditions=conditions, label=True))
    assert text == "rsi_14 > 70.25 and weekday is 2 -> 1"
    assert str(Rule.parse(text)) == text
    assert rule_text.pattern_id(text, "AAPL", "range") == pattern_id(Rule.parse(text), "AAPL", "range")


def test_an_id_is_of_one_series_and_one_task() -> None:
    text = "rsi_14 > 70 -> 0"
    ids = {rule_text.pattern_id(text, series, task) for series in ("AAPL", "IBM") for task in ("range", "direction")}
    assert len(ids) == 4
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)
