"""`python -m tests.fuzz [--table FILE]`: a campaign in a home of its own; exits 1 where anything failed.

FUZZ_SEED and FUZZ_REQUESTS say which requests, and how many.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz import report
from tests.fuzz.run import REQUESTS, SEED, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--table", type=Path, help="write the page there too")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED") or SEED))
    parser.add_argument("--requests", type=int, default=int(os.environ.get("FUZZ_REQUESTS") or REQUESTS))
    asked = parser.parse_args()
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    print(f"seed {asked.seed}, {asked.requests} requests", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        result = run(Path(folder) / "home", asked.requests, asked.seed)
        if result.failures:
            logs = Path(folder) / "home" / "logs"
            print(*(f"{log.name}:\n{log.read_text()[-20_000:]}" for log in sorted(logs.glob("*.log"))), sep="\n")
    page = report.page(result)
    print(page)
    if asked.table:
        asked.table.parent.mkdir(parents=True, exist_ok=True)
        asked.table.write_text(page)
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
