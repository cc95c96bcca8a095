"""Wires the trainer: client, artifact store, workers, sessions, servicers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from ratchet.client import Client
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.platform.artifacts import open_store
from services.platform.server import Server, open_server
from services.platform.settings import Settings
from services.platform.telemetry.artifact_store import CountedStore, store_check
from services.platform.telemetry.peer import peer_check
from services.platform.workers import open_workers
from services.platform.workers.local import ONE_THREAD
from services.trainer import telemetry
from services.trainer.api.fresh import FreshEvaluator
from services.trainer.api.servicer import TrainerService
from services.trainer.imports.bars import Importer
from services.trainer.sessions.reproduction import Reproducer
from services.trainer.sessions.runner import SessionRunner
from services.trainer.sessions.scheduler import SessionScheduler
from services.trainer.telemetry import ObservedRunner

PRELOAD = (
    *("services.trainer.learning.session", "services.trainer.learning.fresh"),
    *("optuna", "skops.io", "sklearn.ensemble", "sklearn.impute", "sklearn.linear_model", "xgboost"),
)
"""Modules that sessions import: the imports take seconds, which the fork server of the workers spends once."""


def build(settings: Settings) -> tuple[Server, Sequence[Callable[[], None]]]:
    """Builds the server, not yet started, and the functions that close its resources."""
    os.environ.update(ONE_THREAD)
    server = open_server(settings)
    client = Client(settings.endpoints.registry, settings.endpoints.knowledge, actor="trainer")
    store = CountedStore(open_store(settings.artifacts), server.telemetry.metrics.registry)
    workers = open_workers(settings.workers, PRELOAD)
    runner = ObservedRunner(SessionRunner(client, store, workers), client, server.telemetry, workers.count)
    sessions = SessionScheduler(client, runner, at_once=workers.sessions)
    importer = Importer(client, store)
    server.before_stop(sessions.close)
    server.needs(peer_check("registry", client.registry), peer_check("knowledge", client.knowledge))
    server.needs(store_check(store), *telemetry.worker_checks(settings.workers))
    server.add(
        trainer_pb2_grpc.add_TrainerServiceServicer_to_server,
        TrainerService(
            client,
            importer,
            sessions,
            Reproducer(client, store, workers),
            FreshEvaluator(importer.snapshots, workers),
        ),
        trainer_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name,
    )
    threading.Thread(target=sessions.resume, name="resume", daemon=True).start()
    return server, (workers.close, client.close)
