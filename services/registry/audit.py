"""Audit of a registry: its log as in verify.py, and the artifacts that the log refers to.

Every referenced artifact must exist with its exact bytes; unreferenced artifacts are listed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.errors import Cancelled, Conflict, InvalidInput, NotAllowed, RatchetError, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2 as pb
from ratchet.transparency.checkpoint_files import read_checkpoints
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import TrustedKey
from ratchet.transparency.verification import VerificationReport
from services.platform.artifacts import ArtifactStore, open_store
from services.platform.settings import Settings
from services.registry.eventlog import Log, Table, checkpoint_file, open_log
from services.registry.eventlog.importing import import_log
from services.registry.eventlog.verify import verify
from services.registry.projections import TABLES

COLLECT_AFTER = timedelta(days=1)
"""A session writes its artifacts before its facts: a younger unreferenced artifact may get its reference soon."""


@dataclass(frozen=True)
class ArtifactReport:
    """Result of the artifact check.

    `findings`: missing or damaged artifacts, as text; `orphans`: unreferenced artifacts; `collected`: removed orphans;
    `notes`: the reasons for keeping others.
    """

    findings: tuple[str, ...]
    checked: int
    orphans: tuple[str, ...]
    collected: tuple[str, ...]
    notes: tuple[str, ...]


def verify_artifacts(
    store: ArtifactStore,
    referenced: Iterable[tuple[str, int, int]],
    collect_before: datetime | None = None,
    active: Callable[[], bool] = lambda: True,
) -> ArtifactReport:
    """Reads every referenced artifact in full, and lists the others.

    `referenced`: digest, position of the referring event, and the stated size, 0 for none. With `collect_before`,
    orphans last put before it are removed, and no longer listed as orphans.
    """
    known: set[str] = set()
    findings = []
    for digest, position, size in referenced:
        if not active():
            raise Cancelled("the verification was given up; run ratchet log verify again")
        known.add(digest)
        if problem := _artifact_problem(store, digest, size):
            findings.append(f"position {position}: {problem}")
    orphans = sorted(digest for digest in store.digests() if digest not in known)
    collected, notes = _collect(store, orphans, collect_before) if collect_before else ((), ())
    left = tuple(digest for digest in orphans if digest not in collected)
    return ArtifactReport(tuple(findings), len(known), left, collected, notes)


def _artifact_problem(store: ArtifactStore, digest: str, size: int) -> str:
    try:
        found = len(store.get(digest))
    except Unreachable:
        raise
    except RatchetError as error:
        return error.message
    return f"artifact {digest} has {found} bytes, not {size}" if size and found != size else ""


def _collect(store: ArtifactStore, orphans: Iterable[str], before: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Removes the orphans older than `before`; returns the removed ones, and the reasons for keeping others."""
    collected, notes = [], []
    for digest in orphans:
        if store.written_at(digest) >= before:
            continue
        try:
            store.remove(digest)
        except NotAllowed as error:
            notes.append(f"not collected: {error.message}")
        else:
            collected.append(digest)
    return tuple(collected), tuple(notes)


class Audit:
    """Verifies the log of a running registry, with its artifacts; one run at a time.

    The trusted key is the log's key at the registry's start, which had to be the registry's own then.
    """

    def __init__(self, log: Log, tables: Sequence[Table], settings: Settings, clock: Callable[[], datetime]) -> None:
        self._log, self._tables, self._clock = log, tuple(tables), clock
        self._artifacts, self._checkpoint_path = settings.artifacts, settings.home / checkpoint_file.NAME
        self._trusted = [TrustedKey(key.public_key) for key in log.keys()[-1:]]
        self._running = threading.Lock()

    def __call__(self, request: pb.VerifyRequest, active: Callable[[], bool] = lambda: True) -> pb.VerifyResponse:
        """InvalidInput for a malformed note, Conflict during another run, Cancelled once `active` returns False."""
        remembered = [_remembered(note) for note in request.remembered]
        if not self._running.acquire(blocking=False):
            raise Conflict("the log is being verified already; wait for that to end")
        try:
            return self._verify(remembered, request.collect_garbage, active)
        finally:
            self._running.release()

    def _verify(
        self, remembered: Sequence[Checkpoint], collect_garbage: bool, active: Callable[[], bool]
    ) -> pb.VerifyResponse:
        file_checkpoints, unreadable = self._file_checkpoints()
        found = verify(self._log.database, self._tables, file_checkpoints, remembered, self._trusted, active)
        before = self._clock() - COLLECT_AFTER if collect_garbage and not found.findings else None
        artifacts = verify_artifacts(open_store(self._artifacts), found.artifacts, before, active)
        findings = (*unreadable, *found.findings, *artifacts.findings)
        notes = [*found.notes, *artifacts.notes]
        if collect_garbage and found.findings:
            notes.append("nothing was collected: a log that does not verify can't tell what refers to an artifact")
        checked = (*found.checked, ("artifacts", artifacts.checked))
        return pb.VerifyResponse(
            verified=not findings,
            findings=findings,
            checked=[pb.Checked(what=what, count=count) for what, count in checked],
            orphans=artifacts.orphans,
            collected=artifacts.collected,
            notes=notes,
            checkpoint=found.checkpoint.note if found.checkpoint else "",
        )

    def _file_checkpoints(self) -> tuple[list[Checkpoint], tuple[str, ...]]:
        """The checkpoints in the registry's file, read before the log, which has only grown since."""
        try:
            return (read_checkpoints(self._checkpoint_path) if self._checkpoint_path.exists() else []), ()
        except RatchetError as error:
            return [], (error.message,)


def _remembered(note: str) -> Checkpoint:
    try:
        return Checkpoint.parse(note)
    except InvalidInput as error:
        raise InvalidInput(error.message, fields={"remembered": "no checkpoint"}) from error


def import_export(settings: Settings, file: Path, trusted: Sequence[TrustedKey]) -> VerificationReport:
    """Imports an exported log, with its read tables, into the home of `settings`; errors as `import_log`."""
    log = open_log(settings.log, (), clock=lambda: datetime.now(UTC))
    try:
        report = import_log(log.database, file, trusted)
    finally:
        log.close()
    open_log(settings.log, TABLES, clock=lambda: datetime.now(UTC)).close()
    return report
