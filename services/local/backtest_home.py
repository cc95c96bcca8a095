"""The home of a backtest, with services of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratchet.backtest.bar_times import format_day
from ratchet.backtest.plan import Segment
from ratchet.backtest.replay import ReplayResult, replay
from ratchet.backtest.result import Session
from ratchet.client import Client
from ratchet.client.credentials import NO_IDENTITY, Credentials
from ratchet.errors import Cancelled
from ratchet.names import Lineage, Policy
from services.local import ports
from services.local.supervisor import Supervisor

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

CHECK_SECONDS = 0.2
ENVIRONMENT = {**NO_IDENTITY, "RATCHET_WORKERS": "local:1"}
"""Sessions run in sequence: one worker suffices, and caches the fits of the baselines."""


@dataclass(frozen=True)
class BacktestHome:
    """The running services of a backtest, and their client."""

    supervisor: Supervisor
    client: Client


@contextmanager
def running_services(place: Path, say: Callable[[str], None]) -> Iterator[BacktestHome]:
    """Runs the services under `place` for the duration of the context."""
    with Supervisor(place, ports.choose(0), say, environment=ENVIRONMENT) as supervisor:
        found = supervisor.endpoints
        with Client(**asdict(found), credentials=Credentials()) as client:
            yield BacktestHome(supervisor, client)


class ReplayProgress:
    """ReplayObserver that prints progress, and stops the replay when `stopping` is set."""

    def __init__(
        self, sessions: int, stopping: threading.Event, progress: Progress | None, task: TaskID | None
    ) -> None:
        self._sessions, self._stopping = sessions, stopping
        self._progress, self._task = progress, task
        self._held = 0

    def progress(self, phase: str, fraction: float) -> None:
        if self._stopping.is_set():
            raise Cancelled("the backtest was stopped")
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._held + 0.9 * fraction, text=phase)

    def session_ended(self, session: Session) -> None:
        self._held += 1
        line = (
            f"{self._held:>3}/{self._sessions}  {format_day(session.date)}  v{session.version}"
            f" {session.ended}, v{session.champion} in force"
        )
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._held)
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)


def replay_supervised(
    home: BacktestHome, lineage: Lineage, policy: Policy, segments: Sequence[Segment]
) -> ReplayResult:
    """Replays the loop, and restarts services that exit; an error or Ctrl-C stops the replay."""
    stopping = threading.Event()
    with _sigterm_as_interrupt(), _progress() as progress, ThreadPoolExecutor(1) as thread:
        task = progress.add_task(policy, total=len(segments), text="") if progress else None
        observer = ReplayProgress(len(segments), stopping, progress, task)
        replayed = thread.submit(replay, home.client, lineage, policy, segments, observer)
        try:
            while wait((replayed,), CHECK_SECONDS).not_done:
                home.supervisor.check()
            return replayed.result()
        except BaseException:
            stopping.set()
            home.supervisor.stop()
            raise


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A live bar on a terminal; None elsewhere, with one line per session instead."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Handles SIGTERM like Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
