"""What a probability is of, in words that name the bar, the line and how long its past is."""

import pytest

from ratchet.names import TARGETS
from ratchet.scoring import targets


@pytest.mark.parametrize(
    ("target", "horizon", "question"),
    [
        ("direction", 1, "close of the next bar above the close of the last bar"),
        ("range", 1, "range of the next bar above its median of the last 250 bars"),
        ("range", 5, "range of the bar 5 ahead above its median of the last 250 bars"),
        ("volatility", 5, "volatility of the next 5 bars above its median of the last 250 bars"),
        ("volume", 1, "volume of the next bar above its mean of the last 20 bars"),
    ],
)
def test_a_target_asks_a_question(target: str, horizon: int, question: str) -> None:
    assert targets.question(target, horizon) == question


def test_no_two_tasks_ask_the_same() -> None:
    questions = [targets.question(target, horizon) for target in TARGETS for horizon in (1, 2, 5)]
    assert len(set(questions)) == len(questions)
