"""What S3 promises beyond the contract: what is said when the server refuses, is full, or is not there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from seaweed import Seaweed

from ratchet.errors import InvalidInput, LimitReached, NotAllowed, NotFound, RatchetError, Unreachable
from services.kernel.artifacts import ACCESS_KEY, SECRET_KEY, ArtifactStore, open_store
from services.kernel.artifacts.s3_store import Bucket

DIGEST = "0" * 64
KEYS = {ACCESS_KEY: "an-access-key", SECRET_KEY: "a-secret-key"}
CALLS: dict[str, Callable[[ArtifactStore], object]] = {
    "put": lambda store: store.put(b"content"),
    "get": lambda store: store.get(DIGEST),
    "has": lambda store: store.has(DIGEST),
    "digests": lambda store: list(store.digests()),
}
Answer = tuple[int, str]


@contextmanager
def scripted(*answers: Answer) -> Iterator[ArtifactStore]:
    """A store whose server gives these answers (status, S3 error code) in turn, the last one for ever.

    For answers that a sound server gives only when its disks are full or its peers are slow.
    """
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, code = left.pop(0) if len(left) > 1 else left[0]
            body = f"<Error><Code>{code}</Code><Message>told to</Message></Error>".encode() if code else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield open_store(f"s3://bucket?endpoint=http://127.0.0.1:{server.server_address[1]}", KEYS)
        server.shutdown()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("wrong", [ACCESS_KEY, SECRET_KEY])
def test_wrong_credentials_are_named_with_the_endpoint(
    seaweed: Seaweed, wrong: str, call: Callable[[ArtifactStore], object]
) -> None:
    open_store(seaweed.url("guarded"), seaweed.environ()).put(b"content")
    with pytest.raises(NotAllowed) as caught:
        call(open_store(seaweed.url("guarded"), {**seaweed.environ(), wrong: "wrong"}))
    for name in (seaweed.endpoint, ACCESS_KEY, SECRET_KEY):
        assert name in caught.value.message
    assert seaweed.secret_key not in caught.value.message


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_endpoint_where_nobody_listens_is_named(call: Callable[[ArtifactStore], object]) -> None:
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=endpoint):
            call(open_store(f"s3://bucket?endpoint={endpoint}", KEYS))


@pytest.mark.parametrize("call", [CALLS["get"], CALLS["digests"]], ids=["get", "digests"])
def test_reading_a_bucket_that_is_not_there_says_so(seaweed: Seaweed, call: Callable[[ArtifactStore], object]) -> None:
    with pytest.raises(NotFound, match="bucket misspelled does not exist") as caught:
        call(open_store(seaweed.url("misspelled"), seaweed.environ()))
    assert caught.value.metadata == {"bucket": "misspelled"}
    assert not seaweed.client().bucket_exists("misspelled")


def test_the_first_put_creates_the_bucket(seaweed: Seaweed) -> None:
    store = open_store(seaweed.url("first-put"), seaweed.environ())
    assert not seaweed.client().bucket_exists("first-put")
    assert store.get(store.put(b"content")) == b"content"


def test_prefixes_keep_stores_of_one_bucket_apart(seaweed: Seaweed) -> None:
    left, right = (
        open_store(f"{seaweed.url('shared')}&prefix={prefix}", seaweed.environ()) for prefix in ("left", "/left/right/")
    )
    one, two = left.put(b"one"), right.put(b"two")
    assert list(left.digests()) == [one]
    assert list(right.digests()) == [two]
    assert not left.has(two)


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ([(507, "XMinioStorageFull")], LimitReached, "free some space"),
        ([(400, "XMinioAdminBucketQuotaExceeded")], LimitReached, "quota"),
        ([(404, "NoSuchBucket"), (403, "AccessDenied")], NotFound, "create it"),
        ([(404, "NoSuchBucket"), (200, ""), (403, "AccessDenied")], NotAllowed, "rights on bucket bucket"),
        ([(403, "RequestTimeTooSkewed")], NotAllowed, "RequestTimeTooSkewed"),
        ([(409, "ConditionalRequestConflict")], Unreachable, "ConditionalRequestConflict"),
        ([(400, "SomethingNew")], Unreachable, "SomethingNew"),
        ([(503, "SlowDown")], Unreachable, "SlowDown"),
        ([(404, "")], Unreachable, "not answer like an S3 store"),
    ],
)
def test_a_refused_put_says_why_and_what_to_do(answers: list[Answer], error: type[RatchetError], said: str) -> None:
    with scripted(*answers) as store, pytest.raises(error) as caught:
        store.put(b"content")
    assert type(caught.value) is error
    assert said in caught.value.message


@pytest.mark.parametrize(
    "answers",
    [
        [(503, "SlowDown"), (500, "InternalError"), (200, "")],
        [(409, "ConditionalRequestConflict"), (409, "ConditionalRequestConflict"), (200, "")],
        [(404, "NoSuchBucket"), (409, "BucketAlreadyOwnedByYou"), (200, "")],
    ],
    ids=["busy", "met another put", "bucket made meanwhile"],
)
def test_what_passes_by_itself_is_tried_again(answers: list[Answer]) -> None:
    with scripted(*answers) as store:
        assert len(store.put(b"content")) == 64


def test_a_bucket_is_a_value() -> None:
    bucket = Bucket.at("models", endpoint="https://s3.example.com/", region="eu-west-1", prefix="/team/")
    assert bucket == Bucket("https://s3.example.com", "models", "eu-west-1", "team/")
    with pytest.raises(InvalidInput, match="bucket's name"):
        Bucket.at("no_bucket", endpoint="http://minio:9000", region="eu-west-1", prefix="")
