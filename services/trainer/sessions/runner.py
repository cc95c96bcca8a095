"""One training session from its request to its end: gather what it may know, compute in a worker, record."""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.client import Client
from ratchet.errors import Conflict
from ratchet.registry.v1 import registry_pb2
from services.platform.artifacts import ArtifactStore
from services.platform.workers import Workers
from services.trainer.learning.champions_as_of import Succession, champion
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.learning.session import rescored, run
from services.trainer.sessions import outputs
from services.trainer.sessions.inputs import gather, the_race
from services.trainer.sessions.scheduler import Report, Training

MOVES = 5
"""So often champions may move while a session is being recorded, each time after it was scored against the last."""


@dataclass(frozen=True)
class SessionConductor:
    """The steps of a session over the real services. Each may be repeated: what is recorded once stays recorded."""

    client: Client
    store: ArtifactStore
    workers: Workers

    def gather(self, training: Training) -> SessionInputs:
        return gather(self.client, self.store, training, self._champion)

    def work(self, job: SessionInputs, report: Report) -> SessionOutcome:
        return self.workers.run(run, job, report)

    def record(self, training: Training, job: SessionInputs, outcome: SessionOutcome) -> Training:
        """Artifact first, then the evidence for patterns, last the training, which ends the session.

        Each time that somebody moved a champion meanwhile, the same model is scored again, against those in force.
        """
        digest = self.store.put(outcome.artifact)
        self.client.record_evidence(outputs.evidence_request(training, job, outcome))
        race = job
        for _ in range(MOVES):
            try:
                return self._end(outputs.training_request(training, job, race, outcome, digest))
            except Conflict:
                race = the_race(self.client, self.store, job)
                outcome = rescored(race, outcome)
        return self._end(outputs.training_request(training, job, race, outcome, digest))

    def _champion(self, succession: Succession) -> str:
        return self.workers.run(champion, succession, _unwatched)

    def _end(self, request: registry_pb2.RecordTrainingRequest) -> Training:
        return self.client.record_training(request).training


def _unwatched(phase: str, fraction: float) -> None:
    """What a session waits for before its own work is not reported."""
