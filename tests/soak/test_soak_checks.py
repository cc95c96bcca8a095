"""What the soak would find, if it were there."""

import pytest
from google.protobuf.message import Message

from ratchet.errors import Internal, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2
from tests.soak.checks import Read, findings
from tests.soak.ledger import Ledger

LINEAGE = "AAPL/range/logistic"


def promoted(version: int, replaced: str) -> facts_pb2.ModelPromoted:
    model = f"{LINEAGE}/v{version}"
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_LINEAGE, lineage=LINEAGE, model=model, replaced=replaced and f"{LINEAGE}/{replaced}"
    )


Written = tuple[str, str, Message]
REQUESTED: Written = ("session/s", "ask", facts_pb2.TrainingRequested())
COMPLETED: Written = ("session/s", "record", facts_pb2.TrainingCompleted())
FIRST: Written = (f"lineage/{LINEAGE}", "record", promoted(1, ""))
SECOND: Written = (f"lineage/{LINEAGE}", "promote", promoted(2, "v1"))


def log_of(*written: Written) -> Read:
    versions: dict[str, int] = {}
    events = []
    for stream, request_id, message in written:
        versions[stream] = versions.get(stream, 0) + 1
        envelope = envelope_pb2.Envelope(request_id=request_id, payload=message.SerializeToString())
        events.append(
            eventlog_pb2.StoredEvent(
                position=len(events) + 1,
                stream=stream,
                version=versions[stream],
                topic=message.DESCRIPTOR.full_name,
                state=envelope.SerializeToString(),
            )
        )
    return Read.of(events)


def told() -> Ledger:
    """What clients of the sound log were told."""
    ledger = Ledger()
    ledger.begun("s")
    ledger.acknowledge("training", "ask", 1)
    ledger.acknowledge("decision", "promote", 4)
    ledger.name(LINEAGE, 2, "")
    ledger.name(LINEAGE, 4, f"{LINEAGE}/v2")
    ledger.answered(Unreachable("away"))
    return ledger


def test_a_sound_log_has_no_findings() -> None:
    assert findings(log_of(REQUESTED, COMPLETED, FIRST, SECOND), told()) == []


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ((REQUESTED, COMPLETED, FIRST), "the decision promote was acknowledged at 4 and is not there"),
        ((REQUESTED, FIRST, COMPLETED, COMPLETED, SECOND), "session s did not end once"),
        ((REQUESTED, COMPLETED, SECOND, FIRST, COMPLETED), "the request record was written more than once"),
        (
            (REQUESTED, COMPLETED, FIRST, (*SECOND[:2], promoted(2, "v7"))),
            "v7, but AAPL/range/logistic/v1 was champion",
        ),
        ((REQUESTED, COMPLETED, FIRST, (*SECOND[:2], promoted(3, "v1"))), "v2' was named, not"),
        ((FIRST, SECOND), "session s was acknowledged and is not in the log"),
    ],
)
def test_what_does_not_fit_is_found(written: tuple[Written, ...], words: str) -> None:
    assert words in "\n".join(findings(log_of(*written), told()))


def test_an_internal_answer_and_what_is_no_error_of_ours_are_findings() -> None:
    ledger = told()
    ledger.answered(Internal("error 1"))
    ledger.answered(ValueError("a defect of the client"))
    found = findings(log_of(REQUESTED, COMPLETED, FIRST, SECOND), ledger)
    assert found == [
        "a client was answered Internal: error 1",
        "a client was answered ValueError: a defect of the client",
    ]
