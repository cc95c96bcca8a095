"""Wires the predictor: client, artifact store, a worker for evaluations, servicer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ratchet.client import Client
from ratchet.predictor.v1 import predictor_pb2_grpc
from services.platform.artifacts import open_store
from services.platform.server import Server, open_server
from services.platform.settings import Settings
from services.platform.snapshots import Snapshots
from services.platform.telemetry.artifact_store import CountedStore, store_check
from services.platform.telemetry.peer import peer_check
from services.platform.workers.local import ONE_THREAD, LocalWorkers
from services.predictor.evaluation import Evaluator
from services.predictor.prediction import Predictor
from services.predictor.servicer import NAME, PredictorService

PRELOAD = ("ratchet.scoring.evaluation", "skops.io", "sklearn.linear_model", "xgboost")
"""Modules that evaluations import."""


def build(settings: Settings) -> tuple[Server, Sequence[Callable[[], None]]]:
    """Builds the server, not yet started, and the functions that close its resources."""
    os.environ.update(ONE_THREAD)
    server = open_server(settings)
    client = Client(registry=settings.endpoints.registry, actor="predictor")
    store = CountedStore(open_store(settings.artifacts), server.telemetry.metrics.registry)
    snapshots = Snapshots(client, store)
    workers = LocalWorkers(1, preload=PRELOAD)
    server.needs(peer_check("registry", client.registry), store_check(store))
    server.add(
        predictor_pb2_grpc.add_PredictorServiceServicer_to_server,
        PredictorService(Predictor(client, store, snapshots), Evaluator(client, store, snapshots, workers)),
        NAME,
    )
    return server, (workers.close, client.close)
