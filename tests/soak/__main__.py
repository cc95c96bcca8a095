"""make soak: load and faults for SOAK_SECONDS (600), drawn from SOAK_SEED (1); exit 1 where something did not hold.

`python -m tests.soak [--table FILE]`
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.soak.run import soak
from tests.soak.table import markdown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS", "600")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SOAK_SEED", "1")))
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    parser.add_argument("--home", type=Path, help="keep the home here  [default: a temporary one, kept on failure]")
    asked = parser.parse_args()
    home = asked.home or Path(tempfile.mkdtemp(prefix="ratchet-soak-"))
    found = soak(home, asked.seconds, asked.seed)
    text = markdown(found)
    print(text)
    if asked.table:
        asked.table.write_text(text)
    if found.findings:
        print(f"the home is kept: {home}", file=sys.stderr)
    return 1 if found.findings else 0


if __name__ == "__main__":
    sys.exit(main())
