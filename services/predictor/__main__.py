"""The predictor as a process."""

from __future__ import annotations

from services.platform.server import run
from services.platform.settings import Settings
from services.predictor.bootstrap import build


def main(settings: Settings) -> None:
    """Serves the predictor until the process receives a stop signal."""
    server, closers = build(settings)
    run("predictor", server, closers)
