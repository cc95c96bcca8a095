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
from services.trainer import telemetry
from services.trainer.api.evaluation import Evaluator
from services.trainer.api.prediction import Predictor
from services.trainer.api.servicer import PredictorService, TrainerService
from services.trainer.imports.bars import Importer
from services.trainer.sessions.reproduction import Reproducer
from services.trainer.sessions.runner import SessionConductor
from services.trainer.sessions.scheduler import Sessions
from services.trainer.telemetry import WatchedConductor
from services.trainer.workers import open_workers
from services.trainer.workers.local import ONE_THREAD


def build(settings: Settings) -> tuple[Server, Sequence[Callable[[], None]]]:
    """The server, not yet started, and what to close after it has stopped."""
    os.environ.update(ONE_THREAD)
    server = open_server(settings)
    client = Client(settings.registry, settings.knowledge, settings.trainer, actor="trainer")
    store = CountedStore(open_store(settings.artifacts), server.telemetry.metrics.registry)
    workers = open_workers(settings.workers)
    conductor = WatchedConductor(SessionConductor(client, store, workers), client, server.telemetry, workers.count)
    sessions = Sessions(client, conductor, at_once=workers.sessions)
    importer = Importer(client, store)
    server.before_stop(sessions.close)
    server.needs(peer_check("registry", client.registry), peer_check("knowledge", client.knowledge))
    server.needs(store_check(store), *telemetry.workers(settings.workers))
    server.add(
        trainer_pb2_grpc.add_TrainerServiceServicer_to_server,
        TrainerService(client, importer, sessions, Reproducer(client, store, workers)),
        trainer_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name,
    )
    server.add(
        trainer_pb2_grpc.add_PredictorServiceServicer_to_server,
        PredictorService(Predictor(client, store, importer), Evaluator(client, store, importer, workers)),
        trainer_pb2.DESCRIPTOR.services_by_name["PredictorService"].full_name,
    )
    threading.Thread(target=sessions.resume, name="resume", daemon=True).start()
    return server, (workers.close, client.close)
