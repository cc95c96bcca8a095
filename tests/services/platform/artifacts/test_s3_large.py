"""Large artifacts go in parts, and appear whole or not at all."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import uuid
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from threading import Barrier

import pytest

from ratchet.errors import CorruptData, LimitReached, Unreachable
from services.platform.artifacts import open_store, s3_upload
from tests.support.faulty_proxy import Exchange, Fault, Link, Opening, answering, flip_request, lose_answer, reset
from tests.support.object_store import Endpoint

PART = 5 << 20  # the smallest that S3 takes
CONTENT = random.Random(11).randbytes(PART + 1000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
MEMORY = """
import resource, sys
from services.platform.artifacts import open_store
store = open_store(sys.argv[1])
content = b"x" * (200 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
digest = store.put(content)
after_put = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
del content
assert len(store.get(digest)) == 200 << 20
print((after_put - before) // 1024, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.fixture(autouse=True)
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "LARGE_BYTES", PART)
    monkeypatch.setattr(s3_upload, "PART_BYTES", PART)


@pytest.fixture
def bucket(seaweed: Endpoint) -> str:
    name = f"large-{uuid.uuid4().hex[:8]}"
    seaweed.client().make_bucket(seaweed.bucket(name))
    return name


@pytest.fixture
def pending(seaweed: Endpoint, bucket: str) -> Callable[[], list[str]]:
    """The names of the uploads that the bucket holds parts of."""

    def found() -> list[str]:
        uploads = seaweed.client()._list_multipart_uploads(seaweed.bucket(bucket)).uploads
        return [upload.object_name for upload in uploads]

    return found


def test_a_large_artifact_goes_in_parts(link: Link, through: Opening, bucket: str) -> None:
    store = through(bucket)
    assert store.put(CONTENT) == DIGEST
    assert [seen.path.partition("partNumber=")[2][:1] for seen in link.seen if seen.method == "PUT"] == ["1", "2"]
    assert store.get(DIGEST) == CONTENT
    assert list(store.digests()) == [DIGEST]


def test_a_large_artifact_that_is_there_is_compared_and_not_sent(
    link: Link, through: Opening, bucket: str, seaweed: Endpoint
) -> None:
    through(bucket).put(CONTENT)
    sent = link.count("PUT")
    assert through(bucket).put(CONTENT) == DIGEST
    assert link.count("PUT") == sent
    seaweed.client()._put_object(seaweed.bucket(bucket), DIGEST, b"damaged")
    with pytest.raises(CorruptData, match=DIGEST):
        through(bucket).put(CONTENT)


def test_a_part_that_fails_is_sent_again_and_no_other(link: Link, through: Opening, bucket: str) -> None:
    link.spoil("PUT", [None, reset, answering(503, "SlowDown"), flip_request, lose_answer])
    store = through(bucket)
    assert store.get(store.put(CONTENT)) == CONTENT
    assert link.count("PUT") == 2 + 4


def test_what_made_an_upload_fail_is_said_though_it_can_not_be_given_up(
    link: Link, through: Opening, bucket: str
) -> None:
    link.spoil("PUT", [answering(507, "XMinioStorageFull")])
    link.spoil("DELETE", [answering(400, "SomethingNew")])
    with pytest.raises(LimitReached):
        through(bucket).put(CONTENT)


def test_each_part_goes_with_its_md5_which_a_store_that_locks_asks_for(
    link: Link, through: Opening, bucket: str
) -> None:
    through(bucket).put(CONTENT)
    sent = [seen.headers["Content-MD5"] for seen in link.seen if "partNumber" in seen.path]
    parts = (CONTENT[:PART], CONTENT[PART:])
    assert sent == [b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode() for part in parts]


def test_a_busy_store_is_asked_again_when_an_upload_begins_and_when_it_is_given_up(
    link: Link, through: Opening, bucket: str, pending: Callable[[], list[str]]
) -> None:
    for method in ("HEAD", "POST", "DELETE"):
        link.spoil(method, [answering(503, "SlowDown")])
    link.spoil("PUT", [answering(507, "XMinioStorageFull")])
    with pytest.raises(LimitReached):
        through(bucket).put(CONTENT)
    assert [link.count(method) for method in ("HEAD", "POST", "DELETE")] == [2, 2, 2]
    assert pending() == []


@pytest.mark.parametrize(
    "fault",
    [reset, lose_answer, answering(200, "InternalError"), answering(503, "SlowDown")],
    ids=["reset", "answer lost", "failed with status 200", "busy"],
)
def test_a_completion_is_repeated_until_its_outcome_is_known(
    link: Link, through: Opening, bucket: str, fault: Fault, pending: Callable[[], list[str]]
) -> None:
    link.spoil("POST", [None, fault])
    store = through(bucket)
    assert store.put(CONTENT) == DIGEST
    assert store.get(DIGEST) == CONTENT
    assert pending() == []


def test_a_completed_upload_that_the_store_forgot_counts(link: Link, through: Opening, bucket: str) -> None:
    def complete_and_forget(exchange: Exchange) -> None:
        exchange.forward(exchange.body)
        answering(404, "NoSuchUpload")(exchange)

    link.spoil("POST", [None, complete_and_forget])
    assert through(bucket).put(CONTENT) == DIGEST


def test_an_upload_that_somebody_aborted_is_no_success(link: Link, through: Opening, bucket: str) -> None:
    link.spoil("POST", [None, answering(404, "NoSuchUpload")])
    with pytest.raises(Unreachable, match="NoSuchUpload"):
        through(bucket).put(CONTENT)
    assert not through(bucket).has(DIGEST)


@pytest.mark.parametrize(
    ("method", "faults", "error"),
    [
        ("PUT", [None, answering(507, "XMinioStorageFull")], LimitReached),
        ("PUT", [None, *repeat(flip_request, 9)], Unreachable),
        ("POST", [None, *repeat(reset, 9)], Unreachable),
    ],
    ids=["full", "broken transfer", "completion fails"],
)
def test_a_failed_upload_leaves_nothing_behind(
    link: Link,
    through: Opening,
    bucket: str,
    method: str,
    faults: list[Fault],
    error: type[Exception],
    pending: Callable[[], list[str]],
) -> None:
    link.spoil(method, faults)
    with pytest.raises(error):
        through(bucket).put(CONTENT)
    assert link.count("DELETE") == 1
    assert pending() == []
    assert not through(bucket).has(DIGEST)


def test_a_completion_does_not_overwrite_what_came_meanwhile(
    seaweed: Endpoint, link: Link, through: Opening, bucket: str, pending: Callable[[], list[str]]
) -> None:
    def another_was_faster(exchange: Exchange) -> None:
        seaweed.client()._put_object(seaweed.bucket(bucket), DIGEST, b"other bytes")
        exchange.relay(exchange.forward(exchange.body))

    link.spoil("POST", [None, another_was_faster])
    with pytest.raises(CorruptData, match=DIGEST):
        through(bucket).put(CONTENT)
    assert seaweed.client().get_object(seaweed.bucket(bucket), DIGEST).read() == b"other bytes"
    assert pending() == []


def test_many_that_put_the_same_at_once_leave_one_artifact_and_no_parts(
    seaweed: Endpoint, bucket: str, pending: Callable[[], list[str]]
) -> None:
    together = Barrier(3)

    def put(_: int) -> str:
        store = open_store(seaweed.url(bucket), seaweed.environ())
        together.wait(timeout=30)
        return store.put(CONTENT)

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(put, range(3))) == {DIGEST}
    store = open_store(seaweed.url(bucket), seaweed.environ())
    assert store.get(DIGEST) == CONTENT
    assert list(store.digests()) == [DIGEST]
    assert pending() == []


@pytest.mark.slow
def test_memory_stays_near_the_size_of_an_artifact(seaweed: Endpoint) -> None:
    run = [sys.executable, "-c", MEMORY, seaweed.url("memory")]
    done = subprocess.run(run, env=seaweed.environ(), capture_output=True, text=True, check=True)
    put, get = map(int, done.stdout.split())
    assert put < 80, f"a put of 200 MiB took {put} MiB more"
    assert get < 240, f"a get of 200 MiB took {get} MiB besides"
