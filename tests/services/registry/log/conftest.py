from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_samples import DATABASES, make_log

from services.registry.log import Log
from services.registry.log.database import Database


@pytest.fixture(params=list(DATABASES.values()), ids=list(DATABASES))
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Opens the same database, again with each call."""
    opened: list[Database] = []

    def open_again() -> Database:
        opened.append(request.param(tmp_path))
        return opened[-1]

    yield open_again
    for database in opened:
        database.close()


@pytest.fixture
def log(open_database: Callable[[], Database]) -> Log:
    return make_log(open_database())
