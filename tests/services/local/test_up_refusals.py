"""`ratchet up` says why it does not start, and how it would."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.local import ports
from services.local.supervisor import Supervisor

Run = Callable[..., Any]
SERVICE = """
import sys
from services.platform.server import Server, run
run(sys.argv[1], Server("127.0.0.1", int(sys.argv[2])))
"""


def test_a_busy_port_is_a_conflict_that_names_its_holder(run: Run) -> None:
    with socket.socket() as held:
        held.bind((ports.HOST, 0))
        held.listen()
        port = held.getsockname()[1]
        ran = run("up", "--port-base", str(port - 1))
    assert (ran.code, ran.out) == (4, "")
    assert f"port {port} is held by process {os.getpid()}" in ran.err
    assert "--port-base" in ran.err


def test_a_second_up_on_a_home_names_the_first(run: Run, tmp_path: Path) -> None:
    def small(service: str, home: Path, port: int) -> list[str]:
        return [sys.executable, "-c", SERVICE, service, str(port)]

    with Supervisor(tmp_path, ports.choose(0), command=small):
        ran = run("up", "--home", str(tmp_path), "--port-base", "0")
        assert (tmp_path / "endpoints.json").exists()
    assert (ran.code, ran.out) == (4, "")
    assert f"in use by process {os.getpid()}" in ran.err


def test_a_home_that_is_a_file_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run("up", "--home", str(tmp_path / "file")).code == 2


def test_a_home_that_can_not_be_made_is_a_conflict_that_says_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("up", "--port-base", "0"), ("serve", "registry")):
        ran = run(*words, "--home", str(tmp_path / "file" / "home"))
        assert (ran.code, ran.out) == (4, "")
        assert "can't be written to" in ran.err
        assert "--home" in ran.err
