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
    help="Compare with the newest checkpoint in this file, and add the one of now.",
)


def newest_remembered(file: Path | None) -> Checkpoint | None:
    """The checkpoint of the largest size in the file; None without a file or checkpoint."""
    from ratchet.transparency.checkpoint_files import read_checkpoints
    from ratchet.transparency.checkpoints import newest

    return newest(read_checkpoints(file)) if file is not None and file.exists() else None


def check_consistency(client: Client, remembered: Checkpoint, checkpoint: Checkpoint) -> None:
    """CorruptData unless the log of `checkpoint`, with a verified signature, begins with the remembered events."""
    from ratchet.transparency import merkle

    if checkpoint.origin != remembered.origin:
        raise CorruptData(
            f"the log is {checkpoint.origin}, but a checkpoint of {remembered.origin} is remembered: this is another"
            " log; name its own file, or the other registry"
        )
    if checkpoint.size < remembered.size:
        raise CorruptData(
            f"the log has {checkpoint.size} events, but a checkpoint of size {remembered.size} is remembered: it was"
            " truncated or replaced; find out by whom, and restore it"
        )
    proof = client.prove_consistency(remembered.size, checkpoint.size)
    if not merkle.verify_consistency(remembered.size, checkpoint.size, proof.hashes, remembered.root, checkpoint.root):
        raise CorruptData(
            f"the log of {checkpoint.size} events is no continuation of the remembered checkpoint of size"
            f" {remembered.size}: something before was changed; find out by whom, and restore it"
        )


def remember(file: Path, checkpoint: Checkpoint, known: Checkpoint | None = None) -> None:
    """Appends a checkpoint to the file, unless it equals the newest one, `known`; creates the folder if missing."""
    from ratchet.transparency.checkpoint_files import append_checkpoint, last_checkpoint

    if known is not None and (known.size, known.root) == (checkpoint.size, checkpoint.root):
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        last_checkpoint(file)  # which cuts off a torn note
        append_checkpoint(file, checkpoint)
    except OSError as error:
        raise PreconditionFailed(
            f"the checkpoint of size {checkpoint.size} can't be remembered in {file} ({error.strerror}); give this user"
            " the file, or name another one"
        ) from error
