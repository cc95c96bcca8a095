"""The wheels of both distributions, and environments to install them into."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

from tests.support.running import ROOT


class Wheels(NamedTuple):
    client: Path
    server: Path


def build(folder: Path) -> Wheels:
    """Build both wheels into `folder`."""
    for project in (ROOT, ROOT / "services"):
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, project]
        subprocess.run(command, check=True, capture_output=True)
    [client], [server] = folder.glob("ratchet_models-*.whl"), folder.glob("ratchet_models_server-*.whl")
    return Wheels(client, server)


class Environment:
    """A new virtual environment in `folder` with the given requirements."""

    def __init__(self, folder: Path, *requirements: str, constrained: bool = True) -> None:
        venv.create(folder, with_pip=True)
        self.folder, self.bin = folder, folder / "bin"
        constraints = ["--constraint", str(ROOT / "constraints.txt")] if constrained else []
        self.run("pip", "install", "--quiet", *constraints, *requirements)

    def ran(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment outside the checkout."""
        return subprocess.run(
            [self.bin / program, *words], cwd=self.folder, capture_output=True, text=True, check=False, timeout=600
        )

    def run(self, program: str, *words: str) -> str:
        """The output of a program that succeeds."""
        done = self.ran(program, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
