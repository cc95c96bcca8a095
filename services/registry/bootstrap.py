"""Wires the registry: log, application, servicers, server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.registry.v1 import registry_pb2_grpc
from services.kernel.server import Server
from services.kernel.settings import Settings
from services.registry import log as event_log
from services.registry import service
from services.registry.log import service as log_service
from services.registry.tables import TABLES


def build(settings: Settings) -> tuple[Server, tuple[Callable[[], None], ...]]:
    """The server, not started yet, and what to call after it has stopped."""
    log = event_log.open_log(settings.log, TABLES, clock=lambda: datetime.now(UTC))
    application = event_log.LogApplication(log)
    server = Server(settings.host, settings.port)
    server.add(
        eventlog_pb2_grpc.add_EventLogServiceServicer_to_server,
        log_service.EventLogService(log),
        log_service.NAME,
    )
    server.add(
        registry_pb2_grpc.add_RegistryServiceServicer_to_server,
        service.RegistryService(log, application),
        service.NAME,
    )
    server.before_stop(log.release)
    return server, (application.close, log.close)
