"""Garbage collection in a store that locks: what may not go stays, is said, and keeps nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.platform.artifacts import open_store
from services.registry.audit import verify_artifacts
from tests.support.object_store import Endpoint, seaweed  # noqa: F401 a fixture


def test_a_locked_orphan_is_left_and_said_and_the_others_go(seaweed: Endpoint) -> None:  # noqa: F811
    open_store(f"{seaweed.url('collected')}&retain=2", seaweed.environ()).put(b"locked")
    store = open_store(seaweed.url("collected"), seaweed.environ())
    free = store.put(b"free")
    (locked,) = set(store.digests()) - {free}
    kept = verify_artifacts(store, (), datetime.now(UTC) + timedelta(hours=1))
    assert (kept.collected, kept.orphans) == ((free,), (locked,))
    until = (datetime.now(UTC) + timedelta(days=2)).date()
    (note,) = kept.notes
    assert note.startswith(f"not collected: artifact {locked}")
    assert f"is kept until {until}" in note
    assert list(store.digests()) == [locked]
