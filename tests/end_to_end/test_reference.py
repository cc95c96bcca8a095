"""Sessions with explicit seeds come to the models, verdicts and forecasts of the kept table."""

import json
from pathlib import Path

import pytest

from bench.reference import CHEAP, SESSIONS, TABLE, TARGETS, differences, play
from tests.support.running import running


@pytest.mark.slow
def test_the_first_sessions_of_the_table_are_played_again_and_differ_in_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as services:
        found = list(play(services.client, "AAPL", CHEAP))
    assert len(found) == len(CHEAP) * len(TARGETS) * len(SESSIONS)
    assert differences(found, json.loads(TABLE.read_text())) == []


def test_a_value_that_moved_is_named() -> None:
    row = {"model": "A/range/har/v1", "verdict": "VERDICT_REJECTED", "forecasts": [0.5, 0.25], "e_values": {"a": 1.0}}
    assert differences([row], [row]) == []
    assert differences([{**row, "forecasts": [0.5, 0.2501]}], [row]) == [
        "A/range/har/v1: forecasts was [0.5, 0.25], is [0.5, 0.2501]"
    ]
    assert differences([{**row, "e_values": {}}], [row]) == ["A/range/har/v1: e_values was {'a': 1.0}, is {}"]
    assert len(differences([row], [])) == 4
