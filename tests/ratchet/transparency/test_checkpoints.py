"""Signed heads: who holds the public key accepts exactly what was signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.transparency import checkpoints
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import (
    key_id,
    public_bytes,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PUBLIC = public_bytes(KEY)
ROOT = bytes(range(100, 132))
AT = 1_700_000_000_123_456_789

roots = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**63 - 1)
times = st.integers(0, 2**63 - 1)


def test_the_statement_of_a_head_is_fixed_forever() -> None:
    expected = b"ratchet tree head v1\0" + (3).to_bytes(8, "big") + ROOT + AT.to_bytes(8, "big")
    assert checkpoints.statement(3, ROOT, AT) == expected


@given(sizes, roots, times)
def test_a_head_verifies_and_comes_back_the_same_from_message_and_line(size: int, root: bytes, at: int) -> None:
    head = checkpoints.sign(KEY, size, root, at)
    assert checkpoints.verify(head, PUBLIC)
    assert Checkpoint.from_message(eventlog_pb2.SignedHead.FromString(head.to_message().SerializeToString())) == head
    assert Checkpoint.from_line(head.to_line()) == head


@given(st.data())
def test_one_flipped_byte_anywhere_fails(data: st.DataObject) -> None:
    head = checkpoints.sign(KEY, 5, ROOT, AT)
    flip = data.draw(st.integers(1, 255))
    parts = {"root": head.root, "signature": head.signature, "key_id": head.key_id.encode()}
    name = data.draw(st.sampled_from(sorted(parts)))
    changed = bytearray(parts[name])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= flip
    wrong = changed.decode("latin-1") if name == "key_id" else bytes(changed)
    assert not checkpoints.verify(replace(head, **{name: wrong}), PUBLIC)
    bit = 1 << data.draw(st.integers(0, 62))
    assert not checkpoints.verify(replace(head, size=head.size ^ bit), PUBLIC)
    assert not checkpoints.verify(replace(head, signed_at=head.signed_at ^ bit), PUBLIC)
    public = bytearray(PUBLIC)
    public[data.draw(st.integers(0, 31))] ^= flip
    assert not checkpoints.verify(head, bytes(public))


@given(st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=40))
def test_malformed_heads_are_refused_and_never_raise(signature: bytes, root: bytes, public: bytes) -> None:
    assert not checkpoints.verify(Checkpoint(2**64, root, AT, key_id(public), signature), public)
    assert not checkpoints.verify(Checkpoint(1, root, AT, key_id(public), signature), public)


def test_another_key_does_not_do() -> None:
    assert not checkpoints.verify(checkpoints.sign(NEXT, 5, ROOT, AT), PUBLIC)
    assert not checkpoints.verify(checkpoints.sign(NEXT, 5, ROOT, AT, key_id(PUBLIC)), PUBLIC)


def test_the_time_of_a_head_is_utc() -> None:
    assert checkpoints.sign(KEY, 1, ROOT, 1_000_000).time == datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)


def test_a_file_of_heads_is_read_but_for_an_unfinished_last_line(tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    known = [checkpoints.sign(KEY, size, ROOT, AT) for size in (3, 9, 7)]
    file.write_text("".join(head.to_line() + "\n" for head in known) + known[0].to_line()[:50])
    assert checkpoints.read_checkpoints(file) == known
    assert checkpoints.newest(checkpoints.read_checkpoints(file)) == known[1]
    assert checkpoints.newest([]) is None
    file.write_text('{"size": 1}\n')
    with pytest.raises(InvalidInput, match="line 1"):
        checkpoints.read_checkpoints(file)
