"""Export of a log as lines of JSON: every event as JSON and as stored bytes, and last the checkpoint of the whole log.

    {"position": 1, "stream": "dataset/…", "version": 1, "topic": "ratchet.events.v1.DatasetRegistered",
     "event_id": …, "recorded_at": …, "actor": …, "request_id": …, "correlation_id": …, "causation_id": …,
     "payload": {…}, "state": "base64 of the stored bytes"}
    {"checkpoint": "ratchet.log/…\n1\n…"}

The signature covers the bytes. The other fields of a line are for readers and must agree with the bytes.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import CorruptData, InvalidInput, NotFound, RatchetError
from ratchet.transparency.checkpoints import MAX_NOTE, Checkpoint
from ratchet.transparency.event_format import parse_event
from ratchet.transparency.event_json import json_agrees, message_to_json
from ratchet.transparency.keys import TrustedKey
from ratchet.transparency.verification import LogVerifier, VerificationReport

_LAST_LINE = 2 * MAX_NOTE
_LARGEST = 2**63


class ExportedEvent(NamedTuple):
    """An event of an export; `mismatch` describes how its JSON differs from its bytes, empty if it does not."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    mismatch: str = ""


def event_line(position: int, stream: str, version: int, topic: str, state: bytes) -> str:
    """The line of an event, without its line end; CorruptData for bytes that are not an event of the topic."""
    try:
        return json.dumps(_fields(position, stream, version, topic, state), ensure_ascii=False)
    except ValueError as error:
        raise CorruptData(f"the event at position {position} has no readable form: {error}") from error


def checkpoint_line(note: str) -> str:
    """The last line, without its line end, of the checkpoint `note`."""
    return json.dumps({"checkpoint": note}, ensure_ascii=False)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in the last line of an export; None without one. NotFound, CorruptData."""
    with _open(path) as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(max(0, end - _LAST_LINE))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    if not last.startswith(b'{"checkpoint"'):
        return None
    return _parse_checkpoint(last, path)


def read_events(path: Path) -> Iterator[ExportedEvent]:
    """The events of an export in order. CorruptData, with the line number, for a malformed line."""
    with _open(path) as file:
        ended = False
        for number, line in enumerate(file, 1):
            if ended:
                raise CorruptData(f"{path}, line {number}: the checkpoint ends an export; this comes after it")
            if line.startswith(b'{"checkpoint"'):
                ended = True
                continue
            try:
                yield _parse_event(line)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise CorruptData(
                    f"{path}, line {number} is no event of ratchet log export ({error}); export the log again"
                ) from error


def verify_export(path: Path, trusted: TrustedKey, remembered: Iterable[Checkpoint] = ()) -> VerificationReport:
    """Verifies an export, trusting only a key and, optionally, checkpoints remembered elsewhere.

    NotFound without the file, CorruptData for a file that is no export.
    """
    checkpoint = read_checkpoint(path)
    kept = sorted(remembered, key=lambda found: found.size)
    verifier = LogVerifier([checkpoint] if checkpoint else [], kept, [trusted])
    for event in read_events(path):
        if event.mismatch:
            verifier.add_finding(f"position {event.position}: {event.mismatch}")
        verifier.add(event.position, event.stream, event.version, event.topic, event.state)
    return verifier.finish()


def _fields(position: int, stream: str, version: int, topic: str, state: bytes) -> dict[str, Any]:
    envelope, fact = parse_event(topic, state)
    recorded_at: Timestamp = envelope.recorded_at
    return {
        "position": position,
        "stream": stream,
        "version": version,
        "topic": topic,
        "event_id": envelope.event_id,
        "recorded_at": recorded_at.ToJsonString(),
        "actor": envelope.actor,
        "request_id": envelope.request_id,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.causation_id,
        "payload": message_to_json(fact),
        "state": base64.b64encode(state).decode(),
    }


def _parse_event(line: bytes) -> ExportedEvent:
    written = json.loads(line, object_pairs_hook=_unique_object)
    if not isinstance(written, dict):
        raise ValueError("it is no object")
    position, stream, version, topic = written["position"], written["stream"], written["version"], written["topic"]
    if not (type(position) is type(version) is int and isinstance(stream, str) and isinstance(topic, str)):
        raise ValueError("position and version are numbers, stream and topic are texts")
    if not (0 < position < _LARGEST and 0 <= version < _LARGEST):
        raise ValueError("position or version is out of range")
    try:
        state = base64.b64decode(written["state"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"its state is not base64: {error}") from error
    event = ExportedEvent(position, stream, version, topic, state)
    try:
        expected = _fields(position, stream, version, topic, state)
    except RatchetError:
        return event
    except ValueError as error:
        return event._replace(mismatch=f"it has no readable form: {error}")
    different = [name for name in written.keys() | expected.keys() if not _field_matches(written, expected, name)]
    if different:
        return event._replace(mismatch=f"its readable {', '.join(sorted(different))} is not what its bytes say")
    return event


def _field_matches(written: dict[str, Any], expected: dict[str, Any], name: str) -> bool:
    one = {key: value for key, value in written.items() if key == name}
    other = {key: value for key, value in expected.items() if key == name}
    return json_agrees(one, other)


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError for a duplicate name, since parsers differ in the value that they keep."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in an object")
    return found


def _parse_checkpoint(line: bytes, path: Path) -> Checkpoint:
    try:
        written = json.loads(line, object_pairs_hook=_unique_object)
        if list(written) != ["checkpoint"] or not isinstance(written["checkpoint"], str):
            raise ValueError("it holds more than the text of a note")
        return Checkpoint.parse(written["checkpoint"])
    except (ValueError, InvalidInput) as error:
        raise CorruptData(f"the last line of {path} is no checkpoint ({error})") from error


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise NotFound(
            f"{path} can't be read: {os.strerror(error.errno or 0)}; name a file of ratchet log export"
        ) from error
