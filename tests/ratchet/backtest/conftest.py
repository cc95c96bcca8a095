"""A made-up backtest that the tests read and none changes."""

import pytest
from replayed import made_up

from ratchet.backtest.result import Result


@pytest.fixture(scope="session")
def result() -> Result:
    return made_up()
