"""--remember FILE: a caller's file of signed checkpoints, for consistency checks by later calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratchet.errors import CorruptData, PreconditionFailed

if TYPE_CHECKING:
    from ratchet.client import Client
    from ratchet.transparency.checkpoints import Checkpoint

remember_option = click.option(
    "--remember",
    "remember_in",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Compare with the newest signed head in this file, and add the one of now.",
)


def newest_remembered(file: Path | None) -> Checkpoint | None:
    """The checkpoint of the largest size in the file; None without a file or checkpoint."""
    from ratchet.transparency import checkpoints

    return checkpoints.newest(checkpoints.read_checkpoints(file)) if file is not None and file.exists() else None


def check_consistency(client: Client, remembered: Checkpoint, head: Checkpoint) -> None:
    """CorruptData unless the log of `head`, with a verified signature, begins with the remembered events."""
    from ratchet.transparency import merkle

    if head.size < remembered.size:
        raise CorruptData(
            f"the log has {head.size} events, but a head of size {remembered.size} is remembered: it was truncated or"
            " replaced; find out by whom, and restore it"
        )
    proof = client.prove_consistency(remembered.size, head.size)
    if not merkle.verify_consistency(remembered.size, head.size, proof.hashes, remembered.root, head.root):
        raise CorruptData(
            f"the log of {head.size} events is no continuation of the remembered head of size {remembered.size}:"
            " something before was changed; find out by whom, and restore it"
        )


def remember(file: Path, head: Checkpoint, known: Checkpoint | None = None) -> None:
    """Appends a checkpoint to the file, unless it equals the newest one, `known`; creates the folder if missing."""
    if known is not None and (known.size, known.root) == (head.size, head.root):
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(head.to_line() + "\n")
    except OSError as error:
        raise PreconditionFailed(
            f"the head of size {head.size} can't be remembered in {file} ({error.strerror}); give this user the file,"
            " or name another one"
        ) from error
