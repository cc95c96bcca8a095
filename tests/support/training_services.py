"""Real services on free ports; sessions and evaluations run in this process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.client import Client
from ratchet.names import Series
from ratchet.predictor.v1 import predictor_pb2, predictor_pb2_grpc
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.data.csv_file import read
from ratchet.scoring.data.zones import UNKNOWN, Zones
from ratchet.trainer.v1 import trainer_pb2_grpc
from services.knowledge import bootstrap as knowledge
from services.platform.artifacts import ArtifactStore, open_store
from services.platform.server import Server
from services.platform.settings import Settings
from services.platform.snapshots import Snapshots
from services.platform.workers import Job, Report, Result, Workers
from services.predictor.evaluation import Evaluator
from services.predictor.prediction import Predictor
from services.predictor.servicer import NAME, PredictorService
from services.registry import bootstrap as registry
from services.trainer.api.fresh import FreshEvaluator
from services.trainer.api.servicer import TrainerService
from services.trainer.imports.bars import Importer
from services.trainer.sessions.reproduction import Reproducer
from services.trainer.sessions.runner import SessionRunner
from services.trainer.sessions.scheduler import SessionScheduler

FILE = Path(__file__).parents[2] / "ratchet" / "data" / "AAPL.csv"
LINES = FILE.read_bytes().splitlines(keepends=True)
AAPL = read(FILE.read_bytes(), "AAPL", FILE.name).bars
LINEAGE = "AAPL/range/logistic"
TRAINED_ON = 2000
"""Bars of the demo file that the world's model is trained on; all of them are imported."""


class Here:
    """Workers of this very process."""

    count = 1

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        return work(job, report)

    def close(self) -> None:
        pass


def quiet(phase: str, fraction: float) -> None:
    pass


def rows(count: int) -> bytes:
    """The header and the first bars of the demo file."""
    return b"".join(LINES[: count + 1])


def hourly(count: int) -> bytes:
    """The same bars as if they were an hour apart, on the half hour, from 2024 on."""
    begin = datetime(2024, 1, 1, 0, 30, tzinfo=UTC)
    times = (f"{begin + timedelta(hours=row):%Y-%m-%d %H:%M:%S}".encode() for row in range(count))
    bars = (line.partition(b",")[2] for line in LINES[1:])
    return LINES[0] + b"".join(b"%b,%b" % pair for pair in zip(times, bars, strict=False))


@dataclass(frozen=True)
class World:
    client: Client
    store: ArtifactStore
    folder: Path

    def add(self, series: str, content: bytes, replace: bool = False, zones: Zones = UNKNOWN) -> registry_pb2.Dataset:
        importer = Importer(self.client, self.store)
        return importer.add(uuid.uuid4().hex, Series.parse(series), "bars.csv", content, replace, zones).dataset

    def artifact_file(self, digest: str) -> Path:
        return self.folder / "artifacts" / digest[:2] / digest[2:]

    def train(self, lineage: str, dataset: registry_pb2.Dataset) -> str:
        """A session in this process; returns the model's name."""
        training = self.client.request_training(
            registry_pb2.RequestTrainingRequest(lineage=lineage, dataset_digest=dataset.registered.digest)
        )
        runner = SessionRunner(self.client, self.store, Here())
        job = runner.read_inputs(training)
        return runner.record(training, job, runner.train(job, quiet)).model

    def bars(self, count: int = len(AAPL)) -> list[predictor_pb2.Bar]:
        """The first bars of the demo file as messages."""
        columns = (AAPL.time, AAPL.open, AAPL.high, AAPL.low, AAPL.close, AAPL.volume)
        return [message(*(column[row] for column in columns)) for row in range(count)]


def message(time: int, open: float, high: float, low: float, close: float, volume: float) -> predictor_pb2.Bar:
    bar = predictor_pb2.Bar(open=open, high=high, low=low, close=close, volume=volume)
    bar.time.FromSeconds(int(time))
    return bar


@contextmanager
def world(folder: Path, workers: Workers | None = None) -> Iterator[World]:
    """AAPL is imported whole; its first TRAINED_ON bars have trained one version of LINEAGE."""
    with ExitStack() as stack:
        at = stack.enter_context(_served(registry.build(Settings.load("registry", folder, "127.0.0.1", 0, {}))))
        environ = {"RATCHET_REGISTRY": at}
        known = stack.enter_context(
            _served(knowledge.build(Settings.load("knowledge", folder, "127.0.0.1", 0, environ)))
        )
        store = open_store((folder / "artifacts").as_uri())
        inner = stack.enter_context(Client(at, known, actor="trainer"))
        trainer = stack.enter_context(_served(_trainer(inner, store, workers or Here())))
        predictor = stack.enter_context(_served(_predictor(inner, store, workers or Here())))
        made = World(stack.enter_context(Client(at, known, trainer, predictor, actor="tester")), store, folder)
        made.train(LINEAGE, made.add("AAPL", rows(TRAINED_ON)))
        made.add("AAPL", rows(len(AAPL)))
        yield made


Built = tuple[Server, Sequence[Callable[[], None]]]


def _trainer(client: Client, store: ArtifactStore, workers: Workers) -> Built:
    """As the bootstrap wires it."""
    importer = Importer(client, store)
    sessions = SessionScheduler(client, SessionRunner(client, store, workers), at_once=1)
    server = Server("127.0.0.1", 0)
    server.add(
        trainer_pb2_grpc.add_TrainerServiceServicer_to_server,
        TrainerService(
            client,
            importer,
            sessions,
            Reproducer(client, store, workers),
            FreshEvaluator(importer.snapshots, workers),
        ),
        "ratchet.trainer.v1.TrainerService",
    )
    return server, (sessions.close,)


def _predictor(client: Client, store: ArtifactStore, workers: Workers) -> Built:
    """As the bootstrap wires it."""
    snapshots = Snapshots(client, store)
    server = Server("127.0.0.1", 0)
    server.add(
        predictor_pb2_grpc.add_PredictorServiceServicer_to_server,
        PredictorService(Predictor(client, store, snapshots), Evaluator(client, store, snapshots, workers)),
        NAME,
    )
    return server, ()


@contextmanager
def _served(built: Built) -> Iterator[str]:
    server, closers = built
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)
    for close in closers:
        close()
