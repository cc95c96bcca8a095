"""Content addresses: the name of an artifact is the SHA-256 of its bytes, in lower-case hex."""

from __future__ import annotations

import hashlib
import re

from ratchet.errors import CorruptData, InvalidInput

_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def require_digest(text: str) -> str:
    """Returns `text` if it is a digest; otherwise raises InvalidInput.

    So no other text becomes a path or a key.
    """
    if not is_digest(text):
        raise InvalidInput(
            f"{text!r} is not an artifact's name; use its SHA-256, 64 digits of 0-9 and a-f",
            fields={"digest": "not a SHA-256"},
        )
    return text


def checked(content: bytes, digest: str, place: str) -> bytes:
    """Returns `content` if its digest is `digest`; otherwise raises CorruptData naming the artifact and its `place`."""
    actual = digest_of(content)
    if actual != digest:
        raise CorruptData(
            f"artifact {digest} in {place} is damaged: its {len(content)} bytes have SHA-256 {actual};"
            " restore it from a backup, it is never overwritten",
            metadata={"digest": digest, "actual": actual},
        )
    return content
