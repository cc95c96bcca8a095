"""Signed tree heads, and the keys that sign them: Ed25519 (RFC 8032) over statements of fixed form.

A head says: the first `size` events of the log have the Merkle root `root`. Whoever holds one can later tell whether
the log is a continuation of it. The key in force for a head of size n is the one of the newest KeyIntroduced fact at
position n or below; a key is introduced by its own signature and, unless it is the first, by that of the key it
replaces, over a statement that names size and root of the log just before the fact. Public keys are the 32 bytes of
RFC 8032; an id is their SHA-256 in hex; times are nanoseconds since 1970, as protobuf's Timestamp holds them.
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

_HEAD = b"ratchet tree head v1\0"
_INTRODUCTION = b"ratchet log key v1\0"
_READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Head:
    """The Merkle root of the first `size` events, signed at `signed_at` (ns since 1970) with the key `key_id`."""

    size: int
    root: bytes
    signed_at: int
    key_id: str
    signature: bytes

    @property
    def time(self) -> datetime:
        """When it was signed: UTC, aware, to the microsecond."""
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
    def from_message(cls, message: eventlog_pb2.SignedHead) -> Head:
        return cls(message.size, message.root, message.signed_at.ToNanoseconds(), message.key_id, message.signature)

    def to_line(self) -> str:
        """One line of JSON without its end, as files of remembered heads hold it."""
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
    def from_line(cls, line: str) -> Head:
        """InvalidInput for a line that is not a head; what it says is not verified."""
        try:
            found = json.loads(line)
            signed_at = Timestamp()
            signed_at.FromJsonString(found["signed_at"])
            return cls(
                int(found["size"]),
                bytes.fromhex(found["root"]),
                signed_at.ToNanoseconds(),
                str(found["key_id"]),
                bytes.fromhex(found["signature"]),
            )
        except (ValueError, OverflowError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(f"{line[:80]!r} is not a signed head: {error}") from error


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the log, and the position of the fact that introduced it."""

    position: int
    public_key: bytes

    @property
    def id(self) -> str:
        return key_id(self.public_key)


def key_id(public_key: bytes) -> str:
    """SHA-256 of the 32 bytes, hex."""
    return hashlib.sha256(public_key).hexdigest()


