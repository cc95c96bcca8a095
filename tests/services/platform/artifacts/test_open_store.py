"""Which URLs name a store, and what is said of those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ratchet.errors import InvalidInput, NotAllowed
from services.platform.artifacts import ACCESS_KEY, SECRET_KEY, open_store

KEYS = {ACCESS_KEY: "an-access-key", SECRET_KEY: "a-secret-key"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://bucket", "file:///folder or s3://bucket"),
        ("/var/lib/artifacts", "file:///folder or s3://bucket"),
        ("", "file:///folder or s3://bucket"),
        ("s3://[bucket", "file:///folder or s3://bucket"),
        ("file://artifacts/models", "file:///artifacts/models"),
        ("file:artifacts", "file:///artifacts"),
        ("file:///artifacts?region=eu", "not a folder"),
        ("s3://bucket", "endpoint=http://host:port"),
        ("s3://bucket?endpoint=minio:9000", "endpoint=http://host:port"),
        ("s3://bucket?endpoint=http://minio:9000/path", "endpoint=http://host:port"),
        ("s3://bucket?endpoint=http://minio:99999", "port"),
        ("s3://bucket?endpoint=http://minio:9000&region=a b", "region"),
        ("s3://bucket/models?endpoint=http://minio:9000", "prefix=models"),
        ("s3://B?endpoint=http://minio:9000", "bucket's name"),
        ("s3://bucket?endpoint=http://minio:9000&retries=3", "retries"),
    ],
)
def test_a_url_that_is_no_store_is_refused_with_what_to_write(url: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(url, KEYS)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hidden@bucket?endpoint=http://minio:9000",
        "s3://key:hid/hidden@bucket?endpoint=http://minio:9000",
        "s3://bucket?endpoint=http://key:hidden@minio:9000",
        "s3://bucket?endpoint=http%3A%2F%2Fkey:hidden%40minio:9000",
        "s3://bucket?endpoint=http://minio:9000&secret_key=hidden",
        "file://key:hidden@host/folder",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(url, KEYS)
    assert "hidden" not in f"{caught.value.message}{caught.value.fields}{caught.value.metadata}"


@pytest.mark.parametrize("missing", [ACCESS_KEY, SECRET_KEY])
def test_missing_credentials_are_named(missing: str) -> None:
    with pytest.raises(NotAllowed, match=missing):
        open_store("s3://bucket?endpoint=http://minio:9000", {**KEYS, missing: ""})


def test_opening_touches_nothing(tmp_path: Path) -> None:
    open_store((tmp_path / "artifacts").as_uri())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_have_spaces(tmp_path: Path) -> None:
    open_store((tmp_path / "my artifacts").as_uri()).put(b"content")
    assert (tmp_path / "my artifacts").is_dir()


def test_a_folder_needs_no_s3_client() -> None:
    program = (
        "import sys; from services.platform.artifacts import open_store; open_store('file:///x'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "services.platform.artifacts.file_store" in done.stdout.split()
    assert not {"minio", "urllib3"} & set(done.stdout.split())
