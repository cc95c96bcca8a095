"""`ratchet up`: it answers, stops cleanly on both signals, and opens again what it left."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ratchet import Client
from ratchet.client.endpoints import Endpoints
from tests.support.running import announced

DATA = Path(__file__).parents[2] / "ratchet" / "data"


@contextmanager
def up(home: Path) -> Iterator[tuple[subprocess.Popen[str], Endpoints]]:
    """`ratchet up` as a process, once it has printed its addresses."""
    command = [sys.executable, "-m", "ratchet", "up", "--home", str(home), "--port-base", "0", "-o", "json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running, Endpoints(**announced(running))
    finally:
        running.kill()
        running.communicate()


def stop(running: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send the signal; exit 0, no child left; what was said on stderr."""
    children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0
    assert len(children) >= 3
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    return said


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_home_is_opened_again_with_all_that_it_held(tmp_path: Path, number: signal.Signals) -> None:
    home = tmp_path / "a home"
    with up(home) as (running, endpoints):
        assert Endpoints.read(home) == endpoints
        with Client.from_home(home, environ={}) as client:
            client.import_bars(DATA / "AAPL.csv", "AAPL")
            before = [event.state for event in client.read_log()]
        said = stop(running, number)
    assert f"ratchet up --home '{home}'" in said
    assert "Traceback" not in said
    assert not (home / "endpoints.json").exists()
    with up(home) as (running, _), Client.from_home(home, environ={}) as client:
        assert [event.state for event in client.read_log()] == before != []
        assert [dataset.series for dataset in client.list_datasets()] == ["AAPL"]
        stop(running, number)
