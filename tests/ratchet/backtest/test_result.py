"""A result is kept as JSON and comes back as it was."""

import json
import math
from dataclasses import replace

import pytest

from ratchet.backtest.result import FORMAT, Result
from ratchet.backtest.summary import document, read
from ratchet.errors import InvalidInput
from ratchet.statistics.scores import Interval


def test_a_document_reads_back_as_the_same_result(result: Result) -> None:
    text = json.dumps(document(result), allow_nan=False)
    assert read(json.loads(text)) == result


def test_numbers_that_json_cannot_write_come_back(result: Result) -> None:
    session = result.loop.sessions[3]
    unknown = Interval(1.0, math.nan, math.nan)
    pair = replace(session.tested[0], e_value=math.inf, improvement_percent=unknown)
    sessions = (replace(session, tested=(pair,)), *result.loop.sessions[1:])
    changed = replace(result, loop=replace(result.loop, sessions=sessions))
    back = read(json.loads(json.dumps(document(changed), allow_nan=False))).loop.sessions[0].tested[0]
    assert back.e_value == math.inf
    assert math.isnan(back.improvement_percent.low)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("setting", "horizon"), "one", r"result\.setting\.horizon is 'one', not a value of type int"),
        (("arms", 0, "cpu_seconds"), "much", r"result\.arms\[0\]\.cpu_seconds is 'much', not a number"),
        (("times",), 3, r"result\.times is '3', not a list"),
        (("segments", 1), None, r"result\.segments\[1\] is 'None', not an object"),
    ],
)
def test_a_wrong_part_is_named(result: Result, path: tuple[str | int, ...], value: object, said: str) -> None:
    written = json.loads(json.dumps(document(result)))
    place = written["result"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InvalidInput, match=said):
        read(written)


def test_a_part_that_is_missing_is_named(result: Result) -> None:
    written = json.loads(json.dumps(document(result)))
    del written["result"]["setting"]["task"]
    with pytest.raises(InvalidInput, match=r"result\.setting has no task"):
        read(written)


def test_another_document_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"no {FORMAT} document"):
        read({"format": "something else"})
