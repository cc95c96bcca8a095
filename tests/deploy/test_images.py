"""The images' environments, built without Docker by the very lines of the Dockerfile, hold and run what they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratchet.cli.health import is_serving
from ratchet.client.endpoints import ENVIRONMENT
from services.local import ports

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
ML_LIBRARIES = ("sklearn", "xgboost", "keras", "jax", "pandas", "pyarrow", "talib", "optuna", "skops", "scipy")
STARTED_WITHIN = 60.0

BOOST = """
import numpy, xgboost
x = numpy.linspace(-1, 1, 200).reshape(-1, 1)
model = xgboost.XGBClassifier(n_estimators=5).fit(x, x[:, 0] > 0)
assert model.predict(x).tolist() == (x[:, 0] > 0).astype(int).tolist()
"""


def stage(name: str) -> str:
    """The text of one stage of the Dockerfile."""
    found = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def run_line(name: str) -> str:
    """The shell line of a stage's last RUN, without Docker's own options."""
    *_, line = re.findall(r"^RUN ((?:.*\\\n)*.*)$", stage(name), re.MULTILINE)
    return re.sub(r"--mount=\S+ ", "", line.replace("\\\n", " "))


def shell(line: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both wheels, built from the files that the stage `wheel` copies, and from nothing else."""
    source, folder = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("wheels")
    for copied in re.findall(r"^COPY (.+) (\S+)$", stage("wheel"), re.MULTILINE):
        for name in copied[0].split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    shell(run_line("wheel").replace("/wheels", str(folder)), source)
    return folder


def environment(target: str, wheels: Path, folder: Path) -> Path:
    """The `bin` of /opt/ratchet of a target's image, in `folder`."""
    venv.create(folder / "ratchet", with_pip=True)
    line = run_line(f"{target}-builder").replace("/opt/ratchet", str(folder / "ratchet"))
    extras = re.search(r"^ARG EXTRAS=(\S+)$", stage(f"{target}-builder"), re.MULTILINE)
    shutil.copy(ROOT / "constraints.txt", folder)
    shell(line.replace("/wheels", str(wheels)), folder, EXTRAS=extras[1] if extras else "")
    return folder / "ratchet" / "bin"


@contextmanager
def served(binaries: Path, folder: Path, *services: str) -> Iterator[dict[str, str]]:
    """The services, started one after the other from this environment alone; the variables that lead to them."""
    addresses = {
        variable: f"127.0.0.1:{port}" for variable, port in zip(ENVIRONMENT.values(), ports.choose(0), strict=True)
    }
    variables = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(folder), **addresses}
    running = []
    try:
        for service in services:
            address = addresses[ENVIRONMENT[service]]  # type: ignore[index]
            command = [binaries / "ratchet", "serve", service, "--home", "home", "--port", address.rpartition(":")[2]]
            running.append(subprocess.Popen(command, cwd=folder, env=variables))
            end = time.monotonic() + STARTED_WITHIN
            while not is_serving(address, 1.0):
                assert running[-1].poll() is None, f"the {service} ended"
                assert time.monotonic() < end, f"the {service} does not answer"
        yield variables
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(60)


def test_a_target_is_the_stage_without_root_and_what_its_own_builder_installed() -> None:
    bases = {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)}
    runtime = stage("runtime")
    assert re.findall(r"^(USER|ENTRYPOINT) (.+)$", runtime, re.MULTILINE) == [
        ("USER", "10001:10001"),
        ("ENTRYPOINT", '["ratchet"]'),
    ]
    for target in ("service", "trainer"):
        assert bases[target] == "runtime"
        assert f"COPY --from={target}-builder /opt/ratchet /opt/ratchet\n" in stage(target)
        assert bases[f"{target}-builder"] == "builder"
    assert bases["wheel"] == bases["builder"] == bases["runtime"], "one Python made the environment and runs it"


def test_environments_are_pinned_and_have_the_extras_of_their_services() -> None:
    for target, extras in (("service", "postgres"), ("trainer", "${EXTRAS}")):
        assert "--constraint constraints.txt" in run_line(f"{target}-builder")
        assert f'ratchet_models_server-*.whl)[{extras}]"' in run_line(f"{target}-builder")
    assert "ARG EXTRAS=trainer,dask\n" in stage("trainer-builder")
    # The predictor's own process predicts, and has loaded its libraries before it could tell them.
    assert "ENV OMP_NUM_THREADS=1\n" in stage("trainer")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_service_image_serves_registry_and_knowledge_without_an_ml_library(wheels: Path, tmp_path: Path) -> None:
    binaries = environment("service", wheels, tmp_path)

    def said(program: str, *words: str, **variables: str) -> str:
        command = [binaries / program, *words]
        return subprocess.run(
            command, cwd=tmp_path, env=variables, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    looked_for = f"import importlib.util as u; print([name for name in {ML_LIBRARIES} if u.find_spec(name)])"
    assert said("python", "-c", looked_for).strip() == "[]"
    assert said("python", "-c", "from psycopg import pq; print(pq.__impl__)").strip() == "binary"
    with served(binaries, tmp_path, "registry", "knowledge") as variables:
        assert "findings" in json.loads(said("ratchet", "log", "verify", "--home", "home", "-o", "json", **variables))
        assert json.loads(said("ratchet", "patterns", "list", "-o", "json", **variables)) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_trainer_image_serves_the_trainer_and_is_a_dask_worker_too(wheels: Path, tmp_path: Path) -> None:
    binaries = environment("trainer", wheels, tmp_path)
    subprocess.run([binaries / "python", "-c", BOOST], cwd=tmp_path, check=True, timeout=120)
    for command in ("scheduler", "worker"):
        done = subprocess.run([binaries / "dask", command, "--version"], capture_output=True, text=True, check=True)
        assert "2026" in done.stdout
    with served(binaries, tmp_path, "registry", "knowledge", "trainer", "predictor") as variables:
        done = subprocess.run(
            [binaries / "ratchet", "doctor"], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout
