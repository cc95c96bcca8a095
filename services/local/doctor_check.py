"""Result of one check of ratchet doctor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """Result of a check; `remedy`: the command to run if it failed."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


def check_result(what: str, ok: bool, found: str, remedy: str) -> CheckResult:
    """A result with a remedy only for a failed check."""
    return CheckResult(what, ok, found, "" if ok else remedy)
