"""Everything in a log's database: the events, what follows from them by the gate, and what is stored beside them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ratchet.errors import Cancelled
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.references import ArtifactReferences
from ratchet.transparency.verification import MOST_FINDINGS, LogVerifier
from services.registry.eventlog.append import Recorded
from services.registry.eventlog.checkpoints import heads_from
from services.registry.eventlog.database import Reader, Row
from services.registry.eventlog.integrity import Nodes, Requests, check_tables
from services.registry.eventlog.read_tables import Table

MOST_SIGNATURES = 20_000
"""A signature takes some 0.1 ms. Where a log has more heads, the older ones are only compared with the tree."""

_ALL = 2**63 - 1
_LOOK_UP = 256


class Snapshots(Protocol):
    """Where the log can be read: its database."""

    def read(self) -> AbstractContextManager[Reader]: ...


@dataclass(frozen=True)
class Verified:
    """`findings`: what is wrong, in words; `checked`: what was looked at, and how much; `notes`: what can't be said.

    `artifacts`: those that the log refers to; `head`: the newest signed head that holds.
    """

    findings: tuple[str, ...]
    checked: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    artifacts: ArtifactReferences
    head: Checkpoint | None


def verify(
    database: Snapshots,
    tables: Sequence[Table],
    kept_heads: Iterable[Checkpoint] = (),
    remembered: Iterable[Checkpoint] = (),
    trusted: Sequence[bytes] = (),
    active: Callable[[], bool] = lambda: True,
) -> Verified:
    """Verify one snapshot of the log; writers go on meanwhile.

    `kept_heads`: those that the registry wrote down outside the database, `remembered`: those of a caller; `trusted`:
    public keys, see `ratchet.transparency.signatures`. Reads the database, and writes only to a temporary file.
    Cancelled soon after `active` has said no.
    """
    with database.read() as reader:
        events = verify_events(reader, kept_heads, remembered, trusted, active)
        found, rows = verify_tables(reader, tables, active)
    checked = (*events.checked, *((f"rows of {name}", count) for name, count in rows.items()))
    return Verified((*events.findings, *found), checked, events.notes, events.artifacts, events.head)


def verify_events(
    reader: Reader,
    kept_heads: Iterable[Checkpoint] = (),
    remembered: Iterable[Checkpoint] = (),
    trusted: Sequence[bytes] = (),
    active: Callable[[], bool] = lambda: True,
) -> Verified:
    """The events and their signatures, the Merkle nodes and the requests; one pass, memory almost flat."""
    unreadable: list[str] = []
    heads = heapq.merge(_stored_heads(reader, unreadable), sorted(kept_heads, key=_size), key=_size)
    verifier = LogVerifier(heads, sorted(remembered, key=_size), trusted, _signed_from(reader))
    nodes, requests = Nodes(reader), Requests(reader)
    try:
        _walk(_rows(reader, active), verifier, nodes, requests)
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 a row that was changed may be unreadable in any way
        verifier.add_finding(
            f"after position {verifier.size}: the database can't be read: {type(error).__name__}: {error}"
        )
    report = verifier.finish()
    checked = (*report.checked, ("Merkle nodes", nodes.count), ("requests", requests.count))
    return Verified((*report.findings, *unreadable), checked, report.notes, verifier.artifacts, report.head)


def _stored_heads(reader: Reader, unreadable: list[str]) -> Iterator[Checkpoint]:
    try:
        yield from heads_from(reader, 1, _ALL)
    except Exception as error:  # noqa: BLE001 a row that was changed may be unreadable in any way
        unreadable.append(f"tree_heads: a signed head can't be read: {type(error).__name__}: {error}")


def _signed_from(reader: Reader) -> int:
    """The size from which on the signature of every stored head is verified."""
    rows = reader.rows("SELECT size FROM tree_heads ORDER BY size DESC LIMIT 1 OFFSET ?", (MOST_SIGNATURES,))
    return next((int(row["size"]) for row in rows), 0)


def _size(head: Checkpoint) -> int:
    return head.size


def _rows(reader: Reader, active: Callable[[], bool]) -> Iterator[Row]:
    """The stored events in order; Cancelled when nobody waits any more."""
    for number, row in enumerate(reader.stream("SELECT * FROM stored_events ORDER BY position")):
        if number % _LOOK_UP == 0 and not active():
            raise Cancelled("the verification was given up; run ratchet log verify again")
        yield row


def _walk(rows: Iterable[Row], verifier: LogVerifier, nodes: Nodes, requests: Requests) -> None:
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
    """What is wrong in the read tables, and the rows of each."""
    rows: dict[str, int] = {}
    try:
        found = tuple(check_tables(reader, tables, lambda: _recorded(reader, active), rows))
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 a changed event may break a projection in any way
        found = (f"the read tables can't be made from the events: {type(error).__name__}: {error}",)
    return found[:MOST_FINDINGS], rows


def _recorded(reader: Reader, active: Callable[[], bool]) -> Iterator[Recorded]:
    for row in _rows(reader, active):
        yield Recorded(
            row["position"], row["originator_id"], row["originator_version"], row["topic"], bytes(row["state"])
        )