def public_bytes(private_key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return private_key.public_key().public_bytes_raw()


def statement(size: int, root: bytes, signed_at: int) -> bytes:
    """What a head signs: a domain of its own, uint64 size, 32 bytes root, int64 nanoseconds; big-endian."""
    if len(root) != HASH_SIZE or not 0 <= size < 2**63 or not -(2**63) <= signed_at < 2**63:
        raise InvalidInput(f"no head has size {size}, a root of {len(root)} bytes and the time {signed_at} ns")
    return _HEAD + struct.pack(f">Q{HASH_SIZE}sq", size, root, signed_at)


def sign(private_key: Ed25519PrivateKey, size: int, root: bytes, signed_at: int, known_id: str = "") -> Head:
    """`known_id` saves computing the key's id. InvalidInput for a root that is not 32 bytes."""
    signature = private_key.sign(statement(size, root, signed_at))
    return Head(size, root, signed_at, known_id or key_id(public_bytes(private_key)), signature)


def verify(head: Head, public_key: bytes) -> bool:
    """Whether `public_key` signed exactly this head. Whether it was the key in force, `key_in_force` tells."""
    try:
        stated = statement(head.size, head.root, head.signed_at)
    except InvalidInput:
        return False
    return head.key_id == key_id(public_key) and is_signed(stated, head.signature, public_key)


def is_signed(stated: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether `signature` is that of `public_key` over the bytes `stated`; False for anything malformed."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, stated)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_in_force(keys: Sequence[Key], size: int) -> Key | None:
    """The key that heads of this size are signed with: the last one introduced at `size` or before; None before any."""
    return next((key for key in reversed(keys) if key.position <= size), None)


def introduction(public_key: bytes, replaces: str, size: int, root: bytes, reason: str) -> bytes:
    """What the signatures of a KeyIntroduced fact sign.

    `size` and `root` are those of the log just before the fact (its position less 1), so that it fits no other log and
    no other place; `replaces` is the id of the key before, empty for the first.
    """
    if len(public_key) != KEY_SIZE or len(root) != HASH_SIZE:
        raise InvalidInput(f"a key of {len(public_key)} and a root of {len(root)} bytes; both have 32")
    texts = b"".join(struct.pack(">I", len(data)) + data for data in (replaces.encode(), reason.encode()))
    return _INTRODUCTION + struct.pack(f">{KEY_SIZE}sQ{HASH_SIZE}s", public_key, size, root) + texts


def introduce(
    new: Ed25519PrivateKey, replaced: Ed25519PrivateKey | None, size: int, root: bytes, reason: str
) -> facts_pb2.KeyIntroduced:
    """The fact at position `size` + 1 that puts the key `new` in force, signed by it and by the one before."""
    public_key = public_bytes(new)
    replaces = key_id(public_bytes(replaced)) if replaced else ""
    stated = introduction(public_key, replaces, size, root, reason)
    return facts_pb2.KeyIntroduced(
        key_id=key_id(public_key),
        public_key=public_key,
        replaces=replaces,
        signature=new.sign(stated),
        signature_of_replaced=replaced.sign(stated) if replaced else b"",
        reason=reason,
    )


def check_introduction(fact: facts_pb2.KeyIntroduced, size: int, root: bytes, replaced: bytes | None) -> Key:
    """The key that a fact at position `size` + 1 introduces, after the public key `replaced` (None: it is the first).

    CorruptData, without the position, when an id or a signature is wrong.
    """
    before = key_id(replaced) if replaced is not None else ""
    if len(fact.public_key) != KEY_SIZE or fact.key_id != key_id(fact.public_key):
        raise CorruptData(f"the key {fact.key_id!r} is not the SHA-256 of the public key that is introduced")
    if fact.replaces != before:
        raise CorruptData(f"it replaces {fact.replaces or 'no key'}, but the key before it is {before or 'none'}")
    stated = introduction(fact.public_key, before, size, root, fact.reason)
    if not is_signed(stated, fact.signature, fact.public_key):
        raise CorruptData(f"the key {fact.key_id} did not sign its own introduction at this place of this log")
    if replaced is None:
        if fact.signature_of_replaced:
            raise CorruptData(f"the key {fact.key_id} is the first, and yet bears the signature of one before it")
    elif not is_signed(stated, fact.signature_of_replaced, replaced):
        raise CorruptData(f"the key {before} did not sign the introduction of its successor {fact.key_id}")
    return Key(size + 1, fact.public_key)


def read_heads(path: Path) -> list[Head]:
    """The heads of a file, one JSON object a line, oldest first; nothing is verified.

    An unfinished last line, without its end, is left out. NotFound without the file, InvalidInput for a wrong line.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotFound(f"the heads {path} can't be read: {error.strerror}; name a file of remembered heads") from error
    whole, _, _ = text.rpartition("\n")
    found = []
    for number, line in enumerate(filter(None, whole.split("\n")), 1):
        try:
            found.append(Head.from_line(line))
        except InvalidInput as error:
            raise InvalidInput(f"{path}, line {number}: {error.message}; restore the file, or move it away") from error
    return found


def newest(heads: Iterable[Head]) -> Head | None:
    """The one of the largest size; None of none."""
    return max(heads, key=lambda head: head.size, default=None)


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
    """The private key in a PEM file (PKCS#8) that its owner alone may read. NotFound, NotAllowed, InvalidInput."""
    data = _read(path, "signing")
    if mode := path.stat().st_mode & _READABLE_BY_OTHERS:
        raise NotAllowed(f"others may read the signing key {path} (mode …{mode:03o}); run: chmod 600 {path}")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is not a private key in PEM without password: {error}; {_MAKE} {path}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path} holds a key that is not Ed25519; {_MAKE} FILE")
    return key


def create_private(path: Path) -> Ed25519PrivateKey:
    """A new key in a new PEM file of mode 600; FileExistsError where there is one, other OSErrors of the disk."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return key


def write_public(path: Path, public_key: bytes) -> None:
    """Write the PEM file that `load_public` and OpenSSL read."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


_MAKE = "make one with ratchet log key new"


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = f"{_MAKE} {path}" if kind == "signing" else "name the log's signing.pub"
        raise NotFound(f"the {kind} key {path} can't be read: {error.strerror}; {hint}") from error


def _timestamp(nanoseconds: int) -> Timestamp:
    found = Timestamp()
    found.FromNanoseconds(nanoseconds)
    return found
