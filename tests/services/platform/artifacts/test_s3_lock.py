"""Object lock: what is put is kept for as long as the store's URL says, whoever wants it gone."""

from __future__ import annotations

import hashlib
import io
import time
from datetime import UTC, datetime, timedelta

import pytest
from minio.commonconfig import ENABLED, GOVERNANCE
from minio.error import S3Error
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig

from ratchet.errors import InvalidInput, NotAllowed, PreconditionFailed
from services.platform.artifacts import open_store, s3_upload
from tests.support.faulty_proxy import Link, Opening, answering
from tests.support.object_store import Endpoint

PART = 5 << 20
CONTENT = b"a model that must be kept"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def kept_until(seaweed: Endpoint, name: str, digest: str = DIGEST) -> tuple[str, datetime]:
    found = seaweed.client().get_object_retention(seaweed.bucket(name), digest)
    assert found is not None
    return found.mode, found.retain_until_date


@pytest.mark.parametrize("mode", ["governance", "compliance"])
@pytest.mark.parametrize("parts", [False, True], ids=["whole", "in parts"])
def test_a_put_locks_its_artifact(seaweed: Endpoint, mode: str, parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "LARGE_BYTES", PART)
    monkeypatch.setattr(s3_upload, "PART_BYTES", PART)
    content = CONTENT + bytes(PART if parts else 0)
    name = f"locked-{mode}-{len(content)}"
    store = open_store(f"{seaweed.url(name)}&retain=3&mode={mode}", seaweed.environ())
    begun = datetime.now(UTC)
    digest = store.put(content)
    found, until = kept_until(seaweed, name, digest)
    assert found == mode.upper()
    assert timedelta(0) <= until - begun.replace(microsecond=0) - timedelta(days=3) < timedelta(minutes=1)
    version = seaweed.client().stat_object(seaweed.bucket(name), digest).version_id
    with pytest.raises(S3Error, match=r"AccessDenied|InvalidRequest|ObjectLocked"):
        seaweed.client().remove_object(seaweed.bucket(name), digest, version)


@pytest.mark.parametrize("options", ["&retain=1", ""], ids=["with retain", "without"])
def test_a_locked_artifact_is_not_removed_and_not_hidden(seaweed: Endpoint, options: str) -> None:
    open_store(f"{seaweed.url('kept')}&retain=1", seaweed.environ()).put(CONTENT)
    store = open_store(f"{seaweed.url('kept')}{options}", seaweed.environ())
    mode, until = kept_until(seaweed, "kept")
    assert mode == "GOVERNANCE"
    with pytest.raises(NotAllowed, match=f"is kept until {until.date()}") as caught:
        store.remove(DIGEST)
    assert datetime.fromisoformat(caught.value.metadata["until"]) == until
    assert store.get(DIGEST) == CONTENT


def test_a_lock_that_has_passed_does_not_keep(seaweed: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "passed"
    open_store(f"{seaweed.url(name)}&retain=1", seaweed.environ()).put(b"makes the bucket")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    client = seaweed.client()
    client.put_object(
        seaweed.bucket(name), DIGEST, io.BytesIO(CONTENT), len(CONTENT), retention=Retention(GOVERNANCE, soon)
    )
    store = open_store(f"{seaweed.url(name)}&retain=1", seaweed.environ())
    while datetime.now(UTC) < soon + timedelta(seconds=0.5):
        time.sleep(0.1)
    store.remove(DIGEST)
    assert not store.has(DIGEST)


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_an_artifact_that_is_put_again_is_kept_from_then_on(seaweed: Endpoint, mode: str) -> None:
    name = f"again-{mode}"
    url = f"{seaweed.url(name)}&mode={mode}"
    open_store(f"{url}&retain=2", seaweed.environ()).put(CONTENT)
    open_store(f"{url}&retain=9", seaweed.environ()).put(CONTENT)
    found, longer = kept_until(seaweed, name)
    assert found == mode.upper()
    assert longer - datetime.now(UTC) > timedelta(days=8)
    open_store(f"{url}&retain=2", seaweed.environ()).put(CONTENT)
    assert kept_until(seaweed, name) == (found, longer)


def test_a_bucket_that_can_not_lock_is_refused_before_anything_is_put(seaweed: Endpoint) -> None:
    open_store(seaweed.url("plain"), seaweed.environ()).put(b"makes the bucket")
    store = open_store(f"{seaweed.url('plain')}&retain=30", seaweed.environ())
    with pytest.raises(PreconditionFailed, match=f"bucket {seaweed.bucket('plain')} .* has no object lock.*retain=30"):
        store.put(CONTENT)
    assert not store.has(DIGEST)


def test_a_bucket_is_asked_once_whether_it_can_lock(link: Link, through: Opening) -> None:
    store = through("asked", "&retain=1")
    for number in range(3):
        store.put(str(number).encode())
    asked = [seen for seen in link.seen if "object-lock" in seen.path]
    assert len(asked) == 2  # once without a bucket, once with it


def test_a_busy_store_is_asked_again_for_what_a_lock_needs(link: Link, through: Opening, seaweed: Endpoint) -> None:
    busy = answering(503, "SlowDown")
    link.spoil("GET", [busy])
    through("locked-while-busy", "&retain=1").put(CONTENT)
    link.spoil("PUT", [None, busy])
    through("locked-while-busy", "&retain=9").put(CONTENT)
    assert kept_until(seaweed, "locked-while-busy")[1] - datetime.now(UTC) > timedelta(days=8)


def test_every_version_of_an_artifact_is_removed(seaweed: Endpoint) -> None:
    client, bucket = seaweed.client(), seaweed.bucket("versions")
    client.make_bucket(bucket)
    client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    for _ in range(3):
        client._put_object(bucket, DIGEST, CONTENT)
    store = open_store(seaweed.url("versions"), seaweed.environ())
    store.remove(DIGEST)
    assert not store.has(DIGEST)
    assert not [found for found in client.list_objects(bucket, include_version=True) if not found.is_delete_marker]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("retain=0", "retain=1 to retain=36500"),
        ("retain=-1", "not a number of days"),
        ("retain=36501", "not a number of days"),
        ("retain=", "not a number of days"),
        ("retain=30d", "not a number of days"),
        ("retain=30&mode=strict", "governance or compliance"),
        ("mode=compliance", "write retain=DAYS"),
    ],
)
def test_a_lock_that_can_not_be_is_refused_with_what_to_write(options: str, said: str) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with pytest.raises(InvalidInput, match=said):
        open_store(f"s3://bucket?endpoint=http://minio:9000&{options}", environ)
