"""Credentials and trusted certificates of an S3 store, from the environment alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ratchet.errors import InvalidInput, NotAllowed

ACCESS_KEY: Final = "AWS_ACCESS_KEY_ID"
SECRET_KEY: Final = "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN: Final = "AWS_SESSION_TOKEN"
CERTIFICATES: Final = "SSL_CERT_FILE"


@dataclass(frozen=True)
class S3Credentials:
    """Access keys of an S3 store.

    `session_token` is set for temporary credentials; `certificates` is a PEM file, None for the public authorities.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    certificates: str | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str], endpoint: str) -> S3Credentials:
        """Reads the environment. Raises NotAllowed for missing credentials, InvalidInput for a missing PEM file."""
        missing = [name for name in (ACCESS_KEY, SECRET_KEY) if not environ.get(name)]
        if missing:
            raise NotAllowed(f"no credentials for {endpoint}: set {' and '.join(missing)} in the environment")
        certificates = environ.get(CERTIFICATES) or None
        if certificates and not os.path.isfile(certificates):
            raise InvalidInput(
                f"{CERTIFICATES} is {certificates}, where no file is; name a PEM file of the authorities to trust",
                fields={CERTIFICATES: "no such file"},
            )
        return cls(environ[ACCESS_KEY], environ[SECRET_KEY], environ.get(SESSION_TOKEN), certificates)
