"""The log's signing keys: Ed25519 (RFC 8032), their introductions, and their files.

The key in force for a log of size n is the one of the newest KeyIntroduced fact at position n or below. An introduction
is signed by the new key and, except for the first, by the replaced key, over a statement with size and root of the log
just before the fact. Public keys are the 32 bytes of RFC 8032; an id is their SHA-256 in hex.

In checkpoints and vkeys a key has the name of its log and a hash, as in c2sp.org/signed-note: the first four bytes of
SHA-256(name, newline, signature type, public key). A vkey is `<name>+<hash in hex>+<base64 of 0x01 and the key>`.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from base64 import b64decode, b64encode
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

ED25519, COSIGNATURE = 0x01, 0x04
"""Signature types of C2SP: a signature of a note, and a cosignature with its time."""

ORIGIN = r"ratchet\.log/[0-9a-f]{16}"
"""The form of a log's name, as a regular expression."""

_INTRODUCTION_DOMAIN = b"ratchet log key v1\0"
_OTHERS_MODE = 0o077
_CREATE_HINT = "make one with ratchet log key new"
_NAME_HINT = "name the log's signing.pub, or the vkey that ratchet log key show prints"
_VKEY = re.compile(rf"({ORIGIN})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/]{{44}})")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the log, and the position of its KeyIntroduced fact."""

    position: int
    public_key: bytes

    @property
    def id(self) -> str:
        return key_id(self.public_key)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key that a verifier trusts, and the origin of its log; an empty origin admits any log with this key."""

    public_key: bytes
    origin: str = ""

    @property
    def id(self) -> str:
        return key_id(self.public_key)

    def admits(self, origin: str) -> bool:
        return self.origin in ("", origin)


def key_id(public_key: bytes) -> str:
    """SHA-256 of the 32 bytes, hex."""
    return hashlib.sha256(public_key).hexdigest()


def public_bytes(private_key: Ed25519PrivateKey) -> bytes:
    """The public key, 32 bytes."""
    return private_key.public_key().public_bytes_raw()


def origin_of(first_key: bytes) -> str:
    """The origin of the log whose first key is `first_key`; it stays when keys are replaced."""
    return f"ratchet.log/{key_id(first_key)[:16]}"


def key_hash(name: str, kind: int, public_key: bytes) -> bytes:
    """The four bytes that tell the key of a signature line; `kind`: the signature type."""
    return hashlib.sha256(b"%s\n%c%s" % (name.encode(), kind, public_key)).digest()[:4]


def vkey(origin: str, public_key: bytes) -> str:
    """The key in the one-line form of C2SP, for `load_trusted` and other verifiers."""
    material = b64encode(bytes([ED25519]) + public_key).decode()
    return f"{origin}+{key_hash(origin, ED25519, public_key).hex()}+{material}"


def parse_vkey(text: str) -> TrustedKey:
    """The key of a vkey; InvalidInput for another text, and for a hash that is not the key's."""
    found = _VKEY.fullmatch(text)
    if found is None:
        raise InvalidInput(f"{text[:120]!r} is not a vkey, ratchet.log/…+HASH+KEY; {_NAME_HINT}")
    origin, written, base64 = found.groups()
    material = b64decode(base64)
    public_key = material[1:]
    if material[:1] != bytes([ED25519]):
        raise InvalidInput(f"the vkey {text} is of type 0x{material[0]:02x} and not Ed25519, 0x01; {_NAME_HINT}")
    if written != (expected := key_hash(origin, ED25519, public_key).hex()):
        raise InvalidInput(f"the vkey {text} has the hash {written} and not {expected}: it was not copied whole")
    return TrustedKey(public_key, origin)


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


def load_trusted(named: str | Path) -> TrustedKey:
    """The key that a vkey states, or that of a file: PEM (SubjectPublicKeyInfo, as of OpenSSL), a vkey, or 32 bytes.

    NotFound, InvalidInput.
    """
    if _VKEY.fullmatch(str(named)):
        return parse_vkey(str(named))
    data = _read(Path(named), "public")
    if len(data) == KEY_SIZE:
        return TrustedKey(data)
    if (text := data.decode(errors="replace").strip()).startswith("ratchet.log/"):
        return parse_vkey(text)
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise InvalidInput(f"{named} is not a public key in PEM: {error}; {_NAME_HINT}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput(f"{named} holds a key that is not Ed25519; {_NAME_HINT}")
    return TrustedKey(key.public_bytes_raw())


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
    """Writes a PEM file for `load_trusted` and OpenSSL."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = f"{_CREATE_HINT} {path}" if kind == "signing" else _NAME_HINT
        raise NotFound(f"the {kind} key {path} can't be read: {error.strerror}; {hint}") from error
