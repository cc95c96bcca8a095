"""The client is small: it loads gRPC and the standard library, and works where POSIX modules are missing."""

import os
import subprocess
import sys

OF_GRPC = {"cython_runtime", "google", "grpc", "grpc_health", "grpc_reflection", "grpc_status", "typing_extensions"}
"""gRPC's own modules and requirements; it loads its companion packages itself where they are installed."""


def python(script: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_client_loads_only_grpc_and_the_standard_library() -> None:
    said = python(
        "import sys; before = set(sys.modules); from ratchet.client import Client;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    loaded = {name for name in said.split() if not name.startswith("_cython_")}
    assert "ratchet" in loaded
    assert loaded - OF_GRPC == {"ratchet"}


def test_the_client_needs_no_fcntl() -> None:
    python("import sys; sys.modules['fcntl'] = None; from ratchet import Client; Client().close()")


def test_without_opentelemetry_no_call_is_traced() -> None:
    python(
        "import sys; sys.modules['opentelemetry'] = None; from ratchet import Client; Client().close()",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )
