"""Two registry processes on one PostgreSQL: one log, one champion, one key."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from ratchet.errors import ChampionMoved, PreconditionFailed, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import decision_pb2
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.transparency.checkpoint_files import read_checkpoints
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import create_private
from services.local import ports
from services.platform.facts import Fact
from services.platform.settings import Settings
from services.registry.bootstrap import open_signed_log, rotate_key
from services.registry.eventlog import LogApplication, Origin
from tests.support.datasets import dataset
from tests.support.postgres import Postgres
from tests.support.registry_client import FOREST, Registry

ROUNDS = 12


@contextmanager
def serving(home: Path, environ: dict[str, str]) -> Iterator[Registry]:
    """`ratchet serve registry` as a process, and a client of it."""
    port = ports.choose(0)[0]
    command = [sys.executable, "-m", "ratchet", "serve", "registry", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | environ, stderr=subprocess.DEVNULL)
    client = Registry(f"127.0.0.1:{port}")
    try:
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("homes")
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    return postgres.fresh()


@pytest.fixture(scope="module")
def registries(url: str, homes: tuple[Path, Path]) -> Iterator[tuple[Registry, Registry]]:
    """Started at once; they share the key and the artifacts, and each has a home of its own."""
    key = homes[0].parent / "shared.key"
    create_private(key)
    environ = {
        "RATCHET_LOG": url,
        "RATCHET_ARTIFACTS": (homes[0].parent / "artifacts").as_uri(),
        "RATCHET_SIGNING_KEY": str(key),
    }
    with serving(homes[0], environ) as one, serving(homes[1], environ) as two:
        for each in (one, two):
            grpc.channel_ready_future(each._channel).result(60)
        one.import_bars()
        for last in (220, 400, 600):
            one.train(FOREST, 100, last)
        yield one, two


def champion(registry: Registry) -> str:
    return registry.champion(FOREST).model.name


def verified(registry: Registry) -> list[str]:
    """What the registry finds wrong, artifacts aside: the sessions of this test have none."""
    found = registry.log.Verify(eventlog_pb2.VerifyRequest()).findings
    return [finding for finding in found if "artifact" not in finding and "pattern p1" not in finding]


def test_of_promotions_that_race_over_two_registries_exactly_one_wins(registries: tuple[Registry, Registry]) -> None:
    versions = [f"{FOREST}/v{number}" for number in (1, 2, 3)]
    won: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        for _ in range(ROUNDS):
            before = champion(registries[0])
            barrier = threading.Barrier(4)

            def promote(caller: int, before: str = before, barrier: threading.Barrier = barrier) -> str:
                model = [name for name in versions if name != before][caller // 2]
                request = pb.PromoteModelRequest(model=model, expected_champion=before, reason=f"caller {caller}")
                barrier.wait(30)
                try:
                    registries[caller % 2].call(request)
                except (ChampionMoved, PreconditionFailed):
                    return ""
                return model

            winners = [model for model in pool.map(promote, range(4)) if model]
            assert len(winners) == 1
            assert [champion(registry) for registry in registries] == winners * 2
            won += winners
    decided = registries[1].call(pb.ListDecisionsRequest(lineage=FOREST)).decisions
    by_people = [each.promoted.model for each in decided if each.promoted.basis == decision_pb2.BASIS_PERSON]
    assert by_people == won
    assert [verified(registry) for registry in registries] == [[], []]


def test_what_one_registry_accepted_the_other_knows_and_answers_again(registries: tuple[Registry, Registry]) -> None:
    one, two = registries
    request = pb.RegisterDatasetRequest(request_id="the same", dataset=dataset("IBM", "d9"))
    first, again = one.call(request), two.call(request)
    assert first == again
    assert [each.registered.digest for each in two.call(pb.ListDatasetsRequest(series="IBM")).datasets] == ["d9"]


def test_a_subscriber_of_one_registry_hears_of_what_the_other_wrote(registries: tuple[Registry, Registry]) -> None:
    one, two = registries
    end = two.log.GetHead(eventlog_pb2.GetHeadRequest()).position
    heard = two.log.Subscribe(eventlog_pb2.SubscribeRequest(after=end), timeout=30)
    one.import_bars("MSFT", "d10")
    assert [event.stream for event in next(iter(heard)).events] == ["dataset/d10"]
    heard.cancel()


def test_each_home_remembers_checkpoints_of_the_one_log(
    registries: tuple[Registry, Registry], homes: tuple[Path, Path]
) -> None:
    registries[1].import_bars("TSLA", "d11")
    stubs = [registry.log for registry in registries]
    listed = stubs[0].ListCheckpoints(eventlog_pb2.ListCheckpointsRequest()).checkpoints
    roots = {each.size: each.root for each in map(Checkpoint.parse, listed)}
    for home in homes:
        for each in read_checkpoints(home / "checkpoints.txt"):
            assert roots[each.size] == each.root


def test_another_home_without_the_key_is_told_what_to_do(
    registries: tuple[Registry, Registry], url: str, tmp_path: Path
) -> None:
    settings = Settings.load("registry", tmp_path, "127.0.0.1", 0, {"RATCHET_LOG": url})
    with pytest.raises(PreconditionFailed, match="RATCHET_SIGNING_KEY") as refused:
        open_signed_log(settings)
    assert f"{tmp_path / 'signing.key'} is not there" in refused.value.message
    assert not (tmp_path / "signing.key").exists()


def test_while_postgresql_is_away_calls_say_so_and_afterwards_they_work(
    registries: tuple[Registry, Registry], postgres: Postgres
) -> None:
    one, two = registries
    before = champion(one)
    last = two.log.GetHead(eventlog_pb2.GetHeadRequest()).position
    heard = iter(two.log.Subscribe(eventlog_pb2.SubscribeRequest(after=last - 1), timeout=60))
    assert [event.position for event in next(heard).events] == [last]
    postgres.stop()
    try:
        for act in (
            lambda: champion(one),
            lambda: one.import_bars("ORCL", "d12"),
            lambda: two.import_bars("ORCL", "d12"),
        ):
            with pytest.raises(Unreachable, match="the log in PostgreSQL") as refused:
                act()
            assert "check that the server runs" in refused.value.message
    finally:
        postgres.start()
    assert champion(one) == champion(two) == before
    for registry, symbol in zip(registries, ("ORCL", "NVDA"), strict=True):
        assert registry.import_bars(symbol, f"d-{symbol}").registered.digest == f"d-{symbol}"
    assert verified(one) == []


def test_a_rotated_key_stops_a_registry_that_has_the_old_one(tmp_path: Path, postgres_url: str) -> None:
    """What a running registry remembers of keys does not outlive the rotation."""
    settings = Settings.load("registry", tmp_path, "127.0.0.1", 0, {"RATCHET_LOG": postgres_url})
    log = open_signed_log(settings)
    create_private(tmp_path / "new")
    rotate_key(settings, tmp_path / "new", "ann", "the yearly one")
    with pytest.raises(PreconditionFailed, match="the log is signed with the key"):
        LogApplication(log).append([Fact("dataset/d1", 1, dataset("IBM", "d1"))], Origin("r1", b"x", "ann"))
    log.close()
