"""Proofs from the stored Merkle nodes, with their event and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.errors import InvalidInput
from ratchet.transparency.merkle import consistency_proof, inclusion_proof
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.checkpoints import note_at
from services.registry.eventlog.database import Reader
from services.registry.eventlog.reading import event_at, frontier, head_position, nodes


@dataclass(frozen=True, slots=True)
class Proof:
    """A Merkle proof towards the `root` of the first `size` events.

    `hashes`: lowest first; `checkpoint`: the note of this size, empty where it was not signed.
    """

    hashes: tuple[bytes, ...]
    size: int
    root: bytes
    checkpoint: str


def prove_inclusion(reader: Reader, position: int, size: int = 0) -> tuple[RecordedEvent, Proof]:
    """Proof of the event at `position` among the first `size` (0: all).

    InvalidInput for a position or size outside of the log.
    """
    size = _size(reader, size, "size")
    if not 1 <= position <= size:
        raise InvalidInput(
            f"there is no position {position} among the first {size} events; use 1 to {size}",
            fields={"position": "not in the tree"},
        )
    return event_at(reader, position), _proof(reader, inclusion_proof(nodes(reader), position - 1, size), size)


def prove_consistency(reader: Reader, old_size: int, new_size: int = 0) -> Proof:
    """Proof that the first `old_size` events are a prefix of the first `new_size` (0: all).

    InvalidInput for invalid sizes.
    """
    new_size = _size(reader, new_size, "new_size")
    if not 0 <= old_size <= new_size:
        raise InvalidInput(
            f"{old_size} events can't be the beginning of {new_size}; use 0 to {new_size}",
            fields={"old_size": "out of range"},
        )
    return _proof(reader, consistency_proof(nodes(reader), old_size, new_size), new_size)


def _proof(reader: Reader, hashes: list[bytes], size: int) -> Proof:
    return Proof(tuple(hashes), size, frontier(reader, size).root(), note_at(reader, size))


def _size(reader: Reader, size: int, field: str) -> int:
    end = head_position(reader)
    if not 0 <= size <= end:
        raise InvalidInput(f"the log has {end} events, not {size}; use 0 for all", fields={field: "not in the log"})
    return size or end
