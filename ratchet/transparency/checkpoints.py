"""Checkpoints: signed notes of the log's size, Merkle root and signing time, in the form of C2SP.

    ratchet.log/6b0c1ad5e3f29c47              the origin: the log's name, from its first key
    42                                        the number of events
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA=      their Merkle root, base64

    — ratchet.log/6b0c1ad5e3f29c47 Az3grl…=   the log's Ed25519 signature over the lines above (type 0x01)
    — ratchet.log/6b0c1ad5e3f29c47 jWbPPw…==  its cosignature/v1, which states the signing time (type 0x04)

A signature line holds, in base64, four bytes of key hash and the signature; in a cosignature eight bytes of the time
stand between them. Further signature lines, such as those of witnesses, are kept and not interpreted. The holder of a
checkpoint can check that a later log is a continuation of the signed one. Specifications:
c2sp.org/tlog-checkpoint, c2sp.org/signed-note and c2sp.org/tlog-cosignature. Notes are UTF-8.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.errors import CorruptData, InvalidInput
from ratchet.transparency.keys import COSIGNATURE, ED25519, ORIGIN, is_signed, key_hash, public_bytes
from ratchet.transparency.merkle import HASH_SIZE

MAX_NOTE = 64 * 1024
"""Bytes of a note: room for its own lines and for the signatures of some twenty witnesses of any known type."""

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second of a protobuf Timestamp."""

_LARGEST_SIZE = 2**63 - 1
_DASH = "— "
_HASH_LENGTH = 4
_TIME_LENGTH = 8

_FORM = tuple(
    (name, re.compile(form), rule)
    for name, form, rule in (
        ("origin", ORIGIN, "ratchet.log/ and 16 hex digits"),
        ("size", "0|[1-9][0-9]{0,18}", "a number below 2^63 without leading zeros"),
        ("root", "[A-Za-z0-9+/]{43}=", "32 bytes in base64"),
        ("separator", "", "an empty line"),
        ("signature", f"{_DASH}{ORIGIN} [A-Za-z0-9+/]{{91}}=", "a dash, the origin, and 68 bytes in base64"),
        ("cosignature", f"{_DASH}{ORIGIN} [A-Za-z0-9+/]{{102}}==", "a dash, the origin, and 76 bytes in base64"),
    )
)
"""The lines that each note begins with."""

