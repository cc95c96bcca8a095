"""The Dask cluster of the manifests computes for the trainer, under TLS, and for nobody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.cli.certs import write_certificates
from services.local import ports
from tests.support.manifests import KUBERNETES, main_container, manifests, of, settings

HOST = "127.0.0.1"
COMPUTE = """
import operator, sys
from services.platform.workers import open_workers
workers = open_workers(sys.argv[1])
print(workers.run(operator.is_, 1, lambda phase, fraction: None))
workers.close()
"""
CALL = """
import sys
from distributed import Client
Client(sys.argv[1], timeout=5).submit(abs, -1).result(5)
"""
MEET = """
import sys
from distributed import Client
Client(sys.argv[1], timeout=20).scheduler_info()
"""


def environment(root: Path) -> dict[str, str]:
    """The settings of the cluster, which the trainer has too, with their files under `root`."""
    told = settings("dask-scheduler")
    assert told == settings("dask-worker")
    [_, trainer] = manifests(KUBERNETES / "dask/training.patch.yaml")
    assert {"configMapRef": {"name": "dask"}} in trainer["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    paths = {variable: value.replace("/identity", f"{root}/identity") for variable, value in told.items()}
    return {"PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}", "HOME": str(root), **paths}


@contextmanager
def started(name: str, here: dict[str, str], root: Path) -> Iterator[None]:
    """The container's process, on loopback."""
    container = main_container(name)
    words = [here.get(word, word) for word in (*container["command"], *container["args"], "--host", HOST)]
    process = subprocess.Popen(words, env=environment(root), cwd=root, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def plain_scheduler(port: int, root: Path) -> Iterator[None]:
    """Somebody's scheduler in clear."""
    words = ["dask", "scheduler", "--host", HOST, "--port", str(port), "--no-dashboard"]
    environ = {"PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}", "HOME": str(root)}
    process = subprocess.Popen(words, env=environ, cwd=root, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def python(program: str, address: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, address]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_the_dask_cluster_computes_for_the_trainer_and_for_nobody_without_its_certificate(tmp_path: Path) -> None:
    made, laid = tmp_path / "made", tmp_path / "identity/dask"
    write_certificates(made, ("dask-scheduler",), datetime.now(UTC))
    laid.mkdir(parents=True)
    for source, target in (("server.pem", "tls.crt"), ("server.key", "tls.key"), ("ca.pem", "ca.crt")):
        shutil.copy(made / source, laid / target)
    port = ports.choose(0)[0]
    [exposed] = of("Service")["dask-scheduler"]["spec"]["ports"]
    address = f"dask-scheduler:{exposed['port']}"
    [training, _] = manifests(KUBERNETES / "dask/training.patch.yaml")
    assert training["data"] == {"RATCHET_WORKERS": f"dask://{address}"}
    with ExitStack() as running:
        running.enter_context(started("dask-scheduler", {str(exposed["port"]): str(port)}, tmp_path))
        here = {f"tls://{address}": f"tls://{HOST}:{port}", "--worker-port=8788": "--worker-port=0"}
        running.enter_context(started("dask-worker", here, tmp_path))
        trainer = environment(tmp_path)
        computed = python(COMPUTE, f"dask://{HOST}:{port}", trainer)
        assert computed.stdout.strip() == "False", computed.stderr
        assert python(CALL, f"tls://{HOST}:{port}", trainer).returncode == 0
        bare = ports.choose(0)[0]
        running.enter_context(plain_scheduler(bare, tmp_path))
        stranger = {name: value for name, value in trainer.items() if not name.startswith("DASK_")}
        assert python(CALL, f"tcp://{HOST}:{port}", stranger).returncode != 0
        assert python(MEET, f"tcp://{HOST}:{bare}", stranger).returncode == 0
        assert "encryption required" in python(MEET, f"tcp://{HOST}:{bare}", trainer).stderr
        other = tmp_path / "other"
        write_certificates(other, (), datetime.now(UTC))
        for source, target in (("client.pem", "tls.crt"), ("client.key", "tls.key")):
            shutil.copy(other / source, laid / target)
        assert python(CALL, f"tls://{HOST}:{port}", trainer).returncode != 0
