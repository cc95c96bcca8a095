"""The tokens in force: the file of RATCHET_TOKENS, read again when it changes, without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from ratchet.errors import RatchetError
from services.platform.identity.token_file import Token, digest, read

log = logging.getLogger("ratchet.identity")

_Stamp: TypeAlias = tuple[int, int, int] | None
"""Time of change, size and inode of a file; None while it is not there."""


class TokenBook:
    """Safe to use from many threads. Raises the errors of `token_file.read` when the file can't be read
    at first."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._stamp = self._now()
        self._tokens = _by_hash(file)

    def find(self, text: str) -> Token | None:
        """The token of this text as the file has it now; a new version that can't be read leaves the old one in force.

        The hash is looked up, so that the time this takes tells nothing of the tokens that are known.
        """
        with self._lock:
            stamp = self._now()
            if stamp != self._stamp:
                self._stamp = stamp
                self._read_again()
            return self._tokens.get(digest(text))

    def _read_again(self) -> None:
        try:
            self._tokens = _by_hash(self._file)
            log.info("%s has changed: %d tokens are in force", self._file, len(self._tokens))
        except RatchetError as error:
            log.error("%s has changed and can't be used; what it said before stays in force: %s", self._file, error)

    def _now(self) -> _Stamp:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _by_hash(file: Path) -> Mapping[str, Token]:
    return {token.sha256: token for token in read(file)}
