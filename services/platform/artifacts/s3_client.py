"""The client of an S3 store: one that asks once and follows no redirect."""

from __future__ import annotations

from typing import Final

import certifi
from minio import Minio
from urllib3 import PoolManager, Retry, Timeout

from ratchet.errors import InvalidInput
from services.platform.artifacts.bucket import Bucket
from services.platform.artifacts.credentials import Access
from services.platform.artifacts.retry import Patience

CONNECTIONS: Final = 16


def connect(bucket: Bucket, access: Access, patience: Patience, connections: int = CONNECTIONS) -> Minio:
    """Nothing is sent yet. A signature holds for one host only, and trying again is the business of `patience`.

    Raises InvalidInput for a port or region that can't be.
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
                timeout=Timeout(connect=patience.connect, read=patience.read),
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
