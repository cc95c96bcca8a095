"""MLflow's server at the work of a registry: one JSON object; sizes in MiB, times in ms.

Stands alone: bench.speed.peer runs it with the Python of .venv-mlflow, whose versions are those of mlflow.txt. The
server is `mlflow server` in a new folder, with its defaults but for host and port, and telemetry off; --lean: with one
worker and without the processes that run jobs, which no call here asks for. A call is one of MlflowClient, which keeps
its connection; the server's CPU is that of its process and all below it, from /proc.

    record    log_batch (5 parameters and 5 metrics), create_model_version, set_registered_model_alias and
              set_terminated, run after run; the runs are created before, outside the time
    champion  get_model_version_by_alias
    page      search_model_versions of one model, in its default order
    start     from the command until /health answers

The versions to read are rows that its tables are given in one transaction, without their runs: no call here reads them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}

import sqlalchemy
from mlflow import MlflowClient  # type: ignore[import-not-found]
from mlflow.entities import Metric, Param  # type: ignore[import-not-found]
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel  # type: ignore[import-not-found]

HOST = "127.0.0.1"
TRIES, START_SECONDS, STOP_SECONDS = 3, 120.0, 15.0
IDLE, IDLE_SECONDS = 0.05, 60.0
NUMBERS = 5
RECORDED, ALIAS = "recorded", "champion"


class Server:
    """`mlflow server` at `url`; its SQLite file is `database`."""

    def __init__(self, folder: Path, lean: bool) -> None:
        port = _free_port()
        self.url, self.database = f"http://{HOST}:{port}", folder / "mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
        environment = os.environ | {"TMPDIR": str(folder)}
        if lean:
            command += ["--workers", "1"]
            environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)

    def answers(self) -> bool:
        """Waits until it does; False where it ended instead, as it does where its port was taken meanwhile."""
        end = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return bool(answer.status == 200)
            if time.monotonic() > end:
                raise RuntimeError(f"MLflow did not answer at {self.url} in {START_SECONDS:.0f} s:\n{self.said()}")
            time.sleep(0.05)
        return False

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def cpu(self) -> float:
        """Seconds so far, of those that have ended, too."""
        ticks = 0
        for pid in family(self.process.pid):
            with suppress(OSError):
                ticks += sum(map(int, _stat(pid)[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """Waits until its processes have started and rest."""
        end = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(1.0)
            if self.cpu() - before < IDLE:
                return

    def stop(self) -> None:
        """Ends it and all below it, and removes what it leaves in memory: the files of a queue that is not asked."""
        mine = {(pid, _born(pid)) for pid in family(self.process.pid)}
        left = {path for pid, _ in mine for path in _environment(pid, "_MLFLOW_HUEY_STORAGE_PATH")}
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        for pid, born in mine:
            if born and _born(pid) == born:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        for path in left:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def served(folder: Path, lean: bool) -> Iterator[tuple[Server, float]]:
    """A server and what its start took; RuntimeError has what it said where it did not."""
    for _ in range(TRIES):
        began = time.perf_counter()
        server = Server(folder, lean)
        try:
            if server.answers():
                yield server, 1000 * (time.perf_counter() - began)
                return
        finally:
            server.stop()
    raise RuntimeError(f"MLflow ended before it answered, {TRIES} times:\n{server.said()}")


def family(root: int) -> list[int]:
    """A process and all below it."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            below.setdefault(int(_stat(int(path.name))[1]), []).append(int(path.name))
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: its state, its parent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _born(pid: int) -> str:
    """Its start, in ticks: a number that comes again has another. Empty for none."""
    with suppress(OSError):
        return _stat(pid)[19]
    return ""


