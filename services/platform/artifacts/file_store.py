"""Artifacts as files of one folder: `ab/cdef…`, read-only, hard-linked into place when complete."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ratchet.errors import LimitReached, NotAllowed, NotFound, RatchetError, Unreachable
from services.platform.artifacts.content_address import checked, digest_of, is_digest, require_digest

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class FileStore:
    """An ArtifactStore in the folder `root`, which the first put creates.

    A file gets its name by a hard link, after its bytes are on disk; the link fails when the name is taken. A killed
    process leaves at most a hidden `.tmp` file, which nothing reads.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._place = root.as_uri()

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        path = self._path(digest)
        with self._errors("write"):
            _make_folder(path.parent)
            if not _create(path, content):
                checked(path.read_bytes(), digest, self._place)
                with suppress(PermissionError):
                    os.utime(path)
            _sync_folder(path.parent)
        return digest

    def get(self, digest: str) -> bytes:
        path = self._path(require_digest(digest))
        with self._errors("read"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                raise self._missing(digest) from None
        return checked(content, digest, self._place)

    def has(self, digest: str) -> bool:
        with self._errors("read"):
            return self._path(require_digest(digest)).is_file()

    def digests(self) -> Iterator[str]:
        with self._errors("read"):
            if not self._root.exists():
                return
            for shard in self._root.iterdir():
                for path in shard.iterdir() if shard.is_dir() else ():
                    if is_digest(shard.name + path.name):
                        yield shard.name + path.name

    def written_at(self, digest: str) -> datetime:
        path = self._path(require_digest(digest))
        with self._errors("read"):
            try:
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                raise self._missing(digest) from None

    def remove(self, digest: str) -> None:
        path = self._path(require_digest(digest))
        with self._errors("remove"):
            path.unlink(missing_ok=True)

    def _missing(self, digest: str) -> NotFound:
        return NotFound(
            f"artifact {digest} is not in {self._place}; check that this is the store it was written to",
            metadata={"digest": digest},
        )

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest[2:]

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._map_error(error, verb) from error

    def _map_error(self, error: OSError, verb: str) -> RatchetError:
        what = f"can't {verb} artifacts in {self._place}: {error.strerror}"
        if error.errno in _FULL:
            return LimitReached(f"{what}; free some space or move the store")
        if error.errno in _FORBIDDEN:
            return NotAllowed(f"{what}; give this user the right to {verb} there")
        return Unreachable(f"{what}; check that the folder is there and its disk is sound")


def _make_folder(folder: Path) -> None:
    """Makes `folder` and its missing parents, and syncs each directory entry."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _create(path: Path, content: bytes) -> bool:
    """Writes `content` beside `path` and links it there; returns False when the name was taken."""
    if path.exists():
        return False
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(name)
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
