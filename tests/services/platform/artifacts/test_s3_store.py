"""What S3 promises beyond the contract: buckets, prefixes, and what is said when the server refuses or is not there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from minio import time as minio_time

from ratchet.errors import InvalidInput, NotAllowed, NotFound, PreconditionFailed, Unreachable
from services.platform.artifacts import ACCESS_KEY, SECRET_KEY, ArtifactStore, open_store, s3_store
from services.platform.artifacts.bucket import Bucket, Retention
from services.platform.artifacts.credentials import SESSION_TOKEN, S3Credentials
from tests.support.faulty_proxy import Exchange, Fault, Link, Opening, answering
from tests.support.object_store import Endpoint

DIGEST = "0" * 64
KEYS = {ACCESS_KEY: "an-access-key", SECRET_KEY: "a-secret-key"}
CALLS: dict[str, Callable[[ArtifactStore], object]] = {
    "put": lambda store: store.put(b"content"),
    "get": lambda store: store.get(DIGEST),
    "has": lambda store: store.has(DIGEST),
    "digests": lambda store: list(store.digests()),
    "written_at": lambda store: store.written_at(DIGEST),
    "remove": lambda store: store.remove(DIGEST),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@every_call
@pytest.mark.parametrize("wrong", [ACCESS_KEY, SECRET_KEY, SESSION_TOKEN])
def test_wrong_credentials_are_named_with_the_endpoint(
    seaweed: Endpoint, wrong: str, call: Callable[[ArtifactStore], object]
) -> None:
    open_store(seaweed.url("guarded"), seaweed.environ()).put(b"content")
    with pytest.raises(NotAllowed) as caught:
        call(open_store(seaweed.url("guarded"), {**seaweed.environ(), wrong: "wrong"}))
    for name in (seaweed.endpoint, ACCESS_KEY, SECRET_KEY, SESSION_TOKEN):
        assert name in caught.value.message
    assert seaweed.secret_key not in caught.value.message


def test_a_request_without_a_right_to_be_made_is_about_the_credentials(link: Link, through: Opening) -> None:
    link.spoil("PUT", [answering(401, "Unauthorized")])
    with pytest.raises(NotAllowed, match=f"answers Unauthorized.*; check {ACCESS_KEY}, {SECRET_KEY}"):
        through("unauthorized").put(b"content")


def test_secrets_are_not_shown() -> None:
    access = S3Credentials.load({**KEYS, SESSION_TOKEN: "a-token"}, "http://minio:9000")
    assert access.access_key in repr(access)
    assert "a-secret-key" not in repr(access)
    assert "a-token" not in repr(access)


@pytest.mark.parametrize(("options", "region"), [("&region=eu-west-1", "eu-west-1"), ("&region=", "us-east-1")])
def test_requests_are_signed_for_the_region_of_the_url(link: Link, through: Opening, options: str, region: str) -> None:
    link.spoil("HEAD", [answering(404, "")])
    through("regional", options).has(DIGEST)
    assert f"/{region}/s3/aws4_request" in link.seen[-1].headers["Authorization"]


def test_a_session_token_goes_with_every_request(seaweed: Endpoint, link: Link, through: Opening) -> None:
    with pytest.raises(NotAllowed):
        through("temporary", AWS_SESSION_TOKEN="a-token").has(DIGEST)
    assert link.seen[-1].headers["X-Amz-Security-Token"] == "a-token"
    through("temporary", AWS_SESSION_TOKEN="").has(DIGEST)
    assert "X-Amz-Security-Token" not in link.seen[-1].headers


@pytest.mark.parametrize("word", ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"])
def test_expired_credentials_are_to_be_renewed(link: Link, through: Opening, word: str) -> None:
    link.spoil("PUT", [answering(400, word)])
    with pytest.raises(NotAllowed, match=f"renew the temporary credentials.*{SESSION_TOKEN}"):
        through("temporary").put(b"content")


@every_call
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_off_is_told_from_wrong_credentials(
    seaweed: Endpoint, monkeypatch: pytest.MonkeyPatch, hours: int, call: Callable[[ArtifactStore], object]
) -> None:
    store = open_store(seaweed.url("clocks"), seaweed.environ())
    store.put(b"content")
    off = datetime.now(UTC) + timedelta(hours=hours)
    monkeypatch.setattr(minio_time, "utcnow", lambda: off)
    monkeypatch.setattr("services.platform.artifacts.s3_errors.now", lambda: off)
    side = "ahead of" if hours > 0 else "behind"
    with pytest.raises(NotAllowed, match=f"clock is 120 minutes {side} the store's"):
        call(store)


def test_a_store_that_takes_no_clock_but_its_own_is_believed(link: Link, through: Opening) -> None:
    there = format_datetime(datetime.now(UTC) - timedelta(seconds=130), usegmt=True)
    link.spoil("PUT", [answering(403, "RequestTimeTooSkewed", Date=there)])
    with pytest.raises(NotAllowed, match="clock is 2 minutes ahead of the store's: set both by a time server"):
        through("strict").put(b"content")


@every_call
def test_an_endpoint_where_nobody_listens_is_named(call: Callable[[ArtifactStore], object]) -> None:
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"{endpoint} does not answer"):
            call(open_store(f"s3://bucket?endpoint={endpoint}", KEYS))


@pytest.mark.parametrize("call", [CALLS["get"], CALLS["digests"]], ids=["get", "digests"])
def test_reading_a_bucket_that_is_not_there_says_so(seaweed: Endpoint, call: Callable[[ArtifactStore], object]) -> None:
    name = seaweed.bucket("misspelled")
    with pytest.raises(NotFound, match=f"bucket {name} does not exist") as caught:
        call(open_store(seaweed.url("misspelled"), seaweed.environ()))
    assert caught.value.metadata == {"bucket": name}
    assert not seaweed.client().bucket_exists(name)


def test_the_first_put_creates_the_bucket(seaweed: Endpoint) -> None:
    store = open_store(seaweed.url("first-put"), seaweed.environ())
    assert not seaweed.client().bucket_exists(seaweed.bucket("first-put"))
    assert store.get(store.put(b"content")) == b"content"


def test_a_bucket_that_we_may_not_create_is_to_be_created_by_somebody(link: Link, through: Opening) -> None:
    link.spoil("PUT", [None, answering(403, "AccessDenied")])
    with pytest.raises(NotFound, match=r"does not exist.*; create it, or use credentials that may create it"):
        through("never-made").put(b"content")


@pytest.mark.parametrize("word", ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"])
def test_a_bucket_that_another_made_meanwhile_is_used(
    link: Link, through: Opening, seaweed: Endpoint, word: str
) -> None:
    name = f"raced-{word.lower()}"

    def made_meanwhile(exchange: Exchange) -> None:
        seaweed.client().make_bucket(seaweed.bucket(name))
        answering(409, word)(exchange)

    link.spoil("PUT", [None, made_meanwhile])
    store = through(name)
    assert store.get(store.put(b"content")) == b"content"


@pytest.mark.parametrize(
    "refusal",
    [
        answering(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1", Location="http://127.0.0.1:1/"),
        answering(307, "Redirect", x_amz_bucket_region="eu-west-1", Location="http://127.0.0.1:1/"),
        answering(400, "AuthorizationHeaderMalformed", x_amz_bucket_region="eu-west-1"),
        answering(400, "IllegalLocationConstraintException", x_amz_bucket_region="eu-west-1"),
    ],
    ids=["redirected", "redirected for now", "refused", "not to be made there"],
)
def test_a_bucket_in_another_region_is_said_to_be_there(link: Link, through: Opening, refusal: Fault) -> None:
    link.spoil("PUT", [refusal])
    with pytest.raises(PreconditionFailed, match="not in region us-east-1: set region=eu-west-1 in the store's URL"):
        through("elsewhere").put(b"content")
    assert link.count("PUT") == 1


def test_prefixes_keep_stores_of_one_bucket_apart(seaweed: Endpoint) -> None:
    left, right = (
        open_store(f"{seaweed.url('shared')}&prefix={prefix}", seaweed.environ()) for prefix in ("left", "/left/right/")
    )
    beside = open_store(seaweed.url("shared"), seaweed.environ()).put(b"without a prefix")
    one, two = left.put(b"one"), right.put(b"two")
    assert list(left.digests()) == [one]
    assert list(right.digests()) == [two]
    assert not left.has(beside)
    assert not left.has(two)


def test_a_long_list_is_read_page_by_page(seaweed: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "PAGE", 3)
    store = open_store(f"{seaweed.url('pages')}&prefix=some", seaweed.environ())
    put = {store.put(str(number).encode()) for number in range(9)}
    assert sorted(store.digests()) == sorted(put)


def test_an_old_artifact_that_is_put_again_is_a_new_one_to_the_collection_of_garbage(
    link: Link, through: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = through("renewed")
    digest = store.put(b"content")
    store.put(b"content")
    assert not [seen for seen in link.seen if "x-amz-copy-source" in seen.headers]
    monkeypatch.setattr(s3_store, "RENEWED_AFTER", timedelta(seconds=1))
    before = store.written_at(digest)
    while datetime.now(UTC) < before + timedelta(seconds=2.1):
        time.sleep(0.1)
    assert store.put(b"content") == digest
    assert store.written_at(digest) > before
    assert store.get(digest) == b"content"


def test_a_bucket_is_a_value() -> None:
    bucket = Bucket.at("models", endpoint="https://s3.example.com/", region="eu-west-1", prefix="/team/")
    assert bucket == Bucket("https://s3.example.com", "models", "eu-west-1", "team/")
    with pytest.raises(InvalidInput, match="bucket's name"):
        Bucket.at("no_bucket", endpoint="http://minio:9000", region="eu-west-1", prefix="")
    assert Retention.of("30", "compliance") == Retention(30, "COMPLIANCE")
