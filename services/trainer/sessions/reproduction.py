"""Reproduction of a recorded model from the same snapshot, seed, parent and knowledge, and comparison with the
record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ratchet.client import Client
from ratchet.events.v1 import model_pb2
from ratchet.names import Model
from ratchet.scoring import columns
from ratchet.scoring.models import artifact
from ratchet.trainer.v1 import trainer_pb2 as pb
from services.platform.artifacts import ArtifactStore
from services.platform.workers import Workers
from services.platform.workers.on_demand import OnDemand
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.session import Report, run
from services.trainer.sessions.inputs import read_recorded_inputs
from services.trainer.sessions.outputs import parameters

MAX_CONCURRENT = 2
"""Maximum number of running and waiting reproductions: each costs as much as its session did."""

TOLERANCE = 1e-9
"""Largest difference of equal probabilities: processors may round the last digits differently."""


@dataclass(frozen=True)
class ReproductionJob:
    """The inputs of the session, and the artifact that it recorded."""

    inputs: SessionInputs
    recorded: bytes


@dataclass(frozen=True)
class Reproduction:
    """Result of the repeated session; `largest_difference`: of the two models' probabilities over all bars."""

    digest: str
    features: tuple[str, ...]
    patterns: tuple[str, ...]
    params: Mapping[str, float]
    library_versions: Mapping[str, str]
    bars: int
    largest_difference: float


class Reproducer:
    """Thread-safe; each call waits for a worker."""

    def __init__(self, client: Client, store: ArtifactStore, workers: Workers) -> None:
        self._client = client
        self._store = store
        self._demand = OnDemand(workers, MAX_CONCURRENT, "reproduction")

    def reproduce(self, name: str, active: Callable[[], bool]) -> pb.ReproduceModelResponse:
        """Reproduces a model and compares it with the recorded one; stops when `active` returns False.

        NotFound for an unknown model; CorruptData for a dataset or artifact with another digest than recorded;
        LimitReached at MAX_CONCURRENT reproductions.
        """
        with self._demand.place():
            model = self._client.get_model(str(Model.parse(name)))
            record = model.record
            job = ReproductionJob(
                read_recorded_inputs(self._client, self._store, model), self._store.get(record.artifact.digest)
            )
            reproduction = self._demand.run(retrain_and_compare, job, active)
        return pb.ReproduceModelResponse(
            identical=reproduction.largest_difference <= TOLERANCE,
            differences=_differences(record, reproduction),
            same_bytes=reproduction.digest == record.artifact.digest,
            bars=reproduction.bars,
            largest_difference=reproduction.largest_difference,
            artifact_digest=record.artifact.digest,
            reproduced_digest=reproduction.digest,
        )


def retrain_and_compare(job: ReproductionJob, report: Report) -> Reproduction:
    """Repeats the session and compares both models on every bar of its snapshot."""
    outcome = run(job.inputs, report)
    recorded, retrained = (artifact.load(content) for content in (job.recorded, outcome.artifact))
    differences = np.abs(columns.predict(recorded, job.inputs.bars) - columns.predict(retrained, job.inputs.bars))
    return Reproduction(
        digest=hashlib.sha256(outcome.artifact).hexdigest(),
        features=outcome.features,
        patterns=tuple(used.id for used in outcome.patterns_used),
        params=outcome.params,
        library_versions=outcome.library_versions,
        bars=len(differences),
        largest_difference=float(differences.max()),
    )


def _differences(record: model_pb2.ModelRecord, reproduction: Reproduction) -> Iterator[str]:
    """Differences from the record, as text, causes first."""
    recorded = {each.name: each.value for each in record.library_versions}
    for name, version in sorted(reproduction.library_versions.items()):
        if recorded.get(name) != version:
            yield f"{name} is {version} here, {recorded.get(name, 'not there')} when it was trained"
    if tuple(feature.name for feature in record.features) != reproduction.features:
        yield f"{len(reproduction.features)} features, {len(record.features)} recorded, or in another order"
    if tuple(use.pattern_id for use in record.patterns_used) != reproduction.patterns:
        yield f"{len(reproduction.patterns)} patterns, {len(record.patterns_used)} recorded, or others"
    if list(record.hyperparameters) != parameters(reproduction.params):
        yield "other hyperparameters"
    if reproduction.largest_difference > TOLERANCE:
        yield f"probabilities differ by up to {reproduction.largest_difference:.3g} on {reproduction.bars} bars"
