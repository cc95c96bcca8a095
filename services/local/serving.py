"""One service in this process: settings, logging, and an end when the supervisor has gone."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from pathlib import Path

from ratchet.errors import PreconditionFailed
from services.local.supervisor import unusable

PARENT_POLL_SECONDS = 0.5
ORPHAN_GRACE_SECONDS = 15.0


def serve_service(service: str, home: Path, host: str, port: int | None, insecure: bool) -> None:
    """Run `service` until it is told to stop. The services are found by name: this package imports none."""
    settings = importlib.import_module("services.platform.settings")
    settings.require_loopback(host, insecure)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(home, error) from error
    importlib.import_module("services.platform.telemetry.call_log").to_stderr(service)
    try:
        module = importlib.import_module(f"services.{service}.__main__")
    except ModuleNotFoundError as error:
        raise PreconditionFailed(
            f"the {service} needs {error.name}, which is not installed; pip install 'ratchet-models[server]'"
        ) from error
    module.main(settings.Settings.load(service, home, host, port))


def end_with_parent(parent: int) -> None:
    """Stop this process soon after the process `parent` has gone: cleanly, or else without further ado."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
