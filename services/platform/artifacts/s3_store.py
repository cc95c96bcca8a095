"""Artifacts as objects of one S3 bucket: MinIO, AWS or any store that honours `If-None-Match: *`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.datatypes import Object
from minio.error import S3Error
from minio.retention import Retention as ObjectRetention

from ratchet.errors import NotAllowed, PreconditionFailed, Unreachable
from services.platform.artifacts.bucket import Bucket
from services.platform.artifacts.content_address import checked, digest_of, is_digest, require_digest
from services.platform.artifacts.credentials import Access
from services.platform.artifacts.retry import PATIENCE, Patience
from services.platform.artifacts.s3_client import connect
from services.platform.artifacts.s3_errors import FAILURES, explained, missing, no_bucket, passes
from services.platform.artifacts.s3_upload import Upload

PAGE: Final = 1000
MOST_VERSIONS: Final = 100
RENEWED_AFTER: Final = timedelta(hours=1)
"""Well below the day that an artifact without facts is left alone."""
UNTIL: Final = "x-amz-object-lock-retain-until-date"
_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
Answer = TypeVar("Answer")


class S3Store:
    """An ArtifactStore in `bucket`, which the first put creates if it is missing and we may.

    With a retention, every put locks its object from then on; a bucket made here can lock, any other is asked first.
    """

    def __init__(self, bucket: Bucket, access: Access, patience: Patience | None = None) -> None:
        self._bucket = bucket
        self._patience = patience or PATIENCE
        self._client: Minio = connect(bucket, access, self._patience)
        self._can_lock = False

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        with self._errors(digest):
            try:
                written = self._write(digest, content)
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
                self._make_bucket()
                written = self._write(digest, content)
            if not written:
                self.get(digest)
                self._renew(digest)
        return digest

    def get(self, digest: str) -> bytes:
        key = self._key(require_digest(digest))
        with self._errors(digest):
            content = self._patiently(lambda: self._read(key))
        return checked(content, digest, str(self._bucket))

    def has(self, digest: str) -> bool:
        require_digest(digest)
        with self._errors(digest):
            return self._found(digest) is not None

    def digests(self) -> Iterator[str]:
        """Page by page, so that a page that failed is asked for again, and not all."""
        prefix, last = self._bucket.prefix, ""
        while True:
            with self._errors(""):
                page = self._patiently(partial(self._page, last))
            names = [found.object_name or "" for found in page]
            yield from filter(is_digest, (name.removeprefix(prefix) for name in names))
            if len(page) < PAGE:
                return
            last = names[-1]

    def written_at(self, digest: str) -> datetime:
        require_digest(digest)
        with self._errors(digest):
            found = self._found(digest)
        if found is None:
            raise missing(self._bucket, digest)
        if found.last_modified is None:
            raise Unreachable(f"{self._bucket.endpoint} does not say when {digest} was put; see the store's own log")
        return found.last_modified

    def remove(self, digest: str) -> None:
        """Removes the very versions that are seen: in a bucket with versions a plain removal would only hide them, and
        so hide an object that is locked."""
        require_digest(digest)
        with self._errors(digest):
            for _ in range(MOST_VERSIONS):
                found = self._found(digest)
                if found is None:
                    return
                self._require_unlocked(digest, found)
                version = found.version_id
                self._patiently(partial(self._client.remove_object, self._bucket.name, self._key(digest), version))
                if not version:
                    return

    def _key(self, digest: str) -> str:
        return self._bucket.prefix + digest

    def _write(self, digest: str, content: bytes) -> bool:
        self._require_lock()
        return Upload(self._client, self._bucket.name, self._key(digest), self._lock(), self._patiently).send(
            content, digest
        )

    def _read(self, key: str) -> bytes:
        """All of an object: read to its end or to an error, the connection is returned or closed by itself."""
        return bytes(self._client.get_object(self._bucket.name, key).read())

    def _found(self, digest: str) -> Object | None:
        try:
            return self._patiently(lambda: self._client.stat_object(self._bucket.name, self._key(digest)))
        except S3Error as error:
            if error.response.status != 404:
                raise
            return None

    def _page(self, after: str) -> list[Object]:
        bucket = self._bucket
        listed = self._client.list_objects(bucket.name, prefix=bucket.prefix, recursive=True, start_after=after or None)
        return list(islice(listed, PAGE))

    def _make_bucket(self) -> None:
        lock = self._bucket.retention is not None
        try:
            self._patiently(lambda: self._client.make_bucket(self._bucket.name, object_lock=lock))
        except S3Error as error:
            if error.response.status == 403:
                raise no_bucket(self._bucket) from error
            if error.code not in _THERE:
                raise

    def _lock(self) -> dict[str, str]:
        """The headers that lock an object which is put now."""
        if (retention := self._bucket.retention) is None:
            return {}
        until = retention.until(datetime.now(UTC))
        return {"x-amz-object-lock-mode": retention.mode, UNTIL: until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _require_lock(self) -> None:
        """That the bucket can lock what is put: a store may take the wish and forget it."""
        if self._bucket.retention is None or self._can_lock:
            return
        try:
            self._patiently(lambda: self._client.get_object_lock_config(self._bucket.name))
        except S3Error as error:
            if error.code != "ObjectLockConfigurationNotFoundError":
                raise
            raise PreconditionFailed(
                f"bucket {self._bucket.name} at {self._bucket.endpoint} has no object lock, which"
                f" retain={self._bucket.retention.days} needs and only a new bucket can get;"
                " name a bucket that does not exist yet, or leave retain out",
                metadata={"bucket": self._bucket.name},
            ) from error
        self._can_lock = True

    def _require_unlocked(self, digest: str, found: Object) -> None:
        if (until := _until(found)) and until > datetime.now(UTC):
            raise NotAllowed(
                f"artifact {digest} in {self._bucket} is kept until {until.isoformat(timespec='seconds')}"
                " by the lock that it was put with; remove it after that",
                metadata={"digest": digest, "until": until.isoformat()},
            )

    def _renew(self, digest: str) -> None:
        """What is put again counts as put now: for its lock, which is never shortened, and where it has none for the
        collection of garbage, which asks for its age. A copy onto itself is how S3 gives an object a new one."""
        found, now = self._found(digest), datetime.now(UTC)
        if found is None:
            return
        bucket, key = self._bucket.name, self._key(digest)
        if (retention := self._bucket.retention) is not None:
            wanted = retention.until(now)
            if (kept := _until(found)) is None or kept < wanted:
                lock = ObjectRetention(retention.mode, wanted)
                self._patiently(lambda: self._client.set_object_retention(bucket, key, lock))
        elif found.last_modified is not None and now - found.last_modified > RENEWED_AFTER:
            again: dict[str, str | list[str] | tuple[str]] = {"put-again": now.isoformat()}
            copy = partial(self._client.copy_object, metadata=again, metadata_directive=REPLACE)
            self._patiently(lambda: copy(bucket, key, CopySource(bucket, key)))

    def _patiently(self, act: Callable[[], Answer], /) -> Answer:
        return self._patience(act, passes)

    @contextmanager
    def _errors(self, digest: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise explained(error, self._bucket, digest) from error


def _until(found: Object) -> datetime | None:
    """Until when an object is locked, by the answer that found it."""
    written = (found.metadata or {}).get(UNTIL)
    return datetime.fromisoformat(written) if written else None
