"""A minute of load and faults ends in a log that holds everything it should, and verifies."""

from pathlib import Path

import pytest

from tests.soak.run import soak


@pytest.mark.slow
def test_a_minute_of_load_and_faults_ends_in_a_log_that_verifies(tmp_path: Path) -> None:
    found = soak(tmp_path, seconds=60.0, seed=7)
    assert found.findings == []
    assert {kind for kind, _ in found.faults} == {"kill", "restart", "pause", "worker"}
    assert found.sessions["completed"] > 0
    assert found.writes["import"] > 4
