"""Bucket and retention settings of an S3 store, parsed from its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from minio.helpers import check_bucket_name

from ratchet.errors import InvalidInput

OPTIONS: Final = ("endpoint", "region", "prefix", "retain", "mode")
MODES: Final = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}
LONGEST_DAYS: Final = 36_500
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Retention:
    """Object lock of `days` after the last put.

    `mode` is GOVERNANCE, which a special permission may lift, or COMPLIANCE, which nobody may lift.
    """

    days: int
    mode: str

    @classmethod
    def of(cls, days: str, mode: str) -> Retention:
        """Parses the URL options. Raises InvalidInput."""
        if not (days.isascii() and days.isdecimal() and 1 <= int(days) <= LONGEST_DAYS):
            raise InvalidInput(
                f"retain={days} is not a number of days; write retain=1 to retain={LONGEST_DAYS}, or leave it out",
                fields={"retain": "not a number of days"},
            )
        if mode not in MODES:
            raise InvalidInput(f"mode={mode} is unknown; write {' or '.join(MODES)}", fields={"mode": "unknown"})
        return cls(int(days), MODES[mode])

    def until(self, now: datetime) -> datetime:
        return now + timedelta(days=self.days)


@dataclass(frozen=True)
class Bucket:
    """Location of the objects. `prefix` is empty or ends in a slash; without `retention` no object is locked."""

    endpoint: str
    name: str
    region: str
    prefix: str
    retention: Retention | None = None

    @classmethod
    def at(
        cls, name: str, *, endpoint: str, region: str, prefix: str = "", retention: Retention | None = None
    ) -> Bucket:
        """Checks the URL options. Raises InvalidInput, never repeating credentials."""
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
        return cls(address, name, region, prefix and prefix + "/", retention)

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix} at {self.endpoint}"
