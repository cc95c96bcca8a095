"""What ratchet doctor says of one thing that it has looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`remedy` is the command to run when it is not ok."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


def finding(what: str, ok: bool, found: str, remedy: str) -> Finding:
    """`remedy` is left out of what is ok."""
    return Finding(what, ok, found, "" if ok else remedy)
