"""How long one waits for the services and for the command line."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measured import Measured
from bench.speed.processes import all_services

RUNS = 5
SERVICES, HELP, READ = 4.0, 0.2, 0.5


def measure(folder: Path) -> Iterator[Measured]:
    home = folder / "home"
    home.mkdir()
    began = time.perf_counter()
    with all_services(home):
        took = time.perf_counter() - began
        yield Measured.at_most("start of all services", f"{took:.1f} s", took, SERVICES, "s")
        for words, limit in ((("--help",), HELP), (("models", "list", "--home", str(home)), READ)):
            took = _median(*words)
            name = " ".join(words[:2] if words[0] == "models" else words)
            yield Measured.at_most(f"ratchet {name}", f"{took:.2f} s", took, limit, "s")


def _median(*words: str) -> float:
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ratchet", *words], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
