"""The signing keys of the log: the key in force, and its rotation."""

from __future__ import annotations

from ratchet.errors import PreconditionFailed
from ratchet.events.v1 import envelope_pb2, facts_pb2
from ratchet.transparency.keys import KEYS_STREAM, Key, introduce
from services.platform.facts import Fact
from services.registry.eventlog.append import Append, Origin
from services.registry.eventlog.checkpoints import Signer
from services.registry.eventlog.database import Reader

FIRST_REASON = "the first key of this log"


def keys(reader: Reader) -> list[Key]:
    """Every key that the log introduced, the one in force last."""
    rows = reader.rows(
        "SELECT position, state FROM stored_events WHERE originator_id = ? ORDER BY originator_version", (KEYS_STREAM,)
    )
    return [Key(row["position"], _introduced(bytes(row["state"])).public_key) for row in rows]


def require_in_force(known: list[Key], signer: Signer) -> None:
    """PreconditionFailed unless `signer` has the newest of the keys."""
    if known and known[-1].public_key != signer.public_key:
        raise PreconditionFailed(
            f"the log is signed with the key {known[-1].id} since position {known[-1].position}, but this registry has"
            f" the key {signer.key_id}; start it with RATCHET_SIGNING_KEY naming the file of the log's key, or, with"
            " that key, introduce another one: ratchet log key rotate NEW_KEY --reason R"
        )


def introduction(
    known: list[Key], new: Signer, replaced: Signer | None, size: int, root: bytes, actor: str, reason: str
) -> Append:
    """The append, at position `size` + 1, that puts `new` in force.

    PreconditionFailed for an earlier key of the log.
    """
    for key in known:
        if key.public_key == new.public_key:
            raise PreconditionFailed(
                f"the key {key.id} was introduced at position {key.position} already; a key that was replaced does not"
                " come back: make another one with ratchet log key new FILE"
            )
    fact = introduce(new.private_key, replaced.private_key if replaced else None, size, root, reason)
    origin = Origin(f"introduce-{new.key_id}", bytes.fromhex(new.key_id), actor)
    return Append(origin, (Fact(KEYS_STREAM, len(known) + 1, fact),))


def _introduced(state: bytes) -> facts_pb2.KeyIntroduced:
    return facts_pb2.KeyIntroduced.FromString(envelope_pb2.Envelope.FromString(state).payload)
