"""The trainer as a process."""

from __future__ import annotations

from services.platform.server import run
from services.platform.settings import Settings
from services.trainer.bootstrap import build


def main(settings: Settings) -> None:
    """Serves the trainer until the process receives a stop signal."""
    server, closers = build(settings)
    run("trainer", server, closers)
