"""The registry and knowledge are small: no ML library, a quick start, little memory."""

import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.local import ports
from tests.support.running import Running

ML = ("sklearn", "xgboost", "keras", "jax", "pandas", "pyarrow", "talib", "optuna", "skops", "scipy")
MIB = 1024 * 1024


def loaded_files(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}


def ml_libraries(pid: int) -> set[str]:
    return {name for name in ML for file in loaded_files(pid) if f"/{name}/" in file or f"/{name}." in file}


@pytest.mark.parametrize("service", ["registry", "knowledge"])
def test_the_running_process_holds_no_ml_library_and_little_memory(services: Running, service: str) -> None:
    services.train("AAPL", "logistic", "direction", until="2008-12-31")
    pid = services.supervisor.pids()[service]
    assert ml_libraries(pid) == set()
    assert psutil.Process(pid).memory_info().rss < 150 * MIB


def test_the_trainer_is_where_the_ml_libraries_are(services: Running) -> None:
    assert "pyarrow" in ml_libraries(services.supervisor.pids()["trainer"])


@pytest.mark.parametrize("service", ["registry", "knowledge"])
def test_a_service_starts_within_two_seconds_of_cpu(services: Running, service: str, tmp_path: Path) -> None:
    port = ports.choose(0)[0]
    command = [sys.executable, "-m", "ratchet", "serve", service, "--home", str(tmp_path), "--port", str(port)]
    addresses = {"RATCHET_REGISTRY": services.client.endpoints.registry}
    started = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", **addresses}, stderr=subprocess.DEVNULL)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = health_pb2.HealthCheckRequest(service="live")
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=30, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        used = psutil.Process(started.pid).cpu_times()
        assert used.user + used.system < 2.0
    finally:
        started.terminate()
        started.wait(20)
