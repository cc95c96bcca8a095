"""What the README prints runs as printed, in its order."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import DATA

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
BIN = Path(sys.executable).parent


class Shell:
    """A folder like the root of the tree after `make demo`, with `ratchet` on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.background: list[subprocess.Popen[bytes]] = []

    def run(self, command: list[str]) -> None:
        found = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert found.returncode == 0, (command, found.stderr)

    def start(self, command: list[str]) -> None:
        self.background.append(subprocess.Popen(command, cwd=self.folder, env=self.environment))
        while not (self.folder / ".ratchet" / "endpoints.json").exists():
            assert self.background[-1].poll() is None
            time.sleep(0.1)

    def stop(self) -> None:
        for process in self.background:
            process.terminate()
            assert process.wait(60) == 0


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shutil.copytree(DATA, tmp_path / "ratchet" / "data")
    made = Shell(tmp_path)
    yield made
    made.stop()


def free_ports(words: list[str]) -> list[str]:
    """`ratchet up` on ports that nobody holds; the README's own are the defaults."""
    return [*words, "--port-base", "0"] if words == ["ratchet", "up"] else words


def test_the_make_targets_exist() -> None:
    targets = {shlex.split(command)[1] for command in COMMANDS if command.startswith("make ")}
    assert targets == {"demo", "test"}
    for target in (*targets, *re.findall(r"`make ([a-z-]+)`", README)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_path_in_the_readme_exists() -> None:
    paths = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_test_that_the_readme_names_exists() -> None:
    named = re.findall(r"pytest (?:-m slow )?(tests/\S+?)`", README)
    assert len(named) >= 3
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_runs_as_printed(shell: Shell) -> None:
    shell.run(["ratchet", "demo"])
    for command in COMMANDS:
        words = shlex.split(command)
        if words == ["ratchet", "up"]:
            shell.start(free_ports(words))
        elif words[0] != "make":
            shell.run(words)
    for number, code in enumerate(PYTHON):
        script = shell.folder / f"example_{number}.py"
        script.write_text(code)
        shell.run([sys.executable, str(script)])
    assert len(COMMANDS) > 15
    assert PYTHON
