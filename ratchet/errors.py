"""Every error that Ratchet raises, with its gRPC status, its reason and its exit code.

    RatchetError
    ├── InvalidInput          INVALID_ARGUMENT     2   a request that no state would make right
    ├── DataRefused           INVALID_ARGUMENT     8   bars that can't be imported or trained on
    ├── NotFound              NOT_FOUND            3
    ├── Conflict              ABORTED              4   somebody else was faster: read again, decide again
    │   ├── ChampionMoved     ABORTED              4   names the champion that is in force now
    │   └── StreamConflict    ABORTED              4   an event stream is not at the expected version
    ├── AlreadyExists         ALREADY_EXISTS       4   the same request id with another payload
    ├── PreconditionFailed    FAILED_PRECONDITION  4   the state forbids it
    ├── Unreachable           UNAVAILABLE          5   a service or store does not answer
    │   └── DeadlinePassed    DEADLINE_EXCEEDED    5
    ├── LimitReached          RESOURCE_EXHAUSTED   1
    │   ├── Busy              RESOURCE_EXHAUSTED   1   no place for one more call now: try again
    │   └── LogFull           RESOURCE_EXHAUSTED   1   the log's disk is full: nothing is recorded until it has room
    ├── Unauthenticated       UNAUTHENTICATED      6   no token, or one that is not in force
    ├── NotAllowed            PERMISSION_DENIED    6
    ├── CorruptData           DATA_LOSS            7   bytes do not match their digest
    ├── NotBuilt              UNIMPLEMENTED        1   a method of the contract that is not served yet
    ├── Cancelled             CANCELLED            130
    ├── WorkerLost            INTERNAL             1   a training process died; its session fails, no other
    └── Internal              INTERNAL             1   a defect; carries an id, never its text

A message names the thing, the value, the rule and the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

DOMAIN = "ratchet"


class RatchetError(Exception):
    """The base of all errors: `message` for people, `reason` and `metadata` for programs.

    `fields` maps a wrong request field to what is wrong with it.
    """

    status: ClassVar[str] = "UNKNOWN"
    reason: ClassVar[str] = "UNKNOWN"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})
        self.metadata = dict(metadata or {})


class InvalidInput(RatchetError):
    status, reason, exit_code = "INVALID_ARGUMENT", "INVALID_INPUT", 2


class DataRefused(RatchetError):
    status, reason, exit_code = "INVALID_ARGUMENT", "DATA_REFUSED", 8


class NotFound(RatchetError):
    status, reason, exit_code = "NOT_FOUND", "NOT_FOUND", 3


class Conflict(RatchetError):
    status, reason, exit_code = "ABORTED", "CONFLICT", 4


class ChampionMoved(Conflict):
    """The champion is not the expected one; `metadata["champion"]` names the one in force."""

    reason = "CHAMPION_MOVED"

    @property
    def champion(self) -> str:
        return self.metadata.get("champion", "")


class StreamConflict(Conflict):
    """A stream is not at the expected version; metadata holds `stream`, `expected`, `actual`."""

    reason = "STREAM_CONFLICT"


class AlreadyExists(RatchetError):
    status, reason, exit_code = "ALREADY_EXISTS", "ALREADY_EXISTS", 4


class PreconditionFailed(RatchetError):
    status, reason, exit_code = "FAILED_PRECONDITION", "PRECONDITION_FAILED", 4


class Unreachable(RatchetError):
    status, reason, exit_code = "UNAVAILABLE", "UNREACHABLE", 5


class DeadlinePassed(Unreachable):
    status, reason = "DEADLINE_EXCEEDED", "DEADLINE_PASSED"


class LimitReached(RatchetError):
    status, reason = "RESOURCE_EXHAUSTED", "LIMIT_REACHED"


class Busy(LimitReached):
    """A service has no place for one more call now: unlike other limits, this one passes by itself."""

    reason = "BUSY"


class LogFull(LimitReached):
    """The log can't grow. Unlike other limits it is worth waiting for: not even a session's failure can be recorded."""

    reason = "LOG_FULL"


class Unauthenticated(RatchetError):
    status, reason, exit_code = "UNAUTHENTICATED", "UNAUTHENTICATED", 6


class NotAllowed(RatchetError):
    status, reason, exit_code = "PERMISSION_DENIED", "NOT_ALLOWED", 6


class CorruptData(RatchetError):
    status, reason, exit_code = "DATA_LOSS", "CORRUPT_DATA", 7


class NotBuilt(RatchetError):
    status, reason = "UNIMPLEMENTED", "NOT_BUILT"


class Cancelled(RatchetError):
    status, reason, exit_code = "CANCELLED", "CANCELLED", 130


class Internal(RatchetError):
    status, reason = "INTERNAL", "INTERNAL"


class WorkerLost(RatchetError):
    status, reason = "INTERNAL", "WORKER_LOST"


def _tree(root: type[RatchetError]) -> list[type[RatchetError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


BY_REASON: dict[str, type[RatchetError]] = {kind.reason: kind for kind in _tree(RatchetError)}
BY_STATUS: dict[str, type[RatchetError]] = {kind.status: kind for kind in reversed(_tree(RatchetError))}
