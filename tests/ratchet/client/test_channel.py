"""A channel goes straight to its service, and is soon there again when the service is."""

import socket
import time
from collections.abc import Callable

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ratchet.client.channel import open_channel
from ratchet.client.credentials import Credentials
from ratchet.client.health import check_health

SOON = 20.0


def test_a_proxy_of_the_environment_is_not_asked_the_way(
    serve: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with open_channel(serve(), Credentials()) as channel:
        assert check_health(channel, timeout=SOON).serving


def test_a_service_that_is_away_is_looked_for_about_every_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as away:
        host, port = away.getsockname()
        with open_channel(f"{host}:{port}", Credentials()) as channel:
            request, end = health_pb2.HealthCheckRequest(), time.monotonic() + SOON
            asked = health_pb2_grpc.HealthStub(channel).Check.future(request, wait_for_ready=True)
            for _ in range(8):
                away.settimeout(max(0.1, end - time.monotonic()))
                away.accept()[0].close()
            asked.cancel()
