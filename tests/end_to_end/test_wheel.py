"""The wheel, in an empty environment outside the checkout, runs the services and a training."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.client.endpoints import FILE_NAME
from tests.support.running import DATA

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The `ratchet` command of a new environment."""
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("ratchet-*.whl"))
    venv.create(tmp_path / "venv", with_pip=True)
    pip = [tmp_path / "venv/bin/pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, f"{wheel}[trainer]"], check=True, cwd=tmp_path)
    return tmp_path / "venv/bin/ratchet"


@pytest.fixture
def up(installed: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([installed, "up", "--home", "home", "--port-base", "0"], cwd=tmp_path)
    yield process
    process.terminate()
    process.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_wheel_runs_up_and_a_training(installed: Path, up: subprocess.Popen[bytes], tmp_path: Path) -> None:
    while not (tmp_path / "home" / FILE_NAME).exists():
        with pytest.raises(subprocess.TimeoutExpired):
            up.wait(0.2)

    def ratchet(*words: str) -> str:
        command = [installed, *words, "--home", "home"]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300).stdout

    ratchet("data", "import", "IBM", str(DATA / "IBM.csv"))
    assert "PROMOTED" in ratchet("train", "IBM", "--model", "random-forest", "--target", "range")
    assert "IBM/range/random-forest" in ratchet("models", "list", "IBM")
