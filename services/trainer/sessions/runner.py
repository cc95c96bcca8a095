"""Runs one training session: read its inputs, train in a worker, record the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.client import Client
from ratchet.errors import Conflict
from ratchet.patterns.snapshot_rows import SnapshotRows
from ratchet.registry.v1 import registry_pb2
from services.platform.artifacts import ArtifactStore
from services.platform.snapshots import Snapshots
from services.platform.workers import Workers
from services.trainer.learning.champions_as_of import ChampionReplay, replay_champion
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.learning.session import rescore, run
from services.trainer.sessions import outputs
from services.trainer.sessions.inputs import read_inputs, with_models_in_force
from services.trainer.sessions.scheduler import Report, Training

MAX_CHAMPION_CHANGES = 5
"""Maximum number of champion changes during the recording of one session; each change causes a new scoring."""


@dataclass(frozen=True)
class SessionRunner:
    """Runs the steps of a session on the real services. Each step is idempotent."""

    client: Client
    store: ArtifactStore
    workers: Workers

    def read_inputs(self, training: Training) -> SessionInputs:
        return read_inputs(self.client, self.store, training, self._champion)

    def train(self, job: SessionInputs, report: Report) -> SessionOutcome:
        return self.workers.run(run, job, report)

    def record(self, training: Training, job: SessionInputs, outcome: SessionOutcome) -> Training:
        """Writes the artifact, then the pattern evidence, and last the training record, which ends the session.

        After each concurrent change of a champion, the same model is scored again, against the current champions.
        """
        digest = self.store.put(outcome.artifact)
        bars = Snapshots(self.client, self.store).recorded(training.request.dataset_digest)
        rows = SnapshotRows(bars.time, bars.standstills())
        self.client.record_evidence(outputs.evidence_request(training, job, outcome, rows))
        current = job
        for _ in range(MAX_CHAMPION_CHANGES):
            try:
                return self._end(outputs.training_request(training, job, current, outcome, digest))
            except Conflict:
                current = with_models_in_force(self.client, self.store, training, job)
                outcome = rescore(current, outcome)
        return self._end(outputs.training_request(training, job, current, outcome, digest))

    def _champion(self, replay: ChampionReplay) -> str:
        return self.workers.run(replay_champion, replay, _ignore_progress)

    def _end(self, request: registry_pb2.RecordTrainingRequest) -> Training:
        return self.client.record_training(request).training


def _ignore_progress(phase: str, fraction: float) -> None:
    """Discards the progress of the champion replay."""
