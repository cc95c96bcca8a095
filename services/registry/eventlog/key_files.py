"""Location of the registry's signing key: the file of RATCHET_SIGNING_KEY, or one in the home folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from ratchet.errors import NotFound, PreconditionFailed, Unreachable
from ratchet.transparency.keys import Key, create_private, load_private, write_public
from services.registry.eventlog.checkpoints import Signer

PRIVATE_NAME = "signing.key"
PUBLIC_NAME = "signing.pub"

log = logging.getLogger("ratchet.keys")


def signer(configured: Path | None, home: Path, known: Sequence[Key]) -> Signer:
    """The key of the `configured` file, which must exist; else that of the home, created for a log without a key.

    NotFound, NotAllowed and InvalidInput as `load_private`; PreconditionFailed when the home lacks the log's key.
    """
    path = configured or home / PRIVATE_NAME
    if configured is None and not path.exists():
        if known:
            raise PreconditionFailed(
                f"the log is signed with the key {known[-1].id} since position {known[-1].position}, but {path} is not"
                " there; restore it, or start the registry with RATCHET_SIGNING_KEY naming a file with that key: all"
                " registries of one log share it"
            )
        try:
            return Signer(create_private(path))
        except OSError as error:
            raise Unreachable(
                f"the signing key {path} can't be made: {error.strerror}; give this user the folder, or name a key with"
                " RATCHET_SIGNING_KEY"
            ) from error
    try:
        return Signer(load_private(path))
    except NotFound as error:
        raise NotFound(f"RATCHET_SIGNING_KEY: {error.message}") from error


def publish(home: Path, public_key: bytes) -> None:
    """Writes the public key into the home for verifiers; a failure is logged."""
    path = home / PUBLIC_NAME
    try:
        write_public(path, public_key)
    except OSError as error:
        log.error("the public key can't be written to %s: %s; give this user the folder", path, error.strerror)


def install(home: Path, source: Path) -> Path:
    """Replaces the home's own key by the key of `source`."""
    path = home / PRIVATE_NAME
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(source.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path
