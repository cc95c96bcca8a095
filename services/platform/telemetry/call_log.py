"""Logging to stderr, as text or JSON, with a line for each failed or slow call.

Caller-supplied text can't forge a line: control characters are escaped, and traceback lines are indented. Payloads,
metadata and tokens are never logged.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from structlog.processors import format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict

from ratchet.errors import InvalidInput
from services.platform.interceptors import Caller
from services.platform.telemetry.observed_call import ObservedCall, current_call

FORMATS = ("text", "json")
SLOW_SECONDS = 1.0
FAULT_CODES = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""Status codes of a defect in the service."""
AVAILABILITY_CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})
"""Status codes of a service that is unavailable or overloaded."""

_PLAIN = re.compile(r"[!#-<>-~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

log = logging.getLogger("ratchet.calls")


class CallLog:
    """An Observer: one line for a call that failed or took longer than SLOW_SECONDS; at DEBUG one for each call."""

    def on_start(self, call: ObservedCall) -> None: ...

    def on_request(self, call: ObservedCall) -> None: ...

    def on_end(self, call: ObservedCall) -> None:
        level = _level(call)
        if not log.isEnabledFor(level):
            return
        caller = Caller.of(call.context)
        fields = {
            "code": call.code,
            "duration_ms": round(1000 * call.seconds, 1),
            "correlation_id": caller.correlation_id,
            "caller": caller.actor,
            "error_id": call.error_id,
        }
        log.log(level, "call", extra={name: value for name, value in fields.items() if value != ""})


def _level(call: ObservedCall) -> int:
    if call.code in FAULT_CODES:
        return logging.ERROR
    if call.code in AVAILABILITY_CODES:
        return logging.WARNING
    return logging.DEBUG if call.code == "OK" and call.seconds <= SLOW_SECONDS else logging.INFO


def to_stderr(service: str, environ: Mapping[str, str] = os.environ) -> None:
    """Configures the logging of this process from RATCHET_LOG_FORMAT and RATCHET_LOG_LEVEL.

    InvalidInput for other values.
    """
    chosen = environ.get("RATCHET_LOG_FORMAT") or "text"
    if chosen not in FORMATS:
        raise InvalidInput(f"RATCHET_LOG_FORMAT is {chosen!r}; use text or json")
    level = logging.getLevelNamesMapping().get((environ.get("RATCHET_LOG_LEVEL") or "info").upper())
    if level is None:
        raise InvalidInput(
            f"RATCHET_LOG_LEVEL is {environ.get('RATCHET_LOG_LEVEL')!r}; use debug, info, warning or error"
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(service, chosen))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("ratchet").setLevel(level)


def formatter(service: str, chosen: str) -> logging.Formatter:
    """`chosen`: text or json."""

    def known(_: Any, __: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        written = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": written.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": service,
            "logger": record.name,
            "event": event.pop("event"),
        }
        if (call := current_call()) is not None:
            fields["method"] = f"{call.service}/{call.method}"
            fields |= {"request_id": call.request_id} if call.request_id else {}
        if (trace := trace_id()) is not None:
            fields["trace_id"] = trace
        return {**fields, **event}

    render = _as_json if chosen == "json" else _as_text
    return ProcessorFormatter(
        processors=[ExtraAdder(), format_exc_info, known, ProcessorFormatter.remove_processors_meta, render]
    )


def trace_id() -> str | None:
    """The trace id of this thread's open span, 32 hex digits; None without tracing."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


def _as_json(_: Any, __: str, event: EventDict) -> str:
    return json.dumps(event, default=str)


def _as_text(_: Any, __: str, event: EventDict) -> str:
    rest = dict(event)
    prefix = " ".join((rest.pop("time"), rest.pop("level").upper(), rest.pop("service"), rest.pop("logger")))
    event_text, trace = escaped(str(rest.pop("event"))), rest.pop("exception", "")
    fields = "".join(f" {name}={_value(value)}" for name, value in rest.items())
    below = "".join(f"\n  | {escaped(line)}" for line in trace.splitlines())
    return f"{prefix}: {event_text}{fields}{below}"


def _value(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else escaped(json.dumps(text))


def escaped(text: str) -> str:
    """`text` on one line, its control characters written as \\n, \\x1b and so on."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
