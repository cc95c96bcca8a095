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
from services.platform.artifacts.credentials import S3Credentials
from services.platform.artifacts.retry import DEFAULT_RETRY, RetryPolicy
from services.platform.artifacts.s3_client import connect
from services.platform.artifacts.s3_errors import FAILURES, is_transient, map_error, missing, no_bucket
from services.platform.artifacts.s3_upload import Upload

PAGE: Final = 1000
MAX_VERSIONS: Final = 100
RENEWED_AFTER: Final = timedelta(hours=1)
"""Far below the age of one day at which garbage collection removes an unreferenced artifact."""
UNTIL: Final = "x-amz-object-lock-retain-until-date"
_BUCKET_EXISTS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
Result = TypeVar("Result")


class S3Store:
    """An ArtifactStore in `bucket`, which the first put creates if the bucket is missing and the credentials permit.

    With a retention every put locks its object. A bucket created here supports object lock; any other bucket is checked
    first.
    """

    def __init__(self, bucket: Bucket, access: S3Credentials, retry_policy: RetryPolicy | None = None) -> None:
        self._bucket = bucket
        self._retry_policy = retry_policy or DEFAULT_RETRY
        self._client: Minio = connect(bucket, access, self._retry_policy)
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
            content = self._retry(lambda: self._read(key))
        return checked(content, digest, str(self._bucket))

    def has(self, digest: str) -> bool:
        require_digest(digest)
        with self._errors(digest):
            return self._found(digest) is not None

    def digests(self) -> Iterator[str]:
        """Lists page by page, so that a failed page alone is retried."""
        prefix, last = self._bucket.prefix, ""
        while True:
            with self._errors(""):
                page = self._retry(partial(self._page, last))
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
        """Removes the versions of the object one by one.

        In a versioned bucket a plain removal only adds a delete marker, which would also hide a locked object.
        """
        require_digest(digest)
        with self._errors(digest):
            for _ in range(MAX_VERSIONS):
                found = self._found(digest)
                if found is None:
                    return
                self._require_unlocked(digest, found)
                version = found.version_id
                self._retry(partial(self._client.remove_object, self._bucket.name, self._key(digest), version))
                if not version:
                    return

    def _key(self, digest: str) -> str:
        return self._bucket.prefix + digest

    def _write(self, digest: str, content: bytes) -> bool:
        self._require_lock()
        return Upload(self._client, self._bucket.name, self._key(digest), self._lock(), self._retry).send(
            content, digest
        )

    def _read(self, key: str) -> bytes:
        """Reads an object to its end or to an error, so that the connection is returned or closed."""
        return bytes(self._client.get_object(self._bucket.name, key).read())

    def _found(self, digest: str) -> Object | None:
        try:
            return self._retry(lambda: self._client.stat_object(self._bucket.name, self._key(digest)))
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
            self._retry(lambda: self._client.make_bucket(self._bucket.name, object_lock=lock))
        except S3Error as error:
            if error.response.status == 403:
                raise no_bucket(self._bucket) from error
            if error.code not in _BUCKET_EXISTS:
                raise

    def _lock(self) -> dict[str, str]:
        """The headers that lock an object on a put now."""
        if (retention := self._bucket.retention) is None:
            return {}
        until = retention.until(datetime.now(UTC))
        return {"x-amz-object-lock-mode": retention.mode, UNTIL: until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _require_lock(self) -> None:
        """Checks that the bucket supports object lock: some stores accept the headers and ignore them."""
        if self._bucket.retention is None or self._can_lock:
            return
        try:
            self._retry(lambda: self._client.get_object_lock_config(self._bucket.name))
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
        """Extends the lock of an object on a repeated put, or renews its modification time without a lock.

        A lock is never shortened. Garbage collection goes by the modification time; a copy of the object onto itself
        sets a new one.
        """
        found, now = self._found(digest), datetime.now(UTC)
        if found is None:
            return
        bucket, key = self._bucket.name, self._key(digest)
        if (retention := self._bucket.retention) is not None:
            wanted = retention.until(now)
            if (kept := _until(found)) is None or kept < wanted:
                lock = ObjectRetention(retention.mode, wanted)
                self._retry(lambda: self._client.set_object_retention(bucket, key, lock))
        elif found.last_modified is not None and now - found.last_modified > RENEWED_AFTER:
            again: dict[str, str | list[str] | tuple[str]] = {"put-again": now.isoformat()}
            copy = partial(self._client.copy_object, metadata=again, metadata_directive=REPLACE)
            self._retry(lambda: copy(bucket, key, CopySource(bucket, key)))

    def _retry(self, request: Callable[[], Result], /) -> Result:
        return self._retry_policy(request, is_transient)

    @contextmanager
    def _errors(self, digest: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise map_error(error, self._bucket, digest) from error


def _until(found: Object) -> datetime | None:
    """The end of an object's lock, from the metadata of its response."""
    written = (found.metadata or {}).get(UNTIL)
    return datetime.fromisoformat(written) if written else None
