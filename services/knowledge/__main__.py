"""The knowledge process."""

from __future__ import annotations

from services.kernel.server import run
from services.kernel.settings import Settings
from services.knowledge.bootstrap import build


def main(settings: Settings) -> None:
    server, closers = build(settings)
    run("knowledge", server, closers)
