"""Writing an object unless its name is taken: in one request, or in parts when it is large.

Both ask for `If-None-Match: *`. A store that does not honour it for parts lets the last of two writers win; both wrote
the bytes that the name is the SHA-256 of, and every read checks that.
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
"""Larger objects go in parts of PART_BYTES: a broken connection costs a part and not the whole."""
PART_BYTES: Final = 32 << 20

_UNLESS_TAKEN: Final = {"If-None-Match": "*"}
Answer = TypeVar("Answer")


class Patiently(Protocol):
    """Asks until the answer is one that does not pass by itself."""

    def __call__(self, act: Callable[[], Answer], /) -> Answer: ...


@dataclass(frozen=True)
class Upload:
    """One object on its way to `key`. `headers` go with its creation: its lock, for one.

    The client's public methods turn If-None-Match into user metadata, which a server ignores; those below them send
    headers as they are. They sign the SHA-256 of a body, or over TLS send its MD5.
    """

    client: Minio
    bucket: str
    key: str
    headers: Mapping[str, str]
    patiently: Patiently

    def send(self, content: bytes, digest: str) -> bool:
        """Writes all of `content` or nothing; False when the name was taken, by whatever bytes.

        That may be this very upload: an answer that was lost is asked for again, and then the name is taken.
        """
        if len(content) > LARGE_BYTES:
            return not self._taken() and self._in_parts(content)
        checksum = {"x-amz-checksum-sha256": b64encode(bytes.fromhex(digest)).decode()}
        headers = {**self.headers, **checksum, **_UNLESS_TAKEN}
        return self._unless_taken(
            lambda: self.client._put_object(self.bucket, self.key, content, dict(headers)), when_gone=False
        )

    def _in_parts(self, content: bytes) -> bool:
        upload = self.patiently(lambda: self.client._create_multipart_upload(self.bucket, self.key, dict(self.headers)))
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
                    self.patiently(lambda: self.client._abort_multipart_upload(self.bucket, self.key, upload))
        return written

    def _part(self, content: bytes, upload: str, number: int) -> Part:
        headers = {"Content-MD5": str(md5sum_hash(content))}
        etag = self.patiently(
            lambda: self.client._upload_part(self.bucket, self.key, content, dict(headers), upload, number)
        )
        return Part(number, etag)

    def _complete(self, upload: str, parts: list[Part]) -> None:
        """The client's own method takes no headers, and a refusal that comes with status 200 for success."""
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
        """`when_gone`: an upload that the store no longer knows was completed, if the name is taken now."""
        try:
            self.patiently(write)
        except S3Error as error:
            if error.response.status == 412:
                return False
            if when_gone and error.code == "NoSuchUpload" and self._taken():
                return False
            raise
        return True

    def _taken(self) -> bool:
        try:
            self.patiently(lambda: self.client.stat_object(self.bucket, self.key))
        except S3Error as error:
            if error.response.status != 404:
                raise
            return False
        return True
