"""The two homes of a backtest: the gated loop and the plain one run side by side, each with one worker."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click

from ratchet.backtest.moments import day
from ratchet.backtest.plan import Segment
from ratchet.backtest.replay import Asked, Replayed, replay
from ratchet.backtest.result import Session
from ratchet.cli import ports
from ratchet.cli.supervisor import Supervisor, serve_command
from ratchet.client import Client
from ratchet.credentials import NO_IDENTITY, Credentials
from ratchet.errors import Cancelled
from ratchet.names import Lineage, Policy

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

GATED, PLAIN = "gated", "plain"
CHECK_SECONDS = 0.2


def one_worker(service: str, home: Path, port: int) -> Sequence[str]:
    """The command line of a service whose trainer has one worker: two homes share the cores."""
    return ["env", "RATCHET_WORKERS=local:1", *serve_command(service, home, port)]


class Homes:
    """The services of both homes under `place`, running while this is entered, with a client of each."""

    def __init__(self, place: Path, say: Callable[[str], None]) -> None:
        self._supervisors = {
            name: Supervisor(place / name, ports.choose(0), say, one_worker, environment=NO_IDENTITY)
            for name in (GATED, PLAIN)
        }
        self.clients: dict[str, Client] = {}

    def __enter__(self) -> Homes:
        try:
            for name, supervisor in self._supervisors.items():
                found = supervisor.start()
                self.clients[name] = Client(found.registry, found.knowledge, found.trainer, credentials=Credentials())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Restart what died."""
        for supervisor in self._supervisors.values():
            supervisor.check()

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        for supervisor in self._supervisors.values():
            supervisor.stop()


class Told:
    """Shows how one loop goes on, and stops it when `stopping` is set."""

    def __init__(
        self, policy: str, sessions: int, stopping: threading.Event, progress: Progress | None, task: TaskID | None
    ) -> None:
        self._policy, self._sessions, self._stopping = policy, sessions, stopping
        self._progress, self._task = progress, task
        self._held = 0

    def going(self, phase: str, fraction: float) -> None:
        if self._stopping.is_set():
            raise Cancelled("the backtest was stopped")
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._held + 0.9 * fraction, text=phase)

    def held(self, session: Session) -> None:
        self._held += 1
        line = (
            f"{self._policy:<8} {self._held:>3}/{self._sessions}  {day(session.date)}  v{session.version}"
            f" {session.ended}, v{session.champion} in force"
        )
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._held)
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)


def replay_both(
    homes: Homes, lineage: Lineage, policy: Policy, segments: Sequence[Segment]
) -> tuple[Replayed, Replayed]:
    """The gated loop and the plain one at the same time; the first error of either, or Ctrl-C, stops both.

    The gated one scores the versions and the baselines, the plain one its champion and the model from scratch: half of
    the fits each.
    """
    stopping = threading.Event()
    parts: list[tuple[str, Policy, Asked]] = [
        (GATED, policy, Asked(versions=True, baselines=True)),
        (PLAIN, "plain", Asked(fresh=True)),
    ]
    with _terminated_like_interrupted(), _progress() as progress, ThreadPoolExecutor(len(parts)) as threads:
        futures: list[Future[Replayed]] = []
        for name, rule, asked in parts:
            task = progress.add_task(rule, total=len(segments), text="") if progress else None
            told = Told(rule, len(segments), stopping, progress, task)
            futures.append(threads.submit(replay, homes.clients[name], lineage, rule, segments, asked, told))
        try:
            while wait(futures, CHECK_SECONDS, FIRST_EXCEPTION).not_done:
                homes.check()
                _raise_first(futures)
            gated, plain = (future.result() for future in futures)
        except BaseException:
            stopping.set()
            homes.close()
            raise
    return gated, plain


def _raise_first(futures: Sequence[Future[Replayed]]) -> None:
    for future in futures:
        if future.done():
            future.result()


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A live bar for each loop on a terminal; None elsewhere, where each session is a line."""
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
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM stops as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
