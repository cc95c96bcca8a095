"""Wires the trainer: client, artifact store, workers, sessions, servicers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from ratchet.client import Client
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.kernel.artifacts import open_store
from services.kernel.server import Server, open_server
from services.kernel.settings import Settings
from services.kernel.sight.peer import serving
from services.kernel.sight.stores import CountedStore, answering
from services.trainer import sight
from services.trainer.conductor import SessionConductor
from services.trainer.evaluating import Evaluator
from services.trainer.importing import Importer
from services.trainer.predicting import Predictor
from services.trainer.reproducing import Reproducer
from services.trainer.service import PredictorService, TrainerService
from services.trainer.sessions import Sessions
from services.trainer.sight import WatchedConductor
from services.trainer.workers import open_workers
from services.trainer.workers.local import ONE_THREAD


def build(settings: Settings) -> tuple[Server, Sequence[Callable[[], None]]]:
    """The server, not yet started, and what to close after it has stopped."""
    os.environ.update(ONE_THREAD)
    server = open_server(settings)
    client = Client(settings.registry, settings.knowledge, settings.trainer, actor="trainer")
    store = CountedStore(open_store(settings.artifacts), server.sight.metrics.registry)
    workers = open_workers(settings.workers)
    conductor = WatchedConductor(SessionConductor(client, store, workers), client, server.sight, workers.count)
    sessions = Sessions(client, conductor, at_once=workers.sessions)
    importer = Importer(client, store)
    server.before_stop(sessions.close)
    server.needs(serving("registry", client.registry), serving("knowledge", client.knowledge))
    server.needs(answering(store), *sight.workers(settings.workers))
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
