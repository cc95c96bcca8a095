"""A log as lines of JSON: every event in its readable form beside its very bytes, and last the signed head of them all.

    {"position": 1, "stream": "dataset/…", "version": 1, "topic": "ratchet.events.v1.DatasetRegistered",
     "event_id": …, "recorded_at": …, "actor": …, "request_id": …, "correlation_id": …, "causation_id": …,
     "payload": {…}, "state": "base64 of the stored bytes"}
    {"head": {"size": 1, "root": …, "signed_at": …, "key_id": …, "signature": …}}

The bytes are what was signed. The rest of a line is for readers, and must say what they say.
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
from ratchet.transparency.checkpoints import Head
from ratchet.transparency.event_format import opened
from ratchet.transparency.event_json import agrees, readable
from ratchet.transparency.verification import Replay, Report

_LAST_LINE = 4096
_LARGEST = 2**63


class Exported(NamedTuple):
    """An event of an export; `wrong`: how its readable form differs from its bytes, empty where it does not."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    wrong: str = ""


def event_line(position: int, stream: str, version: int, topic: str, state: bytes) -> str:
    """The line of an event, without its end; CorruptData for bytes that are not what the topic says."""
    try:
        return json.dumps(_fields(position, stream, version, topic, state), ensure_ascii=False)
    except ValueError as error:
        raise CorruptData(f"the event at position {position} has no readable form: {error}") from error


def head_line(head: Head) -> str:
    """The last line, without its end."""
    return json.dumps({"head": json.loads(head.to_line())})


def read_head(path: Path) -> Head | None:
    """The signed head in the last line of an export; None where it has none. NotFound, CorruptData."""
    with _opened(path) as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(max(0, end - _LAST_LINE))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    if not last.startswith(b'{"head"'):
        return None
    return _head(last, path)


def read_events(path: Path) -> Iterator[Exported]:
    """The events of an export in its order. CorruptData, with the number of the line, for one that is none."""
    with _opened(path) as file:
        ended = False
        for number, line in enumerate(file, 1):
            if ended:
                raise CorruptData(f"{path}, line {number}: the signed head ends an export; this comes after it")
            if line.startswith(b'{"head"'):
                ended = True
                continue
            try:
                yield _event(line)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise CorruptData(
                    f"{path}, line {number} is no event of ratchet log export ({error}); export the log again"
                ) from error


def verify_export(path: Path, trusted: bytes, remembered: Iterable[Head] = ()) -> Report:
    """Replay an export, trusting only a public key and, when given, heads that were remembered elsewhere.

    NotFound without the file, CorruptData where it is no export.
    """
    head = read_head(path)
    kept = sorted(remembered, key=lambda found: found.size)
    replay = Replay([head] if head else [], kept, [trusted])
    for event in read_events(path):
        if event.wrong:
            replay.find(f"position {event.position}: {event.wrong}")
        replay.feed(event.position, event.stream, event.version, event.topic, event.state)
    return replay.finish()


def _fields(position: int, stream: str, version: int, topic: str, state: bytes) -> dict[str, Any]:
    envelope, fact = opened(topic, state)
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
        "payload": readable(fact),
        "state": base64.b64encode(state).decode(),
    }


def _event(line: bytes) -> Exported:
    said = json.loads(line, object_pairs_hook=_object)
    if not isinstance(said, dict):
        raise ValueError("it is no object")
    position, stream, version, topic = said["position"], said["stream"], said["version"], said["topic"]
    if not (type(position) is type(version) is int and isinstance(stream, str) and isinstance(topic, str)):
        raise ValueError("position and version are numbers, stream and topic are texts")
    if not (0 < position < _LARGEST and 0 <= version < _LARGEST):
        raise ValueError("position or version is out of range")
    try:
        state = base64.b64decode(said["state"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"its state is not base64: {error}") from error
    event = Exported(position, stream, version, topic, state)
    try:
        meant = _fields(position, stream, version, topic, state)
    except RatchetError:
        return event
    except ValueError as error:
        return event._replace(wrong=f"it has no readable form: {error}")
    different = [name for name in said.keys() | meant.keys() if not _says(said, meant, name)]
    if different:
        return event._replace(wrong=f"its readable {', '.join(sorted(different))} is not what its bytes say")
    return event


def _says(said: dict[str, Any], meant: dict[str, Any], name: str) -> bool:
    one = {key: value for key, value in said.items() if key == name}
    other = {key: value for key, value in meant.items() if key == name}
    return agrees(one, other)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError where a name comes twice, as readers differ in which one they believe."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in an object")
    return found


def _head(line: bytes, path: Path) -> Head:
    try:
        return Head.from_line(json.dumps(json.loads(line)["head"]))
    except (ValueError, KeyError, TypeError, InvalidInput) as error:
        raise CorruptData(f"the last line of {path} is no signed head ({error})") from error


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise NotFound(
            f"{path} can't be read: {os.strerror(error.errno or 0)}; name a file of ratchet log export"
        ) from error
