"""Checkpoints (signed tree heads) and their signing keys: Ed25519 (RFC 8032) over statements of fixed form.

A checkpoint states that the first `size` events of the log have the Merkle root `root`. The holder of a checkpoint can
check that a later log is a continuation of the signed one. The key in force for a checkpoint of size n is the one of
the newest KeyIntroduced fact at position n or below. An introduction is signed by the new key and, except for the
first, by the replaced key, over a statement with size and root of the log just before the fact. Public keys are the 32
bytes of RFC 8032; an id is their SHA-256 in hex; times are nanoseconds since 1970, as in protobuf's Timestamp.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import CorruptData, InvalidInput, NotAllowed, NotFound
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.merkle import HASH_SIZE

KEYS_STREAM = "log/keys"
KEY_SIZE = 32

_CHECKPOINT_DOMAIN = b"ratchet tree head v1\0"
_INTRODUCTION_DOMAIN = b"ratchet log key v1\0"
_OTHERS_MODE = 0o077


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


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the log, and the position of its KeyIntroduced fact."""

    position: int
    public_key: bytes

    @property
    def id(self) -> str:
        return key_id(self.public_key)


def key_id(public_key: bytes) -> str:
    """SHA-256 of the 32 bytes, hex."""
    return hashlib.sha256(public_key).hexdigest()


def public_bytes(private_key: Ed25519PrivateKey) -> bytes:
    """The public key, 32 bytes."""
    return private_key.public_key().public_bytes_raw()


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


def is_signed(statement_bytes: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether `signature` is the one of `public_key` over `statement_bytes`; False for malformed input."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement_bytes)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_in_force(keys: Sequence[Key], size: int) -> Key | None:
    """The signing key of checkpoints of this size: the last one introduced at `size` or before; None before any."""
    return next((key for key in reversed(keys) if key.position <= size), None)


def introduction(public_key: bytes, replaces: str, size: int, root: bytes, reason: str) -> bytes:
    """The signed bytes of a KeyIntroduced fact.

    `size` and `root` are those of the log just before the fact (its position less 1), so that the signature fits no
    other log and no other position; `replaces` is the id of the key before, empty for the first.
    """
    if len(public_key) != KEY_SIZE or len(root) != HASH_SIZE:
        raise InvalidInput(f"a key of {len(public_key)} and a root of {len(root)} bytes; both have 32")
    texts = b"".join(struct.pack(">I", len(data)) + data for data in (replaces.encode(), reason.encode()))
    return _INTRODUCTION_DOMAIN + struct.pack(f">{KEY_SIZE}sQ{HASH_SIZE}s", public_key, size, root) + texts


def introduce(
    new: Ed25519PrivateKey, replaced: Ed25519PrivateKey | None, size: int, root: bytes, reason: str
) -> facts_pb2.KeyIntroduced:
    """The fact at position `size` + 1 that puts the key `new` in force, signed by the new and the replaced key."""
    public_key = public_bytes(new)
    replaces = key_id(public_bytes(replaced)) if replaced else ""
    statement_bytes = introduction(public_key, replaces, size, root, reason)
    return facts_pb2.KeyIntroduced(
        key_id=key_id(public_key),
        public_key=public_key,
        replaces=replaces,
        signature=new.sign(statement_bytes),
        signature_of_replaced=replaced.sign(statement_bytes) if replaced else b"",
        reason=reason,
    )


def check_introduction(fact: facts_pb2.KeyIntroduced, size: int, root: bytes, replaced: bytes | None) -> Key:
    """The key that a fact at position `size` + 1 introduces, after the public key `replaced` (None: it is the first).

    CorruptData, without the position, for a wrong id or signature.
    """
    before = key_id(replaced) if replaced is not None else ""
    if len(fact.public_key) != KEY_SIZE or fact.key_id != key_id(fact.public_key):
        raise CorruptData(f"the key {fact.key_id!r} is not the SHA-256 of the public key that is introduced")
    if fact.replaces != before:
        raise CorruptData(f"it replaces {fact.replaces or 'no key'}, but the key before it is {before or 'none'}")
    statement_bytes = introduction(fact.public_key, before, size, root, fact.reason)
    if not is_signed(statement_bytes, fact.signature, fact.public_key):
        raise CorruptData(f"the key {fact.key_id} did not sign its own introduction at this place of this log")
    if replaced is None:
        if fact.signature_of_replaced:
            raise CorruptData(f"the key {fact.key_id} is the first, and yet bears the signature of one before it")
    elif not is_signed(statement_bytes, fact.signature_of_replaced, replaced):
        raise CorruptData(f"the key {before} did not sign the introduction of its successor {fact.key_id}")
    return Key(size + 1, fact.public_key)


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


def load_public(path: Path) -> bytes:
    """The key in a file: PEM (SubjectPublicKeyInfo, as OpenSSL writes it) or 32 bytes. NotFound, InvalidInput."""
    data = _read(path, "public")
    if len(data) == KEY_SIZE:
        return data
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise InvalidInput(f"{path} is not a public key in PEM: {error}; name the log's signing.pub") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput(f"{path} holds a key that is not Ed25519; name the log's signing.pub")
    return key.public_bytes_raw()


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file (PKCS#8) that only its owner may read. NotFound, NotAllowed, InvalidInput."""
    data = _read(path, "signing")
    if mode := path.stat().st_mode & _OTHERS_MODE:
        raise NotAllowed(f"others may read the signing key {path} (mode …{mode:03o}); run: chmod 600 {path}")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"{path} is not a private key in PEM without password: {error}; {_CREATE_HINT} {path}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path} holds a key that is not Ed25519; {_CREATE_HINT} FILE")
    return key


def create_private(path: Path) -> Ed25519PrivateKey:
    """A new key in a new PEM file of mode 600; FileExistsError for an existing file, OSError for disk errors."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return key


def write_public(path: Path, public_key: bytes) -> None:
    """Writes a PEM file for `load_public` and OpenSSL."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


_CREATE_HINT = "make one with ratchet log key new"


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = f"{_CREATE_HINT} {path}" if kind == "signing" else "name the log's signing.pub"
        raise NotFound(f"the {kind} key {path} can't be read: {error.strerror}; {hint}") from error


def _timestamp(nanoseconds: int) -> Timestamp:
    result = Timestamp()
    result.FromNanoseconds(nanoseconds)
    return result
