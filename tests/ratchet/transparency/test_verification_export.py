"""An export is read back as it was written, and its readable form says what its bytes say."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import CorruptData, NotFound
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2
from ratchet.transparency.checkpoints import sign
from ratchet.transparency.event_json import json_agrees, message_to_json
from ratchet.transparency.export import checkpoint_line, event_line, read_checkpoint, read_events

FACT = facts_pb2.PromotionDeclined(
    scope=decision_pb2.SCOPE_LINEAGE,
    lineage="AAPL/range/logistic",
    evidence=[decision_pb2.Evidence(horizon=1, packed=bytes(100))],
    decided_through=Timestamp(seconds=1_262_304_000),
)
ENVELOPE = envelope_pb2.Envelope(
    event_id="e1",
    recorded_at=Timestamp(seconds=1_262_304_000, nanos=123_456_000),
    actor="ann@desk",
    request_id="r1",
    payload=FACT.SerializeToString(deterministic=True),
)
STATE = ENVELOPE.SerializeToString(deterministic=True)
EVENT = (3, "lineage/AAPL/range/logistic", 2, "ratchet.events.v1.PromotionDeclined", STATE)
CHECKPOINT = sign(Ed25519PrivateKey.from_private_bytes(bytes(32)), "ratchet.log/0123456789abcdef", 3, bytes(32), 7_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{event_line(*EVENT)}\n{checkpoint_line(CHECKPOINT.note)}\n", encoding="utf-8")
    return path


def test_a_line_is_readable_and_keeps_the_very_bytes() -> None:
    found = json.loads(event_line(*EVENT))
    assert (found["position"], found["stream"], found["version"], found["topic"]) == EVENT[:4]
    assert (found["actor"], found["recorded_at"]) == ("ann@desk", "2010-01-01T00:00:00.123456Z")
    assert found["payload"]["scope"] == "SCOPE_LINEAGE"
    assert found["payload"]["decided_through"] == "2010-01-01T00:00:00Z"
    assert "packed" not in found["payload"]["evidence"][0]
    assert base64.b64decode(found["state"]) == STATE


def test_what_was_written_is_read_back(file: Path) -> None:
    [event] = read_events(file)
    assert tuple(event) == (*EVENT, "")
    assert read_checkpoint(file) == CHECKPOINT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ann@desk"', '"bob@desk"'),
        ("2010-01-01T00:00:00Z", "2011-01-01T00:00:00Z"),
        ("SCOPE_LINEAGE", "SCOPE_SYMBOL"),
        ('"horizon": 1', '"horizon": true'),
        ('"horizon": 1', '"horizon": 5'),
        ('"payload": {', '"payload": {"promoted": true, '),
        ('"payload": {', '"verified": "yes", "payload": {'),
    ],
)
def test_a_readable_form_that_says_something_else_is_found(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    [event] = read_events(file)
    assert "is not what its bytes say" in event.mismatch


def test_a_field_that_another_version_does_not_know_must_be_empty() -> None:
    meant = message_to_json(FACT)
    assert json_agrees({**meant, "newer": None, "newer_list": [], "newer_text": "", "newer_message": {"a": 0}}, meant)
    assert json_agrees({name: value for name, value in meant.items() if value}, meant)
    assert not json_agrees({**meant, "newer": 1}, meant)
    assert not json_agrees({name: value for name, value in meant.items() if name != "lineage"}, meant)


@pytest.mark.parametrize("line", ["", "{", "[]", '{"position": "3"}', '{"checkpoint": ""}', "\xff", '{"a": 1, "a": 2}'])
def test_what_is_no_export_is_refused_by_its_line(file: Path, line: str) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_bytes(text.encode() + line.encode("latin-1") + b"\n")
    with pytest.raises(CorruptData, match=r"log\.jsonl"):
        list(read_events(file))


@pytest.mark.parametrize(
    "line",
    [
        '{"checkpoint": 1}',
        '{"checkpoint": {}}',
        '{"checkpoint": "note"}',
        '{"checkpoint": "\\ud800"}',
        '{"checkpoint": "", "checkpoint": ""}',
        '{"checkpoint"',
        checkpoint_line(CHECKPOINT.note.replace("\n3\n", "\n03\n")),
        checkpoint_line(CHECKPOINT.note).replace("}", ', "more": 1}'),
    ],
)
def test_a_last_line_that_is_no_checkpoint_is_refused(file: Path, line: str) -> None:
    file.write_text(f"{event_line(*EVENT)}\n{line}\n", encoding="utf-8")
    with pytest.raises(CorruptData, match=r"last line of .*log\.jsonl is no checkpoint"):
        read_checkpoint(file)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.jsonl"):
        list(read_events(tmp_path / "nothing.jsonl"))
