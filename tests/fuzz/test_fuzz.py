"""Whatever is asked of the services, they answer it, keep running, and keep a log that verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import SEED, run


@pytest.mark.parametrize("requests", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_request_breaks_a_service(tmp_path: Path, requests: int) -> None:
    result = run(tmp_path / "home", requests, SEED)
    assert result.failures == ()
    assert all(sum(counted.values()) > 0 for counted in result.tally.codes.values())
    assert abs(result.tally.requests - requests) < 8
