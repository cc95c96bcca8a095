"""Command handlers: load, decide, commit in one batch, with optimistic concurrency by stream version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ratchet.decisions import lineage as lineages
from ratchet.decisions.lineage import LineageState
from ratchet.errors import InvalidInput, LimitReached, RatchetError, StreamConflict
from ratchet.events.v1 import facts_pb2
from ratchet.names import POLICIES, Lineage, Model, Series, one_of
from ratchet.patterns.snapshots import Registration, check_base, check_repeated
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.facts import Fact
from services.platform.interceptors import Caller
from services.platform.limits import Limits
from services.registry.domain import session as sessions
from services.registry.eventlog import CommitResult, Log, LogApplication, Origin, RecordedEvent
from services.registry.handlers.decisions import Decisions
from services.registry.handlers.states import States, dataset_stream, facts_after, session_stream
from services.registry.queries.lookup import events_at, require_dataset

ATTEMPTS = 10

_DIGEST = re.compile(r"[A-Za-z0-9_-]{1,64}")

Request: TypeAlias = (
    pb.RegisterDatasetRequest
    | pb.RequestTrainingRequest
    | pb.FailTrainingRequest
    | pb.CancelTrainingRequest
    | pb.RecordTrainingRequest
    | pb.PromoteModelRequest
    | pb.RollbackChampionRequest
)


class Commands:
    """Every write of the registry. Each returns the events of its batch; a repeated request gets the first ones."""

    def __init__(
        self, log: Log, application: LogApplication, new_id: Callable[[], str], limits: Limits | None = None
    ) -> None:
        """Without `limits`: those of the environment."""
        self._log = log
        self._application = application
        self._states = States(application)
        self._decisions = Decisions(log, self._states)
        self._new_id = new_id
        self._limits = limits or Limits.load()

    def register_dataset(self, request: pb.RegisterDatasetRequest, caller: Caller) -> RecordedEvent:
        """The registration: a new one, or the existing one of the same dataset in the same file.

        Raises:
            InvalidInput: rows, times or standstills do not fit together, to the snapshot before or to an earlier
                registration of the same dataset.
            NotFound: previous_digest or cut_from is not registered for the series.
        """
        dataset = request.dataset
        series = Series.parse(f"{dataset.symbol}@{dataset.timeframe or '1d'}")
        _require_digest("dataset.digest", "the digest of its bars", dataset.digest)
        _require_digest("dataset.artifact.digest", "the digest of the file of its bars", dataset.artifact.digest)
        registered = facts_pb2.DatasetRegistered()
        registered.CopyFrom(dataset)
        registered.timeframe = series.timeframe

        registration = Registration.of(registered)

        def decide() -> list[Fact]:
            for base in filter(None, (registered.previous_digest, registered.cut_from)):
                require_dataset(self._log, base, series)
            check_base(registration, lambda digest: self._states.dataset(digest).registration)
            state = self._states.dataset(dataset.digest)
            if state.registration is not None:
                check_repeated(state.registration, registration)
            if self._is_registered(dataset, series):
                return []
            return facts_after(dataset_stream(dataset.digest), state.version, [registered])

        committed = self._write(request, caller, decide)
        if committed is not None:
            return committed.events[0]
        row = require_dataset(self._log, dataset.digest, series)
        return events_at(self._log, [row["position"]])[0]

    def _is_registered(self, dataset: facts_pb2.DatasetRegistered, series: Series) -> bool:
        """Whether the series has this dataset already, in the role and with the file of the new registration.

        A dataset that is no longer the latest of its series, or was only a cut, becomes the latest by another import. A
        lost file is replaced by another one of the same bars.
        """
        rows = self._log.query(
            "SELECT is_latest FROM dataset_history"
            " WHERE digest = ? AND series = ? AND artifact_digest = ? AND superseded_position IS NULL",
            (dataset.digest, str(series), dataset.artifact.digest),
        )
        return any(dataset.cut_from or row["is_latest"] for row in rows)

    def request_training(self, request: pb.RequestTrainingRequest, caller: Caller) -> CommitResult:
        lineage = Lineage.parse(request.lineage)
        policy = one_of("policy", request.policy or "balanced", POLICIES)
        session_id = self._new_id()

        def decide() -> list[Fact]:
            self._require_session_quota(caller.actor)
            require_dataset(self._log, request.dataset_digest, lineage.series)
            message = facts_pb2.TrainingRequested(
                session_id=session_id,
                lineage=str(lineage),
                dataset_digest=request.dataset_digest,
                policy=policy,
                seed=request.seed if request.HasField("seed") else None,
                until=request.until if request.HasField("until") else None,
            )
            return facts_after(session_stream(session_id), 0, [message])

        return self._committed(request, caller, decide, session_id)

    def _require_session_quota(self, actor: str) -> None:
        """LimitReached for a caller with the maximum number of open sessions."""
        [row] = self._log.query(
            "SELECT COUNT(*) AS open FROM training_history WHERE state = 'OPEN' AND requested_by = ?", (actor,)
        )
        most = self._limits.open_sessions
        if row["open"] >= most:
            raise LimitReached(
                f"{actor} has {row['open']} training sessions that have not ended, {most} at most;"
                " wait for one to end, or cancel one: ratchet trainings list, ratchet trainings cancel ID",
                metadata={"limit": str(most)},
            )

    def fail_training(self, request: pb.FailTrainingRequest, caller: Caller) -> CommitResult:
        def decide() -> list[Fact]:
            state = self._states.session(request.session_id)
            end = sessions.fail(state, request.reason, request.message)
            return facts_after(session_stream(state.session_id), state.version, [end])

        return self._committed(request, caller, decide, request.session_id)

    def cancel_training(self, request: pb.CancelTrainingRequest, caller: Caller) -> CommitResult:
        def decide() -> list[Fact]:
            state = self._states.session(request.session_id)
            end = sessions.cancel(state, request.reason)
            return facts_after(session_stream(state.session_id), state.version, [end])

        return self._committed(request, caller, decide, request.session_id)

    def record_training(self, request: pb.RecordTrainingRequest, caller: Caller) -> CommitResult:
        """Records ModelTrained, TrainingCompleted, the decision on the lineage and any decision on the symbol."""
        return self._committed(request, caller, lambda: self._decisions.record_training(request), request.session_id)

    def promote_model(self, request: pb.PromoteModelRequest, caller: Caller) -> CommitResult:
        model = Model.parse(request.model)

        def decide(state: LineageState) -> facts_pb2.ModelPromoted:
            return lineages.promote(state, str(model), request.expected_champion, request.reason)

        return self._committed(request, caller, lambda: self._decisions.decide_manually(model.lineage, decide))

    def rollback_champion(self, request: pb.RollbackChampionRequest, caller: Caller) -> CommitResult:
        lineage = Lineage.parse(request.lineage)

        def decide(state: LineageState) -> facts_pb2.ModelPromoted:
            return lineages.rollback(
                state, request.reason, request.expected_champion, despite_cause=request.despite_cause
            )

        return self._committed(request, caller, lambda: self._decisions.decide_manually(lineage, decide))

    def _committed(
        self, request: Request, caller: Caller, decide: Callable[[], Sequence[Fact]], correlation_id: str = ""
    ) -> CommitResult:
        committed = self._write(request, caller, decide, correlation_id)
        if committed is None:
            raise ValueError("a decision without facts")
        return committed

    def _write(
        self, request: Request, caller: Caller, decide: Callable[[], Sequence[Fact]], correlation_id: str = ""
    ) -> CommitResult | None:
        """Commits the facts of `decide`; decides again after a stream conflict.

        An accepted request gets its first answer; None without facts.
        """
        origin = _origin(request, caller, correlation_id)
        conflict: StreamConflict | None = None
        for _ in range(ATTEMPTS):
            try:
                facts = decide()
            except RatchetError:
                first_answer = self._log.replayed(origin)
                if first_answer is None:
                    raise
                return first_answer
            if not facts:
                return None
            try:
                return self._application.append(facts, origin)
            except StreamConflict as error:
                conflict = error
        raise conflict or StreamConflict("the log is busy; try again")


def _require_digest(field: str, what: str, digest: str) -> None:
    """InvalidInput for a field of a registration that holds no digest."""
    if not digest:
        raise InvalidInput(f"a dataset needs {what}; send {field}", fields={field: "missing"})
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(
            f"{field} {digest!r} is not a digest: 1 to 64 of letters, digits, _ and -", fields={field: "not a digest"}
        )


def _origin(request: Request, caller: Caller, correlation_id: str) -> Origin:
    if not request.request_id:
        raise InvalidInput(
            "a write needs a request_id; send a new one with each new request", fields={"request_id": "missing"}
        )
    kind = request.DESCRIPTOR.full_name
    return Origin(
        request_id=request.request_id,
        fingerprint=hashlib.sha256(kind.encode() + b"\0" + request.SerializeToString(deterministic=True)).digest(),
        actor=caller.actor,
        correlation_id=correlation_id or caller.correlation_id or request.request_id,
    )
