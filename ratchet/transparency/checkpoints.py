"""Checkpoints (signed tree heads): Ed25519 (RFC 8032) over statements of fixed form.

A checkpoint states that the first `size` events of the log have the Merkle root `root`. The holder of a checkpoint can
check that a later log is a continuation of the signed one. Times are nanoseconds since 1970, as in protobuf's
Timestamp.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput, NotFound
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.transparency.keys import is_signed, key_id, public_bytes
from ratchet.transparency.merkle import HASH_SIZE

_CHECKPOINT_DOMAIN = b"ratchet tree head v1\0"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The Merkle root of the first `size` events, signed at `signed_at` (ns since 1970) with the key `key_id`."""

    size: int
    root: bytes
    signed_at: int
    key_id: str
    signature: bytes

    @property
    def time(self) -> datetime:
        """The signing time: UTC, aware, to the microsecond."""
        return _timestamp(self.signed_at).ToDatetime(tzinfo=UTC)

    def to_message(self) -> eventlog_pb2.SignedHead:
        return eventlog_pb2.SignedHead(
            size=self.size,
            root=self.root,
            signed_at=_timestamp(self.signed_at),
            key_id=self.key_id,
            signature=self.signature,
        )

    @classmethod
    def from_message(cls, message: eventlog_pb2.SignedHead) -> Checkpoint:
        return cls(message.size, message.root, message.signed_at.ToNanoseconds(), message.key_id, message.signature)

    def to_line(self) -> str:
        """One line of JSON without its line end, as in checkpoint files."""
        return json.dumps(
            {
                "size": self.size,
                "root": self.root.hex(),
                "signed_at": _timestamp(self.signed_at).ToJsonString(),
                "key_id": self.key_id,
                "signature": self.signature.hex(),
            }
        )

    @classmethod
    def from_line(cls, line: str) -> Checkpoint:
        """Parses `to_line`; InvalidInput for a malformed line. The signature is not verified."""
        try:
            result = json.loads(line)
            signed_at = Timestamp()
            signed_at.FromJsonString(result["signed_at"])
            return cls(
                int(result["size"]),
                bytes.fromhex(result["root"]),
                signed_at.ToNanoseconds(),
                str(result["key_id"]),
                bytes.fromhex(result["signature"]),
            )
        except (ValueError, OverflowError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(f"{line[:80]!r} is not a signed head: {error}") from error


def statement(size: int, root: bytes, signed_at: int) -> bytes:
    """The signed bytes of a checkpoint: domain prefix, uint64 size, 32 bytes root, int64 nanoseconds; big-endian."""
    if len(root) != HASH_SIZE or not 0 <= size < 2**63 or not -(2**63) <= signed_at < 2**63:
        raise InvalidInput(f"no head has size {size}, a root of {len(root)} bytes and the time {signed_at} ns")
    return _CHECKPOINT_DOMAIN + struct.pack(f">Q{HASH_SIZE}sq", size, root, signed_at)


def sign(private_key: Ed25519PrivateKey, size: int, root: bytes, signed_at: int, known_id: str = "") -> Checkpoint:
    """Signs a checkpoint; `known_id` saves computing the key's id. InvalidInput for a root that is not 32 bytes."""
    signature = private_key.sign(statement(size, root, signed_at))
    return Checkpoint(size, root, signed_at, known_id or key_id(public_bytes(private_key)), signature)


def verify(checkpoint: Checkpoint, public_key: bytes) -> bool:
    """Whether `public_key` signed exactly this checkpoint. `key_in_force` tells which key had to sign it."""
    try:
        statement_bytes = statement(checkpoint.size, checkpoint.root, checkpoint.signed_at)
    except InvalidInput:
        return False
    return checkpoint.key_id == key_id(public_key) and is_signed(statement_bytes, checkpoint.signature, public_key)


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """The checkpoints of a file, one JSON object per line, oldest first; signatures are not verified.

    An unfinished last line is left out. NotFound without the file, InvalidInput for a malformed line.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotFound(f"the heads {path} can't be read: {error.strerror}; name a file of remembered heads") from error
    whole, _, _ = text.rpartition("\n")
    result = []
    for number, line in enumerate(filter(None, whole.split("\n")), 1):
        try:
            result.append(Checkpoint.from_line(line))
        except InvalidInput as error:
            raise InvalidInput(f"{path}, line {number}: {error.message}; restore the file, or move it away") from error
    return result


def newest(checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """The checkpoint of the largest size; None without any."""
    return max(checkpoints, key=lambda checkpoint: checkpoint.size, default=None)


def _timestamp(nanoseconds: int) -> Timestamp:
    result = Timestamp()
    result.FromNanoseconds(nanoseconds)
    return result
