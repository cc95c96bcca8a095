"""Checkpoints in the database: one for each transaction that appended, so the newest covers the whole log.

They are stored and served as notes; only the code that needs the content parses them.
"""

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

    def sign(self, origin: str, size: int, root: bytes, time: int) -> Checkpoint:
        """`time`: seconds since 1970."""
        return checkpoints.sign(self.private_key, origin, size, root, time, self.public_key)


def store_checkpoint(writer: Writer, checkpoint: Checkpoint) -> None:
    writer.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", (checkpoint.size, checkpoint.note))


def note_at(reader: Reader, size: int) -> str:
    """The checkpoint of exactly the first `size` events, as a note; empty without one."""
    for row in reader.rows("SELECT * FROM checkpoints WHERE size = ?", (size,)):
        return _note(row)
    return ""


def newest_checkpoint(reader: Reader) -> Checkpoint | None:
    """CorruptData for a malformed note."""
    for row in reader.rows("SELECT * FROM checkpoints ORDER BY size DESC LIMIT 1"):
        return checkpoints.received(_note(row))
    return None


def require_signed(reader: Reader, origin: str, size: int, root: bytes, public_key: bytes) -> None:
    """CorruptData unless the newest stored checkpoint is of this log and tree, and signed by that key.

    Every signer checks this first: otherwise the next signature would legitimise a log that was changed without the
    key.
    """
    try:
        checkpoint = newest_checkpoint(reader)
        found = f"the newest checkpoint is of size {checkpoint.size}" if checkpoint else "no checkpoint is left"
    except CorruptData as error:
        checkpoint, found = None, error.message
    if (
        checkpoint is None
        or (checkpoint.origin, checkpoint.size, checkpoint.root) != (origin, size, root)
        or not checkpoints.verify(checkpoint, public_key)
    ):
        raise CorruptData(
            f"the end of the log, position {size}, is not what its key signed last ({found}): somebody wrote into the"
            " database; restore it from a backup, nothing is signed on top of it"
        )


def notes_from(reader: Reader, size: int, limit: int) -> Iterator[tuple[int, str]]:
    """At most `limit` checkpoints of at least `size` events, each with its size, the smallest first."""
    for row in reader.stream("SELECT * FROM checkpoints WHERE size >= ? ORDER BY size LIMIT ?", (size, limit)):
        yield row["size"], _note(row)


def _note(row: Row) -> str:
    note = row["note"]
    if not isinstance(note, str):
        raise CorruptData(
            f"the checkpoint of size {row['size']} is no text: somebody wrote into the database; restore it from a"
            " backup"
        )
    return note
