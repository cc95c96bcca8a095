"""The registry as a process: `python -m services.registry`, settings from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from services.platform.server import run
from services.platform.settings import Settings
from services.registry.bootstrap import build


def main(settings: Settings) -> None:
    """Serves until a stop signal."""
    server, closers = build(settings)
    run("registry", server, closers)


if __name__ == "__main__":
    main(Settings.load("registry", Path(os.environ.get("RATCHET_HOME", ".ratchet")), "127.0.0.1", None))
