"""Verification of a log's database: the events, their decisions, and the derived data."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ratchet.errors import Cancelled, InvalidInput
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import TrustedKey
from ratchet.transparency.references import ArtifactReferences
from ratchet.transparency.verification import MAX_FINDINGS, LogVerifier
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.checkpoints import notes_from
from services.registry.eventlog.database import Reader, Row
from services.registry.eventlog.integrity import MerkleNodeCheck, RequestCheck, check_tables
from services.registry.eventlog.read_tables import Table

MAX_VERIFIED = 10_000
"""The two signatures of a checkpoint take some 0.2 ms. Older checkpoints are only compared with the tree."""

_ALL = 2**63 - 1
_CANCEL_CHECK_EVENTS = 256


class Snapshots(Protocol):
    """A source of snapshots of the log: its database."""

    def read(self) -> AbstractContextManager[Reader]: ...


@dataclass(frozen=True)
class LogVerification:
    """`findings`: violations as text; `checked`: the checked things with counts; `notes`: limits of this verification.

    `artifacts`: those that the log refers to; `checkpoint`: the newest valid one.
    """

    findings: tuple[str, ...]
    checked: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    artifacts: ArtifactReferences
    checkpoint: Checkpoint | None


def verify(
    database: Snapshots,
    tables: Sequence[Table],
    file_checkpoints: Iterable[Checkpoint] = (),
    remembered: Iterable[Checkpoint] = (),
    trusted: Sequence[TrustedKey] = (),
    active: Callable[[], bool] = lambda: True,
) -> LogVerification:
    """Verifies one snapshot of the log; writers continue meanwhile.

    `file_checkpoints`: those of the registry's file, `remembered`: those of a caller; `trusted`: keys, see
    `ratchet.transparency.signatures`. Reads the database, and writes only to a temporary file. Cancelled soon after
    `active` returns False.
    """
    with database.read() as reader:
        events = verify_events(reader, file_checkpoints, remembered, trusted, active)
        found, rows = verify_tables(reader, tables, active)
    checked = (*events.checked, *((f"rows of {name}", count) for name, count in rows.items()))
    return LogVerification((*events.findings, *found), checked, events.notes, events.artifacts, events.checkpoint)


def verify_events(
    reader: Reader,
    file_checkpoints: Iterable[Checkpoint] = (),
    remembered: Iterable[Checkpoint] = (),
    trusted: Sequence[TrustedKey] = (),
    active: Callable[[], bool] = lambda: True,
) -> LogVerification:
    """Verifies events and signatures, Merkle nodes and requests; one pass, memory almost flat."""
    unreadable: list[str] = []
    checkpoints = heapq.merge(_stored_checkpoints(reader, unreadable), sorted(file_checkpoints, key=_size), key=_size)
    verifier = LogVerifier(checkpoints, sorted(remembered, key=_size), trusted, _signed_from(reader))
    nodes, requests = MerkleNodeCheck(reader), RequestCheck(reader)
    try:
        _check_events(_event_rows(reader, active), verifier, nodes, requests)
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 a row that was changed may be unreadable in any way
        verifier.add_finding(
            f"after position {verifier.size}: the database can't be read: {type(error).__name__}: {error}"
        )
    report = verifier.finish()
    checked = (*report.checked, ("Merkle nodes", nodes.count), ("requests", requests.count))
    return LogVerification(
        (*report.findings, *unreadable), checked, report.notes, verifier.artifacts, report.checkpoint
    )


def _stored_checkpoints(reader: Reader, unreadable: list[str]) -> Iterator[Checkpoint]:
    try:
        for size, note in notes_from(reader, 1, _ALL):
            try:
                checkpoint = Checkpoint.parse(note)
            except InvalidInput as error:
                unreadable.append(f"the checkpoint of size {size} was changed: {error.message}")
                continue
            if checkpoint.size == size:
                yield checkpoint
            else:
                unreadable.append(f"the checkpoint of size {size} was changed: its note is of size {checkpoint.size}")
    except Exception as error:  # noqa: BLE001 a row that was changed may be unreadable in any way
        unreadable.append(f"the checkpoints can't be read: {type(error).__name__}: {error}")


def _signed_from(reader: Reader) -> int:
    """The size from which on the signatures of every stored checkpoint are verified."""
    rows = reader.rows("SELECT size FROM checkpoints ORDER BY size DESC LIMIT 1 OFFSET ?", (MAX_VERIFIED,))
    return next((int(row["size"]) for row in rows), 0)


def _size(checkpoint: Checkpoint) -> int:
    return checkpoint.size


def _event_rows(reader: Reader, active: Callable[[], bool]) -> Iterator[Row]:
    """The stored events in order; Cancelled once the caller is gone."""
    for number, row in enumerate(reader.stream("SELECT * FROM stored_events ORDER BY position")):
        if number % _CANCEL_CHECK_EVENTS == 0 and not active():
            raise Cancelled("the verification was given up; run ratchet log verify again")
        yield row


def _check_events(rows: Iterable[Row], verifier: LogVerifier, nodes: MerkleNodeCheck, requests: RequestCheck) -> None:
    for row in rows:
        position, stream, version = row["position"], row["originator_id"], row["originator_version"]
        topic, state = row["topic"], row["state"]
        if not (type(version) is int and type(stream) is str and type(topic) is str and type(state) is bytes):
            verifier.add_finding(f"position {position}: its row was changed: a column holds another kind of value")
            stream, topic = str(stream), str(topic)
            version, state = version if type(version) is int else 0, state if type(state) is bytes else b""
        for finding in nodes.check(verifier.add(position, stream, version, topic, state)):
            verifier.add_finding(finding)
        for finding in requests.check(position, verifier.request_id):
            verifier.add_finding(finding)
    for finding in (*nodes.finish(), *requests.finish()):
        verifier.add_finding(finding)


def verify_tables(
    reader: Reader, tables: Sequence[Table], active: Callable[[], bool] = lambda: True
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The findings in the read tables, and the rows of each."""
    rows: dict[str, int] = {}
    try:
        found = tuple(check_tables(reader, tables, lambda: _recorded(reader, active), rows))
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 a changed event may break a projection in any way
        found = (f"the read tables can't be made from the events: {type(error).__name__}: {error}",)
    return found[:MAX_FINDINGS], rows


def _recorded(reader: Reader, active: Callable[[], bool]) -> Iterator[RecordedEvent]:
    for row in _event_rows(reader, active):
        yield RecordedEvent(
            row["position"], row["originator_id"], row["originator_version"], row["topic"], bytes(row["state"])
        )