_ANY_SIGNATURE = re.compile(_DASH + r"[^\s+\x00-\x1f\x7f]+ [A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The Merkle root of the first `size` events of the log `origin`, signed at `time` (seconds since 1970).

    `note`: the exact text with all its signatures; `sign` and `parse` make the other fields agree with it.
    """

    origin: str
    size: int
    root: bytes
    time: int
    note: str

    @property
    def signed_at(self) -> datetime:
        """The signing time: UTC, aware, whole seconds."""
        return datetime.fromtimestamp(self.time, UTC)

    @property
    def key_hash(self) -> bytes:
        """The hash of the key in the log's signature line, which vkeys state too; see `keys.key_hash`."""
        return _signatures(self.note)[0][:_HASH_LENGTH]

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """The checkpoint of a note; its `note` is the same text. The signatures are not verified.

        InvalidInput for anything but the form above, such as leading zeros, other base64 or a line too few.
        """
        lines = _lines(note)
        for number, (line, (name, form, rule)) in enumerate(zip(lines, _FORM, strict=False), 1):
            if not form.fullmatch(line):
                raise _malformed(number, f"the {name}, is {line[:120]!r} and not {rule}")
        if len(lines) < len(_FORM):
            raise _malformed(len(lines) + 1, f"the {_FORM[len(lines)][0]}, is missing")
        origin, size, root = lines[0], int(lines[1]), _decode(lines[2], 3)
        if size > _LARGEST_SIZE:
            raise _malformed(2, f"the size, is {size} and not below 2^63")
        keys = set[tuple[str, bytes]]()
        for number, line in enumerate(lines[4:], 5):
            if number > len(_FORM) and not _ANY_SIGNATURE.fullmatch(line):
                raise _malformed(number, f"a signature, is {line[:120]!r} and not a dash, a key's name, and base64")
            _, name, text = line.split(" ")
            signature = _decode(text, number)
            if number <= len(_FORM) and name != origin:
                raise _malformed(number, f"a signature of the log, is of {name} and not of the origin {origin}")
            if len(signature) <= _HASH_LENGTH:
                raise _malformed(number, f"a signature, has {len(signature)} bytes and not more than {_HASH_LENGTH}")
            keys.add((name, signature[:_HASH_LENGTH]))
        if len(keys) < len(lines) - 4:
            raise InvalidInput("the note is no checkpoint: one key signs it twice")
        if (time := _time(_signatures(note)[1])) > LAST_SECOND:
            raise _malformed(6, f"the cosignature, states the time {time} s, which is after the year 9999")
        return cls(origin, size, root, time, note)


def received(note: str) -> Checkpoint:
    """`Checkpoint.parse` for notes of services, exports and databases: CorruptData for a malformed one."""
    try:
        return Checkpoint.parse(note)
    except InvalidInput as error:
        raise CorruptData(error.message) from error


def is_beginning(text: str) -> bool:
    """Whether whole lines are the first ones of a note, and too few for a whole note."""
    lines = text.split("\n")[:-1]
    return len(lines) < len(_FORM) and all(
        form.fullmatch(line) for line, (_, form, _) in zip(lines, _FORM, strict=False)
    )


def sign(
    private_key: Ed25519PrivateKey, origin: str, size: int, root: bytes, time: int, public_key: bytes | None = None
) -> Checkpoint:
    """Signs a checkpoint at `time`, seconds since 1970; a known `public_key` saves computing it.

    InvalidInput for a root that is not 32 bytes, and for another value that `Checkpoint.parse` refuses.
    """
    if len(root) != HASH_SIZE or not 0 <= size <= _LARGEST_SIZE or not 0 <= time <= LAST_SECOND:
        raise InvalidInput(f"no checkpoint has size {size}, a root of {len(root)} bytes and the time {time} s")
    if not re.fullmatch(ORIGIN, origin):
        raise InvalidInput(f"the origin is {origin!r} and not {_FORM[0][2]}")
    public_key = public_key or public_bytes(private_key)
    body = _body(origin, size, root)
    signature = key_hash(origin, ED25519, public_key) + private_key.sign(body.encode())
    timed = time.to_bytes(_TIME_LENGTH, "big") + private_key.sign(_cosigned(body, time))
    cosignature = key_hash(origin, COSIGNATURE, public_key) + timed
    lines = "".join(f"{_DASH}{origin} {b64encode(each).decode()}\n" for each in (signature, cosignature))
    return Checkpoint(origin, size, root, time, f"{body}\n{lines}")


def verify(checkpoint: Checkpoint, public_key: bytes) -> bool:
    """Whether `public_key` signed exactly this size, root and time for this origin.

    `keys.key_in_force` tells which key had to sign it, `keys.origin_of` which origin it has to have.
    """
    origin, time = checkpoint.origin, checkpoint.time
    body = _body(origin, checkpoint.size, checkpoint.root)
    signature, cosignature = _signatures(checkpoint.note)
    return (
        checkpoint.note.startswith(f"{body}\n{_DASH}")
        and signature[:_HASH_LENGTH] == key_hash(origin, ED25519, public_key)
        and cosignature[:_HASH_LENGTH] == key_hash(origin, COSIGNATURE, public_key)
        and _time(cosignature) == time
        and is_signed(body.encode(), signature[_HASH_LENGTH:], public_key)
        and is_signed(_cosigned(body, time), cosignature[_HASH_LENGTH + _TIME_LENGTH :], public_key)
    )


def newest(checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """The checkpoint of the largest size; None without any."""
    return max(checkpoints, key=lambda checkpoint: checkpoint.size, default=None)


def _body(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n"


def _cosigned(body: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{body}".encode()


def _lines(note: str) -> list[str]:
    try:
        length = len(note.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"the note is no checkpoint: it is not UTF-8: {error.reason}") from error
    if length > MAX_NOTE:
        raise InvalidInput(f"the note is no checkpoint: it has {length} bytes, {MAX_NOTE} at most")
    *lines, rest = note.split("\n")
    if rest or not lines:
        raise InvalidInput("the note is no checkpoint: it does not end with a line end")
    return lines


def _signatures(note: str) -> tuple[bytes, bytes]:
    """The key hash and signature of the log's two signature lines, of a well-formed note."""
    first, second = note.split("\n", len(_FORM))[4 : len(_FORM)]
    return b64decode(first.rpartition(" ")[2]), b64decode(second.rpartition(" ")[2])


def _time(cosignature: bytes) -> int:
    return int.from_bytes(cosignature[_HASH_LENGTH : _HASH_LENGTH + _TIME_LENGTH], "big")


def _decode(text: str, line: int) -> bytes:
    """The bytes of canonical base64: decoders differ in the other forms that they accept."""
    try:
        found = b64decode(text, validate=True)
    except ValueError as error:
        raise _malformed(line, f"is not base64: {error}") from error
    if b64encode(found).decode() != text:
        raise _malformed(line, "is not canonical base64: it has bits after its last byte")
    return found


def _malformed(line: int, reason: str) -> InvalidInput:
    return InvalidInput(f"the note is no checkpoint: line {line}, {reason}")
