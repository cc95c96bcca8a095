"""The trainer as a process."""

from __future__ import annotations

from services.kernel.server import run
from services.kernel.settings import Settings
from services.trainer.bootstrap import build


def main(settings: Settings) -> None:
    """Serve the trainer until the process is told to stop."""
    server, closers = build(settings)
    run("trainer", server, closers)
