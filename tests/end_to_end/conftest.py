"""Services that the tests share."""

from collections.abc import Iterator

import pytest
from running import Running, running
from seaweed import seaweed  # noqa: F401 a fixture


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Services that tests share; each uses a series or a task of its own."""
    with running(tmp_path_factory.mktemp("home")) as started:
        started.import_bars("AAPL")
        yield started
