"""Services that the tests share, at every place where they may run."""

from collections.abc import Iterator

import pytest

from tests.support.deployments import Place, place  # noqa: F401 fixtures, as all below
from tests.support.identity import secured  # noqa: F401
from tests.support.object_store import seaweed  # noqa: F401
from tests.support.postgres import postgres  # noqa: F401
from tests.support.running import Running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, place: Place) -> Iterator[Running]:  # noqa: F811
    """Services that tests share; each uses a series or a task of its own."""
    with place.running(tmp_path_factory.mktemp("home")) as started:
        started.import_bars("AAPL")
        yield started
