"""Error mapping: the interceptor that turns exceptions into gRPC statuses."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from grpc_status import rpc_status

from ratchet.client.error_mapping import to_status
from ratchet.errors import Internal, RatchetError
from services.platform.interceptors import Call
from services.platform.telemetry.observed_call import current_call

log = logging.getLogger("ratchet.server")


@contextmanager
def map_errors(call: Call) -> Iterator[None]:
    """Maps a RatchetError to its status, and any other exception to INTERNAL with an error id alone."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, RatchetError):
            error_id = uuid.uuid4().hex[:12]
            log.exception("%s failed, error %s", call.method, error_id)
            if (observed := current_call()) is not None:
                observed.error_id = error_id
            error = Internal(f"{call.method} failed inside the service; its log has the details under error {error_id}")
        call.context.abort_with_status(rpc_status.to_status(to_status(error)))
