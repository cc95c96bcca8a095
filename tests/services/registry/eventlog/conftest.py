from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.registry.eventlog import Log
from services.registry.eventlog.database import Database
from tests.support.log_samples import DATABASES, make_log


@pytest.fixture(params=list(DATABASES))
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new log can be made, in each of the databases."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/log.sqlite"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def open_database(log_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the same database, again with each call."""
    opened: list[Database] = []

    def open_again() -> Database:
        opened.append(DATABASES[log_url.partition(":")[0]](log_url))
        return opened[-1]

    yield open_again
    for database in opened:
        database.close()


@pytest.fixture
def log(open_database: Callable[[], Database]) -> Log:
    return make_log(open_database())
