"""Artifacts as objects of one S3 bucket: MinIO, AWS or any store that honours `If-None-Match: *`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import certifi
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.helpers import check_bucket_name
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from ratchet.errors import InvalidInput, LimitReached, NotAllowed, NotFound, RatchetError, Unreachable
from services.kernel.artifacts.content import checked, digest_of, is_digest, require_digest

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 30.0
CREATE_ATTEMPTS: Final = 3
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?")
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "EntityTooLarge"}
_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


@dataclass(frozen=True)
class Bucket:
    """Where the objects are; `prefix` is empty or ends in a slash."""

    endpoint: str
    name: str
    region: str
    prefix: str

    @classmethod
    def at(cls, name: str, *, endpoint: str, region: str, prefix: str) -> Bucket:
        """Checks what a person wrote. Raises InvalidInput, never repeating credentials."""
        if "@" in endpoint:
            raise InvalidInput(
                "the artifact store's endpoint holds credentials; leave them out and set"
                " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                fields={"endpoint": "holds credentials"},
            )
        address = endpoint.rstrip("/")
        if not _ENDPOINT.fullmatch(address):
            raise InvalidInput(
                f"endpoint {endpoint!r} is not an S3 server's address; write endpoint=http://host:port",
                fields={"endpoint": "not http://host:port"},
            )
        try:
            check_bucket_name(name, strict=True)
        except ValueError as error:
            raise InvalidInput(
                f"{name!r} is not a bucket's name: {error}; use 3 to 63 of a-z, 0-9 and -",
                fields={"bucket": "not a bucket's name"},
            ) from error
        prefix = prefix.strip("/")
        return cls(address, name, region, prefix and prefix + "/")

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix} at {self.endpoint}"


class S3Store:
    """An ArtifactStore in `bucket`, which the first put creates if it is missing and we may."""

    def __init__(self, bucket: Bucket, *, access_key: str, secret_key: str) -> None:
        self._bucket = bucket
        scheme, _, address = bucket.endpoint.partition("://")
        try:
            self._client = Minio(
                address,
                access_key=access_key,
                secret_key=secret_key,
                secure=scheme == "https",
                region=bucket.region,
                http_client=_patient_pool(),
            )
        except ValueError as error:
            raise InvalidInput(
                f"{bucket.endpoint} with region {bucket.region!r} can't be used: {error}; correct the store's URL",
                fields={"artifacts": str(error)},
            ) from error

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        with self._errors(digest):
            try:
                written = self._create(digest, content)
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
                self._make_bucket()
                written = self._create(digest, content)
        if not written:
            self.get(digest)
        return digest

    def get(self, digest: str) -> bytes:
        key = self._key(require_digest(digest))
        with self._errors(digest):
            response = self._client.get_object(self._bucket.name, key)
            try:
                content = response.read()
            finally:
                response.close()
                response.release_conn()
        return checked(content, digest, str(self._bucket))

    def has(self, digest: str) -> bool:
        key = self._key(require_digest(digest))
        with self._errors(digest):
            try:
                self._client.stat_object(self._bucket.name, key)
            except S3Error as error:
                if error.response.status != 404:
                    raise
                return False
            return True

    def digests(self) -> Iterator[str]:
        prefix = self._bucket.prefix
        with self._errors(""):
            objects = self._client.list_objects(self._bucket.name, prefix=prefix, recursive=True)
            names = ((found.object_name or "").removeprefix(prefix) for found in objects)
            yield from filter(is_digest, names)

    def written_at(self, digest: str) -> datetime:
        key = self._key(require_digest(digest))
        with self._errors(digest):
            try:
                found = self._client.stat_object(self._bucket.name, key).last_modified
            except S3Error as error:
                if error.response.status != 404:
                    raise
                raise self._missing(digest) from error
        if found is None:
            raise Unreachable(f"{self._bucket.endpoint} does not say when {digest} was put; see the store's own log")
        return found

    def remove(self, digest: str) -> None:
        key = self._key(require_digest(digest))
        with self._errors(digest):
            self._client.remove_object(self._bucket.name, key)

    def _missing(self, digest: str) -> NotFound:
        return NotFound(
            f"artifact {digest} is not in {self._bucket}; check that this is the store it was written to",
            metadata={"digest": digest},
        )

    def _key(self, digest: str) -> str:
        return self._bucket.prefix + digest

    def _create(self, digest: str, content: bytes, attempts: int = CREATE_ATTEMPTS) -> bool:
        """Writes the object unless its key is taken; says whether it did.

        The client's public `put_object` turns If-None-Match into user metadata, which the server ignores;
        the method below it sends the header as it is. AWS asks to repeat a put that another one met.
        """
        try:
            self._client._put_object(self._bucket.name, self._key(digest), content, {"If-None-Match": "*"})
        except S3Error as error:
            if error.response.status == 412:
                return False
            if error.code == "ConditionalRequestConflict" and attempts > 1:
                return self._create(digest, content, attempts - 1)
            raise
        return True

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket.name)
        except S3Error as error:
            if error.response.status == 403:
                raise self._no_bucket() from error
            if error.code not in _THERE:
                raise

    def _no_bucket(self) -> NotFound:
        return NotFound(
            f"bucket {self._bucket.name} does not exist at {self._bucket.endpoint};"
            " create it, or use credentials that may create it and write once",
            metadata={"bucket": self._bucket.name},
        )

    @contextmanager
    def _errors(self, digest: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            raise self._explained(error, digest) from error
        except InvalidResponseError as error:
            raise Unreachable(
                f"{self._bucket.endpoint} does not answer like an S3 store; check the endpoint of the store's URL"
            ) from error
        except (HTTPError, ServerError) as error:
            raise Unreachable(
                f"the artifact store at {self._bucket.endpoint} does not answer;"
                " check that it runs and that this machine reaches it"
            ) from error

    def _explained(self, error: S3Error, digest: str) -> RatchetError:
        refusal = f"{self._bucket.endpoint} answers {error.code}: {error.message}"
        if error.code == "NoSuchBucket":
            return self._no_bucket()
        if error.code == "NoSuchKey":
            return self._missing(digest)
        if error.code in _FULL or error.response.status == 507:
            return LimitReached(f"{refusal}; free some space, or raise the bucket's quota")
        if error.response.status in (401, 403):
            return NotAllowed(
                f"{refusal}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and their rights"
                f" on bucket {self._bucket.name}"
            )
        return Unreachable(f"{refusal}; see the store's own log")


def _patient_pool() -> PoolManager:
    """Connections that retry what is safe to repeat, all of it here, and give up in seconds when nobody answers."""
    return PoolManager(
        maxsize=16,
        timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        retries=Retry(
            total=4,
            connect=2,
            read=2,
            backoff_factor=0.2,
            status_forcelist=(500, 502, 503, 504),
            raise_on_status=False,
        ),
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )
