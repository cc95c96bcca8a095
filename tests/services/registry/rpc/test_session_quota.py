"""One caller has a bounded number of open sessions, counted from the log: a restart forgets none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ratchet.errors import InvalidInput, LimitReached
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.settings import Settings
from services.registry.bootstrap import build
from tests.support.registry_client import FOREST, Registry


@pytest.fixture
def started(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Registry]]:
    """A registry in which a caller may have three open sessions; a second start is a restart."""
    monkeypatch.setenv("RATCHET_LIMIT_OPEN_SESSIONS", "3")
    running = ExitStack()

    def start() -> Registry:
        running.close()
        server, closers = build(settings)
        for close in reversed(closers):
            running.callback(close)
        running.callback(server.stop, 0)
        server.start()
        registry = Registry(f"127.0.0.1:{server.port}")
        running.callback(registry.close)
        return registry

    with running:
        yield start


def asked(number: int) -> pb.RequestTrainingRequest:
    return pb.RequestTrainingRequest(request_id=f"r{number}", lineage=FOREST, dataset_digest="d1")


def test_sessions_of_one_caller_are_bounded_until_one_ends(started: Callable[[], Registry]) -> None:
    registry = started()
    registry.import_bars()
    first, *_ = [registry.call(asked(number), "ann").training for number in range(3)]
    registry = started()
    with pytest.raises(LimitReached, match=r"ann has 3 training sessions .*3 at most; wait for one .*trainings cancel"):
        registry.call(asked(3), "ann")
    assert registry.call(asked(0), "ann").training == first, "a request that was accepted is answered again"
    assert registry.call(asked(4), "bob").training.session_id
    registry.call(pb.CancelTrainingRequest(session_id=first.session_id, reason="not now"), "ann")
    assert registry.call(asked(3), "ann").training.session_id


@pytest.mark.parametrize("digest", ["../../etc/passwd", "a b", "d" * 65, "é"])
def test_a_malformed_digest_is_not_registered(started: Callable[[], Registry], digest: str) -> None:
    with pytest.raises(InvalidInput, match="is not a digest: 1 to 64 of letters"):
        started().import_bars(digest=digest)
