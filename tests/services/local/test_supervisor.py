"""The supervisor with small real services: a gRPC server with nothing but its health, as a process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from ratchet.cli.health import is_serving
from ratchet.client.endpoints import Endpoints
from ratchet.client.services import SERVICES
from ratchet.errors import PreconditionFailed, Unreachable
from services.local import ports, supervisor
from services.local.supervisor import Supervisor
from tests.support.waiting import until

SERVICE = """
import os, sys
from services.local.serving import end_with_parent
from services.platform.server import Server, run
print("I am", sys.argv[1], os.environ["RATCHET_REGISTRY"], flush=True)
end_with_parent(int(os.environ["RATCHET_PARENT"]))
run(sys.argv[1], Server("127.0.0.1", int(sys.argv[2])))
"""

NEEDY = SERVICE.replace(
    'run(sys.argv[1], Server("127.0.0.1", int(sys.argv[2])))',
    """
from services.platform.telemetry import Check
server = Server("127.0.0.1", int(sys.argv[2]))
server.needs(Check("log", lambda: 1 / 0))
run(sys.argv[1], server)
""",
)

SUPERVISING = f"""
import sys, time
from pathlib import Path
from services.local import ports
from services.local.supervisor import Supervisor
def command(service, home, port):
    return [sys.executable, "-c", {SERVICE!r}, service, str(port)]
with Supervisor(Path(sys.argv[1]), ports.choose(0), command=command) as started:
    print(*started.pids().values(), flush=True)
    time.sleep(60)
"""


def small(service: str, home: Path, port: int) -> Sequence[str]:
    return [sys.executable, "-c", SERVICE, service, str(port)]


def test_all_services_answer_and_the_home_says_where(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "home", ports.choose(0), command=small) as started:
        written = Endpoints.read(tmp_path / "home")
        assert written == started.endpoints
        assert all(is_serving(address, 2.0) for address in asdict(written).values())
        pids = started.pids()
        assert set(pids) == set(SERVICES)
        log = (tmp_path / "home" / "logs" / "trainer.log").read_text()
        assert f"I am trainer {written.registry}" in log
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not (tmp_path / "home" / "endpoints.json").exists()


def test_a_home_in_use_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    with Supervisor(tmp_path, ports.choose(0), command=small) as first:
        second = Supervisor(tmp_path, ports.choose(0), command=small)
        with pytest.raises(PreconditionFailed, match=f"in use by process {os.getpid()};") as refused:
            second.start()
        assert refused.value.exit_code == 4
        assert json.loads((tmp_path / "endpoints.json").read_text())["registry"] == first.endpoints.registry
    with Supervisor(tmp_path, ports.choose(0), command=small) as again:
        assert len(again.pids()) == len(SERVICES)


def test_a_service_that_died_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(tmp_path, ports.choose(0), say=said.append, command=small) as started:
        before = started.pids()["knowledge"]
        os.kill(before, signal.SIGKILL)

        def is_back() -> bool:
            started.check()
            now = started.pids().get("knowledge", before)
            return now != before and is_serving(started.endpoints.knowledge, 1.0)

        assert until(is_back)
    assert len(said) == 1
    assert "the knowledge died with -9" in said[0]


def test_a_service_that_keeps_dying_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "MAX_QUICK_EXITS", 2)
    mortal = tmp_path / "mortal"

    def command(service: str, home: Path, port: int) -> Sequence[str]:
        once = f"import pathlib, sys\nif pathlib.Path({str(mortal)!r}).exists(): sys.exit('no disk')\n"
        return [sys.executable, "-c", once + SERVICE, service, str(port)]

    with Supervisor(tmp_path / "home", ports.choose(0), command=command) as started:
        mortal.touch()
        os.kill(started.pids()["trainer"], signal.SIGKILL)

        def check_for_ever() -> bool:
            started.check()
            return False

        with pytest.raises(Unreachable, match=r"the trainer died 2 times.*no disk; see .*trainer\.log"):
            until(check_for_ever)


def test_a_service_that_can_not_start_is_reported_and_nothing_is_left_running(tmp_path: Path) -> None:
    pids: list[int] = []

    def command(service: str, home: Path, port: int) -> Sequence[str]:
        if service == "trainer":
            pids.extend(started.pids().values())
            return [sys.executable, "-c", "import sys; sys.exit('error: no trainer here')"]
        return small(service, home, port)

    started = Supervisor(tmp_path, ports.choose(0), command=command)
    with pytest.raises(Unreachable, match=r"the trainer did not start: error: no trainer here; see .*trainer\.log"):
        started.start()
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_service_that_is_not_ready_in_time_is_left_to_become_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "START_SECONDS", 5.0)
    said: list[str] = []

    def command(service: str, home: Path, port: int) -> Sequence[str]:
        code = SERVICE if service != "knowledge" else NEEDY
        return [sys.executable, "-c", code, service, str(port)]

    with Supervisor(tmp_path, ports.choose(0), said.append, command):
        assert len(said) == 1
        assert "the knowledge runs, but is not ready yet" in said[0]


def test_services_end_when_their_supervisor_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == len(SERVICES)
    assert all(psutil.pid_exists(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    """Whether the process is there and not only its entry."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_data_stays_in_the_home_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_LOG", "postgresql://elsewhere/prod")
    monkeypatch.setenv("RATCHET_ARTIFACTS", "s3://elsewhere")
    told = "import os; print('told', os.environ.get('RATCHET_LOG'), os.environ.get('RATCHET_ARTIFACTS'), flush=True)\n"

    def command(service: str, home: Path, port: int) -> Sequence[str]:
        return [sys.executable, "-c", told + SERVICE, service, str(port)]

    with Supervisor(tmp_path, ports.choose(0), command=command):
        assert "told None None" in (tmp_path / "logs" / "registry.log").read_text()


def test_what_the_caller_says_of_the_environment_wins(tmp_path: Path) -> None:
    told = "import os; print('told', os.environ['RATCHET_LOG'], os.environ['RATCHET_DEBUG'], flush=True)\n"

    def command(service: str, home: Path, port: int) -> Sequence[str]:
        return [sys.executable, "-c", told + SERVICE, service, str(port)]

    chosen = {"RATCHET_LOG": "postgresql://chosen", "RATCHET_DEBUG": ""}
    with Supervisor(tmp_path, ports.choose(0), command=command, environment=chosen):
        assert "told postgresql://chosen \n" in (tmp_path / "logs" / "registry.log").read_text()
