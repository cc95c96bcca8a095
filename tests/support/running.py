"""The real thing: three services as processes on a home folder of their own."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ratchet import Client
from ratchet.errors import Unreachable
from ratchet.registry.v1 import registry_pb2
from services.local import ports
from services.local.supervisor import Supervisor, serve_command

ROOT = Path(__file__).parents[2]
DATA = ROOT / "ratchet" / "data"
ENDED_WITHIN = 240.0

Answer = TypeVar("Answer")
Command = Callable[[str, Path, int], Sequence[str]]


class Running:
    """The services of one home, kept alive by a supervisor, and a client of them.

    `command` makes the command line of a service from its name, home and port; `environment` is what the services are
    given beside ours, `caller` what clients are; with `s3` the artifacts are in an object store of the home.
    """

    def __init__(
        self,
        home: Path,
        command: Command = serve_command,
        environment: Mapping[str, str] = {},
        caller: Mapping[str, str] = {},
        s3: bool = False,
    ) -> None:
        self.home = home
        self.caller = caller
        self.supervisor = Supervisor(home, ports.choose(0), command=command, environment=environment, s3=s3)
        self.supervisor.start()
        self.client = Client.from_home(home, environ=caller, actor="tester")
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_alive)
        self._watch.start()

    def _keep_alive(self) -> None:
        while not self._stopping.wait(0.1):
            self.supervisor.check()

    def cli(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """`ratchet …` as a process, on this home."""
        return subprocess.run(
            [sys.executable, "-m", "ratchet", *words, "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=check,
            timeout=ENDED_WITHIN,
            env={**os.environ, **self.caller},
        )

    def import_bars(self, series: str) -> None:
        self.client.import_bars(DATA / f"{series}.csv", series)

    def train(
        self, series: str = "AAPL", model_type: str = "logistic", target: str = "range", **more: str
    ) -> registry_pb2.Training:
        """A whole session, waited for."""
        return self.ended(self.client.start_training(series, model_type, target, **more).session_id)

    def ended(self, session_id: str) -> registry_pb2.Training:
        """The session once it has ended, however long its services are away."""
        end = time.monotonic() + ENDED_WITHIN
        while time.monotonic() < end:
            found = self.patiently(lambda: list(self.client.list_trainings(session_id=session_id)))
            if found and found[0].state != registry_pb2.TRAINING_STATE_OPEN:
                return found[0]
            time.sleep(0.2)
        raise AssertionError(f"session {session_id} has no end after {ENDED_WITHIN:.0f} s")

    def patiently(self, act: Callable[[], Answer]) -> Answer:
        """What `act` answers once the services that it needs are back."""
        end = time.monotonic() + ENDED_WITHIN
        while True:
            try:
                return act()
            except Unreachable:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        self._stopping.set()
        self._watch.join()
        self.client.close()
        self.supervisor.stop()


def announced(process: subprocess.Popen[str]) -> Any:
    """The JSON object that a process prints while it runs on; what it said on stderr where it prints none."""
    assert process.stdout is not None
    written = ""
    while not written.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        written += line
    return json.loads(written)


@contextmanager
def running(
    home: Path,
    command: Command = serve_command,
    environment: Mapping[str, str] = {},
    caller: Mapping[str, str] = {},
    s3: bool = False,
) -> Iterator[Running]:
    services = Running(home, command, environment, caller, s3)
    try:
        yield services
    finally:
        services.stop()
