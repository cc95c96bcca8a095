"""Supervisor of the services as child processes on loopback, under one home folder; optionally with an S3 store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ratchet.client.endpoints import ENVIRONMENT, FILE_NAME, Endpoints
from ratchet.client.services import SERVICES
from ratchet.errors import PreconditionFailed, Unreachable
from services.local import object_store
from services.local.object_store import ObjectStore
from services.local.ports import HOST, Ports

PARENT_KEY = "RATCHET_PARENT"
ARTIFACTS_KEY = "RATCHET_ARTIFACTS"
LOCK_NAME = "up.lock"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
QUICK_SECONDS = 10.0
MAX_QUICK_EXITS = 5


def serve_command(service: str, home: Path, port: int) -> Sequence[str]:
    """The command line of one service."""
    place = ["--home", str(home), "--host", HOST, "--port", str(port)]
    return [sys.executable, "-m", "ratchet", "serve", service, *place]


@dataclass
class Child:
    """One service process; `deaths`: consecutive exits within QUICK_SECONDS of a start."""

    service: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                process_group=0,
            )
        self.started = time.monotonic()

    def last_log_line(self) -> str:
        """The last nonempty line of the log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 4096))
            written = log.read().decode(errors="replace").strip().splitlines()
        return written[-1].strip() if written else "it said nothing"


class Supervisor:
    """Starts, supervises and stops the services of one home. `say` gets messages for the user; `command` builds the
    command line of a service from its name, home and port. The services inherit this process's environment, but keep
    their data in the home; `environment` overrides everything. With `s3` the artifacts are in an object store of the
    home, which starts first and stops last.

    start() waits until all serve, or START_SECONDS for a service with a missing dependency; check(), called often,
    restarts exited children; stop() ends all. Children exit soon after this process has vanished.
    """

    def __init__(
        self,
        home: Path,
        ports: Ports,
        say: Callable[[str], None] = lambda _: None,
        command: Callable[[str, Path, int], Sequence[str]] = serve_command,
        environment: Mapping[str, str] = {},
        s3: bool = False,
    ) -> None:
        self.home = home.resolve()
        self.endpoints = Endpoints.of_ports(ports, HOST)
        self._ports = ports
        self._say = say
        self._command = command
        self._extra = dict(environment)
        self._s3 = s3
        self.store: ObjectStore | None = None
        self._lock: IO[str] | None = None
        self._children: list[Child] = []

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Endpoints:
        """Starts the services concurrently: each waits for its dependencies. PreconditionFailed for a home in use."""
        try:
            (self.home / "logs").mkdir(parents=True, exist_ok=True)
            self._lock = _lock_home(self.home)
        except OSError as error:
            raise home_error(self.home, error) from error
        try:
            if self._s3:
                self._start_store()
            elif ARTIFACTS_KEY not in self._extra:
                object_store.require_no_object_store(self.home)
            ports = dict(zip(SERVICES, self._ports, strict=True))
            children = [self._start_child(name, self._command(name, self.home, port)) for name, port in ports.items()]
            for child in children:
                self._wait_until_ready(child, f"{HOST}:{ports[child.service]}")
            self.endpoints.write(self.home)
        except BaseException:
            self.stop()
            raise
        return self.endpoints

    def check(self) -> None:
        """Restarts exited children, with back-off; Unreachable after MAX_QUICK_EXITS quick exits of one service."""
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and (code := child.process.poll()) is not None:
                child.process = None
                child.deaths = child.deaths + 1 if now - child.started < QUICK_SECONDS else 1
                if child.deaths >= MAX_QUICK_EXITS:
                    raise Unreachable(
                        f"the {child.service} died {child.deaths} times at once, the last time with {code}:"
                        f" {child.last_log_line()}; see {child.log}"
                    )
                pause = 0.25 * 2**child.deaths
                child.due = now + pause
                self._say(f"the {child.service} died with {code}; it starts again in {pause:.1f} s, see {child.log}")
            if child.process is None and now >= child.due:
                child.start()

    def stop(self) -> None:
        """Stops the services, callers before callees; kills a child after STOP_SECONDS."""
        for child in reversed(self._children):
            if child.process is None:
                continue
            child.process.terminate()
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._say(f"the {child.service} did not stop within {STOP_SECONDS:.0f} s and is killed")
                child.process.kill()
                child.process.wait()
        self._children.clear()
        if self._lock is not None:
            (self.home / FILE_NAME).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def pids(self) -> dict[str, int]:
        return {child.service: child.process.pid for child in self._children if child.process is not None}

    def _start_store(self) -> None:
        self.store = ObjectStore.open(self.home)
        self._wait_until_ready(self._start_child("s3", self.store.command()), self.store.endpoint, self.store.is_ready)

    def _start_child(self, service: str, command: Sequence[str]) -> Child:
        """Starts a child process."""
        child = Child(service, command, self._environment(), self.home / "logs" / f"{service}.log")
        self._children.append(child)
        child.start()
        return child

    def _wait_until_ready(self, child: Child, address: str, answers: Callable[[], bool] | None = None) -> None:
        """Waits until a child `answers`; by default, until the service at `address` serves, or is live with missing
        dependencies."""
        from ratchet.cli.health import is_serving
        from ratchet.client.health import LIVE

        if self._becomes_ready(child, answers or (lambda: is_serving(address, 1.0, child.environment))):
            return
        if answers is None and is_serving(address, 1.0, child.environment, LIVE):
            self._say(f"the {child.service} runs, but is not ready yet; ratchet doctor says what it waits for")
            return
        raise Unreachable(
            f"the {child.service} did not answer at {address} within {START_SECONDS:.0f} s; see {child.log}"
        )

    def _environment(self) -> dict[str, str]:
        """This environment, with the data in the home folder, the addresses of these services and tracebacks in their
        logs."""
        inherited = {key: value for key, value in os.environ.items() if key not in ("RATCHET_LOG", ARTIFACTS_KEY)}
        addresses = {key: getattr(self.endpoints, service) for service, key in ENVIRONMENT.items()}
        store = {**self.store.environment(), ARTIFACTS_KEY: self.store.url} if self.store else {}
        ours = {PARENT_KEY: str(os.getpid()), "RATCHET_DEBUG": "1"}
        return {**inherited, **addresses, **store, **ours, **self._extra}

    def _becomes_ready(self, child: Child, answers: Callable[[], bool]) -> bool:
        """Whether the child answers within START_SECONDS; Unreachable if it has exited."""
        end = time.monotonic() + START_SECONDS
        while not answers():
            if child.process is not None and child.process.poll() is not None:
                raise Unreachable(f"the {child.service} did not start: {child.last_log_line()}; see {child.log}")
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def home_error(home: Path, error: OSError) -> PreconditionFailed:
    """The error for an unwritable `home`."""
    return PreconditionFailed(
        f"{home} can't be written to ({error.strerror or error}); give this user the folder, or choose another --home"
    )


def _lock_home(home: Path) -> IO[str]:
    """Locks the home; the system releases the lock at the end of this process."""
    lock = (home / LOCK_NAME).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        pid = lock.read().strip() or "unknown"
        lock.close()
        raise PreconditionFailed(
            f"{home} is in use by process {pid}; stop it, or choose another --home", metadata={"pid": pid}
        ) from error
    with contextlib.suppress(OSError):
        lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
