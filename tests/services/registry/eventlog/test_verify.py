"""Nothing that is changed in a log's database goes unnoticed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.decisions import evidence
from ratchet.errors import Cancelled
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import TrustedKey, public_bytes
from ratchet.transparency.verification import UNPROVEN_TAIL
from services.platform.artifacts import open_store
from services.registry.eventlog import open_log
from services.registry.eventlog.checkpoints import Signer
from services.registry.eventlog.sqlite import SQLiteDatabase
from services.registry.eventlog.verify import LogVerification, verify
from services.registry.projections import TABLES
from tests.support.audited_log import Auditee, SteppingClock, write_history
from tests.support.tampered_log import (
    BY_HAND,
    Stored,
    events_of,
    rewrite,
    with_an_event_changed,
    with_an_event_more,
    without_an_event,
    without_the_end,
)

KEY, FORGERS_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in (1, 2))
PUBLIC = public_bytes(KEY)

Rewriting = Callable[[list[Stored], random.Random], list[Stored]]
HISTORIES: tuple[Rewriting, ...] = (with_an_event_changed, without_an_event, without_the_end, with_an_event_more)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with every kind of decision in it; only copies of it are changed."""
    folder = tmp_path_factory.mktemp("written")
    log = open_log(f"sqlite://{folder}/log.sqlite", TABLES, clock=SteppingClock())
    log.sign_with(Signer(KEY))
    write_history(Auditee(log, open_store((folder / "artifacts").as_uri())))
    log.close()
    with closing(sqlite3.connect(folder / "log.sqlite")) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    return folder / "log.sqlite"


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a fresh copy of the log."""

    def copy() -> Path:
        path = tmp_path / "log.sqlite"
        for old in tmp_path.glob("log.sqlite*"):
            old.unlink()
        return Path(shutil.copy(written, path))

    return copy


def verified(path: Path, remembered: tuple[Checkpoint, ...] = (), kept: tuple[Checkpoint, ...] = ()) -> LogVerification:
    database = SQLiteDatabase(path)
    try:
        return verify(database, TABLES, kept, remembered, [TrustedKey(PUBLIC)])
    finally:
        database.close()


def newest(path: Path) -> Checkpoint:
    found = verified(path).checkpoint
    assert found is not None
    return found


def test_a_log_as_it_was_written_verifies(copied: Callable[[], Path]) -> None:
    path = copied()
    found = verified(path)
    assert found.findings == ()
    assert found.notes == (UNPROVEN_TAIL,)
    checked = dict(found.checked)
    assert checked["events"] == len(events_of(path)) > 100
    assert checked["decisions decided again"] > 30
    assert checked["checkpoints"] > 20
    assert checked["rows of decision_history"] == checked["decisions decided again"]


def test_a_checkpoint_that_was_remembered_proves_the_tail(copied: Callable[[], Path]) -> None:
    path = copied()
    assert verified(path, remembered=(newest(path),)).notes == ()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE checkpoints SET note = '' WHERE size = ?", "was changed: the note is no checkpoint"),
        ("UPDATE checkpoints SET note = note || 'more' WHERE size = ?", "was changed: the note is no checkpoint"),
        (
            "UPDATE checkpoints SET note = (SELECT note FROM checkpoints LIMIT 1) WHERE size = ?",
            "its note is of size 1",
        ),
        ("UPDATE checkpoints SET note = x'ff' WHERE size = ?", "is no text"),
        ("UPDATE checkpoints SET note = CAST(x'ff' AS TEXT) WHERE size = ?", "can't be read"),
    ],
)
def test_a_changed_note_is_named(copied: Callable[[], Path], statement: str, finding: str) -> None:
    path = copied()
    size = newest(path).size
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, (size,))
    findings = verified(path).findings
    assert any(finding in found for found in findings)
    assert any("are signed by nobody" in found for found in findings)


def test_a_caller_who_has_gone_is_not_worked_for(copied: Callable[[], Path]) -> None:
    database = SQLiteDatabase(copied())
    with pytest.raises(Cancelled):
        verify(database, TABLES, active=lambda: False)
    database.close()


def missed_by_hand(copied: Callable[[], Path], count: int, seed: int) -> list[str]:
    missed = []
    for number in range(count):
        rng, change = random.Random(seed + number), BY_HAND[number % len(BY_HAND)]
        path = copied()
        with closing(sqlite3.connect(path)) as db:
            change(db, rng)
            db.commit()
        if not verified(path).findings:
            missed.append(f"{change.__name__} with seed {seed + number}")
    return missed


def test_no_change_by_hand_is_missed(copied: Callable[[], Path]) -> None:
    assert missed_by_hand(copied, 120, seed=0) == []


@pytest.mark.slow
def test_no_change_by_hand_is_missed_in_thousands(copied: Callable[[], Path]) -> None:
    assert missed_by_hand(copied, 1500, seed=10_000) == []


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_history_is_found_out_although_everything_fits_but_the_key(
    copied: Callable[[], Path], history: Rewriting, seed: int
) -> None:
    path = copied()
    events = history(events_of(path), random.Random(seed))
    rewrite(path, events, FORGERS_KEY)
    found = verified(path)
    assert any("the key that is trusted is none of the log's" in finding for finding in found.findings)
    if history is not without_the_end:
        path = copied()
        rewrite(path, events, KEY, keep_signatures=True)
        assert any("signed by" in finding for finding in verified(path).findings)


@pytest.mark.parametrize("seed", range(5))
def test_a_log_that_was_cut_off_is_found_out_by_a_remembered_checkpoint(copied: Callable[[], Path], seed: int) -> None:
    path = copied()
    remembered = newest(path)
    rewrite(path, without_the_end(events_of(path), random.Random(seed)), KEY)
    assert verified(path).findings == ()
    assert verified(path).notes == (UNPROVEN_TAIL,)
    for found in (verified(path, remembered=(remembered,)), verified(path, kept=(remembered,))):
        assert any("its end was cut off" in finding for finding in found.findings)


def test_an_older_copy_that_went_on_differently_is_found_out(copied: Callable[[], Path]) -> None:
    path = copied()
    remembered = newest(path)
    events = without_the_end(events_of(path), random.Random(4))
    while len(events) <= remembered.size:
        events = with_an_event_more(events, random.Random(len(events)))
    rewrite(path, events, KEY)
    assert any("remembered checkpoint" in f and "another root" in f for f in verified(path, (remembered,)).findings)


def decisions_with_evidence(events: list[Stored]) -> list[int]:
    kinds = {kind.DESCRIPTOR.full_name: kind for kind in (facts_pb2.ModelPromoted, facts_pb2.PromotionDeclined)}
    return [
        number
        for number, event in enumerate(events)
        if event.topic in kinds
        and any(len(e.packed) > 8 for e in kinds[event.topic].FromString(event.envelope.payload).evidence)
    ]


def test_one_number_changed_in_any_evidence_fails_at_that_position_even_with_the_key(
    copied: Callable[[], Path],
) -> None:
    path = copied()
    events = events_of(path)
    kinds = {kind.DESCRIPTOR.full_name: kind for kind in (facts_pb2.ModelPromoted, facts_pb2.PromotionDeclined)}
    found = decisions_with_evidence(events)
    assert len(found) > 15
    for number in found:
        changed, envelope = list(events), events[number].envelope
        fact = kinds[events[number].topic].FromString(envelope.payload)
        scored = next(e for e in fact.evidence if len(e.packed) > 8)
        pair = evidence.unpack(scored.packed)
        p_b = pair.p_b.copy()
        p_b[len(p_b) // 2] = 1.0 - p_b[len(p_b) // 2]
        scored.packed = evidence.pack(pair.p_a, p_b, pair.y, pair.times)
        envelope.payload = fact.SerializeToString(deterministic=True)
        changed[number] = events[number]._replace(state=envelope.SerializeToString(deterministic=True))
        rewrite(path, changed, KEY)
        findings = verified(path).findings
        assert any(finding.startswith(f"position {number + 1}: ") for finding in findings), number + 1
