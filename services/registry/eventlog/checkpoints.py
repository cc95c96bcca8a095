"""Checkpoints in the database: one for each transaction that appended, so the newest covers the whole log."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.errors import CorruptData
from ratchet.transparency import checkpoints
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import key_id, public_bytes
from services.registry.eventlog.database import Reader, Row, Writer


class Signer:
    """A private key with its public key and id."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self.private_key = private_key
        self.public_key = public_bytes(private_key)
        self.key_id = key_id(self.public_key)

    def sign(self, size: int, root: bytes, signed_at: int) -> Checkpoint:
        """`signed_at`: nanoseconds since 1970."""
        return checkpoints.sign(self.private_key, size, root, signed_at, self.key_id)


def store_checkpoint(writer: Writer, checkpoint: Checkpoint) -> None:
    writer.execute(
        "INSERT INTO tree_heads (size, root, signed_at, key_id, signature) VALUES (?, ?, ?, ?, ?)",
        (checkpoint.size, checkpoint.root, checkpoint.signed_at, checkpoint.key_id, checkpoint.signature),
    )


def checkpoint_at(reader: Reader, size: int) -> Checkpoint | None:
    """The checkpoint of exactly the first `size` events; None without one."""
    for row in reader.rows("SELECT * FROM tree_heads WHERE size = ?", (size,)):
        return _from_row(row)
    return None


def newest_checkpoint(reader: Reader) -> Checkpoint | None:
    for row in reader.rows("SELECT * FROM tree_heads ORDER BY size DESC LIMIT 1"):
        return _from_row(row)
    return None


def require_signed(reader: Reader, size: int, root: bytes, public_key: bytes) -> None:
    """CorruptData unless the newest stored checkpoint is of this tree, and signed by that key.

    Every signer checks this first: otherwise the next signature would legitimise a log that was changed without the
    key.
    """
    checkpoint = newest_checkpoint(reader)
    if (
        checkpoint is None
        or (checkpoint.size, checkpoint.root) != (size, root)
        or not checkpoints.verify(checkpoint, public_key)
    ):
        found = f"the newest head is of size {checkpoint.size}" if checkpoint else "no head is left"
        raise CorruptData(
            f"the end of the log, position {size}, is not what its key signed last ({found}): somebody wrote into the"
            " database; restore it from a backup, nothing is signed on top of it"
        )


def checkpoints_from(reader: Reader, size: int, limit: int) -> Iterator[Checkpoint]:
    """At most `limit` checkpoints of at least `size` events, the smallest first."""
    for row in reader.stream("SELECT * FROM tree_heads WHERE size >= ? ORDER BY size LIMIT ?", (size, limit)):
        yield _from_row(row)


def _from_row(row: Row) -> Checkpoint:
    return Checkpoint(row["size"], bytes(row["root"]), row["signed_at"], row["key_id"], bytes(row["signature"]))
