"""Import of an exported log into an empty database, with the same events and the same tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ratchet.errors import PreconditionFailed
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.export import ExportedEvent, read_checkpoint, read_events
from ratchet.transparency.keys import TrustedKey
from ratchet.transparency.merkle import Node
from ratchet.transparency.verification import LogVerifier, VerificationReport, require_verified
from services.registry.eventlog.checkpoints import store_checkpoint
from services.registry.eventlog.database import Database, Writer
from services.registry.eventlog.reading import head_position

BATCH = 1000

UNKNOWN = bytes(32)
"""The fingerprint of an imported request, which an export lacks: a repetition is refused as another request."""


def import_log(database: Database, file: Path, trusted: Iterable[TrustedKey] = ()) -> VerificationReport:
    """Writes an export into a database without events, all or nothing; returns its verification report.

    PreconditionFailed for a database with events; NotFound for a missing file; CorruptData for an export that does not
    verify, or lacks its checkpoint. Opening the log creates the read tables.
    """
    checkpoint = read_checkpoint(file)
    verifier = LogVerifier([checkpoint] if checkpoint else [], (), tuple(trusted))
    with database.write() as writer:
        if position := head_position(writer):
            raise PreconditionFailed(
                f"the log holds {position} events already; import into an empty home, named with --home"
            )
        _write(writer, verifier, read_events(file), checkpoint)
        report = verifier.finish()
        require_verified(report, str(file))
    return report


def _write(
    writer: Writer, verifier: LogVerifier, events: Iterator[ExportedEvent], checkpoint: Checkpoint | None
) -> None:
    request, first, last = "", 0, 0
    while batch := list(islice(events, BATCH)):
        nodes: list[Node] = []
        requests: list[tuple[str, bytes, int, int]] = []
        for event in batch:
            if event.mismatch:
                verifier.add_finding(f"position {event.position}: {event.mismatch}")
            nodes += verifier.add(event.position, event.stream, event.version, event.topic, event.state)
            if verifier.request_id != request and first:
                requests.append((request, UNKNOWN, first, last))
            if verifier.request_id != request:
                request, first = verifier.request_id, event.position
            last = event.position
        if verifier.findings:
            return
        _insert(writer, batch, nodes, requests)
    if first:
        _insert(writer, [], [], [(request, UNKNOWN, first, last)])
    if checkpoint is not None:
        store_checkpoint(writer, checkpoint)


def _insert(
    writer: Writer,
    events: Iterable[ExportedEvent],
    nodes: Iterable[Node],
    requests: Iterable[tuple[str, bytes, int, int]],
) -> None:
    writer.execute_many(
        "INSERT INTO stored_events (position, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)",
        [(event.position, event.stream, event.version, event.topic, event.state) for event in events],
    )
    writer.execute_many("INSERT INTO merkle_nodes (level, idx, hash) VALUES (?, ?, ?)", nodes)
    writer.execute_many(
        "INSERT INTO requests (request_id, fingerprint, first_position, last_position) VALUES (?, ?, ?, ?)", requests
    )
