"""What an S3 store does when the way to it, or the server at its end, fails for a moment or for good."""

from __future__ import annotations

import hashlib
import random
import socket
import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import repeat

import pytest

from ratchet.errors import LimitReached, RatchetError, Unreachable
from services.platform.artifacts import ACCESS_KEY, SECRET_KEY, ArtifactStore, open_store, s3_store
from services.platform.artifacts.retry import DEFAULT_RETRY, RetryPolicy
from tests.support.faulty_proxy import (
    Fault,
    Link,
    Opening,
    answering,
    cut_answer,
    flip_request,
    lose_answer,
    reset,
    stall,
)
from tests.support.object_store import Endpoint

CONTENT = random.Random(7).randbytes(3000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PASSING: dict[str, Fault] = {
    "busy": answering(503, "SlowDown"),
    "too many": answering(429, "TooManyRequests"),
    "failing": answering(500, "InternalError"),
    "a proxy that failed": answering(500, ""),
    "a proxy without its store": answering(502, ""),
    "a proxy that waited": answering(504, ""),
    "slow to read us": answering(400, "RequestTimeout"),
    "met another put": answering(409, "ConditionalRequestConflict"),
    "reset": reset,
    "answer lost": lose_answer,
}
LATER = (
    *("ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable"),
    *("SlowDown", "SlowDownRead", "SlowDownWrite"),
    *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"),
)
"""What stores say to be asked again, of themselves and of a transfer that broke."""
READS: dict[str, tuple[str, Callable[[ArtifactStore], object], object]] = {
    "get": ("GET", lambda store: store.get(DIGEST), CONTENT),
    "has": ("HEAD", lambda store: store.has(DIGEST), True),
    "digests": ("GET", lambda store: list(store.digests()), [DIGEST]),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_put_survives_what_passes_by_itself(seaweed: Endpoint, link: Link, through: Opening, fault: Fault) -> None:
    name = f"survives-{uuid.uuid4().hex[:8]}"
    seaweed.client().make_bucket(seaweed.bucket(name))
    link.spoil("PUT", [fault, fault])
    assert through(name).put(CONTENT) == DIGEST
    assert seaweed.client().get_object(seaweed.bucket(name), DIGEST).read() == CONTENT
    assert link.count("PUT") >= 2


def test_whatever_word_a_store_has_for_later_it_is_asked_again(link: Link, through: Opening) -> None:
    store = through("later")
    store.put(CONTENT)
    for word in LATER:
        link.spoil("PUT", [answering(400, word)])
        assert store.put(word.encode()), word


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("fault", [PASSING["busy"], reset, cut_answer], ids=["busy", "reset", "cut"])
def test_a_read_survives_what_passes_by_itself(link: Link, through: Opening, fault: Fault, read: str) -> None:
    store = through("read-through")
    store.put(CONTENT)
    method, call, found = READS[read]
    link.spoil(method, [fault, fault])
    assert call(store) == found


def test_whatever_is_asked_of_a_busy_store_is_asked_again(
    link: Link, through: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, store = PASSING["busy"], through("busy")
    link.spoil("PUT", [None, busy])
    store.put(CONTENT)  # the bucket is made with the second request
    monkeypatch.setattr(s3_store, "RENEWED_AFTER", timedelta(days=-1))
    link.spoil("PUT", [None, busy])
    store.put(CONTENT)  # the name is taken, and the copy onto itself makes it new
    link.spoil("DELETE", [busy])
    store.remove(DIGEST)
    assert not store.has(DIGEST)


def test_a_put_whose_answer_was_lost_is_compared_with_what_is_there(link: Link, through: Opening) -> None:
    through("unknown-outcome").put(b"makes the bucket")
    before = link.count("GET")
    link.spoil("PUT", [lose_answer])
    assert through("unknown-outcome").put(CONTENT) == DIGEST
    assert link.count("GET") == before + 1


def test_a_transfer_that_broke_is_refused_and_made_again(link: Link, through: Opening) -> None:
    store = through("flipped")
    store.put(b"makes the bucket")
    link.spoil("PUT", [flip_request])
    assert store.get(store.put(CONTENT)) == CONTENT
    link.spoil("PUT", repeat(flip_request))
    with pytest.raises(Unreachable, match=r"answers (BadDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch)"):
        store.put(b"never whole")
    assert not store.has(hashlib.sha256(b"never whole").hexdigest())


def test_the_store_is_told_the_digest_itself(link: Link, through: Opening) -> None:
    through("told").put(CONTENT)
    assert link.seen[-1].headers["x-amz-checksum-sha256"] == b64encode(hashlib.sha256(CONTENT).digest()).decode()


@pytest.mark.parametrize(
    ("fault", "error", "said", "tries"),
    [
        (answering(507, "XMinioStorageFull"), LimitReached, "free some space", 1),
        (answering(507, ""), LimitReached, "free some space", 1),
        (answering(400, "XMinioAdminBucketQuotaExceeded"), LimitReached, "quota", 1),
        (answering(403, "QuotaExceeded"), LimitReached, "quota", 1),
        (answering(400, "EntityTooLarge"), LimitReached, "quota", 1),
        (answering(400, "XMinioStorageFull"), LimitReached, "free some space", 1),
        (answering(400, "SomethingNew"), Unreachable, "SomethingNew", 1),
        (answering(404, ""), Unreachable, "not answer like an S3 store", 1),
        (answering(503, "SlowDown"), Unreachable, "SlowDown", DEFAULT_RETRY.tries),
        (answering(503, ""), Unreachable, "answers 503", DEFAULT_RETRY.tries),
        (reset, Unreachable, "does not answer; check that it runs", DEFAULT_RETRY.tries),
    ],
)
def test_what_stays_wrong_is_said_with_what_to_do(
    link: Link, through: Opening, fault: Fault, error: type[RatchetError], said: str, tries: int
) -> None:
    link.spoil("PUT", repeat(fault))
    with pytest.raises(error) as caught:
        through("refused").put(CONTENT)
    assert type(caught.value) is error
    assert said in caught.value.message
    assert link.count("PUT") == tries


def test_a_full_store_is_told_from_an_absent_one_without_a_body_too(link: Link, through: Opening) -> None:
    link.spoil("HEAD", [answering(507, "")])
    with pytest.raises(LimitReached):
        through("refused").has(DIGEST)


def test_a_store_that_does_not_answer_is_not_waited_for_for_ever(
    link: Link, through: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "DEFAULT_RETRY", replace(DEFAULT_RETRY, read=0.2, pause=0.01, total=0.5))
    link.spoil("GET", repeat(stall))
    with pytest.raises(Unreachable, match="does not answer"):
        through("stalls").get(DIGEST)
    assert 2 <= link.count("GET") < DEFAULT_RETRY.tries


def test_a_host_that_takes_no_connection_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "DEFAULT_RETRY", replace(DEFAULT_RETRY, connect=0.2, pause=0.01, total=0.5))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        host, port = full.getsockname()
        environ = {ACCESS_KEY: "an-access-key", SECRET_KEY: "a-secret-key"}
        store = open_store(f"s3://bucket?endpoint=http://{host}:{port}", environ)
        with pytest.raises(Unreachable, match="does not answer"):
            store.has(DIGEST)


def test_a_store_that_stalls_once_is_asked_again(link: Link, through: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "DEFAULT_RETRY", replace(DEFAULT_RETRY, read=1.0, pause=0.01))
    store = through("stalls-once")
    store.put(CONTENT)
    link.spoil("GET", [stall])
    assert store.get(DIGEST) == CONTENT


def test_connections_are_used_again_whatever_came_of_a_request(link: Link, through: Opening) -> None:
    store = through("pool")
    for _ in range(3):
        store.put(CONTENT)
        store.get(DIGEST)
        store.has("0" * 64)
        list(store.digests())
        store.remove("0" * 64)
        with pytest.raises(RatchetError):
            store.get("0" * 64)
        link.spoil("GET", [answering(400, "SomethingNew")])
        with pytest.raises(RatchetError):
            store.get(DIGEST)
        link.spoil("PUT", [answering(503, "SlowDown")])
        store.put(CONTENT)
    assert link.accepted == 1


def test_pauses_grow_are_random_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(time, "sleep", paused.append)
    monkeypatch.setattr(random, "uniform", random.Random(3).uniform)

    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        RetryPolicy(tries=5, pause=1.0, total=100.0)(fail, lambda _: True)
    assert len(paused) == 4
    for number, pause in enumerate(paused):
        assert 0.5 * 2**number <= pause <= 2**number
    assert len({pause / 2**number for number, pause in enumerate(paused)}) == 4
    paused.clear()
    with pytest.raises(ConnectionError):
        RetryPolicy(tries=5, pause=1.0, total=0.1)(fail, lambda _: True)
    assert paused == []
    with pytest.raises(ConnectionError):
        RetryPolicy()(fail, lambda _: False)
    assert paused == []
