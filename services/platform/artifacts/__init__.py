"""The artifact store: immutable bytes named by their SHA-256, in a folder or in an S3 bucket.

    store = open_store("file:///var/lib/ratchet/artifacts")
    digest = store.put(b"...")
    store.get(digest)

A put is conditional, so no artifact is ever overwritten, and every read checks the digest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ratchet.errors import InvalidInput
from services.platform.artifacts.credentials import ACCESS_KEY, SECRET_KEY, S3Credentials
from services.platform.artifacts.file_store import FileStore

__all__ = ["ACCESS_KEY", "SECRET_KEY", "ArtifactStore", "open_store"]

_FORMS = "write file:///folder or s3://bucket?endpoint=http://host:port"


class ArtifactStore(Protocol):
    """A content-addressed store of artifacts. Safe to share between threads and between processes.

    Every method raises Unreachable when the store does not answer, NotAllowed when the store refuses our credentials,
    and PreconditionFailed when the bucket lacks a feature that the URL asks for.
    """

    def put(self, content: bytes) -> str:
        """Stores `content` durably and returns its digest. Idempotent.

        Raises LimitReached when the store is full, CorruptData when the store holds other bytes under this digest.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Returns the bytes of an artifact. Raises NotFound, or CorruptData when the bytes do not match `digest`."""
        ...

    def has(self, digest: str) -> bool:
        """Whether an artifact of this name exists; its bytes are not read."""
        ...

    def digests(self) -> Iterator[str]:
        """The digests of all artifacts, in no promised order."""
        ...

    def written_at(self, digest: str) -> datetime:
        """The UTC time of the last put of an artifact, aware; in a bucket accurate to one hour. Raises NotFound."""
        ...

    def remove(self, digest: str) -> None:
        """Removes an unreferenced artifact; a missing artifact is no error.

        Raises NotAllowed for an artifact under object lock, with the end of the lock in its text and in
        metadata["until"].
        """
        ...


def open_store(url: str, environ: Mapping[str, str] = os.environ) -> ArtifactStore:
    """Opens the store that `url` names; nothing is read or written before the first use.

    `file:///folder` or `s3://bucket?endpoint=http://host:port&region=R&prefix=P&retain=DAYS&mode=governance`; region
    defaults to us-east-1, prefix and retain to none, and mode may be compliance. For s3, `environ` holds
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN for temporary credentials, and SSL_CERT_FILE for a
    private certificate authority. Raises InvalidInput for any other URL and for a URL with credentials, NotAllowed when
    the environment has no credentials.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _refused(f"can't be read; {_FORMS}") from None
    if "@" in parts.netloc or (parts.scheme == "s3" and "@" in url):
        raise _refused(f"holds credentials; leave them out and set {ACCESS_KEY} and {SECRET_KEY}")
    match parts.scheme:
        case "file":
            return _open_file(parts)
        case "s3":
            return _open_s3(parts, environ)
        case scheme:
            raise _refused(f"has the unknown scheme {scheme!r}; {_FORMS}")


def _open_file(parts: SplitResult) -> ArtifactStore:
    if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise _refused(f"is not a folder's URL; write file:///{(parts.netloc + parts.path).lstrip('/') or 'folder'}")
    return FileStore(Path(unquote(parts.path)))


def _open_s3(parts: SplitResult, environ: Mapping[str, str]) -> ArtifactStore:
    from services.platform.artifacts.bucket import OPTIONS, Bucket, Retention
    from services.platform.artifacts.s3_store import S3Store

    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise _refused(f"has unknown options {', '.join(unknown)}; only {', '.join(OPTIONS)} are known")
    if parts.path.strip("/"):
        raise _refused(f"has a path after the bucket; write s3://{parts.netloc}?prefix={parts.path.strip('/')}&…")
    if "mode" in options and "retain" not in options:
        raise _refused("has a mode and no retain; write retain=DAYS, or leave mode out")
    bucket = Bucket.at(
        parts.netloc,
        endpoint=options.get("endpoint", ""),
        region=options.get("region") or "us-east-1",
        prefix=options.get("prefix", ""),
        retention=Retention.of(options["retain"], options.get("mode", "governance")) if "retain" in options else None,
    )
    return S3Store(bucket, S3Credentials.load(environ, bucket.endpoint))


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"the artifact store's URL {why}", fields={"artifacts": why})
