"""Conditional upload of an object: in one request, or in parts for a large object.

Both send `If-None-Match: *`. A store that ignores the header for parts lets the last of two writers win; both wrote the
same bytes, since the name is their SHA-256, and every read checks the digest.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from minio import Minio
from minio.datatypes import Part
from minio.error import S3Error
from minio.helpers import md5sum_hash
from minio.xml import Element, SubElement, getbytes

from services.platform.artifacts.s3_errors import FAILURES

LARGE_BYTES: Final = 64 << 20
"""Objects above this size go in parts of PART_BYTES: a broken connection costs one part."""
PART_BYTES: Final = 32 << 20

_UNLESS_TAKEN: Final = {"If-None-Match": "*"}
Result = TypeVar("Result")


class Retry(Protocol):
    """Calls a request until it succeeds or fails with an error that is not transient."""

    def __call__(self, request: Callable[[], Result], /) -> Result: ...


@dataclass(frozen=True)
class Upload:
    """Upload of one object to `key`. `headers`, such as those of a lock, go with its creation.

    The client's public methods turn If-None-Match into user metadata, which a server ignores; the private methods send
    headers as they are. They sign the SHA-256 of a body, or over TLS send its MD5.
    """

    client: Minio
    bucket: str
    key: str
    headers: Mapping[str, str]
    retry: Retry

    def send(self, content: bytes, digest: str) -> bool:
        """Writes all of `content` or nothing; returns False when the name was taken, by any bytes.

        A repeated request after a lost response also finds the name taken, by this very upload.
        """
        if len(content) > LARGE_BYTES:
            return not self._taken() and self._in_parts(content)
        checksum = {"x-amz-checksum-sha256": b64encode(bytes.fromhex(digest)).decode()}
        headers = {**self.headers, **checksum, **_UNLESS_TAKEN}
        return self._unless_taken(
            lambda: self.client._put_object(self.bucket, self.key, content, dict(headers)), when_gone=False
        )

    def _in_parts(self, content: bytes) -> bool:
        upload = self.retry(lambda: self.client._create_multipart_upload(self.bucket, self.key, dict(self.headers)))
        written = False
        try:
            parts = [
                self._part(content[start : start + PART_BYTES], upload, number)
                for number, start in enumerate(range(0, len(content), PART_BYTES), 1)
            ]
            written = self._unless_taken(partial(self._complete, upload, parts), when_gone=True)
        finally:
            if not written:
                with suppress(*FAILURES):
                    self.retry(lambda: self.client._abort_multipart_upload(self.bucket, self.key, upload))
        return written

    def _part(self, content: bytes, upload: str, number: int) -> Part:
        headers = {"Content-MD5": str(md5sum_hash(content))}
        etag = self.retry(
            lambda: self.client._upload_part(self.bucket, self.key, content, dict(headers), upload, number)
        )
        return Part(number, etag)

    def _complete(self, upload: str, parts: list[Part]) -> None:
        """Completes a multipart upload with headers, and raises S3Error for an error body with status 200.

        The client's own method takes no headers and treats such a response as success.
        """
        wanted = Element("CompleteMultipartUpload")
        for part in parts:
            element = SubElement(wanted, "Part")
            SubElement(element, "PartNumber", str(part.part_number))
            SubElement(element, "ETag", f'"{part.etag}"')
        body = getbytes(wanted)
        headers = {"Content-Type": "application/xml", **_UNLESS_TAKEN}
        response = self.client._execute(
            "POST", self.bucket, self.key, body=body, headers=dict(headers), query_params={"uploadId": upload}
        )
        if b"<Error" in response.data:
            raise S3Error.fromxml(response)

    def _unless_taken(self, write: Callable[[], object], when_gone: bool) -> bool:
        """`when_gone`: an upload unknown to the store counts as completed if the name is taken now."""
        try:
            self.retry(write)
        except S3Error as error:
            if error.response.status == 412:
                return False
            if when_gone and error.code == "NoSuchUpload" and self._taken():
                return False
            raise
        return True

    def _taken(self) -> bool:
        try:
            self.retry(lambda: self.client.stat_object(self.bucket, self.key))
        except S3Error as error:
            if error.response.status != 404:
                raise
            return False
        return True
