"""Errors on the wire: a RatchetError becomes a google.rpc.Status with ErrorInfo and BadRequest, and back."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from ratchet.errors import BY_REASON, BY_STATUS, DOMAIN, Busy, Cancelled, DeadlinePassed, RatchetError, Unreachable

OVERLOADED = "Concurrent RPC limit exceeded"
"""Message of gRPC's server for calls beyond its maximum_concurrent_rpcs."""


def to_status(error: RatchetError) -> status_pb2.Status:
    """The status of `error`: code, message, ErrorInfo and, for wrong fields, BadRequest."""
    details: list[AnyMessage] = []
    for message in _details(error):
        packed = AnyMessage()
        packed.Pack(message)
        details.append(packed)
    return status_pb2.Status(code=code_pb2.Code.Value(error.status), message=error.message, details=details)


def _details(error: RatchetError) -> list[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest]:
    found: list[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.fields:
        violation = error_details_pb2.BadRequest.FieldViolation
        found.append(
            error_details_pb2.BadRequest(
                field_violations=[violation(field=name, description=text) for name, text in error.fields.items()]
            )
        )
    return found


def from_rpc(error: grpc.RpcError, peer: str) -> RatchetError:
    """The RatchetError of a failed call to `peer` (a service and its address)."""
    code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
    message = (error.details() or code) if isinstance(error, grpc.Call) else str(error)
    status = rpc_status.from_call(error) if isinstance(error, grpc.Call) else None
    info, fields = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details: Iterable[AnyMessage] = status.details if status else ()
    for detail in details:
        detail.Unpack(info)
        detail.Unpack(fields)
    if info.domain == DOMAIN:
        kind = BY_REASON.get(info.reason, BY_STATUS.get(code, RatchetError))
        return kind(
            message,
            fields={violation.field: violation.description for violation in fields.field_violations},
            metadata=dict(info.metadata),
        )
    if code == "RESOURCE_EXHAUSTED" and message.startswith(OVERLOADED):
        return Busy(f"{peer} has as many calls under way as it takes; try again")
    if code == "UNAVAILABLE":
        return Unreachable(f"{peer} does not answer; start it with ratchet up, or ratchet serve, and try again")
    if code == "DEADLINE_EXCEEDED":
        return DeadlinePassed(f"{peer} did not answer in time; it may be busy: try again, or raise the deadline")
    if code == "CANCELLED":
        return Cancelled(f"the call to {peer} was cancelled")
    return BY_STATUS.get(code, RatchetError)(f"{peer}: {message}")
