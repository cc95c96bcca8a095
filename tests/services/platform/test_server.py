"""A server that can't listen says so, and what to do."""

import pytest

from ratchet.errors import PreconditionFailed
from services.platform.server import Server


def test_a_busy_port_is_named() -> None:
    first = Server("127.0.0.1", 0)
    first.start()
    try:
        with pytest.raises(PreconditionFailed, match=rf"127\.0\.0\.1:{first.port}.*choose another --port"):
            Server("127.0.0.1", first.port).start()
    finally:
        first.stop(0)


def test_a_host_that_is_not_this_machine_is_named() -> None:
    with pytest.raises(PreconditionFailed, match=r"nowhere\.invalid.*or --host"):
        Server("nowhere.invalid", 0).start()
