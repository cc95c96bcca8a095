"""Real bars."""

from tests.support.bars import aapl, ibm

__all__ = ["aapl", "ibm"]
