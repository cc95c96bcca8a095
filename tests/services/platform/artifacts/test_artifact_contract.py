"""What every artifact store promises, run over each place where artifacts can live.

A new adapter is one function that makes a place, and its name in PLACES.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from ratchet.errors import CorruptData, InvalidInput, NotFound
from services.platform.artifacts import ArtifactStore, open_store
from tests.support.object_store import Endpoint

CONTENT = b"a model's bytes"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
UNKNOWN = "0" * 64


@dataclass(frozen=True)
class Place:
    """A store's URL, the environment to open it with, and a way to write bytes under a name behind its back."""

    url: str
    environ: Mapping[str, str]
    plant: Callable[[str, bytes], None]
    stored: Callable[[str], bytes]

    def open(self) -> ArtifactStore:
        return open_store(self.url, self.environ)


def in_folder(request: pytest.FixtureRequest) -> Place:
    root: Path = request.getfixturevalue("tmp_path") / "artifacts"

    def path(digest: str) -> Path:
        return root / digest[:2] / digest[2:]

    def plant(digest: str, content: bytes) -> None:
        path(digest).parent.mkdir(parents=True, exist_ok=True)
        path(digest).unlink(missing_ok=True)
        path(digest).write_bytes(content)

    return Place(root.as_uri(), os.environ, plant, lambda digest: path(digest).read_bytes())


def in_bucket(request: pytest.FixtureRequest) -> Place:
    server: Endpoint = request.getfixturevalue("seaweed")
    name = f"test-{uuid.uuid4().hex[:8]}"
    bucket = server.bucket(name)
    client = server.client()

    def plant(digest: str, content: bytes) -> None:
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
        client.put_object(bucket, f"models/{digest}", io.BytesIO(content), len(content))

    def stored(digest: str) -> bytes:
        return client.get_object(bucket, f"models/{digest}").read()

    return Place(f"{server.url(name)}&prefix=models", server.environ(), plant, stored)


PLACES = [in_folder, in_bucket]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    at: Callable[[pytest.FixtureRequest], Place] = request.param
    return at(request)


@pytest.fixture
def store(place: Place) -> ArtifactStore:
    return place.open()


class TestArtifactStore:
    @pytest.mark.parametrize("content", [b"", CONTENT, bytes(range(256)) * 24_000], ids=["empty", "small", "6 MB"])
    def test_what_is_put_comes_back_under_its_sha256(self, store: ArtifactStore, content: bytes) -> None:
        digest = store.put(content)
        assert digest == hashlib.sha256(content).hexdigest()
        assert store.has(digest)
        assert store.get(digest) == content

    def test_another_opening_of_the_same_url_sees_it(self, place: Place) -> None:
        assert place.open().get(place.open().put(CONTENT)) == CONTENT

    def test_putting_the_same_twice_is_one_artifact(self, store: ArtifactStore) -> None:
        assert store.put(CONTENT) == store.put(CONTENT)
        assert list(store.digests()) == [DIGEST]

    def test_digests_are_those_of_all_artifacts_and_of_nothing_else(self, place: Place, store: ArtifactStore) -> None:
        put = {store.put(str(number).encode()) for number in range(12)}
        place.plant("notes.txt", b"not an artifact")
        assert sorted(store.digests()) == sorted(put)

    def test_a_missing_artifact_is_named(self, store: ArtifactStore) -> None:
        store.put(CONTENT)
        assert not store.has(UNKNOWN)
        with pytest.raises(NotFound, match=UNKNOWN) as caught:
            store.get(UNKNOWN)
        assert caught.value.metadata["digest"] == UNKNOWN

    def test_an_unused_store_has_nothing(self, store: ArtifactStore) -> None:
        assert not store.has(DIGEST)
        with pytest.raises(NotFound):
            store.get(DIGEST)

    def test_it_is_known_when_an_artifact_was_put(self, store: ArtifactStore) -> None:
        begun = datetime.now(UTC) - timedelta(seconds=2)
        store.put(CONTENT)
        assert begun < store.written_at(DIGEST) < datetime.now(UTC) + timedelta(seconds=2)
        with pytest.raises(NotFound, match=UNKNOWN):
            store.written_at(UNKNOWN)

    def test_what_is_removed_is_gone_and_can_be_put_again(self, store: ArtifactStore) -> None:
        store.put(CONTENT)
        store.remove(DIGEST)
        store.remove(DIGEST)
        assert not store.has(DIGEST)
        assert list(store.digests()) == []
        assert store.get(store.put(CONTENT)) == CONTENT

    @pytest.mark.parametrize("name", ["", "v1", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "../" * 20 + "etc"])
    def test_only_a_digest_is_a_name(self, store: ArtifactStore, name: str) -> None:
        for ask in (store.get, store.has, store.written_at, store.remove):
            with pytest.raises(InvalidInput, match="SHA-256"):
                ask(name)

    @pytest.mark.parametrize("damaged", [b"", CONTENT[:-1], CONTENT.replace(b"m", b"n")], ids=["empty", "cut", "other"])
    def test_damaged_bytes_are_refused_and_left_as_they_are(
        self, place: Place, store: ArtifactStore, damaged: bytes
    ) -> None:
        place.plant(DIGEST, damaged)
        for use in (lambda: store.get(DIGEST), lambda: store.put(CONTENT)):
            with pytest.raises(CorruptData, match=DIGEST):
                use()
        assert place.stored(DIGEST) == damaged

    def test_eight_at_once_put_one_artifact(self, place: Place) -> None:
        stores = [place.open() for _ in range(8)]
        together = Barrier(len(stores))

        def put(store: ArtifactStore) -> str:
            together.wait(timeout=30)
            return store.put(CONTENT)

        with ThreadPoolExecutor(len(stores)) as pool:
            assert set(pool.map(put, stores)) == {DIGEST}
        assert list(stores[0].digests()) == [DIGEST]
        assert stores[0].get(DIGEST) == CONTENT

    def test_one_store_serves_many_threads(self, store: ArtifactStore) -> None:
        contents = [str(number).encode() * 1000 for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(store.put, contents))
            assert list(pool.map(store.get, digests)) == contents
