"""Cache of the valid tokens: the file of RATCHET_TOKENS, reloaded when it changes, without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from ratchet.errors import RatchetError
from services.platform.identity.token_file import Token, digest, read

log = logging.getLogger("ratchet.identity")

_FileVersion: TypeAlias = tuple[int, int, int] | None
"""Modification time, size and inode of a file; None while the file is missing."""


class TokenCache:
    """Safe to use from many threads. The constructor raises the errors of `token_file.read`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._version = self._file_version()
        self._tokens = _tokens_by_hash(file)

    def find(self, text: str) -> Token | None:
        """The token with this text in the current file; an unreadable new version leaves the old one in force.

        Tokens are looked up by hash, so that the duration reveals nothing about known tokens.
        """
        with self._lock:
            version = self._file_version()
            if version != self._version:
                self._version = version
                self._reload()
            return self._tokens.get(digest(text))

    def _reload(self) -> None:
        try:
            self._tokens = _tokens_by_hash(self._file)
            log.info("%s has changed: %d tokens are in force", self._file, len(self._tokens))
        except RatchetError as error:
            log.error("%s has changed and can't be used; what it said before stays in force: %s", self._file, error)

    def _file_version(self) -> _FileVersion:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _tokens_by_hash(file: Path) -> Mapping[str, Token]:
    return {token.sha256: token for token in read(file)}
