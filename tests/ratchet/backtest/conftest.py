"""A made-up backtest that the tests read and none changes."""

import pytest

from ratchet.backtest.result import Result
from tests.support.backtest_result import made_up


@pytest.fixture(scope="session")
def result() -> Result:
    return made_up()
