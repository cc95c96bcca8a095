"""`ratchet demo` is the main job: it shows all of it, stops cleanly and leaves a home that opens again."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.running import Running, running

FOREST = "AAPL/range/random-forest"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def shown(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ratchet", "demo", "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_it_shows_every_verdict_with_its_evidence(shown: subprocess.CompletedProcess[str]) -> None:
    assert shown.returncode == 0, shown.stderr
    for word in (
        f"{FOREST}/v1",
        f"{FOREST}/v2",
        f"{FOREST}/v3",
        "AAPL/range/logistic/v1",
        "nothing to compare it with",
        "paired Brier difference",
        "Diebold-Mariano p",
        "E  ",
        "base-rate@baseline",
        "persistence@baseline",
        "har@baseline",
        "online@baseline",
        "complexity: step 1 of 1 offered",
        "wider range",
        "learned from",
        "best of its symbol",
    ):
        assert word in shown.stdout, word


def test_it_says_what_to_try_next(shown: subprocess.CompletedProcess[str], home: Path) -> None:
    assert f"ratchet up --home {home}" in shown.stderr


def test_it_leaves_no_process_behind(shown: subprocess.CompletedProcess[str], home: Path) -> None:
    assert not (home / "endpoints.json").exists()
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or [])]
    assert [pid for pid in left if pid != os.getpid()] == []


def test_its_home_opens_again(shown: subprocess.CompletedProcess[str], home: Path) -> None:
    services: Running
    with running(home) as services:
        models = [model.name for model in services.client.list_models(series="AAPL")]
        assert sorted(models) == ["AAPL/range/logistic/v1", *(f"{FOREST}/v{n}" for n in (1, 2, 3))]
        assert services.client.get_symbol_best("AAPL", "range").model.symbol_best
        assert list(services.client.list_patterns(series="AAPL", task="range"))
        assert all(table.identical for table in services.client.rebuild().tables)
