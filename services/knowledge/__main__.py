"""The knowledge process."""

from __future__ import annotations

from services.knowledge.bootstrap import build
from services.platform.server import run
from services.platform.settings import Settings


def main(settings: Settings) -> None:
    server, closers = build(settings)
    run("knowledge", server, closers)
