"""Real bars, read once for all tests."""

from pathlib import Path

import pytest

from ratchet.scoring.data.bars import Bars
from ratchet.scoring.data.csv_file import read

EXAMPLES = Path(__file__).parents[2] / "ratchet" / "data"


@pytest.fixture(scope="session")
def aapl() -> Bars:
    return read((EXAMPLES / "AAPL.csv").read_bytes(), "AAPL", "AAPL.csv").bars


@pytest.fixture(scope="session")
def ibm() -> Bars:
    return read((EXAMPLES / "IBM.csv").read_bytes(), "IBM", "IBM.csv").bars
