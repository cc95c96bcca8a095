"""The S3 server that these tests share, and a link to it that can be spoiled."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.platform.artifacts import ArtifactStore, open_store, s3_store
from services.platform.artifacts.retry import DEFAULT_RETRY
from tests.support.faulty_proxy import Link, Opening
from tests.support.object_store import Endpoint, seaweed

__all__ = ["seaweed"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer is waited for as often as ever, but not as long."""
    monkeypatch.setattr(s3_store, "DEFAULT_RETRY", replace(DEFAULT_RETRY, pause=0.01, read=5.0))


@pytest.fixture
def link(seaweed: Endpoint) -> Iterator[Link]:
    with Link(seaweed.endpoint) as between:
        yield between


@pytest.fixture
def through(seaweed: Endpoint, link: Link) -> Opening:
    """Opens the store in a bucket of the server, through the link."""

    def opened(bucket: str, options: str = "", **environ: str) -> ArtifactStore:
        url = f"s3://{seaweed.bucket(bucket)}?endpoint={link.endpoint}&region={seaweed.region}{options}"
        return open_store(url, {**seaweed.environ(), **environ})

    return opened
