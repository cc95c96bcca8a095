"""Replay finds every lie, even one that the holder of the key has signed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message

from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.transparency import checkpoints, datasets
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.event_format import FACTS
from ratchet.transparency.keys import TrustedKey, introduce, origin_of, public_bytes
from ratchet.transparency.merkle import Frontier, canonical_leaf, leaf_hash
from ratchet.transparency.verification import UNPROVEN_TAIL, LogVerifier, VerificationReport
from services.platform.artifacts import open_store
from services.registry.eventlog import open_log
from services.registry.eventlog.checkpoints import Signer
from services.registry.projections import TABLES
from tests.support.audited_log import FOREST, LOGISTIC, Auditee, SteppingClock, write_history
from tests.support.tampered_log import KEYS, Stored, events_of

KEY, NEXT, FORGED = (Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in (1, 2, 3))
PUBLIC = public_bytes(KEY)
ORIGIN = origin_of(PUBLIC)
TRUSTED = TrustedKey(PUBLIC)

Events = list[Stored]


def events_after(write: Callable[[Auditee], None], folder: Path) -> Events:
    """The events of a new log, signed with KEY, in which `write` has done something."""
    log = open_log(f"sqlite://{folder}/log.sqlite", TABLES, clock=SteppingClock())
    log.sign_with(Signer(KEY))
    write(Auditee(log, open_store((folder / "artifacts").as_uri())))
    log.close()
    return events_of(Path(folder / "log.sqlite"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Events:
    return events_after(write_history, tmp_path_factory.mktemp("written"))


def checkpoint_of(events: Events, key: Ed25519PrivateKey = KEY) -> Checkpoint:
    tree = Frontier()
    for position, event in enumerate(events, 1):
        tree.append(leaf_hash(canonical_leaf(position, *event)))
    return checkpoints.sign(key, ORIGIN, tree.size, tree.root(), 0)


def replayed(
    events: Events,
    *shown: Checkpoint,
    remembered: tuple[Checkpoint, ...] = (),
    trusted: TrustedKey = TRUSTED,
) -> VerificationReport:
    replay = LogVerifier(shown or [checkpoint_of(events)], remembered, [trusted])
    for position, event in enumerate(events, 1):
        replay.add(position, *event)
    return replay.finish()


def fact_of(event: Stored) -> Any:
    return FACTS[event.topic].FromString(event.envelope.payload)


def changed(event: Stored, change: Callable[[Any], None]) -> Stored:
    """The event with another fact, in canonical bytes."""
    envelope, fact = event.envelope, fact_of(event)
    change(fact)
    envelope.payload = fact.SerializeToString(deterministic=True)
    return event._replace(state=envelope.SerializeToString(deterministic=True))


def first(events: Events, kind: type[Message], **fields: object) -> int:
    """The index of the first fact of a kind with these fields; a callable is asked."""

    def matches(fact: Any) -> bool:
        return all(want(fact) if callable(want) else getattr(fact, name) == want for name, want in fields.items())

    topic = kind.DESCRIPTOR.full_name
    return next(n for n, event in enumerate(events) if event.topic == topic and matches(fact_of(event)))


def test_what_happened_replays_without_a_finding(written: Events) -> None:
    report = replayed(written)
    assert report.findings == ()
    assert report.notes == (UNPROVEN_TAIL,)
    assert (report.size, report.checkpoint) == (len(written), checkpoint_of(written))
    assert dict(report.checked)["decisions decided again"] > 30
    assert replayed(written, remembered=(checkpoint_of(written[:50]),)).notes == ()


LINEAGE, SYMBOL = decision_pb2.SCOPE_LINEAGE, decision_pb2.SCOPE_SYMBOL
GATE, PERSON = decision_pb2.DECIDED_BY_GATE, decision_pb2.DECIDED_BY_PERSON
Promoted, Declined, Trained = facts_pb2.ModelPromoted, facts_pb2.PromotionDeclined, facts_pb2.ModelTrained


def judged(fact: Any) -> bool:
    return any(evidence.judgement.bars for evidence in fact.evidence)


def set_to(path: str, value: object) -> Callable[[Any], None]:
    """Assigns a field, a.b.0.c; `value` may be a function of what was there."""

    def change(fact: Any) -> None:
        *way, last = path.split(".")
        for name in way:
            fact = fact[int(name)] if name.isdecimal() else getattr(fact, name)
        setattr(fact, last, value(getattr(fact, last)) if callable(value) else value)

    return change


def kept(*versions: int) -> Callable[[Any], None]:
    def change(fact: Any) -> None:
        fact.contenders_kept[:] = [f"{FOREST}/v{version}" for version in versions]

    return change


def without_evidence(fact: Any) -> None:
    del fact.evidence[:]


DECLINE = (Declined, {"scope": LINEAGE, "verdict": decision_pb2.VERDICT_INCONCLUSIVE})
REJECTION = (Declined, {"scope": LINEAGE, "verdict": decision_pb2.VERDICT_REJECTED})
STALE = (Declined, {"scope": LINEAGE, "verdict": decision_pb2.VERDICT_NO_NEW_EVIDENCE})
FIRST = (Promoted, {"scope": LINEAGE, "basis": decision_pb2.BASIS_FIRST})
PROMOTION = (Promoted, {"scope": LINEAGE, "evidence": judged})
SUCCESSION = (Promoted, {"scope": SYMBOL, "competing_lineages": 1})
TAKEOVER = (Promoted, {"scope": SYMBOL, "competing_lineages": 2})
BY_HAND = (Promoted, {"scope": LINEAGE, "decided_by": PERSON, "rollback": False})
ROLLBACK = (Promoted, {"scope": LINEAGE, "rollback": True})
STAND_IN = (Promoted, {"scope": SYMBOL, "decided_by": PERSON})
UNMEASURED = (Declined, {"scope": SYMBOL, "verdict": decision_pb2.VERDICT_NO_NEW_EVIDENCE})

Validated, Dataset = facts_pb2.PatternValidated, facts_pb2.DatasetRegistered
OF_IBM = hashlib.sha256(b"values of 1000 bars of IBM@1w").hexdigest()


def cut_of_the_first(kept: int) -> Callable[[Any], None]:
    """Of 2,000 bars, the first `kept` ones from the first snapshot, which has 1,000."""

    def change(fact: Any) -> None:
        fact.cut_from, fact.kept_rows = hashlib.sha256(b"values of 1000 bars of AAPL").hexdigest(), kept
        fact.times.first += kept * 86_400
        fact.times.counts[0] -= kept

    return change


LIES = [
    (
        DECLINE,
        set_to("verdict", decision_pb2.VERDICT_REJECTED),
        "VERDICT_REJECTED; VERDICT_INCONCLUSIVE follows",
    ),
    (DECLINE, set_to("evidence.0.judgement.e_value", lambda e: e * (1 + 1e-8)), "its E of .* is recorded as"),
    (DECLINE, set_to("evidence.0.judgement.dm_p", 0.01), "its p of .* is recorded as"),
    (DECLINE, set_to("evidence.0.judgement.mean_difference.value", 0.1), "its mean difference of"),
    (DECLINE, lambda fact: fact.evidence[0].judgement.ClearField("mean_difference"), "its mean difference of"),
    (DECLINE, set_to("evidence.0.judgement.bars", 1), "its bars of"),
    (DECLINE, set_to("evidence.0.judgement.verdict", decision_pb2.VERDICT_PROMOTED), "its verdict on"),
    (DECLINE, set_to("evidence.0.first_bar.seconds", 0), "unlike what it says"),
    (DECLINE, set_to("evidence.0.horizon", 2), "says horizon 2; the task's is 1"),
    (DECLINE, set_to("evidence.0.packed", lambda packed: packed[:-1]), "can't be judged"),
    (DECLINE, set_to("evidence.0.champion", f"{FOREST}/v9"), "is on .*/v2 against .*/v9; .*/v2 against .*/v1 follows"),
    (DECLINE, set_to("evidence.0.contender", f"{FOREST}/v9"), "v9 was no contender"),
    (DECLINE, without_evidence, "it brings no evidence on"),
    (DECLINE, set_to("policy", "plain"), "its policy is plain; balanced follows"),
    (DECLINE, set_to("champion", f"{FOREST}/v2"), "its champion is .*/v2; .*/v1 follows"),
    (DECLINE, set_to("model", f"{FOREST}/v1"), "its model is .*/v1; .*/v2 follows"),
    (DECLINE, set_to("session_id", "another"), "its session_id is another; session-12 follows"),
    (DECLINE, set_to("decided_through.seconds", lambda seconds: seconds - 86_400), "beyond"),
    (DECLINE, kept(), "its contenders_kept is none; .*/v2 follows"),
    (REJECTION, kept(4, 3, 2), "its contenders_kept is .*/v4, .* follows"),
    (STALE, kept(2), "follows"),
    (STALE, set_to("verdict", decision_pb2.VERDICT_PROMOTED), "VERDICT_NO_NEW_EVIDENCE follows"),
    (STALE, set_to("decided_through.seconds", lambda seconds: seconds + 86_400), "follows"),
    (PROMOTION, set_to("model", f"{FOREST}/v3"), "its model is .*/v3; .*/v5 follows"),
    (PROMOTION, set_to("replaced", f"{FOREST}/v2"), "its replaced is .*/v2; .*/v1 follows"),
    (PROMOTION, set_to("decided_by", decision_pb2.DECIDED_BY_UNSPECIFIED), "DECIDED_BY_GATE follows"),
    (SUCCESSION, without_evidence, "its evidence is none; .* follows"),
    (SUCCESSION, set_to("competing_lineages", 3), "its competing_lineages is 3; 1 follows"),
    (TAKEOVER, set_to("competing_lineages", 1), "its competing_lineages is 1; 2 follows"),
    (TAKEOVER, set_to("replaced", f"{FOREST}/v1"), "its replaced is .*forest/v1; .*/v5 follows"),
    (TAKEOVER, set_to("evidence.0.judgement.e_value", 1e9), "its E of"),
    (TAKEOVER, without_evidence, "it brings 0 pairs of evidence"),
    (BY_HAND, set_to("reason", " "), "needs a reason"),
    (BY_HAND, set_to("model", f"{LOGISTIC}/v77"), "v77 does not exist"),
    (BY_HAND, set_to("decided_through.seconds", 0), "its decided_through is 1970-01-01T00:00:00Z; .* follows"),
    (ROLLBACK, set_to("model", f"{LOGISTIC}/v3"), "its model is .*/v3; .*/v1 follows"),
    (STAND_IN, set_to("model", f"{FOREST}/v5"), "follows"),
    (UNMEASURED, set_to("verdict", decision_pb2.VERDICT_REJECTED), "NO_NEW_EVIDENCE follows"),
    (DECLINE, set_to("basis", decision_pb2.BASIS_NO_NEW_BARS), "BASIS_EVIDENCE follows"),
    (DECLINE, set_to("evidence.0.judgement.minority_bars", 1), "its bars of the rarer class of"),
    (STALE, set_to("diagnosis.0.no_new_evidence.decided_through.seconds", 1), "its diagnosis is .* follows"),
    (PROMOTION, set_to("reason", "it looks better"), "its reason is it looks better; none follows"),
    (FIRST, set_to("first_model.brier", 0.1), "its first_model is brier: 0.1"),
    (STAND_IN, set_to("stand_in_mean", 0.5), "its stand_in_mean is 0.5; .* follows"),
    (STAND_IN, set_to("reason", "another"), "its reason is another; trust me follows"),
    ((Trained, {}), set_to("record.version", 7), "v1 is next"),
    ((Trained, {}), set_to("record.parent", f"{FOREST}/v6"), "was never trained"),
    ((Trained, {}), set_to("record.dataset_digest", "0" * 64), "was not registered for its series"),
    ((Trained, {}), set_to("record.patterns_used.0.pattern_id", "p9"), "nobody had discovered"),
    ((Trained, {}), set_to("record.session_id", "session-77"), "was not open"),
    ((Trained, {}), set_to("record.read_position", 10_000), "which is not before it"),
    ((facts_pb2.TrainingRequested, {}), set_to("dataset_digest", "0" * 64), "was not registered for its series"),
    ((facts_pb2.TrainingCompleted, {}), set_to("promoted", False), "the session's end says PROMOTED;"),
    ((facts_pb2.TrainingCompleted, {}), set_to("model", f"{FOREST}/v2"), "that awaits its decision"),
    ((facts_pb2.TrainingFailed, {}), set_to("lineage", FOREST), "was of .*logistic, not of"),
    ((facts_pb2.PatternValidated, {}), set_to("before.hits", 1), "counts before are not those"),
    ((facts_pb2.PatternValidated, {}), set_to("after.bars", 1000), "can't become 1000"),
    ((Validated, {}), set_to("evidence.spans.0.first_row", 990), "it needs 1011 rows of a data set of 1000"),
    ((Validated, {}), set_to("evidence.spans.0.first_row", 12), "begins at row 12, which is no traded row"),
    ((Validated, {}), set_to("evidence.spans.0.first_row", -1), "begins at row -1, which is no traded row"),
    ((Validated, {}), set_to("evidence.spans.0.first_row", 2**62), "which is no traded row"),
    ((Validated, {}), set_to("evidence.spans.0.fired", b""), "0 bytes of fired; 20 bars take 3"),
    ((Validated, {}), set_to("evidence.dataset_digest", "0" * 64), "was not registered for its series"),
    ((Validated, {}), set_to("evidence.dataset_digest", OF_IBM), "was not registered for its series"),
    ((Validated, {}), set_to("evidence.dataset_digest", ""), "was not registered for its series"),
    ((Dataset, {}), set_to("previous_digest", "0" * 64), "was not registered for its series"),
    ((Dataset, {}), set_to("rows", 1001), "times of a data set holds 1000 times; 1001 rows"),
    ((Dataset, {}), set_to("standstills.0.first_row", 998), "a run up to row 1002; the last row is 999"),
    ((Dataset, {"rows": 2000}), cut_of_the_first(1001), "it needs 1001 rows of a data set of 1000"),
]


@pytest.mark.parametrize(("where", "change", "said"), LIES, ids=[f"{n}-{lie[2][:30]}" for n, lie in enumerate(LIES)])
def test_a_signed_lie_is_found_at_its_position(
    written: Events, where: tuple[type[Message], dict[str, object]], change: Callable[[Any], None], said: str
) -> None:
    kind, fields = where
    at = first(written, kind, **fields)
    events = [*written[:at], changed(written[at], change), *written[at + 1 :]]
    findings = replayed(events).findings
    own = [finding for finding in findings if finding.startswith(f"position {at + 1}: ")]
    later = [finding for finding in findings if kind is facts_pb2.TrainingCompleted]
    assert any(re.search(said, finding) for finding in [*own, *later]), findings


@pytest.mark.parametrize(
    ("where", "change", "said"), [lie for lie in LIES if lie[0][0] in (Validated, Dataset) or "its series" in lie[2]]
)
def test_references_to_old_data_sets_are_checked_at_the_end(
    written: Events,
    where: tuple[type[Message], dict[str, object]],
    change: Callable[[Any], None],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datasets, "RECENT", 0)
    assert replayed(written).findings == ()
    test_a_signed_lie_is_found_at_its_position(written, where, change, said)


def test_a_degenerate_pair_decides_nothing_when_it_is_replayed(tmp_path: Path) -> None:
    def write(auditee: Auditee) -> None:
        auditee.import_bars("AAPL")
        auditee.train(FOREST, 100, 220)
        auditee.train(FOREST, 221, 250, 0.1)
        auditee.train(FOREST, 250, 400, 0.1, contenders={f"{FOREST}/v2": 0.0})

    events = events_after(write, tmp_path)
    at = first(events, Declined)
    [evidence] = fact_of(events[at]).evidence
    assert (evidence.judgement.bars, evidence.judgement.HasField("mean_difference")) == (29, False)
    assert replayed(events).findings == ()
    for path, value in (("e_value", 1e3), ("mean_difference.value", 0.0), ("verdict", decision_pb2.VERDICT_PROMOTED)):
        lie = changed(events[at], set_to(f"evidence.0.judgement.{path}", value))
        findings = replayed([*events[:at], lie, *events[at + 1 :]]).findings
        assert any(finding.startswith(f"position {at + 1}: ") for finding in findings)


def test_a_model_that_knew_the_bars_that_scored_it_is_found_at_the_decision(written: Events) -> None:
    at = first(written, Trained, version=lambda fact: fact.record.version == 2)
    later = written[at]._replace()
    events = [
        *written[:at],
        changed(later, set_to("record.windows.fit_label_end.seconds", lambda seconds: seconds + 86_400 * 30)),
        *written[at + 1 :],
    ]
    assert any("can't score" in finding for finding in replayed(events).findings)


def with_envelope(event: Stored, **fields: object) -> Stored:
    envelope = event.envelope
    for name, value in fields.items():
        setattr(envelope, name, value)
    return event._replace(state=envelope.SerializeToString(deterministic=True))


def unfit(events: Events) -> Iterator[tuple[Events, str]]:
    """Logs whose form is wrong, and what is said."""
    other = events[20].envelope
    for change, said in [
        (with_envelope(events[30], event_id=other.event_id), "position 31: it has the event id of position 21"),
        (with_envelope(events[30], request_id=other.request_id), "its request id belongs to the request at position"),
        (with_envelope(events[30], causation_id="nothing"), "position 31: what it names as its cause was not there"),
        (with_envelope(events[30], request_id=""), "position 31: it has no event id or no request id"),
        (events[30]._replace(version=9), "position 31: it is version 9 of"),
        (events[30]._replace(stream="lineage/x"), "position 31: a .* lies on stream lineage/x"),
        (events[30]._replace(topic="ratchet.events.v1.Nothing"), "position 31: 'ratchet.events.v1.Nothing' is no fact"),
        (events[30]._replace(state=events[30].state + b"\x0a\x01x"), "position 31: its bytes are not the canonical"),
        (events[30]._replace(state=b"\xff"), "position 31: its bytes are no"),
    ]:
        yield [*events[:30], change, *events[31:]], said
    early = events[30].envelope
    early.recorded_at.seconds -= 3600
    state = early.SerializeToString(deterministic=True)
    yield (
        [*events[:30], events[30]._replace(state=state), *events[31:]],
        "position 31: it was recorded before the event in front of it",
    )
    symbol = first(events, Promoted, scope=SYMBOL)
    yield [*events[:symbol], *events[symbol + 1 :]], "no decision on symbol/AAPL/range follows the one at"
    decided = first(events, Declined, scope=LINEAGE)
    yield [*events[:decided], *events[decided + 1 :]], "no decision on .* came before it"
    yield events[:decided], "no decision on .* follows"
    ended = first(events, facts_pb2.TrainingCancelled)
    yield [*events[: ended + 1], events[ended], *events[ended + 1 :]], "was not open"


def test_a_log_of_another_form_is_found(written: Events) -> None:
    for events, said in unfit(written):
        findings = replayed(events).findings
        assert any(re.search(said, finding) for finding in findings), (said, findings)


def test_a_gap_is_named(written: Events) -> None:
    replay = LogVerifier([checkpoint_of(written)], trusted=[TRUSTED])
    for position, event in enumerate(written, 1):
        if position != 40:
            replay.add(position, *event)
    assert replay.finish().findings[0].startswith("position 41 comes after position 39")


def rotated(
    events: Events, successor: checkpoints.Ed25519PrivateKey, by: checkpoints.Ed25519PrivateKey | None
) -> Events:
    """The log with another key introduced at its end."""
    end = checkpoint_of(events)
    fact = introduce(successor, by, end.size, end.root, "rotation")
    last = next(event for event in events if event.topic == KEYS)
    envelope = last.envelope
    envelope.payload = fact.SerializeToString(deterministic=True)
    envelope.event_id = envelope.request_id = "rotation"
    envelope.recorded_at.CopyFrom(events[-1].envelope.recorded_at)
    return [*events, Stored(last.stream, 2, KEYS, envelope.SerializeToString(deterministic=True))]


class TestKeys:
    def test_whoever_trusts_the_old_or_the_new_key_trusts_the_log(self, written: Events) -> None:
        events = rotated(written, NEXT, KEY)
        for trusted in (KEY, NEXT):
            report = replayed(
                events, checkpoint_of(written), checkpoint_of(events, NEXT), trusted=TrustedKey(public_bytes(trusted))
            )
            assert report.findings == ()
            assert dict(report.checked)["keys"] == 2

    def test_the_old_key_signs_nothing_after_that(self, written: Events) -> None:
        events = rotated(written, NEXT, KEY)
        findings = replayed(events, checkpoint_of(events, KEY)).findings
        assert any("is not signed by the key in force" in finding for finding in findings)
        assert any("are signed by nobody" in finding for finding in findings)

    def test_a_key_that_the_old_one_did_not_sign_is_not_believed(self, written: Events) -> None:
        events = rotated(written, FORGED, None)
        findings = replayed(events, checkpoint_of(written), checkpoint_of(events, FORGED)).findings
        assert any(finding.startswith(f"position {len(events)}: ") for finding in findings)
        assert "events after position" in findings[-1]

    def test_another_key_is_not_the_logs(self, written: Events) -> None:
        findings = replayed(written, trusted=TrustedKey(public_bytes(FORGED))).findings
        assert [finding for finding in findings if "the key that is trusted is none of the log's" in finding]

    def test_a_key_that_is_named_for_another_log_is_not_the_logs(self, written: Events) -> None:
        assert replayed(written, trusted=TrustedKey(PUBLIC, ORIGIN)).findings == ()
        other = origin_of(public_bytes(NEXT))
        [finding] = replayed(written, trusted=TrustedKey(PUBLIC, other)).findings
        assert finding == f"the log is {ORIGIN}, and the key that is trusted is one of {other}: another log"

    def test_the_log_keeps_its_origin_when_its_key_is_replaced(self, written: Events) -> None:
        events = rotated(written, NEXT, KEY)
        shown = checkpoint_of(events, NEXT)
        report = replayed(events, shown, trusted=TrustedKey(public_bytes(NEXT), ORIGIN))
        assert (report.findings, report.checkpoint) == ((), shown)
        assert report.key is not None
        assert report.key.public_key == public_bytes(NEXT)

    def test_a_checkpoint_of_another_origin_is_one_of_another_log(self, written: Events) -> None:
        """Even one that the log's own key has signed, over the same events."""
        own, other = checkpoint_of(written), origin_of(public_bytes(NEXT))
        foreign = checkpoints.sign(KEY, other, own.size, own.root, own.time)
        findings = replayed(written, own, remembered=(foreign,)).findings
        name = f"the remembered checkpoint of size {own.size}"
        assert findings == (f"{name} is one of the log {other}, and this log is {ORIGIN}",)

    def test_without_a_checkpoint_nothing_is_signed(self, written: Events) -> None:
        replay = LogVerifier(trusted=[TRUSTED])
        for position, event in enumerate(written, 1):
            replay.add(position, *event)
        assert replay.finish().findings == ("events after position 0 are signed by nobody",)

    def test_a_head_in_the_middle_leaves_the_rest_unsigned(self, written: Events) -> None:
        findings = replayed(written, checkpoint_of(written[:60])).findings
        assert findings == ("events after position 60 are signed by nobody",)
