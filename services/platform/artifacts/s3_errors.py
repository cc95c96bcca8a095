"""Error mapping of an S3 store: transient errors, and RatchetErrors for all others."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from ratchet.errors import LimitReached, NotAllowed, NotFound, PreconditionFailed, RatchetError, Unreachable
from services.platform.artifacts.bucket import Bucket
from services.platform.artifacts.credentials import ACCESS_KEY, CERTIFICATES, SECRET_KEY, SESSION_TOKEN

FAILURES: Final = (MinioException, HTTPError)
"""Every exception type of a failed request."""

_SKEW = timedelta(minutes=5)
_BUSY = {429, 500, 502, 503, 504}
_TRANSFER_ERRORS = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_TRANSIENT = _TRANSFER_ERRORS | {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
}
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "EntityTooLarge"}
_WRONG_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "Redirect"}
_EXPIRED = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}


def status_of(error: Exception) -> int:
    """The HTTP status of the response; 0 without a response."""
    match error:
        case S3Error():
            return int(error.response.status)
        case ServerError():
            return int(error.status_code)
        case InvalidResponseError():
            return int(error._code)
        case _:
            return 0


def is_transient(error: Exception) -> bool:
    """Whether a retry of the same request may succeed. A broken transfer is transient."""
    if isinstance(error, S3Error) and error.code in _TRANSIENT:
        return True
    if isinstance(error, HTTPError):
        return not isinstance(_tls(error), ssl.SSLCertVerificationError)
    return status_of(error) in _BUSY


def map_error(error: Exception, bucket: Bucket, digest: str) -> RatchetError:
    """The RatchetError of one of FAILURES, raised for artifact `digest`; empty for none."""
    if status_of(error) == 507 or (isinstance(error, S3Error) and error.code in _FULL):
        return LimitReached(f"{_refusal(error, bucket)}; free some space, or raise the bucket's quota")
    if isinstance(error, S3Error):
        return _refused(error, bucket, digest)
    if isinstance(error, HTTPError):
        return _unanswered(error, bucket)
    if "HTTPS" in str(error) and bucket.endpoint.startswith("http://"):
        return Unreachable(
            f"{bucket.endpoint} serves TLS; write endpoint=https{bucket.endpoint[4:]} in the store's URL"
        )
    if status_of(error) in _BUSY:
        return Unreachable(f"{_refusal(error, bucket)}; see the log of the store, or of the proxy before it")
    return Unreachable(f"{bucket.endpoint} does not answer like an S3 store; check the endpoint of the store's URL")


def missing(bucket: Bucket, digest: str) -> NotFound:
    return NotFound(
        f"artifact {digest} is not in {bucket}; check that this is the store it was written to",
        metadata={"digest": digest},
    )


def no_bucket(bucket: Bucket) -> NotFound:
    return NotFound(
        f"bucket {bucket.name} does not exist at {bucket.endpoint};"
        " create it, or use credentials that may create it and write once",
        metadata={"bucket": bucket.name},
    )


def _refused(error: S3Error, bucket: Bucket, digest: str) -> RatchetError:
    refusal = _refusal(error, bucket)
    if error.code == "NoSuchBucket":
        return no_bucket(bucket)
    if error.code == "NoSuchKey":
        return missing(bucket, digest)
    if error.code in _WRONG_REGION:
        region = error.response.headers.get("x-amz-bucket-region") or "the one that it names"
        return PreconditionFailed(
            f"{refusal}; bucket {bucket.name} is not in region {bucket.region}: set region={region} in the store's URL"
        )
    if error.code in _EXPIRED:
        return NotAllowed(f"{refusal}; renew the temporary credentials: {ACCESS_KEY}, {SECRET_KEY}, {SESSION_TOKEN}")
    if error.response.status in (401, 403):
        if ahead := _skew(error):
            return NotAllowed(f"{refusal}; {ahead}")
        return NotAllowed(
            f"{refusal}; check {ACCESS_KEY}, {SECRET_KEY} and, where one is set, {SESSION_TOKEN}, and their rights"
            f" on bucket {bucket.name}"
        )
    return Unreachable(f"{refusal}; see the store's own log")


def _refusal(error: Exception, bucket: Bucket) -> str:
    if isinstance(error, S3Error):
        return f"{bucket.endpoint} answers {error.code}: {error.message}"
    return f"{bucket.endpoint} answers {status_of(error)}"


def _skew(error: S3Error) -> str:
    """The clock skew between this machine and the store, by the Date header of the response; empty when small.

    A store rejects signatures of another time, and names the reason only in responses with a body.
    """
    try:
        ahead = now() - parsedate_to_datetime(error.response.headers.get("Date", ""))
    except (TypeError, ValueError):
        ahead = timedelta()
    if abs(ahead) < _SKEW and error.code != "RequestTimeTooSkewed":
        return ""
    minutes = round(abs(ahead).total_seconds() / 60)
    side = "ahead of" if ahead > timedelta() else "behind"
    return f"this machine's clock is {minutes} minutes {side} the store's: set both by a time server"


def now() -> datetime:
    return datetime.now(UTC)


def _tls(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS error beneath a client error, if there is one."""
    if isinstance(error, ssl.SSLError):
        return error
    if not isinstance(error, HTTPError):
        return None
    beneath = getattr(error, "reason", None) or next(iter(error.args), None)
    return _tls(beneath) if isinstance(beneath, BaseException) else None


def _unanswered(error: HTTPError, bucket: Bucket) -> RatchetError:
    match _tls(error):
        case ssl.SSLCertVerificationError() as untrusted:
            return Unreachable(
                f"the certificate of {bucket.endpoint} is not trusted: {untrusted.verify_message};"
                f" name its authority's PEM file in {CERTIFICATES}"
            )
        case ssl.SSLError() as failed:
            return Unreachable(
                f"{bucket.endpoint} does not speak TLS with us ({failed.reason or failed});"
                f" if it serves plain HTTP, write endpoint=http{bucket.endpoint[5:]} in the store's URL"
            )
        case _:
            return Unreachable(
                f"the artifact store at {bucket.endpoint} does not answer;"
                " check that it runs and that this machine reaches it"
            )
