"""The S3 client: one attempt per request, no redirects."""

from __future__ import annotations

from typing import Final

import certifi
from minio import Minio
from urllib3 import PoolManager, Retry, Timeout

from ratchet.errors import InvalidInput
from services.platform.artifacts.bucket import Bucket
from services.platform.artifacts.credentials import S3Credentials
from services.platform.artifacts.retry import RetryPolicy

CONNECTIONS: Final = 16


def connect(bucket: Bucket, access: S3Credentials, retry_policy: RetryPolicy, connections: int = CONNECTIONS) -> Minio:
    """Builds the client without sending a request.

    A signature holds for one host only, and `retry_policy` does the retries.

    Raises InvalidInput for an invalid port or region.
    """
    scheme, _, address = bucket.endpoint.partition("://")
    try:
        return Minio(
            address,
            access_key=access.access_key,
            secret_key=access.secret_key,
            session_token=access.session_token,
            secure=scheme == "https",
            region=bucket.region,
            http_client=PoolManager(
                maxsize=connections,
                timeout=Timeout(connect=retry_policy.connect, read=retry_policy.read),
                retries=Retry(0, redirect=False),
                cert_reqs="CERT_REQUIRED",
                ca_certs=access.certificates or certifi.where(),
            ),
        )
    except ValueError as error:
        raise InvalidInput(
            f"{bucket.endpoint} with region {bucket.region!r} can't be used: {error}; correct the store's URL",
            fields={"artifacts": str(error)},
        ) from error
