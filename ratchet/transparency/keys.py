"""The log's signing keys: Ed25519 (RFC 8032), their introductions, and their files.

The key in force for a log of size n is the one of the newest KeyIntroduced fact at position n or below. An introduction
is signed by the new key and, except for the first, by the replaced key, over a statement with size and root of the log
just before the fact. Public keys are the 32 bytes of RFC 8032; an id is their SHA-256 in hex.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
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

from ratchet.errors import CorruptData, InvalidInput, NotAllowed, NotFound
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.merkle import HASH_SIZE

KEYS_STREAM = "log/keys"
KEY_SIZE = 32

_INTRODUCTION_DOMAIN = b"ratchet log key v1\0"
_OTHERS_MODE = 0o077
_CREATE_HINT = "make one with ratchet log key new"


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


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = f"{_CREATE_HINT} {path}" if kind == "signing" else "name the log's signing.pub"
        raise NotFound(f"the {kind} key {path} can't be read: {error.strerror}; {hint}") from error
