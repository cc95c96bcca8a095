"""ratchet log tail chooses by stream, type, actor and time, on a real log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet.client import Client
from services.platform.settings import Settings
from services.registry import bootstrap
from tests.support.datasets import dataset

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("log")
    server, closers = bootstrap.build(Settings.load("registry", folder, "127.0.0.1", 0, {}))
    server.start()
    where = f"127.0.0.1:{server.port}"
    for number, actor in enumerate(("ann", "bob", "ann"), start=1):
        with Client(where, actor=actor) as client:
            client.register_dataset(dataset(f"S{number}", f"{number:064x}"))
    yield where
    server.stop(0)
    for close in closers:
        close()


@pytest.fixture
def tail(address: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("RATCHET_REGISTRY", address)
    return lambda *words: run("log", "tail", *words)


def streams(found: str) -> list[str]:
    return [event["stream"][-1] for event in json.loads(found) if event["stream"].startswith("dataset/")]


def test_by_actor_stream_and_type(tail: Run) -> None:
    assert streams(tail("--actor", "ann", "-o", "json").out) == ["1", "3"]
    assert streams(tail("--actor", "ann", "--limit", "1", "-o", "json").out) == ["3"]
    assert streams(tail("--stream", f"dataset/{2:064x}", "-o", "json").out) == ["2"]
    assert streams(tail("--type", "DatasetRegistered", "-o", "json").out) == ["1", "2", "3"]


def test_by_time(tail: Run) -> None:
    assert streams(tail("--since", "2001-01-01", "-o", "json").out) == ["1", "2", "3"]
    assert "none of the" in tail("--before", "2001-01-01").out


def test_a_type_that_does_not_exist_is_a_usage_error_with_the_nearest(tail: Run) -> None:
    found = tail("--type", "ModelPromotd")
    assert found.code == 2
    assert "did you mean ModelPromoted?" in found.err
    assert tail("--since", "yesterday").code == 2
