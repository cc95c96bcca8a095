"""The layer that turns errors into statuses; whatever a caller is told of one, it is told here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from grpc_status import rpc_status

from ratchet.client.error_mapping import to_status
from ratchet.errors import Internal
from ratchet.errors import RatchetError as Refusal
from services.platform.interceptors import Call
from services.platform.telemetry.observed_call import under_way

log = logging.getLogger("ratchet.server")


@contextmanager
def refusals(call: Call) -> Iterator[None]:
    """A RatchetError becomes its status, and anything else INTERNAL with an id and no text of its own."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, Refusal):
            error_id = uuid.uuid4().hex[:12]
            log.exception("%s failed, error %s", call.method, error_id)
            if (seen := under_way()) is not None:
                seen.error_id = error_id
            error = Internal(f"{call.method} failed inside the service; its log has the details under error {error_id}")
        call.context.abort_with_status(rpc_status.to_status(to_status(error)))
