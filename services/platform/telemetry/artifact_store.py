"""Error counter and health check of the artifact store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter

from ratchet.errors import NotFound, RatchetError
from services.platform.artifacts import ArtifactStore
from services.platform.artifacts.content_address import digest_of
from services.platform.telemetry.checks import Check


class CountedStore:
    """An ArtifactStore that counts every error of `store` except NotFound."""

    def __init__(self, store: ArtifactStore, registry: CollectorRegistry) -> None:
        self._store = store
        self._failures = Counter(
            "ratchet_artifact_errors", "Failures of the artifact store", ("operation", "reason"), registry=registry
        )

    def put(self, content: bytes) -> str:
        with self._counted("put"):
            return self._store.put(content)

    def get(self, digest: str) -> bytes:
        with self._counted("get"):
            return self._store.get(digest)

    def has(self, digest: str) -> bool:
        with self._counted("has"):
            return self._store.has(digest)

    def digests(self) -> Iterator[str]:
        with self._counted("digests"):
            yield from self._store.digests()

    def written_at(self, digest: str) -> datetime:
        with self._counted("written_at"):
            return self._store.written_at(digest)

    def remove(self, digest: str) -> None:
        with self._counted("remove"):
            self._store.remove(digest)

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        try:
            yield
        except NotFound:
            raise
        except RatchetError as error:
            self._failures.labels(operation, error.reason).inc()
            raise


def store_check(store: ArtifactStore) -> Check:
    """Passes while the store answers `has`; nothing is written."""
    nobody = digest_of(b"ratchet: does the artifact store answer?")

    def check() -> None:
        store.has(nobody)

    return Check("artifacts", check)
