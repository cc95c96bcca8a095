"""Services that the tests share, at every place where they may run."""

from collections.abc import Iterator

import pytest
from places import Place, place  # noqa: F401 fixtures, as all below
from postgres import postgres  # noqa: F401
from running import Running
from seaweed import seaweed  # noqa: F401
from secured import secured  # noqa: F401


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, place: Place) -> Iterator[Running]:  # noqa: F811
    """Services that tests share; each uses a series or a task of its own."""
    with place.running(tmp_path_factory.mktemp("home")) as started:
        started.import_bars("AAPL")
        yield started