def _environment(pid: int, name: str) -> list[str]:
    """What it was given under a name when it began; empty for nothing."""
    with suppress(OSError):
        given = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
        return [value for key, _, value in (text.partition("=") for text in given) if key == name and value]
    return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def training(client: MlflowClient, run: str, version: int) -> dict[str, Callable[[], object]]:
    """The calls that end a run whose model, the next version, becomes champion."""
    now = int(time.time() * 1000)
    params = [Param(f"parameter_{k}", "0.05") for k in range(NUMBERS)]
    metrics = [Metric(f"metric_{k}", 0.22, now, 0) for k in range(NUMBERS)]
    return {
        "log_batch": lambda: client.log_batch(run, metrics, params),
        "create_model_version": lambda: client.create_model_version(RECORDED, f"s3://models/{run}", run),
        "set_registered_model_alias": lambda: client.set_registered_model_alias(RECORDED, ALIAS, str(version)),
        "set_terminated": lambda: client.set_terminated(run),
    }


def recorded(server: Server, client: MlflowClient, calls: int) -> dict[str, object]:
    """p50 and CPU of a training, and the p50 of each of its calls."""
    client.create_registered_model(RECORDED)
    runs = [client.create_run("0").info.run_id for _ in range(calls)]
    before = server.cpu()
    taken = [
        {name: _ms(call) for name, call in training(client, run, version).items()}
        for version, run in enumerate(runs, start=1)
    ]
    cpu = 1000 * (server.cpu() - before) / calls
    return {
        "record": {"p50": statistics.median(sum(each.values()) for each in taken), "cpu": cpu},
        "record_parts": {name: statistics.median(each[name] for each in taken) for name in taken[0]},
    }


def filled(server: Server, client: MlflowClient, versions: int) -> str:
    """A model of so many versions, the last of which is champion; its name."""
    name, now = f"of {versions}", int(time.time() * 1000)
    engine = sqlalchemy.create_engine(f"sqlite:///{server.database}")
    rows = [
        {
            "name": name,
            "version": number,
            "creation_time": now + number,
            "last_updated_time": now + number,
            "source": f"s3://models/{number}",
            "storage_location": f"s3://models/{number}",
            "run_id": f"{number:032x}",
        }
        for number in range(1, versions + 1)
    ]
    with engine.begin() as connection:
        connection.execute(sqlalchemy.insert(SqlRegisteredModel), [{"name": name, "last_updated_time": now}])
        connection.execute(sqlalchemy.insert(SqlModelVersion), rows)
    engine.dispose()
    client.set_registered_model_alias(name, ALIAS, str(versions))
    return name


def asked(server: Server, calls: int, call: Callable[[], object]) -> dict[str, float]:
    """p50 and CPU of a call, after a first."""
    call()
    before = server.cpu()
    taken = [_ms(call) for _ in range(calls)]
    return {"p50": statistics.median(taken), "cpu": 1000 * (server.cpu() - before) / calls}


def size() -> float:
    """The files of every distribution here but pip's."""
    paths = (
        Path(str(file.locate()))
        for found in importlib.metadata.distributions()
        if found.name not in ("pip", "setuptools")
        for file in found.files or ()
    )
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def _durability(database: Path) -> str:
    """What SQLite does with this file unless it is told, which MLflow does not."""
    with sqlite3.connect(database) as connection:
        [(journal,)] = connection.execute("PRAGMA journal_mode")
        [(synchronous,)] = connection.execute("PRAGMA synchronous")
    return f"journal_mode={journal}, synchronous={('off', 'normal', 'full', 'extra')[synchronous]}"


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lean", action="store_true")
    parser.add_argument("--trainings", type=int, default=100)
    parser.add_argument("--reads", type=int, default=300, help="of each champion")
    parser.add_argument("--short", type=int, default=10, help="versions of the one model whose champion is read")
    parser.add_argument("--long", type=int, default=10_000, help="versions of the other")
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--page-size", type=int, default=100, help="versions, out of the other's")
    given = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with served(given.folder, given.lean) as (server, start):
        client = MlflowClient(server.url)
        server.settle()
        found = recorded(server, client, given.trainings)
        for what in ("short", "long"):
            name = filled(server, client, getattr(given, what))
            found[what] = asked(server, given.reads, partial(client.get_model_version_by_alias, name, ALIAS))
        search = partial(client.search_model_versions, f"name='{name}'", max_results=given.page_size)
        found |= {
            "page": asked(server, given.pages, search),
            "start": start,
            "size": size(),
            "version": importlib.metadata.version("mlflow"),
            "durability": _durability(server.database),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
