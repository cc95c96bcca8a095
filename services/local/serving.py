"""Runs one service in this process: settings, logging, and exit with the supervisor."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.client.credentials import TOKEN_VARIABLE
from ratchet.errors import PreconditionFailed
from services.local.supervisor import home_error

if TYPE_CHECKING:
    from services.platform.settings import Settings

PARENT_POLL_SECONDS = 0.5
ORPHAN_GRACE_SECONDS = 15.0


def serve_service(service: str, home: Path, host: str, port: int | None, insecure: bool) -> None:
    """Runs `service` until it receives a stop signal.

    Services with a shared environment have one token each: RATCHET_TOKEN_TRAINER and so on.
    """
    from services.platform.settings import Settings, require_loopback
    from services.platform.telemetry import call_log

    require_loopback(host, insecure)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise home_error(home, error) from error
    if own := os.environ.get(f"{TOKEN_VARIABLE}_{service.upper()}"):
        os.environ[TOKEN_VARIABLE] = own
    call_log.to_stderr(service)
    try:
        main = _main(service)
    except ModuleNotFoundError as error:
        raise PreconditionFailed(
            f"the {service} needs {error.name}, which is not installed; pip install 'ratchet-models[server]'"
        ) from error
    main(Settings.load(service, home, host, port))


def _main(service: str) -> Callable[[Settings], None]:
    """The service's main function; only that service is imported."""
    if service == "registry":
        from services.registry.__main__ import main
    elif service == "knowledge":
        from services.knowledge.__main__ import main
    elif service == "trainer":
        from services.trainer.__main__ import main
    else:
        from services.predictor.__main__ import main
    return main


def end_with_parent(parent: int) -> None:
    """Stops this process soon after the process `parent` has ended: gracefully, then by force."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
