"""The rights that docs/artifacts.md lists: with them everything works, and a store refuses what they do not cover."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ratchet.errors import NotAllowed, RatchetError
from services.local.doctor_machine import artifacts
from services.platform.artifacts import ArtifactStore, open_store, s3_upload
from tests.support.object_store import Seaweed

PAGE = (Path(__file__).parents[4] / "docs" / "artifacts.md").read_text(encoding="utf-8")
POLICY = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
BUCKET, SECRET, PART = "ratchet", "the-secret-of-all", 5 << 20
CONTENT = b"content"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NEEDED: dict[str, Callable[[ArtifactStore, ArtifactStore], object]] = {
    "s3:GetObject": lambda plain, _: plain.get(DIGEST),
    "s3:ListBucket": lambda plain, _: list(plain.digests()),
    "s3:PutObject": lambda plain, _: plain.put(b"other content"),
    "s3:DeleteObjectVersion": lambda plain, _: plain.remove(DIGEST),
    "s3:GetBucketObjectLockConfiguration": lambda _, locking: locking.put(b"to be locked"),
    "s3:PutObjectRetention": lambda _, locking: locking.put(b"to be locked"),
}
"""Those that SeaweedFS asks for in a bucket with versions, and what needs them."""


def user(action: str) -> str:
    return "without-" + action.partition(":")[2]


def less(action: str) -> dict[str, object]:
    """The policy without `action`."""
    statements = [
        {**statement, "Action": [each for each in statement["Action"] if each != action]}
        for statement in POLICY["Statement"]
    ]
    return {**POLICY, "Statement": statements}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A store that knows a user with the policy, and for each of NEEDED one who lacks it."""
    started, folder = Seaweed(), tmp_path_factory.mktemp("rights")
    admin = {
        "name": "admin",
        "credentials": [{"accessKey": started.access_key, "secretKey": started.secret_key}],
        "actions": ["Admin"],
    }
    users = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": SECRET}], "policyNames": [name]}
        for name in map(user, ("", *NEEDED))
    ]
    policies = [{"name": user(action), "content": json.dumps(less(action))} for action in ("", *NEEDED)]
    (folder / "users.json").write_text(json.dumps({"identities": [admin, *users], "policies": policies}))
    try:
        started.start(folder, f"-s3.config={folder / 'users.json'}")
        started.client().make_bucket(BUCKET, object_lock=True)
        yield started
    finally:
        started.stop()


def opened(server: Seaweed, lacking: str, options: str = "") -> ArtifactStore:
    environ = {"AWS_ACCESS_KEY_ID": user(lacking), "AWS_SECRET_ACCESS_KEY": SECRET}
    return open_store(f"{server.url(BUCKET)}{options}", environ)


def test_the_rights_are_enough(server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "LARGE_BYTES", PART)
    monkeypatch.setattr(s3_upload, "PART_BYTES", PART)
    plain, locking, longer = (opened(server, "", options) for options in ("", "&retain=1", "&retain=2"))
    large = CONTENT + bytes(PART)
    for content in (CONTENT, large):
        assert plain.get(plain.put(content)) == content
    assert not plain.has("0" * 64)
    assert set(plain.digests()) >= {DIGEST}
    plain.remove(DIGEST)
    assert not plain.has(DIGEST)
    locked = locking.put(b"locked")
    assert longer.put(b"locked") == locked
    with pytest.raises(NotAllowed, match="is kept until"):
        plain.remove(locked)


@pytest.mark.parametrize("action", NEEDED)
def test_without_a_right_what_needs_it_is_refused(server: Seaweed, action: str) -> None:
    open_store(server.url(BUCKET), server.environ()).put(CONTENT)
    plain, locking = opened(server, action), opened(server, action, "&retain=1")
    with pytest.raises(NotAllowed, match="AccessDenied"):
        NEEDED[action](plain, locking)


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObjectVersion"])
def test_doctor_finds_the_right_that_is_missing(server: Seaweed, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user(action))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found = artifacts(server.url(BUCKET))
    assert not found.ok
    assert "AccessDenied" in found.found


def test_the_rights_reach_no_other_bucket(server: Seaweed) -> None:
    server.client().make_bucket("of-others")
    environ = {"AWS_ACCESS_KEY_ID": user(""), "AWS_SECRET_ACCESS_KEY": SECRET}
    other, new = (open_store(server.url(name), environ) for name in ("of-others", "never-made"))
    for store in (other, new):
        with pytest.raises(RatchetError):
            store.put(CONTENT)
    assert not server.client().bucket_exists("never-made")
