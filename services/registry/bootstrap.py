"""Wiring of the registry: log, key, application, servicers, server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ratchet.errors import PreconditionFailed
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.registry.v1 import registry_pb2_grpc
from ratchet.transparency.keys import Key, load_private
from services.platform.server import Server, open_server
from services.platform.settings import Settings
from services.registry import eventlog as event_log
from services.registry import servicer
from services.registry.audit import Audit
from services.registry.eventlog import checkpoint_file, key_files
from services.registry.eventlog import service as log_service
from services.registry.eventlog.checkpoints import Signer
from services.registry.projections import TABLES
from services.registry.telemetry import LogTelemetry


def open_signed_log(settings: Settings) -> event_log.Log:
    """The log of the registry, with its key in force.

    Refused if the key or the checkpoint file does not match the log.
    """
    log = event_log.open_log(settings.log, TABLES, clock=lambda: datetime.now(UTC))
    try:
        signer = key_files.signer(settings.signing_key, settings.home, log.keys())
        log.sign_with(signer, checkpoint_file.CheckpointFile(settings.home / checkpoint_file.NAME))
    except BaseException:
        log.close()
        raise
    key_files.publish(settings.home, signer.public_key)
    return log


def rotate_key(settings: Settings, new: Path, actor: str, reason: str) -> Key:
    """Puts the key of the file `new` in force, signed by the old one, and installs it in the home.

    Repeated after an interruption it finishes. A registry that runs meanwhile refuses every write until its restart
    with the new key.
    """
    successor = Signer(load_private(new))
    log = event_log.open_log(settings.log, TABLES, clock=lambda: datetime.now(UTC))
    try:
        known = log.keys()
        if not known:
            raise PreconditionFailed("the log has no key yet; start the registry, which introduces one")
        if known[-1].public_key != successor.public_key:
            log.sign_with(
                key_files.signer(settings.signing_key, settings.home, known),
                checkpoint_file.CheckpointFile(settings.home / checkpoint_file.NAME),
            )
            log.rotate(successor, actor, reason)
        [*_, key] = log.keys()
    finally:
        log.close()
    if settings.signing_key is None:
        key_files.install(settings.home, new)
    key_files.publish(settings.home, key.public_key)
    return key


def build(settings: Settings) -> tuple[Server, tuple[Callable[[], None], ...]]:
    """The server, not started yet, and its close functions."""
    log = open_signed_log(settings)
    application = event_log.LogApplication(log)
    server = open_server(settings)
    server.add(
        eventlog_pb2_grpc.add_EventLogServiceServicer_to_server,
        log_service.EventLogService(log, audit=Audit(log, TABLES, settings, clock=lambda: datetime.now(UTC))),
        log_service.NAME,
    )
    server.add(
        registry_pb2_grpc.add_RegistryServiceServicer_to_server,
        servicer.RegistryService(log, application),
        servicer.NAME,
    )
    server.before_stop(log.release)
    server.needs(LogTelemetry(log, server.telemetry.metrics.registry).check())
    return server, (application.close, log.close)
