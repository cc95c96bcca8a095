"""A recorded model made again: the same snapshot, seed, parent and knowledge, computed anew and held against it."""

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
from services.trainer.sessions.inputs import gather_again
from services.trainer.sessions.outputs import parameters

AT_ONCE = 2
"""Reproductions that run or wait for a worker: each costs as much as the session did."""

NO_DIFFERENCE = 1e-9
"""Probabilities that are this close are the same: another processor may round a last digit differently."""


@dataclass(frozen=True)
class Job:
    """The inputs of the session, and the artifact that it recorded."""

    inputs: SessionInputs
    recorded: bytes


@dataclass(frozen=True)
class Again:
    """What the session brought this time; `largest` difference of the two models' probabilities over all bars."""

    digest: str
    features: tuple[str, ...]
    patterns: tuple[str, ...]
    params: Mapping[str, float]
    library_versions: Mapping[str, str]
    bars: int
    largest: float


class Reproducer:
    """Answers for several threads at once; each waits for a worker."""

    def __init__(self, client: Client, store: ArtifactStore, workers: Workers) -> None:
        self._client = client
        self._store = store
        self._demand = OnDemand(workers, AT_ONCE, "reproduction")

    def reproduce(self, name: str, active: Callable[[], bool]) -> pb.ReproduceModelResponse:
        """The model of this name made again, compared with the recorded one; stops when `active` says no.

        NotFound for a model that was never trained; CorruptData for a snapshot or artifact that is not what was
        recorded; LimitReached while others are reproduced.
        """
        with self._demand.place():
            model = self._client.get_model(str(Model.parse(name)))
            record = model.record
            job = Job(gather_again(self._client, self._store, model), self._store.get(record.artifact.digest))
            again = self._demand.run(compute, job, active)
        return pb.ReproduceModelResponse(
            identical=again.largest <= NO_DIFFERENCE,
            differences=_differences(record, again),
            same_bytes=again.digest == record.artifact.digest,
            bars=again.bars,
            largest_difference=again.largest,
            artifact_digest=record.artifact.digest,
            reproduced_digest=again.digest,
        )


def compute(job: Job, report: Report) -> Again:
    """Run the session again and compare both models on every bar of its snapshot."""
    outcome = run(job.inputs, report)
    recorded, made = (artifact.load(content) for content in (job.recorded, outcome.artifact))
    differences = np.abs(columns.predict(recorded, job.inputs.bars) - columns.predict(made, job.inputs.bars))
    return Again(
        digest=hashlib.sha256(outcome.artifact).hexdigest(),
        features=outcome.features,
        patterns=tuple(used.id for used in outcome.patterns_used),
        params=outcome.params,
        library_versions=outcome.library_versions,
        bars=len(differences),
        largest=float(differences.max()),
    )


def _differences(record: model_pb2.ModelRecord, again: Again) -> Iterator[str]:
    """What is not as it was recorded, in words: the causes first."""
    recorded = {each.name: each.value for each in record.library_versions}
    for name, version in sorted(again.library_versions.items()):
        if recorded.get(name) != version:
            yield f"{name} is {version} here, {recorded.get(name, 'not there')} when it was trained"
    if tuple(feature.name for feature in record.features) != again.features:
        yield f"{len(again.features)} features, {len(record.features)} recorded, or in another order"
    if tuple(use.pattern_id for use in record.patterns_used) != again.patterns:
        yield f"{len(again.patterns)} patterns, {len(record.patterns_used)} recorded, or others"
    if list(record.hyperparameters) != parameters(again.params):
        yield "other hyperparameters"
    if again.largest > NO_DIFFERENCE:
        yield f"probabilities differ by up to {again.largest:.3g} on {again.bars} bars"
